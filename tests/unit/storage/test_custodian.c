/*
 * Goal: the custodian keeps spares ready, gives dead bytes back, takes snapshots, leads back from a
 * full disk by itself and from any other failure when an operator asks; and loses nothing by it.
 * Exercises custodian, custodian_spares, compact, snapshot, segment_copy and segment_writer.
 * Method: a whole store on a simulated disk that fills up, fails and rots as the test says; the
 * clock is turned by hand.
 */
#include <errno.h>
#include <sched.h>

#include "storage/custodian_inside.h"
#include "tests/unit/storage/store_world.h"

enum { SPARES = 1, PROBE_S = 6 };

enum action { MEMORY, READ_ONLY };

static struct world *open_world(enum action action)
{
    struct world *world = world_create(11, DURABILITY_EVERYSEC);
    if (action == READ_ONLY)
        world->options.error_action = ON_ERROR_READ_ONLY;
    assert_int_equal(world_open(world), STATUS_OK);
    return world;
}

static enum status set(struct world *world, uint64_t key)
{
    struct wish_told *told = NULL;
    const enum status status = ask_set(world, key, 0, ACK_SYNCED, &told);
    return status == STATUS_OK ? await_wish(world, told) : status;
}

static void set_all(struct world *world)
{
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        assert_int_equal(set(world, key), STATUS_OK);
}

static enum status remove_key(struct world *world, uint64_t key)
{
    struct wish_told *told = NULL;
    const enum status status = ask_delete(world, key, ACK_SYNCED, &told);
    return status == STATUS_OK ? await_wish(world, told) : status;
}

static enum status compact(struct world *world)
{
    ask_compaction(world);
    return await_jobs(world);
}

static enum status take_snapshot(struct world *world)
{
    ask_snapshot(world);
    return await_jobs(world);
}

static struct journal_stats stats_of(struct world *world)
{
    struct journal_stats stats;
    store_journal_stats(world->store, &stats);
    return stats;
}

/* Everything that was asked for is there after a cut of the power. */
static void assert_all_is_kept(struct world *world)
{
    atomic_store(&world->durable, world->requests);
    io_sim_crash(world->disk, 5);
    world_close(world);
    assert_int_equal(world_open(world), STATUS_OK);
    const struct verdict verdict = judge(world);
    assert_true(is_clean(&verdict));
    assert_int_equal(stats_of(world).damaged_bytes, 0);
}

/* Woken and turned until it is so; a test that waits in vain is ended by ctest. */
static void await_state(struct world *world, enum storage_state wanted)
{
    while (store_state(world->store) != wanted) {
        atomic_fetch_add(&world_clock_us, 1000);
        journal_wake_custodian(atomic_load(&world->store->journal));
        (void)sched_yield();
    }
}

struct listing {
    unsigned spares, segments;
    bool has_emergency;
    uint64_t spare_bytes;
};

static void list_one(void *context, const char *name, uint64_t size_bytes)
{
    struct listing *listing = context;
    const bool is_spare = strncmp(name, "spare-", 6) == 0;
    listing->spares += is_spare;
    listing->spare_bytes += is_spare ? size_bytes : 0;
    listing->has_emergency = listing->has_emergency || strcmp(name, "spare-0.journal") == 0;
    listing->segments += !is_spare && strstr(name, ".journal") != NULL;
}

static struct listing list(struct world *world)
{
    struct listing listing = {0};
    struct io *io = io_sim_open(world->disk, "");
    assert_int_equal(io->operations->list_files(io, list_one, &listing), STATUS_OK);
    io->operations->close(&io);
    return listing;
}

/* ---- in good times --------------------------------------------------------------------------- */

static void spares_are_made_ahead_at_full_size(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    assert_int_equal(compact(world), STATUS_OK); /* what is asked for comes after them */
    const struct listing listing = list(world);
    assert_int_equal(listing.spares, SPARES + 1);
    assert_true(listing.has_emergency);
    assert_int_equal(listing.spare_bytes, (SPARES + 1) * WORLD_SEGMENT_BYTES);
    world_destroy(&world);
}

static void compaction_gives_dead_bytes_back(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    for (unsigned round = 0; round < 6; round++)
        set_all(world);
    const uint64_t before = stats_of(world).bytes;
    for (uint64_t key = 4; key < WORLD_KEYS; key++)
        assert_int_equal(remove_key(world, key), STATUS_OK);
    assert_int_equal(compact(world), STATUS_OK);
    const struct journal_stats after = stats_of(world);
    assert_true(after.bytes < before);
    assert_true(after.bytes <= 2 * WORLD_SEGMENT_BYTES);
    assert_int_equal(list(world).segments, after.segments);
    assert_all_is_kept(world);
    world_destroy(&world);
}

