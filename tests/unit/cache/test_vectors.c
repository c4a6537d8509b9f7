/*
 * Goal: a Get and a Set that wait for the embedder end as they would at once, whatever the embedder
 * says, and on whatever thread. Method: lexical vectors through a pool; where an embedder would
 * have to fail, its word is given by hand, for it is an argument of the second half. Threads are
 * waited for, never slept for.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/pool.h"
#include "tests/unit/cache/world.h"

enum { COMPUTE_THREADS = 4, QUEUE_MAX = 1024 };

static _Atomic uint64_t turned_us; /* the clock, turned by hand */

static uint64_t clock_us(void)
{
    return atomic_load(&turned_us);
}

static int open_pooled(void **state)
{
    struct pool *pool = NULL;
    atomic_store(&turned_us, 1000);
    if (pool_create(COMPUTE_THREADS, QUEUE_MAX, &pool) != STATUS_OK)
        return -1;
    *state = world_create_with(0, NULL, pool, clock_us);
    return 0;
}

/* ---- one job, waited for --------------------------------------------------------------------- */

struct waited {
    struct embed_job job;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool has_ended, on_compute;
    enum status status;
};

static void told(struct embed_job *job, enum status status)
{
    struct waited *waited = (struct waited *)(void *)((char *)job - offsetof(struct waited, job));
    pthread_mutex_lock(&waited->mutex);
    waited->status = status;
    waited->on_compute = thread_is(THREAD_COMPUTE);
    waited->has_ended = true;
    pthread_cond_signal(&waited->ended);
    pthread_mutex_unlock(&waited->mutex);
}

static void wait_init(struct waited *waited)
{
    *waited = (struct waited){.job = {.done = told}};
    pthread_mutex_init(&waited->mutex, NULL);
    pthread_cond_init(&waited->ended, NULL);
}

static enum status wait_for(struct waited *waited)
{
    pthread_mutex_lock(&waited->mutex);
    while (!waited->has_ended)
        pthread_cond_wait(&waited->ended, &waited->mutex);
    pthread_mutex_unlock(&waited->mutex);
    pthread_mutex_destroy(&waited->mutex);
    pthread_cond_destroy(&waited->ended);
    return waited->status;
}

/* First half of a Get; the second is the test's. */
static void begin_get(struct world *world, const struct cache_get_request *request,
                      enum cache_step expected)
{
    enum cache_step step;
    world_forget(world);
    world->request = *request;
    assert_int_equal(cache_get_begin(world->cache, &world->request, world->arena, world->now_ms,
                                     clock_us(), &world->get, &step, &world->failure),
                     STATUS_OK);
    world->asked = true;
    assert_int_equal(step, expected);
}

static void begin_set(struct world *world, const struct cache_set_request *request,
                      struct cache_set *set, enum cache_step expected)
{
    world_forget(world);
    assert_int_equal(
        cache_set_begin(world->cache, request, world->arena, world->now_ms, set, &world->failure),
        STATUS_OK);
    assert_int_equal(set->step, expected);
}

static void put(struct world *world, const char *prompt, const char *content)
{
    const struct cache_set_request request = {.identity = of(prompt), .content = text_of(content)};
    struct cache_set set;
    struct waited waited;
    wait_init(&waited);
    begin_set(world, &request, &set, CACHE_NEEDS_VECTOR);
    cache_set_embed(world->cache, &set, &waited.job);
    assert_int_equal(wait_for(&waited), STATUS_OK);
    assert_int_equal(cache_set_finish(world->cache, &set, STATUS_OK, world->now_ms, NULL, NULL),
                     STATUS_OK);
    assert_true(set.reply.stored);
    assert_true(set.reply.indexed);
    assert_null(set.reply.degraded);
}

/* ---- both halves ----------------------------------------------------------------------------- */

static void a_paraphrase_is_found_by_the_second_half(void **state)
{
    struct world *world = *state;
    put(world, "How do I reset my password?", "like this");
    const struct cache_get_request request = {.identity = of("How can I reset my password?")};
    struct waited waited;
    wait_init(&waited);
    begin_get(world, &request, CACHE_NEEDS_VECTOR);
    cache_get_embed(world->cache, &world->get, &waited.job);
    assert_int_equal(wait_for(&waited), STATUS_OK);
    assert_true(waited.on_compute);
    assert_int_equal(cache_get_finish_embedded(world->cache, &world->get, STATUS_OK, world->now_ms,
                                               clock_us(), NULL),
                     STATUS_OK);
    assert_hit(&world->get.reply, CACHE_TIER_SEMANTIC, "like this");
    assert_null(world->get.reply.degraded);
}

