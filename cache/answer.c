/*
 * answer.c - the metadata block of an entry, byte for byte; little-endian, no padding:
 *
 *     version u8 (1)
 *     flags u8: bit 0 the answer is a blob, 1 negative, 2 times, 3 depends_on, 4 fields
 *     with bit 2: ttl, sliding, revalidate, if_error: four u64, milliseconds
 *     tenant, namespace, model, tags, metadata, info: six texts, each a u32 length and its bytes
 *     with bit 3: depends_on, one text more
 *     with bit 4: fields, one text more: what fields.c has packed
 *     tags       := texts, one a tag
 *     metadata   := pairs of texts, name and value
 *     depends_on := pairs of texts, id and version
 *
 * One shape for everything keeps the reader small: it runs for every hit and every death.
 * Owns nothing. Threads: any; pure.
 */
#include "cache/answer.h"

#include <endian.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/fields.h"

enum {
    VERSION = 1,
    FLAG_OPAQUE = 1,
    FLAG_NEGATIVE = 2,
    FLAG_TIMES = 4,
    FLAG_DEPENDS = 8,
    FLAG_FIELDS = 16,
    FLAGS_ALL = FLAG_OPAQUE | FLAG_NEGATIVE | FLAG_TIMES | FLAG_DEPENDS | FLAG_FIELDS,
    HEAD_BYTES = 2,
    LENGTH_BYTES = sizeof(uint32_t),
    TIMES = 4,
    TIMES_BYTES = TIMES * sizeof(uint64_t),
};

struct packer {
    uint8_t *bytes;
    size_t used, capacity;
};

static void pack_length(struct packer *packer, size_t length)
{
    assert(length <= UINT32_MAX);
    assert(packer->capacity - packer->used >= LENGTH_BYTES);
    const uint32_t little = htole32((uint32_t)length);
    memcpy(packer->bytes + packer->used, &little, sizeof(little));
    packer->used += LENGTH_BYTES;
}

static void pack_text(struct packer *packer, struct text text)
{
    pack_length(packer, text.length);
    assert(packer->capacity - packer->used >= text.length);
    if (text.length > 0)
        memcpy(packer->bytes + packer->used, text.bytes, text.length);
    packer->used += text.length;
}

static size_t tags_bytes(const struct answer_parts *parts)
{
    size_t bytes = 0;
    for (size_t i = 0; i < parts->tags_count; i++)
        bytes += LENGTH_BYTES + parts->tags[i].length;
    return bytes;
}

static size_t pairs_bytes(const struct key_attribute *pairs, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += 2 * LENGTH_BYTES + pairs[i].name.length + pairs[i].value.length;
    return bytes;
}

static void pack_pairs(struct packer *packer, const struct key_attribute *pairs, size_t count)
{
    pack_length(packer, pairs_bytes(pairs, count));
    for (size_t i = 0; i < count; i++) {
        pack_text(packer, pairs[i].name);
        pack_text(packer, pairs[i].value);
    }
}

static bool has_times(const struct freshness *freshness)
{
    return freshness->sliding_ms > 0 || freshness_window_ms(freshness) > 0;
}

static uint8_t flags_of(const struct answer_parts *parts)
{
    return (uint8_t)((parts->opaque ? FLAG_OPAQUE : 0) |
                     (parts->freshness.negative ? FLAG_NEGATIVE : 0) |
                     (has_times(&parts->freshness) ? FLAG_TIMES : 0) |
                     (parts->depends_on_count > 0 ? FLAG_DEPENDS : 0) |
                     (parts->has_fields ? FLAG_FIELDS : 0));
}

static void pack_times(struct packer *packer, const struct freshness *freshness)
{
    const uint64_t times[TIMES] = {htole64(freshness->ttl_ms), htole64(freshness->sliding_ms),
                                   htole64(freshness->revalidate_ms),
                                   htole64(freshness->if_error_ms)};
    assert(packer->capacity - packer->used >= TIMES_BYTES);
    memcpy(packer->bytes + packer->used, times, TIMES_BYTES);
    packer->used += TIMES_BYTES;
}

