/*
 * tokenizer_tables.h - what each code point is to the tokenizer: rows of a generated table.
 * Constant; threads: any. Who reads them: tokenizer_words.c, nobody else.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { TOKENIZER_ASCII_COUNT = 128, TOKENIZER_SEQUENCE_MAX = 3 };

/* In a row, `value` is what stands in brackets. */
enum tokenizer_action {
    TOKENIZER_KEEP,        /* stays as it is, part of a word                                    */
    TOKENIZER_LOWER,       /* A to Z, in the ASCII table only                                   */
    TOKENIZER_DROP,        /* vanishes: a control character, or a mark that is sorted           */
    TOKENIZER_BARRIER,     /* vanishes too, but marks are not sorted across it                  */
    TOKENIZER_SPACE,       /* ends a word                                                       */
    TOKENIZER_ALONE,       /* a word of its own: punctuation, CJK ideographs                    */
    TOKENIZER_ALONE_TABLE, /* the same, and becomes another code point [first target]           */
    TOKENIZER_TABLE,       /* becomes another code point, or itself [first target]              */
    TOKENIZER_SHIFT,       /* becomes the code point at a distance [distance]                   */
    TOKENIZER_SEQUENCE,    /* becomes two or three code points [first sequence]                 */
    TOKENIZER_ORDERED,     /* a mark that stays: sorted among its neighbours [combining class]  */
    TOKENIZER_HANGUL,      /* a syllable, becomes two or three jamo by arithmetic               */
};

struct tokenizer_range {
    uint32_t first; /* code point */
    uint16_t count;
    uint8_t action; /* enum tokenizer_action */
    int32_t value;
};

extern const uint8_t tokenizer_ascii[TOKENIZER_ASCII_COUNT]; /* enum tokenizer_action */
extern const struct tokenizer_range tokenizer_ranges[];      /* above ASCII, sorted   */
extern const size_t tokenizer_ranges_count;
extern const uint32_t tokenizer_targets[];
extern const size_t tokenizer_targets_count;
extern const uint32_t tokenizer_sequences[][TOKENIZER_SEQUENCE_MAX];
extern const size_t tokenizer_sequences_count;
