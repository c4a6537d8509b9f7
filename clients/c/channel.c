/*
 * channel.c - unary calls over the gRPC C core. Owns the channel, its registered methods and, for
 * the length of a call, everything that call needs.
 *
 * THREADS. Any number may call at once: each call has a completion queue of its own. One queue for
 * all was rejected: the core lets at most six threads pluck from the same queue.
 *
 * NOT HERE. What the messages mean (request.c, reply.c), error details (details.c).
 */
#include "clients/c/channel.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/c/details.h"
#include "grpc/health/v1/health.pb-c.h"
#include "reprise/v1/admin.pb-c.h"
#include "reprise/v1/cache.pb-c.h"
#include "reprise/v1/feedback.pb-c.h"

struct method_row {
    const char *path;
    const ProtobufCMessageDescriptor *reply;
    bool writes;
};

static const struct method_row methods[CHANNEL_METHOD_COUNT] = {
#define CHANNEL_METHOD_ROW(name, path_, reply_, writes_)                                           \
    [CHANNEL_##name] = {.path = (path_), .reply = &(reply_), .writes = (writes_)},
    CHANNEL_METHODS(CHANNEL_METHOD_ROW)
#undef CHANNEL_METHOD_ROW
};

struct channel {
    grpc_channel *core;
    void
        *handles[CHANNEL_METHOD_COUNT]; /* of the registered methods; live as long as the channel */
};

/* One call on its way. The core writes into it until its batch has come back. */
struct flight {
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_byte_buffer *sent, *received;
    grpc_metadata *metadata;
    size_t metadata_count;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice status_message;
};

/*
 * No proxy: a cache is a neighbour, and an http_proxy in the environment would send its calls
 * astray. Reconnecting begins after 100 ms instead of 1 s: a restarted server is back sooner than
 * that. The least time between attempts stays the core's 20 s, for that is what it means there: how
 * long one attempt may take.
 */
static grpc_channel *core_channel(const char *endpoint, uint32_t reply_max_bytes)
{
    grpc_arg rows[] = {
        {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = (int)reply_max_bytes},
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
         .value.integer = 100},
        {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, .value.integer = 5000},
    };
    const grpc_channel_args args = {.num_args = sizeof(rows) / sizeof(rows[0]), .args = rows};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *core = grpc_channel_create(endpoint, credentials, &args);
    grpc_channel_credentials_release(credentials);
    return core;
}

struct channel *channel_create(const char *endpoint, uint32_t reply_max_bytes)
{
    assert(endpoint != NULL);
    assert(reply_max_bytes <= INT32_MAX);
    struct channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL)
        return NULL;
    grpc_init();
    channel->core = core_channel(endpoint, reply_max_bytes);
    for (int i = 0; i < CHANNEL_METHOD_COUNT; i++)
        channel->handles[i] =
            grpc_channel_register_call(channel->core, methods[i].path, NULL, NULL);
    return channel;
}

void channel_destroy(struct channel **channel)
{
    struct channel *doomed = *channel;
    if (doomed == NULL)
        return;
    *channel = NULL;
    grpc_channel_destroy(doomed->core);
    grpc_shutdown();
    free(doomed);
}

bool channel_method_writes(enum channel_method method)
{
    assert(method < CHANNEL_METHOD_COUNT);
    return methods[method].writes;
}

static gpr_timespec in_ms(uint32_t milliseconds)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(milliseconds, GPR_TIMESPAN));
}

bool channel_connect(struct channel *channel, uint32_t timeout_ms)
{
    const gpr_timespec deadline = in_ms(timeout_ms);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel->core, 1);
    bool in_time = true;
    while (state != GRPC_CHANNEL_READY && in_time) {
        /* The watch ends by itself at the deadline, so its event always comes. */
        grpc_channel_watch_connectivity_state(channel->core, state, deadline, queue, channel);
        grpc_event event =
            grpc_completion_queue_pluck(queue, channel, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        assert(event.type == GRPC_OP_COMPLETE);
        in_time = event.success != 0;
        state = grpc_channel_check_connectivity_state(channel->core, 1);
    }
    grpc_completion_queue_destroy(queue);
    return state == GRPC_CHANNEL_READY;
}

