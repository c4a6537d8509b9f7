/*
 * recover_tail.c - bytes of a segment that are no good record: a torn tail, or damage?
 *
 * THE TAIL RULE, for the segment that was open: each 8-byte step of the next 8 MiB is tried. With
 * no good record of the same epoch and a later sequence in it, the log has been cut there by a
 * crash, which is nobody's fault; else something has gone bad in the middle, and that is damage. In
 * a finished segment it is damage in any case, and the search goes on to the file's end.
 *
 * What cannot be read is looked at block by block: one bad sector does not take 4 MiB with it. A
 * tail that cannot be read is damage and no torn tail: what lay there may have been acknowledged.
 * So is a file that is shorter than its header says: files are made at full size.
 *
 * THREADS. The reader's.
 * NOT HERE. What is done about damage: skip it or stop, as the reader was told (recover.c).
 */
#include "storage/recover_tail.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { OFFSET_PAYLOAD_BYTES = 4, OFFSET_EPOCH = 16, OFFSET_TYPE = 20 }; /* as in record.c */
enum { WINDOW_BYTES = TAIL_LOOKAHEAD + RECORD_BYTES_MAX };

static uint32_t read_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static enum status fetch_blocks(struct segment_reader *reader, uint8_t *bytes, size_t size,
                                uint64_t offset, uint64_t *out_unreadable)
{
    struct io *io = reader->io;
    memset(bytes, 0, size);
    for (size_t at = 0; at < size; at += RECORD_BLOCK_BYTES) {
        const size_t rest = size - at;
        const size_t wanted = rest < RECORD_BLOCK_BYTES ? rest : RECORD_BLOCK_BYTES;
        size_t read = 0;
        const enum status status =
            io->operations->read_at(io, reader->file, bytes + at, wanted, offset + at, &read);
        if (status == STATUS_NO_MEMORY)
            return status;
        if (status != STATUS_OK) {
            memset(bytes + at, 0, wanted);
            *out_unreadable += wanted;
            reader->error = io->error;
        }
    }
    return STATUS_OK;
}

enum status segment_fetch(struct segment_reader *reader, uint8_t *bytes, size_t size,
                          uint64_t offset, size_t *out_read, uint64_t *out_unreadable)
{
    assert(reader->file != NULL);
    assert(offset <= reader->file_bytes);
    const uint64_t rest = reader->file_bytes - offset;
    const size_t wanted = rest < size ? (size_t)rest : size;
    struct io *io = reader->io;
    size_t read = 0;
    enum status status = io->operations->read_at(io, reader->file, bytes, wanted, offset, &read);
    if (status == STATUS_NO_MEMORY)
        return status;
    if (status != STATUS_OK || read < wanted)
        status = fetch_blocks(reader, bytes, wanted, offset, out_unreadable);
    *out_read = wanted;
    return status;
}

void segment_report(struct segment_reader *reader, uint64_t offset, uint64_t size, const char *what)
{
    assert(what != NULL);
    const struct segment_damage damage = {.number = reader->segment.number,
                                          .offset_bytes = offset,
                                          .size_bytes = size,
                                          .what = what,
                                          .error = reader->error};
    reader->error = 0;
    reader->damages++;
    reader->is_damaged = true;
    reader->damage = damage;
    reader->damaged_bytes += size;
    if (reader->damaged != NULL)
        reader->damaged(reader->damaged_context, &damage);
    if (!reader->skips_damage) {
        reader->is_done = true;
        reader->stopped = true;
    }
}

void segment_log_damage(void *context, const struct segment_damage *damage)
{
    (void)context;
    char name[IO_NAME_MAX];
    const char *error = damage->error != 0 ? strerrorname_np(damage->error) : "none";
    manifest_segment_name(damage->number, name);
    log_write(LOG_ERROR, "storage", "a part of the log cannot be used",
              "file=%s offset=%" PRIu64 " bytes=%" PRIu64 " errno=%s what=\"%s\"", name,
              damage->offset_bytes, damage->size_bytes, error != NULL ? error : "unknown",
              damage->what);
}

