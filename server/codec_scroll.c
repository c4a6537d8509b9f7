/*
 * codec_scroll.c - Scroll and GetEntry, both ways. Entries are written field by field: prompt, info
 * and answer are wire bytes already. Owns nothing. Threads: any; all of it works in the caller's
 * arena.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "cache/answer.h"

/* Field numbers of proto/reprise/v1/admin.proto and common.proto. */
enum {
    SCROLL_ENTRIES = 1,
    SCROLL_NEXT_CURSOR = 2,
    GET_ENTRY_ENTRY = 1,
    ENTRY_ENTRY_ID = 1,
    ENTRY_IDENTITY = 2,
    ENTRY_INFO = 3,
    ENTRY_CREATED_UNIX_MS = 4,
    ENTRY_EXPIRES_UNIX_MS = 5,
    ENTRY_HIT_COUNT = 6,
    ENTRY_SIZE_BYTES = 7,
    ENTRY_PINNED_FLAG = 8,
    ENTRY_TAGS = 9,
    ENTRY_DEPENDS_ON = 10,
    ENTRY_VECTOR = 15,
    ENTRY_METADATA = 16,
    ENTRY_SCOPE_ID = 17,
    ENTRY_COMPAT_ID = 18,
    ENTRY_FIELD_SUMS = 19,
    ENTRY_SPACE_ID = 20,
    ENTRY_NEGATIVE = 21,
    ENTRY_TTL_MS = 22,
    ENTRY_SLIDING_MAX_MS = 23,
    ENTRY_REVALIDATE_MS = 24,
    ENTRY_IF_ERROR_MS = 25,
    ENTRY_CONTENT = 100,
    ENTRY_BLOB = 101,
    IDENTITY_NAMESPACE = 1,
    IDENTITY_MODEL = 2,
    IDENTITY_PROMPT = 3,
    IDENTITY_ATTRIBUTES = 10,
    IDENTITY_EMBEDDER = 12,
    VECTOR_F32 = 1,
    ATTRIBUTE_NAME = 1, /* a Dependency's id and version have the same */
    ATTRIBUTE_VALUE = 2,
};

enum {
    CURSOR_ROOM = 64, /* of a reply, for all but the entries */
    SUMS_VERSION = 1, /* the first byte of field_sums; empty: they are not known */
    ID_HEX = 2 * ENTRY_ID_BYTES,
    SPACE_HEX = 16,
};

/* ---- Requests --------------------------------------------------------------- */

enum status codec_read_scroll(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_page_request *out,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_SCROLL, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__ScrollRequest *message = (const Reprise__V1__ScrollRequest *)unpacked;
    assert(limits->reply_max > CURSOR_ROOM);
    struct cache_page_request request = {
        .limit = message->limit,
        .cursor = text_of(message->cursor),
        .answers = message->answers != 0,
        .vectors = message->vectors != 0,
        .bytes_max = limits->reply_max - CURSOR_ROOM,
    };
    if (message->selector != NULL)
        status = codec_selector(message->selector, arena, &request.selector, failure);
    if (status == STATUS_OK)
        *out = request;
    return status;
}

enum status codec_read_get_entry(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_entry_request *out,
                                 struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_GET_ENTRY, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__GetEntryRequest *message = (const Reprise__V1__GetEntryRequest *)unpacked;
    const struct text id = text_of(message->entry_id);
    struct codec_entry_request request = {.vector = message->vector != 0};
    if (!digest_from_hex(id.bytes, id.length, &request.entry_id))
        return failure_set(failure, STATUS_BAD_ID, "entry_id", "%s", status_text(STATUS_BAD_ID));
    *out = request;
    return STATUS_OK;
}

/* ---- Entries ---------------------------------------------------------------- */

static void write_pair(struct wire *wire, uint32_t number, const struct key_attribute *pair)
{
    const struct wire_inner attribute = wire_begin(wire, number, 0);
    wire_text(wire, ATTRIBUTE_NAME, pair->name);
    wire_text(wire, ATTRIBUTE_VALUE, pair->value);
    wire_end(wire, attribute);
}

static void write_identity(struct wire *wire, const struct answer_view *view,
                           const struct cache_shown *shown)
{
    const struct text prompt = entry_prompt(shown->entry);
    const struct wire_inner identity = wire_begin(wire, ENTRY_IDENTITY, prompt.length);
    wire_text(wire, IDENTITY_NAMESPACE, view->namespace_);
    wire_text(wire, IDENTITY_MODEL, view->model);
    wire_text(wire, IDENTITY_PROMPT, prompt);
    for (size_t i = 0; i < shown->attributes_count; i++)
        write_pair(wire, IDENTITY_ATTRIBUTES, &shown->attributes[i]);
    wire_text(wire, IDENTITY_EMBEDDER, shown->embedder);
    wire_end(wire, identity);
}

/* Packed floats are little-endian on the wire. */
static void write_vector(struct wire *wire, const struct cache_shown *shown)
{
    static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the floats are written as they lie");
    const size_t size = (size_t)shown->dimension * sizeof(float);
    const struct wire_inner vector = wire_begin(wire, ENTRY_VECTOR, size);
    wire_text(wire, VECTOR_F32, (struct text){(const char *)shown->unit, size});
    wire_end(wire, vector);
}

