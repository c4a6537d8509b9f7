/*
 * Goal: a search finds exactly the nearest rows that count, with exact similarities, best first.
 * Method: seeded data against a plain loop and against FAISS's flat index as an oracle; rows that
 * must not count are put nearest to the query.
 */
#include "tests/unit/index/partition_support.h"

#include "index/faiss_c.h"

enum { DIMENSION = 96, ROWS = 6000, QUERIES = 60 };
static float units[ROWS][DIMENSION];

/* Clustered, as prompts are: many rows close to each other, so that int8 has something to confuse.
 */
static int make_units(void **state)
{
    (void)state;
    enum { TOPICS = 60 };
    static float topics[TOPICS][DIMENSION];
    uint64_t seed = 41;
    for (uint32_t i = 0; i < TOPICS; i++)
        chance_unit(&seed, DIMENSION, topics[i]);
    for (uint32_t i = 0; i < ROWS; i++)
        chance_near(&seed, topics[chance_below(&seed, TOPICS)], DIMENSION, 0.35f, units[i]);
    return 0;
}

static void fill_stand(struct stand *stand, uint32_t rows)
{
    stand_start(stand, DIMENSION, 256 << 20);
    for (uint32_t i = 0; i < rows; i++) {
        const struct index_row row = row_of(i, 1 + i, units[i]);
        assert_int_equal(stand_insert(stand, &row), STATUS_OK);
    }
}

/* The similarity that the hit at `rank` must have, found by a plain loop. */
static float true_similarity(const float *query, uint32_t rows, uint32_t rank)
{
    static float all[ROWS];
    for (uint32_t i = 0; i < rows; i++)
        all[i] = vector_dot(query, units[i], DIMENSION);
    for (uint32_t place = 0; place <= rank; place++)
        for (uint32_t i = place + 1; i < rows; i++)
            if (all[i] > all[place]) {
                const float swap = all[i];
                all[i] = all[place];
                all[place] = swap;
            }
    return all[rank];
}

/* How many of the hits are as good as the true one of their rank. */
static uint32_t count_exact(struct stand *stand, const float *query, uint32_t rows,
                            uint32_t hits_max)
{
    struct search search;
    uint32_t exact = 0;
    stand_search(stand, query, hits_max, &search);
    assert_int_equal(search.hits_count, hits_max < rows ? hits_max : rows);
    const float worst = true_similarity(query, rows, search.hits_count - 1);
    for (uint32_t i = 0; i < search.hits_count; i++) {
        const struct search_hit *hit = &search.hits[i];
        assert_true(hit->similarity == vector_dot(query, units[hit->sequence - 1], DIMENSION));
        assert_true(i == 0 || hit->similarity <= search.hits[i - 1].similarity);
        assert_side_of(hit);
        exact += hit->similarity >= worst;
    }
    return exact;
}

static double measure_recall(struct stand *stand, uint32_t rows, uint32_t hits_max)
{
    uint64_t seed = 1000 + hits_max;
    uint32_t exact = 0, asked = 0;
    float query[DIMENSION];
    for (uint32_t i = 0; i < QUERIES; i++) {
        chance_near(&seed, units[chance_below(&seed, rows)], DIMENSION, 0.3f, query);
        exact += count_exact(stand, query, rows, hits_max);
        asked += hits_max < rows ? hits_max : rows;
    }
    return (double)exact / asked;
}

static void hits_are_the_true_nearest(void **state)
{
    (void)state;
    struct stand stand;
    const uint32_t hits_max[] = {1, 8, 32, SEARCH_HITS_MAX};
    fill_stand(&stand, ROWS);
    for (size_t i = 0; i < 4; i++) {
        const double recall = measure_recall(&stand, ROWS, hits_max[i]);
        print_message("recall@%u of %d rows: %.4f\n", hits_max[i], ROWS, recall);
        assert_true(recall >= (hits_max[i] <= 8 ? 1.0 : 0.999));
    }
    stand_stop(&stand);
}

static void every_number_of_rows_is_searched_whole(void **state)
{
    (void)state;
    for (uint32_t rows = 1; rows < 700; rows += 1 + rows / 9) {
        struct stand stand;
        struct search search;
        fill_stand(&stand, rows);
        for (uint32_t i = 0; i < rows; i += 1 + rows / 20) {
            stand_search(&stand, units[i], 1, &search);
            assert_int_equal(search.hits[0].sequence, 1 + i);
            assert_true(search.hits[0].similarity == 1.0f);
            assert_int_equal(search.rows_scanned, rows);
        }
        assert_int_equal(count_exact(&stand, units[0], rows, SEARCH_HITS_MAX),
                         rows < SEARCH_HITS_MAX ? rows : SEARCH_HITS_MAX);
        stand_stop(&stand);
    }
}

