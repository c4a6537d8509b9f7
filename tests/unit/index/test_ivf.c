/*
 * Goal: lists hold every living row once, beside its like; they stay when a segment grows a little
 * and are trained anew (ivf_train.c) when it has doubled.
 * Method: the arrays themselves; FAISS's IVF over the same rows as the oracle of recall.
 */
#include "tests/unit/index/segment_support.h"

enum { DIMENSION = 64, TOPICS = 800 };

static const struct question PLAIN = {.tag = 1, .wanted = 8, .ef = 32, .nprobe = 8};

static void the_number_of_lists_follows_the_rows(void **state)
{
    (void)state;
    assert_int_equal(ivf_lists_for(4096, 0), 105);  /* rows / 39 bind */
    assert_int_equal(ivf_lists_for(16384, 0), 256); /* 2 x sqrt(rows) */
    assert_int_equal(ivf_lists_for(262144, 0), 1024);
    assert_int_equal(ivf_lists_for(262144, 2000), 2000);
    assert_int_equal(ivf_lists_for(262144, 65536), 262144 / 39);
    assert_int_equal(ivf_lists_for(8192, 1), 1);
}

static struct segment *build(struct field *field, const struct segment *base, uint32_t chunks_count,
                             uint32_t lists)
{
    struct segment *segment = NULL;
    const struct segment_options options = {.kind = INDEX_IVF, .lists = lists};
    assert_int_equal(field_build(field, &options, base, chunks_count, &segment), STATUS_OK);
    return segment;
}

static uint32_t nearest_centroid(const struct ivf *ivf, const float *unit)
{
    uint32_t nearest = 0;
    float best = -2;
    for (uint32_t list = 0; list < ivf->lists; list++) {
        const float cosine =
            vector_dot(unit, ivf->centroids + (size_t)list * ivf->dimension, ivf->dimension);
        if (cosine > best) {
            best = cosine;
            nearest = list;
        }
    }
    return nearest;
}

/* Each living row once, with its own codes, scale and tag; nearly always in the list whose centroid
 * is the nearest in fp32 too. */
static void assert_lists(const struct field *field, const struct ivf *ivf, uint32_t living)
{
    uint8_t *met = calloc(ivf->rows, sizeof(*met));
    uint32_t nearest = 0;
    assert_non_null(met);
    assert_int_equal(ivf->firsts[0], 0);
    assert_int_equal(ivf->firsts[ivf->lists], living);
    assert_int_equal(ivf->members_count, living);
    for (uint32_t list = 0; list < ivf->lists; list++) {
        assert_true(ivf->firsts[list] <= ivf->firsts[list + 1]);
        for (uint32_t i = ivf->firsts[list]; i < ivf->firsts[list + 1]; i++) {
            const uint32_t row = ivf->members[i], at = row % ROWS_CHUNK_MAX;
            assert_true(row < ivf->rows);
            const struct rows_chunk *chunk = field_chunk(field, row);
            assert_int_equal(met[row]++, 0);
            assert_memory_equal(ivf->codes + i * ivf->row_bytes,
                                chunk->codes + at * chunk->row_bytes, chunk->row_bytes);
            assert_true(ivf->scales[i] == chunk->scales[at]);
            assert_int_equal(ivf->tags[i], chunk->tags[at]);
            if (i % 16 == 0)
                nearest += nearest_centroid(ivf, rows_chunk_unit(chunk, at)) == list;
        }
    }
    assert_at_least(nearest / ((living + 15) / 16.0), 0.97);
    free(met);
}

static void every_living_row_is_in_the_list_of_its_like(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 2, NULL, NULL);
    uint32_t living = field_rows(&field);
    for (uint32_t row = 3; row < field_rows(&field); row += 10, living--)
        field_kill(&field, row);
    struct segment *segment = build(&field, NULL, 2, 0);
    assert_lists(&field, &segment->ivf, living);
    segment_destroy(&segment);
    field_stop(&field);
}

static bool same_centroids(const struct ivf *one, const struct ivf *other)
{
    return one->lists == other->lists &&
           memcmp(one->centroids, other->centroids,
                  (size_t)one->lists * one->dimension * sizeof(float)) == 0;
}

