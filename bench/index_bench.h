/*
 * index_bench.h - between the rooms of bench_index: the vectors, our index, and its loads.
 * Threads: searches from any registered thread; everything else from the main one, but for what
 * index_load.c starts itself.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/index_files.h"
#include "index/directory.h"
#include "index/segment.h"

struct bench {
    const char *folder;
    uint32_t dimension;
    uint64_t rows_count; /* of the comparison; INDEX_EXTRA_ROWS follow them */
    const float *rows, *queries;
    const int32_t *truth; /* [INDEX_QUERIES][INDEX_NEAREST] */
    struct own *own;      /* what `build` made last         */
};

static inline const float *bench_row(const struct bench *bench, uint64_t row)
{
    return bench->rows + row * bench->dimension;
}

static inline const float *bench_query(const struct bench *bench, uint64_t query)
{
    return bench->queries + query % INDEX_QUERIES * bench->dimension;
}

/* Ends the program with a word to stderr if it does not hold. */
void must(bool holds, const char *what);
uint64_t wall_ns(void);
uint64_t thread_cpu_ns(void);
uint64_t process_cpu_ns(void);
void move_to_core(int core); /* this thread */
void move_to_all_cores(void);
int cores_count(void);
int home_core(void); /* the last one: where a single thread is measured */

/* ---- our side (index_own.c) ------------------------------------------------------------------ */

struct own_plan {
    enum index_kind kind;
    uint32_t links, ef_construction, lists; /* 0: the product's defaults */
    uint32_t scopes;                        /* row r goes into scope r modulo this */
};

struct own;
struct own *own_create(const struct bench *bench, const struct own_plan *plan);
void own_destroy(struct own **own);
/* A row of the file, found afterwards as sequence row + 1. False if the budget is spent. */
bool own_insert(struct own *own, uint64_t row);
void own_remove(struct own *own, uint64_t row);
/* Waits until everything is in the structure that it belongs to. */
void own_settle(struct own *own);
/* `breadth`: ef, or the lists that are read. Fills search->hits. */
void own_search(struct own *own, const float *query, uint32_t k, struct search *search);
void own_search_scope(struct own *own, uint32_t scope, const float *query, uint32_t k,
                      struct search *search);
void own_set_breadth(struct own *own, uint32_t breadth);
double own_hot_bytes(const struct own *own); /* a row */
double own_all_bytes(const struct own *own); /* a row */

uint64_t own_builds(const struct own *own); /* structures published so far */

/* ---- loads (index_load.c) -------------------------------------------------------------------- */

/* Each prints one line of JSON. */
void load_churn(struct bench *bench, uint32_t inserts_per_s, double seconds);
void load_writes(struct bench *bench, uint32_t write_percent, double seconds);
void load_scopes(struct bench *bench, uint32_t scopes, double seconds);
