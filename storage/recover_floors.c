/*
 * recover_floors.c - what has been purged, by tenant and scope, each maybe zero: all. A hash table,
 * since each PUT of a recovery asks it, and a table of a million answers may have seen thousands of
 * purges. Ids are halves of digests or zero, so a cheap hash spreads them.
 * THREADS. The caller's.
 * NOT HERE. Which floors MANIFEST needs no more (journal.c).
 */
#include "storage/recover_floors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 64, ID_WORDS = 2 };

static const uint8_t all[ENTRY_ID_BYTES];

void floors_deinit(struct floors *floors)
{
    free(floors->slots);
    *floors = (struct floors){.slots = NULL};
}

static uint64_t hash(const uint8_t *tenant, const uint8_t *scope)
{
    uint64_t words[2 * ID_WORDS];
    memcpy(words, tenant, ENTRY_ID_BYTES);
    memcpy(words + ID_WORDS, scope, ENTRY_ID_BYTES);
    uint64_t sum = 0;
    for (int i = 0; i < 2 * ID_WORDS; i++)
        sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio */
    return sum >> 32;
}

/* Its slot, or the free one where it would stand. */
static struct manifest_floor *find(const struct floors *floors, const uint8_t *tenant,
                                   const uint8_t *scope)
{
    assert(floors->count < floors->capacity);
    const uint32_t mask = floors->capacity - 1;
    for (uint32_t at = (uint32_t)hash(tenant, scope) & mask;; at = (at + 1) & mask) {
        struct manifest_floor *slot = &floors->slots[at];
        if (slot->sequence == 0 || (memcmp(slot->tenant, tenant, ENTRY_ID_BYTES) == 0 &&
                                    memcmp(slot->scope, scope, ENTRY_ID_BYTES) == 0))
            return slot;
    }
}

static enum status grow(struct floors *floors)
{
    struct floors larger = {.capacity =
                                floors->capacity == 0 ? CAPACITY_FIRST : floors->capacity * 2};
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return STATUS_NO_MEMORY;
    larger.count = floors->count;
    for (uint32_t i = 0; i < floors->capacity; i++) {
        const struct manifest_floor *slot = &floors->slots[i];
        if (slot->sequence != 0)
            *find(&larger, slot->tenant, slot->scope) = *slot;
    }
    floors_deinit(floors);
    *floors = larger;
    return STATUS_OK;
}

enum status floors_add(struct floors *floors, const struct manifest_floor *floor)
{
    if (floor->sequence == 0)
        return STATUS_OK;
    if (2 * (floors->count + 1) > floors->capacity && grow(floors) != STATUS_OK)
        return STATUS_NO_MEMORY;
    struct manifest_floor *slot = find(floors, floor->tenant, floor->scope);
    floors->count += slot->sequence == 0;
    if (slot->sequence < floor->sequence)
        *slot = *floor;
    assert(2 * floors->count <= floors->capacity);
    return STATUS_OK;
}

bool floors_hold(const struct floors *floors, const uint8_t *tenant, const uint8_t *scope,
                 uint64_t sequence)
{
    if (floors->count == 0)
        return false;
    return find(floors, tenant, scope)->sequence >= sequence ||
           find(floors, tenant, all)->sequence >= sequence ||
           find(floors, all, scope)->sequence >= sequence ||
           find(floors, all, all)->sequence >= sequence;
}

enum status floors_list(const struct floors *floors, struct manifest *manifest)
{
    assert(manifest->floors_count == 0);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < floors->capacity; i++) {
        if (floors->slots[i].sequence != 0)
            status = manifest_add_floor(manifest, &floors->slots[i]);
    }
    return status;
}
