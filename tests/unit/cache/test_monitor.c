/*
 * Goal (monitor.c, decisions.c): a watch gets what it asked for, in order, within its rate, and is
 * told how much it did not get; nobody is watched for nothing. Method: decisions noted by hand, the
 * monotonic clock turned by hand; then those of a cache.
 */
#include "tests/unit/cache/world.h"

static struct monitor_watch *watch(struct monitor *monitor, const char *namespace_,
                                   unsigned results, uint32_t rate)
{
    const struct monitor_filter filter = {.tenant = TEXT("default"),
                                          .namespace_ = text_of(namespace_),
                                          .results = results,
                                          .rate = rate};
    struct monitor_watch *made = NULL;
    assert_int_equal(monitor_watch_begin(monitor, &filter, &made), STATUS_OK);
    return made;
}

static void note(struct monitor *monitor, const char *namespace_, enum monitor_result result,
                 uint32_t number)
{
    struct monitor_decision decision = {.result = result, .latency_us = number};
    const struct monitor_texts texts = {.tenant = TEXT("default"),
                                        .namespace_ = text_of(namespace_),
                                        .model = TEXT("m"),
                                        .prompt = TEXT("\xc3\xbc?")};
    monitor_note(monitor, &decision, &texts);
}

static int create(void **state)
{
    struct monitor *monitor = NULL;
    assert_int_equal(monitor_create(&monitor), STATUS_OK);
    *state = monitor;
    return 0;
}

static int destroy(void **state)
{
    struct monitor *monitor = *state;
    assert_false(monitor_is_watched(monitor));
    monitor_destroy(&monitor);
    return 0;
}

static void what_is_wanted_comes_in_its_order(void **state)
{
    struct monitor *monitor = *state;
    const struct monitor_decision *taken = NULL;
    uint64_t dropped = 0;
    struct monitor_watch *misses = watch(monitor, "a", 1u << MONITOR_MISS, 1000);
    struct monitor_watch *all = watch(monitor, "", 0, 1000);
    assert_true(monitor_is_watched(monitor));
    note(monitor, "a", MONITOR_MISS, 1);
    note(monitor, "a", MONITOR_HIT, 2);
    note(monitor, "b", MONITOR_MISS, 3);
    note(monitor, "a", MONITOR_MISS, 4);
    assert_int_equal(monitor_watch_take(monitor, misses, 1, &taken, &dropped), 2);
    assert_int_equal(dropped, 0);
    assert_int_equal(taken[0].latency_us, 1);
    assert_int_equal(taken[1].latency_us, 4);
    assert_int_equal(taken[0].prompt_length, 0);
    assert_int_equal(monitor_watch_take(monitor, all, 1, &taken, &dropped), 4);
    assert_int_equal(taken[3].latency_us, 4);
    assert_int_equal(monitor_watch_take(monitor, all, 2, &taken, &dropped), 0);
    monitor_watch_end(monitor, &misses);
    monitor_watch_end(monitor, &all);
}

static void another_tenant_sees_nothing(void **state)
{
    struct monitor *monitor = *state;
    const struct monitor_filter filter = {.tenant = TEXT("acme"), .rate = 100};
    const struct monitor_decision *taken = NULL;
    struct monitor_watch *theirs = NULL;
    uint64_t dropped = 0;
    assert_int_equal(monitor_watch_begin(monitor, &filter, &theirs), STATUS_OK);
    note(monitor, "a", MONITOR_MISS, 1);
    assert_int_equal(monitor_watch_take(monitor, theirs, 1, &taken, &dropped), 0);
    assert_int_equal(dropped, 0);
    monitor_watch_end(monitor, &theirs);
}

