/*
 * Goal (policies.c): what is set, what holds behind it, and the most used scope that matches. Method:
 * a cache with client vectors, scopes of two models and an attribute, some of them asked more often.
 */
#include "tests/unit/cache/world.h"

static struct identity at(const char *model, const char *prompt)
{
    struct identity identity = of(prompt);
    identity.model = text_of(model);
    return identity;
}

static struct cache_policy_view describe(struct world *world, const struct cache_policy_scope *scope)
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
                  cache_describe_policy(world->cache, &scope, world->arena, &view,
                                        &world->failure),
                  STATUS_NOT_FOUND, "scope.namespace");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_set_and_the_embedder_decides),
        TEST(the_most_used_scope_that_matches_is_shown),
        TEST(an_unknown_namespace_has_none),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
