/*
 * snapshot_folder.c - snapshots as folders. MANIFEST is written last and removed first: a folder
 * without one is what a crash has left, is in no list, and gives way to a new one of its name.
 *
 * Folders are not in the vtable of io.h: nothing that was acknowledged depends on them, only what
 * an operator asks for. Files in them are read and written through an io of the folder all the
 * same.
 *
 * THREADS. Any; the custodian alone makes them.
 * NOT HERE. What is in them (snapshot.c), putting one back (restore.c).
 */
#include "storage/snapshot_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/recover_folder.h"

static const char inner[] = "snapshots";

enum { PATH_BYTES = 4096 };

bool snapshot_name_is_valid(struct text name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (name.length == 0 || name.length > SNAPSHOT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        if (name.bytes[i] == '\0' || strchr(allowed, name.bytes[i]) == NULL)
            return false;
    }
    return true;
}

/* "path/snapshots/name", or without the name if it is NULL. */
static bool make_path(const char *path, const char *name, char out_path[PATH_BYTES])
{
    const int length = name == NULL ? snprintf(out_path, PATH_BYTES, "%s/%s", path, inner)
                                    : snprintf(out_path, PATH_BYTES, "%s/%s/%s", path, inner, name);
    return length > 0 && length < PATH_BYTES;
}

static bool stat_file(const char *path, const char *name, const char *file, struct stat *out_stat)
{
    assert(snapshot_name_is_valid(text_of(name)));
    char whole[PATH_BYTES];
    const int length = snprintf(whole, sizeof(whole), "%s/%s/%s/%s", path, inner, name, file);
    return length > 0 && length < PATH_BYTES && stat(whole, out_stat) == 0;
}

bool snapshot_folder_exists(const char *path, const char *name)
{
    struct stat info;
    return stat_file(path, name, "MANIFEST", &info);
}

/* An io of the folder; STATUS_NOT_FOUND where there is none, instead of making it. */
static enum status open_folder(const char *path, const char *name, struct io **out_io)
{
    assert(name != NULL);
    char whole[PATH_BYTES];
    struct stat info;
    if (!make_path(path, name, whole))
        return STATUS_LIMIT_EXCEEDED;
    if (stat(whole, &info) != 0 || !S_ISDIR(info.st_mode))
        return STATUS_NOT_FOUND;
    return io_posix_open(whole, out_io, NULL);
}

/* ---- remove ---------------------------------------------------------------------------------- */

static enum status remove_files(struct io *io)
{
    assert(io != NULL);
    struct folder_files files = {.files = NULL};
    enum status status = io->operations->remove_file(io, "MANIFEST");
    if (status == STATUS_OK)
        status = io->operations->sync_directory(io);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = folder_files_read(io, &files);
    for (uint32_t i = 0; status == STATUS_OK && i < files.count; i++)
        status = io->operations->remove_file(io, files.files[i].name);
    folder_files_deinit(&files);
    return status;
}

enum status snapshot_folder_remove(const char *path, const char *name)
{
    struct io *io = NULL;
    enum status status = open_folder(path, name, &io);
    if (status != STATUS_OK)
        return status;
    status = remove_files(io);
    io->operations->close(&io);
    char whole[PATH_BYTES];
    if (status == STATUS_OK && make_path(path, name, whole) && rmdir(whole) != 0)
        status = STATUS_IO_FAILED;
    return status;
}

/* ---- make ------------------------------------------------------------------------------------ */

static enum status link_all(struct custodian *custodian, const char *name,
                            const struct journal_segment *segments, uint32_t count,
                            struct manifest *manifest)
{
    assert(manifest->segments_count == 0);
    struct io *io = custodian->io;
    char folder[sizeof(inner) + SNAPSHOT_NAME_MAX + 1], file[IO_NAME_MAX];
    (void)snprintf(folder, sizeof(folder), "%s/%s", inner, name);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        if (segments[i].segment.last_sequence == 0)
            continue;
        manifest_segment_name(segments[i].segment.number, file);
        status = io->operations->link_file(io, file, folder);
        if (status == STATUS_OK)
            status = manifest_add_segment(manifest, &segments[i].segment);
    }
    return status;
}

