/*
 * Goal: what is handed in lies in the log in order, in groups, as durable as was asked, and whoever
 * asked is told once. Method: a journal behind a gate, so that the test says when a write is done
 * and how late it is; the segments are read back byte for byte. Exercises journal, journal_ticket,
 * journal_batch, journal_segments and journal_custody.
 */
#include <sched.h>

#include "tests/unit/storage/journal_world.h"

static void every_kind_of_record_is_written_as_handed_in(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    struct entry *entry = make_entry(1, 20, 5000);
    const float unit[3] = {0.0f, 0.6f, 0.8f};
    const struct digest digest = digest_number(2);
    const struct record_purge purge = {.tenant = {9}};
    const struct record_note note = {.owner = 1, .kind = 2, .bytes = TEXT("note")};
    enum status status;
    hand_in(world, ticket_put(world->journal, entry, unit, 3, &status), NULL);
    hand_in(world, ticket_delete(world->journal, &digest, &status), NULL);
    hand_in(world, ticket_touch(world->journal, &digest, 777, &status), NULL);
    hand_in(world, ticket_purge(world->journal, &purge, &status), NULL);
    hand_in(world, ticket_note(world->journal, &note, &status), NULL);
    world_stop(world);

    struct read_log *log = read_back(world);
    uint64_t last;
    assert_int_equal(count_in_order(log, &last), 5);
    const struct read_record *records = log->records;
    struct record_put put;
    assert_int_equal(records[0].type, RECORD_PUT);
    assert_int_equal(records[0].expires_ms, 5000);
    assert_int_equal(
        record_put_read((struct text){(const char *)records[0].payload, records[0].payload_bytes},
                        &put),
        STATUS_OK);
    assert_true(digest_equal(&put.digest, entry_digest(entry)));
    assert_memory_equal(put.vector, unit, sizeof(unit));
    assert_int_equal(records[1].type, RECORD_DELETE);
    assert_memory_equal(records[1].payload, digest.bytes, sizeof(digest.bytes));
    assert_int_equal(records[2].type, RECORD_TOUCH);
    assert_int_equal(records[2].expires_ms, 777);
    struct record_purge purge_read;
    assert_int_equal(records[3].type, RECORD_PURGE);
    assert_int_equal(
        record_purge_read((struct text){(const char *)records[3].payload, 40}, &purge_read),
        STATUS_OK);
    assert_int_equal(purge_read.floor, 4); /* its own number */
    assert_int_equal(records[4].type, RECORD_NOTE);
    assert_int_equal(records[4].payload_bytes, RECORD_NOTE_FIXED_BYTES + 4);
    assert_int_equal(log->manifest.floors_count, 1);
    assert_int_equal(log->manifest.floors[0].sequence, 4);
    forget(log);
    entry_release(entry);
    world_destroy(world);
}

static void what_comes_while_one_is_written_goes_together(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    io_gate_hold(world->gate);
    write_delete(world, 0, ACK_LOGGED, 0);
    io_gate_await_rest(world->gate); /* it is in flight */
    for (unsigned i = 1; i < 200; i++)
        write_delete(world, i, ACK_LOGGED, (int)i);
    assert_int_equal(told_count(world), 0);
    io_gate_release(world->gate);
    await_told(world, 200);
    assert_int_equal(io_gate_counts(world->gate).commits, 2);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(told_of(world, i), STATUS_OK);
    world_destroy(world);
}

static void logged_is_told_after_the_write_and_synced_after_a_sync(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    write_delete(world, 1, ACK_LOGGED, 1);
    await_told(world, 1);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 0);
    assert_int_equal(stats_of(world).durable_sequence, 0);
    write_delete(world, 2, ACK_SYNCED, 2);
    await_told(world, 2);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 1);
    assert_int_equal(stats_of(world).durable_sequence, 2);
    world_destroy(world);
}

static void what_nobody_awaits_leaves_after_the_flush_interval(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    write_delete(world, 1, ACK_MEMORY, UNTOLD);
    io_gate_await_rest(world->gate);
    io_gate_turn_ms(world->gate, 9);
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits, 0);
    io_gate_turn_ms(world->gate, 1);
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits, 1);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 0);
    world_destroy(world);
}

