/*
 * quota.h - the budget of one namespace: who has to go when it holds more than it may. Knows its
 * entries by their ids and names them in the order of the namespace's own rule; pins are never
 * named. Made when a namespace is first given a budget. Threads: any; takes QUOTA, and the store is
 * asked under it.
 */
#pragma once
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "cache/cache.h"
#include "storage/store.h"

struct quota;

/* The rule is not EVICTION_DEFAULT. */
enum status quota_create(enum cache_eviction rule, struct quota **out_quota);
void quota_destroy(struct quota **quota);

/* One more entry, by its id and sequence; it is in the store. STATUS_NO_MEMORY: it is not known
 * here, so it stays until the table evicts it. */
enum status quota_note(struct quota *quota, const struct digest *id, uint64_t sequence,
                       struct store *store);

/* Names the one to go and forgets it; false: none is known. */
struct quota_victim {
    struct digest id;
    uint64_t sequence;
};
bool quota_victim(struct quota *quota, struct store *store, struct quota_victim *out_victim);

/* By this rule from now on. STATUS_NO_MEMORY: still by the old one. */
enum status quota_change(struct quota *quota, enum cache_eviction rule, struct store *store);
