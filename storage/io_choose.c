/*
 * io_choose.c - which backend a data folder is written by: decided once at start, by proof, and
 * said in one sentence. Owns nothing. THREADS. Any.
 */
#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "storage/io.h"
#include "storage/io_uring_prove.h"

/* The folder must be there before anything can be proven in it. */
static enum status make_folder(const char *directory, struct failure *failure)
{
    struct io *io = NULL;
    const enum status status = io_posix_open(directory, &io, failure);
    if (status == STATUS_OK)
        io->operations->close(&io);
    return status;
}

static enum status take(struct io_backend *backend, enum io_choice choice, const char *reason)
{
    assert(choice == IO_URING || choice == IO_POSIX);
    assert(reason[0] != '\0');
    backend->taken = choice;
    (void)snprintf(backend->reason, sizeof(backend->reason), "%s", reason);
    return STATUS_OK;
}

/* What the proof has said of io_uring, weighed against what was wanted. */
static enum status weigh(enum status proven, const char *reason, enum io_choice wanted,
                         struct io_backend *out_backend, struct failure *failure)
{
    assert(wanted != IO_POSIX);
    if (proven == STATUS_OK)
        return take(out_backend, IO_URING, reason);
    if (proven == STATUS_NO_MEMORY)
        return failure_set(failure, proven, "storage.io", "%s", reason);
    if (proven != STATUS_UNSUPPORTED) /* the folder's fault: no backend can use it */
        return failure_set(failure, proven, "storage.path", "%s", reason);
    if (wanted == IO_URING)
        return failure_set(failure, STATUS_UNSUPPORTED, "storage.io", "%s", reason);
    log_write(LOG_INFO, "storage", "plain calls instead of io_uring", "reason=\"%s\"", reason);
    return take(out_backend, IO_POSIX, reason);
}

enum status io_choose(const char *directory, enum io_choice wanted, struct io_backend *out_backend,
                      struct failure *failure)
{
    char reason[sizeof(out_backend->reason)] = "";
    const enum status status = make_folder(directory, failure);
    if (status != STATUS_OK)
        return status;
    if (wanted == IO_POSIX)
        return take(out_backend, IO_POSIX, "storage.io = posix");
    const enum status proven = io_uring_prove(directory, reason, sizeof(reason));
    return weigh(proven, reason, wanted, out_backend, failure);
}

enum status io_open(const struct io_backend *backend, const char *directory, struct io **out_io,
                    struct failure *failure)
{
    assert(backend->taken != IO_AUTO);
    return backend->taken == IO_URING ? io_uring_open(directory, out_io, failure)
                                      : io_posix_open(directory, out_io, failure);
}
