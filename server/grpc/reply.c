/*
 * reply.c - messages and closing batches.
 *
 * A reply of up to 4 KiB is one slice that is copied. A larger one is two: everything else, and the
 * stored answer itself, which is not copied; the slice holds a reference of the entry and drops it
 * on whatever thread the core sends from. Joining the replies of several calls into one write is
 * not possible with the core's interface.
 *
 * THREADS. The call's owner. Owns nothing but the pushbacks that it makes.
 */
#include "server/grpc/reply.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/grpc/queue.h"
#include "server/grpc/tally.h"
#include "storage/entry.h"

enum { FLAT_REPLY_BYTES = 4096, TRAILERS_MAX = 2, STATUS_TEXT_MAX = 320 };

static const char details_key[] = "grpc-status-details-bin";
static const char pushback_key[] = "grpc-retry-pushback-ms";

/* How a call ends. */
struct ending {
    grpc_status_code code;
    grpc_slice text;
    grpc_metadata *trailers;
    size_t trailers_count;
};

/* ---- Messages ---- */

static void release_entry(void *entry)
{
    entry_release(entry);
}

static grpc_slice copied_slice(struct text first, struct text second)
{
    grpc_slice slice = grpc_slice_malloc(first.length + second.length);
    uint8_t *bytes = GRPC_SLICE_START_PTR(slice);
    if (first.length > 0)
        memcpy(bytes, first.bytes, first.length);
    if (second.length > 0)
        memcpy(bytes + first.length, second.bytes, second.length);
    return slice;
}

/* The core only reads what it sends; its interface has no word for that. */
static grpc_slice entry_slice(struct text bytes, struct entry *entry)
{
    union {
        const char *stored;
        void *sent;
    } pointer = {.stored = bytes.bytes};
    return grpc_slice_new_with_user_data(pointer.sent, bytes.length, release_entry,
                                         entry_acquire(entry));
}

void reply_prepare(struct call *call, const struct codec_reply *reply)
{
    assert(call->reply == NULL);
    assert(reply->tail.length == 0 || reply->tail_entry != NULL);
    grpc_slice slices[2];
    size_t count = 1;
    if (reply->head.length + reply->tail.length <= FLAT_REPLY_BYTES || reply->tail.length == 0) {
        slices[0] = copied_slice(reply->head, reply->tail);
    } else {
        slices[0] = copied_slice(reply->head, (struct text){NULL, 0});
        slices[1] = entry_slice(reply->tail, reply->tail_entry);
        count = 2;
    }
    call->reply = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(slices[i]);
}

/* ---- The closing batch ---- */

static void add_headers(struct call *call, grpc_op *ops, size_t *count)
{
    if (call->headers_sent)
        return;
    call->headers_sent = true;
    ops[(*count)++].op = GRPC_OP_SEND_INITIAL_METADATA;
}

static void add_message(struct call *call, grpc_op *ops, size_t *count)
{
    grpc_op *op = &ops[(*count)++];
    op->op = GRPC_OP_SEND_MESSAGE;
    op->data.send_message.send_message = call->reply;
}

static void add_closing(struct call *call, grpc_op *ops, size_t *count)
{
    if (call->closing_expected)
        return;
    call->closing_expected = true;
    grpc_op *op = &ops[(*count)++];
    op->op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    op->data.recv_close_on_server.cancelled = &call->cancelled;
}

/* Every call gets exactly one; its event has been expected since the call arrived. */
static void start_closing(struct call *call, struct ending *ending)
{
    grpc_op ops[4];
    memset(ops, 0, sizeof(ops));
    size_t count = 0;
    add_headers(call, ops, &count);
    if (call->reply != NULL)
        add_message(call, ops, &count);
    grpc_op *op = &ops[count++];
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status = ending->code;
    op->data.send_status_from_server.status_details =
        ending->code != GRPC_STATUS_OK ? &ending->text : NULL;
    op->data.send_status_from_server.trailing_metadata = ending->trailers;
    op->data.send_status_from_server.trailing_metadata_count = ending->trailers_count;
    add_closing(call, ops, &count);
    tally_count(call_door(call)->tally, call->method, ending->code);
    call_start(call, ops, count, CALL_SENT);
}

static void close_call(struct call *call, struct ending *ending)
{
    queue_sending_begin(call->queue, call, NULL);
    start_closing(call, ending);
}

