/*
 * Goal: whatever allocation fails while a partition's work is done, a build, an extension, a merge,
 * a rewrite, segments dissolved or read back, the work says NO_MEMORY, the rows are found as
 * before, nothing stays charged, and the work succeeds once there is memory. Method: the linker
 * leads this program's malloc, calloc, aligned_alloc, mmap and operator new, that is ours and
 * libfaiss's, through counters here (--wrap, tests/CMakeLists.txt), so that sanitizers see every
 * block all the same. The k-th call fails, or all from it on, for growing k until the work is done.
 */
#include "tests/unit/index/directory_support.h"
#include "tests/unit/index/snapshot_support.h"

#include <sys/mman.h>

#include "index/directory_inside.h"
#include "index/job.h"

enum { DIMENSION = 16, ROWS_MAX = 4 * 4096 };

static float units[ROWS_MAX][DIMENSION];

static int draw_units(void **state)
{
    uint64_t seed = 41;
    for (uint32_t row = 0; row < ROWS_MAX; row++)
        chance_unit(&seed, DIMENSION, units[row]);
    return register_thread(state);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* k-means of this FAISS takes one buffer of this size inside an OpenMP region, where an exception
 * ends the process (ivf_train.c): let through. */
enum { REGION_BYTES = DIMENSION * sizeof(float) };

static bool is_counting;
static bool recovers; /* only the k-th call fails, not those after it */
static uint64_t calls, fatal;

static bool allow(size_t size_bytes)
{
    if (!is_counting || size_bytes == REGION_BYTES)
        return true;
    calls++;
    return recovers ? calls != fatal : calls < fatal;
}

void *__real_malloc(size_t size_bytes);
void *__wrap_malloc(size_t size_bytes);
void *__real_calloc(size_t count, size_t size_bytes);
void *__wrap_calloc(size_t count, size_t size_bytes);
void *__real_aligned_alloc(size_t alignment, size_t size_bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t size_bytes);
void *__real_mmap(void *at, size_t size_bytes, int access, int flags, int file, off_t offset);
void *__wrap_mmap(void *at, size_t size_bytes, int access, int flags, int file, off_t offset);
void *__real__Znwm(size_t size_bytes); /* operator new */
void *__wrap__Znwm(size_t size_bytes);
void _ZSt17__throw_bad_allocv(void); /* std::__throw_bad_alloc() */

void *__wrap_malloc(size_t size_bytes)
{
    return allow(size_bytes) ? __real_malloc(size_bytes) : NULL;
}

void *__wrap_calloc(size_t count, size_t size_bytes)
{
    return allow(count * size_bytes) ? __real_calloc(count, size_bytes) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size_bytes)
{
    return allow(size_bytes) ? __real_aligned_alloc(alignment, size_bytes) : NULL;
}

void *__wrap_mmap(void *at, size_t size_bytes, int access, int flags, int file, off_t offset)
{
    return allow(size_bytes) ? __real_mmap(at, size_bytes, access, flags, file, offset)
                             : MAP_FAILED;
}

void *__wrap__Znwm(size_t size_bytes)
{
    if (!allow(size_bytes))
        _ZSt17__throw_bad_allocv();
    return __real__Znwm(size_bytes);
}

static void fail_at(uint64_t k, bool once)
{
    calls = 0;
    fatal = k;
    recovers = once;
    is_counting = true;
}

/* True if the k-th call came. */
static bool fail_no_more(void)
{
    is_counting = false;
    return calls >= fatal;
}

/* Each of the first, which are ours; then ever fewer of the many that are FAISS's. */
static uint64_t next_k(uint64_t k)
{
    return k < 24 ? k + 1 : k + k / 2;
}

/* ---- a partition ----------------------------------------------------------------------------- */

static struct stand stand_of(enum index_kind kind, uint32_t segment_rows_max)
{
    struct index_settings settings;
    index_settings_read(NULL, &settings);
    settings.kind = kind;
    settings.seal_rows = 4096;
    settings.segment_rows_max = segment_rows_max;
    settings.ef_construction = 40;
    settings.memory_bytes = 256 << 20;
    return make_stand_with(&settings, NULL);
}

static void insert(struct stand *stand, uint32_t first, uint32_t end)
{
    const struct partition_key key = key_of(1);
    for (uint32_t row = first; row < end; row++) {
        const struct index_row made = row_of(row, 1 + row, units[row]);
        assert_int_equal(directory_insert(stand->directory, &key, DIMENSION, &made), STATUS_OK);
    }
}

static void remove_every(struct stand *stand, uint32_t step, uint32_t end)
{
    const struct partition_key key = key_of(1);
    for (uint32_t row = 0; row < end; row += step) {
        const struct digest id = id_of(row);
        (void)directory_remove(stand->directory, &key, &id, UINT64_MAX);
    }
}

static struct partition *partition_of(struct stand *stand)
{
    const struct partition_key key = key_of(1);
    epoch_enter(stand->epochs);
    struct partition *partition = directory_find(stand->directory, &key);
    epoch_leave(stand->epochs); /* nobody else is there who could retire it */
    assert_non_null(partition);
    return partition;
}

/* Of some rows, how many are found as their own nearest. */
static uint32_t count_found(struct stand *stand, uint32_t end)
{
    const struct partition_key key = key_of(1);
    uint32_t found = 0;
    for (uint32_t row = 1; row < end; row += 97) {
        struct search search = {
            .unit = units[row], .dimension = DIMENSION, .tag = 1, .hits_max = 1};
        (void)search_scope(stand, &key, &search);
        found += search.hits_count == 1 && search.hits[0].sequence == 1 + row;
    }
    return found;
}

/* What a builder does with one partition, with its status. */
static enum status work_once(struct stand *stand, enum plan_kind *out_kind)
{
    static const atomic_bool never = false;
    const struct plan_setup setup = {.has_graph_room = true};
    struct partition *partition = partition_of(stand);
    struct garbage garbage = {0};
    struct plan plan = {0};
    lock_acquire(&partition->lock);
    enum status status = plan_make(partition, &setup, &plan);
    *out_kind = plan.kind;
    if (status == STATUS_OK && plan.kind == PLAN_DISSOLVE)
        status = extend_dissolve(partition, plan.segments_dropped, &garbage);
    lock_release(&partition->lock);
    garbage_retire(&garbage, stand->epochs);
    if (status != STATUS_OK || (plan.kind != PLAN_BUILD && plan.kind != PLAN_REWRITE))
        return status;
    const struct job job = {.partition = partition, .epochs = stand->epochs, .stop = &never};
    status = plan.kind == PLAN_BUILD ? extend_run(&job, &plan) : rewrite_run(&job, &plan);
    lock_acquire(&partition->lock);
    plan_end(partition, &plan);
    lock_release(&partition->lock);
    return status;
}

static void collect(struct stand *stand)
{
    while (epoch_collect(stand->epochs) > 0)
        continue;
}

struct figures {
    uint64_t size_bytes, graph_rows, segments, dead_rows, found; /* alike: without a gap between */
};

static struct figures figures_of(struct stand *stand, uint32_t rows)
{
    collect(stand);
    const struct directory_stats stats = stats_of(stand);
    return (struct figures){stats.size_bytes, stats.graph_rows, stats.segments, stats.dead_rows,
                            count_found(stand, rows)};
}

/* One try with the k-th call failing. A refusal changes nothing. True: the work is done. */
static bool try_with(struct stand *stand, uint32_t rows, enum plan_kind kind, uint64_t k, bool once,
                     uint32_t *refused)
{
    enum plan_kind planned = PLAN_NOTHING;
    const struct figures before = figures_of(stand, rows);
    fail_at(k, once);
    const enum status status = work_once(stand, &planned);
    const bool has_failed = fail_no_more();
    if (status == STATUS_OK) {
        assert_int_equal(planned, kind);
        return true;
    }
    assert_int_equal(status, STATUS_NO_MEMORY);
    assert_true(has_failed);
    const struct figures after = figures_of(stand, rows);
    assert_memory_equal(&after, &before, sizeof(after));
    ++*refused;
    return false;
}

/* Until it is done; whatever failed on the way. */
static void work_through(struct stand *stand, uint32_t rows, enum plan_kind kind,
                         uint32_t refused_min)
{
    uint32_t refused = 0;
    bool is_done = false;
    for (uint64_t k = 1; !is_done; k = next_k(k))
        is_done = try_with(stand, rows, kind, k, true, &refused) ||
                  try_with(stand, rows, kind, k, false, &refused);
    assert_true(refused >= refused_min);
}

static const enum index_kind KINDS[] = {INDEX_HNSW, INDEX_IVF};

static void builds_extensions_and_merges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        struct stand stand = stand_of(KINDS[i], 8192);
        struct index_settings *settings = &stand.directory->common.settings;
        insert(&stand, 0, 4096);
        work_through(&stand, 4096, PLAN_BUILD, 12);
        assert_int_equal(stats_of(&stand).graph_rows, 4096);
        insert(&stand, 4096, 8192);
        work_through(&stand, 8192, PLAN_BUILD, 12);
        assert_int_equal(stats_of(&stand).graph_rows, 8192);
        assert_int_equal(stats_of(&stand).segments, 1);
        insert(&stand, 8192, 12288);
        work_through(&stand, 12288, PLAN_BUILD, 12);
        assert_int_equal(stats_of(&stand).segments, 2);
        settings->segment_rows_max = 65536;
        work_through(&stand, 12288, PLAN_BUILD, 12); /* two become one */
        assert_int_equal(stats_of(&stand).segments, 1);
        assert_int_equal(stats_of(&stand).graph_rows, 12288);
        drop_stand(&stand);
    }
}

