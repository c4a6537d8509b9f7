/*
 * guard.c - what a prompt says apart from its likeness: numbers, negation, sides of opposites,
 * order, names. Owns nothing; pure. Threads: any.
 *
 * THE SIGNATURE, 64 bytes, one cache line beside the vector, so that a check never touches the
 * text:
 *
 *      0  numbers      sum of the hashes of the different numbers (a set)
 *      8  bag          sum of the hashes of all content words and numbers (a multiset)
 *     16  order        the same ones, hashed in their order
 *     24  left         one bit a pair of opposites (words.c): its left word occurs
 *     32  right        its right word occurs
 *     40  names        the 4 smallest hashes of different names, ascending
 *     56  words        how many words and numbers, at most 65535
 *     58  negations    negating words modulo 256, which keeps the parity
 *     59  names_count  5 stands for "more than 4": then the rule about names abstains
 *     60  flags        0
 *
 * WORDS are runs of letters, joined by apostrophes; a final 's is dropped. Stop and courtesy words
 * are no content. "to" behind words such as "want" begins a verb and is no direction. NAMES are
 * capitalised words that do not begin a sentence; a text all in capitals has none.
 *
 * NOT HERE. How numbers are read (number.c), which words count (words.c). Meaning: "not impossible"
 * and "possible" are split for us; "Not un-" is out of reach. Loss of a hit is the price of every
 * rule, a wrong answer never is.
 */
#include "trust/guard.h"

#include "base/check.h"
#include "trust/number.h"
#include "trust/words.h"

_Static_assert(sizeof(struct guard_signature) == 64, "one cache line beside the vector");

enum {
    NAMES_KEPT = 4,
    NAMES_MANY = NAMES_KEPT + 1,
    NUMBERS_FIRST = 16, /* slots on the stack; most prompts need no more */
};

/* A run of letters or one number, in the order of the text. */
struct piece {
    enum { PIECE_WORD, PIECE_NUMBER, PIECE_FOREIGN_NUMBER } kind;
    struct text text;
    bool glued;    /* nothing stands between it and the token before */
    bool negative; /* a minus sign stands in front of the digits      */
};

struct hash_set {
    uint64_t *slots; /* 0: free; a power of two of them, at most three quarters full */
    size_t slots_count, used;
    uint64_t first[NUMBERS_FIRST];
};

