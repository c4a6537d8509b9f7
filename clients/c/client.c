/*
 * client.c - the handle, its calls and their results. A client owns one channel; a result owns one
 * arena, in which the unpacked reply and the plain structs over it lie together, so that one free
 * ends them all.
 *
 * THREADS. Calls may run side by side: what they share is immutable after create, or atomic.
 * Results belong to whoever got them.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/c/channel.h"
#include "clients/c/reply.h"
#include "clients/c/request.h"
#include "clients/c/result.h"
#include "grpc/health/v1/health.pb-c.h"

enum {
    READ_DEADLINE_MS = 20,
    WRITE_DEADLINE_MS = 100,
    REPLY_MAX_BYTES = 4 * 1024 * 1024,
    LEASE_WAIT_MS = 60 * 1000, /* lease.wait_max, as the server has it unless told otherwise */
    LEASE_LATENESS_MS = 200,   /* who has waited long enough is told so much later at most   */
};

struct reprise_client {
    struct channel *channel;
    uint32_t read_deadline_ms, write_deadline_ms; /* as created; never change */
    _Atomic uint64_t failures_count;
};

struct result_block {
    struct reprise_result result; /* first, so that a result is its block */
    struct arena *arena;
    /* Replies of one field or three need no room in the arena. */
    struct reprise_release_reply released;
    struct reprise_delete_reply deleted;
    struct reprise_touch_reply touched;
    struct reprise_report_reply reported;
    struct reprise_health_reply health;
    struct reprise_compact_reply compacted;
    struct reprise_drop_reply dropped;
    struct reprise_import_reply imported;
};

/* What a caller gets when not even a result could be made. Freeing it does nothing. */
static struct reprise_result no_memory = {
    .code = REPRISE_RESOURCE_EXHAUSTED,
    .error = {.code = REPRISE_RESOURCE_EXHAUSTED,
              .reason = "NO_MEMORY",
              .field = "",
              .message = "the client is out of memory",
              .retry_after_ms = -1},
};

static uint32_t or_default(uint32_t given, uint32_t standard)
{
    return given != 0 ? given : standard;
}

struct reprise_client *reprise_client_create(const struct reprise_client_options *options)
{
    struct reprise_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return NULL;
    uint32_t reply_max = or_default(options->reply_max_bytes, REPLY_MAX_BYTES);
    client->read_deadline_ms = or_default(options->read_deadline_ms, READ_DEADLINE_MS);
    client->write_deadline_ms = or_default(options->write_deadline_ms, WRITE_DEADLINE_MS);
    client->channel =
        channel_create(options->endpoint != NULL ? options->endpoint : "127.0.0.1:7371",
                       reply_max < INT32_MAX ? reply_max : INT32_MAX);
    if (client->channel == NULL)
        reprise_client_destroy(&client);
    return client;
}

void reprise_client_destroy(struct reprise_client **client)
{
    struct reprise_client *doomed = *client;
    if (doomed == NULL)
        return;
    *client = NULL;
    channel_destroy(&doomed->channel);
    free(doomed);
}

bool reprise_client_connect(struct reprise_client *client, uint32_t timeout_ms)
{
    assert(client != NULL);
    return channel_connect(client->channel, timeout_ms);
}

uint64_t reprise_client_failures_count(const struct reprise_client *client)
{
    return atomic_load_explicit(&client->failures_count, memory_order_relaxed);
}

static struct result_block *block_create(void)
{
    struct result_block *block = calloc(1, sizeof(*block));
    if (block == NULL)
        return NULL;
    if (arena_create(&block->arena) != STATUS_OK) {
        free(block);
        return NULL;
    }
    return block;
}

void reprise_result_free(struct reprise_result **result)
{
    if (*result == NULL)
        return;
    if (*result != &no_memory) {
        struct result_block *block = (struct result_block *)*result;
        arena_destroy(&block->arena);
        free(block);
    }
    *result = NULL;
}

struct reprise_result *result_create(struct arena **out_arena)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return NULL;
    *out_arena = block->arena;
    return &block->result;
}

struct reprise_result *result_no_memory(struct reprise_client *client)
{
    client_count_failure(client);
    return &no_memory;
}

void client_count_failure(struct reprise_client *client)
{
    atomic_fetch_add_explicit(&client->failures_count, 1, memory_order_relaxed);
}