static void segments_are_dissolved(void **state)
{
    (void)state;
    struct stand stand = stand_of(INDEX_HNSW, 65536);
    const struct index_choice flat = {.is_kind_set = true, .kind = INDEX_FLAT};
    const struct partition_key key = key_of(1);
    enum plan_kind planned = PLAN_NOTHING;
    insert(&stand, 0, 4096);
    assert_int_equal(work_once(&stand, &planned), STATUS_OK);
    assert_int_equal(stats_of(&stand).graph_rows, 4096);
    assert_int_equal(directory_set_kind(stand.directory, &key, &flat), STATUS_OK);
    work_through(&stand, 4096, PLAN_DISSOLVE, 1);
    assert_int_equal(stats_of(&stand).graph_rows, 0);
    drop_stand(&stand);
}

/* A segment's rows, of which a third are dead. */
static struct stand stand_with_dead_rows(enum index_kind kind)
{
    enum plan_kind planned = PLAN_NOTHING;
    struct stand stand = stand_of(kind, 65536);
    insert(&stand, 0, 8192);
    assert_int_equal(work_once(&stand, &planned), STATUS_OK);
    assert_int_equal(stats_of(&stand).graph_rows, 8192);
    remove_every(&stand, 3, 8192);
    return stand;
}

/* Without memory for the structure the copies are scanned: then it was a rewrite all the same, and
 * the next try needs dead rows again. */
