/*
 * rows.c - chunks of rows.
 *
 * ONE BLOCK holds the header and all arrays, each 64-byte aligned, in the order of struct
 * rows_chunk:
 *
 *   codes row_bytes | scale 4 | tag 4 | expiry 8 | tombstone 1/8 |
 *   sequence 8 | id 32 | side 64 | unit 4 x dimension
 *
 * bytes a row; with 384 dimensions 2040, of which a scan reads 388. Expiry is whole milliseconds:
 * to shorten it to seconds saves 4 bytes and would let a row live up to a second too long, in the
 * way of a living one.
 *
 * THREADS. One writer, holding PARTITION; a row is filled, then published by a release store of
 * the count. Readers acquire the count. Tombstones are set later and atomic. Nothing else of a
 * published row ever changes.
 *
 * NOT HERE. Which chunks a partition has (partition.c), which are rewritten (rewrite.c).
 */
#include "index/rows.h"

#include <assert.h>
#include <string.h>

#include "index/vector.h"

enum { ARRAY_ALIGN = 64 };

uint32_t rows_capacity_next(uint64_t capacity_total)
{
    uint64_t below = 0;
    for (uint32_t capacity = ROWS_CHUNK_FIRST; capacity < ROWS_CHUNK_MAX; capacity *= 4) {
        below += capacity;
        if (capacity_total < below)
            return capacity;
    }
    return ROWS_CHUNK_MAX;
}

/* ---- the block ------------------------------------------------------------------------------- */

static size_t aligned(size_t bytes)
{
    return (bytes + ARRAY_ALIGN - 1) / ARRAY_ALIGN * ARRAY_ALIGN;
}

/* Takes the next array out of the block; a block of NULL only counts. */
static void *take(uint8_t *block, size_t *offset, size_t count, size_t element_bytes)
{
    void *array = block != NULL ? block + *offset : NULL;
    *offset += aligned(count * element_bytes);
    return array;
}

/* Sets the arrays of `chunk` into the block and returns the block's size. */
static size_t lay_out(struct rows_chunk *chunk, uint8_t *block)
{
    const size_t rows = chunk->capacity;
    size_t offset = aligned(sizeof(*chunk));
    chunk->codes = take(block, &offset, rows, chunk->row_bytes);
    chunk->scales = take(block, &offset, rows, sizeof(*chunk->scales));
    chunk->tags = take(block, &offset, rows, sizeof(*chunk->tags));
    chunk->expiries_ms = take(block, &offset, rows, sizeof(*chunk->expiries_ms));
    chunk->tombstones = take(block, &offset, (rows + 63) / 64, sizeof(*chunk->tombstones));
    chunk->sequences = take(block, &offset, rows, sizeof(*chunk->sequences));
    chunk->ids = take(block, &offset, rows, sizeof(*chunk->ids));
    chunk->sides = take(block, &offset, rows, INDEX_SIDE_BYTES);
    chunk->units = take(block, &offset, rows * chunk->dimension, sizeof(*chunk->units));
    return offset;
}

enum status rows_chunk_create(struct memory *memory, enum memory_use use, uint32_t dimension,
                              uint32_t capacity, struct rows_chunk **out_chunk)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    assert(capacity > 0);
    assert(capacity <= ROWS_CHUNK_MAX);
    struct rows_chunk plan = {.memory = memory,
                              .row_bytes = vector_row_bytes(dimension),
                              .capacity = capacity,
                              .dimension = dimension};
    plan.size_bytes = lay_out(&plan, NULL);
    uint8_t *block = memory_alloc(memory, use, plan.size_bytes);
    if (block == NULL)
        return STATUS_NO_MEMORY;
    (void)lay_out(&plan, block);
    memset(plan.tombstones, 0, (capacity + 63) / 64 * sizeof(*plan.tombstones));
    memcpy(block, &plan, sizeof(plan));
    *out_chunk = (struct rows_chunk *)block;
    atomic_init(&(*out_chunk)->holders, 1);
    return STATUS_OK;
}

