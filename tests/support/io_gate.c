/*
 * io_gate.c - see io_gate.h. One mutex and one condition for everything: what the io's thread waits
 * for in reap, and what the test waits for of it. One commit at a time may be in flight, which is
 * all that the journal has.
 */
#include "tests/support/io_gate.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct io_gate {
    struct io io; /* first */
    struct io *inner;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_held, is_woken, is_resting, is_refusing, has_commit;
    struct io_file *file; /* of the commit */
    struct io_commit commit;
    int errors[GATE_CALLS];
    uint64_t synced_end; /* of the file that was last written */
    const struct io_file *synced_file;
    struct io_gate_counts counts;
};

static _Atomic uint64_t clock_us = 1000000;

uint64_t io_gate_clock_us(void)
{
    return atomic_load(&clock_us);
}

static struct io_gate *gate_of(struct io *io)
{
    assert(io != NULL);
    return (struct io_gate *)io;
}

static void enter(struct io_gate *gate)
{
    const int error = pthread_mutex_lock(&gate->mutex);
    assert(error == 0);
}

static void leave(struct io_gate *gate)
{
    (void)pthread_cond_broadcast(&gate->changed);
    const int error = pthread_mutex_unlock(&gate->mutex);
    assert(error == 0);
}

static int error_of(struct io_gate *gate, enum gate_call call)
{
    enter(gate);
    const int error = gate->errors[call];
    leave(gate);
    return error;
}

static enum status pass(struct io_gate *gate, enum status status)
{
    gate->io.error = gate->inner->error;
    return status;
}

static enum status fail(struct io_gate *gate, int error)
{
    gate->io.error = error;
    return STATUS_IO_FAILED;
}

static enum status create_file(struct io *io, const char *name, uint64_t size_bytes,
                               struct io_file **out_file)
{
    struct io_gate *gate = gate_of(io);
    const int error = error_of(gate, GATE_CREATE);
    if (error != 0)
        return fail(gate, error);
    return pass(gate,
                gate->inner->operations->create_file(gate->inner, name, size_bytes, out_file));
}

static enum status open_file(struct io *io, const char *name, enum io_mode mode,
                             struct io_file **out_file, uint64_t *out_size_bytes)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->open_file(gate->inner, name, mode, out_file,
                                                         out_size_bytes));
}

static void close_file(struct io *io, struct io_file **file)
{
    struct io_gate *gate = gate_of(io);
    enter(gate);
    if (gate->synced_file == *file)
        gate->synced_file = NULL; /* the next may lie at the same address */
    leave(gate);
    gate->inner->operations->close_file(gate->inner, file);
}

static bool is_direct(const struct io_file *file)
{
    (void)file;
    return false;
}

static enum status read_at(struct io *io, struct io_file *file, void *bytes, size_t size_bytes,
                           uint64_t offset_bytes, size_t *out_read)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->read_at(gate->inner, file, bytes, size_bytes,
                                                       offset_bytes, out_read));
}

static enum status write_at(struct io *io, struct io_file *file, const void *bytes,
                            size_t size_bytes, uint64_t offset_bytes)
{
    struct io_gate *gate = gate_of(io);
    const int error = error_of(gate, GATE_WRITE);
    if (error != 0)
        return fail(gate, error);
    return pass(gate, gate->inner->operations->write_at(gate->inner, file, bytes, size_bytes,
                                                        offset_bytes));
}

static enum status sync_file(struct io *io, struct io_file *file)
{
    struct io_gate *gate = gate_of(io);
    const int error = error_of(gate, GATE_SYNC);
    if (error != 0)
        return fail(gate, error);
    return pass(gate, gate->inner->operations->sync_file(gate->inner, file));
}

static enum status truncate_file(struct io *io, struct io_file *file, uint64_t size_bytes)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->truncate_file(gate->inner, file, size_bytes));
}

static enum status rename_file(struct io *io, const char *from, const char *to)
{
    struct io_gate *gate = gate_of(io);
    const int error = error_of(gate, GATE_RENAME);
    if (error != 0)
        return fail(gate, error);
    return pass(gate, gate->inner->operations->rename_file(gate->inner, from, to));
}

static enum status link_file(struct io *io, const char *name, const char *folder)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->link_file(gate->inner, name, folder));
}

static enum status remove_file(struct io *io, const char *name)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->remove_file(gate->inner, name));
}

static enum status list_files(struct io *io, io_visit_name *visit, void *context)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->list_files(gate->inner, visit, context));
}

static enum status sync_directory(struct io *io)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->sync_directory(gate->inner));
}

static enum status lock_directory(struct io *io, int64_t *out_holder)
{
    struct io_gate *gate = gate_of(io);
    return pass(gate, gate->inner->operations->lock_directory(gate->inner, out_holder));
}

static enum status submit(struct io *io, struct io_file *file, const struct io_commit *commit)
{
    struct io_gate *gate = gate_of(io);
    enter(gate);
    assert(!gate->has_commit);
    const bool is_refused = gate->is_refusing;
    gate->counts.submits_refused += is_refused ? 1 : 0;
    gate->has_commit = !is_refused;
    gate->file = file;
    gate->commit = *commit;
    leave(gate);
    return is_refused ? STATUS_NO_MEMORY : STATUS_OK;
}