struct channel *client_channel(struct reprise_client *client)
{
    return client->channel;
}

/* Notes in the block that the call could not be made or its reply not be kept. */
static void note_no_memory(struct reprise_client *client, struct result_block *block)
{
    block->result.code = no_memory.code;
    block->result.error = no_memory.error;
    atomic_fetch_add_explicit(&client->failures_count, 1, memory_order_relaxed);
}

/* The call itself: the reply's message, or NULL and the block's result says why. `message`: one of
 * request.c, NULL when there was no memory for it. */
static const void *run(struct reprise_client *client, enum channel_method method,
                       const void *message, const struct reprise_call *call,
                       struct result_block *block)
{
    assert(client != NULL);
    if (message == NULL) {
        note_no_memory(client, block);
        return NULL;
    }
    struct channel_request request = {.method = method, .message = message};
    if (call != NULL) {
        request.deadline_ms = call->deadline_ms;
        request.metadata = call->metadata;
        request.metadata_count = call->metadata_count;
    }
    if (request.deadline_ms == 0)
        request.deadline_ms =
            channel_method_writes(method) ? client->write_deadline_ms : client->read_deadline_ms;
    ProtobufCMessage *reply = NULL;
    block->result.code =
        channel_call(client->channel, &request, block->arena, &reply, &block->result.error);
    if (block->result.code != REPRISE_OK)
        atomic_fetch_add_explicit(&client->failures_count, 1, memory_order_relaxed);
    assert((reply != NULL) == (block->result.code == REPRISE_OK));
    return reply;
}

/* Ends a call: `read` is what reply.c made of the message. */
static struct reprise_result *settle(struct reprise_client *client, struct result_block *block,
                                     const void *read)
{
    if (block->result.code == REPRISE_OK && read == NULL)
        note_no_memory(client, block);
    return &block->result;
}

const void *result_run(struct reprise_client *client, enum channel_method method,
                       const void *message, const struct reprise_call *call,
                       struct reprise_result *result)
{
    return run(client, method, message, call, (struct result_block *)result);
}

struct reprise_result *result_settle(struct reprise_client *client, struct reprise_result *result,
                                     const void *read)
{
    return settle(client, (struct result_block *)result, read);
}

/* Without a block there is nothing to settle. */
static struct reprise_result *no_block(struct reprise_client *client)
{
    atomic_fetch_add_explicit(&client->failures_count, 1, memory_order_relaxed);
    return &no_memory;
}

/* A Get that may wait for another's answer has so much more time. */
static struct reprise_call patient_call(const struct reprise_client *client,
                                        const struct reprise_get_request *request,
                                        const struct reprise_call *call)
{
    struct reprise_call patient = call != NULL ? *call : (struct reprise_call){0};
    if (request->lease == REPRISE_LEASE_WAIT && patient.deadline_ms == 0) {
        const uint32_t wait_ms = or_default(request->lease_wait_ms, LEASE_WAIT_MS);
        const uint32_t room_ms = UINT32_MAX - client->read_deadline_ms - LEASE_LATENESS_MS;
        patient.deadline_ms =
            client->read_deadline_ms + LEASE_LATENESS_MS + (wait_ms < room_ms ? wait_ms : room_ms);
    }
    return patient;
}

struct reprise_result *reprise_get(struct reprise_client *client,
                                   const struct reprise_get_request *request,
                                   const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const struct reprise_call patient = patient_call(client, request, call);
    const void *reply =
        run(client, CHANNEL_GET, request_get(request, block->arena), &patient, block);
    if (reply != NULL)
        block->result.get = reply_get(reply, block->arena);
    return settle(client, block, block->result.get);
}

struct reprise_result *reprise_set(struct reprise_client *client,
                                   const struct reprise_set_request *request,
                                   const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply = run(client, CHANNEL_SET, request_set(request, block->arena), call, block);
    if (reply != NULL)
        block->result.set = reply_set(reply, block->arena);
    return settle(client, block, block->result.set);
}

struct reprise_result *reprise_batch_get(struct reprise_client *client,
                                         const struct reprise_get_request *requests, size_t count,
                                         const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply = run(client, CHANNEL_BATCH_GET,
                            request_batch_get(requests, count, block->arena), call, block);
    if (reply != NULL)
        block->result.batch_get = reply_batch_get(reply, block->arena);
    return settle(client, block, block->result.batch_get);
}

