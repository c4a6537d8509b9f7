/*
 * test_metrics.c - Goal: no count is lost among threads; a quantile is never below the value and at
 * most 2^(1/8) above. Method: more threads than shards count at once; single values over the whole
 * range are read back as quantiles.
 */
#include "tests/support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/metrics.h"
#include "base/thread.h"

enum { THREADS = 40, ROUNDS = 1000, COUNTERS = 11 };

static void count_run(void *argument)
{
    struct counters *counters = argument;
    for (uint32_t i = 0; i < ROUNDS; i++)
        counters_add(counters, i % COUNTERS, 3);
}

static void no_count_is_lost_among_more_threads_than_shards(void **state)
{
    (void)state;
    struct counters *counters = NULL;
    struct thread *threads[THREADS] = {NULL};
    assert_int_equal(counters_create(COUNTERS, &counters), STATUS_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(i % 2 == 0 ? THREAD_IO : THREAD_OTHER, "counter", count_run,
                                       counters, &threads[i]),
                         STATUS_OK);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    for (uint32_t which = 0; which < COUNTERS; which++) {
        uint64_t rounds = ROUNDS / COUNTERS + (which < ROUNDS % COUNTERS);
        assert_int_equal(counters_read(counters, which), 3 * rounds * THREADS);
    }
    counters_destroy(&counters);
    assert_null(counters);
    counters_destroy(&counters);
}

static void counters_start_at_zero_and_stay_apart(void **state)
{
    (void)state;
    struct counters *counters = NULL;
    assert_int_equal(counters_create(9, &counters), STATUS_OK);
    for (uint32_t which = 0; which < 9; which++)
        assert_int_equal(counters_read(counters, which), 0);
    counters_add(counters, 8, UINT64_C(1) << 40);
    counters_add(counters, 0, 1);
    assert_int_equal(counters_read(counters, 8), UINT64_C(1) << 40);
    assert_int_equal(counters_read(counters, 0), 1);
    assert_int_equal(counters_read(counters, 7), 0);
    counters_destroy(&counters);
}

static struct histogram *histogram_of(void)
{
    struct histogram *histogram = NULL;
    assert_int_equal(histogram_create(&histogram), STATUS_OK);
    return histogram;
}

static uint64_t quantile_of_one(uint64_t value)
{
    struct histogram *histogram = histogram_of();
    histogram_add(histogram, value);
    uint64_t quantile = histogram_quantile_us(histogram, 0.5);
    histogram_destroy(&histogram);
    return quantile;
}

static void a_quantile_is_at_most_an_eighth_of_an_octave_above_the_value(void **state)
{
    (void)state;
    const double eighth = exp2(1.0 / 8.0);
    for (uint64_t value = 1; value < UINT64_C(1) << 32; value += value / 37 + 1) {
        uint64_t quantile = quantile_of_one(value);
        assert_true(quantile >= value);
        assert_true((double)quantile < (double)value * eighth);
    }
}

static void small_values_are_exact_and_large_ones_stay_in_the_last_bucket(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 8; value++)
        assert_int_equal(quantile_of_one(value), value);
    assert_int_equal(quantile_of_one(0), 1);
    assert_int_equal(quantile_of_one(UINT64_C(0xffffffff)), UINT64_C(0xffffffff));
    assert_int_equal(quantile_of_one(UINT64_C(1) << 32), UINT64_C(0xffffffff));
    assert_int_equal(quantile_of_one(UINT64_MAX), UINT64_C(0xffffffff));
}

static void quantiles_follow_the_nearest_rank(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_of();
    assert_int_equal(histogram_quantile_us(histogram, 0.5), 0);
    for (int i = 0; i < 98; i++)
        histogram_add(histogram, 4);
    histogram_add(histogram, 1000);
    histogram_add(histogram, 100000);
    assert_int_equal(histogram_quantile_us(histogram, 0.0), 4);
    assert_int_equal(histogram_quantile_us(histogram, 0.5), 4);
    assert_int_equal(histogram_quantile_us(histogram, 0.98), 4);
    assert_in_range(histogram_quantile_us(histogram, 0.99), 1000, 1090);
    assert_in_range(histogram_quantile_us(histogram, 1.0), 100000, 109050);
    histogram_destroy(&histogram);
    assert_null(histogram);
    histogram_destroy(&histogram);
}

