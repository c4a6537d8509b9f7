/*
 * recover_folder.c - the files of a data folder.
 *
 * WITHOUT A MANIFEST the segments' headers tell what there is, and nothing tells what of it still
 * counts: a compaction that a crash has cut may have left both the new segment and the old ones.
 * Read in the order compacted before log, and logs by sequence, that does no harm, since old
 * segments are removed oldest first: a DELETE is never gone while its PUT is there. What has been
 * purged is known only as far as PURGE records are left.
 *
 * A segment without a header is one whose making a crash has cut: nothing in it was ever promised,
 * as MANIFEST names a segment only when its header is on the disk.
 *
 * THREADS. The caller's.
 * NOT HERE. Spares (custodian.c): they have names of their own and stay.
 */
#include "storage/recover_folder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/recover_segment.h"

enum { NUMBER_HEX = 16, CAPACITY_FIRST = 64 };

void folder_files_deinit(struct folder_files *files)
{
    free(files->files);
    *files = (struct folder_files){.files = NULL};
}

/* 0 if the name is not 16 lowercase hex digits and the end, or the number is none of ours. */
static uint64_t number_of(const char *name, const char *end)
{
    assert(end[0] == '.');
    uint64_t number = 0;
    if (strlen(name) != NUMBER_HEX + strlen(end) || strcmp(name + NUMBER_HEX, end) != 0)
        return 0;
    for (int i = 0; i < NUMBER_HEX; i++) {
        const char character = name[i];
        if (character >= '0' && character <= '9')
            number = number << 4 | (uint64_t)(character - '0');
        else if (character >= 'a' && character <= 'f')
            number = number << 4 | (uint64_t)(character - 'a' + 10);
        else
            return 0;
    }
    return number < RECORD_NUMBER_END ? number : 0;
}

static void classify(struct folder_file *file)
{
    const size_t length = strlen(file->name);
    file->kind = FOLDER_OTHER;
    file->number = number_of(file->name, ".journal");
    if (file->number > 0) {
        file->kind = FOLDER_SEGMENT;
        return;
    }
    if (length > 4 && strcmp(file->name + length - 4, ".tmp") == 0)
        file->kind = FOLDER_DRAFT;
}

static void visit(void *context, const char *name, uint64_t size_bytes)
{
    struct folder_files *files = context;
    assert(files->count <= files->capacity);
    if (files->is_out_of_memory || strlen(name) >= IO_NAME_MAX)
        return;
    if (files->count == files->capacity) {
        const uint32_t wanted = files->capacity == 0 ? CAPACITY_FIRST : files->capacity * 2;
        void *larger = reallocarray(files->files, wanted, sizeof(*files->files));
        if (larger == NULL) {
            files->is_out_of_memory = true;
            return;
        }
        files->files = larger;
        files->capacity = wanted;
    }
    struct folder_file *file = &files->files[files->count++];
    *file = (struct folder_file){.size_bytes = size_bytes};
    memcpy(file->name, name, strlen(name) + 1);
    classify(file);
}

enum status folder_files_read(struct io *io, struct folder_files *files)
{
    assert(files->count == 0);
    const enum status status = io->operations->list_files(io, visit, files);
    if (status != STATUS_OK)
        return status;
    return files->is_out_of_memory ? STATUS_NO_MEMORY : STATUS_OK;
}

uint64_t folder_files_number_max(const struct folder_files *files)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < files->count; i++) {
        if (files->files[i].number > highest)
            highest = files->files[i].number;
    }
    return highest;
}

uint64_t folder_files_segment_bytes(const struct folder_files *files, uint64_t number)
{
    for (uint32_t i = 0; i < files->count; i++) {
        if (files->files[i].kind == FOLDER_SEGMENT && files->files[i].number == number)
            return files->files[i].size_bytes;
    }
    return 0;
}

/* ---- without a MANIFEST ---------------------------------------------------------------------- */

