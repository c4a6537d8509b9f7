/*
 * lexical.c - the embedder that is always there. Owns nothing but its constant tables; threads:
 * any.
 *
 * FEATURES. The text is folded (NFKC, full case folding) and cut into words: maximal runs of
 * letters and numbers, where one apostrophe (U+0027) may join two runs. Features are byte strings
 * with a weight:
 *
 *     'w' word            1; a stop word 0.3
 *     'b' word ' ' word   neighbours 0.5; both of them stop words 0.15
 *     'c' gram            each 3- and 4-gram, in code points, of "^word$":
 *                         1 / sqrt(grams of this word); of a stop word 0.3 of that
 *
 * Weights of equal features add up; a sum above 1 becomes its square root. With h =
 * XXH3_64bits(feature), seed 0, it lands on coordinate (h >> 1) % 512, positive if h is odd, else
 * negative (the signed hashing trick: Weinberger et al., "Feature hashing for large scale multitask
 * learning", 2009). Then the vector is divided by its length. Features are told apart by all 64
 * bits of h, never by their bytes.
 *
 * ANY change here, of a word or of a factor, makes other vectors: raise LEXICAL_VERSION, which
 * makes another space.
 *
 * COST. One typical question has some hundred features: they are hashed in place in one buffer and
 * summed in a small open-addressed table, both in the arena. A map with an allocation a feature
 * would cost more than the rest.
 *
 * NOT HERE. What a vector may decide (trust/), and learned weights of any kind: nothing was fitted
 * to data.
 */
#include "embed/lexical.h"

#include <math.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

enum {
    SLOTS_FIRST = 256, /* holds a question of 40 words in half of an arena block */
    STOP_WORD_MAX = 6, /* bytes of the longest stop word */
};

static const double WORD_WEIGHT = 1.0, PAIR_WEIGHT = 0.5, STOP_FACTOR = 0.3;
static const double LENGTH_MIN = 1e-6; /* below it opposite signs have cancelled out */

/* Sorted, for the binary search. No negating word is among them. */
static const char *const stop_words[] = {
    "a",    "about", "am",    "an",   "and",  "any",  "are",    "as",    "at",    "be",     "been",
    "by",   "can",   "could", "did",  "do",   "does", "for",    "from",  "get",   "give",   "had",
    "has",  "have",  "he",    "help", "here", "how",  "i",      "if",    "in",    "into",   "is",
    "it",   "its",   "just",  "know", "let",  "like", "make",   "may",   "me",    "might",  "must",
    "my",   "need",  "of",    "on",   "or",   "our",  "please", "shall", "she",   "should", "show",
    "so",   "some",  "tell",  "than", "that", "the",  "them",   "then",  "there", "these",  "they",
    "this", "those", "to",    "too",  "us",   "very", "want",   "was",   "we",    "were",   "what",
    "when", "where", "which", "who",  "why",  "will", "with",   "would", "you",   "your",
};
enum { STOP_WORDS_COUNT = sizeof(stop_words) / sizeof(stop_words[0]) };
_Static_assert(STOP_WORDS_COUNT == 87, "the list is part of the version");

struct feature {
    uint64_t hash;
    double weight; /* 0: the slot is free; every weight added is above 0 */
};

struct features { /* summed by hash; open addressing, at most three quarters full */
    struct feature *slots;
    size_t slots_count, used;
    struct arena *arena;
};

struct word {
    struct text text;
    bool stop;
};

static enum status features_init(struct features *features, struct arena *arena, size_t slots_count)
{
    assert((slots_count & (slots_count - 1)) == 0);
    features->slots = arena_calloc(arena, slots_count, sizeof(struct feature));
    if (features->slots == NULL)
        return STATUS_NO_MEMORY;
    features->slots_count = slots_count;
    features->used = 0;
    features->arena = arena;
    return STATUS_OK;
}

