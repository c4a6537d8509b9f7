/*
 * set.c - Set, Delete, Invalidate. Set embeds and Invalidate walks the table: both are unpacked and
 * done on compute, and so is a Delete that is long. Owns nothing. Threads: I/O, then compute.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

static enum status set(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct cache_set_request request;
    struct cache_set_reply reply;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_set(message, door->limits, call->arena, &request, failure);
    if (status != STATUS_OK)
        return status;
    request.identity.tenant = door_tenant;
    status = cache_set(door->cache, &request, call->arena, clock_wall_ms(), &reply, failure);
    return status == STATUS_OK ? codec_write_set(&reply, call->arena, out_reply) : status;
}

static void set_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = set(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

void handle_set(struct call *call)
{
    call_hand_off_or_refuse(call, set_on_compute);
}

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
