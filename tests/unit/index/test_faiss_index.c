/*
 * Goal: FAISS answers through its C API, and what it throws becomes a code and a message.
 * Method: HNSW on seeded vectors against a plain loop; calls that FAISS refuses; searches side by
 * side.
 */
#include "tests/unit/index/index_support.h"

#include "base/thread.h"
#include "index/faiss_c.h"
#include "index/faiss_index.h"

enum { DIMENSION = 48, ROWS = 2000, QUERIES = 100 };
static float units[ROWS][DIMENSION], queries[QUERIES][DIMENSION];
static uint32_t origin[QUERIES];

static int make_units(void **state)
{
    (void)state;
    uint64_t seed = 77;
    for (uint32_t i = 0; i < ROWS; i++)
        chance_unit(&seed, DIMENSION, units[i]);
    for (uint32_t i = 0; i < QUERIES; i++) {
        origin[i] = (uint32_t)chance_below(&seed, ROWS);
        chance_near(&seed, units[origin[i]], DIMENSION, 0.2f, queries[i]);
    }
    return 0;
}

static struct faiss_index *make_graph(void)
{
    struct faiss_index *graph = NULL;
    assert_int_equal(faiss_index_create(DIMENSION, 16, &graph), STATUS_OK);
    assert_int_equal(faiss_index_rows(graph), 0);
    assert_int_equal(faiss_index_add(graph, ROWS / 2, units[0]), STATUS_OK);
    assert_int_equal(faiss_index_add(graph, ROWS / 2, units[ROWS / 2]), STATUS_OK);
    assert_int_equal(faiss_index_rows(graph), ROWS);
    return graph;
}

static uint32_t count_found(const struct faiss_index *graph)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < QUERIES; i++) {
        struct faiss_index_hit hits[8];
        uint32_t count = 0;
        if (faiss_index_search(graph, queries[i], 8, hits, &count) != STATUS_OK || count != 8)
            return 0;
        found += hits[0].row == origin[i];
        for (uint32_t h = 1; h < count; h++)
            if (hits[h].similarity > hits[h - 1].similarity)
                return 0; /* best first */
    }
    return found;
}

static void hnsw_finds_known_neighbours(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct faiss_index *graph = make_graph();
    assert_true(count_found(graph) >= QUERIES * 98 / 100);
    struct faiss_index_hit hit;
    uint32_t count = 0;
    assert_int_equal(faiss_index_search(graph, units[3], 1, &hit, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(hit.row, 3);
    assert_float_equal(hit.similarity, 1.0f, 1e-5f);
    faiss_index_destroy(&graph);
    assert_null(graph);
    faiss_index_destroy(&graph);
}

static void an_empty_graph_and_a_small_one_find_what_they_have(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct faiss_index *graph = NULL;
    struct faiss_index_hit hits[5];
    uint32_t count = 9;
    assert_int_equal(faiss_index_create(DIMENSION, 16, &graph), STATUS_OK);
    assert_int_equal(faiss_index_search(graph, units[0], 5, hits, &count), STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(faiss_index_add(graph, 2, units[0]), STATUS_OK);
    assert_int_equal(faiss_index_search(graph, units[1], 5, hits, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(hits[0].row, 1);
    assert_int_equal(hits[1].row, 0);
    faiss_index_destroy(&graph);
}

struct searcher {
    const struct faiss_index *graph;
    uint32_t found;
};

static void search_all(void *argument)
{
    struct searcher *searcher = argument;
    searcher->found = count_found(searcher->graph);
}

static void searches_side_by_side_find_the_same(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    enum { THREADS = 4 };
    struct faiss_index *graph = make_graph();
    const uint32_t alone = count_found(graph);
    struct searcher searchers[THREADS];
    struct thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        searchers[i].graph = graph;
        assert_int_equal(
            thread_create(THREAD_OTHER, "search", search_all, &searchers[i], &threads[i]),
            STATUS_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        assert_int_equal(searchers[i].found, alone);
    }
    faiss_index_destroy(&graph);
}

static void what_faiss_throws_becomes_a_code_and_a_message(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    FaissIndex *index = NULL;
    assert_int_equal(faiss_index_factory(&index, 8, "no such index", METRIC_L2), FAISS_EXCEPT);
    assert_null(index);
    assert_non_null(strstr(faiss_get_last_error(), "no such index"));
    assert_int_equal(faiss_index_factory(&index, 8, "IVF4,Flat", METRIC_L2), OK);
    assert_int_equal(faiss_Index_add(index, 1, units[0]), FAISS_EXCEPT); /* not trained yet */
    assert_int_equal(faiss_Index_ntotal(index), 0);
    faiss_c_single_thread();
    assert_int_equal(faiss_Index_train(index, 200, units[0]), OK);
    assert_int_equal(faiss_Index_add(index, 200, units[0]), OK);
    assert_int_equal(faiss_Index_ntotal(index), 200);
    faiss_Index_free(index);
}

static void what_the_standard_library_throws_is_a_code_too(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    FaissIndexFlatIP *index = NULL;
    assert_int_equal(faiss_IndexFlatIP_new_with(&index, 8), OK);
    /* More bytes than a std::vector may have: std::length_error inside, never through C. */
    assert_int_equal(faiss_Index_add(index, INT64_C(1) << 58, units[0]), STD_EXCEPT);
    assert_true(strlen(faiss_get_last_error()) > 0);
    faiss_Index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hnsw_finds_known_neighbours),
        cmocka_unit_test(an_empty_graph_and_a_small_one_find_what_they_have),
        cmocka_unit_test(searches_side_by_side_find_the_same),
        cmocka_unit_test(what_faiss_throws_becomes_a_code_and_a_message),
        cmocka_unit_test(what_the_standard_library_throws_is_a_code_too),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
