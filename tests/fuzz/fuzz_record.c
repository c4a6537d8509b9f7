/*
 * fuzz_record.c - any bytes where a segment's header or a record should be. The first byte chooses
 * the reader; another bit has the checksum put right first, or no input would come further. Beyond
 * "it does not crash": what is read lies inside of what was given, and an entry's body that is
 * accepted can be made an entry and written again, byte for byte.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "storage/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HAS_CHECKSUM = 0x80, EPOCH = 0x01020304 };
static const uint32_t checksum_mask = 0x5A17C0DE;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_record: %s\n", what);
    abort();
}

static bool is_inside(struct text part, struct text whole)
{
    return part.length == 0 ||
           (part.bytes >= whole.bytes && part.length <= whole.length &&
            part.bytes - whole.bytes <= (ptrdiff_t)(whole.length - part.length));
}

static void read_put(struct text payload)
{
    struct record_put put;
    struct entry *entry = NULL;
    if (record_put_read(payload, &put) != STATUS_OK)
        return;
    must(is_inside(put.body, payload), "a body outside its record");
    must(put.vector == NULL ||
             is_inside((struct text){(const char *)put.vector, put.dimension * sizeof(float)},
                       payload),
         "a vector outside its record");
    must(entry_create_from_body(&put.digest, put.body, 0, &entry) == STATUS_OK,
         "a body that is accepted and is none");
    const size_t size = record_put_size(entry, 0);
    uint8_t *again = malloc(size);
    must(again != NULL, "no memory");
    record_put_write(again, entry, NULL, 0);
    struct record_put other;
    must(record_put_read((struct text){(const char *)again, size}, &other) == STATUS_OK,
         "what was written cannot be read");
    must(digest_equal(&other.digest, &put.digest), "another digest");
    free(again);
    entry_release(entry);
}

static void read_payload(uint8_t type, struct text payload)
{
    struct record_purge purge;
    struct record_note note;
    if (type == RECORD_PUT)
        read_put(payload);
    else if (type == RECORD_PURGE)
        (void)record_purge_read(payload, &purge);
    else if (type == RECORD_NOTE && record_note_read(payload, &note) == STATUS_OK)
        must(is_inside(note.bytes, payload), "a note outside its record");
}

static void put_right(uint8_t *bytes, size_t size)
{
    uint32_t payload = 0, epoch = EPOCH;
    memcpy(&payload, bytes + 4, sizeof(payload));
    memcpy(bytes + 16, &epoch, sizeof(epoch));
    const size_t whole = record_size(payload);
    if (whole > size)
        return;
    const uint32_t sum = crc32c(0, bytes + 4, whole - 4) ^ checksum_mask;
    memcpy(bytes, &sum, sizeof(sum));
}

static void read_record(uint8_t *bytes, size_t size, bool is_right)
{
    struct record record;
    size_t record_bytes = 0;
    if (is_right && size >= RECORD_HEADER_BYTES)
        put_right(bytes, size);
    if (record_read(bytes, size, EPOCH, &record, &record_bytes) != RECORD_VALID)
        return;
    must(record_bytes <= size, "a record larger than what is left");
    must(record_bytes % RECORD_ALIGNMENT == 0, "a record between two steps");
    must(record_bytes == record_size(record.payload.length), "a record of another size");
    must(is_inside(record.payload, (struct text){(const char *)bytes, size}),
         "a payload outside its record");
    read_payload(record.type, record.payload);
}

static void read_header(const uint8_t *bytes, size_t size, bool is_right)
{
    uint8_t block[SEGMENT_HEADER_BYTES] = {0}, again[SEGMENT_HEADER_BYTES];
    struct segment_header header;
    memcpy(block, bytes, size < SEGMENT_HEADER_BYTES - 4 ? size : SEGMENT_HEADER_BYTES - 4);
    const uint32_t sum = crc32c(0, block, SEGMENT_HEADER_BYTES - 4) ^ checksum_mask;
    if (is_right)
        memcpy(block + SEGMENT_HEADER_BYTES - 4, &sum, sizeof(sum));
    if (segment_header_read(block, &header) != SEGMENT_VALID)
        return;
    must(header.number > 0, "a segment without a number");
    must(header.epoch != 0, "a segment without an epoch");
    segment_header_write(&header, again);
    must(segment_header_read(again, &header) == SEGMENT_VALID, "a header that cannot be read");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const bool is_right = (data[0] & HAS_CHECKSUM) != 0;
    uint8_t *copy = malloc(size - 1); /* its end is where the sanitizer watches */
    must(copy != NULL, "no memory");
    memcpy(copy, data + 1, size - 1);
    if (data[0] % 4 == 0)
        read_header(copy, size - 1, is_right);
    else if (data[0] % 4 == 1)
        read_record(copy, size - 1, is_right);
    else
        read_payload((uint8_t)(data[0] % 4 == 2 ? RECORD_PUT : RECORD_NOTE),
                     (struct text){(const char *)copy, size - 1});
    free(copy);
    return 0;
}
