/*
 * answer.c - the metadata block of an entry, byte for byte; little-endian, no padding:
 *
 *     version u8 (1)    flags u8 (bit 0: the answer is a blob)
 *     tenant, namespace, model, tags, metadata, info: six texts, each a u32 length and its bytes
 *     tags     := texts, one a tag
 *     metadata := pairs of texts, name and value
 *
 * One shape for everything keeps the reader small: it runs for every hit and every death.
 * Owns nothing. Threads: any; pure.
 */
#include "cache/answer.h"

#include <endian.h>

#include "base/check.h"
#include "cache/cache.h"

enum { VERSION = 1, FLAG_OPAQUE = 1, HEAD_BYTES = 2, LENGTH_BYTES = sizeof(uint32_t) };

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

static size_t metadata_bytes(const struct answer_parts *parts)
{
    size_t bytes = 0;
    for (size_t i = 0; i < parts->metadata_count; i++)
        bytes +=
            2 * LENGTH_BYTES + parts->metadata[i].name.length + parts->metadata[i].value.length;
    return bytes;
}

enum status answer_pack(const struct answer_parts *parts, struct arena *arena,
                        struct text *out_block)
{
    assert(parts->tags_count == 0 || parts->tags != NULL);
    assert(parts->metadata_count == 0 || parts->metadata != NULL);
    const size_t tags = tags_bytes(parts);
    const size_t metadata = metadata_bytes(parts);
    const size_t size = HEAD_BYTES + 6 * LENGTH_BYTES + parts->tenant.length +
                        parts->namespace_.length + parts->model.length + tags + metadata +
                        parts->info.length;
    struct packer packer = {.bytes = arena_alloc(arena, size), .capacity = size};
    if (packer.bytes == NULL)
        return STATUS_NO_MEMORY;
    packer.bytes[0] = VERSION;
    packer.bytes[1] = parts->opaque ? FLAG_OPAQUE : 0;
    packer.used = HEAD_BYTES;
    pack_text(&packer, parts->tenant);
    pack_text(&packer, parts->namespace_);
    pack_text(&packer, parts->model);
    pack_length(&packer, tags);
    for (size_t i = 0; i < parts->tags_count; i++)
        pack_text(&packer, parts->tags[i]);
    pack_length(&packer, metadata);
    for (size_t i = 0; i < parts->metadata_count; i++) {
        pack_text(&packer, parts->metadata[i].name);
        pack_text(&packer, parts->metadata[i].value);
    }
    pack_text(&packer, parts->info);
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
    out_view->opaque = (block.bytes[1] & FLAG_OPAQUE) != 0;
    struct text rest = {block.bytes + HEAD_BYTES, block.length - HEAD_BYTES};
    out_view->tenant = take_text(&rest);
    out_view->namespace_ = take_text(&rest);
    out_view->model = take_text(&rest);
    out_view->tags = take_text(&rest);
    out_view->metadata = take_text(&rest);
    out_view->info = take_text(&rest);
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

bool answer_is_whole(struct text block)
{
    enum { TENANT, NAMESPACE, MODEL, TAGS, METADATA, INFO, TEXTS };
    if (block.length < HEAD_BYTES || block.bytes[0] != VERSION)
        return false;
    struct text texts[TEXTS], rest = {block.bytes + HEAD_BYTES, block.length - HEAD_BYTES};
    for (int i = 0; i < TEXTS; i++) {
        if (!skip_text(&rest, &texts[i]))
            return false;
    }
    return rest.length == 0 && texts[TENANT].length > 0 && texts[NAMESPACE].length > 0 &&
           is_list(texts[TAGS], 1) && is_list(texts[METADATA], 2);
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
                                        .metadata = view.metadata};
}