static void write_lists(struct wire *wire, const struct answer_view *view)
{
    struct text tags = view->tags, metadata = view->metadata, tag;
    struct text depends_on = view->depends_on;
    struct key_attribute pair;
    while (answer_next_tag(&tags, &tag))
        wire_text(wire, ENTRY_TAGS, tag);
    while (answer_next_attribute(&metadata, &pair))
        write_pair(wire, ENTRY_METADATA, &pair);
    while (answer_next_attribute(&depends_on, &pair))
        write_pair(wire, ENTRY_DEPENDS_ON, &pair);
}

static void write_life(struct wire *wire, const struct freshness *freshness,
                       const struct entry *entry)
{
    wire_uint(wire, ENTRY_PINNED_FLAG, (entry_marks(entry) & ENTRY_PINNED) != 0);
    wire_uint(wire, ENTRY_NEGATIVE, freshness->negative);
    wire_uint(wire, ENTRY_TTL_MS, freshness->ttl_ms);
    wire_uint(wire, ENTRY_SLIDING_MAX_MS, freshness->sliding_ms);
    wire_uint(wire, ENTRY_REVALIDATE_MS, freshness->revalidate_ms);
    wire_uint(wire, ENTRY_IF_ERROR_MS, freshness->if_error_ms);
}

/* Half a digest: the first 16 bytes. */
static void write_half(struct wire *wire, uint32_t number, const uint8_t id[ENTRY_ID_BYTES])
{
    struct digest digest = {{0}};
    char hex[DIGEST_HEX + 1];
    memcpy(digest.bytes, id, ENTRY_ID_BYTES);
    digest_to_hex(&digest, hex);
    wire_text(wire, number, (struct text){hex, ID_HEX});
}

/* What Import needs beside what people read. */
static void write_origin(struct wire *wire, const struct answer_view *view,
                         const struct entry *entry)
{
    write_half(wire, ENTRY_SCOPE_ID, entry_scope(entry));
    write_half(wire, ENTRY_COMPAT_ID, entry_compatibility(entry));
    if (view->has_fields) {
        wire_open(wire, ENTRY_FIELD_SUMS, 1 + view->fields.length);
        wire_raw(wire, (struct text){(const char[]){SUMS_VERSION}, 1});
        wire_raw(wire, view->fields);
    }
    if (entry_space(entry) != 0) {
        char hex[SPACE_HEX + 1];
        (void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)entry_space(entry));
        wire_text(wire, ENTRY_SPACE_ID, text_of(hex));
    }
}

static void write_entry(struct wire *wire, uint32_t number, const struct cache_shown *shown,
                        bool answer)
{
    char hex[DIGEST_HEX + 1];
    struct answer_view view;
    const struct entry *entry = shown->entry;
    answer_view_read(entry_metadata(entry), &view);
    digest_to_hex(entry_digest(entry), hex);
    const struct wire_inner parts =
        wire_begin(wire, number, 256 + entry_prompt(entry).length + entry_answer(entry).length);
    wire_text(wire, ENTRY_ENTRY_ID, (struct text){hex, DIGEST_HEX});
    write_identity(wire, &view, shown);
    wire_uint(wire, ENTRY_CREATED_UNIX_MS, (uint64_t)entry_created_ms(entry));
    wire_uint(wire, ENTRY_EXPIRES_UNIX_MS, (uint64_t)shown->expires_ms);
    wire_uint(wire, ENTRY_HIT_COUNT, shown->hits_count);
    wire_uint(wire, ENTRY_SIZE_BYTES, entry_charge_bytes(entry));
    write_lists(wire, &view);
    write_life(wire, &view.freshness, entry);
    write_origin(wire, &view, entry);
    if (shown->unit != NULL)
        write_vector(wire, shown);
    if (answer) {
        wire_text(wire, ENTRY_INFO, view.info);
        wire_text(wire, view.opaque ? ENTRY_BLOB : ENTRY_CONTENT, entry_answer(entry));
    }
    wire_end(wire, parts);
}

static enum status finish(const struct wire *wire, const struct codec_limits *limits,
                          struct codec_reply *out, struct failure *failure)
{
    struct codec_reply packed = {.tail_entry = NULL};
    if (wire_done(wire, &packed.head) != STATUS_OK)
        return codec_spent(failure);
    enum status status = codec_reply_fits(&packed, limits, failure);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

enum status codec_write_scroll(const struct cache_page *page, bool answers,
                               const struct codec_limits *limits, struct arena *arena,
                               struct codec_reply *out, struct failure *failure)
{
    struct wire wire;
    wire_init(&wire, arena, page->bytes + CURSOR_ROOM);
    for (size_t i = 0; i < page->count; i++)
        write_entry(&wire, SCROLL_ENTRIES, &page->shown[i], answers);
    wire_text(&wire, SCROLL_NEXT_CURSOR, text_of(page->cursor));
    return finish(&wire, limits, out, failure);
}

enum status codec_write_get_entry(const struct cache_page *page, const struct codec_limits *limits,
                                  struct arena *arena, struct codec_reply *out,
                                  struct failure *failure)
{
    struct wire wire;
    assert(page->count == 1);
    wire_init(&wire, arena, 1024);
    write_entry(&wire, GET_ENTRY_ENTRY, &page->shown[0], true);
    return finish(&wire, limits, out, failure);
}
