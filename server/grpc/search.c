/*
 * search.c - Search and Explain, on compute: both unpack, may wait for a vector between two halves,
 * and look around without changing anything. Owns nothing. Threads: I/O hands off, then compute.
 */
#include "base/check.h"
#include "base/clock.h"
#include "cache/explain.h"
#include "cache/search.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/vectors.h"

/* A verb in two halves with a vector between them. */
struct look_verb {
    enum status (*begin)(struct call *call, enum cache_step *out_step, struct failure *failure);
    void (*embed)(struct call *call, struct embed_job *job);
    enum status (*finish)(struct call *call, enum status embedded, struct codec_reply *out_reply,
                          struct failure *failure);
    void (*release)(struct call *call);
};

struct look_work { /* in the call's arena */
    const struct look_verb *verb;
    struct vectors *vectors; /* of one text; NULL: none is made */
    union {
        struct {
            struct cache_search_request request;
            struct cache_search search;
        } search;
        struct {
            struct cache_explain_request request;
            struct cache_explain explain;
        } explain;
    };
};

static void finish(struct call *call, enum status embedded)
{
    const struct look_work *work = call->work;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = work->verb->finish(call, embedded, &reply, &failure);
    work->verb->release(call);
    reply_outcome(call, status, &reply, &failure);
}

static void embedded(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const struct look_work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED) {
        finish(call, work->vectors->waits[0].status);
        return;
    }
    work->verb->release(call);
    call_drop(call, fate);
}

static void refuse(struct call *call)
{
    const struct look_work *work = call->work;
    work->verb->release(call);
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    reply_overloaded(call);
}

static void embed(struct call *call, struct look_work *work)
{
    work->vectors = vectors_create(call, 1, false, embedded, refuse);
    if (work->vectors == NULL) {
        work->verb->release(call);
        reply_status(call, STATUS_NO_MEMORY);
        return;
    }
    struct vectors *vectors = work->vectors;
    vectors_begin(vectors);
    work->verb->embed(call, vectors_next(vectors, 0));
    vectors_end(vectors);
}

static void begin(struct pool_job *job, const struct look_verb *verb)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    enum cache_step step = CACHE_DONE;
    struct failure failure = {.status = STATUS_OK};
    struct look_work *work = arena_calloc(call->arena, 1, sizeof(*work));
    enum status status = STATUS_NO_MEMORY;
    if (work != NULL) {
        call->work = work;
        work->verb = verb;
        status = verb->begin(call, &step, &failure);
    }
    if (status != STATUS_OK)
        reply_outcome(call, status, NULL, &failure);
    else if (step == CACHE_NEEDS_VECTOR)
        embed(call, work);
    else
        finish(call, STATUS_OK);
}

/* ---- Search ---- */

static enum status search_begin(struct call *call, enum cache_step *out_step,
                                struct failure *failure)
{
    struct door *door = call_door(call);
    struct look_work *work = call->work;
    struct text message;
    struct cache_search_request *request = &work->search.request;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_search(message, door->limits, call->arena, request, failure);
    if (status != STATUS_OK)
        return status;
    request->identity.tenant = door_tenant;
    return cache_search_begin(door->cache, request, call->arena, &work->search.search, out_step,
                              failure);
}

static void search_embed(struct call *call, struct embed_job *job)
{
    struct look_work *work = call->work;
    cache_search_embed(call_door(call)->cache, &work->search.search, job);
}

static enum status search_finish(struct call *call, enum status embedded_,
                                 struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct look_work *work = call->work;
    struct cache_search *search = &work->search.search;
    enum status status =
        cache_search_finish(door->cache, search, embedded_, clock_wall_ms(), failure);
    if (status == STATUS_OK)
        status = codec_write_search(search, door->limits, call->arena, out_reply, failure);
    return status;
}

static void search_release(struct call *call)
{
    struct look_work *work = call->work;
    cache_search_release(&work->search.search);
}

static void search_on_compute(struct pool_job *job)
{
    static const struct look_verb verb = {search_begin, search_embed, search_finish,
                                          search_release};
    begin(job, &verb);
}

void handle_search(struct call *call)
{
    call_hand_off_or_refuse(call, search_on_compute);
}

/* ---- Explain ---- */

static enum status explain_begin(struct call *call, enum cache_step *out_step,
                                 struct failure *failure)
{
    struct door *door = call_door(call);
    struct look_work *work = call->work;
    struct text message;
    struct cache_explain_request *request = &work->explain.request;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_explain(message, door->limits, call->arena, request, failure);
    if (status != STATUS_OK)
        return status;
    request->get.identity.tenant = door_tenant;
    status = cache_explain_begin(door->cache, request, call->arena, clock_wall_ms(),
                                 &work->explain.explain, out_step, failure);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        failure_prefix(failure, "request");
    return status;
}

static void explain_embed(struct call *call, struct embed_job *job)
{
    struct look_work *work = call->work;
    cache_explain_embed(call_door(call)->cache, &work->explain.explain, job);
}

static enum status explain_finish(struct call *call, enum status embedded_,
                                  struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct look_work *work = call->work;
    const int64_t now_ms = clock_wall_ms();
    struct cache_explain *explain = &work->explain.explain;
    enum status status = cache_explain_finish(door->cache, explain, embedded_, now_ms, failure);
    if (status == STATUS_OK)
        status =
            codec_write_explain(explain, now_ms, door->limits, call->arena, out_reply, failure);
    return status;
}

static void explain_release(struct call *call)
{
    struct look_work *work = call->work;
    cache_explain_release(&work->explain.explain);
}

static void explain_on_compute(struct pool_job *job)
{
    static const struct look_verb verb = {explain_begin, explain_embed, explain_finish,
                                          explain_release};
    begin(job, &verb);
}

void handle_explain(struct call *call)
{
    call_hand_off_or_refuse(call, explain_on_compute);
}
