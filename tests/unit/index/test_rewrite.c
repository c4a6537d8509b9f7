/*
 * Goal: dead rows leave when it pays, living ones stay findable, and a full index can still be
 * cleaned.
 * Method: one partition; rows are removed in patterns, and what is charged, dead and findable is
 * looked at.
 */
#include "tests/unit/index/partition_support.h"

enum { DIMENSION = 16, ROWS = 30000 };
static float units[ROWS][DIMENSION];

static int make_units(void **state)
{
    (void)state;
    uint64_t seed = 23;
    for (uint32_t i = 0; i < ROWS; i++)
        chance_unit(&seed, DIMENSION, units[i]);
    return 0;
}

static void insert_rows(struct stand *stand, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        const struct index_row row = row_of(i, 1 + i, units[i]);
        assert_int_equal(stand_insert(stand, &row), STATUS_OK);
    }
}

static bool is_found(struct stand *stand, uint32_t i)
{
    struct search search;
    stand_search(stand, units[i], 1, &search);
    return search.hits_count == 1 && search.hits[0].sequence == 1 + i;
}

static void nothing_is_rewritten_below_a_thousand_dead_rows(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, 4000);
    for (uint32_t i = 0; i < 999; i++)
        assert_int_equal(stand_remove(&stand, i * 4, 1 + i * 4), 1);
    assert_int_equal(stand_dead(&stand), 999);
    assert_int_equal(stand_step(&stand), PLAN_NOTHING);
    assert_int_equal(stand_remove(&stand, 3999, UINT64_MAX), 1); /* 1000 of 4000, above 20 % */
    assert_int_equal(stand_step(&stand), PLAN_REWRITE);
    assert_true(stand_dead(&stand) < 400);
    assert_int_equal(atomic_load(&stand.common.rows_dead), stand_dead(&stand));
    stand_stop(&stand);
}

/* The flag is a byte of the counter: it rises with the 256th row that was copied. */
static void a_rewrite_stops_within_256_rows(void **state)
{
    (void)state;
    const struct plan_setup setup = {.has_graph_room = true};
    struct stand stand;
    struct plan plan;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, 10000);
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(stand_remove(&stand, i * 2, UINT64_MAX), 1);
    const uint64_t used = memory_used(stand.memory);
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_REWRITE);
    _Atomic uint32_t *done = &stand.partition->work_rows_done;
    assert_int_equal(stand_run(&stand, &plan, (const atomic_bool *)done + 1), STATUS_CANCELLED);
    assert_in_range(atomic_load(done), 256, 512);
    assert_int_equal(memory_used(stand.memory), used);
    assert_int_equal(stand_dead(&stand), 5000);
    for (uint32_t i = 1; i < 10000; i += 2)
        assert_true(is_found(&stand, i));
    assert_int_equal(stand_step(&stand), PLAN_REWRITE);
    assert_true(stand_dead(&stand) < 5000);
    stand_stop(&stand);
}

static void nothing_is_rewritten_below_a_fifth(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, 10000);
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(stand_remove(&stand, i * 5, UINT64_MAX), 1);
    assert_int_equal(stand_dead(&stand), 2000);
    assert_int_equal(stand_step(&stand), PLAN_NOTHING);
    assert_int_equal(stand_remove(&stand, 1, UINT64_MAX), 1);
    stand_settle(&stand);
    assert_true(stand_dead(&stand) < 1000);
    stand_stop(&stand);
}

static void small_partitions_are_cleaned_once_most_is_dead(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, 140);
    for (uint32_t i = 0; i < 70; i++)
        stand_remove(&stand, i, UINT64_MAX);
    assert_int_equal(stand_dead(&stand), 70); /* as many dead as alive */
    assert_int_equal(stand_step(&stand), PLAN_NOTHING);
    stand_remove(&stand, 70, UINT64_MAX);
    assert_int_equal(stand_step(&stand), PLAN_REWRITE);
    assert_int_equal(stand_dead(&stand), 0);
    for (uint32_t i = 71; i < 140; i++)
        assert_true(is_found(&stand, i));
    stand_stop(&stand);
}

static void the_living_stay_findable_and_the_dead_are_given_back(void **state)
{
    (void)state;
    struct stand stand;
    uint64_t seed = 4;
    static bool dead[ROWS];
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, ROWS);
    const uint64_t full_bytes = memory_used(stand.memory);
    for (uint32_t removed = 0; removed < ROWS * 3 / 4;) {
        const uint32_t i = (uint32_t)chance_below(&seed, ROWS);
        assert_int_equal(stand_remove(&stand, i, UINT64_MAX), !dead[i]);
        removed += !dead[i];
        dead[i] = true;
        if (removed % 100 == 0)
            stand_settle(&stand);
    }
    (void)epoch_collect(stand.epochs);
    const uint64_t live = partition_rows(stand.partition);
    assert_int_equal(live, ROWS - ROWS * 3 / 4);
    assert_true(stand_dead(&stand) * 4 <= live); /* at most a fifth of all */
    assert_true(memory_used(stand.memory) < full_bytes / 2);
    for (uint32_t i = 0; i < ROWS; i += 7)
        assert_int_equal(is_found(&stand, i), !dead[i]);
    for (uint32_t i = 0; i < ROWS; i++) /* copies are as removable as originals */
        assert_int_equal(stand_remove(&stand, i, UINT64_MAX), !dead[i]);
    assert_int_equal(partition_rows(stand.partition), 0);
    stand_stop(&stand);
}