static grpc_byte_buffer *pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    size_t written = protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    assert(written == GRPC_SLICE_LENGTH(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* Lower-case names and printable values, as HTTP/2 and gRPC want them; names of gRPC's own stay its
 * own. */
static bool metadata_is_legal(const struct reprise_pair *pair)
{
    if (pair->name == NULL || pair->value == NULL || pair->name[0] == ':')
        return false;
    size_t length = strlen(pair->name);
    if (strncmp(pair->name, "grpc-", 5) == 0)
        return false;
    if (length >= 4 && strcmp(pair->name + length - 4, "-bin") == 0)
        return false;
    return grpc_header_key_is_legal(grpc_slice_from_static_buffer(pair->name, length)) != 0 &&
           grpc_header_nonbin_value_is_legal(
               grpc_slice_from_static_buffer(pair->value, strlen(pair->value))) != 0;
}

static enum reprise_code fail(struct reprise_error *error, enum reprise_code code,
                              const char *reason, const char *field, const char *message)
{
    *error = (struct reprise_error){
        .code = code, .reason = reason, .field = field, .message = message, .retry_after_ms = -1};
    return code;
}

static enum reprise_code flight_pack_metadata(struct flight *flight,
                                              const struct channel_request *request,
                                              struct arena *arena, struct reprise_error *error)
{
    if (request->metadata_count == 0)
        return REPRISE_OK;
    flight->metadata = arena_calloc(arena, request->metadata_count, sizeof(*flight->metadata));
    if (flight->metadata == NULL)
        return fail(error, REPRISE_RESOURCE_EXHAUSTED, "NO_MEMORY", "",
                    "the client is out of memory");
    for (size_t i = 0; i < request->metadata_count; i++) {
        const struct reprise_pair *pair = &request->metadata[i];
        if (!metadata_is_legal(pair))
            return fail(error, REPRISE_INVALID_ARGUMENT, "BAD_NAME", "metadata",
                        "a metadata name or value is not legal in gRPC");
        flight->metadata[i] = (grpc_metadata){.key = grpc_slice_from_copied_string(pair->name),
                                              .value = grpc_slice_from_copied_string(pair->value)};
        flight->metadata_count = i + 1;
    }
    return REPRISE_OK;
}

/* Sends everything, asks for everything, and waits: the deadline bounds it. */
static void flight_run(struct flight *flight)
{
    grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .data.send_initial_metadata = {.count = flight->metadata_count,
                                        .metadata = flight->metadata}},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = flight->sent},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &flight->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &flight->received},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &flight->trailing,
                                        .status = &flight->status,
                                        .status_details = &flight->status_message}},
    };
    grpc_call_error error =
        grpc_call_start_batch(flight->call, ops, sizeof(ops) / sizeof(ops[0]), flight, NULL);
    assert(error == GRPC_CALL_OK);
    grpc_event event = grpc_completion_queue_pluck(flight->queue, flight,
                                                   gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    assert(event.type == GRPC_OP_COMPLETE);
}

static void flight_init(struct flight *flight, struct channel *channel,
                        const struct channel_request *request)
{
    *flight = (struct flight){.status = GRPC_STATUS_UNKNOWN, .status_message = grpc_empty_slice()};
    grpc_metadata_array_init(&flight->initial);
    grpc_metadata_array_init(&flight->trailing);
    flight->sent = pack(request->message);
    flight->queue = grpc_completion_queue_create_for_pluck(NULL);
    flight->call = grpc_channel_create_registered_call(
        channel->core, NULL, GRPC_PROPAGATE_DEFAULTS, flight->queue,
        channel->handles[request->method], in_ms(request->deadline_ms), NULL);
}

static void flight_deinit(struct flight *flight)
{
    grpc_call_unref(flight->call);
    grpc_completion_queue_destroy(flight->queue);
    for (size_t i = 0; i < flight->metadata_count; i++) {
        grpc_slice_unref(flight->metadata[i].key);
        grpc_slice_unref(flight->metadata[i].value);
    }
    grpc_byte_buffer_destroy(flight->sent);
    if (flight->received != NULL)
        grpc_byte_buffer_destroy(flight->received);
    grpc_metadata_array_destroy(&flight->initial);
    grpc_metadata_array_destroy(&flight->trailing);
    grpc_slice_unref(flight->status_message);
}

static void read_error(const struct flight *flight, struct arena *arena,
                       struct reprise_error *error)
{
    const char *message = details_copy(arena, GRPC_SLICE_START_PTR(flight->status_message),
                                       GRPC_SLICE_LENGTH(flight->status_message));
    (void)fail(error, (enum reprise_code)flight->status, "", "", message != NULL ? message : "");
    for (size_t i = 0; i < flight->trailing.count; i++) {
        const grpc_metadata *row = &flight->trailing.metadata[i];
        if (grpc_slice_str_cmp(row->key, "grpc-status-details-bin") == 0)
            details_read(GRPC_SLICE_START_PTR(row->value), GRPC_SLICE_LENGTH(row->value), arena,
                         error);
    }
}

static enum reprise_code read_reply(const struct flight *flight, enum channel_method method,
                                    struct arena *arena, ProtobufCMessage **out_reply,
                                    struct reprise_error *error)
{
    if (flight->received == NULL)
        return fail(error, REPRISE_INTERNAL, "", "", "the server sent OK without a reply");
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, flight->received))
        return fail(error, REPRISE_INTERNAL, "", "", "the reply cannot be decompressed");
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    ProtobufCAllocator allocator = details_allocator(arena);
    ProtobufCMessage *reply = protobuf_c_message_unpack(
        methods[method].reply, &allocator, GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));
    grpc_slice_unref(bytes);
    if (reply == NULL)
        return fail(error, REPRISE_INTERNAL, "BAD_MESSAGE", "", "the reply cannot be read");
    *out_reply = reply;
    return REPRISE_OK;
}