static void the_halves_and_the_whole_make_the_same_vector(void **state)
{
    struct world *world = *state;
    struct cache_set_request request = {.identity = of("How do I reset my password?"),
                                        .content = TEXT("whole")};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.indexed);
    const struct cache_get_request asked = {.identity = request.identity, .only_semantic = true};
    struct waited waited;
    wait_init(&waited);
    begin_get(world, &asked, CACHE_NEEDS_VECTOR);
    cache_get_embed(world->cache, &world->get, &waited.job);
    assert_int_equal(wait_for(&waited), STATUS_OK);
    assert_int_equal(cache_get_finish_embedded(world->cache, &world->get, STATUS_OK, world->now_ms,
                                               clock_us(), NULL),
                     STATUS_OK);
    assert_hit(&world->get.reply, CACHE_TIER_SEMANTIC, "whole");
    assert_true(world->get.reply.similarity > 0.9999F);
}

static void who_brings_a_vector_or_hits_needs_no_embedder(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0.1);
    struct cache_set_request set_with = {.identity = of("brought"),
                                         .content = TEXT("x"),
                                         .vector = vector.at,
                                         .dimension = DIMENSION};
    struct cache_set set;
    begin_set(world, &set_with, &set, CACHE_NEEDS_COMPUTE);
    assert_int_equal(cache_set_finish(world->cache, &set, STATUS_OK, world->now_ms, NULL, NULL),
                     STATUS_OK);
    assert_true(set.reply.indexed);
    const struct cache_get_request get_with = {
        .identity = of("another"), .vector = vector.at, .dimension = DIMENSION};
    begin_get(world, &get_with, CACHE_NEEDS_COMPUTE);
    assert_int_equal(cache_get_finish(world->cache, &world->get, world->now_ms, clock_us(), NULL),
                     STATUS_OK);
    assert_hit(&world->get.reply, CACHE_TIER_SEMANTIC, "x");
    const struct cache_get_request same = {.identity = of("brought")};
    begin_get(world, &same, CACHE_DONE);
    assert_hit(&world->get.reply, CACHE_TIER_EXACT, "x");
    set_with.finish_reason = TEXT("length");
    begin_set(world, &set_with, &set, CACHE_DONE);
    assert_int_equal(set.reply.skip, CACHE_SKIP_FINISH_REASON);
}

static void the_embedders_time_is_from_hand_in_to_done(void **state)
{
    struct world *world = *state;
    put(world, "How do I reset my password?", "like this");
    const struct cache_get_request request = {.identity = of("How can I reset my password?"),
                                              .include = CACHE_INCLUDE_TIMING};
    struct waited waited;
    wait_init(&waited);
    begin_get(world, &request, CACHE_NEEDS_VECTOR);
    atomic_fetch_add(&turned_us, 10); /* for a thread's turn */
    cache_get_embed(world->cache, &world->get, &waited.job);
    assert_int_equal(wait_for(&waited), STATUS_OK);
    const uint64_t done_us = atomic_fetch_add(&turned_us, 700) + 300; /* 400 for the others */
    assert_int_equal(cache_get_finish_embedded(world->cache, &world->get, STATUS_OK, world->now_ms,
                                               done_us, NULL),
                     STATUS_OK);
    const struct cache_timing *timing = &world->get.reply.timing;
    assert_int_equal(timing->embed_us, 300);
    assert_int_equal(timing->search_us + timing->decide_us, 0);
    assert_int_equal(timing->total_us, 710);
}

/* ---- what the embedder may say --------------------------------------------------------------- */

struct said {
    enum status status;
    enum cache_miss miss;
    const char *get_degraded, *set_degraded;
};

static const struct said sayings[] = {
    {STATUS_NOT_FOUND, CACHE_MISS_NOT_ELIGIBLE, NULL, NULL},
    {STATUS_TEXT_TOO_LONG, CACHE_MISS_TEXT_TOO_LONG, NULL, "text_too_long"},
    {STATUS_OVERLOADED, CACHE_MISS_OVERLOADED, NULL, "overloaded"},
    {STATUS_DEADLINE, CACHE_MISS_OVERLOADED, NULL, "overloaded"},
    {STATUS_EMBEDDER_DOWN, CACHE_MISS_EMBEDDER_DOWN, "embedder_down", "embedder_down"},
    {STATUS_EMBEDDER_MISMATCH, CACHE_MISS_EMBEDDER_DOWN, "embedder_down", "embedder_down"},
    {STATUS_BAD_VECTOR, CACHE_MISS_EMBEDDER_DOWN, "embedder_down", "embedder_down"},
    {STATUS_INTERNAL, CACHE_MISS_EMBEDDER_DOWN, "embedder_down", "embedder_down"},
    {STATUS_DRAINING, CACHE_MISS_EMBEDDER_DOWN, "embedder_down", "embedder_down"},
};
enum { SAYINGS_COUNT = sizeof(sayings) / sizeof(sayings[0]) };

