/*
 * Goal: how long an answer serves is what its Set and the asking request say, to the millisecond,
 * and no jump of the clock makes an answer eternal. Method: one cache, the clock turned by hand,
 * both ways.
 */
#include "tests/unit/cache/world.h"

#include "cache/freshness.h"

enum { TTL_MS = 8000 };

static const struct vector vector = {{1, 0, 0, 0}};

static struct cache_set_request a_set(const char *prompt)
{
    return (struct cache_set_request){.identity = of(prompt),
                                      .content = TEXT("answer"),
                                      .vector = vector.at,
                                      .dimension = DIMENSION,
                                      .ttl_given = true,
                                      .ttl_ms = TTL_MS};
}

static void store(struct world *world, const struct cache_set_request *request)
{
    if (set_request(world, request) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    assert_true(world->set.stored);
}

static const struct cache_get_reply *ask_with(struct world *world, const char *prompt,
                                              struct cache_control control)
{
    const struct cache_get_request request = {
        .identity = of(prompt), .only_exact = true, .control = control};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    return &world->get.reply;
}

static const struct cache_get_reply *look(struct world *world, const char *prompt)
{
    return ask_with(world, prompt, (struct cache_control){.bypass = false});
}

/* ---- cache control --------------------------------------------------------------------------- */

static void bypass_and_no_cache_look_nowhere(void **state)
{
    struct world *world = *state;
    const struct cache_set_request request = a_set("q");
    store(world, &request);
    assert_miss(ask_with(world, "q", (struct cache_control){.bypass = true}), CACHE_MISS_BYPASSED);
    assert_miss(ask_with(world, "q", (struct cache_control){.no_cache = true}),
                CACHE_MISS_BYPASSED);
    assert_hit(ask_with(world, "q", (struct cache_control){.no_store = true}), CACHE_TIER_EXACT,
               "answer");
    assert_hit(ask_with(world, "q", (struct cache_control){.only_if_cached = true}),
               CACHE_TIER_EXACT, "answer");
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.misses[CACHE_MISS_BYPASSED], 2);
    assert_int_equal(stats.total_requests, 4);
    assert_int_equal(stats.exact.lookups, 2);
}

static void a_set_that_is_not_to_be_stored_leaves_what_was_there(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    store(world, &request);
    request.content = TEXT("other");
    request.control.no_store = true;
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_false(world->set.stored);
    assert_int_equal(world->set.skip, CACHE_SKIP_NO_STORE);
    request.control = (struct cache_control){.bypass = true};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_int_equal(world->set.skip, CACHE_SKIP_NO_STORE);
    assert_hit(look(world, "q"), CACHE_TIER_EXACT, "answer");
}

static void max_age_is_younger_than_and_zero_is_a_value(void **state)
{
    struct world *world = *state;
    const struct cache_set_request request = a_set("q");
    store(world, &request);
    world->now_ms += 1000;
    const struct cache_control more = {.max_age_given = true, .max_age_ms = 1001};
    const struct cache_control equal = {.max_age_given = true, .max_age_ms = 1000};
    const struct cache_control zero = {.max_age_given = true, .max_age_ms = 0};
    assert_hit(ask_with(world, "q", more), CACHE_TIER_EXACT, "answer");
    assert_miss(ask_with(world, "q", equal), CACHE_MISS_TOO_OLD);
    assert_miss(ask_with(world, "q", zero), CACHE_MISS_TOO_OLD);
    assert_int_equal(look(world, "q")->found.hits_count, 2); /* a refused one is no hit of it */
    world->now_ms -= 5000; /* before it was stored: its age is 0, not 2^64 */
    assert_hit(ask_with(world, "q", equal), CACHE_TIER_EXACT, "answer");
    assert_miss(ask_with(world, "q", zero), CACHE_MISS_TOO_OLD);
}

static void min_fresh_wants_that_much_left(void **state)
{
    struct world *world = *state;
    const struct cache_set_request request = a_set("q");
    store(world, &request);
    const struct cache_control all = {.min_fresh_ms = TTL_MS}, more = {.min_fresh_ms = TTL_MS + 1};
    assert_hit(ask_with(world, "q", all), CACHE_TIER_EXACT, "answer");
    assert_miss(ask_with(world, "q", more), CACHE_MISS_TOO_OLD);
    const struct cache_control most = {.min_fresh_ms = UINT64_MAX};
    assert_miss(ask_with(world, "q", most), CACHE_MISS_TOO_OLD);
}