static void faiss_flat_agrees(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    enum { HITS = 10 };
    struct stand stand;
    FaissIndexFlatIP *oracle = NULL;
    uint64_t seed = 8;
    fill_stand(&stand, ROWS);
    faiss_c_single_thread();
    assert_int_equal(faiss_IndexFlatIP_new_with(&oracle, DIMENSION), OK);
    assert_int_equal(faiss_Index_add(oracle, ROWS, units[0]), OK);
    for (uint32_t i = 0; i < QUERIES; i++) {
        float query[DIMENSION], similarities[HITS];
        idx_t rows[HITS];
        struct search search;
        chance_near(&seed, units[chance_below(&seed, ROWS)], DIMENSION, 0.4f, query);
        assert_int_equal(faiss_Index_search(oracle, 1, query, HITS, similarities, rows), OK);
        stand_search(&stand, query, HITS, &search);
        assert_int_equal(search.hits_count, HITS);
        for (uint32_t h = 0; h < HITS; h++) {
            assert_float_equal(search.hits[h].similarity, similarities[h], 2e-6f);
            if (search.hits[h].sequence != (uint64_t)rows[h] + 1) /* only where two are equal */
                assert_float_equal(vector_dot(query, units[rows[h]], DIMENSION),
                                   search.hits[h].similarity, 2e-6f);
        }
    }
    faiss_Index_free(oracle);
    stand_stop(&stand);
}

/* 2000 rows that do not count lie nearer to the query than the three that do. */
static void rows_that_do_not_count_take_no_place(void **state)
{
    (void)state;
    enum { NEARER = 2000 };
    struct stand stand;
    struct search search;
    float query[DIMENSION], near[DIMENSION];
    uint64_t seed = 12;
    stand_start(&stand, DIMENSION, 256 << 20);
    chance_unit(&seed, DIMENSION, query);
    for (uint64_t i = 0; i < NEARER; i++) {
        chance_near(&seed, query, DIMENSION, 0.01f, near);
        struct index_row row = row_of(i, 1 + i, near);
        row.tag = i % 3 == 0 ? 2 : 1;
        row.expires_ms = i % 3 == 1 ? 5000 : 0;
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
        if (i % 700 == 699) {
            const struct index_row counts = row_of(NEARER + i, NEARER + 1 + i, units[i]);
            assert_int_equal(stand_insert(&stand, &counts), STATUS_OK);
        }
    }
    const struct index_row last = row_of(9000, 9001, units[0]);
    assert_int_equal(stand_insert(&stand, &last), STATUS_OK);
    for (uint64_t i = 2; i < NEARER; i += 3)
        assert_int_equal(stand_remove(&stand, i, UINT64_MAX), 1);
    search = (struct search){
        .unit = query, .dimension = DIMENSION, .tag = 1, .now_ms = 5000, .hits_max = 8};
    epoch_enter(stand.epochs);
    partition_search(stand.partition, &search);
    epoch_leave(stand.epochs);
    assert_int_equal(search.hits_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(search.hits[i].sequence > NEARER);
    stand_stop(&stand);
}

static uint32_t count_hits(struct stand *stand, uint32_t tag, int64_t now_ms)
{
    struct search search = {
        .unit = units[0], .dimension = DIMENSION, .tag = tag, .now_ms = now_ms, .hits_max = 100};
    epoch_enter(stand->epochs);
    partition_search(stand->partition, &search);
    epoch_leave(stand->epochs);
    return search.hits_count;
}

static void a_row_expires_at_its_millisecond(void **state)
{
    (void)state;
    struct stand stand;
    stand_start(&stand, DIMENSION, 64 << 20);
    struct index_row row = row_of(1, 1, units[0]);
    row.expires_ms = INT64_C(1700000000123);
    assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    assert_int_equal(count_hits(&stand, 1, row.expires_ms - 1), 1);
    assert_int_equal(count_hits(&stand, 1, row.expires_ms), 0);
    assert_int_equal(count_hits(&stand, 1, row.expires_ms + 1), 0);
    row = row_of(2, 2, units[0]); /* 0: never */
    assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    assert_int_equal(count_hits(&stand, 1, INT64_MAX), 1);
    stand_stop(&stand);
}

/* Few and many matching rows take different ways through a chunk; both must find all of them. */
static void tags_common_and_rare_are_found_in_full(void **state)
{
    (void)state;
    struct stand stand;
    uint32_t rows_of_tag[5] = {0};
    stand_start(&stand, DIMENSION, 256 << 20);
    for (uint32_t i = 0; i < 2000; i++) {
        struct index_row row = row_of(i, 1 + i, units[i]);
        row.tag = i % 500 == 77 ? 4 : i % 40 == 0 ? 3 : i % 2 == 0 ? 2 : 1;
        rows_of_tag[row.tag]++;
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    }
    for (uint32_t tag = 0; tag < 5; tag++)
        assert_int_equal(count_hits(&stand, tag, 0),
                         rows_of_tag[tag] < 100 ? rows_of_tag[tag] : 100);
    struct search search = {.unit = units[77], .dimension = DIMENSION, .tag = 4, .hits_max = 1};
    epoch_enter(stand.epochs);
    partition_search(stand.partition, &search);
    epoch_leave(stand.epochs);
    assert_int_equal(search.hits[0].sequence, 78);
    assert_true(search.rows_scanned < 300); /* it did not multiply the others */
    stand_stop(&stand);
}

static void chunks_of_another_tag_are_not_touched(void **state)
{
    (void)state;
    struct stand stand;
    fill_stand(&stand, 1364); /* whole chunks, all tag 1 */
    struct search search = {.unit = units[0], .dimension = DIMENSION, .tag = 9, .hits_max = 1};
    epoch_enter(stand.epochs);
    partition_search(stand.partition, &search);
    epoch_leave(stand.epochs);
    assert_int_equal(search.hits_count, 0);
    assert_int_equal(search.rows_scanned, 0);
    stand_stop(&stand);
}

static void among_equals_the_newest_comes_first(void **state)
{
    (void)state;
    struct stand stand;
    struct search search;
    stand_start(&stand, DIMENSION, 64 << 20);
    const uint64_t sequences[] = {5, 9, 2, 7};
    for (size_t i = 0; i < 4; i++) {
        const struct index_row row = row_of(i, sequences[i], units[0]);
        assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
    }
    stand_search(&stand, units[0], 4, &search);
    assert_int_equal(search.hits_count, 4);
    const uint64_t expected[] = {9, 7, 5, 2};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(search.hits[i].sequence, expected[i]);
        assert_true(search.hits[i].similarity == 1.0f);
    }
    stand_stop(&stand);
}

