/*
 * segment_copy.c - what lives, out of segments: a prefix of them (compact.c), or all that are
 * finished (snapshot.c). A record is copied byte for byte but for its expiry: so its vector comes
 * along, whether an index holds it or not. DELETEs, TOUCHes and PURGEs have done their work.
 *
 * THREADS. The custodian's.
 * NOT HERE. Which segments, and what has to be on the disk before they go.
 */
#include "storage/segment_copy.h"

#include <stdlib.h>
#include <string.h>

#include "storage/recover_tail.h"

/* ---- sequences ------------------------------------------------------------------------------- */

static enum status sequences_add(struct sequences *sequences, uint64_t sequence)
{
    if (sequences->count == sequences->capacity) {
        const size_t wanted = sequences->capacity == 0 ? 256 : sequences->capacity * 2;
        uint64_t *larger = reallocarray(sequences->items, wanted, sizeof(*larger));
        if (larger == NULL)
            return STATUS_NO_MEMORY;
        sequences->items = larger;
        sequences->capacity = wanted;
    }
    sequences->items[sequences->count++] = sequence;
    sequences->is_sorted = false;
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool sequences_hold(struct sequences *sequences, uint64_t sequence)
{
    if (sequences->count == 0)
        return false;
    if (!sequences->is_sorted)
        qsort(sequences->items, sequences->count, sizeof(sequences->items[0]), compare);
    sequences->is_sorted = true;
    return bsearch(&sequence, sequences->items, sequences->count, sizeof(sequences->items[0]),
                   compare) != NULL;
}

void sequences_deinit(struct sequences *sequences)
{
    free(sequences->items);
    *sequences = (struct sequences){.items = NULL};
}

/* ---- copying --------------------------------------------------------------------------------- */

void segment_copy_deinit(struct segment_copy *copy)
{
    piece_deinit(&copy->piece);
}

static enum status write_copy(struct segment_copy *copy, const struct record *record,
                              int64_t expires_ms)
{
    assert(record->type == RECORD_PUT || record->type == RECORD_NOTE);
    assert(expires_ms >= 0);
    uint8_t *bytes = NULL;
    const enum status status =
        segment_writer_reserve(copy->writer, record_size(record->payload.length), &bytes);
    if (status != STATUS_OK)
        return status;
    struct record copied = *record;
    copied.flags = 0; /* its group has ended */
    copied.expires_ms = expires_ms;
    memcpy(bytes + RECORD_HEADER_BYTES, record->payload.bytes, record->payload.length);
    segment_writer_add(copy->writer, bytes, &copied);
    return STATUS_OK;
}

static enum status copy_record(struct segment_copy *copy, const struct record *record)
{
    assert(record->sequence > 0);
    const struct custodian_source *source = copy->writer->custodian->source;
    if (record->type == RECORD_NOTE && copy->copies_notes)
        return write_copy(copy, record, record->expires_ms);
    copy->notes_count += record->type == RECORD_NOTE;
    struct record_put put;
    if (record->type != RECORD_PUT || record_put_read(record->payload, &put) != STATUS_OK)
        return STATUS_OK;
    int64_t expires_ms = 0;
    if (!source->is_live(source->context, &put.digest, record->sequence, &expires_ms))
        return STATUS_OK;
    const enum status status = write_copy(copy, record, expires_ms);
    return status == STATUS_OK && copy->copied != NULL
               ? sequences_add(copy->copied, record->sequence)
               : status;
}

static enum status copy_piece(struct segment_copy *copy)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < copy->piece.records_count; i++)
        status = copy_record(copy, &copy->piece.records[i]);
    if (status == STATUS_OK && atomic_load(&copy->writer->custodian->is_stopping))
        status = STATUS_CANCELLED;
    return status;
}

/* *out_read: of the reading alone. */
static enum status copy_pieces(struct segment_copy *copy, struct segment_reader *reader,
                               enum status *out_read)
{
    enum status status = STATUS_OK;
    *out_read = segment_open(reader);
    while (status == STATUS_OK && *out_read == STATUS_OK && !reader->is_done) {
        *out_read = segment_read(reader, &copy->piece);
        if (*out_read == STATUS_OK)
            status = copy_piece(copy);
    }
    return status;
}

static void set_aside(void *context, const struct segment_damage *damage)
{
    const struct segment_copy *copy = context;
    journal_set_aside(copy->writer->custodian->journal, damage);
}

/* What is known to be damaged is counted no more, and read only by who takes what he can get. */
static enum status copy_segment(struct segment_copy *copy, const struct journal_segment *segment)
{
    assert(segment->segment.last_sequence != 0);
    struct segment_reader reader = {.io = copy->writer->custodian->io,
                                    .segment = segment->segment,
                                    .skips_damage = copy->skips_damage,
                                    .damaged = segment->is_set_aside ? NULL : set_aside,
                                    .damaged_context = copy};
    enum status read = STATUS_OK;
    if (segment->is_set_aside && !copy->skips_damage)
        return STATUS_CORRUPT;
    const enum status status = copy_pieces(copy, &reader, &read);
    if (read == STATUS_IO_FAILED) { /* it cannot even be opened */
        reader.error = reader.io->error;
        segment_report(&reader, 0, segment->file_bytes, "it cannot be read");
        read = STATUS_OK;
    }
    const bool is_damaged = reader.is_damaged;
    segment_close(&reader);
    if (status != STATUS_OK || read == STATUS_NO_MEMORY)
        return status != STATUS_OK ? status : read;
    if (copy->skips_damage)
        return STATUS_OK;
    return read == STATUS_OK && is_damaged ? STATUS_CORRUPT : read;
}

enum status segment_copy_run(struct segment_copy *copy, const struct journal_segment *segments,
                             uint32_t count)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++)
        status = copy_segment(copy, &segments[i]);
    return status;
}
