/*
 * channel.h - one connection to a server, and one unary call over it: a packed message out, a
 * message and a status back. The only room of the client that sees the gRPC C core. Threads: any
 * number may call at once; create and destroy are their owner's.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "clients/c/reprise.h"

/* clang-format off */
/*    name          path                                 reply                                        writes */
#define CHANNEL_METHODS(X)                                                                                   \
    X(GET,          "/reprise.v1.Cache/Get",             reprise__v1__get_response__descriptor,        false) \
    X(SET,          "/reprise.v1.Cache/Set",             reprise__v1__set_response__descriptor,        true)  \
    X(BATCH_GET,    "/reprise.v1.Cache/BatchGet",        reprise__v1__batch_get_response__descriptor,  false) \
    X(BATCH_SET,    "/reprise.v1.Cache/BatchSet",        reprise__v1__batch_set_response__descriptor,  true)  \
    X(GET_STREAM,   "/reprise.v1.Cache/GetStream",       reprise__v1__get_stream_response__descriptor, false) \
    X(SET_STREAM,   "/reprise.v1.Cache/SetStream",       reprise__v1__set_stream_response__descriptor, true) \
    X(RELEASE_LEASE, "/reprise.v1.Cache/ReleaseLease",   reprise__v1__release_lease_response__descriptor, true) \
    X(DELETE,       "/reprise.v1.Cache/Delete",          reprise__v1__delete_response__descriptor,     true)  \
    X(INVALIDATE,   "/reprise.v1.Cache/Invalidate",      reprise__v1__invalidate_response__descriptor, true)  \
    X(TOUCH,        "/reprise.v1.Cache/Touch",           reprise__v1__touch_response__descriptor,      true)  \
    X(SEARCH,       "/reprise.v1.Cache/Search",          reprise__v1__search_response__descriptor,     false) \
    X(EXPLAIN,      "/reprise.v1.Cache/Explain",         reprise__v1__explain_response__descriptor,    false) \
    X(REPORT,       "/reprise.v1.Feedback/Report",       reprise__v1__report_response__descriptor,     true)  \
    X(STATS,        "/reprise.v1.Admin/Stats",           reprise__v1__stats_response__descriptor,      false) \
    X(SCROLL,       "/reprise.v1.Admin/Scroll",          reprise__v1__scroll_response__descriptor,     false) \
    X(GET_ENTRY,    "/reprise.v1.Admin/GetEntry",        reprise__v1__get_entry_response__descriptor,  false) \
    X(IMPORT,       "/reprise.v1.Admin/Import",          reprise__v1__import_response__descriptor,     true)  \
    X(CREATE_SNAPSHOT, "/reprise.v1.Admin/CreateSnapshot", reprise__v1__create_snapshot_response__descriptor, true)  \
    X(LIST_SNAPSHOTS, "/reprise.v1.Admin/ListSnapshots", reprise__v1__list_snapshots_response__descriptor, false) \
    X(DELETE_SNAPSHOT, "/reprise.v1.Admin/DeleteSnapshot", reprise__v1__delete_snapshot_response__descriptor, true)  \
    X(COMPACT,      "/reprise.v1.Admin/Compact",         reprise__v1__compact_response__descriptor,    true)  \
    X(WATCH_STATS,  "/reprise.v1.Admin/WatchStats",      reprise__v1__watch_stats_response__descriptor, false) \
    X(MONITOR,      "/reprise.v1.Admin/Monitor",         reprise__v1__monitor_response__descriptor,    false) \
    X(GET_CONFIG,   "/reprise.v1.Admin/GetConfig",       reprise__v1__get_config_response__descriptor, false) \
    X(SET_CONFIG,   "/reprise.v1.Admin/SetConfig",       reprise__v1__set_config_response__descriptor, true)  \
    X(UPDATE_NAMESPACE, "/reprise.v1.Admin/UpdateNamespace", reprise__v1__update_namespace_response__descriptor, true) \
    X(CREATE_NAMESPACE, "/reprise.v1.Admin/CreateNamespace", reprise__v1__create_namespace_response__descriptor, true) \
    X(GET_NAMESPACE, "/reprise.v1.Admin/GetNamespace", reprise__v1__get_namespace_response__descriptor, false) \
    X(LIST_NAMESPACES, "/reprise.v1.Admin/ListNamespaces", reprise__v1__list_namespaces_response__descriptor, false) \
    X(DROP_NAMESPACE, "/reprise.v1.Admin/DropNamespace", reprise__v1__drop_namespace_response__descriptor, true) \
    X(GET_POLICY, "/reprise.v1.Feedback/GetPolicy", reprise__v1__get_policy_response__descriptor, false) \
    X(SET_POLICY, "/reprise.v1.Feedback/SetPolicy", reprise__v1__set_policy_response__descriptor, true) \
    X(DESCRIBE_POLICY, "/reprise.v1.Feedback/DescribePolicy", reprise__v1__describe_policy_response__descriptor, false) \
    X(GET_SHADOW_REPORT, "/reprise.v1.Feedback/GetShadowReport", reprise__v1__get_shadow_report_response__descriptor, false) \
    X(CALIBRATE, "/reprise.v1.Feedback/Calibrate", reprise__v1__calibrate_response__descriptor, false) \
    X(BATCH_REPORT, "/reprise.v1.Feedback/BatchReport", reprise__v1__batch_report_response__descriptor, true) \
    X(HEALTH,       "/grpc.health.v1.Health/Check",      grpc__health__v1__health_check_response__descriptor, false)
