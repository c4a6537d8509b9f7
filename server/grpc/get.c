/*
 * get.c - Get. An exact hit is answered by the I/O thread that received the question; only its miss
 * travels: to compute, or to the embedder, which says on a compute thread that the vector is there.
 * Owns nothing. Threads: I/O, then compute; what the embedder refuses may end on any.
 */
#include <stddef.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

struct get_work { /* in the call's arena */
    struct cache_get_request request;
    struct cache_get get;
    struct call *call;
    struct embed_job job;
};

static void answer(struct call *call, struct cache_get *get)
{
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = codec_write_get(get, clock_wall_ms(), call_door(call)->limits, call->arena,
                                         &reply, &failure);
    if (status == STATUS_OK)
        reply_prepare(call, &reply);
    cache_get_release(get);
    if (status == STATUS_OK)
        reply_send(call);
    else
        reply_outcome(call, status, NULL, &failure);
}

static void conclude(struct call *call, struct cache_get *get, enum status status,
                     struct failure *failure)
{
    if (status == STATUS_OK) {
        answer(call, get);
        return;
    }
    cache_get_release(get);
    reply_outcome(call, status, NULL, failure);
}

static void finish(struct call *call, struct cache_get *get)
{
    struct failure failure = {.status = STATUS_OK};
    enum status status = cache_get_finish(call_door(call)->cache, get, clock_wall_ms(),
                                          clock_monotonic_us(), &failure);
    conclude(call, get, status, &failure);
}

static void finish_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    struct get_work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED) {
        finish(call, &work->get);
        return;
    }
    cache_get_release(&work->get);
    call_drop(call, fate);
}

/* The cache fails open, unless the operator wants the error. */
static void answer_overloaded(struct call *call, struct cache_get *get)
{
    struct door *door = call_door(call);
    if (door->degrade) {
        cache_get_overloaded(door->cache, get);
        answer(call, get);
    } else {
        cache_get_release(get);
        reply_overloaded(call);
    }
}

static void answer_without_room(struct call *call, struct cache_get *get)
{
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    answer_overloaded(call, get);
}

static void finish_embedded(struct embed_job *job, enum status embedded)
{
    const uint64_t done_us = clock_monotonic_us();
    struct get_work *work =
        (struct get_work *)(void *)((char *)job - offsetof(struct get_work, job));
    struct call *call = work->call;
    assert(embedded != STATUS_OK || thread_is(THREAD_COMPUTE)); /* it searches */
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        cache_get_release(&work->get);
        call_drop(call, fate);
        return;
    }
    if (cache_is_overloaded(embedded)) {
        counters_add(call_door(call)->counters,
                     embedded == STATUS_OVERLOADED ? DOOR_SHED_QUEUE : DOOR_SHED_LATE, 1);
        answer_overloaded(call, &work->get);
        return;
    }
    struct failure failure = {.status = STATUS_OK};
    enum status status = cache_get_finish_embedded(call_door(call)->cache, &work->get, embedded,
                                                   clock_wall_ms(), done_us, &failure);
    conclude(call, &work->get, status, &failure);
}

/* The embedder is the call's carrier, and the last thing that is done here. */
static void embed(struct call *call, struct get_work *work)
{
    work->call = call;
    work->job = (struct embed_job){.done = finish_embedded, .deadline_us = call_due_us(call)};
    call_lend(call);
    cache_get_embed(call_door(call)->cache, &work->get, &work->job);
}

static enum status begin(struct call *call, struct get_work *work, enum cache_step *out_step,
                         struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_get(message, door->limits, call->arena, &work->request, failure);
    if (status != STATUS_OK)
        return status;
    work->request.identity.tenant = door_tenant;
    return cache_get_begin(door->cache, &work->request, call->arena, clock_wall_ms(),
                           call->arrived_us, &work->get, out_step, failure);
}

/* True: the reply may be made, or the next step taken. False: the call has been answered. */
static bool begin_or_refuse(struct call *call, enum cache_step *out_step)
{
    struct failure failure = {.status = STATUS_OK};
    struct get_work *work = arena_alloc(call->arena, sizeof(*work));
    call->work = work;
    enum status status = work != NULL ? begin(call, work, out_step, &failure) : STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        reply_outcome(call, status, NULL, &failure);
    return status == STATUS_OK;
}

static void all_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    enum cache_step step;
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    if (!begin_or_refuse(call, &step))
        return;
    struct get_work *work = call->work;
    if (step == CACHE_DONE)
        answer(call, &work->get);
    else if (step == CACHE_NEEDS_VECTOR)
        embed(call, work);
    else
        finish(call, &work->get);
}

void handle_get(struct call *call)
{
    if (call_message_length(call) > HANDLER_INLINE_BYTES) {
        call_hand_off_or_refuse(call, all_on_compute);
        return;
    }
    enum cache_step step;
    if (!begin_or_refuse(call, &step))
        return;
    struct get_work *work = call->work;
    if (step == CACHE_DONE)
        answer(call, &work->get);
    else if (step == CACHE_NEEDS_VECTOR)
        embed(call, work);
    else if (call_hand_off(call, finish_on_compute) != STATUS_OK)
        answer_without_room(call, &work->get);
}
