/*
 * Goal: the figures of each scope and of all agree with what was done, and a scope with one row
 * costs little.
 * Method: scopes of known content; 10,000 scopes of one row; what the budget says beside what the
 * heap says.
 */
#include "tests/unit/index/directory_support.h"

#include <malloc.h>

enum { DIMENSION = 384, MANY = 10000 };

struct sum {
    uint64_t scopes, rows, dead, size_bytes, searches, flat_rows;
    struct partition_stats last;
};

static void add(void *context, const struct partition_stats *stats)
{
    struct sum *sum = context;
    sum->scopes++;
    sum->rows += stats->rows;
    sum->dead += stats->dead_rows;
    sum->size_bytes += stats->size_bytes;
    sum->searches += stats->searches;
    sum->flat_rows += stats->flat_rows;
    sum->last = *stats;
}

static struct sum sum_of(struct stand *stand)
{
    struct sum sum = {0};
    assert_int_equal(directory_each_stats(stand->directory, add, &sum), STATUS_OK);
    return sum;
}

static void insert(struct stand *stand, uint64_t scope, uint64_t number, const float *unit,
                   uint32_t dimension)
{
    const struct partition_key key = key_of(scope);
    const struct index_row row = row_of(number, 1 + number, unit);
    assert_int_equal(directory_insert(stand->directory, &key, dimension, &row), STATUS_OK);
}

static void each_scope_is_shown_once(void **state)
{
    (void)state;
    struct stand stand = make_stand(256 << 20);
    float unit[DIMENSION] = {1};
    for (uint64_t scope = 0; scope < 100; scope++)
        for (uint64_t i = 0; i <= scope; i++)
            insert(&stand, scope, i, unit, 8);
    const struct partition_key key = key_of(50);
    const struct digest id = id_of(3);
    assert_int_equal(directory_remove(stand.directory, &key, &id, UINT64_MAX), 1);
    for (int i = 0; i < 7; i++) {
        struct search search = {.unit = unit, .dimension = 8, .tag = 1, .hits_max = 1};
        assert_true(search_scope(&stand, &key, &search));
    }
    const struct sum sum = sum_of(&stand);
    assert_int_equal(sum.scopes, 100);
    assert_int_equal(sum.rows, 5049);
    assert_int_equal(sum.dead, 1);
    assert_int_equal(sum.flat_rows, 5050);
    assert_int_equal(sum.searches, 7);
    assert_int_equal(stats_of(&stand).rows, sum.rows);
    drop_stand(&stand);
}

static void the_state_and_kind_of_a_scope_are_told(void **state)
{
    (void)state;
    struct stand stand = make_stand(256 << 20);
    float unit[16];
    uint64_t seed = 2;
    const struct partition_key key = key_of(1);
    for (uint64_t i = 0; i < 5000; i++) {
        chance_unit(&seed, 16, unit);
        insert(&stand, 1, i, unit, 16);
    }
    (void)build_all(&stand);
    struct sum sum = sum_of(&stand);
    assert_int_equal(sum.last.state, PARTITION_RESTS);
    assert_int_equal(sum.last.kind, INDEX_FLAT);
    assert_int_equal(sum.last.asked, INDEX_AUTO);
    assert_memory_equal(&sum.last.key, &key, sizeof(key));
    const struct index_choice choice = {.is_kind_set = true, .kind = INDEX_IVF};
    assert_int_equal(directory_set_kind(stand.directory, &key, &choice), STATUS_OK);
    assert_int_equal(sum_of(&stand).last.state, PARTITION_WAITS);
    (void)build_all(&stand);
    sum = sum_of(&stand);
    assert_int_equal(sum.last.state, PARTITION_RESTS);
    assert_int_equal(sum.last.kind, INDEX_IVF);
    assert_int_equal(sum.last.asked, INDEX_IVF);
    assert_int_equal(sum.last.segments, 1);
    assert_int_equal(sum.last.flat_rows, 5000 - 4096);
    assert_int_equal(sum.last.dimension, 16);
    drop_stand(&stand);
}

