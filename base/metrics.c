/*
 * metrics.c - counters and histograms, split so that threads do not share cache lines.
 * Every counter exists once per shard; a thread draws its shard at its first count and keeps it for
 * life, registered or not. Up to METRIC_SHARDS threads have a shard to themselves; beyond that some
 * share one, which costs time, never a count, because the additions are atomic. Relaxed order is
 * enough: a count says nothing about other memory.
 *
 * A histogram is a set of counters, one a bucket, and one for the sum. Bucket edges lie at 2^(n/8)
 * us, so that neighbours differ by 9.05 %; the octave is the position of the highest bit and the
 * eighth is found by comparing the value, shifted up to bit 63, with seven constants. No floating
 * point, so equal on every machine.
 *
 * THREADS. Any.
 * NOT HERE. The tables of names, units and meanings: they are in the rooms that count.
 */
#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"

enum {
    METRIC_SHARDS = 32,
    CACHE_LINE_BYTES = 64,
    CELLS_PER_LINE = CACHE_LINE_BYTES / 8,
    OCTAVES = 32, /* 2^32 us is 71 minutes; what is longer counts as that */
    BUCKETS = OCTAVES * 8,
    SUM_US = BUCKETS, /* the counter behind the buckets */
    OCTAVES_WRITTEN = 26,
};

struct counters {
    uint32_t count;
    uint32_t stride; /* cells from one shard to the next; whole cache lines */
    _Atomic(uint64_t) *cells;
};

struct histogram {
    struct counters *buckets;
};

static atomic_uint shards_drawn;

static uint32_t own_shard(void)
{
    static _Thread_local uint32_t shard_plus_one;
    if (shard_plus_one == 0) {
        unsigned drawn = atomic_fetch_add_explicit(&shards_drawn, 1, memory_order_relaxed);
        shard_plus_one = drawn % METRIC_SHARDS + 1;
    }
    return shard_plus_one - 1;
}

enum status counters_create(uint32_t count, struct counters **out_counters)
{
    assert(count > 0);
    assert(count <= UINT32_MAX / 2 / METRIC_SHARDS);
    struct counters *counters = calloc(1, sizeof(*counters));
    if (counters == NULL)
        return STATUS_NO_MEMORY;
    counters->count = count;
    counters->stride = (count + CELLS_PER_LINE - 1) / CELLS_PER_LINE * CELLS_PER_LINE;
    size_t cells_count = (size_t)counters->stride * METRIC_SHARDS;
    counters->cells = aligned_alloc(CACHE_LINE_BYTES, cells_count * sizeof(counters->cells[0]));
    if (counters->cells == NULL)
        goto destroy_counters;
    for (size_t i = 0; i < cells_count; i++)
        atomic_init(&counters->cells[i], 0);
    *out_counters = counters;
    return STATUS_OK;

destroy_counters:
    counters_destroy(&counters);
    return STATUS_NO_MEMORY;
}

void counters_destroy(struct counters **counters)
{
    struct counters *doomed = *counters;
    if (doomed == NULL)
        return;
    *counters = NULL;
    free(doomed->cells);
    free(doomed);
}

void counters_add(struct counters *counters, uint32_t which, uint64_t amount)
{
    assert(which < counters->count);
    size_t cell = (size_t)own_shard() * counters->stride + which;
    atomic_fetch_add_explicit(&counters->cells[cell], amount, memory_order_relaxed);
}

uint64_t counters_read(const struct counters *counters, uint32_t which)
{
    assert(which < counters->count);
    uint64_t sum = 0;
    for (size_t shard = 0; shard < METRIC_SHARDS; shard++)
        sum += atomic_load_explicit(&counters->cells[shard * counters->stride + which],
                                    memory_order_relaxed);
    return sum;
}

/* Where the eighths of an octave begin: 2^(63 + n/8), rounded up. */
static const uint64_t eighths[8] = {
    0x8000000000000000, 0x8b95c1e3ea8bd6e7, 0x9837f0518db8a970, 0xa5fed6a9b15138eb,
    0xb504f333f9de6485, 0xc5672a115506dade, 0xd744fccad69d6af5, 0xeac0c6e7dd24392f,
};

