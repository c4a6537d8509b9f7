/*
 * record.c - bytes of a journal segment. Little-endian; every checksum is a CRC-32C XOR 0x5A17C0DE,
 * so that zeros are never valid.
 *
 * SEGMENT HEADER, 4096 bytes:
 *
 *      0  magic "RPRJRNL1"        40  created, unix ms 8     80  last sequence 8  (compacted only,
 *      8  major 2 = 1, minor 2    48  kind 4 (1 log, 2 com-   88  record count 8    else zero)
 *     12  0x01020304 (order)          pacted)                96  zeros
 *     16  number 8                52  flags 4, zero        4092  checksum of bytes 0 to 4091
 *     24  first sequence 8        56  file size 8
 *     32  epoch 8, by chance      64  node id 16
 *
 * RECORD, a header of 32 bytes, the payload, zeros to a multiple of 8:
 *
 *      0  checksum of all that follows, padding included   20  type 1, flags 1, version 2 (= 1)
 *      4  payload size 4                                   24  expiry, unix ms 8; 0 = never
 *      8  sequence 8
 *     16  low half of the segment's epoch 4
 *
 * PAYLOADS
 *     PUT        digest 32, then the body of entry.c (fixed part 88, of which bytes 80 to 82 hold
 *                the vector's dimension 2 and kind 1: 0 none, 1 f32), texts, and at the payload's
 *                next multiple of 8 the vector
 *     DELETE     digest 32              TOUCH    digest 32; the new expiry stands in the header
 *     PURGE      tenant 16, scope 16 (zeros: all), floor sequence 8
 *     NOTE       owner 2, kind 2, zero 4, key 32, bytes
 *     BATCH_END  first sequence 8, count 4, zero 4
 *     PAD        zeros              SEAL     record count 8
 *
 * A record from a disk may be any bytes whatever: nothing here asserts what it reads. The epoch
 * tells the records of this use of a file from those of the last, which are as valid as they were.
 *
 * THREADS. Any; pure functions on memory.
 * NOT HERE. The order of sequences and the tail rule (recover.c).
 */
#include "storage/record.h"

#include <assert.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/entry_block.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "numbers are written as they lie in memory");

enum { CHECKSUM_BYTES = 4, FORMAT_MAJOR = 1, FORMAT_MINOR = 0 };
static const uint32_t checksum_mask = 0x5A17C0DE, byte_order = 0x01020304,
                      foreign_order = 0x04030201;
static const char segment_magic[8] = {'R', 'P', 'R', 'J', 'R', 'N', 'L', '1'};

enum segment_offset {
    SEGMENT_MAGIC = 0,
    SEGMENT_MAJOR = 8,
    SEGMENT_MINOR = 10,
    SEGMENT_ORDER = 12,
    SEGMENT_NUMBER = 16,
    SEGMENT_FIRST = 24,
    SEGMENT_EPOCH = 32,
    SEGMENT_CREATED = 40,
    SEGMENT_KIND = 48,
    SEGMENT_FLAGS = 52,
    SEGMENT_FILE_BYTES = 56,
    SEGMENT_NODE = 64,
    SEGMENT_LAST = 80,
    SEGMENT_COUNT = 88,
    SEGMENT_CHECKSUM = SEGMENT_HEADER_BYTES - CHECKSUM_BYTES
};

enum record_offset {
    OFFSET_CHECKSUM = 0,
    OFFSET_PAYLOAD_BYTES = 4,
    OFFSET_SEQUENCE = 8,
    OFFSET_EPOCH = 16,
    OFFSET_TYPE = 20,
    OFFSET_FLAGS = 21,
    OFFSET_VERSION = 22,
    OFFSET_EXPIRES = 24
};

/* Of a PUT's payload; the sizes stand in its body. */
enum put_offset {
    PUT_SPACE = DIGEST_BYTES + ENTRY_BODY_SPACE,
    PUT_CREATED = DIGEST_BYTES + ENTRY_BODY_CREATED,
    PUT_DIMENSION = DIGEST_BYTES + ENTRY_BODY_DIMENSION,
    PUT_VECTOR_KIND = PUT_DIMENSION + 2,
    PUT_MARKS = DIGEST_BYTES + ENTRY_BODY_MARKS,
    PUT_TEXTS = DIGEST_BYTES + ENTRY_BODY_TEXTS
};
enum vector_kind { VECTOR_NONE = 0, VECTOR_F32 = 1 };
static_assert((int)PUT_TEXTS == (int)RECORD_PUT_FIXED_BYTES,
              "the fixed part of a PUT is a promise");