static void assert_word(const char *word, const char *expected)
{
    if (expected == NULL)
        assert_null(word);
    else
        assert_string_equal(word, expected);
}

static void a_get_without_a_vector_is_a_miss_that_says_why(void **state)
{
    struct world *world = *state;
    put(world, "How do I reset my password?", "like this");
    const struct cache_get_request request = {.identity = of("How can I reset my password?")};
    uint64_t counted[CACHE_MISS_COUNT] = {0};
    for (int i = 0; i < SAYINGS_COUNT; i++) {
        begin_get(world, &request, CACHE_NEEDS_VECTOR);
        assert_int_equal(cache_get_finish_embedded(world->cache, &world->get, sayings[i].status,
                                                   world->now_ms, clock_us(), NULL),
                         STATUS_OK);
        assert_miss(&world->get.reply, sayings[i].miss);
        assert_word(world->get.reply.degraded, sayings[i].get_degraded);
        counted[sayings[i].miss]++;
    }
    const struct cache_stats stats = stats_of(world, "");
    for (int i = 0; i < CACHE_MISS_COUNT; i++)
        assert_int_equal(stats.misses[i], counted[i]);
    assert_int_equal(stats.total_requests, SAYINGS_COUNT);
    assert_int_equal(stats.semantic.lookups, 0); /* it was never asked */
}

static void spent_memory_is_an_error_of_the_get(void **state)
{
    struct world *world = *state;
    put(world, "How do I reset my password?", "like this");
    const struct cache_get_request request = {.identity = of("How can I reset my password?")};
    begin_get(world, &request, CACHE_NEEDS_VECTOR);
    const enum status status = cache_get_finish_embedded(
        world->cache, &world->get, STATUS_NO_MEMORY, world->now_ms, clock_us(), &world->failure);
    assert_failed(world, status, STATUS_NO_MEMORY, "");
}

static void what_says_more_than_expired_and_what_does_not(void **state)
{
    struct world *world = *state;
    put(world, "How do I reset my password?", "fresh");
    const struct cache_set_request brief = {.identity = of("How can I reset my password?"),
                                            .content = TEXT("stale"),
                                            .ttl_given = true,
                                            .ttl_ms = 1000};
    assert_int_equal(set_request(world, &brief), STATUS_OK);
    world->now_ms += 2000;
    const struct cache_get_request request = {.identity = brief.identity};
    for (int i = 0; i < SAYINGS_COUNT; i++) {
        const bool yields = sayings[i].miss == CACHE_MISS_NOT_ELIGIBLE ||
                            sayings[i].miss == CACHE_MISS_TEXT_TOO_LONG;
        begin_get(world, &request, CACHE_NEEDS_VECTOR);
        assert_int_equal(cache_get_finish_embedded(world->cache, &world->get, sayings[i].status,
                                                   world->now_ms, clock_us(), NULL),
                         STATUS_OK);
        assert_miss(&world->get.reply, yields ? CACHE_MISS_EXPIRED : sayings[i].miss);
    }
}

static void a_set_without_a_vector_is_for_the_exact_tier(void **state)
{
    struct world *world = *state;
    char prompt[32];
    for (int i = 0; i < SAYINGS_COUNT; i++) {
        (void)snprintf(prompt, sizeof(prompt), "hello %d", i);
        const struct cache_set_request request = {.identity = of(prompt), .content = TEXT("x")};
        struct cache_set set;
        begin_set(world, &request, &set, CACHE_NEEDS_VECTOR);
        assert_int_equal(
            cache_set_finish(world->cache, &set, sayings[i].status, world->now_ms, NULL, NULL),
            STATUS_OK);
        assert_true(set.reply.stored);
        assert_false(set.reply.indexed);
        assert_word(set.reply.degraded, sayings[i].set_degraded);
        assert_hit(ask(world, of(prompt), NULL), CACHE_TIER_EXACT, "x");
    }
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, SAYINGS_COUNT);
    assert_int_equal(stats.semantic.entries, 0);
}

static void a_life_begins_when_the_answer_is_stored(void **state)
{
    struct world *world = *state;
    const struct cache_set_request request = {
        .identity = of("hello"), .content = TEXT("x"), .ttl_given = true, .ttl_ms = 1000};
    struct cache_set set;
    begin_set(world, &request, &set, CACHE_NEEDS_VECTOR);
    assert_int_equal(
        cache_set_finish(world->cache, &set, STATUS_EMBEDDER_DOWN, world->now_ms + 500, NULL, NULL),
        STATUS_OK);
    assert_int_equal(set.reply.expires_ms, world->now_ms + 1500);
}