/*
 * Nothing of a call that is answered with a message lies in its arena any more. Given back now and
 * not with the last event, which comes behind the events of all calls in flight, the arena is still
 * in the processor's caches when the next call takes it: a third of the time of a batch. What
 * `closed` may still look at keeps it.
 */
void reply_send(struct call *call)
{
    assert(call->reply != NULL);
    struct arena *arena = NULL;
    if (atomic_load(&call->watched) == NULL) {
        arena = call->arena;
        call->arena = NULL;
        call->work = NULL;
    }
    queue_sending_begin(call->queue, call, arena);
    start_closing(call, &(struct ending){.code = GRPC_STATUS_OK});
}

void reply_message(struct call *call, const struct codec_reply *reply)
{
    reply_prepare(call, reply);
    reply_send(call);
}

void reply_close(struct call *call, grpc_status_code code, const char *text)
{
    struct ending ending = {.code = code, .text = grpc_slice_from_static_string(text)};
    close_call(call, &ending);
}

void reply_status(struct call *call, enum status status)
{
    reply_close(call, (grpc_status_code)status_grpc_code(status), status_text(status));
}

void reply_write(struct call *call, struct text bytes)
{
    reply_write_parts(call, &(struct codec_reply){.head = bytes});
}

void reply_write_parts(struct call *call, const struct codec_reply *reply)
{
    reply_prepare(call, reply);
    grpc_op ops[2];
    memset(ops, 0, sizeof(ops));
    size_t count = 0;
    add_headers(call, ops, &count);
    add_message(call, ops, &count);
    call_expect(call);
    queue_sending_begin(call->queue, call, NULL);
    call_start(call, ops, count, CALL_WRITTEN);
}

/* ---- Errors ---- */

static grpc_slice failure_text(const struct failure *failure)
{
    const char *message =
        failure->message[0] != '\0' ? failure->message : status_text(failure->status);
    char text[STATUS_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%s%s%s", failure->field,
                   failure->field[0] != '\0' ? ": " : "", message);
    return grpc_slice_from_copied_string(text);
}

void reply_failure(struct call *call, const struct failure *failure)
{
    assert(failure->status != STATUS_OK);
    if (failure->status == STATUS_OVERLOADED) {
        reply_overloaded(call);
        return;
    }
    /* The trailers lie in the arena, which lives as long as the batch. Without memory for them: the
     * status alone. */
    struct text details;
    grpc_metadata *trailers = arena_calloc(call->arena, 1, sizeof(*trailers));
    if (trailers == NULL || codec_write_details(failure, 0, call->arena, &details) != STATUS_OK) {
        reply_status(call, failure->status);
        return;
    }
    trailers->key = grpc_slice_from_static_string(details_key);
    trailers->value = grpc_slice_from_copied_buffer(details.bytes, details.length);
    struct ending ending = {.code = (grpc_status_code)status_grpc_code(failure->status),
                            .text = failure_text(failure),
                            .trailers = trailers,
                            .trailers_count = 1};
    grpc_slice value = trailers->value;
    close_call(call, &ending);
    grpc_slice_unref(ending.text);
    grpc_slice_unref(value);
}

void reply_outcome(struct call *call, enum status status, const struct codec_reply *reply,
                   struct failure *failure)
{
    if (status == STATUS_OK) {
        reply_message(call, reply);
        return;
    }
    if (failure->status == STATUS_OK)
        (void)failure_set(failure, status, "", "%s", status_text(status));
    reply_failure(call, failure);
}

void reply_no_message(struct call *call)
{
    struct failure failure;
    (void)failure_set(&failure, STATUS_BAD_MESSAGE, "", "the call ended without a message");
    reply_failure(call, &failure);
}

/* ---- Refusals ---- */

enum { PUSHBACK_STEP_MS = (PUSHBACK_MS_MAX - PUSHBACK_MS_MIN) / (PUSHBACKS_COUNT - 1) };

struct pushback {
    char delay[8]; /* milliseconds as text */
    struct text details;
    grpc_metadata trailers[TRAILERS_MAX];
};

struct pushbacks {
    struct arena *arena;
    atomic_uint given; /* how many refusals so far */
    struct pushback overloaded[PUSHBACKS_COUNT], draining[PUSHBACKS_COUNT],
        loading[PUSHBACKS_COUNT];
};

