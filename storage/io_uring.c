/*
 * io_uring.c - the data folder by io_uring: a commit is a write linked to an fdatasync and goes on
 * while the caller does other things; reap sleeps in the kernel until one is done or somebody
 * wakes. It buys no throughput of the log over pwrite; it buys a commit in flight without a thread
 * that is blocked by it. Everything that is no commit is a plain call, as in io_posix.c.
 *
 * THE RING belongs to the thread that first submits or reaps (SINGLE_ISSUER), which need not be the
 * one that opened it: it is made disabled and enabled there. With DEFER_TASKRUN completions come to
 * light only in a call that asks for them, so every reap makes one.
 *
 * GOES ON BY ITSELF: a short write breaks the link (the sync comes back as ECANCELED); the rest and
 * the sync are then handed in again. A sync that failed is not. Should the kernel refuse to enter
 * the ring for good (a filter that came later), all that is in flight fails with that errno, and so
 * does what follows: the journal is then in memory, and an operator sees why.
 *
 * Owns the ring and the commits that are not reaped. THREADS. As io.h says.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

#include "storage/io_folder.h"

enum {
    IO_URING_MAGIC = 0x474e5255,
    RING_ENTRIES = 32, /* a write, a sync for each commit, the wake, and room */
    MS_PER_S = 1000,
    NS_PER_MS = 1000 * 1000,
};

enum { PART_WRITE, PART_SYNC, PARTS }; /* of a commit, in its completions' user data */
enum { WAKE_DATA = IO_COMMITS_MAX * PARTS };

struct slot { /* a commit in flight */
    bool is_used, is_done;
    unsigned parts_pending; /* completions that are to come */
    bool is_parted; /* the kernel took the write alone: its sync was not behind it by the link */
    const struct io_file *file;
    struct io_commit commit;
    size_t written; /* of its bytes, so far */
    unsigned tries_in_a_row;
    int results[PARTS]; /* of the parts handed in last */
    struct io_completion completion;
};

struct io_uring_folder {
    struct io_folder folder; /* first */
    uint32_t magic;
    bool has_ring, is_enabled, is_wake_armed;
    int broken; /* the errno by which the kernel refuses the ring for good; 0: it does not */
    unsigned refusals_in_a_row;
    struct io_uring ring;
    struct slot slots[IO_COMMITS_MAX];
};

static struct io_uring_folder *uring_of(struct io *io)
{
    struct io_uring_folder *uring = (struct io_uring_folder *)io;
    assert(uring != NULL);
    assert(uring->magic == IO_URING_MAGIC);
    return uring;
}

/* ---- handing in ------------------------------------------------------------------------------ */

/* There is always one: at most two a commit and the wake are out. */
static struct io_uring_sqe *next_entry(struct io_uring_folder *uring, uint64_t data)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    assert(entry != NULL);
    entry->flags = 0;
    io_uring_sqe_set_data64(entry, data);
    return entry;
}

static void prepare_write(struct io_uring_folder *uring, struct slot *slot, uint64_t data)
{
    const struct io_commit *commit = &slot->commit;
    assert(slot->written < commit->size_bytes);
    struct io_uring_sqe *entry = next_entry(uring, data);
    io_uring_prep_write(entry, slot->file->descriptor, (const char *)commit->bytes + slot->written,
                        (unsigned)(commit->size_bytes - slot->written),
                        commit->offset_bytes + slot->written);
    io_uring_sqe_set_data64(entry, data);
    if (commit->sync)
        io_uring_sqe_set_flags(entry, IOSQE_IO_LINK);
    slot->parts_pending++;
}

