/*
 * Goal: every Get is counted once, in the right tier, reason and namespace; the listed scopes are
 * the most used. Method: known mixtures of hits and misses over two namespaces; three scopes of
 * which two are shown.
 */
#include "tests/unit/cache/world.h"

static struct identity in(const char *namespace_, const char *prompt)
{
    struct identity identity = of(prompt);
    identity.namespace_ = text_of(namespace_);
    return identity;
}

static void a_cache_that_was_never_asked_has_noughts(void **state)
{
    struct world *world = *state;
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.total_requests, 0);
    assert_int_equal(stats.exact.lookups, 0);
    assert_int_equal(stats.exact.p99_us, 0);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes_max, 32 << 20);
    assert_int_equal(stats.scopes_count, 0);
    assert_non_null(stats.embedder);
    assert_string_equal(stats.embedder->name, "lexical");
    assert_string_equal(stats.version, "test");
    assert_int_equal(stats_of(world, "never-used").total_requests, 0);
}

static void every_get_is_counted_where_it_ended(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(0.1), far = angle(0.5);
    (void)set(world, in("a", "hello"), &vector, "world");
    (void)set(world, in("b", "other"), NULL, "world");
    (void)ask(world, in("a", "hello"), NULL);        /* exact hit      */
    (void)ask(world, in("a", "hello there"), &near); /* semantic hit   */
    (void)ask(world, in("a", "hello there"), &far);  /* below the cut  */
    (void)ask(world, in("b", "hello"), &vector);     /* no candidate   */
    struct cache_get_request request = {.identity = in("b", "hello"), .only_exact = true};
    assert_int_equal(ask_request(world, &request), STATUS_OK); /* not found */
    const struct cache_stats a = stats_of(world, "a");
    assert_int_equal(a.total_requests, 3);
    assert_int_equal(a.cached_requests, 2);
    assert_int_equal(a.exact.lookups, 3);
    assert_int_equal(a.exact.hits, 1);
    assert_int_equal(a.exact.misses, 2);
    assert_int_equal(a.semantic.lookups, 2);
    assert_int_equal(a.semantic.hits, 1);
    assert_int_equal(a.misses[CACHE_MISS_BELOW_CUT], 1);
    assert_int_equal(a.entries, 1);
    assert_int_equal(a.semantic.entries, 1);
    assert_int_equal(a.sets, 1);
    const struct cache_stats b = stats_of(world, "b");
    assert_int_equal(b.total_requests, 2);
    assert_int_equal(b.semantic.lookups, 1);
    assert_int_equal(b.misses[CACHE_MISS_NO_CANDIDATE], 1);
    assert_int_equal(b.misses[CACHE_MISS_NOT_FOUND], 1);
    assert_int_equal(b.entries, 1);
    const struct cache_stats all = stats_of(world, "");
    assert_int_equal(all.total_requests, 5);
    assert_int_equal(all.exact.lookups, 5);
    assert_true(all.semantic.size_bytes > 0);
    assert_true(all.size_bytes > 0);
}

static void a_refused_get_is_nobodys_miss(void **state)
{
    struct world *world = *state;
    const struct cache_get_request request = {.identity = of("")};
    assert_int_equal(ask_request(world, &request), STATUS_EMPTY_PROMPT);
    assert_int_equal(stats_of(world, "").total_requests, 0);
}

static void other_tenants_are_not_shown(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    struct identity theirs = in("a", "hello");
    theirs.tenant = TEXT("them");
    (void)set(world, theirs, &vector, "world");
    (void)ask(world, theirs, NULL);
    const struct cache_stats mine = stats_of(world, "");
    assert_int_equal(mine.total_requests, 0);
    assert_int_equal(mine.entries, 0);
    assert_int_equal(mine.scopes_count, 0);
}

static int open_two_shown(void **state)
{
    static const char *const flags[] = {"--metrics-scopes-max=2"};
    *state = world_create(1, flags);
    return 0;
}

