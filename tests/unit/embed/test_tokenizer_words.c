/*
 * test_tokenizer_words.c - Goal: a text becomes the words that the reference makes of it, for every
 * code point there is. Method: each rule by examples; then a sweep over all code points, alone and
 * between marks of several classes, whose SHA-256 is compared with the one that
 * tools/tokenizer_tables.py computed with the reference itself. That covers each row of
 * tokenizer_tables.c.
 */
#include "tests/unit/embed/tokenizer_support.h"

#include "base/digest.h"
#include "embed/tokenizer_tables.h"
#include "embed/tokenizer_words.h"

/* The words with a bar between, ended by NUL. */
static void join_words(struct text text, char *out, size_t room)
{
    struct tokenizer_words words;
    struct tokenizer_word word;
    size_t length = 0;
    enum status status;
    tokenizer_words_init(&words, text);
    while ((status = tokenizer_words_next(&words, &word)) == STATUS_OK) {
        assert_true(word.points > 0);
        assert_true(length + word.length + 2 < room);
        if (length > 0)
            out[length++] = '|';
        memcpy(out + length, word.bytes, word.length);
        length += word.length;
    }
    assert_int_equal(status, STATUS_NOT_FOUND);
    out[length] = '\0';
}

/* In the expected words, a bar stands between two. */
static void assert_words(struct text text, const char *expected)
{
    char joined[2048];
    join_words(text, joined, sizeof(joined));
    assert_string_equal(joined, expected);
}

static void an_empty_text_has_no_words(void **state)
{
    (void)state;
    assert_words((struct text){NULL, 0}, "");
    assert_words(TEXT("  \t\r\n "), "");
    assert_words(TEXT("\0\x01\x7f"), "");
}

static void words_end_at_white_space_and_are_lower_case(void **state)
{
    (void)state;
    assert_words(TEXT("How do I\treset\nmy\rPIN"), "how|do|i|reset|my|pin");
    assert_words(TEXT(" a\u00a0b\u3000c\u2028d\u2029e\u1680f "), "a|b|c|d|e|f");
    assert_words(TEXT("\u00c4\u00d8\u0416\u03a9\U00010400"), "a\u00f8\u0436\u03c9\U00010428");
}

static void control_characters_vanish_without_ending_a_word(void **state)
{
    (void)state;
    assert_words(TEXT("a\0b\x07"
                      "c\x7f"
                      "d\xc2\x85"
                      "e\ufffdf"),
                 "abcdef");
    assert_words(TEXT("soft\u00adhyphen zero\u200bwidth\ufeff bidi\u202e\ue000\U000f0000"),
                 "softhyphen|zerowidth|bidi");
}

static void punctuation_is_a_word_of_its_own(void **state)
{
    (void)state;
    char text[2], expected[2];
    for (int c = 33; c < 127; c++) {
        bool is_punctuation = c <= 47 || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || c >= 123;
        (void)snprintf(text, sizeof(text), "%c", c);
        (void)snprintf(expected, sizeof(expected), "%c", c >= 'A' && c <= 'Z' ? c + 32 : c);
        char around[8], around_expected[8];
        (void)snprintf(around, sizeof(around), "x%sy", text);
        (void)snprintf(around_expected, sizeof(around_expected), is_punctuation ? "x|%s|y" : "x%sy",
                       expected);
        assert_words(text_of(around), around_expected);
    }
    assert_words(TEXT("don't \u201cdon\u2019t\u201d\u2026"),
                 "don|'|t|\u201c|don|\u2019|t|\u201d|\u2026");
    assert_words(TEXT("\u20ac5 \u00a35 a\u00a9b"), "\u20ac5|\u00a35|a\u00a9b");
}

static void an_ideograph_is_a_word_but_kana_and_hangul_are_not(void **state)
{
    (void)state;
    assert_words(TEXT("\u6771\u4eac\u30bf\u30ef\u30fc"), "\u6771|\u4eac|\u30bf\u30ef\u30fc");
    assert_words(TEXT("a\u3400b\U00020000c"), "a|\u3400|b|\U00020000|c");
    assert_words(TEXT("\uf900"), "\u8c48"); /* a compatibility ideograph becomes the common one */
    assert_words(TEXT("\ud55c\uae00"), "\u1112\u1161\u11ab\u1100\u1173\u11af");
    assert_words(TEXT("\uac00"), "\u1100\u1161"); /* a syllable without a trailing consonant */
}