static void rewrites(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        uint32_t refused = 0, flat = 0;
        uint64_t k = 1;
        for (bool is_done = false; !is_done;) {
            struct stand stand = stand_with_dead_rows(KINDS[i]);
            const uint32_t living = count_found(&stand, 8192);
            while (!try_with(&stand, 8192, PLAN_REWRITE, k, k % 2 == 0, &refused))
                k = next_k(k);
            const struct directory_stats stats = stats_of(&stand);
            assert_int_equal(stats.rows, 8192 - (8192 + 2) / 3);
            assert_true(stats.dead_rows < 1000);
            assert_true(count_found(&stand, 8192) + 2 >= living);
            is_done = stats.graph_rows > 0;
            flat += !is_done;
            k = next_k(k);
            drop_stand(&stand);
        }
        assert_true(refused >= 4);
        assert_true(flat >= 4);
    }
}

/* ---- over a restart -------------------------------------------------------------------------- */

enum step { STEP_BEGIN, STEP_ROWS, STEP_END, STEPS };

static void insert_again(struct stand *stand, uint32_t row)
{
    const struct partition_key key = key_of(1);
    const struct index_row made = row_of(row, 1 + row, units[row]);
    enum status status = directory_insert(stand->directory, &key, DIMENSION, &made);
    if (status == STATUS_NO_MEMORY) { /* its caller says so; here it comes again */
        (void)fail_no_more();
        status = directory_insert(stand->directory, &key, DIMENSION, &made);
    }
    assert_int_equal(status, STATUS_OK);
}

