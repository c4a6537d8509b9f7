/*
 * test_vocabulary.c - Goal: every line is found under its number, the longest piece wins, and a
 * broken list is refused with its place. Method: small lists by hand, and one of 20,000 made pieces
 * that fills the table.
 */
#include "tests/support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "embed/vocabulary.h"

static struct vocabulary *make(struct text lines)
{
    struct vocabulary *vocabulary = NULL;
    assert_int_equal(vocabulary_create(lines, &vocabulary, NULL), STATUS_OK);
    return vocabulary;
}

static void assert_refused(struct text lines, enum status status, const char *message)
{
    struct vocabulary *vocabulary = NULL;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(vocabulary_create(lines, &vocabulary, &failure), status);
    assert_null(vocabulary);
    assert_int_equal(failure.status, status);
    assert_string_equal(failure.field, "vocabulary");
    assert_string_equal(failure.message, message);
}

static void a_line_is_found_under_its_number(void **state)
{
    (void)state;
    struct vocabulary *vocabulary = make(TEXT("[UNK]\nun\n##un\n##\n#\n###\nunaff"));
    static const char *const lines[] = {"[UNK]", "un", "##un", "##", "#", "###", "unaff"};
    assert_int_equal(vocabulary_count(vocabulary), 7);
    for (uint32_t i = 0; i < 7; i++) {
        uint32_t id = 99;
        assert_true(vocabulary_find(vocabulary, text_of(lines[i]), &id));
        assert_int_equal(id, i);
    }
    uint32_t id = 99;
    assert_false(vocabulary_find(vocabulary, TEXT("una"), &id));
    assert_false(vocabulary_find(vocabulary, TEXT("##aff"), &id));
    assert_false(vocabulary_find(vocabulary, TEXT(""), &id));
    assert_int_equal(id, 99);
    vocabulary_destroy(&vocabulary);
    assert_null(vocabulary);
    vocabulary_destroy(&vocabulary);
}

static void the_longest_piece_wins(void **state)
{
    (void)state;
    struct vocabulary *vocabulary = make(TEXT("u\nun\nunaff\n##a\n##aff\n##affable\n"));
    uint32_t id = 99;
    assert_int_equal(vocabulary_match(vocabulary, TEXT("unaffable"), false, &id), 5);
    assert_int_equal(id, 2);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("unafable"), false, &id), 2);
    assert_int_equal(id, 1);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("affable!"), true, &id), 7);
    assert_int_equal(id, 5);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("affabl"), true, &id), 3);
    assert_int_equal(id, 4);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("un"), true, &id), 0);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("aff"), false, &id), 0);
    assert_int_equal(vocabulary_match(vocabulary, (struct text){NULL, 0}, false, &id), 0);
    assert_int_equal(id, 4); /* untouched where nothing fits */
    vocabulary_destroy(&vocabulary);
}

static void a_piece_of_many_bytes_is_matched_whole(void **state)
{
    (void)state;
    struct vocabulary *vocabulary = make(TEXT("\u4e2d\n\u4e2d\u56fd\n##\u56fd\n"));
    uint32_t id = 99;
    assert_int_equal(vocabulary_match(vocabulary, TEXT("\u4e2d\u56fd\u4e2d"), false, &id), 6);
    assert_int_equal(id, 1);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("\u4e2d\u4e2d"), false, &id), 3);
    assert_int_equal(vocabulary_match(vocabulary, TEXT("\u4e2e"), false, &id),
                     0); /* two bytes fit */
    vocabulary_destroy(&vocabulary);
}

/* Two texts whose hashes agree in the 36 bits that a table of 16 slots looks at, found by trying.
 */
static void pieces_of_one_hash_are_told_apart_by_their_bytes(void **state)
{
    (void)state;
    const uint64_t seen = UINT64_C(0xffffffff0000000f);
    assert_true((XXH3_64bits("p466766", 7) & seen) == (XXH3_64bits("p963457", 7) & seen));
    uint32_t id = 99;
    struct vocabulary *one = make(TEXT("a\np466766\n"));
    assert_false(vocabulary_find(one, TEXT("p963457"), &id));
    struct vocabulary *both = make(TEXT("p963457\np466766\n"));
    assert_true(vocabulary_find(both, TEXT("p466766"), &id));
    assert_int_equal(id, 1);
    assert_true(vocabulary_find(both, TEXT("p963457"), &id));
    assert_int_equal(id, 0);
    vocabulary_destroy(&one);
    vocabulary_destroy(&both);
}

