/*
 * vocabulary.c - the pieces a model knows. Owns a copy of the lines and an open-addressed table
 * over them; immutable after create, so any thread may search.
 *
 * TABLE. 8 bytes a slot: 32 bits of the hash (XXH3) as a tag, and the id; at most half full. A tag
 * that fits is compared byte by byte, so that no text can be made that is mistaken for a piece.
 * Continuing pieces lie in the same table without their "##", under another seed: no text is copied
 * to put the marks in front. 30,522 pieces take 0.9 MB in all.
 *
 * MATCH. The longest piece is found by asking for each length, longest first, but never beyond the
 * longest piece there is (18 bytes in the English vocabulary). A trie would walk each byte once; it
 * was rejected because most words are pieces themselves and found at the first question.
 */
#include "embed/vocabulary.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

static const char FIELD[] = "vocabulary";
enum { SLOTS_MIN = 16 };
#define NO_PIECE UINT32_MAX

struct slot {
    uint32_t tag; /* upper half of the hash; the lower half chose the slot */
    uint32_t id;  /* NO_PIECE: the slot is free */
};

struct vocabulary {
    char *lines;
    uint32_t *starts; /* count + 1; a line ends one byte before the next one starts */
    size_t count;
    struct slot *slots;
    size_t slots_count; /* a power of two      */
    size_t longest[2];  /* bytes; [continues]  */
    struct digest digest;
};

struct text vocabulary_line(const struct vocabulary *vocabulary, uint32_t id)
{
    assert(id < vocabulary->count);
    uint32_t start = vocabulary->starts[id];
    return (struct text){vocabulary->lines + start, vocabulary->starts[id + 1] - start - 1};
}

/* Takes "##" off; a line of nothing else begins a word like any other. */
static struct text piece_of(struct text line, bool *out_continues)
{
    *out_continues = line.length > 2 && line.bytes[0] == '#' && line.bytes[1] == '#';
    return *out_continues ? (struct text){line.bytes + 2, line.length - 2} : line;
}

/* The slot of the piece, or the free one where it would lie. */
static struct slot *find_slot(const struct vocabulary *vocabulary, struct text piece,
                              bool continues, uint32_t *out_tag)
{
    uint64_t hash = XXH3_64bits_withSeed(piece.bytes, piece.length, continues);
    size_t mask = vocabulary->slots_count - 1;
    uint32_t tag = (uint32_t)(hash >> 32);
    *out_tag = tag;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        struct slot *slot = &vocabulary->slots[at];
        if (slot->id == NO_PIECE)
            return slot;
        if (slot->tag != tag)
            continue;
        bool also_continues;
        struct text found = piece_of(vocabulary_line(vocabulary, slot->id), &also_continues);
        if (also_continues == continues && text_equal(found, piece))
            return slot;
    }
}

static enum status refuse(struct failure *failure, size_t number, const char *what)
{
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, FIELD, "line %zu %s", number + 1, what);
}

static enum status check_lines(struct text lines, struct failure *failure)
{
    if (lines.length > VOCABULARY_BYTES_MAX)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, FIELD, "more than %d bytes",
                           (int)VOCABULARY_BYTES_MAX);
    if (!text_is_clean(lines.bytes, lines.length))
        return failure_set(failure, STATUS_WEIGHTS_CORRUPT, FIELD, "not UTF-8, or it holds NUL");
    return STATUS_OK;
}

/* Copies the lines, drops carriage returns before line feeds, and ends the last line if it is open.
 */
static enum status copy_lines(struct vocabulary *vocabulary, struct text lines, size_t *out_length)
{
    vocabulary->lines = malloc(lines.length + 1);
    if (vocabulary->lines == NULL)
        return STATUS_NO_MEMORY;
    size_t length = 0;
    for (size_t i = 0; i < lines.length; i++) {
        bool is_return =
            lines.bytes[i] == '\r' && i + 1 < lines.length && lines.bytes[i + 1] == '\n';
        if (!is_return)
            vocabulary->lines[length++] = lines.bytes[i];
    }
    if (length > 0 && vocabulary->lines[length - 1] != '\n')
        vocabulary->lines[length++] = '\n';
    *out_length = length;
    return STATUS_OK;
}

