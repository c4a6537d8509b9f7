/*
 * set.c - Set, Delete, Invalidate. Set stores and Invalidate walks the table: both are unpacked and
 * done on compute, and so is a Delete that is long. Between the two halves of a Set its text is
 * with the embedder. Owns nothing. Threads: I/O, then compute.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/vectors.h"

/* ---- Set ---- */

struct set_work { /* in the call's arena */
    struct cache_set_request request;
    struct cache_set set;
    struct vectors *vectors; /* of one text; NULL: none is made */
};

static void finish_set(struct call *call, enum status embedded)
{
    struct set_work *work = call->work;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = STATUS_OK;
    if (work->set.step != CACHE_DONE)
        status = cache_set_finish(call_door(call)->cache, &work->set, embedded, clock_wall_ms(),
                                  &failure);
    if (status == STATUS_OK)
        status = codec_write_set(&work->set.reply, call->arena, &reply);
    reply_outcome(call, status, &reply, &failure);
}

static void set_embedded(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const struct set_work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        finish_set(call, work->vectors->waits[0].status);
    else
        call_drop(call, fate);
}

static void refuse(struct call *call)
{
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    reply_overloaded(call);
}

static enum status begin_set(struct call *call, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct set_work *work = arena_calloc(call->arena, 1, sizeof(*work));
    enum status status = work != NULL ? call_message(call, &message) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = codec_read_set(message, door->limits, call->arena, &work->request, failure);
    if (status != STATUS_OK)
        return status;
    call->work = work;
    work->request.identity.tenant = door_tenant;
    status = cache_set_begin(door->cache, &work->request, call->arena, clock_wall_ms(), &work->set,
                             failure);
    if (status != STATUS_OK || work->set.step != CACHE_NEEDS_VECTOR)
        return status;
    work->vectors = vectors_create(call, 1, false, set_embedded, refuse);
    return work->vectors != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void set_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct failure failure = {.status = STATUS_OK};
    enum status status = begin_set(call, &failure);
    struct set_work *work = call->work;
    if (status != STATUS_OK) {
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

void handle_set(struct call *call)
{
    call_hand_off_or_refuse(call, set_on_compute);
}

/* ---- Invalidate, Delete ---- */

static enum status invalidate(struct call *call, struct codec_reply *out_reply,
                              struct failure *failure)
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
    status = cache_invalidate(door->cache, &selector, &reply, failure);
    return status == STATUS_OK ? codec_write_invalidate(&reply, call->arena, out_reply) : status;
}

static void invalidate_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = invalidate(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

void handle_invalidate(struct call *call)
{
    call_hand_off_or_refuse(call, invalidate_on_compute);
}

static enum status delete_entries(struct call *call, struct codec_reply *out_reply,
                                  struct failure *failure)
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
    status = cache_delete(door->cache, &request, call->arena, &deleted, failure);
    return status == STATUS_OK ? codec_write_delete(deleted, call->arena, out_reply) : status;
}

static void delete_now(struct call *call)
{
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = delete_entries(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

static void delete_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        delete_now(call);
    else
        call_drop(call, fate);
}

void handle_delete(struct call *call)
{
    if (call_message_length(call) > HANDLER_INLINE_BYTES)
        call_hand_off_or_refuse(call, delete_on_compute);
    else
        delete_now(call);
}
