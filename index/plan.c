/*
 * plan.c - what a partition needs next, decided from its chunks and segments.
 *
 * IN THIS ORDER. 1. Scanned by choice: its segments go. 2. A segment of another kind than is asked
 * for is built anew over the same rows. 3. Dead rows leave: of one segment at a time, which is
 * copied and built anew as a whole; then of flat chunks, some at a time. Chunks of less than full
 * size, which no segment can take, are merged on the way. 4. Full flat chunks are taken into the
 * youngest segment that has room, or a new one: in auto by promotion.c, else as soon as there are
 * index.seal_rows of them. 5. Two segments that fit into one become one.
 *
 * One step takes at most 32,768 rows into a segment: the links of the others are copied, which
 * takes milliseconds, and searches get faster step by step instead of minutes later.
 *
 * WHEN A REWRITE PAYS. More than 20 % and at least 1,000 rows are dead (Lucene rewrites from 40 %,
 * Qdrant vacuums from 20 %); from 64 rows on when memory is tight, or when more rows are dead than
 * alive: each of these copies at most eight rows for one that was removed.
 *
 * THREADS. Holding PARTITION, and for microseconds only.
 */
#include <assert.h>
#include <stdlib.h>

#include "index/job.h"
#include "index/promotion.h"

enum {
    DEAD_PERCENT = 20,
    DEAD_MIN = 1000,
    DEAD_MIN_TIGHT = 64,
    VICTIM_DEAD_PERCENT = 10,
    REWRITE_ROWS_MAX = 4 * ROWS_CHUNK_MAX, /* flat ones in one step */
    BUILD_ROWS_MAX = 8 * ROWS_CHUNK_MAX,
    SAMPLE_ROWS = 31,
    RATE_TAU_US = 60 * 1000 * 1000, /* lookups are smoothed over a minute  */
    RATE_STEP_US_MIN = 100 * 1000,
};

/* ---- what is there --------------------------------------------------------------------------- */

static uint32_t chunk_live(const struct rows_chunk *chunk)
{
    assert(chunk->rows_dead <= rows_chunk_count(chunk));
    return rows_chunk_count(chunk) - chunk->rows_dead;
}

/* First chunk of a segment; of view->segments_count: of the flat ones. */
static uint32_t first_chunk(const struct view *view, uint32_t segment)
{
    assert(segment <= view->segments_count);
    uint32_t first = 0;
    for (uint32_t i = 0; i < segment; i++)
        first += view->segments[i].chunks_count;
    return first;
}

static uint32_t segment_chunks(const struct view *view, uint32_t segment)
{
    return view->segments[segment].chunks_count;
}

struct tally {
    uint64_t dead, live;
};

static struct tally tally(const struct view *view, uint32_t first, uint32_t count)
{
    struct tally sum = {0, 0};
    for (uint32_t i = first; i < first + count; i++) {
        sum.dead += view->chunks[i]->rows_dead;
        sum.live += chunk_live(view->chunks[i]);
    }
    return sum;
}

static uint32_t flat_count(const struct view *view)
{
    return view->chunks_count - view->chunks_covered;
}

static bool can_join(const struct rows_chunk *chunk)
{
    return chunk->capacity == ROWS_CHUNK_MAX && rows_chunk_is_full(chunk);
}

static uint32_t joinable_count(const struct view *view)
{
    uint32_t count = 0;
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        count += can_join(view->chunks[i]);
    return count;
}

/* ---- plans ----------------------------------------------------------------------------------- */

static enum status set_chunks(struct plan *plan, enum plan_kind kind, uint32_t chunks_max)
{
    assert(plan->chunks == NULL);
    plan->chunks = calloc(chunks_max > 0 ? chunks_max : 1, sizeof(struct rows_chunk *));
    if (plan->chunks == NULL)
        return STATUS_NO_MEMORY;
    plan->kind = kind;
    return STATUS_OK;
}

static void push(struct plan *plan, struct rows_chunk *chunk)
{
    plan->chunks[plan->chunks_count++] = chunk;
}

static void push_segment(struct plan *plan, const struct view *view, uint32_t segment)
{
    assert(segment < view->segments_count);
    const uint32_t first = first_chunk(view, segment);
    plan->segments_dropped |= UINT64_C(1) << segment;
    for (uint32_t i = 0; i < segment_chunks(view, segment); i++)
        push(plan, view->chunks[first + i]);
}

