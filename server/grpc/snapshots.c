/*
 * snapshots.c - CreateSnapshot, ListSnapshots, DeleteSnapshot, Compact. What the custodian does takes as long as it takes: the call is parked meanwhile. Listing and deleting read
 * a folder, so they are done on compute. Owns nothing. Threads: I/O, then compute, then I/O again.
 */
#include "base/check.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

/* ---- CreateSnapshot, Compact ---- */

struct custody { /* what a call waits for; in its arena */
    struct call *call;
    enum status status;
    struct snapshot_info info;
    uint64_t bytes_before;
    struct failure failure;
};

static struct custody *custody_create(struct call *call)
{
    struct custody *custody = arena_calloc(call->arena, 1, sizeof(*custody));
    call->work = custody;
    if (custody == NULL)
        reply_status(call, STATUS_NO_MEMORY);
    else
        custody->call = call;
    return custody;
}

/* True: the call may be answered with what the custodian said. */
static bool is_done_well(struct call *call)
{
    struct custody *custody = call->work;
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED)
        call_drop(call, fate);
    else if (custody->status != STATUS_OK)
        reply_outcome(call, custody->status, NULL, &custody->failure);
    return fate == CALL_WANTED && custody->status == STATUS_OK;
}

static void snapshot_taken(void *context, enum status status, const struct snapshot_info *info)
{
    struct custody *custody = context;
    custody->status = status;
    if (status == STATUS_OK)
        custody->info = *info;
    call_wake(custody->call);
}

void create_snapshot_woken(struct call *call)
{
    if (!is_done_well(call))
        return;
    struct custody *custody = call->work;
    struct codec_reply reply;
    enum status status = codec_write_create_snapshot(&custody->info, call->arena, &reply);
    reply_outcome(call, status, &reply, &custody->failure);
}

void handle_create_snapshot(struct call *call)
{
    struct door *door = call_door(call);
    struct custody *custody = custody_create(call);
    if (custody == NULL)
        return;
    struct text message, name;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_create_snapshot(message, door->limits, call->arena, &name,
                                            &custody->failure);
    if (status != STATUS_OK || !cache_has_folder(door->cache)) {
        if (status == STATUS_OK)
            status = STATUS_NO_JOURNAL;
        reply_outcome(call, status, NULL, &custody->failure);
        return;
    }
    call_park(call);
    cache_snapshot(door->cache, name, snapshot_taken, custody);
}

static void compacted(void *context, enum status status)
{
    struct custody *custody = context;
    custody->status = status;
    call_wake(custody->call);
}

static uint64_t folder_bytes(struct call *call)
{
    struct journal_stats stats;
    cache_journal_stats(call_door(call)->cache, &stats);
    return stats.bytes;
}

void compact_woken(struct call *call)
{
    if (!is_done_well(call))
        return;
    struct custody *custody = call->work;
    struct codec_reply reply;
    enum status status =
        codec_write_compact(custody->bytes_before, folder_bytes(call), call->arena, &reply);
    reply_outcome(call, status, &reply, &custody->failure);
}

void handle_compact(struct call *call)
{
    struct cache *cache = call_door(call)->cache;
    struct custody *custody = custody_create(call);
    if (custody == NULL)
        return;
    if (!cache_has_folder(cache)) {
        reply_outcome(call, STATUS_NO_JOURNAL, NULL, &custody->failure);
        return;
    }
    custody->bytes_before = folder_bytes(call);
    call_park(call);
    cache_compact(cache, compacted, custody);
}

/* ---- ListSnapshots, DeleteSnapshot ---- */

static enum status list(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct snapshot_info *infos = arena_calloc(call->arena, SNAPSHOTS_MAX, sizeof(*infos));
    uint32_t count = 0;
    if (infos == NULL)
        return STATUS_NO_MEMORY;
    enum status status =
        cache_snapshots(call_door(call)->cache, infos, SNAPSHOTS_MAX, &count, failure);
    if (status != STATUS_OK)
        return status;
    return codec_write_list_snapshots(infos, count, call->arena, out_reply);
}

static enum status remove_snapshot(struct call *call, struct codec_reply *out_reply,
                                   struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message, name;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_delete_snapshot(message, door->limits, call->arena, &name, failure);
    if (status == STATUS_OK)
        status = cache_snapshot_remove(door->cache, name, failure);
    *out_reply = (struct codec_reply){.tail_entry = NULL}; /* a message without fields */
    return status;
}

typedef enum status folder_work(struct call *call, struct codec_reply *out_reply,
                                struct failure *failure);

static void do_on_compute(struct pool_job *job, folder_work *work)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = work(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

static void list_on_compute(struct pool_job *job)
{
    do_on_compute(job, list);
}

static void remove_on_compute(struct pool_job *job)
{
    do_on_compute(job, remove_snapshot);
}

void handle_list_snapshots(struct call *call)
{
    call_hand_off_or_refuse(call, list_on_compute);
}

void handle_delete_snapshot(struct call *call)
{
    call_hand_off_or_refuse(call, remove_on_compute);
}
