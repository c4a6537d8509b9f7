/*
 * Goal: no scope sees another's rows, emptied partitions vanish safely, and the budget is kept,
 * alone and under threads.
 * Method: many scopes; tiny budgets; searchers beside writers who keep emptying and refilling
 * scopes (for tsan and asan). What is found is compared with a model in test_model.c.
 */
#include "index/directory_inside.h"
#include "tests/unit/index/directory_support.h"

#include <sched.h>
#include <stdatomic.h>

enum { DIMENSION = 20 };

/* ---- scopes ---------------------------------------------------------------------------------- */

static void thousands_of_scopes_come_and_go(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct stand stand = make_stand(512 << 20);
    float unit[DIMENSION];
    uint64_t seed = 6;
    chance_unit(&seed, DIMENSION, unit);
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < MANY; i++) {
            const struct partition_key key = key_of(i);
            const struct index_row row = row_of(i, 1 + i, unit);
            assert_int_equal(directory_insert(stand.directory, &key, DIMENSION, &row), STATUS_OK);
        }
        assert_int_equal(stats_of(&stand).partitions, MANY);
        for (uint64_t i = 0; i < MANY; i++) {
            const struct partition_key key = key_of(i);
            const struct digest id = id_of(i);
            struct search search = {.unit = unit, .dimension = DIMENSION, .tag = 1, .hits_max = 9};
            assert_true(search_scope(&stand, &key, &search));
            assert_int_equal(search.hits_count, 1);
            assert_int_equal(search.hits[0].sequence, 1 + i);
            if (round < 2 || i % 2 == 0)
                assert_int_equal(directory_remove(stand.directory, &key, &id, UINT64_MAX), 1);
        }
        (void)epoch_collect(stand.epochs);
    }
    assert_int_equal(stats_of(&stand).partitions, MANY / 2);
    assert_int_equal(stats_of(&stand).dead_rows, 0);
    drop_stand(&stand);
}

static void the_space_is_part_of_the_scope(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    const float unit[2] = {1, 0};
    struct partition_key here = key_of(1), there = here;
    there.space++;
    const struct index_row row = row_of(1, 1, unit);
    assert_int_equal(directory_insert(stand.directory, &here, 2, &row), STATUS_OK);
    assert_int_equal(directory_dimension(stand.directory, &here), 2);
    assert_int_equal(directory_dimension(stand.directory, &there), 0);
    const float wider[3] = {0, 1, 0};
    const struct index_row other = row_of(1, 1, wider);
    assert_int_equal(directory_insert(stand.directory, &there, 3, &other), STATUS_OK);
    assert_int_equal(directory_dimension(stand.directory, &there), 3);
    drop_stand(&stand);
}

static void another_dimension_is_refused(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    const float unit[3] = {1, 0, 0};
    const struct partition_key key = key_of(1);
    const struct index_row row = row_of(1, 1, unit), other = row_of(2, 2, unit);
    assert_int_equal(directory_insert(stand.directory, &key, 3, &row), STATUS_OK);
    assert_int_equal(directory_insert(stand.directory, &key, 2, &other), STATUS_DIM_MISMATCH);
    assert_int_equal(stats_of(&stand).rows, 1);
    assert_int_equal(stats_of(&stand).refused, 0);
    const struct digest id = id_of(1);
    assert_int_equal(directory_remove(stand.directory, &key, &id, 1), 1);
    assert_int_equal(directory_insert(stand.directory, &key, 2, &other), STATUS_OK); /* it is new */
    drop_stand(&stand);
}

static void removing_from_nowhere_is_harmless(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    const struct partition_key key = key_of(1);
    const struct digest id = id_of(1);
    assert_int_equal(directory_remove(stand.directory, &key, &id, UINT64_MAX), 0);
    drop_stand(&stand);
}

static void a_partition_retired_under_a_reader_stays_whole_until_it_leaves(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    const float unit[2] = {0, 1};
    const struct partition_key key = key_of(1);
    const struct index_row row = row_of(1, 1, unit);
    const struct digest id = id_of(1);
    assert_int_equal(directory_insert(stand.directory, &key, 2, &row), STATUS_OK);
    epoch_enter(stand.epochs);
    const struct partition *partition = directory_find(stand.directory, &key);
    assert_non_null(partition);
    assert_int_equal(directory_remove(stand.directory, &key, &id, 1), 1);
    assert_null(directory_find(stand.directory, &key));
    struct search search = {.unit = unit, .dimension = 2, .tag = 1, .hits_max = 1};
    partition_search(partition, &search); /* asan: still there */
    assert_int_equal(search.hits_count, 0);
    assert_true(stats_of(&stand).size_bytes > 0);
    epoch_leave(stand.epochs);
    (void)epoch_collect(stand.epochs);
    assert_int_equal(stats_of(&stand).size_bytes, 0);
    drop_stand(&stand);
}

/* ---- budget ---------------------------------------------------------------------------------- */

