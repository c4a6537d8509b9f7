/*
 * rows.h - chunks of rows: one block each, the arrays that a scan reads in front, what only hits
 * need behind. A row never moves inside its chunk.
 *
 * Threads: one writer at a time (it holds PARTITION); readers, inside an epoch, see the rows below
 * the count they loaded.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "index/memory.h"
#include "index/partition.h"

enum { ROWS_CHUNK_FIRST = 4, ROWS_CHUNK_MAX = 4096 };

/* What becomes of a chunk in the next view; set and cleared within one hold of PARTITION. */
enum rows_mark {
    ROWS_STAY,
    ROWS_LEAVE, /* its living rows have been copied                 */
    ROWS_JOIN,  /* it is listed among the chunks of the new segment */
};

#define ROWS_NOT_COPIED UINT32_MAX

/* While rows are moving: where their copies lie, so that whoever dies meanwhile dies in both. */
struct rows_copies {
    struct rows_chunk *const *fresh; /* outlives this                                             */
    uint32_t
        *places; /* of each row: number in `fresh` x ROWS_CHUNK_MAX + row, or ROWS_NOT_COPIED */
};

struct rows_chunk {
    struct epoch_retired retired; /* once no view of writers has it */
    struct memory *memory;        /* where the block was charged    */
    size_t size_bytes;
    size_t row_bytes;             /* of codes, padded           */
    _Atomic uint32_t holders;     /* rows_chunk_acquire         */
    uint32_t capacity;            /* rows                       */
    uint32_t dimension;           /* floats of a re-rank row    */
    uint32_t rows_dead;           /* the writer's only          */
    enum rows_mark mark;          /* the writer's only          */
    bool frozen;                  /* the writer's only: is being copied, takes no more rows */
    struct rows_copies copies;    /* the writer's only; places NULL: none */
    atomic_bool tags_differ;      /* set before the first row with another tag is published */
    _Atomic uint32_t rows_count;  /* published rows                                         */
    uint8_t *codes;               /* hot: scanned                                           */
    float *scales;                /* hot: what a code of 1 stands for                       */
    uint32_t *tags;               /* hot                                                    */
    int64_t *expiries_ms;         /* warm: read for rows that beat the worst candidate      */
    _Atomic uint64_t *tombstones; /* warm: a bit a row                                      */
    uint64_t *sequences;          /* cold, as all below: read for candidates                */
    struct digest *ids;
    uint8_t *sides; /* INDEX_SIDE_BYTES a row                                 */
    float *units;   /* for the re-rank, `dimension` a row                     */
};

/* Rows of the next chunk of a partition that has room for so many: 4, 16, 64, 256, 1024, then
 * 4096. */
uint32_t rows_capacity_next(uint64_t capacity_total);

/* STATUS_NO_MEMORY if the budget or the machine has no room. */
enum status rows_chunk_create(struct memory *memory, enum memory_use use, uint32_t dimension,
                              uint32_t capacity, struct rows_chunk **out_chunk);
/* One more holds it, until its own rows_chunk_destroy: who reads it outside of any epoch. By who
 * may still see it. */
void rows_chunk_acquire(struct rows_chunk *chunk);
/* The last holder's frees it. */
void rows_chunk_destroy(struct rows_chunk **chunk);

/* For epoch_retire: rows_chunk_destroy of the chunk that the link lies in. */
void rows_chunk_release(struct epoch_retired *retired);

/* The writer's verbs. Both return the row's number; the chunk is not full. A row is complete before
 * it can be counted. */
uint32_t rows_chunk_append(struct rows_chunk *chunk, const struct index_row *row);
uint32_t rows_chunk_copy(struct rows_chunk *chunk, const struct rows_chunk *from, uint32_t row);
/* Marks a living row as dead, and its copy. */
void rows_chunk_kill(struct rows_chunk *chunk, uint32_t row);

/* ---- rows that come back (snapshot.h) -------------------------------------------------------- */

/* Codes, scales, tags and sequences have been set: a full chunk of dead rows. */
void rows_chunk_await(struct rows_chunk *chunk);
/* If it is the dead row's vector and tag, to the bit, the row lives; else nothing has changed.
 * Nobody searches the chunk. */
bool rows_chunk_revive(struct rows_chunk *chunk, uint32_t row, const struct index_row *from);
/* Rows that stayed dead get the vectors that their codes stand for: centroids are found over them.
 */
void rows_chunk_give_up(struct rows_chunk *chunk);

static inline uint32_t rows_chunk_count(const struct rows_chunk *chunk)
{
    return atomic_load_explicit(&chunk->rows_count, memory_order_acquire);
}

static inline bool rows_chunk_is_full(const struct rows_chunk *chunk)
{
    return rows_chunk_count(chunk) == chunk->capacity;
}

static inline bool rows_chunk_is_dead(const struct rows_chunk *chunk, uint32_t row)
{
    const uint64_t bits = atomic_load_explicit(&chunk->tombstones[row / 64], memory_order_relaxed);
    return (bits >> (row % 64) & 1) != 0;
}

static inline const float *rows_chunk_unit(const struct rows_chunk *chunk, uint32_t row)
{
    return chunk->units + (size_t)row * chunk->dimension;
}