struct signer {
    struct guard_signature signature;
    struct arena *arena;
    struct hash_set numbers;
    struct number number; /* under way */
    char *scratch;        /* of the digits of one number */
    bool infinitive;      /* a "to" would begin a verb */
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static enum text_class class_next(struct text text, size_t *offset)
{
    unsigned char byte = (unsigned char)text.bytes[*offset];
    if (byte >= 0x80)
        return text_class_of(text_next(text, offset));
    ++*offset;
    if (is_digit((char)byte))
        return TEXT_NUMBER;
    return (unsigned char)((byte | 0x20) - 'a') < 26 ? TEXT_LETTER : TEXT_OTHER;
}

/* "-5" behind a space or at the start; not "3-5", "covid-19". */
static bool minus_before(struct text text, size_t start)
{
    static const char minus[] = "\xE2\x88\x92"; /* U+2212 */
    size_t sign = start;
    if (start >= 1 && text.bytes[start - 1] == '-')
        sign = start - 1;
    else if (start >= 3 && memcmp(text.bytes + start - 3, minus, 3) == 0)
        sign = start - 3;
    if (sign == start)
        return false;
    return sign == 0 || memchr(" \t\n(", text.bytes[sign - 1], 4) != NULL;
}

static size_t run_end(struct text text, size_t at, enum text_class wanted)
{
    for (size_t after = at; after < text.length && class_next(text, &after) == wanted;)
        at = after;
    return at;
}

/* Bytes of an apostrophe at `at`: ' or U+2019; else 0. */
static size_t apostrophe_at(struct text text, size_t at)
{
    if (at < text.length && text.bytes[at] == '\'')
        return 1;
    bool curly = at + 3 <= text.length && memcmp(text.bytes + at, "\xE2\x80\x99", 3) == 0;
    return curly ? 3 : 0;
}

static size_t word_end(struct text text, size_t start)
{
    size_t at = run_end(text, start, TEXT_LETTER);
    for (;;) {
        size_t joint = at + apostrophe_at(text, at);
        size_t end = joint > at ? run_end(text, joint, TEXT_LETTER) : joint;
        if (end == joint)
            return at;
        at = end;
    }
}

static bool piece_next(struct text text, size_t *offset, struct piece *out_piece)
{
    size_t start = *offset, before = *offset;
    enum text_class kind = TEXT_OTHER;
    for (size_t at = start; at < text.length && kind == TEXT_OTHER;) {
        start = at;
        kind = class_next(text, &at);
    }
    if (kind == TEXT_OTHER)
        return false;
    *out_piece = (struct piece){.kind = PIECE_WORD, .glued = start == before && start > 0};
    if (kind == TEXT_LETTER) {
        *offset = word_end(text, start);
    } else if (is_digit(text.bytes[start])) {
        out_piece->kind = PIECE_NUMBER;
        out_piece->negative = minus_before(text, start);
        *offset = number_end(text, start);
    } else {
        out_piece->kind = PIECE_FOREIGN_NUMBER;
        *offset = run_end(text, start, TEXT_NUMBER);
    }
    assert(*offset > start);
    out_piece->text = (struct text){text.bytes + start, *offset - start};
    return true;
}

static bool set_place(uint64_t *slots, size_t slots_count, uint64_t hash)
{
    size_t at = hash & (slots_count - 1);
    while (slots[at] != 0 && slots[at] != hash)
        at = (at + 1) & (slots_count - 1);
    bool fresh = slots[at] == 0;
    slots[at] = hash;
    return fresh;
}

static enum status set_grow(struct hash_set *set, struct arena *arena)
{
    uint64_t *slots = arena_calloc(arena, set->slots_count * 2, sizeof(*slots));
    if (slots == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < set->slots_count; i++) {
        if (set->slots[i] != 0)
            (void)set_place(slots, set->slots_count * 2, set->slots[i]);
    }
    set->slots = slots;
    set->slots_count *= 2;
    return STATUS_OK;
}

static void content_add(struct guard_signature *signature, uint64_t hash)
{
    signature->bag += hash;
    signature->order = (signature->order ^ hash) * UINT64_C(0x9E3779B97F4A7C15);
    signature->order ^= signature->order >> 29; /* else the high bits never reach the low ones */
}

static enum status number_add(struct signer *signer, uint64_t hash)
{
    struct hash_set *set = &signer->numbers;
    if (hash == 0)
        hash = 1;
    content_add(&signer->signature, hash);
    if (4 * (set->used + 1) > 3 * set->slots_count) {
        enum status status = set_grow(set, signer->arena);
        if (status != STATUS_OK)
            return status;
    }
    assert(set->used < set->slots_count);
    if (set_place(set->slots, set->slots_count, hash)) {
        set->used++;
        signer->signature.numbers += hash;
    }
    return STATUS_OK;
}

static enum status number_finish(struct signer *signer)
{
    if (signer->number.kind == NUMBER_NONE)
        return STATUS_OK;
    uint64_t hash = number_hash(&signer->number, signer->scratch);
    signer->number = (struct number){.kind = NUMBER_NONE};
    return number_add(signer, hash);
}

static void word_sides(struct signer *signer, struct text word, const struct word_meaning *meaning)
{
    bool verb_follows = signer->infinitive && text_equal(word, TEXT("to"));
    if (!verb_follows) {
        signer->signature.left |= meaning->left;
        signer->signature.right |= meaning->right;
    }
    signer->infinitive = (meaning->roles & WORD_INFINITIVE) != 0;
}

static struct text without_possessive(struct text word)
{
    if (word.length > 2 && memcmp(word.bytes + word.length - 2, "'s", 2) == 0)
        word.length -= 2;
    return word;
}

static enum status word_add(struct signer *signer, const struct piece *piece)
{
    struct text word = without_possessive(piece->text);
    uint64_t hash = words_hash(word.bytes, word.length);
    struct word_meaning meaning = words_meaning(word, hash);
    word_sides(signer, word, &meaning);
    if (number_goes_on(&signer->number, word, piece->glued, &meaning))
        return STATUS_OK;
    enum status status = number_finish(signer);
    if (status != STATUS_OK)
        return status;
    if (number_begins(&signer->number, &meaning))
        return STATUS_OK;
    signer->signature.negations += (meaning.roles & WORD_NEGATING) != 0;
    if ((meaning.roles & (WORD_STOP | WORD_COURTESY)) == 0)
        content_add(&signer->signature, hash);
    return STATUS_OK;
}

static enum status piece_add(struct signer *signer, const struct piece *piece)
{
    if (signer->signature.words < UINT16_MAX)
        signer->signature.words++;
    if (piece->kind == PIECE_WORD)
        return word_add(signer, piece);
    signer->infinitive = false;
    enum status status = number_finish(signer);
    if (status != STATUS_OK)
        return status;
    if (piece->kind == PIECE_FOREIGN_NUMBER)
        return number_add(signer, words_hash(piece->text.bytes, piece->text.length));
    signer->number = number_of_digits(piece->text, piece->negative);
    return STATUS_OK;
}

/* Keeps the four smallest different hashes, ascending. */
static void name_keep(struct guard_signature *signature, uint32_t hash)
{
    size_t count = signature->names_count < NAMES_KEPT ? signature->names_count : NAMES_KEPT;
    size_t at = 0;
    while (at < count && signature->names[at] < hash)
        at++;
    if (at < count && signature->names[at] == hash)
        return;
    if (signature->names_count < NAMES_MANY)
        signature->names_count++;
    for (size_t i = NAMES_KEPT - 1; i > at; i--)
        signature->names[i] = signature->names[i - 1];
    if (at < NAMES_KEPT)
        signature->names[at] = hash;
}

/* The word's first part: "Anna's" is Anna, "I'm" is no name because "I" is none. */
static enum status name_add(struct signer *signer, struct text word)
{
    size_t length = run_end(word, 0, TEXT_LETTER);
    struct text folded;
    enum status status = text_fold((struct text){word.bytes, length}, signer->arena, &folded);
    if (status != STATUS_OK || folded.length == 0)
        return status;
    const unsigned plain =
        WORD_STOP | WORD_COURTESY | WORD_NEGATING | WORD_NUMBER | WORD_ONE | WORD_INFINITIVE;
    uint64_t hash = words_hash(folded.bytes, folded.length);
    if ((words_meaning(folded, hash).roles & plain) == 0)
        name_keep(&signer->signature, (uint32_t)hash);
    return STATUS_OK;
}

static bool ends_sentence(struct text between)
{
    for (size_t i = 0; i < between.length; i++) {
        if (between.bytes[i] != '\0' && strchr(".!?:;\n", between.bytes[i]) != NULL)
            return true;
    }
    return false;
}

static bool has_lower_letter(struct text word)
{
    for (size_t at = 0; at < word.length;) {
        uint32_t point = text_next(word, &at);
        if (text_class_of(point) == TEXT_LETTER && !text_is_upper(point))
            return true;
    }
    return false;
}

/* Over the text as it was typed, because folding takes the capitals away. */
static enum status names_find(struct signer *signer, struct text text)
{
    struct piece piece;
    bool lower_seen = false;
    enum status status = STATUS_OK;
    for (size_t offset = 0, before = 0; piece_next(text, &offset, &piece); before = offset) {
        if (piece.kind != PIECE_WORD)
            continue;
        size_t start = (size_t)(piece.text.bytes - text.bytes), at = 0;
        bool initial =
            before == 0 || ends_sentence((struct text){text.bytes + before, start - before});
        lower_seen = lower_seen || has_lower_letter(piece.text);
        if (!initial && text_is_upper(text_next(piece.text, &at)))
            status = name_add(signer, piece.text);
        if (status != STATUS_OK)
            return status;
    }
    if (!lower_seen)
        signer->signature.names_count = 0;
    return STATUS_OK;
}

/* U+2019 becomes U+0027: people type "don't" both ways. */
static enum status straighten(struct arena *arena, struct text *text)
{
    if (memmem(text->bytes, text->length, "\xE2\x80\x99", 3) == NULL)
        return STATUS_OK;
    char *bytes = arena_alloc(arena, text->length);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    size_t length = 0;
    for (size_t at = 0; at < text->length;) {
        size_t apostrophe = apostrophe_at(*text, at);
        bytes[length++] = apostrophe > 0 ? '\'' : text->bytes[at];
        at += apostrophe > 0 ? apostrophe : 1;
    }
    *text = (struct text){bytes, length};
    return STATUS_OK;
}

static enum status pieces_add(struct signer *signer, struct text folded)
{
    struct piece piece;
    for (size_t offset = 0; piece_next(folded, &offset, &piece);) {
        enum status status = piece_add(signer, &piece);
        if (status != STATUS_OK)
            return status;
    }
    return number_finish(signer);
}

enum status guard_sign(struct text text, struct arena *arena, struct guard_signature *out_signature)
{
    assert(arena != NULL);
    assert(out_signature != NULL);
    struct signer signer = {.arena = arena, .numbers.slots_count = NUMBERS_FIRST};
    signer.numbers.slots = signer.numbers.first;
    struct text folded;
    enum status status = text_fold(text, arena, &folded);
    if (status == STATUS_OK && folded.length > 0)
        status = straighten(arena, &folded);
    if (status != STATUS_OK)
        return status;
    signer.scratch = arena_alloc(arena, folded.length + NUMBER_SCRATCH);
    if (signer.scratch == NULL)
        return STATUS_NO_MEMORY;
    status = pieces_add(&signer, folded);
    if (status == STATUS_OK)
        status = names_find(&signer, text);
    if (status != STATUS_OK)
        return status;
    assert(signer.signature.names_count <= NAMES_MANY);
    *out_signature = signer.signature;
    return STATUS_OK;
}

static bool holds_foreign_name(const struct guard_signature *a, const struct guard_signature *b)
{
    for (size_t i = 0; i < a->names_count; i++) {
        bool shared = false;
        for (size_t j = 0; j < b->names_count; j++)
            shared = shared || a->names[i] == b->names[j];
        if (!shared)
            return true;
    }
    return false;
}

static bool names_differ(const struct guard_signature *a, const struct guard_signature *b)
{
    if (a->names_count > NAMES_KEPT || b->names_count > NAMES_KEPT)
        return false;
    return holds_foreign_name(a, b) && holds_foreign_name(b, a);
}

static bool pair_is_split(const struct guard_signature *a, const struct guard_signature *b)
{
    uint64_t a_left = a->left & ~a->right, a_right = a->right & ~a->left;
    uint64_t b_left = b->left & ~b->right, b_right = b->right & ~b->left;
    return ((a_left & b_right) | (a_right & b_left)) != 0;
}

unsigned guard_check(const struct guard_signature *a, const struct guard_signature *b,
                     unsigned rules)
{
    assert(a != NULL);
    assert(b != NULL);
    assert((rules & ~(unsigned)GUARD_ALL) == 0);
    unsigned reasons = 0;
    if (a->numbers != b->numbers)
        reasons |= GUARD_NUMBER;
    if (((a->negations ^ b->negations) & 1) != 0)
        reasons |= GUARD_NEGATION;
    if (pair_is_split(a, b))
        reasons |= GUARD_ANTONYM;
    if (a->bag == b->bag && a->order != b->order)
        reasons |= GUARD_ORDER;
    if (names_differ(a, b))
        reasons |= GUARD_NAMES;
    return reasons & rules;
}
