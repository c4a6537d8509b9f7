/*
 * Goal: builders work beside writers and searches, serve who has asked, watch recall, and stop when
 * told.
 * Method: real threads on a few scopes (for tsan and asan), with kinds changing and scopes being
 * emptied under the builders; and builder_step by hand where order matters.
 */
#include "tests/unit/index/directory_support.h"

#include "base/clock.h"
#include "index/partition_inside.h"
#include "index/recall.h"

enum { DIMENSION = 16 };

static bool is_found(struct stand *stand, const struct partition_key *key, const float *unit,
                     uint64_t sequence)
{
    struct search search = {.unit = unit, .dimension = DIMENSION, .tag = 1, .hits_max = 1};
    (void)search_scope(stand, key, &search);
    return search.hits_count == 1 && search.hits[0].sequence == sequence;
}

static struct stand stand_of_kind(enum index_kind kind)
{
    struct index_settings settings;
    index_settings_read(NULL, &settings);
    settings.kind = kind;
    settings.builders = 2;
    settings.memory_bytes = 512 << 20;
    return make_stand_with(&settings, clock_monotonic_us);
}

static void fill(struct stand *stand, uint64_t scope, uint32_t rows)
{
    float unit[DIMENSION];
    uint64_t seed = 100 + scope;
    const struct partition_key key = key_of(scope);
    for (uint32_t i = 0; i < rows; i++) {
        chance_unit(&seed, DIMENSION, unit);
        const struct index_row row = row_of(i, 1 + i, unit);
        assert_int_equal(directory_insert(stand->directory, &key, DIMENSION, &row), STATUS_OK);
    }
}

