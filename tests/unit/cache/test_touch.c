/*
 * Goal: Touch gives a new TTL to what is there and theirs, on both tiers, and says what is missing;
 * Invalidate can end a TTL instead of removing, and knows what answers were made from. Method: one
 * cache, the clock turned by hand.
 */
#include "tests/unit/cache/world.h"

enum { TTL_MS = 8000 };

static const struct vector vector = {{1, 0, 0, 0}};

static struct cache_set_request a_set(const char *prompt)
{
    return (struct cache_set_request){.identity = of(prompt),
                                      .content = text_of(prompt),
                                      .vector = vector.at,
                                      .dimension = DIMENSION,
                                      .ttl_given = true,
                                      .ttl_ms = TTL_MS};
}

static struct digest store(struct world *world, const struct cache_set_request *request)
{
    if (set_request(world, request) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    assert_true(world->set.stored);
    return world->set.entry_id;
}

static enum status touch(struct world *world, const struct digest *ids, size_t count,
                         uint64_t ttl_ms, struct cache_touch_reply *out_reply)
{
    const struct cache_touch_request request = {
        .entry_ids = ids, .entry_ids_count = count, .ttl_given = true, .ttl_ms = ttl_ms};
    world_forget(world);
    return cache_touch(world->cache, &request, world->arena, world->now_ms, out_reply,
                       &world->failure);
}

static void assert_touched(struct world *world, const struct digest *id, uint64_t ttl_ms,
                           uint32_t touched)
{
    struct cache_touch_reply reply;
    assert_int_equal(touch(world, id, 1, ttl_ms, &reply), STATUS_OK);
    assert_int_equal(reply.touched, touched);
    assert_int_equal(reply.missing, 1 - touched);
}

static void a_touched_entry_lives_on_in_both_tiers(void **state)
{
    struct world *world = *state;
    const struct cache_set_request request = a_set("q");
    const struct digest id = store(world, &request);
    world->now_ms += TTL_MS - 1;
    assert_touched(world, &id, 5000, 1);
    world->now_ms += 4999;
    assert_hit(ask(world, of("q"), NULL), CACHE_TIER_EXACT, "q");
    assert_hit(ask(world, of("other words"), &vector), CACHE_TIER_SEMANTIC, "q");
    assert_int_equal(stats_of(world, "").semantic.entries, 1);
    world->now_ms += 1;
    assert_miss(ask(world, of("q"), &vector), CACHE_MISS_EXPIRED);
    assert_touched(world, &id, 5000, 0);
}

static void a_shorter_time_ends_it_sooner(void **state)
{
    struct world *world = *state;
    const struct cache_set_request request = a_set("q");
    const struct digest id = store(world, &request);
    assert_touched(world, &id, 10, 1);
    world->now_ms += 10;
    assert_miss(ask(world, of("q"), &vector), CACHE_MISS_EXPIRED);
}

static void a_stale_one_is_fresh_again(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    request.stale_while_revalidate_ms = 1000;
    const struct digest id = store(world, &request);
    world->now_ms += TTL_MS + 1;
    assert_true(ask(world, of("q"), NULL)->stale);
    assert_touched(world, &id, 100, 1);
    assert_false(ask(world, of("q"), NULL)->stale);
    world->now_ms += 100;
    assert_true(ask(world, of("q"), NULL)->stale);
    assert_touched(world, &id, 0, 1); /* its TTL ends, its time as stale begins */
    world->now_ms += 999;
    assert_true(ask(world, of("q"), NULL)->stale);
    world->now_ms += 1;
    assert_miss(ask(world, of("q"), &vector), CACHE_MISS_EXPIRED);
}

static void what_is_not_there_or_not_theirs_is_missing(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = a_set("q");
    const struct digest mine = store(world, &request);
    request.identity.tenant = TEXT("b");
    const struct digest foreign = store(world, &request);
    request.identity = of("q");
    request.identity.namespace_ = TEXT("shop");
    const struct digest elsewhere = store(world, &request);
    const struct digest ids[] = {mine, foreign, elsewhere, {{1}}};
    struct cache_touch_reply reply;
    assert_int_equal(touch(world, ids, 4, 60000, &reply), STATUS_OK);
    assert_int_equal(reply.touched, 1);
    assert_int_equal(reply.missing, 3);
}

static void a_touch_has_limits(void **state)
{
    struct world *world = *state;
    struct cache_touch_reply reply;
    struct cache_set_request request = a_set("q");
    request.negative = true;
    const struct digest id = store(world, &request);
    assert_failed(world, touch(world, &id, 0, 1, &reply), STATUS_LIMIT_EXCEEDED, "entry_ids");
    assert_failed(world, touch(world, &id, 1, UINT64_MAX, &reply), STATUS_LIMIT_EXCEEDED, "ttl_ms");
    assert_failed(world, touch(world, &id, 1, 60001, &reply), STATUS_LIMIT_EXCEEDED, "ttl_ms");
    assert_touched(world, &id, 60000, 1);
}

/* ---- dependencies, make_stale ---------------------------------------------------------------- */

static void store_made_from(struct world *world, const char *prompt, const char *id,
                            const char *version)
{
    const struct key_attribute depends_on[] = {{text_of(id), text_of(version)},
                                               {TEXT("template"), TEXT("1")}};
    struct cache_set_request request = a_set(prompt);
    request.depends_on = depends_on;
    request.depends_on_count = 2;
    request.stale_while_revalidate_ms = strcmp(prompt, "stale") == 0 ? 1000 : 0;
    (void)store(world, &request);
}

static uint64_t invalidated(struct world *world, struct cache_selector selector)
{
    struct cache_invalidate_reply reply;
    selector.now_ms = world->now_ms;
    world_forget(world);
    if (cache_invalidate(world->cache, &selector, NULL, &reply, &world->failure) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    return reply.matched;
}

static bool serves(struct world *world, const char *prompt)
{
    return ask(world, of(prompt), NULL)->tier == CACHE_TIER_EXACT;
}

static void answers_of_other_versions_go(void **state)
{
    struct world *world = *state;
    store_made_from(world, "old", "prices", "6");
    store_made_from(world, "new", "prices", "7");
    store_made_from(world, "other", "terms", "6");
    const struct cache_selector outdated = {.depends_on_id = TEXT("prices"),
                                            .depends_on_version_not = TEXT("7")};
    assert_int_equal(invalidated(world, outdated), 1);
    assert_false(serves(world, "old"));
    assert_true(serves(world, "new"));
    assert_true(serves(world, "other"));
    const struct cache_selector all = {.depends_on_id = TEXT("prices")};
    assert_int_equal(invalidated(world, all), 1);
    assert_int_equal(invalidated(world, (struct cache_selector){.depends_on_id = TEXT("price")}),
                     0);
    assert_true(serves(world, "other"));
}

static void a_version_needs_an_id(void **state)
{
    struct world *world = *state;
    struct cache_invalidate_reply reply;
    const struct cache_selector selector = {.model = TEXT("m"),
                                            .depends_on_version_not = TEXT("7")};
    assert_failed(world, cache_invalidate(world->cache, &selector, NULL, &reply, &world->failure),
                  STATUS_AMBIGUOUS_INPUT, "selector.depends_on_version_not");
}

static void dependencies_have_limits(void **state)
{
    struct world *world = *state;
    struct key_attribute many[65];
    for (size_t i = 0; i < 65; i++)
        many[i] = (struct key_attribute){TEXT("d"), TEXT("")};
    struct cache_set_request request = a_set("q");
    request.depends_on = many;
    request.depends_on_count = 65;
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "depends_on");
    request.depends_on_count = 64;
    (void)store(world, &request);
    many[3].name = TEXT("");
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "depends_on[3].id");
}