static void the_semantic_tier_obeys_age_too(void **state)
{
    struct world *world = *state;
    const struct cache_set_request stored = a_set("q");
    store(world, &stored);
    world->now_ms += 1000;
    struct cache_get_request request = {.identity = of("other words"),
                                        .vector = vector.at,
                                        .dimension = DIMENSION,
                                        .control = {.max_age_given = true, .max_age_ms = 1000}};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    assert_miss(&world->get.reply, CACHE_MISS_TOO_OLD);
    request.control.max_age_ms = 1001;
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    assert_hit(&world->get.reply, CACHE_TIER_SEMANTIC, "answer");
}

/* ---- stale ----------------------------------------------------------------------------------- */

static void within_its_window_a_stale_answer_says_so(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.stale_while_revalidate_ms = 500;
    store(world, &request);
    assert_int_equal(world->set.expires_ms, world->now_ms + TTL_MS);
    world->now_ms += TTL_MS - 1;
    assert_false(look(world, "q")->stale);
    world->now_ms += 1;
    assert_hit(look(world, "q"), CACHE_TIER_EXACT, "answer");
    assert_true(world->get.reply.stale);
    world->now_ms += 499;
    assert_true(look(world, "q")->stale);
    const struct cache_control fresh = {.min_fresh_ms = 1};
    assert_miss(ask_with(world, "q", fresh), CACHE_MISS_TOO_OLD);
    world->now_ms += 1;
    assert_miss(look(world, "q"), CACHE_MISS_EXPIRED);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.exact.hits, 1);
    assert_int_equal(stats.exact.stale_hits, 2);
    assert_int_equal(stats.exact.lookups, 5);
    assert_int_equal(stats.cached_requests, 3);
}

static void stale_if_error_serves_only_who_asks_for_it(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.stale_if_error_ms = 1000;
    store(world, &request);
    world->now_ms += TTL_MS + 300;
    assert_miss(look(world, "q"), CACHE_MISS_EXPIRED);
    const struct cache_control short_ = {.max_stale_ms = 299}, enough = {.max_stale_ms = 300};
    assert_miss(ask_with(world, "q", short_), CACHE_MISS_EXPIRED);
    assert_hit(ask_with(world, "q", enough), CACHE_TIER_EXACT, "answer");
    assert_true(world->get.reply.stale);
    assert_int_equal(world->get.reply.found.hits_count, 1);
    world->now_ms += 700;
    const struct cache_control any = {.max_stale_ms = UINT64_MAX};
    assert_miss(ask_with(world, "q", any), CACHE_MISS_EXPIRED);
}

static void the_sweep_leaves_what_is_stale_and_takes_what_is_over(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.stale_while_revalidate_ms = 60000;
    store(world, &request);
    world->now_ms += TTL_MS + 1;
    for (int i = 0; i < 1300; i++)
        cache_tick(world->cache, world->now_ms);
    assert_true(look(world, "q")->stale);
    assert_int_equal(stats_of(world, "").entries, 1);
    world->now_ms += 60000;
    for (int i = 0; i < 1300; i++)
        cache_tick(world->cache, world->now_ms);
    assert_int_equal(stats_of(world, "").entries, 0);
}

static void a_stale_answer_never_serves_by_meaning(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.stale_while_revalidate_ms = 1000;
    store(world, &request);
    world->now_ms += TTL_MS;
    assert_miss(ask(world, of("other words"), &vector), CACHE_MISS_NO_CANDIDATE);
    assert_hit(ask(world, of("q"), &vector), CACHE_TIER_EXACT, "answer");
}

static void stale_times_have_a_limit_together(void **state)
{
    struct world *world = *state;
    const uint64_t day_ms = UINT64_C(24) * 3600 * 1000;
    struct cache_set_request request = a_set("q");
    request.stale_while_revalidate_ms = day_ms;
    store(world, &request);
    request.stale_if_error_ms = 1;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "stale_if_error_ms");
    request.stale_while_revalidate_ms = day_ms + 1;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED,
                  "stale_while_revalidate_ms");
    request.stale_while_revalidate_ms = UINT64_MAX;
    request.stale_if_error_ms = UINT64_MAX;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED,
                  "stale_while_revalidate_ms");
}

/* ---- sliding --------------------------------------------------------------------------------- */

static void a_hit_renews_until_the_end(void **state) /* redisvl #603: but not a stale one */
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.sliding = true;
    request.sliding_max_ms = 20000;
    store(world, &request);
    const int64_t set_ms = world->now_ms;
    world->now_ms = set_ms + 7999;
    assert_int_equal(look(world, "q")->found.expires_ms, set_ms + 7999 + TTL_MS);
    world->now_ms = set_ms + 15998;
    assert_int_equal(look(world, "q")->found.expires_ms, set_ms + 20000);
    world->now_ms = set_ms + 19999;
    assert_hit(look(world, "q"), CACHE_TIER_EXACT, "answer");
    world->now_ms = set_ms + 20000;
    assert_miss(look(world, "q"), CACHE_MISS_EXPIRED);
}

