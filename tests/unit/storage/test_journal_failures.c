/*
 * Goal: when the disk fails, nobody is told what is not true, nothing is tried again on the file,
 * and there is a way back without a hole in the log. Method: a journal behind a gate that fails the
 * next write, sync or creation with an errno; the custodian's part is played by the test.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/storage/journal_world.h"

static void a_failed_write_tells_whoever_waits_and_goes_on_in_memory(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    write_delete(world, 1, ACK_SYNCED, 0);
    await_told(world, 1);
    io_gate_fail(world->gate, GATE_WRITE, EIO);
    io_gate_hold(world->gate);
    write_delete(world, 2, ACK_LOGGED, 1);
    io_gate_await_rest(world->gate);
    write_delete(world, 3, ACK_SYNCED, 2); /* in the batch that fills */
    write_delete(world, 4, ACK_MEMORY, 3); /* waits for the write only */
    io_gate_release(world->gate);
    await_told(world, 4);
    assert_int_equal(told_of(world, 1), STATUS_STORAGE_DEGRADED);
    assert_int_equal(told_of(world, 2), STATUS_STORAGE_DEGRADED);
    assert_int_equal(told_of(world, 3), STATUS_OK);
    assert_int_equal(journal_state(world->journal), STORAGE_MEMORY_ONLY);
    assert_false(journal_is_full(world->journal));
    assert_non_null(strstr(stats_of(world).cause, "writing the journal"));
    assert_true(atomic_load(&custodian_wakes) > 0);
    world_destroy(world);
}

static void a_failed_sync_is_never_tried_again_and_the_log_ends_where_it_is_safe(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    write_delete(world, 1, ACK_SYNCED, 0);
    write_delete(world, 2, ACK_LOGGED, 1);
    await_told(world, 2);
    io_gate_fail(world->gate, GATE_SYNC, EIO);
    write_delete(world, 3, ACK_SYNCED, 2);
    await_told(world, 3);
    assert_int_equal(told_of(world, 2), STATUS_STORAGE_DEGRADED);
    io_gate_fail(world->gate, GATE_SYNC, 0); /* as a kernel that has marked the pages clean */
    const struct io_gate_counts before = io_gate_counts(world->gate);
    write_delete(world, 4, ACK_SYNCED, 3);
    await_told(world, 4);
    assert_int_equal(told_of(world, 3), STATUS_STORAGE_DEGRADED);
    io_gate_turn_ms(world->gate, 5000);
    io_gate_await_rest(world->gate);
    assert_int_equal(io_gate_counts(world->gate).commits, before.commits);
    world_stop(world);
    struct read_log *log = read_back(world);
    assert_int_equal(log->manifest.segments_count, 1);
    const uint64_t last = log->manifest.segments[0].last_sequence;
    assert_true(last == 1 || last == 2); /* 2 may have gone in the first batch */
    forget(log);
    world_destroy(world);
}

static void a_segment_with_nothing_safe_leaves_manifest(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    io_gate_fail(world->gate, GATE_SYNC, EIO);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    assert_int_equal(told_of(world, 0), STATUS_STORAGE_DEGRADED);
    io_gate_fail(world->gate, GATE_SYNC, 0);
    world_stop(world);
    struct read_log *log = read_back(world);
    assert_int_equal(log->manifest.segments_count, 0);
    forget(log);
    world_destroy(world);
}

static void read_only_is_a_state_of_its_own(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_EVERYSEC);
    world->options.error_action = ON_ERROR_READ_ONLY;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_fail(world->gate, GATE_WRITE, EROFS);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    assert_int_equal(told_of(world, 0), STATUS_STORAGE_DEGRADED);
    assert_int_equal(journal_state(world->journal), STORAGE_READ_ONLY);
    world_destroy(world);
}

static void a_full_disk_is_no_reason_to_refuse(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_EVERYSEC);
    world->options.error_action = ON_ERROR_READ_ONLY;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_fail(world->gate, GATE_WRITE, ENOSPC);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    assert_int_equal(journal_state(world->journal), STORAGE_MEMORY_ONLY);
    assert_true(journal_is_full(world->journal));
    world_destroy(world);
}

