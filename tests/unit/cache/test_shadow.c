/*
 * Goal (shadow.c, and what semantic.c and feedback.c count for it): each lookup that is no question
 * of Explain counts by what floor and guard would let serve, under any policy; verdicts on hits and
 * near misses by their pair; a report holds the scopes that match. Method: vectors at known angles
 * under `static` and `shadow`, verdicts by their tokens.
 */
#include "tests/unit/cache/world.h"

#include "cache/shadow.h"

static const struct vector here = {{1, 0, 0, 0}};

static struct identity at(const char *model, const char *prompt)
{
    struct identity identity = of(prompt);
    identity.model = text_of(model);
    return identity;
}

static void decide(struct world *world, const char *model, const char *prompt, double radians,
                   char out_token[TOKEN_TEXT + 1])
{
    const struct vector vector = angle(radians);
    const struct cache_get_reply *reply = ask(world, at(model, prompt), &vector);
    assert_true(reply->decided);
    if (out_token != NULL)
        memcpy(out_token, reply->token, TOKEN_TEXT + 1);
}

static void judge(struct world *world, const char *prompt, double radians,
                  enum cache_verdict verdict)
{
    char token[TOKEN_TEXT + 1];
    uint32_t left = 0;
    decide(world, "m", prompt, radians, token);
    const struct cache_report report = {.token = text_of(token), .verdict = verdict};
    (void)cache_report_verdict(world->cache, &report, world->now_ms, &left);
    assert_int_equal(cache_report_verdict(world->cache, &report, world->now_ms, &left),
                     CACHE_DUPLICATE);
}

static struct cache_shadow_report report_of(struct world *world, const char *model)
{
    const struct cache_policy_scope scope = {.model = text_of(model)};
    struct cache_shadow_report report;
    world_forget(world);
    assert_int_equal(
        cache_shadow_report(world->cache, &scope, world->arena, &report, &world->failure),
        STATUS_OK);
    return report;
}

static struct shadow_point at_percent(const struct cache_shadow_counts *counts, int percent)
{
    return shadow_point(&counts->view, (size_t)(percent - CURVE_FIRST_PERCENT));
}

static void lookups_count_by_what_would_serve_under_any_policy(void **state)
{
    struct world *world = *state;
    (void)set(world, at("m", "how does it work"), &here, "x");
    decide(world, "m", "how does it run", 0.1, NULL);     /* cosine 0.995: a hit of static */
    decide(world, "m", "how does it run", 0.5, NULL);     /* 0.878: below 0.95 */
    decide(world, "m", "how does it not run", 0.1, NULL); /* the guard */
    const struct cache_shadow_report report = report_of(world, "");
    assert_int_equal(report.matching, 1);
    assert_int_equal(report.scopes_count, 1);
    assert_int_equal(report.total.policy.lookups, 3);
    assert_int_equal(report.total.policy.hits, 1);
    assert_int_equal(report.total.policy.mode, POLICY_STATIC);
    assert_int_equal(at_percent(&report.total, 99).would_hits, 1);
    assert_int_equal(at_percent(&report.total, 88).would_hits, 1);
    assert_int_equal(at_percent(&report.total, 87).would_hits, 2);
    assert_int_equal(at_percent(&report.total, 50).would_hits, 2);
    assert_int_equal(at_percent(&report.scopes[0], 50).would_hits, 2);
    assert_int_equal(report.total.view.verdicts.pairs, 0);
}

static void verdicts_count_by_their_pair_on_hits_and_near_misses(void **state)
{
    struct world *world = *state;
    (void)set(world, at("m", "how does it work"), &here, "x");
    judge(world, "how does it run", 0.1, CACHE_CORRECT);
    judge(world, "how does it run", 0.5, CACHE_CORRECT);
    judge(world, "how does it run", 0.7, CACHE_WRONG); /* 0.765 */
    judge(world, "how does it run", 0.7, CACHE_UNSURE);
    judge(world, "how does it not run", 0.1, CACHE_WRONG);   /* the guard's, at the threshold... */
    judge(world, "how does it not run", 0.5, CACHE_CORRECT); /* ...and below it */
    const struct cache_shadow_report report = report_of(world, "m");
    const struct curve *verdicts = &report.total.view.verdicts;
    assert_int_equal(verdicts->pairs, 5);
    assert_int_equal(verdicts->same, 3);
    assert_int_equal(verdicts->guard_blocked, 2);
    assert_int_equal(verdicts->guard_blocked_same, 1);
    assert_int_equal(at_percent(&report.total, 87).verdicts.hits, 2);
    assert_int_equal(at_percent(&report.total, 76).verdicts.hits, 3);
    assert_int_equal(at_percent(&report.total, 76).verdicts.wrong, 1);
    assert_true(at_percent(&report.total, 87).agreement ==
                0.8); /* all but the one the guard lost */
    assert_true(at_percent(&report.total, 99).agreement == 0.6);
    assert_int_equal(report.scopes[0].policy.near_verdicts, 4);
    assert_int_equal(report.scopes[0].policy.feedback_count, 1); /* the ring: hits alone */
}

