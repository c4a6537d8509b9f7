/*
 * recover_floors.h - what has been purged: for each tenant and scope the sequence at and below
 * which everything is dead. Threads: the caller's.
 */
#pragma once
#include "storage/manifest.h"

struct floors {                   /* zeros: none */
    struct manifest_floor *slots; /* open addressing; sequence 0: free */
    uint32_t count, capacity;
};
void floors_deinit(struct floors *floors);
/* A lower one than is known changes nothing. STATUS_NO_MEMORY. */
enum status floors_add(struct floors *floors, const struct manifest_floor *floor);
/* tenant and scope of an entry: also what was purged of all tenants, or of all scopes, counts. */
bool floors_hold(const struct floors *floors, const uint8_t *tenant, const uint8_t *scope,
                 uint64_t sequence);
/* Into a manifest without floors. */
enum status floors_list(const struct floors *floors, struct manifest *manifest);