struct reprise_result *reprise_batch_set(struct reprise_client *client,
                                         const struct reprise_set_request *requests, size_t count,
                                         const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply = run(client, CHANNEL_BATCH_SET,
                            request_batch_set(requests, count, block->arena), call, block);
    if (reply != NULL)
        block->result.batch_set = reply_batch_set(reply, block->arena);
    return settle(client, block, block->result.batch_set);
}

struct reprise_result *reprise_release_lease(struct reprise_client *client, const char *token,
                                             const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__ReleaseLeaseRequest message;
    reprise__v1__release_lease_request__init(&message);
    if (token != NULL)
        message.token = (char *)(uintptr_t)token; /* only read */
    const Reprise__V1__ReleaseLeaseResponse *reply =
        run(client, CHANNEL_RELEASE_LEASE, &message, call, block);
    if (reply != NULL) {
        block->released =
            (struct reprise_release_reply){.released = reply->released, .waiters = reply->waiters};
        block->result.release = &block->released;
    }
    return settle(client, block, block->result.release);
}

struct reprise_result *reprise_delete(struct reprise_client *client,
                                      const struct reprise_delete_request *request,
                                      const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const Reprise__V1__DeleteResponse *reply =
        run(client, CHANNEL_DELETE, request_delete(request, block->arena), call, block);
    if (reply != NULL) {
        block->deleted.deleted = reply->deleted;
        block->result.delete_ = &block->deleted;
    }
    return settle(client, block, block->result.delete_);
}

struct reprise_result *reprise_invalidate(struct reprise_client *client,
                                          const struct reprise_invalidate_request *request,
                                          const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply =
        run(client, CHANNEL_INVALIDATE, request_invalidate(request, block->arena), call, block);
    if (reply != NULL)
        block->result.invalidate = reply_invalidate(reply, block->arena);
    return settle(client, block, block->result.invalidate);
}

struct reprise_result *reprise_touch(struct reprise_client *client,
                                     const struct reprise_touch_request *request,
                                     const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const Reprise__V1__TouchResponse *reply =
        run(client, CHANNEL_TOUCH, request_touch(request, block->arena), call, block);
    if (reply != NULL) {
        block->touched = (struct reprise_touch_reply){reply->touched, reply->missing};
        block->result.touch = &block->touched;
    }
    return settle(client, block, block->result.touch);
}

struct reprise_result *reprise_search(struct reprise_client *client,
                                      const struct reprise_search_request *request,
                                      const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply =
        run(client, CHANNEL_SEARCH, request_search(request, block->arena), call, block);
    if (reply != NULL)
        block->result.search = reply_search(reply, block->arena);
    return settle(client, block, block->result.search);
}

struct reprise_result *reprise_explain(struct reprise_client *client,
                                       const struct reprise_explain_request *request,
                                       const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply =
        run(client, CHANNEL_EXPLAIN, request_explain(request, block->arena), call, block);
    if (reply != NULL)
        block->result.explain = reply_explain(reply, block->arena);
    return settle(client, block, block->result.explain);
}

struct reprise_result *reprise_scroll(struct reprise_client *client,
                                      const struct reprise_scroll_request *request,
                                      const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const Reprise__V1__ScrollResponse *reply =
        run(client, CHANNEL_SCROLL, request_scroll(request, block->arena), call, block);
    if (reply != NULL)
        block->result.scroll =
            reply_entries(reply->entries, reply->n_entries, reply->next_cursor, block->arena);
    return settle(client, block, block->result.scroll);
}

struct reprise_result *reprise_get_entry(struct reprise_client *client, const char *entry_id,
                                         bool vector, const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__GetEntryRequest message;
    reprise__v1__get_entry_request__init(&message);
    message.vector = vector;
    if (entry_id != NULL)
        message.entry_id = (char *)(uintptr_t)entry_id; /* only read */
    const Reprise__V1__GetEntryResponse *reply =
        run(client, CHANNEL_GET_ENTRY, &message, call, block);
    if (reply != NULL)
        block->result.scroll =
            reply_entries(&reply->entry, reply->entry != NULL ? 1 : 0, "", block->arena);
    return settle(client, block, block->result.scroll);
}