static void count(struct io_gate *gate)
{
    const struct io_commit *commit = &gate->commit;
    if (gate->synced_file != gate->file)
        gate->synced_end = 0;
    gate->synced_file = gate->file;
    gate->counts.rewritten +=
        commit->size_bytes > 0 && commit->offset_bytes < gate->synced_end ? 1 : 0;
    gate->counts.commits++;
    gate->counts.bytes += commit->size_bytes;
    gate->counts.commits_synced += commit->sync ? 1 : 0;
    if (commit->sync && commit->size_bytes > 0)
        gate->synced_end = (commit->offset_bytes + commit->size_bytes + IO_ALIGNMENT - 1) /
                           IO_ALIGNMENT * IO_ALIGNMENT;
}

/* With the mutex. */
static struct io_completion perform(struct io_gate *gate)
{
    struct io_completion completion = {.tag = gate->commit.tag, .status = STATUS_IO_FAILED};
    const bool write_fails = gate->errors[GATE_WRITE] != 0;
    const bool sync_fails = gate->commit.sync && gate->errors[GATE_SYNC] != 0;
    gate->has_commit = false;
    count(gate);
    if (write_fails) {
        completion.error = gate->errors[GATE_WRITE];
        return completion;
    }
    struct io_commit commit = gate->commit;
    commit.sync = commit.sync && !sync_fails;
    const enum status status = gate->inner->operations->submit(gate->inner, gate->file, &commit);
    assert(status == STATUS_OK);
    while (gate->inner->operations->reap(gate->inner, -1, &completion, 1) == 0)
        continue;
    if (sync_fails && completion.status == STATUS_OK) {
        completion.status = STATUS_IO_FAILED;
        completion.error = gate->errors[GATE_SYNC];
        completion.sync_failed = true;
    }
    return completion;
}

static size_t reap(struct io *io, int timeout_ms, struct io_completion *out, size_t out_max)
{
    struct io_gate *gate = gate_of(io);
    assert(out_max > 0);
    enter(gate);
    const uint64_t due_us =
        timeout_ms < 0 ? UINT64_MAX : io_gate_clock_us() + (uint64_t)timeout_ms * 1000;
    while ((!gate->has_commit || gate->is_held) && !gate->is_woken && io_gate_clock_us() < due_us) {
        gate->is_resting = true;
        (void)pthread_cond_broadcast(&gate->changed);
        (void)pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    gate->is_resting = false;
    gate->is_woken = false;
    const size_t done = gate->has_commit && !gate->is_held ? 1 : 0;
    if (done == 1)
        *out = perform(gate);
    leave(gate);
    return done;
}

static void wake(struct io *io)
{
    struct io_gate *gate = gate_of(io);
    enter(gate);
    gate->is_woken = true;
    gate->is_resting = false;
    leave(gate);
}

static void close_gate(struct io **io)
{
    struct io_gate *gate = gate_of(*io);
    *io = NULL;
    assert(!gate->has_commit);
    gate->inner->operations->close(&gate->inner);
    (void)pthread_cond_destroy(&gate->changed);
    (void)pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

static const struct io_operations operations = {.name = "gate",
                                                .create_file = create_file,
                                                .open_file = open_file,
                                                .close_file = close_file,
                                                .is_direct = is_direct,
                                                .read_at = read_at,
                                                .write_at = write_at,
                                                .sync_file = sync_file,
                                                .truncate_file = truncate_file,
                                                .rename_file = rename_file,
                                                .link_file = link_file,
                                                .remove_file = remove_file,
                                                .list_files = list_files,
                                                .sync_directory = sync_directory,
                                                .lock_directory = lock_directory,
                                                .submit = submit,
                                                .reap = reap,
                                                .wake = wake,
                                                .close = close_gate};

struct io *io_gate_open(struct io *inner)
{
    struct io_gate *gate = calloc(1, sizeof(*gate));
    assert(gate != NULL);
    gate->io.operations = &operations;
    gate->inner = inner;
    (void)pthread_mutex_init(&gate->mutex, NULL);
    (void)pthread_cond_init(&gate->changed, NULL);
    return &gate->io;
}

void io_gate_hold(struct io *io)
{
    enter(gate_of(io));
    gate_of(io)->is_held = true;
    leave(gate_of(io));
}

void io_gate_release(struct io *io)
{
    enter(gate_of(io));
    gate_of(io)->is_held = false;
    gate_of(io)->is_resting = gate_of(io)->is_resting && !gate_of(io)->has_commit;
    leave(gate_of(io));
}

void io_gate_await_rest(struct io *io)
{
    struct io_gate *gate = gate_of(io);
    enter(gate);
    while (!gate->is_resting)
        (void)pthread_cond_wait(&gate->changed, &gate->mutex);
    leave(gate);
}

void io_gate_fail(struct io *io, enum gate_call call, int error)
{
    assert(call < GATE_CALLS);
    enter(gate_of(io));
    gate_of(io)->errors[call] = error;
    leave(gate_of(io));
}

void io_gate_refuse_submit(struct io *io, bool refused)
{
    enter(gate_of(io));
    gate_of(io)->is_refusing = refused;
    leave(gate_of(io));
}

struct io_gate_counts io_gate_counts(struct io *io)
{
    enter(gate_of(io));
    const struct io_gate_counts counts = gate_of(io)->counts;
    leave(gate_of(io));
    return counts;
}

void io_gate_turn_ms(struct io *io, uint64_t ms)
{
    enter(gate_of(io));
    atomic_fetch_add(&clock_us, ms * 1000);
    gate_of(io)->is_resting = false; /* it looks at the clock anew */
    leave(gate_of(io));
}
