/*
 * entry.c - one stored answer: a block of a 72-byte header (entry_block.h) and a body, made once,
 * then shared.
 *
 * THE BODY is byte for byte what a journal's PUT record carries after its digest, without the
 * vector, so that appending it is one copy. Little-endian; offsets from the body's first byte:
 *
 *     0  scope 16            48  vector space 8    72  prompt bytes 4
 *    16  compatibility 16    56  created ms 8      76  answer bytes 4
 *    32  tenant 16           64  cost 4            80  vector dimension 2, kind 1, marks 1, zero 4
 *                            68  metadata bytes 4  88  metadata, prompt, answer
 *
 * Cost is zero: nobody below cache/ knows one, and cache/ keeps it in the metadata. Kind is zero
 * too: the vector lives in index/. Its dimension is known once a record carries it along, so that
 * the record's size on the disk can be told when the entry dies.
 *
 * THREADS. Whoever holds a reference may read; the last release frees, on whatever thread that is.
 * NOT HERE. Hit counts, queues and the sequence: they belong to table.c and the eviction rule.
 */
#include "storage/entry.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "storage/entry_block.h"

/* glibc keeps one word before each block that malloc_usable_size does not count. */
enum { ALLOCATOR_BYTES = 8 };

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "bodies are written as they lie in memory");

static uint32_t read_u32(const struct entry *entry, size_t offset)
{
    uint32_t value;
    assert(offset + sizeof(value) <= ENTRY_BODY_TEXTS);
    memcpy(&value, entry->body + offset, sizeof(value));
    return value;
}

static uint64_t read_u64(const struct entry *entry, size_t offset)
{
    uint64_t value;
    assert(offset + sizeof(value) <= ENTRY_BODY_TEXTS);
    memcpy(&value, entry->body + offset, sizeof(value));
    return value;
}

static void write_u32(struct entry *entry, size_t offset, size_t value)
{
    assert(value <= UINT32_MAX);
    const uint32_t narrow = (uint32_t)value;
    memcpy(entry->body + offset, &narrow, sizeof(narrow));
}

static uint8_t *write_text(uint8_t *at, struct text text)
{
    if (text.length == 0)
        return at;
    assert(text.bytes != NULL);
    memcpy(at, text.bytes, text.length);
    return at + text.length;
}

static void write_body(struct entry *entry, const struct entry_source *source)
{
    uint8_t *body = entry->body;
    memset(body, 0, ENTRY_BODY_TEXTS);
    memcpy(body + ENTRY_BODY_SCOPE, source->scope, ENTRY_ID_BYTES);
    memcpy(body + ENTRY_BODY_COMPATIBILITY, source->compatibility, ENTRY_ID_BYTES);
    memcpy(body + ENTRY_BODY_TENANT, source->tenant, ENTRY_ID_BYTES);
    memcpy(body + ENTRY_BODY_SPACE, &source->space, sizeof(source->space));
    memcpy(body + ENTRY_BODY_CREATED, &source->created_ms, sizeof(source->created_ms));
    body[ENTRY_BODY_MARKS] = source->marks;
    write_u32(entry, ENTRY_BODY_METADATA_BYTES, source->metadata.length);
    write_u32(entry, ENTRY_BODY_PROMPT_BYTES, source->prompt.length);
    write_u32(entry, ENTRY_BODY_ANSWER_BYTES, source->answer.length);
    uint8_t *at = write_text(body + ENTRY_BODY_TEXTS, source->metadata);
    at = write_text(at, source->prompt);
    at = write_text(at, source->answer);
    assert(at == body + entry->body_bytes);
}

/* 0 when the sizes do not fit the body's 32-bit fields. */
static uint32_t body_bytes_of(const struct entry_source *source)
{
    const size_t texts_max = INT32_MAX; /* so that header and allocator fit 32 bits too */
    size_t room = texts_max - ENTRY_BODY_TEXTS;
    const size_t lengths[] = {source->metadata.length, source->prompt.length,
                              source->answer.length};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (lengths[i] > room)
            return 0;
        room -= lengths[i];
    }
    return (uint32_t)(texts_max - room);
}

static struct entry *allocate(const struct digest *digest, int64_t expires_ms, uint32_t body_bytes)
{
    struct entry *entry = malloc(sizeof(*entry) + body_bytes);
    if (entry == NULL)
        return NULL;
    const size_t charge_bytes = malloc_usable_size(entry) + ALLOCATOR_BYTES;
    const size_t slack_bytes = charge_bytes - sizeof(*entry) - body_bytes;
    assert(charge_bytes <= UINT32_MAX);
    assert(slack_bytes <= UINT16_MAX); /* a page at most, of what is mapped */
    *entry = (struct entry){.digest = *digest,
                            .expires_ms = expires_ms,
                            .body_bytes = body_bytes,
                            .slack_bytes = (uint16_t)slack_bytes};
    atomic_init(&entry->references, 1);
    return entry;
}

