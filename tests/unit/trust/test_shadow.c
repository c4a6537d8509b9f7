/*
 * Goal: lookups and verdicts count at each threshold that they reach, and agreement says how many
 * verdicts a threshold goes with. Method: counts by hand; threads that count while another looks.
 */
#include "tests/support/unit.h"

#include <pthread.h>

#include "trust/shadow.h"

static size_t index_of(int percent)
{
    return (size_t)(percent - CURVE_FIRST_PERCENT);
}

static struct shadow_view view_of(const struct shadow *shadow)
{
    struct shadow_view view = {.would = {0}};
    shadow_add_to(shadow, &view);
    return view;
}

static void a_lookup_counts_at_each_threshold_that_it_reaches(void **state)
{
    (void)state;
    struct shadow *shadow = shadow_create();
    shadow_see(shadow, 0.9F);
    shadow_see(shadow, 0.7F);
    shadow_see(shadow, 1.0F);
    shadow_see(shadow, 0.3F);
    shadow_see(shadow, -1.0F); /* the guard forbids all of them */
    const struct shadow_view view = view_of(shadow);
    assert_int_equal(shadow_point(&view, index_of(50)).would_hits, 3);
    assert_int_equal(shadow_point(&view, index_of(71)).would_hits, 2);
    assert_int_equal(shadow_point(&view, index_of(90)).would_hits, 2);
    assert_int_equal(shadow_point(&view, index_of(91)).would_hits, 1);
    assert_int_equal(view.verdicts.pairs, 0);
    assert_true(shadow_point(&view, 0).agreement == 0);
    assert_true(shadow_point(&view, 0).verdicts.error_hit.high == 1);
    shadow_destroy(&shadow);
    assert_null(shadow);
    shadow_destroy(&shadow);
}

static void a_threshold_agrees_with_what_it_serves_rightly_and_withholds_rightly(void **state)
{
    (void)state;
    struct shadow *shadow = shadow_create();
    for (int i = 0; i < 4; i++)
        shadow_label(shadow, 0.95F, true, false);
    for (int i = 0; i < 2; i++)
        shadow_label(shadow, 0.85F, true, false);
    shadow_label(shadow, 0.85F, false, false);
    shadow_label(shadow, 0.2F, false, false);
    shadow_label(shadow, 0.99F, false, true); /* withheld by the guard, rightly... */
    shadow_label(shadow, 0.99F, true, true);  /* ...and wrongly */
    const struct shadow_view view = view_of(shadow);
    assert_int_equal(view.verdicts.pairs, 10);
    assert_int_equal(view.verdicts.same, 7);
    assert_int_equal(view.verdicts.guard_blocked, 2);
    assert_int_equal(view.verdicts.guard_blocked_same, 1);
    const struct shadow_point low = shadow_point(&view, index_of(80)),
                              high = shadow_point(&view, index_of(90)),
                              all = shadow_point(&view, index_of(99));
    assert_int_equal(low.verdicts.hits, 7);
    assert_int_equal(low.verdicts.wrong, 1);
    assert_true(low.agreement == 0.8); /* 6 right ones served, 2 wrong ones withheld */
    assert_int_equal(high.verdicts.hits, 4);
    assert_true(high.agreement == 0.7); /* 4 and 3 */
    assert_int_equal(all.verdicts.hits, 0);
    assert_true(all.agreement == 0.3);
    shadow_destroy(&shadow);
}

static void views_of_several_add_up(void **state)
{
    (void)state;
    struct shadow *one = shadow_create(), *other = shadow_create();
    struct shadow_view view = {.would = {0}};
    shadow_see(one, 0.9F);
    shadow_see(other, 0.9F);
    shadow_label(other, 0.9F, true, false);
    shadow_add_to(one, &view);
    shadow_add_to(other, &view);
    assert_int_equal(shadow_point(&view, index_of(90)).would_hits, 2);
    assert_int_equal(shadow_point(&view, index_of(90)).verdicts.hits, 1);
    shadow_destroy(&one);
    shadow_destroy(&other);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_many(void *shadow)
{
    for (int i = 0; i < ROUNDS; i++) {
        shadow_see(shadow, 0.9F);
        shadow_label(shadow, 0.9F, i % 4 != 0, i % 8 == 1);
    }
    return NULL;
}

static void no_view_contradicts_itself_while_others_count(void **state)
{
    (void)state;
    struct shadow *shadow = shadow_create();
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, shadow), 0);
    for (int i = 0; i < 200; i++) {
        const struct shadow_view view = view_of(shadow);
        const struct shadow_point point = shadow_point(&view, 0);
        assert_true(point.verdicts.wrong <= point.verdicts.hits);
        assert_true(point.verdicts.hits <= view.verdicts.pairs);
        assert_true(point.agreement >= 0);
        assert_true(point.agreement <= 1);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    const struct shadow_view view = view_of(shadow);
    const uint64_t all = (uint64_t)THREADS * ROUNDS;
    assert_int_equal(shadow_point(&view, index_of(90)).would_hits, all);
    assert_int_equal(view.verdicts.pairs, all);
    assert_int_equal(view.verdicts.same, all / 4 * 3);
    assert_int_equal(view.verdicts.guard_blocked, all / 8);
    shadow_destroy(&shadow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lookup_counts_at_each_threshold_that_it_reaches),
        cmocka_unit_test(a_threshold_agrees_with_what_it_serves_rightly_and_withholds_rightly),
        cmocka_unit_test(views_of_several_add_up),
        cmocka_unit_test(no_view_contradicts_itself_while_others_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
