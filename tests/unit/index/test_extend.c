/*
 * Goal: rows are taken into graphs and lists, out of them, and from one into another, without one
 * row lost, found twice or found dead, and the near ones are found.
 * Method: one partition, worked on by hand through plan.c, extend.c, rewrite.c and view.c; its
 * answers beside those of an exact search over all rows.
 */
#include "tests/unit/index/partition_support.h"

#include "index/faiss_c.h"

enum { DIMENSION = 16, ROWS = 40000, QUERIES = 200, BUDGET = 256 << 20 };
static float units[ROWS][DIMENSION];
static bool dead[ROWS];

static int make_units(void **state)
{
    (void)state;
    uint64_t seed = 31;
    for (uint32_t i = 0; i < ROWS; i++)
        chance_unit(&seed, DIMENSION, units[i]);
    faiss_c_single_thread();
    return 0;
}

static void insert_rows(struct stand *stand, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        const struct index_row row = row_of(i, 1 + i, units[i]);
        assert_int_equal(stand_insert(stand, &row), STATUS_OK);
        dead[i] = false;
    }
}

static void remove_row(struct stand *stand, uint32_t i)
{
    assert_int_equal(stand_remove(stand, i, UINT64_MAX), dead[i] ? 0 : 1);
    dead[i] = true;
}

static void start(struct stand *stand, enum index_kind kind, uint32_t rows)
{
    stand_start(stand, DIMENSION, BUDGET);
    stand_choose(stand, kind);
    insert_rows(stand, 0, rows);
}

static const struct view *view_of(const struct stand *stand)
{
    return partition_view(stand->partition);
}

static uint32_t graph_rows(const struct stand *stand)
{
    return view_of(stand)->chunks_covered * ROWS_CHUNK_MAX;
}

/* Each hit lives, is its own row and comes once; most of the exact ones are among them. */
static double recall_of(struct stand *stand, uint32_t hits_max)
{
    uint64_t seed = 77, found = 0, wanted = 0;
    for (uint32_t q = 0; q < QUERIES; q++) {
        float query[DIMENSION];
        struct search search, exact;
        chance_near(&seed, units[chance_below(&seed, ROWS)], DIMENSION, 0.3f, query);
        stand_search(stand, query, hits_max, &search);
        exact =
            (struct search){.unit = query, .dimension = DIMENSION, .tag = 1, .hits_max = hits_max};
        epoch_enter(stand->epochs);
        partition_search_exact(stand->partition, UINT64_MAX, &exact);
        epoch_leave(stand->epochs);
        for (uint32_t h = 0; h < search.hits_count; h++) {
            const uint64_t row = search.hits[h].sequence - 1;
            assert_false(dead[row]);
            assert_side_of(&search.hits[h]);
            assert_true(search.hits[h].similarity == vector_dot(query, units[row], DIMENSION));
            for (uint32_t other = 0; other < h; other++)
                assert_true(search.hits[other].sequence != search.hits[h].sequence);
            for (uint32_t e = 0; e < exact.hits_count; e++)
                found += exact.hits[e].sequence == search.hits[h].sequence;
        }
        wanted += exact.hits_count;
    }
    return wanted > 0 ? (double)found / (double)wanted : 1;
}

/* Every living row can be removed, once; then nothing is left. */
static void empty_and_stop(struct stand *stand, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++)
        remove_row(stand, i);
    assert_int_equal(partition_rows(stand->partition), 0);
    struct search search;
    stand_search(stand, units[0], 8, &search);
    assert_int_equal(search.hits_count, 0);
    stand_stop(stand);
}

/* ---- build ----------------------------------------------------------------------------------- */

static void full_chunks_get_a_graph_and_the_rest_is_scanned(void **state)
{
    (void)state;
    struct stand stand;
    start(&stand, INDEX_HNSW, 20000);
    assert_int_equal(view_of(&stand)->segments_count, 0);
    stand_settle(&stand);
    assert_int_equal(view_of(&stand)->segments_count, 1);
    assert_int_equal(graph_rows(&stand), 16384);
    assert_int_equal(atomic_load(&stand.common.graph_rows), 16384);
    assert_true(recall_of(&stand, 8) > 0.98);
    insert_rows(&stand, 20000, 5000); /* another chunk is full: the same segment grows */
    assert_int_equal(stand_step(&stand), PLAN_BUILD);
    assert_int_equal(view_of(&stand)->segments_count, 1);
    assert_int_equal(graph_rows(&stand), 24576);
    assert_int_equal(stand_step(&stand), PLAN_NOTHING);
    assert_true(recall_of(&stand, 8) > 0.98);
    empty_and_stop(&stand, 25000);
}

