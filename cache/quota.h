/*
 * quota.h - the budget of one namespace: who has to go when it holds more than it may. Keeps the
 * ids of its entries in the order in which they came; the oldest goes, unless it has been asked for
 * since: then it gets a second chance. (Corbato 1968; one bit an entry and no order among the hit
 * ones.) Made when a namespace is first given a budget. Threads: any; takes QUOTA, and no lock
 * while it asks the store.
 */
#pragma once
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "storage/store.h"

struct quota;

enum status quota_create(struct quota **out_quota);
void quota_destroy(struct quota **quota);

/* One more entry, by its id and sequence. STATUS_NO_MEMORY: it is not known here, so it stays until
 * the table evicts it. */
enum status quota_note(struct quota *quota, const struct digest *id, uint64_t sequence,
                       struct store *store);

/* Names the one to go and forgets it; false: none is known. */
struct quota_victim {
    struct digest id;
    uint64_t sequence;
};
bool quota_victim(struct quota *quota, struct store *store, struct quota_victim *out_victim);
