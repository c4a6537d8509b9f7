/*
 * pressure.c - who gives way when the budget is spent.
 *
 * IN THIS ORDER, the longest unused first: graphs and lists, whose rows are then scanned; then
 * rows, all those of a scope: the semantic tier forgets them, the entries stay. Scopes that were
 * used within the last minute give nothing: their graph would be built again at once, and their
 * rows be inserted again; then the insert that did not fit stays refused, and its entry is found by
 * its exact key only. Time is what the callers of searches say it is.
 *
 * HOW MUCH. Down to thirteen sixteenths of the budget, so that this is not done for every insert.
 * Builds begin only below seven eighths: a graph that gave way is not built again into the memory
 * that inserts need.
 *
 * THREADS. A builder. Candidates are looked for inside an epoch, without a lock; what is found is
 * looked at again under its lock.
 */
#include "index/pressure.h"

#include <assert.h>
#include <string.h>

#include "index/directory_inside.h"
#include "index/job.h"

struct coldest {
    int64_t used_before_ms; /* only those */
    bool wants_segments;
    bool is_found;
    int64_t used_ms;
    struct partition_key key;
};

static void look(void *context, struct partition *partition)
{
    struct coldest *coldest = context;
    const int64_t used_ms = atomic_load_explicit(&partition->use->used_ms, memory_order_relaxed);
    const struct view *view = partition_view(partition);
    if (used_ms > coldest->used_before_ms || (coldest->is_found && used_ms >= coldest->used_ms) ||
        partition_rows(partition) == 0 || (coldest->wants_segments && view->segments_count == 0))
        return;
    coldest->is_found = true;
    coldest->used_ms = used_ms;
    coldest->key = partition->key;
}

static bool find_coldest(struct directory *directory, bool wants_segments,
                         struct partition_key *out_key)
{
    const int64_t now_ms = atomic_load_explicit(&directory->common.now_ms, memory_order_relaxed);
    struct coldest coldest = {.used_before_ms = now_ms - PRESSURE_IDLE_MS_MIN,
                              .wants_segments = wants_segments};
    epoch_enter(directory->epochs);
    directory_each(directory, look, &coldest);
    epoch_leave(directory->epochs);
    *out_key = coldest.key;
    return coldest.is_found;
}

/* Bytes that come back once readers have left; 0 if it has changed its mind meanwhile. */
static uint64_t take_graphs(struct directory *directory, struct partition *partition,
                            struct garbage *garbage) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const uint32_t segments_count = view->segments_count;
    uint64_t size_bytes = 0;
    for (uint32_t i = 0; i < segments_count; i++)
        size_bytes += segment_size_bytes(view->segments[i].segment);
    if (size_bytes == 0 ||
        extend_dissolve(partition, view_every_segment(view), garbage) != STATUS_OK)
        return 0;
    atomic_fetch_add_explicit(&directory->graphs_given_up, segments_count, memory_order_relaxed);
    return size_bytes;
}

static uint64_t take_rows(struct directory *directory, struct partition *partition,
                          struct garbage *garbage) REQUIRES(partition->lock)
{
    const uint64_t size_bytes = partition_size_bytes(partition);
    const uint64_t rows = partition_clear(partition, garbage);
    atomic_fetch_add_explicit(&directory->rows_given_up, rows, memory_order_relaxed);
    return rows > 0 ? size_bytes : 0;
}

static uint64_t take(struct directory *directory, const struct partition_key *key, bool graphs)
{
    struct garbage garbage = {0};
    uint64_t size_bytes = 0;
    struct partition *partition = NULL;
    if (!directory_lock(directory, key, &partition))
        return 0;
    if (partition->state == PARTITION_RESTS)
        size_bytes = graphs ? take_graphs(directory, partition, &garbage)
                            : take_rows(directory, partition, &garbage);
    directory_unlock(directory, partition);
    garbage_retire(&garbage, directory->epochs);
    return size_bytes;
}

bool pressure_relieve(struct directory *directory)
{
    if (!atomic_exchange_explicit(&directory->is_pressed, false, memory_order_relaxed))
        return false;
    const uint64_t target = memory_max(directory->memory) / 16 * 13;
    const uint64_t used = memory_used(directory->memory);
    uint64_t freed = 0; /* counted, for readers may hold it back a while */
    bool graphs = true;
    while (used - freed > target && used > freed) {
        struct partition_key key;
        const uint64_t more =
            find_coldest(directory, graphs, &key) ? take(directory, &key, graphs) : 0;
        freed += more;
        if (more == 0 && !graphs)
            break;
        graphs = graphs && more > 0;
    }
    if (freed > 0)
        (void)epoch_collect(directory->epochs);
    return freed > 0;
}

bool pressure_allows_builds(struct directory *directory)
{
    return memory_used(directory->memory) < memory_max(directory->memory) / 8 * 7;
}
