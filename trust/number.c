/*
 * number.c - numbers as people write them. Owns nothing; pure. Threads: any.
 *
 * DIGITS are ASCII, with commas before groups of three and one decimal point; leading and trailing
 * zeros do not count: "1,000.50" = "1000.5" = "01000.5". Two points and more are a version or an
 * address and are taken literally, because there "1.10" is not "1.1". "4th" is 4; "5k", "5
 * thousand" and "5000" are one.
 *
 * WORDS from "two" up: "twenty-one", "two hundred", "a hundred thousand", "second". "one" is a
 * pronoun far more often than a number, and "first" stands for "at the start", so both count only
 * behind "twenty" and its like. "and" inside a number ends it: "two hundred and five" is 200 and 5,
 * since "between two hundred and five hundred" is as common.
 *
 * THE HASH is taken over sign, digits without outer zeros, and a power of ten: no number is too
 * long or too precise.
 *
 * NOT HERE. Fractions in words, Roman numerals, decimal commas; digits of other scripts, which the
 * guard compares as they are written.
 */
#include "trust/number.h"

#include "base/check.h"

enum { CURRENT_MAX = 10000 }; /* "ninety-nine hundred ninety-nine" is one less */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static size_t digits_at(struct text text, size_t at)
{
    size_t count = 0;
    while (at + count < text.length && is_digit(text.bytes[at + count]))
        count++;
    return count;
}

size_t number_end(struct text text, size_t start)
{
    size_t count = digits_at(text, start), at = start + count;
    assert(count > 0);
    if (count <= 3) {
        while (at < text.length && text.bytes[at] == ',' && digits_at(text, at + 1) == 3)
            at += 4;
    }
    while (at < text.length && text.bytes[at] == '.' && digits_at(text, at + 1) > 0)
        at += 1 + digits_at(text, at + 1);
    return at;
}

static bool is_version(struct text digits)
{
    const char *point = memchr(digits.bytes, '.', digits.length);
    if (point == NULL)
        return false;
    size_t rest = digits.length - (size_t)(point + 1 - digits.bytes);
    return memchr(point + 1, '.', rest) != NULL;
}

struct number number_of_digits(struct text digits, bool negative)
{
    assert(digits.length > 0);
    assert(is_digit(digits.bytes[0]));
    return (struct number){.kind = NUMBER_DIGITS, .digits = digits, .negative = negative};
}

static int32_t power_of_ten(uint32_t value)
{
    int32_t power = 0;
    for (; value >= 10; value /= 10)
        power++;
    return power;
}

/* What stands in the place of the tens: 0, or a round 20 to 90, leaves the ones open. */
static uint64_t below_hundred(const struct number *number)
{
    return number->current % 100;
}

static bool is_round_tens(uint64_t value)
{
    return value >= 20 && value % 10 == 0;
}

static bool digits_go_on(struct number *number, struct text word, bool glued,
                         const struct word_meaning *meaning)
{
    assert(number->kind == NUMBER_DIGITS);
    if (glued && (meaning->roles & WORD_ORDINAL_END) != 0)
        return true;
    bool is_scale = (meaning->roles & WORD_NUMBER) != 0 && meaning->value >= 100;
    if (is_version(number->digits))
        return false;
    if (is_scale)
        number->exponent += power_of_ten(meaning->value);
    else if (glued && text_equal(word, TEXT("k")))
        number->exponent += 3;
    else
        return false;
    return true;
}

/* hundred, thousand, million, billion behind number words */
static bool scale_goes_on(struct number *number, uint32_t scale)
{
    if (number->current == 0)
        return false;
    if (scale == 100) {
        if (number->current >= 100)
            return false;
        number->current *= 100;
        return true;
    }
    assert(number->current < CURRENT_MAX);
    if (number->total % ((uint64_t)scale * 1000) != 0)
        return false; /* "two thousand three million" is two numbers */
    number->total += number->current * scale;
    number->current = 0;
    return true;
}

static bool words_go_on(struct number *number, const struct word_meaning *meaning)
{
    assert(number->kind == NUMBER_WORDS);
    uint64_t tens = below_hundred(number);
    if ((meaning->roles & WORD_ONE) != 0 && is_round_tens(tens)) {
        number->current += 1;
        return true;
    }
    if ((meaning->roles & WORD_NUMBER) == 0)
        return false;
    if (meaning->value >= 100)
        return scale_goes_on(number, meaning->value);
    if (tens != 0 && !(is_round_tens(tens) && meaning->value < 10))
        return false;
    number->current += meaning->value;
    assert(number->current < CURRENT_MAX);
    return true;
}

bool number_goes_on(struct number *number, struct text word, bool glued,
                    const struct word_meaning *meaning)
{
    if (number->kind == NUMBER_DIGITS)
        return digits_go_on(number, word, glued, meaning);
    return number->kind == NUMBER_WORDS && words_go_on(number, meaning);
}

bool number_begins(struct number *number, const struct word_meaning *meaning)
{
    assert(number->kind == NUMBER_NONE);
    if ((meaning->roles & WORD_NUMBER) == 0)
        return false;
    assert(meaning->value >= 2);
    *number = (struct number){.kind = NUMBER_WORDS};
    if (meaning->value >= 1000)
        number->total = meaning->value;
    else
        number->current = meaning->value;
    return true;
}

static uint64_t decimal_hash(struct text digits, bool negative, int32_t power, char *scratch)
{
    size_t length = 0;
    bool fraction = false;
    for (size_t i = 0; i < digits.length; i++) {
        char byte = digits.bytes[i];
        fraction = fraction || byte == '.';
        if (!is_digit(byte))
            continue;
        power -= fraction;
        if (length > 0 || byte != '0')
            scratch[length++] = byte;
    }
    while (length > 0 && scratch[length - 1] == '0') {
        length--;
        power++;
    }
    if (length == 0)
        return words_hash("0", 1);
    scratch[length++] = negative ? '-' : '+';
    for (int shift = 0; shift < 32; shift += 8)
        scratch[length++] = (char)((uint32_t)power >> shift & 0xFF);
    assert(length <= digits.length + NUMBER_SCRATCH);
    return words_hash(scratch, length);
}

enum { DIGITS_MAX = 20 }; /* of 2^64 */

static struct text digits_write(uint64_t value, char digits[DIGITS_MAX])
{
    size_t at = DIGITS_MAX;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return (struct text){digits + at, DIGITS_MAX - at};
}

uint64_t number_hash(const struct number *number, char *scratch)
{
    assert(number->kind != NUMBER_NONE);
    if (number->kind == NUMBER_WORDS) {
        char digits[DIGITS_MAX], own_scratch[DIGITS_MAX + NUMBER_SCRATCH];
        struct text written = digits_write(number->total + number->current, digits);
        return decimal_hash(written, false, 0, own_scratch);
    }
    if (is_version(number->digits))
        return words_hash(number->digits.bytes, number->digits.length);
    return decimal_hash(number->digits, number->negative, number->exponent, scratch);
}
