/*
 * Goal: the declared functions of FAISS's C API do what their headers say, faiss_c_hnsw_extend
 * builds or leaves everything as it was, and threads may call side by side.
 * Method: small indexes with known answers; arrays compared before and after a stop; threads that
 * each have an index of their own and compare with what one thread got.
 */
#include "tests/unit/index/segment_support.h"

#include <unistd.h>

enum { DIMENSION = 16, ROWS = 600 };
static float units[ROWS][DIMENSION];

static int make_units(void **state)
{
    (void)state;
    uint64_t seed = 12;
    for (uint32_t i = 0; i < ROWS; i++)
        chance_unit(&seed, DIMENSION, units[i]);
    faiss_c_single_thread();
    return 0;
}

static FaissIndex *make_index(const char *description)
{
    FaissIndex *index = NULL;
    assert_int_equal(faiss_index_factory(&index, DIMENSION, description, METRIC_INNER_PRODUCT), OK);
    assert_int_equal(faiss_Index_train(index, ROWS, units[0]), OK);
    assert_int_equal(faiss_Index_add(index, ROWS, units[0]), OK);
    return index;
}

static idx_t nearest(const FaissIndex *index, const float *unit)
{
    float similarity = 0;
    idx_t row = -1;
    assert_int_equal(faiss_Index_search(index, 1, unit, 1, &similarity, &row), OK);
    return row;
}

/* ---- the declared functions ------------------------------------------------------------------ */

static void removed_rows_are_gone_and_the_others_move_up(void **state)
{
    (void)state;
    FaissIndex *index = make_index("Flat");
    FaissIDSelectorBatch *selector = NULL;
    const idx_t doomed[] = {0, 7};
    size_t removed = 0;
    assert_int_equal(faiss_IDSelectorBatch_new(&selector, 2, doomed), OK);
    assert_int_equal(faiss_Index_remove_ids(index, (FaissIDSelector *)selector, &removed), OK);
    assert_int_equal(removed, 2);
    assert_int_equal(faiss_Index_ntotal(index), ROWS - 2);
    assert_int_equal(nearest(index, units[1]), 0); /* renumbered: why we remove by a bit of ours */
    assert_int_equal(nearest(index, units[9]), 7);
    faiss_Index_free(index);
    index = make_index("HNSW8"); /* cannot remove, and says so */
    assert_int_equal(faiss_Index_remove_ids(index, (FaissIDSelector *)selector, &removed),
                     FAISS_EXCEPT);
    faiss_IDSelector_free((FaissIDSelector *)selector);
    faiss_Index_free(index);
}

static void an_index_is_written_and_read_back(void **state)
{
    (void)state;
    FaissIndex *index = make_index("HNSW8"), *read = NULL;
    char name[] = "/tmp/reprise_faiss_XXXXXX";
    const int file = mkstemp(name);
    assert_true(file >= 0);
    (void)close(file);
    assert_int_equal(faiss_write_index_fname(index, name), OK);
    assert_int_equal(faiss_read_index_fname(name, 0, &read), OK);
    assert_int_equal(faiss_Index_ntotal(read), ROWS);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(nearest(read, units[i]), nearest(index, units[i]));
    faiss_Index_free(read);
    (void)unlink(name);
    read = NULL;
    assert_int_equal(faiss_read_index_fname(name, 0, &read), FAISS_EXCEPT);
    assert_null(read);
    assert_int_equal(faiss_write_index_fname(index, "/nowhere/at/all"), FAISS_EXCEPT);
    faiss_Index_free(index);
}

static void parameters_can_be_set_by_name(void **state)
{
    (void)state;
    FaissIndex *index = make_index("IVF8,Flat");
    FaissParameterSpace *space = NULL;
    assert_int_equal(faiss_ParameterSpace_new(&space), OK);
    assert_int_equal(faiss_ParameterSpace_set_index_parameter(space, index, "nprobe", 8), OK);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(nearest(index, units[i]), i); /* all lists are looked at: exact */
    assert_int_equal(faiss_ParameterSpace_set_index_parameter(space, index, "no_such", 8),
                     FAISS_EXCEPT);
    assert_non_null(strstr(faiss_get_last_error(), "no_such"));
    faiss_ParameterSpace_free(space);
    faiss_Index_free(index);
}

static FaissClustering *make_clustering(int lists)
{
    FaissClusteringParameters parameters;
    FaissClustering *clustering = NULL;
    faiss_ClusteringParameters_init(&parameters);
    assert_int_equal(parameters.niter, 25); /* as FAISS documents */
    parameters.niter = 5;
    parameters.spherical = true;
    parameters.min_points_per_centroid = 1;
    assert_int_equal(faiss_Clustering_new_with_params(&clustering, DIMENSION, lists, &parameters),
                     OK);
    return clustering;
}

