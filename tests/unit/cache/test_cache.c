/*
 * Goal: the parts come up together or not at all, with options that fit each other, and two caches
 * live side by side. Method: options that contradict each other, a cache without an embedder, two
 * caches with their own answers.
 */
#include "tests/unit/cache/world.h"

static enum status try_create(int count, const char *const *flags, struct failure *failure)
{
    struct options *options = NULL;
    assert_int_equal(make_options(count, flags, &options), STATUS_OK);
    const struct cache_setup setup = {.options = options, .version = "test"};
    struct cache *cache = NULL;
    const enum status status = cache_create(&setup, &cache, failure);
    assert_int_equal(status == STATUS_OK, cache != NULL);
    cache_destroy(&cache);
    options_destroy(&options);
    return status;
}

static void a_default_life_longer_than_the_longest_is_refused(void **state)
{
    (void)state;
    static const char *const flags[] = {"--cache-ttl-max=1h"};
    static const char *const both[] = {"--cache-ttl-max=1h", "--cache-ttl-default=1h"};
    struct failure failure = {0};
    assert_int_equal(try_create(1, flags, &failure), STATUS_BAD_OPTION);
    assert_string_equal(failure.field, "cache.ttl_default");
    assert_int_equal(try_create(2, both, &failure), STATUS_OK);
}

static void thresholds_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const char *const flags[] = {"--semantic-policy=adaptive", "--adaptive-initial=0.5",
                                        "--adaptive-min=0.8", "--adaptive-max=0.9"};
    struct failure failure = {0};
    assert_int_equal(try_create(4, flags, &failure), STATUS_BAD_OPTION);
    assert_true(failure.message[0] != '\0');
}

static void every_option_has_its_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"--cache-ttl-default=0s",   "--cache-ttl-default=31d",
                                      "--limits-answer=16MiB",    "--limits-dimension=4097",
                                      "--semantic-token-ttl=59s", "--semantic-token-ttl=25h",
                                      "--limits-batch=0",         "--cache-scopes-max=0"};
    FILE *errors = fopen("/dev/null", "w");
    assert_non_null(errors);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct option_table table = {cache_option_rows, cache_option_rows_count};
        struct options *options = NULL;
        assert_int_equal(options_create(&table, 1, &options), STATUS_OK);
        char *arguments[] = {"test", (char *)(uintptr_t)bad[i]};
        assert_int_equal(options_read_flags(options, 2, arguments, errors), STATUS_BAD_OPTION);
        options_destroy(&options);
    }
    (void)fclose(errors);
}

static int open_without_embedder(void **state)
{
    static const char *const flags[] = {"--embed-provider=none"};
    *state = world_create(1, flags);
    return 0;
}

static void without_an_embedder_only_clients_bring_vectors(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(0.1);
    assert_false(set(world, of("hello"), NULL, "world")->indexed);
    assert_hit(ask(world, of("hello"), NULL), CACHE_TIER_EXACT, "world");
    assert_miss(ask(world, of("hello there"), NULL), CACHE_MISS_NOT_ELIGIBLE);
    assert_true(set(world, of("bonjour"), &vector, "monde")->indexed);
    assert_hit(ask(world, of("bonjour bonjour"), &near), CACHE_TIER_SEMANTIC, "monde");
    assert_null(stats_of(world, "").embedder);
}

static int open_limits(void **state)
{
    static const char *const flags[] = {"--limits-prompt=1KiB", "--limits-messages=2",
                                        "--cache-ttl-default=1s",
                                        "--semantic-static-threshold=0.5"};
    *state = world_create(4, flags);
    return 0;
}

static void the_options_reach_the_verbs(void **state)
{
    struct world *world = *state;
    static char prompt[1026];
    const struct vector vector = angle(0), far = angle(1);
    memset(prompt, 'x', 1025);
    struct cache_get_request request = {.identity = of(prompt)};
    assert_failed(world, ask_request(world, &request), STATUS_LIMIT_EXCEEDED, "identity.prompt");
    assert_int_equal(cache_key_limits(world->cache)->messages_max, 2);
    assert_int_equal(set(world, of("hello"), &vector, "world")->expires_ms, world->now_ms + 1000);
    assert_hit(ask(world, of("hello there"), &far), CACHE_TIER_SEMANTIC, "world");
    assert_true(fabsf(world->get.reply.threshold - 0.5f) < 1e-6f);
}

static void two_caches_know_nothing_of_each_other(void **state)
{
    struct world *one = *state;
    struct world *two = world_create(0, NULL);
    const struct vector vector = angle(0);
    char token[TOKEN_TEXT + 1];
    (void)set(one, of("hello"), &vector, "one");
    (void)set(two, of("hello"), &vector, "two");
    assert_hit(ask(one, of("hello"), NULL), CACHE_TIER_EXACT, "one");
    assert_hit(ask(two, of("hello there"), &vector), CACHE_TIER_SEMANTIC, "two");
    memcpy(token, two->get.reply.token, sizeof(token));
    assert_int_equal(stats_of(one, "").total_requests, 1);
    const struct cache_report report = {.token = text_of(token), .verdict = CACHE_CORRECT};
    uint32_t left = 0;
    assert_int_equal(cache_report_verdict(two->cache, &report, two->now_ms, &left), CACHE_ACCEPTED);
    void *opened = two;
    (void)world_destroy(&opened);
}

#define WITH(open, name) cmocka_unit_test_setup_teardown(name, open, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_default_life_longer_than_the_longest_is_refused),
        cmocka_unit_test(thresholds_that_contradict_each_other_are_refused),
        cmocka_unit_test(every_option_has_its_range),
        WITH(open_without_embedder, without_an_embedder_only_clients_bring_vectors),
        WITH(open_limits, the_options_reach_the_verbs),
        WITH(world_plain, two_caches_know_nothing_of_each_other),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
