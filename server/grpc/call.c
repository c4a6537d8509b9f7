/*
 * call.c - the life of a call: arrival, its message, hand-off to compute, its events.
 *
 * An exact hit has two events, arrived and sent: its closing batch takes RECV_CLOSE_ON_SERVER with
 * it. A call that waits for anything has RECV_CLOSE in a batch of its own first, so that a caller
 * who goes away is noticed while work is queued. RECV_CLOSE is in every call: without it
 * grpc_call_unref cancels the call, at twice the cost. The core files batches by their first op:
 * those in flight together begin with ops of different kinds.
 *
 * THREADS. The queue's I/O threads, and compute threads after call_hand_off. Nobody waits.
 * NOT HERE. Slots and arenas (queue.c), what is sent (reply.c), what a method does (methods.c and
 * get.c, set.c, ...).
 */
#include "server/grpc/call.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/time.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/grpc/methods.h"
#include "server/grpc/queue.h"
#include "server/grpc/reply.h"

void call_init(struct call *call, struct queue *queue)
{
    memset(call, 0, sizeof(*call));
    for (int event = 0; event < CALL_EVENTS; event++) {
        call->tags[event] = (struct call_tag){
            .magic = CALL_TAG_MAGIC + (uint32_t)event, .event = event, .call = call};
    }
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    call->queue = queue;
}

void call_deinit(struct call *call)
{
    assert(call->rpc == NULL);
    assert(call->arena == NULL);
    for (int event = 0; event < CALL_EVENTS; event++)
        call->tags[event].magic = 0;
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
}

struct door *call_door(const struct call *call)
{
    return call->queue->door;
}

/* ---- Counting ---- */

void call_expect_first(struct call *call)
{
    assert(atomic_load(&call->events_pending) == 0);
    atomic_store(&call->events_pending, 1);
}

void call_expect(struct call *call)
{
    unsigned before = atomic_fetch_add(&call->events_pending, 1);
    assert(before > 0); /* whoever starts a batch still owes the closing one */
    assert(before < CALL_EVENTS);
}

bool call_returned(struct call *call)
{
    unsigned before = atomic_fetch_sub(&call->events_pending, 1);
    assert(before > 0);
    return before == 1;
}

void call_start(struct call *call, const grpc_op *ops, size_t ops_count, enum call_event event)
{
    grpc_call_error error =
        grpc_call_start_batch(call->rpc, ops, ops_count, &call->tags[event], NULL);
    assert(error == GRPC_CALL_OK);
}

/* ---- The request ---- */

size_t call_message_length(const struct call *call)
{
    return call->message != NULL ? grpc_byte_buffer_length(call->message) : 0;
}

static enum status copy_slices(struct call *call, size_t length, struct text *out_message)
{
    char *bytes = arena_alloc(call->arena, length);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    grpc_byte_buffer_reader reader;
    int readable = grpc_byte_buffer_reader_init(&reader, call->message);
    assert(readable);
    size_t copied = 0;
    grpc_slice *slice = NULL;
    while (grpc_byte_buffer_reader_peek(&reader, &slice)) {
        size_t slice_length = GRPC_SLICE_LENGTH(*slice);
        assert(slice_length <= length - copied);
        memcpy(bytes + copied, GRPC_SLICE_START_PTR(*slice), slice_length);
        copied += slice_length;
    }
    assert(copied == length);
    grpc_byte_buffer_reader_destroy(&reader);
    *out_message = (struct text){bytes, length};
    return STATUS_OK;
}

/* Small requests arrive in one slice (98 % at 1 KiB), which is read where it lies. */
enum status call_message(struct call *call, struct text *out_message)
{
    assert(call->message != NULL);
    grpc_byte_buffer_reader reader;
    int readable = grpc_byte_buffer_reader_init(&reader, call->message);
    assert(readable);
    grpc_slice *first = NULL, *second = NULL;
    struct text message = {NULL, 0};
    if (grpc_byte_buffer_reader_peek(&reader, &first))
        message =
            (struct text){(const char *)GRPC_SLICE_START_PTR(*first), GRPC_SLICE_LENGTH(*first)};
    bool whole = !grpc_byte_buffer_reader_peek(&reader, &second);
    grpc_byte_buffer_reader_destroy(&reader);
    if (!whole)
        return copy_slices(call, grpc_byte_buffer_length(call->message), out_message);
    *out_message = message;
    return STATUS_OK;
}

