/*
 * metrics.h - counters and latency histograms that cost the hot path no shared cache line.
 * Counters are per thread and summed when read: reads are approximate while others count, exact
 * when they rest. And the rows by which rooms name what they count, in the text that Prometheus
 * reads. Threads: any.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "base/text.h"

struct counters;

/* `count` counters, all zero. */
enum status counters_create(uint32_t count, struct counters **out_counters);
void counters_destroy(struct counters **counters);
void counters_add(struct counters *counters, uint32_t which, uint64_t amount);
uint64_t counters_read(const struct counters *counters, uint32_t which);

/* Microseconds from 1 us to about 1 hour, 8 buckets an octave: a quantile is at most 9 % off. */
struct histogram;

enum status histogram_create(struct histogram **out_histogram);
void histogram_destroy(struct histogram **histogram);
void histogram_add(struct histogram *histogram, uint64_t value_us);
/* quantile in [0,1]; 0 when empty. The upper edge of the bucket. */
uint64_t histogram_quantile_us(const struct histogram *histogram, double quantile);

enum { METRIC_LABELS_MAX = 256 };
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* A room's table has one for each name; where several values share a name, labels tell them apart.
 */
struct metric_row {
    const char *name; /* "reprise_embed_texts_total" */
    enum metric_kind kind;
    const char *unit;
    const char *meaning; /* one line */
};

/*
 * Prometheus' text format, 0.0.4: the head once, then each value. labels: as they stand between the
 * braces, provider="local",reason="late"; "": none. Their values are words of ours.
 */
void metric_write_head(const struct metric_row *row, FILE *out);
void metric_write_value(const struct metric_row *row, const char *labels, uint64_t value,
                        FILE *out);
void metric_write_real(const struct metric_row *row, const char *labels, double value, FILE *out);
/* In seconds: a bucket an octave up to 67 s, then _sum and _count. The row is METRIC_HISTOGRAM. */
void metric_write_histogram(const struct metric_row *row, const char *labels,
                            const struct histogram *histogram, FILE *out);
/* Of numbers instead of microseconds: a bucket an octave, as many as octaves says. */
void metric_write_histogram_of_numbers(const struct metric_row *row, const char *labels,
                                       const struct histogram *histogram, uint32_t octaves,
                                       FILE *out);
/* A label's value that is not ours, between its quotes: backslash, quote and line feed escaped. */
void metric_write_escaped(struct text value, FILE *out);