/* Emptying a suspect disk does not make it trustworthy. */
static void a_full_disk_does_not_excuse_one_that_has_failed(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_EVERYSEC);
    world->options.error_action = ON_ERROR_READ_ONLY;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    uint64_t last = 0;
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_fail(world->gate, GATE_WRITE, EIO);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    io_gate_fail(world->gate, GATE_WRITE, ENOSPC);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_STORAGE_DEGRADED);
    assert_false(journal_is_full(world->journal));
    assert_int_equal(journal_state(world->journal), STORAGE_READ_ONLY);
    assert_string_equal(stats_of(world).cause, "writing the journal: Input/output error");
    world_destroy(world);
}

static void make_spare(const struct world *world)
{
    struct io *io = NULL;
    struct io_file *file = NULL;
    char spare[IO_NAME_MAX];
    journal_spare_name(1, spare);
    assert_int_equal(disk_open(world->folder, &io), STATUS_OK);
    assert_int_equal(io->operations->create_file(io, spare, SEGMENT_BYTES, &file), STATUS_OK);
    io->operations->close_file(io, &file);
    io->operations->close(&io);
}

static void count_segment_file(void *context, const char *name, uint64_t size_bytes)
{
    unsigned *count = context;
    *count += size_bytes == SEGMENT_BYTES && strstr(name, ".journal") != NULL;
}

/* Its pages are called clean now: the next sync would report success for what is lost. */
static void a_spare_whose_sync_has_failed_is_never_used_again(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_ALWAYS);
    world->options.spares = 1;
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    uint64_t last = 0;
    unsigned files = 0;
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_fail(world->gate, GATE_WRITE, EIO);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    make_spare(world);
    io_gate_fail(world->gate, GATE_WRITE, 0);
    io_gate_fail(world->gate, GATE_SYNC, EIO);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_STORAGE_DEGRADED);
    struct io *io = NULL;
    assert_int_equal(disk_open(world->folder, &io), STATUS_OK);
    assert_int_equal(io->operations->list_files(io, count_segment_file, &files), STATUS_OK);
    io->operations->close(&io);
    assert_int_equal(files, 1); /* that which was written at first; the spare is gone */
    io_gate_fail(world->gate, GATE_SYNC, 0);
    world_destroy(world);
}

/* The child is the server; it must end by itself. */
static void exit_ends_the_process(void **state)
{
    (void)state;
    (void)fflush(stdout);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct world *world = world_create(DURABILITY_ALWAYS);
        world->options.error_action = ON_ERROR_EXIT;
        struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
        if (start(world, &recovered) != STATUS_OK)
            _exit(1);
        io_gate_fail(world->gate, GATE_SYNC, EIO);
        write_delete(world, 1, ACK_SYNCED, 0);
        await_told(world, 1);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 74);
}

static void fill_segment(struct world *world)
{
    for (uint64_t i = 0; i < 100; i++)
        write_put(world, i, 4000);
}

static void the_way_back_from_a_full_disk_leaves_no_hole(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    io_gate_fail(world->gate, GATE_CREATE, ENOSPC);
    fill_segment(world); /* one is sealed, the next cannot be made */
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    assert_int_equal(told_of(world, 0), STATUS_STORAGE_DEGRADED);
    assert_true(journal_is_full(world->journal));
    const uint64_t lost_up_to = world->sequence;

    uint64_t last = 0;
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_STORAGE_DEGRADED);
    assert_int_equal(journal_resume(world->journal, journal_failures(world->journal)),
                     STATUS_STORAGE_DEGRADED);
    io_gate_fail(world->gate, GATE_CREATE, 0); /* there is space again */
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(last, lost_up_to);
    write_delete(world, 2, ACK_LOGGED, 1); /* written; but what came before is nowhere yet */
    await_told(world, 2);
    assert_int_equal(told_of(world, 1), STATUS_STORAGE_DEGRADED);
    assert_int_equal(journal_resume(world->journal, journal_failures(world->journal)), STATUS_OK);
    assert_int_equal(journal_state(world->journal), STORAGE_DURABLE);
    assert_string_equal(stats_of(world).cause, "");
    write_delete(world, 3, ACK_LOGGED, 2);
    await_told(world, 3);
    assert_int_equal(told_of(world, 2), STATUS_OK);
    world_stop(world);

    struct read_log *log = read_back(world);
    assert_int_equal(log->manifest.segments_count, 2);
    assert_true(log->manifest.segments[0].last_sequence < lost_up_to);
    assert_int_equal(log->manifest.segments[1].first_sequence, lost_up_to + 1);
    assert_int_equal(log->manifest.segments[1].last_sequence, lost_up_to + 2);
    forget(log);
    world_destroy(world);
}