struct reprise_result *reprise_import(struct reprise_client *client,
                                      const struct reprise_stored *entries, size_t count,
                                      bool overwrite, bool dry_run, const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__ImportRequest *message = request_import(entries, count, block->arena);
    if (message != NULL) {
        message->overwrite = overwrite;
        message->dry_run = dry_run;
    }
    const Reprise__V1__ImportResponse *reply = run(client, CHANNEL_IMPORT, message, call, block);
    if (reply != NULL) {
        block->imported =
            (struct reprise_import_reply){reply->imported, reply->kept,    reply->expired,
                                          reply->indexed,  reply->evicted, reply->unindexed};
        block->result.imported = &block->imported;
    }
    return settle(client, block, block->result.imported);
}

struct reprise_result *reprise_report(struct reprise_client *client,
                                      const struct reprise_report_request *request,
                                      const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const Reprise__V1__ReportResponse *reply =
        run(client, CHANNEL_REPORT, request_report(request, block->arena), call, block);
    if (reply != NULL) {
        block->reported = (struct reprise_report_reply){
            .feedback_id = reply->feedback_id,
            .outcome = (enum reprise_outcome)reply->outcome,
            .labels_left_this_minute = reply->labels_left_this_minute};
        block->result.report = &block->reported;
    }
    return settle(client, block, block->result.report);
}

static const struct reprise_batch_report_reply *
read_batch_report(const Reprise__V1__BatchReportResponse *message, struct arena *arena)
{
    struct reprise_batch_report_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_report_reply *results =
        arena_calloc(arena, message->n_results + 1, sizeof(*results));
    if (reply == NULL || results == NULL)
        return NULL;
    for (size_t i = 0; i < message->n_results; i++)
        results[i] = (struct reprise_report_reply){
            .feedback_id = message->results[i]->feedback_id,
            .outcome = (enum reprise_outcome)message->results[i]->outcome,
            .labels_left_this_minute = message->results[i]->labels_left_this_minute};
    *reply = (struct reprise_batch_report_reply){results, message->n_results};
    return reply;
}

struct reprise_result *reprise_batch_report(struct reprise_client *client,
                                            const struct reprise_report_request *requests,
                                            size_t count, const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const void *reply = run(client, CHANNEL_BATCH_REPORT,
                            request_batch_report(requests, count, block->arena), call, block);
    if (reply != NULL)
        block->result.batch_report = read_batch_report(reply, block->arena);
    return settle(client, block, block->result.batch_report);
}

struct reprise_result *reprise_stats(struct reprise_client *client, const char *namespace_,
                                     const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__StatsRequest message;
    reprise__v1__stats_request__init(&message);
    if (namespace_ != NULL)
        message.namespace_ = (char *)(uintptr_t)namespace_; /* only read */
    const void *reply = run(client, CHANNEL_STATS, &message, call, block);
    if (reply != NULL)
        block->result.stats = reply_stats(reply, block->arena);
    return settle(client, block, block->result.stats);
}

struct reprise_result *reprise_health_check(struct reprise_client *client, const char *service,
                                            const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Grpc__Health__V1__HealthCheckRequest message;
    grpc__health__v1__health_check_request__init(&message);
    if (service != NULL)
        message.service = (char *)(uintptr_t)service; /* only read */
    const Grpc__Health__V1__HealthCheckResponse *reply =
        run(client, CHANNEL_HEALTH, &message, call, block);
    if (reply != NULL) {
        block->health.status = (enum reprise_health)reply->status;
        block->result.health = &block->health;
    }
    return settle(client, block, block->result.health);
}

struct reprise_result *reprise_create_snapshot(struct reprise_client *client, const char *name,
                                               const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__CreateSnapshotRequest message;
    reprise__v1__create_snapshot_request__init(&message);
    if (name != NULL)
        message.name = (char *)(uintptr_t)name; /* only read */
    const Reprise__V1__CreateSnapshotResponse *reply =
        run(client, CHANNEL_CREATE_SNAPSHOT, &message, call, block);
    if (reply != NULL)
        block->result.snapshots =
            reply_snapshots(&reply->snapshot, reply->snapshot != NULL ? 1 : 0, block->arena);
    return settle(client, block, block->result.snapshots);
}