static void compaction_keeps_what_a_touch_has_changed(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    struct wish_told *told = NULL;
    set_all(world);
    assert_int_equal(ask_touch(world, 3, world_now_ms + 777, ACK_SYNCED, &told), STATUS_OK);
    assert_int_equal(compact(world), STATUS_OK);
    assert_int_equal(compact(world), STATUS_OK);
    assert_all_is_kept(world);
    world_destroy(&world);
}

static void compaction_has_notes_written_anew(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    struct wish_told *told = NULL;
    for (unsigned i = 0; i < WORLD_NOTES; i++)
        assert_int_equal(ask_note(world, i, ACK_SYNCED, &told), STATUS_OK);
    assert_int_equal(compact(world), STATUS_OK);
    assert_all_is_kept(world);
    assert_true(world->notes_now[0] != 0);
    world_destroy(&world);
}

static void a_snapshot_takes_the_place_of_all_before_it(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    assert_int_equal(take_snapshot(world), STATUS_OK);
    struct journal_segment *segments = NULL;
    uint32_t count = 0;
    struct journal *journal = atomic_load(&world->store->journal);
    assert_int_equal(journal_segments(journal, &segments, &count), STATUS_OK);
    assert_int_equal(segments[0].segment.kind, SEGMENT_COMPACTED);
    assert_int_equal(segments[count - 1].segment.last_sequence, 0);
    free(segments);
    assert_all_is_kept(world);
    world_destroy(&world);
}

static void a_name_that_is_taken_or_bad_is_refused(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    static const struct {
        const char *name;
        enum status status;
    } asked[] = {{"monday", STATUS_OK},    {"monday", STATUS_BAD_NAME}, {"a/b", STATUS_BAD_NAME},
                 {"..", STATUS_BAD_NAME},  {"x y", STATUS_BAD_NAME},    {"", STATUS_OK},
                 {"tuesday-2_", STATUS_OK}};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        begin_job(world);
        assert_int_equal(store_snapshot(world->store, text_of(asked[i].name), on_snapshot, world),
                         STATUS_OK);
        assert_int_equal(await_jobs(world), asked[i].status);
    }
    world_destroy(&world);
}

/* None of these vectors is in an index: they are where the Set has left them. */
static void a_snapshot_holds_the_vector_of_every_entry(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    for (unsigned round = 0; round < 2; round++) { /* out of the log, and out of a snapshot */
        if (round == 0)
            set_all(world);
        assert_int_equal(take_snapshot(world), STATUS_OK);
        assert_all_is_kept(world);
        for (uint64_t key = 0; key < WORLD_KEYS; key++)
            assert_int_equal(world->vector_versions[key] != 0, world_dimension(key) > 0);
    }
    world_destroy(&world);
}

/* One segment cannot be read to its end: what it holds before and behind the damage is as good as
 * ever, and what it has lost goes on without a vector. */
static void a_snapshot_takes_what_a_damaged_segment_still_holds(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    io_sim_flip(world->disk, "0000000000000001.journal", SEGMENT_HEADER_BYTES + 200, 0x10);
    assert_int_equal(take_snapshot(world), STATUS_OK);
    assert_all_is_kept(world);
    unsigned lost = 0;
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        lost += world_dimension(key) > 0 && world->vector_versions[key] == 0;
    assert_int_equal(lost, 1);
    world_destroy(&world);
}

static uint64_t bytes_of_keys_from(uint64_t first)
{
    uint64_t bytes = 0;
    for (uint64_t key = first; key < WORLD_KEYS; key++) {
        struct entry *entry = world_entry(key, key + 1, 0);
        assert_non_null(entry);
        bytes += record_size(record_put_size(entry, world_dimension(key)));
        entry_release(entry);
    }
    return bytes;
}

static void vectors_count_among_the_bytes_that_live(void **state)
{
    (void)state;
    struct world *world = world_create(11, DURABILITY_EVERYSEC);
    world->options.segment_bytes = 1 << 20; /* so large that nothing is compacted meanwhile */
    assert_int_equal(world_open(world), STATUS_OK);
    set_all(world);
    assert_int_equal(stats_of(world).live_bytes, bytes_of_keys_from(0));
    assert_all_is_kept(world);
    assert_int_equal(stats_of(world).live_bytes, bytes_of_keys_from(0));
    assert_int_equal(remove_key(world, 0), STATUS_OK);
    assert_int_equal(stats_of(world).live_bytes, bytes_of_keys_from(1));
    world_destroy(&world);
}