static void a_second_failure_on_the_way_back_is_a_failure(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    uint64_t last;
    io_gate_fail(world->gate, GATE_WRITE, EIO);
    write_delete(world, 1, ACK_LOGGED, 0);
    await_told(world, 1);
    io_gate_fail(world->gate, GATE_WRITE, 0);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    io_gate_fail(world->gate, GATE_WRITE, EIO);
    write_delete(world, 2, ACK_LOGGED, 1);
    await_told(world, 2);
    assert_int_equal(journal_resume(world->journal, journal_failures(world->journal)),
                     STATUS_STORAGE_DEGRADED);
    assert_int_equal(journal_state(world->journal), STORAGE_MEMORY_ONLY);
    world_destroy(world);
}

static void a_purge_whose_floor_cannot_be_kept_is_not_confirmed(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    const struct record_purge purge = {.tenant = {1}};
    enum status status;
    io_gate_fail(world->gate, GATE_RENAME, EIO); /* of MANIFEST */
    const struct journal_wish wish = wish_of(world, 0, ACK_LOGGED);
    hand_in(world, ticket_purge(world->journal, &purge, &status), &wish);
    await_told(world, 1);
    assert_int_equal(told_of(world, 0), STATUS_STORAGE_DEGRADED);
    assert_int_equal(journal_state(world->journal), STORAGE_MEMORY_ONLY);
    io_gate_fail(world->gate, GATE_RENAME, 0);
    world_destroy(world);
}

static void a_backend_without_memory_has_its_batch_written_plainly(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    io_gate_refuse_submit(world->gate, true);
    write_delete(world, 1, ACK_SYNCED, 0);
    await_told(world, 1);
    assert_int_equal(told_of(world, 0), STATUS_OK);
    assert_int_equal(io_gate_counts(world->gate).submits_refused, 1);
    assert_int_equal(io_gate_counts(world->gate).commits, 0);
    io_gate_refuse_submit(world->gate, false);
    world_stop(world);
    struct read_log *log = read_back(world);
    uint64_t last;
    assert_int_equal(count_in_order(log, &last), 1);
    forget(log);
    world_destroy(world);
}

static void a_journal_that_cannot_be_begun_says_why(void **state)
{
    (void)state;
    struct world *world = world_create(DURABILITY_EVERYSEC);
    struct io *inner = NULL;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(disk_open(world->folder, &inner), STATUS_OK);
    struct io *gate = io_gate_open(inner), *custodian_io = NULL;
    assert_int_equal(disk_open(world->folder, &custodian_io), STATUS_OK);
    io_gate_fail(gate, GATE_CREATE, EIO);
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    static const struct io_backend backend = {.taken = IO_POSIX};
    const struct journal_setup setup = {.options = &world->options,
                                        .backend = &backend,
                                        .io = gate,
                                        .custodian_io = custodian_io,
                                        .recovered = &recovered,
                                        .clock_us = io_gate_clock_us,
                                        .clock_ms = wall_ms,
                                        .chance = chance};
    assert_int_equal(journal_start(&setup, &world->journal, &failure), STATUS_IO_FAILED);
    assert_non_null(strstr(failure.message, "Input/output error"));
    assert_null(world->journal);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_ends_the_process), /* first: it forks */
        cmocka_unit_test(a_failed_write_tells_whoever_waits_and_goes_on_in_memory),
        cmocka_unit_test(a_failed_sync_is_never_tried_again_and_the_log_ends_where_it_is_safe),
        cmocka_unit_test(a_segment_with_nothing_safe_leaves_manifest),
        cmocka_unit_test(read_only_is_a_state_of_its_own),
        cmocka_unit_test(a_full_disk_is_no_reason_to_refuse),
        cmocka_unit_test(a_full_disk_does_not_excuse_one_that_has_failed),
        cmocka_unit_test(a_spare_whose_sync_has_failed_is_never_used_again),
        cmocka_unit_test(the_way_back_from_a_full_disk_leaves_no_hole),
        cmocka_unit_test(a_second_failure_on_the_way_back_is_a_failure),
        cmocka_unit_test(a_purge_whose_floor_cannot_be_kept_is_not_confirmed),
        cmocka_unit_test(a_backend_without_memory_has_its_batch_written_plainly),
        cmocka_unit_test(a_journal_that_cannot_be_begun_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
