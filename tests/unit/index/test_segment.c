/*
 * Goal: a segment finds the nearest rows that count, however it is built and whatever part of it is
 * dead, expired or of another tag.
 * Method: seeded rows that look like prompts, the truth by a plain loop over the same scores;
 * floors of recall for graphs and lists. REPRISE_TEST_ROWS=102400 measures at that size, in 384
 * dimensions and over 5000 topics, for which the floor there is stated.
 */
#include "tests/unit/index/segment_support.h"

enum { DIMENSION = 128, TOPICS = 2000, CHUNKS = 5, QUERIES = 400 };

static const struct question PLAIN = {.tag = 1, .wanted = 8, .ef = 32, .nprobe = 8};

static void build_all(struct field *field, const struct segment_options *options,
                      struct segment **out_segment)
{
    *out_segment = NULL;
    assert_int_equal(field_build(field, options, NULL, field->chunks_count, out_segment),
                     STATUS_OK);
    assert_int_equal(segment_rows(*out_segment), field_rows(field));
    assert_int_equal(segment_kind(*out_segment), options->kind);
    assert_int_equal(memory_used(field->memory),
                     field->used_by_rows + segment_size_bytes(*out_segment));
}

/* ---- floors ---------------------------------------------------------------------------------- */

static void assert_floors(struct field *field, const struct segment *segment)
{
    struct question question = PLAIN;
    struct recall recall = measure(field, segment, &question, QUERIES);
    assert_at_least(recall.nearest, (segment_kind(segment) == INDEX_HNSW ? 0.995 : 0.99));
    assert_at_least(recall.all, (segment_kind(segment) == INDEX_HNSW ? 0.97 : 0.80));
    assert_true(recall.scanned < segment_rows(segment) / 8.0);
    question.wanted = 1;
    assert_at_least(measure(field, segment, &question, QUERIES).nearest, 0.99);
    question.ef = 128;
    question.nprobe = 64;
    assert_at_least(measure(field, segment, &question, QUERIES).nearest, 0.9975);
}

static void a_graph_and_lists_find_near_rows(void **state)
{
    (void)state;
    static struct field field;
    const char *rows = getenv("REPRISE_TEST_ROWS");
    const uint32_t chunks = rows != NULL ? (uint32_t)strtoul(rows, NULL, 10) / 4096 : CHUNKS;
    assert_in_range(chunks, 1, CHUNKS_MAX);
    field_start(&field, rows != NULL ? 384 : DIMENSION, rows != NULL ? 5000 : TOPICS,
                UINT64_C(1) << 31);
    field_add(&field, chunks, NULL, NULL);
    const struct segment_options *const all[] = {&HNSW, &IVF};
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        build_all(&field, all[i], &segment);
        assert_floors(&field, segment);
        segment_destroy(&segment);
        assert_null(segment);
    }
    field_stop(&field);
}

/* Chunk after chunk is added; each larger segment is built on the one before, which goes. */
static void extend_in_steps(const struct segment_options *options)
{
    static struct field field;
    struct segment *segment = NULL;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 30);
    for (uint32_t step = 1; step <= CHUNKS; step++) {
        struct segment *larger = NULL;
        field_add(&field, 1, NULL, NULL);
        assert_int_equal(field_build(&field, options, segment, step, &larger), STATUS_OK);
        segment_destroy(&segment);
        segment = larger;
    }
    assert_floors(&field, segment);
    segment_destroy(&segment);
    field_stop(&field);
}

static void a_segment_that_was_extended_in_steps_finds_as_well(void **state)
{
    (void)state;
    extend_in_steps(&HNSW);
    extend_in_steps(&IVF);
}

/* ---- rows that do not count ------------------------------------------------------------------ */

/* One in five dies before the build, another fifth after it: none of them is ever found (measure
 * asserts it), and the living are. */