static struct feature *features_find(struct features *features, uint64_t hash)
{
    assert(features->used < features->slots_count);
    size_t mask = features->slots_count - 1;
    size_t at = hash & mask;
    while (features->slots[at].weight != 0 && features->slots[at].hash != hash)
        at = (at + 1) & mask;
    return &features->slots[at];
}

static enum status features_grow(struct features *features)
{
    struct features larger;
    enum status status = features_init(&larger, features->arena, features->slots_count * 2);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < features->slots_count; i++) {
        if (features->slots[i].weight != 0)
            *features_find(&larger, features->slots[i].hash) = features->slots[i];
    }
    larger.used = features->used;
    *features = larger;
    return STATUS_OK;
}

static enum status features_add(struct features *features, uint64_t hash, double weight)
{
    assert(weight > 0);
    struct feature *feature = features_find(features, hash);
    if (feature->weight == 0) {
        if (4 * (features->used + 1) > 3 * features->slots_count) {
            enum status status = features_grow(features);
            if (status != STATUS_OK)
                return status;
            feature = features_find(features, hash);
        }
        feature->hash = hash;
        features->used++;
    }
    feature->weight += weight;
    return STATUS_OK;
}

static bool is_stop_word(struct text word)
{
    if (word.length > STOP_WORD_MAX)
        return false;
    char terminated[STOP_WORD_MAX + 1] = {0};
    memcpy(terminated, word.bytes, word.length);
    size_t low = 0, high = STOP_WORDS_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(terminated, stop_words[middle]);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* Moves *offset over letters and numbers; false if there was none. */
static bool skip_run(struct text text, size_t *offset)
{
    size_t start = *offset, after = *offset;
    while (after < text.length && text_class_of(text_next(text, &after)) != TEXT_OTHER)
        *offset = after;
    return *offset > start;
}

static bool next_word(struct text text, size_t *offset, struct word *out_word)
{
    size_t start = *offset;
    while (!skip_run(text, offset)) {
        if (*offset >= text.length)
            return false;
        (void)text_next(text, offset);
        start = *offset;
    }
    if (*offset < text.length && text.bytes[*offset] == '\'') {
        size_t joined = *offset + 1;
        if (skip_run(text, &joined))
            *offset = joined;
    }
    out_word->text = (struct text){text.bytes + start, *offset - start};
    out_word->stop = is_stop_word(out_word->text);
    return true;
}

static enum status add_pair(struct features *features, const struct word *left,
                            const struct word *right, char *scratch)
{
    size_t length = 0;
    scratch[length++] = 'b';
    memcpy(scratch + length, left->text.bytes, left->text.length);
    length += left->text.length;
    scratch[length++] = ' ';
    memcpy(scratch + length, right->text.bytes, right->text.length);
    length += right->text.length;
    double weight = left->stop && right->stop ? PAIR_WEIGHT * STOP_FACTOR : PAIR_WEIGHT;
    return features_add(features, XXH3_64bits(scratch, length), weight);
}

/* Hashes 'c' and bytes[0..length): the byte in front is lent for the mark. */
static uint64_t gram_hash(char *bytes, size_t length)
{
    char kept = bytes[-1];
    bytes[-1] = 'c';
    uint64_t hash = XXH3_64bits(bytes - 1, length + 1);
    bytes[-1] = kept;
    return hash;
}

static size_t code_points_in(const char *bytes, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    return count;
}

/* marked: "^word$", with one byte to spare in front. */
static enum status add_grams(struct features *features, char *marked, size_t length, bool stop)
{
    size_t points = code_points_in(marked, length);
    assert(points >= 3);
    double weight = (stop ? STOP_FACTOR : 1.0) / sqrt((double)(2 * points - 5));
    size_t starts[5] = {0}; /* where the last five code points began, by number modulo 5 */
    enum status status = STATUS_OK;
    size_t end = 0;
    for (size_t point = 1; point <= points && status == STATUS_OK; point++) {
        do
            end++;
        while (end < length && ((unsigned char)marked[end] & 0xC0) == 0x80);
        starts[point % 5] = end;
        for (size_t size = 3; size <= 4 && size <= point && status == STATUS_OK; size++) {
            size_t start = starts[(point - size) % 5];
            assert(start < end);
            status = features_add(features, gram_hash(marked + start, end - start), weight);
        }
    }
    assert(status != STATUS_OK || end == length);
    return status;
}

static enum status add_word(struct features *features, const struct word *word, char *scratch)
{
    char *marked = scratch + 1;
    size_t length = word->text.length;
    memcpy(marked + 1, word->text.bytes, length);
    marked[0] = 'w';
    enum status status = features_add(features, XXH3_64bits(marked, length + 1),
                                      word->stop ? WORD_WEIGHT * STOP_FACTOR : WORD_WEIGHT);
    if (status != STATUS_OK)
        return status;
    marked[0] = '^';
    marked[length + 1] = '$';
    return add_grams(features, marked, length + 2, word->stop);
}

static enum status collect(struct text folded, struct features *features, char *scratch)
{
    struct word word, previous = {0};
    size_t offset = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && next_word(folded, &offset, &word)) {
        assert(word.text.length > 0);
        status = add_word(features, &word, scratch);
        if (status == STATUS_OK && previous.text.bytes != NULL)
            status = add_pair(features, &previous, &word, scratch);
        previous = word;
    }
    return status;
}

