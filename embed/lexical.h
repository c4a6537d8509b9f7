/*
 * lexical.h - vectors without weights: words, word pairs and letter n-grams, hashed into 512
 * coordinates. Pure. Threads: any.
 */
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "base/text.h"

enum {
    LEXICAL_DIMENSION = 512,
    LEXICAL_ARITHMETIC = 1, /* revision of the sums; part of the space's id */
};
/* Of tables and formulas: any change of them is another version. */
#define LEXICAL_VERSION "1"
/* The lowest cut with at most 2 % wrong hits on four streams of real questions. */
#define LEXICAL_THRESHOLD_DEFAULT 0.90f
/* The 99th percentile between texts of different answers. */
#define LEXICAL_MIN_SIMILARITY 0.40f

/* out_unit: LEXICAL_DIMENSION floats of length 1. STATUS_NOT_FOUND: no word. STATUS_NO_MEMORY. */
enum status lexical_embed(struct text text, struct arena *arena, float *out_unit);

/* The words it is made from, folded, in the arena. STATUS_NO_MEMORY. */
enum status lexical_words(struct text text, struct arena *arena, struct text **out_words,
                          size_t *out_count);
