/*
 * Goal: what is written is read back, nothing else is read as a record, and the bytes are those of
 * the released format. Method: round trips, every bit of a record flipped, every length cut, and a
 * segment in bytes that stands here once for all (format 1.0: never change it).
 */
#include "storage/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/entry_block.h"
#include "tests/unit/storage/make_entry.h"

static const uint64_t epoch = 0x1122334455667788u;

static struct segment_header some_header(void)
{
    return (struct segment_header){.number = 7,
                                   .first_sequence = 41,
                                   .epoch = epoch,
                                   .created_ms = 1700000000000,
                                   .kind = SEGMENT_LOG,
                                   .file_bytes = 64u << 20,
                                   .node = {1, 2, 3}};
}

static size_t write_delete(uint8_t *bytes, uint64_t number, uint64_t sequence)
{
    const struct digest digest = digest_number(number);
    memcpy(bytes + RECORD_HEADER_BYTES, digest.bytes, sizeof(digest.bytes));
    const struct record record = {.type = RECORD_DELETE,
                                  .version = RECORD_VERSION,
                                  .sequence = sequence,
                                  .payload = {NULL, RECORD_DELETE_BYTES}};
    record_seal(bytes, &record, epoch);
    return record_size(RECORD_DELETE_BYTES);
}

static void check_header(const struct segment_header *header)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES], again[SEGMENT_HEADER_BYTES];
    struct segment_header read;
    segment_header_write(header, bytes);
    assert_int_equal(segment_header_read(bytes, &read), SEGMENT_VALID);
    assert_int_equal(read.number, header->number);
    assert_int_equal(read.epoch, header->epoch);
    assert_int_equal(read.last_sequence, header->last_sequence);
    segment_header_write(&read, again);
    assert_memory_equal(again, bytes, sizeof(bytes));
}

static void a_segment_header_comes_back(void **state)
{
    (void)state;
    struct segment_header header = some_header();
    check_header(&header);
    header.kind = SEGMENT_COMPACTED;
    header.last_sequence = 99;
    header.records_count = 12;
    check_header(&header);
}

static void a_header_of_zeros_is_a_spare(void **state)
{
    (void)state;
    static const uint8_t zeros[SEGMENT_HEADER_BYTES];
    struct segment_header read;
    assert_int_equal(segment_header_read(zeros, &read), SEGMENT_EMPTY);
}

