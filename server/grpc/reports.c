/*
 * reports.c - BatchReport: many verdicts in one call, on compute. Owns nothing. Threads: I/O, then
 * compute.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

static enum status report_all(struct call *call, struct codec_reply *out_reply,
                              struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct codec_report *reports = NULL;
    size_t count = 0;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_batch_report(message, door->limits, call->arena, &reports, &count,
                                         failure);
    if (status != STATUS_OK)
        return status;
    struct codec_report_result *results = arena_calloc(call->arena, count, sizeof(*results));
    if (results == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        results[i].outcome = cache_report_verdict(door->cache, &reports[i].report, clock_wall_ms(),
                                                  &results[i].left);
    return codec_write_batch_report(reports, results, count, call->arena, out_reply);
}

static void report_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = report_all(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

void handle_batch_report(struct call *call)
{
    call_hand_off_or_refuse(call, report_on_compute);
}
