/*
 * Goal: a commit by io_uring that the kernel cuts short goes on, one that it refuses is told as
 * such, with no sync after half a write; and a ring that is forbidden while it is in use fails what
 * it holds instead of waiting for ever. Method: the real kernel, made to fail in children of this
 * process: a limit on file sizes, a small tmpfs, a filter that comes later.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "storage/io_uring_prove.h"
#include "tests/unit/storage/io_world.h"
#include "tests/unit/storage/sandbox.h"

enum { BLOCKS = 8, NOT_POSSIBLE = 77, SHORT_LIMIT = 10000 };

static bool is_allowed(void)
{
    char folder[64], reason[192];
    folder_create(folder);
    const bool is_proven = io_uring_prove(folder, reason, sizeof(reason)) == STATUS_OK;
    folder_remove(folder);
    return is_proven;
}

/* In a child: ends it where something is not as it should be. */
static void must(bool condition, int end)
{
    if (!condition)
        _exit(end);
}

static struct io_completion commit(struct io *io, struct io_file *file,
                                   const struct io_commit *wanted)
{
    struct io_completion completion = {.status = STATUS_INTERNAL};
    must(io->operations->submit(io, file, wanted) == STATUS_OK, 90);
    while (io->operations->reap(io, -1, &completion, 1) == 0)
        continue;
    must(completion.tag == wanted->tag, 91);
    return completion;
}

static void open_in(const char *folder, uint64_t size_bytes, struct io **out_io,
                    struct io_file **out_file)
{
    must(io_uring_open(folder, out_io, NULL) == STATUS_OK, 92);
    must((*out_io)->operations->create_file(*out_io, "a", size_bytes, out_file) == STATUS_OK, 93);
}

/* The write comes back short, what is left of it with EFBIG. */
static void be_cut_short(void *context)
{
    struct io *io = NULL;
    struct io_file *file = NULL;
    uint8_t bytes[BLOCKS * BLOCK], read[SHORT_LIMIT];
    size_t count = 0;
    const struct rlimit limit = {SHORT_LIMIT, RLIM_INFINITY};
    memset(bytes, 7, sizeof(bytes));
    open_in(context, 0, &io, &file);
    (void)signal(SIGXFSZ, SIG_IGN);
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0, 1);
    const struct io_completion completion = commit(
        io, file,
        &(struct io_commit){.bytes = bytes, .size_bytes = sizeof(bytes), .sync = true, .tag = 3});
    must(completion.status == STATUS_IO_FAILED, 2);
    must(completion.error == EFBIG, 3);
    must(!completion.sync_failed, 4);
    must(io->operations->read_at(io, file, read, sizeof(read), 0, &count) == STATUS_OK, 5);
    must(count == SHORT_LIMIT, 6); /* as far as it was let */
    must(memcmp(read, bytes, count) == 0, 7);
    const struct io_completion next = commit(
        io, file, &(struct io_commit){.bytes = bytes, .size_bytes = BLOCK, .sync = true, .tag = 4});
    must(next.status == STATUS_OK, 8); /* the ring is none the worse */
    io->operations->close_file(io, &file);
    io->operations->close(&io);
}

static void fill_small_disk(void *context)
{
    struct io *io = NULL;
    struct io_file *file = NULL;
    must(unshare(CLONE_NEWNS) == 0, NOT_POSSIBLE);
    must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, NOT_POSSIBLE);
    must(mount("reprise", context, "tmpfs", 0, "size=1m") == 0, NOT_POSSIBLE);
    open_in(context, 1 << 19, &io, &file);
    uint8_t *bytes = calloc(1, 1 << 20);
    must(bytes != NULL, 1);
    const struct io_completion completion = commit(io, file,
                                                   &(struct io_commit){.bytes = bytes,
                                                                       .size_bytes = 1 << 20,
                                                                       .offset_bytes = 1 << 19,
                                                                       .sync = true,
                                                                       .tag = 5});
    must(completion.status == STATUS_IO_FAILED, 2);
    must(completion.error == ENOSPC, 3);
    must(!completion.sync_failed, 4);
    const struct io_completion inside =
        commit(io, file,
               &(struct io_commit){.bytes = bytes, .size_bytes = 1 << 19, .sync = true, .tag = 6});
    must(inside.status == STATUS_OK, 5); /* its blocks are there already */
}

static void be_forbidden_later(void *context)
{
    struct io *io = NULL;
    struct io_file *file = NULL;
    struct io_completion none;
    static uint8_t bytes[BLOCK];
    open_in(context, BLOCK, &io, &file);
    const struct io_commit wanted = {.bytes = bytes, .size_bytes = BLOCK, .sync = true, .tag = 7};
    must(commit(io, file, &wanted).status == STATUS_OK, 1);
    must(forbid(SYS_io_uring_enter, SYS_io_uring_enter, EPERM), 2);
    for (int i = 0; i < 3; i++) {
        const struct io_completion completion = commit(io, file, &wanted);
        must(completion.status == STATUS_IO_FAILED, 3);
        must(completion.error == EPERM, 4);
    }
    io->operations->wake(io); /* still ends a wait */
    must(io->operations->reap(io, -1, &none, 1) == 0, 5);
    must(io->operations->write_at(io, file, bytes, BLOCK, 0) == STATUS_OK, 6); /* a plain call */
    io->operations->close_file(io, &file);
    io->operations->close(&io);
}

static void write_what_is_only_read(void *context)
{
    struct io *io = NULL;
    struct io_file *file = NULL;
    uint64_t size_bytes = 0;
    static uint8_t bytes[BLOCK];
    open_in(context, BLOCK, &io, &file);
    io->operations->close_file(io, &file);
    must(io->operations->open_file(io, "a", IO_READ_ONLY, &file, &size_bytes) == STATUS_OK, 1);
    const struct io_completion completion = commit(
        io, file, &(struct io_commit){.bytes = bytes, .size_bytes = BLOCK, .sync = true, .tag = 8});
    must(completion.status == STATUS_IO_FAILED, 2);
    must(completion.error == EBADF, 3);
    must(!completion.sync_failed, 4);
}

static void run(void (*work)(void *context))
{
    char folder[64];
    folder_create(folder);
    const int end = end_of_child(work, folder);
    folder_remove(folder);
    if (end == NOT_POSSIBLE) {
        print_message("skipped: no tmpfs can be mounted here\n");
        skip();
    }
    assert_int_equal(end, 0);
}

static void a_short_write_goes_on_and_is_told_what_stops_it(void **state)
{
    (void)state;
    run(be_cut_short);
}

static void a_full_disk_is_told_as_such(void **state)
{
    (void)state;
    run(fill_small_disk);
}

static void a_ring_that_is_forbidden_later_fails_and_does_not_hang(void **state)
{
    (void)state;
    run(be_forbidden_later);
}

static void a_refused_write_is_not_synced(void **state)
{
    (void)state;
    run(write_what_is_only_read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_write_goes_on_and_is_told_what_stops_it),
        cmocka_unit_test(a_full_disk_is_told_as_such),
        cmocka_unit_test(a_ring_that_is_forbidden_later_fails_and_does_not_hang),
        cmocka_unit_test(a_refused_write_is_not_synced),
    };
    if (!is_allowed()) {
        print_message("skipped: io_uring is not allowed here\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