/* What the disk has lost lives in the table. */
static void a_damaged_segment_is_replaced_by_a_snapshot(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    assert_true(stats_of(world).segments > 1);
    io_sim_flip(world->disk, "0000000000000001.journal", SEGMENT_HEADER_BYTES + 200, 0x10);
    assert_int_equal(compact(world), STATUS_OK);
    assert_all_is_kept(world);
    world_destroy(&world);
}

static void a_sector_that_cannot_be_read_is_counted_and_its_segment_replaced(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    assert_int_equal(stats_of(world).read_errors, 0);
    io_sim_spoil(world->disk, "0000000000000001.journal", SEGMENT_HEADER_BYTES + 200);
    assert_int_equal(compact(world), STATUS_OK);
    const struct journal_stats stats = stats_of(world);
    assert_int_equal(stats.read_errors, 1);
    assert_int_equal(stats.segments_set_aside, 0); /* a snapshot has taken its place */
    assert_all_is_kept(world);
    world_destroy(&world);
}

/* What it held and nothing else is a miss; it is not read again, and a snapshot replaces it. */
static void a_start_sets_a_damaged_segment_aside(void **state)
{
    (void)state;
    for (unsigned is_sector = 0; is_sector < 2; is_sector++) {
        struct world *world = open_world(MEMORY);
        set_all(world);
        world_close(world);
        if (is_sector != 0)
            io_sim_spoil(world->disk, "0000000000000001.journal", SEGMENT_HEADER_BYTES + 200);
        else
            io_sim_flip(world->disk, "0000000000000001.journal", SEGMENT_HEADER_BYTES + 200, 0x10);
        assert_int_equal(world_open(world), STATUS_OK);
        assert_true(stats_of(world).damaged_bytes > 0);
        assert_int_equal(stats_of(world).read_errors, 1);
        assert_int_equal(stats_of(world).segments_set_aside, 1);
        const struct verdict verdict = judge(world);
        assert_int_equal(verdict.wrong, 0);
        assert_int_equal(compact(world), STATUS_OK);
        assert_int_equal(stats_of(world).read_errors, 1);
        assert_int_equal(stats_of(world).segments_set_aside, 0);
        world_destroy(&world);
    }
}

