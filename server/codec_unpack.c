/*
 * codec_unpack.c - between wire bytes and protobuf-c's structs, with the caller's arena as the only
 * memory.
 *
 * Unpacked messages are never given to free_unpacked: the arena's end frees them. The allocator's
 * `free` does nothing, which also disarms protobuf-c 1.4.1, which frees uninitialised unknown
 * fields when an unpack fails (fixed in 1.5.1).
 *
 * A message that stands once and comes twice is merged by protobuf-c, with one exception of its
 * own: 1.4.1 cannot merge two messages in which a oneof is unset, so `params` that come twice are
 * BAD_MESSAGE. No client library writes them.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <string.h>

enum status codec_spent(struct failure *failure)
{
    return failure_set(failure, STATUS_NO_MEMORY, "", "%s", status_text(STATUS_NO_MEMORY));
}

struct arena_allocator {
    ProtobufCAllocator allocator;
    struct arena *arena;
    bool spent;
};

static void *allocate(void *data, size_t size_bytes)
{
    struct arena_allocator *allocator = data;
    void *memory = arena_alloc(allocator->arena, size_bytes);
    if (memory == NULL)
        allocator->spent = true;
    return memory;
}

static void keep(void *data, void *memory)
{
    (void)data;
    (void)memory;
}

enum status codec_unpack_as(const ProtobufCMessageDescriptor *descriptor, struct text bytes,
                            struct arena *arena, ProtobufCMessage **out_message,
                            struct failure *failure)
{
    struct arena_allocator allocator = {.allocator = {.alloc = allocate, .free = keep},
                                        .arena = arena};
    allocator.allocator.allocator_data = &allocator;
    ProtobufCMessage *message = protobuf_c_message_unpack(
        descriptor, &allocator.allocator, bytes.length, (const uint8_t *)bytes.bytes);
    if (message == NULL && allocator.spent)
        return codec_spent(failure);
    if (message == NULL)
        return failure_set(failure, STATUS_BAD_MESSAGE, "", "%s", status_text(STATUS_BAD_MESSAGE));
    *out_message = message;
    return STATUS_OK;
}

enum status codec_unpack(enum codec_message type, struct text bytes,
                         const struct codec_limits *limits, struct arena *arena,
                         ProtobufCMessage **out_message, struct failure *failure)
{
    enum status status = codec_check(type, bytes, limits, failure);
    if (status != STATUS_OK)
        return status;
    return codec_unpack_as(codec_descriptor(type), bytes, arena, out_message, failure);
}

enum status codec_pack(const ProtobufCMessage *message, struct arena *arena, struct text *out_bytes)
{
    const size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, length);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    const size_t packed = protobuf_c_message_pack(message, bytes);
    assert(packed == length);
    *out_bytes = (struct text){(const char *)bytes, length};
    return STATUS_OK;
}

char *codec_string(struct text text, struct arena *arena)
{
    char *string = arena_alloc(arena, text.length + 1);
    if (string == NULL)
        return NULL;
    if (text.length > 0)
        memcpy(string, text.bytes, text.length);
    string[text.length] = '\0';
    return string;
}

struct text *codec_texts(char *const *strings, size_t count, struct arena *arena)
{
    struct text *texts = arena_calloc(arena, count, sizeof(*texts));
    for (size_t i = 0; texts != NULL && i < count; i++)
        texts[i] = text_of(strings[i]);
    return texts;
}
