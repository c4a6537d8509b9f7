/*
 * settings.h - how the index is told to do its work: the options `index.*`, and what one partition
 * may choose instead. Threads: any; a value once read does not change.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"
#include "index/kind.h"

extern const struct option_row index_option_rows[]; /* index.* */
extern const size_t index_option_rows_count;

struct index_settings {
    enum index_kind kind;            /* of partitions that do not choose        */
    uint32_t links, ef_construction; /* HNSW: M and efConstruction              */
    uint32_t ef_search, nprobe;
    uint32_t ivf_lists;        /* 0: by the number of rows                      */
    uint32_t seal_rows;        /* flat rows that a chosen HNSW or IVF takes in  */
    uint32_t segment_rows_max; /* a multiple of ROWS_CHUNK_MAX                  */
    uint32_t builders;         /* threads                                       */
    uint64_t memory_bytes;     /* 0: a quarter of the container's memory        */
};

/* options: with index_option_rows among their tables; NULL: the defaults. */
void index_settings_read(const struct options *options, struct index_settings *out_settings);

/* Instead of the options, for one partition. */
struct index_choice {
    bool is_kind_set;
    enum index_kind kind;
    uint32_t ef_search, nprobe; /* 0: the option */
};

enum { INDEX_EF_SEARCH_MAX = 512, INDEX_NPROBE_MAX = 256 };
