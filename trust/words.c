/*
 * words.c - the word lists of the guard and the table over them. Owns one constant table for the
 * whole process, filled before main and never changed afterwards. Threads: any.
 *
 * THE LISTS are written for what people ask of programs, banks, shops and houses; they are general
 * English, not taken from any collection of questions. A line of `pairs` is one bit: words of one
 * side (irregular forms, close synonyms) stand for each other. A word may stand in several pairs
 * ("right": left, wrong).
 *
 * NO STEMMING. Only where a pair or a negating word is looked for, endings are tried off: -s, and
 * -es -ed -ing, these also with a lost e ("closing"), a doubled consonant ("stopped") or y
 * ("denied").
 *
 * NOT HERE. Which words of a prompt count, and what a difference means (guard.c).
 */
#include "trust/words.h"

#include <string.h>

#include "base/check.h"
#include "base/digest.h"

struct pair {
    const char *left, *right; /* words separated by a space */
};

/* clang-format off */
static const struct pair pairs[] = {
    /* switches */
    {"on", "off"}, {"enable", "disable"}, {"activate", "deactivate"}, {"connect", "disconnect"},
    {"start begin", "stop end"}, {"show", "hide"},
    /* trade */
    {"buy bought purchase", "sell sold"}, {"deposit", "withdraw withdrew withdrawn withdrawal"},
    {"credit", "debit"}, {"send sent", "receive"}, {"borrow", "lend lent"}, {"win won", "lose lost"},
    /* time and order */
    {"before", "after"}, {"first", "last"}, {"early", "late"}, {"earlier", "later"},
    {"ascending", "descending"}, {"always", "never"},
    /* size and amount */
    {"more", "less fewer"}, {"most", "least"}, {"increase raise upgrade", "decrease reduce lower downgrade"},
    {"high higher highest", "low lower lowest"}, {"maximum max", "minimum min"},
    {"long", "short"}, {"big large", "small"}, {"hot", "cold"}, {"fast", "slow"}, {"cheap", "expensive"},
    /* space */
    {"in", "out"}, {"inside", "outside"}, {"up", "down"}, {"from", "to"}, {"left", "right"},
    {"above", "below"}, {"over", "under"}, {"north", "south"}, {"east", "west"},
    {"incoming inbound", "outgoing outbound"}, {"input", "output"}, {"arrive arrival", "depart departure"},
    /* access */
    {"open", "close"}, {"lock", "unlock"}, {"block", "unblock"}, {"allow", "deny denied forbid forbidden"},
    {"public", "private"}, {"subscribe", "unsubscribe"},
    /* state */
    {"add", "remove"}, {"create", "delete"}, {"accept", "reject"}, {"with", "without"},
    {"include", "exclude"}, {"install", "uninstall"}, {"upload import", "download export"},
    {"encrypt", "decrypt"},
    /* judgement */
    {"right correct", "wrong incorrect"}, {"good", "bad"}, {"best better", "worst worse"},
    {"true", "false"}, {"valid legal", "invalid illegal"}, {"possible", "impossible"}, {"safe", "unsafe"},
    {"positive", "negative"}, {"love", "hate"}, {"male man boy", "female woman girl"},
};

static const char negating_words[] =
    "not no never none nothing nobody nowhere neither without cannot unable fail refuse lack hardly "
    /* "don't" is found by its end; these are the same without the apostrophe */
    "dont doesnt didnt isnt arent wasnt cant couldnt wont wouldnt shouldnt havent hasnt";

static const char courtesy_words[] =
    "please pls plz kindly thanks thank thx hi hello hey dear sorry excuse pardon cheers greetings "
    "regards appreciate grateful ok okay";

static const char stop_words[] =
    "a an the and or of to in on at for by with from as is am are was were be been do does did have has "
    "i me my we us our you your it its this that can could will would there";

/* Behind these "to" begins a verb. */
static const char infinitive_words[] =
    "want wanted need needed like have has had going able how try trying supposed possible where what "
    "ought used allowed";

static const char ordinal_ends[] = "st nd rd th";

