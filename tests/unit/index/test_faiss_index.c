/*
 * Goal: FAISS answers through its C API, and what it throws becomes a code and a message.
 * Method: HNSW and IVF on seeded vectors against a plain loop over all rows; calls that FAISS
 * refuses; searches side by side.
 */
#include "tests/unit/index/index_support.h"

#include "base/thread.h"
#include "index/faiss_c.h"
#include "index/faiss_index.h"

enum { DIMENSION = 48, ROWS = 2000, QUERIES = 100, WANTED = 8 };
static float units[ROWS][DIMENSION], queries[QUERIES][DIMENSION];
/* Of each query the rows that are nearest by a plain loop, best first. */
static uint32_t truth[QUERIES][WANTED];

static void insert_best(uint32_t query, uint32_t row, float similarities[WANTED])
{
    const float similarity = vector_dot(queries[query], units[row], DIMENSION);
    uint32_t at = WANTED;
    while (at > 0 && similarity > similarities[at - 1])
        at--;
    for (uint32_t i = WANTED; at < WANTED && i-- > at + 1;) {
        similarities[i] = similarities[i - 1];
        truth[query][i] = truth[query][i - 1];
    }
    if (at < WANTED) {
        similarities[at] = similarity;
        truth[query][at] = row;
    }
}

static int make_units(void **state)
{
    (void)state;
    uint64_t seed = 77;
    for (uint32_t i = 0; i < ROWS; i++)
        chance_unit(&seed, DIMENSION, units[i]);
    for (uint32_t i = 0; i < QUERIES; i++) {
        const uint32_t origin = (uint32_t)chance_below(&seed, ROWS);
        chance_near(&seed, units[origin], DIMENSION, 0.2f, queries[i]);
        float similarities[WANTED];
        for (uint32_t w = 0; w < WANTED; w++)
            similarities[w] = -INFINITY;
        for (uint32_t row = 0; row < ROWS; row++)
            insert_best(i, row, similarities);
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

static bool is_true_neighbour(uint32_t query, int64_t row)
{
    for (uint32_t w = 0; w < WANTED; w++)
        if (truth[query][w] == row)
            return true;
    return false;
}

struct found {
    uint32_t nearest, all; /* of QUERIES, of QUERIES x WANTED */
};

static struct found count_found(const struct faiss_index *graph)
{
    struct found found = {0};
    for (uint32_t i = 0; i < QUERIES; i++) {
        struct faiss_index_hit hits[WANTED];
        uint32_t count = 0;
        if (faiss_index_search(graph, queries[i], WANTED, hits, &count) != STATUS_OK ||
            count != WANTED)
            return (struct found){0};
        found.nearest += hits[0].row == truth[i][0];
        for (uint32_t h = 0; h < count; h++) {
            found.all += is_true_neighbour(i, hits[h].row);
            if (h > 0 && hits[h].similarity > hits[h - 1].similarity)
                return (struct found){0}; /* best first */
        }
    }
    return found;
}

static void hnsw_finds_what_a_plain_loop_finds(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct faiss_index *graph = make_graph();
    const struct found found = count_found(graph);
    assert_true(found.nearest >= QUERIES * 98 / 100);
    assert_true(found.all >= QUERIES * WANTED * 80 / 100); /* efSearch is FAISS's own, 16 */
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

static struct found search_ivf(FaissIndex *index, double nprobe)
{
    float similarities[WANTED];
    idx_t rows[WANTED];
    struct found found = {0};
    FaissParameterSpace *space = NULL;
    assert_int_equal(faiss_ParameterSpace_new(&space), OK);
    assert_int_equal(faiss_ParameterSpace_set_index_parameter(space, index, "nprobe", nprobe), OK);
    faiss_ParameterSpace_free(space);
    for (uint32_t i = 0; i < QUERIES; i++) {
        assert_int_equal(faiss_Index_search(index, 1, queries[i], WANTED, similarities, rows), OK);
        found.nearest += rows[0] == truth[i][0];
        for (uint32_t w = 0; w < WANTED; w++)
            found.all += is_true_neighbour(i, rows[w]);
    }
    return found;
}

/* With every list looked at it is a scan, and misses nothing but ties in the last bit. */
static void ivf_finds_what_a_plain_loop_finds(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    enum { LISTS = 16 };
    FaissIndex *index = NULL;
    faiss_c_single_thread();
    assert_int_equal(faiss_index_factory(&index, DIMENSION, "IVF16,Flat", METRIC_INNER_PRODUCT),
                     OK);
    assert_int_equal(faiss_Index_train(index, ROWS, units[0]), OK);
    assert_int_equal(faiss_Index_add(index, ROWS, units[0]), OK);
    const struct found all = search_ivf(index, LISTS), some = search_ivf(index, 4);
    assert_int_equal(all.nearest, QUERIES);
    assert_true(all.all >= QUERIES * WANTED * 99 / 100);
    assert_true(some.nearest >= QUERIES * 80 / 100);
    assert_true(some.all < all.all); /* lists leave something out */
    faiss_Index_free(index);
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
    struct found found;
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
    const struct found alone = count_found(graph);
    assert_true(alone.nearest > 0);
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
        assert_memory_equal(&searchers[i].found, &alone, sizeof(alone));
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
        cmocka_unit_test(hnsw_finds_what_a_plain_loop_finds),
        cmocka_unit_test(ivf_finds_what_a_plain_loop_finds),
        cmocka_unit_test(an_empty_graph_and_a_small_one_find_what_they_have),
        cmocka_unit_test(searches_side_by_side_find_the_same),
        cmocka_unit_test(what_faiss_throws_becomes_a_code_and_a_message),
        cmocka_unit_test(what_the_standard_library_throws_is_a_code_too),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
