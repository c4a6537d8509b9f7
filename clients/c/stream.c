/*
 * stream.c - GetStream and SetStream: a replay told part by part to a function of the caller's, and
 * a capture that the caller feeds. Owns a capture from begin to finish. Threads: a stream has one
 * owner; streams of one client may run side by side.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/c/reply.h"
#include "clients/c/request.h"
#include "clients/c/result.h"

/* protobuf-c's strings are not const; packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static struct channel_request request_of(enum channel_method method, const void *message,
                                         const struct reprise_call *call)
{
    struct channel_request request = {.method = method, .message = message};
    if (call != NULL) {
        request.deadline_ms = call->deadline_ms;
        request.metadata = call->metadata;
        request.metadata_count = call->metadata_count;
    }
    if (request.deadline_ms == 0)
        request.deadline_ms = UINT32_MAX; /* a stream takes as long as it takes: 49 days */
    return request;
}

static void fill_no_memory(struct reprise_result *result)
{
    result->code = REPRISE_RESOURCE_EXHAUSTED;
    result->error = (struct reprise_error){.code = REPRISE_RESOURCE_EXHAUSTED,
                                           .reason = "NO_MEMORY",
                                           .field = "",
                                           .message = "the client is out of memory",
                                           .retry_after_ms = -1};
}

/* ---- GetStream -------------------------------------------------------------- */

static bool tell(const Reprise__V1__GetStreamResponse *message, struct arena *arena,
                 const struct reprise_listener *listener, struct reprise_result *result)
{
    struct reprise_part part = {.text = ""};
    struct reprise_usage usage;
    struct reprise_finish finish;
    if (message->part_case == REPRISE__V1__GET_STREAM_RESPONSE__PART_HEAD) {
        part.head = result->get = reply_get(message->head, arena);
        if (part.head == NULL) {
            fill_no_memory(result);
            return false;
        }
    } else if (message->part_case == REPRISE__V1__GET_STREAM_RESPONSE__PART_DELTA) {
        part.text = message->delta->content;
    } else if (message->part_case == REPRISE__V1__GET_STREAM_RESPONSE__PART_FINISH) {
        finish = reply_finish(message->finish, &usage);
        part.finish = &finish;
    } else {
        return true; /* of a newer server */
    }
    return listener->part(listener->context, &part);
}

struct reprise_result *reprise_get_stream(struct reprise_client *client,
                                          const struct reprise_get_request *request,
                                          const struct reprise_pace *pace,
                                          const struct reprise_listener *listener,
                                          const struct reprise_call *call)
{
    struct arena *arena = NULL, *parts = NULL;
    struct reprise_result *result = result_create(&arena);
    if (result == NULL)
        return result_no_memory(client);
    Reprise__V1__GetStreamRequest message = REPRISE__V1__GET_STREAM_REQUEST__INIT;
    message.request = request_get(request, arena);
    message.chunk_bytes = pace != NULL ? pace->chunk_bytes : 0;
    message.tokens_per_second = pace != NULL ? pace->tokens_per_second : 0;
    const struct channel_request asked = request_of(CHANNEL_GET_STREAM, &message, call);
    struct channel_stream *stream = NULL;
    if (message.request != NULL && arena_create(&parts) == STATUS_OK)
        stream = channel_stream_open(client_channel(client), &asked, true, arena);
    if (stream == NULL)
        fill_no_memory(result);
    bool goes_on = stream != NULL;
    ProtobufCMessage *answer = NULL;
    while (goes_on &&
           channel_stream_receive(stream, result->get == NULL ? arena : parts, &answer)) {
        goes_on = tell((const Reprise__V1__GetStreamResponse *)answer, arena, listener, result);
        arena_reset(parts);
    }
    struct reprise_error error;
    enum reprise_code code = REPRISE_OK;
    if (stream != NULL)
        code = channel_stream_close(&stream, !goes_on, arena, &error);
    if (result->code == REPRISE_OK && code != REPRISE_OK) {
        result->code = code;
        result->error = error;
    } else if (result->code == REPRISE_OK && result->get == NULL) {
        result->code = REPRISE_INTERNAL;
        result->error = (struct reprise_error){.code = REPRISE_INTERNAL,
                                               .reason = "",
                                               .field = "",
                                               .message = "the server sent OK without a reply",
                                               .retry_after_ms = -1};
    }
    if (result->code != REPRISE_OK) {
        result->get = NULL;
        client_count_failure(client);
    }
    arena_destroy(&parts);
    return result;
}