static enum status write_manifest(const char *path, const char *name,
                                  const struct manifest *manifest)
{
    char whole[PATH_BYTES];
    struct io *io = NULL;
    if (!make_path(path, name, whole))
        return STATUS_LIMIT_EXCEEDED;
    enum status status = io_posix_open(whole, &io, NULL);
    if (status != STATUS_OK)
        return status;
    status = io->operations->sync_directory(io); /* the links, before MANIFEST names them */
    if (status == STATUS_OK)
        status = manifest_save(io, manifest);
    io->operations->close(&io);
    return status;
}

enum status snapshot_folder_make(struct custodian *custodian, const char *name,
                                 const struct journal_segment *segments, uint32_t count)
{
    assert(snapshot_name_is_valid(text_of(name)));
    const char *path = custodian->options.path;
    assert(!snapshot_folder_exists(path, name));
    struct manifest manifest = {.segments = NULL};
    memcpy(manifest.node, custodian->journal->node, sizeof(manifest.node));
    enum status status = snapshot_folder_remove(path, name); /* of a run that was cut */
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = link_all(custodian, name, segments, count, &manifest);
    if (status == STATUS_OK)
        status = write_manifest(path, name, &manifest);
    manifest_clear(&manifest);
    if (status != STATUS_OK)
        (void)snapshot_folder_remove(path, name);
    return status;
}

/* ---- list ------------------------------------------------------------------------------------ */

/* What a compacted segment counts in its header; logs behind them are not counted. */
static uint64_t count_entries(struct io *io, const struct manifest_segment *segment)
{
    assert(segment->kind == SEGMENT_COMPACTED);
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    char name[IO_NAME_MAX];
    struct io_file *file = NULL;
    uint64_t size_bytes = 0;
    size_t read = 0;
    struct segment_header header = {.records_count = 0};
    manifest_segment_name(segment->number, name);
    if (io->operations->open_file(io, name, IO_READ_ONLY, &file, &size_bytes) != STATUS_OK)
        return 0;
    const enum status status = io->operations->read_at(io, file, bytes, sizeof(bytes), 0, &read);
    io->operations->close_file(io, &file);
    if (status != STATUS_OK || read < sizeof(bytes) ||
        segment_header_read(bytes, &header) != SEGMENT_VALID)
        return 0;
    return header.records_count;
}

static enum status add_up(struct io *io, struct snapshot_info *info)
{
    assert(info->size_bytes == 0);
    struct manifest manifest = {.segments = NULL};
    struct folder_files files = {.files = NULL};
    enum status status = manifest_load(io, &manifest, NULL);
    if (status == STATUS_OK)
        status = folder_files_read(io, &files);
    for (uint32_t i = 0; status == STATUS_OK && i < manifest.segments_count; i++) {
        const struct manifest_segment *segment = &manifest.segments[i];
        info->size_bytes += folder_files_segment_bytes(&files, segment->number);
        if (segment->kind == SEGMENT_COMPACTED)
            info->entries += count_entries(io, segment);
    }
    folder_files_deinit(&files);
    manifest_clear(&manifest);
    return status;
}

enum status snapshot_folder_info(const char *path, const char *name, struct snapshot_info *out_info)
{
    struct snapshot_info info = {.size_bytes = 0};
    struct stat made;
    struct io *io = NULL;
    if (!snapshot_name_is_valid(text_of(name)) || !stat_file(path, name, "MANIFEST", &made))
        return STATUS_NOT_FOUND;
    enum status status = open_folder(path, name, &io);
    if (status != STATUS_OK)
        return status;
    status = add_up(io, &info);
    io->operations->close(&io);
    memcpy(info.name, name, strlen(name) + 1);
    info.created_ms = (int64_t)made.st_mtim.tv_sec * 1000 + made.st_mtim.tv_nsec / 1000000;
    if (status == STATUS_OK)
        *out_info = info;
    return status;
}

enum status snapshot_folder_list(const char *path, struct snapshot_info *out_infos,
                                 uint32_t infos_max, uint32_t *out_count)
{
    char whole[PATH_BYTES];
    uint32_t count = 0;
    if (!make_path(path, NULL, whole))
        return STATUS_LIMIT_EXCEEDED;
    DIR *folder = opendir(whole);
    if (folder == NULL && errno != ENOENT)
        return STATUS_IO_FAILED;
    const struct dirent *item = NULL;
    while (folder != NULL && count < infos_max && (item = readdir(folder)) != NULL) {
        if (snapshot_folder_info(path, item->d_name, &out_infos[count]) == STATUS_OK)
            count++; /* others are not whole */
    }
    if (folder != NULL)
        (void)closedir(folder);
    *out_count = count;
    return STATUS_OK;
}