static void lists_stay_until_the_rows_have_doubled(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 4, NULL, NULL);
    struct segment *two = build(&field, NULL, 2, 0);
    struct segment *three = build(&field, two, 3, 0);
    assert_true(same_centroids(&two->ivf, &three->ivf));
    assert_int_equal(three->ivf.rows_trained, 2 * ROWS_CHUNK_MAX);
    assert_lists(&field, &three->ivf, 3 * ROWS_CHUNK_MAX);
    struct segment *four = build(&field, three, 4, 0);
    assert_false(same_centroids(&two->ivf, &four->ivf));
    assert_int_equal(four->ivf.rows_trained, 4 * ROWS_CHUNK_MAX);
    assert_lists(&field, &four->ivf, 4 * ROWS_CHUNK_MAX);
    struct segment *other = build(&field, two, 3, 40); /* another number is asked for */
    assert_int_equal(other->ivf.lists, 40);
    assert_lists(&field, &other->ivf, 3 * ROWS_CHUNK_MAX);
    segment_destroy(&two);
    segment_destroy(&three);
    segment_destroy(&four);
    segment_destroy(&other);
    field_stop(&field);
}

/* A vector and its opposite: the mean of a list is zero now and then. */
static void opposite_vectors_can_be_listed(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, 16, TOPICS, UINT64_C(1) << 28);
    struct rows_chunk *chunk = field_open_chunk(&field);
    for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++) {
        float unit[16] = {0};
        unit[i / 2 % 3] = i % 2 == 0 ? 1.0f : -1.0f;
        const struct index_row row = {.tag = 1, .unit = unit};
        (void)rows_chunk_append(chunk, &row);
    }
    struct segment *segment = build(&field, NULL, 1, 2);
    assert_int_equal(segment->ivf.firsts[2], ROWS_CHUNK_MAX);
    segment_destroy(&segment);
    field_stop(&field);
}

/* ---- the oracle ------------------------------------------------------------------------------ */

static void our_lists_find_what_those_of_faiss_find(void **state)
{
    (void)state;
    enum { QUERIES = 500 };
    static struct field field;
    FaissIndex *oracle = NULL;
    FaissParameterSpace *space = NULL;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 2, NULL, NULL);
    struct segment *segment = build(&field, NULL, 2, 0);
    char description[32];
    (void)snprintf(description, sizeof(description), "IVF%u,Flat", segment->ivf.lists);
    assert_int_equal(faiss_index_factory(&oracle, DIMENSION, description, METRIC_INNER_PRODUCT),
                     OK);
    float *units = calloc((size_t)field_rows(&field) * DIMENSION, sizeof(*units));
    assert_non_null(units);
    for (uint32_t i = 0; i < 2; i++)
        memcpy(units + (size_t)i * ROWS_CHUNK_MAX * DIMENSION, field.chunks[i]->units,
               (size_t)ROWS_CHUNK_MAX * DIMENSION * sizeof(*units));
    assert_int_equal(faiss_Index_train(oracle, field_rows(&field), units), OK);
    assert_int_equal(faiss_Index_add(oracle, field_rows(&field), units), OK);
    assert_int_equal(faiss_ParameterSpace_new(&space), OK);
    assert_int_equal(faiss_ParameterSpace_set_index_parameter(space, oracle, "nprobe", 8), OK);
    const double theirs = measure_faiss(&field, oracle, QUERIES);
    assert_at_least(theirs, 0.95);
    assert_at_least(measure(&field, segment, &PLAIN, QUERIES).nearest, theirs - 0.01);
    faiss_ParameterSpace_free(space);
    faiss_Index_free(oracle);
    free(units);
    segment_destroy(&segment);
    field_stop(&field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_number_of_lists_follows_the_rows),
        cmocka_unit_test(every_living_row_is_in_the_list_of_its_like),
        cmocka_unit_test(lists_stay_until_the_rows_have_doubled),
        cmocka_unit_test(opposite_vectors_can_be_listed),
        cmocka_unit_test(our_lists_find_what_those_of_faiss_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
