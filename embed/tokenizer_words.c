/*
 * tokenizer_words.c - text into words: the steps before the vocabulary. Owns nothing; threads: any.
 *
 * STEPS, in the reference's order (BertNormalizer and BertPreTokenizer of Hugging Face
 * `tokenizers`, after BasicTokenizer of google-research/bert, tokenization.py):
 *   1. control characters, NUL and U+FFFD are dropped; white space becomes a space;
 *   2. an ideograph gets a space on both sides (not kana, not hangul);
 *   3. NFD, then marks (Mn) are dropped;
 *   4. lower case, each code point for itself (no rule for a final sigma);
 *   5. words end at white space, and at punctuation, which is a word of its own.
 * Not NFKC: ligatures, full-width letters and superscripts stay what they are.
 *
 * ONE PASS. Steps 1 to 4 work on one code point at a time, except that NFD also sorts marks by
 * their combining class. So each code point has one row in tokenizer_tables.c that says what all
 * steps make of it, and the sorting is done here, on the few marks that stay (most are dropped, and
 * dropping commutes with a stable sort; the exception is a dropped mark of class 0, a BARRIER).
 * utf8proc is not asked: its Unicode is newer than the reference's and changes with the
 * distribution, and then the same text would have other ids in the same space.
 *
 * NOT HERE. Pieces and ids (tokenizer.c), and the texts "[SEP]" and its like, which are matched
 * before.
 */
#include "embed/tokenizer_words.h"

#include "base/check.h"
#include "embed/tokenizer_tables.h"

/* Hangul syllables decompose by arithmetic: the Unicode standard, section 3.12. */
enum {
    HANGUL_FIRST = 0xac00,
    LEADING_FIRST = 0x1100,
    VOWEL_FIRST = 0x1161,
    TRAILING_FIRST = 0x11a7, /* one before the first: 0 means no trailing consonant */
    VOWELS_COUNT = 21,
    TRAILINGS_COUNT = 28,
};

enum step { GO_ON, END_AFTER, END_BEFORE };

void tokenizer_words_init(struct tokenizer_words *words, struct text text)
{
    words->text = text;
    words->offset = 0;
    words->marks_count = 0;
}

static const struct tokenizer_range *find_range(uint32_t point)
{
    size_t low = 0, high = tokenizer_ranges_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct tokenizer_range *range = &tokenizer_ranges[middle];
        if (point < range->first)
            high = middle;
        else if (point - range->first >= range->count)
            low = middle + 1;
        else
            return range;
    }
    return NULL;
}

static size_t encode(uint32_t point, char out_bytes[4])
{
    if (point < 0x80) {
        out_bytes[0] = (char)point;
        return 1;
    }
    size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, point >>= 6)
        out_bytes[i] = (char)(0x80 | (point & 0x3f));
    out_bytes[0] = (char)(leads[length] | point);
    return length;
}

/* Where the code point before `place` begins. */
static size_t step_back(const char *bytes, size_t place)
{
    assert(place > 0);
    do
        place--;
    while (((unsigned char)bytes[place] & 0xc0) == 0x80);
    return place;
}

/* Where a mark of this class belongs: behind all of its class, before the higher ones (UAX 15). */
static size_t place_of_mark(struct tokenizer_words *words, const struct tokenizer_word *word,
                            uint8_t class)
{
    size_t place = word->length;
    size_t i = words->marks_count++;
    assert(i < TOKENIZER_WORD_POINTS_MAX);
    for (; i > 0 && words->mark_classes[i - 1] > class; i--) {
        words->mark_classes[i] = words->mark_classes[i - 1];
        place = step_back(word->bytes, place);
    }
    words->mark_classes[i] = class;
    return place;
}

/* class: 0 for all but marks. */
static void append(struct tokenizer_words *words, struct tokenizer_word *word, uint32_t point,
                   uint8_t class)
{
    word->points++;
    if (word->points > TOKENIZER_WORD_POINTS_MAX)
        return;
    size_t place = word->length;
    if (class == 0)
        words->marks_count = 0;
    else
        place = place_of_mark(words, word, class);
    char encoded[4];
    size_t length = encode(point, encoded);
    assert(word->length + length <= sizeof(word->bytes));
    memmove(word->bytes + place + length, word->bytes + place, word->length - place);
    memcpy(word->bytes + place, encoded, length);
    word->length += length;
}

static void append_sequence(struct tokenizer_words *words, struct tokenizer_word *word,
                            size_t number)
{
    assert(number < tokenizer_sequences_count);
    const uint32_t *sequence = tokenizer_sequences[number];
    for (size_t i = 0; i < TOKENIZER_SEQUENCE_MAX && sequence[i] != 0; i++) {
        const struct tokenizer_range *range = find_range(sequence[i]);
        bool is_mark = range != NULL && range->action == TOKENIZER_ORDERED;
        append(words, word, sequence[i], is_mark ? (uint8_t)range->value : 0);
    }
}

