/*
 * Goal: Set keeps what may be kept, refuses what breaks a limit, skips what should not be kept; and
 * a row never outlives its entry. Method: one rule a test, with the field that a refusal names; a
 * small store for eviction.
 */
#include "tests/unit/cache/world.h"

static char big[4 << 20];

static struct text letters(size_t count)
{
    memset(big, 'x', sizeof(big));
    return (struct text){big, count};
}

static struct cache_set_request plain(const char *prompt)
{
    return (struct cache_set_request){.identity = of(prompt), .content = TEXT("answer")};
}

static void assert_skipped(struct world *world, const struct cache_set_request *request,
                           enum cache_skip skip)
{
    assert_int_equal(set_request(world, request), STATUS_OK);
    assert_false(world->set.stored);
    assert_int_equal(world->set.skip, skip);
    assert_int_equal(stats_of(world, "").entries, 0);
}

/* ---- kept ------------------------------------------------------------------------------------ */

static void the_reply_says_what_was_stored(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    const struct cache_set_reply *reply = set(world, of("hello"), &vector, "world");
    assert_true(reply->stored);
    assert_true(reply->indexed);
    assert_int_equal(reply->skip, CACHE_SKIP_NONE);
    assert_int_equal(reply->expires_ms, world->now_ms + 24LL * 3600 * 1000);
    const uint64_t first = reply->sequence;
    assert_true(set(world, of("hello"), &vector, "again")->sequence > first);
}

static void everything_given_comes_back_on_a_hit(void **state)
{
    struct world *world = *state;
    static const struct key_attribute metadata[] = {{{"source", 6}, {"wiki", 4}}};
    struct cache_set_request request = plain("hello");
    request.info = (struct text){"\x22\x04stop", 6};
    request.metadata = metadata;
    request.metadata_count = 1;
    request.identity.namespace_ = TEXT("support");
    assert_int_equal(set_request(world, &request), STATUS_OK);
    const struct cache_get_reply *reply = ask(world, request.identity, NULL);
    assert_hit(reply, CACHE_TIER_EXACT, "answer");
    struct cache_answer answer;
    cache_answer_read(reply->found.entry, &answer);
    assert_true(text_equal(answer.info, request.info));
    assert_true(text_equal(answer.namespace_, TEXT("support")));
    assert_true(text_equal(answer.model, TEXT("m")));
    assert_true(answer.metadata.length > 0);
    assert_false(answer.opaque);
    assert_true(text_equal(entry_prompt(reply->found.entry), TEXT("hello")));
}

static void an_opaque_answer_is_a_blob_with_any_bytes(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = {
        .identity = of("draw"), .blob = {"\x89PNG\0\xff", 6}, .content_type = TEXT("image/png")};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    struct cache_answer answer;
    cache_answer_read(ask(world, of("draw"), NULL)->found.entry, &answer);
    assert_true(answer.opaque);
    assert_true(text_equal(answer.answer, request.blob));
}

static void an_answer_of_tool_calls_alone_is_kept(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    request.content = (struct text){NULL, 0};
    request.other_parts = true;
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.stored);
    assert_hit(ask(world, of("hello"), NULL), CACHE_TIER_EXACT, "");
}

static void a_megabyte_comes_back_whole(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    request.content = letters(1 << 20);
    assert_int_equal(set_request(world, &request), STATUS_OK);
    const struct cache_get_reply *reply = ask(world, of("hello"), NULL);
    assert_true(text_equal(entry_answer(reply->found.entry), request.content));
}

static void a_request_for_the_exact_tier_alone_gets_no_row(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    struct identity warm = of("hello");
    warm.params.temperature_given = true;
    warm.params.temperature = 1;
    assert_false(set(world, warm, &vector, "warm")->indexed);
    assert_false(set(world, of("..."), NULL, "dots")->indexed); /* no word, no vector */
    assert_int_equal(stats_of(world, "").semantic.entries, 0);
    assert_hit(ask(world, of("..."), NULL), CACHE_TIER_EXACT, "dots");
}

