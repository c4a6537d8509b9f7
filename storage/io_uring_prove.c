/*
 * io_uring_prove.c - one question at liburing: does a real write, linked to a real fdatasync, work
 * in this folder? Those who use it after a yes are io_uring.c.
 *
 * Setting up a ring proves little: gVisor, overlays and filters on io_uring_enter let it pass and
 * fail later. A sandbox answers EPERM or ENOSYS, kernel.io_uring_disabled = 1 or 2 answers EPERM, a
 * tight RLIMIT_MEMLOCK ENOMEM, an old kernel EINVAL: all of them mean "not here", and the caller
 * writes by pwrite and fdatasync instead. DEFER_TASKRUN (6.1) and SINGLE_ISSUER (6.0) are asked for
 * first and done without on EINVAL, as io_uring.c does; 5.11 is the least, for waits with a time
 * limit. What the ring has written is read back by pread: a witness that does not depend on the
 * ring, and no read can be left in flight into memory that has been freed.
 *
 * THREADS. Any; everything lives for one call.
 */
#include "storage/io_uring_prove.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROOF_BYTES = 4096, PROOF_ENTRIES = 8, PROOF_WAIT_S = 10, PATH_BYTES = 4096 };
enum proof_tag { TAG_WRITE = 1, TAG_SYNC = 2 };

struct proof {
    char *reason;
    size_t reason_size;
    int file; /* -1: none */
    bool has_ring;
    struct io_uring ring;
    uint8_t *written; /* PROOF_BYTES each, pages of their own */
    uint8_t *read;
};

