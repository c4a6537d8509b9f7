/*
 * Goal (configure.c): options that change while the cache runs hold for what is asked next, in
 * scopes that are there and in new ones, and a namespace's own wishes stay. Method: a cache with
 * client vectors; options are changed as SetConfig changes them, then something is asked.
 */
#include "tests/unit/cache/world.h"

static void configure(struct world *world, const char *name, const char *value)
{
    assert_int_equal(options_change(world->options, name, value, NULL), STATUS_OK);
    assert_int_equal(cache_check_options(world->options, &world->failure), STATUS_OK);
    assert_int_equal(cache_configure(world->cache, world->options), STATUS_OK);
}

static enum cache_tier ask_near(struct world *world)
{
    const struct vector stored = angle(0), near = angle(0.6); /* cosine 0.825 */
    (void)set(world, of("how does it work"), &stored, "x");
    (void)ask(world, of("how does it run"), &near);
    return world->get.reply.tier;
}

static void a_scope_that_is_there_follows_a_new_policy(void **state)
{
    struct world *world = *state;
    assert_int_equal(ask_near(world), CACHE_TIER_NONE);
    configure(world, "semantic.static_threshold", "0.8");
    assert_int_equal(ask_near(world), CACHE_TIER_SEMANTIC);
    configure(world, "semantic.policy", "off");
    assert_int_equal(ask_near(world), CACHE_TIER_NONE);
    assert_int_equal(world->get.reply.miss_reason, CACHE_MISS_DISABLED);
    configure(world, "semantic.policy", NULL);
    assert_int_equal(ask_near(world), CACHE_TIER_SEMANTIC);
}

static void a_scope_that_comes_later_follows_too(void **state)
{
    struct world *world = *state;
    configure(world, "semantic.static_threshold", "0.8");
    assert_int_equal(ask_near(world), CACHE_TIER_SEMANTIC);
}

static void a_new_time_to_live_is_of_entries_that_come(void **state)
{
    struct world *world = *state;
    const struct vector stored = angle(0);
    configure(world, "cache.ttl_default", "1h");
    (void)set(world, of("how does it work"), &stored, "x");
    assert_int_equal(world->set.expires_ms, world->now_ms + 3600 * 1000);
    configure(world, "cache.ttl_default", "2h");
    (void)set(world, of("how does it run"), &stored, "x");
    assert_int_equal(world->set.expires_ms, world->now_ms + 2 * 3600 * 1000);
}

static void options_that_contradict_each_other_are_named(void **state)
{
    struct world *world = *state;
    assert_int_equal(options_change(world->options, "cache.ttl_max", "1h", NULL), STATUS_OK);
    assert_failed(world, cache_check_options(world->options, &world->failure), STATUS_BAD_OPTION,
                  "cache.ttl_default");
}

/* It wanted it when the options allowed it; see cache_overlay_policy. */
static void a_namespace_whose_limits_contradict_the_options_gives_way(void **state)
{
    struct world *world = *state;
    struct cache_namespace_change change = {
        .name = TEXT("default"),
        .fields = NAMESPACE_POLICY,
        .settings = cache_namespace_settings_none,
    };
    change.settings.policy.mode = POLICY_ADAPTIVE + 1;
    change.settings.policy.adaptive_min = 0.9f;
    struct cache_namespace_view view;
    assert_int_equal(
        cache_update_namespace(world->cache, &change, world->arena, NULL, &view, &world->failure),
        STATUS_OK);
    assert_int_equal(ask_near(world), CACHE_TIER_NONE);
    configure(world, "adaptive.max", "0.8");
    assert_int_equal(ask_near(world), CACHE_TIER_SEMANTIC);
    assert_true(world->get.reply.threshold <= 0.8f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scope_that_is_there_follows_a_new_policy),
        TEST(a_scope_that_comes_later_follows_too),
        TEST(a_new_time_to_live_is_of_entries_that_come),
        TEST(options_that_contradict_each_other_are_named),
        TEST(a_namespace_whose_limits_contradict_the_options_gives_way),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