static enum status read_header(struct io *io, const char *name, enum segment_check *out_check,
                               struct segment_header *out_header)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES] = {0};
    struct io_file *file = NULL;
    uint64_t size_bytes = 0;
    enum status status = io->operations->open_file(io, name, IO_READ_ONLY, &file, &size_bytes);
    if (status != STATUS_OK)
        return status;
    size_t read = 0;
    status = io->operations->read_at(io, file, bytes, sizeof(bytes), 0, &read);
    io->operations->close_file(io, &file);
    if (status == STATUS_NO_MEMORY)
        return status;
    *out_check = status == STATUS_OK && read == sizeof(bytes)
                     ? segment_header_read(bytes, out_header)
                     : SEGMENT_DAMAGED;
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    const struct manifest_segment *left = a, *right = b;
    if (left->kind != right->kind)
        return left->kind == SEGMENT_COMPACTED ? -1 : 1;
    if (left->first_sequence != right->first_sequence)
        return left->first_sequence < right->first_sequence ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Whether anything was ever acknowledged: a segment's first record is behind its header. */
static enum status has_record(struct io *io, const struct manifest_segment *segment, bool *out_has)
{
    assert(segment->first_sequence > 0);
    struct segment_reader reader = {.io = io, .segment = *segment, .skips_damage = true};
    struct piece piece = {.bytes = NULL};
    enum status status = segment_open(&reader);
    if (status == STATUS_OK && !reader.is_done)
        status = segment_read(&reader, &piece);
    *out_has = *out_has || reader.records_count > 0;
    piece_deinit(&piece);
    segment_close(&reader);
    return status;
}

static enum status add_segment(struct io *io, const struct folder_file *file,
                               struct manifest *manifest, uint64_t *out_damaged_bytes,
                               struct failure *failure)
{
    assert(file->kind == FOLDER_SEGMENT);
    assert(file->number > 0);
    struct segment_header header = {.number = 0};
    enum segment_check check = SEGMENT_DAMAGED;
    const enum status status = read_header(io, file->name, &check, &header);
    if (status != STATUS_OK)
        return failure_set(failure, status, file->name, "it cannot be opened");
    if (check == SEGMENT_UNSUPPORTED)
        return failure_set(failure, STATUS_UNSUPPORTED, file->name,
                           "its format is newer than this program, or of another byte order");
    if (check == SEGMENT_DAMAGED || (check == SEGMENT_VALID && header.number != file->number))
        *out_damaged_bytes += file->size_bytes;
    if (check != SEGMENT_VALID || header.number != file->number || header.first_sequence == 0)
        return STATUS_OK;
    const struct manifest_segment segment = {.number = header.number,
                                             .kind = header.kind,
                                             .first_sequence = header.first_sequence,
                                             .last_sequence = header.last_sequence};
    memcpy(manifest->node, header.node, sizeof(manifest->node));
    return manifest_add_segment(manifest, &segment);
}

enum status folder_rebuild(struct io *io, const struct folder_files *files,
                           struct manifest *out_manifest, uint64_t *out_damaged_bytes,
                           bool *out_has_records, struct failure *failure)
{
    assert(out_manifest != NULL);
    struct manifest manifest = {.segments = NULL};
    enum status status = STATUS_OK;
    *out_damaged_bytes = 0;
    *out_has_records = false;
    for (uint32_t i = 0; status == STATUS_OK && i < files->count; i++) {
        if (files->files[i].kind == FOLDER_SEGMENT)
            status = add_segment(io, &files->files[i], &manifest, out_damaged_bytes, failure);
    }
    for (uint32_t i = 0; status == STATUS_OK && !*out_has_records && i < manifest.segments_count;
         i++)
        status = has_record(io, &manifest.segments[i], out_has_records);
    if (status != STATUS_OK) {
        manifest_clear(&manifest);
        return status;
    }
    if (manifest.segments_count > 1)
        qsort(manifest.segments, manifest.segments_count, sizeof(*manifest.segments), compare);
    *out_manifest = manifest;
    return STATUS_OK;
}

/* ---- what nobody needs ----------------------------------------------------------------------- */

static bool is_named(const struct manifest *manifest, const struct folder_file *file)
{
    assert(file->kind != FOLDER_OTHER);
    if (file->kind == FOLDER_SEGMENT) {
        for (uint32_t i = 0; i < manifest->segments_count; i++) {
            if (manifest->segments[i].number == file->number)
                return true;
        }
    }
    return false;
}

void folder_clean(struct io *io, const struct folder_files *files, const struct manifest *manifest)
{
    assert(io != NULL);
    for (uint32_t i = 0; i < files->count; i++) {
        const struct folder_file *file = &files->files[i];
        if (file->kind == FOLDER_OTHER)
            continue;
        if (file->kind == FOLDER_DRAFT || (manifest != NULL && !is_named(manifest, file)))
            (void)io->operations->remove_file(io, file->name);
    }
}
