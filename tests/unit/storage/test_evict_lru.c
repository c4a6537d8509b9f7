/*
 * Goal: least recently used: the order of hits is the order of leaving.
 * Method: the rule alone, against a list kept by hand, with entries that come and go at random.
 */
#include "storage/entry_block.h"
#include "storage/evict.h"
#include "tests/unit/storage/make_entry.h"

enum { ENTRIES_COUNT = 64 };

struct world {
    struct evict *evict;
    struct entry *entries[ENTRIES_COUNT];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(evict_lru.create(&world->evict), STATUS_OK);
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        world->entries[i] = make_entry(i, 64, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    evict_lru.destroy(&world->evict);
    evict_lru.destroy(&world->evict); /* NULL by now */
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        entry_release(world->entries[i]);
    free(world);
    return 0;
}

static void insert(struct world *world, size_t number)
{
    assert_int_equal(evict_lru.inserted(world->evict, world->entries[number]), STATUS_OK);
}

static void expect_victim(struct world *world, size_t number)
{
    assert_ptr_equal(evict_lru.victim(world->evict), world->entries[number]);
}

static void who_was_asked_for_longest_ago_goes(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 4; i++)
        insert(world, i);
    evict_lru.hit(world->evict, world->entries[0]);
    evict_lru.hit(world->evict, world->entries[2]);
    expect_victim(world, 1);
    expect_victim(world, 3);
    expect_victim(world, 0);
    expect_victim(world, 2);
    assert_null(evict_lru.victim(world->evict));
}

static void a_replacement_keeps_the_place(void **state)
{
    struct world *world = *state;
    insert(world, 0);
    insert(world, 1);
    evict_lru.replaced(world->evict, world->entries[0], world->entries[9]);
    assert_int_equal(world->entries[0]->queue, 0);
    expect_victim(world, 9);
    expect_victim(world, 1);
}

static void who_was_removed_is_no_victim(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 3; i++)
        insert(world, i);
    evict_lru.removed(world->evict, world->entries[0]);
    expect_victim(world, 1);
    evict_lru.removed(world->evict, world->entries[2]);
    assert_null(evict_lru.victim(world->evict));
}

static void hits_without_end_need_no_memory_without_end(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 8; i++)
        insert(world, i);
    for (size_t i = 0; i < 100000; i++)
        evict_lru.hit(world->evict, world->entries[i % 8]);
    assert_true(world->entries[7]->slot >= 100000); /* a slot number runs on; the ring does not */
    for (size_t i = 0; i < 8; i++)
        expect_victim(world, i);
}

/* order[0] is the least recently used. */
static size_t forget(size_t *order, size_t count, size_t number)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (order[i] != number)
            order[kept++] = order[i];
    }
    return kept;
}

static void it_agrees_with_a_plain_list(void **state)
{
    struct world *world = *state;
    size_t order[ENTRIES_COUNT + 1], count = 0;
    uint64_t random = 7;
    for (size_t step = 0; step < 20000; step++) {
        const size_t number = next_random(&random) % ENTRIES_COUNT;
        struct entry *entry = world->entries[number];
        const bool was_there = entry->queue != 0;
        if (was_there && step % 5 == 0) {
            evict_lru.removed(world->evict, entry);
            count = forget(order, count, number);
        } else if (was_there) {
            evict_lru.hit(world->evict, entry);
            count = forget(order, count, number);
            order[count++] = number;
        } else {
            insert(world, number);
            order[count++] = number;
        }
        if (count > ENTRIES_COUNT / 2) {
            expect_victim(world, order[0]);
            count = forget(order, count, order[0]);
        }
    }
    assert_true(count > 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(who_was_asked_for_longest_ago_goes), RULE(a_replacement_keeps_the_place),
        RULE(who_was_removed_is_no_victim),       RULE(hits_without_end_need_no_memory_without_end),
        RULE(it_agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