static void below_one_full_chunk_nothing_is_built(void **state)
{
    (void)state;
    struct stand stand;
    start(&stand, INDEX_HNSW, ROWS_CHUNK_MAX - 1);
    assert_int_equal(stand_step(&stand), PLAN_NOTHING);
    insert_rows(&stand, ROWS_CHUNK_MAX - 1, 1);
    assert_int_equal(stand_step(&stand), PLAN_BUILD);
    assert_int_equal(view_of(&stand)->chunks_count, 1); /* the small chunks have been merged */
    empty_and_stop(&stand, ROWS_CHUNK_MAX);
}

static void the_rows_of_the_first_chunks_are_merged_alive(void **state)
{
    (void)state;
    struct stand stand;
    start(&stand, INDEX_HNSW, 1364);
    for (uint32_t i = 0; i < 1364; i += 3)
        remove_row(&stand, i);
    insert_rows(&stand, 1364, 5000);
    for (uint32_t i = 0; i < 6364; i += 7) {
        struct search search;
        stand_search(&stand, units[i], 1, &search);
        assert_int_equal(search.hits[0].sequence == 1 + i, !dead[i]);
    }
    stand_settle(&stand);
    assert_int_equal(graph_rows(&stand), 4096);
    empty_and_stop(&stand, 6364);
}

static void auto_waits_for_rows_and_lookups(void **state)
{
    (void)state;
    struct stand stand;
    struct plan plan;
    start(&stand, INDEX_AUTO, 16383);
    stand.partition->dimension = DIMENSION;
    stand.common.flat_row_ps = 12000;
    const struct plan_setup setup = {.now_us = 1000000, .has_graph_room = true};
    /* 16 dimensions: limits are 24 times as high, so few rows are never enough */
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_NOTHING);
    assert_int_equal(view_of(&stand)->segments_count, 0);
    empty_and_stop(&stand, 16383);
}

static void a_wide_partition_is_promoted_by_its_rate(void **state)
{
    (void)state;
    enum { WIDE = 1024, WIDE_ROWS = 2 * ROWS_CHUNK_MAX }; /* rows wanted: 16384 x 384 / 1024 */
    struct stand stand;
    struct plan plan;
    uint64_t seed = 5;
    float unit[WIDE];
    stand_start(&stand, WIDE, BUDGET);
    for (uint32_t i = 0; i < WIDE_ROWS; i++) {
        chance_unit(&seed, WIDE, unit);
        const struct index_row row = row_of(i, 1 + i, unit);
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    }
    struct plan_setup setup = {.now_us = 1000000, .has_graph_room = true};
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_WATCH);
    atomic_fetch_add(&stand.partition->use->searches, 100000); /* in ten seconds */
    setup.now_us += 10000000;
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_BUILD);
    lock_acquire(&stand.partition->lock);
    plan_end(stand.partition, &plan);
    lock_release(&stand.partition->lock);
    stand_stop(&stand);
}

static void a_segment_is_not_larger_than_allowed_and_small_ones_join(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, BUDGET);
    stand.common.settings.segment_rows_max = 2 * ROWS_CHUNK_MAX;
    stand_choose(&stand, INDEX_HNSW);
    insert_rows(&stand, 0, 5 * ROWS_CHUNK_MAX);
    stand_settle(&stand);
    assert_int_equal(view_of(&stand)->segments_count, 3); /* 2 + 2 + 1 */
    assert_int_equal(graph_rows(&stand), 5 * ROWS_CHUNK_MAX);
    assert_true(recall_of(&stand, 8) > 0.98);
    stand.common.settings.segment_rows_max = 4 * ROWS_CHUNK_MAX;
    stand_settle(&stand);
    assert_int_equal(view_of(&stand)->segments_count, 2);
    stand.common.settings.segment_rows_max = 64 * ROWS_CHUNK_MAX;
    stand_settle(&stand);
    assert_int_equal(view_of(&stand)->segments_count, 1);
    assert_int_equal(graph_rows(&stand), 5 * ROWS_CHUNK_MAX);
    assert_true(recall_of(&stand, 8) > 0.98);
    empty_and_stop(&stand, 5 * ROWS_CHUNK_MAX);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static void a_changed_kind_is_built_anew(void **state)
{
    (void)state;
    struct stand stand;
    start(&stand, INDEX_HNSW, 14000);
    stand_settle(&stand);
    stand_choose(&stand, INDEX_IVF);
    assert_true(recall_of(&stand, 8) > 0.98); /* by the graph, until the lists are there */
    stand_settle(&stand);
    assert_int_equal(view_of(&stand)->segments_count, 1);
    assert_int_equal(segment_kind(view_of(&stand)->segments[0].segment), INDEX_IVF);
    atomic_store(&stand.partition->nprobe, 64);
    assert_true(recall_of(&stand, 8) > 0.95);
    stand_choose(&stand, INDEX_FLAT);
    assert_int_equal(stand_step(&stand), PLAN_DISSOLVE);
    assert_int_equal(view_of(&stand)->segments_count, 0);
    assert_int_equal(atomic_load(&stand.common.segments), 0);
    assert_int_equal(atomic_load(&stand.common.graph_rows), 0);
    assert_true(recall_of(&stand, 8) == 1.0);
    assert_int_equal(stand_step(&stand), PLAN_NOTHING);
    stand_choose(&stand, INDEX_HNSW);
    stand_settle(&stand);
    assert_int_equal(graph_rows(&stand), 12288);
    empty_and_stop(&stand, 14000);
}

