/*
 * Goal: a queue in order of arrival, with removals from the middle, whose counts are exact and
 * whose memory follows what it holds. Method: scripted cases, then random steps against a plain
 * list.
 */
#include "storage/ring.h"

#include "storage/entry_block.h"
#include "tests/unit/storage/make_entry.h"

enum { ENTRIES_COUNT = 300 };

struct world {
    struct ring ring;
    struct entry *entries[ENTRIES_COUNT];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        world->entries[i] = make_entry(i, 8 + i, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    ring_deinit(&world->ring);
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        entry_release(world->entries[i]);
    free(world);
    return 0;
}

static void the_oldest_comes_first_and_removed_ones_never(void **state)
{
    struct world *world = *state;
    assert_null(ring_pop(&world->ring));
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(ring_push(&world->ring, world->entries[i]), STATUS_OK);
    for (size_t i = 0; i < 100; i += 2)
        ring_remove(&world->ring, world->entries[i]);
    assert_int_equal(world->ring.entries_count, 50);
    for (size_t i = 1; i < 100; i += 2)
        assert_ptr_equal(ring_pop(&world->ring), world->entries[i]);
    assert_null(ring_pop(&world->ring));
    assert_int_equal(world->ring.size_bytes, 0);
}

static void the_bytes_are_the_sum_of_the_charges(void **state)
{
    struct world *world = *state;
    uint64_t expected = 0;
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(ring_push(&world->ring, world->entries[i]), STATUS_OK);
        expected += entry_charge_bytes(world->entries[i]);
    }
    assert_true(world->ring.size_bytes == expected);
    ring_replace(&world->ring, world->entries[10], world->entries[200]);
    expected += entry_charge_bytes(world->entries[200]);
    expected -= entry_charge_bytes(world->entries[10]);
    assert_true(world->ring.size_bytes == expected);
    for (size_t i = 0; i < 10; i++)
        (void)ring_pop(&world->ring);
    assert_ptr_equal(ring_pop(&world->ring), world->entries[200]);
}

static void a_ring_of_holes_is_packed_not_enlarged(void **state)
{
    struct world *world = *state;
    assert_int_equal(ring_push(&world->ring, world->entries[0]), STATUS_OK); /* pins the head */
    for (size_t round = 0; round < 1000; round++) {
        assert_int_equal(ring_push(&world->ring, world->entries[1]), STATUS_OK);
        ring_remove(&world->ring, world->entries[1]);
    }
    assert_int_equal(world->ring.capacity, 16);
    assert_int_equal(ring_push(&world->ring, world->entries[2]), STATUS_OK);
    assert_ptr_equal(ring_pop(&world->ring), world->entries[0]);
    assert_ptr_equal(ring_pop(&world->ring), world->entries[2]);
}

static void positions_may_wrap_around(void **state)
{
    struct world *world = *state;
    world->ring.head = world->ring.tail = UINT32_MAX - 20;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(ring_push(&world->ring, world->entries[i]), STATUS_OK);
    ring_remove(&world->ring, world->entries[30]);
    for (size_t i = 0; i < 100; i++) {
        if (i != 30)
            assert_ptr_equal(ring_pop(&world->ring), world->entries[i]);
    }
    assert_int_equal(world->ring.entries_count, 0);
}

static void random_steps_agree_with_a_list(void **state)
{
    struct world *world = *state;
    struct entry *list[ENTRIES_COUNT];
    size_t count = 0;
    bool is_in[ENTRIES_COUNT] = {false};
    uint64_t chance = 5;
    for (size_t step = 0; step < 50000; step++) {
        const size_t number = next_random(&chance) % ENTRIES_COUNT;
        struct entry *entry = world->entries[number];
        if (next_random(&chance) % 8 == 0) {
            struct entry *popped = ring_pop(&world->ring);
            assert_ptr_equal(popped, count > 0 ? list[0] : NULL);
            entry = popped;
        } else if (!is_in[number]) {
            assert_int_equal(ring_push(&world->ring, entry), STATUS_OK);
            is_in[number] = true;
            list[count++] = entry;
            entry = NULL;
        } else {
            ring_remove(&world->ring, entry);
        }
        for (size_t i = 0; entry != NULL && i < count; i++) {
            if (list[i] != entry)
                continue;
            memmove(&list[i], &list[i + 1], (count - i - 1) * sizeof(list[0]));
            count--;
            is_in[number_of(entry)] = false;
            entry = NULL;
        }
        assert_int_equal(world->ring.entries_count, count);
    }
    assert_true(world->ring.capacity <= 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_comes_first_and_removed_ones_never, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_bytes_are_the_sum_of_the_charges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ring_of_holes_is_packed_not_enlarged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions_may_wrap_around, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_steps_agree_with_a_list, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
