/*
 * Goal: a segment, graph or lists, finds what a plain scan of its rows finds, never a row that does
 * not count, and leaves nothing behind when it cannot be built. Method: seeded rows around topics
 * in two full chunks; queries are rows with noise; the plain loop over the same codes is the
 * oracle. Exercises segment, graph, graph_walk, ivf and ivf_train.
 */
#include "index/segment.h"

#include "index/faiss_c.h"
#include "index/vector.h"
#include "tests/unit/index/partition_support.h"

enum { DIMENSION = 96, CHUNKS = 2, ROWS = CHUNKS * ROWS_CHUNK_MAX, TOPICS = 200, QUERIES = 200 };
enum { TAG = 7, RARE_TAG = 8, NOW_MS = 1000 };

static float units[ROWS][DIMENSION];
static struct memory *memory;
static struct rows_chunk *chunks[CHUNKS];

static void fill(uint32_t number)
{
    struct index_row row = row_of(number, 1 + number, units[number]);
    row.tag = number % 512 == 5 ? RARE_TAG : TAG;
    row.expires_ms = number % 10 == 3 ? NOW_MS : 0; /* over at this very millisecond */
    (void)rows_chunk_append(chunks[number / ROWS_CHUNK_MAX], &row);
    if (number % 10 == 6)
        rows_chunk_kill(chunks[number / ROWS_CHUNK_MAX], number % ROWS_CHUNK_MAX);
}

static int make_rows(void **state)
{
    static float topics[TOPICS][DIMENSION];
    uint64_t seed = 17;
    (void)state;
    faiss_c_single_thread();
    assert_int_equal(memory_open(64 << 20, &memory), STATUS_OK);
    for (uint32_t i = 0; i < TOPICS; i++)
        chance_unit(&seed, DIMENSION, topics[i]);
    for (uint32_t i = 0; i < ROWS; i++)
        chance_near(&seed, topics[chance_below(&seed, TOPICS)], DIMENSION, 0.5f, units[i]);
    for (uint32_t i = 0; i < CHUNKS; i++)
        assert_int_equal(
            rows_chunk_create(memory, MEMORY_ROWS, DIMENSION, ROWS_CHUNK_MAX, &chunks[i]),
            STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++)
        fill(i);
    return 0;
}

static int drop_rows(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CHUNKS; i++)
        rows_chunk_destroy(&chunks[i]);
    assert_int_equal(memory_used(memory), 0);
    memory_close(&memory);
    return 0;
}

static const atomic_bool go_on = false;

static const struct segment_options hnsw = {.kind = INDEX_HNSW, .links = 16, .ef_construction = 64};
static const struct segment_options ivf = {.kind = INDEX_IVF};

static enum status build(const struct segment_options *options, const struct segment *base,
                         uint32_t chunks_count, const atomic_bool *stop,
                         struct segment **out_segment)
{
    const struct segment_build wanted = {.memory = memory,
                                         .options = options,
                                         .base = base,
                                         .chunks = chunks,
                                         .chunks_count = chunks_count,
                                         .stop = stop};
    return segment_build(&wanted, out_segment);
}

static bool counts(uint32_t number, uint32_t tag)
{
    const bool has_tag = (number % 512 == 5) == (tag == RARE_TAG);
    return has_tag && number % 10 != 3 && number % 10 != 6;
}

static uint32_t number_of(const struct candidate *candidate)
{
    const uint32_t chunk = candidate->chunk == chunks[0] ? 0 : 1;
    assert_ptr_equal(candidate->chunk, chunks[chunk]);
    return chunk * ROWS_CHUNK_MAX + candidate->row;
}

/* Of rows that count, the one whose vector is nearest. */
static uint32_t nearest(const float *query, uint32_t rows, uint32_t tag)
{
    uint32_t best = UINT32_MAX;
    float best_similarity = -2;
    for (uint32_t i = 0; i < rows; i++) {
        const float similarity = counts(i, tag) ? vector_dot(query, units[i], DIMENSION) : -2;
        if (similarity > best_similarity) {
            best_similarity = similarity;
            best = i;
        }
    }
    return best;
}

