/*
 * segment_writer.c - compacted segments: header, records, the XXH3-128 of the records in canonical
 * form. The header comes last, since it counts the records: until then the file is a spare's, zeros
 * where a header should be, and no recovery looks at it. A checksum over all is there because the
 * records of a compacted segment have no unbroken sequence: one that is missing would not be seen.
 *
 * Files grow with what is written, 1 MiB at a time, and no zeros are written first: they are
 * written once, and synced once. The emergency spare is the exception: its blocks are taken
 * already, which is what it is for.
 *
 * THREADS. The custodian's.
 * NOT HERE. Which records (compact.c, snapshot.c), when MANIFEST names the files
 * (journal_custody.c).
 */
#include "storage/segment_writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/recover_segment.h"

enum { BUFFER_BYTES = 1024 * 1024, MADE_FIRST = 16 };

void segment_writer_deinit(struct segment_writer *writer)
{
    if (writer->file != NULL)
        writer->custodian->io->operations->close_file(writer->custodian->io, &writer->file);
    checksum_destroy(&writer->hash);
    free(writer->buffer);
    free(writer->made);
    *writer = (struct segment_writer){.custodian = writer->custodian};
}

/* ---- one file -------------------------------------------------------------------------------- */

static enum status open_emergency(struct segment_writer *writer, const char *name)
{
    assert(writer->uses_emergency);
    struct io *io = writer->custodian->io;
    char spare[IO_NAME_MAX];
    uint64_t size_bytes = 0;
    if (writer->made_count > 0)
        return STATUS_NOT_FOUND;
    journal_spare_name(SPARE_EMERGENCY, spare);
    enum status status = io->operations->rename_file(io, spare, name);
    if (status == STATUS_OK)
        status = io->operations->open_file(io, name, IO_BUFFERED, &writer->file, &size_bytes);
    return status;
}

static enum status grow_made(struct segment_writer *writer)
{
    if (writer->made_count < writer->made_capacity)
        return STATUS_OK;
    const uint32_t wanted = writer->made_capacity == 0 ? MADE_FIRST : writer->made_capacity * 2;
    void *larger = reallocarray(writer->made, wanted, sizeof(*writer->made));
    if (larger == NULL)
        return STATUS_NO_MEMORY;
    writer->made = larger;
    writer->made_capacity = wanted;
    return STATUS_OK;
}

static enum status reset_hash(struct segment_writer *writer)
{
    if (writer->hash == NULL)
        return checksum_create(&writer->hash);
    checksum_reset(writer->hash);
    return STATUS_OK;
}

static enum status open_segment(struct segment_writer *writer)
{
    assert(writer->file == NULL);
    struct journal *journal = writer->custodian->journal;
    struct io *io = writer->custodian->io;
    enum status status = grow_made(writer);
    if (status == STATUS_OK)
        status = reset_hash(writer);
    if (status != STATUS_OK)
        return status;
    uint64_t epoch = 0;
    while ((uint32_t)epoch == 0)
        epoch = journal->chance(journal->chance_context);
    writer->header = (struct segment_header){.number = journal_number(journal),
                                             .first_sequence = UINT64_MAX,
                                             .epoch = epoch,
                                             .created_ms = journal->clock_ms(),
                                             .kind = SEGMENT_COMPACTED};
    memcpy(writer->header.node, journal->node, sizeof(writer->header.node));
    writer->written_bytes = SEGMENT_HEADER_BYTES;
    char name[IO_NAME_MAX];
    manifest_segment_name(writer->header.number, name);
    status = writer->uses_emergency ? open_emergency(writer, name)
                                    : io->operations->create_file(io, name, 0, &writer->file);
    if (status != STATUS_OK)
        return status;
    /* From here on it is ours to remove. */
    writer->made[writer->made_count] =
        (struct manifest_segment){.number = writer->header.number, .kind = SEGMENT_COMPACTED};
    writer->made_count++;
    return STATUS_OK;
}

static enum status flush(struct segment_writer *writer)
{
    if (writer->buffer_bytes == 0)
        return STATUS_OK;
    enum status status = custodian_pace(writer->custodian, writer->buffer_bytes);
    if (status != STATUS_OK)
        return status;
    struct io *io = writer->custodian->io;
    status = io->operations->write_at(io, writer->file, writer->buffer, writer->buffer_bytes,
                                      writer->written_bytes);
    if (status != STATUS_OK)
        return status;
    checksum_add(writer->hash, writer->buffer, writer->buffer_bytes);
    writer->written_bytes += writer->buffer_bytes;
    writer->buffer_bytes = 0;
    return STATUS_OK;
}

