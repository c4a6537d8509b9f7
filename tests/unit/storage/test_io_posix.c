/*
 * Goal: io_posix goes on after what is no failure (short counts, EINTR, EAGAIN), and never tells a
 * failure as success: no sync after half a write, no second try of a sync. Also what only processes
 * show: LOCK, and a disk that is full. Method: this program's own pwrite and fdatasync stand before
 * the C library's and fail as they are told; children; a small tmpfs where this may be mounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/storage/io_world.h"

struct plan {        /* of the system calls */
    unsigned errors; /* calls that fail with `error` before one is let through; UINT_MAX: all */
    int error;
    size_t write_max;       /* bytes a write takes; 0: all                        */
    unsigned writes_max;    /* writes that succeed, then `error`; 0: no such limit */
    int sync_error;         /* of all syncs; 0: none                              */
    unsigned sync_errors;   /* syncs that are interrupted first                   */
    unsigned writes, syncs; /* counted                                           */
};

static struct plan plan;

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    plan.writes++;
    if (plan.errors > 0 || (plan.writes_max != 0 && plan.writes > plan.writes_max)) {
        plan.errors -= plan.errors != 0 && plan.errors != UINT32_MAX;
        errno = plan.error;
        return -1;
    }
    if (plan.write_max != 0 && size > plan.write_max)
        size = plan.write_max;
    return syscall(SYS_pwrite64, file, bytes, size, offset);
}

int fdatasync(int file)
{
    plan.syncs++;
    if (plan.sync_errors > 0) {
        plan.sync_errors--;
        errno = EINTR;
        return -1;
    }
    if (plan.sync_error != 0) {
        errno = plan.sync_error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, file);
}

struct world {
    char folder[64];
    struct io *io;
    struct io_file *file;
    uint8_t *bytes;
};

static int make_world(void **state)
{
    static struct world world;
    plan = (struct plan){0};
    folder_create(world.folder);
    assert_int_equal(io_posix_open(world.folder, &world.io, NULL), STATUS_OK);
    world.file = file_in(world.io, "a", 8 * BLOCK);
    world.bytes = blocks_of(8, 1);
    plan = (struct plan){0};
    *state = &world;
    return 0;
}

static int end_world(void **state)
{
    struct world *world = *state;
    plan = (struct plan){0};
    world->io->operations->close_file(world->io, &world->file);
    world->io->operations->close(&world->io);
    free(world->bytes);
    folder_remove(world->folder);
    return 0;
}

static struct io_completion commit_all(struct world *world)
{
    return commit_now(world->io, world->file,
                      &(struct io_commit){
                          .bytes = world->bytes, .size_bytes = 8 * BLOCK, .sync = true, .tag = 5});
}

static void short_counts_go_on_until_all_is_written(void **state)
{
    struct world *world = *state;
    plan = (struct plan){.write_max = 1000};
    assert_int_equal(commit_all(world).status, STATUS_OK);
    assert_int_equal(plan.writes, (8 * BLOCK + 999) / 1000);
    assert_int_equal(plan.syncs, 1);
    assert_holds(world->io, world->file, world->bytes, 8 * BLOCK, 0);
}

static void a_direct_file_goes_on_at_a_block(void **state)
{
    struct world *world = *state;
    uint64_t size = 0;
    world->io->operations->close_file(world->io, &world->file);
    assert_int_equal(
        world->io->operations->open_file(world->io, "a", IO_DIRECT, &world->file, &size),
        STATUS_OK);
    if (!world->io->operations->is_direct(world->file)) {
        print_message("skipped: this folder has no direct files\n");
        skip();
    }
    plan = (struct plan){.write_max = BLOCK + 512};
    assert_int_equal(commit_all(world).status, STATUS_OK);
    assert_holds(world->io, world->file, world->bytes, 8 * BLOCK, 0);
    plan = (struct plan){.write_max = 512}; /* it never gets on */
    assert_int_equal(commit_all(world).status, STATUS_IO_FAILED);
}

static void an_interrupted_call_is_made_again(void **state)
{
    struct world *world = *state;
    static const int errors[] = {EINTR, EAGAIN};
    for (size_t i = 0; i < 2; i++) {
        plan = (struct plan){.errors = 3, .error = errors[i], .sync_errors = 2};
        assert_int_equal(commit_all(world).status, STATUS_OK);
        assert_int_equal(plan.writes, 4);
        assert_int_equal(plan.syncs, 3);
    }
}

static void what_is_interrupted_for_ever_has_failed(void **state)
{
    struct world *world = *state;
    plan = (struct plan){.errors = UINT32_MAX, .error = EAGAIN};
    const struct io_completion completion = commit_all(world);
    assert_int_equal(completion.status, STATUS_IO_FAILED);
    assert_int_equal(completion.error, EAGAIN);
    assert_int_equal(plan.syncs, 0);
}

static void a_write_that_fails_is_told_and_not_synced(void **state)
{
    struct world *world = *state;
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS, ENODEV, EFBIG};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        plan = (struct plan){.write_max = 5000, .writes_max = 3, .error = errors[i]};
        const struct io_completion completion = commit_all(world);
        assert_int_equal(completion.status, STATUS_IO_FAILED);
        assert_int_equal(completion.error, errors[i]);
        assert_false(completion.sync_failed);
        assert_int_equal(plan.syncs, 0);
        plan = (struct plan){.writes_max = 1, .write_max = 10, .error = errors[i]};
        assert_int_equal(
            world->io->operations->write_at(world->io, world->file, world->bytes, 100, 0),
            STATUS_IO_FAILED);
        assert_int_equal(world->io->error, errors[i]);
    }
}