/* ---- dead rows ------------------------------------------------------------------------------- */

static void a_segment_with_many_dead_rows_is_made_anew(void **state)
{
    (void)state;
    const enum index_kind kinds[] = {INDEX_HNSW, INDEX_IVF};
    for (size_t k = 0; k < 2; k++) {
        struct stand stand;
        start(&stand, kinds[k], 5 * ROWS_CHUNK_MAX);
        stand_settle(&stand);
        atomic_store(&stand.partition->nprobe, 64);
        for (uint32_t i = 0; i < 5 * ROWS_CHUNK_MAX; i++)
            if (i % 4 == 1)
                remove_row(&stand, i);
        assert_true(recall_of(&stand, 8) > 0.95);
        assert_int_equal(stand_step(&stand), PLAN_REWRITE);
        assert_int_equal(view_of(&stand)->segments_count, 1);
        assert_int_equal(graph_rows(&stand), 3 * ROWS_CHUNK_MAX); /* 15360 living */
        assert_int_equal(stand_dead(&stand), 0);
        assert_int_equal(atomic_load(&stand.common.rows_dead), 0);
        assert_int_equal(atomic_load(&stand.common.graph_rows), 3 * ROWS_CHUNK_MAX);
        assert_true(recall_of(&stand, 8) > 0.95);
        insert_rows(&stand, 5 * ROWS_CHUNK_MAX, 4000);
        stand_settle(&stand);
        assert_int_equal(graph_rows(&stand), 4 * ROWS_CHUNK_MAX);
        assert_true(recall_of(&stand, 8) > 0.95);
        empty_and_stop(&stand, 5 * ROWS_CHUNK_MAX + 4000);
    }
}

static void rows_that_die_between_the_steps_of_a_rewrite_stay_dead(void **state)
{
    (void)state;
    struct stand stand;
    static const atomic_bool never = false;
    const struct plan_setup setup = {.has_graph_room = true};
    struct plan plan;
    start(&stand, INDEX_HNSW, 3 * ROWS_CHUNK_MAX);
    stand_settle(&stand);
    for (uint32_t i = 0; i < 3 * ROWS_CHUNK_MAX; i += 3)
        remove_row(&stand, i);
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_REWRITE);
    for (uint32_t i = 1; i < 3 * ROWS_CHUNK_MAX; i += 5) /* planned, and not yet copied */
        remove_row(&stand, i);
    insert_rows(&stand, 3 * ROWS_CHUNK_MAX, 3000);
    assert_int_equal(stand_run(&stand, &plan, &never), STATUS_OK);
    assert_true(recall_of(&stand, 8) > 0.95);
    empty_and_stop(&stand, 3 * ROWS_CHUNK_MAX + 3000);
}

static void a_segment_without_a_living_row_leaves(void **state)
{
    (void)state;
    struct stand stand;
    start(&stand, INDEX_HNSW, 2 * ROWS_CHUNK_MAX + 10);
    stand_settle(&stand);
    for (uint32_t i = 0; i < 2 * ROWS_CHUNK_MAX; i++)
        remove_row(&stand, i);
    stand_settle(&stand);
    assert_int_equal(view_of(&stand)->segments_count, 0);
    assert_int_equal(stand_dead(&stand), 0);
    assert_true(recall_of(&stand, 8) == 1.0);
    empty_and_stop(&stand, 2 * ROWS_CHUNK_MAX + 10);
}

/* ---- what fails ------------------------------------------------------------------------------ */