enum status call_short_message(struct call *call, struct text *out_message, struct failure *failure)
{
    size_t length = call_message_length(call);
    if (length <= CALL_SHORT_BYTES)
        return call_message(call, out_message);
    grpc_byte_buffer_destroy(call->message);
    call->message = NULL;
    return failure_set(failure, STATUS_LIMIT_EXCEEDED, "", "%zu bytes; at most %d are read", length,
                       CALL_SHORT_BYTES);
}

static void expect_closing(struct call *call)
{
    if (call->closing_expected)
        return;
    call->closing_expected = true;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &call->cancelled};
    call_expect(call);
    call_start(call, &op, 1, CALL_CLOSED);
}

bool call_read(struct call *call)
{
    assert(call->message == NULL);
    if (!queue_reading_begin(call->queue, call))
        return false;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->message};
    call_expect(call);
    call_start(call, &op, 1, CALL_READ);
    return true;
}

void call_drop_message(struct call *call)
{
    grpc_byte_buffer_destroy(call->message);
    call->message = NULL;
}

void call_forget_message(struct call *call)
{
    call_drop_message(call);
    arena_reset(call->arena);
}

/* ---- Compute ---- */

enum status call_hand_off(struct call *call, void (*run)(struct pool_job *job))
{
    expect_closing(call);
    call->job.run = run;
    return pool_submit(call_door(call)->pool, &call->job);
}

void call_hand_off_or_refuse(struct call *call, void (*run)(struct pool_job *job))
{
    if (call_hand_off(call, run) == STATUS_OK)
        return;
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    reply_overloaded(call);
}

struct call *call_of_job(struct pool_job *job)
{
    struct call *call = (struct call *)(void *)((char *)job - offsetof(struct call, job));
    assert(call->tags[CALL_SENT].magic == CALL_TAG_MAGIC + CALL_SENT);
    return call;
}

