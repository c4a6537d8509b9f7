/*
 * test_text.c - Goal: exactly the well-formed UTF-8 is clean; NFC and folding give what Python's
 * unicodedata and str.casefold give; classes follow the general category. Method: UTF-8 is tried
 * for every code point and for every sequence of two bytes, and the long forms at their edges
 * (Unicode table 3-7), at every position of a word of eight bytes. Folding: rows made with
 * unicodedata.normalize("NFKC", s).casefold() of Python 3.11.
 */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static int create(void **state)
{
    struct arena *arena = NULL;
    if (arena_create(&arena) != STATUS_OK)
        return -1;
    *state = arena;
    return 0;
}

static int destroy(void **state)
{
    struct arena *arena = *state;
    arena_destroy(&arena);
    return 0;
}

/* By the definition, without any check: also for what must not be encoded. */
static size_t encode(uint32_t point, size_t length, char *out)
{
    static const uint32_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(leads[length] | point);
    return length;
}

static size_t shortest(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

static void every_code_point_is_clean_in_its_shortest_form_only(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char bytes[4];
        bool is_scalar = point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        size_t least = shortest(point);
        assert_true(text_is_clean(bytes, encode(point, least, bytes)) == is_scalar);
        for (size_t longer = least + 1; longer <= 4; longer++)
            assert_false(text_is_clean(bytes, encode(point, longer, bytes)));
    }
}

static void every_code_point_is_read_back(void **state)
{
    (void)state;
    for (uint32_t point = 1; point <= 0x10ffff; point++) {
        char bytes[5];
        if (point >= 0xd800 && point <= 0xdfff)
            continue;
        size_t length = encode(point, shortest(point), bytes);
        bytes[length] = 'x';
        size_t offset = 0;
        assert_int_equal(text_next((struct text){bytes, length + 1}, &offset), point);
        assert_int_equal(offset, length);
        assert_int_equal(text_next((struct text){bytes, length + 1}, &offset), 'x');
        assert_int_equal(offset, length + 1);
    }
}

static void unchecked_bytes_are_read_or_refused_in_place(void **state)
{
    (void)state;
    struct text text = TEXT("a\0\xe2\x82\xac\xe2\x82");
    const uint32_t expected[] = {'a', 0, 0x20ac};
    size_t offset = 0;
    uint32_t point = 0;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(text_read(text, &offset, &point));
        assert_int_equal(point, expected[i]);
    }
    assert_int_equal(offset, 5);
    assert_false(text_read(text, &offset, &point)); /* cut off */
    assert_int_equal(offset, 5);
    assert_int_equal(point, 0x20ac);
    offset = 0;
    assert_false(text_read(TEXT("\xed\xa0\x80"), &offset, &point)); /* a surrogate */
    assert_int_equal(offset, 0);
}

static void two_bytes_are_clean_exactly_if_they_are_ascii_or_one_character(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            char bytes[2] = {(char)first, (char)second};
            bool is_ascii = first > 0 && first < 0x80 && second > 0 && second < 0x80;
            bool is_one = first >= 0xc2 && first <= 0xdf && second >= 0x80 && second <= 0xbf;
            assert_true(text_is_clean(bytes, 2) == (is_ascii || is_one));
        }
    }
}

static void a_fault_is_found_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const faults[] = {
        "\x80",     "\xff",         "\xc0\x80",        "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xe2\x82", "\xf0\x9f\x98", "\xf5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (size_t before = 0; before < 20; before++) {
            char bytes[48];
            memset(bytes, 'a', sizeof(bytes));
            assert_true(text_is_clean(bytes, sizeof(bytes)));
            memcpy(bytes + before, faults[i], strlen(faults[i]));
            assert_false(text_is_clean(bytes, sizeof(bytes)));
            assert_false(text_is_clean(bytes, before + strlen(faults[i])));
        }
    }
    for (size_t before = 0; before < 20; before++) {
        char bytes[20] = "aaaaaaaaaaaaaaaaaaa";
        bytes[19] = 'a';
        bytes[before] = '\0';
        assert_false(text_is_clean(bytes, sizeof(bytes)));
    }
    assert_true(text_is_clean(NULL, 0));
}

static void a_character_that_is_cut_off_is_not_clean(void **state)
{
    (void)state;
    const char *text = "12345678\xf0\x9f\x98\x80";
    assert_true(text_is_clean(text, 12));
    assert_true(text_is_clean(text, 8));
    for (size_t length = 9; length < 12; length++)
        assert_false(text_is_clean(text, length));
}

static struct text canonical(void **state, struct text text)
{
    struct text out = {NULL, 0};
    assert_int_equal(text_canonical(text, *state, &out), STATUS_OK);
    return out;
}