/* ---- rewrite --------------------------------------------------------------------------------- */

bool rewrite_is_due(const struct partition *partition, uint64_t dead, uint64_t live)
{
    if (dead < DEAD_MIN_TIGHT)
        return false;
    if (dead > live)
        return true;
    if (dead * 100 <= (dead + live) * DEAD_PERCENT)
        return false;
    return dead >= DEAD_MIN || memory_is_tight(partition->memory);
}

static bool has_gain(const struct rows_chunk *chunk)
{
    return chunk->rows_dead > 0 && (uint64_t)chunk->rows_dead * 100 >=
                                       (uint64_t)rows_chunk_count(chunk) * VICTIM_DEAD_PERCENT;
}

static bool is_victim(const struct rows_chunk *chunk)
{
    return has_gain(chunk) || chunk->capacity < ROWS_CHUNK_MAX;
}

/* Rows that wait for a segment and lie in chunks that none can take. */
static bool merging_is_due(const struct view *view)
{
    uint64_t rows = 0;
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        if (view->chunks[i]->capacity < ROWS_CHUNK_MAX)
            rows += chunk_live(view->chunks[i]);
    return rows >= ROWS_CHUNK_MAX;
}

static bool some_gain(const struct view *view)
{
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        if (has_gain(view->chunks[i]))
            return true;
    return false;
}

static enum status plan_rewrite_flat(struct partition *partition, struct plan *plan)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const enum status status = set_chunks(plan, PLAN_REWRITE, flat_count(view));
    plan->segment_kind = INDEX_FLAT;
    for (uint32_t i = view->chunks_covered; status == STATUS_OK && i < view->chunks_count; i++) {
        const uint32_t live = chunk_live(view->chunks[i]);
        if (!is_victim(view->chunks[i]) || plan->rows_new + live > REWRITE_ROWS_MAX)
            continue;
        push(plan, view->chunks[i]);
        plan->rows_new += live;
    }
    return status;
}

static enum status plan_rewrite_segment(struct partition *partition, uint32_t segment,
                                        enum index_kind kind, struct plan *plan)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const enum status status = set_chunks(plan, PLAN_REWRITE, segment_chunks(view, segment));
    if (status != STATUS_OK)
        return status;
    plan->segment_kind = kind;
    push_segment(plan, view, segment);
    plan->rows_new = tally(view, first_chunk(view, segment), segment_chunks(view, segment)).live;
    return STATUS_OK;
}

static enum status plan_rewrite(struct partition *partition, const struct plan_setup *setup,
                                enum index_kind kind, struct plan *plan) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    for (uint32_t i = 0; i < view->segments_count && !setup->wants_rows_back; i++) {
        const struct tally sum = tally(view, first_chunk(view, i), segment_chunks(view, i));
        if (rewrite_is_due(partition, sum.dead, sum.live))
            return plan_rewrite_segment(partition, i, kind, plan);
    }
    const struct tally sum = tally(view, view->chunks_covered, flat_count(view));
    const bool is_due = rewrite_is_due(partition, sum.dead, sum.live) || setup->wants_rows_back;
    if ((is_due && some_gain(view)) || merging_is_due(view))
        return plan_rewrite_flat(partition, plan);
    return STATUS_OK;
}

/* ---- rates ----------------------------------------------------------------------------------- */

static void update_rate(struct partition *partition, uint64_t now_us) REQUIRES(partition->lock)
{
    const uint64_t searches = atomic_load_explicit(&partition->use->searches, memory_order_relaxed);
    const uint64_t since_us = now_us - partition->rate_us;
    if (now_us == 0 || (partition->rate_us != 0 && since_us < RATE_STEP_US_MIN))
        return;
    if (partition->rate_us != 0) {
        const double rate = (double)(searches - partition->searches_seen) * 1e6 / (double)since_us;
        const double weight = (double)since_us / (double)(since_us + RATE_TAU_US);
        partition->lookups_s += (rate - partition->lookups_s) * weight;
    }
    partition->rate_us = now_us;
    partition->searches_seen = searches;
}

