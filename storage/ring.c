/*
 * ring.c - a queue of entries with removal from the middle. A slot is a position that never moves
 * when the ring grows, so growing copies pointers and touches no entry; only packing renumbers. A
 * doubly linked list was rejected: two pointers an entry instead of one slot number, and each
 * removal would touch both neighbours.
 */
#include "storage/ring.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/entry_block.h"

enum { CAPACITY_MIN = 16 };

static const uint32_t capacity_max = (uint32_t)1 << 31;

static struct entry **slot_at(const struct ring *ring, uint32_t position)
{
    return &ring->slots[position & (ring->capacity - 1)];
}

static uint32_t span_of(const struct ring *ring)
{
    const uint32_t span = ring->tail - ring->head;
    assert(span <= ring->capacity);
    return span;
}

void ring_deinit(struct ring *ring)
{
    free(ring->slots);
    *ring = (struct ring){0};
}

static void pack(struct ring *ring)
{
    uint32_t to = ring->head;
    for (uint32_t from = ring->head; from != ring->tail; from++) {
        struct entry *entry = *slot_at(ring, from);
        if (entry == NULL)
            continue;
        entry->slot = to;
        *slot_at(ring, to) = entry;
        to++;
    }
    ring->tail = to;
    assert(span_of(ring) == ring->entries_count);
}

static enum status enlarge(struct ring *ring)
{
    if (ring->capacity == capacity_max)
        return STATUS_NO_MEMORY;
    struct ring larger = *ring;
    larger.capacity = ring->capacity == 0 ? CAPACITY_MIN : ring->capacity * 2;
    larger.slots = calloc(larger.capacity, sizeof(struct entry *));
    if (larger.slots == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t position = ring->head; position != ring->tail; position++)
        *slot_at(&larger, position) = *slot_at(ring, position);
    free(ring->slots);
    *ring = larger;
    return STATUS_OK;
}

static enum status make_room(struct ring *ring)
{
    if (span_of(ring) < ring->capacity)
        return STATUS_OK;
    if (ring->capacity > 0 && ring->entries_count <= ring->capacity / 2) {
        pack(ring);
        return STATUS_OK;
    }
    const enum status status = enlarge(ring);
    if (status == STATUS_OK || ring->entries_count == ring->capacity)
        return status;
    pack(ring); /* little is won, but it is won without memory */
    return STATUS_OK;
}

enum status ring_push(struct ring *ring, struct entry *entry)
{
    const enum status status = make_room(ring);
    if (status != STATUS_OK)
        return status;
    entry->slot = ring->tail;
    *slot_at(ring, ring->tail) = entry;
    ring->tail++;
    ring->entries_count++;
    ring->size_bytes += entry_charge(entry);
    assert(ring->entries_count <= span_of(ring));
    return STATUS_OK;
}

/* The head never rests on a hole. */
static void skip_holes(struct ring *ring)
{
    while (ring->head != ring->tail && *slot_at(ring, ring->head) == NULL)
        ring->head++;
}

void ring_remove(struct ring *ring, struct entry *entry)
{
    assert(ring->entries_count > 0);
    assert(*slot_at(ring, entry->slot) == entry);
    assert(ring->size_bytes >= entry_charge(entry));
    *slot_at(ring, entry->slot) = NULL;
    ring->entries_count--;
    ring->size_bytes -= entry_charge(entry);
    skip_holes(ring);
}

struct entry *ring_pop(struct ring *ring)
{
    if (ring->entries_count == 0)
        return NULL;
    struct entry *entry = *slot_at(ring, ring->head);
    assert(entry != NULL);
    assert(entry->slot == ring->head);
    ring_remove(ring, entry);
    return entry;
}

void ring_replace(struct ring *ring, struct entry *old_entry, struct entry *new_entry)
{
    struct entry **slot = slot_at(ring, old_entry->slot);
    assert(*slot == old_entry);
    assert(ring->size_bytes >= entry_charge(old_entry));
    *slot = new_entry;
    new_entry->slot = old_entry->slot;
    ring->size_bytes += entry_charge(new_entry);
    ring->size_bytes -= entry_charge(old_entry);
}

void ring_renew(struct ring *ring, struct entry *entry)
{
    assert(*slot_at(ring, entry->slot) == entry);
    if (entry->slot == ring->tail - 1 || make_room(ring) != STATUS_OK)
        return;
    *slot_at(ring, entry->slot) = NULL; /* make_room may have packed: the slot is read after it */
    entry->slot = ring->tail;
    *slot_at(ring, ring->tail) = entry;
    ring->tail++;
    skip_holes(ring);
    assert(ring->entries_count <= span_of(ring));
}
