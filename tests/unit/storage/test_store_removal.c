/*
 * Goal: what has left the store on request is gone for good, whatever else had left before it: an
 * entry that was evicted, at run time or by a start with less room, does not come back behind a
 * removal that could not see it. Method: a store on a simulated disk, filled over its budget,
 * emptied by selector, and opened again with room for all. Exercises store, store_open and table.
 */
#include "tests/unit/storage/store_world.h"

enum { ROOM_FOR_FEW = 6 };

static struct world *open_with_room_for(uint32_t entries_max)
{
    struct world *world = world_create(17, DURABILITY_EVERYSEC);
    world->store_options.stripes_count = 1;
    world->store_options.entries_max = entries_max;
    assert_int_equal(world_open(world), STATUS_OK);
    return world;
}

static void reopen_with_room_for(struct world *world, uint32_t entries_max)
{
    world_close(world);
    world->store_options.entries_max = entries_max;
    assert_int_equal(world_open(world), STATUS_OK);
}

static void set_all(struct world *world)
{
    struct wish_told *told = NULL;
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        assert_int_equal(ask_set(world, key, 0, ACK_LOGGED, &told), STATUS_OK);
    assert_int_equal(await_wish(world, told), STATUS_OK);
}

static uint64_t count_of(struct world *world)
{
    return store_count(world->store, world_now_ms, NULL, NULL);
}

static uint64_t purge_all(struct world *world)
{
    uint64_t removed = 0;
    assert_int_equal(store_purge(world->store, NULL, NULL, NULL, &removed), STATUS_OK);
    return removed;
}

static void what_was_evicted_and_then_invalidated_stays_away(void **state)
{
    (void)state;
    struct world *world = open_with_room_for(ROOM_FOR_FEW);
    set_all(world);
    assert_int_equal(purge_all(world), ROOM_FOR_FEW);
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), 0);
    world_destroy(&world);
}

static void what_a_quota_evicted_stays_away(void **state)
{
    (void)state;
    struct world *world = open_with_room_for(0);
    const struct digest digest = digest_number(3);
    set_all(world);
    assert_int_equal(store_evict(world->store, &digest, NULL, NULL), STATUS_OK);
    assert_int_equal(store_evict(world->store, &digest, NULL, NULL), STATUS_NOT_FOUND);
    
    assert_int_equal(purge_all(world), WORLD_KEYS - 1);
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), 0);
    world_destroy(&world);
}

static void what_found_no_room_at_a_start_stays_away(void **state)
{
    (void)state;
    struct world *world = open_with_room_for(0);
    set_all(world);
    reopen_with_room_for(world, ROOM_FOR_FEW);
    assert_int_equal(purge_all(world), ROOM_FOR_FEW);
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), 0);
    world_destroy(&world);
}

static void what_was_too_large_at_a_start_stays_away(void **state)
{
    (void)state;
    struct world *world = open_with_room_for(0);
    const uint64_t answer_max = world->store_options.answer_max;
    set_all(world);
    world->store_options.answer_max = 16 + WORLD_ANSWER_MAX / 2;
    reopen_with_room_for(world, 0);
    const uint64_t kept = count_of(world);
    assert_true(kept > 0);
    assert_true(kept < WORLD_KEYS);
    assert_int_equal(purge_all(world), kept);
    world->store_options.answer_max = answer_max;
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), 0);
    world_destroy(&world);
}

/* Whoever comes back after an eviction is not taken for the one that went. */
static void who_is_set_again_after_an_eviction_stays(void **state)
{
    (void)state;
    struct world *world = open_with_room_for(ROOM_FOR_FEW);
    set_all(world);
    set_all(world);
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), ROOM_FOR_FEW);
    for (uint64_t key = 0; key < WORLD_KEYS; key++) {
        const struct digest digest = digest_number(key);
        struct store_hit hit;
        if (store_find(world->store, &digest, world_now_ms, STORE_PEEK, &hit) != STORE_FOUND)
            continue;
        assert_int_equal(version_of(hit.entry, key), WORLD_KEYS + key + 1);
        entry_release(hit.entry);
    }
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_evicted_and_then_invalidated_stays_away),
        cmocka_unit_test(what_a_quota_evicted_stays_away),
        cmocka_unit_test(what_found_no_room_at_a_start_stays_away),
        cmocka_unit_test(what_was_too_large_at_a_start_stays_away),
        cmocka_unit_test(who_is_set_again_after_an_eviction_stays),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