struct reprise_result *reprise_list_snapshots(struct reprise_client *client,
                                              const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__ListSnapshotsRequest message;
    reprise__v1__list_snapshots_request__init(&message);
    const Reprise__V1__ListSnapshotsResponse *reply =
        run(client, CHANNEL_LIST_SNAPSHOTS, &message, call, block);
    if (reply != NULL)
        block->result.snapshots =
            reply_snapshots(reply->snapshots, reply->n_snapshots, block->arena);
    return settle(client, block, block->result.snapshots);
}

struct reprise_result *reprise_delete_snapshot(struct reprise_client *client, const char *name,
                                               const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__DeleteSnapshotRequest message;
    reprise__v1__delete_snapshot_request__init(&message);
    if (name != NULL)
        message.name = (char *)(uintptr_t)name; /* only read */
    const void *reply = run(client, CHANNEL_DELETE_SNAPSHOT, &message, call, block);
    block->result.deleted_snapshot = reply != NULL;
    return settle(client, block, reply);
}

struct reprise_result *reprise_compact(struct reprise_client *client,
                                       const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__CompactRequest message;
    reprise__v1__compact_request__init(&message);
    const Reprise__V1__CompactResponse *reply = run(client, CHANNEL_COMPACT, &message, call, block);
    if (reply != NULL) {
        block->compacted.size_bytes_before = reply->size_bytes_before;
        block->compacted.size_bytes_after = reply->size_bytes_after;
        block->result.compact = &block->compacted;
    }
    return settle(client, block, block->result.compact);
}

struct reprise_result *reprise_get_policy(struct reprise_client *client, const char *namespace_,
                                          const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    Reprise__V1__GetPolicyRequest message = REPRISE__V1__GET_POLICY_REQUEST__INIT;
    message.scope = &scope;
    if (namespace_ != NULL)
        scope.namespace_ = (char *)(uintptr_t)namespace_; /* only read */
    const Reprise__V1__GetPolicyResponse *reply =
        run(client, CHANNEL_GET_POLICY, &message, call, block);
    if (reply != NULL)
        block->result.policy =
            reply_policies(reply->set, reply->effective, reply->version, block->arena);
    return settle(client, block, block->result.policy);
}

struct reprise_result *reprise_set_policy(struct reprise_client *client, const char *namespace_,
                                          const struct reprise_policy *policy, uint64_t if_version,
                                          const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    Reprise__V1__SetPolicyRequest message = REPRISE__V1__SET_POLICY_REQUEST__INIT;
    message.scope = &scope;
    message.policy = request_policy(policy, block->arena);
    message.if_version = if_version;
    if (namespace_ != NULL)
        scope.namespace_ = (char *)(uintptr_t)namespace_; /* only read */
    const Reprise__V1__SetPolicyResponse *reply =
        run(client, CHANNEL_SET_POLICY, message.policy != NULL ? &message : NULL, call, block);
    if (reply != NULL)
        block->result.policy = reply_policies(NULL, reply->effective, reply->version, block->arena);
    return settle(client, block, block->result.policy);
}

struct reprise_result *reprise_describe_policy(struct reprise_client *client,
                                               const char *namespace_, const char *model,
                                               const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    Reprise__V1__DescribePolicyRequest message = REPRISE__V1__DESCRIBE_POLICY_REQUEST__INIT;
    message.scope = &scope;
    if (namespace_ != NULL)
        scope.namespace_ = (char *)(uintptr_t)namespace_; /* only read */
    if (model != NULL)
        scope.model = (char *)(uintptr_t)model;
    const void *reply = run(client, CHANNEL_DESCRIBE_POLICY, &message, call, block);
    if (reply != NULL)
        block->result.policy = reply_described(reply, block->arena);
    return settle(client, block, block->result.policy);
}

struct reprise_result *reprise_get_shadow_report(struct reprise_client *client,
                                                 const char *namespace_, const char *model,
                                                 const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    Reprise__V1__GetShadowReportRequest message = REPRISE__V1__GET_SHADOW_REPORT_REQUEST__INIT;
    message.scope = &scope;
    if (namespace_ != NULL)
        scope.namespace_ = (char *)(uintptr_t)namespace_; /* only read */
    if (model != NULL)
        scope.model = (char *)(uintptr_t)model;
    const void *reply = run(client, CHANNEL_GET_SHADOW_REPORT, &message, call, block);
    if (reply != NULL)
        block->result.shadow = reply_shadow(reply, block->arena);
    return settle(client, block, block->result.shadow);
}

