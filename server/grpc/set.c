/*
 * set.c - Set, Delete, Invalidate. Set stores and Invalidate walks the table: both are unpacked and
 * done on compute, and so is a Delete that is long. Between the two halves of a Set its text is
 * with the embedder. A reply that is to wait for the disk leaves from `woken`. Owns nothing.
 * Threads: I/O, then compute, then perhaps I/O again.
 */
#include "base/check.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/acks.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/set.h"
#include "server/grpc/vectors.h"

/* ---- Set ---- */

struct set_work { /* in the call's arena */
    struct cache_set_request request;
    struct cache_set set;
    set_writer *write;
    struct text lease;       /* that goes on if nothing is stored; empty: none */
    struct vectors *vectors; /* of one text; NULL: none is made */
    struct acks *acks;       /* of one record; NULL: nobody waits for it */
    enum status status;      /* of storing */
    struct failure failure;
};

/* Nothing, if the Set has filled it. */
static void pass_lease(struct call *call, struct text lease)
{
    uint32_t waiters = 0;
    if (lease.length > 0)
        (void)cache_release_lease(call_door(call)->cache, lease, clock_monotonic_us(), &waiters);
}

static void answer_set(struct call *call)
{
    struct set_work *work = call->work;
    struct codec_reply reply;
    enum status status = work->status;
    if (status != STATUS_OK)
        pass_lease(call, work->lease);
    if (status == STATUS_OK)
        status = work->write(&work->set.reply, call->arena, &reply);
    reply_outcome(call, status, &reply, &work->failure);
}

void set_woken(struct call *call)
{
    struct set_work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) { /* stored it is */
        call_drop(call, fate);
        return;
    }
    if (work->status == STATUS_OK)
        work->status = ack_outcome(&work->acks->items[0], &work->failure);
    answer_set(call);
}

static void store(struct call *call, enum status embedded, const struct cache_waiter *waiter)
{
    struct set_work *work = call->work;
    work->status = cache_set_finish(call_door(call)->cache, &work->set, embedded, clock_wall_ms(),
                                    waiter, &work->failure);
}

static void finish_set(struct call *call, enum status embedded)
{
    struct set_work *work = call->work;
    if (work->acks == NULL) {
        if (work->set.step != CACHE_DONE)
            store(call, embedded, NULL);
        answer_set(call);
        return;
    }
    assert(work->set.step != CACHE_DONE);
    struct acks *acks = work->acks;
    acks_begin(acks);
    store(call, embedded, &(struct cache_waiter){acks_expect, acks_done, &acks->items[0]});
    acks_end(acks);
}

static void set_embedded(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const struct set_work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        finish_set(call, work->vectors->waits[0].status);
    if (fate == CALL_WANTED)
        return;
    pass_lease(call, work->lease);
    call_drop(call, fate);
}

static void refuse(struct call *call)
{
    const struct set_work *work = call->work;
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    pass_lease(call, work->lease);
    reply_overloaded(call);
}