static void who_asks_while_it_stops_is_told_so(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    for (unsigned i = 0; i < 20; i++)
        ask_compaction(world);
    world_close(world); /* waits for all answers */
    assert_int_equal(world->custodian_jobs, 0);
    assert_int_equal(world_open(world), STATUS_OK);
    world_destroy(&world);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

static void fill_up(struct world *world, unsigned segments)
{
    assert_int_equal(compact(world), STATUS_OK); /* spares are there */
    io_sim_limit(world->disk, (uint64_t)segments * WORLD_SEGMENT_BYTES);
    for (uint64_t i = 0; store_state(world->store) == STORAGE_DURABLE; i++)
        (void)set(world, i % WORLD_KEYS);
    assert_int_equal(store_state(world->store), STORAGE_MEMORY_ONLY);
    assert_true(journal_is_full(atomic_load(&world->store->journal)));
}

static void a_full_disk_is_left_once_there_is_space(void **state)
{
    (void)state;
    struct world *world = open_world(READ_ONLY); /* space is no reason to refuse */
    fill_up(world, 4);
    assert_int_equal(set(world, 1), STATUS_STORAGE_DEGRADED);
    assert_int_equal(remove_key(world, 2), STATUS_STORAGE_DEGRADED);
    io_sim_limit(world->disk, UINT64_MAX);
    await_state(world, STORAGE_DURABLE);
    assert_string_equal(stats_of(world).cause, "");
    assert_all_is_kept(world); /* what was set and deleted meanwhile too */
    assert_int_equal(set(world, 1), STATUS_OK);
    world_destroy(&world);
}

/* The disk stays as small as it is: what is dead on it makes room. */
static void a_full_disk_is_left_by_compaction(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    fill_up(world, 6);
    for (uint64_t key = 2; key < WORLD_KEYS; key++)
        (void)remove_key(world, key); /* it may be back already */
    await_state(world, STORAGE_DURABLE);
    io_sim_limit(world->disk, UINT64_MAX);
    assert_all_is_kept(world);
    world_destroy(&world);
}

static void a_start_on_a_full_disk_serves_and_comes_back_by_itself(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    world_close(world);
    atomic_store(&world->durable, world->requests);
    struct io *io = io_sim_open(world->disk, "");
    for (unsigned i = 0; i <= SPARES; i++) {
        char name[IO_NAME_MAX];
        journal_spare_name(i, name);
        (void)io->operations->remove_file(io, name);
    }
    io->operations->close(&io);
    io_sim_limit(world->disk, 0);
    assert_int_equal(world_open(world), STATUS_OK);
    assert_int_equal(store_state(world->store), STORAGE_MEMORY_ONLY);
    const struct verdict verdict = judge(world);
    assert_true(is_clean(&verdict));
    assert_int_equal(set(world, 7), STATUS_STORAGE_DEGRADED);
    io_sim_limit(world->disk, UINT64_MAX);
    await_state(world, STORAGE_DURABLE);
    assert_all_is_kept(world);
    world_destroy(&world);
}

/* ---- a disk that has failed ------------------------------------------------------------------ */

static void fail_disk(struct world *world)
{
    assert_int_equal(compact(world), STATUS_OK);
    for (uint64_t i = 0; store_state(world->store) == STORAGE_DURABLE; i++) {
        io_sim_fail(world->disk, 0, IO_SIM_ERROR, EIO); /* the custodian may have met the last */
        (void)set(world, i % WORLD_KEYS);
    }
}

static void a_failed_disk_is_used_again_only_when_an_operator_asks(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    fail_disk(world);
    assert_int_equal(store_state(world->store), STORAGE_MEMORY_ONLY);
    assert_int_equal(remove_key(world, 5), STATUS_STORAGE_DEGRADED);
    for (unsigned i = 0; i < 3 * PROBE_S; i++) { /* it does nothing by itself */
        atomic_fetch_add(&world_clock_us, 1000000);
        journal_wake_custodian(atomic_load(&world->store->journal));
        (void)sched_yield();
    }
    assert_int_equal(compact(world), STATUS_STORAGE_DEGRADED);
    assert_int_equal(store_state(world->store), STORAGE_MEMORY_ONLY);
    assert_int_equal(take_snapshot(world), STATUS_OK);
    assert_int_equal(store_state(world->store), STORAGE_DURABLE);
    assert_int_equal(set(world, 5), STATUS_OK);
    assert_all_is_kept(world);
    world_destroy(&world);
}

static void turn_past_probes(struct world *world)
{
    for (unsigned i = 0; i < 3 * PROBE_S; i++) {
        atomic_fetch_add(&world_clock_us, 1000000);
        journal_wake_custodian(atomic_load(&world->store->journal));
        (void)sched_yield();
    }
    assert_int_equal(compact(world), STATUS_STORAGE_DEGRADED); /* it has come by */
}

static void a_failed_disk_that_is_full_besides_waits_for_an_operator_too(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    set_all(world);
    fail_disk(world);
    io_sim_limit(world->disk, 0);
    assert_int_not_equal(take_snapshot(world), STATUS_OK);
    io_sim_limit(world->disk, UINT64_MAX);
    turn_past_probes(world);
    assert_int_equal(store_state(world->store), STORAGE_MEMORY_ONLY);
    assert_int_equal(take_snapshot(world), STATUS_OK);
    assert_int_equal(store_state(world->store), STORAGE_DURABLE);
    assert_all_is_kept(world);
    world_destroy(&world);
}

/* At the k-th call of the way back. A read that fails is no reason, nor one that can do without. */
static void a_full_disk_that_fails_while_it_is_probed_waits_for_an_operator(void **state)
{
    (void)state;
    unsigned suspect = 0;
    for (uint64_t k = 0; k < 24; k++) {
        struct world *world = open_world(READ_ONLY);
        set_all(world);
        fill_up(world, 6);
        struct journal *journal = atomic_load(&world->store->journal);
        io_sim_limit(world->disk, UINT64_MAX);
        io_sim_fail(world->disk, k, IO_SIM_ERROR, EIO);
        while (journal_is_full(journal)) {
            atomic_fetch_add(&world_clock_us, 1000000);
            journal_wake_custodian(journal);
            (void)sched_yield();
        }
        if (store_state(world->store) != STORAGE_DURABLE) {
            suspect++;
            turn_past_probes(world);
            assert_int_equal(store_state(world->store), STORAGE_READ_ONLY);
            assert_int_equal(take_snapshot(world), STATUS_OK);
        }
        assert_int_equal(store_state(world->store), STORAGE_DURABLE);
        world_destroy(&world);
    }
    assert_true(suspect > 2);
}

static void read_only_refuses_until_an_operators_snapshot(void **state)
{
    (void)state;
    struct world *world = open_world(READ_ONLY);
    struct wish_told *told = NULL;
    set_all(world);
    assert_int_equal(ask_note(world, 0, ACK_SYNCED, &told), STATUS_OK);
    fail_disk(world);
    assert_int_equal(store_state(world->store), STORAGE_READ_ONLY);
    assert_int_equal(set(world, 1), STATUS_STORAGE_DEGRADED);
    assert_int_equal(remove_key(world, 1), STATUS_STORAGE_DEGRADED);
    assert_int_equal(ask_note(world, 1, ACK_MEMORY, &told), STATUS_STORAGE_DEGRADED);
    const struct verdict verdict = judge(world);
    assert_int_equal(verdict.wrong + verdict.lost, 0); /* it still answers */
    assert_int_equal(take_snapshot(world), STATUS_OK);
    assert_int_equal(store_state(world->store), STORAGE_DURABLE);
    assert_int_equal(set(world, 1), STATUS_OK);
    assert_all_is_kept(world);
    world_destroy(&world);
}

/* The first has removed what it found; that is not on the disk, so the second may not confirm. */
static void a_purge_of_what_a_lost_purge_has_left_is_not_confirmed(void **state)
{
    (void)state;
    struct world *world = open_world(MEMORY);
    struct wish_told *told = NULL;
    set_all(world);
    fail_disk(world);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask_purge(world, 1, false, ACK_SYNCED, &told), STATUS_OK);
        assert_int_equal(await_wish(world, told), STATUS_STORAGE_DEGRADED);
    }
    world_destroy(&world);
}