static void assert_canonical(void **state, const char *text, const char *expected)
{
    struct text out = canonical(state, text_of(text));
    assert_int_equal(out.length, strlen(expected));
    assert_memory_equal(out.bytes, expected, out.length);
}

static void plain_ascii_is_borrowed(void **state)
{
    struct text text = TEXT("What is the capital of France?\n");
    struct text out = canonical(state, text);
    assert_ptr_equal(out.bytes, text.bytes);
    assert_int_equal(out.length, text.length);
    assert_int_equal(arena_used_bytes(*state), 0);
    assert_int_equal(canonical(state, (struct text){NULL, 0}).length, 0);
}

static void carriage_returns_go_only_before_a_line_feed(void **state)
{
    assert_canonical(state, "a\r\nb\r\n\r\n", "a\nb\n\n");
    assert_canonical(state, "a\rb\n\r", "a\rb\n\r");
    assert_canonical(state, "\r\r\n", "\r\n");
    assert_canonical(state, "\xc3\xa9\r\n\xe2\x82\xac\r\n", "\xc3\xa9\n\xe2\x82\xac\n");
}

static void nfc_composes_and_orders(void **state)
{
    assert_canonical(state, "e\xcc\x81", "\xc3\xa9");
    assert_canonical(state, "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9");
    assert_canonical(state, "\xe2\x84\xab", "\xc3\x85"); /* the Angstrom sign       */
    assert_canonical(state, "\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80"); /* Hangul */
    assert_canonical(state, "q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"); /* marks in order          */
    assert_canonical(state, "\xef\xac\x81", "\xef\xac\x81");           /* fi stays a ligature     */
    assert_canonical(state, "\xe0\xa5\x98",
                     "\xe0\xa4\x95\xe0\xa4\xbc"); /* excluded: longer by NFC */
}

/* U+0390 takes two bytes and, decomposed, three code points: more than the first guess has room
 * for. */
static void a_text_that_grows_while_it_is_normalised_still_fits(void **state)
{
    char text[2 * 500 + 1];
    for (size_t i = 0; i < 500; i++)
        memcpy(text + 2 * i, "\xce\x90", 2);
    text[2 * 500] = '\0';
    assert_canonical(state, text, text);
}

/* U+1D160 is excluded from composition: four bytes become twelve and stay so. */
static void a_text_that_is_longer_by_nfc_still_fits(void **state)
{
    char text[4 * 500 + 1], expected[12 * 500 + 1];
    for (size_t i = 0; i < 500; i++) {
        memcpy(text + 4 * i, "\xf0\x9d\x85\xa0", 4);
        memcpy(expected + 12 * i, "\xf0\x9d\x85\x98\xf0\x9d\x85\xa5\xf0\x9d\x85\xae", 12);
    }
    text[4 * 500] = expected[12 * 500] = '\0';
    assert_canonical(state, text, expected);
}

static void broken_text_is_refused_not_guessed(void **state)
{
    struct text out = {"kept", 4};
    assert_int_equal(text_canonical(TEXT("caf\xcc"), *state, &out), STATUS_BAD_TEXT);
    assert_int_equal(text_fold(TEXT("\xed\xa0\x80"), *state, &out), STATUS_BAD_TEXT);
    assert_string_equal(out.bytes, "kept");
}

static void assert_folded(void **state, const char *text, const char *expected)
{
    struct text out = {NULL, 0};
    assert_int_equal(text_fold(text_of(text), *state, &out), STATUS_OK);
    assert_int_equal(out.length, strlen(expected));
    assert_memory_equal(out.bytes, expected, out.length);
}

static void folding_gives_what_python_gives(void **state)
{
    assert_folded(state, "", "");
    assert_folded(state, "Hello, WORLD @[`{z", "hello, world @[`{z");
    assert_folded(state,
                  "Stra\xc3\x9f"
                  "e",
                  "strasse");
    assert_folded(state, "\xc4\xb0stanbul", "i\xcc\x87stanbul"); /* I with dot above         */
    assert_folded(state, "\xce\xa3\xce\x91\xcf\x82", "\xcf\x83\xce\xb1\xcf\x83"); /* final sigma */
    assert_folded(state, "\xef\xac\x81", "fi");                   /* ligature                 */
    assert_folded(state, "\xef\xbc\xa1\xef\xbc\x91", "a1");       /* full width               */
    assert_folded(state, "x\xc2\xb2", "x2");                      /* superscript              */
    assert_folded(state, "E\xcc\x81", "\xc3\xa9");                /* composed, then folded    */
    assert_folded(state, "\xce\x90", "\xce\xb9\xcc\x88\xcc\x81"); /* folding undoes it, F row */
    assert_folded(state, "\xe1\xba\x9e", "ss");                   /* capital sharp s          */
    assert_folded(state, "\xef\xb7\xba",                          /* one becomes eighteen     */
                  "\xd8\xb5\xd9\x84\xd9\x89 \xd8\xa7\xd9\x84\xd9\x84\xd9\x87 "
                  "\xd8\xb9\xd9\x84\xd9\x8a\xd9\x87 \xd9\x88\xd8\xb3\xd9\x84\xd9\x85");
}

