/*
 * words.h - the guard's lists: pairs of opposites, negating, courtesy and stop words, number words.
 * English. The table over them never changes. Threads: any.
 */
#pragma once
#include <stdint.h>

#include "base/text.h"

enum { WORDS_PAIRS_MAX = 64 }; /* one bit each */

/* Bits. A number's value is 2 to 90, 100, 1000 and so on; "second" is 2. */
enum word_role {
    WORD_STOP = 1 << 0,
    WORD_COURTESY = 1 << 1,
    WORD_NEGATING = 1 << 2,
    WORD_NUMBER = 1 << 3,
    WORD_ONE = 1 << 4,         /* "one", "first": numbers only behind "twenty" and its like */
    WORD_ORDINAL_END = 1 << 5, /* the "th" of "4th"                                         */
    WORD_INFINITIVE = 1 << 6,  /* "want", "how": the "to" behind it is no direction         */
};

struct word_meaning {
    unsigned roles;
    uint32_t value;
    uint64_t left, right; /* the sides of pairs that the word stands on */
};

/* hash: words_hash of the word. The word is folded and written with U+0027 for every apostrophe.
 * All zero for a word in no list. A plural s, -ed and -ing are overlooked in pairs and negating
 * words. */
struct word_meaning words_meaning(struct text word, uint64_t hash);

/* Of the same bytes it is the same on every machine and in every release. */
uint64_t words_hash(const void *bytes, size_t size_bytes);