/* 100 a second: ten at once, and one more each 10 ms. */
static void the_rate_is_kept_by_the_clock_and_the_rest_is_counted(void **state)
{
    struct monitor *monitor = *state;
    const struct monitor_decision *taken = NULL;
    uint64_t dropped = 0, now_us = 1000000;
    struct monitor_watch *all = watch(monitor, "", 0, 100);
    for (uint32_t i = 0; i < 15; i++)
        note(monitor, "a", MONITOR_MISS, i);
    assert_int_equal(monitor_watch_take(monitor, all, now_us, &taken, &dropped), 10);
    assert_int_equal(dropped, 5);
    assert_int_equal(taken[9].latency_us, 9);
    note(monitor, "a", MONITOR_MISS, 1); /* the bucket is empty */
    assert_int_equal(monitor_watch_take(monitor, all, now_us += 20000, &taken, &dropped), 0);
    assert_int_equal(dropped, 1);
    for (uint32_t i = 0; i < 3; i++)
        note(monitor, "a", MONITOR_MISS, i);
    assert_int_equal(monitor_watch_take(monitor, all, now_us += 3600000000, &taken, &dropped), 2);
    assert_int_equal(dropped, 1);
    for (uint32_t i = 0; i < 15;
         i++) /* an hour's silence saves up no more than a tenth of a second */
        note(monitor, "a", MONITOR_MISS, i);
    assert_int_equal(monitor_watch_take(monitor, all, now_us, &taken, &dropped), 10);
    monitor_watch_end(monitor, &all);
}

static void prompts_are_cut_between_characters_and_shown_when_allowed(void **state)
{
    struct monitor *monitor = *state;
    const struct monitor_decision *taken = NULL;
    uint64_t dropped = 0;
    char prompt[MONITOR_PROMPT_MAX + 1];
    memset(prompt, 'x', sizeof(prompt));
    memcpy(prompt + MONITOR_PROMPT_MAX - 1, "\xc3\xbc", 2); /* across the end */
    struct monitor_decision decision = {.result = MONITOR_MISS};
    const struct monitor_texts texts = {
        .tenant = TEXT("default"), .namespace_ = TEXT("a"), .prompt = {prompt, sizeof(prompt)}};
    struct monitor_watch *all = watch(monitor, "", 0, 100);
    monitor_show_prompts(monitor, true);
    monitor_note(monitor, &decision, &texts);
    assert_int_equal(monitor_watch_take(monitor, all, 1, &taken, &dropped), 1);
    assert_int_equal(taken[0].prompt_length, MONITOR_PROMPT_MAX - 1);
    monitor_watch_end(monitor, &all);
}

static void one_too_many_is_refused_until_another_leaves(void **state)
{
    struct monitor *monitor = *state;
    struct monitor_watch *all[MONITOR_WATCHES_MAX], *more = NULL;
    const struct monitor_filter filter = {.tenant = TEXT("default"), .rate = 1};
    for (int i = 0; i < MONITOR_WATCHES_MAX; i++)
        all[i] = watch(monitor, "", 0, 1);
    assert_int_equal(monitor_watch_begin(monitor, &filter, &more), STATUS_LIMIT_EXCEEDED);
    monitor_watch_end(monitor, &all[3]);
    all[3] = watch(monitor, "", 0, 1);
    for (int i = 0; i < MONITOR_WATCHES_MAX; i++)
        monitor_watch_end(monitor, &all[i]);
}

static void a_cache_tells_what_gets_and_sets_came_to(void **state)
{
    struct world *world = *state;
    struct monitor *monitor = cache_monitor(world->cache);
    const struct monitor_decision *taken = NULL;
    uint64_t dropped = 0;
    const struct vector stored = angle(0), near = angle(0.6);
    (void)ask(world, of("nobody watches this"), NULL);
    struct monitor_watch *all = watch(monitor, "", 0, 1000);
    (void)set(world, of("how does it work"), &stored, "x");
    (void)ask(world, of("how does it work"), NULL);
    (void)ask(world, of("how does it run"), &near);
    assert_int_equal(monitor_watch_take(monitor, all, 1, &taken, &dropped), 3);
    assert_int_equal(taken[0].result, MONITOR_STORED);
    assert_int_equal(taken[1].result, MONITOR_HIT);
    assert_int_equal(taken[1].tier, CACHE_TIER_EXACT);
    assert_int_equal(taken[2].result, MONITOR_MISS);
    assert_int_equal(taken[2].miss_reason, CACHE_MISS_BELOW_CUT);
    assert_true(taken[2].threshold > taken[2].similarity);
    monitor_watch_end(monitor, &all);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_wanted_comes_in_its_order),
        TEST(another_tenant_sees_nothing),
        TEST(the_rate_is_kept_by_the_clock_and_the_rest_is_counted),
        TEST(prompts_are_cut_between_characters_and_shown_when_allowed),
        TEST(one_too_many_is_refused_until_another_leaves),
        cmocka_unit_test_setup_teardown(a_cache_tells_what_gets_and_sets_came_to, world_plain,
                                        world_destroy),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
