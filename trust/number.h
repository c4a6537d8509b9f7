/*
 * number.h - numbers as people write them, so that "1,000", "1000.0" and "a thousand" are one.
 * Pure. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "trust/words.h"

/* A number under way: "5" may still become "5 million", "twenty" may become "twenty-one". */
struct number {
    enum { NUMBER_NONE, NUMBER_DIGITS, NUMBER_WORDS } kind;
    struct text digits;
    bool negative;
    int32_t exponent;        /* of ten, from words and letters behind the digits     */
    uint64_t total, current; /* of words: whole thousands and more; what is below it */
};

/* Behind the number that begins with the digit at `start`: 1,000 1000.50 1.2.3 */
size_t number_end(struct text text, size_t start);
/* digits: as number_end found them; borrowed until number_hash. */
struct number number_of_digits(struct text digits, bool negative);

/* True if the word belongs to the number under way. glued: it follows without a space. */
bool number_goes_on(struct number *number, struct text word, bool glued,
                    const struct word_meaning *meaning);
/* True if the word begins a number, which is then under way. */
bool number_begins(struct number *number, const struct word_meaning *meaning);

/* Equal numbers have equal hashes. scratch: NUMBER_SCRATCH more bytes than there are digits. */
enum { NUMBER_SCRATCH = 32 };
uint64_t number_hash(const struct number *number, char *scratch);
