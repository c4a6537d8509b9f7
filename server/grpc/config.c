/*
 * config.c - GetConfig, SetConfig, on compute: a change may walk over every scope. Owns nothing.
 * Threads: I/O hands off, then compute.
 */
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/live.h"

typedef enum status config_work(struct call *call, struct text message,
                                struct codec_reply *out_reply, struct failure *failure);

static enum status get_config(struct call *call, struct text message, struct codec_reply *out_reply,
                              struct failure *failure)
{
    const struct door *door = call_door(call);
    struct options *options = NULL;
    struct text prefix;
    enum status status =
        codec_read_get_config(message, door->limits, call->arena, &prefix, failure);
    if (status == STATUS_OK)
        status = live_copy(door->live, &options);
    if (status == STATUS_OK)
        status = codec_write_get_config(options, prefix, call->arena, out_reply, failure);
    options_destroy(&options);
    return status;
}

static enum status set_config(struct call *call, struct text message, struct codec_reply *out_reply,
                              struct failure *failure)
{
    const struct door *door = call_door(call);
    struct options *after = NULL;
    struct codec_config config;
    enum status status =
        codec_read_set_config(message, door->limits, call->arena, &config, failure);
    if (status == STATUS_OK)
        status =
            live_change(door->live, config.changes, config.count, config.dry_run, &after, failure);
    if (status == STATUS_OK)
        status = codec_write_set_config(after, &config, call->arena, out_reply);
    options_destroy(&after);
    return status;
}

static void answer(struct pool_job *job, config_work *work)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct text message;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = work(call, message, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

static void get_on_compute(struct pool_job *job)
{
    answer(job, get_config);
}

static void set_on_compute(struct pool_job *job)
{
    answer(job, set_config);
}

void handle_get_config(struct call *call)
{
    call_hand_off_or_refuse(call, get_on_compute);
}

void handle_set_config(struct call *call)
{
    call_hand_off_or_refuse(call, set_on_compute);
}
