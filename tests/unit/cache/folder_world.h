/*
 * folder_world.h - a cache with a data folder that is closed and opened again, for the tests of
 * folder.c and load.c. The wall clock is turned by hand; the journal's thread has a real monotonic
 * one, since it waits by it.
 */
#pragma once
#include <pthread.h>

#include "base/clock.h"
#include "tests/support/folder.h"
#include "tests/unit/cache/world.h"

enum { FLAGS_MAX = 6, FOLDER_NOW_MS = 1000000 };

struct folder_world {
    char path[64], path_flag[96];
    struct world *world; /* NULL: closed */
};

static inline int64_t folder_wall_ms(void)
{
    return FOLDER_NOW_MS;
}

static inline uint64_t folder_chance(void *context)
{
    (void)context;
    static uint64_t state = 11;
    return next_random(&state);
}

static inline int folder_world_begin(void **state)
{
    struct folder_world *folder = calloc(1, sizeof(*folder));
    assert_non_null(folder);
    folder_create(folder->path);
    (void)snprintf(folder->path_flag, sizeof(folder->path_flag), "--storage-path=%s", folder->path);
    *state = folder;
    return 0;
}

/* Not loaded yet. Each start has secrets of its own, as a process has. */
static inline struct world *folder_expect(struct folder_world *folder, int count,
                                          const char *const *flags)
{
    static uint64_t starts;
    const char *all[FLAGS_MAX + 2] = {folder->path_flag, "--storage-io=posix"};
    assert_null(folder->world);
    assert_true(count <= FLAGS_MAX);
    for (int i = 0; i < count; i++)
        all[2 + i] = flags[i];
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(make_options(2 + count, all, &world->options), STATUS_OK);
    const struct cache_setup setup = {.options = world->options,
                                      .chance_seed = {1, 2, 3, 4, 5, 6, 7, ++starts},
                                      .started_ms = FOLDER_NOW_MS,
                                      .version = "test",
                                      .clock_us = clock_monotonic_us,
                                      .clock_ms = folder_wall_ms,
                                      .chance = folder_chance};
    if (cache_create(&setup, &world->cache, &world->failure) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    assert_int_equal(arena_create(&world->arena), STATUS_OK);
    world->now_ms = FOLDER_NOW_MS;
    folder->world = world;
    return world;
}

static inline struct world *folder_open(struct folder_world *folder, int count,
                                        const char *const *flags)
{
    struct world *world = folder_expect(folder, count, flags);
    if (cache_load(world->cache, &world->failure) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    return world;
}

static inline void folder_close(struct folder_world *folder)
{
    void *state = folder->world;
    if (state != NULL)
        (void)world_destroy(&state);
    folder->world = NULL;
}

static inline struct world *folder_reopen(struct folder_world *folder)
{
    folder_close(folder);
    return folder_open(folder, 0, NULL);
}

static inline int folder_world_end(void **state)
{
    struct folder_world *folder = *state;
    folder_close(folder);
    folder_remove(folder->path);
    free(folder);
    return 0;
}

/* In the exact tier alone: nothing else could find it. */
static inline struct identity exact_of(const char *prompt)
{
    struct identity identity = of(prompt);
    identity.params.temperature_given = true;
    identity.params.temperature = 1;
    return identity;
}

static inline struct identity in_namespace(const char *prompt, const char *namespace_)
{
    struct identity identity = of(prompt);
    identity.namespace_ = text_of(namespace_);
    return identity;
}

/* ---- waiting ---------------------------------------------------------------------------------
 */

struct await { /* a waiter's context, and that of other completions */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned expected, done;
    enum status status; /* the first that is not OK */
    struct snapshot_info info;
};

static inline struct await await_begin(void)
{
    return (struct await){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
}

static inline void await_expect(void *context)
{
    struct await *await = context;
    (void)pthread_mutex_lock(&await->mutex);
    await->expected++;
    (void)pthread_mutex_unlock(&await->mutex);
}

static inline void await_done(void *context, enum status status)
{
    struct await *await = context;
    (void)pthread_mutex_lock(&await->mutex);
    await->done++;
    if (await->status == STATUS_OK)
        await->status = status;
    (void)pthread_cond_broadcast(&await->changed);
    (void)pthread_mutex_unlock(&await->mutex);
}

static inline void await_snapshot(void *context, enum status status,
                                  const struct snapshot_info *info)
{
    struct await *await = context;
    if (info != NULL)
        await->info = *info;
    await_done(context, status);
}

static inline struct cache_waiter waiter_of(struct await *await)
{
    return (struct cache_waiter){await_expect, await_done, await};
}

static inline enum status await_end(struct await *await)
{
    (void)pthread_mutex_lock(&await->mutex);
    while (await->done < await->expected)
        (void)pthread_cond_wait(&await->changed, &await->mutex);
    assert_int_equal(await->done, await->expected);
    (void)pthread_mutex_unlock(&await->mutex);
    return await->status;
}

/* ---- questions -------------------------------------------------------------------------------
 */

static inline struct cache_scope_stats scope_in(struct world *world, const char *namespace_)
{
    const struct cache_stats stats = stats_of(world, namespace_);
    assert_int_equal(stats.scopes_count, 1);
    return stats.scopes[0];
}

static inline void remove_key(struct world *world, struct identity identity)
{
    const struct cache_delete_request request = {.identity = &identity};
    uint32_t deleted = 0;
    world_forget(world);
    assert_int_equal(
        cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
        STATUS_OK);
    assert_int_equal(deleted, 1);
}

/* Of one that is made, if need be. */
static inline enum status change(struct world *world, const char *namespace_, unsigned fields,
                                 struct cache_namespace_settings settings,
                                 const struct cache_waiter *waiter,
                                 struct cache_namespace_settings *out_settings)
{
    const struct cache_namespace_change wanted = {
        .name = text_of(namespace_), .fields = fields, .settings = settings};
    const struct cache_namespace_change plain = {.name = wanted.name,
                                                 .settings = cache_namespace_settings_none};
    struct cache_namespace_view view;
    world_forget(world);
    if (cache_get_namespace(world->cache, TEXT(""), wanted.name, world->arena, &view,
                            &world->failure) != STATUS_OK)
        assert_int_equal(cache_create_namespace(world->cache, &plain, world->arena, NULL, &view,
                                                &world->failure),
                         STATUS_OK);
    world_forget(world);
    const enum status status = cache_update_namespace(world->cache, &wanted, world->arena, waiter,
                                                      &view, &world->failure);
    if (status == STATUS_OK)
        *out_settings = view.settings;
    return status;
}
