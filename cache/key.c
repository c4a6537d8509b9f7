/*
 * key.c - the canonical bytes of an identity and their digests; docs/identity.md describes them for
 * other implementations, proto/key-vectors.json pins them. Version 1 never changes: entry ids live
 * as long as entries.
 *
 *     field  := tag (1 byte)  length (u32, little-endian)  bytes
 *     list   := a field of fields of tag 0
 *     number := a field of an i64 (8 bytes, little-endian)
 *     bytes  := "reprise/1" scope compat query: three fields of tags 'S', 'C' and 'Q', written even
 *               when empty
 *
 * Every field carries its length, so no two different forms have the same bytes. An exact hit needs
 * the digest of the whole alone, so the two others are made when somebody asks for them
 * (key_complete). Owns nothing. Threads: any; the bytes lie in the caller's arena.
 */
#include "cache/key.h"

#include <endian.h>

#include "base/check.h"
#include "cache/key_form.h"

static const char MARK[] = "reprise/1";
enum { MARK_BYTES = sizeof(MARK) - 1 };

/* ---- the writer ------------------------------------------------------------------------------ */

struct writer {
    uint8_t *bytes;
    size_t used, capacity;
};

static void put_bytes(struct writer *writer, const void *bytes, size_t length)
{
    assert(length <= writer->capacity - writer->used); /* key_form has counted */
    if (length > 0)
        memcpy(writer->bytes + writer->used, bytes, length);
    writer->used += length;
}

static void put_length(uint8_t *at, size_t length)
{
    assert(length <= INT32_MAX); /* key_form refuses more */
    const uint32_t little = htole32((uint32_t)length);
    memcpy(at, &little, sizeof(little));
}

/* Opens a field whose length is not known yet; returns where its bytes begin. */
static size_t put_open(struct writer *writer, uint8_t tag)
{
    assert(KEY_FIELD_HEAD <= writer->capacity - writer->used);
    writer->bytes[writer->used] = tag;
    writer->used += KEY_FIELD_HEAD;
    return writer->used;
}

static void put_close(struct writer *writer, size_t begin)
{
    assert(begin >= KEY_FIELD_HEAD);
    assert(begin <= writer->used);
    put_length(writer->bytes + begin - 4, writer->used - begin);
}

/* As put_close, but a field that stayed empty is taken back: inside S, C and Q empty means absent.
 */
static void put_close_unless_empty(struct writer *writer, size_t begin)
{
    if (writer->used == begin)
        writer->used = begin - KEY_FIELD_HEAD;
    else
        put_close(writer, begin);
}

static void put_element(struct writer *writer, uint8_t tag, struct text text)
{
    const size_t begin = put_open(writer, tag);
    put_bytes(writer, text.bytes, text.length);
    put_close(writer, begin);
}

static void put_text(struct writer *writer, uint8_t tag, struct text text)
{
    if (text.length > 0)
        put_element(writer, tag, text);
}

static void put_number(struct writer *writer, uint8_t tag, struct key_number number)
{
    if (!number.given)
        return;
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)number.value >> (8 * i));
    put_element(writer, tag, (struct text){(const char *)bytes, sizeof(bytes)});
}

static void put_texts(struct writer *writer, uint8_t tag, const struct text *texts, size_t count)
{
    if (count == 0)
        return;
    const size_t list = put_open(writer, tag);
    for (size_t i = 0; i < count; i++)
        put_element(writer, 0, texts[i]);
    put_close(writer, list);
}

/* ---- the three parts ------------------------------------------------------------------------- */

static void put_scope(struct writer *writer, const struct key_form *form)
{
    const size_t scope = put_open(writer, 'S');
    put_text(writer, 1, form->tenant);
    put_text(writer, 2, form->namespace_);
    put_text(writer, 3, form->model);
    put_text(writer, 4, form->embedder);
    const size_t list = put_open(writer, 5);
    for (size_t i = 0; i < form->attributes_count; i++) {
        const size_t attribute = put_open(writer, 0);
        put_text(writer, 1, form->attributes[i].name);
        put_text(writer, 2, form->attributes[i].value);
        put_close(writer, attribute);
    }
    put_close_unless_empty(writer, list);
    put_close(writer, scope);
}

