/*
 * watch.c - WatchStats and Monitor: messages of a stream told one by one to a function of the
 * caller's. Owns nothing. Threads: a stream has one owner.
 */
#include "base/check.h"
#include "clients/c/reply.h"
#include "clients/c/result.h"

/* protobuf-c's strings are not const; packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

/* Tells one message; false: no more of them, or no memory, which is noted in the result. */
typedef bool teller(const ProtobufCMessage *message, struct arena *arena, const void *listener,
                    struct reprise_result *result);

static void fill_no_memory(struct reprise_result *result)
{
    result->code = REPRISE_RESOURCE_EXHAUSTED;
    result->error = (struct reprise_error){.code = REPRISE_RESOURCE_EXHAUSTED,
                                           .reason = "NO_MEMORY",
                                           .field = "",
                                           .message = "the client is out of memory",
                                           .retry_after_ms = -1};
}

struct watching { /* what is told to whom */
    enum channel_method method;
    const ProtobufCMessage *message;
    teller *tell;
    const void *listener;
};

static void listen(struct reprise_client *client, const struct watching *watching,
                   const struct reprise_call *call, struct arena *arena,
                   struct reprise_result *result)
{
    struct channel_request request = {.method = watching->method, .message = watching->message};
    if (call != NULL) {
        request.deadline_ms = call->deadline_ms;
        request.metadata = call->metadata;
        request.metadata_count = call->metadata_count;
    }
    if (request.deadline_ms == 0)
        request.deadline_ms = UINT32_MAX; /* as long as somebody watches: 49 days */
    struct arena *parts = NULL;
    struct channel_stream *stream = NULL;
    if (arena_create(&parts) == STATUS_OK)
        stream = channel_stream_open(client_channel(client), &request, true, arena);
    if (stream == NULL)
        fill_no_memory(result);
    bool goes_on = stream != NULL;
    ProtobufCMessage *told = NULL;
    while (goes_on && channel_stream_receive(stream, parts, &told)) {
        goes_on = watching->tell(told, parts, watching->listener, result);
        arena_reset(parts);
    }
    struct reprise_error error;
    enum reprise_code code = REPRISE_OK;
    if (stream != NULL)
        code = channel_stream_close(&stream, !goes_on, arena, &error);
    if (goes_on && code != REPRISE_OK) { /* else the listener has ended it */
        result->code = code;
        result->error = error;
    }
    arena_destroy(&parts);
}

static struct reprise_result *watch(struct reprise_client *client, const struct watching *watching,
                                    const struct reprise_call *call)
{
    struct arena *arena = NULL;
    struct reprise_result *result = result_create(&arena);
    if (result == NULL)
        return result_no_memory(client);
    listen(client, watching, call, arena, result);
    if (result->code != REPRISE_OK)
        client_count_failure(client);
    return result;
}

/* ---- WatchStats -------------------------------------------------------------- */

static bool tell_stats(const ProtobufCMessage *message, struct arena *arena, const void *listener,
                       struct reprise_result *result)
{
    const struct reprise_stats_listener *told = listener;
    const Reprise__V1__WatchStatsResponse *response =
        (const Reprise__V1__WatchStatsResponse *)message;
    if (response->stats == NULL)
        return true;
    const struct reprise_stats_reply *stats = reply_stats(response->stats, arena);
    if (stats != NULL)
        return told->stats(told->context, stats);
    fill_no_memory(result);
    return false;
}

struct reprise_result *reprise_watch_stats(struct reprise_client *client, const char *namespace_,
                                           uint32_t interval_ms,
                                           const struct reprise_stats_listener *listener,
                                           const struct reprise_call *call)
{
    Reprise__V1__WatchStatsRequest message = REPRISE__V1__WATCH_STATS_REQUEST__INIT;
    message.namespace_ = string_of(namespace_);
    message.interval_ms = interval_ms;
    const struct watching watching = {CHANNEL_WATCH_STATS, &message.base, tell_stats, listener};
    return watch(client, &watching, call);
}

/* ---- Monitor ----------------------------------------------------------------- */

static struct reprise_watched read_decision(const Reprise__V1__MonitorDecision *message)
{
    return (struct reprise_watched){
        .at_unix_ms = message->at_unix_ms,
        .result = (enum reprise_watched_result)message->result,
        .namespace_ = message->namespace_,
        .model = message->model,
        .tier = (enum reprise_tier)message->tier,
        .miss_reason = (enum reprise_miss_reason)message->miss_reason,
        .skip = (enum reprise_skip)message->skip,
        .similarity = message->similarity,
        .threshold = message->threshold,
        .guards = (const enum reprise_guard *)message->guards,
        .guards_count = message->n_guards,
        .latency_us = message->latency_us,
        .prompt = message->prompt,
    };
}

static bool tell_decisions(const ProtobufCMessage *message, struct arena *arena,
                           const void *listener, struct reprise_result *result)
{
    (void)result;
    (void)arena;
    const struct reprise_decisions_listener *told = listener;
    const Reprise__V1__MonitorResponse *response = (const Reprise__V1__MonitorResponse *)message;
    bool goes_on = true;
    if (response->dropped > 0)
        goes_on = told->dropped(told->context, response->dropped);
    for (size_t i = 0; i < response->n_decisions && goes_on; i++) {
        const struct reprise_watched decision = read_decision(response->decisions[i]);
        goes_on = told->decision(told->context, &decision);
    }
    return goes_on;
}

struct reprise_result *reprise_monitor(struct reprise_client *client,
                                       const struct reprise_monitor_request *request,
                                       const struct reprise_decisions_listener *listener,
                                       const struct reprise_call *call)
{
    _Static_assert(sizeof(Reprise__V1__DecisionResult) == sizeof(enum reprise_watched_result),
                   "both are the protocol's numbers");
    Reprise__V1__MonitorRequest message = REPRISE__V1__MONITOR_REQUEST__INIT;
    message.namespace_ = string_of(request->namespace_);
    message.results = (Reprise__V1__DecisionResult *)(uintptr_t)request->results; /* only read */
    message.n_results = request->results_count;
    message.rate_max = request->rate_max;
    const struct watching watching = {CHANNEL_MONITOR, &message.base, tell_decisions, listener};
    return watch(client, &watching, call);
}