/* ---- many at a time -------------------------------------------------------------------------- */

enum { CALLS = 512 };

struct crowd {
    struct world *world;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    int left;
};

struct caller { /* stores its question, then finds it by other words; all of it where done is */
    struct crowd *crowd;
    struct arena *arena;
    struct embed_job job;
    struct cache_set_request set_request;
    struct cache_set set;
    struct cache_get_request get_request;
    struct cache_get get;
    char stored[64], asked[64];
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static struct caller *caller_of(struct embed_job *job)
{
    return (struct caller *)(void *)((char *)job - offsetof(struct caller, job));
}

static void found(struct embed_job *job, enum status status)
{
    struct caller *caller = caller_of(job);
    struct crowd *crowd = caller->crowd;
    must(status == STATUS_OK);
    must(cache_get_finish_embedded(crowd->world->cache, &caller->get, status, crowd->world->now_ms,
                                   1, NULL) == STATUS_OK);
    must(caller->get.reply.tier == CACHE_TIER_SEMANTIC);
    cache_get_release(&caller->get);
    pthread_mutex_lock(&crowd->mutex);
    crowd->left--;
    pthread_cond_signal(&crowd->ended);
    pthread_mutex_unlock(&crowd->mutex);
}

static void stored(struct embed_job *job, enum status status)
{
    struct caller *caller = caller_of(job);
    struct cache *cache = caller->crowd->world->cache;
    enum cache_step step;
    must(status == STATUS_OK);
    must(cache_set_finish(cache, &caller->set, status, caller->crowd->world->now_ms, NULL, NULL) ==
         STATUS_OK);
    must(caller->set.reply.indexed);
    caller->get_request = (struct cache_get_request){.identity = of(caller->asked)};
    must(cache_get_begin(cache, &caller->get_request, caller->arena, caller->crowd->world->now_ms,
                         1, &caller->get, &step, NULL) == STATUS_OK);
    must(step == CACHE_NEEDS_VECTOR);
    caller->job = (struct embed_job){.done = found};
    cache_get_embed(cache, &caller->get, &caller->job);
}

static void many_calls_wait_together(void **state)
{
    static struct caller callers[CALLS];
    struct world *world = *state;
    struct crowd crowd = {.world = world, .left = CALLS};
    pthread_mutex_init(&crowd.mutex, NULL);
    pthread_cond_init(&crowd.ended, NULL);
    for (int i = 0; i < CALLS; i++) {
        struct caller *caller = &callers[i];
        *caller = (struct caller){.crowd = &crowd, .job = {.done = stored, .bulk = i % 2 == 0}};
        assert_int_equal(arena_create(&caller->arena), STATUS_OK);
        (void)snprintf(caller->stored, sizeof(caller->stored), "How do I reset number %d?", i);
        (void)snprintf(caller->asked, sizeof(caller->asked), "how do I reset number %d", i);
        caller->set_request = (struct cache_set_request){.identity = of(caller->stored),
                                                         .content = text_of(caller->stored)};
        assert_int_equal(cache_set_begin(world->cache, &caller->set_request, caller->arena,
                                         world->now_ms, &caller->set, NULL),
                         STATUS_OK);
        cache_set_embed(world->cache, &caller->set, &caller->job);
    }
    pthread_mutex_lock(&crowd.mutex);
    while (crowd.left > 0)
        pthread_cond_wait(&crowd.ended, &crowd.mutex);
    pthread_mutex_unlock(&crowd.mutex);
    pthread_mutex_destroy(&crowd.mutex);
    pthread_cond_destroy(&crowd.ended);
    for (int i = 0; i < CALLS; i++)
        arena_destroy(&callers[i].arena);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, CALLS);
    assert_int_equal(stats.semantic.hits, CALLS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pooled, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_paraphrase_is_found_by_the_second_half),
        TEST(the_halves_and_the_whole_make_the_same_vector),
        TEST(who_brings_a_vector_or_hits_needs_no_embedder),
        TEST(the_embedders_time_is_from_hand_in_to_done),
        TEST(a_get_without_a_vector_is_a_miss_that_says_why),
        TEST(spent_memory_is_an_error_of_the_get),
        TEST(what_says_more_than_expired_and_what_does_not),
        TEST(a_set_without_a_vector_is_for_the_exact_tier),
        TEST(a_life_begins_when_the_answer_is_stored),
        TEST(many_calls_wait_together),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
