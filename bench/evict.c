/*
 * evict.c - hit ratios of the eviction rules on generated traces, beside the offline optimum
 * (Belady 1966: the one whose next use is farthest goes). Entries of one size, so a ratio is one of
 * requests and of bytes alike. The rules are the service's own; only the table around them is an
 * array here. Prints one line a trace and size: trace, requests, unique, size, then a percentage
 * for each rule and the optimum. The seed is fixed: every run prints the same.
 *
 * Traces: zipf (exponent 0.9); drift (zipf whose keys shift twice); scan (zipf with sweeps over
 * keys that come once); burst (zipf, and keys that are asked for 20 times in a row and never
 * again).
 */
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/entry_block.h"
#include "storage/evict.h"

enum {
    REQUESTS = 500000,
    POPULAR = 75000, /* keys of the Zipf part       */
    KEYS = POPULAR + REQUESTS,
    BURST_LENGTH = 20,
};

struct trace {
    const char *name;
    uint32_t *keys; /* REQUESTS of them */
    uint32_t unique_count;
};

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014) */
static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void *allocate(size_t count, size_t size)
{
    void *block = calloc(count, size);
    if (block == NULL) {
        (void)fprintf(stderr, "no memory for %zu x %zu bytes\n", count, size);
        exit(1);
    }
    return block;
}

/* ---- traces ---------------------------------------------------------------------------------- */

static double *zipf_table(double exponent)
{
    double *sums = allocate(POPULAR, sizeof(*sums));
    double sum = 0;
    for (uint32_t i = 0; i < POPULAR; i++)
        sums[i] = sum += pow(i + 1.0, -exponent);
    return sums;
}

static uint32_t draw_zipf(const double *sums, uint64_t *random)
{
    const double wanted = (double)(next_random(random) >> 11) * 0x1p-53 * sums[POPULAR - 1];
    uint32_t low = 0, high = POPULAR - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (sums[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

enum shape { SHAPE_ZIPF, SHAPE_DRIFT, SHAPE_SCAN, SHAPE_BURST, SHAPES };

static uint32_t next_key(enum shape shape, uint32_t at, const double *sums, uint64_t *random,
                         uint32_t *fresh, uint32_t *last_burst)
{
    const uint32_t popular = draw_zipf(sums, random);
    switch (shape) {
    case SHAPE_DRIFT: /* a third of the trace each: other keys are the popular ones */
        return (popular + at / (REQUESTS / 3) * (POPULAR / 3)) % POPULAR;
    case SHAPE_SCAN: /* every tenth part of the trace ends in a sweep */
        return at % (REQUESTS / 10) >= REQUESTS / 10 * 4 / 5 ? POPULAR + (*fresh)++ : popular;
    case SHAPE_BURST:
        if (at % (2 * BURST_LENGTH) == 0)
            *last_burst = POPULAR + (*fresh)++;
        return at % 2 == 0 ? *last_burst : popular;
    case SHAPE_ZIPF:
    case SHAPES:
        break;
    }
    return popular;
}

static struct trace make_trace(enum shape shape, const double *sums)
{
    static const char *const names[SHAPES] = {"zipf", "drift", "scan", "burst"};
    struct trace trace = {.name = names[shape], .keys = allocate(REQUESTS, sizeof(*trace.keys))};
    bool *seen = allocate(KEYS, sizeof(*seen));
    uint64_t random = 20251125;
    uint32_t fresh = 0, last_burst = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        trace.keys[i] = next_key(shape, i, sums, &random, &fresh, &last_burst);
        trace.unique_count += !seen[trace.keys[i]];
        seen[trace.keys[i]] = true;
    }
    free(seen);
    return trace;
}

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

static double run_rule(const struct evict_rule *rule, const struct trace *trace, uint32_t size)
{
    struct evict *evict = NULL;
    if (rule->create(&evict) != STATUS_OK)
        exit(1);
    struct entry **held = allocate(KEYS, sizeof(struct entry *));
    uint32_t *key_of = allocate(REQUESTS + 1, sizeof(*key_of)); /* by sequence */
    uint32_t count = 0, hits = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
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
    for (uint32_t key = 0; key < KEYS; key++)
        entry_release(held[key]);
    rule->destroy(&evict);
    free(key_of);
    free(held);
    return 100.0 * hits / REQUESTS;
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

static uint32_t *next_uses(const struct trace *trace)
{
    uint32_t *next = allocate(REQUESTS, sizeof(*next)), *later = allocate(KEYS, sizeof(*later));
    memset(later, 0xff, KEYS * sizeof(*later));
    for (uint32_t i = REQUESTS; i-- > 0;) {
        next[i] = later[trace->keys[i]];
        later[trace->keys[i]] = i;
    }
    free(later);
    return next;
}

static double run_optimum(const struct trace *trace, uint32_t size)
{
    uint32_t *next = next_uses(trace), *due = allocate(KEYS, sizeof(*due)); /* 0: not held */
    struct farthest farthest = {.heap = allocate(REQUESTS, sizeof(uint64_t))};
    uint32_t count = 0, hits = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
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
    return 100.0 * hits / REQUESTS;
}

int main(void)
{
    static const uint32_t percents[] = {1, 10};
    double *sums = zipf_table(0.9);
    (void)printf("trace\trequests\tunique\tsize_percent\ts3fifo\tlru\tlfu_aging\toptimum\n");
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        struct trace trace = make_trace((enum shape)shape, sums);
        for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
            const uint32_t size = trace.unique_count / 100 * percents[i];
            (void)printf("%s\t%d\t%u\t%u\t%.1f\t%.1f\t%.1f\t%.1f\n", trace.name, REQUESTS,
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
