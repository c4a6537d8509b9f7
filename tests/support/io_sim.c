/*
 * io_sim.c - the disk in memory as a backend of storage/io.h. Bytes are in the cache at once; a
 * commit is done, and its sync made, when chance picks it in reap. Owns the io and their queues;
 * the disk is io_sim_disk.c. THREADS. One mutex for the whole disk; whoever waits in reap has left
 * it.
 */
#include "tests/support/io_sim.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/io_sim_disk.h"

enum { SIM_MAGIC = 0x4d495320 };

struct sim_commit {
    struct io_completion completion;
    struct sim_inode *inode;
    uint64_t number;
    bool sync;
};

struct sim_io {
    struct io io; /* first */
    uint32_t magic;
    struct io_sim *disk;
    char folder[64];
    uint64_t generation;
    bool holds_lock, woken;
    pthread_cond_t wakes;
    unsigned commits_count;
    struct sim_commit commits[IO_COMMITS_MAX];
};

struct io_file {
    struct sim_inode *inode;
    uint64_t generation;
    bool is_direct, is_read_only;
};

static struct sim_io *sim_of(struct io *io)
{
    struct sim_io *sim = (struct sim_io *)io;
    assert(sim != NULL);
    assert(sim->magic == SIM_MAGIC);
    return sim;
}

static void lock_disk(struct io_sim *disk)
{
    const int error = pthread_mutex_lock(&disk->mutex);
    assert(error == 0);
}

static void unlock_disk(struct io_sim *disk)
{
    const int error = pthread_mutex_unlock(&disk->mutex);
    assert(error == 0);
}

/* ---- every call ------------------------------------------------------------------------------ */

struct turn { /* of one call: what is to go wrong with it */
    int error;
    bool is_planned;
    enum io_sim_fault fault;
};

/* Counts the call. A dead io fails at once; a crash in the middle comes at the end of the call. */
static struct turn begin(const struct sim_io *sim)
{
    struct io_sim *disk = sim->disk;
    if (sim->generation != disk->generation)
        return (struct turn){.error = ENODEV};
    const uint64_t call = disk->calls++;
    if (!disk->has_plan || call != disk->plan_call)
        return (struct turn){0};
    disk->has_plan = false;
    struct turn turn = {.is_planned = true, .fault = disk->plan_fault};
    if (turn.fault == IO_SIM_ERROR || turn.fault == IO_SIM_SHORT)
        turn.error = disk->plan_error;
    return turn;
}

static bool is_kind(const struct turn *turn, enum io_sim_fault fault)
{
    return turn->is_planned && turn->fault == fault;
}

/* Returns the errno of the call: whoever lives through a crash hears of it. */
static int end(const struct sim_io *sim, const struct turn *turn, int error)
{
    if (is_kind(turn, IO_SIM_CRASH))
        sim_crash(sim->disk, (uint64_t)sim->disk->plan_error);
    else if (is_kind(turn, IO_SIM_KILL))
        sim_kill(sim->disk);
    else
        return error;
    return ENODEV;
}

static enum status told(struct io *io, int error)
{
    if (error == 0)
        return STATUS_OK;
    if (error == ENOENT)
        return STATUS_NOT_FOUND;
    io->error = error;
    return STATUS_IO_FAILED;
}

