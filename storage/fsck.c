/*
 * fsck.c - a data folder checked from outside: each file by itself, then three starts that change
 * nothing, one under each journal.recovery, since what a start does is best said by the code that
 * does it.
 *
 * THREADS. The caller's, and recovery's.
 * NOT HERE. Repair: a server that starts leaves behind all that it cannot use.
 */
#include "storage/fsck.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "storage/recover.h"
#include "storage/recover_folder.h"
#include "storage/recover_segment.h"

static const char *const verdict_names[] = {
    [FSCK_GOOD] = "good",       [FSCK_TORN] = "torn",         [FSCK_DAMAGED] = "damaged",
    [FSCK_MISSING] = "missing", [FSCK_LEFTOVER] = "leftover", [FSCK_OTHER] = "other",
};

struct check {
    struct io *io;
    struct folder_files files;
    struct manifest manifest;
    bool has_manifest;
    fsck_report *report;
    void *context;
    struct fsck_summary *summary;
};

const char *fsck_verdict_name(enum fsck_verdict verdict)
{
    assert((size_t)verdict < sizeof(verdict_names) / sizeof(verdict_names[0]));
    return verdict_names[verdict];
}

static void tell(struct check *check, const struct fsck_file *file)
{
    assert(file->name[0] != '\0');
    assert(file->what != NULL);
    check->summary->files++;
    if (file->verdict == FSCK_DAMAGED || file->verdict == FSCK_MISSING)
        check->summary->files_damaged++;
    check->report(check->context, file);
}

static uint64_t size_of(const struct check *check, const char *name)
{
    for (uint32_t i = 0; i < check->files.count; i++) {
        if (strcmp(check->files.files[i].name, name) == 0)
            return check->files.files[i].size_bytes;
    }
    return 0;
}

static bool has_segments(const struct check *check)
{
    for (uint32_t i = 0; i < check->files.count; i++) {
        if (check->files.files[i].kind == FOLDER_SEGMENT)
            return true;
    }
    return false;
}

/* Without MANIFEST the segments are checked as a start would find them. */
static enum status check_manifest(struct check *check)
{
    assert(!check->has_manifest);
    struct failure why = {.status = STATUS_OK};
    struct fsck_file file = {.name = "MANIFEST", .what = "", .verdict = FSCK_GOOD};
    enum status status = manifest_load(check->io, &check->manifest, &why);
    if (status == STATUS_NO_MEMORY)
        return status;
    check->has_manifest = status == STATUS_OK;
    file.size_bytes = size_of(check, file.name);
    if (status != STATUS_OK) {
        if (status == STATUS_NOT_FOUND && !has_segments(check))
            return STATUS_OK; /* nothing was ever here */
        file.verdict = status == STATUS_NOT_FOUND ? FSCK_MISSING : FSCK_DAMAGED;
        file.what = why.message;
        file.damaged_bytes = file.size_bytes;
    }
    tell(check, &file);
    if (status == STATUS_OK)
        return status;
    uint64_t damaged_bytes = 0;
    bool has_records = false;
    status = folder_rebuild(check->io, &check->files, &check->manifest, &damaged_bytes,
                            &has_records, NULL);
    return status == STATUS_NO_MEMORY ? status : STATUS_OK; /* a newer format: the starts tell */
}

/* ---- segments -------------------------------------------------------------------------------- */

static void note_first(void *context, const struct segment_damage *damage)
{
    assert(damage->what != NULL);
    struct fsck_file *file = context;
    if (file->what[0] != '\0')
        return;
    file->what = damage->what;
    file->damage_offset = damage->offset_bytes;
}

static void judge(const struct segment_reader *reader, enum status status, struct fsck_file *file)
{
    assert(file->what != NULL);
    file->records = reader->records_count;
    file->damaged_bytes = reader->damaged_bytes;
    file->torn_bytes = reader->torn_bytes;
    if (status != STATUS_OK) {
        file->verdict = FSCK_DAMAGED;
        file->what = status_text(status);
    } else if (reader->is_damaged) {
        file->verdict = file->size_bytes == 0 ? FSCK_MISSING : FSCK_DAMAGED;
    } else if (reader->torn_bytes > 0) {
        file->verdict = FSCK_TORN;
        file->what = "the last record was cut by a crash";
    }
}

static enum status check_segment(struct check *check, const struct manifest_segment *segment)
{
    assert(segment->number > 0);
    char name[IO_NAME_MAX];
    manifest_segment_name(segment->number, name);
    struct fsck_file file = {
        .name = name, .what = "", .verdict = FSCK_GOOD, .size_bytes = size_of(check, name)};
    struct segment_reader reader = {.io = check->io,
                                    .segment = *segment,
                                    .skips_damage = true,
                                    .damaged = note_first,
                                    .damaged_context = &file};
    struct piece piece = {.bytes = NULL};
    enum status status = segment_open(&reader);
    while (status == STATUS_OK && !reader.is_done)
        status = segment_read(&reader, &piece);
    judge(&reader, status, &file);
    segment_close(&reader);
    piece_deinit(&piece);
    if (status == STATUS_NO_MEMORY)
        return status;
    tell(check, &file);
    return STATUS_OK;
}