static void remove_rows(struct stand *stand, uint64_t scope, uint32_t first, uint32_t end)
{
    const struct partition_key key = key_of(scope);
    for (uint32_t i = first; i < end; i++) {
        const struct digest id = id_of(i);
        assert_int_equal(directory_remove(stand->directory, &key, &id, UINT64_MAX), 1);
    }
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void idle_scopes_cost_no_step(void **state)
{
    (void)state;
    struct stand stand = stand_of_kind(INDEX_HNSW);
    for (uint64_t scope = 0; scope < 500; scope++)
        fill(&stand, scope, 3);
    assert_int_equal(build_all(&stand), 0);
    fill(&stand, 1000, 5000);
    assert_int_equal(build_all(&stand), 2); /* the build, and a look whether that was all */
    assert_int_equal(stats_of(&stand).graph_rows, 4096);
    assert_int_equal(stats_of(&stand).builds, 1);
    drop_stand(&stand);
}

static void a_choice_at_the_first_row_holds(void **state)
{
    (void)state;
    struct stand stand = stand_of_kind(INDEX_FLAT);
    const struct index_choice choice = {.is_kind_set = true, .kind = INDEX_IVF};
    const struct partition_key key = key_of(1);
    float unit[DIMENSION];
    uint64_t seed = 3;
    for (uint32_t i = 0; i < 5000; i++) {
        chance_unit(&seed, DIMENSION, unit);
        struct index_row row = row_of(i, 1 + i, unit);
        row.choice = i == 0 ? &choice : NULL;
        assert_int_equal(directory_insert(stand.directory, &key, DIMENSION, &row), STATUS_OK);
    }
    (void)build_all(&stand);
    assert_int_equal(stats_of(&stand).segments, 1);
    assert_int_equal(directory_set_kind(stand.directory, &key, NULL), STATUS_OK);
    (void)build_all(&stand); /* back to the option, which is flat */
    assert_int_equal(stats_of(&stand).segments, 0);
    const struct partition_key nowhere = key_of(2);
    assert_int_equal(directory_set_kind(stand.directory, &nowhere, NULL), STATUS_NOT_FOUND);
    drop_stand(&stand);
}

static void one_search_of_ten_thousand_is_repeated(void **state)
{
    (void)state;
    struct stand stand = stand_of_kind(INDEX_HNSW);
    const struct partition_key key = key_of(1);
    float unit[DIMENSION];
    uint64_t seed = 9;
    fill(&stand, 1, 6000);
    (void)build_all(&stand);
    for (uint32_t i = 0; i < RECALL_SHARE * 3; i++) {
        chance_unit(&seed, DIMENSION, unit);
        struct search search = {.unit = unit, .dimension = DIMENSION, .tag = 1, .hits_max = 10};
        (void)search_scope(&stand, &key, &search);
    }
    assert_int_equal(stats_of(&stand).recall_wanted, 0);
    remove_rows(&stand, 1, 0, 100);
    assert_true(build_all(&stand) >= 3);
    const struct directory_stats stats = stats_of(&stand);
    assert_true(stats.recall_wanted >= 20);
    assert_true(stats.recall_wanted <= 30);
    assert_true(stats.recall_found * 10 >= stats.recall_wanted * 9);
    drop_stand(&stand);
}

static void flat_scopes_are_not_sampled(void **state)
{
    (void)state;
    struct stand stand = stand_of_kind(INDEX_FLAT);
    const struct partition_key key = key_of(1);
    float unit[DIMENSION] = {1};
    fill(&stand, 1, 20);
    for (uint32_t i = 0; i < RECALL_SHARE; i++)
        (void)is_found(&stand, &key, unit, 1);
    assert_int_equal(build_all(&stand), 0);
    drop_stand(&stand);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void wait_for_segments(struct stand *stand, uint64_t segments)
{
    while (stats_of(stand).segments != segments)
        (void)epoch_collect(stand->epochs);
}

static void builders_serve_and_stop_and_start_again(void **state)
{
    (void)state;
    struct stand stand = stand_of_kind(INDEX_HNSW);
    fill(&stand, 1, 5000);
    assert_int_equal(directory_builder_start(stand.directory), STATUS_OK);
    wait_for_segments(&stand, 1);
    fill(&stand, 2, 5000);
    wait_for_segments(&stand, 2);
    directory_builder_stop(stand.directory);
    directory_builder_stop(stand.directory);
    fill(&stand, 3, 5000);
    assert_int_equal(stats_of(&stand).segments, 2);
    assert_int_equal(directory_builder_start(stand.directory), STATUS_OK);
    wait_for_segments(&stand, 3);
    drop_stand(&stand); /* stops them */
}

struct look {
    struct partition_stats stats;
};

static void keep_look(void *context, const struct partition_stats *stats)
{
    ((struct look *)context)->stats = *stats;
}

static struct partition_stats look_at(struct stand *stand)
{
    struct look look = {0};
    assert_int_equal(directory_each_stats(stand->directory, keep_look, &look), STATUS_OK);
    return look.stats;
}

/* The stop flag is a byte of what tells how far the build is: it rises with the 256th row. */
static void a_build_is_left_in_the_middle(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct stand stand = stand_of_kind(INDEX_HNSW);
    const struct partition_key key = key_of(1);
    fill(&stand, 1, MANY);
    epoch_enter(stand.epochs);
    struct partition *partition = directory_find(stand.directory, &key);
    epoch_leave(stand.epochs); /* nobody retires it */
    const uint64_t used = stats_of(&stand).size_bytes;
    faiss_c_single_thread();
    assert_true(builder_step(stand.directory, (atomic_bool *)&partition->work_rows_done + 1));
    const struct partition_stats left = look_at(&stand);
    assert_in_range(left.work_rows_done, 256, 512);
    assert_int_equal(left.state, PARTITION_WAITS); /* it has asked again */
    assert_int_equal(left.flat_rows, MANY);
    assert_int_equal(stats_of(&stand).size_bytes, used);
    (void)build_all(&stand);
    assert_int_equal(look_at(&stand).state, PARTITION_RESTS);
    assert_true(stats_of(&stand).graph_rows > 0);
    drop_stand(&stand);
}

/* Whenever they are stopped, what was not ready is not in use, and nothing is lost. */
static void builders_are_stopped_at_work(void **state)
{
    (void)state;
    enum { MANY = UNDER_TSAN ? 20000 : 60000 };
    struct stand stand = stand_of_kind(INDEX_HNSW);
    fill(&stand, 1, MANY);
    assert_int_equal(directory_builder_start(stand.directory), STATUS_OK);
    const uint64_t used = stats_of(&stand).size_bytes;
    while (stats_of(&stand).size_bytes == used)
        (void)epoch_collect(stand.epochs); /* until it has charged its memory */
    directory_builder_stop(stand.directory);
    (void)epoch_collect(stand.epochs);
    const struct directory_stats stats = stats_of(&stand);
    assert_int_equal(stats.rows, MANY);
    assert_true(stats.graph_rows < MANY);
    assert_int_equal(look_at(&stand).flat_rows, MANY - stats.graph_rows);
    drop_stand(&stand);
}

enum {
    WRITERS = 2,
    SEARCHERS = 2,
    HOT_SCOPES = 3,
    ROUNDS = UNDER_TSAN ? 3 : 6,
    ROUNDS_MAX = 1000,
    WINDOW = 5000
};

struct crowd {
    struct stand stand;
    atomic_int writers_left;
    _Atomic uint64_t searches, hits;
};

struct member {
    struct crowd *crowd;
    uint64_t seed, number;
};

static void change_kind(struct member *member, const struct partition_key *key)
{
    const struct index_choice choice = {
        .is_kind_set = true,
        .kind = (enum index_kind)(INDEX_FLAT + chance_below(&member->seed, 3))};
    (void)directory_set_kind(member->crowd->stand.directory, key, &choice);
}

static bool goes_on(const struct crowd *crowd, uint64_t round)
{
    const struct directory_stats stats = stats_of(&crowd->stand);
    const bool has_seen_all = stats.builds >= 2 && stats.rewrites >= 2;
    return round < ROUNDS || (round < ROUNDS_MAX && !has_seen_all);
}

/* Fills a scope, replaces its rows, and empties it, all under the builders, until these have built
 * and rewritten. */
static void write_rounds(void *argument)
{
    struct member *member = argument;
    struct directory *directory = member->crowd->stand.directory;
    float unit[DIMENSION];
    for (uint64_t round = 0; goes_on(member->crowd, round); round++) {
        const struct partition_key key = key_of((member->number + round) % HOT_SCOPES);
        const uint64_t base = (member->number << 32) + round * 100000;
        for (uint64_t i = 0; i < 2 * WINDOW; i++) {
            if (i % 4000 == 3999)
                change_kind(member, &key);
            chance_unit(&member->seed, DIMENSION, unit);
            const struct index_row row = row_of(base + i, base + i, unit);
            assert_int_equal(directory_insert(directory, &key, DIMENSION, &row), STATUS_OK);
            const struct digest old = id_of(base + i - WINDOW);
            if (i >= WINDOW)
                assert_int_equal(directory_remove(directory, &key, &old, UINT64_MAX), 1);
        }
        for (uint64_t i = WINDOW; i < 2 * WINDOW; i++) {
            const struct digest id = id_of(base + i);
            assert_int_equal(directory_remove(directory, &key, &id, base + i), 1);
            assert_int_equal(directory_remove(directory, &key, &id, base + i), 0);
        }
    }
    atomic_fetch_sub(&member->crowd->writers_left, 1);
}

static void search_until_writers_end(void *argument)
{
    struct member *member = argument;
    struct crowd *crowd = member->crowd;
    struct search *search = calloc(1, sizeof(*search));
    float unit[DIMENSION];
    assert_non_null(search);
    while (atomic_load(&crowd->writers_left) > 0) {
        const struct partition_key key = key_of(chance_below(&member->seed, HOT_SCOPES));
        chance_unit(&member->seed, DIMENSION, unit);
        *search = (struct search){.unit = unit, .dimension = DIMENSION, .tag = 1, .hits_max = 8};
        (void)search_scope(&crowd->stand, &key, search);
        for (uint32_t i = 0; i < search->hits_count; i++) {
            const struct digest id = id_of(search->hits[i].sequence);
            assert_true(digest_equal(&id, &search->hits[i].id)); /* a row is whole or not there */
            assert_side_of(&search->hits[i]);
            for (uint32_t other = 0; other < i; other++) /* and is there once */
                assert_true(search->hits[other].sequence != search->hits[i].sequence);
        }
        atomic_fetch_add(&crowd->searches, 1);
        atomic_fetch_add(&crowd->hits, search->hits_count);
    }
    free(search);
}

static void nothing_is_lost_beside_builders(void **state)
{
    (void)state;
    struct crowd crowd = {.stand = stand_of_kind(INDEX_HNSW), .writers_left = WRITERS};
    struct member members[WRITERS + SEARCHERS];
    struct thread *threads[WRITERS + SEARCHERS];
    assert_int_equal(directory_builder_start(crowd.stand.directory), STATUS_OK);
    for (uint64_t i = 0; i < WRITERS + SEARCHERS; i++) {
        members[i] = (struct member){.crowd = &crowd, .seed = 100 + i, .number = 1 + i};
        assert_int_equal(thread_create(THREAD_COMPUTE, "crowd",
                                       i < WRITERS ? write_rounds : search_until_writers_end,
                                       &members[i], &threads[i]),
                         STATUS_OK);
    }
    for (int i = 0; i < WRITERS + SEARCHERS; i++)
        thread_join(&threads[i]);
    directory_builder_stop(crowd.stand.directory);
    (void)epoch_collect(crowd.stand.epochs);
    const struct directory_stats stats = stats_of(&crowd.stand);
    print_message("%llu searches, %llu hits, %llu builds, %llu rewrites\n",
                  (unsigned long long)crowd.searches, (unsigned long long)crowd.hits,
                  (unsigned long long)stats.builds, (unsigned long long)stats.rewrites);
    assert_true(stats.builds > 0);
    assert_true(stats.rewrites > 0);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.partitions, 0);
    assert_int_equal(stats.dead_rows, 0);
    assert_int_equal(stats.segments, 0);
    assert_int_equal(stats.size_bytes, 0);
    drop_stand(&crowd.stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_scopes_cost_no_step),
        cmocka_unit_test(a_choice_at_the_first_row_holds),
        cmocka_unit_test(one_search_of_ten_thousand_is_repeated),
        cmocka_unit_test(flat_scopes_are_not_sampled),
        cmocka_unit_test(builders_serve_and_stop_and_start_again),
        cmocka_unit_test(a_build_is_left_in_the_middle),
        cmocka_unit_test(builders_are_stopped_at_work),
        cmocka_unit_test(nothing_is_lost_beside_builders),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
