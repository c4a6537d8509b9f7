/*
 * codec_reply.c - what all replies share: packing one message, the limit on their size, and the
 * words and details of a refusal (google.rpc.Status with ErrorInfo, BadRequest and RetryInfo, as
 * AIP-193 has it).
 */
#include "server/codec_internal.h"

#include <stdio.h>

enum status codec_reply_pack(const ProtobufCMessage *message, struct arena *arena,
                             struct codec_reply *out)
{
    struct codec_reply packed = {.tail_entry = NULL};
    enum status status = codec_pack(message, arena, &packed.head);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

enum status codec_reply_fits(const struct codec_reply *reply, const struct codec_limits *limits,
                             struct failure *failure)
{
    const uint64_t bytes = (uint64_t)reply->head.length + reply->tail.length;
    if (bytes <= limits->reply_max)
        return STATUS_OK;
    return failure_set(failure, STATUS_REPLY_TOO_LARGE, "",
                       "the reply has %llu bytes, server.reply_max is %llu",
                       (unsigned long long)bytes, (unsigned long long)limits->reply_max);
}

void codec_sentence(const struct failure *failure, char out[CODEC_SENTENCE_MAX])
{
    const char *message =
        failure->message[0] != '\0' ? failure->message : status_text(failure->status);
    const bool named = failure->field[0] != '\0';
    (void)snprintf(out, CODEC_SENTENCE_MAX, "%s%s%s", named ? failure->field : "",
                   named ? ": " : "", message);
}

/* ---- Details ---------------------------------------------------------------- */

/* An Any over one packed message. */
static enum status wrap(const ProtobufCMessage *message, const char *type_url, struct arena *arena,
                        Google__Protobuf__Any *any)
{
    struct text packed;
    google__protobuf__any__init(any);
    any->type_url = codec_string(text_of(type_url), arena);
    if (any->type_url == NULL || codec_pack(message, arena, &packed) != STATUS_OK)
        return STATUS_NO_MEMORY;
    any->value.data = (uint8_t *)(uintptr_t)packed.bytes; /* protobuf-c knows no const; it reads */
    any->value.len = packed.length;
    return STATUS_OK;
}

static enum status wrap_reason(const struct failure *failure, struct arena *arena,
                               Google__Protobuf__Any *any)
{
    char domain[] = "reprise";
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.domain = domain;
    info.reason = codec_string(text_of(status_name(failure->status)), arena);
    if (info.reason == NULL)
        return STATUS_NO_MEMORY;
    return wrap(&info.base, "type.googleapis.com/google.rpc.ErrorInfo", arena, any);
}

static enum status wrap_field(const struct failure *failure, struct arena *arena,
                              Google__Protobuf__Any *any)
{
    const char *description =
        failure->message[0] != '\0' ? failure->message : status_text(failure->status);
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    violation.field = codec_string(text_of(failure->field), arena);
    violation.description = codec_string(text_of(description), arena);
    if (violation.field == NULL || violation.description == NULL)
        return STATUS_NO_MEMORY;
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    bad.n_field_violations = 1;
    bad.field_violations = violations;
    return wrap(&bad.base, "type.googleapis.com/google.rpc.BadRequest", arena, any);
}

static enum status wrap_retry(uint32_t retry_ms, struct arena *arena, Google__Protobuf__Any *any)
{
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    delay.seconds = retry_ms / 1000;
    delay.nanos = (int32_t)(retry_ms % 1000) * 1000000;
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    retry.retry_delay = &delay;
    return wrap(&retry.base, "type.googleapis.com/google.rpc.RetryInfo", arena, any);
}

enum status codec_write_details(const struct failure *failure, uint32_t retry_ms,
                                struct arena *arena, struct text *out)
{
    Google__Protobuf__Any reason, field, retry;
    Google__Protobuf__Any *details[3] = {&reason};
    size_t count = 1;
    enum status status = wrap_reason(failure, arena, &reason);
    if (status == STATUS_OK && failure->field[0] != '\0') {
        status = wrap_field(failure, arena, &field);
        details[count++] = &field;
    }
    if (status == STATUS_OK && retry_ms > 0) {
        status = wrap_retry(retry_ms, arena, &retry);
        details[count++] = &retry;
    }
    if (status != STATUS_OK)
        return status;
    char sentence[CODEC_SENTENCE_MAX];
    codec_sentence(failure, sentence);
    Google__Rpc__Status message = GOOGLE__RPC__STATUS__INIT;
    message.code = status_grpc_code(failure->status);
    message.message = sentence;
    message.n_details = count;
    message.details = details;
    return codec_pack(&message.base, arena, out);
}