static void put_history(struct writer *writer, const struct key_form *form)
{
    const size_t list = put_open(writer, 2);
    for (size_t i = 0; i < form->history_count; i++) {
        const struct key_message *message = &form->history[i];
        const size_t element = put_open(writer, 0);
        put_text(writer, 1, message->role);
        put_text(writer, 2, message->content);
        put_text(writer, 3, message->content_json);
        put_text(writer, 4, message->name);
        put_text(writer, 5, message->tool_call_id);
        put_text(writer, 6, message->tool_calls_json);
        put_close(writer, element);
    }
    put_close_unless_empty(writer, list);
}

static void put_params(struct writer *writer, const struct key_form *form)
{
    const size_t params = put_open(writer, 6);
    put_number(writer, 1, form->temperature);
    put_number(writer, 2, form->top_p);
    put_number(writer, 3, form->max_tokens);
    put_number(writer, 4, form->seed);
    put_number(writer, 5, form->n);
    put_texts(writer, 6, form->stop, form->stop_count);
    put_text(writer, 7, form->other_json);
    put_close_unless_empty(writer, params);
}

static void put_compatibility(struct writer *writer, const struct key_form *form)
{
    const size_t compatibility = put_open(writer, 'C');
    put_texts(writer, 1, form->systems, form->systems_count);
    put_history(writer, form);
    put_text(writer, 3, form->tools_json);
    put_text(writer, 4, form->tool_choice_json);
    put_text(writer, 5, form->response_format_json);
    put_params(writer, form);
    put_texts(writer, 7, form->context_ids, form->context_ids_count);
    put_close(writer, compatibility);
}

static void put_query(struct writer *writer, const struct key_form *form)
{
    const size_t query = put_open(writer, 'Q');
    put_text(writer, 1, form->query);
    put_text(writer, 2, form->query_name);
    put_text(writer, 3, form->query_content_json);
    put_close(writer, query);
}

struct encoding {
    struct text bytes;
    size_t scope_end, compatibility_end;
};

static enum status encode(const struct key_form *form, struct arena *arena,
                          struct encoding *out_encoding, struct failure *failure)
{
    assert(form->canonical);
    struct writer writer = {.bytes = arena_alloc(arena, form->bytes_max),
                            .capacity = form->bytes_max};
    if (writer.bytes == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "%s", status_text(STATUS_NO_MEMORY));
    put_bytes(&writer, MARK, MARK_BYTES);
    put_scope(&writer, form);
    const size_t scope_end = writer.used;
    if (scope_end - MARK_BYTES > KEY_SCOPE_MAX)
        return failure_set(failure, STATUS_SCOPE_TOO_LONG, "attributes",
                           "namespace, model, embedder and attributes take over %d bytes",
                           KEY_SCOPE_MAX);
    put_compatibility(&writer, form);
    assert(writer.used >= scope_end + KEY_FIELD_HEAD);
    const size_t compatibility_end = writer.used;
    put_query(&writer, form);
    assert(writer.used >= compatibility_end + KEY_FIELD_HEAD);
    assert(writer.used <= form->bytes_max);
    *out_encoding = (struct encoding){.bytes = {(const char *)writer.bytes, writer.used},
                                      .scope_end = scope_end,
                                      .compatibility_end = compatibility_end};
    return STATUS_OK;
}

/* SHA-256("reprise/1" 'C' 0 0 0 0): most requests have nothing but a question. */
static const struct digest NO_COMPATIBILITY = {{0xff, 0x75, 0x75, 0x5c, 0x7a, 0x28, 0xb1, 0x51,
                                                0x9f, 0x6c, 0x67, 0x2b, 0xe7, 0x20, 0x6d, 0x73,
                                                0x52, 0xad, 0x2e, 0x0c, 0x07, 0xfb, 0xee, 0x6e,
                                                0x5d, 0xe8, 0x9d, 0x79, 0x90, 0xc3, 0xda, 0x56}};

