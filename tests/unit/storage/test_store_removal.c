/*
 * Goal: what has left the store on request is gone for good, whatever else had left before it: an
 * entry that was evicted, at run time or by a start with less room, does not come back behind a
 * removal that could not see it; and its bytes leave the data folder within storage.purge_deadline.
 * Method: a store on a simulated disk, filled over its budget, emptied by selector, and opened
 * again with room for all. For the bytes a real folder, every file of which is searched for them,
 * and a clock that is turned by hand. Exercises store, store_open, table and journal_purge.
 */
#include <dirent.h>
#include <sched.h>

#include "storage/journal_block.h"
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

/* ---- off the disk ---------------------------------------------------------------------------- */

enum { NEEDLE_BYTES = 16, DEADLINE_S = 10, US_PER_S = 1000000 };

static struct world *open_folder(void)
{
    struct world *world = world_create_in_folder(IO_POSIX);
    world->options.purge_deadline_us = (uint64_t)DEADLINE_S * US_PER_S;
    assert_int_equal(world_open(world), STATUS_OK);
    return world;
}

static struct journal_stats journal_of(struct world *world)
{
    struct journal_stats stats;
    store_journal_stats(world->store, &stats);
    return stats;
}

static bool file_holds(const char *folder, const char *name, const void *needle)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false; /* the custodian has just removed it */
    (void)fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    (void)fseek(file, 0, SEEK_SET);
    char *bytes = malloc(size > 0 ? (size_t)size : 1);
    assert_non_null(bytes);
    const size_t read = fread(bytes, 1, (size_t)size, file);
    (void)fclose(file);
    const bool holds = memmem(bytes, read, needle, NEEDLE_BYTES) != NULL;
    free(bytes);
    return holds;
}

/* Of the answer what is drawn by chance: no other record looks like it. */
static bool folder_holds(const struct world *world, uint64_t key, uint64_t version)
{
    char answer[16 + WORLD_ANSWER_MAX];
    assert_true(fill_answer(key, version, answer) >= 16 + NEEDLE_BYTES);
    DIR *folder = opendir(world->folder);
    assert_non_null(folder);
    bool holds = false;
    for (struct dirent *file = readdir(folder); file != NULL && !holds; file = readdir(folder))
        holds = file->d_type == DT_REG && file_holds(world->folder, file->d_name, answer + 16);
    (void)closedir(folder);
    return holds;
}

/* Each 1 + key % 4 is the scope of a key. */
static void assert_folder_is_without(struct world *world, uint8_t scope)
{
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        assert_int_equal(folder_holds(world, key, key + 1), 1 + key % 4 != scope);
}

static void turn_clock(struct world *world, uint64_t seconds)
{
    atomic_fetch_add(&world_clock_us, seconds * US_PER_S);
    journal_wake_custodian(atomic_load(&world->store->journal));
}

/* A test that waits in vain is ended by ctest. */
static void await_settled(struct world *world, uint64_t settled)
{
    while (journal_of(world).purges_settled < settled) {
        journal_wake_custodian(atomic_load(&world->store->journal));
        (void)sched_yield();
    }
}

static void purge_scope(struct world *world, uint8_t scope, bool drops)
{
    struct wish_told *told = NULL;
    assert_int_equal(ask_purge(world, scope, drops, ACK_SYNCED, &told), STATUS_OK);
    assert_int_equal(await_wish(world, told), STATUS_OK);
}

static void purged_bytes_leave_the_folder_within_the_deadline(void **state)
{
    (void)state;
    for (unsigned drops = 0; drops < 2; drops++) {
        struct world *world = open_folder();
        set_all(world);
        assert_int_equal(journal_of(world).purge_pending_ms, 0);
        assert_folder_is_without(world, 0); /* all are there */
        purge_scope(world, 2, drops == 1);
        assert_true(journal_of(world).purge_pending_ms > 0);
        turn_clock(world, DEADLINE_S / 2);
        await_settled(world, 1);
        assert_int_equal(journal_of(world).purge_pending_ms, 0);
        assert_int_equal(journal_of(world).purge_ms_last, 1000 * DEADLINE_S / 2);
        assert_folder_is_without(world, 2);
        assert_int_equal(count_of(world), WORLD_KEYS - WORLD_KEYS / 4);
        world_destroy(&world);
    }
}

static void many_purges_share_one_compaction(void **state)
{
    (void)state;
    struct world *world = open_folder();
    set_all(world);
    purge_scope(world, 1, false);
    turn_clock(world, DEADLINE_S / 2 - 1);
    purge_scope(world, 2, false);
    purge_scope(world, 3, true);
    assert_int_equal(journal_of(world).purge_pending_ms, 1000 * (DEADLINE_S / 2 - 1));
    assert_int_equal(journal_of(world).purges_settled, 0);
    turn_clock(world, 1);
    await_settled(world, 1);
    assert_int_equal(journal_of(world).purge_pending_ms, 0);
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        assert_int_equal(folder_holds(world, key, key + 1), 1 + key % 4 == 4);
    world_destroy(&world);
}

static void a_purge_that_waits_outlives_a_restart(void **state)
{
    (void)state;
    struct world *world = open_folder();
    set_all(world);
    purge_scope(world, 2, false);
    world_close(world);
    assert_int_equal(world_open(world), STATUS_OK);
    assert_true(journal_of(world).purge_pending_ms > 0);
    turn_clock(world, DEADLINE_S / 2);
    await_settled(world, 1);
    assert_folder_is_without(world, 2);
    world_destroy(&world);
}

