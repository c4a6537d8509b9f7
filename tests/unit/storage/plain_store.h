/* plain_store.h - verbs of the store without a wish, for tests that have no journal. */
#pragma once
#include "storage/store.h"
#include "tests/support/unit.h"

static inline bool delete_plainly(struct store *store, const struct digest *digest,
                                  store_matches *matches, void *context)
{
    bool was_there = false;
    const enum status status = store_delete(store, digest, matches, context, NULL, &was_there);
    return status == STATUS_OK && was_there;
}

static inline uint64_t purge_plainly(struct store *store, store_matches *matches, void *context)
{
    uint64_t removed_count = 0;
    const enum status status = store_purge(store, matches, context, NULL, &removed_count);
    return status == STATUS_OK ? removed_count : UINT64_MAX;
}
