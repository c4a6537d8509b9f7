/*
 * Goal (policies.c): what is set, what holds behind it, and the most used scope that matches.
 * Method: a cache with client vectors, scopes of two models and an attribute, some of them asked
 * more often.
 */
#include "tests/unit/cache/world.h"

static struct identity at(const char *model, const char *prompt)
{
    struct identity identity = of(prompt);
    identity.model = text_of(model);
    return identity;
}

static struct cache_policy_view describe(struct world *world,
                                         const struct cache_policy_scope *scope)
{
    struct cache_policy_view view;
    world_forget(world);
    assert_int_equal(
        cache_describe_policy(world->cache, scope, world->arena, &view, &world->failure),
        STATUS_OK);
    return view;
}

static void ask_often(struct world *world, const char *model, int times)
{
    const struct vector stored = angle(0);
    (void)set(world, at(model, "how does it work"), &stored, "x");
    for (int i = 0; i < times; i++)
        (void)ask(world, at(model, "how does it run"), &stored);
}

static void nothing_is_set_and_the_embedder_decides(void **state)
{
    struct world *world = *state;
    const struct cache_policy_scope all = {.tenant = TEXT("")};
    const struct cache_policy_view view = describe(world, &all);
    assert_true(policy_wishes_equal(&view.set, &policy_wishes_none));
    assert_int_equal(view.effective.mode, POLICY_STATIC + 1);
    assert_true(view.effective.min_similarity == view.embedder->min_similarity);
    assert_true(fabsf(view.effective.static_threshold - view.embedder->threshold_default) < 1e-6f);
    assert_int_equal(view.version, 0);
    assert_false(view.is_live);
}

static void the_most_used_scope_that_matches_is_shown(void **state)
{
    struct world *world = *state;
    ask_often(world, "a", 2);
    ask_often(world, "b", 5);
    ask_often(world, "c", 3);
    const struct cache_policy_scope all = {.tenant = TEXT("")};
    struct cache_policy_view view = describe(world, &all);
    assert_true(view.is_live);
    assert_int_equal(view.scopes_count, 3);
    assert_true(text_equal(view.live.model, TEXT("b")));
    assert_int_equal(view.live.hits, 5);
    const struct cache_policy_scope one = {.model = TEXT("c")};
    view = describe(world, &one);
    assert_int_equal(view.scopes_count, 1);
    assert_int_equal(view.live.lookups, 3);
    static const struct key_attribute attributes[] = {{{"region", 6}, {"eu", 2}}};
    const struct cache_policy_scope none = {.attributes = attributes, .attributes_count = 1};
    assert_false(describe(world, &none).is_live);
}

static void an_unknown_namespace_has_none(void **state)
{
    struct world *world = *state;
    const struct cache_policy_scope scope = {.namespace_ = TEXT("b")};
    struct cache_policy_view view;
    assert_failed(world,
                  cache_describe_policy(world->cache, &scope, world->arena, &view, &world->failure),
                  STATUS_NOT_FOUND, "scope.namespace");
}

static void want(struct world *world, const struct policy_wishes *wishes)
{
    struct cache_namespace_view view;
    struct cache_namespace_change change = {.name = TEXT("default"),
                                            .fields = NAMESPACE_POLICY,
                                            .settings = cache_namespace_settings_none};
    change.settings.policy = *wishes;
    world_forget(world);
    assert_int_equal(
        cache_update_namespace(world->cache, &change, world->arena, NULL, &view, &world->failure),
        STATUS_OK);
}

static void scopes_beyond_the_most_follow_their_namespaces_policy(void **state)
{
    struct world *world = *state;
    const struct vector stored = angle(0), near = angle(0.5); /* cosine 0.878 */
    struct policy_wishes wishes = policy_wishes_none;
    (void)set(world, at("a", "how does it work"), &stored, "x");
    (void)set(world, at("b", "how does it work"), &stored, "y"); /* one more than scopes_max */
    assert_miss(ask(world, at("b", "how does it run"), &near), CACHE_MISS_BELOW_CUT);
    wishes.static_threshold = 0.8F;
    want(world, &wishes);
    assert_hit(ask(world, at("a", "how does it run"), &near), CACHE_TIER_SEMANTIC, "x");
    assert_hit(ask(world, at("b", "how does it run"), &near), CACHE_TIER_SEMANTIC, "y");
    wishes.mode = POLICY_SHADOW + 1;
    want(world, &wishes);
    assert_miss(ask(world, at("b", "how does it run"), &near), CACHE_MISS_DISABLED);
    wishes.mode = POLICY_STATIC + 1;
    wishes.min_similarity = 0.9F;
    want(world, &wishes);
    assert_miss(ask(world, at("a", "how does it run"), &near), CACHE_MISS_NO_CANDIDATE);
    assert_miss(ask(world, at("b", "how does it run"), &near), CACHE_MISS_NO_CANDIDATE);
    wishes = policy_wishes_none;
    wishes.mode = POLICY_ADAPTIVE + 1;
    wishes.adaptive_initial = 0.85F;
    want(world, &wishes);
    assert_hit(ask(world, at("b", "how does it run"), &near), CACHE_TIER_SEMANTIC, "y");
    want(world, &policy_wishes_none);
    assert_miss(ask(world, at("b", "how does it run"), &near), CACHE_MISS_BELOW_CUT);
}

static int one_scope(void **state)
{
    static const char *const flags[] = {"--cache-scopes-max=1"};
    *state = world_create(1, flags);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_set_and_the_embedder_decides),
        TEST(the_most_used_scope_that_matches_is_shown),
        TEST(an_unknown_namespace_has_none),
        cmocka_unit_test_setup_teardown(scopes_beyond_the_most_follow_their_namespaces_policy,
                                        one_scope, world_destroy),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
