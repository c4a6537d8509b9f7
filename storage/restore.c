/*
 * restore.c - a snapshot put back: everything by hard links, so that nothing is copied and nothing
 * destroyed.
 *
 *   1. What the folder has now, segments and MANIFEST, is linked into replaced-<i>, synced.
 *   2. The snapshot's segments are linked into the folder. Where one has the number of a segment
 *      that is there (numbers begin anew behind an earlier restoring), it takes its place; should
 *      the machine stop between this and the next step, run it again.
 *   3. The snapshot's MANIFEST is written in the place of the folder's, in one step.
 *   4. What it does not name is removed; it is in replaced-<i>.
 *
 * What was purged after the snapshot was made comes back with it: a snapshot is as old as it is.
 *
 * THREADS. The caller's; the folder is locked against servers.
 * NOT HERE. Reading what was put back (recover.c).
 */
#include "storage/restore.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/recover_folder.h"
#include "storage/snapshot_folder.h"

enum { PATH_BYTES = 4096, ASIDE_MAX = 10000 };

static const char *text_of_error(int error)
{
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

struct restoring {
    const char *directory;
    char name[SNAPSHOT_NAME_MAX + 1];
    char source[PATH_BYTES]; /* the snapshot's folder */
    char aside[RESTORE_FOLDER_MAX];
    struct io *io;
    struct folder_files files; /* as they were */
    struct manifest wanted;
    struct failure *failure;
};

static enum status fail_io(const struct restoring *restoring, const char *what)
{
    return failure_set(restoring->failure, STATUS_IO_FAILED, "", "%s: %s", what,
                       text_of_error(restoring->io->error));
}

static enum status lock_folder(struct restoring *restoring)
{
    assert(restoring->io == NULL);
    int64_t holder = 0;
    enum status status = io_posix_open(restoring->directory, &restoring->io, restoring->failure);
    if (status != STATUS_OK)
        return status;
    status = restoring->io->operations->lock_directory(restoring->io, &holder);
    if (status == STATUS_UNAVAILABLE)
        return failure_set(restoring->failure, status, "",
                           "process %" PRId64 " has the data folder; stop it first", holder);
    return status == STATUS_OK ? status : fail_io(restoring, "the data folder cannot be locked");
}

/* Its MANIFEST, and a look at whether the files are there. */
static enum status read_snapshot(struct restoring *restoring)
{
    assert(restoring->wanted.segments_count == 0);
    struct io *io = NULL;
    struct folder_files files = {.files = NULL};
    enum status status = io_posix_open(restoring->source, &io, restoring->failure);
    if (status != STATUS_OK)
        return status;
    status = manifest_load(io, &restoring->wanted, restoring->failure);
    if (status == STATUS_OK)
        status = folder_files_read(io, &files);
    for (uint32_t i = 0; status == STATUS_OK && i < restoring->wanted.segments_count; i++) {
        const uint64_t number = restoring->wanted.segments[i].number;
        if (folder_files_segment_bytes(&files, number) == 0)
            status = failure_set(restoring->failure, STATUS_CORRUPT, "",
                                 "the snapshot lacks its segment %016" PRIx64, number);
    }
    folder_files_deinit(&files);
    io->operations->close(&io);
    return status;
}

/* ---- 1 --------------------------------------------------------------------------------------- */

static enum status choose_aside(struct restoring *restoring)
{
    char path[PATH_BYTES];
    struct stat info;
    for (int i = 1; i <= ASIDE_MAX; i++) {
        (void)snprintf(restoring->aside, sizeof(restoring->aside), "replaced-%d", i);
        const int length =
            snprintf(path, sizeof(path), "%s/%s", restoring->directory, restoring->aside);
        if (length > 0 && length < PATH_BYTES && stat(path, &info) != 0 && errno == ENOENT)
            return STATUS_OK;
    }
    return failure_set(restoring->failure, STATUS_LIMIT_EXCEEDED, "",
                       "there are too many folders replaced-<i>; remove some");
}

static bool belongs_aside(const struct folder_file *file)
{
    return file->kind == FOLDER_SEGMENT || strcmp(file->name, "MANIFEST") == 0;
}

static enum status sync_aside(const struct restoring *restoring)
{
    assert(restoring->aside[0] != '\0');
    char path[PATH_BYTES];
    struct io *io = NULL;
    const int length =
        snprintf(path, sizeof(path), "%s/%s", restoring->directory, restoring->aside);
    if (length <= 0 || length >= PATH_BYTES)
        return STATUS_LIMIT_EXCEEDED;
    enum status status = io_posix_open(path, &io, restoring->failure);
    if (status != STATUS_OK)
        return status;
    status = io->operations->sync_directory(io);
    io->operations->close(&io);
    return status;
}

static enum status put_aside(struct restoring *restoring)
{
    assert(restoring->files.count == 0);
    struct io *io = restoring->io;
    enum status status = choose_aside(restoring);
    if (status == STATUS_OK && folder_files_read(io, &restoring->files) != STATUS_OK)
        status = fail_io(restoring, "the data folder cannot be listed");
    for (uint32_t i = 0; status == STATUS_OK && i < restoring->files.count; i++) {
        const struct folder_file *file = &restoring->files.files[i];
        if (belongs_aside(file) &&
            io->operations->link_file(io, file->name, restoring->aside) != STATUS_OK)
            status = fail_io(restoring, "a file cannot be linked aside");
    }
    return status == STATUS_OK ? sync_aside(restoring) : status;
}

/* ---- 2 --------------------------------------------------------------------------------------- */

static enum status link_segment(const struct restoring *restoring, uint64_t number)
{
    assert(number > 0);
    char file[IO_NAME_MAX], from[PATH_BYTES], to[PATH_BYTES], draft[PATH_BYTES];
    manifest_segment_name(number, file);
    const int lengths[] = {snprintf(from, sizeof(from), "%s/%s", restoring->source, file),
                           snprintf(to, sizeof(to), "%s/%s", restoring->directory, file),
                           snprintf(draft, sizeof(draft), "%s/restore.tmp", restoring->directory)};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (lengths[i] <= 0 || lengths[i] >= PATH_BYTES)
            return failure_set(restoring->failure, STATUS_LIMIT_EXCEEDED, "", "a path is too long");
    }
    /* Renaming one link of a file over another of the same file does nothing, draft stays. */
    (void)unlink(draft);
    if (link(from, draft) != 0 || rename(draft, to) != 0)
        return failure_set(restoring->failure, STATUS_IO_FAILED, "", "%s cannot be linked: %s",
                           file, text_of_error(errno));
    (void)unlink(draft);
    return STATUS_OK;
}