static void half_a_batch_leaves_at_once(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_NONE);
    world->options.segment_bytes = 8 << 20;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_await_rest(world->gate);
    for (uint64_t i = 0; i < 9; i++)
        write_put(world, i, 64 * 1024);
    while (io_gate_counts(world->gate).commits == 0)
        io_gate_await_rest(world->gate);
    assert_true(io_gate_counts(world->gate).bytes >= BATCH_BYTES / 2);
    world_destroy(world);
}

static void always_syncs_every_batch_and_pads_it_to_blocks(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    for (unsigned i = 0; i < 20; i++) {
        write_delete(world, i, ACK_LOGGED, (int)i);
        await_told(world, i + 1);
    }
    const struct io_gate_counts counts = io_gate_counts(world->gate);
    assert_int_equal(counts.commits, 20);
    assert_int_equal(counts.commits_synced, 20);
    assert_int_equal(counts.bytes % RECORD_BLOCK_BYTES, 0);
    assert_int_equal(counts.rewritten, 0);
    world_destroy(world);
}

static void everysec_syncs_a_second_after_the_first_unsynced_record(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    write_delete(world, 1, ACK_LOGGED, 1);
    await_told(world, 1);
    io_gate_await_rest(world->gate);
    io_gate_turn_ms(world->gate, 999);
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 0);
    io_gate_turn_ms(world->gate, 1);
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 1);
    assert_int_equal(stats_of(world).durable_sequence, 1);
    io_gate_turn_ms(world->gate, 5000); /* nothing is unsynced: nothing to do */
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits, 2);
    world_destroy(world);
}

static void none_syncs_when_it_stops(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    write_delete(world, 1, ACK_LOGGED, 1);
    await_told(world, 1);
    io_gate_turn_ms(world->gate, 60000);
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 0);
    world_stop(world);
    struct read_log *log = read_back(world);
    assert_int_equal(log->manifest.segments_count, 1);
    assert_int_equal(log->manifest.segments[0].last_sequence, 1); /* finished */
    assert_int_equal(log->records[log->count - 2].type, RECORD_SEAL);
    forget(log);
    world_destroy(world);
}

static void a_block_that_was_synced_is_never_written_again(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    unsigned told = 0;
    for (unsigned i = 0; i < 300; i++) {
        write_put(world, i, 8 + i * 7 % 900);
        write_delete(world, i, i % 3 == 0 ? ACK_SYNCED : ACK_LOGGED, (int)told);
        await_told(world, ++told);
    }
    assert_int_equal(io_gate_counts(world->gate).rewritten, 0);
    world_destroy(world);
}

/* Segments of 256 KiB, some 60 records of 4 KiB each. */
static void a_full_segment_is_sealed_and_another_begun(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    for (uint64_t i = 0; i < 400; i++)
        write_put(world, i, 4000);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    world_stop(world);
    struct read_log *log = read_back(world);
    uint64_t last;
    assert_int_equal(count_in_order(log, &last), 401);
    assert_true(log->manifest.segments_count >= 7);
    uint64_t records_count = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct read_record *record = &log->records[i];
        const bool is_record = record->type != RECORD_PAD && record->type != RECORD_SEAL;
        if (is_record)
            records_count++;
        if (record->type != RECORD_SEAL)
            continue;
        uint64_t sealed_count;
        memcpy(&sealed_count, record->payload, sizeof(sealed_count));
        assert_int_equal(sealed_count, records_count);
        records_count = 0;
    }
    assert_int_equal(records_count, 0); /* every segment ends with a SEAL */
    for (uint32_t i = 1; i < log->manifest.segments_count; i++)
        assert_int_equal(log->manifest.segments[i].first_sequence,
                         log->manifest.segments[i - 1].last_sequence + 1);
    forget(log);
    world_destroy(world);
}

