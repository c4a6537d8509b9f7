/*
 * view.c - what readers of a partition see, made anew and published; and what leaves with the old
 * one.
 *
 * A view is made from the one before it by a change: some segments go, one may come, chunks leave
 * or join it by their marks. The order is kept: segments by age, then flat chunks. A view of 256
 * chunks is 2 KiB, made once in thousands of rows, so it is copied whole.
 *
 * THREADS. Made and published holding PARTITION; read inside an epoch.
 */
#include <assert.h>
#include <stdlib.h>

#include "index/partition_inside.h"

/* ---- garbage --------------------------------------------------------------------------------- */

void garbage_add(struct garbage *garbage, struct epoch_retired *object,
                 void (*release)(struct epoch_retired *object))
{
    assert(object != NULL);
    assert(release != NULL);
    *object = (struct epoch_retired){.next = garbage->first, .release = release};
    garbage->first = object;
}

void garbage_retire(struct garbage *garbage, struct epochs *epochs)
{
    assert(lock_none_held());
    while (garbage->first != NULL) {
        struct epoch_retired *object = garbage->first;
        garbage->first = object->next;
        epoch_retire(epochs, object, object->release);
    }
}

/* ---- the next view --------------------------------------------------------------------------- */

static enum status view_create(uint32_t chunks_max, uint32_t segments_max, struct view **out_view)
{
    assert(segments_max <= VIEW_SEGMENTS_MAX);
    const size_t chunks_bytes = chunks_max * sizeof(struct rows_chunk *);
    struct view *view =
        calloc(1, sizeof(*view) + chunks_bytes + segments_max * sizeof(struct view_segment));
    if (view == NULL)
        return STATUS_NO_MEMORY;
    view->segments = (struct view_segment *)((char *)view + sizeof(*view) + chunks_bytes);
    *out_view = view;
    return STATUS_OK;
}

static void push_segment(struct view *view, struct segment *segment,
                         struct rows_chunk *const *chunks, uint32_t chunks_count)
{
    assert(view->segments_count < VIEW_SEGMENTS_MAX);
    assert(segment_rows(segment) == chunks_count * ROWS_CHUNK_MAX);
    assert(view->chunks_covered == view->chunks_count);
    view->segments[view->segments_count++] = (struct view_segment){segment, chunks_count};
    for (uint32_t i = 0; i < chunks_count; i++)
        view->chunks[view->chunks_count++] = chunks[i];
    view->chunks_covered = view->chunks_count;
}

static bool is_dropped(const struct view_change *change, uint32_t segment)
{
    assert(segment < VIEW_SEGMENTS_MAX);
    return (change->segments_dropped >> segment & 1) != 0;
}

static void keep_segments(struct view *next, const struct view *before,
                          const struct view_change *change)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < before->segments_count; i++) {
        const struct view_segment *kept = &before->segments[i];
        if (!is_dropped(change, i))
            push_segment(next, kept->segment, before->chunks + first, kept->chunks_count);
        first += kept->chunks_count;
    }
    assert(first == before->chunks_covered);
}

static void keep_flat(struct view *next, const struct view *before, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        if (before->chunks[i]->mark == ROWS_STAY)
            next->chunks[next->chunks_count++] = before->chunks[i];
}

static void keep_chunks(struct view *next, const struct view *before,
                        const struct view_change *change)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < before->segments_count; i++) {
        const uint32_t end = first + before->segments[i].chunks_count;
        if (is_dropped(change, i))
            keep_flat(next, before, first, end);
        first = end;
    }
    keep_flat(next, before, first, before->chunks_count);
}

enum status view_next(const struct view *before, const struct view_change *change,
                      struct view **out_next)
{
    struct view *next = NULL;
    const uint32_t chunks_max = before->chunks_count + change->joined_count + change->flat_count;
    const uint32_t dropped = (uint32_t)__builtin_popcountll(change->segments_dropped);
    assert(dropped <= before->segments_count);
    const uint32_t segments_max = before->segments_count - dropped + (change->segment != NULL);
    const enum status status = view_create(chunks_max, segments_max, &next);
    if (status != STATUS_OK)
        return status;
    keep_segments(next, before, change);
    if (change->segment != NULL)
        push_segment(next, change->segment, change->joined, change->joined_count);
    keep_chunks(next, before, change);
    for (uint32_t i = 0; i < change->flat_count; i++)
        next->chunks[next->chunks_count++] = change->flat[i];
    assert(next->chunks_count <= chunks_max);
    *out_next = next;
    return STATUS_OK;
}

/* ---- publish --------------------------------------------------------------------------------- */

static void view_release(struct epoch_retired *retired)
{
    free((char *)retired - offsetof(struct view, retired));
}

/* What is counted by chunk is counted anew: a job has changed many of them at once. */
static void sum_up(struct partition *partition, const struct view *before, const struct view *next)
    REQUIRES(partition->lock)
{
    struct index_common *common = partition->common;
    uint64_t capacity = 0, dead = 0;
    for (uint32_t i = 0; i < next->chunks_count; i++) {
        capacity += next->chunks[i]->capacity;
        dead += next->chunks[i]->rows_dead;
    }
    atomic_fetch_add_explicit(&common->rows_dead, dead - partition->rows_dead,
                              memory_order_relaxed); /* modulo 2^64, also where it shrinks */
    atomic_fetch_add_explicit(&common->segments,
                              (uint64_t)next->segments_count - before->segments_count,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&common->graph_rows,
                              ((uint64_t)next->chunks_covered - before->chunks_covered) *
                                  ROWS_CHUNK_MAX,
                              memory_order_relaxed);
    partition->capacity = capacity;
    partition->rows_dead = dead;
}

void partition_publish(struct partition *partition, struct view *next,
                       const struct view_change *change, struct garbage *garbage)
{
    struct view *before = partition_view(partition);
    assert(next != before);
    sum_up(partition, before, next);
    atomic_store_explicit(&partition->view, next, memory_order_release);
    for (uint32_t i = 0; i < before->chunks_count; i++)
        before->chunks[i]->mark = ROWS_STAY;
    for (uint32_t i = 0; i < before->segments_count; i++)
        if (is_dropped(change, i))
            garbage_add(garbage, segment_retired(before->segments[i].segment), segment_release);
    garbage_add(garbage, &before->retired, view_release);
}