static void making_stale_ends_the_ttl_and_never_renews_it(void **state)
{
    struct world *world = *state;
    store_made_from(world, "stale", "prices", "6");
    store_made_from(world, "plain", "prices", "6");
    struct cache_selector selector = {.depends_on_id = TEXT("prices"), .make_stale = true};
    world->now_ms += 10;
    selector.dry_run = true;
    assert_int_equal(invalidated(world, selector), 2);
    assert_false(ask(world, of("stale"), NULL)->stale);
    selector.dry_run = false;
    assert_int_equal(invalidated(world, selector), 2);
    assert_hit(ask(world, of("stale"), NULL), CACHE_TIER_EXACT, "stale");
    assert_true(world->get.reply.stale);
    assert_miss(ask(world, of("other words"), &vector), CACHE_MISS_NO_CANDIDATE);
    assert_miss(ask(world, of("plain"), &vector), CACHE_MISS_EXPIRED);
    world->now_ms += 999;
    assert_true(ask(world, of("stale"), NULL)->stale);
    assert_int_equal(invalidated(world, selector),
                     2); /* once more: its window does not begin anew */
    world->now_ms += 1;
    assert_miss(ask(world, of("stale"), &vector), CACHE_MISS_EXPIRED);
}

int main(void)
{
#define FRESH(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)
    const struct CMUnitTest tests[] = {
        FRESH(a_touched_entry_lives_on_in_both_tiers),
        FRESH(a_shorter_time_ends_it_sooner),
        FRESH(a_stale_one_is_fresh_again),
        FRESH(what_is_not_there_or_not_theirs_is_missing),
        FRESH(a_touch_has_limits),
        FRESH(answers_of_other_versions_go),
        FRESH(a_version_needs_an_id),
        FRESH(dependencies_have_limits),
        FRESH(making_stale_ends_the_ttl_and_never_renews_it),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
