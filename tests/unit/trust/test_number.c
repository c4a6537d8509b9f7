/*
 * Goal: equal numbers have equal hashes however they are written, others do not. Method: rows of
 * spellings, fed piece by piece as the guard does.
 */
#include "tests/support/unit.h"

#include "trust/number.h"

/* The hash of a text that is one number; pieces are separated by spaces, "4 th" glued as "4+th". */
static uint64_t hash_of(const char *text)
{
    struct number number = {.kind = NUMBER_NONE};
    char scratch[128];
    for (size_t at = 0; text[at] != '\0';) {
        bool glued = text[at] == '+';
        at += strspn(text + at, " +");
        struct text piece = {text + at, strcspn(text + at, " +")};
        at += piece.length;
        if (piece.bytes[0] >= '0' && piece.bytes[0] <= '9') {
            assert_int_equal(number_end(piece, 0), piece.length);
            number = number_of_digits(piece, false);
            continue;
        }
        struct word_meaning meaning = words_meaning(piece, words_hash(piece.bytes, piece.length));
        if (!number_goes_on(&number, piece, glued, &meaning))
            assert_true(number_begins(&number, &meaning));
    }
    return number_hash(&number, scratch);
}

static void equal_numbers_are_one(void **state)
{
    (void)state;
    static const char *const rows[][6] = {
        {"1000", "1,000", "1000.00", "01000", "1+k", "1 thousand"},
        {"2.5", "2.50", "02.5", "2.5000", "2.5", "2.5"},
        {"0", "0.0", "00", "000", "0", "0"},
        {"2", "two", "second", "2+nd", "2.0", "02"},
        {"25", "twenty five", "25.0", "twenty fifth", "25+th", "25"},
        {"21", "twenty one", "twenty first", "21+st", "21.0", "21"},
        {"100", "hundred", "1 hundred", "100.0", "100+th", "100"},
        {"345", "three hundred forty five", "345.0", "345", "345", "345"},
        {"2500000", "2.5 million", "two million five hundred thousand", "2,500,000", "2500+k",
         "2500 thousand"},
        {"3004000", "three million four thousand", "3,004,000", "3004 thousand", "3.004 million",
         "3004+k"},
        {"1000000000", "billion", "1 billion", "1,000,000,000", "1000 million", "1000000+k"},
        {"500000", "five hundred thousand", "500+k", "500,000", "0.5 million", "500 thousand"},
        {"1950", "nineteen hundred fifty", "1,950", "1950.0", "1950", "1950"},
        {"9999000", "ninety nine hundred ninety nine thousand", "9999+k", "9,999,000",
         "9.999 million", "9999000"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t j = 1; j < 6; j++) {
            if (hash_of(rows[i][j]) != hash_of(rows[i][0]))
                fail_msg("%s is not %s", rows[i][j], rows[i][0]);
        }
    }
}

static void different_numbers_differ(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "1",
        "2",
        "10",
        "100",
        "1000",
        "10.5",
        "1.05",
        "0.105",
        "105",
        "1050",
        "1.2.1",
        "1.2.10",
        "twenty two",
        "2 thousand",
        "two million",
        "99999999999999999999999999",
        "99999999999999999999999998",
    };
    enum { COUNT = sizeof(numbers) / sizeof(numbers[0]) };
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < i; j++) {
            if (hash_of(numbers[i]) == hash_of(numbers[j]))
                fail_msg("%s is %s", numbers[i], numbers[j]);
        }
    }
}

static void a_sign_counts(void **state)
{
    (void)state;
    char scratch[64];
    struct number minus = number_of_digits(TEXT("5"), true),
                  plus = number_of_digits(TEXT("5"), false);
    assert_true(number_hash(&minus, scratch) != number_hash(&plus, scratch));
    struct number zero = number_of_digits(TEXT("0"), true);
    assert_true(number_hash(&zero, scratch) == hash_of("0"));
}

static void separators_end_where_they_are_none(void **state)
{
    (void)state;
    assert_int_equal(number_end(TEXT("1,000"), 0), 5);
    assert_int_equal(number_end(TEXT("1,00"), 0), 1);
    assert_int_equal(number_end(TEXT("1,0000"), 0), 1);
    assert_int_equal(number_end(TEXT("1000,000"), 0), 4);
    assert_int_equal(number_end(TEXT("12,345,678.90"), 0), 13);
    assert_int_equal(number_end(TEXT("3."), 0), 1);
    assert_int_equal(number_end(TEXT("3.x"), 0), 1);
    assert_int_equal(number_end(TEXT("10.0.0.1:80"), 0), 8);
    assert_int_equal(number_end(TEXT("at 7,"), 3), 4);
}

static bool goes_on(const char *begin, const char *next)
{
    struct number number = {.kind = NUMBER_NONE};
    struct word_meaning first = words_meaning(text_of(begin), words_hash(begin, strlen(begin)));
    struct word_meaning second = words_meaning(text_of(next), words_hash(next, strlen(next)));
    assert_true(number_begins(&number, &first));
    return number_goes_on(&number, text_of(next), false, &second);
}

static void a_number_word_may_begin_another_number(void **state)
{
    (void)state;
    assert_true(goes_on("twenty", "two"));
    assert_true(goes_on("two", "hundred"));
    assert_true(goes_on("hundred", "two"));
    assert_false(goes_on("two", "three"));
    assert_false(goes_on("two", "twenty"));
    assert_false(goes_on("twenty", "twelve"));
    assert_false(goes_on("hundred", "hundred"));
    assert_false(goes_on("thousand", "million"));
    assert_false(goes_on("twelve", "one"));
    assert_false(goes_on("twelve", "monkeys"));
}

static void one_alone_begins_nothing(void **state)
{
    (void)state;
    static const char *const words[] = {"one", "first", "zero", "k", "th", "monkeys"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct number number = {.kind = NUMBER_NONE};
        struct word_meaning meaning =
            words_meaning(text_of(words[i]), words_hash(words[i], strlen(words[i])));
        assert_false(number_begins(&number, &meaning));
        assert_int_equal(number.kind, NUMBER_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_numbers_are_one),
        cmocka_unit_test(different_numbers_differ),
        cmocka_unit_test(a_sign_counts),
        cmocka_unit_test(separators_end_where_they_are_none),
        cmocka_unit_test(a_number_word_may_begin_another_number),
        cmocka_unit_test(one_alone_begins_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