static void inserts_go_on_after_a_rewrite(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, 1500);
    for (uint32_t i = 0; i < 1400; i++)
        stand_remove(&stand, i, UINT64_MAX);
    stand_settle(&stand);
    insert_rows(&stand, 1500, 3000);
    for (uint32_t i = 1400; i < 4500; i += 11)
        assert_true(is_found(&stand, i));
    struct search search;
    stand_search(&stand, units[0], 128, &search);
    assert_int_equal(search.rows_scanned, 3100 + stand_dead(&stand));
    stand_stop(&stand);
}

static void a_pass_is_bounded_and_the_next_goes_on(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, ROWS);
    for (uint32_t i = 0; i < ROWS / 5; i++) /* every fifth: all chunks are equally dead */
        stand_remove(&stand, i * 5, UINT64_MAX);
    assert_int_equal(stand_dead(&stand), ROWS / 5);
    stand_remove(&stand, ROWS - 1, UINT64_MAX);
    assert_int_equal(stand_step(&stand), PLAN_REWRITE);
    const uint64_t left = stand_dead(&stand);
    assert_true(left > 0); /* one pass did not reach all of 30000 rows */
    assert_true(stand_rewrite(&stand));
    assert_true(stand_dead(&stand) < left);
    for (uint32_t row = 1; row < ROWS - 1; row += 100)
        assert_true(is_found(&stand, row));
    stand_stop(&stand);
}

static void there_is_nothing_to_gain_without_dead_rows(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    assert_false(stand_rewrite(&stand));
    insert_rows(&stand, 0, 2000);
    const struct view *view = atomic_load(&stand.partition->view);
    assert_false(stand_rewrite(&stand));
    assert_ptr_equal(atomic_load(&stand.partition->view), view);
    stand_stop(&stand);
}

/* The budget holds the rows and no second copy of them; removing and rewriting must still make
 * room. */
static void a_full_index_can_be_cleaned_and_filled_again(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 4 << 20);
    uint32_t rows = 0;
    for (;; rows++) {
        const struct index_row row = row_of(rows, 1 + rows, units[rows]);
        if (stand_insert(&stand, &row) != STATUS_OK)
            break;
    }
    assert_true(rows > 9000);
    assert_true(rows < ROWS - 4000);
    for (uint32_t i = 0; i < rows / 2; i++) {
        assert_int_equal(stand_remove(&stand, i * 2, UINT64_MAX), 1);
        if (i % 500 == 499)
            (void)stand_rewrite(&stand);
        assert_true(memory_used(stand.memory) <= 4 << 20);
    }
    (void)epoch_collect(stand.epochs);
    insert_rows(&stand, rows, 3000);
    for (uint32_t i = 1; i < rows; i += 50)
        assert_int_equal(is_found(&stand, i), i % 2 == 1);
    stand_stop(&stand);
}

static void chunks_do_not_multiply_under_churn(void **state)
{
    (void)state;
    enum { LIVE = 6000, WINDOW = 24000 };
    struct stand stand;
    stand_start(&stand, DIMENSION, 256 << 20);
    insert_rows(&stand, 0, LIVE);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < WINDOW; i++) {
            const uint32_t at = (LIVE + round * WINDOW + i) % ROWS;
            const uint32_t old = (round * WINDOW + i) % ROWS;
            const struct index_row row = row_of(at, 1 + at, units[at]);
            assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
            assert_int_equal(stand_remove(&stand, old, UINT64_MAX), 1);
            if (i % 64 == 0)
                stand_settle(&stand);
        }
    assert_int_equal(partition_rows(stand.partition), LIVE);
    const struct view *view = atomic_load(&stand.partition->view);
    assert_true(view->chunks_count <= 6);
    stand_stop(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_rewritten_below_a_thousand_dead_rows),
        cmocka_unit_test(nothing_is_rewritten_below_a_fifth),
        cmocka_unit_test(a_rewrite_stops_within_256_rows),
        cmocka_unit_test(small_partitions_are_cleaned_once_most_is_dead),
        cmocka_unit_test(the_living_stay_findable_and_the_dead_are_given_back),
        cmocka_unit_test(inserts_go_on_after_a_rewrite),
        cmocka_unit_test(a_pass_is_bounded_and_the_next_goes_on),
        cmocka_unit_test(there_is_nothing_to_gain_without_dead_rows),
        cmocka_unit_test(a_full_index_can_be_cleaned_and_filled_again),
        cmocka_unit_test(chunks_do_not_multiply_under_churn),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
