/*
 * Goal: the rule of `adaptive` is exactly the published one. Method: its test vectors for three
 * embedders, then each border of the rule.
 */
#include "tests/support/unit.h"

#include "trust/adaptive.h"

static struct adaptive born(int initial, int min, int max)
{
    struct adaptive_limits limits = {.initial = initial, .min = min, .max = max, .step = 100};
    struct adaptive adaptive;
    adaptive_init(&adaptive, &limits);
    return adaptive;
}

static void label(struct adaptive *adaptive, bool right, int times)
{
    for (int i = 0; i < times; i++)
        adaptive_label(adaptive, right);
}

struct vector {
    int initial, min, max;
    int after_14_right;
    int after_13th[4]; /* 9 verdicts with one wrong, then four right ones */
};

static const struct vector vectors[] = {
    {9500, 9000, 9900, 9000, {9600, 9700, 9800, 9900}},
    {9000, 8500, 9400, 8500, {9100, 9200, 9300, 9400}},
    {9700, 9200, 9900, 9200, {9800, 9900, 9900, 9900}},
};
enum { VECTORS_COUNT = sizeof(vectors) / sizeof(vectors[0]) };

static void fourteen_right_verdicts_lower_the_cut_to_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS_COUNT; i++) {
        struct adaptive adaptive = born(vectors[i].initial, vectors[i].min, vectors[i].max);
        label(&adaptive, true, 9);
        assert_int_equal(adaptive.cut, vectors[i].initial);
        label(&adaptive, true, 5);
        assert_int_equal(adaptive.cut, vectors[i].after_14_right);
        label(&adaptive, true, 50);
        assert_int_equal(adaptive.cut, vectors[i].min);
    }
}

static void one_wrong_among_few_raises_it_at_every_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS_COUNT; i++) {
        struct adaptive adaptive = born(vectors[i].initial, vectors[i].min, vectors[i].max);
        label(&adaptive, true, 4);
        label(&adaptive, false, 1);
        label(&adaptive, true, 4);
        assert_int_equal(adaptive.cut, vectors[i].initial);
        for (int j = 0; j < 4; j++) {
            label(&adaptive, true, 1);
            assert_int_equal(adaptive.cut, vectors[i].after_13th[j]);
        }
    }
}

/* 95 of 100 are not below 95 %, 99 of 100 are not above 99 %: between the borders nothing moves. */
static void between_its_borders_the_cut_rests(void **state)
{
    (void)state;
    for (int wrong = 1; wrong <= 5; wrong++) {
        struct adaptive adaptive = born(9500, 0, 10000);
        for (int i = 0; i < wrong; i++)
            adaptive_count(&adaptive, false);
        for (int i = wrong; i < 100; i++)
            adaptive_count(&adaptive, true);
        adaptive_label(&adaptive, false); /* takes the place of a wrong one */
        assert_int_equal(adaptive.right, 100 - wrong);
        assert_int_equal(adaptive.cut, 9500);
    }
}

static void six_wrong_in_a_hundred_raise_it(void **state)
{
    (void)state;
    struct adaptive adaptive = born(9500, 0, 10000);
    for (int i = 0; i < 100; i++)
        adaptive_count(&adaptive, i >= 6);
    adaptive_label(&adaptive, false);
    assert_int_equal(adaptive.right, 94);
    assert_int_equal(adaptive.cut, 9600);
}

static void the_ring_forgets_what_is_older_than_a_hundred(void **state)
{
    (void)state;
    struct adaptive adaptive = born(9500, 9000, 9900);
    label(&adaptive, false, 100);
    assert_int_equal(adaptive.right, 0);
    assert_int_equal(adaptive.cut, 9900);
    label(&adaptive, true, 100);
    assert_int_equal(adaptive.filled, 100);
    assert_int_equal(adaptive.right, 100);
    assert_int_equal(adaptive.cut,
                     9800); /* the hundredth was the first with none wrong in the ring */
    label(&adaptive, true, 8);
    assert_int_equal(adaptive.cut, 9000);
}

static void counting_alone_moves_nothing(void **state)
{
    (void)state;
    struct adaptive adaptive = born(9500, 9000, 9900);
    for (int i = 0; i < 250; i++)
        adaptive_count(&adaptive, false);
    assert_int_equal(adaptive.filled, 100);
    assert_int_equal(adaptive.cut, 9500);
}

static void a_step_that_does_not_divide_the_range_stops_at_its_ends(void **state)
{
    (void)state;
    struct adaptive_limits limits = {.initial = 9500, .min = 9430, .max = 9570, .step = 50};
    struct adaptive adaptive;
    adaptive_init(&adaptive, &limits);
    label(&adaptive, true, 12);
    assert_int_equal(adaptive.cut, 9430);
    label(&adaptive, false, 12);
    assert_int_equal(adaptive.cut, 9570);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fourteen_right_verdicts_lower_the_cut_to_its_end),
        cmocka_unit_test(one_wrong_among_few_raises_it_at_every_verdict),
        cmocka_unit_test(between_its_borders_the_cut_rests),
        cmocka_unit_test(six_wrong_in_a_hundred_raise_it),
        cmocka_unit_test(the_ring_forgets_what_is_older_than_a_hundred),
        cmocka_unit_test(counting_alone_moves_nothing),
        cmocka_unit_test(a_step_that_does_not_divide_the_range_stops_at_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