static void a_metric_is_written_as_prometheus_reads_it(void **state)
{
    (void)state;
    static const struct metric_row counter = {"reprise_a_total", METRIC_COUNTER, "things",
                                              "Things."};
    static const struct metric_row gauge = {"reprise_b", METRIC_GAUGE, "things", "Things now."};
    char *said = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&said, &size);
    metric_write_head(&counter, out);
    metric_write_value(&counter, "kind=\"x\"", UINT64_MAX, out);
    metric_write_head(&gauge, out);
    metric_write_value(&gauge, "", 0, out);
    (void)fclose(out);
    assert_string_equal(said, "# HELP reprise_a_total Things.\n"
                              "# TYPE reprise_a_total counter\n"
                              "reprise_a_total{kind=\"x\"} 18446744073709551615\n"
                              "# HELP reprise_b Things now.\n"
                              "# TYPE reprise_b gauge\n"
                              "reprise_b 0\n");
    free(said);
}

static void a_histogram_is_written_with_a_bucket_an_octave_a_sum_and_a_count(void **state)
{
    (void)state;
    static const struct metric_row row = {"reprise_c_seconds", METRIC_HISTOGRAM, "seconds", "C."};
    struct histogram *histogram = histogram_of();
    histogram_add(histogram, 1);
    histogram_add(histogram, 3);
    histogram_add(histogram, UINT64_C(100) * 1000 * 1000); /* longer than the last bucket */
    char *said = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&said, &size);
    metric_write_head(&row, out);
    metric_write_histogram(&row, "tier=\"x\"", histogram, out);
    (void)fclose(out);
    assert_ptr_equal(
        strstr(said, "# HELP reprise_c_seconds C.\n# TYPE reprise_c_seconds histogram\n"), said);
    assert_non_null(strstr(said, "reprise_c_seconds_bucket{tier=\"x\",le=\"1e-06\"} 1\n"));
    assert_non_null(strstr(said, "reprise_c_seconds_bucket{tier=\"x\",le=\"3e-06\"} 2\n"));
    assert_non_null(strstr(said, "reprise_c_seconds_bucket{tier=\"x\",le=\"67.108863\"} 2\n"));
    assert_non_null(strstr(said, "reprise_c_seconds_bucket{tier=\"x\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(said, "reprise_c_seconds_sum{tier=\"x\"} 100.000004\n"));
    assert_non_null(strstr(said, "reprise_c_seconds_count{tier=\"x\"} 3\n"));
    free(said);
    histogram_destroy(&histogram);
}

static void a_histogram_of_numbers_is_written_as_they_are(void **state)
{
    (void)state;
    static const struct metric_row row = {"reprise_d_tokens", METRIC_HISTOGRAM, "tokens", "D."};
    struct histogram *histogram = histogram_of();
    histogram_add(histogram, 16);
    histogram_add(histogram, 600); /* beyond the octaves */
    char *said = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&said, &size);
    metric_write_histogram_of_numbers(&row, "", histogram, 5, out);
    (void)fclose(out);
    assert_string_equal(said, "reprise_d_tokens_bucket{le=\"1\"} 0\n"
                              "reprise_d_tokens_bucket{le=\"3\"} 0\n"
                              "reprise_d_tokens_bucket{le=\"7\"} 0\n"
                              "reprise_d_tokens_bucket{le=\"15\"} 0\n"
                              "reprise_d_tokens_bucket{le=\"31\"} 1\n"
                              "reprise_d_tokens_bucket{le=\"+Inf\"} 2\n"
                              "reprise_d_tokens_sum 616\n"
                              "reprise_d_tokens_count 2\n");
    free(said);
    histogram_destroy(&histogram);
}

static void a_label_from_outside_cannot_leave_its_quotes(void **state)
{
    (void)state;
    char *said = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&said, &size);
    metric_write_escaped(TEXT("a\"b\\c\nd"), out);
    (void)fclose(out);
    assert_string_equal(said, "a\\\"b\\\\c\\nd");
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_count_is_lost_among_more_threads_than_shards),
        cmocka_unit_test(counters_start_at_zero_and_stay_apart),
        cmocka_unit_test(a_quantile_is_at_most_an_eighth_of_an_octave_above_the_value),
        cmocka_unit_test(small_values_are_exact_and_large_ones_stay_in_the_last_bucket),
        cmocka_unit_test(quantiles_follow_the_nearest_rank),
        cmocka_unit_test(a_metric_is_written_as_prometheus_reads_it),
        cmocka_unit_test(a_histogram_is_written_with_a_bucket_an_octave_a_sum_and_a_count),
        cmocka_unit_test(a_histogram_of_numbers_is_written_as_they_are),
        cmocka_unit_test(a_label_from_outside_cannot_leave_its_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
