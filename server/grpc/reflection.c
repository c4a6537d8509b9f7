/*
 * reflection.c - answers what grpcurl and ghz ask: services, files, symbols. Extensions do not
 * exist here: NOT_FOUND. A question that has no answer gets an error inside the stream, which goes
 * on. Owns nothing. Threads: I/O.
 */
#include "server/grpc/reflection.h"

#include "base/check.h"
#include "server/codec.h"
#include "server/grpc/reply.h"
#include "server/grpc/symbols.h"

struct answer {
    const struct text *files, *services;
    size_t files_count, services_count;
    enum status error; /* STATUS_OK: none */
};

static enum status find_files(struct call *call, int file, struct answer *out_answer)
{
    const struct symbols *symbols = call_door(call)->symbols;
    if (file == SYMBOLS_NONE) {
        out_answer->error = STATUS_NOT_FOUND;
        return STATUS_OK;
    }
    struct text *files = arena_calloc(call->arena, symbols_files_count(symbols), sizeof(*files));
    if (files == NULL)
        return STATUS_NO_MEMORY;
    out_answer->files = files;
    out_answer->files_count = symbols_with_imports(symbols, file, files);
    return STATUS_OK;
}

static enum status find_answer(struct call *call, const struct codec_reflection *question,
                               struct answer *out_answer)
{
    const struct symbols *symbols = call_door(call)->symbols;
    switch (question->kind) {
    case CODEC_REFLECT_FILE:
        return find_files(call, symbols_file_of_name(symbols, question->name), out_answer);
    case CODEC_REFLECT_SYMBOL:
        return find_files(call, symbols_file_of_symbol(symbols, question->name), out_answer);
    case CODEC_REFLECT_SERVICES:
        out_answer->services = symbols_services(symbols, &out_answer->services_count);
        return STATUS_OK;
    case CODEC_REFLECT_EXTENSION:
    case CODEC_REFLECT_EXTENSION_NUMBERS:
        out_answer->error = STATUS_NOT_FOUND;
        return STATUS_OK;
    case CODEC_REFLECT_NOTHING:
        out_answer->error = STATUS_BAD_MESSAGE;
        return STATUS_OK;
    }
    return STATUS_INTERNAL;
}

static enum status answer(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct text message;
    struct codec_reflection question;
    struct answer found = {.error = STATUS_OK};
    enum status status = call_short_message(call, &message, failure);
    if (status == STATUS_OK) {
        status = codec_read_reflection(message, call_door(call)->limits, call->arena, &question,
                                       failure);
    }
    if (status == STATUS_OK)
        status = find_answer(call, &question, &found);
    if (status != STATUS_OK)
        return status;
    return codec_write_reflection(&question, found.files, found.files_count, found.services,
                                  found.services_count, status_grpc_code(found.error),
                                  status_text(found.error), call->arena, out_reply);
}

void reflection_answer(struct call *call)
{
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = answer(call, &reply, &failure);
    if (status == STATUS_OK)
        reply_write(call, reply.head);
    else
        reply_outcome(call, status, NULL, &failure);
}

void reflection_written(struct call *call, bool success)
{
    if (!success) {
        reply_status(call, STATUS_CANCELLED);
        return;
    }
    call_forget_message(call);
    if (!call_read(call))
        reply_draining(call);
}

void reflection_ended(struct call *call)
{
    reply_status(call, STATUS_OK);
}