static enum status write_hash(struct segment_writer *writer)
{
    assert(writer->buffer_bytes == 0);
    struct io *io = writer->custodian->io;
    uint8_t sum[SEGMENT_HASH_BYTES];
    checksum_take(writer->hash, sum);
    const enum status status =
        io->operations->write_at(io, writer->file, sum, sizeof(sum), writer->written_bytes);
    writer->written_bytes += sizeof(sum);
    return status;
}

static enum status write_header(struct segment_writer *writer)
{
    assert(writer->header.first_sequence <= writer->header.last_sequence);
    struct io *io = writer->custodian->io;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    writer->header.file_bytes = writer->written_bytes;
    segment_header_write(&writer->header, bytes);
    return io->operations->write_at(io, writer->file, bytes, sizeof(bytes), 0);
}

static enum status close_segment(struct segment_writer *writer)
{
    struct io *io = writer->custodian->io;
    assert(writer->header.records_count > 0);
    enum status status = flush(writer);
    if (status == STATUS_OK)
        status = write_hash(writer);
    if (status == STATUS_OK)
        status = write_header(writer);
    if (status == STATUS_OK && writer->uses_emergency)
        status = io->operations->truncate_file(io, writer->file, writer->written_bytes);
    if (status == STATUS_OK)
        status = io->operations->sync_file(io, writer->file);
    if (status != STATUS_OK)
        return status;
    struct manifest_segment *made = &writer->made[writer->made_count - 1];
    made->first_sequence = writer->header.first_sequence;
    made->last_sequence = writer->header.last_sequence;
    io->operations->close_file(io, &writer->file);
    writer->file = NULL;
    return STATUS_OK;
}

/* ---- records --------------------------------------------------------------------------------- */

static enum status grow_buffer(struct segment_writer *writer, size_t wanted)
{
    if (wanted <= writer->buffer_capacity)
        return STATUS_OK;
    assert(writer->buffer_bytes == 0);
    free(writer->buffer);
    writer->buffer_capacity = 0;
    const size_t capacity = wanted < BUFFER_BYTES ? BUFFER_BYTES : wanted;
    writer->buffer = malloc(capacity);
    if (writer->buffer == NULL)
        return STATUS_NO_MEMORY;
    writer->buffer_capacity = capacity;
    return STATUS_OK;
}

enum status segment_writer_reserve(struct segment_writer *writer, size_t record_bytes,
                                   uint8_t **out_record)
{
    assert(record_bytes % RECORD_ALIGNMENT == 0);
    const uint64_t segment_bytes = writer->custodian->options.segment_bytes;
    enum status status = STATUS_OK;
    if (writer->file != NULL &&
        writer->written_bytes + writer->buffer_bytes + record_bytes + SEGMENT_HASH_BYTES >
            segment_bytes)
        status = close_segment(writer);
    if (status == STATUS_OK && writer->buffer_bytes + record_bytes > writer->buffer_capacity)
        status = flush(writer);
    if (status == STATUS_OK)
        status = grow_buffer(writer, record_bytes);
    if (status == STATUS_OK && writer->file == NULL)
        status = open_segment(writer);
    if (status == STATUS_OK)
        *out_record = writer->buffer + writer->buffer_bytes;
    return status;
}

void segment_writer_add(struct segment_writer *writer, uint8_t *bytes, const struct record *record)
{
    struct segment_header *header = &writer->header;
    assert(bytes == writer->buffer + writer->buffer_bytes);
    assert(record->sequence > 0);
    record_seal(bytes, record, header->epoch);
    writer->buffer_bytes += record_size(record->payload.length);
    assert(writer->buffer_bytes <= writer->buffer_capacity);
    header->records_count++;
    writer->records_count++;
    if (record->sequence < header->first_sequence)
        header->first_sequence = record->sequence;
    if (record->sequence > header->last_sequence)
        header->last_sequence = record->sequence;
}

enum status segment_writer_finish(struct segment_writer *writer)
{
    struct io *io = writer->custodian->io;
    if (writer->made_count == 0)
        return STATUS_OK;
    const enum status status = writer->file != NULL ? close_segment(writer) : STATUS_OK;
    return status == STATUS_OK ? io->operations->sync_directory(io) : status;
}

void segment_writer_undo(struct segment_writer *writer)
{
    struct io *io = writer->custodian->io;
    if (writer->file != NULL)
        io->operations->close_file(io, &writer->file);
    writer->file = NULL;
    for (uint32_t i = 0; i < writer->made_count; i++) {
        char name[IO_NAME_MAX];
        manifest_segment_name(writer->made[i].number, name);
        (void)io->operations->remove_file(io, name); /* best effort: MANIFEST does not name it */
    }
    writer->made_count = 0;
}