enum purge_offset { PURGE_TENANT = 0, PURGE_SCOPE = 16, PURGE_FLOOR = 32 };
enum note_offset { NOTE_OWNER = 0, NOTE_KIND = 2, NOTE_ZERO = 4, NOTE_KEY = 8 };

static uint16_t read_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint32_t read_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static void write_u16(uint8_t *bytes, uint16_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static void write_u32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static void write_u64(uint8_t *bytes, uint64_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static uint32_t checksum_of(const uint8_t *bytes, size_t size)
{
    return crc32c(0, bytes, size) ^ checksum_mask;
}

/* ---- segment header -------------------------------------------------------------------------- */

void segment_header_write(const struct segment_header *header, uint8_t bytes[SEGMENT_HEADER_BYTES])
{
    assert(header->number > 0);
    assert(header->epoch != 0);
    assert(header->kind == SEGMENT_LOG || header->kind == SEGMENT_COMPACTED);
    assert(header->kind == SEGMENT_COMPACTED || header->last_sequence == 0);
    assert(header->kind == SEGMENT_COMPACTED || header->records_count == 0);
    memset(bytes, 0, SEGMENT_HEADER_BYTES);
    memcpy(bytes + SEGMENT_MAGIC, segment_magic, sizeof(segment_magic));
    write_u16(bytes + SEGMENT_MAJOR, FORMAT_MAJOR);
    write_u16(bytes + SEGMENT_MINOR, FORMAT_MINOR);
    write_u32(bytes + SEGMENT_ORDER, byte_order);
    write_u64(bytes + SEGMENT_NUMBER, header->number);
    write_u64(bytes + SEGMENT_FIRST, header->first_sequence);
    write_u64(bytes + SEGMENT_EPOCH, header->epoch);
    write_u64(bytes + SEGMENT_CREATED, (uint64_t)header->created_ms);
    write_u32(bytes + SEGMENT_KIND, header->kind);
    write_u64(bytes + SEGMENT_FILE_BYTES, header->file_bytes);
    memcpy(bytes + SEGMENT_NODE, header->node, sizeof(header->node));
    write_u64(bytes + SEGMENT_LAST, header->last_sequence);
    write_u64(bytes + SEGMENT_COUNT, header->records_count);
    write_u32(bytes + SEGMENT_CHECKSUM, checksum_of(bytes, SEGMENT_CHECKSUM));
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static bool is_plausible(const struct segment_header *header, const uint8_t *bytes)
{
    const bool is_compacted = header->kind == SEGMENT_COMPACTED;
    return header->number > 0 && header->number < RECORD_NUMBER_END &&
           header->first_sequence < RECORD_NUMBER_END &&
           header->last_sequence < RECORD_NUMBER_END && header->epoch != 0 &&
           (is_compacted || header->kind == SEGMENT_LOG) && read_u32(bytes + SEGMENT_FLAGS) == 0 &&
           header->file_bytes >= SEGMENT_HEADER_BYTES &&
           (is_compacted || (header->last_sequence == 0 && header->records_count == 0));
}

enum segment_check segment_header_read(const uint8_t bytes[SEGMENT_HEADER_BYTES],
                                       struct segment_header *out_header)
{
    if (is_zero(bytes, SEGMENT_HEADER_BYTES))
        return SEGMENT_EMPTY;
    if (memcmp(bytes + SEGMENT_MAGIC, segment_magic, sizeof(segment_magic)) != 0)
        return SEGMENT_DAMAGED;
    if (read_u32(bytes + SEGMENT_ORDER) == foreign_order)
        return SEGMENT_UNSUPPORTED;
    if (read_u32(bytes + SEGMENT_CHECKSUM) != checksum_of(bytes, SEGMENT_CHECKSUM))
        return SEGMENT_DAMAGED;
    if (read_u32(bytes + SEGMENT_ORDER) != byte_order)
        return SEGMENT_DAMAGED;
    if (read_u16(bytes + SEGMENT_MAJOR) != FORMAT_MAJOR)
        return SEGMENT_UNSUPPORTED;
    struct segment_header header = {.number = read_u64(bytes + SEGMENT_NUMBER),
                                    .first_sequence = read_u64(bytes + SEGMENT_FIRST),
                                    .epoch = read_u64(bytes + SEGMENT_EPOCH),
                                    .created_ms = (int64_t)read_u64(bytes + SEGMENT_CREATED),
                                    .kind = (enum segment_kind)read_u32(bytes + SEGMENT_KIND),
                                    .file_bytes = read_u64(bytes + SEGMENT_FILE_BYTES),
                                    .last_sequence = read_u64(bytes + SEGMENT_LAST),
                                    .records_count = read_u64(bytes + SEGMENT_COUNT)};
    memcpy(header.node, bytes + SEGMENT_NODE, sizeof(header.node));
    if (!is_plausible(&header, bytes))
        return SEGMENT_DAMAGED;
    *out_header = header;
    return SEGMENT_VALID;
}

/* ---- records --------------------------------------------------------------------------------- */

size_t record_size(size_t payload_bytes)
{
    assert(payload_bytes <= UINT32_MAX);
    const size_t size = RECORD_HEADER_BYTES + payload_bytes;
    return (size + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
}

uint64_t record_bytes_max(uint64_t segment_bytes)
{
    const uint64_t quarter = segment_bytes / 4;
    return quarter < RECORD_BYTES_MAX ? quarter : RECORD_BYTES_MAX;
}

void record_seal(uint8_t *bytes, const struct record *record, uint64_t epoch)
{
    const size_t payload_bytes = record->payload.length;
    const size_t size = record_size(payload_bytes);
    assert(record->type != 0);
    assert(record->version == RECORD_VERSION);
    assert(record->expires_ms >= 0);
    const size_t written = RECORD_HEADER_BYTES + payload_bytes;
    memset(bytes + written, 0, size - written);
    write_u32(bytes + OFFSET_PAYLOAD_BYTES, (uint32_t)payload_bytes);
    write_u64(bytes + OFFSET_SEQUENCE, record->sequence);
    write_u32(bytes + OFFSET_EPOCH, (uint32_t)epoch);
    bytes[OFFSET_TYPE] = record->type;
    bytes[OFFSET_FLAGS] = record->flags;
    write_u16(bytes + OFFSET_VERSION, record->version);
    write_u64(bytes + OFFSET_EXPIRES, (uint64_t)record->expires_ms);
    write_u32(bytes + OFFSET_CHECKSUM, checksum_of(bytes + CHECKSUM_BYTES, size - CHECKSUM_BYTES));
}

size_t record_pad(uint8_t *bytes, uint64_t used, uint64_t sequence, uint64_t epoch)
{
    assert(used % RECORD_ALIGNMENT == 0);
    size_t gap = (RECORD_BLOCK_BYTES - used % RECORD_BLOCK_BYTES) % RECORD_BLOCK_BYTES;
    if (gap == 0)
        return 0;
    if (gap < RECORD_HEADER_BYTES)
        gap += RECORD_BLOCK_BYTES;
    assert(gap < RECORD_PAD_BYTES_MAX);
    const struct record pad = {.type = RECORD_PAD,
                               .version = RECORD_VERSION,
                               .sequence = sequence,
                               .payload = {NULL, gap - RECORD_HEADER_BYTES}};
    memset(bytes + RECORD_HEADER_BYTES, 0, pad.payload.length);
    record_seal(bytes, &pad, epoch);
    return gap;
}

size_t record_end(uint8_t *bytes, uint64_t records_count, uint64_t sequence, uint64_t epoch)
{
    const struct record end = {.type = RECORD_SEAL,
                               .version = RECORD_VERSION,
                               .sequence = sequence,
                               .payload = {NULL, RECORD_SEAL_BYTES}};
    write_u64(bytes + RECORD_HEADER_BYTES, records_count);
    record_seal(bytes, &end, epoch);
    return record_size(RECORD_SEAL_BYTES);
}

/* Of one whose checksum is right: is it one that we understand? */
static enum record_check check_kind(const struct record *record)
{
    if (record->expires_ms < 0 || record->version == 0)
        return RECORD_DAMAGED;
    if ((record->flags & RECORD_SKIPPABLE) != 0)
        return RECORD_VALID;
    const bool is_known = record->type <= RECORD_SEAL && record->version == RECORD_VERSION &&
                          (record->flags & ~(RECORD_SKIPPABLE | RECORD_GROUPED)) == 0;
    return is_known ? RECORD_VALID : RECORD_UNSUPPORTED;
}

enum record_check record_read(const uint8_t *bytes, size_t size, uint64_t epoch,
                              struct record *out_record, size_t *out_size)
{
    if (size < RECORD_HEADER_BYTES || bytes[OFFSET_TYPE] == 0)
        return RECORD_NOTHING;
    const size_t payload_bytes = read_u32(bytes + OFFSET_PAYLOAD_BYTES);
    if (payload_bytes > size - RECORD_HEADER_BYTES)
        return RECORD_DAMAGED;
    const size_t whole = record_size(payload_bytes);
    if (whole > size || read_u32(bytes + OFFSET_EPOCH) != (uint32_t)epoch)
        return RECORD_DAMAGED;
    if (read_u32(bytes + OFFSET_CHECKSUM) !=
        checksum_of(bytes + CHECKSUM_BYTES, whole - CHECKSUM_BYTES))
        return RECORD_DAMAGED;
    const struct record record = {
        .type = bytes[OFFSET_TYPE],
        .flags = bytes[OFFSET_FLAGS],
        .version = read_u16(bytes + OFFSET_VERSION),
        .sequence = read_u64(bytes + OFFSET_SEQUENCE),
        .expires_ms = (int64_t)read_u64(bytes + OFFSET_EXPIRES),
        .payload = {(const char *)bytes + RECORD_HEADER_BYTES, payload_bytes}};
    if (record.sequence >= RECORD_NUMBER_END)
        return RECORD_DAMAGED;
    const enum record_check check = check_kind(&record);
    if (check != RECORD_VALID)
        return check;
    *out_record = record;
    *out_size = whole;
    return RECORD_VALID;
}

/* ---- payloads -------------------------------------------------------------------------------- */

static size_t vector_offset(size_t texts_end)
{
    return (texts_end + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
}

size_t record_put_size(const struct entry *entry, uint32_t dimension)
{
    assert(dimension <= RECORD_DIMENSION_MAX);
    const size_t texts_end = (size_t)DIGEST_BYTES + entry->body_bytes;
    if (dimension == 0)
        return texts_end;
    return vector_offset(texts_end) + dimension * sizeof(float);
}

void record_put_write(uint8_t *payload, const struct entry *entry, const float *vector,
                      uint32_t dimension)
{
    assert((vector != NULL) == (dimension > 0));
    assert(dimension <= RECORD_DIMENSION_MAX);
    memcpy(payload, entry->digest.bytes, DIGEST_BYTES);
    memcpy(payload + DIGEST_BYTES, entry->body, entry->body_bytes);
    write_u16(payload + PUT_DIMENSION, (uint16_t)dimension); /* of this record's own vector */
    if (dimension == 0)
        return;
    const size_t texts_end = (size_t)DIGEST_BYTES + entry->body_bytes;
    const size_t vector_at = vector_offset(texts_end);
    memset(payload + texts_end, 0, vector_at - texts_end);
    memcpy(payload + vector_at, vector, dimension * sizeof(float));
    payload[PUT_VECTOR_KIND] = VECTOR_F32;
}

/* Where the texts end, or 0 when they are longer than the payload. */
static uint64_t put_texts_end(const uint8_t *bytes, size_t size)
{
    const uint64_t end = (uint64_t)PUT_TEXTS +
                         read_u32(bytes + DIGEST_BYTES + ENTRY_BODY_METADATA_BYTES) +
                         read_u32(bytes + DIGEST_BYTES + ENTRY_BODY_PROMPT_BYTES) +
                         read_u32(bytes + DIGEST_BYTES + ENTRY_BODY_ANSWER_BYTES);
    return end <= size ? end : 0;
}

enum status record_put_read(struct text payload, struct record_put *out_put)
{
    const uint8_t *bytes = (const uint8_t *)payload.bytes;
    if (payload.length < PUT_TEXTS)
        return STATUS_BAD_MESSAGE;
    const uint64_t texts_end = put_texts_end(bytes, payload.length);
    if (texts_end == 0)
        return STATUS_BAD_MESSAGE;
    struct record_put put = {
        .body = {payload.bytes + DIGEST_BYTES, texts_end - DIGEST_BYTES},
        .space = read_u64(bytes + PUT_SPACE),
        .dimension = read_u16(bytes + PUT_DIMENSION),
        .created_ms = (int64_t)read_u64(bytes + PUT_CREATED),
    };
    uint64_t end = texts_end;
    if (put.dimension > 0) {
        if (bytes[PUT_VECTOR_KIND] != VECTOR_F32)
            return STATUS_BAD_MESSAGE;
        put.vector = bytes + vector_offset(texts_end);
        end = vector_offset(texts_end) + put.dimension * sizeof(float);
    } else if (bytes[PUT_VECTOR_KIND] != VECTOR_NONE) {
        return STATUS_BAD_MESSAGE;
    }
    if (end != payload.length || (bytes[PUT_MARKS] & ~ENTRY_MARKS_ALL) != 0 ||
        !is_zero(bytes + PUT_MARKS + 1, PUT_TEXTS - PUT_MARKS - 1))
        return STATUS_BAD_MESSAGE;
    memcpy(put.digest.bytes, bytes, DIGEST_BYTES);
    *out_put = put;
    return STATUS_OK;
}

void record_purge_write(uint8_t *payload, const struct record_purge *purge)
{
    memcpy(payload + PURGE_TENANT, purge->tenant, ENTRY_ID_BYTES);
    memcpy(payload + PURGE_SCOPE, purge->scope, ENTRY_ID_BYTES);
    write_u64(payload + PURGE_FLOOR, purge->floor);
}

enum status record_purge_read(struct text payload, struct record_purge *out_purge)
{
    if (payload.length != RECORD_PURGE_BYTES)
        return STATUS_BAD_MESSAGE;
    const uint8_t *bytes = (const uint8_t *)payload.bytes;
    memcpy(out_purge->tenant, bytes + PURGE_TENANT, ENTRY_ID_BYTES);
    memcpy(out_purge->scope, bytes + PURGE_SCOPE, ENTRY_ID_BYTES);
    out_purge->floor = read_u64(bytes + PURGE_FLOOR);
    return STATUS_OK;
}

void record_note_write(uint8_t *payload, const struct record_note *note)
{
    write_u16(payload + NOTE_OWNER, note->owner);
    write_u16(payload + NOTE_KIND, note->kind);
    write_u32(payload + NOTE_ZERO, 0);
    memcpy(payload + NOTE_KEY, note->key, sizeof(note->key));
    if (note->bytes.length > 0)
        memcpy(payload + RECORD_NOTE_FIXED_BYTES, note->bytes.bytes, note->bytes.length);
}

enum status record_note_read(struct text payload, struct record_note *out_note)
{
    if (payload.length < RECORD_NOTE_FIXED_BYTES)
        return STATUS_BAD_MESSAGE;
    const uint8_t *bytes = (const uint8_t *)payload.bytes;
    if (read_u32(bytes + NOTE_ZERO) != 0)
        return STATUS_BAD_MESSAGE;
    out_note->owner = read_u16(bytes + NOTE_OWNER);
    out_note->kind = read_u16(bytes + NOTE_KIND);
    memcpy(out_note->key, bytes + NOTE_KEY, sizeof(out_note->key));
    out_note->bytes = (struct text){payload.bytes + RECORD_NOTE_FIXED_BYTES,
                                    payload.length - RECORD_NOTE_FIXED_BYTES};
    return STATUS_OK;
}
