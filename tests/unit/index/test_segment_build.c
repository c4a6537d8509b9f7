/*
 * Goal: a build that cannot be finished leaves nothing behind, whatever was missing; it stops when
 * it should; while it runs, others search and rows die.
 * Method: budgets that grow until a build fits; each allocation of the C++ side fails in turn; a
 * stop flag set by the build's own progress; threads beside a builder. No sleeping.
 */
#include "tests/unit/index/segment_support.h"

#include <sched.h>

enum { DIMENSION = 32, TOPICS = 200, EXTENSION_CHUNKS = 2 };

static const struct question PLAIN = {.tag = 1, .wanted = 8, .ef = 32, .nprobe = 8};
static const struct segment_options *const KINDS[] = {&HNSW, &IVF};

/* ---- memory of C++ --------------------------------------------------------------------------- */

/* Operator new of the whole program: libfaiss and the shim come here. */
static _Thread_local int64_t allocations_left = INT64_MAX;
/* k-means of this FAISS takes one buffer of this size inside an OpenMP region, where an exception
 * ends the process (ivf_train.c): let through. */
enum { REGION_BYTES = DIMENSION * sizeof(float) };
void _ZSt17__throw_bad_allocv(void); /* std::__throw_bad_alloc() */
void *_Znwm(size_t size_bytes);

void *_Znwm(size_t size_bytes)
{
    if (size_bytes != REGION_BYTES)
        allocations_left--;
    void *block = allocations_left >= 0 ? malloc(size_bytes > 0 ? size_bytes : 1) : NULL;
    if (block == NULL)
        _ZSt17__throw_bad_allocv();
    return block;
}

/* ---- BLAS ------------------------------------------------------------------------------------ */

/* What libfaiss would call: OpenBLAS wants one caller at a time (decision 0004), and a build must
 * not hold a lock for seconds. */
static atomic_int blas_calls;
void sgemm_(void);

void sgemm_(void)
{
    atomic_fetch_add(&blas_calls, 1);
}

static void no_build_calls_blas(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 4, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct segment *segment = NULL;
        assert_int_equal(field_build(&field, KINDS[i], NULL, 4, &segment), STATUS_OK);
        segment_destroy(&segment);
    }
    assert_int_equal(atomic_load(&blas_calls), 0);
    FaissIndex *index = NULL; /* while FAISS's own training does */
    assert_int_equal(faiss_index_factory(&index, DIMENSION, "IVF16,Flat", METRIC_INNER_PRODUCT),
                     OK);
    (void)faiss_Index_train(index, ROWS_CHUNK_MAX, field.chunks[0]->units);
    assert_true(atomic_load(&blas_calls) > 0);
    faiss_Index_free(index);
    field_stop(&field);
}

/* ---- memory of C++, one by one --------------------------------------------------------------- */

static void each_allocation_of_faiss_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
        field_add(&field, 1, NULL, NULL);
        struct segment *segment = NULL;
        int64_t failed = 0;
        enum status status = STATUS_NO_MEMORY;
        for (int64_t allowed = 0; status != STATUS_OK; allowed += allowed < 40 ? 1 : allowed / 4) {
            allocations_left = allowed;
            status = field_build(&field, KINDS[i], NULL, 1, &segment);
            allocations_left = INT64_MAX;
            if (status == STATUS_OK)
                break;
            assert_int_equal(status, STATUS_NO_MEMORY);
            assert_null(segment);
            assert_int_equal(memory_used(field.memory), field.used_by_rows);
            failed++;
        }
        assert_true(failed >= 5);
        assert_at_least(measure(&field, segment, &PLAIN, 100).nearest, 0.98);
        segment_destroy(&segment);
        field_stop(&field);
    }
}

/* ---- the budget ------------------------------------------------------------------------------ */