/* clang-format on */

enum channel_method {
#define CHANNEL_METHOD_NAME(name, path, reply, writes) CHANNEL_##name,
    CHANNEL_METHODS(CHANNEL_METHOD_NAME)
#undef CHANNEL_METHOD_NAME
        CHANNEL_METHOD_COUNT
};

struct channel;

/* NULL when memory is spent. */
struct channel *channel_create(const char *endpoint, uint32_t reply_max_bytes);
/* Sets *channel to NULL; NULL is fine. No call may still be running. */
void channel_destroy(struct channel **channel);
bool channel_connect(struct channel *channel, uint32_t timeout_ms);

/* Whether the method changes something, so that the longer deadline is its default. */
bool channel_method_writes(enum channel_method method);

struct channel_request {
    enum channel_method method;
    const ProtobufCMessage *message;
    uint32_t deadline_ms;
    const struct reprise_pair *metadata;
    size_t metadata_count;
};

/*
 * Sends and waits. On REPRISE_OK *out_reply is the reply's message, else *out_error is filled; both
 * lie in the arena (protobuf-c's own free functions must not be called on the message).
 */
enum reprise_code channel_call(struct channel *channel, const struct channel_request *request,
                               struct arena *arena, ProtobufCMessage **out_reply,
                               struct reprise_error *out_error);

/* ---- Calls of more than one message; a stream has one owner. ---- */
struct channel_stream;

/* Sends the first message; `only`: and no other. The request and the arena outlive the stream. NULL
 * when memory is spent. Whatever else goes wrong is told by channel_stream_close. */
struct channel_stream *channel_stream_open(struct channel *channel,
                                           const struct channel_request *request, bool only,
                                           struct arena *arena);
/* False: the stream is over. Waits until there is room for it. */
bool channel_stream_send(struct channel_stream *stream, const ProtobufCMessage *message);
/* Says that no other message will come. False: the stream is over. */
bool channel_stream_finish(struct channel_stream *stream);
/* The next message, in the arena; false: there is none. */
bool channel_stream_receive(struct channel_stream *stream, struct arena *arena,
                            ProtobufCMessage **out_message);
/* Waits for the status, or cancels; frees the stream. */
enum reprise_code channel_stream_close(struct channel_stream **stream, bool cancels,
                                       struct arena *arena, struct reprise_error *out_error);