enum status entry_create(const struct entry_source *source, struct entry **out_entry)
{
    assert(source->expires_ms >= 0);
    assert((source->marks & ~ENTRY_MARKS_ALL) == 0);
    const uint32_t body_bytes = body_bytes_of(source);
    if (body_bytes == 0)
        return STATUS_ENTRY_TOO_LARGE;
    struct entry *entry = allocate(&source->digest, source->expires_ms, body_bytes);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    write_body(entry, source);
    *out_entry = entry;
    return STATUS_OK;
}

/* The three lengths and the fixed part must be the whole. */
static bool is_body(struct text body)
{
    if (body.length < ENTRY_BODY_TEXTS || body.length > INT32_MAX)
        return false;
    uint32_t lengths[3];
    static_assert(ENTRY_BODY_ANSWER_BYTES + 4 == ENTRY_BODY_METADATA_BYTES + (int)sizeof(lengths),
                  "the lengths stand side by side");
    memcpy(lengths, body.bytes + ENTRY_BODY_METADATA_BYTES, sizeof(lengths));
    return (uint64_t)ENTRY_BODY_TEXTS + lengths[0] + lengths[1] + lengths[2] == body.length;
}

enum status entry_create_from_body(const struct digest *digest, struct text body,
                                   int64_t expires_ms, struct entry **out_entry)
{
    assert(expires_ms >= 0);
    if (!is_body(body))
        return STATUS_BAD_MESSAGE;
    struct entry *entry = allocate(digest, expires_ms, (uint32_t)body.length);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    memcpy(entry->body, body.bytes, body.length);
    memset(entry->body + ENTRY_BODY_DIMENSION, 0, ENTRY_BODY_TEXTS - ENTRY_BODY_DIMENSION);
    entry->body[ENTRY_BODY_MARKS] = (uint8_t)body.bytes[ENTRY_BODY_MARKS] & ENTRY_MARKS_ALL;
    *out_entry = entry;
    return STATUS_OK;
}

struct entry *entry_acquire(struct entry *entry)
{
    const uint32_t before = atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
    assert(before > 0);
    assert(before < UINT32_MAX);
    return entry;
}

void entry_release(struct entry *entry)
{
    if (entry == NULL)
        return;
    /* Release: our reads are done before another thread frees. Acquire: theirs, before we do. */
    const uint32_t before = atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        free(entry);
}

const struct digest *entry_digest(const struct entry *entry)
{
    return &entry->digest;
}

const uint8_t *entry_scope(const struct entry *entry)
{
    return entry->body + ENTRY_BODY_SCOPE;
}

const uint8_t *entry_compatibility(const struct entry *entry)
{
    return entry->body + ENTRY_BODY_COMPATIBILITY;
}

const uint8_t *entry_tenant(const struct entry *entry)
{
    return entry->body + ENTRY_BODY_TENANT;
}

uint64_t entry_space(const struct entry *entry)
{
    return read_u64(entry, ENTRY_BODY_SPACE);
}

uint64_t entry_sequence(const struct entry *entry)
{
    return entry->sequence;
}

int64_t entry_created_ms(const struct entry *entry)
{
    return (int64_t)read_u64(entry, ENTRY_BODY_CREATED);
}

static struct text text_at(const struct entry *entry, size_t offset, uint32_t length)
{
    assert(offset + length <= entry->body_bytes);
    return (struct text){(const char *)entry->body + offset, length};
}

struct text entry_metadata(const struct entry *entry)
{
    return text_at(entry, ENTRY_BODY_TEXTS, read_u32(entry, ENTRY_BODY_METADATA_BYTES));
}

struct text entry_prompt(const struct entry *entry)
{
    const size_t offset = (size_t)ENTRY_BODY_TEXTS + read_u32(entry, ENTRY_BODY_METADATA_BYTES);
    return text_at(entry, offset, read_u32(entry, ENTRY_BODY_PROMPT_BYTES));
}

struct text entry_answer(const struct entry *entry)
{
    const uint32_t length = read_u32(entry, ENTRY_BODY_ANSWER_BYTES);
    assert(length <= entry->body_bytes);
    return text_at(entry, entry->body_bytes - length, length);
}

uint8_t entry_marks(const struct entry *entry)
{
    return entry->body[ENTRY_BODY_MARKS];
}

uint64_t entry_charge_bytes(const struct entry *entry)
{
    return entry_charge(entry);
}