static void accents_are_taken_off_but_nothing_is_replaced_by_its_likeness(void **state)
{
    (void)state;
    assert_words(TEXT("caf\u00e9 CAF\u00c9 cafe\u0301"), "cafe|cafe|cafe");
    assert_words(TEXT("\u0130stanbul \u212bngstr\u00f6m"), "istanbul|angstrom");
    assert_words(TEXT("\u1ed9 \u01d6 \u0390"), "o|u|\u03b9");
    assert_words(TEXT("\ufb01 \u00df \uff21 \u00b2 \u2460"), "\ufb01|\u00df|\uff41|\u00b2|\u2460");
    assert_words(TEXT("\u03a3 \u03c2 \u03a3\u03a3"),
                 "\u03c3|\u03c2|\u03c3\u03c3");      /* no final sigma */
    assert_words(TEXT("\u037ex\u1fefx"), ";|x|`|x"); /* singletons that become punctuation */
    assert_words(TEXT("\u0301 \u0301\u0301"), "");   /* marks alone are no word             */
}

/* U+08D4 (class 230) and U+302E (class 224) are marks that stay: one is newer than the reference's
 * classes, the other is spacing. */
static void marks_that_stay_are_sorted_by_their_class(void **state)
{
    (void)state;
    assert_words(TEXT("a\u08d4\u302e"), "a\u302e\u08d4");
    assert_words(TEXT("a\u302e\u08d4"), "a\u302e\u08d4");
    assert_words(TEXT("a\u08d4\u08d5\u302e\u302f"), "a\u302e\u302f\u08d4\u08d5"); /* stable */
    assert_words(TEXT("\u08d4\U0001d16d\u302e\u1b44\U0001d165"),
                 "\u1b44\U0001d165\u302e\U0001d16d\u08d4");
    assert_words(TEXT("a\u08d4b\u302e"), "a\u08d4b\u302e"); /* not across a letter        */
    assert_words(TEXT("\u08d4 \u302e"), "\u08d4|\u302e");   /* nor across a space         */
    assert_words(TEXT("\u08d4\u4e2d\u302e"), "\u08d4|\u4e2d|\u302e");
    assert_words(TEXT("a\u08d4\u0301\u302e"), "a\u302e\u08d4"); /* a dropped mark is no obstacle */
    assert_words(TEXT("a\u08d4\u200b\u302e"), "a\u302e\u08d4"); /* nor is a control character    */
    assert_words(TEXT("a\u08d4\u034f\u302e"), "a\u08d4\u302e"); /* but one of class 0 is one     */
    assert_words(TEXT("\U0001d160\u1b44"), "\U0001d158\u1b44\U0001d165\U0001d16e");
}

static size_t points_of(struct text text)
{
    struct tokenizer_words words;
    struct tokenizer_word word;
    tokenizer_words_init(&words, text);
    assert_int_equal(tokenizer_words_next(&words, &word), STATUS_OK);
    assert_true(word.length <= sizeof(word.bytes));
    return word.points;
}

static void a_word_beyond_the_maximum_is_counted_to_its_end(void **state)
{
    (void)state;
    char text[1024];
    memset(text, 'x', sizeof(text));
    assert_int_equal(points_of((struct text){text, 100}), 100);
    assert_int_equal(points_of((struct text){text, 101}), 101);
    assert_int_equal(points_of((struct text){text, 1024}), 1024);
    for (size_t i = 0; i < 1024; i += 4)
        memcpy(text + i, "\U00010400", 4);
    assert_int_equal(points_of((struct text){text, 400}), 100); /* 400 bytes fill it */
    assert_int_equal(points_of((struct text){text, 404}), 101);
    for (size_t i = 0; i + 3 <= 1024; i += 3) /* marks, each sorted before the first half */
        memcpy(text + i, i < 150 ? "\u08d4" : "\u302e", 3);
    assert_int_equal(points_of((struct text){text, 300}), 100);
    assert_int_equal(points_of((struct text){text, 1023}), 341);
    for (size_t i = 0; i + 3 <= 1024; i += 3) /* one syllable is three code points */
        memcpy(text + i, "\ud55c", 3);
    assert_int_equal(points_of((struct text){text, 33 * 3}), 99);
    assert_int_equal(points_of((struct text){text, 34 * 3}), 102);
}

static void the_word_after_an_overlong_one_is_whole(void **state)
{
    (void)state;
    char text[256];
    (void)snprintf(text, sizeof(text), "%0150d caf\u00e9", 0);
    struct tokenizer_words words;
    struct tokenizer_word word;
    tokenizer_words_init(&words, text_of(text));
    assert_int_equal(tokenizer_words_next(&words, &word), STATUS_OK);
    assert_int_equal(word.points, 150);
    assert_int_equal(tokenizer_words_next(&words, &word), STATUS_OK);
    assert_int_equal(word.length, 4);
    assert_memory_equal(word.bytes, "cafe", 4);
    assert_int_equal(tokenizer_words_next(&words, &word), STATUS_NOT_FOUND);
    assert_int_equal(tokenizer_words_next(&words, &word), STATUS_NOT_FOUND);
}