static void read_times(const char *bytes, struct freshness *freshness)
{
    uint64_t times[TIMES];
    memcpy(times, bytes, TIMES_BYTES);
    freshness->ttl_ms = le64toh(times[0]);
    freshness->sliding_ms = le64toh(times[1]);
    freshness->revalidate_ms = le64toh(times[2]);
    freshness->if_error_ms = le64toh(times[3]);
}

enum status answer_pack(const struct answer_parts *parts, struct arena *arena,
                        struct text *out_block)
{
    assert(parts->tags_count == 0 || parts->tags != NULL);
    assert(parts->metadata_count == 0 || parts->metadata != NULL);
    const size_t tags = tags_bytes(parts);
    const uint8_t flags = flags_of(parts);
    const size_t depends_on =
        LENGTH_BYTES + pairs_bytes(parts->depends_on, parts->depends_on_count);
    const size_t size = HEAD_BYTES + ((flags & FLAG_TIMES) != 0 ? TIMES_BYTES : 0) +
                        6 * LENGTH_BYTES + parts->tenant.length + parts->namespace_.length +
                        parts->model.length + tags +
                        pairs_bytes(parts->metadata, parts->metadata_count) + parts->info.length +
                        ((flags & FLAG_DEPENDS) != 0 ? depends_on : 0) +
                        (parts->has_fields ? LENGTH_BYTES + parts->fields.length : 0);
    struct packer packer = {.bytes = arena_alloc(arena, size), .capacity = size};
    if (packer.bytes == NULL)
        return STATUS_NO_MEMORY;
    packer.bytes[0] = VERSION;
    packer.bytes[1] = flags;
    packer.used = HEAD_BYTES;
    if ((flags & FLAG_TIMES) != 0)
        pack_times(&packer, &parts->freshness);
    pack_text(&packer, parts->tenant);
    pack_text(&packer, parts->namespace_);
    pack_text(&packer, parts->model);
    pack_length(&packer, tags);
    for (size_t i = 0; i < parts->tags_count; i++)
        pack_text(&packer, parts->tags[i]);
    pack_pairs(&packer, parts->metadata, parts->metadata_count);
    pack_text(&packer, parts->info);
    if ((flags & FLAG_DEPENDS) != 0)
        pack_pairs(&packer, parts->depends_on, parts->depends_on_count);
    if (parts->has_fields)
        pack_text(&packer, parts->fields);
    assert(packer.used == size);
    *out_block = (struct text){(const char *)packer.bytes, size};
    return STATUS_OK;
}

static struct text take_text(struct text *rest)
{
    assert(rest->length >= LENGTH_BYTES);
    uint32_t little;
    memcpy(&little, rest->bytes, sizeof(little));
    const size_t length = le32toh(little);
    assert(length <= rest->length - LENGTH_BYTES);
    const struct text text = {rest->bytes + LENGTH_BYTES, length};
    rest->bytes += LENGTH_BYTES + length;
    rest->length -= LENGTH_BYTES + length;
    return text;
}

void answer_view_read(struct text block, struct answer_view *out_view)
{
    assert(block.length >= HEAD_BYTES);
    assert(block.bytes[0] == VERSION);
    const unsigned flags = (unsigned char)block.bytes[1];
    struct text rest = {block.bytes + HEAD_BYTES, block.length - HEAD_BYTES};
    out_view->opaque = (flags & FLAG_OPAQUE) != 0;
    out_view->freshness = (struct freshness){.negative = (flags & FLAG_NEGATIVE) != 0};
    if ((flags & FLAG_TIMES) != 0) {
        assert(rest.length >= TIMES_BYTES);
        read_times(rest.bytes, &out_view->freshness);
        rest = (struct text){rest.bytes + TIMES_BYTES, rest.length - TIMES_BYTES};
    }
    out_view->tenant = take_text(&rest);
    out_view->namespace_ = take_text(&rest);
    out_view->model = take_text(&rest);
    out_view->tags = take_text(&rest);
    out_view->metadata = take_text(&rest);
    out_view->info = take_text(&rest);
    out_view->depends_on = (flags & FLAG_DEPENDS) != 0 ? take_text(&rest) : (struct text){NULL, 0};
    out_view->has_fields = (flags & FLAG_FIELDS) != 0;
    out_view->fields = out_view->has_fields ? take_text(&rest) : (struct text){NULL, 0};
    assert(rest.length == 0);
}