void rows_chunk_acquire(struct rows_chunk *chunk)
{
    const uint32_t before = atomic_fetch_add_explicit(&chunk->holders, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

void rows_chunk_destroy(struct rows_chunk **chunk)
{
    struct rows_chunk *doomed = *chunk;
    if (doomed == NULL)
        return;
    *chunk = NULL;
    const uint32_t before = atomic_fetch_sub_explicit(&doomed->holders, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    memory_free(doomed->memory, doomed, doomed->size_bytes);
}

void rows_chunk_release(struct epoch_retired *retired)
{
    struct rows_chunk *chunk =
        (struct rows_chunk *)((char *)retired - offsetof(struct rows_chunk, retired));
    rows_chunk_destroy(&chunk);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static uint32_t next_row(const struct rows_chunk *chunk)
{
    const uint32_t row = atomic_load_explicit(&chunk->rows_count, memory_order_relaxed);
    assert(row < chunk->capacity);
    assert(!rows_chunk_is_dead(chunk, row));
    return row;
}

/* The row is complete before a reader can count it. */
static void publish(struct rows_chunk *chunk, uint32_t row)
{
    if (chunk->tags[row] != chunk->tags[0])
        atomic_store_explicit(&chunk->tags_differ, true, memory_order_relaxed);
    assert(row == atomic_load_explicit(&chunk->rows_count, memory_order_relaxed));
    atomic_store_explicit(&chunk->rows_count, row + 1, memory_order_release);
}

uint32_t rows_chunk_append(struct rows_chunk *chunk, const struct index_row *row)
{
    const uint32_t at = next_row(chunk);
    const size_t unit_bytes = chunk->dimension * sizeof(*chunk->units);
    chunk->scales[at] = vector_encode_row(row->unit, chunk->dimension,
                                          chunk->codes + (size_t)at * chunk->row_bytes);
    chunk->tags[at] = row->tag;
    chunk->expiries_ms[at] = row->expires_ms;
    chunk->sequences[at] = row->sequence;
    chunk->ids[at] = row->id;
    memcpy(chunk->sides + (size_t)at * INDEX_SIDE_BYTES, row->side, INDEX_SIDE_BYTES);
    memcpy(chunk->units + (size_t)at * chunk->dimension, row->unit, unit_bytes);
    publish(chunk, at);
    return at;
}

uint32_t rows_chunk_copy(struct rows_chunk *chunk, const struct rows_chunk *from, uint32_t row)
{
    assert(chunk->dimension == from->dimension);
    assert(row < rows_chunk_count(from)); /* it may die meanwhile: the caller looks again */
    const uint32_t at = next_row(chunk);
    memcpy(chunk->codes + (size_t)at * chunk->row_bytes,
           from->codes + (size_t)row * from->row_bytes, chunk->row_bytes);
    chunk->scales[at] = from->scales[row];
    chunk->tags[at] = from->tags[row];
    chunk->expiries_ms[at] = from->expiries_ms[row];
    chunk->sequences[at] = from->sequences[row];
    chunk->ids[at] = from->ids[row];
    memcpy(chunk->sides + (size_t)at * INDEX_SIDE_BYTES,
           from->sides + (size_t)row * INDEX_SIDE_BYTES, INDEX_SIDE_BYTES);
    memcpy(chunk->units + (size_t)at * chunk->dimension, rows_chunk_unit(from, row),
           chunk->dimension * sizeof(*chunk->units));
    publish(chunk, at);
    return at;
}

static struct rows_chunk *copy_of(const struct rows_chunk *chunk, uint32_t row, uint32_t *out_row)
{
    if (chunk->copies.places == NULL || chunk->copies.places[row] == ROWS_NOT_COPIED)
        return NULL;
    const uint32_t place = chunk->copies.places[row];
    *out_row = place % ROWS_CHUNK_MAX;
    return chunk->copies.fresh[place / ROWS_CHUNK_MAX];
}

void rows_chunk_kill(struct rows_chunk *chunk, uint32_t row)
{
    assert(row < rows_chunk_count(chunk));
    assert(!rows_chunk_is_dead(chunk, row));
    uint32_t copy_row = 0;
    struct rows_chunk *copy = copy_of(chunk, row, &copy_row);
    if (copy != NULL)
        rows_chunk_kill(copy, copy_row);
    atomic_fetch_or_explicit(&chunk->tombstones[row / 64], UINT64_C(1) << (row % 64),
                             memory_order_relaxed);
    chunk->rows_dead++;
    assert(chunk->rows_dead <= rows_chunk_count(chunk));
}

/* ---- rows that come back --------------------------------------------------------------------- */

void rows_chunk_await(struct rows_chunk *chunk)
{
    assert(chunk->capacity == ROWS_CHUNK_MAX);
    assert(rows_chunk_count(chunk) == 0);
    memset(chunk->tombstones, 0xff, ROWS_CHUNK_MAX / 64 * sizeof(*chunk->tombstones));
    memset(chunk->expiries_ms, 0, ROWS_CHUNK_MAX * sizeof(*chunk->expiries_ms));
    memset(chunk->ids, 0, ROWS_CHUNK_MAX * sizeof(*chunk->ids));
    for (uint32_t row = 1; row < ROWS_CHUNK_MAX; row++)
        if (chunk->tags[row] != chunk->tags[0])
            atomic_store_explicit(&chunk->tags_differ, true, memory_order_relaxed);
    chunk->rows_dead = ROWS_CHUNK_MAX;
    atomic_store_explicit(&chunk->rows_count, ROWS_CHUNK_MAX, memory_order_release);
}

/* One that was encoded by other rules, or comes from somewhere else, is another row. */
static bool is_same(const struct rows_chunk *chunk, uint32_t row, const struct index_row *from)
{
    uint8_t codes[VECTOR_DIMENSION_MAX];
    if (chunk->sequences[row] != from->sequence || chunk->tags[row] != from->tag)
        return false;
    const float scale = vector_encode_row(from->unit, chunk->dimension, codes);
    return scale == chunk->scales[row] &&
           memcmp(codes, chunk->codes + (size_t)row * chunk->row_bytes, chunk->row_bytes) == 0;
}

bool rows_chunk_revive(struct rows_chunk *chunk, uint32_t row, const struct index_row *from)
{
    assert(row < rows_chunk_count(chunk));
    if (!rows_chunk_is_dead(chunk, row) || !is_same(chunk, row, from))
        return false;
    chunk->expiries_ms[row] = from->expires_ms;
    chunk->ids[row] = from->id;
    memcpy(chunk->sides + (size_t)row * INDEX_SIDE_BYTES, from->side, INDEX_SIDE_BYTES);
    memcpy(chunk->units + (size_t)row * chunk->dimension, from->unit,
           chunk->dimension * sizeof(*chunk->units));
    atomic_fetch_and_explicit(&chunk->tombstones[row / 64], ~(UINT64_C(1) << (row % 64)),
                              memory_order_relaxed);
    assert(chunk->rows_dead > 0);
    chunk->rows_dead--;
    return true;
}

void rows_chunk_give_up(struct rows_chunk *chunk)
{
    for (uint32_t row = 0; row < rows_chunk_count(chunk); row++) {
        if (!rows_chunk_is_dead(chunk, row))
            continue;
        const uint8_t *codes = chunk->codes + (size_t)row * chunk->row_bytes;
        float *unit = chunk->units + (size_t)row * chunk->dimension;
        for (uint32_t i = 0; i < chunk->dimension; i++)
            unit[i] = (float)((int32_t)codes[i] - 128) * chunk->scales[row];
    }
}