static uint32_t row_of(uint32_t number)
{
    /* Fibonacci hashing (Knuth, volume 3, section 6.4): neighbours in number land far apart. */
    return (number * 2654435769u) >> 28;
}

uint32_t pushback_ms(uint32_t number)
{
    return PUSHBACK_MS_MIN + row_of(number) * PUSHBACK_STEP_MS;
}

static enum status pack_pushback(struct pushback *pushback, enum status reason, uint32_t delay_ms,
                                 struct arena *arena)
{
    struct failure failure;
    (void)failure_set(&failure, reason, "", "%s", status_text(reason));
    enum status status = codec_write_details(&failure, delay_ms, arena, &pushback->details);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(pushback->delay, sizeof(pushback->delay), "%u", delay_ms);
    pushback->trailers[0].key = grpc_slice_from_static_string(details_key);
    pushback->trailers[0].value =
        grpc_slice_from_static_buffer(pushback->details.bytes, pushback->details.length);
    pushback->trailers[1].key = grpc_slice_from_static_string(pushback_key);
    pushback->trailers[1].value = grpc_slice_from_static_string(pushback->delay);
    return STATUS_OK;
}

static enum status pack_pushbacks(struct pushbacks *pushbacks)
{
    enum status status = arena_create(&pushbacks->arena);
    for (uint32_t row = 0; row < PUSHBACKS_COUNT && status == STATUS_OK; row++) {
        uint32_t delay_ms = PUSHBACK_MS_MIN + row * PUSHBACK_STEP_MS;
        status = pack_pushback(&pushbacks->overloaded[row], STATUS_OVERLOADED, delay_ms,
                               pushbacks->arena);
        if (status == STATUS_OK)
            status = pack_pushback(&pushbacks->draining[row], STATUS_DRAINING, delay_ms,
                                   pushbacks->arena);
        if (status == STATUS_OK)
            status =
                pack_pushback(&pushbacks->loading[row], STATUS_LOADING, delay_ms, pushbacks->arena);
    }
    return status;
}

enum status pushbacks_create(struct pushbacks **out_pushbacks)
{
    struct pushbacks *pushbacks = calloc(1, sizeof(*pushbacks));
    if (pushbacks == NULL)
        return STATUS_NO_MEMORY;
    enum status status = pack_pushbacks(pushbacks);
    if (status != STATUS_OK)
        pushbacks_destroy(&pushbacks);
    else
        *out_pushbacks = pushbacks;
    return status;
}

/* The mirror of pushbacks_create. No call is being refused any more. */
void pushbacks_destroy(struct pushbacks **pushbacks)
{
    struct pushbacks *doomed = *pushbacks;
    if (doomed == NULL)
        return;
    *pushbacks = NULL;
    arena_destroy(&doomed->arena);
    free(doomed);
}

static void refuse(struct call *call, enum status reason, struct pushback *pushback,
                   size_t trailers_count)
{
    struct ending ending = {.code = (grpc_status_code)status_grpc_code(reason),
                            .text = grpc_slice_from_static_string(status_text(reason)),
                            .trailers = pushback->trailers,
                            .trailers_count = trailers_count};
    close_call(call, &ending);
}

void reply_overloaded(struct call *call)
{
    struct pushbacks *pushbacks = call_door(call)->pushbacks;
    uint32_t number = atomic_fetch_add_explicit(&pushbacks->given, 1, memory_order_relaxed);
    refuse(call, STATUS_OVERLOADED, &pushbacks->overloaded[row_of(number)], TRAILERS_MAX);
}

/* Without the trailer that would hold back a retry elsewhere. */
void reply_draining(struct call *call)
{
    struct door *door = call_door(call);
    uint32_t number = atomic_fetch_add_explicit(&door->pushbacks->given, 1, memory_order_relaxed);
    counters_add(door->counters, DOOR_REFUSED_DRAINING, 1);
    refuse(call, STATUS_DRAINING, &door->pushbacks->draining[row_of(number)], 1);
}

void reply_loading(struct call *call)
{
    struct door *door = call_door(call);
    uint32_t number = atomic_fetch_add_explicit(&door->pushbacks->given, 1, memory_order_relaxed);
    counters_add(door->counters, DOOR_REFUSED_LOADING, 1);
    refuse(call, STATUS_LOADING, &door->pushbacks->loading[row_of(number)], 1);
}
