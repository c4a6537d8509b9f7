/*
 * tokenizer.c - words into ids: the vocabulary's side of WordPiece. Owns the vocabulary; immutable
 * after create, so any thread may encode.
 *
 * A word (tokenizer_words.c) becomes the longest piece it begins with, then the longest continuing
 * piece of the rest, and so on. Where no piece fits, the WHOLE word is one [UNK]; so is a word of
 * more than 100 code points. (Wu et al., "Google's Neural Machine Translation System", 2016, for
 * the pieces; google-research/bert, tokenization.py, for these rules.)
 *
 * SPECIAL TEXTS. The reference finds [PAD] [UNK] [CLS] [SEP] [MASK] in the raw text, before all
 * folding and in this spelling only. A user could then end the sequence in the middle of a
 * sentence; we match them only where the options say so.
 *
 * COST, gcc -O2, one core of a Zen 4 virtual machine: 0.4 us for a question of 61 bytes and 16 ids,
 * 6 us when nothing of the vocabulary is in the caches. A text that is too long is read to its end,
 * because its caller may want to say how long it is: 7 ns a byte of English, 100 at worst.
 */
#include "embed/tokenizer.h"

#include <stdlib.h>

#include "base/check.h"
#include "embed/tokenizer_words.h"
#include "embed/vocabulary.h"

enum special { UNKNOWN, FIRST, SEPARATOR, PADDING, MASK, SPECIALS_COUNT };

/* The first three must be in the vocabulary. */
static const struct text special_texts[SPECIALS_COUNT] = {
    [UNKNOWN] = {"[UNK]", 5}, [FIRST] = {"[CLS]", 5}, [SEPARATOR] = {"[SEP]", 5},
    [PADDING] = {"[PAD]", 5}, [MASK] = {"[MASK]", 6},
};

struct tokenizer {
    struct tokenizer_options options;
    struct vocabulary *vocabulary;
    uint32_t special_ids[SPECIALS_COUNT];
    bool has_special[SPECIALS_COUNT];
};

struct output { /* of one encode */
    const struct tokenizer *tokenizer;
    uint32_t *ids;
    size_t total, unknown;
};

static enum status find_specials(struct tokenizer *tokenizer, struct failure *failure)
{
    for (size_t i = 0; i < SPECIALS_COUNT; i++) {
        tokenizer->has_special[i] =
            vocabulary_find(tokenizer->vocabulary, special_texts[i], &tokenizer->special_ids[i]);
        if (!tokenizer->has_special[i] && i <= SEPARATOR)
            return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "vocabulary", "it has no %s",
                               special_texts[i].bytes);
    }
    return STATUS_OK;
}

enum status tokenizer_create(struct text vocabulary, const struct tokenizer_options *options,
                             struct tokenizer **out_tokenizer, struct failure *failure)
{
    if (options->max_tokens < TOKENIZER_TOKENS_MIN || options->max_tokens > TOKENIZER_TOKENS_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "max_tokens", "not between %d and %d",
                           (int)TOKENIZER_TOKENS_MIN, (int)TOKENIZER_TOKENS_MAX);
    struct tokenizer *tokenizer = calloc(1, sizeof(*tokenizer));
    if (tokenizer == NULL)
        return STATUS_NO_MEMORY;
    tokenizer->options = *options;
    enum status status = vocabulary_create(vocabulary, &tokenizer->vocabulary, failure);
    if (status == STATUS_OK)
        status = find_specials(tokenizer, failure);
    if (status != STATUS_OK)
        goto destroy_tokenizer;
    *out_tokenizer = tokenizer;
    return STATUS_OK;

destroy_tokenizer:
    tokenizer_destroy(&tokenizer);
    return status;
}

void tokenizer_destroy(struct tokenizer **tokenizer)
{
    struct tokenizer *doomed = *tokenizer;
    if (doomed == NULL)
        return;
    *tokenizer = NULL;
    vocabulary_destroy(&doomed->vocabulary);
    free(doomed);
}

uint32_t tokenizer_vocabulary_count(const struct tokenizer *tokenizer)
{
    return (uint32_t)vocabulary_count(tokenizer->vocabulary);
}