static void every_flipped_bit_of_a_header_is_found(void **state)
{
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    const struct segment_header header = some_header();
    struct segment_header read;
    segment_header_write(&header, bytes);
    for (size_t bit = 0; bit < 8u * SEGMENT_HEADER_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(segment_header_read(bytes, &read), SEGMENT_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void sign_header(uint8_t bytes[SEGMENT_HEADER_BYTES])
{
    const uint32_t sum = crc32c(0, bytes, SEGMENT_HEADER_BYTES - 4) ^ 0x5A17C0DEu;
    memcpy(bytes + SEGMENT_HEADER_BYTES - 4, &sum, sizeof(sum));
}

static void a_newer_format_and_another_byte_order_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    const struct segment_header header = some_header();
    struct segment_header read;
    segment_header_write(&header, bytes);
    bytes[8] = 2;
    sign_header(bytes);
    assert_int_equal(segment_header_read(bytes, &read), SEGMENT_UNSUPPORTED);
    bytes[8] = 1;
    bytes[10] = 9; /* a newer minor version only adds */
    sign_header(bytes);
    assert_int_equal(segment_header_read(bytes, &read), SEGMENT_VALID);
    const uint8_t order[] = {1, 2, 3, 4};
    memcpy(bytes + 12, order, sizeof(order));
    sign_header(bytes);
    assert_int_equal(segment_header_read(bytes, &read), SEGMENT_UNSUPPORTED);
}

static void a_record_comes_back_from_the_middle_of_others(void **state)
{
    (void)state;
    uint8_t bytes[512];
    const size_t first = write_delete(bytes, 1, 41);
    const size_t size = first + write_delete(bytes + first, 2, 42);
    struct record record;
    size_t record_bytes;
    assert_int_equal(record_read(bytes + first, size - first, epoch, &record, &record_bytes),
                     RECORD_VALID);
    assert_int_equal(record_bytes, size - first);
    assert_int_equal(record.type, RECORD_DELETE);
    assert_int_equal(record.sequence, 42);
    assert_int_equal(record.expires_ms, 0);
    assert_int_equal(record.payload.length, RECORD_DELETE_BYTES);
    const struct digest digest = digest_number(2);
    assert_memory_equal(record.payload.bytes, digest.bytes, sizeof(digest.bytes));
}

static void every_flipped_bit_of_a_record_is_found(void **state)
{
    (void)state;
    uint8_t bytes[128];
    const size_t size = write_delete(bytes, 1, 41);
    struct record record;
    size_t record_bytes;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(record_read(bytes, size, epoch, &record, &record_bytes), RECORD_VALID);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(record_read(bytes, size, epoch, &record, &record_bytes), RECORD_VALID);
}

static void a_record_that_is_cut_off_is_no_record(void **state)
{
    (void)state;
    uint8_t bytes[128];
    const size_t size = write_delete(bytes, 1, 41);
    struct record record;
    size_t record_bytes;
    for (size_t left = 0; left < size; left++) {
        uint8_t *copy = malloc(left + 1); /* sanitizers see a read beyond it */
        assert_non_null(copy);
        memcpy(copy, bytes, left);
        const enum record_check wanted =
            left < RECORD_HEADER_BYTES ? RECORD_NOTHING : RECORD_DAMAGED;
        assert_int_equal(record_read(copy, left, epoch, &record, &record_bytes), wanted);
        free(copy);
    }
}

static void records_of_another_use_of_the_file_are_no_records(void **state)
{
    (void)state;
    uint8_t bytes[128];
    const size_t size = write_delete(bytes, 1, 41);
    struct record record;
    size_t record_bytes;
    assert_int_equal(record_read(bytes, size, epoch + 1, &record, &record_bytes), RECORD_DAMAGED);
}

static void zeros_are_the_end_of_what_is_written(void **state)
{
    (void)state;
    static const uint8_t zeros[4096];
    struct record record;
    size_t record_bytes;
    assert_int_equal(record_read(zeros, sizeof(zeros), 0, &record, &record_bytes), RECORD_NOTHING);
}

static enum record_check check_of(uint8_t type, uint8_t flags, uint16_t version)
{
    uint8_t bytes[64];
    write_delete(bytes, 1, 41);
    bytes[20] = type;
    bytes[21] = flags;
    memcpy(bytes + 22, &version, sizeof(version));
    const uint32_t sum = crc32c(0, bytes + 4, sizeof(bytes) - 4) ^ 0x5A17C0DEu;
    memcpy(bytes, &sum, sizeof(sum));
    struct record record;
    size_t record_bytes;
    return record_read(bytes, sizeof(bytes), epoch, &record, &record_bytes);
}

static void what_is_unknown_is_read_only_when_it_may_be_skipped(void **state)
{
    (void)state;
    assert_int_equal(check_of(RECORD_DELETE, 0, 1), RECORD_VALID);
    assert_int_equal(check_of(RECORD_DELETE, RECORD_GROUPED, 1), RECORD_VALID);
    assert_int_equal(check_of(9, 0, 1), RECORD_UNSUPPORTED);
    assert_int_equal(check_of(9, RECORD_SKIPPABLE, 1), RECORD_VALID);
    assert_int_equal(check_of(RECORD_DELETE, 0, 2), RECORD_UNSUPPORTED);
    assert_int_equal(check_of(RECORD_DELETE, 4, 1), RECORD_UNSUPPORTED);
    assert_int_equal(check_of(RECORD_DELETE, 0, 0), RECORD_DAMAGED);
}

static void a_pad_ends_at_a_block_whatever_is_left(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_PAD_BYTES_MAX];
    struct record record;
    size_t record_bytes;
    assert_int_equal(record_pad(bytes, 0, 5, epoch), 0);
    assert_int_equal(record_pad(bytes, 8192, 5, epoch), 0);
    for (uint64_t used = 4096 + 8; used < 8192; used += 8) {
        const size_t size = record_pad(bytes, used, 5, epoch);
        assert_int_equal((used + size) % RECORD_BLOCK_BYTES, 0);
        assert_int_equal(record_read(bytes, size, epoch, &record, &record_bytes), RECORD_VALID);
        assert_int_equal(record_bytes, size);
        assert_int_equal(record.type, RECORD_PAD);
        assert_int_equal(record.sequence, 5);
    }
    assert_int_equal(record_pad(bytes, 8192 - 24, 5, epoch), 4096 + 24);
}

static void an_end_tells_how_many_records_there_are(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct record record;
    size_t record_bytes;
    const size_t size = record_end(bytes, 300, 7, epoch);
    assert_int_equal(record_read(bytes, size, epoch, &record, &record_bytes), RECORD_VALID);
    assert_int_equal(record.type, RECORD_SEAL);
    uint64_t count;
    memcpy(&count, record.payload.bytes, sizeof(count));
    assert_int_equal(count, 300);
}

static void a_record_is_at_most_a_quarter_of_its_segment(void **state)
{
    (void)state;
    assert_int_equal(record_bytes_max(16u << 20), 4u << 20);
    assert_int_equal(record_bytes_max(1u << 30), 16u << 20);
}

/* The entry's payload in memory of just its size. */
static uint8_t *put_payload(const struct entry *entry, const float *vector, uint32_t dimension,
                            size_t *out_size)
{
    *out_size = record_put_size(entry, dimension);
    uint8_t *payload = calloc(1, *out_size);
    assert_non_null(payload);
    record_put_write(payload, entry, vector, dimension);
    return payload;
}

static void check_put(uint64_t number, size_t answer_bytes, const float *vector, uint32_t dimension)
{
    struct entry *entry = make_entry(number, answer_bytes, 0);
    size_t size;
    uint8_t *payload = put_payload(entry, vector, dimension, &size);
    struct record_put put;
    assert_int_equal(record_put_read((struct text){(char *)payload, size}, &put), STATUS_OK);
    assert_true(digest_equal(&put.digest, entry_digest(entry)));
    assert_int_equal(put.created_ms, entry_created_ms(entry));
    assert_int_equal(put.dimension, dimension);
    if (dimension > 0)
        assert_memory_equal(put.vector, vector, dimension * sizeof(float));
    else
        assert_null(put.vector);
    struct entry *copy = NULL;
    assert_int_equal(entry_create_from_body(&put.digest, put.body, 77, &copy), STATUS_OK);
    assert_int_equal(copy->body_bytes, entry->body_bytes);
    assert_memory_equal(copy->body, entry->body, entry->body_bytes);
    assert_int_equal(copy->expires_ms, 77);
    entry_release(copy);
    entry_release(entry);
    free(payload);
}

static void an_entry_comes_back_from_its_put(void **state)
{
    (void)state;
    const float vector[3] = {0.5f, -0.25f, 1.0f};
    for (size_t answer_bytes = 8; answer_bytes < 24; answer_bytes++) {
        check_put(answer_bytes, answer_bytes, NULL, 0);
        check_put(answer_bytes, answer_bytes, vector, 3);
    }
}

static void a_put_of_any_other_length_is_refused(void **state)
{
    (void)state;
    struct entry *entry = make_entry(1, 40, 0);
    const float vector[2] = {1.0f, 0.0f};
    size_t size;
    uint8_t *payload = put_payload(entry, vector, 2, &size);
    struct record_put put;
    for (size_t left = 0; left < size; left++)
        assert_int_equal(record_put_read((struct text){(char *)payload, left}, &put),
                         STATUS_BAD_MESSAGE);
    uint32_t huge = UINT32_MAX; /* three of them would overflow 32 bits */
    memcpy(payload + 32 + 68, &huge, sizeof(huge));
    memcpy(payload + 32 + 72, &huge, sizeof(huge));
    memcpy(payload + 32 + 76, &huge, sizeof(huge));
    assert_int_equal(record_put_read((struct text){(char *)payload, size}, &put),
                     STATUS_BAD_MESSAGE);
    entry_release(entry);
    free(payload);
}

static void a_body_of_wrong_lengths_makes_no_entry(void **state)
{
    (void)state;
    struct entry *entry = make_entry(1, 40, 0), *copy = NULL;
    const char *body = (const char *)entry->body;
    for (size_t length = 0; length < entry->body_bytes; length++)
        assert_int_equal(
            entry_create_from_body(&entry->digest, (struct text){body, length}, 0, &copy),
            STATUS_BAD_MESSAGE);
    assert_null(copy);
    entry_release(entry);
}

static void purges_and_notes_come_back(void **state)
{
    (void)state;
    uint8_t bytes[64];
    const struct record_purge purge = {.tenant = {1}, .scope = {2}, .floor = 900};
    struct record_purge purge_read;
    record_purge_write(bytes, &purge);
    assert_int_equal(
        record_purge_read((struct text){(char *)bytes, RECORD_PURGE_BYTES}, &purge_read),
        STATUS_OK);
    assert_memory_equal(&purge_read, &purge, sizeof(purge));
    assert_int_equal(record_purge_read((struct text){(char *)bytes, 39}, &purge_read),
                     STATUS_BAD_MESSAGE);
    const struct record_note note = {.owner = 3, .kind = 4, .key = {5}, .bytes = TEXT("opaque")};
    struct record_note note_read;
    record_note_write(bytes, &note);
    const size_t size = RECORD_NOTE_FIXED_BYTES + note.bytes.length;
    assert_int_equal(record_note_read((struct text){(char *)bytes, size}, &note_read), STATUS_OK);
    assert_int_equal(note_read.owner, 3);
    assert_int_equal(note_read.kind, 4);
    assert_memory_equal(note_read.key, note.key, sizeof(note.key));
    assert_true(text_equal(note_read.bytes, note.bytes));
    assert_int_equal(record_note_read((struct text){(char *)bytes, 39}, &note_read),
                     STATUS_BAD_MESSAGE);
}

/* Format 1.0, as it was released: a header's first 100 bytes and checksum, then a DELETE of 32
 * times 0xAB, sequence 41. */
static const char golden_header[] =
    "5250524a524e4c310100000004030201070000000000000029000000000000008877665544332211"
    "0068e5cf8b0100000100000000000000000000040000000001020300000000000000000000000000"
    "0000000000000000000000000000000000000000";
static const char golden_record[] =
    "dad7d16720000000290000000000000088776655020001000000000000000000abababababababab"
    "abababababababababababababababababababababababab";
static const char golden_sum[] = "f04cb53e";

static void to_hex(const uint8_t *bytes, size_t size, char *out_hex)
{
    for (size_t i = 0; i < size; i++)
        (void)snprintf(out_hex + 2 * i, 3, "%02x", bytes[i]);
}

static void the_bytes_are_those_of_format_1_0(void **state)
{
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    char hex[256];
    const struct segment_header header = some_header();
    segment_header_write(&header, bytes);
    to_hex(bytes, (sizeof(golden_header) - 1) / 2, hex);
    assert_string_equal(hex, golden_header);
    to_hex(bytes + SEGMENT_HEADER_BYTES - 4, 4, hex);
    assert_string_equal(hex, golden_sum);
    memset(bytes + RECORD_HEADER_BYTES, 0xAB, RECORD_DELETE_BYTES);
    const struct record record = {.type = RECORD_DELETE,
                                  .version = RECORD_VERSION,
                                  .sequence = 41,
                                  .payload = {NULL, RECORD_DELETE_BYTES}};
    record_seal(bytes, &record, epoch);
    to_hex(bytes, record_size(RECORD_DELETE_BYTES), hex);
    assert_string_equal(hex, golden_record);
}

/* Else a start would draw numbers beyond the last. */
static void a_number_that_is_too_high_is_damage(void **state)
{
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = some_header();
    struct record record;
    size_t size = 0;
    memset(bytes, 0, sizeof(bytes));
    const size_t whole = write_delete(bytes, 1, RECORD_NUMBER_END - 1);
    assert_int_equal(record_read(bytes, whole, epoch, &record, &size), RECORD_VALID);
    (void)write_delete(bytes, 1, RECORD_NUMBER_END);
    assert_int_equal(record_read(bytes, whole, epoch, &record, &size), RECORD_DAMAGED);
    header.first_sequence = RECORD_NUMBER_END;
    segment_header_write(&header, bytes);
    assert_int_equal(segment_header_read(bytes, &header), SEGMENT_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_header_comes_back),
        cmocka_unit_test(a_number_that_is_too_high_is_damage),
        cmocka_unit_test(a_header_of_zeros_is_a_spare),
        cmocka_unit_test(every_flipped_bit_of_a_header_is_found),
        cmocka_unit_test(a_newer_format_and_another_byte_order_are_refused),
        cmocka_unit_test(a_record_comes_back_from_the_middle_of_others),
        cmocka_unit_test(every_flipped_bit_of_a_record_is_found),
        cmocka_unit_test(a_record_that_is_cut_off_is_no_record),
        cmocka_unit_test(records_of_another_use_of_the_file_are_no_records),
        cmocka_unit_test(zeros_are_the_end_of_what_is_written),
        cmocka_unit_test(what_is_unknown_is_read_only_when_it_may_be_skipped),
        cmocka_unit_test(a_pad_ends_at_a_block_whatever_is_left),
        cmocka_unit_test(an_end_tells_how_many_records_there_are),
        cmocka_unit_test(a_record_is_at_most_a_quarter_of_its_segment),
        cmocka_unit_test(an_entry_comes_back_from_its_put),
        cmocka_unit_test(a_put_of_any_other_length_is_refused),
        cmocka_unit_test(a_body_of_wrong_lengths_makes_no_entry),
        cmocka_unit_test(purges_and_notes_come_back),
        cmocka_unit_test(the_bytes_are_those_of_format_1_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
