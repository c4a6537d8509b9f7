/*
 * row_map.c - entry id to rows: open addressing, linear probing, at most three quarters full.
 *
 * A slot is 16 bytes: where the row lies, and 32 bits of hash, so that probing does not touch the
 * rows of others. Ids are SHA-256, hence any 4 bytes of them are a hash already. Slots are taken
 * out by shifting the rest of the cluster back (Knuth, TAOCP 6.4, algorithm R): no marks are left
 * behind that would slow a partition down as it churns.
 *
 * THREADS. The writer's only.
 *
 * NOT HERE. Whether the row is marked dead: rows.c.
 */
#include "index/row_map.h"

#include <assert.h>
#include <string.h>

enum { SLOTS_FIRST = 8 };

struct row_map_slot {
    struct rows_chunk *chunk; /* NULL: free */
    uint32_t row;
    uint32_t hash;
};

void row_map_init(struct row_map *map, struct memory *memory)
{
    *map = (struct row_map){.memory = memory};
}

void row_map_deinit(struct row_map *map)
{
    if (map->slots != NULL)
        memory_free(map->memory, map->slots, map->slots_count * sizeof(*map->slots));
    map->slots = NULL;
    map->slots_count = map->used = 0;
}

static uint32_t hash_of(const struct digest *id)
{
    uint32_t hash;
    memcpy(&hash, id->bytes + 16, sizeof(hash));
    return hash;
}

static uint32_t next_slot(const struct row_map *map, uint32_t slot)
{
    return (slot + 1) & (map->slots_count - 1);
}

static uint32_t home_of(const struct row_map *map, uint32_t hash)
{
    assert(map->slots_count > 0);
    return hash & (map->slots_count - 1);
}

static void put(struct row_map *map, const struct row_map_slot *entry)
{
    uint32_t slot = home_of(map, entry->hash);
    while (map->slots[slot].chunk != NULL)
        slot = next_slot(map, slot);
    map->slots[slot] = *entry;
    map->used++;
    assert(map->used < map->slots_count); /* a free slot ends every probe */
}

static enum status grow(struct row_map *map)
{
    struct row_map bigger = {.memory = map->memory,
                             .slots_count =
                                 map->slots_count > 0 ? map->slots_count * 2 : SLOTS_FIRST};
    const size_t size_bytes = bigger.slots_count * sizeof(*bigger.slots);
    bigger.slots = memory_alloc(map->memory, MEMORY_ROWS, size_bytes);
    if (bigger.slots == NULL)
        return STATUS_NO_MEMORY;
    memset(bigger.slots, 0, size_bytes);
    for (uint32_t i = 0; i < map->slots_count; i++)
        if (map->slots[i].chunk != NULL)
            put(&bigger, &map->slots[i]);
    assert(bigger.used == map->used);
    row_map_deinit(map);
    *map = bigger;
    return STATUS_OK;
}

enum status row_map_reserve(struct row_map *map)
{
    if ((uint64_t)(map->used + 1) * 4 <= (uint64_t)map->slots_count * 3)
        return STATUS_OK;
    return grow(map);
}

void row_map_insert(struct row_map *map, struct row_at at)
{
    assert(at.row < rows_chunk_count(at.chunk));
    assert(!rows_chunk_is_dead(at.chunk, at.row));
    assert((uint64_t)(map->used + 1) * 4 <= (uint64_t)map->slots_count * 3);
    put(map, &(struct row_map_slot){at.chunk, at.row, hash_of(&at.chunk->ids[at.row])});
}

/* Frees a slot and shifts back what probed past it: whatever lies behind in the cluster and may
 * start here. */
static void take_out(struct row_map *map, uint32_t hole)
{
    const uint32_t mask = map->slots_count - 1;
    for (uint32_t slot = next_slot(map, hole); map->slots[slot].chunk != NULL;
         slot = next_slot(map, slot)) {
        const uint32_t home = home_of(map, map->slots[slot].hash);
        if (((slot - home) & mask) < ((slot - hole) & mask))
            continue; /* its home lies behind the hole */
        map->slots[hole] = map->slots[slot];
        hole = slot;
    }
    map->slots[hole] = (struct row_map_slot){0};
    assert(map->used > 0);
    map->used--;
}

bool row_map_take(struct row_map *map, const struct digest *id, uint64_t sequence,
                  struct row_at *out_at)
{
    if (map->used == 0)
        return false;
    const uint32_t hash = hash_of(id);
    for (uint32_t slot = home_of(map, hash); map->slots[slot].chunk != NULL;
         slot = next_slot(map, slot)) {
        const struct row_map_slot *entry = &map->slots[slot];
        if (entry->hash != hash || entry->chunk->sequences[entry->row] > sequence ||
            !digest_equal(&entry->chunk->ids[entry->row], id))
            continue;
        *out_at = (struct row_at){entry->chunk, entry->row};
        take_out(map, slot);
        return true;
    }
    return false;
}

bool row_map_find(const struct row_map *map, const struct digest *id, uint64_t sequence,
                  struct row_at *out_at)
{
    if (map->used == 0)
        return false;
    const uint32_t hash = hash_of(id);
    for (uint32_t slot = home_of(map, hash); map->slots[slot].chunk != NULL;
         slot = next_slot(map, slot)) {
        const struct row_map_slot *entry = &map->slots[slot];
        if (entry->hash != hash || entry->chunk->sequences[entry->row] != sequence ||
            !digest_equal(&entry->chunk->ids[entry->row], id))
            continue;
        *out_at = (struct row_at){entry->chunk, entry->row};
        return true;
    }
    return false;
}

size_t row_map_size_bytes(const struct row_map *map)
{
    return map->slots_count * sizeof(*map->slots);
}

void row_map_move(struct row_map *map, struct row_at from, struct row_at to)
{
    assert(map->used > 0);
    uint32_t slot = home_of(map, hash_of(&from.chunk->ids[from.row]));
    while (map->slots[slot].chunk != from.chunk || map->slots[slot].row != from.row) {
        assert(map->slots[slot].chunk != NULL); /* every living row is in the map */
        slot = next_slot(map, slot);
    }
    map->slots[slot].chunk = to.chunk;
    map->slots[slot].row = to.row;
}
