/*
 * namespaces.c - CreateNamespace, UpdateNamespace, GetNamespace, ListNamespaces, DropNamespace, and
 * SetPolicy, which is an update, with GetPolicy, DescribePolicy and GetShadowReport. All on
 * compute: each may walk the scopes, the namespaces or the entries. What changes something is a
 * note in the log, which the reply waits for: the call is parked meanwhile. Owns nothing. Threads:
 * I/O, then compute, then I/O again.
 */
#include "base/check.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/acks.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

/* ---- what changes something ---- */

enum tending { CREATES, UPDATES, DROPS, SETS_POLICY };

struct work { /* in the call's arena */
    enum tending what;
    struct cache_namespace_change change;
    struct codec_drop drop;
    struct cache_namespace_view view; /* of what was created or updated */
    uint64_t removed;
    struct acks *acks; /* of one or more notes; NULL: there is no disk */
    enum status status;
    struct failure failure;
};

static enum status read(struct call *call, struct work *work)
{
    struct door *door = call_door(call);
    struct text message;
    enum status status = call_message(call, &message);
    if (status != STATUS_OK)
        return status;
    switch (work->what) {
    case CREATES:
        status = codec_read_create_namespace(message, door->limits, call->arena, &work->change,
                                             &work->failure);
        break;
    case UPDATES:
        status = codec_read_update_namespace(message, door->limits, call->arena, &work->change,
                                             &work->failure);
        break;
    case SETS_POLICY:
        status = codec_read_set_policy(message, door->limits, call->arena, &work->change,
                                       &work->failure);
        break;
    case DROPS:
        status = codec_read_drop_namespace(message, door->limits, call->arena, &work->drop,
                                           &work->failure);
        break;
    }
    work->change.tenant = door_tenant;
    if (status == STATUS_OK && cache_has_folder(door->cache)) {
        work->acks = acks_create(call, 1);
        status = work->acks != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    }
    return status;
}

static enum status apply(struct call *call, struct work *work, const struct cache_waiter *waiter)
{
    struct cache *cache = call_door(call)->cache;
    switch (work->what) {
    case CREATES:
        return cache_create_namespace(cache, &work->change, call->arena, waiter, &work->view,
                                      &work->failure);
    case UPDATES:
    case SETS_POLICY:
        return cache_update_namespace(cache, &work->change, call->arena, waiter, &work->view,
                                      &work->failure);
    case DROPS:
        break;
    }
    return cache_drop_namespace(cache, door_tenant, work->drop.name, work->drop.confirm, waiter,
                                &work->removed, &work->failure);
}

static enum status write_policy(struct call *call, struct work *work, struct codec_reply *out_reply)
{
    struct cache_policy_view view;
    const struct cache_policy_scope scope = {.tenant = door_tenant,
                                             .namespace_ = work->change.name};
    const enum status status =
        cache_describe_policy(call_door(call)->cache, &scope, call->arena, &view, &work->failure);
    return status != STATUS_OK ? status : codec_write_set_policy(&view, call->arena, out_reply);
}

static enum status write_reply(struct call *call, struct work *work, struct codec_reply *out_reply)
{
    switch (work->what) {
    case DROPS:
        return codec_write_drop_namespace(work->removed, call->arena, out_reply);
    case SETS_POLICY:
        return write_policy(call, work, out_reply);
    case CREATES:
    case UPDATES:
        break;
    }
    return codec_write_namespace(&work->view, call->arena, out_reply);
}

static void answer(struct call *call)
{
    struct work *work = call->work;
    struct codec_reply reply;
    enum status status = work->status;
    if (status == STATUS_OK)
        status = write_reply(call, work, &reply);
    reply_outcome(call, status, &reply, &work->failure);
}

void tend_namespace_woken(struct call *call)
{
    struct work *work = call->work;
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    if (work->status == STATUS_OK)
        work->status = ack_outcome(&work->acks->items[0], &work->failure);
    answer(call);
}

static void tend_on_compute(struct pool_job *job, enum tending what)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct work *work = arena_calloc(call->arena, 1, sizeof(*work));
    if (work == NULL) {
        reply_status(call, STATUS_NO_MEMORY);
        return;
    }
    call->work = work;
    work->what = what;
    work->status = read(call, work);
    struct acks *acks = work->acks;
    if (work->status != STATUS_OK || acks == NULL) {
        if (work->status == STATUS_OK)
            work->status = apply(call, work, NULL);
        answer(call);
        return;
    }
    const struct cache_waiter waiter = {acks_expect, acks_done, &acks->items[0]};
    acks_begin(acks);
    work->status = apply(call, work, &waiter);
    acks_end(acks);
}

static void create_on_compute(struct pool_job *job)
{
    tend_on_compute(job, CREATES);
}

static void update_on_compute(struct pool_job *job)
{
    tend_on_compute(job, UPDATES);
}

static void drop_on_compute(struct pool_job *job)
{
    tend_on_compute(job, DROPS);
}