static void ten_thousand_scopes_of_one_row_are_small(void **state)
{
    (void)state;
    struct stand stand = make_stand(512 << 20);
    float unit[DIMENSION];
    uint64_t seed = 5;
    chance_unit(&seed, DIMENSION, unit);
    const size_t heap_before = mallinfo2().uordblks;
    for (uint64_t scope = 0; scope < MANY; scope++)
        insert(&stand, scope, scope, unit, DIMENSION);
    const uint64_t heap = mallinfo2().uordblks - heap_before;
    const struct sum sum = sum_of(&stand);
    const uint64_t charged = stats_of(&stand).size_bytes;
    print_message("a scope of one row, %d dimensions: %llu bytes charged, %llu by its own count, "
                  "%llu of the heap\n",
                  DIMENSION, (unsigned long long)charged / MANY,
                  (unsigned long long)sum.size_bytes / MANY, (unsigned long long)heap / MANY);
    assert_int_equal(sum.scopes, MANY);
    assert_true(charged / MANY < 10000);
    assert_true(sum.size_bytes / MANY < 11000);
    assert_true(sum.size_bytes >= charged);
    for (uint64_t scope = 0; scope < MANY; scope++) {
        const struct partition_key key = key_of(scope);
        const struct digest id = id_of(scope);
        assert_int_equal(directory_remove(stand.directory, &key, &id, UINT64_MAX), 1);
    }
    (void)epoch_collect(stand.epochs);
    assert_int_equal(stats_of(&stand).size_bytes, 0); /* an emptied scope costs nothing */
    assert_int_equal(sum_of(&stand).scopes, 0);
    drop_stand(&stand);
}

static void a_living_row_gives_its_vector_back(void **state)
{
    (void)state;
    struct stand stand = make_stand(64 << 20);
    float unit[16], out[16];
    uint64_t seed = 8;
    const struct partition_key key = key_of(1), nowhere = key_of(2);
    chance_unit(&seed, 16, unit);
    insert(&stand, 1, 5, unit, 16);
    const struct digest id = id_of(5), other = id_of(6);
    assert_int_equal(directory_vector(stand.directory, &key, &id, 6, out, 16), 16);
    assert_memory_equal(out, unit, sizeof(unit));
    assert_int_equal(directory_vector(stand.directory, &key, &id, 6, out, 15), 0);
    assert_int_equal(directory_vector(stand.directory, &key, &id, 7, out, 16), 0);
    assert_int_equal(directory_vector(stand.directory, &key, &other, 6, out, 16), 0);
    assert_int_equal(directory_vector(stand.directory, &nowhere, &id, 6, out, 16), 0);
    insert(&stand, 1, 7, unit, 16);
    assert_int_equal(directory_remove(stand.directory, &key, &id, UINT64_MAX), 1);
    assert_int_equal(directory_vector(stand.directory, &key, &id, 6, out, 16), 0);
    drop_stand(&stand);
}

static void a_search_is_estimated_by_its_rows(void **state)
{
    (void)state;
    struct stand stand = make_stand(256 << 20);
    float unit[16];
    uint64_t seed = 2;
    uint32_t before = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        chance_unit(&seed, 16, unit);
        insert(&stand, 1, i, unit, 16);
        if (i % 40000 != 39999)
            continue;
        const struct partition_key key = key_of(1);
        epoch_enter(stand.epochs);
        const uint32_t cost = partition_cost_us(directory_find(stand.directory, &key));
        epoch_leave(stand.epochs);
        assert_true(cost > before);
        assert_true(cost < 10000);
        before = cost;
    }
    drop_stand(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scope_is_shown_once),
        cmocka_unit_test(the_state_and_kind_of_a_scope_are_told),
        cmocka_unit_test(ten_thousand_scopes_of_one_row_are_small),
        cmocka_unit_test(a_living_row_gives_its_vector_back),
        cmocka_unit_test(a_search_is_estimated_by_its_rows),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
