/*
 * codec_support.h - what the codec's tests share: small limits, an arena a test, and bytes packed
 * by protobuf-c.
 */
#pragma once
#include "tests/support/unit.h"

#include <stdlib.h>

#include "server/codec_internal.h"

/* Small, so that every limit can be passed by a few elements; all different, so that none stands
 * for another. */
static const struct codec_limits small_limits = {
    .batch_max = 7,
    .tags_max = 3,
    .metadata_max = 4,
    .dimension_max = 8,
    .reply_max = 1 << 20,
    .key = {.prompt_bytes = 1 << 18,
            .messages_max = 5,
            .attributes_max = 6,
            .stop_max = 2,
            .context_ids_max = 9},
};

static inline int make_arena(void **state)
{
    struct arena *arena = NULL;
    if (arena_create(&arena) != STATUS_OK)
        return -1;
    *state = arena;
    return 0;
}

static inline int free_arena(void **state)
{
    struct arena *arena = *state;
    arena_destroy(&arena);
    return 0;
}

#define ARENA_TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, free_arena)

static inline struct text packed(const ProtobufCMessage *message, struct arena *arena)
{
    struct text bytes = {NULL, 0};
    assert_int_equal(codec_pack(message, arena, &bytes), STATUS_OK);
    return bytes;
}

static inline ProtobufCMessage *unpacked(const ProtobufCMessageDescriptor *descriptor,
                                         struct text bytes, struct arena *arena)
{
    ProtobufCMessage *message = NULL;
    assert_int_equal(codec_unpack_as(descriptor, bytes, arena, &message, NULL), STATUS_OK);
    return message;
}

static inline struct text wire_text_of(const struct wire *wire)
{
    struct text bytes = {NULL, 0};
    assert_int_equal(wire_done(wire, &bytes), STATUS_OK);
    return bytes;
}

/* The bytes in memory of their own, exactly as long: the address sanitizer sees any step beyond. */
static inline struct text exact_copy(const char *bytes, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    if (length > 0)
        memcpy(copy, bytes, length);
    return (struct text){copy, length};
}

static inline void assert_text(struct text text, const char *expected)
{
    assert_int_equal(text.length, strlen(expected));
    if (text.length > 0)
        assert_memory_equal(text.bytes, expected, text.length);
}