static void another_dimension_finds_nothing(void **state)
{
    (void)state;
    struct stand stand;
    fill_stand(&stand, 50);
    struct search search = {.unit = units[0],
                            .dimension = DIMENSION - 1,
                            .tag = 1,
                            .hits_max = 5,
                            .hits_count = 77,
                            .rows_scanned = 77};
    epoch_enter(stand.epochs);
    partition_search(stand.partition, &search);
    epoch_leave(stand.epochs);
    assert_int_equal(search.hits_count, 0);
    assert_int_equal(search.rows_scanned, 0);
    stand_stop(&stand);
}

static void the_largest_and_the_smallest_dimension_work(void **state)
{
    (void)state;
    static float wide[20][VECTOR_DIMENSION_MAX];
    const uint32_t dimensions[] = {1, VECTOR_DIMENSION_MAX};
    uint64_t seed = 2;
    for (size_t d = 0; d < 2; d++) {
        struct stand stand;
        struct search search;
        stand_start(&stand, dimensions[d], 64 << 20);
        for (uint32_t i = 0; i < 20; i++) {
            chance_unit(&seed, dimensions[d], wide[i]);
            const struct index_row row = row_of(i, 1 + i, wide[i]);
            assert_int_equal(stand_insert(&stand, &row), STATUS_OK);
        }
        stand_search(&stand, wide[13], 20, &search);
        assert_int_equal(search.hits_count, 20);
        assert_true(search.hits[0].similarity == 1.0f);
        assert_true(d == 0 || search.hits[0].sequence == 14);
        stand_stop(&stand);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_are_the_true_nearest),
        cmocka_unit_test(every_number_of_rows_is_searched_whole),
        cmocka_unit_test(faiss_flat_agrees),
        cmocka_unit_test(rows_that_do_not_count_take_no_place),
        cmocka_unit_test(a_row_expires_at_its_millisecond),
        cmocka_unit_test(tags_common_and_rare_are_found_in_full),
        cmocka_unit_test(chunks_of_another_tag_are_not_touched),
        cmocka_unit_test(among_equals_the_newest_comes_first),
        cmocka_unit_test(another_dimension_finds_nothing),
        cmocka_unit_test(the_largest_and_the_smallest_dimension_work),
    };
    return cmocka_run_group_tests(tests, make_units, NULL);
}