static void prepare_sync(struct io_uring_folder *uring, struct slot *slot, uint64_t data)
{
    struct io_uring_sqe *entry = next_entry(uring, data);
    io_uring_prep_fsync(entry, slot->file->descriptor, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(entry, data);
    slot->parts_pending++;
}

/* What is left of the commit. */
static void prepare(struct io_uring_folder *uring, struct slot *slot)
{
    const uint64_t data = (uint64_t)(slot - uring->slots) * PARTS;
    assert(slot->parts_pending == 0);
    slot->results[PART_WRITE] = 0;
    slot->results[PART_SYNC] = 0;
    if (slot->written < slot->commit.size_bytes)
        prepare_write(uring, slot, data + PART_WRITE);
    if (slot->commit.sync)
        prepare_sync(uring, slot, data + PART_SYNC);
}

static void arm_wake(struct io_uring_folder *uring)
{
    if (uring->is_wake_armed)
        return;
    struct io_uring_sqe *entry = next_entry(uring, WAKE_DATA);
    io_uring_prep_poll_add(entry, uring->folder.wakes, POLLIN);
    io_uring_sqe_set_data64(entry, WAKE_DATA);
    uring->is_wake_armed = true;
}

/* ---- what came back -------------------------------------------------------------------------- */

static void finish(struct slot *slot, int error, bool sync_failed)
{
    assert(slot->is_used);
    assert(!slot->is_done);
    slot->is_done = true;
    slot->completion = (struct io_completion){.tag = slot->commit.tag,
                                              .status = error == 0 ? STATUS_OK : STATUS_IO_FAILED,
                                              .error = error,
                                              .sync_failed = sync_failed};
}

/* Counts in what was written. True if it got on, or may be tried again. */
static bool advance(struct slot *slot, int result, int *out_error)
{
    const size_t size_bytes = slot->commit.size_bytes;
    const size_t whole = slot->written + (result > 0 ? (size_t)result : 0);
    assert(whole <= size_bytes);
    const size_t progress = whole == size_bytes ? whole : io_file_progress(slot->file, whole);
    *out_error = result < 0 ? -result : EIO; /* EIO: for ever without progress */
    if (result < 0)
        return io_retries(*out_error, &slot->tries_in_a_row);
    slot->tries_in_a_row = progress > slot->written ? 0 : slot->tries_in_a_row + 1;
    slot->written = progress;
    return slot->tries_in_a_row < IO_RETRIES_MAX;
}

/* All parts of the slot have come back: it is done, or goes on with what is left. */
static void settle(struct io_uring_folder *uring, struct slot *slot)
{
    assert(slot->parts_pending == 0);
    const bool was_writing = slot->written < slot->commit.size_bytes;
    int error = 0;
    if (was_writing && !advance(slot, slot->results[PART_WRITE], &error)) {
        finish(slot, error, false);
        return;
    }
    const bool is_written = slot->written == slot->commit.size_bytes;
    const int sync = slot->results[PART_SYNC];
    if (is_written && slot->commit.sync && sync == 0 && slot->is_parted) {
        slot->is_parted = false; /* that sync may have gone before the write: one more */
        prepare(uring, slot);
    } else if (is_written && (!slot->commit.sync || sync == 0))
        finish(slot, 0, false);
    else if (is_written && !io_retries(-sync, &slot->tries_in_a_row))
        finish(slot, -sync, true);
    else
        prepare(uring, slot);
}

static void take_completion(struct io_uring_folder *uring, uint64_t data, int result)
{
    if (data == WAKE_DATA) {
        uring->is_wake_armed = false;
        return;
    }
    assert(data < WAKE_DATA);
    struct slot *slot = &uring->slots[data / PARTS];
    assert(slot->is_used);
    assert(slot->parts_pending > 0);
    slot->results[data % PARTS] = result;
    if (--slot->parts_pending == 0 && !slot->is_done)
        settle(uring, slot);
}

/* Takes all that has come. True if the wake was among it. */
static bool take_completions(struct io_uring_folder *uring)
{
    const bool was_armed = uring->is_wake_armed;
    struct io_uring_cqe *completion = NULL;
    while (io_uring_peek_cqe(&uring->ring, &completion) == 0) {
        const uint64_t data = io_uring_cqe_get_data64(completion);
        const int result = completion->res;
        io_uring_cqe_seen(&uring->ring, completion);
        take_completion(uring, data, result);
    }
    return was_armed && !uring->is_wake_armed;
}

static size_t hand_out(struct io_uring_folder *uring, struct io_completion *out, size_t out_max)
{
    size_t count = 0;
    for (unsigned i = 0; i < IO_COMMITS_MAX && count < out_max; i++) {
        struct slot *slot = &uring->slots[i];
        if (!slot->is_done)
            continue;
        out[count++] = slot->completion;
        *slot = (struct slot){.parts_pending = slot->parts_pending};
    }
    return count;
}

/* ---- entering the kernel --------------------------------------------------------------------- */

/* The result of a call that enters. What passes by itself is tried again by the next one. */
static void judge_entry(struct io_uring_folder *uring, int result)
{
    const bool passes = result >= 0 || result == -ETIME || result == -EINTR;
    if (passes) {
        uring->refusals_in_a_row = 0;
        return;
    }
    const bool may_pass = result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
    if (may_pass && ++uring->refusals_in_a_row < IO_RETRIES_MAX)
        return;
    uring->broken = -result;
}

/* After each entry. What the kernel has left in the queue, for want of memory, it takes the next
 * time; but a link that it has cut does not hold any more. */
static void note_parted(struct io_uring_folder *uring)
{
    if (io_uring_sq_ready(&uring->ring) == 0)
        return;
    for (unsigned i = 0; i < IO_COMMITS_MAX; i++)
        uring->slots[i].is_parted |= uring->slots[i].is_used && uring->slots[i].parts_pending > 1;
}

static void fail_all(struct io_uring_folder *uring)
{
    for (unsigned i = 0; i < IO_COMMITS_MAX; i++) {
        struct slot *slot = &uring->slots[i];
        if (slot->is_used && !slot->is_done)
            finish(slot, uring->broken, false);
    }
}

/* On the thread that uses it from then on. By the number of the call, since Debian 12's liburing
 * 2.3 declares io_uring_enable_rings but does not export it. */
static void enable(struct io_uring_folder *uring)
{
    if (uring->is_enabled)
        return;
    uring->is_enabled = true;
    const int result =
        io_uring_register((unsigned)uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0)
        uring->broken = -result;
}

static struct slot *free_slot(struct io_uring_folder *uring)
{
    for (unsigned i = 0; i < IO_COMMITS_MAX; i++) {
        if (!uring->slots[i].is_used && uring->slots[i].parts_pending == 0)
            return &uring->slots[i];
    }
    return NULL;
}

static enum status submit(struct io *io, struct io_file *file, const struct io_commit *commit)
{
    struct io_uring_folder *uring = uring_of(io);
    assert(io_file_takes(file, commit));
    assert(commit->size_bytes <= INT32_MAX);
    enable(uring);
    struct slot *slot = free_slot(uring);
    assert(slot != NULL);
    *slot = (struct slot){.is_used = true, .file = file, .commit = *commit};
    if (uring->broken == 0) {
        prepare(uring, slot);
        judge_entry(uring, io_uring_submit(&uring->ring));
        note_parted(uring);
    }
    if (uring->broken != 0)
        fail_all(uring);
    return STATUS_OK;
}

/* A broken ring leaves the wake, which the folder's eventfd still brings. */
static void await_wake(struct io_uring_folder *uring, int timeout_ms)
{
    struct pollfd wakes = {.fd = uring->folder.wakes, .events = POLLIN};
    if (poll(&wakes, 1, timeout_ms) > 0)
        io_folder_take_wake(&uring->folder);
}

/* Hands in what is prepared and waits for one completion. False: nothing came in time, or a signal
 * did. */
static bool enter(struct io_uring_folder *uring, int timeout_ms)
{
    struct io_uring_cqe *first = NULL;
    struct __kernel_timespec limit = {.tv_sec = timeout_ms / MS_PER_S,
                                      .tv_nsec = (long long)(timeout_ms % MS_PER_S) * NS_PER_MS};
    int result = 0;
    if (timeout_ms == 0)
        result = io_uring_submit_and_get_events(&uring->ring);
    else
        result = io_uring_submit_and_wait_timeout(&uring->ring, &first, 1,
                                                  timeout_ms < 0 ? NULL : &limit, NULL);
    judge_entry(uring, result);
    note_parted(uring);
    return result >= 0 && timeout_ms != 0;
}

static size_t reap(struct io *io, int timeout_ms, struct io_completion *out, size_t out_max)
{
    struct io_uring_folder *uring = uring_of(io);
    assert(out_max > 0);
    enable(uring);
    size_t count = hand_out(uring, out, out_max);
    if (count > 0)
        return count;
    if (uring->broken == 0)
        arm_wake(uring);
    if (io_folder_was_woken(&uring->folder))
        timeout_ms = 0;
    bool goes_on = true;
    while (uring->broken == 0 && goes_on && count == 0) {
        goes_on = enter(uring, timeout_ms);
        if (take_completions(uring)) {
            io_folder_take_wake(&uring->folder);
            goes_on = false;
        }
        count = hand_out(uring, out, out_max);
    }
    if (uring->broken != 0) {
        fail_all(uring);
        count += hand_out(uring, out + count, out_max - count);
        if (count == 0)
            await_wake(uring, timeout_ms);
    }
    return count;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void close_io(struct io **io);

static const struct io_operations operations = {
    .name = "io_uring",
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

/* The two flags are of 6.0 and 6.1; older kernels do without. */
static int open_ring(struct io_uring_folder *uring)
{
    const unsigned wanted =
        IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    struct io_uring_params params = {.flags = wanted};
    int result = io_uring_queue_init_params(RING_ENTRIES, &uring->ring, &params);
    if (result == -EINVAL) {
        params = (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED};
        result = io_uring_queue_init_params(RING_ENTRIES, &uring->ring, &params);
    }
    uring->has_ring = result >= 0;
    return result;
}

static void destroy(struct io_uring_folder *uring)
{
    if (uring->has_ring)
        io_uring_queue_exit(&uring->ring);
    io_folder_deinit(&uring->folder);
    uring->magic = 0;
    free(uring);
}

enum status io_uring_open(const char *directory, struct io **out_io, struct failure *failure)
{
    struct io_uring_folder *uring = calloc(1, sizeof(*uring));
    if (uring == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "there is no memory for a data folder");
    uring->magic = IO_URING_MAGIC;
    enum status status = io_folder_init(&uring->folder, &operations, directory, failure);
    if (status != STATUS_OK)
        goto destroy_uring;
    const int result = open_ring(uring);
    if (result < 0) {
        status = failure_set(failure, STATUS_UNSUPPORTED, "storage.io",
                             "io_uring is not usable, setting up a ring failed (%s)",
                             io_error_text(-result));
        goto destroy_uring;
    }
    *out_io = &uring->folder.io;
    return STATUS_OK;

destroy_uring:
    destroy(uring);
    return status;
}

static void close_io(struct io **io)
{
    struct io_uring_folder *doomed = uring_of(*io);
    *io = NULL;
    destroy(doomed);
}
