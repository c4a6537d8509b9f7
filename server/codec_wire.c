/*
 * codec_wire.c - the wire format itself: fields out of bytes, and fields into bytes. It knows tags,
 * varints and lengths and nothing of any message (protobuf.dev, "Encoding").
 *
 * Read: a tag or a length takes at most 5 bytes, a varint 10, as protobuf-c has it; groups are
 * refused, since proto3 has none. Written: forwards, into arena memory that doubles. A message
 * inside a message is written in place (wire_begin, wire_end), or made in a wire of its own and
 * copied (wire_message).
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

enum { TAG_BYTES_MAX = 5, LENGTH_BYTES_MAX = 5, VARINT_BYTES_MAX = 10, CAPACITY_MIN = 64 };

/* ---- Reading ---------------------------------------------------------------- */

/* Reads a varint of at most `bytes_max` bytes; false when it does not end in time. */
static bool read_varint(const uint8_t **at, const uint8_t *end, size_t bytes_max, uint64_t *out)
{
    uint64_t value = 0;
    const uint8_t *byte = *at;
    const size_t room = (size_t)(end - byte) < bytes_max ? (size_t)(end - byte) : bytes_max;
    for (size_t i = 0; i < room; i++) {
        value |= (uint64_t)(byte[i] & 0x7f) << (7 * i);
        if (byte[i] < 0x80) {
            *at = byte + i + 1;
            *out = value;
            return true;
        }
    }
    return false;
}

/* The payload of a field: its length by the wire type. *at stands behind the tag. */
static bool read_payload(const uint8_t **at, const uint8_t *end, struct wire_field *field)
{
    uint64_t value = 0;
    const uint8_t *payload = *at;
    switch (field->type) {
    case WIRE_VARINT:
        if (!read_varint(at, end, VARINT_BYTES_MAX, &value))
            return false;
        value = (uint64_t)(*at - payload);
        break;
    case WIRE_64BIT:
        value = 8;
        break;
    case WIRE_LENGTH:
        if (!read_varint(at, end, LENGTH_BYTES_MAX, &value))
            return false;
        payload = *at;
        break;
    case WIRE_32BIT:
        value = 4;
        break;
    default: /* 3 and 4 are groups, 6 and 7 do not exist */
        return false;
    }
    if (value > (uint64_t)(end - payload))
        return false;
    field->payload = payload;
    field->length = (size_t)value;
    *at = payload + value;
    return true;
}

bool wire_next(const uint8_t **at, const uint8_t *end, struct wire_field *out_field)
{
    assert(*at < end);
    const uint8_t *next = *at;
    uint64_t tag = 0;
    if (!read_varint(&next, end, TAG_BYTES_MAX, &tag))
        return false;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    struct wire_field field = {
        .number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7), .start = *at};
    if (!read_payload(&next, end, &field))
        return false;
    *at = next;
    *out_field = field;
    return true;
}

bool wire_count_varints(const uint8_t *bytes, size_t length, size_t *out_count)
{
    size_t count = 0, run = 0;
    for (size_t i = 0; i < length; i++) {
        run++;
        if (bytes[i] < 0x80) {
            count++;
            run = 0;
        } else if (run == VARINT_BYTES_MAX) {
            return false;
        }
    }
    *out_count = count;
    return run == 0;
}

/* ---- Writing ---------------------------------------------------------------- */

void wire_init(struct wire *wire, struct arena *arena, size_t capacity)
{
    *wire = (struct wire){.arena = arena};
    wire->capacity = capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity;
    wire->bytes = arena_alloc(arena, wire->capacity);
    wire->spent = wire->bytes == NULL;
}

enum status wire_done(const struct wire *wire, struct text *out_bytes)
{
    if (wire->spent)
        return STATUS_NO_MEMORY;
    *out_bytes = (struct text){(const char *)wire->bytes, wire->length};
    return STATUS_OK;
}

