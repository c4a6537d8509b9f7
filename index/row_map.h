/*
 * row_map.h - entry id to its rows, so that a removal need not look at every row. An id may have
 * several rows, each with a sequence of its own.
 *
 * Threads: the writer's only (it holds PARTITION); searches never come here.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "index/memory.h"
#include "index/rows.h"

struct row_at {
    struct rows_chunk *chunk;
    uint32_t row;
};

struct row_map_slot;

struct row_map {
    struct memory *memory;
    struct row_map_slot *slots; /* a power of two of them; NULL before the first row */
    uint32_t slots_count;
    uint32_t used;
};

void row_map_init(struct row_map *map, struct memory *memory);
void row_map_deinit(struct row_map *map);

/* Makes room for one more row; STATUS_NO_MEMORY leaves the map as it was. */
enum status row_map_reserve(struct row_map *map);
/* The row is published and alive, and room was reserved. */
void row_map_insert(struct row_map *map, struct row_at at);

/* Takes one row of that entry at or below the sequence out of the map; false if there is none (any
 * more). */
bool row_map_take(struct row_map *map, const struct digest *id, uint64_t sequence,
                  struct row_at *out_at);
/* The row of that entry and that very sequence; false if it does not live. */
bool row_map_find(const struct row_map *map, const struct digest *id, uint64_t sequence,
                  struct row_at *out_at);
/* A row that is in the map has been copied elsewhere. */
void row_map_move(struct row_map *map, struct row_at from, struct row_at to);
size_t row_map_size_bytes(const struct row_map *map);
