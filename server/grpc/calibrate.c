/*
 * calibrate.c - Calibrate: labelled pairs, message by message; each is read and embedded on compute
 * before the next one is asked for, and then only its counts are kept. When the caller has ended
 * its side, the curve. What is counted lies outside of the arena, which every message empties, and
 * goes with whatever ends the call. Threads: I/O, compute.
 */
#include <stdlib.h>

#include "base/check.h"
#include "cache/calibrate.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/vectors.h"

struct calibrating { /* call->work; from the heap */
    struct cache_calibration calibration;
    bool has_begun;
    struct cache_pairs batch; /* in the arena, of the message at hand */
    struct vectors *vectors;  /* the same; NULL: none were made for it */
};

static void forget(struct call *call)
{
    free(call->work);
    call->work = NULL;
}

static void fail(struct call *call, enum status status, struct failure *failure)
{
    forget(call);
    reply_outcome(call, status, NULL, failure);
}

static void drop(struct call *call, enum call_fate fate)
{
    forget(call);
    call_drop(call, fate);
}

static void refuse(struct call *call)
{
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    forget(call);
    reply_overloaded(call);
}

/* ---- One message ---- */

static void add(struct call *call)
{
    struct calibrating *work = call->work;
    struct failure failure = {.status = STATUS_OK};
    for (size_t i = 0; work->vectors != NULL && i < work->vectors->count; i++)
        work->batch.statuses[i] = work->vectors->waits[i].status;
    const enum status status = cache_calibrate_add(call_door(call)->cache, &work->calibration,
                                                   &work->batch, call->arena, &failure);
    if (status != STATUS_OK) {
        fail(call, status, &failure);
        return;
    }
    call_forget_message(call);
    if (call_read(call))
        return;
    forget(call);
    reply_draining(call);
}

static void add_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        add(call);
    else
        drop(call, fate);
}

static void embed(struct call *call)
{
    struct calibrating *work = call->work;
    struct cache *cache = call_door(call)->cache;
    struct failure failure = {.status = STATUS_OK};
    struct vectors *vectors =
        vectors_create(call, 2 * work->batch.count, true, add_on_compute, refuse);
    if (vectors == NULL) {
        fail(call, STATUS_NO_MEMORY, &failure);
        return;
    }
    work->vectors = vectors;
    vectors_begin(vectors);
    for (size_t i = 0; i < vectors->count; i++)
        cache_calibrate_embed(cache, &work->calibration, &work->batch, i, vectors_next(vectors, i));
    vectors_end(vectors);
}

static enum status begin(struct call *call, const struct codec_calibrate *request,
                         struct failure *failure)
{
    struct calibrating *work = call->work;
    struct cache_policy_scope scope = request->scope;
    if (work->has_begun && (request->has_scope || request->has_error_max))
        return failure_set(failure, STATUS_BAD_MESSAGE, request->has_scope ? "scope" : "error_max",
                           "of the first message alone");
    if (work->has_begun)
        return STATUS_OK;
    scope.tenant = door_tenant;
    work->has_begun = true;
    return cache_calibrate_begin(call_door(call)->cache, &scope, request->error_max,
                                 &work->calibration, failure);
}

static enum status take(struct call *call, enum cache_step *out_step, struct failure *failure)
{
    struct calibrating *work = call->work;
    struct door *door = call_door(call);
    struct codec_calibrate request;
    struct text message;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_calibrate(message, door->limits, call->arena, &request, failure);
    if (status == STATUS_OK)
        status = begin(call, &request, failure);
    work->vectors = NULL;
    return status != STATUS_OK
               ? status
               : cache_calibrate_check(door->cache, &work->calibration, request.pairs,
                                       request.count, call->arena, &work->batch, out_step, failure);
}

static void take_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    struct failure failure = {.status = STATUS_OK};
    enum cache_step step = CACHE_DONE;
    if (fate != CALL_WANTED) {
        drop(call, fate);
        return;
    }
    const enum status status = take(call, &step, &failure);
    if (status != STATUS_OK)
        fail(call, status, &failure);
    else if (step == CACHE_NEEDS_VECTOR)
        embed(call);
    else
        add(call);
}

void handle_calibrate(struct call *call)
{
    if (call->work == NULL)
        call->work = calloc(1, sizeof(struct calibrating));
    if (call->work == NULL)
        reply_status(call, STATUS_NO_MEMORY);
    else if (call_hand_off(call, take_on_compute) != STATUS_OK)
        refuse(call);
}

/* ---- The end ---- */

static void show_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const struct calibrating *work = call->work;
    const enum call_fate fate = call_fate(call);
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    if (fate != CALL_WANTED) {
        drop(call, fate);
        return;
    }
    const enum status status = codec_write_calibrate(&work->calibration, call->arena, &reply);
    forget(call);
    reply_outcome(call, status, &reply, &failure);
}

/* The caller has ended its side, or gone, or the server is stopping. */
void calibrate_ended(struct call *call)
{
    const struct calibrating *work = call->work;
    struct failure failure = {.status = STATUS_OK};
    if (work == NULL || work->calibration.curve.pairs == 0) {
        (void)failure_set(&failure, STATUS_BAD_MESSAGE, "pairs", "the stream ended without any");
        fail(call, failure.status, &failure);
    } else if (call_hand_off(call, show_on_compute) != STATUS_OK) {
        refuse(call);
    }
}
