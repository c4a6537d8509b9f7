/*
 * Goal: an entry is the block the journal will write: 72 bytes of header, then the body byte for
 * byte. Method: make entries from known parts and compare bytes at the offsets that the format
 * names.
 */
#include "storage/entry.h"

#include "storage/entry_block.h"
#include "tests/unit/storage/make_entry.h"

static struct entry_source full_source(void)
{
    struct entry_source source = {.digest = digest_number(1),
                                  .space = 0x1122334455667788u,
                                  .created_ms = 1700000000123,
                                  .expires_ms = 1700000009999,
                                  .metadata = TEXT("meta"),
                                  .prompt = TEXT("what is it?"),
                                  .answer = TEXT("an answer")};
    memset(source.scope, 0xa1, ENTRY_ID_BYTES);
    memset(source.compatibility, 0xb2, ENTRY_ID_BYTES);
    memset(source.tenant, 0xc3, ENTRY_ID_BYTES);
    return source;
}

static void the_body_is_what_a_put_record_carries_after_its_digest(void **state)
{
    (void)state;
    static const uint8_t expected[] =
        "\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1"
        "\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2\xb2"
        "\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3"
        "\x88\x77\x66\x55\x44\x33\x22\x11" /* space              */
        "\x7b\x68\xe5\xcf\x8b\x01\x00\x00" /* created ms         */
        "\x00\x00\x00\x00"                 /* cost               */
        "\x04\x00\x00\x00"                 /* metadata bytes     */
        "\x0b\x00\x00\x00"                 /* prompt bytes       */
        "\x09\x00\x00\x00"                 /* answer bytes       */
        "\x00\x00\x00\x00\x00\x00\x00\x00" /* vector: none; zero */
        "metawhat is it?an answer";
    const struct entry_source source = full_source();
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    assert_int_equal(entry->body_bytes, sizeof(expected) - 1);
    assert_memory_equal(entry->body, expected, sizeof(expected) - 1);
    entry_release(entry);
}

static void every_part_is_read_back_as_it_was_given(void **state)
{
    (void)state;
    const struct entry_source source = full_source();
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    assert_true(digest_equal(entry_digest(entry), &source.digest));
    assert_memory_equal(entry_scope(entry), source.scope, ENTRY_ID_BYTES);
    assert_memory_equal(entry_compatibility(entry), source.compatibility, ENTRY_ID_BYTES);
    assert_true(entry_space(entry) == source.space);
    assert_true(entry_created_ms(entry) == source.created_ms);
    assert_true(text_equal(entry_metadata(entry), source.metadata));
    assert_true(text_equal(entry_prompt(entry), source.prompt));
    assert_true(text_equal(entry_answer(entry), source.answer));
    assert_true(entry_sequence(entry) == 0);
    entry_release(entry);
}

static void empty_texts_need_no_bytes(void **state)
{
    (void)state;
    const struct entry_source source = {.digest = digest_number(2)};
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    assert_int_equal(entry_metadata(entry).length, 0);
    assert_int_equal(entry_prompt(entry).length, 0);
    assert_int_equal(entry_answer(entry).length, 0);
    entry_release(entry);
}

static void sizes_beyond_the_format_are_refused_before_a_byte_is_read(void **state)
{
    (void)state;
    static const size_t lengths[] = {SIZE_MAX, (size_t)UINT32_MAX + 1, INT32_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const struct entry_source source = {.prompt = {"x", 1}, .answer = {"x", lengths[i]}};
        struct entry *entry = NULL;
        assert_int_equal(entry_create(&source, &entry), STATUS_ENTRY_TOO_LARGE);
        assert_null(entry);
    }
}

static void the_charge_covers_header_body_and_allocator(void **state)
{
    (void)state;
    for (size_t answer_bytes = 8; answer_bytes < 5000; answer_bytes += 77) {
        struct entry *entry = make_entry(1, answer_bytes, 0);
        const uint64_t block_bytes = ENTRY_HEADER_BYTES + entry->body_bytes;
        assert_true(entry_charge_bytes(entry) >= block_bytes + 8);
        assert_true(entry_charge_bytes(entry) <= block_bytes + 32);
        entry_release(entry);
    }
}

static void an_entry_lives_until_its_last_reference_is_released(void **state)
{
    (void)state;
    struct entry *entry = make_entry(7, 16, 0);
    assert_ptr_equal(entry_acquire(entry), entry);
    entry_release(entry);
    assert_int_equal(number_of(entry), 7); /* the address sanitizer would object */
    entry_release(entry);
    entry_release(NULL);
}

static void an_entry_is_expired_from_its_millisecond_on(void **state)
{
    (void)state;
    struct entry *entry = make_entry(1, 16, 1000);
    struct entry *eternal = make_entry(2, 16, 0);
    assert_false(entry_is_expired(entry, 999));
    assert_true(entry_is_expired(entry, 1000));
    assert_false(entry_is_expired(eternal, INT64_MAX));
    entry_release(entry);
    entry_release(eternal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_is_what_a_put_record_carries_after_its_digest),
        cmocka_unit_test(every_part_is_read_back_as_it_was_given),
        cmocka_unit_test(empty_texts_need_no_bytes),
        cmocka_unit_test(sizes_beyond_the_format_are_refused_before_a_byte_is_read),
        cmocka_unit_test(the_charge_covers_header_body_and_allocator),
        cmocka_unit_test(an_entry_lives_until_its_last_reference_is_released),
        cmocka_unit_test(an_entry_is_expired_from_its_millisecond_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
