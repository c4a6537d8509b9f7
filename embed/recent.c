/*
 * recent.c - a ring of texts_max rows, each a digest and its vector, and a table from digest to
 * row. The table is open-addressed with linear probing and at most half full; a row leaves it by
 * moving back what probing had pushed behind it (Knuth, TAOCP 3, 6.4, algorithm R), so there are no
 * tombstones. SHA-256 stands for the text: who could make two texts of one digest could as well
 * make two entries of one key. Where a digest lies depends on the seed, so that nobody can choose
 * texts that all lie in one place.
 *
 * First in, first out. Least recently used was not worth a list: what is asked again and again is
 * an exact hit of the cache and never comes here.
 *
 * Owns its rows. Threads: one at a time.
 */
#include "embed/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct recent {
    uint32_t texts_max, dimension;
    uint32_t count;         /* rows in use                                    */
    uint32_t oldest;        /* of a full ring: the row that gives way         */
    uint32_t slots_mask;    /* slots are a power of two, at least 2 texts_max */
    uint8_t key[16];        /* of digest_siphash                              */
    uint32_t *slots;        /* row + 1; 0: free                               */
    struct digest *digests; /* of each row                                    */
    float *units;           /* [texts_max][dimension]                         */
};

enum status recent_create(uint32_t texts_max, uint32_t dimension, uint64_t seed,
                          struct recent **out_recent)
{
    assert(texts_max <= RECENT_TEXTS_MAX);
    assert(dimension > 0);
    struct recent *recent = calloc(1, sizeof(*recent));
    if (recent == NULL)
        return STATUS_NO_MEMORY;
    uint32_t slots_count = 2;
    while (slots_count < 2 * texts_max)
        slots_count *= 2;
    *recent = (struct recent){
        .texts_max = texts_max, .dimension = dimension, .slots_mask = slots_count - 1};
    memcpy(recent->key, &seed, sizeof(seed));
    recent->slots = calloc(slots_count, sizeof(*recent->slots));
    recent->digests = calloc(texts_max + 1, sizeof(*recent->digests));
    recent->units = calloc((size_t)texts_max + 1, dimension * sizeof(*recent->units));
    if (recent->slots == NULL || recent->digests == NULL || recent->units == NULL)
        goto destroy_recent;
    *out_recent = recent;
    return STATUS_OK;

destroy_recent:
    recent_destroy(&recent);
    return STATUS_NO_MEMORY;
}

void recent_destroy(struct recent **recent)
{
    struct recent *doomed = *recent;
    if (doomed == NULL)
        return;
    *recent = NULL;
    free(doomed->units);
    free(doomed->digests);
    free(doomed->slots);
    free(doomed);
}

static uint32_t home_of(const struct recent *recent, const struct digest *text)
{
    return (uint32_t)digest_siphash(recent->key, text->bytes, sizeof(text->bytes)) &
           recent->slots_mask;
}

/* The slot that holds the text, or the free one where it belongs. */
static uint32_t slot_of(const struct recent *recent, const struct digest *text)
{
    uint32_t slot = home_of(recent, text);
    while (recent->slots[slot] != 0 &&
           !digest_equal(&recent->digests[recent->slots[slot] - 1], text))
        slot = (slot + 1) & recent->slots_mask;
    return slot;
}

bool recent_find(const struct recent *recent, const struct digest *text, float *out_unit)
{
    const uint32_t row_plus_one = recent->slots[slot_of(recent, text)];
    if (row_plus_one == 0)
        return false;
    assert(row_plus_one <= recent->count);
    memcpy(out_unit, recent->units + (size_t)(row_plus_one - 1) * recent->dimension,
           recent->dimension * sizeof(*out_unit));
    return true;
}

/* Frees the slot and moves back whoever could then no longer be found from home. */
static void slot_free(struct recent *recent, uint32_t slot)
{
    const uint32_t mask = recent->slots_mask;
    for (uint32_t next = (slot + 1) & mask; recent->slots[next] != 0; next = (next + 1) & mask) {
        const uint32_t home = home_of(recent, &recent->digests[recent->slots[next] - 1]);
        if (((next - home) & mask) < ((next - slot) & mask))
            continue; /* its home lies behind the hole */
        recent->slots[slot] = recent->slots[next];
        slot = next;
    }
    recent->slots[slot] = 0;
}

/* A row for a new text: a fresh one, or that of the oldest. */
static uint32_t row_take(struct recent *recent)
{
    if (recent->count < recent->texts_max)
        return recent->count++;
    const uint32_t row = recent->oldest;
    recent->oldest = (row + 1) % recent->texts_max;
    const uint32_t slot = slot_of(recent, &recent->digests[row]);
    assert(recent->slots[slot] == row + 1);
    slot_free(recent, slot);
    return row;
}

void recent_insert(struct recent *recent, const struct digest *text, const float *unit)
{
    if (recent->texts_max == 0 || recent->slots[slot_of(recent, text)] != 0)
        return;
    const uint32_t row = row_take(recent);
    assert(row < recent->count);
    recent->digests[row] = *text;
    memcpy(recent->units + (size_t)row * recent->dimension, unit,
           recent->dimension * sizeof(*unit));
    recent->slots[slot_of(recent, text)] = row + 1;
}
