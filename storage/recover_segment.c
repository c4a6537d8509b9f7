/*
 * recover_segment.c - one segment's file, read in pieces of 4 MiB: its header, then record after
 * record, each with its checksum and the rule of sequences.
 *
 * A PIECE holds whole records only: the first that does not fit begins the next piece, read again.
 * So does a group that is not ended yet: grouped records count only with their BATCH_END, so a
 * piece never ends inside of one. A piece grows for a record or a group that is larger than it.
 *
 * THE END of a log segment is its SEAL, or the last sequence that MANIFEST names: what lies behind
 * was never promised. Of a segment that was open it is where the tail rule says (recover_tail.c).
 * A compacted segment ends after as many records as its header counts, with the XXH3-128 of all of
 * them: a checksum a record does not see a record that is missing.
 *
 * A HEADER that is damaged hides the epoch, no more: the first record has it too, and MANIFEST the
 * rest. With skips_damage such a segment is read all the same.
 *
 * THREADS. The caller's.
 * NOT HERE. The order of segments, floors, what a record does (recover.c).
 */
#include "storage/recover_segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/recover_tail.h"

enum { OFFSET_PAYLOAD_BYTES = 4, OFFSET_EPOCH = 16, OFFSET_TYPE = 20 }; /* as in record.c */
enum { BATCH_END_BYTES = 16, RECORDS_FIRST = 1024 };

/* Where a group began: what is gone back to when it has no end here. */
struct mark {
    size_t at; /* in the piece */
    uint32_t records_count;
    uint64_t last_sequence, counted;
    bool has_skipped;
};

struct parse { /* of one piece */
    struct segment_reader *reader;
    struct piece *piece;
    size_t at;
    bool has_file_end; /* the piece's bytes go to the end of the file */
    bool has_group;
    struct mark group;
    uint64_t hashed_to; /* bytes of the piece that are in the hash */
};

static uint32_t read_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint64_t read_u64(const void *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

void piece_deinit(struct piece *piece)
{
    free(piece->bytes);
    free(piece->records);
    *piece = (struct piece){.bytes = NULL};
}

/* ---- opening --------------------------------------------------------------------------------- */

/* What the header would say, from MANIFEST and the first record. */
static enum status guess_header(struct segment_reader *reader)
{
    assert(reader->file != NULL);
    uint8_t bytes[RECORD_HEADER_BYTES] = {0};
    size_t read = 0;
    uint64_t unreadable = 0;
    const enum status status =
        segment_fetch(reader, bytes, sizeof(bytes), SEGMENT_HEADER_BYTES, &read, &unreadable);
    reader->header = (struct segment_header){.number = reader->segment.number,
                                             .first_sequence = reader->segment.first_sequence,
                                             .last_sequence = reader->segment.last_sequence,
                                             .kind = reader->segment.kind,
                                             .epoch = read_u32(bytes + OFFSET_EPOCH),
                                             .file_bytes = reader->file_bytes};
    return status;
}

static bool is_the_segment(const struct segment_reader *reader)
{
    const struct segment_header *header = &reader->header;
    const struct manifest_segment *segment = &reader->segment;
    return header->number == segment->number && header->kind == segment->kind &&
           header->first_sequence == segment->first_sequence &&
           (segment->kind == SEGMENT_LOG || header->last_sequence == segment->last_sequence);
}

static enum status make_hash(struct segment_reader *reader)
{
    assert(reader->hash == NULL);
    if (reader->segment.kind != SEGMENT_COMPACTED || reader->is_damaged)
        return STATUS_OK;
    return checksum_create(&reader->hash);
}

static enum status read_header(struct segment_reader *reader)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES] = {0};
    size_t read = 0;
    uint64_t unreadable = 0;
    enum status status = segment_fetch(reader, bytes, sizeof(bytes), 0, &read, &unreadable);
    if (status != STATUS_OK)
        return status;
    const enum segment_check check = segment_header_read(bytes, &reader->header);
    if (check == SEGMENT_UNSUPPORTED)
        return STATUS_UNSUPPORTED;
    if (check != SEGMENT_VALID) {
        segment_report(reader, 0, SEGMENT_HEADER_BYTES, "a damaged header");
        return reader->stopped ? STATUS_OK : guess_header(reader);
    }
    if (!is_the_segment(reader)) {
        segment_report(reader, 0, reader->file_bytes, "the header of another segment");
        reader->is_done = true;
    }
    return STATUS_OK;
}

