/*
 * world.h - one cache, one clock turned by hand and one caller, for the tests of cache/. Vectors
 * are the client's and have few dimensions, so that every similarity is known: angle(0.1) and
 * angle(0.2) have cosine cos(0.1).
 */
#pragma once
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "embed/embedder.h"
#include "index/directory.h"
#include "tests/support/unit.h"
#include "trust/policy.h"

enum { DIMENSION = 4 };

struct world {
    struct options *options;
    struct pool *pool; /* NULL: texts are embedded by who asks */
    struct cache *cache;
    struct arena *arena;
    struct failure failure;
    int64_t now_ms;
    uint64_t now_us;
    struct cache_get_request request; /* of the last ask */
    struct cache_get get;
    bool asked; /* its reply holds references */
    struct cache_set_reply set;
};

static inline enum status make_options(int count, const char *const *flags, struct options **out)
{
    const struct option_table tables[] = {
        {cache_option_rows, cache_option_rows_count},
        {store_option_rows, store_option_rows_count},
        {journal_option_rows, journal_option_rows_count},
        {index_option_rows, index_option_rows_count},
        {embed_option_rows, embed_option_rows_count},
        {policy_option_rows, policy_option_rows_count},
    };
    char *arguments[16] = {"test",
                           "--embed-provider=lexical",
                           "--storage-memory=32MiB",
                           "--index-memory=32MiB",
                           "--table-stripes=1",
                           "--storage-path="};
    assert_true(count <= 10);
    for (int i = 0; i < count; i++)
        arguments[6 + i] = (char *)(uintptr_t)flags[i];
    enum status status = options_create(tables, sizeof(tables) / sizeof(tables[0]), out);
    assert_int_equal(status, STATUS_OK);
    return options_read_flags(*out, 6 + count, arguments, stderr);
}

/* Extra flags, as on the command line. A pool becomes the world's, and wants a clock. */
static inline struct world *world_create_with(int count, const char *const *flags,
                                              struct pool *pool, uint64_t (*clock_us)(void))
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(make_options(count, flags, &world->options), STATUS_OK);
    struct cache_setup setup = {.options = world->options,
                                .chance_seed = {1, 2, 3, 4, 5, 6, 7, 8},
                                .started_ms = 1000000,
                                .version = "test",
                                .clock_us = clock_us,
                                .pool = pool};
    world->pool = pool;
    if (cache_create(&setup, &world->cache, &world->failure) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    assert_int_equal(arena_create(&world->arena), STATUS_OK);
    world->now_ms = 1000000;
    return world;
}

static inline struct world *world_create(int count, const char *const *flags)
{
    return world_create_with(count, flags, NULL, NULL);
}

static inline void world_forget(struct world *world)
{
    if (world->asked)
        cache_get_release(&world->get);
    world->asked = false;
    arena_reset(world->arena);
    world->failure = (struct failure){0};
}

static inline int world_destroy(void **state)
{
    struct world *world = *state;
    world_forget(world);
    pool_destroy(&world->pool);
    cache_destroy(&world->cache);
    cache_destroy(&world->cache); /* NULL by now */
    arena_destroy(&world->arena);
    options_destroy(&world->options);
    free(world);
    return 0;
}

static inline int world_plain(void **state)
{
    *state = world_create(0, NULL);
    return 0;
}

static inline int world_register(void **state)
{
    (void)state;
    return thread_register(THREAD_COMPUTE) == STATUS_OK ? 0 : -1;
}

static inline int world_unregister(void **state)
{
    (void)state;
    thread_unregister();
    return 0;
}

/* ---- vectors --------------------------------------------------------------------------------- */

struct vector {
    float at[DIMENSION];
};

static inline struct vector angle(double radians)
{
    return (struct vector){{(float)cos(radians), (float)sin(radians), 0, 0}};
}

/* ---- asking and setting ---------------------------------------------------------------------- */

static inline struct identity of(const char *prompt)
{
    return (struct identity){.model = TEXT("m"), .prompt = text_of(prompt)};
}

/* The whole walk; world->get holds the reply until the next call. */
static inline enum status ask_request(struct world *world, const struct cache_get_request *request)
{
    enum cache_step step = CACHE_DONE;
    world_forget(world);
    world->request = *request;
    enum status status = cache_get_begin(world->cache, &world->request, world->arena, world->now_ms,
                                         world->now_us, &world->get, &step, &world->failure);
    if (status != STATUS_OK)
        return status;
    world->asked = true;
    if (step == CACHE_NEEDS_COMPUTE)
        status = cache_get_finish(world->cache, &world->get, world->now_ms, world->now_us,
                                  &world->failure);
    return status;
}

static inline struct cache_get_reply *ask(struct world *world, struct identity identity,
                                          const struct vector *vector)
{
    const struct cache_get_request request = {.identity = identity,
                                              .vector = vector != NULL ? vector->at : NULL,
                                              .dimension = vector != NULL ? DIMENSION : 0};
    if (ask_request(world, &request) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    return &world->get.reply;
}

static inline enum status set_request(struct world *world, const struct cache_set_request *request)
{
    world_forget(world);
    return cache_set(world->cache, request, world->arena, world->now_ms, &world->set,
                     &world->failure);
}

static inline struct cache_set_reply *set(struct world *world, struct identity identity,
                                          const struct vector *vector, const char *content)
{
    const struct cache_set_request request = {.identity = identity,
                                              .vector = vector != NULL ? vector->at : NULL,
                                              .dimension = vector != NULL ? DIMENSION : 0,
                                              .content = text_of(content)};
    if (set_request(world, &request) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    return &world->set;
}

/* ---- what came back -------------------------------------------------------------------------- */

static inline void assert_hit(const struct cache_get_reply *reply, enum cache_tier tier,
                              const char *content)
{
    if (reply->tier != tier)
        fail_msg("tier %d, miss %d", reply->tier, reply->miss_reason);
    assert_non_null(reply->found.entry);
    struct cache_answer answer;
    cache_answer_read(reply->found.entry, &answer);
    assert_int_equal(answer.answer.length, strlen(content));
    assert_memory_equal(answer.answer.bytes, content, answer.answer.length);
}

static inline void assert_miss(const struct cache_get_reply *reply, enum cache_miss reason)
{
    assert_int_equal(reply->tier, CACHE_TIER_NONE);
    assert_int_equal(reply->miss_reason, reason);
    assert_null(reply->found.entry);
}

static inline void assert_failed(const struct world *world, enum status status,
                                 enum status expected, const char *field)
{
    assert_string_equal(status_name(status), status_name(expected));
    assert_string_equal(world->failure.field, field);
}

static inline struct cache_stats stats_of(struct world *world, const char *namespace_)
{
    struct cache_stats stats;
    world_forget(world);
    assert_int_equal(cache_stats(world->cache, TEXT(""), text_of(namespace_), world->arena,
                                 world->now_ms, &stats),
                     STATUS_OK);
    return stats;
}

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014): the tests' only chance, seeded by each. */
static inline uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
