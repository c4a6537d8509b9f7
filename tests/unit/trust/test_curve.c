/*
 * Goal: the curve counts what a threshold would do, and a recommended threshold keeps its bound.
 * Method: pairs by hand; then 200 sets of pairs drawn from a world whose errors are known.
 */
#include "tests/support/unit.h"

#include <math.h>

#include "trust/curve.h"

static size_t index_of(int percent)
{
    return (size_t)(percent - CURVE_FIRST_PERCENT);
}

static void add(struct curve *curve, float similarity, bool same, int times)
{
    for (int i = 0; i < times; i++)
        curve_add(curve, similarity, same, false);
}

static void a_pair_counts_at_each_threshold_that_it_reaches(void **state)
{
    (void)state;
    struct curve curve = {.pairs = 0};
    add(&curve, 0.9F, true, 3);
    add(&curve, 0.8F, false, 1);
    add(&curve, 0.3F, false, 4);
    add(&curve, -1.0F, true, 1);
    add(&curve, 1.0F, true, 1);
    assert_int_equal(curve.pairs, 10);
    assert_int_equal(curve.same, 5);
    const struct curve_point at_50 = curve_point(&curve, 0),
                             at_80 = curve_point(&curve, index_of(80)),
                             at_81 = curve_point(&curve, index_of(81)),
                             at_90 = curve_point(&curve, index_of(90)),
                             at_91 = curve_point(&curve, index_of(91)),
                             at_99 = curve_point(&curve, CURVE_POINTS - 1);
    assert_int_equal(at_50.hits, 5);
    assert_int_equal(at_80.hits, 5);
    assert_int_equal(at_80.wrong, 1);
    assert_true(at_80.hit_rate == 0.5);
    assert_true(at_80.error_all == 0.1);
    assert_true(at_80.error_hit.value == 0.2);
    assert_int_equal(at_81.hits, 4);
    assert_int_equal(at_81.wrong, 0);
    assert_int_equal(at_90.hits, 4);
    assert_int_equal(at_91.hits, 1);
    assert_int_equal(at_99.hits, 1);
    assert_true(at_99.threshold == 0.99F);
}

static void every_threshold_takes_the_similarity_that_equals_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        struct curve curve = {.pairs = 0};
        const float threshold = curve_point(&curve, i).threshold;
        curve_add(&curve, threshold, true, false);
        curve_add(&curve, nextafterf(threshold, 0), true, false);
        assert_int_equal(curve_point(&curve, i).hits, 1);
    }
}

static void what_the_guard_blocks_is_a_hit_at_no_threshold(void **state)
{
    (void)state;
    struct curve curve = {.pairs = 0};
    curve_add(&curve, 1, false, true);
    curve_add(&curve, 1, true, true);
    assert_int_equal(curve.pairs, 2);
    assert_int_equal(curve.guard_blocked, 2);
    assert_int_equal(curve.guard_blocked_same, 1);
    assert_int_equal(curve_point(&curve, 0).hits, 0);
    assert_true(curve_point(&curve, 0).error_hit.high == 1);
}

static void the_lowest_threshold_within_the_bound_is_chosen(void **state)
{
    (void)state;
    struct curve curve = {.pairs = 0};
    size_t index = 0;
    add(&curve, 0.95F, true, 400);
    add(&curve, 0.85F, true, 400);
    add(&curve, 0.75F, true, 300);
    add(&curve, 0.75F, false, 100);
    assert_true(curve_choose(&curve, 0.02, &index));
    assert_int_equal(index, index_of(85));
    assert_true(curve_choose(&curve, 0.2, &index));
    assert_int_equal(index, index_of(75));
}

static void errors_high_up_do_not_hide_a_lower_threshold_that_passes(void **state)
{
    (void)state;
    struct curve curve = {.pairs = 0};
    size_t index = 0;
    add(&curve, 0.99F, false, 2);
    add(&curve, 0.90F, true, 2000);
    assert_true(curve_choose(&curve, 0.02, &index));
    assert_int_equal(index, index_of(90));
}

static void too_few_pairs_prove_nothing(void **state)
{
    (void)state;
    struct curve curve = {.pairs = 0};
    size_t index = 77;
    assert_int_equal(curve_hits_needed(0.02), 342); /* scipy: test_interval.c */
    assert_false(curve_choose(&curve, 0.02, &index));
    add(&curve, 0.9F, true, 341);
    assert_false(curve_choose(&curve, 0.02, &index));
    assert_int_equal(index, 77);
    add(&curve, 0.9F, true, 1);
    assert_true(curve_choose(&curve, 0.02, &index));
}

static void pairs_that_are_often_wrong_recommend_nothing(void **state)
{
    (void)state;
    struct curve curve = {.pairs = 0};
    size_t index = 0;
    for (int percent = 50; percent < 100; percent++) {
        add(&curve, (float)percent / 100, true, 95);
        add(&curve, (float)percent / 100, false, 5);
    }
    assert_false(curve_choose(&curve, 0.02, &index));
}

/* ---- A world: a pair at similarity s is wrong with probability 0.4 (1 - s) --------------------
 */

static uint64_t seed;

static double chance(void) /* splitmix64: Steele et al., OOPSLA 2014 */
{
    seed += 0x9e3779b97f4a7c15u;
    uint64_t mixed = seed;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return (double)((mixed ^ mixed >> 31) >> 11) * 0x1p-53;
}

/* Above t the similarity is uniform on t to 1, so that the mean of 0.4 (1 - s) is half of that at
 * t. */
static double true_error(double threshold)
{
    return 0.2 * (1 - threshold);
}

static void of_two_hundred_choices_few_break_the_bound(void **state)
{
    (void)state;
    const double bound = 0.05;
    int broken = 0, chosen = 0;
    seed = 20261126;
    for (int round = 0; round < 200; round++) {
        struct curve curve = {.pairs = 0};
        size_t index = 0;
        for (int i = 0; i < 8000; i++) {
            const double similarity = 0.5 + 0.5 * chance();
            curve_add(&curve, (float)similarity, chance() >= 0.4 * (1 - similarity), false);
        }
        if (!curve_choose(&curve, bound, &index))
            continue;
        chosen++;
        broken += true_error((double)curve_point(&curve, index).threshold) > bound;
    }
    assert_true(chosen >= 190);
    assert_true(broken <= 10); /* 5 % of them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_counts_at_each_threshold_that_it_reaches),
        cmocka_unit_test(every_threshold_takes_the_similarity_that_equals_it),
        cmocka_unit_test(what_the_guard_blocks_is_a_hit_at_no_threshold),
        cmocka_unit_test(the_lowest_threshold_within_the_bound_is_chosen),
        cmocka_unit_test(errors_high_up_do_not_hide_a_lower_threshold_that_passes),
        cmocka_unit_test(too_few_pairs_prove_nothing),
        cmocka_unit_test(pairs_that_are_often_wrong_recommend_nothing),
        cmocka_unit_test(of_two_hundred_choices_few_break_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
