/*
 * notes.c - the bytes of a note, little-endian, no padding; the first is the version of its kind,
 * 1. A text is a u32 length and its bytes.
 *
 *     TOKENS     key: zeros. version u8, used u32 (unix seconds), key 32
 *     SCOPE      key: scope digest 16, space u64, zeros 8. version u8, flags u8 (bit 0: the
 *                client's vectors), cut u32, verdicts u8, verdicts as bytes (1: right), texts
 *                tenant, namespace, model, embedder, attributes u8, a name and a value each
 *     NAMESPACE  key: SHA-256 of tenant, zero byte, name. version u8: 5, flags u8 (bit 0: dropped),
 *                version of the settings u64, tiers u8, policy: mode u8, guards off u8, static
 *                threshold, adaptive initial, min, max, step each a float's bits as u32; ttl u64,
 *                ttl max u64, bytes max u64, entries max u64, a double's bits of temperature max
 *                u64, user turns max u32, ack u8, index kind u8, ef_search u32, nprobe u32,
 *                eviction u8, policy's min similarity a float's bits as u32 (0, NaN: as the option
 *                says), embedder u8, texts tenant, name. Read and not written any more: version 4,
 *                without embedder, version 3, without min similarity either, version 2, without
 *                eviction either, and version 1, which has of these index kind, ef_search, nprobe
 *                and the texts
 *
 * What is read may be any bytes: a note that does not fit is no note. Owns nothing. Threads: any.
 */
#include "cache/notes.h"

#include <string.h>

#include "base/check.h"
#include "base/digest.h"

enum {
    VERSION = 1,
    NAMESPACE_BEFORE_EVICTION = 2,
    NAMESPACE_BEFORE_MIN_SIMILARITY = 3,
    NAMESPACE_BEFORE_EMBEDDER = 4,
    NAMESPACE_VERSION = 5,
    FLAG_DROPPED = 1,
    FLAG_CLIENTS = 1,
    ATTRIBUTES_MAX = 64,
    ADAPTIVE_CUT_MAX = 10000
};

/* ---- bytes ----------------------------------------------------------------------------------- */

struct writer {
    uint8_t *bytes;
    size_t used, capacity;
};