static uint32_t bucket_of(uint64_t value_us)
{
    if (value_us == 0)
        return 0;
    if (value_us >> OCTAVES != 0)
        return BUCKETS - 1;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(value_us);
    uint64_t shifted = value_us << (63 - octave);
    uint32_t eighth = 0;
    for (uint32_t i = 1; i < 8; i++)
        eighth += shifted >= eighths[i];
    return octave * 8 + eighth;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_upper_us(uint32_t bucket)
{
    uint32_t octave = bucket / 8;
    uint32_t eighth = bucket % 8;
    if (eighth == 7)
        return (UINT64_C(2) << octave) - 1;
    return (eighths[eighth + 1] - 1) >> (63 - octave);
}

enum status histogram_create(struct histogram **out_histogram)
{
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    if (histogram == NULL)
        return STATUS_NO_MEMORY;
    enum status status = counters_create(BUCKETS + 1, &histogram->buckets);
    if (status != STATUS_OK)
        goto destroy_histogram;
    *out_histogram = histogram;
    return STATUS_OK;

destroy_histogram:
    histogram_destroy(&histogram);
    return status;
}

void histogram_destroy(struct histogram **histogram)
{
    struct histogram *doomed = *histogram;
    if (doomed == NULL)
        return;
    *histogram = NULL;
    counters_destroy(&doomed->buckets);
    free(doomed);
}

void histogram_add(struct histogram *histogram, uint64_t value_us)
{
    counters_add(histogram->buckets, bucket_of(value_us), 1);
    counters_add(histogram->buckets, SUM_US, value_us);
}

static uint64_t read_buckets(const struct histogram *histogram, uint64_t out_counts[BUCKETS])
{
    uint64_t total = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        out_counts[bucket] = counters_read(histogram->buckets, bucket);
        total += out_counts[bucket];
    }
    return total;
}

/* The nearest-rank quantile: the smallest value that at least quantile * count values do not
 * exceed. */
uint64_t histogram_quantile_us(const struct histogram *histogram, double quantile)
{
    assert(quantile >= 0.0);
    assert(quantile <= 1.0);
    uint64_t
        counts[BUCKETS]; /* read once: the total must fit the counts, whoever counts on meanwhile */
    uint64_t total = read_buckets(histogram, counts);
    if (total == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(quantile * (double)total);
    if (rank == 0)
        rank = 1;
    uint32_t bucket = 0;
    uint64_t seen = counts[0];
    while (seen < rank && bucket + 1 < BUCKETS)
        seen += counts[++bucket];
    return bucket_upper_us(bucket);
}

/* https://prometheus.io/docs/instrumenting/exposition_formats/ */
void metric_write_head(const struct metric_row *row, FILE *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->meaning, row->name,
                  kinds[row->kind]);
}

void metric_write_value(const struct metric_row *row, const char *labels, uint64_t value, FILE *out)
{
    const bool has_labels = labels[0] != '\0';
    (void)fprintf(out, "%s%s%s%s %" PRIu64 "\n", row->name, has_labels ? "{" : "", labels,
                  has_labels ? "}" : "", value);
}

void metric_write_real(const struct metric_row *row, const char *labels, double value, FILE *out)
{
    const bool has_labels = labels[0] != '\0';
    (void)fprintf(out, "%s%s%s%s %.9g\n", row->name, has_labels ? "{" : "", labels,
                  has_labels ? "}" : "", value);
}

static void write_histogram(const struct metric_row *row, const char *labels,
                            const struct histogram *histogram, uint32_t octaves, double unit,
                            FILE *out)
{
    assert(row->kind == METRIC_HISTOGRAM);
    uint64_t counts[BUCKETS], seen = 0;
    const uint64_t total = read_buckets(histogram, counts);
    const char *comma = labels[0] != '\0' ? "," : "";
    for (uint32_t bucket = 0; bucket < octaves * 8; bucket++) {
        seen += counts[bucket];
        if (bucket % 8 == 7)
            (void)fprintf(out, "%s_bucket{%s%sle=\"%.9g\"} %" PRIu64 "\n", row->name, labels, comma,
                          (double)bucket_upper_us(bucket) / unit, seen);
    }
    (void)fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", row->name, labels, comma, total);
    const double sum = (double)counters_read(histogram->buckets, SUM_US) / unit;
    const bool has_labels = labels[0] != '\0';
    (void)fprintf(out, "%s_sum%s%s%s %.9g\n", row->name, has_labels ? "{" : "", labels,
                  has_labels ? "}" : "", sum);
    (void)fprintf(out, "%s_count%s%s%s %" PRIu64 "\n", row->name, has_labels ? "{" : "", labels,
                  has_labels ? "}" : "", total);
}

void metric_write_histogram(const struct metric_row *row, const char *labels,
                            const struct histogram *histogram, FILE *out)
{
    write_histogram(row, labels, histogram, OCTAVES_WRITTEN, 1e6, out);
}

void metric_write_histogram_of_numbers(const struct metric_row *row, const char *labels,
                                       const struct histogram *histogram, uint32_t octaves,
                                       FILE *out)
{
    assert(octaves > 0 && octaves <= OCTAVES);
    write_histogram(row, labels, histogram, octaves, 1, out);
}

void metric_write_escaped(struct text value, FILE *out)
{
    for (size_t i = 0; i < value.length; i++) {
        const char byte = value.bytes[i];
        if (byte == '\n')
            (void)fputs("\\n", out);
        else if (byte == '\\' || byte == '"')
            (void)fprintf(out, "\\%c", byte);
        else
            (void)fputc(byte, out);
    }
}
