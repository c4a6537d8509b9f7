/*
 * Goal: the links that graph.c keeps are a sound graph, graph_repair.c leaves no row that cannot be
 * reached, and graph_walk.c finds in it what FAISS's own search would.
 * Method: invariants over seeded graphs; a graph that is broken by hand; FAISS's IndexHNSW over the
 * same rows as the oracle; more walks than a mark can count.
 */
#include "tests/unit/index/segment_support.h"

enum { DIMENSION = 64, TOPICS = 800, CHUNKS = 2 };

static const struct question PLAIN = {.tag = 1, .wanted = 8, .ef = 32, .nprobe = 8};

static struct segment *build(struct field *field, uint32_t chunks_count)
{
    struct segment *segment = NULL;
    assert_int_equal(field_build(field, &HNSW, NULL, chunks_count, &segment), STATUS_OK);
    return segment;
}

/* ---- the graph ------------------------------------------------------------------------------- */

static void levels_thin_out_by_the_number_of_links(void **state)
{
    (void)state;
    enum { ROWS = 1 << 20 };
    static const uint32_t links[] = {GRAPH_LINKS_MIN, 16, GRAPH_LINKS_MAX};
    for (size_t i = 0; i < 3; i++) {
        uint32_t above[GRAPH_LEVEL_MAX + 1] = {0};
        for (uint32_t row = 0; row < ROWS; row++)
            for (uint32_t level = graph_level_of(row, links[i]); level > 0; level--)
                above[level]++;
        double wanted = ROWS;
        for (uint32_t level = 1; level <= 3; level++) {
            wanted /= links[i];
            assert_true(fabs(above[level] - wanted) <= 5 * sqrt(wanted)); /* five deviations */
        }
    }
}

static void assert_list(const struct graph *graph, uint32_t row, uint32_t level)
{
    const uint32_t *links = graph_links_at(graph, row, level);
    bool over = false;
    for (uint32_t i = 0; i < graph_links_max(graph, level); i++) {
        over = over || links[i] == GRAPH_NONE;
        if (over) {
            assert_int_equal(links[i], GRAPH_NONE); /* and only such follow */
            continue;
        }
        assert_true(links[i] < graph->rows);
        assert_int_not_equal(links[i], row);
        assert_true(graph->levels[links[i]] >= level);
    }
}

static uint32_t count_reached(const struct graph *graph)
{
    uint8_t *met = calloc(graph->rows, sizeof(*met));
    uint32_t *stack = calloc(graph->rows, sizeof(*stack));
    uint32_t count = 0, reached = 0;
    assert_non_null(met);
    assert_non_null(stack);
    stack[count++] = graph->entry;
    met[graph->entry] = 1;
    while (count > 0) {
        const uint32_t *links = graph_links_at(graph, stack[--count], 0);
        reached++;
        for (uint32_t i = 0; i < 2 * graph->links && links[i] != GRAPH_NONE; i++)
            if (!met[links[i]]) {
                met[links[i]] = 1;
                stack[count++] = links[i];
            }
    }
    free(met);
    free(stack);
    return reached;
}

static void assert_sound(const struct graph *graph, uint32_t inserted)
{
    uint32_t upper = 0;
    for (uint32_t row = 0; row < graph->rows; row++) {
        assert_int_equal(graph->upper_offsets[row], upper);
        for (uint32_t level = 0; level <= graph->levels[row]; level++)
            assert_list(graph, row, level);
        upper += graph->levels[row];
    }
    assert_int_equal(upper, graph->upper_count);
    assert_int_equal(graph->levels[graph->entry], graph->top);
    assert_int_equal(count_reached(graph), inserted);
}

static void a_graph_is_sound_when_made_and_when_extended(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, CHUNKS, NULL, NULL);
    struct segment *first = build(&field, 1), *larger = NULL;
    assert_sound(&first->graph, ROWS_CHUNK_MAX);
    uint32_t dead = 0;
    for (uint32_t row = ROWS_CHUNK_MAX; row < field_rows(&field); row += 3, dead++)
        field_kill(&field, row);
    assert_int_equal(field_build(&field, &HNSW, first, CHUNKS, &larger), STATUS_OK);
    assert_sound(&larger->graph, field_rows(&field) - dead);
    for (uint32_t row = ROWS_CHUNK_MAX; row < field_rows(&field); row += 3)
        assert_int_equal(*graph_links_at(&larger->graph, row, 0), GRAPH_NONE);
    segment_destroy(&first);
    segment_destroy(&larger);
    field_stop(&field);
}

/* Nothing leads any more to one row in `every`, but for the entry point and a row's only link. */
static void unlink_rows(struct graph *graph, uint32_t every)
{
    for (uint32_t row = 0; row < graph->rows; row++) {
        uint32_t *links = graph->level0 + (size_t)row * 2 * graph->links, kept = 0;
        for (uint32_t i = 0; i < 2 * graph->links && links[i] != GRAPH_NONE; i++)
            if (links[i] % every != 0 || links[i] == graph->entry)
                links[kept++] = links[i];
        for (kept += kept == 0; kept < 2 * graph->links; kept++)
            links[kept] = GRAPH_NONE;
    }
}

/* Whole neighbourhoods lose what leads to them. */
static void rows_that_nothing_leads_to_are_linked_again(void **state)
{
    (void)state;
    static const atomic_bool never = false;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 1, NULL, NULL);
    struct segment *segment = build(&field, 1);
    struct graph *graph = &segment->graph;
    unlink_rows(graph, 7);
    assert_true(count_reached(graph) < ROWS_CHUNK_MAX);
    uint32_t repaired = 0;
    assert_int_equal(graph_repair(graph, &never, &repaired), STATUS_OK);
    assert_true(repaired > 0);
    assert_sound(graph, ROWS_CHUNK_MAX);
    assert_int_equal(graph_repair(graph, &never, &repaired), STATUS_OK);
    assert_int_equal(repaired, 0);
    segment_destroy(&segment);
    field_stop(&field);
}