/* ---- SetStream -------------------------------------------------------------- */

struct reprise_capture {
    struct reprise_client *client;
    struct channel_stream *stream; /* NULL: it could not be begun */
    struct reprise_result *result; /* of its end */
    struct arena *arena;           /* the result's */
};

struct reprise_capture *reprise_capture_begin(struct reprise_client *client,
                                              const struct reprise_set_request *head,
                                              const struct reprise_call *call)
{
    struct reprise_capture *capture = calloc(1, sizeof(*capture));
    if (capture == NULL)
        return NULL;
    capture->client = client;
    capture->result = result_create(&capture->arena);
    if (capture->result == NULL) {
        free(capture);
        return NULL;
    }
    Reprise__V1__SetStreamRequest message = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    message.part_case = REPRISE__V1__SET_STREAM_REQUEST__PART_HEAD;
    message.head = request_set(head, capture->arena);
    const struct channel_request request = request_of(CHANNEL_SET_STREAM, &message, call);
    if (message.head != NULL)
        capture->stream =
            channel_stream_open(client_channel(client), &request, false, capture->arena);
    return capture;
}

bool reprise_capture_add(struct reprise_capture *capture, const struct reprise_delta *delta)
{
    Reprise__V1__Delta piece = REPRISE__V1__DELTA__INIT;
    piece.content = string_of(delta->content);
    piece.reasoning = string_of(delta->reasoning);
    piece.refusal = string_of(delta->refusal);
    piece.tool_calls_json = string_of(delta->tool_calls_json);
    Reprise__V1__SetStreamRequest message = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    message.part_case = REPRISE__V1__SET_STREAM_REQUEST__PART_DELTA;
    message.delta = &piece;
    return capture->stream != NULL && channel_stream_send(capture->stream, &message.base);
}

static void send_finish(struct reprise_capture *capture, const struct reprise_finish *finish)
{
    Reprise__V1__Usage usage = REPRISE__V1__USAGE__INIT;
    Reprise__V1__Finish end = REPRISE__V1__FINISH__INIT;
    end.finish_reason = string_of(finish->finish_reason);
    end.extra_choices_json = string_of(finish->extra_choices_json);
    if (finish->usage != NULL) {
        request_usage(finish->usage, &usage);
        end.usage = &usage;
    }
    Reprise__V1__SetStreamRequest message = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    message.part_case = REPRISE__V1__SET_STREAM_REQUEST__PART_FINISH;
    message.finish = &end;
    (void)channel_stream_send(capture->stream, &message.base); /* the status says why not */
}

static void end(struct reprise_capture *capture, const struct reprise_finish *finish)
{
    struct reprise_result *result = capture->result;
    ProtobufCMessage *answer = NULL;
    if (capture->stream == NULL) {
        fill_no_memory(result);
        return;
    }
    if (finish != NULL) {
        send_finish(capture, finish);
        (void)channel_stream_receive(capture->stream, capture->arena, &answer);
    }
    result->code =
        channel_stream_close(&capture->stream, finish == NULL, capture->arena, &result->error);
    if (result->code != REPRISE_OK)
        return;
    const Reprise__V1__SetStreamResponse *reply = (const Reprise__V1__SetStreamResponse *)answer;
    if (reply != NULL && reply->response != NULL)
        result->set = reply_set(reply->response, capture->arena);
    if (result->set == NULL)
        fill_no_memory(result);
}

struct reprise_result *reprise_capture_finish(struct reprise_capture **capture,
                                              const struct reprise_finish *finish)
{
    struct reprise_capture *doomed = *capture;
    static const struct reprise_finish nothing = {.finish_reason = NULL};
    end(doomed, finish != NULL ? finish : &nothing);
    struct reprise_result *result = doomed->result;
    if (result->code != REPRISE_OK)
        client_count_failure(doomed->client);
    free(doomed);
    *capture = NULL;
    return result;
}

void reprise_capture_abandon(struct reprise_capture **capture)
{
    struct reprise_capture *doomed = *capture;
    if (doomed == NULL)
        return;
    *capture = NULL;
    end(doomed, NULL);
    reprise_result_free(&doomed->result);
    free(doomed);
}
