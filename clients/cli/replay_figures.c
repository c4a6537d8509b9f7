/*
 * replay_figures.c - counts, rates, percentiles, and the choice of examples. Owns nothing. Threads:
 * any; pure. The rates are those of bench/: err_hit is over hits, because whoever gets a cached
 * answer asks how often it is wrong, not how often the cache is asked.
 */
#include "clients/cli/replay_figures.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Nearest rank: the smallest value that at least this share of all values does not exceed. */
static uint32_t percentile(const uint32_t *sorted, size_t count, size_t percent)
{
    assert(count > 0);
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank > 0 ? rank - 1 : 0];
}

/* The Gets of one outcome, or with `outcome` REPLAY_NOT_ASKED all Sets. `scratch` holds a number a
 * row. */
static struct replay_latency latency_of(const struct replay_results *results,
                                        enum replay_outcome outcome, uint32_t *scratch)
{
    size_t count = 0;
    for (size_t i = 0; i < results->rows_count; i++) {
        const struct replay_result *row = &results->rows[i];
        if (outcome == REPLAY_NOT_ASKED && row->was_set)
            scratch[count++] = row->set_us;
        else if (outcome != REPLAY_NOT_ASKED && row->outcome == outcome)
            scratch[count++] = row->get_us;
    }
    if (count == 0)
        return (struct replay_latency){0};
    qsort(scratch, count, sizeof(*scratch), by_size);
    return (struct replay_latency){.count = count,
                                   .p50_us = percentile(scratch, count, 50),
                                   .p99_us = percentile(scratch, count, 99)};
}

bool replay_figures_count(const struct replay_results *results, struct replay_figures *out_figures)
{
    uint32_t *scratch = calloc(results->rows_count + 1, sizeof(*scratch));
    if (scratch == NULL)
        return false;
    struct replay_figures figures = {0};
    for (size_t i = 0; i < results->rows_count; i++) {
        const struct replay_result *row = &results->rows[i];
        figures.requests += row->outcome != REPLAY_NOT_ASKED;
        figures.exact += row->outcome == REPLAY_EXACT;
        figures.semantic += row->outcome == REPLAY_SEMANTIC;
        figures.misses += row->outcome == REPLAY_MISS;
        figures.wrong += row->wrong;
        figures.errors += row->error != NULL;
    }
    size_t hits = figures.exact + figures.semantic;
    assert(figures.wrong <= hits);
    if (figures.requests > 0)
        figures.hit_rate = (double)hits / (double)figures.requests;
    if (hits > 0)
        figures.err_hit = (double)figures.wrong / (double)hits;
    figures.exact_latency = latency_of(results, REPLAY_EXACT, scratch);
    figures.semantic_latency = latency_of(results, REPLAY_SEMANTIC, scratch);
    figures.miss_latency = latency_of(results, REPLAY_MISS, scratch);
    figures.set_latency = latency_of(results, REPLAY_NOT_ASKED, scratch);
    free(scratch);
    *out_figures = figures;
    return true;
}

/* The first row that asked exactly this; rows_count: nobody. */
static size_t find_text(const struct replay_file *file, const char *text)
{
    size_t i = 0;
    while (i < file->rows_count && strcmp(file->rows[i].text, text) != 0)
        i += 1;
    return i;
}

static bool group_is_chosen(const struct replay_file *file, const struct replay_examples *examples,
                            size_t row)
{
    for (size_t i = 0; i < examples->semantic_count; i++) {
        if (strcmp(file->rows[examples->semantic[i]].group, file->rows[row].group) == 0)
            return true;
    }
    return false;
}

/* The farthest right semantic hit of a group that is not chosen yet; rows_count: none is left. */
static size_t next_semantic(const struct replay_file *file, const struct replay_results *results,
                            const struct replay_examples *examples)
{
    size_t best = results->rows_count;
    for (size_t i = 0; i < results->rows_count; i++) {
        const struct replay_result *row = &results->rows[i];
        if (row->outcome != REPLAY_SEMANTIC || row->wrong || row->other == NULL)
            continue;
        bool farther =
            best == results->rows_count || row->similarity < results->rows[best].similarity;
        if (farther && !group_is_chosen(file, examples, i))
            best = i;
    }
    return best;
}

static void choose_blocked(const struct replay_file *file, const struct replay_results *results,
                           struct replay_examples *examples)
{
    for (size_t i = 0; i < results->rows_count; i++) {
        const struct replay_result *row = &results->rows[i];
        if (row->outcome != REPLAY_MISS || row->other == NULL)
            continue;
        if (examples->has_blocked && row->similarity <= results->rows[examples->blocked].similarity)
            continue;
        size_t twin = find_text(file, row->other);
        if (twin == file->rows_count || strcmp(file->rows[twin].group, file->rows[i].group) == 0)
            continue; /* a false alarm, or nothing of this file: no opposite to show */
        examples->blocked = i;
        examples->has_blocked = true;
    }
}

void replay_examples_choose(const struct replay_file *file, const struct replay_results *results,
                            struct replay_examples *out_examples)
{
    assert(results->rows_count <= file->rows_count);
    *out_examples = (struct replay_examples){0};
    while (out_examples->semantic_count < REPLAY_EXAMPLES_MAX) {
        size_t next = next_semantic(file, results, out_examples);
        if (next == results->rows_count)
            break;
        out_examples->semantic[out_examples->semantic_count++] = next;
    }
    choose_blocked(file, results, out_examples);
}