static void dead_rows_are_not_found_and_hide_nobody(void **state)
{
    (void)state;
    const struct segment_options *const all[] = {&HNSW, &IVF};
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct segment *segment = NULL;
        field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 30);
        field_add(&field, CHUNKS, NULL, NULL);
        for (uint32_t row = 0; row < field_rows(&field); row += 5)
            field_kill(&field, row);
        build_all(&field, all[i], &segment);
        assert_at_least(measure(&field, segment, &PLAIN, QUERIES).nearest, 0.99);
        for (uint32_t row = 1; row < field_rows(&field); row += 5)
            field_kill(&field, row);
        assert_at_least(measure(&field, segment, &PLAIN, QUERIES).nearest, 0.99);
        segment_destroy(&segment);
        field_stop(&field);
    }
}

static int64_t half_end_at_1000(uint32_t row)
{
    return row % 2 == 0 ? 1000 : 0;
}

static void expired_rows_are_not_found_and_hide_nobody(void **state)
{
    (void)state;
    const struct segment_options *const all[] = {&HNSW, &IVF};
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 30);
    field_add(&field, CHUNKS, NULL, half_end_at_1000);
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        struct question question = PLAIN;
        build_all(&field, all[i], &segment);
        question.now_ms = 999;
        assert_at_least(measure(&field, segment, &question, QUERIES).nearest, 0.99);
        question.now_ms =
            1000; /* the row that the query lies near to is gone in half of the cases */
        assert_at_least(measure(&field, segment, &question, QUERIES).nearest, 0.97);
        segment_destroy(&segment);
    }
    field_stop(&field);
}

static int64_t all_end_at_1000(uint32_t row)
{
    (void)row;
    return 1000;
}

static void a_segment_where_nothing_counts_is_left_soon(void **state)
{
    (void)state;
    static struct field field;
    struct segment *segment = NULL;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 30);
    field_add(&field, CHUNKS, NULL, all_end_at_1000);
    build_all(&field, &HNSW, &segment);
    struct question question = PLAIN;
    question.now_ms = 1000;
    const struct recall recall = measure(&field, segment, &question, 50);
    assert_true(recall.scanned < field_rows(&field) / 3.0);
    segment_destroy(&segment);
    for (uint32_t row = 0; row < field_rows(&field); row++)
        field_kill(&field, row);
    const struct segment_options *const all[] = {&HNSW, &IVF};
    for (size_t i = 0; i < 2; i++) { /* not even a row to start from */
        build_all(&field, all[i], &segment);
        struct candidates candidates;
        assert_int_equal(question_ask(&question, &field, segment, &candidates), 0);
        assert_int_equal(candidates.count, 0);
        segment_destroy(&segment);
    }
    field_stop(&field);
}

/* ---- tags ------------------------------------------------------------------------------------ */

/* 7 is rare; 2 is what a quarter carries; 1 the rest. */
static uint32_t rare_and_common(uint32_t row)
{
    if (row % 512 == 9)
        return 7;
    return row % 4 == 2 ? 2 : 1;
}

static void few_rows_of_a_tag_are_found_exactly(void **state)
{
    (void)state;
    const struct segment_options *const all[] = {&HNSW, &IVF};
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 30);
    field_add(&field, CHUNKS, rare_and_common, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        build_all(&field, all[i], &segment);
        struct question question = PLAIN;
        question.tag = 7;
        const struct recall recall = measure(&field, segment, &question, QUERIES);
        assert_true(recall.nearest == 1.0);
        assert_true(recall.all == 1.0);
        assert_float_equal(recall.scanned, field_rows(&field) / 512.0, 1e-3);
        question.tag = 8; /* nobody's */
        struct candidates candidates;
        assert_int_equal(question_ask(&question, &field, segment, &candidates), 0);
        assert_int_equal(candidates.count, 0);
        segment_destroy(&segment);
    }
    field_stop(&field);
}

static uint32_t three_in_seven(uint32_t row)
{
    return row % 7 < 3 ? 3 : 1;
}

