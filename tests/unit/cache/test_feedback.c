/*
 * Goal: in feedback.c, one verdict a token, for the very entry that was decided upon, and each
 * verdict does what it says and no more. Method: tokens of real hits and near misses, brought back
 * fresh, twice, late, forged, and after the entry has gone.
 */
#include "tests/unit/cache/world.h"

static const struct vector here = {{1, 0, 0, 0}};

static int open_adaptive(void **state)
{
    static const char *const flags[] = {"--semantic-policy=adaptive"};
    *state = world_create(1, flags);
    return 0;
}

/* The token of a fresh semantic hit (or near miss) on "hello". */
static void token_at(struct world *world, double radians, char out_token[TOKEN_TEXT + 1])
{
    const struct vector vector = angle(radians);
    const struct cache_get_reply *reply = ask(world, of("hello there"), &vector);
    assert_true(reply->decided);
    memcpy(out_token, reply->token, TOKEN_TEXT + 1);
}

static enum cache_outcome report_as(struct world *world, const char *token,
                                    enum cache_verdict verdict, enum cache_source source)
{
    const struct cache_report report = {
        .token = text_of(token), .verdict = verdict, .source = source};
    uint32_t left = 0;
    const enum cache_outcome outcome =
        cache_report_verdict(world->cache, &report, world->now_ms, &left);
    assert_int_equal(left, 60);
    return outcome;
}

static enum cache_outcome report(struct world *world, const char *token, enum cache_verdict verdict)
{
    return report_as(world, token, verdict, CACHE_SOURCE_USER);
}

static struct cache_scope_stats scope_of(struct world *world)
{
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.scopes_count, 1);
    return stats.scopes[0];
}

static void a_token_has_one_verdict(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_ACCEPTED);
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_DUPLICATE);
    assert_int_equal(report(world, token, CACHE_WRONG), CACHE_DUPLICATE);
    assert_int_equal(scope_of(world).feedback_count, 1);
    assert_int_equal(scope_of(world).feedback_right, 1);
}

static void verdicts_move_the_adaptive_threshold(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    assert_true(fabsf(scope_of(world).threshold - 0.95f) < 1e-6f);
    for (int i = 0; i < 14; i++) {
        token_at(world, 0.05, token);
        assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_ACCEPTED);
    }
    assert_true(fabsf(scope_of(world).threshold - 0.90f) < 1e-6f);
    for (int i = 0; i < 30; i++) {
        token_at(world, 0.05, token);
        assert_int_equal(report(world, token, CACHE_WRONG), CACHE_ACCEPTED);
    }
    assert_true(fabsf(scope_of(world).threshold - 0.99f) < 1e-6f);
    assert_int_equal(scope_of(world).feedback_count, 44);
    assert_int_equal(scope_of(world).feedback_right, 14);
}

static void near_misses_and_doubts_are_only_counted(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.5, token);
    assert_true(world->get.reply.near_miss);
    assert_int_equal(report(world, token, CACHE_WRONG), CACHE_COUNTED_ONLY);
    assert_int_equal(report(world, token, CACHE_WRONG), CACHE_DUPLICATE);
    token_at(world, 0.1, token);
    assert_int_equal(report(world, token, CACHE_UNSURE), CACHE_COUNTED_ONLY);
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_DUPLICATE);
    assert_int_equal(scope_of(world).feedback_count, 0);
}

static void a_stale_answer_goes_and_is_no_label(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    assert_int_equal(report(world, token, CACHE_STALE), CACHE_ACCEPTED);
    assert_int_equal(ask(world, of("hello"), &here)->tier, CACHE_TIER_NONE);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.semantic.entries, 0);
    assert_int_equal(scope_of(world).feedback_count, 0);
}

static void an_operators_wrong_takes_the_row_and_leaves_the_entry(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    assert_int_equal(report_as(world, token, CACHE_WRONG, CACHE_SOURCE_OPERATOR), CACHE_ACCEPTED);
    assert_int_equal(ask(world, of("hello there"), &here)->tier, CACHE_TIER_NONE);
    assert_hit(ask(world, of("hello"), &here), CACHE_TIER_EXACT, "world");
    assert_int_equal(stats_of(world, "").semantic.entries, 0);
    assert_int_equal(scope_of(world).feedback_count, 1);
}

static void a_users_wrong_removes_nothing(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    assert_int_equal(report(world, token, CACHE_WRONG), CACHE_ACCEPTED);
    assert_hit(ask(world, of("hello there"), &here), CACHE_TIER_SEMANTIC, "world");
}

static void a_verdict_on_a_replaced_or_vanished_entry_is_without_effect(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    world->now_ms += 1;
    (void)set(world, of("hello"), &here, "another");
    assert_int_equal(report(world, token, CACHE_STALE), CACHE_UNKNOWN_ENTRY);
    assert_hit(ask(world, of("hello"), &here), CACHE_TIER_EXACT, "another");
    token_at(world, 0.1, token);
    const struct cache_delete_request request = {.entry_ids = &world->set.entry_id,
                                                 .entry_ids_count = 1};
    uint32_t deleted = 0;
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_UNKNOWN_ENTRY);
    assert_int_equal(scope_of(world).feedback_count, 0);
}