/* The disk fails once more while the snapshot is made: what was dropped then is in neither. */
static void a_snapshot_in_which_the_disk_fails_leads_nowhere(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 60; k++) {
        struct world *world = open_world(MEMORY);
        set_all(world);
        fail_disk(world);
        io_sim_fail(world->disk, k, IO_SIM_ERROR, EIO);
        const unsigned asked = world->requests;
        const enum status status = take_snapshot(world);
        if (status == STATUS_OK)
            raise_mark(&world->durable, asked);
        else if (store_state(world->store) != STORAGE_DURABLE)
            assert_int_equal(set(world, 3), STATUS_STORAGE_DEGRADED);
        io_sim_crash(world->disk, k);
        world_close(world);
        assert_int_equal(world_open(world), STATUS_OK);
        const struct verdict verdict = judge(world);
        assert_true(is_clean(&verdict));
        world_destroy(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spares_are_made_ahead_at_full_size),
        cmocka_unit_test(compaction_gives_dead_bytes_back),
        cmocka_unit_test(compaction_keeps_what_a_touch_has_changed),
        cmocka_unit_test(compaction_has_notes_written_anew),
        cmocka_unit_test(a_snapshot_takes_the_place_of_all_before_it),
        cmocka_unit_test(a_name_that_is_taken_or_bad_is_refused),
        cmocka_unit_test(a_snapshot_holds_the_vector_of_every_entry),
        cmocka_unit_test(a_snapshot_takes_what_a_damaged_segment_still_holds),
        cmocka_unit_test(vectors_count_among_the_bytes_that_live),
        cmocka_unit_test(a_damaged_segment_is_replaced_by_a_snapshot),
        cmocka_unit_test(a_sector_that_cannot_be_read_is_counted_and_its_segment_replaced),
        cmocka_unit_test(a_start_sets_a_damaged_segment_aside),
        cmocka_unit_test(who_asks_while_it_stops_is_told_so),
        cmocka_unit_test(a_full_disk_is_left_once_there_is_space),
        cmocka_unit_test(a_full_disk_is_left_by_compaction),
        cmocka_unit_test(a_start_on_a_full_disk_serves_and_comes_back_by_itself),
        cmocka_unit_test(a_failed_disk_is_used_again_only_when_an_operator_asks),
        cmocka_unit_test(a_failed_disk_that_is_full_besides_waits_for_an_operator_too),
        cmocka_unit_test(a_full_disk_that_fails_while_it_is_probed_waits_for_an_operator),
        cmocka_unit_test(read_only_refuses_until_an_operators_snapshot),
        cmocka_unit_test(a_purge_of_what_a_lost_purge_has_left_is_not_confirmed),
        cmocka_unit_test(a_snapshot_in_which_the_disk_fails_leads_nowhere),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