static enum status project(const struct features *features, float *out_unit)
{
    double sums[LEXICAL_DIMENSION] = {0};
    for (size_t i = 0; i < features->slots_count; i++) {
        double weight = features->slots[i].weight;
        uint64_t hash = features->slots[i].hash;
        if (weight > 1)
            weight = sqrt(weight);
        sums[(hash >> 1) % LEXICAL_DIMENSION] += (hash & 1) != 0 ? weight : -weight;
    }
    double squares = 0;
    for (size_t i = 0; i < LEXICAL_DIMENSION; i++)
        squares += sums[i] * sums[i];
    double length = sqrt(squares);
    if (length < LENGTH_MIN)
        return STATUS_NOT_FOUND;
    for (size_t i = 0; i < LEXICAL_DIMENSION; i++)
        out_unit[i] = (float)(sums[i] / length);
    return STATUS_OK;
}

enum status lexical_embed(struct text text, struct arena *arena, float *out_unit)
{
    assert(arena != NULL);
    assert(out_unit != NULL);
    struct text folded;
    enum status status = text_fold(text, arena, &folded);
    if (status != STATUS_OK)
        return status;
    /* A pair is the longest thing written: two words of the text and three marks. */
    char *scratch = arena_alloc(arena, folded.length + 4);
    if (scratch == NULL)
        return STATUS_NO_MEMORY;
    struct features features;
    status = features_init(&features, arena, SLOTS_FIRST);
    if (status != STATUS_OK)
        return status;
    status = collect(folded, &features, scratch);
    if (status != STATUS_OK)
        return status;
    return project(&features, out_unit);
}

static size_t copy_words(struct text folded, struct text *out_words)
{
    struct word word;
    size_t offset = 0, count = 0;
    for (; next_word(folded, &offset, &word); count++)
        if (out_words != NULL)
            out_words[count] = word.text;
    return count;
}

enum status lexical_words(struct text text, struct arena *arena, struct text **out_words,
                          size_t *out_count)
{
    struct text folded;
    enum status status = text_fold(text, arena, &folded);
    if (status != STATUS_OK)
        return status;
    const size_t count = copy_words(folded, NULL);
    struct text *words = arena_calloc(arena, count + 1, sizeof(*words));
    if (words == NULL)
        return STATUS_NO_MEMORY;
    *out_count = copy_words(folded, words);
    assert(*out_count == count);
    *out_words = words;
    return STATUS_OK;
}