static void a_stale_hit_is_no_verdict_on_its_similarity(void **state)
{
    struct world *world = *state;
    char token[TOKEN_TEXT + 1];
    uint32_t left = 0;
    (void)set(world, at("m", "how does it work"), &here, "x");
    decide(world, "m", "how does it run", 0.1, token);
    const struct cache_report stale = {.token = text_of(token), .verdict = CACHE_STALE};
    assert_int_equal(cache_report_verdict(world->cache, &stale, world->now_ms, &left),
                     CACHE_ACCEPTED);
    assert_int_equal(report_of(world, "").total.view.verdicts.pairs, 0);
}

static void the_scopes_that_match_add_up_and_the_most_used_comes_first(void **state)
{
    struct world *world = *state;
    (void)set(world, at("a", "how does it work"), &here, "x");
    (void)set(world, at("b", "how does it work"), &here, "x");
    (void)set(world, at("idle", "how does it work"), &here, "x");
    decide(world, "a", "how does it run", 0.1, NULL);
    for (int i = 0; i < 3; i++)
        decide(world, "b", "how does it run", 0.1, NULL);
    struct cache_shadow_report report = report_of(world, "");
    assert_int_equal(report.matching, 3);
    assert_int_equal(report.scopes_count, 3);
    assert_int_equal(at_percent(&report.total, 99).would_hits, 4);
    assert_true(text_equal(report.scopes[0].policy.model, TEXT("b")));
    assert_true(text_equal(report.scopes[1].policy.model, TEXT("a")));
    assert_int_equal(at_percent(&report.scopes[2], 50).would_hits, 0);
    report = report_of(world, "a");
    assert_int_equal(report.matching, 1);
    assert_int_equal(at_percent(&report.total, 99).would_hits, 1);
}

static void at_most_thirty_two_are_shown_and_all_are_counted(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 40; i++) {
        char model[8];
        (void)snprintf(model, sizeof(model), "m%d", i);
        (void)set(world, at(model, "how does it work"), &here, "x");
        for (int asked = 0; asked <= i % 8; asked++)
            decide(world, model, "how does it run", 0.1, NULL);
    }
    const struct cache_shadow_report report = report_of(world, "");
    assert_int_equal(report.matching, 40);
    assert_int_equal(report.scopes_count, CACHE_SHADOW_SCOPES_MAX);
    assert_int_equal(at_percent(&report.total, 99).would_hits, 5 * (1 + 2 + 3 + 4 + 5 + 6 + 7 + 8));
    assert_int_equal(report.scopes[0].policy.lookups, 8);
    assert_int_equal(report.scopes[CACHE_SHADOW_SCOPES_MAX - 1].policy.lookups, 2);
}

static void an_unknown_namespace_has_no_report(void **state)
{
    struct world *world = *state;
    const struct cache_policy_scope scope = {.namespace_ = TEXT("b")};
    struct cache_shadow_report report;
    assert_failed(world,
                  cache_shadow_report(world->cache, &scope, world->arena, &report, &world->failure),
                  STATUS_NOT_FOUND, "scope.namespace");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lookups_count_by_what_would_serve_under_any_policy),
        TEST(verdicts_count_by_their_pair_on_hits_and_near_misses),
        TEST(a_stale_hit_is_no_verdict_on_its_similarity),
        TEST(the_scopes_that_match_add_up_and_the_most_used_comes_first),
        TEST(at_most_thirty_two_are_shown_and_all_are_counted),
        TEST(an_unknown_namespace_has_no_report),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