/* Of a few flat rows, spread over all: the median of what they still have to live. */
static double horizon_s(const struct partition *partition)
{
    const struct view *view = partition_view(partition);
    const int64_t now_ms = atomic_load_explicit(&partition->common->now_ms, memory_order_relaxed);
    int64_t left_ms[SAMPLE_ROWS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
        const struct rows_chunk *chunk =
            view->chunks[view->chunks_covered + (uint64_t)i * flat_count(view) / SAMPLE_ROWS];
        const uint32_t rows = rows_chunk_count(chunk);
        const int64_t expires_ms =
            rows > 0 ? chunk->expiries_ms[(uint64_t)i * rows / SAMPLE_ROWS] : 0;
        int64_t left = expires_ms == 0 ? INT64_MAX : expires_ms > now_ms ? expires_ms - now_ms : 0;
        uint32_t at = count++;
        for (; at > 0 && left_ms[at - 1] > left; at--)
            left_ms[at] = left_ms[at - 1];
        left_ms[at] = left;
    }
    return (double)left_ms[SAMPLE_ROWS / 2] / 1000;
}

static struct promotion figures(const struct partition *partition) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const struct index_common *common = partition->common;
    const double scale = (double)partition->dimension / PROMOTION_DIMENSION;
    const struct tally flat = tally(view, view->chunks_covered, flat_count(view));
    return (struct promotion){
        .rows_flat = flat.dead + flat.live,
        .has_graph = view->segments_count > 0,
        .dimension = partition->dimension,
        .lookups_s = partition->lookups_s,
        .horizon_s = horizon_s(partition),
        .flat_row_ns =
            atomic_load_explicit(&common->flat_row_ps, memory_order_relaxed) * scale / 1000,
        .build_row_ns = atomic_load_explicit(&common->build_row_ns, memory_order_relaxed) * scale,
    };
}

/* ---- build ----------------------------------------------------------------------------------- */

static uint32_t chunks_max(const struct partition *partition)
{
    return partition->common->settings.segment_rows_max / ROWS_CHUNK_MAX;
}

/* Of those with room for a chunk the youngest, or VIEW_SEGMENTS_MAX. */
static uint32_t youngest_with_room(const struct partition *partition, const struct view *view)
{
    for (uint32_t i = view->segments_count; i-- > 0;)
        if (segment_chunks(view, i) < chunks_max(partition))
            return i;
    return VIEW_SEGMENTS_MAX;
}

static enum status plan_extend(struct partition *partition, enum index_kind kind, struct plan *plan)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const uint32_t segment = youngest_with_room(partition, view);
    const bool is_new = segment == VIEW_SEGMENTS_MAX;
    if (is_new && view->segments_count == VIEW_SEGMENTS_MAX)
        return STATUS_OK; /* the rest is scanned */
    const uint32_t there = is_new ? 0 : segment_chunks(view, segment);
    uint32_t room = chunks_max(partition) - there;
    if (room > BUILD_ROWS_MAX / ROWS_CHUNK_MAX)
        room = BUILD_ROWS_MAX / ROWS_CHUNK_MAX;
    const enum status status = set_chunks(plan, PLAN_BUILD, there + room);
    if (status != STATUS_OK)
        return status;
    plan->segment_kind = kind;
    if (!is_new) {
        push_segment(plan, view, segment);
        plan->base = view->segments[segment].segment;
    }
    for (uint32_t i = view->chunks_covered; i < view->chunks_count && room > 0; i++) {
        if (!can_join(view->chunks[i]))
            continue;
        push(plan, view->chunks[i]);
        plan->rows_new += ROWS_CHUNK_MAX;
        room--;
    }
    return STATUS_OK;
}

static enum status plan_rebuild(struct partition *partition, uint32_t segment, enum index_kind kind,
                                struct plan *plan) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const enum status status = set_chunks(plan, PLAN_BUILD, segment_chunks(view, segment));
    if (status != STATUS_OK)
        return status;
    plan->segment_kind = kind;
    push_segment(plan, view, segment);
    plan->rows_new = (uint64_t)plan->chunks_count * ROWS_CHUNK_MAX;
    return STATUS_OK;
}

