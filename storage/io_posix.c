/*
 * io_posix.c - the data folder by pwrite and fdatasync: works everywhere, in any sandbox, and under
 * ThreadSanitizer. A commit is done inside submit, on the caller's thread; reap only hands out what
 * was done, and waits for a wake. A thread of its own for the disk was rejected: the journal's
 * thread is that already.
 *
 * Owns the commits that are done and not reaped. THREADS. As io.h says.
 */
#include "storage/io_folder.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { IO_POSIX_MAGIC = 0x51584f50 };

struct io_posix {
    struct io_folder folder; /* first */
    uint32_t magic;
    unsigned done_count;
    struct io_completion done[IO_COMMITS_MAX];
};

static struct io_posix *posix_of(struct io *io)
{
    struct io_posix *posix = (struct io_posix *)io;
    assert(posix != NULL);
    assert(posix->magic == IO_POSIX_MAGIC);
    return posix;
}

static enum status submit(struct io *io, struct io_file *file, const struct io_commit *commit)
{
    struct io_posix *posix = posix_of(io);
    assert(posix->done_count < IO_COMMITS_MAX);
    assert(io_file_takes(file, commit));
    struct io_completion completion = {.tag = commit->tag, .status = STATUS_OK};
    completion.error = io_file_write(file, commit->bytes, commit->size_bytes, commit->offset_bytes);
    if (completion.error == 0 && commit->sync) {
        completion.error = io_file_sync(file);
        completion.sync_failed = completion.error != 0;
    }
    if (completion.error != 0)
        completion.status = STATUS_IO_FAILED;
    posix->done[posix->done_count++] = completion;
    return STATUS_OK;
}

/* A signal ends the wait early; the caller comes back. */
static void await_wake(struct io_posix *posix, int timeout_ms)
{
    struct pollfd wakes = {.fd = posix->folder.wakes, .events = POLLIN};
    if (io_folder_was_woken(&posix->folder))
        timeout_ms = 0;
    if (poll(&wakes, 1, timeout_ms) > 0)
        io_folder_take_wake(&posix->folder);
}

static size_t reap(struct io *io, int timeout_ms, struct io_completion *out, size_t out_max)
{
    struct io_posix *posix = posix_of(io);
    assert(out_max > 0);
    if (posix->done_count == 0) {
        await_wake(posix, timeout_ms);
        return 0;
    }
    const size_t count = posix->done_count < out_max ? posix->done_count : out_max;
    memcpy(out, posix->done, count * sizeof(*out));
    posix->done_count -= (unsigned)count;
    memmove(posix->done, posix->done + count, posix->done_count * sizeof(*out));
    return count;
}

static void close_io(struct io **io);

static const struct io_operations operations = {
    .name = "posix",
    .create_file = io_folder_create_file,
    .open_file = io_folder_open_file,
    .close_file = io_folder_close_file,
    .is_direct = io_folder_is_direct,
    .read_at = io_folder_read_at,
    .write_at = io_folder_write_at,
    .sync_file = io_folder_sync_file,
    .truncate_file = io_folder_truncate_file,
    .rename_file = io_folder_rename_file,
    .link_file = io_folder_link_file,
    .remove_file = io_folder_remove_file,
    .list_files = io_folder_list_files,
    .sync_directory = io_folder_sync_directory,
    .lock_directory = io_folder_lock_directory,
    .submit = submit,
    .reap = reap,
    .wake = io_folder_wake,
    .close = close_io,
};

enum status io_posix_open(const char *directory, struct io **out_io, struct failure *failure)
{
    struct io_posix *posix = calloc(1, sizeof(*posix));
    if (posix == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "there is no memory for a data folder");
    posix->magic = IO_POSIX_MAGIC;
    const enum status status = io_folder_init(&posix->folder, &operations, directory, failure);
    if (status != STATUS_OK)
        goto close_io;
    *out_io = &posix->folder.io;
    return STATUS_OK;

close_io:
    io_folder_deinit(&posix->folder);
    free(posix);
    return status;
}

static void close_io(struct io **io)
{
    struct io_posix *doomed = posix_of(*io);
    *io = NULL;
    io_folder_deinit(&doomed->folder);
    doomed->magic = 0;
    free(doomed);
}