static void a_hit_by_meaning_renews_too(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.sliding = true;
    store(world, &request);
    for (int i = 0; i < 5; i++) {
        world->now_ms += TTL_MS - 1;
        assert_hit(ask(world, of("other words"), &vector), CACHE_TIER_SEMANTIC, "answer");
    }
    world->now_ms += TTL_MS;
    assert_miss(ask(world, of("other words"), &vector), CACHE_MISS_NO_CANDIDATE);
}

static void a_stale_hit_does_not_renew(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.sliding = true;
    request.stale_while_revalidate_ms = 100;
    store(world, &request);
    world->now_ms += TTL_MS + 50;
    assert_true(look(world, "q")->stale);
    world->now_ms += 50;
    assert_miss(look(world, "q"), CACHE_MISS_EXPIRED);
}

static void no_jump_of_the_clock_makes_it_eternal(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.sliding = true;
    request.sliding_max_ms = 20000;
    store(world, &request);
    const int64_t set_ms = world->now_ms;
    world->now_ms = set_ms - 900000; /* back: nothing is shortened, nothing renewed */
    assert_int_equal(look(world, "q")->found.expires_ms, set_ms + TTL_MS);
    world->now_ms = set_ms + 7000; /* forward, a hit, and back again */
    assert_int_equal(look(world, "q")->found.expires_ms, set_ms + 7000 + TTL_MS);
    world->now_ms = set_ms + 1000;
    assert_int_equal(look(world, "q")->found.expires_ms, set_ms + 7000 + TTL_MS);
    world->now_ms = INT64_MAX / 4; /* far forward */
    assert_miss(look(world, "q"), CACHE_MISS_EXPIRED);
}

/* One record in each eighth of the TTL, however often it is hit. */
static void few_renewals_are_recorded(void **state)
{
    (void)state;
    const struct freshness freshness = {.ttl_ms = TTL_MS, .sliding_ms = 10 * TTL_MS};
    struct freshness_moment moment = {.created_ms = 1000000, .expires_ms = 1000000 + TTL_MS};
    int recorded = 0;
    for (moment.now_ms = 1000001; moment.now_ms <= 1000000 + TTL_MS; moment.now_ms += 10) {
        bool is_recorded = false;
        const int64_t expires_ms = freshness_slide(&freshness, &moment, &is_recorded);
        assert_true(expires_ms > moment.expires_ms);
        moment.expires_ms = expires_ms;
        recorded += is_recorded;
    }
    assert_in_range(recorded, 6, 8);
}

static void sliding_times_have_limits(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.sliding_max_ms = 1;
    assert_failed(world, set_request(world, &request), STATUS_AMBIGUOUS_INPUT, "sliding_max_ms");
    request.sliding = true;
    request.sliding_max_ms = UINT64_C(31) * 24 * 3600 * 1000;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "sliding_max_ms");
    request.sliding_max_ms = 1; /* shorter than the TTL: it ends there */
    store(world, &request);
    world->now_ms += 1;
    assert_miss(look(world, "q"), CACHE_MISS_EXPIRED);
}

static void a_namespace_limits_sliding_by_its_own_ttl_max(void **state)
{
    struct world *world = *state;
    struct cache_namespace_view view;
    struct cache_namespace_change change = {.name = TEXT("short"),
                                            .fields = NAMESPACE_TTL_MAX,
                                            .settings = cache_namespace_settings_none};
    struct cache_set_request request = a_set("q");
    change.settings.ttl_max_ms = 60000;
    assert_int_equal(
        cache_create_namespace(world->cache, &change, world->arena, NULL, &view, &world->failure),
        STATUS_OK);
    request.identity.namespace_ = TEXT("short");
    request.ttl_ms = 8000;
    request.sliding = true;
    request.sliding_max_ms = 60001;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "sliding_max_ms");
    assert_non_null(strstr(world->failure.message, "the namespace's ttl_max_ms = 60000 ms"));
    request.sliding_max_ms = 60000;
    store(world, &request);
}

/* ---- negative, if_absent --------------------------------------------------------------------- */

