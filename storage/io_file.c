/*
 * io_file.c - bytes into a file, whole or not at all: what goes on after a short count or a signal,
 * and what does not. Owns nothing. THREADS. Any, one at a time for a file.
 */
#include "storage/io_file.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *io_error_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

bool io_retries(int error, unsigned *in_a_row)
{
    assert(error > 0);
    return (error == EINTR || error == EAGAIN) && ++*in_a_row < IO_RETRIES_MAX;
}

bool io_is_aligned(const void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    return ((uintptr_t)bytes | size_bytes | offset_bytes) % IO_ALIGNMENT == 0;
}

bool io_file_takes(const struct io_file *file, const struct io_commit *commit)
{
    const bool has_work = commit->size_bytes > 0 || commit->sync;
    return has_work && (!file->is_direct ||
                        io_is_aligned(commit->bytes, commit->size_bytes, commit->offset_bytes));
}

size_t io_file_progress(const struct io_file *file, size_t done)
{
    return file->is_direct ? done / IO_ALIGNMENT * IO_ALIGNMENT : done;
}

int io_file_write(const struct io_file *file, const void *bytes, size_t size_bytes,
                  uint64_t offset_bytes)
{
    assert(bytes != NULL || size_bytes == 0);
    unsigned in_a_row = 0;
    for (size_t done = 0; done < size_bytes;) {
        const ssize_t size = pwrite(file->descriptor, (const char *)bytes + done, size_bytes - done,
                                    (off_t)(offset_bytes + done));
        if (size < 0 && !io_retries(errno, &in_a_row))
            return errno;
        if (size < 0)
            continue;
        const size_t whole = done + (size_t)size;
        const size_t progress = whole == size_bytes ? whole : io_file_progress(file, whole);
        if (progress > done)
            in_a_row = 0;
        else if (++in_a_row >= IO_RETRIES_MAX)
            return EIO;
        done = progress;
    }
    return 0;
}

/* Only a call that was interrupted is made again: after a failed sync the kernel calls the pages
 * clean, and the next sync would report success for what is lost (Rebello et al., ATC 2020). */
int io_file_sync(const struct io_file *file)
{
    assert(file->descriptor >= 0);
    unsigned in_a_row = 0;
    while (fdatasync(file->descriptor) != 0) {
        if (!io_retries(errno, &in_a_row))
            return errno;
    }
    return 0;
}