static void several_choices_are_kept_when_all_are_there(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    struct identity alone = of("hello");
    request.identity.params.n = 3;
    assert_skipped(world, &request, CACHE_SKIP_ADMISSION);
    request.other_parts = true; /* reasoning, say */
    assert_skipped(world, &request, CACHE_SKIP_ADMISSION);
    request.further_choices = true;
    request.info = TEXT("two more");
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.stored);
    struct cache_answer answer;
    cache_answer_read(ask(world, request.identity, NULL)->found.entry, &answer);
    assert_true(text_equal(answer.info, request.info));
    assert_int_equal(ask(world, alone, NULL)->tier,
                     CACHE_TIER_NONE); /* n is part of the identity */
    alone.params.n = 1;
    request = plain("hello");
    request.identity.params.n = 1;
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.stored);
}

/* ---- skipped --------------------------------------------------------------------------------- */

static void half_answers_and_refusals_are_skipped(void **state) /* freellmapi #1098 */
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    request.finish_reason = TEXT("length");
    assert_skipped(world, &request, CACHE_SKIP_FINISH_REASON);
    request.finish_reason = TEXT("content_filter");
    assert_skipped(world, &request, CACHE_SKIP_FINISH_REASON);
    request.finish_reason = TEXT("stop");
    request.refusal = TEXT("I cannot.");
    assert_skipped(world, &request, CACHE_SKIP_FINISH_REASON);
    request.refusal = (struct text){NULL, 0};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.stored);
}

static void nothing_and_no_life_are_skipped(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    request.ttl_given = true;
    assert_skipped(world, &request, CACHE_SKIP_ADMISSION);
    request = plain("hello");
    request.content = (struct text){NULL, 0};
    assert_skipped(world, &request, CACHE_SKIP_ADMISSION);
}

static void json_without_form_is_skipped(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    request.identity.tools_json = TEXT("[9007199254740993]");
    assert_skipped(world, &request, CACHE_SKIP_NOT_ELIGIBLE);
}

/* ---- refused --------------------------------------------------------------------------------- */

static void content_and_blob_follow_the_type(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *type;
        bool content, blob;
        const char *field; /* NULL: fine */
    } rows[] = {
        {"", true, false, NULL},
        {"text/plain", true, false, NULL},
        {"TEXT/Markdown; charset=utf-8", true, false, NULL},
        {"application/json", true, false, NULL},
        {"Application/JSON;charset=utf-8", true, false, NULL},
        {"image/png", false, true, NULL},
        {"application/jsonl", false, true, NULL},
        {"", false, true, "blob"},
        {"text/plain", false, true, "blob"},
        {"application/json", false, true, "blob"},
        {"image/png", true, false, "content"},
        {"application/jsonl", true, false, "content"},
        {"image/png", true, true, "blob"},
        {"", true, true, "blob"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cache_set_request request = {.identity = of("hello"),
                                            .content_type = text_of(rows[i].type)};
        if (rows[i].content)
            request.content = TEXT("c");
        if (rows[i].blob)
            request.blob = TEXT("b");
        const enum status status = set_request(world, &request);
        if (rows[i].field == NULL)
            assert_int_equal(status, STATUS_OK);
        else
            assert_failed(world, status, STATUS_AMBIGUOUS_INPUT, rows[i].field);
    }
}

static void a_life_longer_than_allowed_is_refused(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("hello");
    request.ttl_given = true;
    request.ttl_ms = 30ULL * 24 * 3600 * 1000 + 1;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "ttl_ms");
    assert_non_null(strstr(world->failure.message, "2592000000"));
    request.ttl_ms = UINT64_MAX;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "ttl_ms");
    request.ttl_ms = 30ULL * 24 * 3600 * 1000;
    assert_int_equal(set_request(world, &request), STATUS_OK);
}

static void tags_and_metadata_have_limits(void **state)
{
    struct world *world = *state;
    static struct text tags[17];
    static struct key_attribute metadata[17];
    struct cache_set_request request = plain("hello");
    for (int i = 0; i < 17; i++) {
        tags[i] = TEXT("t");
        metadata[i].name = TEXT("n");
    }
    request.tags = tags;
    request.tags_count = 17;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "tags");
    request.tags_count = 16;
    assert_int_equal(set_request(world, &request), STATUS_OK);
    tags[3] = letters(129);
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "tags[3]");
    tags[3] = (struct text){NULL, 0};
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "tags[3]");
    request = plain("hello");
    request.metadata = metadata;
    request.metadata_count = 17;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "metadata");
    request.metadata_count = 16;
    metadata[3].name = (struct text){NULL, 0};
    assert_failed(world, set_request(world, &request), STATUS_BAD_NAME, "metadata[3].name");
    metadata[3].name = TEXT("n");
    metadata[4].value = letters(1025);
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "metadata[4].value");
}