/* The flag is a byte of the counter: it rises with the 256th row that was linked again. */
static void a_repair_stops_within_256_rows(void **state)
{
    (void)state;
    static const atomic_bool always = true, never = false;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 1, NULL, NULL);
    struct segment *segment = build(&field, 1);
    struct graph *graph = &segment->graph;
    uint32_t repaired = 0;
    unlink_rows(graph, 3);
    assert_int_equal(graph_repair(graph, &always, &repaired), STATUS_CANCELLED);
    assert_int_equal(repaired, 0);
    const atomic_bool *stop = (const atomic_bool *)&repaired + 1;
    assert_int_equal(graph_repair(graph, stop, &repaired), STATUS_CANCELLED);
    assert_in_range(repaired, 256, 512);
    assert_int_equal(graph_repair(graph, &never, &repaired), STATUS_OK);
    assert_in_range(repaired, 256, ROWS_CHUNK_MAX); /* there was more to do */
    assert_sound(graph, ROWS_CHUNK_MAX);
    segment_destroy(&segment);
    field_stop(&field);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static FaissIndex *make_oracle(const struct field *field, uint32_t ef)
{
    FaissIndex *index = NULL;
    FaissParameterSpace *space = NULL;
    assert_int_equal(faiss_index_factory(&index, DIMENSION, "HNSW16", METRIC_INNER_PRODUCT), OK);
    assert_int_equal(faiss_ParameterSpace_new(&space), OK);
    assert_int_equal(faiss_ParameterSpace_set_index_parameter(space, index, "efSearch", ef), OK);
    faiss_ParameterSpace_free(space);
    for (uint32_t i = 0; i < field->chunks_count; i++)
        assert_int_equal(faiss_Index_add(index, ROWS_CHUNK_MAX, field->chunks[i]->units), OK);
    return index;
}

static void the_walk_finds_what_faiss_finds(void **state)
{
    (void)state;
    enum { QUERIES = 500 };
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, CHUNKS, NULL, NULL);
    struct segment *segment = build(&field, CHUNKS);
    struct question question = PLAIN;
    FaissIndex *oracle = make_oracle(&field, PLAIN.ef);
    const double theirs = measure_faiss(&field, oracle, QUERIES);
    const double ours = measure(&field, segment, &question, QUERIES).nearest;
    assert_at_least(theirs, 0.95); /* else the oracle is none */
    assert_at_least(ours, theirs - 0.01);
    faiss_Index_free(oracle);
    segment_destroy(&segment);
    field_stop(&field);
}

static void marks_survive_more_walks_than_they_can_count(void **state)
{
    (void)state;
    enum { WALKS = UINT16_MAX + 10 };
    static struct field field;
    struct candidates first, again;
    field_start(&field, 16, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 1, NULL, NULL);
    struct segment *segment = build(&field, 1);
    struct question question = {.tag = 1, .wanted = 8, .ef = 8};
    uint64_t seed = 3;
    (void)question_near(&field, &seed, &question);
    const uint64_t scanned = question_ask(&question, &field, segment, &first);
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        if (question_ask(&question, &field, segment, &again) != scanned)
            fail_msg("walk %u took another way", walk);
        assert_int_equal(again.count, first.count);
    }
    segment_destroy(&segment);
    field_stop(&field);
}

struct walker {
    struct field *field;
    const struct segment *small, *large;
    double nearest;
};

static void walk_small_then_large(void *argument)
{
    struct walker *walker = argument;
    struct question question = PLAIN;
    (void)measure(walker->field, walker->small, &question, 20);
    walker->nearest = measure(walker->field, walker->large, &question, 100).nearest;
    (void)measure(walker->field, walker->small, &question, 20);
}

/* Its marks are too few at first, and freed when it ends (the leak checker looks). */
static void a_thread_that_meets_a_larger_segment_finds_in_it(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, CHUNKS, NULL, NULL);
    struct segment *small = build(&field, 1), *large = build(&field, CHUNKS);
    struct walker walker = {.field = &field, .small = small, .large = large};
    struct thread *thread = NULL;
    assert_int_equal(thread_create(THREAD_OTHER, "walk", walk_small_then_large, &walker, &thread),
                     STATUS_OK);
    thread_join(&thread);
    assert_at_least(walker.nearest, 0.98);
    segment_destroy(&small);
    segment_destroy(&large);
    field_stop(&field);
}

static void a_wider_walk_finds_more(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, CHUNKS, NULL, NULL);
    struct segment *segment = build(&field, CHUNKS);
    struct question question = PLAIN;
    struct recall narrow, wide;
    question.ef = 8;
    narrow = measure(&field, segment, &question, 200);
    question.ef = GRAPH_EF_MAX;
    wide = measure(&field, segment, &question, 200);
    assert_true(wide.all > narrow.all);
    assert_true(wide.scanned > 2 * narrow.scanned);
    assert_at_least(wide.all, 0.999);
    segment_destroy(&segment);
    field_stop(&field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_thin_out_by_the_number_of_links),
        cmocka_unit_test(a_graph_is_sound_when_made_and_when_extended),
        cmocka_unit_test(rows_that_nothing_leads_to_are_linked_again),
        cmocka_unit_test(a_repair_stops_within_256_rows),
        cmocka_unit_test(the_walk_finds_what_faiss_finds),
        cmocka_unit_test(marks_survive_more_walks_than_they_can_count),
        cmocka_unit_test(a_thread_that_meets_a_larger_segment_finds_in_it),
        cmocka_unit_test(a_wider_walk_finds_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
