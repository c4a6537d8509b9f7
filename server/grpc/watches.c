/*
 * watches.c - WatchStats and Monitor: what the two streams tell. Owns nothing but a Monitor's
 * watch, from begin to end. Threads: I/O begins, compute tells, any owner ends.
 */
#include "base/clock.h"
#include "cache/monitor.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/watch.h"

enum { MONITOR_INTERVAL_MS = 100 }; /* a tenth of a second, as monitor.h has room for */

/* ---- WatchStats ---- */

struct stats_watch {
    struct watch watch; /* first, so that it is one */
    struct text namespace_;
};

static enum status begin_stats(struct call *call, struct watch *watch, struct text message,
                               struct failure *failure)
{
    struct stats_watch *stats = (struct stats_watch *)watch;
    return codec_read_watch_stats(message, call_door(call)->limits, call->arena, &stats->namespace_,
                                  &watch->interval_ms, failure);
}

static enum status tell_stats(struct call *call, struct watch *watch, struct arena *arena,
                              struct codec_reply *out_reply, struct failure *failure)
{
    const struct door *door = call_door(call);
    const struct stats_watch *stats = (const struct stats_watch *)watch;
    struct cache_stats counted;
    const enum status status =
        cache_stats(door->cache, door_tenant, stats->namespace_, arena, clock_wall_ms(), &counted);
    if (status != STATUS_OK)
        return status;
    return codec_write_watch_stats(&counted, door->limits, arena, out_reply, failure);
}

void handle_watch_stats(struct call *call)
{
    static const struct watch_way way = {
        .watch_bytes = sizeof(struct stats_watch), .begin = begin_stats, .tell = tell_stats};
    watch_run(call, &way);
}

/* ---- Monitor ---- */

struct monitor_stream {
    struct watch watch; /* first, so that it is one */
    struct monitor_watch *seen;
    bool is_begun; /* the first message, which is empty, has been told */
};

static enum status begin_monitor(struct call *call, struct watch *watch, struct text message,
                                 struct failure *failure)
{
    const struct door *door = call_door(call);
    struct monitor_stream *stream = (struct monitor_stream *)watch;
    struct monitor_filter filter;
    enum status status = codec_read_monitor(message, door->limits, call->arena, &filter, failure);
    if (status != STATUS_OK)
        return status;
    filter.tenant = door_tenant;
    watch->interval_ms = MONITOR_INTERVAL_MS;
    status = monitor_watch_begin(cache_monitor(door->cache), &filter, &stream->seen);
    if (status == STATUS_LIMIT_EXCEEDED)
        return failure_set(failure, status, "", "%d watch already", MONITOR_WATCHES_MAX);
    return status;
}

static enum status tell_decisions(struct call *call, struct watch *watch, struct arena *arena,
                                  struct codec_reply *out_reply, struct failure *failure)
{
    const struct door *door = call_door(call);
    struct monitor_stream *stream = (struct monitor_stream *)watch;
    const struct monitor_decision *decisions = NULL;
    uint64_t dropped = 0;
    const size_t count = monitor_watch_take(cache_monitor(door->cache), stream->seen,
                                            clock_monotonic_us(), &decisions, &dropped);
    if (count == 0 && dropped == 0 && stream->is_begun) {
        *out_reply = (struct codec_reply){.tail_entry = NULL};
        return STATUS_OK;
    }
    stream->is_begun = true;
    return codec_write_monitor(decisions, count, dropped, door->limits, arena, out_reply, failure);
}

static void end_monitor(struct call *call, struct watch *watch)
{
    struct monitor_stream *stream = (struct monitor_stream *)watch;
    monitor_watch_end(cache_monitor(call_door(call)->cache), &stream->seen);
}

void handle_monitor(struct call *call)
{
    static const struct watch_way way = {.watch_bytes = sizeof(struct monitor_stream),
                                         .begin = begin_monitor,
                                         .tell = tell_decisions,
                                         .end = end_monitor};
    watch_run(call, &way);
}
