/*
 * tokenizer_words.h - a text cut into words and folded, as an uncased BERT model wants them:
 * cleaned, decomposed, without accents, in lower case, punctuation and ideographs apart. Threads:
 * any; a cutter belongs to its caller. Allocates nothing.
 */
#pragma once
#include "base/status.h"
#include "base/text.h"

enum { TOKENIZER_WORD_POINTS_MAX = 100 };

struct tokenizer_word {
    size_t points; /* code points; those beyond the maximum are counted but not kept */
    size_t length; /* bytes                                                          */
    char bytes[4 * TOKENIZER_WORD_POINTS_MAX];
};

struct tokenizer_words { /* on the caller's stack */
    struct text text;
    size_t offset;
    size_t marks_count; /* sorted marks at the end of the word that is being read */
    uint8_t mark_classes[TOKENIZER_WORD_POINTS_MAX];
};

void tokenizer_words_init(struct tokenizer_words *words, struct text text);

/* The next word. STATUS_NOT_FOUND: there is none left. STATUS_BAD_TEXT: not UTF-8 from there on. */
enum status tokenizer_words_next(struct tokenizer_words *words, struct tokenizer_word *out_word);
