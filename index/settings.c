/*
 * settings.c - the options `index.*`.
 * Limits come from measurement: fewer than 8 links lose recall that no ef brings back, more than 48
 * cost memory and gain nothing; a segment of more than 262,144 rows wants an ef beyond 64.
 * Threads: any.
 */
#include "index/settings.h"

#include <assert.h>
#include <string.h>

#include "index/rows.h"

/* clang-format off */
const struct option_row index_option_rows[] = {
    {"index.memory", OPTION_SIZE, "", "1MiB", "65536GiB", NULL, "bytes",
     "What the vectors of the semantic tier may hold; unset: 25 % of the container's memory."},
    {"index.kind", OPTION_CHOICE, "auto", NULL, NULL, "auto|flat|hnsw|ivf", "",
     "How vectors are found: auto scans them until a graph pays, then builds one (HNSW)."},
    {"index.hnsw_links", OPTION_UINT, "16", "8", "48", NULL, "links",
     "HNSW: links of a row above the lowest level, which has twice as many."},
    {"index.ef_construction", OPTION_UINT, "64", "40", "200", NULL, "rows",
     "HNSW: candidates that are kept while a row is linked."},
    {"index.ef_search", OPTION_UINT, "32", "16", "512", NULL, "rows",
     "HNSW: candidates that are kept during a search; more find more and take longer. A Get keeps 26 at least."},
    {"index.ivf_lists", OPTION_UINT, "0", "0", "65536", NULL, "lists",
     "IVF: lists of a segment; 0: twice the square root of its rows, at least 64."},
    {"index.nprobe", OPTION_UINT, "8", "1", "256", NULL, "lists",
     "IVF: lists that a search scans."},
    {"index.seal_rows", OPTION_UINT, "4096", "4096", "65536", NULL, "rows",
     "Scanned rows that a graph or lists take in together, where hnsw or ivf was asked for."},
    {"index.segment_rows_max", OPTION_UINT, "262144", "65536", "1048576", NULL, "rows",
     "Rows of one graph, or of one set of lists."},
    {"index.builders", OPTION_UINT, "1", "1", "8", NULL, "threads",
     "Threads that build graphs and lists, and throw removed rows out, in the background."},
};
/* clang-format on */
const size_t index_option_rows_count = sizeof(index_option_rows) / sizeof(index_option_rows[0]);

static enum index_kind kind_of(const char *word)
{
    for (int kind = INDEX_AUTO; kind < INDEX_KINDS; kind++)
        if (strcmp(word, index_kind_name((enum index_kind)kind)) == 0)
            return (enum index_kind)kind;
    assert(!"a word of index.kind");
    return INDEX_AUTO;
}

static uint32_t number_of(const struct options *options, const char *name)
{
    const uint64_t number = options_uint(options, name);
    assert(number <= UINT32_MAX);
    return (uint32_t)number;
}

static void read_all(const struct options *options, struct index_settings *out_settings)
{
    *out_settings = (struct index_settings){
        .kind = kind_of(options_text(options, "index.kind")),
        .links = number_of(options, "index.hnsw_links"),
        .ef_construction = number_of(options, "index.ef_construction"),
        .ef_search = number_of(options, "index.ef_search"),
        .nprobe = number_of(options, "index.nprobe"),
        .ivf_lists = number_of(options, "index.ivf_lists"),
        .seal_rows = number_of(options, "index.seal_rows"),
        .segment_rows_max = number_of(options, "index.segment_rows_max"),
        .builders = number_of(options, "index.builders"),
    };
    if (options_is_set(options, "index.memory"))
        out_settings->memory_bytes = options_uint(options, "index.memory");
    out_settings->segment_rows_max -= out_settings->segment_rows_max % ROWS_CHUNK_MAX;
    assert(out_settings->segment_rows_max >= ROWS_CHUNK_MAX);
}

void index_settings_read(const struct options *options, struct index_settings *out_settings)
{
    if (options != NULL) {
        read_all(options, out_settings);
        return;
    }
    *out_settings = (struct index_settings){.kind = INDEX_AUTO,
                                            .links = 16,
                                            .ef_construction = 64,
                                            .ef_search = 32,
                                            .nprobe = 8,
                                            .seal_rows = 4096,
                                            .segment_rows_max = 262144,
                                            .builders = 1};
}
