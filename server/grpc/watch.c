/*
 * watch.c - a stream that tells something from time to time. Each turn: a timer wakes the call on
 * an I/O thread, compute makes the message in an arena that the queue lends, it is written, and
 * when it has left the call rests again. So a caller that does not read holds up its own stream
 * alone, until server.send_timeout; and a turn that finds compute full is left out.
 *
 * The end of a drain hurries the timers: who rests is woken, who does not finds that it cannot
 * rest. Owns nothing. Threads: the call's owner; watch_closed any of the queue.
 */
#include "server/grpc/watch.h"

#include "base/check.h"
#include "base/clock.h"
#include "server/grpc/handlers.h"
#include "server/grpc/queue.h"
#include "server/grpc/reply.h"

static void let_go(struct call *call)
{
    struct watch *watch = call->work;
    if (watch->way->end != NULL)
        watch->way->end(call, watch);
}

static void end(struct call *call, enum status status)
{
    let_go(call);
    reply_status(call, status);
}

/* True: nobody waits for it any more, or nobody will be told anything; and it has been ended. */
static bool ended(struct call *call)
{
    const enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        let_go(call);
        call_drop(call, fate);
        return true;
    }
    if (atomic_load(&call_door(call)->stage) != DOOR_ENDING)
        return false;
    end(call, STATUS_DRAINING);
    return true;
}

/* Turns keep their rhythm; those that were missed are left out. */
static void rest(struct call *call)
{
    struct watch *watch = call->work;
    const uint64_t interval_us = (uint64_t)watch->interval_ms * 1000;
    const uint64_t now_us = clock_monotonic_us();
    watch->told_us += interval_us;
    if (watch->told_us < now_us)
        watch->told_us = now_us;
    watch->timer.due_us = watch->told_us;
    call_park(call);
    if (timers_arm(call_door(call)->timers, &watch->timer))
        return;
    call_unpark(call);
    end(call, atomic_load(&call->closed) ? STATUS_CANCELLED : STATUS_DRAINING);
}

static void fire(struct timer *timer)
{
    call_wake(timer->context);
}

static void tell(struct call *call, struct arena *arena)
{
    struct watch *watch = call->work;
    struct codec_reply reply = {.tail_entry = NULL};
    struct failure failure = {.status = STATUS_OK};
    const enum status status = watch->way->tell(call, watch, arena, &reply, &failure);
    if (status != STATUS_OK) {
        let_go(call);
        reply_outcome(call, status, NULL, &failure);
    } else if (reply.head.length > 0) {
        reply_write_parts(call, &reply); /* copies it */
    } else {
        rest(call);
    }
}

static void tell_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    struct queue *queue = call->queue;
    if (ended(call))
        return;
    struct arena *arena = queue_take_arena(queue);
    if (arena == NULL) {
        end(call, STATUS_NO_MEMORY);
        return;
    }
    tell(call, arena);
    queue_put_arena(queue, arena);
}

static void take_turn(struct call *call)
{
    if (call_hand_off(call, tell_on_compute) != STATUS_OK)
        rest(call);
}

void watch_run(struct call *call, const struct watch_way *way)
{
    struct text message;
    struct failure failure = {.status = STATUS_OK};
    struct watch *watch = arena_calloc(call->arena, 1, way->watch_bytes);
    enum status status = watch != NULL ? call_short_message(call, &message, &failure)
                                       : failure_set(&failure, STATUS_NO_MEMORY, "", "%s",
                                                     status_text(STATUS_NO_MEMORY));
    if (status == STATUS_OK) {
        watch->way = way;
        watch->timer = (struct timer){.fire = fire, .context = call, .gone = &call->closed};
        watch->told_us = clock_monotonic_us();
        status = way->begin(call, watch, message, &failure);
    }
    if (status != STATUS_OK) {
        reply_outcome(call, status, NULL, &failure);
        return;
    }
    assert(watch->interval_ms > 0);
    call->work = watch;
    atomic_store(&call->watched, watch);
    take_turn(call);
}

void watch_woken(struct call *call)
{
    if (!ended(call))
        take_turn(call);
}

void watch_written(struct call *call, bool success)
{
    if (!success)
        end(call, STATUS_CANCELLED);
    else if (!ended(call))
        rest(call);
}

void watch_closed(struct call *call)
{
    struct watch *watch = atomic_load(&call->watched);
    if (watch != NULL && timers_cancel(call_door(call)->timers, &watch->timer))
        call_wake(call);
}
