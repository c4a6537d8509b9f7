/*
 * Goal: a graph is built when it pays, and not before.
 * Method: promotion.c is pure; each condition is moved across its border alone.
 */
#include "tests/unit/index/index_support.h"

#include "index/promotion.h"

/* 100,000 rows, a lookup a second for an hour, as measured at that size: Q is about 10,400. */
static struct promotion usual(void)
{
    return (struct promotion){.rows_flat = 100000,
                              .dimension = 384,
                              .lookups_s = 1,
                              .horizon_s = 3600,
                              .flat_row_ns = 12.4,
                              .build_row_ns = 122};
}

static void a_build_that_pays_back_is_made(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.build_row_ns = 122000;
    assert_false(promotion_is_due(&promotion)); /* 3,600 lookups are too few */
    promotion.lookups_s = 8.5;
    assert_false(promotion_is_due(&promotion)); /* 30,600; 3 Q = 31,300 */
    promotion.lookups_s = 9;
    assert_true(promotion_is_due(&promotion)); /* 32,400 */
    promotion.horizon_s = 600;                 /* rows that soon expire are not worth it */
    assert_false(promotion_is_due(&promotion));
}

static void no_horizon_is_longer_than_an_hour(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.build_row_ns = 122000;
    promotion.lookups_s = 8.5;
    promotion.horizon_s = 1e12;
    assert_false(promotion_is_due(&promotion));
}

static void few_rows_are_never_worth_a_graph(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.lookups_s = 1e9;
    promotion.rows_flat = PROMOTION_ROWS_MIN - 1;
    assert_false(promotion_is_due(&promotion));
    assert_false(promotion_is_near(&promotion));
    promotion.rows_flat = PROMOTION_ROWS_MIN;
    assert_true(promotion_is_due(&promotion));
    promotion.lookups_s = 0;
    assert_false(promotion_is_due(&promotion));
    assert_true(promotion_is_near(&promotion)); /* it is watched */
}

static void many_rows_always_are(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.lookups_s = 0;
    promotion.horizon_s = 0;
    promotion.rows_flat = PROMOTION_ROWS_ALWAYS - 1;
    assert_false(promotion_is_due(&promotion));
    promotion.rows_flat = PROMOTION_ROWS_ALWAYS;
    assert_true(promotion_is_due(&promotion));
}

static void longer_rows_are_worth_it_earlier(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.lookups_s = 0;
    promotion.dimension = 1536;
    promotion.rows_flat = PROMOTION_ROWS_ALWAYS / 4;
    assert_true(promotion_is_due(&promotion));
    promotion.rows_flat--;
    assert_false(promotion_is_due(&promotion));
}

static void beside_a_graph_rows_join_sooner(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.build_row_ns = 122000;
    promotion.has_graph = true;
    promotion.rows_flat = 4096;
    assert_false(promotion_is_due(&promotion)); /* 3,600 lookups; 3 b / c = 29,500 */
    promotion.lookups_s = 8.3;
    assert_true(promotion_is_due(&promotion));
    promotion.lookups_s = 0;
    assert_false(promotion_is_due(&promotion));
    promotion.rows_flat = PROMOTION_ROWS_MIN;
    assert_true(promotion_is_due(&promotion));
}

static void a_scan_that_is_faster_than_a_graph_stays(void **state)
{
    (void)state;
    struct promotion promotion = usual();
    promotion.lookups_s = 1e9;
    promotion.flat_row_ns = 0.5;
    assert_false(promotion_is_due(&promotion)); /* 50 us for all; a walk takes 71 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_that_pays_back_is_made),
        cmocka_unit_test(no_horizon_is_longer_than_an_hour),
        cmocka_unit_test(few_rows_are_never_worth_a_graph),
        cmocka_unit_test(many_rows_always_are),
        cmocka_unit_test(longer_rows_are_worth_it_earlier),
        cmocka_unit_test(beside_a_graph_rows_join_sooner),
        cmocka_unit_test(a_scan_that_is_faster_than_a_graph_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