/* Skips a text; false where there is none. */
static bool skip_text(struct text *rest, struct text *out_text)
{
    uint32_t little;
    if (rest->length < LENGTH_BYTES)
        return false;
    memcpy(&little, rest->bytes, sizeof(little));
    if (le32toh(little) > rest->length - LENGTH_BYTES)
        return false;
    *out_text = take_text(rest);
    return true;
}

/* Texts to the end, so many of them that they divide by `group`. */
static bool is_list(struct text packed, size_t group)
{
    struct text text;
    size_t count = 0;
    while (packed.length > 0) {
        if (!skip_text(&packed, &text))
            return false;
        count++;
    }
    return count % group == 0;
}

/* Takes them off. */
static bool takes_times(struct text *rest)
{
    struct freshness freshness;
    if (rest->length < TIMES_BYTES)
        return false;
    read_times(rest->bytes, &freshness);
    *rest = (struct text){rest->bytes + TIMES_BYTES, rest->length - TIMES_BYTES};
    return freshness_is_whole(&freshness);
}

bool answer_is_whole(struct text block)
{
    enum { TENANT, NAMESPACE, MODEL, TAGS, METADATA, INFO, TEXTS };
    if (block.length < HEAD_BYTES || block.bytes[0] != VERSION)
        return false;
    const unsigned flags = (unsigned char)block.bytes[1];
    struct text texts[TEXTS] = {{NULL, 0}};
    struct text rest = {block.bytes + HEAD_BYTES, block.length - HEAD_BYTES};
    if ((flags & ~(unsigned)FLAGS_ALL) != 0 || ((flags & FLAG_TIMES) != 0 && !takes_times(&rest)))
        return false;
    struct text depends_on = {NULL, 0}, fields = {NULL, 0};
    for (int i = 0; i < TEXTS; i++) {
        if (!skip_text(&rest, &texts[i]))
            return false;
    }
    if (((flags & FLAG_DEPENDS) != 0 && !skip_text(&rest, &depends_on)) ||
        ((flags & FLAG_FIELDS) != 0 && !skip_text(&rest, &fields)))
        return false;
    return rest.length == 0 && texts[TENANT].length > 0 && texts[NAMESPACE].length > 0 &&
           is_list(texts[TAGS], 1) && is_list(texts[METADATA], 2) && is_list(depends_on, 2) &&
           fields_are_whole(fields);
}

bool answer_next_tag(struct text *packed, struct text *out_tag)
{
    if (packed->length == 0)
        return false;
    *out_tag = take_text(packed);
    return true;
}

bool answer_next_attribute(struct text *packed, struct key_attribute *out_attribute)
{
    if (packed->length == 0)
        return false;
    out_attribute->name = take_text(packed);
    out_attribute->value = take_text(packed);
    return true;
}

void cache_answer_read(const struct entry *entry, struct cache_answer *out_answer)
{
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    *out_answer = (struct cache_answer){.namespace_ = view.namespace_,
                                        .model = view.model,
                                        .info = view.info,
                                        .answer = entry_answer(entry),
                                        .opaque = view.opaque,
                                        .negative = view.freshness.negative,
                                        .stale_ms = freshness_window_ms(&view.freshness),
                                        .metadata = view.metadata};
}