static void clustering_gives_centroids_of_length_one(void **state)
{
    (void)state;
    enum { LISTS = 10 };
    FaissClustering *clustering = make_clustering(LISTS);
    FaissIndexFlatIP *assigner = NULL;
    float *centroids = NULL;
    size_t size = 0;
    assert_int_equal(faiss_IndexFlatIP_new_with(&assigner, DIMENSION), OK);
    assert_int_equal(faiss_Clustering_train(clustering, ROWS, units[0], assigner), OK);
    faiss_Clustering_centroids(clustering, &centroids, &size);
    assert_int_equal(size, LISTS * DIMENSION);
    for (size_t i = 0; i < LISTS; i++) {
        double sum = 0;
        for (size_t k = 0; k < DIMENSION; k++)
            sum += (double)centroids[i * DIMENSION + k] * (double)centroids[i * DIMENSION + k];
        assert_float_equal(sum, 1.0, 1e-4);
    }
    assert_int_equal(faiss_Clustering_train(clustering, 3, units[0], assigner), FAISS_EXCEPT);
    faiss_Clustering_free(clustering);
    faiss_Index_free(assigner);
}

/* ---- ours ------------------------------------------------------------------------------------ */

static bool stop_after(void *context, uint32_t rows_done)
{
    const uint32_t *limit = context;
    return rows_done < *limit;
}

struct arrays {
    uint8_t levels[ROWS_CHUNK_MAX];
    uint32_t level0[ROWS_CHUNK_MAX * 16], offsets[ROWS_CHUNK_MAX], order[ROWS_CHUNK_MAX];
    uint32_t upper[ROWS_CHUNK_MAX];
};

static void a_stopped_extension_changes_nothing(void **state)
{
    (void)state;
    static struct field field;
    static struct arrays arrays, before;
    field_start(&field, DIMENSION, 100, UINT64_C(1) << 26);
    field_add(&field, 1, NULL, NULL);
    memset(&arrays, 0xff, sizeof(arrays));
    memset(arrays.levels, 0, sizeof(arrays.levels));
    memset(arrays.offsets, 0, sizeof(arrays.offsets));
    for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++)
        arrays.order[i] = i;
    before = arrays;
    const uint8_t *codes = field.chunks[0]->codes;
    const float *scales = field.chunks[0]->scales;
    const struct faiss_c_rows rows = {.codes = &codes,
                                      .scales = &scales,
                                      .chunk_rows = ROWS_CHUNK_MAX,
                                      .row_bytes = field.chunks[0]->row_bytes,
                                      .dot = vector_kernels()->dot};
    struct faiss_c_links links = {.rows = ROWS_CHUNK_MAX,
                                  .links = 8,
                                  .levels = arrays.levels,
                                  .level0 = arrays.level0,
                                  .upper_offsets = arrays.offsets,
                                  .upper = arrays.upper,
                                  .entry = UINT32_MAX};
    uint32_t limit = 1000;
    struct faiss_c_extension extension = {.rows = &rows,
                                          .order = arrays.order,
                                          .order_count = ROWS_CHUNK_MAX,
                                          .ef_construction = 40,
                                          .watch = {stop_after, &limit}};
    assert_int_equal(faiss_c_hnsw_extend(&extension, &links), FAISS_C_STOPPED);
    assert_memory_equal(&arrays, &before, sizeof(arrays));
    assert_int_equal(links.entry, UINT32_MAX);
    limit = UINT32_MAX;
    assert_int_equal(faiss_c_hnsw_extend(&extension, &links), OK);
    assert_int_equal(links.entry, 0);
    for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++)
        assert_true(arrays.level0[i * 16] < ROWS_CHUNK_MAX);
    field_stop(&field);
}

/* ---- side by side ---------------------------------------------------------------------------- */

struct caller {
    const FaissIndex *shared;
    uint32_t right;
};

static void call_faiss(void *argument)
{
    struct caller *caller = argument;
    faiss_c_single_thread();
    FaissIndex *own = make_index("HNSW8");
    for (uint32_t i = 0; i < ROWS; i++)
        caller->right += nearest(own, units[i]) == i && nearest(caller->shared, units[i]) == i;
    faiss_Index_free(own);
}

/* One query a call: twenty and more would go to BLAS (decision 0004). */
static void threads_build_and_search_side_by_side(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    enum { THREADS = 4 };
    FaissIndex *shared = make_index("Flat");
    struct caller callers[THREADS];
    struct thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.shared = shared};
        assert_int_equal(thread_create(THREAD_OTHER, "faiss", call_faiss, &callers[i], &threads[i]),
                         STATUS_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        assert_in_range(callers[i].right, ROWS * 98 / 100, ROWS);
        assert_int_equal(callers[i].right, callers[0].right);
    }
    faiss_Index_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removed_rows_are_gone_and_the_others_move_up),
        cmocka_unit_test(an_index_is_written_and_read_back),
        cmocka_unit_test(parameters_can_be_set_by_name),
        cmocka_unit_test(clustering_gives_centroids_of_length_one),
        cmocka_unit_test(a_stopped_extension_changes_nothing),
        cmocka_unit_test(threads_build_and_search_side_by_side),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
