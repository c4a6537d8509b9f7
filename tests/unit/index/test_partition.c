/*
 * Goal: rows are findable from the moment an insert returns until a removal does, and cost what
 * they are charged.
 * Method: one partition, its verbs called as directory.c calls them; every row searched by its own
 * vector.
 */
#include "tests/unit/index/partition_support.h"

enum { DIMENSION = 24, ROWS = 3000 };
static float units[ROWS][DIMENSION];

static int make_units(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (uint32_t i = 0; i < ROWS; i++)
        chance_unit(&seed, DIMENSION, units[i]);
    return 0;
}

static bool is_found(struct stand *stand, const float *unit, uint64_t sequence)
{
    struct search search;
    stand_search(stand, unit, 1, &search);
    return search.hits_count == 1 && search.hits[0].sequence == sequence;
}

static void a_row_is_findable_when_its_insert_returns(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 64 << 20);
    for (uint32_t i = 0; i < ROWS; i++) {
        const struct index_row row = row_of(i, 10 + i, units[i]);
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
        assert_int_equal(partition_rows(stand.partition), i + 1);
        assert_true(is_found(&stand, units[i], 10 + i));
        assert_true(is_found(&stand, units[i / 2], 10 + i / 2));
    }
    stand_stop(&stand);
}

static void a_hit_carries_all_of_its_row(void **state)
{
    (void)state;
    struct stand stand;
    struct search search;
    stand_start(&stand, DIMENSION, 64 << 20);
    for (uint32_t i = 0; i < 100; i++) {
        const struct index_row row = row_of(i, 10 + i, units[i]);
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    }
    stand_search(&stand, units[42], 100, &search);
    assert_int_equal(search.hits_count, 100);
    assert_true(search.hits[0].similarity == 1.0f);
    for (uint32_t i = 0; i < 100; i++) {
        const struct digest id = id_of(search.hits[i].sequence - 10);
        assert_true(digest_equal(&search.hits[i].id, &id));
        assert_side_of(&search.hits[i]);
    }
    stand_stop(&stand);
}

static void removing_takes_rows_at_or_below_the_sequence(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 64 << 20);
    for (uint64_t sequence = 1; sequence <= 6; sequence++) { /* one entry, six vectors */
        const struct index_row row = row_of(7, sequence, units[sequence]);
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    }
    assert_int_equal(stand_remove(&stand, 7, 0), 0);
    assert_int_equal(stand_remove(&stand, 8, 99), 0); /* another entry */
    assert_int_equal(stand_remove(&stand, 7, 4), 4);
    assert_int_equal(stand_remove(&stand, 7, 4), 0); /* twice is harmless */
    for (uint64_t sequence = 1; sequence <= 6; sequence++)
        assert_int_equal(is_found(&stand, units[sequence], sequence), sequence > 4);
    assert_int_equal(partition_rows(stand.partition), 2);
    assert_int_equal(atomic_load(&stand.common.rows), 2);
    assert_int_equal(atomic_load(&stand.common.rows_dead), 4);
    stand_stop(&stand);
}

static void a_replaced_entry_is_found_by_its_new_vector_only(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 64 << 20);
    const struct index_row before = row_of(1, 1, units[1]), after = row_of(1, 2, units[2]);
    assert_int_equal(stand_insert(&stand, &before), STATUS_OK);
    assert_int_equal(stand_insert(&stand, &after), STATUS_OK);
    assert_int_equal(stand_remove(&stand, 1, 1), 1); /* as the store reports the replaced one */
    assert_false(is_found(&stand, units[1], 1));
    assert_true(is_found(&stand, units[2], 2));
    stand_stop(&stand);
}

/* Each budget fails the insert at another allocation, or at none; what is in stays whole. */
static void an_insert_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    uint32_t before = 0;
    for (uint64_t budget = 1024; budget < 400000; budget += 3333) {
        struct stand stand;
        uint32_t rows = 0;
        stand_start(&stand, DIMENSION, budget);
        while (rows < ROWS) {
            const struct index_row row = row_of(rows, 10 + rows, units[rows]);
            if (stand_insert(&stand, &row) != STATUS_OK)
                break;
            rows++;
        }
        assert_true(rows >= before); /* more memory, not fewer rows */
        before = rows;
        assert_int_equal(partition_rows(stand.partition), rows);
        assert_true(memory_used(stand.memory) <= budget);
        for (uint32_t i = 0; i < rows; i++)
            assert_true(is_found(&stand, units[i], 10 + i));
        stand_stop(&stand);
    }
    assert_true(before > 300);
}

static void a_reader_inside_keeps_what_it_sees(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 64 << 20);
    const struct index_row first = row_of(0, 1, units[0]);
    assert_int_equal(stand_insert(&stand, &first), STATUS_OK);
    epoch_enter(stand.epochs);
    const struct view *view = atomic_load(&stand.partition->view);
    for (uint32_t i = 1; i < 100; i++) { /* three more chunks, three more views */
        const struct index_row row = row_of(i, 1 + i, units[i]);
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    }
    assert_ptr_not_equal(atomic_load(&stand.partition->view), view);
    assert_int_equal(view->chunks_count, 1); /* asan: the old view is still there */
    assert_int_equal(rows_chunk_count(view->chunks[0]), 4);
    epoch_leave(stand.epochs);
    stand_stop(&stand);
}

static void destroying_nothing_is_fine(void **state)
{
    (void)state;
    struct partition *partition = NULL;
    partition_destroy(&partition);
    assert_null(partition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_findable_when_its_insert_returns),
        cmocka_unit_test(a_hit_carries_all_of_its_row),
        cmocka_unit_test(removing_takes_rows_at_or_below_the_sequence),
        cmocka_unit_test(a_replaced_entry_is_found_by_its_new_vector_only),
        cmocka_unit_test(an_insert_that_does_not_fit_changes_nothing),
        cmocka_unit_test(a_reader_inside_keeps_what_it_sees),
        cmocka_unit_test(destroying_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