static void path_in(const struct sim_io *sim, const char *name, char out_path[SIM_PATH_MAX])
{
    assert(name[0] != '\0');
    assert(strlen(name) < IO_NAME_MAX);
    assert(strchr(name, '/') == NULL);
    const bool is_root = sim->folder[0] == '\0';
    (void)snprintf(out_path, SIM_PATH_MAX, "%s%s%s", sim->folder, is_root ? "" : "/", name);
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct io_file *file_make(struct sim_io *sim, struct sim_inode *inode, enum io_mode mode)
{
    struct io_file *file = calloc(1, sizeof(*file));
    assert(file != NULL);
    *file = (struct io_file){.inode = inode,
                             .generation = sim->generation,
                             .is_direct = mode == IO_DIRECT,
                             .is_read_only = mode == IO_READ_ONLY};
    inode->opens++;
    return file;
}

static int create_inside(struct sim_io *sim, const char *path, uint64_t size, struct io_file **out)
{
    if (sim_find(&sim->disk->now, path) != NULL)
        return EEXIST;
    struct sim_inode *inode = sim_inode_create(sim->disk);
    inode->opens++; /* so that it counts while it is written */
    const bool is_whole = sim_write(sim->disk, inode, (struct sim_change){.size = size}) == size;
    inode->opens--;
    if (!is_whole) {
        sim_inodes_drop(sim->disk);
        return ENOSPC;
    }
    sim_rename(sim->disk, "", path, inode);
    *out = file_make(sim, inode, IO_BUFFERED);
    return 0;
}

static enum status create_file(struct io *io, const char *name, uint64_t size_bytes,
                               struct io_file **out_file)
{
    struct sim_io *sim = sim_of(io);
    struct io_file *file = NULL;
    char path[SIM_PATH_MAX];
    path_in(sim, name, path);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    int error = turn.error != 0 ? turn.error : create_inside(sim, path, size_bytes, &file);
    error = end(sim, &turn, error);
    unlock_disk(sim->disk);
    if (error == 0)
        *out_file = file;
    else
        free(file);
    return told(io, error);
}

static enum status open_file(struct io *io, const char *name, enum io_mode mode,
                             struct io_file **out_file, uint64_t *out_size_bytes)
{
    struct sim_io *sim = sim_of(io);
    char path[SIM_PATH_MAX];
    path_in(sim, name, path);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    const int error = end(sim, &turn, turn.error);
    struct sim_inode *inode = error == 0 ? sim_find(&sim->disk->now, path) : NULL;
    if (inode != NULL) {
        *out_file = file_make(sim, inode, mode);
        *out_size_bytes = inode->now.size;
    }
    unlock_disk(sim->disk);
    return told(io, error != 0 ? error : inode == NULL ? ENOENT : 0);
}

static void close_file(struct io *io, struct io_file **file)
{
    struct sim_io *sim = sim_of(io);
    struct io_file *doomed = *file;
    if (doomed == NULL)
        return;
    *file = NULL;
    lock_disk(sim->disk);
    if (doomed->generation == sim->disk->generation) {
        for (unsigned i = 0; i < sim->commits_count; i++)
            assert(sim->commits[i].inode != doomed->inode); /* all reaped */
        assert(doomed->inode->opens > 0);
        doomed->inode->opens--;
        sim_inodes_drop(sim->disk);
    }
    unlock_disk(sim->disk);
    free(doomed);
}

static bool is_direct(const struct io_file *file)
{
    return file->is_direct;
}

static void check_aligned(const struct io_file *file, const void *bytes, size_t size,
                          uint64_t offset)
{
    assert(!file->is_direct || ((uintptr_t)bytes | size | offset) % IO_ALIGNMENT == 0);
}

static bool meets_bad_sector(const struct sim_inode *inode, uint64_t offset, size_t size)
{
    const uint64_t begin = (inode->bad_sector - 1) * SIM_SECTOR;
    return inode->bad_sector != 0 && offset < begin + SIM_SECTOR && begin < offset + size;
}

static enum status read_at(struct io *io, struct io_file *file, void *bytes, size_t size_bytes,
                           uint64_t offset_bytes, size_t *out_read)
{
    struct sim_io *sim = sim_of(io);
    check_aligned(file, bytes, size_bytes, offset_bytes);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    int error = end(sim, &turn, turn.error);
    if (error == 0 && meets_bad_sector(file->inode, offset_bytes, size_bytes))
        error = EIO;
    if (error == 0) {
        const struct sim_bytes *now = &file->inode->now;
        const uint64_t rest = offset_bytes < now->size ? now->size - offset_bytes : 0;
        *out_read = rest < size_bytes ? (size_t)rest : size_bytes;
        if (*out_read > 0)
            memcpy(bytes, now->bytes + offset_bytes, *out_read);
    }
    unlock_disk(sim->disk);
    return told(io, error);
}

/* Somewhere else in the file, at a sector. */
static uint64_t astray(struct io_sim *disk, const struct sim_change *change, uint64_t file_size)
{
    const uint64_t sectors = file_size / SIM_SECTOR;
    if (sectors == 0)
        return change->offset;
    return sim_draw(&disk->chance) % sectors * SIM_SECTOR;
}

static int write_inside(struct sim_io *sim, const struct io_file *file, struct sim_change change,
                        const struct turn *turn)
{
    struct io_sim *disk = sim->disk;
    if (turn->error == ENODEV && !turn->is_planned)
        return ENODEV;
    if (file->is_read_only)
        return EBADF;
    if (is_kind(turn, IO_SIM_ERROR))
        return turn->error;
    if (is_kind(turn, IO_SIM_SHORT) && change.size > 0)
        change.size = sim_draw(&disk->chance) % change.size;
    if (is_kind(turn, IO_SIM_MISDIRECT))
        change.offset = astray(disk, &change, file->inode->now.size);
    const uint64_t wanted = change.size;
    const uint64_t size = wanted > 0 ? sim_write(disk, file->inode, change) : 0;
    return turn->error != 0 ? turn->error : size < wanted ? ENOSPC : 0;
}

/* The mark of a write that nobody changes. */
static struct sim_change write_of(const void *bytes, size_t size, uint64_t offset)
{
    return (struct sim_change){
        .offset = offset, .size = size, .bytes = (uint8_t *)(uintptr_t)bytes};
}

static enum status write_at(struct io *io, struct io_file *file, const void *bytes,
                            size_t size_bytes, uint64_t offset_bytes)
{
    struct sim_io *sim = sim_of(io);
    check_aligned(file, bytes, size_bytes, offset_bytes);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    int error = write_inside(sim, file, write_of(bytes, size_bytes, offset_bytes), &turn);
    error = end(sim, &turn, error);
    unlock_disk(sim->disk);
    return told(io, error);
}

static int sync_inside(struct sim_io *sim, struct sim_inode *inode, uint64_t commit)
{
    const struct turn turn = begin(sim);
    if (turn.is_planned && turn.error != 0)
        sim_sync_fails(sim->disk, inode, commit);
    const int error = end(sim, &turn, turn.error);
    if (error == 0)
        sim_sync(inode, commit);
    return error;
}

static enum status sync_file(struct io *io, struct io_file *file)
{
    struct sim_io *sim = sim_of(io);
    lock_disk(sim->disk);
    const int error = sync_inside(sim, file->inode, 0);
    unlock_disk(sim->disk);
    return told(io, error);
}

static enum status truncate_file(struct io *io, struct io_file *file, uint64_t size_bytes)
{
    struct sim_io *sim = sim_of(io);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    int error = turn.error != 0 ? turn.error : file->is_read_only ? EINVAL : 0;
    if (error == 0)
        sim_cut(file->inode, size_bytes);
    error = end(sim, &turn, error);
    unlock_disk(sim->disk);
    return told(io, error);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* to "": removes. keeps_from: a link. */
static enum status change_names(struct io *io, const char *from, const char *to, bool is_link)
{
    struct sim_io *sim = sim_of(io);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    int error = turn.error;
    struct sim_inode *inode = sim_find(&sim->disk->now, from);
    if (error == 0 && inode == NULL)
        error = ENOENT;
    if (error == 0 && is_link && sim_find(&sim->disk->now, to) != NULL)
        error = EEXIST;
    if (error == 0)
        sim_rename(sim->disk, is_link ? "" : from, to, inode);
    error = end(sim, &turn, error);
    unlock_disk(sim->disk);
    return told(io, error);
}

static enum status rename_file(struct io *io, const char *from, const char *to)
{
    char paths[2][SIM_PATH_MAX];
    path_in(sim_of(io), from, paths[0]);
    path_in(sim_of(io), to, paths[1]);
    return change_names(io, paths[0], paths[1], false);
}

static enum status link_file(struct io *io, const char *name, const char *folder)
{
    char paths[2][SIM_PATH_MAX], inner[IO_NAME_MAX * 2];
    path_in(sim_of(io), name, paths[0]);
    assert(strlen(folder) + strlen(name) + 2 < sizeof(inner));
    assert(sim_of(io)->folder[0] == '\0'); /* links go out of the data folder */
    (void)snprintf(paths[1], sizeof(paths[1]), "%s/%s", folder, name);
    return change_names(io, paths[0], paths[1], true);
}

static enum status remove_file(struct io *io, const char *name)
{
    char path[SIM_PATH_MAX];
    path_in(sim_of(io), name, path);
    return change_names(io, path, "", false);
}

/* Outside the mutex, so that the visitor may call. */
static enum status list_files(struct io *io, io_visit_name *visit, void *context)
{
    struct sim_io *sim = sim_of(io);
    struct sim_names *names = malloc(sizeof(*names));
    assert(names != NULL);
    uint64_t sizes[SIM_NAMES_MAX];
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    const int error = end(sim, &turn, turn.error);
    *names = sim->disk->now;
    for (size_t i = 0; i < names->count; i++)
        sizes[i] = names->names[i].inode->now.size;
    unlock_disk(sim->disk);
    for (size_t i = 0; error == 0 && i < names->count; i++) {
        const char *path = names->names[i].path, *slash = strrchr(path, '/');
        if (sim_is_in(path, sim->folder))
            visit(context, slash == NULL ? path : slash + 1, sizes[i]);
    }
    free(names);
    return told(io, error);
}

static enum status sync_directory(struct io *io)
{
    struct sim_io *sim = sim_of(io);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    const int error = end(sim, &turn, turn.error);
    if (error == 0)
        sim_sync_names(sim->disk, sim->folder);
    unlock_disk(sim->disk);
    return told(io, error);
}

static enum status lock_directory(struct io *io, int64_t *out_holder)
{
    struct sim_io *sim = sim_of(io);
    lock_disk(sim->disk);
    const struct turn turn = begin(sim);
    const int error = end(sim, &turn, turn.error);
    const bool is_held = sim->disk->holder != NULL;
    if (error == 0 && !is_held)
        sim->disk->holder = io;
    unlock_disk(sim->disk);
    if (error == 0 && is_held) {
        *out_holder = getpid();
        return STATUS_UNAVAILABLE;
    }
    return told(io, error);
}

/* ---- commits --------------------------------------------------------------------------------- */

static enum status submit(struct io *io, struct io_file *file, const struct io_commit *commit)
{
    struct sim_io *sim = sim_of(io);
    assert(commit->size_bytes > 0 || commit->sync);
    check_aligned(file, commit->bytes, commit->size_bytes, commit->offset_bytes);
    lock_disk(sim->disk);
    assert(sim->commits_count < IO_COMMITS_MAX);
    struct sim_commit *queued = &sim->commits[sim->commits_count++];
    *queued = (struct sim_commit){.completion = {.tag = commit->tag},
                                  .inode = file->inode,
                                  .number = ++sim->disk->commits,
                                  .sync = commit->sync};
    const struct turn turn = begin(sim);
    struct sim_change change = write_of(commit->bytes, commit->size_bytes, commit->offset_bytes);
    change.commit = queued->number;
    const int error = write_inside(sim, file, change, &turn);
    queued->completion.error = end(sim, &turn, error);
    unlock_disk(sim->disk);
    return STATUS_OK;
}

/* What has completed is an unsynced write like any other. */
static void land(struct sim_inode *inode, uint64_t number)
{
    for (size_t i = 0; i < inode->changes_count; i++) {
        if (inode->changes[i].commit == number)
            inode->changes[i].commit = 0;
    }
}

static struct io_completion complete(struct sim_io *sim, unsigned place)
{
    const struct sim_commit commit = sim->commits[place];
    struct io_completion completion = commit.completion;
    sim->commits[place] = sim->commits[--sim->commits_count];
    if (sim->generation != sim->disk->generation && completion.error == 0)
        completion.error = ENODEV;
    if (completion.error == 0 && commit.sync) {
        completion.error = sync_inside(sim, commit.inode, commit.number);
        completion.sync_failed = completion.error != 0;
    }
    if (sim->generation == sim->disk->generation)
        land(commit.inode, commit.number);
    completion.status = completion.error == 0 ? STATUS_OK : STATUS_IO_FAILED;
    return completion;
}

static void await_wake(struct sim_io *sim, int timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    for (int error = 0; !sim->woken && error == 0 && timeout_ms != 0;) {
        if (timeout_ms < 0)
            error = pthread_cond_wait(&sim->wakes, &sim->disk->mutex);
        else
            error = pthread_cond_timedwait(&sim->wakes, &sim->disk->mutex, &until);
    }
    sim->woken = false;
}

/* Some of those in flight, in any order; who does not want to wait may get none. */
static size_t reap(struct io *io, int timeout_ms, struct io_completion *out, size_t out_max)
{
    struct sim_io *sim = sim_of(io);
    assert(out_max > 0);
    size_t count = 0;
    lock_disk(sim->disk);
    if (sim->commits_count == 0) {
        await_wake(sim, timeout_ms);
    } else {
        const size_t most = sim->commits_count < out_max ? sim->commits_count : out_max;
        size_t some = 1 + (size_t)sim_draw(&sim->disk->chance) % most;
        if (timeout_ms == 0 && sim_draw(&sim->disk->chance) % 4 == 0)
            some = 0;
        while (count < some)
            out[count++] =
                complete(sim, (unsigned)(sim_draw(&sim->disk->chance) % sim->commits_count));
    }
    unlock_disk(sim->disk);
    return count;
}

static void wake(struct io *io)
{
    struct sim_io *sim = sim_of(io);
    lock_disk(sim->disk);
    sim->woken = true;
    (void)pthread_cond_signal(&sim->wakes);
    unlock_disk(sim->disk);
}

static void close_io(struct io **io)
{
    struct sim_io *doomed = sim_of(*io);
    *io = NULL;
    lock_disk(doomed->disk);
    assert(doomed->commits_count == 0); /* all reaped */
    if (doomed->disk->holder == &doomed->io)
        doomed->disk->holder = NULL;
    doomed->disk->opens--;
    unlock_disk(doomed->disk);
    (void)pthread_cond_destroy(&doomed->wakes);
    doomed->magic = 0;
    free(doomed);
}

static const struct io_operations operations = {
    .name = "sim",
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
    .close = close_io,
};

struct io *io_sim_open(struct io_sim *disk, const char *folder)
{
    struct sim_io *sim = calloc(1, sizeof(*sim));
    pthread_condattr_t monotonic;
    assert(sim != NULL);
    assert(strlen(folder) < sizeof(sim->folder));
    sim->io.operations = &operations;
    sim->magic = SIM_MAGIC;
    sim->disk = disk;
    (void)snprintf(sim->folder, sizeof(sim->folder), "%s", folder);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sim->wakes, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    lock_disk(disk);
    sim->generation = disk->generation;
    disk->opens++;
    unlock_disk(disk);
    return &sim->io;
}

/* ---- the disk -------------------------------------------------------------------------------- */

struct io_sim *io_sim_create(uint64_t seed)
{
    struct io_sim *disk = calloc(1, sizeof(*disk));
    assert(disk != NULL);
    disk->chance = seed * 2654435761u + 88172645463325252u;
    disk->limit = UINT64_MAX;
    (void)pthread_mutex_init(&disk->mutex, NULL);
    return disk;
}

void io_sim_destroy(struct io_sim **disk)
{
    struct io_sim *doomed = *disk;
    if (doomed == NULL)
        return;
    *disk = NULL;
    assert(doomed->opens == 0);
    doomed->now.count = doomed->kept.count = doomed->renames_count = 0;
    for (struct sim_inode *inode = doomed->inodes; inode != NULL; inode = inode->next)
        inode->opens = 0;
    sim_inodes_drop(doomed);
    (void)pthread_mutex_destroy(&doomed->mutex);
    free(doomed);
}

void io_sim_crash(struct io_sim *disk, uint64_t seed)
{
    lock_disk(disk);
    sim_crash(disk, seed);
    unlock_disk(disk);
}

void io_sim_kill(struct io_sim *disk)
{
    lock_disk(disk);
    sim_kill(disk);
    unlock_disk(disk);
}

void io_sim_fail(struct io_sim *disk, uint64_t calls, enum io_sim_fault fault, int error)
{
    lock_disk(disk);
    disk->has_plan = true;
    disk->plan_call = disk->calls + calls;
    disk->plan_fault = fault;
    disk->plan_error = error;
    unlock_disk(disk);
}

uint64_t io_sim_calls(struct io_sim *disk)
{
    lock_disk(disk);
    const uint64_t calls = disk->calls;
    unlock_disk(disk);
    return calls;
}

void io_sim_limit(struct io_sim *disk, uint64_t bytes)
{
    lock_disk(disk);
    disk->limit = bytes;
    unlock_disk(disk);
}

void io_sim_flip(struct io_sim *disk, const char *name, uint64_t offset_bytes, uint8_t bits)
{
    lock_disk(disk);
    struct sim_inode *inode = sim_find(&disk->now, name);
    assert(inode != NULL);
    assert(offset_bytes < inode->now.size);
    inode->now.bytes[offset_bytes] ^= bits;
    if (offset_bytes < inode->kept.size)
        inode->kept.bytes[offset_bytes] ^= bits;
    unlock_disk(disk);
}

void io_sim_spoil(struct io_sim *disk, const char *name, uint64_t offset_bytes)
{
    lock_disk(disk);
    struct sim_inode *inode = sim_find(&disk->now, name);
    assert(inode != NULL);
    assert(offset_bytes < inode->now.size);
    inode->bad_sector = offset_bytes / SIM_SECTOR + 1;
    unlock_disk(disk);
}