struct number_word {
    const char *word;
    uint32_t value;
};

static const struct number_word number_words[] = {
    {"two", 2}, {"three", 3}, {"four", 4}, {"five", 5}, {"six", 6}, {"seven", 7}, {"eight", 8},
    {"nine", 9}, {"ten", 10}, {"eleven", 11}, {"twelve", 12}, {"thirteen", 13}, {"fourteen", 14},
    {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
    {"twenty", 20}, {"thirty", 30}, {"forty", 40}, {"fifty", 50}, {"sixty", 60}, {"seventy", 70},
    {"eighty", 80}, {"ninety", 90}, {"hundred", 100}, {"thousand", 1000}, {"million", 1000000},
    {"billion", 1000000000},
    {"second", 2}, {"third", 3}, {"fourth", 4}, {"fifth", 5}, {"sixth", 6}, {"seventh", 7},
    {"eighth", 8}, {"ninth", 9}, {"tenth", 10}, {"eleventh", 11}, {"twelfth", 12},
    {"thirteenth", 13}, {"fourteenth", 14}, {"fifteenth", 15}, {"sixteenth", 16},
    {"seventeenth", 17}, {"eighteenth", 18}, {"nineteenth", 19}, {"twentieth", 20}, {"thirtieth", 30},
};
/* clang-format on */

#define PAIRS_COUNT (sizeof(pairs) / sizeof(pairs[0]))
_Static_assert(PAIRS_COUNT <= WORDS_PAIRS_MAX, "one bit a pair");

enum {
    /* These are looked for under no other form. */
    SETTLED = WORD_STOP | WORD_COURTESY | WORD_NEGATING | WORD_NUMBER,
    SLOTS = 1024,
    WORD_MAX = 15,
    STEM_MIN = 3,          /* "toes" is not "to"                     */
    NEGATING_STEM_MIN = 4, /* "notes" is not "not"; "failed" is "fail" */
};

struct slot {
    uint64_t hash;
    char word[WORD_MAX + 1]; /* "": free */
    struct word_meaning meaning;
};

static struct slot table[SLOTS];

uint64_t words_hash(const void *bytes, size_t size_bytes)
{
    /* Not against grinding: who makes two of his own words collide deceives himself alone. */
    static const uint8_t key[16] = "reprise guard 1";
    return digest_siphash(key, bytes, size_bytes);
}

/* The word's slot, or the free one where it belongs. */
static struct slot *slot_find(struct text word, uint64_t hash)
{
    assert(word.length <= WORD_MAX);
    size_t at = hash % SLOTS;
    for (;; at = (at + 1) % SLOTS) {
        struct slot *slot = &table[at];
        if (slot->word[0] == '\0')
            return slot;
        if (slot->hash == hash && strlen(slot->word) == word.length &&
            memcmp(slot->word, word.bytes, word.length) == 0)
            return slot;
    }
}

static struct word_meaning *meaning_make(struct text word)
{
    assert(word.length > 0);
    assert(word.length <= WORD_MAX);
    uint64_t hash = words_hash(word.bytes, word.length);
    struct slot *slot = slot_find(word, hash);
    slot->hash = hash;
    memcpy(slot->word, word.bytes, word.length);
    return &slot->meaning;
}

/* Takes the next word off a list separated by spaces. */
static bool list_next(const char **list, struct text *out_word)
{
    *list += strspn(*list, " ");
    *out_word = (struct text){*list, strcspn(*list, " ")};
    *list += out_word->length;
    return out_word->length > 0;
}

static void list_fill(const char *list, enum word_role role)
{
    struct text word;
    while (list_next(&list, &word))
        meaning_make(word)->roles |= role;
}

static void pair_fill(const struct pair *pair, uint64_t bit)
{
    struct text word;
    for (const char *left = pair->left; list_next(&left, &word);)
        meaning_make(word)->left |= bit;
    for (const char *right = pair->right; list_next(&right, &word);)
        meaning_make(word)->right |= bit;
}

/* Before main, hence before any thread: nobody needs to ask whether it is done. */
__attribute__((constructor)) static void table_fill(void)
{
    for (size_t i = 0; i < PAIRS_COUNT; i++)
        pair_fill(&pairs[i], UINT64_C(1) << i);
    list_fill(negating_words, WORD_NEGATING);
    list_fill(courtesy_words, WORD_COURTESY);
    list_fill(stop_words, WORD_STOP);
    list_fill(infinitive_words, WORD_INFINITIVE);
    list_fill(ordinal_ends, WORD_ORDINAL_END);
    list_fill("one first", WORD_ONE);
    for (size_t i = 0; i < sizeof(number_words) / sizeof(number_words[0]); i++) {
        struct word_meaning *meaning = meaning_make(text_of(number_words[i].word));
        meaning->roles |= WORD_NUMBER;
        meaning->value = number_words[i].value;
    }
    size_t used = 0;
    for (size_t i = 0; i < SLOTS; i++)
        used += table[i].word[0] != '\0';
    assert(used < SLOTS / 2); /* so that every search ends soon */
}

static bool ends_with(struct text word, const char *end)
{
    size_t length = strlen(end);
    return word.length > length && memcmp(word.bytes + word.length - length, end, length) == 0;
}

/* What the stem means as part of a pair or as negation; its other roles belong to the bare word
 * alone. */
static bool stem_find(struct text stem, char add, struct word_meaning *out_meaning)
{
    char bytes[WORD_MAX + 1];
    if (stem.length < STEM_MIN || stem.length >= WORD_MAX)
        return false;
    memcpy(bytes, stem.bytes, stem.length);
    if (add != '\0')
        bytes[stem.length++] = add;
    uint64_t hash = words_hash(bytes, stem.length);
    const struct slot *slot = slot_find((struct text){bytes, stem.length}, hash);
    unsigned negating = 0;
    if (stem.length >= NEGATING_STEM_MIN)
        negating = slot->meaning.roles & WORD_NEGATING;
    if (slot->meaning.left == 0 && slot->meaning.right == 0 && negating == 0)
        return false;
    *out_meaning = (struct word_meaning){negating, 0, slot->meaning.left, slot->meaning.right};
    return true;
}

/* "lock" + ed, "clos" + ed, "stopp" + ed, "den" + ied. */
static bool verb_find(struct text stem, struct word_meaning *out_meaning)
{
    if (stem_find(stem, '\0', out_meaning) || stem_find(stem, 'e', out_meaning))
        return true;
    if (stem.length <= STEM_MIN)
        return false;
    struct text shorter = {stem.bytes, stem.length - 1};
    char last = stem.bytes[stem.length - 1];
    if (last == stem.bytes[stem.length - 2])
        return stem_find(shorter, '\0', out_meaning);
    return last == 'i' && stem_find(shorter, 'y', out_meaning);
}

static bool inflected_find(struct text word, struct word_meaning *out_meaning)
{
    struct text without = word;
    if (ends_with(word, "ing")) {
        without.length -= 3;
        return verb_find(without, out_meaning);
    }
    if (!ends_with(word, "s") && !ends_with(word, "ed"))
        return false;
    if (ends_with(word, "s")) {
        without.length -= 1;
        if (stem_find(without, '\0', out_meaning))
            return true;
        if (!ends_with(word, "es"))
            return false;
    }
    without.length = word.length - 2;
    return verb_find(without, out_meaning);
}

struct word_meaning words_meaning(struct text word, uint64_t hash)
{
    assert(word.length > 0);
    static const struct word_meaning unknown = {0}, negation = {.roles = WORD_NEGATING};
    if (ends_with(word, "n't"))
        return negation;
    if (word.length > WORD_MAX)
        return unknown;
    struct word_meaning meaning = slot_find(word, hash)->meaning, inflected;
    bool is_settled = meaning.left != 0 || meaning.right != 0 || (meaning.roles & SETTLED) != 0;
    if (!is_settled && inflected_find(word, &inflected)) {
        meaning.roles |= inflected.roles;
        meaning.left = inflected.left;
        meaning.right = inflected.right;
    }
    return meaning;
}
