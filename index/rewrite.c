/*
 * rewrite.c - dead rows leave: the living rows of chunks that have many dead ones are packed into
 * fresh chunks.
 *
 * WHEN. More than 20 % and at least 1,000 rows are dead (Lucene rewrites from 40 %, Qdrant vacuums
 * from 20 %); from 64 rows on when memory is tight, or when more rows are dead than alive: each of
 * these copies at most eight rows for one that was removed.
 *
 * HOW. Chunk by chunk, not all rows at once: a full index can then be cleaned with the memory of
 * one chunk, which memory.c keeps for this. A pass copies at most 16,384 rows, so that inserts of
 * the scope wait for milliseconds only; the next removal does the next pass. Searches go on in the
 * old view. Afterwards the dead share is below 10 %, or another pass is due.
 *
 * THREADS. The writer, holding PARTITION: so no row dies between copying and publishing.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/check.h"
#include "index/partition_inside.h"

enum {
    DEAD_PERCENT = 20,
    DEAD_MIN = 1000,
    DEAD_MIN_TIGHT = 64,
    VICTIM_DEAD_PERCENT = 10,
    VICTIM_CAPACITY_SMALL = ROWS_CHUNK_MAX / 2, /* smaller chunks are merged on the way */
    PASS_ROWS_MAX = 4 * ROWS_CHUNK_MAX,
};

/* One pass: the new list of chunks as it grows, and the sums of what left. */
struct pass {
    struct view *next;
    struct rows_chunk *fresh; /* is being filled */
    uint64_t rows_copied;
    uint32_t chunks_dropped;
    uint64_t rows_dropped; /* dead ones, with their chunks */
    bool out_of_memory;
};

bool partition_rewrite_is_due(const struct partition *partition)
{
    const uint64_t dead = partition->rows_dead, live = partition_rows(partition);
    if (live == 0 || dead < DEAD_MIN_TIGHT) /* an empty partition is retired as a whole */
        return false;
    if (dead > live)
        return true;
    if (dead * 100 <= (dead + live) * DEAD_PERCENT)
        return false;
    return dead >= DEAD_MIN || memory_is_tight(partition->memory);
}

static uint32_t chunk_live(const struct rows_chunk *chunk)
{
    assert(chunk->rows_dead <= rows_chunk_count(chunk));
    return rows_chunk_count(chunk) - chunk->rows_dead;
}

static bool has_gain(const struct rows_chunk *chunk)
{
    return (uint64_t)chunk->rows_dead * 100 >=
               (uint64_t)rows_chunk_count(chunk) * VICTIM_DEAD_PERCENT &&
           chunk->rows_dead > 0;
}

static bool is_victim(const struct rows_chunk *chunk)
{
    return has_gain(chunk) || chunk->capacity < VICTIM_CAPACITY_SMALL;
}

/* How many living rows the next fresh chunk will get: of victims from `first` on, as long as they
 * fit together. */
static uint32_t group_rows(const struct view *view, uint32_t first)
{
    uint32_t rows = 0;
    for (uint32_t i = first; i < view->chunks_count; i++) {
        if (!is_victim(view->chunks[i]))
            continue;
        if (rows + chunk_live(view->chunks[i]) > ROWS_CHUNK_MAX)
            break;
        rows += chunk_live(view->chunks[i]);
    }
    return rows;
}

static void keep(struct pass *pass, struct rows_chunk *chunk)
{
    pass->next->chunks[pass->next->chunks_count++] = chunk;
}

/* For as many victims as fit into one chunk; where memory is short, for this one alone. */
static enum status create_fresh(struct partition *partition, const struct view *view, uint32_t at,
                                struct rows_chunk **out_fresh) REQUIRES(partition->lock)
{
    const uint32_t together = group_rows(view, at), alone = chunk_live(view->chunks[at]);
    assert(together >= alone);
    const enum status status = rows_chunk_create(partition->memory, MEMORY_REWRITE,
                                                 partition->dimension, together, out_fresh);
    if (status == STATUS_OK || together == alone)
        return status;
    return rows_chunk_create(partition->memory, MEMORY_REWRITE, partition->dimension, alone,
                             out_fresh);
}