/* SHA-256 of the mark and one field. */
static struct digest hash_field(struct text field)
{
    assert(field.length >= KEY_FIELD_HEAD);
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_stream_add(&stream, MARK, MARK_BYTES);
    digest_stream_add(&stream, field.bytes, field.length);
    return digest_stream_end(&stream);
}

static void hash_exact(const struct encoding *encoding, struct key *key)
{
    assert(encoding->scope_end > MARK_BYTES);
    assert(encoding->compatibility_end < encoding->bytes.length);
    const char *bytes = encoding->bytes.bytes;
    key->exact = digest_sha256(bytes, encoding->bytes.length);
    key->scope_bytes = (struct text){bytes + MARK_BYTES, encoding->scope_end - MARK_BYTES};
    key->compatibility_bytes = (struct text){bytes + encoding->scope_end,
                                             encoding->compatibility_end - encoding->scope_end};
    key->query_bytes = (struct text){bytes + encoding->compatibility_end,
                                     encoding->bytes.length - encoding->compatibility_end};
}

enum status key_make_exact(const struct identity *identity, const struct key_limits *limits,
                           struct arena *arena, struct key *out_key, struct failure *failure)
{
    struct key_form form;
    enum status status = key_form_make(identity, limits, arena, &form, failure);
    if (status != STATUS_OK)
        return status;
    struct key key = {
        .namespace_ = form.namespace_, .query = form.query, .canonical = form.canonical};
    if (form.canonical) {
        struct encoding encoding;
        status = encode(&form, arena, &encoding, failure);
        if (status != STATUS_OK)
            return status;
        hash_exact(&encoding, &key);
        key.comparable =
            form.query.length > 0 && form.query_content_json.length == 0 && !form.tool_talk;
        key.temperature = form.temperature.value;
        key.user_turns = form.user_turns;
        key.semantic = key.comparable && key.temperature <= 0 && key.user_turns == 1;
    }
    assert(!key.comparable || key.query.length > 0);
    *out_key = key;
    return STATUS_OK;
}

void key_complete(struct key *key)
{
    if (!key->canonical)
        return;
    assert(key->scope_bytes.bytes[0] == 'S');
    assert(key->compatibility_bytes.bytes[0] == 'C');
    key->scope = hash_field(key->scope_bytes);
    key->compatibility = key->compatibility_bytes.length == KEY_FIELD_HEAD
                             ? NO_COMPATIBILITY
                             : hash_field(key->compatibility_bytes);
}

enum status key_make(const struct identity *identity, const struct key_limits *limits,
                     struct arena *arena, struct key *out_key, struct failure *failure)
{
    struct key key;
    enum status status = key_make_exact(identity, limits, arena, &key, failure);
    if (status != STATUS_OK)
        return status;
    key_complete(&key);
    *out_key = key;
    return STATUS_OK;
}

struct digest key_owner(struct text tenant, struct text namespace_)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_stream_add(&stream, tenant.bytes, tenant.length);
    digest_stream_add(&stream, "", 1);
    digest_stream_add(&stream, namespace_.bytes, namespace_.length);
    return digest_stream_end(&stream);
}

enum status key_canonical(const struct identity *identity, const struct key_limits *limits,
                          struct arena *arena, struct text *out_bytes, struct failure *failure)
{
    struct key_form form;
    enum status status = key_form_make(identity, limits, arena, &form, failure);
    if (status != STATUS_OK)
        return status;
    if (!form.canonical)
        return failure_set(failure, STATUS_BAD_JSON, "", "a JSON field has no canonical form");
    struct encoding encoding;
    status = encode(&form, arena, &encoding, failure);
    if (status == STATUS_OK)
        *out_bytes = encoding.bytes;
    return status;
}