static void an_upstreams_error_is_kept_for_a_minute_and_is_no_hit(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.negative = true;
    request.ttl_ms = 60001;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "ttl_ms");
    request.ttl_given = false;
    request.finish_reason = TEXT("length"); /* it may look as it likes */
    request.content = TEXT("");
    store(world, &request);
    assert_false(world->set.indexed);
    assert_int_equal(world->set.expires_ms, world->now_ms + 60000);
    assert_hit(look(world, "q"), CACHE_TIER_EXACT, "");
    struct cache_answer answer;
    cache_answer_read(world->get.reply.found.entry, &answer);
    assert_true(answer.negative);
    assert_miss(ask(world, of("other words"), &vector), CACHE_MISS_NO_CANDIDATE);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.exact.hits, 0);
    assert_int_equal(stats.exact.negative_hits, 1);
    assert_int_equal(stats.cached_requests, 0);
    assert_int_equal(stats.total_requests, 2);
    request.pinned = true;
    assert_failed(world, set_request(world, &request), STATUS_AMBIGUOUS_INPUT, "negative");
}

static void if_absent_yields_to_what_is_within_its_ttl(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.if_absent = true;
    request.stale_while_revalidate_ms = 1000;
    store(world, &request);
    request.content = TEXT("second");
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_false(world->set.stored);
    assert_int_equal(world->set.skip, CACHE_SKIP_EXISTS);
    assert_hit(look(world, "q"), CACHE_TIER_EXACT, "answer");
    assert_int_equal(stats_of(world, "").entries, 1);
    world->now_ms += TTL_MS; /* stale: a new one is what is waited for */
    store(world, &request);
    assert_hit(look(world, "q"), CACHE_TIER_EXACT, "second");
    request.stale_while_revalidate_ms = 0;
    struct cache_set_request plain = a_set("plain");
    plain.if_absent = true;
    store(world, &plain);
    assert_int_equal(set_request(world, &plain), STATUS_OK);
    assert_int_equal(world->set.skip, CACHE_SKIP_EXISTS);
    world->now_ms += TTL_MS;
    store(world, &plain);
}

/* ---- pins ------------------------------------------------------------------------------------ */

static int open_small(void **state)
{
    static const char *const flags[] = {"--storage-entries-max=40"};
    *state = world_create(1, flags);
    return 0;
}

static void pins_outlast_a_flood_and_have_little_room(void **state)
{
    struct world *world = *state;
    char prompt[32] = "";
    struct cache_set_request request = a_set(prompt);
    request.pinned = true;
    for (int i = 0; i < 4; i++) {
        (void)snprintf(prompt, sizeof(prompt), "pinned %d", i);
        request.identity = of(prompt);
        store(world, &request);
    }
    request.identity = of("one too many");
    assert_failed(world, set_request(world, &request), STATUS_NO_MEMORY, "pinned");
    request.identity = of("pinned 0"); /* in its own place there is room */
    request.content = TEXT("again");
    store(world, &request);
    request.pinned = false;
    for (int i = 0; i < 500; i++) {
        (void)snprintf(prompt, sizeof(prompt), "flood %d", i);
        request.identity = of(prompt);
        store(world, &request);
    }
    assert_hit(look(world, "pinned 0"), CACHE_TIER_EXACT, "again");
    assert_hit(look(world, "pinned 3"), CACHE_TIER_EXACT, "answer");
    assert_int_equal(stats_of(world, "").entries, 40);
    request.identity = of("pinned 3"); /* no pin any more: its place is free for another */
    store(world, &request);
    request.pinned = true;
    request.identity = of("another");
    store(world, &request);
    world->now_ms += TTL_MS;
    assert_miss(look(world, "another"), CACHE_MISS_EXPIRED); /* a pin expires all the same */
}

int main(void)
{
#define FRESH(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)
    const struct CMUnitTest tests[] = {
        FRESH(bypass_and_no_cache_look_nowhere),
        FRESH(a_set_that_is_not_to_be_stored_leaves_what_was_there),
        FRESH(max_age_is_younger_than_and_zero_is_a_value),
        FRESH(min_fresh_wants_that_much_left),
        FRESH(the_semantic_tier_obeys_age_too),
        FRESH(within_its_window_a_stale_answer_says_so),
        FRESH(stale_if_error_serves_only_who_asks_for_it),
        FRESH(the_sweep_leaves_what_is_stale_and_takes_what_is_over),
        FRESH(a_stale_answer_never_serves_by_meaning),
        FRESH(stale_times_have_a_limit_together),
        FRESH(a_hit_renews_until_the_end),
        FRESH(a_hit_by_meaning_renews_too),
        FRESH(a_stale_hit_does_not_renew),
        FRESH(no_jump_of_the_clock_makes_it_eternal),
        FRESH(few_renewals_are_recorded),
        FRESH(sliding_times_have_limits),
        FRESH(a_namespace_limits_sliding_by_its_own_ttl_max),
        FRESH(an_upstreams_error_is_kept_for_a_minute_and_is_no_hit),
        FRESH(if_absent_yields_to_what_is_within_its_ttl),
        cmocka_unit_test_setup_teardown(pins_outlast_a_flood_and_have_little_room, open_small,
                                        world_destroy),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