/* Room for that many more bytes, or NULL. The bytes left behind belong to the arena. */
static uint8_t *reserve(struct wire *wire, size_t more)
{
    if (wire->spent)
        return NULL;
    if (more <= wire->capacity - wire->length)
        return wire->bytes + wire->length;
    const size_t needed = wire->length + more;
    const size_t doubled = wire->capacity * 2;
    const size_t capacity = needed > doubled ? needed : doubled;
    uint8_t *bytes = arena_alloc(wire->arena, capacity);
    if (bytes == NULL) {
        wire->spent = true;
        return NULL;
    }
    memcpy(bytes, wire->bytes, wire->length);
    wire->bytes = bytes;
    wire->capacity = capacity;
    return bytes + wire->length;
}

static uint8_t *write_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *write_tag(uint8_t *at, uint32_t number, enum wire_type type)
{
    assert(number > 0);
    return write_varint(at, (uint64_t)number << 3 | type);
}

void wire_uint(struct wire *wire, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    uint8_t *at = reserve(wire, TAG_BYTES_MAX + VARINT_BYTES_MAX);
    if (at == NULL)
        return;
    at = write_varint(write_tag(at, number, WIRE_VARINT), value);
    wire->length = (size_t)(at - wire->bytes);
}

void wire_float(struct wire *wire, uint32_t number, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    if (bits == 0)
        return;
    uint8_t *at = reserve(wire, TAG_BYTES_MAX + sizeof(bits));
    if (at == NULL)
        return;
    at = write_tag(at, number, WIRE_32BIT);
    bits = htole32(bits);
    memcpy(at, &bits, sizeof(bits));
    wire->length = (size_t)(at - wire->bytes) + sizeof(bits);
}

void wire_open(struct wire *wire, uint32_t number, size_t length)
{
    uint8_t *at = reserve(wire, TAG_BYTES_MAX + VARINT_BYTES_MAX);
    if (at == NULL)
        return;
    at = write_varint(write_tag(at, number, WIRE_LENGTH), length);
    wire->length = (size_t)(at - wire->bytes);
}

void wire_raw(struct wire *wire, struct text bytes)
{
    uint8_t *at = reserve(wire, bytes.length);
    if (at == NULL || bytes.length == 0)
        return;
    memcpy(at, bytes.bytes, bytes.length);
    wire->length += bytes.length;
}

void wire_text(struct wire *wire, uint32_t number, struct text text)
{
    if (text.length == 0)
        return;
    wire_open(wire, number, text.length);
    wire_raw(wire, text);
}

void wire_message(struct wire *wire, uint32_t number, const struct wire *message)
{
    struct text bytes;
    if (wire_done(message, &bytes) != STATUS_OK) {
        wire->spent = true;
        return;
    }
    wire_open(wire, number, bytes.length);
    wire_raw(wire, bytes);
}

static size_t varint_bytes(uint64_t value)
{
    size_t bytes = 1;
    while (value >>= 7)
        bytes++;
    return bytes;
}

struct wire_inner wire_begin(struct wire *wire, uint32_t number, size_t expected)
{
    wire_open(wire, number, expected);
    return (struct wire_inner){.begin = wire->length, .length_bytes = varint_bytes(expected)};
}

void wire_end(struct wire *wire, struct wire_inner inner)
{
    if (wire->spent || reserve(wire, LENGTH_BYTES_MAX) == NULL)
        return;
    assert(inner.begin <= wire->length);
    assert(inner.begin > inner.length_bytes);
    const size_t length = wire->length - inner.begin;
    const size_t length_bytes = varint_bytes(length);
    uint8_t *at = wire->bytes + inner.begin - inner.length_bytes;
    if (length_bytes != inner.length_bytes)
        memmove(at + length_bytes, at + inner.length_bytes, length);
    (void)write_varint(at, length);
    wire->length += length_bytes - inner.length_bytes;
}

size_t wire_size(size_t length)
{
    return 1 + varint_bytes(length) + length;
}