static void a_stop_leaves_everything_as_it_was(void **state)
{
    (void)state;
    static const atomic_bool now = true;
    const struct plan_setup setup = {.has_graph_room = true};
    struct stand stand;
    struct plan plan;
    start(&stand, INDEX_HNSW, 9000);
    uint64_t used = memory_used(stand.memory);
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_BUILD);
    assert_int_equal(stand_run(&stand, &plan, &now), STATUS_CANCELLED);
    assert_int_equal(memory_used(stand.memory), used);
    assert_int_equal(view_of(&stand)->segments_count, 0);
    for (uint32_t i = 0; i < 9000; i += 2)
        remove_row(&stand, i);
    assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_REWRITE);
    assert_int_equal(stand_run(&stand, &plan, &now), STATUS_CANCELLED);
    (void)epoch_collect(stand.epochs);
    assert_int_equal(memory_used(stand.memory), used);
    insert_rows(&stand, 9000, 500); /* chunks that were frozen grow again */
    stand_settle(&stand);
    assert_true(recall_of(&stand, 8) > 0.95);
    empty_and_stop(&stand, 9500);
}

/* A block leaves less and less room; each amount fails at another allocation, or at none. */
static void a_build_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    static const atomic_bool never = false;
    const struct plan_setup setup = {.has_graph_room = true};
    struct stand stand;
    uint32_t refused = 0, made = 0;
    start(&stand, INDEX_HNSW, 2 * ROWS_CHUNK_MAX);
    const uint64_t used = memory_used(stand.memory);
    for (uint64_t room = 0; made == 0; room += 50000) {
        const uint64_t block = BUDGET - BUDGET / 16 - used - room;
        struct plan plan;
        assert_true(memory_charge(stand.memory, MEMORY_ROWS, block));
        assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_BUILD);
        const enum status status = stand_run(&stand, &plan, &never);
        memory_discharge(stand.memory, block);
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        refused += status == STATUS_NO_MEMORY;
        made += status == STATUS_OK;
        if (status == STATUS_NO_MEMORY)
            assert_int_equal(memory_used(stand.memory), used);
        assert_int_equal(view_of(&stand)->segments_count, made);
    }
    assert_true(refused > 5);
    assert_int_equal(atomic_load(&stand.common.builds_refused), refused);
    assert_true(recall_of(&stand, 8) > 0.98);
    empty_and_stop(&stand, 2 * ROWS_CHUNK_MAX);
}

static void a_rewrite_that_does_not_fit_loses_nothing(void **state)
{
    (void)state;
    static const atomic_bool never = false;
    const struct plan_setup setup = {.has_graph_room = true};
    for (uint64_t room = 0; room < 6000000; room += 400000) {
        struct stand stand;
        struct plan plan;
        start(&stand, INDEX_HNSW, 3 * ROWS_CHUNK_MAX);
        stand_settle(&stand);
        for (uint32_t i = 0; i < 3 * ROWS_CHUNK_MAX; i += 3)
            remove_row(&stand, i);
        const uint64_t used = memory_used(stand.memory), block = BUDGET - used - room;
        assert_true(memory_charge(stand.memory, MEMORY_REWRITE, block));
        assert_int_equal(stand_plan(&stand, &setup, &plan), PLAN_REWRITE);
        const enum status status = stand_run(&stand, &plan, &never);
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        (void)epoch_collect(stand.epochs);
        if (status == STATUS_NO_MEMORY)
            assert_int_equal(memory_used(stand.memory), used + block);
        memory_discharge(stand.memory, block);
        assert_int_equal(partition_rows(stand.partition), 2 * ROWS_CHUNK_MAX);
        assert_true(recall_of(&stand, 8) > 0.95);
        empty_and_stop(&stand, 3 * ROWS_CHUNK_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_chunks_get_a_graph_and_the_rest_is_scanned),
        cmocka_unit_test(below_one_full_chunk_nothing_is_built),
        cmocka_unit_test(the_rows_of_the_first_chunks_are_merged_alive),
        cmocka_unit_test(auto_waits_for_rows_and_lookups),
        cmocka_unit_test(a_wide_partition_is_promoted_by_its_rate),
        cmocka_unit_test(a_segment_is_not_larger_than_allowed_and_small_ones_join),
        cmocka_unit_test(a_changed_kind_is_built_anew),
        cmocka_unit_test(a_segment_with_many_dead_rows_is_made_anew),
        cmocka_unit_test(rows_that_die_between_the_steps_of_a_rewrite_stay_dead),
        cmocka_unit_test(a_segment_without_a_living_row_leaves),
        cmocka_unit_test(a_stop_leaves_everything_as_it_was),
        cmocka_unit_test(a_build_that_does_not_fit_changes_nothing),
        cmocka_unit_test(a_rewrite_that_does_not_fit_loses_nothing),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