static bool finds(const struct segment *segment, const float *query, uint32_t tag, uint32_t wanted)
{
    _Alignas(VECTOR_ROW_ALIGN) int8_t codes[VECTOR_DIMENSION_MAX];
    struct candidates candidates;
    (void)vector_encode_query(query, DIMENSION, codes);
    const struct segment_query asked = {
        .codes = codes, .tag = tag, .now_ms = NOW_MS, .ef = 48, .nprobe = 16};
    candidates_start(&candidates, 32);
    const uint64_t scanned = segment_search(segment, chunks, &asked, &candidates);
    assert_true(scanned >= candidates.count);
    bool found = false;
    for (uint32_t i = 0; i < candidates.count; i++) {
        const uint32_t number = number_of(&candidates.items[i]);
        assert_true(counts(number, tag)); /* dead, expired, foreign: never */
        assert_true(number < segment_rows(segment));
        found = found || number == wanted;
    }
    return found;
}

static double recall(const struct segment *segment, uint32_t tag, uint32_t queries)
{
    uint64_t seed = 29;
    uint32_t found = 0;
    for (uint32_t i = 0; i < queries; i++) {
        float query[DIMENSION];
        chance_near(&seed, units[chance_below(&seed, segment_rows(segment))], DIMENSION, 0.15f,
                    query);
        found += finds(segment, query, tag, nearest(query, segment_rows(segment), tag));
    }
    return (double)found / queries;
}

static void check_kind(const struct segment_options *options, double floor)
{
    struct segment *small = NULL, *large = NULL;
    const uint64_t used_before = memory_used(memory);
    assert_int_equal(build(options, NULL, 1, &go_on, &small), STATUS_OK);
    assert_int_equal(segment_kind(small), options->kind);
    assert_int_equal(segment_rows(small), ROWS_CHUNK_MAX);
    assert_true(memory_used(memory) > used_before);
    assert_true(recall(small, TAG, QUERIES) >= floor);
    assert_int_equal(build(options, small, CHUNKS, &go_on, &large), STATUS_OK);
    assert_int_equal(segment_rows(large), ROWS);
    assert_true(recall(large, TAG, QUERIES) >= floor);
    assert_true(recall(small, TAG, QUERIES) >= floor); /* the base is as it was */
    segment_destroy(&small);
    assert_true(recall(large, TAG, QUERIES) >= floor); /* and not needed any more */
    assert_true(segment_size_bytes(large) > 0);
    segment_destroy(&large);
    assert_null(large);
    assert_int_equal(memory_used(memory), used_before);
}

static void a_graph_finds_the_nearest_before_and_after_it_grows(void **state)
{
    (void)state;
    check_kind(&hnsw, 0.98);
}

static void lists_find_the_nearest_before_and_after_they_grow(void **state)
{
    (void)state;
    check_kind(&ivf, 0.95);
}

static void a_rare_tag_is_searched_exactly(void **state)
{
    (void)state;
    const struct segment_options *const kinds[] = {&hnsw, &ivf};
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        assert_int_equal(build(kinds[i], NULL, CHUNKS, &go_on, &segment), STATUS_OK);
        assert_true(recall(segment, RARE_TAG, 50) == 1.0);
        assert_false(finds(segment, units[0], 12345, UINT32_MAX)); /* a tag that nobody has */
        segment_destroy(&segment);
    }
}

static void a_build_that_is_stopped_leaves_nothing(void **state)
{
    (void)state;
    const atomic_bool stop = true;
    const struct segment_options *const kinds[] = {&hnsw, &ivf};
    const uint64_t used_before = memory_used(memory);
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        assert_int_equal(build(kinds[i], NULL, CHUNKS, &stop, &segment), STATUS_CANCELLED);
        assert_null(segment);
        assert_int_equal(memory_used(memory), used_before);
    }
}

static void a_build_that_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    const struct segment_options *const kinds[] = {&hnsw, &ivf};
    const uint64_t all = memory_max(memory) - memory_used(memory);
    assert_true(memory_charge(memory, MEMORY_REWRITE, all));
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        assert_int_equal(build(kinds[i], NULL, CHUNKS, &go_on, &segment), STATUS_NO_MEMORY);
        assert_null(segment);
    }
    memory_discharge(memory, all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_finds_the_nearest_before_and_after_it_grows),
        cmocka_unit_test(lists_find_the_nearest_before_and_after_they_grow),
        cmocka_unit_test(a_rare_tag_is_searched_exactly),
        cmocka_unit_test(a_build_that_is_stopped_leaves_nothing),
        cmocka_unit_test(a_build_that_does_not_fit_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_rows, drop_rows);
}