struct text tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id)
{
    return vocabulary_line(tokenizer->vocabulary, id);
}

const struct digest *tokenizer_vocabulary_digest(const struct tokenizer *tokenizer)
{
    return vocabulary_digest(tokenizer->vocabulary);
}

/* The last place belongs to [SEP]; what comes when the others are full is only counted. */
static void put(struct output *output, uint32_t id)
{
    const struct tokenizer *tokenizer = output->tokenizer;
    if (output->total < tokenizer->options.max_tokens - 1)
        output->ids[output->total] = id;
    output->total++;
    output->unknown += id == tokenizer->special_ids[UNKNOWN];
}

/* How many pieces the word is made of; 0: it cannot be made of pieces. */
static size_t cut_word(const struct tokenizer *tokenizer, const struct tokenizer_word *word,
                       uint32_t out_ids[TOKENIZER_WORD_POINTS_MAX])
{
    if (word->points > TOKENIZER_WORD_POINTS_MAX)
        return 0;
    size_t count = 0;
    for (size_t place = 0; place < word->length;) {
        assert(count < TOKENIZER_WORD_POINTS_MAX);
        struct text rest = {word->bytes + place, word->length - place};
        size_t length = vocabulary_match(tokenizer->vocabulary, rest, place > 0, &out_ids[count]);
        if (length == 0)
            return 0;
        place += length;
        count++;
    }
    return count;
}

static enum status encode_plain(struct output *output, struct text text)
{
    struct tokenizer_words words;
    struct tokenizer_word word;
    enum status status;
    tokenizer_words_init(&words, text);
    while ((status = tokenizer_words_next(&words, &word)) == STATUS_OK) {
        uint32_t ids[TOKENIZER_WORD_POINTS_MAX];
        size_t count = cut_word(output->tokenizer, &word, ids);
        if (count == 0)
            put(output, output->tokenizer->special_ids[UNKNOWN]);
        for (size_t i = 0; i < count; i++)
            put(output, ids[i]);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Which special text begins here? SPECIALS_COUNT: none. */
static enum special special_at(const struct tokenizer *tokenizer, struct text text, size_t place)
{
    size_t i = 0;
    for (; i < SPECIALS_COUNT; i++) {
        size_t length = special_texts[i].length;
        if (tokenizer->has_special[i] && text.length - place >= length &&
            memcmp(text.bytes + place, special_texts[i].bytes, length) == 0)
            break;
    }
    return (enum special)i;
}

/* Plain text between special ones. */
static enum status encode_special(struct output *output, struct text text)
{
    size_t start = 0, place = 0;
    while (place < text.length) {
        const char *bracket = memchr(text.bytes + place, '[', text.length - place);
        if (bracket == NULL)
            break;
        place = (size_t)(bracket - text.bytes);
        enum special special = special_at(output->tokenizer, text, place);
        if (special == SPECIALS_COUNT) {
            place++;
            continue;
        }
        enum status status = encode_plain(output, (struct text){text.bytes + start, place - start});
        if (status != STATUS_OK)
            return status;
        put(output, output->tokenizer->special_ids[special]);
        place += special_texts[special].length;
        start = place;
    }
    return encode_plain(output, (struct text){text.bytes + start, text.length - start});
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, struct text text, uint32_t *out_ids,
                             size_t ids_max, struct tokenizer_result *out_result)
{
    size_t max = tokenizer->options.max_tokens;
    assert(ids_max >= max);
    struct output output = {.tokenizer = tokenizer, .ids = out_ids};
    put(&output, tokenizer->special_ids[FIRST]);
    enum status status = STATUS_OK;
    if (text.length > 0)
        status = tokenizer->options.special_in_text ? encode_special(&output, text)
                                                    : encode_plain(&output, text);
    if (status != STATUS_OK)
        return status;
    bool is_too_long = output.total + 1 > max;
    size_t written = is_too_long ? max : output.total + 1;
    out_ids[written - 1] = tokenizer->special_ids[SEPARATOR];
    *out_result = (struct tokenizer_result){.written = written,
                                            .total = output.total + 1,
                                            .unknown = output.unknown,
                                            .is_too_long = is_too_long};
    return STATUS_OK;
}