int64_t call_remaining_ms(const struct call *call)
{
    gpr_timespec deadline = gpr_convert_clock_type(call->details.deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return INT64_MAX;
    gpr_timespec left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
    int64_t left_ms = (int64_t)left.tv_sec * 1000 + left.tv_nsec / 1000000;
    return left_ms > 0 ? left_ms : 0;
}

void call_lend(struct call *call)
{
    expect_closing(call);
}

void call_park(struct call *call)
{
    assert(call->method->woken != NULL);
    expect_closing(call);
    call_expect(call);
}

void call_unpark(struct call *call)
{
    bool last = call_returned(call);
    assert(!last); /* the closing batch is owed */
}

/* An empty batch puts its tag on the call's completion queue at once (grpc_call_start_batch in
 * grpc/grpc.h); p50 25 us from another thread. */
void call_wake(struct call *call)
{
    call_start(call, NULL, 0, CALL_WOKEN);
}

/* One `part`th of the margin before the deadline. */
static uint64_t before_deadline_us(const struct call *call, int part)
{
    const int64_t left_ms = call_remaining_ms(call);
    if (left_ms > INT32_MAX) /* 24 days, or none */
        return 0;
    const int64_t left_us = left_ms * 1000;
    const int64_t margin_us =
        left_us / 8 < CALL_MARGIN_MS * 1000 ? left_us / 8 : CALL_MARGIN_MS * 1000;
    return clock_monotonic_us() + (uint64_t)(left_us - margin_us / part);
}

uint64_t call_due_us(const struct call *call)
{
    return before_deadline_us(call, 1);
}

uint64_t call_last_us(const struct call *call)
{
    return before_deadline_us(call, 2);
}

/* The deadline is asked first: when it passes, the core cancels the call as well, and closed says
 * nothing of why. */
enum call_fate call_fate(const struct call *call)
{
    if (call_remaining_ms(call) == 0)
        return CALL_TOO_LATE;
    return atomic_load(&call->closed) ? CALL_GONE : CALL_WANTED;
}

void call_drop(struct call *call, enum call_fate fate)
{
    assert(fate != CALL_WANTED);
    bool late = fate == CALL_TOO_LATE;
    counters_add(call_door(call)->counters, late ? DOOR_DROPPED_DEADLINE : DOOR_DROPPED_CANCELLED,
                 1);
    reply_status(call, late ? STATUS_DEADLINE : STATUS_CANCELLED);
}

/* ---- Events ---- */

static void handle_message(struct call *call)
{
    if (call->message != NULL)
        call->method->handle(call);
    else if (call->method->ended != NULL)
        call->method->ended(call);
    else
        reply_no_message(call);
}

static void refuse(struct call *call, int stage)
{
    if (stage == DOOR_LOADING)
        reply_loading(call);
    else
        reply_draining(call);
}

/* A method of its own acceptor: the message is here already. */
static void registered_arrived(struct call *call)
{
    struct door *door = call_door(call);
    const int stage = atomic_load(&door->stage);
    call->method = methods_registered(call->kind);
    call->inside = stage == DOOR_OPEN && door_enter(door);
    call->arena = queue_arrived(call->queue, call->kind, call->inside);
    if (stage != DOOR_OPEN)
        refuse(call, stage);
    else if (call->arena == NULL)
        reply_overloaded(call);
    else
        handle_message(call);
}

/* True if there is room for it; counts it. */
static bool admit(struct call *call)
{
    struct door *door = call_door(call);
    if (call->method->stream) {
        call->stream = door_enter_stream(door);
        return call->stream;
    }
    if (call->method->always)
        return true;
    call->inside = door_enter(door);
    return call->inside;
}

static bool is_let_in(const struct method *method, int stage)
{
    return stage == DOOR_OPEN || method->always || (stage == DOOR_LOADING && method->while_loading);
}

/* All other methods, and paths that are none: the message is still to be read. */
static void generic_arrived(struct call *call)
{
    struct door *door = call_door(call);
    struct queue *queue = call->queue;
    (void)queue_arrived(queue, call->kind, false);
    const grpc_slice *path = &call->details.method;
    call->method = methods_find(
        (struct text){(const char *)GRPC_SLICE_START_PTR(*path), GRPC_SLICE_LENGTH(*path)});
    if (call->method == NULL || (call->method->reflection && !door->reflection)) {
        reply_status(call, STATUS_UNIMPLEMENTED);
        return;
    }
    const int stage = atomic_load(&door->stage);
    if (!is_let_in(call->method, stage)) {
        refuse(call, stage);
        return;
    }
    if (admit(call))
        call->arena = queue_take_arena(queue);
    if (call->arena == NULL) {
        reply_overloaded(call);
        return;
    }
    expect_closing(call);
    if (!call_read(call))
        reply_draining(call);
}

static void arrived(struct call *call, bool success)
{
    if (!success) { /* the server is shutting down */
        queue_put_away(call->queue, call);
        return;
    }
    call_expect_first(call);
    call->arrived_us = clock_monotonic_us();
    if (call->kind == SLOT_GENERIC)
        generic_arrived(call);
    else
        registered_arrived(call);
}

static void handle(struct call *call, enum call_event event, bool success)
{
    switch (event) {
    case CALL_READ:
        queue_reading_end(call->queue, call);
        handle_message(call);
        break;
    case CALL_CLOSED:
        atomic_store(&call->closed, true);
        if (call->method->closed != NULL)
            call->method->closed(call);
        break;
    case CALL_WRITTEN:
        queue_sending_end(call->queue, call);
        grpc_byte_buffer_destroy(call->reply);
        call->reply = NULL;
        call->method->written(call, success);
        break;
    case CALL_WOKEN:
        assert(success);
        call->method->woken(call);
        break;
    case CALL_SENT:
        break;
    case CALL_ARRIVED:
    case CALL_EVENTS:
        assert(!"no event of a running call");
    }
}

void call_handle_event(struct call_tag *tag, bool success)
{
    assert(tag != NULL);
    assert(tag->event < CALL_EVENTS);
    assert(tag->magic == CALL_TAG_MAGIC + tag->event);
    struct call *call = tag->call;
    if (tag->event == CALL_ARRIVED) {
        arrived(call, success);
        return;
    }
    handle(call, tag->event, success);
    if (call_returned(call))
        queue_done(call->queue, call);
}
