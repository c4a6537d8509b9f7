/*
 * directory_support.h - a directory with its epochs, and how the tests of index/'s front desk use
 * it.
 */
#pragma once
#include "tests/unit/index/index_support.h"

#include <stdatomic.h>

#include "base/epoch.h"
#include "base/thread.h"
#include "index/builder.h"
#include "index/directory.h"
#include "index/faiss_c.h"

struct stand {
    struct epochs *epochs;
    struct directory *directory;
};

static inline struct stand make_stand_with(const struct index_settings *settings,
                                           uint64_t (*clock_us)(void))
{
    struct stand stand;
    assert_int_equal(epochs_create(&stand.epochs), STATUS_OK);
    const struct directory_setup setup = {
        .epochs = stand.epochs, .settings = *settings, .clock_us = clock_us};
    assert_int_equal(directory_create(&setup, &stand.directory), STATUS_OK);
    return stand;
}

static inline struct stand make_stand(uint64_t memory_bytes)
{
    struct index_settings settings;
    index_settings_read(NULL, &settings);
    settings.memory_bytes = memory_bytes;
    return make_stand_with(&settings, NULL);
}

/* What builders would do, done by hand; how many steps. */
static inline uint32_t build_all(struct stand *stand)
{
    static const atomic_bool never = false;
    uint32_t steps = 0;
    faiss_c_single_thread();
    while (builder_step(stand->directory, &never))
        steps++;
    return steps;
}

static inline void drop_stand(struct stand *stand)
{
    directory_destroy(&stand->directory);
    assert_null(stand->directory);
    epochs_destroy(&stand->epochs); /* what is retired may go after the directory */
}

static inline struct partition_key key_of(uint64_t number)
{
    struct partition_key key = {.space = 7};
    const struct digest digest = id_of(~number);
    memcpy(key.scope, digest.bytes, sizeof(key.scope));
    return key;
}

static inline bool search_scope(struct stand *stand, const struct partition_key *key,
                                struct search *search)
{
    epoch_enter(stand->epochs);
    const struct partition *partition = directory_find(stand->directory, key);
    if (partition != NULL)
        partition_search(partition, search);
    epoch_leave(stand->epochs);
    return partition != NULL;
}

static inline struct directory_stats stats_of(const struct stand *stand)
{
    struct directory_stats stats;
    directory_stats(stand->directory, &stats);
    return stats;
}

static inline int register_thread(void **state)
{
    (void)state;
    return thread_register(THREAD_COMPUTE) == STATUS_OK ? 0 : -1;
}

static inline int unregister_thread(void **state)
{
    (void)state;
    thread_unregister();
    return 0;
}