/* More rows of the tag than are scanned one by one: 10 chunks hold 17,556 of them. */
static void a_tag_that_many_rows_carry_is_walked_for(void **state)
{
    (void)state;
    enum { SMALL = 64, MANY_CHUNKS = 10 };
    const struct segment_options *const all[] = {&HNSW, &IVF};
    static struct field field;
    field_start(&field, SMALL, TOPICS, UINT64_C(1) << 30);
    field_add(&field, MANY_CHUNKS, three_in_seven, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        build_all(&field, all[i], &segment);
        struct question question = PLAIN;
        question.tag = 3;
        const struct recall recall = measure(&field, segment, &question, 200);
        assert_at_least(recall.nearest, 0.97);
        assert_true(recall.scanned < 17556 / 4.0);
        segment_destroy(&segment);
    }
    field_stop(&field);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* The same prompt under many system prompts: without precautions copies take all links of each
 * other. Three rows in four of the last chunk are one vector. */
static struct rows_chunk *add_copies(struct field *field, const float *unit)
{
    struct rows_chunk *chunk = field_open_chunk(field);
    for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++) {
        float other[DIMENSION];
        field_unit(field, other);
        const struct index_row row = {.tag = 1, .unit = i % 4 == 0 ? other : unit};
        (void)rows_chunk_append(chunk, &row);
    }
    return chunk;
}

/* All copies but 8, which are far apart. */
static void kill_copies(struct rows_chunk *chunk)
{
    for (uint32_t row = 0; row < ROWS_CHUNK_MAX; row++)
        if (row % 4 != 0 && row % 512 != 257)
            rows_chunk_kill(chunk, row);
}

static uint32_t count_best(const struct field *field, const struct segment *segment,
                           const float *unit)
{
    struct question question = PLAIN;
    struct candidates candidates;
    uint32_t best = 0;
    (void)vector_encode_query(unit, DIMENSION, question.codes);
    (void)question_ask(&question, field, segment, &candidates);
    for (uint32_t i = 0; i < candidates.count; i++)
        best += candidates.items[i].score == candidates_best(&candidates);
    return best;
}

static void copies_of_one_vector_hide_nobody(void **state)
{
    (void)state;
    const struct segment_options *const all[] = {&HNSW, &IVF};
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct segment *segment = NULL;
        float unit[DIMENSION];
        field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 30);
        field_add(&field, CHUNKS - 1, NULL, NULL);
        field_unit(&field, unit);
        struct rows_chunk *chunk = add_copies(&field, unit);
        build_all(&field, all[i], &segment);
        assert_at_least(measure(&field, segment, &PLAIN, QUERIES).nearest, 0.99);
        assert_int_equal(count_best(&field, segment, unit), PLAIN.wanted);
        kill_copies(chunk);
        assert_int_equal(count_best(&field, segment, unit), PLAIN.wanted);
        segment_destroy(&segment);
        field_stop(&field);
    }
}

static void kinds_have_the_names_of_the_options(void **state)
{
    (void)state;
    assert_string_equal(index_kind_name(INDEX_AUTO), "auto");
    assert_string_equal(index_kind_name(INDEX_FLAT), "flat");
    assert_string_equal(index_kind_name(INDEX_HNSW), "hnsw");
    assert_string_equal(index_kind_name(INDEX_IVF), "ivf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_and_lists_find_near_rows),
        cmocka_unit_test(a_segment_that_was_extended_in_steps_finds_as_well),
        cmocka_unit_test(dead_rows_are_not_found_and_hide_nobody),
        cmocka_unit_test(expired_rows_are_not_found_and_hide_nobody),
        cmocka_unit_test(a_segment_where_nothing_counts_is_left_soon),
        cmocka_unit_test(few_rows_of_a_tag_are_found_exactly),
        cmocka_unit_test(a_tag_that_many_rows_carry_is_walked_for),
        cmocka_unit_test(copies_of_one_vector_hide_nobody),
        cmocka_unit_test(kinds_have_the_names_of_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
