/*
 * rewrite.c - dead rows leave: the living rows of some chunks are copied into fresh ones.
 *
 * HOW. 1. Copy, holding nothing: a published row never changes, but for dying. 2. If the chunks
 * were a segment's, build one over the copies. 3. Chunk by chunk, holding PARTITION: kill the
 * copies of rows that died since, and note in the chunk where its copies lie; from here on a row
 * that dies, dies in both. 4. Publish a view with the fresh chunks instead of the old. 5. Chunk by
 * chunk, holding PARTITION: move the map's rows over. 6. Retire the old chunks.
 *
 * So no row is lost, revived, or found twice, and the lock is held for one chunk's rows at a time:
 * 4096 bits in step 3, 4096 slots of the map in step 5, a fraction of a millisecond. Copying under
 * the lock was measured first: 8 MiB a chunk, and all inserts of the scope behind it.
 *
 * MEMORY. A segment is copied as a whole or not at all; if that does not fit, it is dissolved
 * (builder.c) and its chunks are rewritten a few at a time, for which memory.c keeps a part.
 *
 * THREADS. One works on a partition (its state). Frozen chunks take no further row.
 *
 * NOT HERE. Which chunks, and when (plan.c).
 */
#include <assert.h>
#include <stdlib.h>

#include "base/check.h"
#include "index/job.h"

enum { STEP_ROWS = 256 }; /* copied between two looks at `stop` */

/* One run of a plan. */
struct rewrite {
    const struct job *job;
    const struct plan *plan;
    struct rows_chunk **fresh; /* room for one more than the plan has chunks */
    uint32_t **places;         /* of each of the plan's chunks               */
    uint32_t chunks_done;      /* of the plan's: copied                      */
    uint32_t fresh_count;
    uint32_t full_count;     /* of fresh, in front: those a segment can take */
    struct segment *segment; /* over these, or NULL                          */
};