static void a_spent_budget_refuses_and_counts(void **state)
{
    (void)state;
    enum { BUDGET = 1 << 20 };
    struct stand stand = make_stand(BUDGET);
    float unit[DIMENSION];
    uint64_t seed = 15, inserted = 0;
    chance_unit(&seed, DIMENSION, unit);
    for (uint64_t i = 0; i < 20000; i++) {
        const struct partition_key key = key_of(i % 10);
        const struct index_row row = row_of(i, 1 + i, unit);
        const enum status status = directory_insert(stand.directory, &key, DIMENSION, &row);
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        inserted += status == STATUS_OK;
    }
    const struct directory_stats stats = stats_of(&stand);
    assert_int_equal(stats.bytes_max, BUDGET);
    assert_true(stats.size_bytes <= BUDGET);
    assert_true(inserted > 1000);
    assert_int_equal(stats.rows, inserted);
    assert_int_equal(stats.refused, 20000 - inserted);
    drop_stand(&stand);
}

static void a_refused_first_row_leaves_no_partition(void **state)
{
    (void)state;
    struct stand stand = make_stand(1200);
    float unit[DIMENSION];
    uint64_t seed = 15;
    chance_unit(&seed, DIMENSION, unit);
    const struct partition_key key = key_of(1);
    const struct index_row row = row_of(1, 1, unit);
    assert_int_equal(directory_insert(stand.directory, &key, DIMENSION, &row), STATUS_NO_MEMORY);
    const struct directory_stats stats = stats_of(&stand);
    assert_int_equal(stats.partitions, 0);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(directory_dimension(stand.directory, &key), 0);
    drop_stand(&stand);
}

/* The oldest entry is evicted whenever there is no room: dead rows of the scope must then leave, or
 * none ever fits. */
static void a_full_scope_makes_room_by_throwing_its_dead_out(void **state)
{
    (void)state;
    enum { BUDGET = 4 << 20, WANTED = 60000 };
    struct stand stand = make_stand(BUDGET);
    float unit[DIMENSION];
    uint64_t seed = 16, first = 0, next = 0;
    const struct partition_key key = key_of(1);
    chance_unit(&seed, DIMENSION, unit);
    while (next < WANTED) {
        const struct index_row row = row_of(next, 1 + next, unit);
        if (directory_insert(stand.directory, &key, DIMENSION, &row) == STATUS_OK) {
            next++;
            continue;
        }
        const struct digest id = id_of(first);
        assert_int_equal(directory_remove(stand.directory, &key, &id, UINT64_MAX), 1);
        first++;
        assert_true(next - first > 5000); /* it does not have to empty the scope for that */
    }
    assert_int_equal(stats_of(&stand).rows, next - first);
    assert_true(stats_of(&stand).size_bytes <= BUDGET);
    drop_stand(&stand);
}

static void no_budget_means_a_quarter_of_the_machine(void **state)
{
    (void)state;
    struct stand stand = make_stand(0);
    assert_true(stats_of(&stand).bytes_max > 1 << 20);
    drop_stand(&stand);
    struct directory *none = NULL;
    directory_destroy(&none);
}

/* ---- one scope's time ------------------------------------------------------------------------ */

struct visitor {
    struct directory *directory;
    struct partition_key key;
    struct digest id;
    enum status status;
    size_t removed;
};

static void insert_one(void *argument)
{
    struct visitor *visitor = argument;
    const float unit[2] = {1, 0};
    const struct index_row row = row_of(7, 7, unit);
    visitor->status = directory_insert(visitor->directory, &visitor->key, 2, &row);
}

static void remove_one(void *argument)
{
    struct visitor *visitor = argument;
    visitor->removed = directory_remove(visitor->directory, &visitor->key, &visitor->id, 1);
}

static struct thread *start(void (*run)(void *), struct visitor *visitor)
{
    struct thread *thread = NULL;
    assert_int_equal(thread_create(THREAD_COMPUTE, "visitor", run, visitor, &thread), STATUS_OK);
    return thread;
}

static void wait_until_awaited(const struct partition *partition, uint32_t count)
{
    while (atomic_load(&partition->awaiting) != count)
        (void)sched_yield();
}

/* Were DIRECTORY held meanwhile, the second writer would wait for ever. */
UNSHARED static void who_waits_for_one_scope_keeps_no_other_waiting(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    const float unit[2] = {0, 1};
    const struct index_row row = row_of(1, 1, unit);
    struct visitor here = {.directory = stand.directory, .key = key_of(1)};
    struct visitor there = {.directory = stand.directory, .key = key_of(2)};
    struct partition *partition = NULL;
    assert_int_equal(directory_insert(stand.directory, &here.key, 2, &row), STATUS_OK);
    assert_true(directory_lock(stand.directory, &here.key, &partition));
    struct thread *waits = start(insert_one, &here);
    wait_until_awaited(partition, 1);
    struct thread *passes = start(insert_one, &there);
    thread_join(&passes);
    assert_int_equal(there.status, STATUS_OK);
    directory_unlock(stand.directory, partition);
    thread_join(&waits);
    assert_int_equal(here.status, STATUS_OK);
    assert_int_equal(stats_of(&stand).rows, 3);
    drop_stand(&stand);
}