bool segment_may_follow(const struct segment_reader *reader, const struct record *record,
                        bool skipped)
{
    const uint64_t sequence = record->sequence, before = reader->last_sequence;
    if (reader->segment.kind == SEGMENT_COMPACTED)
        return record->type == RECORD_PAD || (sequence >= reader->segment.first_sequence &&
                                              sequence <= reader->segment.last_sequence);
    if (reader->segment.last_sequence != 0 && sequence > reader->segment.last_sequence)
        return false;
    const bool is_mark = record->type == RECORD_PAD || record->type == RECORD_SEAL ||
                         record->type == RECORD_BATCH_END || record->type > RECORD_SEAL;
    if (is_mark && sequence == before)
        return true;
    return skipped ? sequence > before : sequence == before + 1;
}

/* The first good record of the window, which one behind a gap is; `size` if there is none. */
static size_t search(const struct segment_reader *reader, const uint8_t *window, size_t size)
{
    assert(size <= WINDOW_BYTES);
    const uint32_t epoch = (uint32_t)reader->header.epoch;
    for (size_t at = 0; at < TAIL_LOOKAHEAD; at += RECORD_ALIGNMENT) {
        if (at + RECORD_HEADER_BYTES > size)
            break;
        const uint8_t *bytes = window + at;
        if (bytes[OFFSET_TYPE] == 0 || read_u32(bytes + OFFSET_EPOCH) != epoch)
            continue;
        struct record record;
        size_t record_bytes = 0;
        if (record_read(bytes, size - at, reader->header.epoch, &record, &record_bytes) ==
                RECORD_VALID &&
            segment_may_follow(reader, &record, true))
            return at;
    }
    return size;
}

/* How much of the window, at its start, was once to be a record: what a crash has cut. */
static uint64_t torn_size(const struct segment_reader *reader, const uint8_t *window, size_t size)
{
    if (size < RECORD_HEADER_BYTES ||
        read_u32(window + OFFSET_EPOCH) != (uint32_t)reader->header.epoch ||
        window[OFFSET_TYPE] == 0)
        return 0;
    const uint64_t claimed =
        (uint64_t)RECORD_HEADER_BYTES + read_u32(window + OFFSET_PAYLOAD_BYTES);
    return claimed < size ? claimed : size;
}

/* Looks from reader->offset_bytes on. *out_next: of the good record, or the file's size. */
static enum status find_next(struct segment_reader *reader, uint8_t *window, uint64_t *out_next,
                             uint64_t *out_torn, uint64_t *out_unreadable)
{
    assert(window != NULL);
    const bool is_open = reader->segment.last_sequence == 0;
    uint64_t offset = reader->offset_bytes;
    for (bool is_first = true; offset < reader->file_bytes; is_first = false) {
        size_t size = 0;
        const enum status status =
            segment_fetch(reader, window, WINDOW_BYTES, offset, &size, out_unreadable);
        if (status != STATUS_OK)
            return status;
        if (is_first)
            *out_torn = torn_size(reader, window, size);
        const size_t at = search(reader, window, size);
        if (at < size) {
            *out_next = offset + at;
            return STATUS_OK;
        }
        if (is_open)
            break;
        offset += TAIL_LOOKAHEAD;
    }
    *out_next = reader->file_bytes;
    return STATUS_OK;
}

enum status tail_resume(struct segment_reader *reader, const char *what)
{
    assert(!reader->is_done);
    const uint64_t offset = reader->offset_bytes;
    const uint64_t left = reader->file_bytes - offset;
    uint8_t *window = malloc(left < WINDOW_BYTES ? left + 1 : WINDOW_BYTES);
    if (window == NULL)
        return STATUS_NO_MEMORY;
    uint64_t next = 0, torn = 0, unreadable = 0;
    const enum status status = find_next(reader, window, &next, &torn, &unreadable);
    free(window);
    if (status != STATUS_OK)
        return status;
    assert(next >= offset);
    const bool has_end = next == reader->file_bytes;
    reader->is_done = has_end;
    const bool is_short = reader->header.file_bytes > reader->file_bytes;
    if (has_end && reader->segment.last_sequence == 0 && unreadable == 0 && !is_short) {
        reader->torn_bytes += torn;
        return STATUS_OK;
    }
    if (unreadable > 0)
        what = "it cannot be read";
    else if (has_end && is_short)
        what = "the file's end is missing";
    segment_report(reader, offset, next - offset, what);
    if (reader->stopped)
        return STATUS_OK;
    reader->offset_bytes = next;
    reader->has_skipped = true;
    return STATUS_OK;
}
