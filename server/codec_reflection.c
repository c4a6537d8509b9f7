/*
 * codec_reflection.c - the messages of server reflection. v1 and v1alpha have the same bytes, so
 * v1's generated C serves both. The request is echoed in its reply byte for byte. Which symbol lies
 * in which file is server/grpc/'s to know.
 */
#include "server/codec_internal.h"

#include <assert.h>

/* Field numbers of proto/grpc/reflection/v1/reflection.proto. */
enum {
    REFLECTION_VALID_HOST = 1,
    REFLECTION_ORIGINAL_REQUEST = 2,
    REFLECTION_FILES = 4,
    REFLECTION_SERVICES = 6,
    REFLECTION_ERROR = 7,
    FILES_FILE = 1,
    SERVICES_SERVICE = 1,
    SERVICE_NAME = 1,
    ERROR_CODE = 1,
    ERROR_MESSAGE = 2,
};

static struct codec_reflection
read_kind(const Grpc__Reflection__V1__ServerReflectionRequest *message)
{
    struct codec_reflection out = {.kind = CODEC_REFLECT_NOTHING};
    switch ((int)message->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        out.kind = CODEC_REFLECT_FILE;
        out.name = text_of(message->file_by_filename);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        out.kind = CODEC_REFLECT_SYMBOL;
        out.name = text_of(message->file_containing_symbol);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        out.kind = CODEC_REFLECT_EXTENSION;
        out.name = text_of(message->file_containing_extension->containing_type);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        out.kind = CODEC_REFLECT_EXTENSION_NUMBERS;
        out.name = text_of(message->all_extension_numbers_of_type);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        out.kind = CODEC_REFLECT_SERVICES;
        out.name = text_of(message->list_services);
        break;
    default: /* none is set */
        break;
    }
    return out;
}

enum status codec_read_reflection(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct codec_reflection *out,
                                  struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_REFLECTION, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Grpc__Reflection__V1__ServerReflectionRequest *message =
        (const Grpc__Reflection__V1__ServerReflectionRequest *)unpacked;
    struct codec_reflection request = read_kind(message);
    request.host = text_of(message->host);
    request.original = bytes;
    if (request.name.length > CODEC_SYMBOL_MAX || request.host.length > CODEC_SYMBOL_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "", "a name has at most %d bytes",
                           CODEC_SYMBOL_MAX);
    *out = request;
    return STATUS_OK;
}

static void write_files(struct wire *wire, const struct text *files, size_t count)
{
    struct wire list;
    wire_init(&list, wire->arena, 1024);
    for (size_t i = 0; i < count; i++)
        wire_text(&list, FILES_FILE, files[i]);
    wire_message(wire, REFLECTION_FILES, &list);
}

static void write_services(struct wire *wire, const struct text *services, size_t count)
{
    struct wire list;
    wire_init(&list, wire->arena, 256);
    for (size_t i = 0; i < count; i++) {
        struct wire service;
        wire_init(&service, wire->arena, services[i].length + 8);
        wire_text(&service, SERVICE_NAME, services[i]);
        wire_message(&list, SERVICES_SERVICE, &service);
    }
    wire_message(wire, REFLECTION_SERVICES, &list);
}

static void write_error(struct wire *wire, int code, const char *message)
{
    struct wire error;
    wire_init(&error, wire->arena, 128);
    wire_uint(&error, ERROR_CODE, (uint64_t)code);
    wire_text(&error, ERROR_MESSAGE, text_of(message));
    wire_message(wire, REFLECTION_ERROR, &error);
}

enum status codec_write_reflection(const struct codec_reflection *request, const struct text *files,
                                   size_t files_count, const struct text *services,
                                   size_t services_count, int error_code, const char *error_message,
                                   struct arena *arena, struct codec_reply *out)
{
    assert(error_code >= 0);
    struct codec_reply packed = {.tail_entry = NULL};
    struct wire wire;
    wire_init(&wire, arena, 1024);
    wire_text(&wire, REFLECTION_VALID_HOST, request->host);
    wire_open(&wire, REFLECTION_ORIGINAL_REQUEST, request->original.length);
    wire_raw(&wire, request->original);
    if (error_code != 0)
        write_error(&wire, error_code, error_message);
    else if (files_count > 0)
        write_files(&wire, files, files_count);
    else
        write_services(&wire, services, services_count);
    enum status status = wire_done(&wire, &packed.head);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}
