/*
 * touch.c - Touch, on compute: the rows of what is touched are made again. Owns nothing. Threads:
 * I/O, then compute.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

static enum status touch(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct cache_touch_request request;
    struct cache_touch_reply reply;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_touch(message, door->limits, call->arena, &request, failure);
    if (status != STATUS_OK)
        return status;
    request.tenant = door_tenant;
    status = cache_touch(door->cache, &request, call->arena, clock_wall_ms(), &reply, failure);
    return status == STATUS_OK ? codec_write_touch(&reply, call->arena, out_reply) : status;
}

static void touch_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = touch(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

void handle_touch(struct call *call)
{
    call_hand_off_or_refuse(call, touch_on_compute);
}