/* Two Sets of one key in one millisecond; the second has no row, and so no scope to label. */
static void a_replacement_within_the_millisecond_is_another_entry(void **state)
{
    struct world *world = *state;
    static const enum cache_verdict verdicts[] = {CACHE_CORRECT, CACHE_WRONG, CACHE_STALE};
    char token[TOKEN_TEXT + 1];
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        assert_true(set(world, of("?!"), &here, "world")->indexed);
        const struct vector near = angle(0.1);
        assert_int_equal(ask(world, of("!!"), &near)->tier, CACHE_TIER_SEMANTIC);
        memcpy(token, world->get.reply.token, sizeof(token));
        assert_false(set(world, of("?!"), NULL, "another")->indexed); /* no word to compare */
        assert_int_equal(report(world, token, verdicts[i]), CACHE_UNKNOWN_ENTRY);
        assert_hit(ask(world, of("?!"), NULL), CACHE_TIER_EXACT, "another");
        assert_int_equal(scope_of(world).feedback_count, 0);
    }
    /* The same with a row: the verdict was on the answer before. */
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    (void)set(world, of("hello"), &here, "another");
    assert_int_equal(report(world, token, CACHE_STALE), CACHE_UNKNOWN_ENTRY);
    assert_hit(ask(world, of("hello"), &here), CACHE_TIER_EXACT, "another");
}

static void tokens_age_and_forgeries_are_seen(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1], forged[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    for (int i = 0; i < TOKEN_TEXT; i += 5) {
        memcpy(forged, token, sizeof(forged));
        forged[i] = forged[i] == 'A' ? 'B' : 'A';
        assert_int_equal(report(world, forged, CACHE_CORRECT), CACHE_BAD_TOKEN);
    }
    assert_int_equal(report(world, "", CACHE_CORRECT), CACHE_BAD_TOKEN);
    assert_int_equal(report(world, "not a token", CACHE_CORRECT), CACHE_BAD_TOKEN);
    world->now_ms += 3600 * 1000 + 2000;
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_TOKEN_EXPIRED);
}

static void a_token_that_cannot_be_read_costs_its_reporter_nothing(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    uint32_t left = 0;
    (void)set(world, of("hello"), &here, "world");
    token_at(world, 0.1, token);
    struct cache_report broken = {
        .token = TEXT("broken"), .verdict = CACHE_CORRECT, .reporter = TEXT("ann")};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cache_report_verdict(world->cache, &broken, world->now_ms, &left),
                         CACHE_BAD_TOKEN);
        assert_int_equal(left, 60);
    }
    const struct cache_report sound = {
        .token = text_of(token), .verdict = CACHE_CORRECT, .reporter = TEXT("ann")};
    assert_int_equal(cache_report_verdict(world->cache, &sound, world->now_ms, &left),
                     CACHE_ACCEPTED);
    assert_int_equal(left, 59);
    assert_int_equal(cache_report_verdict(world->cache, &broken, world->now_ms, &left),
                     CACHE_BAD_TOKEN);
    assert_int_equal(left, 59);
}

static void a_reporter_has_sixty_verdicts_a_minute(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    uint32_t left = 0;
    (void)set(world, of("hello"), &here, "world");
    for (int i = 0; i < 61; i++) {
        token_at(world, 0.01, token);
        const struct cache_report verdict = {
            .token = text_of(token), .reporter = TEXT("ann"), .verdict = CACHE_CORRECT};
        assert_int_equal(cache_report_verdict(world->cache, &verdict, world->now_ms, &left),
                         i < 60 ? CACHE_ACCEPTED : CACHE_RATE_LIMITED);
        assert_int_equal(left, i < 60 ? 59 - i : 0);
    }
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_ACCEPTED); /* it was not used up */
}

static void no_two_tokens_are_alike(void **state)
{
    struct world *world = *state;
    static char tokens[200][TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    for (int i = 0; i < 200; i++) {
        token_at(world, 0.1, tokens[i]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(tokens[i], tokens[j]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_has_one_verdict),
        cmocka_unit_test_setup_teardown(verdicts_move_the_adaptive_threshold, open_adaptive,
                                        world_destroy),
        TEST(near_misses_and_doubts_are_only_counted),
        TEST(a_stale_answer_goes_and_is_no_label),
        TEST(an_operators_wrong_takes_the_row_and_leaves_the_entry),
        TEST(a_users_wrong_removes_nothing),
        TEST(a_verdict_on_a_replaced_or_vanished_entry_is_without_effect),
        TEST(a_replacement_within_the_millisecond_is_another_entry),
        TEST(tokens_age_and_forgeries_are_seen),
        TEST(a_token_that_cannot_be_read_costs_its_reporter_nothing),
        TEST(a_reporter_has_sixty_verdicts_a_minute),
        TEST(no_two_tokens_are_alike),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
