/*
 * admin.c - Report and Stats. A report is short enough for the I/O thread; Stats walks every
 * namespace and scope (9 ms at 100,000 namespaces), so it goes to compute. Owns nothing. Threads:
 * I/O, then compute.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

static enum status report(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct codec_report request;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_report(message, door->limits, call->arena, &request, failure);
    if (status != STATUS_OK)
        return status;
    uint32_t left = 0;
    enum cache_outcome outcome =
        cache_report_verdict(door->cache, &request.report, clock_wall_ms(), &left);
    return codec_write_report(request.feedback_id, outcome, left, call->arena, out_reply);
}

void handle_report(struct call *call)
{
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = report(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

static enum status stats(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message, namespace_;
    struct cache_stats counted;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_stats(message, door->limits, call->arena, &namespace_, failure);
    if (status == STATUS_OK) {
        status = cache_stats(door->cache, door_tenant, namespace_, call->arena, clock_wall_ms(),
                             &counted);
    }
    if (status != STATUS_OK)
        return status;
    return codec_write_stats(&counted, door->limits, call->arena, out_reply, failure);
}

static void stats_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = stats(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

void handle_stats(struct call *call)
{
    call_hand_off_or_refuse(call, stats_on_compute);
}