/* The ring is refused: says how, and what may be behind it. */
static enum status refuse(const struct proof *proof, const char *step, int error)
{
    assert(error > 0);
    (void)snprintf(
        proof->reason, proof->reason_size,
        "io_uring is not usable, %s failed (%s): a seccomp profile or the sysctl "
        "kernel.io_uring_disabled may forbid it, or the kernel is older than 5.11 or its "
        "locked memory is spent",
        step, strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
    return STATUS_UNSUPPORTED;
}

static enum status blame_folder(const struct proof *proof, const char *step, int error)
{
    assert(error > 0);
    (void)snprintf(proof->reason, proof->reason_size, "the folder cannot be used, %s failed (%s)",
                   step, strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
    return STATUS_IO_FAILED;
}

/* An error of the disk is the folder's; any other says that this kernel or sandbox does not do it
 * by a ring. */
static enum status judge(const struct proof *proof, const char *step, int error)
{
    switch (error) {
    case EIO:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EROFS:
    case ENODEV:
        return blame_folder(proof, step, error);
    default:
        return refuse(proof, step, error);
    }
}

/* Unlinked at once, so that nothing is left behind whatever happens. */
static enum status open_file(struct proof *proof, const char *directory)
{
    char path[PATH_BYTES];
    const int length = snprintf(path, sizeof(path), "%s/io-proof.XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof(path))
        return blame_folder(proof, "naming a file", ENAMETOOLONG);
    proof->file = mkostemp(path, O_CLOEXEC);
    if (proof->file < 0)
        return blame_folder(proof, "creating a file", errno);
    if (unlink(path) != 0)
        return blame_folder(proof, "removing a file", errno);
    return STATUS_OK;
}

static enum status make_pages(struct proof *proof)
{
    proof->written = aligned_alloc(PROOF_BYTES, PROOF_BYTES);
    proof->read = aligned_alloc(PROOF_BYTES, PROOF_BYTES);
    if (proof->written == NULL || proof->read == NULL) {
        (void)snprintf(proof->reason, proof->reason_size, "there is no memory for the proof");
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < PROOF_BYTES; i++)
        proof->written[i] = (uint8_t)(i * 7 + i / 256 + 1);
    memset(proof->read, 0, PROOF_BYTES);
    return STATUS_OK;
}

static enum status open_ring(struct proof *proof)
{
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int result = io_uring_queue_init_params(PROOF_ENTRIES, &proof->ring, &params);
    if (result == -EINVAL) {
        params = (struct io_uring_params){0};
        result = io_uring_queue_init_params(PROOF_ENTRIES, &proof->ring, &params);
    }
    if (result < 0)
        return refuse(proof, "setting up a ring", -result);
    proof->has_ring = true;
    if ((params.features & IORING_FEAT_EXT_ARG) == 0)
        return refuse(proof, "asking for waits with a time limit", ENOSYS);
    return STATUS_OK;
}

static enum status check_operations(struct proof *proof)
{
    enum { OPERATIONS_MAX = 256 };
    const size_t probe_bytes =
        sizeof(struct io_uring_probe) + OPERATIONS_MAX * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *probe = calloc(1, probe_bytes);
    if (probe == NULL)
        return refuse(proof, "asking for its operations", ENOMEM);
    const int result = io_uring_register_probe(&proof->ring, probe, OPERATIONS_MAX);
    const bool has_all = io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
                         io_uring_opcode_supported(probe, IORING_OP_READ) &&
                         io_uring_opcode_supported(probe, IORING_OP_FSYNC);
    free(probe);
    if (result < 0)
        return refuse(proof, "asking for its operations", -result);
    return has_all ? STATUS_OK : refuse(proof, "finding write, read and fsync", EOPNOTSUPP);
}

static void prepare(struct proof *proof)
{
    struct io_uring_sqe *write = io_uring_get_sqe(&proof->ring);
    struct io_uring_sqe *sync = io_uring_get_sqe(&proof->ring);
    assert(write != NULL);
    assert(sync != NULL);
    io_uring_prep_write(write, proof->file, proof->written, PROOF_BYTES, 0);
    io_uring_sqe_set_flags(write, IOSQE_IO_LINK);
    io_uring_sqe_set_data64(write, TAG_WRITE);
    io_uring_prep_fsync(sync, proof->file, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sync, TAG_SYNC);
}

/* Takes what has completed; results lie at their tag. Returns how many. */
static unsigned reap(struct proof *proof, int results[3])
{
    unsigned count = 0;
    struct io_uring_cqe *completion = NULL;
    while (io_uring_peek_cqe(&proof->ring, &completion) == 0) {
        const uint64_t tag = io_uring_cqe_get_data64(completion);
        if (tag == TAG_WRITE || tag == TAG_SYNC)
            results[tag] = completion->res;
        io_uring_cqe_seen(&proof->ring, completion);
        count++;
    }
    return count;
}

static enum status write_and_sync(struct proof *proof)
{
    int results[3] = {0, -ETIME, -ETIME};
    prepare(proof);
    struct __kernel_timespec wait = {.tv_sec = PROOF_WAIT_S};
    struct io_uring_cqe *first = NULL;
    const int submitted = io_uring_submit_and_wait_timeout(&proof->ring, &first, 2, &wait, NULL);
    if (submitted < 0)
        return refuse(proof, "submitting a linked write and sync", -submitted);
    if (reap(proof, results) != 2)
        return refuse(proof, "waiting for a linked write and sync", ETIME);
    if (results[TAG_WRITE] < 0)
        return judge(proof, "the linked write", -results[TAG_WRITE]);
    if (results[TAG_WRITE] != PROOF_BYTES)
        return blame_folder(proof, "the linked write", ENOSPC); /* short: the disk is full */
    if (results[TAG_SYNC] < 0)
        return judge(proof, "the linked sync", -results[TAG_SYNC]);
    return STATUS_OK;
}

static enum status read_back(struct proof *proof)
{
    const ssize_t size = pread(proof->file, proof->read, PROOF_BYTES, 0);
    if (size < 0)
        return blame_folder(proof, "reading back", errno);
    if (size != PROOF_BYTES || memcmp(proof->read, proof->written, PROOF_BYTES) != 0)
        return refuse(proof, "reading back the same bytes", EBADMSG);
    (void)snprintf(proof->reason, proof->reason_size,
                   "a linked write and fdatasync by io_uring were done and read back");
    return STATUS_OK;
}

static enum status prove(struct proof *proof, const char *directory)
{
    enum status status = open_file(proof, directory);
    if (status == STATUS_OK)
        status = make_pages(proof);
    if (status == STATUS_OK)
        status = open_ring(proof);
    if (status == STATUS_OK)
        status = check_operations(proof);
    if (status == STATUS_OK)
        status = write_and_sync(proof);
    if (status == STATUS_OK)
        status = read_back(proof);
    return status;
}

enum status io_uring_prove(const char *directory, char *out_reason, size_t reason_size)
{
    assert(directory != NULL);
    assert(reason_size > 0);
    struct proof proof = {.reason = out_reason, .reason_size = reason_size, .file = -1};
    const enum status status = prove(&proof, directory);
    if (proof.has_ring)
        io_uring_queue_exit(&proof.ring);
    free(proof.written);
    free(proof.read);
    if (proof.file >= 0)
        (void)close(proof.file);
    return status;
}
