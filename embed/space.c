/*
 * space.c - the id of a space: the first 8 bytes (little-endian) of SHA-256 over its parts, each
 * behind its length as u32; numbers are u32; all little-endian. 0 stands for "no space" elsewhere,
 * so an id of 0 becomes 1. Which parts, in which order, each provider says where it makes its
 * space. Threads: any; pure.
 */
#include "embed/space.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

/* Of vectors whose scale nobody here knows. */
static const float CLIENT_THRESHOLD = 0.95f, CLIENT_MIN_SIMILARITY = 0.0f;

static void add_u32(struct space_name *name, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    digest_stream_add(&name->stream, bytes, sizeof(bytes));
}

void space_begin(struct space_name *name)
{
    digest_stream_init(&name->stream);
}

void space_add_text(struct space_name *name, struct text text)
{
    assert(text.length <= UINT32_MAX);
    add_u32(name, (uint32_t)text.length);
    digest_stream_add(&name->stream, text.bytes, text.length);
}

void space_add_number(struct space_name *name, uint32_t number)
{
    add_u32(name, sizeof(number));
    add_u32(name, number);
}

void space_add_digest(struct space_name *name, const struct digest *digest)
{
    add_u32(name, sizeof(digest->bytes));
    digest_stream_add(&name->stream, digest->bytes, sizeof(digest->bytes));
}

uint64_t space_end(struct space_name *name)
{
    const struct digest digest = digest_stream_end(&name->stream);
    uint64_t id = 0;
    for (int i = 7; i >= 0; i--)
        id = id << 8 | digest.bytes[i];
    return id != 0 ? id : 1;
}

void embed_space_hex(const struct embed_space *space, char out_hex[EMBED_SPACE_HEX + 1])
{
    (void)snprintf(out_hex, EMBED_SPACE_HEX + 1, "%016" PRIx64, space->id);
}

/* Shown cut; the id covers all of it. */
void space_write(char *out_field, size_t size, struct text text)
{
    size_t length = text.length < size ? text.length : size - 1;
    while (length > 0 && length < text.length && ((unsigned char)text.bytes[length] & 0xC0) == 0x80)
        length--;
    memset(out_field, 0, size);
    if (length > 0)
        memcpy(out_field, text.bytes, length);
    assert(out_field[size - 1] == '\0');
}

void embed_client_space(struct text name, uint32_t dimension, struct embed_space *out_space)
{
    assert(out_space != NULL);
    assert(dimension > 0);
    struct space_name parts;
    space_begin(&parts);
    space_add_text(&parts, TEXT("client"));
    space_add_text(&parts, name);
    space_add_text(&parts, TEXT(""));
    space_add_number(&parts, dimension);
    space_add_number(&parts, 0);
    *out_space = (struct embed_space){
        .id = space_end(&parts),
        .dimension = dimension,
        .threshold_default = CLIENT_THRESHOLD,
        .min_similarity = CLIENT_MIN_SIMILARITY,
    };
    space_write(out_space->name, sizeof(out_space->name), name);
}