static void a_spare_is_taken_by_its_name(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_NONE);
    world->options.spares = 1;
    struct io *io = NULL;
    struct io_file *file = NULL;
    char spare[IO_NAME_MAX];
    uint64_t size;
    assert_int_equal(disk_open(world->folder, &io), STATUS_OK);
    journal_spare_name(1, spare);
    assert_int_equal(io->operations->create_file(io, spare, SEGMENT_BYTES, &file), STATUS_OK);
    io->operations->close_file(io, &file);
    struct recovered recovered = {.sequence_next = 1, .segment_next = 5};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    assert_int_equal(io->operations->open_file(io, spare, IO_READ_ONLY, &file, &size),
                     STATUS_NOT_FOUND);
    char name[IO_NAME_MAX];
    manifest_segment_name(5, name);
    assert_int_equal(io->operations->open_file(io, name, IO_READ_ONLY, &file, &size), STATUS_OK);
    io->operations->close_file(io, &file);
    io->operations->close(&io);
    world_destroy(world);
}

static void a_record_larger_than_a_batch_has_a_block_of_its_own(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_ALWAYS);
    world->options.segment_bytes = 16 << 20;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    write_delete(world, 1, ACK_MEMORY, UNTOLD);
    write_put(world, 2, 3 << 20);
    write_put(world, 3,
              BATCH_BYTES - 300); /* with what may stand behind it, too large by a little */
    write_delete(world, 4, ACK_SYNCED, 0);
    await_told(world, 1);
    struct entry *entry = make_entry(5, 4 << 20, 0); /* a quarter of the segment, and more */
    enum status status;
    assert_null(ticket_put(world->journal, entry, NULL, 0, &status));
    assert_int_equal(status, STATUS_ENTRY_TOO_LARGE);
    entry_release(entry);
    world_stop(world);
    struct read_log *log = read_back(world);
    uint64_t last;
    assert_int_equal(count_in_order(log, &last), 4);
    forget(log);
    world_destroy(world);
}

static void a_barrier_is_told_after_all_before_it(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    io_gate_hold(world->gate);
    for (unsigned i = 0; i < 10; i++)
        write_delete(world, i, ACK_MEMORY, UNTOLD);
    enum status status;
    struct journal_wish wish = wish_of(world, 0, ACK_SYNCED);
    journal_submit(world->journal, ticket_barrier(world->journal, &status), 0, &wish);
    journal_kick(world->journal);
    io_gate_await_rest(world->gate);
    assert_int_equal(told_count(world), 0);
    io_gate_release(world->gate);
    await_told(world, 1);
    assert_int_equal(stats_of(world).durable_sequence, 10);
    wish = wish_of(world, 1, ACK_SYNCED); /* one more, when there is nothing to do */
    journal_submit(world->journal, ticket_barrier(world->journal, &status), 0, &wish);
    journal_kick(world->journal);
    await_told(world, 2);
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 1);
    world_destroy(world);
}

static void writers_are_slowed_at_half_the_queue_and_refused_at_its_end(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_NONE);
    world->options.queue_bytes = 64 * 1024;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_await_rest(world->gate);
    io_gate_hold(world->gate);
    assert_false(journal_is_pressed(world->journal));
    const struct digest digest = digest_number(1);
    unsigned count = 0;
    enum status status = STATUS_OK;
    bool was_pressed = false;
    for (;; count++) {
        was_pressed |= journal_is_pressed(world->journal);
        struct ticket *ticket = ticket_delete(world->journal, &digest, &status);
        if (ticket == NULL)
            break;
        const struct journal_wish wish = wish_of(world, count, ACK_LOGGED);
        hand_in(world, ticket, &wish);
    }
    assert_int_equal(status, STATUS_OVERLOADED);
    assert_true(was_pressed);
    assert_true(count > 100);
    io_gate_release(world->gate);
    await_told(world, count);
    io_gate_await_rest(world->gate);
    assert_int_equal(stats_of(world).queue_bytes, 0);
    assert_false(journal_is_pressed(world->journal));
    world_destroy(world);
}

