/*
 * tokenizer.h - text into the ids a BERT model was trained on (WordPiece, uncased): exactly those
 * of the reference, Hugging Face `tokenizers`. Immutable after create: any thread may encode, at
 * the same time. Encoding allocates nothing.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"

enum { TOKENIZER_TOKENS_MIN = 3, TOKENIZER_TOKENS_MAX = 1 << 16 };

struct tokenizer;

struct tokenizer_options {
    bool special_in_text; /* "[SEP]" in a text is a separator, as in the reference */
    uint32_t max_tokens;  /* ids of the longest text, [CLS] and [SEP] included     */
};

struct tokenizer_result {
    size_t written;   /* ids in out_ids, [CLS] and [SEP] included                             */
    size_t total;     /* ids of the whole text; more than written: out_ids holds its head     */
    size_t unknown;   /* how many of the total are [UNK]                                      */
    bool is_too_long; /* total > max_tokens: out_ids holds [CLS], max_tokens - 2 ids and [SEP] */
};

/*
 * vocabulary: the lines of vocab.txt, one piece a line; copied. STATUS_WEIGHTS_CORRUPT: a line is
 * empty or repeated, or it is not UTF-8. STATUS_MODEL_UNSUPPORTED: [UNK], [CLS] or [SEP] is
 * missing, or it is too large. STATUS_LIMIT_EXCEEDED: max_tokens. STATUS_NO_MEMORY.
 */
enum status tokenizer_create(struct text vocabulary, const struct tokenizer_options *options,
                             struct tokenizer **out_tokenizer, struct failure *failure);
void tokenizer_destroy(struct tokenizer **tokenizer); /* NULL is fine */

uint32_t tokenizer_vocabulary_count(const struct tokenizer *tokenizer); /* every id is below it */
/* "door", "##s", "[CLS]"; lives as long as the tokenizer. */
struct text tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id);
/* SHA-256 of the lines, each ended by a line feed: the digest of vocab.txt. Part of the space. */
const struct digest *tokenizer_vocabulary_digest(const struct tokenizer *tokenizer);

/*
 * Writes [CLS] ids [SEP]. ids_max: room in out_ids, at least max_tokens. The text may hold NUL.
 * STATUS_BAD_TEXT: it is not UTF-8; *out_result is untouched then.
 */
enum status tokenizer_encode(const struct tokenizer *tokenizer, struct text text, uint32_t *out_ids,
                             size_t ids_max, struct tokenizer_result *out_result);
