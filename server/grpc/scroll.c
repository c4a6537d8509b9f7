/*
 * scroll.c - Scroll and GetEntry, on compute: a page may look at 50,000 entries, and vectors are
 * copied. Owns nothing. Threads: I/O hands off, then compute.
 */
#include "base/clock.h"
#include "cache/scroll.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

typedef enum status look(struct call *call, struct text message, struct codec_reply *out_reply,
                         struct failure *failure);

static void answer(struct pool_job *job, look *make)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct text message;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = make(call, message, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

static enum status scroll(struct call *call, struct text message, struct codec_reply *out_reply,
                          struct failure *failure)
{
    const struct door *door = call_door(call);
    struct cache_page_request request;
    struct cache_page page;
    enum status status = codec_read_scroll(message, door->limits, call->arena, &request, failure);
    if (status != STATUS_OK)
        return status;
    request.selector.tenant = door_tenant;
    status = cache_scroll(door->cache, &request, call->arena, clock_wall_ms(), &page, failure);
    if (status != STATUS_OK)
        return status;
    status =
        codec_write_scroll(&page, request.answers, door->limits, call->arena, out_reply, failure);
    cache_page_release(&page);
    return status;
}

static enum status get_entry(struct call *call, struct text message, struct codec_reply *out_reply,
                             struct failure *failure)
{
    const struct door *door = call_door(call);
    struct codec_entry_request request;
    struct cache_page page;
    enum status status =
        codec_read_get_entry(message, door->limits, call->arena, &request, failure);
    if (status == STATUS_OK)
        status = cache_entry(door->cache, door_tenant, &request.entry_id, request.vector,
                             call->arena, clock_wall_ms(), &page, failure);
    if (status != STATUS_OK)
        return status;
    status = codec_write_get_entry(&page, door->limits, call->arena, out_reply, failure);
    cache_page_release(&page);
    return status;
}

static void scroll_on_compute(struct pool_job *job)
{
    answer(job, scroll);
}

static void get_entry_on_compute(struct pool_job *job)
{
    answer(job, get_entry);
}

void handle_scroll(struct call *call)
{
    call_hand_off_or_refuse(call, scroll_on_compute);
}

void handle_get_entry(struct call *call)
{
    call_hand_off_or_refuse(call, get_entry_on_compute);
}