static void everysec_that_falls_behind_slows_writers(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    io_gate_await_rest(world->gate);
    io_gate_hold(world->gate);
    io_gate_turn_ms(world->gate, 1000); /* the sync is due, and does not come back */
    io_gate_await_rest(world->gate);
    assert_false(journal_is_pressed(world->journal));
    io_gate_turn_ms(world->gate, 1001);
    assert_true(journal_is_pressed(world->journal));
    io_gate_release(world->gate);
    io_gate_await_rest(world->gate);
    assert_false(journal_is_pressed(world->journal));
    world_destroy(world);
}

static void a_stop_writes_all_that_was_handed_in(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    io_gate_hold(world->gate);
    write_delete(world, 0, ACK_LOGGED, 0);
    io_gate_await_rest(world->gate);
    for (unsigned i = 1; i < 1000; i++)
        write_delete(world, i, i % 2 == 0 ? ACK_MEMORY : ACK_SYNCED, i % 2 == 0 ? UNTOLD : (int)i);
    io_gate_release(world->gate);
    world_stop(world);
    assert_int_equal(told_count(world), 501);
    struct read_log *log = read_back(world);
    uint64_t last;
    assert_int_equal(count_in_order(log, &last), 1000);
    forget(log);
    world_destroy(world);
}

static void a_rotation_finishes_what_was_handed_in_before_it(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    uint64_t last = 99;
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(last, 0); /* nothing to finish */
    assert_int_equal(stats_of(world).segments, 1);
    for (unsigned i = 0; i < 5; i++)
        write_delete(world, i, ACK_MEMORY, UNTOLD);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(last, 5);
    struct journal_segment *segments = NULL;
    uint32_t count = 0;
    assert_int_equal(journal_segments(world->journal, &segments, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(segments[0].segment.last_sequence, 5);
    assert_int_equal(segments[1].segment.first_sequence, 6);
    assert_int_equal(segments[1].segment.last_sequence, 0);
    free(segments);
    world_destroy(world);
}

struct rotation {
    struct journal *journal;
    uint64_t last;
    enum status status;
};

static void *rotate_beside(void *argument)
{
    struct rotation *rotation = argument;
    rotation->status = journal_rotate(rotation->journal, &rotation->last);
    return NULL;
}

static void await_rotation_wish(struct journal *journal)
{
    bool is_due = false;
    while (!is_due) {
        lock_acquire(&journal->rotation_lock);
        is_due = journal->is_rotation_due;
        lock_release(&journal->rotation_lock);
        (void)sched_yield();
    }
}

/* What is handed in behind a held write needs several segments. */
static void rotate_behind_a_queue(enum journal_durability durability)
{
    enum { PUTS = 200 };
    struct world *world = world_start(durability);
    struct rotation rotation = {.journal = world->journal, .status = STATUS_INTERNAL};
    pthread_t thread;
    io_gate_hold(world->gate);
    write_delete(world, 1, ACK_SYNCED, 0);
    io_gate_await_rest(world->gate);
    for (uint64_t i = 0; i < PUTS; i++)
        write_put(world, i, 4000);
    assert_int_equal(pthread_create(&thread, NULL, rotate_beside, &rotation), 0);
    await_rotation_wish(world->journal);
    io_gate_release(world->gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rotation.status, STATUS_OK);
    assert_int_equal(rotation.last, 1 + PUTS);
    struct journal_segment *segments = NULL;
    uint32_t count = 0;
    assert_int_equal(journal_segments(world->journal, &segments, &count), STATUS_OK);
    assert_true(count > 3);
    assert_int_equal(segments[count - 2].segment.last_sequence, 1 + PUTS);
    free(segments);
    await_told(world, 1);
    world_destroy(world);
}

/* Under `always` the file is direct, and every batch a whole number of blocks. */
static void a_rotation_waits_for_all_that_is_queued(void **state)
{
    (void)state;
    rotate_behind_a_queue(DURABILITY_EVERYSEC);
    rotate_behind_a_queue(DURABILITY_ALWAYS);
    rotate_behind_a_queue(DURABILITY_NONE);
}

/* A barrier draws no number: the segment that follows begins behind the number before it. */
static void a_rotation_behind_a_barrier_leaves_no_gap(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    enum status status;
    uint64_t last;
    io_gate_hold(world->gate);
    write_delete(world, 1, ACK_SYNCED, 0);
    io_gate_await_rest(world->gate);
    write_delete(world, 2, ACK_MEMORY, UNTOLD);
    const struct journal_wish wish = wish_of(world, 1, ACK_SYNCED);
    journal_submit(world->journal, ticket_barrier(world->journal, &status), 0, &wish);
    journal_kick(world->journal);
    io_gate_release(world->gate);
    await_told(world, 2);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(last, 2);
    write_delete(world, 3, ACK_LOGGED, 2);
    await_told(world, 3);
    world_stop(world);
    struct read_log *log = read_back(world);
    assert_int_equal(count_in_order(log, &last), 3);
    forget(log);
    world_destroy(world);
}

static void replaced_segments_leave_manifest_and_folder(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    const struct record_purge purge = {.tenant = {9}};
    uint64_t last;
    enum status status;
    write_delete(world, 1, ACK_MEMORY, UNTOLD);
    hand_in(world, ticket_purge(world->journal, &purge, &status), NULL);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    write_delete(world, 2, ACK_MEMORY, UNTOLD);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(journal_replace(world->journal, 1, NULL, 0, 0), STATUS_OK);
    struct read_log *log = read_back(world);
    assert_int_equal(log->manifest.segments_count, 2);
    assert_int_equal(log->manifest.segments[0].first_sequence, 3);
    assert_int_equal(log->manifest.floors_count, 0); /* nothing that old is left */
    forget(log);
    world_destroy(world);
}

static void dead_bytes_are_taken_from_their_segment(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    struct entry *entry = make_entry(1, 1000, 0);
    const uint64_t payload_bytes = record_put_size(entry, 0), bytes = record_size(payload_bytes);
    uint64_t last;
    for (uint64_t i = 0; i < 4; i++)
        write_put(world, i, 1000);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(stats_of(world).live_bytes, 4 * bytes);
    journal_count_dead(world->journal, 2, payload_bytes);
    assert_int_equal(stats_of(world).live_bytes, 3 * bytes);
    journal_count_dead(world->journal, 5, payload_bytes); /* dead before it is written */
    write_put(world, 5, 1000);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(stats_of(world).live_bytes, 3 * bytes);
    entry_release(entry);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_record_is_written_as_handed_in),
        cmocka_unit_test(what_comes_while_one_is_written_goes_together),
        cmocka_unit_test(logged_is_told_after_the_write_and_synced_after_a_sync),
        cmocka_unit_test(what_nobody_awaits_leaves_after_the_flush_interval),
        cmocka_unit_test(half_a_batch_leaves_at_once),
        cmocka_unit_test(always_syncs_every_batch_and_pads_it_to_blocks),
        cmocka_unit_test(everysec_syncs_a_second_after_the_first_unsynced_record),
        cmocka_unit_test(none_syncs_when_it_stops),
        cmocka_unit_test(a_block_that_was_synced_is_never_written_again),
        cmocka_unit_test(a_full_segment_is_sealed_and_another_begun),
        cmocka_unit_test(a_spare_is_taken_by_its_name),
        cmocka_unit_test(a_record_larger_than_a_batch_has_a_block_of_its_own),
        cmocka_unit_test(a_barrier_is_told_after_all_before_it),
        cmocka_unit_test(writers_are_slowed_at_half_the_queue_and_refused_at_its_end),
        cmocka_unit_test(everysec_that_falls_behind_slows_writers),
        cmocka_unit_test(a_stop_writes_all_that_was_handed_in),
        cmocka_unit_test(a_rotation_finishes_what_was_handed_in_before_it),
        cmocka_unit_test(a_rotation_waits_for_all_that_is_queued),
        cmocka_unit_test(a_rotation_behind_a_barrier_leaves_no_gap),
        cmocka_unit_test(replaced_segments_leave_manifest_and_folder),
        cmocka_unit_test(dead_bytes_are_taken_from_their_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
