/*
 * deletions.c - a map by open addressing, at most three quarters full. Its hash is keyed, as the
 * table's is: who could choose digests would fill one stretch of it.
 *
 * THREADS. The caller's.
 */
#include "storage/deletions.h"

#include <assert.h>
#include <stdlib.h>

enum { CAPACITY_FIRST = 1024 };

void deletions_deinit(struct deletions *deletions)
{
    free(deletions->slots);
    deletions->slots = NULL;
    deletions->count = deletions->capacity = 0;
}

/* The digest's slot, or the free one where it would stand. */
static struct deletion *slot_of(const struct deletions *deletions, const struct digest *digest)
{
    assert(deletions->count < deletions->capacity);
    const uint64_t mask = deletions->capacity - 1;
    uint64_t place =
        digest_siphash(deletions->hash_key, digest->bytes, sizeof(digest->bytes)) & mask;
    while (deletions->slots[place].sequence != 0 &&
           !digest_equal(&deletions->slots[place].digest, digest))
        place = (place + 1) & mask;
    return &deletions->slots[place];
}

static enum status grow(struct deletions *deletions)
{
    assert(deletions->capacity == 0 || deletions->slots != NULL);
    struct deletions larger = *deletions;
    larger.capacity = deletions->capacity == 0 ? CAPACITY_FIRST : deletions->capacity * 2;
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return STATUS_NO_MEMORY;
    for (uint64_t i = 0; i < deletions->capacity; i++) {
        if (deletions->slots[i].sequence != 0)
            *slot_of(&larger, &deletions->slots[i].digest) = deletions->slots[i];
    }
    free(deletions->slots);
    *deletions = larger;
    return STATUS_OK;
}

enum status deletions_add(struct deletions *deletions, const struct digest *digest,
                          uint64_t sequence)
{
    assert(sequence != 0);
    if (deletions->count >= deletions->capacity / 4 * 3) {
        const enum status status = grow(deletions);
        if (status != STATUS_OK)
            return status;
    }
    struct deletion *slot = slot_of(deletions, digest);
    deletions->count += slot->sequence == 0 ? 1 : 0;
    slot->digest = *digest;
    if (sequence > slot->sequence)
        slot->sequence = sequence;
    return STATUS_OK;
}

bool deletions_cover(const struct deletions *deletions, const struct digest *digest,
                     uint64_t sequence)
{
    assert(sequence != 0);
    return deletions->count > 0 && slot_of(deletions, digest)->sequence >= sequence;
}