static void set_policy_on_compute(struct pool_job *job)
{
    tend_on_compute(job, SETS_POLICY);
}

void handle_set_policy(struct call *call)
{
    call_hand_off_or_refuse(call, set_policy_on_compute);
}

void handle_create_namespace(struct call *call)
{
    call_hand_off_or_refuse(call, create_on_compute);
}

void handle_update_namespace(struct call *call)
{
    call_hand_off_or_refuse(call, update_on_compute);
}

void handle_drop_namespace(struct call *call)
{
    call_hand_off_or_refuse(call, drop_on_compute);
}

/* ---- what looks ---- */

static enum status get(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message, name;
    struct cache_namespace_view view;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_get_namespace(message, door->limits, call->arena, &name, failure);
    if (status == STATUS_OK)
        status = cache_get_namespace(door->cache, door_tenant, name, call->arena, &view, failure);
    return status != STATUS_OK ? status : codec_write_namespace(&view, call->arena, out_reply);
}

static enum status list(struct call *call, struct codec_reply *out_reply, struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message;
    struct codec_listing listing;
    struct cache_namespace_view *views = NULL;
    size_t count = 0;
    bool more = false;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_list_namespaces(message, door->limits, call->arena, &listing, failure);
    if (status == STATUS_OK)
        status = cache_list_namespaces(door->cache, door_tenant, listing.after, listing.max,
                                       call->arena, &views, &count, &more);
    if (status != STATUS_OK)
        return status;
    return codec_write_list_namespaces(views, count, more, door->limits, call->arena, out_reply,
                                       failure);
}

static enum status read_scope(struct call *call, enum codec_message type,
                              struct cache_policy_scope *out_scope, struct failure *failure)
{
    struct text message;
    enum status status = call_message(call, &message);
    if (status == STATUS_OK)
        status = codec_read_policy_scope(type, message, call_door(call)->limits, call->arena,
                                         out_scope, failure);
    if (status == STATUS_OK)
        out_scope->tenant = door_tenant;
    return status;
}

static enum status look_at_policy(struct call *call, enum codec_message type,
                                  struct cache_policy_view *out_view, struct failure *failure)
{
    struct cache_policy_scope scope;
    const enum status status = read_scope(call, type, &scope, failure);
    return status != STATUS_OK ? status
                               : cache_describe_policy(call_door(call)->cache, &scope, call->arena,
                                                       out_view, failure);
}

static enum status get_policy(struct call *call, struct codec_reply *out_reply,
                              struct failure *failure)
{
    struct cache_policy_view view;
    const enum status status = look_at_policy(call, CODEC_GET_POLICY, &view, failure);
    return status != STATUS_OK ? status : codec_write_get_policy(&view, call->arena, out_reply);
}

static enum status describe_policy(struct call *call, struct codec_reply *out_reply,
                                   struct failure *failure)
{
    struct cache_policy_view view;
    const enum status status = look_at_policy(call, CODEC_DESCRIBE_POLICY, &view, failure);
    return status != STATUS_OK ? status
                               : codec_write_describe_policy(&view, call->arena, out_reply);
}

static enum status shadow_report(struct call *call, struct codec_reply *out_reply,
                                 struct failure *failure)
{
    struct cache_policy_scope scope;
    struct cache_shadow_report report;
    enum status status = read_scope(call, CODEC_SHADOW_REPORT, &scope, failure);
    if (status == STATUS_OK)
        status = cache_shadow_report(call_door(call)->cache, &scope, call->arena, &report, failure);
    return status != STATUS_OK ? status
                               : codec_write_shadow_report(&report, call->arena, out_reply);
}

typedef enum status look(struct call *call, struct codec_reply *out_reply, struct failure *failure);

static void look_on_compute(struct pool_job *job, look *at)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = at(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}

static void get_on_compute(struct pool_job *job)
{
    look_on_compute(job, get);
}

static void list_on_compute(struct pool_job *job)
{
    look_on_compute(job, list);
}

void handle_get_namespace(struct call *call)
{
    call_hand_off_or_refuse(call, get_on_compute);
}

void handle_list_namespaces(struct call *call)
{
    call_hand_off_or_refuse(call, list_on_compute);
}

static void get_policy_on_compute(struct pool_job *job)
{
    look_on_compute(job, get_policy);
}

static void describe_policy_on_compute(struct pool_job *job)
{
    look_on_compute(job, describe_policy);
}

static void shadow_report_on_compute(struct pool_job *job)
{
    look_on_compute(job, shadow_report);
}

void handle_get_policy(struct call *call)
{
    call_hand_off_or_refuse(call, get_policy_on_compute);
}

void handle_describe_policy(struct call *call)
{
    call_hand_off_or_refuse(call, describe_policy_on_compute);
}

void handle_shadow_report(struct call *call)
{
    call_hand_off_or_refuse(call, shadow_report_on_compute);
}