static void an_operators_compaction_does_not_wait_for_the_deadline(void **state)
{
    (void)state;
    struct world *world = open_folder();
    set_all(world);
    purge_scope(world, 2, true);
    ask_compaction(world);
    assert_int_equal(await_jobs(world), STATUS_OK);
    assert_int_equal(journal_of(world).purges_settled, 1);
    assert_folder_is_without(world, 2);
    purge_scope(world, 3, true);
    ask_snapshot(world);
    assert_int_equal(await_jobs(world), STATUS_OK);
    assert_int_equal(journal_of(world).purges_settled, 2);
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        assert_int_equal(folder_holds(world, key, key + 1), 1 + key % 4 != 2 && 1 + key % 4 != 3);
    world_destroy(&world);
}

/* Whoever keeps something beside the log is told when something was purged, and only then; while he
 * cannot let it go the purge waits, and the log is not written anew for nothing. */
static void what_lies_beside_the_log_goes_with_it(void **state)
{
    (void)state;
    struct world *world = open_folder();
    set_all(world);
    ask_compaction(world);
    assert_int_equal(await_jobs(world), STATUS_OK);
    ask_snapshot(world);
    assert_int_equal(await_jobs(world), STATUS_OK);
    assert_int_equal(atomic_load(&world->forgets), 0);
    atomic_store(&world->forget_status, STATUS_IO_FAILED);
    purge_scope(world, 2, false);
    ask_compaction(world);
    assert_int_equal(await_jobs(world), STATUS_IO_FAILED);
    assert_true(folder_holds(world, 1, 2)); /* as before */
    ask_snapshot(world);
    assert_int_equal(await_jobs(world), STATUS_OK); /* it is asked for the living */
    assert_true(journal_of(world).purge_pending_ms > 0);
    assert_int_equal(journal_of(world).purges_settled, 0);
    atomic_store(&world->forget_status, STATUS_OK);
    turn_clock(world, DEADLINE_S);
    await_settled(world, 1);
    assert_int_equal(atomic_load(&world->forgets), 1);
    assert_folder_is_without(world, 2);
    world_destroy(&world);
}

/* ---- floors ---------------------------------------------------------------------------------- */

static unsigned count_floors(const struct world *world)
{
    char path[400], line[256];
    unsigned floors = 0;
    (void)snprintf(path, sizeof(path), "%s/MANIFEST", world->folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        floors += strncmp(line, "floor ", 6) == 0;
    (void)fclose(file);
    return floors;
}

/* Something older than the drop lives, so the numbers alone would keep the floor for ever. */
static void a_floor_goes_when_everything_has_been_written_anew(void **state)
{
    (void)state;
    struct world *world = open_folder();
    set_all(world);
    for (uint8_t scope = 2; scope <= 3; scope++) {
        purge_scope(world, scope, true);
        assert_int_equal(count_floors(world), 1);
        if (scope == 2)
            ask_compaction(world);
        else
            ask_snapshot(world);
        assert_int_equal(await_jobs(world), STATUS_OK);
        assert_int_equal(count_floors(world), 0);
    }
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), WORLD_KEYS / 2);
    world_destroy(&world);
}

static void a_floor_whose_entries_are_still_to_go_stays(void **state)
{
    (void)state;
    struct world *world = open_folder();
    struct journal *journal = atomic_load(&world->store->journal);
    set_all(world);
    purge_scope(world, 2, true);
    assert_true(journal_drop_begin(journal)); /* another, half-way */
    ask_compaction(world);
    assert_int_equal(await_jobs(world), STATUS_OK);
    assert_int_equal(count_floors(world), 1);
    journal_drop_end(journal);
    ask_compaction(world);
    assert_int_equal(await_jobs(world), STATUS_OK);
    assert_int_equal(count_floors(world), 0);
    world_destroy(&world);
}

/* MANIFEST takes no more: each entry gets its DELETE. */
static void with_too_many_floors_a_drop_deletes(void **state)
{
    (void)state;
    struct world *world = open_folder();
    struct journal *journal = atomic_load(&world->store->journal);
    set_all(world);
    atomic_store(&journal->purges.floors, MANIFEST_FLOORS_MAX / 2);
    purge_scope(world, 2, true);
    assert_int_equal(count_floors(world), 0);
    assert_int_equal(count_of(world), WORLD_KEYS - WORLD_KEYS / 4);
    await_settled(world, 1); /* no deadline is waited for */
    assert_folder_is_without(world, 2);
    reopen_with_room_for(world, 0);
    assert_int_equal(count_of(world), WORLD_KEYS - WORLD_KEYS / 4);
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
        cmocka_unit_test(purged_bytes_leave_the_folder_within_the_deadline),
        cmocka_unit_test(many_purges_share_one_compaction),
        cmocka_unit_test(a_purge_that_waits_outlives_a_restart),
        cmocka_unit_test(what_lies_beside_the_log_goes_with_it),
        cmocka_unit_test(an_operators_compaction_does_not_wait_for_the_deadline),
        cmocka_unit_test(a_floor_goes_when_everything_has_been_written_anew),
        cmocka_unit_test(a_floor_whose_entries_are_still_to_go_stays),
        cmocka_unit_test(with_too_many_floors_a_drop_deletes),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
