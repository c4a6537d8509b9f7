/*
 * Goal: the bounds are those of Clopper and Pearson. Method: values of scipy 1.17.1
 * (scipy.stats.beta.ppf), then what must hold of any bounds.
 */
#include "tests/support/unit.h"

#include <math.h>

#include "trust/interval.h"

struct known {
    uint64_t hits, trials;
    double miss, low, high;
};

/* clang-format off */
static const struct known two_sided[] = {
    {0, 10, 0.05, 0, 0.308497107819},
    {10, 10, 0.05, 0.691502892181, 1},
    {1, 10, 0.05, 0.00252857854446, 0.445016117028},
    {5, 10, 0.05, 0.187086028447, 0.812913971553},
    {3, 150, 0.05, 0.00414362528122, 0.0573342222882},
    {0, 1, 0.05, 0, 0.975},
    {1, 1, 0.05, 0.025, 1},
    {20, 5000, 0.05, 0.00244496381151, 0.00617094765553},
    {2400, 5000, 0.05, 0.466067144493, 0.493956224281},
    {12, 1000000, 0.05, 6.20058998839e-06, 2.09614911237e-05},
    {999999, 1000000, 0.05, 0.999994428369, 0.999999974682},
    {7, 300, 0.001, 0.00452977585618, 0.0672950236075},
    {500000, 1000000, 0.01, 0.498711587809, 0.501288412191},
};
static const struct known one_sided[] = {
    {0, 60, 0.05, 0, 0.0487029133101},
    {0, 150, 0.05, 0, 0.0197734381645},
    {0, 341, 0.001, 0, 0.020053545288},
    {0, 342, 0.001, 0, 0.0199954993723},
    {83, 5000, 0.05, 0, 0.0198912030719},
    {70, 5000, 0.001, 0, 0.0199220084782},
};
/* clang-format on */
enum { TWO_SIDED = sizeof(two_sided) / sizeof(two_sided[0]) };
enum { ONE_SIDED = sizeof(one_sided) / sizeof(one_sided[0]) };

/* Relative: a million trials leave seven digits of what log gammas cancel. */
static void assert_close(double is, double should_be)
{
    if (fabs(is - should_be) > 1e-8 * fabs(should_be))
        fail_msg("%.15g is not %.15g", is, should_be);
}

static void the_bounds_are_those_of_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < TWO_SIDED; i++) {
        const struct known *known = &two_sided[i];
        const struct interval interval = interval_of(known->hits, known->trials, known->miss);
        assert_close(interval.low, known->low);
        assert_close(interval.high, known->high);
        assert_close(interval.value, (double)known->hits / (double)known->trials);
    }
}

static void the_upper_bound_alone_is_scipys_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < ONE_SIDED; i++)
        assert_close(interval_upper(one_sided[i].hits, one_sided[i].trials, one_sided[i].miss),
                     one_sided[i].high);
}

static void without_trials_nothing_is_known(void **state)
{
    (void)state;
    const struct interval interval = interval_of(0, 0, 0.05);
    assert_true(interval.low == 0);
    assert_true(interval.value == 0);
    assert_true(interval.high == 1);
    assert_true(interval_upper(0, 0, 0.05) == 1);
}

static void bounds_hold_the_share_and_mirror_each_other(void **state)
{
    (void)state;
    for (uint64_t trials = 1; trials <= 60; trials++) {
        for (uint64_t hits = 0; hits <= trials; hits++) {
            const struct interval interval = interval_of(hits, trials, 0.05);
            const struct interval mirrored = interval_of(trials - hits, trials, 0.05);
            assert_true(interval.low <= interval.value);
            assert_true(interval.value <= interval.high);
            assert_true(fabs(interval.low - (1 - mirrored.high)) < 1e-12);
        }
    }
}

static double choose(uint64_t n, uint64_t k)
{
    double ways = 1;
    for (uint64_t i = 1; i <= k; i++)
        ways = ways * (double)(n - k + i) / (double)i;
    return ways;
}

/* For every true share: of all outcomes of 30 trials, those whose interval lacks it are rare. */
static void the_true_share_lies_outside_as_rarely_as_was_asked(void **state)
{
    (void)state;
    for (int percent = 1; percent < 100; percent++) {
        const double share = percent / 100.0;
        double outside = 0;
        for (uint64_t hits = 0; hits <= 30; hits++) {
            const struct interval interval = interval_of(hits, 30, 0.05);
            if (share < interval.low || share > interval.high)
                outside +=
                    choose(30, hits) * pow(share, (double)hits) * pow(1 - share, 30 - (double)hits);
        }
        assert_true(outside <= 0.05);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bounds_are_those_of_scipy),
        cmocka_unit_test(the_upper_bound_alone_is_scipys_too),
        cmocka_unit_test(without_trials_nothing_is_known),
        cmocka_unit_test(bounds_hold_the_share_and_mirror_each_other),
        cmocka_unit_test(the_true_share_lies_outside_as_rarely_as_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