static bool is_named(const struct manifest *manifest, const struct folder_file *file)
{
    for (uint32_t i = 0; file->kind == FOLDER_SEGMENT && i < manifest->segments_count; i++) {
        if (manifest->segments[i].number == file->number)
            return true;
    }
    return false;
}

/* A segment that is not named is a leftover; so it is without a MANIFEST, if its header is bad: it
 * stays in the folder then, and in no use. */
static void check_others(struct check *check)
{
    for (uint32_t i = 0; i < check->files.count; i++) {
        const struct folder_file *found = &check->files.files[i];
        struct fsck_file file = {.name = found->name,
                                 .what = "",
                                 .verdict = FSCK_OTHER,
                                 .size_bytes = found->size_bytes};
        if (strcmp(found->name, "MANIFEST") == 0 || is_named(&check->manifest, found))
            continue;
        if (found->kind != FOLDER_OTHER) {
            file.verdict = FSCK_LEFTOVER;
            file.what = "MANIFEST does not name it";
        }
        if (!check->has_manifest && found->kind == FOLDER_SEGMENT) {
            file.verdict = FSCK_DAMAGED;
            file.what = "its header is bad, and there is no MANIFEST";
        }
        tell(check, &file);
    }
}

/* ---- starts ---------------------------------------------------------------------------------- */

static bool count_put(void *context, const struct record_put *put, uint64_t sequence,
                      int64_t expires_ms)
{
    (void)put, (void)sequence, (void)expires_ms;
    ++*(uint64_t *)context;
    return true;
}

static void count_remove(void *context, const struct digest *digest, uint64_t sequence)
{
    (void)digest, (void)sequence;
    ++*(uint64_t *)context;
}

static void count_touch(void *context, const struct digest *digest, uint64_t sequence,
                        int64_t expires_ms)
{
    (void)digest, (void)sequence, (void)expires_ms;
    ++*(uint64_t *)context;
}

static void count_purge(void *context, const struct record_purge *purge, uint64_t sequence)
{
    (void)purge, (void)sequence;
    ++*(uint64_t *)context;
}

static void count_note(void *context, const struct record_note *note, uint64_t sequence)
{
    (void)note, (void)sequence;
    ++*(uint64_t *)context;
}

static enum status try_start(struct check *check, enum journal_recovery how)
{
    assert((size_t)how < sizeof(check->summary->starts) / sizeof(check->summary->starts[0]));
    struct fsck_start *start = &check->summary->starts[how];
    const struct recover_visitor visitor = {.context = &start->records,
                                            .put = count_put,
                                            .remove = count_remove,
                                            .touch = count_touch,
                                            .purge = count_purge,
                                            .note = count_note};
    struct recovered recovered = {.live_bytes = NULL};
    struct failure failure = {.status = STATUS_OK};
    start->status = recover_look(check->io, how, &visitor, &recovered, &failure);
    start->damaged_bytes = recovered.damaged_bytes;
    (void)snprintf(start->message, sizeof(start->message), "%s",
                   start->status == STATUS_OK ? recovered.remark : failure.message);
    recovered_clear(&recovered);
    return start->status == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status check_all(struct check *check)
{
    assert(check->files.count == 0);
    enum status status = folder_files_read(check->io, &check->files);
    if (status == STATUS_OK)
        status = check_manifest(check);
    for (uint32_t i = 0; status == STATUS_OK && i < check->manifest.segments_count; i++)
        status = check_segment(check, &check->manifest.segments[i]);
    if (status == STATUS_OK)
        check_others(check);
    for (int how = RECOVERY_SALVAGE; status == STATUS_OK && how <= RECOVERY_STRICT; how++)
        status = try_start(check, (enum journal_recovery)how);
    return status;
}

enum status storage_fsck(const char *directory, fsck_report *report, void *context,
                         struct fsck_summary *out_summary, struct failure *failure)
{
    assert(report != NULL);
    struct stat info;
    if (stat(directory, &info) != 0 || !S_ISDIR(info.st_mode))
        return failure_set(failure, STATUS_NOT_FOUND, "", "there is no folder %.120s", directory);
    struct fsck_summary summary = {.files = 0};
    struct check check = {.report = report, .context = context, .summary = &summary};
    enum status status = io_posix_open(directory, &check.io, failure);
    if (status != STATUS_OK)
        return status;
    status = check_all(&check);
    if (status != STATUS_OK)
        (void)failure_set(failure, status, "", "the folder cannot be checked: %s",
                          status_text(status));
    manifest_clear(&check.manifest);
    folder_files_deinit(&check.files);
    check.io->operations->close(&check.io);
    if (status == STATUS_OK)
        *out_summary = summary;
    return status;
}
