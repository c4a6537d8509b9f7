/*
 * set_stream.c - SetStream: messages are taken as they come, on the I/O thread, or on compute where
 * they are long; at the finish it is a Set (set.c). Until then nothing is stored, so that of a
 * stream that is cut, refused or drained nothing is kept; its lease goes on to the next in line.
 * Owns nothing. Threads: I/O, compute.
 */
#include "base/check.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/set.h"

static void pass_lease(struct call *call)
{
    const struct codec_capture *capture = call->work;
    uint32_t waiters = 0;
    if (capture != NULL)
        (void)cache_release_lease(call_door(call)->cache, codec_capture_lease(capture),
                                  clock_monotonic_us(), &waiters);
}

static void fail(struct call *call, enum status status, struct failure *failure)
{
    pass_lease(call);
    reply_outcome(call, status, NULL, failure);
}

static void drop(struct call *call, enum call_fate fate)
{
    pass_lease(call);
    call_drop(call, fate);
}

static void refuse(struct call *call)
{
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    pass_lease(call);
    reply_overloaded(call);
}

/* ---- The finish ---- */

static void store(struct call *call)
{
    struct text request;
    if (codec_capture_request(call->work, &request) == STATUS_OK)
        set_run(call, request, codec_capture_lease(call->work), codec_write_set_stream);
    else
        fail(call, STATUS_NO_MEMORY, &(struct failure){.status = STATUS_OK});
}

static void store_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        store(call);
    else
        drop(call, fate);
}

static void store_later(struct call *call)
{
    if (call_hand_off(call, store_on_compute) != STATUS_OK)
        refuse(call);
}

/* ---- Messages ---- */

static enum status take(struct call *call, enum codec_part *out_part, struct failure *failure)
{
    struct text message;
    if (call->work == NULL)
        call->work = codec_capture_create(call->arena);
    if (call->work == NULL)
        return STATUS_NO_MEMORY;
    enum status status = call_message(call, &message);
    if (status != STATUS_OK)
        return status;
    status = codec_capture_take(call->work, message, call_door(call)->limits, out_part, failure);
    if (status == STATUS_OK)
        cache_renew_lease(call_door(call)->cache, codec_capture_lease(call->work),
                          clock_monotonic_us());
    return status;
}

static void read_on(struct call *call)
{
    call_drop_message(call);
    if (call_read(call))
        return;
    pass_lease(call);
    reply_draining(call);
}

/* `finish`: how to go on from this thread. */
static void take_and_go_on(struct call *call, void (*finish)(struct call *call))
{
    struct failure failure = {.status = STATUS_OK};
    enum codec_part part = CODEC_PART_NONE;
    const enum status status = take(call, &part, &failure);
    if (status != STATUS_OK)
        fail(call, status, &failure);
    else if (part == CODEC_PART_FINISH)
        finish(call);
    else
        read_on(call);
}

static void take_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        take_and_go_on(call, store);
    else
        drop(call, fate);
}

void handle_set_stream(struct call *call)
{
    if (call_message_length(call) <= HANDLER_INLINE_BYTES)
        take_and_go_on(call, store_later);
    else if (call_hand_off(call, take_on_compute) != STATUS_OK)
        refuse(call);
}

/* The caller has ended its side, or gone, or the server is stopping. */
void set_stream_ended(struct call *call)
{
    struct failure failure = {.status = STATUS_OK};
    (void)failure_set(&failure, STATUS_BAD_MESSAGE, "finish",
                      "the stream ended without it, so that nothing is stored");
    fail(call, failure.status, &failure);
}