static enum status rewrite_init(struct rewrite *rewrite, const struct job *job,
                                const struct plan *plan)
{
    *rewrite = (struct rewrite){.job = job, .plan = plan};
    rewrite->fresh = calloc(plan->chunks_count + 1, sizeof(*rewrite->fresh));
    rewrite->places = calloc(plan->chunks_count, sizeof(*rewrite->places));
    return rewrite->fresh != NULL && rewrite->places != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static size_t places_bytes(const struct rows_chunk *chunk)
{
    return rows_chunk_count(chunk) * sizeof(uint32_t);
}

/* What was published belongs to the view by now, and has been taken out of `fresh`. */
static void rewrite_deinit(struct rewrite *rewrite)
{
    struct memory *memory = rewrite->job->partition->memory;
    segment_destroy(&rewrite->segment);
    for (uint32_t i = 0; rewrite->fresh != NULL && i < rewrite->fresh_count; i++)
        rows_chunk_destroy(&rewrite->fresh[i]);
    for (uint32_t i = 0; rewrite->places != NULL && i < rewrite->plan->chunks_count; i++)
        if (rewrite->places[i] != NULL)
            memory_free(memory, rewrite->places[i], places_bytes(rewrite->plan->chunks[i]));
    free(rewrite->fresh);
    free(rewrite->places);
}

/* ---- 1: copy --------------------------------------------------------------------------------- */

static uint32_t count_living(const struct rows_chunk *chunk)
{
    uint32_t living = 0;
    const uint32_t count = rows_chunk_count(chunk);
    for (uint32_t row = 0; row < count; row++)
        living += !rows_chunk_is_dead(chunk, row);
    return living;
}

/* Of the chunk that is being filled. */
static uint32_t room_left(const struct rewrite *rewrite)
{
    if (rewrite->fresh_count == 0)
        return 0;
    const struct rows_chunk *last = rewrite->fresh[rewrite->fresh_count - 1];
    return last->capacity - rows_chunk_count(last);
}

static bool add_fresh(struct rewrite *rewrite, uint32_t capacity)
{
    struct partition *partition = rewrite->job->partition;
    assert(rewrite->fresh_count <= rewrite->plan->chunks_count);
    if (rows_chunk_create(partition->memory, MEMORY_REWRITE, partition->dimension, capacity,
                          &rewrite->fresh[rewrite->fresh_count]) != STATUS_OK)
        return false;
    rewrite->fresh_count++;
    return true;
}

/* Full size, unless the scope is small and all that is left to copy fits into less. `living` were
 * counted a moment ago: all of them may have died since, and a chunk has one row at least. */
static uint32_t fresh_capacity(const struct rewrite *rewrite, uint32_t living)
{
    uint64_t rows = partition_rows(rewrite->job->partition) >= ROWS_CHUNK_MAX ? ROWS_CHUNK_MAX : 0;
    for (uint32_t i = rewrite->chunks_done;
         rows < ROWS_CHUNK_MAX && i < rewrite->plan->chunks_count; i++)
        rows += count_living(rewrite->plan->chunks[i]);
    if (rows < living)
        rows = living;
    return rows < ROWS_CHUNK_MAX ? (uint32_t)rows : ROWS_CHUNK_MAX;
}

/* Short of memory, a chunk for just these rows will do, if that frees more than it takes. */
static bool make_room(struct rewrite *rewrite, const struct rows_chunk *chunk, uint32_t living)
{
    const uint32_t room = room_left(rewrite);
    if (living <= room || add_fresh(rewrite, fresh_capacity(rewrite, living)))
        return true;
    return room == 0 && rewrite->plan->segments_dropped == 0 && living < rows_chunk_count(chunk) &&
           add_fresh(rewrite, living);
}

/* Rows go where there is room, the older fresh chunk first. */
static uint32_t copy_row(struct rewrite *rewrite, const struct rows_chunk *chunk, uint32_t row)
{
    uint32_t to = rewrite->fresh_count - 1;
    if (to > 0 && !rows_chunk_is_full(rewrite->fresh[to - 1]))
        to--;
    return to * ROWS_CHUNK_MAX + rows_chunk_copy(rewrite->fresh[to], chunk, row);
}

static bool is_told_to_stop(const struct rewrite *rewrite)
{
    return atomic_load_explicit(rewrite->job->stop, memory_order_relaxed);
}

static enum status copy_rows(struct rewrite *rewrite, const struct rows_chunk *chunk,
                             uint32_t count, uint32_t *places)
{
    _Atomic uint32_t *rows_done = &rewrite->job->partition->work_rows_done;
    for (uint32_t first = 0; first < count; first += STEP_ROWS) {
        const uint32_t end = first + STEP_ROWS < count ? first + STEP_ROWS : count;
        uint32_t living = 0;
        if (is_told_to_stop(rewrite))
            return STATUS_CANCELLED;
        for (uint32_t row = first; row < end; row++) {
            const bool is_dead = rows_chunk_is_dead(chunk, row);
            places[row] = is_dead ? ROWS_NOT_COPIED : copy_row(rewrite, chunk, row);
            living += !is_dead;
        }
        atomic_fetch_add_explicit(rows_done, living, memory_order_relaxed);
    }
    return STATUS_OK;
}

static enum status copy_chunk(struct rewrite *rewrite, uint32_t at)
{
    struct partition *partition = rewrite->job->partition;
    const struct rows_chunk *chunk = rewrite->plan->chunks[at];
    const uint32_t count = rows_chunk_count(chunk), living = count_living(chunk);
    if (count == 0)
        return STATUS_OK; /* it leaves as it is */
    uint32_t *places = memory_alloc(partition->memory, MEMORY_REWRITE, places_bytes(chunk));
    rewrite->places[at] = places;
    if (places == NULL || (living > 0 && !make_room(rewrite, chunk, living)))
        return STATUS_NO_MEMORY;
    return copy_rows(rewrite, chunk, count, places);
}

static enum status copy_chunks(struct rewrite *rewrite)
{
    const struct plan *plan = rewrite->plan;
    for (; rewrite->chunks_done < plan->chunks_count; rewrite->chunks_done++) {
        const enum status status =
            is_told_to_stop(rewrite) ? STATUS_CANCELLED : copy_chunk(rewrite, rewrite->chunks_done);
        if (status == STATUS_CANCELLED)
            return status;
        if (status != STATUS_OK)
            break;
    }
    const bool is_whole = rewrite->chunks_done == plan->chunks_count;
    if (rewrite->chunks_done == 0 || (!is_whole && plan->segments_dropped != 0))
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

/* ---- 2: build -------------------------------------------------------------------------------- */

/* Without the memory for it the rows are scanned, until there is some. */
static enum status build(struct rewrite *rewrite)
{
    for (uint32_t i = 0; i < rewrite->fresh_count; i++) {
        const struct rows_chunk *fresh = rewrite->fresh[i];
        if (fresh->capacity != ROWS_CHUNK_MAX || !rows_chunk_is_full(fresh))
            break;
        rewrite->full_count++;
    }
    if (rewrite->plan->segment_kind == INDEX_FLAT || rewrite->full_count == 0) {
        rewrite->full_count = 0;
        return STATUS_OK;
    }
    atomic_store_explicit(&rewrite->job->partition->work_rows_done, 0, memory_order_relaxed);
    const enum status status = extend_build(rewrite->job, rewrite->plan, rewrite->fresh,
                                            rewrite->full_count, &rewrite->segment);
    if (status != STATUS_OK)
        rewrite->full_count = 0;
    return status == STATUS_NO_MEMORY ? STATUS_OK : status;
}

/* ---- 3 and 4: publish ------------------------------------------------------------------------ */

static void catch_up(struct rewrite *rewrite, uint32_t at)
{
    struct partition *partition = rewrite->job->partition;
    struct rows_chunk *chunk = rewrite->plan->chunks[at];
    const uint32_t *places = rewrite->places[at];
    const uint32_t count = rows_chunk_count(chunk);
    lock_acquire(&partition->lock);
    for (uint32_t row = 0; places != NULL && row < count; row++)
        if (places[row] != ROWS_NOT_COPIED && rows_chunk_is_dead(chunk, row))
            rows_chunk_kill(rewrite->fresh[places[row] / ROWS_CHUNK_MAX],
                            places[row] % ROWS_CHUNK_MAX);
    chunk->copies = (struct rows_copies){rewrite->fresh, rewrite->places[at]};
    lock_release(&partition->lock);
}

static void mark_chunks(struct rewrite *rewrite, enum rows_mark mark)
{
    for (uint32_t i = 0; i < rewrite->chunks_done; i++)
        rewrite->plan->chunks[i]->mark = mark;
}

static enum status publish(struct rewrite *rewrite, struct garbage *garbage)
{
    struct partition *partition = rewrite->job->partition;
    const struct view_change change = {.segments_dropped = rewrite->plan->segments_dropped,
                                       .segment = rewrite->segment,
                                       .joined = rewrite->fresh,
                                       .joined_count = rewrite->full_count,
                                       .flat = rewrite->fresh + rewrite->full_count,
                                       .flat_count = rewrite->fresh_count - rewrite->full_count};
    struct view *next = NULL;
    lock_acquire(&partition->lock);
    mark_chunks(rewrite, ROWS_LEAVE);
    const enum status status = view_next(partition_view(partition), &change, &next);
    if (status == STATUS_OK)
        partition_publish(partition, next, &change, garbage);
    else
        mark_chunks(rewrite, ROWS_STAY);
    lock_release(&partition->lock);
    return status;
}

/* ---- 5: the map ------------------------------------------------------------------------------ */

/* A row is in the map as long as it lives. */
static void move_rows(struct rewrite *rewrite, uint32_t at)
{
    struct partition *partition = rewrite->job->partition;
    struct rows_chunk *chunk = rewrite->plan->chunks[at];
    const uint32_t *places = rewrite->places[at];
    const uint32_t count = rows_chunk_count(chunk);
    lock_acquire(&partition->lock);
    for (uint32_t row = 0; places != NULL && row < count; row++)
        if (!rows_chunk_is_dead(chunk, row))
            row_map_move(&partition->map, (struct row_at){chunk, row},
                         (struct row_at){rewrite->fresh[places[row] / ROWS_CHUNK_MAX],
                                         places[row] % ROWS_CHUNK_MAX});
    chunk->copies = (struct rows_copies){0};
    lock_release(&partition->lock);
}

static void forget_copies(struct rewrite *rewrite)
{
    struct partition *partition = rewrite->job->partition;
    lock_acquire(&partition->lock);
    for (uint32_t i = 0; i < rewrite->chunks_done; i++)
        rewrite->plan->chunks[i]->copies = (struct rows_copies){0};
    lock_release(&partition->lock);
}

/* Those that were not copied grow again. */
static void thaw(const struct rewrite *rewrite)
{
    struct partition *partition = rewrite->job->partition;
    lock_acquire(&partition->lock);
    for (uint32_t i = 0; i < rewrite->plan->chunks_count; i++)
        rewrite->plan->chunks[i]->frozen = false;
    lock_release(&partition->lock);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum status swap(struct rewrite *rewrite, struct garbage *garbage)
{
    for (uint32_t i = 0; i < rewrite->chunks_done; i++)
        catch_up(rewrite, i);
    const enum status status = publish(rewrite, garbage);
    if (status != STATUS_OK) {
        forget_copies(rewrite);
        return status;
    }
    rewrite->segment = NULL;
    for (uint32_t i = 0; i < rewrite->chunks_done; i++)
        move_rows(rewrite, i);
    return STATUS_OK;
}

enum status rewrite_run(const struct job *job, const struct plan *plan)
{
    assert(plan->kind == PLAN_REWRITE);
    assert(plan->chunks_count > 0);
    assert(plan->base == NULL);
    struct rewrite rewrite;
    struct garbage garbage = {0};
    enum status status = rewrite_init(&rewrite, job, plan);
    if (status == STATUS_OK)
        status = copy_chunks(&rewrite);
    if (status == STATUS_OK)
        status = build(&rewrite);
    if (status == STATUS_OK)
        status = swap(&rewrite, &garbage);
    thaw(&rewrite);
    if (status == STATUS_OK) {
        rewrite.fresh_count = 0; /* they are the view's */
        atomic_fetch_add_explicit(&job->partition->common->rewrites, 1, memory_order_relaxed);
    }
    const uint32_t gone = status == STATUS_OK ? rewrite.chunks_done : 0;
    rewrite_deinit(&rewrite);
    for (uint32_t i = 0; i < gone; i++)
        garbage_add(&garbage, &plan->chunks[i]->retired, rows_chunk_release);
    garbage_retire(&garbage, job->epochs);
    return status;
}
