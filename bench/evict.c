/*
 * evict.c - hit ratios of the eviction rules on generated traces, beside the offline optimum
 * (Belady 1966: the one whose next use is farthest goes). Entries of one size, so a ratio is one of
 * requests and of bytes alike. The rules are the service's own; only the table around them is an
 * array here. Prints one line a trace and size: trace, requests, unique, size, then a percentage
 * for each rule and the optimum. The seed is fixed: every run prints the same. The traces stand in
 * evict_traces.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evict_traces.h"
#include "storage/entry_block.h"
#include "storage/evict.h"

/* ---- the rules ------------------------------------------------------------------------------- */

static struct entry *make_entry(uint32_t key)
{
    const struct entry_source source = {
        .digest = digest_sha256(&key, sizeof(key)), .created_ms = 1, .answer = TEXT("answer")};
    struct entry *entry = NULL;
    if (entry_create(&source, &entry) != STATUS_OK)
        exit(1);
    return entry;
}

static double run_rule(const struct evict_rule *rule, const struct evict_trace *trace,
                       uint32_t size)
{
    struct evict *evict = NULL;
    if (rule->create(&evict) != STATUS_OK)
        exit(1);
    struct entry **held = evict_allocate(TRACE_KEYS, sizeof(struct entry *));
    uint32_t *key_of = evict_allocate(TRACE_REQUESTS + 1, sizeof(*key_of)); /* by sequence */
    uint32_t count = 0, hits = 0;
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        const uint32_t key = trace->keys[i];
        if (held[key] != NULL) {
            hits++;
            rule->hit(evict, held[key]);
            continue;
        }
        if (count == size) {
            struct entry *victim = rule->victim(evict);
            held[key_of[victim->sequence]] = NULL;
            entry_release(victim);
            count--;
        }
        held[key] = make_entry(key);
        held[key]->sequence = i + 1;
        key_of[i + 1] = key;
        if (rule->inserted(evict, held[key]) != STATUS_OK)
            exit(1);
        count++;
    }
    for (uint32_t key = 0; key < TRACE_KEYS; key++)
        entry_release(held[key]);
    rule->destroy(&evict);
    free(key_of);
    free(held);
    return 100.0 * hits / TRACE_REQUESTS;
}

/* ---- the optimum ----------------------------------------------------------------------------- */

/* A heap of (next use, key), the farthest on top; what is out of date is dropped when it comes up.
 */
struct farthest {
    uint64_t *heap; /* next use << 32 | key */
    uint32_t count;
};

static void farthest_push(struct farthest *farthest, uint64_t item)
{
    uint32_t at = farthest->count++;
    while (at > 0 && farthest->heap[(at - 1) / 2] < item) {
        farthest->heap[at] = farthest->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    farthest->heap[at] = item;
}

static uint64_t farthest_pop(struct farthest *farthest)
{
    const uint64_t top = farthest->heap[0], last = farthest->heap[--farthest->count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < farthest->count; child = 2 * at + 1) {
        if (child + 1 < farthest->count && farthest->heap[child + 1] > farthest->heap[child])
            child++;
        if (farthest->heap[child] <= last)
            break;
        farthest->heap[at] = farthest->heap[child];
        at = child;
    }
    farthest->heap[at] = last;
    return top;
}

static uint32_t *next_uses(const struct evict_trace *trace)
{
    uint32_t *next = evict_allocate(TRACE_REQUESTS, sizeof(*next)),
             *later = evict_allocate(TRACE_KEYS, sizeof(*later));
    memset(later, 0xff, TRACE_KEYS * sizeof(*later));
    for (uint32_t i = TRACE_REQUESTS; i-- > 0;) {
        next[i] = later[trace->keys[i]];
        later[trace->keys[i]] = i;
    }
    free(later);
    return next;
}

static double run_optimum(const struct evict_trace *trace, uint32_t size)
{
    uint32_t *next = next_uses(trace),
             *due = evict_allocate(TRACE_KEYS, sizeof(*due)); /* 0: not held */
    struct farthest farthest = {.heap = evict_allocate(TRACE_REQUESTS, sizeof(uint64_t))};
    uint32_t count = 0, hits = 0;
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        const uint32_t key = trace->keys[i];
        if (due[key] != 0) {
            hits++;
        } else {
            while (count == size) {
                const uint64_t top = farthest_pop(&farthest);
                const uint32_t victim = (uint32_t)top;
                if (due[victim] != (uint32_t)(top >> 32))
                    continue; /* asked for since */
                due[victim] = 0;
                count--;
            }
            count++;
        }
        due[key] = next[i];
        farthest_push(&farthest, (uint64_t)next[i] << 32 | key);
    }
    free(farthest.heap);
    free(due);
    free(next);
    return 100.0 * hits / TRACE_REQUESTS;
}

int main(void)
{
    static const uint32_t percents[] = {1, 10};
    double *sums = evict_zipf();
    (void)printf("trace\trequests\tunique\tsize_percent\ts3fifo\tlru\tlfu_aging\toptimum\n");
    for (unsigned shape = 0; shape < TRACE_SHAPES; shape++) {
        struct evict_trace trace = evict_trace_make((enum evict_shape)shape, sums);
        for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
            const uint32_t size = trace.unique_count / 100 * percents[i];
            (void)printf("%s\t%d\t%u\t%u\t%.1f\t%.1f\t%.1f\t%.1f\n", trace.name, TRACE_REQUESTS,
                         trace.unique_count, percents[i], run_rule(&evict_s3fifo, &trace, size),
                         run_rule(&evict_lru, &trace, size),
                         run_rule(&evict_lfu_aging, &trace, size), run_optimum(&trace, size));
            (void)fflush(stdout);
        }
        free(trace.keys);
    }
    free(sums);
    return 0;
}