/* Rows fit; on top of them there are `spare` bytes. */
static void start_with_spare(struct field *field, uint64_t spare)
{
    field_start(field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(field, EXTENSION_CHUNKS, NULL, NULL);
    const uint64_t wanted = field->used_by_rows + spare;
    field_stop(field);
    field_start(field, DIMENSION, TOPICS, wanted + wanted / 15 + 16); /* a sixteenth is kept */
    field_add(field, EXTENSION_CHUNKS, NULL, NULL);
}

static enum status build_twice(struct field *field, const struct segment_options *options,
                               struct segment **out_segment)
{
    struct segment *first = NULL;
    enum status status = field_build(field, options, NULL, 1, &first);
    if (status == STATUS_OK)
        status = field_build(field, options, first, EXTENSION_CHUNKS, out_segment);
    segment_destroy(&first);
    return status;
}

static void a_build_fits_its_budget_or_leaves_nothing_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint32_t refused = 0;
        enum status status = STATUS_NO_MEMORY;
        for (uint64_t spare = 64; status != STATUS_OK; spare += spare / 3) {
            static struct field field;
            struct segment *segment = NULL;
            start_with_spare(&field, spare);
            status = build_twice(&field, KINDS[i], &segment);
            refused += status == STATUS_NO_MEMORY;
            assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
            assert_true(status != STATUS_OK || segment != NULL);
            segment_destroy(&segment);
            field_stop(&field);
        }
        assert_true(refused > 10);
    }
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* The flag is a byte of what tells how far the build is: it rises with the 256th row. */
static void a_build_stops_within_256_rows(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 29);
    field_add(&field, 8, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        _Atomic uint32_t rows_done = 0;
        struct segment *segment = NULL;
        const struct segment_build build = {.memory = field.memory,
                                            .options = KINDS[i],
                                            .chunks = field.chunks,
                                            .chunks_count = field.chunks_count,
                                            .stop = (const atomic_bool *)&rows_done + 1,
                                            .rows_done = &rows_done};
        assert_int_equal(segment_build(&build, &segment), STATUS_CANCELLED);
        assert_in_range(atomic_load(&rows_done), 256, 512);
        assert_null(segment);
        assert_int_equal(memory_used(field.memory), field.used_by_rows);
    }
    field_stop(&field);
}

/* What the builder tells, looked at all the time. */
struct follower {
    _Atomic uint32_t rows_done;
    atomic_bool over;
    uint32_t steps, back;
};

static void follow(void *argument)
{
    struct follower *follower = argument;
    uint32_t before = 0;
    while (!atomic_load(&follower->over)) {
        const uint32_t now = atomic_load(&follower->rows_done);
        follower->steps += now > before;
        follower->back += now < before;
        before = now;
    }
}

static void progress_goes_from_the_first_row_to_the_last(void **state)
{
    (void)state;
    static const atomic_bool never = false;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 29);
    field_add(&field, 8, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct follower follower = {0};
        struct thread *thread = NULL;
        struct segment *segment = NULL;
        const struct segment_build build = {.memory = field.memory,
                                            .options = KINDS[i],
                                            .chunks = field.chunks,
                                            .chunks_count = field.chunks_count,
                                            .stop = &never,
                                            .rows_done = &follower.rows_done};
        assert_int_equal(thread_create(THREAD_OTHER, "follow", follow, &follower, &thread),
                         STATUS_OK);
        assert_int_equal(segment_build(&build, &segment), STATUS_OK);
        atomic_store(&follower.over, true);
        thread_join(&thread);
        assert_true(follower.steps >= 5);
        assert_int_equal(follower.back, 0);
        assert_in_range(atomic_load(&follower.rows_done), field_rows(&field) / 10 * 9,
                        field_rows(&field));
        segment_destroy(&segment);
    }
    field_stop(&field);
}

static void a_stop_that_is_there_before_is_seen_at_once(void **state)
{
    (void)state;
    static struct field field;
    field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(&field, 1, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        const atomic_bool stop = true;
        _Atomic uint32_t rows_done = 0;
        struct segment *segment = NULL;
        const struct segment_build build = {.memory = field.memory,
                                            .options = KINDS[i],
                                            .chunks = field.chunks,
                                            .chunks_count = 1,
                                            .stop = &stop,
                                            .rows_done = &rows_done};
        assert_int_equal(segment_build(&build, &segment), STATUS_CANCELLED);
        assert_int_equal(atomic_load(&rows_done), 0);
    }
    field_stop(&field);
}

/* ---- beside each other ----------------------------------------------------------------------- */

enum { SEARCHERS = 2, STEPS = 4 };

struct stage {
    struct field *field;
    _Atomic(struct segment *) shown;
    atomic_bool over;
    _Atomic uint32_t asked;
    uint32_t asked_min; /* before it is over */
    const struct segment_options *options;
    struct segment *all[STEPS]; /* freed at the end: no epoch in this test */
};

static void build_in_steps(void *argument)
{
    struct stage *stage = argument;
    faiss_c_single_thread();
    for (uint32_t step = 0; step < STEPS; step++) {
        struct segment *base = step > 0 ? stage->all[step - 1] : NULL;
        if (field_build(stage->field, stage->options, base, step + 1, &stage->all[step]) !=
            STATUS_OK)
            break;
        atomic_store_explicit(&stage->shown, stage->all[step], memory_order_release);
    }
    while (stage->shown != NULL && atomic_load(&stage->asked) < stage->asked_min)
        (void)sched_yield();
    atomic_store(&stage->over, true);
}

