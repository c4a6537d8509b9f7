/*
 * get.c - Get. An exact hit is answered by the I/O thread that received the question; only its miss
 * travels to compute. Owns nothing. Threads: I/O, then compute.
 */
#include "base/check.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

struct get_work { /* in the call's arena */
    struct cache_get_request request;
    struct cache_get get;
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

static void finish(struct call *call, struct cache_get *get)
{
    struct failure failure = {.status = STATUS_OK};
    enum status status = cache_get_finish(call_door(call)->cache, get, clock_wall_ms(),
                                          clock_monotonic_us(), &failure);
    if (status == STATUS_OK) {
        answer(call, get);
        return;
    }
    cache_get_release(get);
    reply_outcome(call, status, NULL, &failure);
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

/* A full compute queue: the cache fails open, unless the operator wants the error. */
static void answer_without_compute(struct call *call, struct cache_get *get)
{
    struct door *door = call_door(call);
    counters_add(door->counters, DOOR_SHED_QUEUE, 1);
    if (door->degrade) {
        cache_get_overloaded(door->cache, get);
        answer(call, get);
    } else {
        cache_get_release(get);
        reply_overloaded(call);
    }
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
    else if (call_hand_off(call, finish_on_compute) != STATUS_OK)
        answer_without_compute(call, &work->get);
}