static enum status cut_lines(struct vocabulary *vocabulary, size_t length, struct failure *failure)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += vocabulary->lines[i] == '\n';
    if (count > VOCABULARY_PIECES_MAX)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, FIELD, "more than %d lines",
                           (int)VOCABULARY_PIECES_MAX);
    vocabulary->starts = calloc(count + 1, sizeof(*vocabulary->starts));
    if (vocabulary->starts == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < length; i++) {
        if (vocabulary->lines[i] == '\n')
            vocabulary->starts[++vocabulary->count] = (uint32_t)(i + 1);
    }
    assert(vocabulary->count == count);
    return STATUS_OK;
}

static enum status fill_table(struct vocabulary *vocabulary, struct failure *failure)
{
    vocabulary->slots_count = SLOTS_MIN;
    while (vocabulary->slots_count < 2 * vocabulary->count)
        vocabulary->slots_count *= 2;
    vocabulary->slots = calloc(vocabulary->slots_count, sizeof(*vocabulary->slots));
    if (vocabulary->slots == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < vocabulary->slots_count; i++)
        vocabulary->slots[i].id = NO_PIECE;
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        bool continues;
        struct text piece = piece_of(vocabulary_line(vocabulary, id), &continues);
        if (piece.length == 0)
            return refuse(failure, id, "is empty");
        uint32_t tag;
        struct slot *slot = find_slot(vocabulary, piece, continues, &tag);
        if (slot->id != NO_PIECE)
            return refuse(failure, id, "repeats an earlier one");
        *slot = (struct slot){.tag = tag, .id = id};
        if (piece.length > vocabulary->longest[continues])
            vocabulary->longest[continues] = piece.length;
    }
    return STATUS_OK;
}

enum status vocabulary_create(struct text lines, struct vocabulary **out_vocabulary,
                              struct failure *failure)
{
    enum status status = check_lines(lines, failure);
    if (status != STATUS_OK)
        return status;
    struct vocabulary *vocabulary = calloc(1, sizeof(*vocabulary));
    if (vocabulary == NULL)
        return STATUS_NO_MEMORY;
    size_t length = 0;
    status = copy_lines(vocabulary, lines, &length);
    if (status == STATUS_OK)
        status = cut_lines(vocabulary, length, failure);
    if (status == STATUS_OK)
        status = fill_table(vocabulary, failure);
    if (status != STATUS_OK)
        goto destroy_vocabulary;
    vocabulary->digest = digest_sha256(vocabulary->lines, length);
    *out_vocabulary = vocabulary;
    return STATUS_OK;

destroy_vocabulary:
    vocabulary_destroy(&vocabulary);
    return status;
}

void vocabulary_destroy(struct vocabulary **vocabulary)
{
    struct vocabulary *doomed = *vocabulary;
    if (doomed == NULL)
        return;
    *vocabulary = NULL;
    free(doomed->slots);
    free(doomed->starts);
    free(doomed->lines);
    free(doomed);
}

size_t vocabulary_count(const struct vocabulary *vocabulary)
{
    return vocabulary->count;
}

const struct digest *vocabulary_digest(const struct vocabulary *vocabulary)
{
    return &vocabulary->digest;
}

static bool find(const struct vocabulary *vocabulary, struct text piece, bool continues,
                 uint32_t *out_id)
{
    uint32_t tag;
    const struct slot *slot = find_slot(vocabulary, piece, continues, &tag);
    if (slot->id == NO_PIECE)
        return false;
    *out_id = slot->id;
    return true;
}

bool vocabulary_find(const struct vocabulary *vocabulary, struct text line, uint32_t *out_id)
{
    bool continues;
    struct text piece = piece_of(line, &continues);
    return find(vocabulary, piece, continues, out_id);
}

size_t vocabulary_match(const struct vocabulary *vocabulary, struct text rest, bool continues,
                        uint32_t *out_id)
{
    size_t longest = vocabulary->longest[continues];
    size_t length = rest.length < longest ? rest.length : longest;
    for (; length > 0; length--) {
        bool is_inside = length < rest.length && ((unsigned char)rest.bytes[length] & 0xc0) == 0x80;
        if (!is_inside && find(vocabulary, (struct text){rest.bytes, length}, continues, out_id))
            return length;
    }
    return 0;
}