static const Reprise__V1__Namespace no_namespace = REPRISE__V1__NAMESPACE__INIT;

struct reprise_result *reprise_create_namespace(struct reprise_client *client,
                                                const struct reprise_namespace *settings,
                                                const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const Reprise__V1__CreateNamespaceResponse *reply =
        run(client, CHANNEL_CREATE_NAMESPACE, request_create_namespace(settings, block->arena),
            call, block);
    if (reply != NULL)
        block->result.namespace_ = reply_namespace(
            reply->namespace_ != NULL ? reply->namespace_ : &no_namespace, block->arena);
    return settle(client, block, block->result.namespace_);
}

struct reprise_result *reprise_get_namespace(struct reprise_client *client, const char *name,
                                             const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__GetNamespaceRequest message;
    reprise__v1__get_namespace_request__init(&message);
    message.name = (char *)(uintptr_t)name; /* only read */
    const Reprise__V1__GetNamespaceResponse *reply =
        run(client, CHANNEL_GET_NAMESPACE, &message, call, block);
    if (reply != NULL)
        block->result.namespace_ = reply_namespace(
            reply->namespace_ != NULL ? reply->namespace_ : &no_namespace, block->arena);
    return settle(client, block, block->result.namespace_);
}

struct reprise_result *reprise_list_namespaces(struct reprise_client *client, const char *after,
                                               const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__ListNamespacesRequest message;
    reprise__v1__list_namespaces_request__init(&message);
    if (after != NULL)
        message.after = (char *)(uintptr_t)after; /* only read */
    const void *reply = run(client, CHANNEL_LIST_NAMESPACES, &message, call, block);
    if (reply != NULL)
        block->result.namespaces = reply_namespaces(reply, block->arena);
    return settle(client, block, block->result.namespaces);
}

struct reprise_result *reprise_drop_namespace(struct reprise_client *client, const char *name,
                                              const char *confirm, const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    Reprise__V1__DropNamespaceRequest message;
    reprise__v1__drop_namespace_request__init(&message);
    message.name = (char *)(uintptr_t)name; /* only read */
    if (confirm != NULL)
        message.confirm = (char *)(uintptr_t)confirm;
    const Reprise__V1__DropNamespaceResponse *reply =
        run(client, CHANNEL_DROP_NAMESPACE, &message, call, block);
    if (reply != NULL) {
        block->dropped.removed = reply->removed;
        block->result.dropped = &block->dropped;
    }
    return settle(client, block, block->result.dropped);
}

struct reprise_result *reprise_update_namespace(struct reprise_client *client,
                                                const struct reprise_namespace *settings,
                                                const char *const *fields, size_t fields_count,
                                                const struct reprise_call *call)
{
    struct result_block *block = block_create();
    if (block == NULL)
        return no_block(client);
    const Reprise__V1__UpdateNamespaceResponse *reply =
        run(client, CHANNEL_UPDATE_NAMESPACE,
            request_update_namespace(settings, fields, fields_count, block->arena), call, block);
    if (reply != NULL)
        block->result.namespace_ = reply_namespace(
            reply->namespace_ != NULL ? reply->namespace_ : &no_namespace, block->arena);
    return settle(client, block, block->result.namespace_);
}

bool reprise_get_request_pack(const struct reprise_get_request *request, uint8_t **out_bytes,
                              size_t *out_size)
{
    enum {
        FRAME_BYTES = 5
    }; /* gRPC over HTTP/2: 0 = not compressed, then the length, big-endian */
    struct arena *arena = NULL;
    if (arena_create(&arena) != STATUS_OK)
        return false;
    const Reprise__V1__GetRequest *message = request_get(request, arena);
    size_t size = message != NULL ? reprise__v1__get_request__get_packed_size(message) : 0;
    uint8_t *bytes = message != NULL ? malloc(FRAME_BYTES + size) : NULL;
    if (bytes != NULL) {
        const uint32_t length = (uint32_t)size;
        bytes[0] = 0;
        for (int i = 0; i < 4; i++)
            bytes[1 + i] = (uint8_t)(length >> (24 - 8 * i));
        size_t written = reprise__v1__get_request__pack(message, bytes + FRAME_BYTES);
        assert(written == size);
        *out_bytes = bytes;
        *out_size = FRAME_BYTES + size;
    }
    arena_destroy(&arena);
    return bytes != NULL;
}