struct searcher {
    struct stage *stage;
    uint64_t seed;
    uint32_t asked, found;
};

/* The row near which was asked is among the candidates, or its chunk was not built in yet, or it
 * has died. */
static void search_meanwhile(void *argument)
{
    struct searcher *searcher = argument;
    struct stage *stage = searcher->stage;
    struct question question = PLAIN;
    struct candidates candidates;
    while (!atomic_load(&stage->over)) {
        const struct segment *segment = atomic_load_explicit(&stage->shown, memory_order_acquire);
        const uint32_t row = question_near(stage->field, &searcher->seed, &question);
        if (segment == NULL || row >= segment_rows(segment) || row % 2 == 0)
            continue;
        (void)question_ask(&question, stage->field, segment, &candidates);
        searcher->asked++;
        atomic_fetch_add(&stage->asked, 1);
        for (uint32_t i = 0; i < candidates.count; i++)
            searcher->found += candidates.items[i].chunk == field_chunk(stage->field, row) &&
                               candidates.items[i].row == row % ROWS_CHUNK_MAX;
    }
}

static void builds_searches_and_deaths_go_beside_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct thread *threads[SEARCHERS + 1];
        struct searcher searchers[SEARCHERS];
        field_start(&field, DIMENSION, TOPICS, UINT64_C(1) << 29);
        field_add(&field, STEPS, NULL, NULL);
        struct stage stage = {.field = &field, .options = KINDS[i], .asked_min = 200};
        for (uint32_t s = 0; s < SEARCHERS; s++) {
            searchers[s] = (struct searcher){.stage = &stage, .seed = s + 1};
            assert_int_equal(
                thread_create(THREAD_OTHER, "search", search_meanwhile, &searchers[s], &threads[s]),
                STATUS_OK);
        }
        assert_int_equal(
            thread_create(THREAD_OTHER, "build", build_in_steps, &stage, &threads[SEARCHERS]),
            STATUS_OK);
        for (uint32_t row = 0; row < field_rows(&field); row += 8)
            field_kill(&field, row);
        uint32_t asked = 0, found = 0;
        for (uint32_t t = 0; t <= SEARCHERS; t++)
            thread_join(&threads[t]);
        for (uint32_t s = 0; s < SEARCHERS; s++) {
            asked += searchers[s].asked;
            found += searchers[s].found;
        }
        assert_true(asked >= stage.asked_min);
        assert_true(found >= asked * 0.9);
        assert_non_null(stage.all[STEPS - 1]);
        for (uint32_t step = 0; step < STEPS; step++)
            segment_destroy(&stage.all[step]);
        field_stop(&field);
    }
}

/* Builds of two partitions at once: FAISS has one unnamed critical section for all graphs. */
static void two_builds_go_beside_each_other(void **state)
{
    (void)state;
    static struct field fields[2];
    struct stage stages[2] = {{.field = &fields[0], .options = &HNSW},
                              {.field = &fields[1], .options = &HNSW}};
    struct thread *threads[2];
    for (size_t i = 0; i < 2; i++) {
        field_start(&fields[i], DIMENSION, TOPICS, UINT64_C(1) << 29);
        field_add(&fields[i], STEPS, NULL, NULL);
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            thread_create(THREAD_OTHER, "build", build_in_steps, &stages[i], &threads[i]),
            STATUS_OK);
    for (size_t i = 0; i < 2; i++)
        thread_join(&threads[i]);
    for (size_t i = 0; i < 2; i++) {
        const struct segment *last = stages[i].all[STEPS - 1];
        assert_non_null(last);
        assert_at_least(measure(&fields[i], last, &PLAIN, 100).nearest, 0.98);
        for (uint32_t step = 0; step < STEPS; step++)
            segment_destroy(&stages[i].all[step]);
        field_stop(&fields[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_build_calls_blas),
        cmocka_unit_test(each_allocation_of_faiss_may_fail),
        cmocka_unit_test(a_build_fits_its_budget_or_leaves_nothing_behind),
        cmocka_unit_test(a_build_stops_within_256_rows),
        cmocka_unit_test(progress_goes_from_the_first_row_to_the_last),
        cmocka_unit_test(a_stop_that_is_there_before_is_seen_at_once),
        cmocka_unit_test(builds_searches_and_deaths_go_beside_each_other),
        cmocka_unit_test(two_builds_go_beside_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
