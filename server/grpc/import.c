/*
 * import.c - Import: read on compute; texts that came without vectors are the embedder's, all of
 * them at once, and the entries are stored when the last is done. Owns nothing; its work lies in
 * the call's arena. Threads: I/O hands off, then compute.
 */
#include "base/clock.h"
#include "cache/import.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/vectors.h"

struct importing { /* call->work */
    struct cache_import_batch batch;
    struct vectors *vectors; /* NULL: none are to be made first */
};

static void refuse(struct call *call)
{
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    reply_overloaded(call);
}

static void finish(struct call *call)
{
    struct importing *work = call->work;
    struct cache_import_reply imported;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    for (size_t i = 0; i < work->batch.texts_count; i++)
        work->batch.texts[i].status = work->vectors->waits[i].status;
    enum status status = cache_import_finish(call_door(call)->cache, &work->batch, call->arena,
                                             clock_wall_ms(), &imported, &failure);
    if (status == STATUS_OK)
        status = codec_write_import(&imported, call->arena, &reply);
    reply_outcome(call, status, &reply, &failure);
}

static void finish_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        finish(call);
    else
        call_drop(call, fate);
}

static enum status begin(struct call *call, struct failure *failure)
{
    const struct door *door = call_door(call);
    struct importing *work = arena_calloc(call->arena, 1, sizeof(*work));
    struct codec_import request;
    struct text message;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK && work == NULL)
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = codec_read_import(message, door->limits, call->arena, &request, failure);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < request.count; i++)
        request.entries[i].set.identity.tenant = door_tenant;
    call->work = work;
    work->batch = (struct cache_import_batch){
        .entries = request.entries, .count = request.count, .options = request.options};
    status = cache_import_begin(door->cache, &work->batch, call->arena, clock_wall_ms(), failure);
    if (status != STATUS_OK || work->batch.texts_count == 0)
        return status;
    work->vectors = vectors_create(call, work->batch.texts_count, true, finish_on_compute, refuse);
    return work->vectors != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void embed(struct call *call)
{
    struct importing *work = call->work;
    struct vectors *vectors = work->vectors;
    vectors_begin(vectors);
    for (size_t i = 0; i < vectors->count; i++)
        cache_import_embed(call_door(call)->cache, &work->batch, i, vectors_next(vectors, i));
    vectors_end(vectors);
}

static void import_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const enum call_fate fate = call_fate(call);
    struct failure failure = {.status = STATUS_OK};
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    const enum status status = begin(call, &failure);
    if (status != STATUS_OK)
        reply_outcome(call, status, NULL, &failure);
    else if (((const struct importing *)call->work)->vectors != NULL)
        embed(call);
    else
        finish(call);
}

void handle_import(struct call *call)
{
    call_hand_off_or_refuse(call, import_on_compute);
}