static void too_large_an_answer_is_refused_and_the_key_keeps_its_own(void **state)
{
    struct world *world = *state;
    (void)set(world, of("hello"), NULL, "world");
    struct cache_set_request request = plain("hello");
    request.content = letters((2 << 20) + 1);
    assert_failed(world, set_request(world, &request), STATUS_ENTRY_TOO_LARGE, "content");
    request.content = (struct text){NULL, 0};
    request.blob = letters((2 << 20) + 1);
    request.content_type = TEXT("image/png");
    assert_failed(world, set_request(world, &request), STATUS_ENTRY_TOO_LARGE, "blob");
    request.blob = TEXT("x");
    request.info = letters(4 << 20); /* within each limit, over an eighth of the share */
    assert_failed(world, set_request(world, &request), STATUS_ENTRY_TOO_LARGE, "blob");
    assert_hit(ask(world, of("hello"), NULL), CACHE_TIER_EXACT, "world");
    assert_int_equal(stats_of(world, "").entries, 1);
}

static void refusals_of_the_identity_name_their_field(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = plain("");
    assert_failed(world, set_request(world, &request), STATUS_EMPTY_PROMPT, "identity.prompt");
    request = plain("hello");
    request.identity.namespace_ = TEXT("no spaces");
    assert_failed(world, set_request(world, &request), STATUS_BAD_NAME, "identity.namespace");
}

static int open_three(void **state)
{
    static const char *const flags[] = {"--cache-namespaces-max=3"};
    *state = world_create(1, flags);
    return 0;
}

static void a_set_makes_no_namespace_too_many(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"a", "b"}; /* beside default */
    for (int i = 0; i < 2; i++) {
        struct identity identity = of("hello");
        identity.namespace_ = text_of(names[i]);
        (void)set(world, identity, NULL, "x");
    }
    struct cache_set_request put = plain("hello");
    put.identity.namespace_ = TEXT("d");
    assert_failed(world, set_request(world, &put), STATUS_LIMIT_EXCEEDED, "identity.namespace");
    assert_miss(ask(world, put.identity, NULL), CACHE_MISS_NO_CANDIDATE);
    put.identity.namespace_ = TEXT("a");
    assert_int_equal(set_request(world, &put), STATUS_OK);
}

/* ---- rows and their entries ------------------------------------------------------------------ */

static void a_replaced_entrys_row_goes_with_it(void **state)
{
    struct world *world = *state;
    const struct vector before = angle(0), after = angle(1.5);
    (void)set(world, of("hello"), &before, "old");
    (void)set(world, of("hello"), &after, "new");
    assert_int_equal(stats_of(world, "").semantic.entries, 1);
    assert_int_equal(ask(world, of("hello there"), &before)->tier, CACHE_TIER_NONE);
    assert_hit(ask(world, of("hello there"), &after), CACHE_TIER_SEMANTIC, "new");
}

static void a_key_set_again_after_its_deletion_has_only_its_new_row(void **state) /* camel #3790 */
{
    struct world *world = *state;
    const struct vector before = angle(0), after = angle(1.5);
    for (int i = 0; i < 50; i++) {
        (void)set(world, of("hello"), &before, "old");
        const struct cache_delete_request request = {.entry_ids = &world->set.entry_id,
                                                     .entry_ids_count = 1};
        uint32_t deleted = 0;
        assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                         STATUS_OK);
        assert_int_equal(deleted, 1);
        (void)set(world, of("hello"), &after, "new");
    }
    assert_int_equal(stats_of(world, "").semantic.entries, 1);
    assert_int_equal(ask(world, of("hello there"), &before)->tier, CACHE_TIER_NONE);
    assert_hit(ask(world, of("hello there"), &after), CACHE_TIER_SEMANTIC, "new");
}