enum status segment_open(struct segment_reader *reader)
{
    assert(reader->segment.number > 0);
    assert(reader->segment.first_sequence > 0);
    assert(reader->file == NULL);
    char name[IO_NAME_MAX];
    manifest_segment_name(reader->segment.number, name);
    reader->last_sequence = reader->segment.first_sequence - 1;
    reader->offset_bytes = SEGMENT_HEADER_BYTES;
    struct io *io = reader->io;
    enum status status =
        io->operations->open_file(io, name, IO_READ_ONLY, &reader->file, &reader->file_bytes);
    if (status == STATUS_NOT_FOUND) {
        segment_report(reader, 0, 0, "the file is missing");
        reader->is_done = true;
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    if (reader->file_bytes < SEGMENT_HEADER_BYTES) {
        segment_report(reader, 0, reader->file_bytes, "a file without a whole header");
        reader->is_done = true;
        return STATUS_OK;
    }
    status = read_header(reader);
    return status == STATUS_OK ? make_hash(reader) : status;
}

void segment_close(struct segment_reader *reader)
{
    checksum_destroy(&reader->hash);
    if (reader->file != NULL)
        reader->io->operations->close_file(reader->io, &reader->file);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static enum status piece_fill(struct segment_reader *reader, struct piece *piece, size_t wanted)
{
    assert(reader->offset_bytes <= reader->file_bytes);
    const uint64_t rest = reader->file_bytes - reader->offset_bytes;
    const size_t size = rest < wanted ? (size_t)rest : wanted;
    if (piece->capacity < size || piece->bytes == NULL) {
        free(piece->bytes);
        piece->capacity = 0;
        piece->bytes = malloc(size > 0 ? size : 1); /* a pointer even to nothing */
        if (piece->bytes == NULL)
            return STATUS_NO_MEMORY;
        piece->capacity = size;
    }
    piece->size = 0;
    piece->records_count = 0;
    uint64_t unreadable = 0;
    return segment_fetch(reader, piece->bytes, size, reader->offset_bytes, &piece->size,
                         &unreadable);
}

static enum status piece_add(struct piece *piece, const struct record *record)
{
    assert(record->type <= RECORD_SEAL);
    if (piece->records_count == piece->records_capacity) {
        const uint32_t wanted =
            piece->records_capacity == 0 ? RECORDS_FIRST : piece->records_capacity * 2;
        void *larger = reallocarray(piece->records, wanted, sizeof(*piece->records));
        if (larger == NULL)
            return STATUS_NO_MEMORY;
        piece->records = larger;
        piece->records_capacity = wanted;
    }
    piece->records[piece->records_count++] = *record;
    return STATUS_OK;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void group_begin(struct parse *parse)
{
    if (parse->has_group)
        return;
    parse->has_group = true;
    parse->group = (struct mark){.at = parse->at,
                                 .records_count = parse->piece->records_count,
                                 .last_sequence = parse->reader->last_sequence,
                                 .counted = parse->reader->records_count,
                                 .has_skipped = parse->reader->has_skipped};
}

/* Without its end the grouped ones do not count; those between them do. */
static void group_drop(struct parse *parse)
{
    if (!parse->has_group)
        return;
    struct piece *piece = parse->piece;
    uint32_t kept = parse->group.records_count;
    for (uint32_t i = kept; i < piece->records_count; i++) {
        if ((piece->records[i].flags & RECORD_GROUPED) == 0)
            piece->records[kept++] = piece->records[i];
    }
    piece->records_count = kept;
    parse->has_group = false;
}

/* The end names the first sequence of its group and how many there are: all of them, or none. */
static bool group_end(struct parse *parse, const struct record *record)
{
    assert(record->type == RECORD_BATCH_END);
    if (!parse->has_group || record->payload.length != BATCH_END_BYTES)
        return false;
    const struct piece *piece = parse->piece;
    uint32_t grouped = 0;
    for (uint32_t i = parse->group.records_count; i < piece->records_count; i++)
        grouped += (piece->records[i].flags & RECORD_GROUPED) != 0;
    const uint64_t first = read_u64(record->payload.bytes);
    const uint32_t count = read_u32((const uint8_t *)record->payload.bytes + 8);
    if (grouped != count || first != piece->records[parse->group.records_count].sequence)
        return false;
    parse->has_group = false;
    return true;
}

/* What the piece holds of a group that has not ended is read again, with the next piece. */
static void group_put_back(struct parse *parse)
{
    assert(parse->has_group);
    parse->at = parse->group.at;
    parse->piece->records_count = parse->group.records_count;
    parse->reader->last_sequence = parse->group.last_sequence;
    parse->reader->records_count = parse->group.counted;
    parse->reader->has_skipped = parse->group.has_skipped;
    parse->has_group = false;
}

/* ---- records --------------------------------------------------------------------------------- */

/* How many bytes there must be before the record here can be judged. */
static size_t bytes_wanted(const struct segment_reader *reader, const uint8_t *bytes, size_t left)
{
    if (left < RECORD_HEADER_BYTES || bytes[OFFSET_TYPE] == 0 ||
        read_u32(bytes + OFFSET_EPOCH) != (uint32_t)reader->header.epoch)
        return RECORD_HEADER_BYTES;
    const size_t size = record_size(read_u32(bytes + OFFSET_PAYLOAD_BYTES));
    return size <= RECORD_BYTES_MAX ? size : RECORD_HEADER_BYTES;
}

/* What is to be told of bytes that are no good record; NULL of a good one. */
static const char *judge(const struct segment_reader *reader, const uint8_t *bytes, size_t left,
                         struct record *out_record, size_t *out_size)
{
    switch (record_read(bytes, left, reader->header.epoch, out_record, out_size)) {
    case RECORD_VALID:
        return segment_may_follow(reader, out_record, reader->has_skipped)
                   ? NULL
                   : "a gap in the sequences";
    case RECORD_NOTHING:
        return "records are missing";
    case RECORD_DAMAGED:
        return "a damaged record";
    case RECORD_UNSUPPORTED:
        return "a record of a type that this program does not know";
    }
    return "a damaged record";
}

static void end_log(struct parse *parse, const struct record *seal)
{
    assert(seal->type == RECORD_SEAL);
    struct segment_reader *reader = parse->reader;
    reader->is_done = true;
    const bool counts = seal->payload.length == RECORD_SEAL_BYTES &&
                        read_u64(seal->payload.bytes) == reader->records_count;
    const bool is_whole = reader->segment.last_sequence == 0 ||
                          reader->last_sequence == reader->segment.last_sequence;
    if ((!counts || !is_whole) && !reader->is_damaged)
        segment_report(reader, reader->offset_bytes + parse->at, 0,
                       "the count of records at the end is another");
}

/* A good record. Counted, and kept unless it is one of the journal's own marks. */
static enum status take(struct parse *parse, const struct record *record)
{
    struct segment_reader *reader = parse->reader;
    assert(!parse->reader->is_done);
    const bool is_own = record->type <= RECORD_SEAL && record->version == RECORD_VERSION;
    if (is_own && (record->flags & RECORD_GROUPED) != 0)
        group_begin(parse);
    reader->has_skipped = false;
    if (reader->segment.kind == SEGMENT_LOG || record->sequence > reader->last_sequence)
        reader->last_sequence = record->sequence;
    if (is_own && record->type == RECORD_PAD)
        return STATUS_OK;
    if (is_own && record->type == RECORD_SEAL) {
        end_log(parse, record);
        return STATUS_OK;
    }
    reader->records_count++;
    if (is_own && record->type == RECORD_BATCH_END) {
        if (!group_end(parse, record))
            group_drop(parse);
        return STATUS_OK;
    }
    return is_own ? piece_add(parse->piece, record) : STATUS_OK; /* else it may be skipped */
}

/* All that MANIFEST or the header has promised is read. */
static bool is_complete(const struct segment_reader *reader)
{
    if (reader->segment.kind == SEGMENT_COMPACTED)
        return reader->header.records_count > 0 &&
               reader->records_count == reader->header.records_count;
    return reader->segment.last_sequence != 0 &&
           reader->last_sequence == reader->segment.last_sequence;
}

static void add_hash(struct parse *parse)
{
    struct segment_reader *reader = parse->reader;
    if (reader->hash == NULL)
        return;
    if (reader->is_damaged) {
        checksum_destroy(&reader->hash); /* told already */
        return;
    }
    assert(parse->at >= parse->hashed_to);
    checksum_add(reader->hash, parse->piece->bytes + parse->hashed_to,
                 parse->at - parse->hashed_to);
    parse->hashed_to = parse->at;
}

static enum status check_hash(struct segment_reader *reader, uint64_t offset)
{
    if (reader->hash == NULL)
        return STATUS_OK;
    uint8_t stored[SEGMENT_HASH_BYTES] = {0};
    size_t read = 0;
    uint64_t unreadable = 0;
    const enum status status =
        segment_fetch(reader, stored, sizeof(stored), offset, &read, &unreadable);
    if (status != STATUS_OK)
        return status;
    uint8_t computed[SEGMENT_HASH_BYTES];
    checksum_take(reader->hash, computed);
    if (memcmp(computed, stored, sizeof(stored)) != 0)
        segment_report(reader, offset, SEGMENT_HASH_BYTES, "the checksum of the whole is another");
    return STATUS_OK;
}

static enum status finish(struct parse *parse)
{
    struct segment_reader *reader = parse->reader;
    assert(!parse->reader->is_done);
    reader->is_done = true;
    add_hash(parse);
    return check_hash(reader, reader->offset_bytes + parse->at);
}

/* No good record at parse->at: on to the next, which may lie in this piece or behind it. */
static enum status pass_damage(struct parse *parse, const char *what)
{
    struct segment_reader *reader = parse->reader;
    const uint64_t start = reader->offset_bytes;
    group_drop(parse);
    if (is_complete(reader)) /* but for the end of a group, which a crash has cut */
        return finish(parse);
    reader->offset_bytes = start + parse->at;
    const enum status status = tail_resume(reader, what);
    parse->at = (size_t)(reader->offset_bytes - start);
    reader->offset_bytes = start;
    return status;
}

/* As many records as the piece holds whole; parse->at is where the next begins. */
static enum status parse_piece(struct parse *parse)
{
    struct segment_reader *reader = parse->reader;
    const struct piece *piece = parse->piece;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !reader->is_done) {
        if (is_complete(reader) && !parse->has_group)
            return finish(parse);
        if (parse->at >= piece->size && !parse->has_file_end)
            break;
        assert(parse->at <= piece->size);
        const size_t left = piece->size - parse->at;
        const uint8_t *bytes = piece->bytes + parse->at;
        if (bytes_wanted(reader, bytes, left) > left && !parse->has_file_end)
            break;
        struct record record;
        size_t size = 0;
        const char *what = judge(reader, bytes, left, &record, &size);
        if (what != NULL) {
            status = pass_damage(parse, what);
            continue;
        }
        status = take(parse, &record);
        parse->at += size;
    }
    return status;
}

/* One try with a piece of that size. *out_more: it must be larger to hold anything. */
static enum status try_piece(struct segment_reader *reader, struct piece *piece, size_t wanted,
                             bool *out_more)
{
    enum status status = piece_fill(reader, piece, wanted);
    if (status != STATUS_OK)
        return status;
    struct parse parse = {
        .reader = reader,
        .piece = piece,
        .has_file_end = reader->offset_bytes + piece->size == reader->file_bytes,
    };
    status = parse_piece(&parse);
    if (status != STATUS_OK)
        return status;
    if (parse.has_group && !reader->is_done && piece->size < GROUP_BYTES_MAX)
        group_put_back(&parse);
    else
        group_drop(&parse);
    add_hash(&parse);
    *out_more = parse.at == 0 && !reader->is_done;
    reader->offset_bytes += parse.at;
    return STATUS_OK;
}

enum status segment_read(struct segment_reader *reader, struct piece *piece)
{
    assert(!reader->is_done);
    assert(reader->file != NULL);
    bool needs_more = true;
    enum status status = STATUS_OK;
    for (size_t wanted = PIECE_BYTES; status == STATUS_OK && needs_more; wanted *= 2) {
        assert(wanted <= (size_t)2 * RECORD_BYTES_MAX);
        status = try_piece(reader, piece, wanted, &needs_more);
    }
    return status;
}