static enum status link_segments(const struct restoring *restoring)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < restoring->wanted.segments_count; i++)
        status = link_segment(restoring, restoring->wanted.segments[i].number);
    if (status == STATUS_OK &&
        restoring->io->operations->sync_directory(restoring->io) != STATUS_OK)
        status = fail_io(restoring, "the data folder cannot be synced");
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum status put_back(struct restoring *restoring)
{
    assert(restoring->source[0] != '\0');
    enum status status = lock_folder(restoring);
    if (status == STATUS_OK)
        status = read_snapshot(restoring);
    if (status == STATUS_OK)
        status = put_aside(restoring);
    if (status == STATUS_OK)
        status = link_segments(restoring);
    if (status != STATUS_OK)
        return status;
    if (manifest_save(restoring->io, &restoring->wanted) != STATUS_OK)
        return fail_io(restoring, "MANIFEST cannot be written");
    folder_clean(restoring->io, &restoring->files, &restoring->wanted);
    return STATUS_OK;
}

static enum status find_snapshot(struct restoring *restoring, struct text name)
{
    assert(restoring->name[0] == '\0');
    if (!snapshot_name_is_valid(name))
        return failure_set(restoring->failure, STATUS_NOT_FOUND, "",
                           "there is no snapshot of that name");
    memcpy(restoring->name, name.bytes, name.length);
    const int length = snprintf(restoring->source, PATH_BYTES, "%s/snapshots/%s",
                                restoring->directory, restoring->name);
    if (length <= 0 || length >= PATH_BYTES ||
        !snapshot_folder_exists(restoring->directory, restoring->name))
        return failure_set(restoring->failure, STATUS_NOT_FOUND, "", "there is no snapshot %s",
                           restoring->name);
    return STATUS_OK;
}

enum status storage_restore(const char *directory, struct text snapshot_name,
                            char out_aside[RESTORE_FOLDER_MAX], struct failure *failure)
{
    assert(directory != NULL);
    struct restoring restoring = {.directory = directory, .failure = failure};
    enum status status = find_snapshot(&restoring, snapshot_name);
    if (status == STATUS_OK)
        status = put_back(&restoring);
    folder_files_deinit(&restoring.files);
    manifest_clear(&restoring.wanted);
    if (restoring.io != NULL)
        restoring.io->operations->close(&restoring.io);
    if (status == STATUS_OK)
        memcpy(out_aside, restoring.aside, sizeof(restoring.aside));
    return status;
}