/* Two segments that fit into one: the smaller is added to the larger. */
static enum status plan_merge(struct partition *partition, enum index_kind kind, struct plan *plan)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    uint32_t large = 0, small = 1;
    for (uint32_t i = 0; i < view->segments_count; i++) /* the two smallest */
        for (uint32_t j = 0; j < i; j++)
            if (segment_chunks(view, i) + segment_chunks(view, j) <
                segment_chunks(view, large) + segment_chunks(view, small)) {
                large = j;
                small = i;
            }
    if (view->segments_count < 2 ||
        segment_chunks(view, large) + segment_chunks(view, small) > chunks_max(partition))
        return STATUS_OK;
    if (segment_chunks(view, large) < segment_chunks(view, small)) {
        const uint32_t swapped = large;
        large = small;
        small = swapped;
    }
    const enum status status =
        set_chunks(plan, PLAN_BUILD, segment_chunks(view, large) + segment_chunks(view, small));
    if (status != STATUS_OK)
        return status;
    plan->segment_kind = kind;
    plan->base = view->segments[large].segment;
    push_segment(plan, view, large);
    push_segment(plan, view, small);
    plan->rows_new = (uint64_t)segment_chunks(view, small) * ROWS_CHUNK_MAX;
    return STATUS_OK;
}

static enum status plan_build(struct partition *partition, enum index_kind asked, struct plan *plan)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const enum index_kind kind = asked == INDEX_AUTO ? INDEX_HNSW : asked;
    const uint64_t joinable_rows = (uint64_t)joinable_count(view) * ROWS_CHUNK_MAX;
    if (joinable_rows > 0 && asked != INDEX_AUTO &&
        joinable_rows >= partition->common->settings.seal_rows)
        return plan_extend(partition, kind, plan);
    if (joinable_rows > 0 && asked == INDEX_AUTO) {
        const struct promotion promotion = figures(partition);
        if (promotion_is_due(&promotion))
            return plan_extend(partition, kind, plan);
        if (promotion_is_near(&promotion))
            plan->kind = PLAN_WATCH;
    }
    if (view->segments_count >= 2)
        return plan_merge(partition, kind, plan);
    return STATUS_OK;
}

/* ---- in order -------------------------------------------------------------------------------- */

static enum status decide(struct partition *partition, const struct plan_setup *setup,
                          struct plan *plan) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const enum index_kind asked =
        (enum index_kind)atomic_load_explicit(&partition->kind, memory_order_relaxed);
    const enum index_kind kind = asked == INDEX_AUTO ? INDEX_HNSW : asked;
    assert(asked < INDEX_KINDS);
    if (asked == INDEX_FLAT && view->segments_count > 0 && !setup->wants_rows_back) {
        plan->kind = PLAN_DISSOLVE;
        plan->segments_dropped = view_every_segment(view);
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < view->segments_count && setup->has_graph_room; i++)
        if (segment_kind(view->segments[i].segment) != kind)
            return plan_rebuild(partition, i, kind, plan);
    const enum status status = plan_rewrite(partition, setup, kind, plan);
    if (status != STATUS_OK || plan->kind != PLAN_NOTHING || asked == INDEX_FLAT ||
        setup->wants_rows_back)
        return status;
    return setup->has_graph_room ? plan_build(partition, asked, plan) : STATUS_OK;
}

enum status plan_make(struct partition *partition, const struct plan_setup *setup,
                      struct plan *out_plan)
{
    assert(partition->state == PARTITION_RESTS);
    *out_plan = (struct plan){.kind = PLAN_NOTHING, .segment_kind = INDEX_FLAT};
    if (partition_rows(partition) == 0)
        return STATUS_OK; /* it is retired as a whole */
    update_rate(partition, setup->now_us);
    const enum status status = decide(partition, setup, out_plan);
    if (status != STATUS_OK)
        return status;
    if (out_plan->kind == PLAN_BUILD || out_plan->kind == PLAN_REWRITE) {
        assert(out_plan->chunks_count > 0);
        partition->state = out_plan->kind == PLAN_BUILD ? PARTITION_BUILDS : PARTITION_REWRITES;
        atomic_store_explicit(&partition->work_rows, (uint32_t)out_plan->rows_new,
                              memory_order_relaxed);
        atomic_store_explicit(&partition->work_rows_done, 0, memory_order_relaxed);
    }
    for (uint32_t i = 0; out_plan->kind == PLAN_REWRITE && i < out_plan->chunks_count; i++) {
        out_plan->chunks[i]->frozen = true;
        if (partition->growing == out_plan->chunks[i])
            partition->growing = NULL;
    }
    return STATUS_OK;
}

void plan_end(struct partition *partition, struct plan *plan)
{
    partition->state = PARTITION_RESTS;
    atomic_store_explicit(&partition->work_rows, 0, memory_order_relaxed);
    free(plan->chunks);
    plan->chunks = NULL;
}