static void a_folded_text_is_never_borrowed(void **state)
{
    struct text text = TEXT("lower");
    struct text out;
    assert_int_equal(text_fold(text, *state, &out), STATUS_OK);
    assert_ptr_not_equal(out.bytes, text.bytes);
    assert_true(text_equal(out, text));
}

static void classes_follow_the_general_category(void **state)
{
    (void)state;
    static const struct {
        uint32_t point;
        enum text_class class;
        bool is_upper;
    } rows[] = {
        {'a', TEXT_LETTER, false},    {'Z', TEXT_LETTER, true},      {'@', TEXT_OTHER, false},
        {'[', TEXT_OTHER, false},     {'`', TEXT_OTHER, false},      {'{', TEXT_OTHER, false},
        {'0', TEXT_NUMBER, false},    {'/', TEXT_OTHER, false},      {':', TEXT_OTHER, false},
        {0xe9, TEXT_LETTER, false},   {0xc9, TEXT_LETTER, true},     {0x1c5, TEXT_LETTER, true},
        {0x4e2d, TEXT_LETTER, false}, {0x661, TEXT_NUMBER, false},   {0x2167, TEXT_NUMBER, false},
        {0xbd, TEXT_NUMBER, false},   {0x301, TEXT_OTHER, false},    {0x1f600, TEXT_OTHER, false},
        {0x2c6, TEXT_LETTER, false},  {0x10fffd, TEXT_OTHER, false}, {0x378, TEXT_OTHER, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(text_class_of(rows[i].point), rows[i].class);
        assert_true(text_is_upper(rows[i].point) == rows[i].is_upper);
    }
}

/* Marks in the wrong order, as many as a prompt may hold. Ordering by swapping neighbours would
 * take the square of their number: minutes, and this test would not come to its end. */
static void a_long_run_of_marks_is_ordered(void **state)
{
    (void)state;
    enum { PAIRS = 64 * 1024 };
    char *typed = calloc(PAIRS * 4 + 1, 1), *expected = calloc(PAIRS * 4 + 2, 1);
    assert_non_null(typed);
    assert_non_null(expected);
    typed[0] = 'a';
    memcpy(expected, "\xc3\xa1", 2); /* the first acute is not blocked and composes */
    for (size_t i = 0; i < PAIRS; i++) {
        memcpy(typed + 1 + i * 4, "\xcc\x81\xcc\x96", 4); /* U+0301 (230), U+0316 (220) */
        memcpy(expected + 2 + i * 2, "\xcc\x96", 2);
        if (i + 1 < PAIRS)
            memcpy(expected + 2 + PAIRS * 2 + i * 2, "\xcc\x81", 2);
    }
    struct arena *arena = NULL;
    assert_int_equal(arena_create(&arena), STATUS_OK);
    struct text out;
    assert_int_equal(text_canonical((struct text){typed, PAIRS * 4 + 1}, arena, &out), STATUS_OK);
    assert_int_equal(out.length, PAIRS * 4);
    assert_memory_equal(out.bytes, expected, out.length);
    assert_int_equal(text_fold((struct text){typed, PAIRS * 4 + 1}, arena, &out), STATUS_OK);
    assert_memory_equal(out.bytes, expected, out.length);
    arena_destroy(&arena);
    free(typed);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_clean_in_its_shortest_form_only),
        cmocka_unit_test(every_code_point_is_read_back),
        cmocka_unit_test(unchecked_bytes_are_read_or_refused_in_place),
        cmocka_unit_test(two_bytes_are_clean_exactly_if_they_are_ascii_or_one_character),
        cmocka_unit_test(a_fault_is_found_wherever_it_stands),
        cmocka_unit_test(a_character_that_is_cut_off_is_not_clean),
        cmocka_unit_test_setup_teardown(plain_ascii_is_borrowed, create, destroy),
        cmocka_unit_test_setup_teardown(carriage_returns_go_only_before_a_line_feed, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(nfc_composes_and_orders, create, destroy),
        cmocka_unit_test_setup_teardown(a_text_that_grows_while_it_is_normalised_still_fits, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(a_text_that_is_longer_by_nfc_still_fits, create, destroy),
        cmocka_unit_test_setup_teardown(broken_text_is_refused_not_guessed, create, destroy),
        cmocka_unit_test_setup_teardown(folding_gives_what_python_gives, create, destroy),
        cmocka_unit_test_setup_teardown(a_folded_text_is_never_borrowed, create, destroy),
        cmocka_unit_test(a_long_run_of_marks_is_ordered),
        cmocka_unit_test(classes_follow_the_general_category),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