static void a_sync_that_fails_is_told_and_not_tried_again(void **state)
{
    struct world *world = *state;
    static const int errors[] = {EIO, ENOSPC, ENOMEM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        plan = (struct plan){.sync_error = errors[i]};
        const struct io_completion completion = commit_all(world);
        assert_int_equal(completion.status, STATUS_IO_FAILED);
        assert_int_equal(completion.error, errors[i]);
        assert_true(completion.sync_failed);
        assert_int_equal(plan.syncs, 1);
        assert_int_equal(world->io->operations->sync_file(world->io, world->file),
                         STATUS_IO_FAILED);
        assert_int_equal(plan.syncs, 2);
    }
}

static void half_a_file_does_not_stay(void **state)
{
    struct world *world = *state;
    struct io_file *file = NULL;
    uint64_t size = 0;
    plan = (struct plan){.writes_max = 2, .error = ENOSPC};
    assert_int_equal(world->io->operations->create_file(world->io, "b", 1 << 20, &file),
                     STATUS_IO_FAILED);
    assert_int_equal(world->io->error, ENOSPC);
    assert_null(file);
    assert_int_equal(world->io->operations->open_file(world->io, "b", IO_BUFFERED, &file, &size),
                     STATUS_NOT_FOUND);
}

/* ---- processes ------------------------------------------------------------------------------- */

static pid_t child_that_locks(const char *folder)
{
    int ends[2];
    char byte = 0;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct io *io = NULL;
        int64_t holder = 0;
        if (io_posix_open(folder, &io, NULL) != STATUS_OK ||
            io->operations->lock_directory(io, &holder) != STATUS_OK || write(ends[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    (void)close(ends[0]);
    return child;
}

static void another_process_holds_the_folder_until_it_dies(void **state)
{
    struct world *world = *state;
    const pid_t child = child_that_locks(world->folder);
    int64_t holder = -1;
    int how = 0;
    assert_int_equal(world->io->operations->lock_directory(world->io, &holder), STATUS_UNAVAILABLE);
    assert_int_equal(holder, child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(world->io->operations->lock_directory(world->io, &holder), STATUS_OK);
}

static void what_lock_says_is_believed_only_if_it_is_of_this_boot(void **state)
{
    struct world *world = *state;
    static const char *const lines[] = {"", "x\n", "12", "12 another-boot\n", "-4 x\n", "12 \n"};
    const pid_t child = child_that_locks(world->folder);
    char path[128];
    int how = 0;
    (void)snprintf(path, sizeof(path), "%s/LOCK", world->folder);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int64_t holder = -1;
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs(lines[i], file);
        (void)fclose(file);
        assert_int_equal(world->io->operations->lock_directory(world->io, &holder),
                         STATUS_UNAVAILABLE);
        assert_int_equal(holder, 0);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
}

/* 1 MiB, in a namespace of its own, so that it goes with the child. 77: not possible here. */
static void fill_small_disk(const char *folder)
{
    struct io *io = NULL;
    struct io_file *file = NULL;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("reprise", folder, "tmpfs", 0, "size=1m") != 0)
        _exit(77);
    if (io_posix_open(folder, &io, NULL) != STATUS_OK)
        _exit(1);
    if (io->operations->create_file(io, "b", 8 << 20, &file) != STATUS_IO_FAILED ||
        io->error != ENOSPC)
        _exit(2);
    if (io->operations->create_file(io, "b", 1 << 19, &file) != STATUS_OK)
        _exit(3); /* the half file was still there */
    uint8_t *bytes = calloc(1, 1 << 20);
    const struct io_commit commit = {
        .bytes = bytes, .size_bytes = 1 << 20, .offset_bytes = 1 << 19, .sync = true};
    struct io_completion completion = {0};
    if (bytes == NULL || io->operations->submit(io, file, &commit) != STATUS_OK)
        _exit(4);
    if (io->operations->reap(io, 0, &completion, 1) != 1 || completion.status != STATUS_IO_FAILED ||
        completion.error != ENOSPC || completion.sync_failed)
        _exit(5);
    int64_t holder = 0;
    if (io->operations->lock_directory(io, &holder) != STATUS_OK)
        _exit(6); /* a full disk does not keep us from reading */
    _exit(0);
}

static void a_full_disk_is_told_as_such(void **state)
{
    struct world *world = *state;
    int how = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        fill_small_disk(world->folder);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    if (WEXITSTATUS(how) == 77) {
        print_message("skipped: no tmpfs can be mounted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(how), 0);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(short_counts_go_on_until_all_is_written),
        WORLD_TEST(a_direct_file_goes_on_at_a_block),
        WORLD_TEST(an_interrupted_call_is_made_again),
        WORLD_TEST(what_is_interrupted_for_ever_has_failed),
        WORLD_TEST(a_write_that_fails_is_told_and_not_synced),
        WORLD_TEST(a_sync_that_fails_is_told_and_not_tried_again),
        WORLD_TEST(half_a_file_does_not_stay),
        WORLD_TEST(another_process_holds_the_folder_until_it_dies),
        WORLD_TEST(what_lock_says_is_believed_only_if_it_is_of_this_boot),
        WORLD_TEST(a_full_disk_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
