/*
 * index_own.c - our index as the comparison sees it: through its front, directory.h, and the
 * structures that were asked for through segment.h.
 *
 * AUTO is the whole index with its builders, on the first core; searches are measured on the last.
 * A graph is asked for instead of waiting until lookups have paid for one: what is measured is the
 * index of a scope that is used.
 *
 * Threads: own_search from any registered thread; rows come and go on one thread at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/epoch.h"
#include "bench/index_bench.h"
#include "bench/index_segments.h"
#include "index/vector.h"

struct own {
    const struct bench *bench;
    struct own_plan plan;
    uint32_t breadth;
    struct epochs *epochs;
    struct directory *directory;
    struct segments *segments; /* instead of the directory, when a structure is asked for */
};

/* A new thread runs where the one that starts it runs. */
static void start_builders(struct own *own)
{
    const int last = home_core();
    if (cores_count() > 1)
        move_to_core(0);
    must(directory_builder_start(own->directory) == STATUS_OK, "builders");
    move_to_core(last);
}

struct own *own_create(const struct bench *bench, const struct own_plan *plan)
{
    struct own *own = calloc(1, sizeof(*own));
    must(own != NULL, "memory");
    own->bench = bench;
    own->plan = *plan;
    own->breadth = 32;
    must(epochs_create(&own->epochs) == STATUS_OK, "epochs");
    struct directory_setup setup = {.epochs = own->epochs};
    index_settings_read(NULL, &setup.settings);
    setup.settings.memory_bytes = UINT64_C(16) << 30;
    setup.settings.kind = plan->kind == INDEX_AUTO ? INDEX_HNSW : INDEX_FLAT;
    if (plan->links > 0)
        setup.settings.links = plan->links;
    if (plan->ef_construction > 0)
        setup.settings.ef_construction = plan->ef_construction;
    must(directory_create(&setup, &own->directory) == STATUS_OK, "directory");
    if (plan->kind == INDEX_AUTO)
        start_builders(own);
    if (plan->kind == INDEX_HNSW || plan->kind == INDEX_IVF)
        own->segments = segments_create(bench, plan);
    else
        for (uint64_t row = 0; row < bench->rows_count; row++)
            must(own_insert(own, row), "insert");
    return own;
}

void own_destroy(struct own **own)
{
    struct own *doomed = *own;
    if (doomed == NULL)
        return;
    *own = NULL;
    segments_destroy(&doomed->segments);
    directory_destroy(&doomed->directory);
    epochs_destroy(&doomed->epochs);
    free(doomed);
}

static struct partition_key key_of(uint32_t scope)
{
    struct partition_key key = {.space = 1};
    memcpy(key.scope, &scope, sizeof(scope));
    memcpy(key.scope + sizeof(scope), &scope, sizeof(scope));
    return key;
}

static struct index_row row_of(const struct own *own, uint64_t row)
{
    struct index_row out = {.sequence = row + 1, .tag = 1, .unit = bench_row(own->bench, row)};
    memcpy(out.id.bytes + 16, &row, sizeof(row)); /* where index/ takes its hash from */
    return out;
}

bool own_insert(struct own *own, uint64_t row)
{
    const struct partition_key key = key_of((uint32_t)(row % own->plan.scopes));
    const struct index_row made = row_of(own, row);
    const enum status status = directory_insert(own->directory, &key, own->bench->dimension, &made);
    must(status == STATUS_OK || status == STATUS_NO_MEMORY, "insert");
    return status == STATUS_OK;
}

void own_remove(struct own *own, uint64_t row)
{
    const struct partition_key key = key_of((uint32_t)(row % own->plan.scopes));
    const struct index_row gone = row_of(own, row);
    must(directory_remove(own->directory, &key, &gone.id, gone.sequence) == 1, "remove");
}

static void note_unrest(void *context, const struct partition_stats *stats)
{
    uint64_t *restless = context;
    *restless += stats->state != PARTITION_RESTS && stats->state != PARTITION_WATCHED;
}

static uint64_t count_restless(struct own *own)
{
    uint64_t restless = 0;
    must(directory_each_stats(own->directory, note_unrest, &restless) == STATUS_OK, "stats");
    return restless;
}

void own_settle(struct own *own)
{
    enum { LOOKS_A_WORD = 500 };
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    for (uint64_t looks = 1; own->plan.kind == INDEX_AUTO && count_restless(own) > 0; looks++) {
        struct directory_stats stats;
        directory_stats(own->directory, &stats);
        if (looks % LOOKS_A_WORD == 0)
            (void)fprintf(stderr, "    in graphs: %llu of %llu rows\n",
                          (unsigned long long)stats.graph_rows, (unsigned long long)stats.rows);
        (void)nanosleep(&pause, NULL);
    }
    (void)epoch_collect(own->epochs);
}

void own_search_scope(struct own *own, uint32_t scope, const float *query, uint32_t k,
                      struct search *search)
{
    search->unit = query;
    search->dimension = own->bench->dimension;
    search->tag = 1;
    search->now_ms = 1;
    search->hits_max = k;
    search->hits_count = 0;
    epoch_enter(own->epochs);
    if (own->segments != NULL) {
        segments_search(own->segments, own->breadth, search);
    } else {
        const struct partition_key key = key_of(scope);
        const struct partition *partition = directory_find(own->directory, &key);
        if (partition != NULL)
            partition_search(partition, search);
    }
    epoch_leave(own->epochs);
}

void own_search(struct own *own, const float *query, uint32_t k, struct search *search)
{
    own_search_scope(own, 0, query, k, search);
}

void own_set_breadth(struct own *own, uint32_t breadth)
{
    own->breadth = breadth;
    if (own->segments != NULL)
        return;
    const struct partition_key key = key_of(0);
    const struct index_choice choice = {.ef_search = breadth};
    must(directory_set_kind(own->directory, &key, &choice) == STATUS_OK, "choosing ef");
}

double own_all_bytes(const struct own *own)
{
    struct directory_stats stats;
    directory_stats(own->directory, &stats);
    return (double)stats.size_bytes / (double)(stats.rows != 0 ? stats.rows : 1);
}

double own_hot_bytes(const struct own *own)
{
    if (own->segments != NULL)
        return segments_hot_bytes(own->segments);
    return (double)vector_row_bytes(own->bench->dimension) + sizeof(float) + sizeof(uint32_t) +
           sizeof(int64_t) + 1.0 / 8;
}

uint64_t own_builds(const struct own *own)
{
    struct directory_stats stats;
    directory_stats(own->directory, &stats);
    return stats.builds;
}