static void append_hangul(struct tokenizer_words *words, struct tokenizer_word *word,
                          uint32_t point)
{
    uint32_t index = point - HANGUL_FIRST;
    uint32_t trailing = index % TRAILINGS_COUNT;
    index /= TRAILINGS_COUNT;
    append(words, word, LEADING_FIRST + index / VOWELS_COUNT, 0);
    append(words, word, VOWEL_FIRST + index % VOWELS_COUNT, 0);
    if (trailing != 0)
        append(words, word, TRAILING_FIRST + trailing, 0);
}

static enum step take_alone(struct tokenizer_words *words, struct tokenizer_word *word,
                            uint32_t point)
{
    if (word->points > 0)
        return END_BEFORE;
    append(words, word, point, 0);
    return END_AFTER;
}

static uint32_t target_of(const struct tokenizer_range *range, uint32_t point)
{
    size_t place = (size_t)range->value + (point - range->first);
    assert(place < tokenizer_targets_count);
    return tokenizer_targets[place];
}

static enum step take_ascii(struct tokenizer_words *words, struct tokenizer_word *word,
                            uint32_t point)
{
    switch (tokenizer_ascii[point]) {
    case TOKENIZER_LOWER:
        append(words, word, point + ('a' - 'A'), 0);
        return GO_ON;
    case TOKENIZER_KEEP:
        append(words, word, point, 0);
        return GO_ON;
    case TOKENIZER_ALONE:
        return take_alone(words, word, point);
    case TOKENIZER_SPACE:
        return END_AFTER;
    default:
        return GO_ON; /* dropped */
    }
}

static enum step take(struct tokenizer_words *words, struct tokenizer_word *word, uint32_t point)
{
    if (point < TOKENIZER_ASCII_COUNT)
        return take_ascii(words, word, point);
    const struct tokenizer_range *range = find_range(point);
    enum tokenizer_action action =
        range != NULL ? (enum tokenizer_action)range->action : TOKENIZER_KEEP;
    switch (action) {
    case TOKENIZER_DROP:
        return GO_ON;
    case TOKENIZER_BARRIER:
        words->marks_count = 0;
        return GO_ON;
    case TOKENIZER_SPACE:
        return END_AFTER;
    case TOKENIZER_ALONE:
        return take_alone(words, word, point);
    case TOKENIZER_ALONE_TABLE:
        return take_alone(words, word, target_of(range, point));
    case TOKENIZER_TABLE:
        append(words, word, target_of(range, point), 0);
        return GO_ON;
    case TOKENIZER_SHIFT:
        append(words, word, (uint32_t)((int32_t)point + range->value), 0);
        return GO_ON;
    case TOKENIZER_SEQUENCE:
        append_sequence(words, word, (size_t)range->value + (point - range->first));
        return GO_ON;
    case TOKENIZER_ORDERED:
        append(words, word, point, (uint8_t)range->value);
        return GO_ON;
    case TOKENIZER_HANGUL:
        append_hangul(words, word, point);
        return GO_ON;
    case TOKENIZER_LOWER:
    case TOKENIZER_KEEP:
        break;
    }
    append(words, word, point, 0);
    return GO_ON;
}

/* Letters and digits of ASCII, most of all text: no decoding, no row to find. */
static void take_plain(struct tokenizer_words *words, struct tokenizer_word *word)
{
    const unsigned char *bytes = (const unsigned char *)words->text.bytes;
    size_t at = words->offset;
    for (; at < words->text.length && bytes[at] < TOKENIZER_ASCII_COUNT; at++) {
        uint8_t action = tokenizer_ascii[bytes[at]];
        if (action > TOKENIZER_LOWER || word->points >= TOKENIZER_WORD_POINTS_MAX)
            break;
        word->bytes[word->length++] = (char)(bytes[at] + (action == TOKENIZER_LOWER ? 0x20 : 0));
        word->points++;
        words->marks_count = 0;
    }
    words->offset = at;
}
_Static_assert(TOKENIZER_KEEP == 0 && TOKENIZER_LOWER == 1, "take_plain takes these two");

enum status tokenizer_words_next(struct tokenizer_words *words, struct tokenizer_word *out_word)
{
    out_word->points = 0;
    out_word->length = 0;
    words->marks_count = 0;
    for (;;) {
        take_plain(words, out_word);
        if (words->offset == words->text.length)
            return out_word->points > 0 ? STATUS_OK : STATUS_NOT_FOUND;
        size_t before = words->offset;
        uint32_t point = 0;
        if (!text_read(words->text, &words->offset, &point))
            return STATUS_BAD_TEXT;
        enum step step = take(words, out_word, point);
        if (step == END_BEFORE)
            words->offset = before;
        if (step != GO_ON && out_word->points > 0)
            return STATUS_OK;
    }
}