/* The remover leaves an awaited partition as it is; who then only looks into it retires it. */
UNSHARED static void an_awaited_partition_is_retired_by_who_leaves_it_last(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    const float unit[2] = {0, 1};
    const struct index_row row = row_of(1, 1, unit);
    struct visitor first = {.directory = stand.directory, .key = key_of(1), .id = id_of(1)};
    struct visitor second = first;
    struct partition *partition = NULL;
    assert_int_equal(directory_insert(stand.directory, &first.key, 2, &row), STATUS_OK);
    assert_true(directory_lock(stand.directory, &first.key, &partition));
    struct thread *one = start(remove_one, &first), *other = start(remove_one, &second);
    wait_until_awaited(partition, 2);
    directory_unlock(stand.directory, partition);
    thread_join(&one);
    thread_join(&other);
    assert_int_equal(first.removed + second.removed, 1);
    assert_int_equal(stats_of(&stand).partitions, 0);
    (void)epoch_collect(stand.epochs);
    assert_int_equal(stats_of(&stand).size_bytes, 0);
    drop_stand(&stand);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { WRITERS = 2, SEARCHERS = 2, HOT_SCOPES = 3, WRITER_ROUNDS = UNDER_TSAN ? 60 : 200 };

struct crowd {
    struct stand stand;
    atomic_int writers_left;
    _Atomic uint64_t searches, hits;
};

struct member {
    struct crowd *crowd;
    uint64_t seed, number;
};

/* Fills a scope with its own rows, then removes them: scopes are emptied and made again all the
 * time. */
static void write_rounds(void *argument)
{
    struct member *member = argument;
    struct directory *directory = member->crowd->stand.directory;
    float unit[DIMENSION];
    for (uint64_t round = 0; round < WRITER_ROUNDS; round++) {
        const struct partition_key key = key_of(chance_below(&member->seed, HOT_SCOPES));
        const uint64_t rows = 1 + chance_below(&member->seed, 200);
        const uint64_t base = (member->number << 32) + round * 1000;
        for (uint64_t i = 0; i < rows; i++) {
            chance_unit(&member->seed, DIMENSION, unit);
            const struct index_row row = row_of(base + i, base + i, unit);
            assert_int_equal(directory_insert(directory, &key, DIMENSION, &row), STATUS_OK);
        }
        for (uint64_t i = 0; i < rows; i++) {
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
        }
        (void)directory_dimension(crowd->stand.directory, &key);
        atomic_fetch_add(&crowd->searches, 1);
        atomic_fetch_add(&crowd->hits, search->hits_count);
    }
    free(search);
}

static void searches_run_beside_writers_and_retired_partitions(void **state)
{
    (void)state;
    struct crowd crowd = {.stand = make_stand(256 << 20), .writers_left = WRITERS};
    struct member members[WRITERS + SEARCHERS];
    struct thread *threads[WRITERS + SEARCHERS];
    for (uint64_t i = 0; i < WRITERS + SEARCHERS; i++) {
        members[i] = (struct member){.crowd = &crowd, .seed = 100 + i, .number = 1 + i};
        assert_int_equal(thread_create(THREAD_COMPUTE, "crowd",
                                       i < WRITERS ? write_rounds : search_until_writers_end,
                                       &members[i], &threads[i]),
                         STATUS_OK);
    }
    for (int i = 0; i < WRITERS + SEARCHERS; i++)
        thread_join(&threads[i]);
    print_message("%llu searches, %llu hits beside the writers\n",
                  (unsigned long long)crowd.searches, (unsigned long long)crowd.hits);
    (void)epoch_collect(crowd.stand.epochs);
    const struct directory_stats stats = stats_of(&crowd.stand);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.partitions, 0);
    assert_int_equal(stats.dead_rows, 0);
    assert_int_equal(stats.size_bytes, 0);
    drop_stand(&crowd.stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_scopes_come_and_go),
        cmocka_unit_test(the_space_is_part_of_the_scope),
        cmocka_unit_test(another_dimension_is_refused),
        cmocka_unit_test(removing_from_nowhere_is_harmless),
        cmocka_unit_test(a_partition_retired_under_a_reader_stays_whole_until_it_leaves),
        cmocka_unit_test(a_spent_budget_refuses_and_counts),
        cmocka_unit_test(a_refused_first_row_leaves_no_partition),
        cmocka_unit_test(a_full_scope_makes_room_by_throwing_its_dead_out),
        cmocka_unit_test(no_budget_means_a_quarter_of_the_machine),
        cmocka_unit_test(who_waits_for_one_scope_keeps_no_other_waiting),
        cmocka_unit_test(an_awaited_partition_is_retired_by_who_leaves_it_last),
        cmocka_unit_test(searches_run_beside_writers_and_retired_partitions),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