enum reprise_code channel_call(struct channel *channel, const struct channel_request *request,
                               struct arena *arena, ProtobufCMessage **out_reply,
                               struct reprise_error *out_error)
{
    assert(request->method < CHANNEL_METHOD_COUNT);
    assert(request->deadline_ms > 0);
    struct flight flight;
    flight_init(&flight, channel, request);
    enum reprise_code code = flight_pack_metadata(&flight, request, arena, out_error);
    if (code != REPRISE_OK)
        goto deinit_flight;
    flight_run(&flight);
    code = (enum reprise_code)flight.status;
    if (code == REPRISE_OK)
        code = read_reply(&flight, request->method, arena, out_reply, out_error);
    else
        read_error(&flight, arena, out_error);

deinit_flight:
    flight_deinit(&flight);
    return code;
}

/* ---- Streams ---- */

struct channel_stream {
    struct flight flight; /* its own address is the tag of the status */
    enum channel_method method;
    struct reprise_error error; /* of ours, before the server's */
    enum reprise_code code;
    bool is_started;
    char step, headers; /* tags */
};

static bool pluck(struct channel_stream *stream, void *tag)
{
    grpc_event event = grpc_completion_queue_pluck(stream->flight.queue, tag,
                                                   gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    assert(event.type == GRPC_OP_COMPLETE);
    return event.success != 0;
}

static void start(struct channel_stream *stream, const grpc_op *ops, size_t count, void *tag)
{
    grpc_call_error error = grpc_call_start_batch(stream->flight.call, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
}

/* The status and the headers come when they come: each has a batch of its own. */
static void start_stream(struct channel_stream *stream, bool only)
{
    struct flight *flight = &stream->flight;
    const grpc_op status = {
        .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
        .data.recv_status_on_client = {.trailing_metadata = &flight->trailing,
                                       .status = &flight->status,
                                       .status_details = &flight->status_message}};
    const grpc_op headers = {.op = GRPC_OP_RECV_INITIAL_METADATA,
                             .data.recv_initial_metadata.recv_initial_metadata = &flight->initial};
    const grpc_op first[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .data.send_initial_metadata = {.count = flight->metadata_count,
                                        .metadata = flight->metadata}},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = flight->sent},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
    };
    start(stream, &status, 1, stream);
    start(stream, &headers, 1, &stream->headers);
    stream->is_started = true;
    start(stream, first, only ? 3 : 2, &stream->step);
    (void)pluck(stream, &stream->step);
}

struct channel_stream *channel_stream_open(struct channel *channel,
                                           const struct channel_request *request, bool only,
                                           struct arena *arena)
{
    assert(request->deadline_ms > 0);
    struct channel_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    stream->method = request->method;
    flight_init(&stream->flight, channel, request);
    stream->code = flight_pack_metadata(&stream->flight, request, arena, &stream->error);
    if (stream->code == REPRISE_OK)
        start_stream(stream, only);
    return stream;
}

bool channel_stream_send(struct channel_stream *stream, const ProtobufCMessage *message)
{
    if (stream->code != REPRISE_OK)
        return false;
    struct flight *flight = &stream->flight;
    grpc_byte_buffer_destroy(flight->sent);
    flight->sent = pack(message);
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = flight->sent};
    start(stream, &op, 1, &stream->step);
    return pluck(stream, &stream->step);
}

bool channel_stream_finish(struct channel_stream *stream)
{
    if (stream->code != REPRISE_OK)
        return false;
    const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    start(stream, &op, 1, &stream->step);
    return pluck(stream, &stream->step);
}

bool channel_stream_receive(struct channel_stream *stream, struct arena *arena,
                            ProtobufCMessage **out_message)
{
    if (stream->code != REPRISE_OK)
        return false;
    struct flight *flight = &stream->flight;
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE,
                        .data.recv_message.recv_message = &flight->received};
    start(stream, &op, 1, &stream->step);
    if (!pluck(stream, &stream->step) || flight->received == NULL)
        return false;
    stream->code = read_reply(flight, stream->method, arena, out_message, &stream->error);
    grpc_byte_buffer_destroy(flight->received);
    flight->received = NULL;
    return stream->code == REPRISE_OK;
}

static void wait_for_status(struct channel_stream *stream, bool cancels)
{
    if (cancels)
        (void)grpc_call_cancel(stream->flight.call, NULL);
    (void)pluck(stream, &stream->headers);
    (void)pluck(stream, stream);
}

/* A fault of ours comes before what the server says. */
enum reprise_code channel_stream_close(struct channel_stream **stream, bool cancels,
                                       struct arena *arena, struct reprise_error *out_error)
{
    struct channel_stream *doomed = *stream;
    *stream = NULL;
    enum reprise_code code = doomed->code;
    if (doomed->is_started)
        wait_for_status(doomed, cancels || code != REPRISE_OK);
    if (code != REPRISE_OK) {
        *out_error = doomed->error;
    } else if (doomed->flight.status != GRPC_STATUS_OK) {
        code = (enum reprise_code)doomed->flight.status;
        read_error(&doomed->flight, arena, out_error);
    }
    flight_deinit(&doomed->flight);
    free(doomed);
    return code;
}