static void the_most_used_scopes_are_shown_first(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), opposite = angle(0.01);
    static const char *const names[] = {"a", "b", "c"};
    static const int asked[] = {1, 5, 3};
    for (int i = 0; i < 3; i++) {
        (void)set(world, in(names[i], "turn on the light"), &vector, "on");
        for (int j = 0; j < asked[i]; j++)
            (void)ask(world, in(names[i], "please turn on the light"), &vector);
    }
    (void)ask(world, in("c", "turn off the light"), &opposite);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.scopes_count, 2);
    assert_true(text_equal(stats.scopes[0].namespace_, TEXT("b")));
    assert_int_equal(stats.scopes[0].lookups, 5);
    assert_int_equal(stats.scopes[0].hits, 5);
    assert_true(text_equal(stats.scopes[1].namespace_, TEXT("c")));
    assert_int_equal(stats.scopes[1].lookups, 4);
    assert_int_equal(stats.scopes[1].hits, 3);
    assert_int_equal(stats.scopes[1].guard_blocked, 1);
    assert_int_equal(stats.scopes[1].mode, POLICY_STATIC);
    const struct cache_stats one = stats_of(world, "a");
    assert_int_equal(one.scopes_count, 1);
    assert_int_equal(one.scopes[0].lookups, 1);
}

static void the_most_used_namespaces_are_shown_first(void **state)
{
    struct world *world = *state;
    struct cache_namespace_stats *shown = NULL;
    struct identity theirs = in("theirs", "hello");
    size_t count = 0;
    theirs.tenant = TEXT("them");
    (void)set(world, theirs, NULL, "world");
    static const char *const names[] = {"seldom", "often", "sometimes"};
    static const int asked[] = {1, 5, 3};
    for (int i = 0; i < 3; i++) {
        (void)set(world, in(names[i], "hello"), NULL, "world");
        for (int j = 0; j < asked[i]; j++)
            (void)ask(world, in(names[i], j < 2 ? "hello" : "who?"), NULL);
    }
    world_forget(world);
    assert_int_equal(
        cache_each_namespace_stats(world->cache, TEXT(""), world->arena, &shown, &count),
        STATUS_OK);
    assert_int_equal(count, 2);
    assert_true(text_equal(shown[0].name, TEXT("often")));
    assert_int_equal(shown[0].requests, 5);
    assert_int_equal(shown[0].answered, 2);
    assert_true(text_equal(shown[1].name, TEXT("sometimes")));
    assert_int_equal(shown[1].requests, 3);
    assert_int_equal(shown[1].sets, 1);
    assert_int_equal(shown[1].entries, 1);
    assert_true(shown[1].size_bytes > 0);
}

static int open_none_shown(void **state)
{
    static const char *const flags[] = {"--metrics-scopes-max=0"};
    *state = world_create(1, flags);
    return 0;
}

static void no_scope_is_shown_when_none_may_be(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    (void)set(world, of("hello"), &vector, "world");
    assert_int_equal(stats_of(world, "").scopes_count, 0);
}

static void uptime_follows_the_clock_and_never_runs_back(void **state)
{
    struct world *world = *state;
    world->now_ms += 90 * 1000;
    assert_int_equal(stats_of(world, "").uptime_s, 90);
    world->now_ms = 0;
    assert_int_equal(stats_of(world, "").uptime_s, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cache_that_was_never_asked_has_noughts),
        TEST(every_get_is_counted_where_it_ended),
        TEST(a_refused_get_is_nobodys_miss),
        TEST(other_tenants_are_not_shown),
        cmocka_unit_test_setup_teardown(the_most_used_scopes_are_shown_first, open_two_shown,
                                        world_destroy),
        cmocka_unit_test_setup_teardown(the_most_used_namespaces_are_shown_first, open_two_shown,
                                        world_destroy),
        cmocka_unit_test_setup_teardown(no_scope_is_shown_when_none_may_be, open_none_shown,
                                        world_destroy),
        TEST(uptime_follows_the_clock_and_never_runs_back),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