/* Room for what the Set will wait for. */
static enum status make_waits(struct call *call, struct set_work *work)
{
    if (work->set.step == CACHE_NEEDS_VECTOR) {
        work->vectors = vectors_create(call, 1, false, set_embedded, refuse);
        if (work->vectors == NULL)
            return STATUS_NO_MEMORY;
    }
    if (work->set.step != CACHE_DONE && work->set.ack > ACK_MEMORY) {
        work->acks = acks_create(call, 1);
        if (work->acks == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status begin_set(struct call *call, struct text request, struct text lease,
                             set_writer *write, struct failure *failure)
{
    struct door *door = call_door(call);
    struct set_work *work = arena_calloc(call->arena, 1, sizeof(*work));
    if (work == NULL)
        return STATUS_NO_MEMORY;
    enum status status =
        codec_read_set(request, door->limits, call->arena, &work->request, failure);
    if (status != STATUS_OK)
        return status;
    call->work = work;
    work->write = write;
    work->lease = lease;
    work->request.identity.tenant = door_tenant;
    status = cache_set_begin(door->cache, &work->request, call->arena, clock_wall_ms(), &work->set,
                             failure);
    return status == STATUS_OK ? make_waits(call, work) : status;
}

void set_run(struct call *call, struct text request, struct text lease, set_writer *write)
{
    struct failure failure = {.status = STATUS_OK};
    enum status status = begin_set(call, request, lease, write, &failure);
    struct set_work *work = call->work;
    if (status != STATUS_OK) {
        pass_lease(call, lease);
        reply_outcome(call, status, NULL, &failure);
    } else if (work->vectors == NULL) {
        finish_set(call, STATUS_OK);
    } else {
        struct vectors *vectors = work->vectors;
        vectors_begin(vectors);
        cache_set_embed(call_door(call)->cache, &work->set, vectors_next(vectors, 0));
        vectors_end(vectors);
    }
}

static void set_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    struct text message;
    if (fate != CALL_WANTED)
        call_drop(call, fate);
    else if (call_message(call, &message) != STATUS_OK)
        reply_status(call, STATUS_NO_MEMORY);
    else
        set_run(call, message, TEXT(""), codec_write_set);
}

void handle_set(struct call *call)
{
    call_hand_off_or_refuse(call, set_on_compute);
}

/* ---- Invalidate, Delete ---- */

/* Both pack their reply as soon as they know it; where it is to wait for the disk, it waits. */
struct removal_work { /* in the call's arena */
    struct codec_reply reply;
    struct acks *acks; /* NULL: nobody waits */
    enum status status;
    struct failure failure;
};

typedef enum status removal(struct call *call, const struct cache_waiter *waiter,
                            struct codec_reply *out_reply, struct failure *failure);

static enum status invalidate(struct call *call, const struct cache_waiter *waiter,
                              struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct cache_selector selector;
    struct cache_invalidate_reply reply;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_invalidate(message, door->limits, call->arena, &selector, failure);
    if (status != STATUS_OK)
        return status;
    selector.tenant = door_tenant;
    selector.now_ms = clock_wall_ms();
    status = cache_invalidate(door->cache, &selector, waiter, &reply, failure);
    return status == STATUS_OK ? codec_write_invalidate(&reply, call->arena, out_reply) : status;
}

static enum status delete_entries(struct call *call, const struct cache_waiter *waiter,
                                  struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct cache_delete_request request;
    uint32_t deleted = 0;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_delete(message, door->limits, call->arena, &request, failure);
    if (status != STATUS_OK)
        return status;
    request.tenant = door_tenant;
    status = cache_delete(door->cache, &request, call->arena, waiter, &deleted, failure);
    return status == STATUS_OK ? codec_write_delete(deleted, call->arena, out_reply) : status;
}

static void removal_woken(struct call *call)
{
    struct removal_work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) { /* gone they are */
        call_drop(call, fate);
        return;
    }
    if (work->status == STATUS_OK)
        work->status = ack_outcome(&work->acks->items[0], &work->failure);
    reply_outcome(call, work->status, &work->reply, &work->failure);
}

void invalidate_woken(struct call *call)
{
    removal_woken(call);
}

void delete_woken(struct call *call)
{
    removal_woken(call);
}

static void remove_now(struct call *call, removal *remove)
{
    struct removal_work *work = arena_calloc(call->arena, 1, sizeof(*work));
    const bool waits = cache_ack_removal(call_door(call)->cache) > ACK_MEMORY;
    if (work != NULL && waits)
        work->acks = acks_create(call, 1);
    if (work == NULL || (waits && work->acks == NULL)) {
        reply_status(call, STATUS_NO_MEMORY);
        return;
    }
    call->work = work;
    if (!waits) {
        work->status = remove(call, NULL, &work->reply, &work->failure);
        reply_outcome(call, work->status, &work->reply, &work->failure);
        return;
    }
    struct acks *acks = work->acks;
    const struct cache_waiter waiter = {acks_expect, acks_done, &acks->items[0]};
    acks_begin(acks);
    work->status = remove(call, &waiter, &work->reply, &work->failure);
    acks_end(acks);
}

static void remove_on_compute(struct pool_job *job, removal *remove)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        remove_now(call, remove);
    else
        call_drop(call, fate);
}

static void invalidate_on_compute(struct pool_job *job)
{
    remove_on_compute(job, invalidate);
}

static void delete_on_compute(struct pool_job *job)
{
    remove_on_compute(job, delete_entries);
}

void handle_invalidate(struct call *call)
{
    call_hand_off_or_refuse(call, invalidate_on_compute);
}

void handle_delete(struct call *call)
{
    if (call_message_length(call) > HANDLER_INLINE_BYTES)
        call_hand_off_or_refuse(call, delete_on_compute);
    else
        remove_now(call, delete_entries);
}