static void line_ends_of_any_kind_give_the_same_digest(void **state)
{
    (void)state;
    struct vocabulary *plain = make(TEXT("a\n##b\nc\n"));
    struct vocabulary *open = make(TEXT("a\n##b\nc"));
    struct vocabulary *windows = make(TEXT("a\r\n##b\r\nc\r\n"));
    struct digest expected = digest_sha256("a\n##b\nc\n", 8);
    assert_true(digest_equal(vocabulary_digest(plain), &expected));
    assert_true(digest_equal(vocabulary_digest(open), &expected));
    assert_true(digest_equal(vocabulary_digest(windows), &expected));
    assert_int_equal(vocabulary_count(windows), 3);
    vocabulary_destroy(&plain);
    vocabulary_destroy(&open);
    vocabulary_destroy(&windows);
}

static void a_broken_list_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused(TEXT("a\nb\na\n"), STATUS_WEIGHTS_CORRUPT, "line 3 repeats an earlier one");
    assert_refused(TEXT("##a\na\n##a\n"), STATUS_WEIGHTS_CORRUPT, "line 3 repeats an earlier one");
    assert_refused(TEXT("a\n\nb\n"), STATUS_WEIGHTS_CORRUPT, "line 2 is empty");
    assert_refused(TEXT("a\n\xff\n"), STATUS_WEIGHTS_CORRUPT, "not UTF-8, or it holds NUL");
    assert_refused(TEXT("a\nb\0c\n"), STATUS_WEIGHTS_CORRUPT, "not UTF-8, or it holds NUL");
}

static void too_much_is_refused(void **state)
{
    (void)state;
    size_t length = VOCABULARY_BYTES_MAX + 1;
    char *bytes = malloc(length);
    assert_non_null(bytes);
    memset(bytes, 'a', length);
    assert_refused((struct text){bytes, length}, STATUS_MODEL_UNSUPPORTED,
                   "more than 67108864 bytes");
    length = 2 * (VOCABULARY_PIECES_MAX + 1);
    for (size_t i = 1; i < length; i += 2)
        bytes[i] = '\n';
    assert_refused((struct text){bytes, length}, STATUS_MODEL_UNSUPPORTED,
                   "more than 1048576 lines");
    free(bytes);
}

static void an_empty_list_finds_nothing(void **state)
{
    (void)state;
    struct vocabulary *vocabulary = make((struct text){NULL, 0});
    uint32_t id;
    assert_int_equal(vocabulary_count(vocabulary), 0);
    assert_false(vocabulary_find(vocabulary, TEXT("a"), &id));
    assert_int_equal(vocabulary_match(vocabulary, TEXT("a"), false, &id), 0);
    vocabulary_destroy(&vocabulary);
}

/* Beginning and continuing pieces of the same letters, 10,000 each. */
static void a_full_table_still_tells_all_pieces_apart(void **state)
{
    (void)state;
    enum { PAIRS = 10000, ROOM = 32 };
    char *lines = calloc(2 * PAIRS, ROOM);
    assert_non_null(lines);
    size_t length = 0;
    for (unsigned i = 0; i < PAIRS; i++)
        length += (size_t)snprintf(lines + length, 2 * ROOM, "p%u\n##p%u\n", i, i);
    struct vocabulary *vocabulary = make((struct text){lines, length});
    for (unsigned i = 0; i < PAIRS; i++) {
        char piece[ROOM];
        uint32_t id;
        size_t piece_length = (size_t)snprintf(piece, sizeof(piece), "p%u", i);
        assert_int_equal(vocabulary_match(vocabulary, text_of(piece), false, &id), piece_length);
        assert_int_equal(id, 2 * i);
        assert_int_equal(vocabulary_match(vocabulary, text_of(piece), true, &id), piece_length);
        assert_int_equal(id, 2 * i + 1);
        assert_false(vocabulary_find(vocabulary, (struct text){piece + 1, piece_length - 1}, &id));
    }
    vocabulary_destroy(&vocabulary);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_found_under_its_number),
        cmocka_unit_test(the_longest_piece_wins),
        cmocka_unit_test(a_piece_of_many_bytes_is_matched_whole),
        cmocka_unit_test(pieces_of_one_hash_are_told_apart_by_their_bytes),
        cmocka_unit_test(line_ends_of_any_kind_give_the_same_digest),
        cmocka_unit_test(a_broken_list_is_refused_with_its_place),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(an_empty_list_finds_nothing),
        cmocka_unit_test(a_full_table_still_tells_all_pieces_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
