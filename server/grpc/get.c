/*
 * get.c - Get. An exact hit is answered by the I/O thread that received the question; only its miss
 * travels: to compute, or to the embedder, which says on a compute thread that the vector is there.
 * A miss that is to wait for another's answer parks itself with the cache's leases and goes on, on
 * an I/O thread, when that answer is there, or the lease has come to it, or its time is over.
 * Owns nothing. Threads: I/O, then compute; what the embedder refuses may end on any.
 */
#include <stddef.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/get.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

enum { LEASE_LATENESS_US = 100 * 1000 };

static void send(struct call *call, struct cache_get *get)
{
    const struct get_work *work = call->work;
    work->way->send(call, get);
}

/* ---- Leases ---- */

static void lease_woke(struct lease_waiter *waiter, enum lease_end end)
{
    struct call *call = waiter->context;
    struct get_work *work = call->work;
    work->end = end;
    call_wake(call);
}

/* The caller has gone: what waits for it is taken back, and dropped by get_woken. */
void get_closed(struct call *call)
{
    struct get_work *work = atomic_load(&call->watched);
    if (work != NULL && cache_get_unwait(call_door(call)->cache, &work->waiter))
        call_wake(call);
}

/* A lease that came to somebody who has gone goes on. */
static void drop_woken(struct call *call, struct get_work *work, enum call_fate fate)
{
    uint32_t waiters = 0;
    char token[CACHE_LEASE_TEXT + 1];
    if (work->end == LEASE_YOURS) {
        const size_t length = base64url_encode(work->waiter.token, LEASE_TOKEN_BYTES, token);
        (void)cache_release_lease(call_door(call)->cache, (struct text){token, length},
                                  clock_monotonic_us(), &waiters);
    }
    cache_get_release(&work->get);
    call_drop(call, fate);
}

void get_woken(struct call *call)
{
    struct get_work *work = call->work;
    const enum call_fate fate = call_fate(call);
    door_leave_waiting(call_door(call));
    if (fate != CALL_WANTED) {
        drop_woken(call, work, fate);
        return;
    }
    cache_get_woken(call_door(call)->cache, &work->get, &work->waiter, work->end, clock_wall_ms(),
                    clock_monotonic_us());
    send(call, &work->get);
}

/* Leases are looked at every 50 ms, so who is to be told in time is told that much earlier. */
static uint64_t wait_until_us(const struct call *call)
{
    const uint64_t due_us = call_due_us(call), now_us = clock_monotonic_us();
    if (due_us == 0)
        return 0;
    const uint64_t left_us = due_us > now_us ? due_us - now_us : 0;
    return due_us - (left_us / 2 < LEASE_LATENESS_US ? left_us / 2 : LEASE_LATENESS_US);
}

static void ask_lease(struct call *call)
{
    struct get_work *work = call->work;
    struct door *door = call_door(call);
    const bool waits = work->request.lease == CACHE_LEASE_WAIT && door_enter_waiting(door);
    if (waits) {
        work->end = LEASE_TIMEOUT;
        work->waiter = (struct lease_waiter){.woken = lease_woke,
                                             .context = call,
                                             .gone = &call->closed,
                                             .give_up_us = wait_until_us(call)};
        atomic_store(&call->watched, work);
        call_park(call);
    }
    if (cache_get_lease(door->cache, &work->get, waits ? &work->waiter : NULL, clock_wall_ms(),
                        clock_monotonic_us()))
        return;
    if (waits) {
        call_unpark(call);
        door_leave_waiting(door);
    }
    send(call, &work->get);
}

/* ---- The end ---- */

static void answer(struct call *call, struct cache_get *get)
{
    if (get->lease_due)
        ask_lease(call);
    else
        send(call, get);
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
        status = work->way->read(work, message, door->limits, failure);
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
    enum status status = begin(call, call->work, out_step, &failure);
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

void get_run(struct call *call, const struct get_way *way)
{
    struct get_work *work = arena_alloc(call->arena, way->work_bytes);
    if (work == NULL) {
        reply_status(call, STATUS_NO_MEMORY);
        return;
    }
    work->way = way;
    work->call = call;
    call->work = work;
    if (call_message_length(call) > HANDLER_INLINE_BYTES) {
        call_hand_off_or_refuse(call, all_on_compute);
        return;
    }
    enum cache_step step;
    if (!begin_or_refuse(call, &step))
        return;
    if (step == CACHE_DONE)
        answer(call, &work->get);
    else if (step == CACHE_NEEDS_VECTOR)
        embed(call, work);
    else if (call_hand_off(call, finish_on_compute) != STATUS_OK)
        answer_without_room(call, &work->get);
}

/* ---- Get itself ---- */

static enum status read_get(struct get_work *work, struct text message,
                            const struct codec_limits *limits, struct failure *failure)
{
    return codec_read_get(message, limits, work->call->arena, &work->request, failure);
}

static void send_reply(struct call *call, struct cache_get *get)
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

void handle_get(struct call *call)
{
    static const struct get_way way = {
        .work_bytes = sizeof(struct get_work), .read = read_get, .send = send_reply};
    get_run(call, &way);
}
