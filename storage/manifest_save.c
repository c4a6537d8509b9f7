/*
 * manifest_save.c - MANIFEST written: a draft in full, synced, renamed, the folder synced. What it
 * looks like stands in manifest.c.
 *
 * THREADS. One at a time, see manifest.h.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "storage/manifest_text.h"

static void write_id(const uint8_t id[ENTRY_ID_BYTES], char out_hex[MANIFEST_ID_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < ENTRY_ID_BYTES; i++) {
        out_hex[2 * i] = digits[id[i] >> 4];
        out_hex[2 * i + 1] = digits[id[i] & 15];
    }
    out_hex[MANIFEST_ID_HEX] = '\0';
}

struct sheet { /* room for all lines is there from the start */
    char *bytes;
    size_t used, capacity;
};

__attribute__((format(printf, 2, 3))) static void put(struct sheet *sheet, const char *format, ...)
{
    const size_t room = sheet->capacity - sheet->used;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(sheet->bytes + sheet->used, room, format, arguments);
    va_end(arguments);
    assert(length > 0);
    assert((size_t)length < room);
    sheet->used += (size_t)length;
}

static void put_segments(struct sheet *sheet, const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->segments_count; i++) {
        const struct manifest_segment *segment = &manifest->segments[i];
        assert(segment->last_sequence != 0 || i + 1 == manifest->segments_count);
        assert(segment->last_sequence != 0 || segment->kind == SEGMENT_LOG);
        put(sheet, "segment %016" PRIx64 " %s %" PRIu64, segment->number,
            segment->kind == SEGMENT_LOG ? "log" : "compacted", segment->first_sequence);
        if (segment->last_sequence == 0)
            put(sheet, " open\n");
        else
            put(sheet, " %" PRIu64 "\n", segment->last_sequence);
    }
}

static void put_all(struct sheet *sheet, const struct manifest *manifest)
{
    char tenant[MANIFEST_ID_HEX + 1], scope[MANIFEST_ID_HEX + 1];
    write_id(manifest->node, tenant);
    put(sheet, "%s1.0\nnode %s\n", MANIFEST_VERSION_WORD, tenant);
    put_segments(sheet, manifest);
    for (uint32_t i = 0; i < manifest->floors_count; i++) {
        const struct manifest_floor *floor = &manifest->floors[i];
        write_id(floor->tenant, tenant);
        write_id(floor->scope, scope);
        put(sheet, "floor %s %s %" PRIu64 "\n", tenant, scope, floor->sequence);
    }
    put(sheet, "crc32c %08" PRIx32 "\n", crc32c(0, sheet->bytes, sheet->used));
}

/* The whole file, in memory of the caller's. Not by open_memstream: where that finds no memory at
 * its end, glibc 2.36 reports nothing and loses the block. */
static enum status print(const struct manifest *manifest, char **out_bytes, size_t *out_size)
{
    const size_t lines =
        (size_t)manifest->segments_count + manifest->floors_count + MANIFEST_LINES_OF_ITS_OWN;
    struct sheet sheet = {.bytes = calloc(lines, MANIFEST_LINE_BYTES),
                          .capacity = lines * MANIFEST_LINE_BYTES};
    if (sheet.bytes == NULL)
        return STATUS_NO_MEMORY;
    put_all(&sheet, manifest);
    assert(sheet.used > MANIFEST_CHECKSUM_LINE_BYTES);
    *out_bytes = sheet.bytes;
    *out_size = sheet.used;
    return STATUS_OK;
}

static enum status write_draft(struct io *io, const char *bytes, size_t size)
{
    assert(size > MANIFEST_CHECKSUM_LINE_BYTES);
    enum status status = io->operations->remove_file(io, MANIFEST_DRAFT);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    struct io_file *file = NULL;
    status = io->operations->create_file(io, MANIFEST_DRAFT, size, &file);
    if (status != STATUS_OK)
        return status;
    status = io->operations->write_at(io, file, bytes, size, 0);
    if (status == STATUS_OK)
        status = io->operations->sync_file(io, file);
    io->operations->close_file(io, &file);
    return status;
}

enum status manifest_save(struct io *io, const struct manifest *manifest)
{
    char *bytes = NULL;
    size_t size = 0;
    enum status status = print(manifest, &bytes, &size);
    if (status != STATUS_OK)
        return status;
    status = write_draft(io, bytes, size);
    free(bytes);
    if (status == STATUS_OK)
        status = io->operations->rename_file(io, MANIFEST_DRAFT, MANIFEST_NAME);
    if (status == STATUS_OK)
        status = io->operations->sync_directory(io);
    return status;
}
