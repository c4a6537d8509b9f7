/*
 * directory_support.h - a directory with its epochs, and how the tests of index/'s front desk use
 * it.
 */
#pragma once
#include "tests/unit/index/index_support.h"

#include "base/epoch.h"
#include "base/thread.h"
#include "index/directory.h"

struct stand {
    struct epochs *epochs;
    struct directory *directory;
};

static inline struct stand make_stand(uint64_t memory_bytes)
{
    struct stand stand;
    assert_int_equal(epochs_create(&stand.epochs), STATUS_OK);
    assert_int_equal(directory_create(stand.epochs, memory_bytes, &stand.directory), STATUS_OK);
    return stand;
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