/* One start, with the k-th call of one of its steps failing. True: that call never came. */
static bool start_with(struct bytes *bytes, enum index_kind kind, enum step step, uint64_t k,
                       bool once, uint64_t *graph_rows)
{
    struct stand stand = stand_of(kind, 65536);
    struct directory_restored restored = {0};
    const struct snapshot_source source = bytes_source(bytes);
    fail_at(step == STEP_BEGIN ? k : UINT64_MAX, once);
    const enum status begun = directory_restore_begin(stand.directory, &source);
    bool has_failed = fail_no_more();
    assert_true(begun == STATUS_OK || (begun == STATUS_NO_MEMORY && has_failed));
    fail_at(step == STEP_ROWS ? k : UINT64_MAX, once);
    for (uint32_t row = 0; row < 4104; row++)
        insert_again(&stand, row);
    has_failed |= calls >= fatal;
    (void)fail_no_more();
    fail_at(step == STEP_END ? k : UINT64_MAX, once);
    if (begun == STATUS_OK)
        directory_restore_end(stand.directory, &restored);
    has_failed |= fail_no_more();
    collect(&stand);
    const struct directory_stats stats = stats_of(&stand);
    assert_int_equal(stats.rows, 4104);
    assert_int_equal(stats.builds, 0);
    assert_true(count_found(&stand, 4104) >= 41); /* of 43 */
    *graph_rows = stats.graph_rows;
    (void)build_all(&stand);
    assert_int_equal(stats_of(&stand).graph_rows, 4096);
    drop_stand(&stand);
    return !has_failed;
}

static void segments_that_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        struct stand stand = stand_of(KINDS[i], 65536);
        struct bytes bytes = {0};
        const struct snapshot_sink sink = bytes_sink(&bytes);
        uint64_t segments = 0, graph_rows = 0;
        insert(&stand, 0, 4096);
        (void)build_all(&stand);
        assert_int_equal(directory_write_segments(stand.directory, &sink, &segments), STATUS_OK);
        assert_int_equal(segments, 1);
        drop_stand(&stand);
        for (enum step step = 0; step < STEPS; step++) {
            uint32_t lost = 0;
            bool is_done = false;
            for (uint64_t k = 1; !is_done; k++) {
                is_done = start_with(&bytes, KINDS[i], step, k, k % 2 == 0, &graph_rows);
                lost += graph_rows == 0;
            }
            assert_int_equal(graph_rows, 4096);
            assert_true(lost > 0);
        }
        bytes_free(&bytes);
    }
}

/* What is written needs memory too; without it there is no file, and nothing else. */
static void segments_that_are_written(void **state)
{
    (void)state;
    struct stand stand = stand_of(INDEX_HNSW, 65536);
    insert(&stand, 0, 4096);
    (void)build_all(&stand);
    const struct figures before = figures_of(&stand, 4096);
    enum status status = STATUS_NO_MEMORY;
    for (uint64_t k = 1; status != STATUS_OK; k++) {
        struct bytes bytes = {0};
        const struct snapshot_sink sink = bytes_sink(&bytes);
        uint64_t segments = 0;
        bytes.all = malloc(4 << 20); /* the test's own buffer grows no more */
        assert_non_null(bytes.all);
        bytes.max = 4 << 20;
        fail_at(k, false);
        status = directory_write_segments(stand.directory, &sink, &segments);
        const bool has_failed = fail_no_more();
        assert_true(status == STATUS_OK || (status == STATUS_NO_MEMORY && has_failed));
        assert_true(k > 3 || status != STATUS_OK);
        const struct figures after = figures_of(&stand, 4096);
        assert_memory_equal(&after, &before, sizeof(after));
        bytes_free(&bytes);
    }
    drop_stand(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_extensions_and_merges),
        cmocka_unit_test(segments_are_dissolved),
        cmocka_unit_test(rewrites),
        cmocka_unit_test(segments_that_come_back),
        cmocka_unit_test(segments_that_are_written),
    };
    return cmocka_run_group_tests(tests, draw_units, unregister_thread);
}