static void swept_entries_take_their_rows_along(void **state)
{
    struct world *world = *state;
    char prompt[32];
    for (int i = 0; i < 200; i++) {
        const struct vector vector = angle(i * 0.01);
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        (void)set(world, of(prompt), &vector, "world");
    }
    world->now_ms += 25LL * 3600 * 1000;
    for (int i = 0; i < 700; i++)
        cache_tick(world->cache, world->now_ms);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.size_bytes, 0);
    assert_int_equal(stats.semantic.entries, 0);
    assert_int_equal(stats.expirations, 200);
}

static int open_hundred(void **state)
{
    static const char *const flags[] = {"--storage-entries-max=100"};
    *state = world_create(1, flags);
    return 0;
}

static void evicted_entries_take_their_rows_along(void **state) /* langchain #39329 */
{
    struct world *world = *state;
    char prompt[32];
    for (int i = 0; i < 1000; i++) {
        const struct vector vector = angle(i * 0.01);
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        (void)set(world, of(prompt), &vector, "world");
        assert_true(stats_of(world, "").entries <= 100);
    }
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, 100);
    assert_int_equal(stats.semantic.entries, 100);
    assert_int_equal(stats.evictions, 900);
}

static void replacing_at_capacity_evicts_nobody(void **state) /* headroom #2094 */
{
    struct world *world = *state;
    char prompt[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        (void)set(world, of(prompt), NULL, "world");
    }
    for (int i = 0; i < 100; i++) {
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        (void)set(world, of(prompt), NULL, "again");
    }
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, 100);
    assert_int_equal(stats.evictions, 0);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        assert_hit(ask(world, of(prompt), NULL), CACHE_TIER_EXACT, "again");
    }
}

static int open_tight_index(void **state)
{
    static const char *const flags[] = {"--index-memory=1MiB"};
    *state = world_create(1, flags);
    return 0;
}

static void a_spent_index_costs_the_row_never_the_entry(void **state)
{
    struct world *world = *state;
    static float vector[1024];
    char prompt[32];
    int indexed = 0;
    uint64_t random = 1;
    for (int i = 0; i < 1000; i++) {
        for (int j = 0; j < 1024; j++)
            vector[j] = (float)(int64_t)(next_random(&random) >> 40) - 8388608.0f;
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        struct cache_set_request request = plain(prompt);
        request.vector = vector;
        request.dimension = 1024;
        assert_int_equal(set_request(world, &request), STATUS_OK);
        assert_true(world->set.stored);
        indexed += world->set.indexed;
    }
    assert_true(indexed < 1000);
    const struct cache_stats stats = stats_of(world, "");
    assert_true(stats.index_memory_spent);
    assert_int_equal(stats.entries, 1000);
    assert_int_equal(stats.semantic.entries, indexed);
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)
#define WITH(open, name) cmocka_unit_test_setup_teardown(name, open, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_reply_says_what_was_stored),
        TEST(everything_given_comes_back_on_a_hit),
        TEST(an_opaque_answer_is_a_blob_with_any_bytes),
        TEST(an_answer_of_tool_calls_alone_is_kept),
        TEST(several_choices_are_kept_when_all_are_there),
        TEST(a_megabyte_comes_back_whole),
        TEST(a_request_for_the_exact_tier_alone_gets_no_row),
        TEST(half_answers_and_refusals_are_skipped),
        TEST(nothing_and_no_life_are_skipped),
        TEST(json_without_form_is_skipped),
        TEST(content_and_blob_follow_the_type),
        TEST(a_life_longer_than_allowed_is_refused),
        TEST(tags_and_metadata_have_limits),
        TEST(too_large_an_answer_is_refused_and_the_key_keeps_its_own),
        TEST(refusals_of_the_identity_name_their_field),
        WITH(open_three, a_set_makes_no_namespace_too_many),
        TEST(a_replaced_entrys_row_goes_with_it),
        TEST(a_key_set_again_after_its_deletion_has_only_its_new_row),
        TEST(swept_entries_take_their_rows_along),
        WITH(open_hundred, evicted_entries_take_their_rows_along),
        WITH(open_hundred, replacing_at_capacity_evicts_nobody),
        WITH(open_tight_index, a_spent_index_costs_the_row_never_the_entry),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