static void bytes_that_are_no_utf8_are_refused(void **state)
{
    (void)state;
    static const char *const faults[] = {
        "\x80", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80", "\xf0\x9f\x98"};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "ok %s", faults[i]);
        struct tokenizer_words words;
        struct tokenizer_word word;
        tokenizer_words_init(&words, text_of(text));
        assert_int_equal(tokenizer_words_next(&words, &word), STATUS_OK);
        assert_int_equal(tokenizer_words_next(&words, &word), STATUS_BAD_TEXT);
        assert_int_equal(tokenizer_words_next(&words, &word), STATUS_BAD_TEXT);
    }
}

static void the_rows_of_the_table_are_sorted_and_point_inside(void **state)
{
    (void)state;
    uint32_t end = TOKENIZER_ASCII_COUNT;
    for (size_t i = 0; i < tokenizer_ranges_count; i++) {
        const struct tokenizer_range *range = &tokenizer_ranges[i];
        assert_true(range->first >= end);
        assert_true(range->count > 0);
        end = range->first + range->count;
        if (range->action == TOKENIZER_TABLE || range->action == TOKENIZER_ALONE_TABLE)
            assert_true((size_t)range->value + range->count <= tokenizer_targets_count);
        if (range->action == TOKENIZER_SEQUENCE)
            assert_true((size_t)range->value + range->count <= tokenizer_sequences_count);
        if (range->action == TOKENIZER_ORDERED)
            assert_in_range(range->value, 1, 254);
    }
    assert_true(end <= 0x110000);
}

/* The text of tools/tokenizer_tables.py: sweep_text. */
static struct text sweep_text(uint32_t point, char out_bytes[128])
{
    static const char *const before[] = {"a", "b \u08d4",          "\u302e \u1b44",
                                         " ", "\u1b44 \U0001d16d", " "};
    char character[4];
    size_t character_length = write_point(point, character), length = 0;
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        memcpy(out_bytes + length, before[i], strlen(before[i]));
        length += strlen(before[i]);
        memcpy(out_bytes + length, character, character_length);
        length += character_length;
    }
    memcpy(out_bytes + length, "\U0001d165", 4);
    return (struct text){out_bytes, length + 4};
}

static void every_code_point_gives_the_words_of_the_reference(void **state)
{
    (void)state;
    struct digest_stream stream;
    digest_stream_init(&stream);
    for (uint32_t point = 0; point < 0x110000; point++) {
        if (point >= 0xd800 && point < 0xe000)
            continue;
        char bytes[128], line[512];
        struct tokenizer_words words;
        struct tokenizer_word word;
        size_t length = 0;
        tokenizer_words_init(&words, sweep_text(point, bytes));
        while (tokenizer_words_next(&words, &word) == STATUS_OK) {
            memcpy(line + length, word.bytes, word.length);
            length += word.length;
            line[length++] = ' ';
        }
        line[length - 1] = '\n';
        digest_stream_add(&stream, line, length);
    }
    struct digest digest = digest_stream_end(&stream);
    char hex[DIGEST_HEX + 1], expected[DIGEST_HEX + 1];
    digest_to_hex(&digest, hex);
    golden_head("sweep", NULL, expected);
    assert_string_equal(hex, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_text_has_no_words),
        cmocka_unit_test(words_end_at_white_space_and_are_lower_case),
        cmocka_unit_test(control_characters_vanish_without_ending_a_word),
        cmocka_unit_test(punctuation_is_a_word_of_its_own),
        cmocka_unit_test(an_ideograph_is_a_word_but_kana_and_hangul_are_not),
        cmocka_unit_test(accents_are_taken_off_but_nothing_is_replaced_by_its_likeness),
        cmocka_unit_test(marks_that_stay_are_sorted_by_their_class),
        cmocka_unit_test(a_word_beyond_the_maximum_is_counted_to_its_end),
        cmocka_unit_test(the_word_after_an_overlong_one_is_whole),
        cmocka_unit_test(bytes_that_are_no_utf8_are_refused),
        cmocka_unit_test(the_rows_of_the_table_are_sorted_and_point_inside),
        cmocka_unit_test(every_code_point_gives_the_words_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