static enum status writer_begin(struct writer *writer, size_t capacity, struct arena *arena)
{
    *writer = (struct writer){.bytes = arena_alloc(arena, capacity), .capacity = capacity};
    return writer->bytes != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void write_number(struct writer *writer, uint64_t value, size_t size)
{
    assert(writer->capacity - writer->used >= size);
    for (size_t i = 0; i < size; i++)
        writer->bytes[writer->used++] = (uint8_t)(value >> (8 * i));
}

static void write_bytes(struct writer *writer, const void *bytes, size_t size)
{
    assert(writer->capacity - writer->used >= size);
    if (size > 0)
        memcpy(writer->bytes + writer->used, bytes, size);
    writer->used += size;
}

static void write_text(struct writer *writer, struct text text)
{
    assert(text.length <= UINT32_MAX);
    write_number(writer, text.length, 4);
    write_bytes(writer, text.bytes, text.length);
}

static size_t text_bytes(struct text text)
{
    return 4 + text.length;
}

struct reader {
    struct text rest;
    bool fits; /* nothing was asked of it that is not there */
};

static struct reader reader_of(const struct record_note *note)
{
    struct reader reader = {.rest = note->bytes, .fits = true};
    return reader;
}

static const char *take(struct reader *reader, size_t size)
{
    const char *bytes = reader->rest.bytes;
    reader->fits = reader->fits && reader->rest.length >= size;
    if (!reader->fits)
        return NULL;
    reader->rest.bytes += size;
    reader->rest.length -= size;
    return bytes;
}

static uint64_t read_number(struct reader *reader, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)take(reader, size);
    uint64_t value = 0;
    for (size_t i = size; bytes != NULL && i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

static void read_bytes(struct reader *reader, void *out_bytes, size_t size)
{
    const char *bytes = take(reader, size);
    if (bytes != NULL)
        memcpy(out_bytes, bytes, size);
}

/* Clean UTF-8, as every text that came by the door. */
static struct text read_text(struct reader *reader)
{
    const size_t length = (size_t)read_number(reader, 4);
    struct text text = {take(reader, length), length};
    if (!reader->fits)
        return (struct text){NULL, 0};
    reader->fits = text_is_clean(text.bytes, text.length);
    return text;
}

static bool ends_here(const struct reader *reader)
{
    return reader->fits && reader->rest.length == 0;
}

static bool begins_well(struct reader *reader)
{
    return read_number(reader, 1) == VERSION && reader->fits;
}

static void finish(const struct writer *writer, enum note_kind kind, struct record_note *out_note)
{
    assert(writer->used == writer->capacity);
    out_note->owner = NOTE_OWNER;
    out_note->kind = (uint16_t)kind;
    out_note->bytes = (struct text){(const char *)writer->bytes, writer->used};
}

/* ---- tokens ---------------------------------------------------------------------------------- */

enum status note_write_tokens(const struct token_memory *memory, struct arena *arena,
                              struct record_note *out_note)
{
    struct writer writer;
    if (writer_begin(&writer, 1 + 4 + TOKEN_KEY_BYTES, arena) != STATUS_OK)
        return STATUS_NO_MEMORY;
    *out_note = (struct record_note){.owner = NOTE_OWNER};
    write_number(&writer, VERSION, 1);
    write_number(&writer, memory->used_s, 4);
    write_bytes(&writer, memory->key, TOKEN_KEY_BYTES);
    finish(&writer, NOTE_TOKENS, out_note);
    return STATUS_OK;
}

bool note_read_tokens(const struct record_note *note, struct token_memory *out_memory)
{
    assert(note->kind == NOTE_TOKENS);
    struct token_memory memory = {.used_s = 0};
    struct reader reader = reader_of(note);
    if (!begins_well(&reader))
        return false;
    memory.used_s = (uint32_t)read_number(&reader, 4);
    read_bytes(&reader, memory.key, sizeof(memory.key));
    if (!ends_here(&reader))
        return false;
    *out_memory = memory;
    return true;
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static size_t scope_bytes(const struct note_scope *scope)
{
    const struct scope_names *names = &scope->names;
    size_t bytes = 1 + 1 + 4 + 1 + scope->policy.verdicts_count + text_bytes(names->tenant) +
                   text_bytes(names->namespace_) + text_bytes(names->model) +
                   text_bytes(scope->embedder) + 1;
    for (size_t i = 0; i < names->attributes_count; i++)
        bytes += text_bytes(names->attributes[i].name) + text_bytes(names->attributes[i].value);
    return bytes;
}

enum status note_write_scope(const struct note_scope *scope, struct arena *arena,
                             struct record_note *out_note)
{
    struct writer writer;
    const struct scope_names *names = &scope->names;
    assert(names->attributes_count <= ATTRIBUTES_MAX); /* limits.attributes */
    assert(scope->policy.verdicts_count <= POLICY_VERDICTS_MAX);
    if (writer_begin(&writer, scope_bytes(scope), arena) != STATUS_OK)
        return STATUS_NO_MEMORY;
    *out_note = (struct record_note){.owner = NOTE_OWNER};
    memcpy(out_note->key, scope->digest, sizeof(scope->digest));
    for (size_t i = 0; i < sizeof(scope->space); i++)
        out_note->key[sizeof(scope->digest) + i] = (uint8_t)(scope->space >> (8 * i));
    write_number(&writer, VERSION, 1);
    write_number(&writer, scope->is_clients ? FLAG_CLIENTS : 0, 1);
    write_number(&writer, scope->policy.cut, 4);
    write_number(&writer, scope->policy.verdicts_count, 1);
    for (uint32_t i = 0; i < scope->policy.verdicts_count; i++)
        write_number(&writer, scope->policy.right[i], 1);
    write_text(&writer, names->tenant);
    write_text(&writer, names->namespace_);
    write_text(&writer, names->model);
    write_text(&writer, scope->embedder);
    write_number(&writer, names->attributes_count, 1);
    for (size_t i = 0; i < names->attributes_count; i++) {
        write_text(&writer, names->attributes[i].name);
        write_text(&writer, names->attributes[i].value);
    }
    finish(&writer, NOTE_SCOPE, out_note);
    return STATUS_OK;
}

static bool read_policy(struct reader *reader, struct policy_memory *out_policy)
{
    struct policy_memory policy = {.cut = (uint32_t)read_number(reader, 4)};
    policy.verdicts_count = (uint32_t)read_number(reader, 1);
    if (policy.cut > ADAPTIVE_CUT_MAX || policy.verdicts_count > POLICY_VERDICTS_MAX)
        return false;
    for (uint32_t i = 0; i < policy.verdicts_count; i++)
        policy.right[i] = read_number(reader, 1) != 0;
    *out_policy = policy;
    return reader->fits;
}

static bool read_attributes(struct reader *reader, struct arena *arena, struct scope_names *names)
{
    const size_t count = (size_t)read_number(reader, 1);
    if (count > ATTRIBUTES_MAX)
        return false;
    struct key_attribute *attributes = arena_calloc(arena, count + 1, sizeof(*attributes));
    if (attributes == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        attributes[i].name = read_text(reader);
        attributes[i].value = read_text(reader);
    }
    names->attributes = attributes;
    names->attributes_count = count;
    return reader->fits;
}

bool note_read_scope(const struct record_note *note, struct arena *arena,
                     struct note_scope *out_scope)
{
    assert(note->kind == NOTE_SCOPE);
    struct note_scope scope = {.space = 0};
    struct reader reader = reader_of(note);
    if (!begins_well(&reader))
        return false;
    memcpy(scope.digest, note->key, sizeof(scope.digest));
    for (size_t i = sizeof(scope.space); i > 0; i--)
        scope.space = scope.space << 8 | note->key[sizeof(scope.digest) + i - 1];
    scope.is_clients = (read_number(&reader, 1) & FLAG_CLIENTS) != 0;
    if (!read_policy(&reader, &scope.policy))
        return false;
    scope.names.tenant = read_text(&reader);
    scope.names.namespace_ = read_text(&reader);
    scope.names.model = read_text(&reader);
    scope.embedder = read_text(&reader);
    if (!read_attributes(&reader, arena, &scope.names) || !ends_here(&reader) || scope.space == 0)
        return false;
    *out_scope = scope;
    return true;
}

/* ---- namespaces ------------------------------------------------------------------------------ */

static uint32_t bits_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static float read_float(struct reader *reader)
{
    const uint32_t bits = (uint32_t)read_number(reader, 4);
    float number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

static void write_wishes(struct writer *writer, const struct policy_wishes *wishes)
{
    write_number(writer, wishes->mode, 1);
    write_number(writer, wishes->guards_off, 1);
    write_number(writer, bits_of(wishes->static_threshold), 4);
    write_number(writer, bits_of(wishes->adaptive_initial), 4);
    write_number(writer, bits_of(wishes->adaptive_min), 4);
    write_number(writer, bits_of(wishes->adaptive_max), 4);
    write_number(writer, bits_of(wishes->adaptive_step), 4);
}

enum {
    WISHES_BYTES = 2 + 5 * 4,
    SETTINGS_BYTES = 1 + WISHES_BYTES + 5 * 8 + 4 + 1 + 1 + 4 + 4 + 1 + 4 + 1
};

static void write_settings(struct writer *writer, const struct cache_namespace_settings *settings)
{
    uint64_t temperature;
    memcpy(&temperature, &settings->temperature_max, sizeof(temperature));
    write_number(writer, settings->tiers, 1);
    write_wishes(writer, &settings->policy);
    write_number(writer, settings->ttl_ms, 8);
    write_number(writer, settings->ttl_max_ms, 8);
    write_number(writer, settings->bytes_max, 8);
    write_number(writer, settings->entries_max, 8);
    write_number(writer, temperature, 8);
    write_number(writer, settings->user_turns_max, 4);
    write_number(writer, settings->ack, 1);
    write_number(writer, settings->index_kind, 1);
    write_number(writer, settings->ef_search, 4);
    write_number(writer, settings->nprobe, 4);
    write_number(writer, settings->eviction, 1);
    write_number(writer, bits_of(settings->policy.min_similarity), 4);
    write_number(writer, settings->embedder, 1);
}

enum status note_write_namespace(const struct note_namespace *namespace_, struct arena *arena,
                                 struct record_note *out_note)
{
    const size_t size =
        1 + 1 + 8 + SETTINGS_BYTES + text_bytes(namespace_->tenant) + text_bytes(namespace_->name);
    struct writer writer;
    if (writer_begin(&writer, size, arena) != STATUS_OK)
        return STATUS_NO_MEMORY;
    *out_note = (struct record_note){.owner = NOTE_OWNER};
    const struct digest owner = key_owner(namespace_->tenant, namespace_->name);
    memcpy(out_note->key, owner.bytes, sizeof(out_note->key));
    write_number(&writer, NAMESPACE_VERSION, 1);
    write_number(&writer, namespace_->is_dropped ? FLAG_DROPPED : 0, 1);
    write_number(&writer, namespace_->version, 8);
    write_settings(&writer, &namespace_->settings);
    write_text(&writer, namespace_->tenant);
    write_text(&writer, namespace_->name);
    finish(&writer, NOTE_NAMESPACE, out_note);
    return STATUS_OK;
}

static void read_index(struct reader *reader, struct cache_namespace_settings *settings)
{
    settings->index_kind = (unsigned)read_number(reader, 1);
    settings->ef_search = (uint32_t)read_number(reader, 4);
    settings->nprobe = (uint32_t)read_number(reader, 4);
}

static void read_wishes(struct reader *reader, struct policy_wishes *wishes)
{
    wishes->mode = (unsigned)read_number(reader, 1);
    wishes->guards_off = (unsigned)read_number(reader, 1);
    wishes->static_threshold = read_float(reader);
    wishes->adaptive_initial = read_float(reader);
    wishes->adaptive_min = read_float(reader);
    wishes->adaptive_max = read_float(reader);
    wishes->adaptive_step = read_float(reader);
}

static void read_settings(struct reader *reader, uint64_t version,
                          struct cache_namespace_settings *settings)
{
    settings->tiers = (unsigned)read_number(reader, 1);
    read_wishes(reader, &settings->policy);
    settings->ttl_ms = read_number(reader, 8);
    settings->ttl_max_ms = read_number(reader, 8);
    settings->bytes_max = read_number(reader, 8);
    settings->entries_max = read_number(reader, 8);
    const uint64_t temperature = read_number(reader, 8);
    memcpy(&settings->temperature_max, &temperature, sizeof(temperature));
    settings->user_turns_max = (uint32_t)read_number(reader, 4);
    settings->ack = (enum journal_ack)read_number(reader, 1);
    read_index(reader, settings);
    if (version >= NAMESPACE_BEFORE_MIN_SIMILARITY)
        settings->eviction = (enum cache_eviction)read_number(reader, 1);
    if (version >= NAMESPACE_BEFORE_EMBEDDER)
        settings->policy.min_similarity = read_float(reader);
    if (version >= NAMESPACE_VERSION)
        settings->embedder = (enum cache_embedder)read_number(reader, 1);
}

bool note_read_namespace(const struct record_note *note, struct note_namespace *out_namespace)
{
    assert(note->kind == NOTE_NAMESPACE);
    struct note_namespace namespace_ = {.version = 1, .settings = cache_namespace_settings_none};
    struct reader reader = reader_of(note);
    const uint64_t version = read_number(&reader, 1);
    if (version >= NAMESPACE_BEFORE_EVICTION && version <= NAMESPACE_VERSION) {
        namespace_.is_dropped = (read_number(&reader, 1) & FLAG_DROPPED) != 0;
        namespace_.version = read_number(&reader, 8);
        read_settings(&reader, version, &namespace_.settings);
    } else if (version == VERSION) {
        read_index(&reader, &namespace_.settings);
    } else {
        return false;
    }
    namespace_.tenant = read_text(&reader);
    namespace_.name = read_text(&reader);
    if (!ends_here(&reader) || namespace_.tenant.length == 0 || namespace_.name.length == 0)
        return false;
    *out_namespace = namespace_;
    return true;
}