static bool fresh_is_full(const struct pass *pass)
{
    return pass->fresh == NULL || rows_chunk_is_full(pass->fresh);
}

/* Sees to it that pass->fresh takes the chunk's living rows; false when there is no memory. */
static bool make_room(struct partition *partition, struct pass *pass, const struct view *view,
                      uint32_t at) REQUIRES(partition->lock)
{
    if (!fresh_is_full(pass))
        return true; /* it was made for this chunk too */
    struct rows_chunk *fresh = NULL;
    if (create_fresh(partition, view, at, &fresh) != STATUS_OK)
        return false;
    keep(pass, fresh);
    pass->fresh = fresh;
    partition->capacity += fresh->capacity;
    return true;
}

static void copy_living(struct partition *partition, struct pass *pass, struct rows_chunk *chunk)
    REQUIRES(partition->lock)
{
    const uint32_t count = rows_chunk_count(chunk);
    for (uint32_t row = 0; row < count; row++) {
        if (rows_chunk_is_dead(chunk, row))
            continue;
        const uint32_t copy = rows_chunk_copy(pass->fresh, chunk, row);
        row_map_move(&partition->map, (struct row_at){chunk, row},
                     (struct row_at){pass->fresh, copy});
        pass->rows_copied++;
    }
}

/* The chunk's living rows go to a fresh chunk, the chunk into the garbage; without memory it stays.
 */
static void rewrite_chunk(struct partition *partition, struct pass *pass, const struct view *view,
                          uint32_t at, struct garbage *garbage) REQUIRES(partition->lock)
{
    struct rows_chunk *chunk = view->chunks[at];
    if (chunk_live(chunk) > 0) {
        if (!make_room(partition, pass, view, at)) {
            pass->out_of_memory = true;
            keep(pass, chunk);
            return;
        }
        copy_living(partition, pass, chunk);
    }
    if (partition->growing == chunk)
        partition->growing = NULL;
    assert(partition->capacity >= chunk->capacity);
    partition->capacity -= chunk->capacity;
    pass->rows_dropped += chunk->rows_dead;
    pass->chunks_dropped++;
    garbage_add(garbage, &chunk->retired, rows_chunk_release);
}

/* Chunks without a living row cost nothing to drop; the others only as far as this pass goes. */
static bool is_taken(const struct pass *pass, const struct rows_chunk *chunk)
{
    if (!is_victim(chunk))
        return false;
    if (chunk_live(chunk) == 0)
        return true;
    return !pass->out_of_memory && (pass->rows_copied < PASS_ROWS_MAX || !fresh_is_full(pass));
}

static bool worth_a_pass(const struct view *view)
{
    for (uint32_t i = 0; i < view->chunks_count; i++)
        if (has_gain(view->chunks[i]))
            return true;
    return false;
}

static void count_dropped(struct partition *partition, uint64_t rows) REQUIRES(partition->lock)
{
    assert(partition->rows_dead >= rows);
    partition->rows_dead -= rows;
    atomic_fetch_sub_explicit(&partition->totals->rows_dead, rows, memory_order_relaxed);
}

bool partition_rewrite(struct partition *partition, struct garbage *garbage)
{
    struct view *view = atomic_load_explicit(&partition->view, memory_order_relaxed);
    struct pass pass = {0};
    if (!worth_a_pass(view) || view_create(view->chunks_count, &pass.next) != STATUS_OK)
        return false;
    for (uint32_t i = 0; i < view->chunks_count; i++) {
        if (is_taken(&pass, view->chunks[i]))
            rewrite_chunk(partition, &pass, view, i, garbage);
        else
            keep(&pass, view->chunks[i]);
    }
    if (pass.chunks_dropped == 0) { /* no memory for even one */
        free(pass.next);
        return false;
    }
    assert(fresh_is_full(&pass));
    assert(pass.next->chunks_count <= view->chunks_count); /* a fresh one stands for one or more */
    count_dropped(partition, pass.rows_dropped);
    partition_publish(partition, pass.next, garbage);
    assert_slow(partition->map.used == partition_rows(partition));
    return pass.rows_dropped > 0;
}
