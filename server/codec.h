/*
 * codec.h - protobuf-c's one door in the server: bytes of a request into the structs of cache/, and
 * replies into bytes. Every request passes codec_check before it is unpacked: protobuf-c itself has
 * no nesting limit, cuts strings at NUL and does not look at UTF-8. Threads: any; all of it works
 * in the caller's arena.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "cache/cache.h"
#include "cache/calibrate.h"
#include "cache/explain.h"
#include "cache/import.h"
#include "cache/scroll.h"
#include "cache/search.h"
#include "cache/shadow.h"
#include "storage/custodian.h"

struct codec_limits { /* from the options limits.* and server.* */
    uint32_t batch_max, tags_max, metadata_max, dimension_max;
    uint64_t answer_max;
    _Atomic uint64_t reply_max; /* may change at any time: read once where two uses must agree */
    struct key_limits key;
};

enum codec_message {
    /* request types of the path table */
    CODEC_GET,
    CODEC_SET,
    CODEC_BATCH_GET,
    CODEC_BATCH_SET,
    CODEC_DELETE,
    CODEC_INVALIDATE,
    CODEC_TOUCH,
    CODEC_REPORT,
    CODEC_BATCH_REPORT,
    CODEC_STATS,
    CODEC_SEARCH,
    CODEC_EXPLAIN,
    CODEC_SCROLL,
    CODEC_GET_ENTRY,
    CODEC_IMPORT,
    CODEC_CREATE_SNAPSHOT,
    CODEC_DELETE_SNAPSHOT,
    CODEC_UPDATE_NAMESPACE,
    CODEC_CREATE_NAMESPACE,
    CODEC_GET_NAMESPACE,
    CODEC_LIST_NAMESPACES,
    CODEC_DROP_NAMESPACE,
    CODEC_GET_POLICY,
    CODEC_SET_POLICY,
    CODEC_DESCRIBE_POLICY,
    CODEC_SHADOW_REPORT,
    CODEC_CALIBRATE,
    CODEC_WATCH_STATS,
    CODEC_MONITOR,
    CODEC_GET_CONFIG,
    CODEC_SET_CONFIG,
    CODEC_RELEASE_LEASE,
    CODEC_GET_STREAM,
    CODEC_SET_STREAM,
    CODEC_HEALTH_CHECK,
    CODEC_REFLECTION,
    CODEC_MESSAGES_COUNT
};

/*
 * Walks the wire bytes with the message's descriptor, without recursion. Refuses: nesting over 16
 * (LIMIT_EXCEEDED), a string with NUL or bad UTF-8 (BAD_TEXT, with its path), groups and broken
 * bytes (BAD_MESSAGE), over 64 unknown fields in all, repeated counts over the limits
 * (LIMIT_EXCEEDED).
 */
enum status codec_check(enum codec_message type, struct text bytes,
                        const struct codec_limits *limits, struct failure *failure);

/* Each checks, unpacks into the arena and fills *out; texts lie in the arena or in `bytes`. */
enum status codec_read_get(struct text bytes, const struct codec_limits *limits,
                           struct arena *arena, struct cache_get_request *out,
                           struct failure *failure);
enum status codec_read_set(struct text bytes, const struct codec_limits *limits,
                           struct arena *arena, struct cache_set_request *out,
                           struct failure *failure);
/*
 * One slot an item: a bad item fails alone (its failure, with a path that starts at the item), a
 * batch outside 1..batch_max as a whole. Of a slot either the request is written, or the failure;
 * failure.status always.
 */
struct codec_get_item {
    struct cache_get_request request;
    struct failure failure;
};
struct codec_set_item {
    struct cache_set_request request;
    struct failure failure;
};
enum status codec_read_batch_get(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_get_item **out_items,
                                 size_t *out_count, struct failure *failure);
enum status codec_read_batch_set(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_set_item **out_items,
                                 size_t *out_count, struct failure *failure);
enum status codec_read_delete(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_delete_request *out,
                              struct failure *failure);
enum status codec_read_invalidate(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct cache_selector *out,
                                  struct failure *failure);
enum status codec_read_touch(struct text bytes, const struct codec_limits *limits,
                             struct arena *arena, struct cache_touch_request *out,
                             struct failure *failure);
struct codec_report {
    struct cache_report report;
    struct text feedback_id;
};
enum status codec_read_report(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct codec_report *out,
                              struct failure *failure);
/* None is read if one of them cannot be: its path begins at the item. */
enum { CODEC_REPORTS_MAX = 1000 };
enum status codec_read_batch_report(struct text bytes, const struct codec_limits *limits,
                                    struct arena *arena, struct codec_report **out_reports,
                                    size_t *out_count, struct failure *failure);
enum status codec_read_stats(struct text bytes, const struct codec_limits *limits,
                             struct arena *arena, struct text *out_namespace,
                             struct failure *failure);
enum status codec_read_health(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct text *out_service,
                              struct failure *failure);

/*
 * A packed reply: `head` lies in the arena; `tail` is the answer's own bytes, the last field's
 * payload, borrowed from `tail_entry` (not referenced here: the door takes a reference for its
 * slice). tail empty: all is in head.
 */
struct codec_reply {
    struct text head, tail;
    struct entry *tail_entry;
};
/* STATUS_REPLY_TOO_LARGE, NO_MEMORY. */
enum status codec_write_get(const struct cache_get *get, int64_t now_ms,
                            const struct codec_limits *limits, struct arena *arena,
                            struct codec_reply *out, struct failure *failure);
enum status codec_write_set(const struct cache_set_reply *reply, struct arena *arena,
                            struct codec_reply *out);
/* For batches: item i has either a get/reply, or failures[i].status != OK. Items past reply_max
 * become REPLY_TOO_LARGE. */
struct codec_get_result {
    const struct cache_get *get;
    const struct failure *failure;
};
struct codec_set_result {
    const struct cache_set_reply *reply;
    const struct failure *failure;
};
enum status codec_write_batch_get(const struct codec_get_result *results, size_t count,
                                  uint32_t server_us, int64_t now_ms,
                                  const struct codec_limits *limits, struct arena *arena,
                                  struct codec_reply *out);
enum status codec_write_batch_set(const struct codec_set_result *results, size_t count,
                                  uint32_t server_us, struct arena *arena, struct codec_reply *out);
enum status codec_write_delete(uint32_t deleted, struct arena *arena, struct codec_reply *out);
enum status codec_write_invalidate(const struct cache_invalidate_reply *reply, struct arena *arena,
                                   struct codec_reply *out);
enum status codec_write_touch(const struct cache_touch_reply *reply, struct arena *arena,
                              struct codec_reply *out);
enum status codec_write_report(struct text feedback_id, enum cache_outcome outcome, uint32_t left,
                               struct arena *arena, struct codec_reply *out);
struct codec_report_result {
    enum cache_outcome outcome;
    uint32_t left;
};
enum status codec_write_batch_report(const struct codec_report *reports,
                                     const struct codec_report_result *results, size_t count,
                                     struct arena *arena, struct codec_reply *out);
enum status codec_write_stats(const struct cache_stats *stats, const struct codec_limits *limits,
                              struct arena *arena, struct codec_reply *out,
                              struct failure *failure);
enum status codec_read_search(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_search_request *out,
                              struct failure *failure);
/* REPLY_TOO_LARGE. */
enum status codec_write_search(const struct cache_search *search, const struct codec_limits *limits,
                               struct arena *arena, struct codec_reply *out,
                               struct failure *failure);
enum status codec_read_explain(struct text bytes, const struct codec_limits *limits,
                               struct arena *arena, struct cache_explain_request *out,
                               struct failure *failure);
enum status codec_write_explain(const struct cache_explain *explain, int64_t now_ms,
                                const struct codec_limits *limits, struct arena *arena,
                                struct codec_reply *out, struct failure *failure);
/* bytes_max of the request is what a reply has room for. */
enum status codec_read_scroll(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_page_request *out,
                              struct failure *failure);
enum status codec_write_scroll(const struct cache_page *page, bool answers,
                               const struct codec_limits *limits, struct arena *arena,
                               struct codec_reply *out, struct failure *failure);
struct codec_entry_request {
    struct digest entry_id;
    bool vector;
};
enum status codec_read_get_entry(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_entry_request *out,
                                 struct failure *failure);
/* `page` holds the one. */
enum status codec_write_get_entry(const struct cache_page *page, const struct codec_limits *limits,
                                  struct arena *arena, struct codec_reply *out,
                                  struct failure *failure);
struct codec_import {
    struct cache_import *entries;
    size_t count;
    struct cache_import_options options;
};
enum status codec_read_import(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct codec_import *out,
                              struct failure *failure);
enum status codec_write_import(const struct cache_import_reply *reply, struct arena *arena,
                               struct codec_reply *out);
/* Names of snapshots: "" is allowed for create alone. */
enum status codec_read_create_snapshot(struct text bytes, const struct codec_limits *limits,
                                       struct arena *arena, struct text *out_name,
                                       struct failure *failure);
enum status codec_read_delete_snapshot(struct text bytes, const struct codec_limits *limits,
                                       struct arena *arena, struct text *out_name,
                                       struct failure *failure);
enum status codec_write_create_snapshot(const struct snapshot_info *info, struct arena *arena,
                                        struct codec_reply *out);
enum status codec_write_list_snapshots(const struct snapshot_info *infos, size_t count,
                                       struct arena *arena, struct codec_reply *out);
enum status codec_write_compact(uint64_t bytes_before, uint64_t bytes_after, struct arena *arena,
                                struct codec_reply *out);
/* Streams that watch; codec_watch.c. Monitor's filter lacks the tenant. */
enum status codec_read_watch_stats(struct text bytes, const struct codec_limits *limits,
                                   struct arena *arena, struct text *out_namespace,
                                   uint32_t *out_interval_ms, struct failure *failure);
enum status codec_write_watch_stats(const struct cache_stats *stats,
                                    const struct codec_limits *limits, struct arena *arena,
                                    struct codec_reply *out, struct failure *failure);
enum status codec_read_monitor(struct text bytes, const struct codec_limits *limits,
                               struct arena *arena, struct monitor_filter *out,
                               struct failure *failure);
enum status codec_write_monitor(const struct monitor_decision *decisions, size_t count,
                                uint64_t dropped, const struct codec_limits *limits,
                                struct arena *arena, struct codec_reply *out,
                                struct failure *failure);
/* Options; codec_config.c. */
struct live_change;
struct options;
struct codec_config {
    struct live_change *changes; /* texts lie in the arena */
    size_t count;                /* 1 to CODEC_CHANGES_MAX */
    bool dry_run;
};
enum { CODEC_CHANGES_MAX = 64 };
enum status codec_read_get_config(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct text *out_prefix,
                                  struct failure *failure);
enum status codec_read_set_config(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct codec_config *out,
                                  struct failure *failure);
/* STATUS_NOT_FOUND: no name begins so. */
enum status codec_write_get_config(const struct options *options, struct text prefix,
                                   struct arena *arena, struct codec_reply *out,
                                   struct failure *failure);
enum status codec_write_set_config(const struct options *options, const struct codec_config *config,
                                   struct arena *arena, struct codec_reply *out);
/* Namespaces; codec_namespace.c. Create changes all fields. */
enum status codec_read_create_namespace(struct text bytes, const struct codec_limits *limits,
                                        struct arena *arena, struct cache_namespace_change *out,
                                        struct failure *failure);
enum status codec_read_update_namespace(struct text bytes, const struct codec_limits *limits,
                                        struct arena *arena, struct cache_namespace_change *out,
                                        struct failure *failure);
enum status codec_read_get_namespace(struct text bytes, const struct codec_limits *limits,
                                     struct arena *arena, struct text *out_name,
                                     struct failure *failure);
struct codec_listing {
    struct text after;
    size_t max;
};
enum status codec_read_list_namespaces(struct text bytes, const struct codec_limits *limits,
                                       struct arena *arena, struct codec_listing *out,
                                       struct failure *failure);
struct codec_drop {
    struct text name, confirm;
};
enum status codec_read_drop_namespace(struct text bytes, const struct codec_limits *limits,
                                      struct arena *arena, struct codec_drop *out,
                                      struct failure *failure);
/* The reply of Create, Get and Update alike. */
enum status codec_write_namespace(const struct cache_namespace_view *view, struct arena *arena,
                                  struct codec_reply *out);
enum status codec_write_list_namespaces(const struct cache_namespace_view *views, size_t count,
                                        bool more, const struct codec_limits *limits,
                                        struct arena *arena, struct codec_reply *out,
                                        struct failure *failure);
enum status codec_write_drop_namespace(uint64_t removed, struct arena *arena,
                                       struct codec_reply *out);

/* Policies; codec_policies.c. The type is CODEC_GET_POLICY, CODEC_DESCRIBE_POLICY or
 * CODEC_SHADOW_REPORT. */
enum status codec_read_policy_scope(enum codec_message type, struct text bytes,
                                    const struct codec_limits *limits, struct arena *arena,
                                    struct cache_policy_scope *out, struct failure *failure);
enum status codec_read_set_policy(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct cache_namespace_change *out,
                                  struct failure *failure);
enum status codec_write_get_policy(const struct cache_policy_view *view, struct arena *arena,
                                   struct codec_reply *out);
enum status codec_write_set_policy(const struct cache_policy_view *view, struct arena *arena,
                                   struct codec_reply *out);
enum status codec_write_describe_policy(const struct cache_policy_view *view, struct arena *arena,
                                        struct codec_reply *out);

/* GetShadowReport; codec_shadow.c. */
enum status codec_write_shadow_report(const struct cache_shadow_report *report, struct arena *arena,
                                      struct codec_reply *out);

/* One message of a Calibrate, and its reply; codec_calibrate.c. */
struct codec_calibrate {
    bool has_scope, has_error_max; /* the first message alone may */
    struct cache_policy_scope scope;
    double error_max; /* 0.02, if none is given */
    struct cache_pair *pairs;
    size_t count;
};
enum status codec_read_calibrate(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_calibrate *out,
                                 struct failure *failure);
enum status codec_write_calibrate(const struct cache_calibration *calibration, struct arena *arena,
                                  struct codec_reply *out);

/* Streams: codec_streams.c. */
struct codec_pace {
    uint32_t chunk_bytes;       /* 0: not given      */
    uint32_t tokens_per_second; /* 0: all at once    */
};
enum { CODEC_CHUNK_MIN = 16, CODEC_CHUNK_MAX = 1 << 20 };
enum status codec_read_get_stream(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct cache_get_request *out,
                                  struct codec_pace *out_pace, struct failure *failure);
/* As codec_write_get, but for the text, which follows. */
enum status codec_write_stream_head(const struct cache_get *get, int64_t now_ms,
                                    const struct codec_limits *limits, struct arena *arena,
                                    struct codec_reply *out, struct failure *failure);
/* What stands before `length` bytes of text, which end the message. Returns how many bytes. */
enum { CODEC_DELTA_HEAD = 32 };
size_t codec_delta_head(size_t length, char out[CODEC_DELTA_HEAD]);
/* info: as stored. */
enum status codec_write_stream_finish(struct text info, struct arena *arena,
                                      struct codec_reply *out);

/* A SetStream as far as it has come; codec_capture.c. */
struct codec_capture;
enum codec_part { CODEC_PART_NONE, CODEC_PART_HEAD, CODEC_PART_DELTA, CODEC_PART_FINISH };
/* Everything that is kept of the messages lies in the arena. NULL when memory is spent. */
struct codec_capture *codec_capture_create(struct arena *arena);
/* The next message; nothing of it is borrowed. Past the finish there is none. */
enum status codec_capture_take(struct codec_capture *capture, struct text message,
                               const struct codec_limits *limits, enum codec_part *out_part,
                               struct failure *failure);
/* Of the head; empty before. */
struct text codec_capture_lease(const struct codec_capture *capture);
/* After the finish: the SetRequest that all of it comes to. STATUS_NO_MEMORY. */
enum status codec_capture_request(const struct codec_capture *capture, struct text *out_request);
enum status codec_write_set_stream(const struct cache_set_reply *reply, struct arena *arena,
                                   struct codec_reply *out);

/* Leases: codec_leases.c. */
enum status codec_read_release_lease(struct text bytes, const struct codec_limits *limits,
                                     struct arena *arena, struct text *out_token,
                                     struct failure *failure);
enum status codec_write_release_lease(bool released, uint32_t waiters, struct arena *arena,
                                      struct codec_reply *out);

/* status: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN. */
enum status codec_write_health(int serving, struct arena *arena, struct codec_reply *out);

/* Packed google.rpc.Status for the trailer grpc-status-details-bin; retry_ms 0: no RetryInfo. */
enum status codec_write_details(const struct failure *failure, uint32_t retry_ms,
                                struct arena *arena, struct text *out);

/* Reflection: what a request asks for, and the reply. */
enum codec_reflection_kind {
    CODEC_REFLECT_FILE,
    CODEC_REFLECT_SYMBOL,
    CODEC_REFLECT_EXTENSION,
    CODEC_REFLECT_EXTENSION_NUMBERS,
    CODEC_REFLECT_SERVICES,
    CODEC_REFLECT_NOTHING
};
struct codec_reflection {
    enum codec_reflection_kind kind;
    struct text name;
    struct text host;
    struct text original;
};
enum status codec_read_reflection(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct codec_reflection *out,
                                  struct failure *failure);
/* One of: files (serialised FileDescriptorProtos), services (names), or an error. */
enum status codec_write_reflection(const struct codec_reflection *request, const struct text *files,
                                   size_t files_count, const struct text *services,
                                   size_t services_count, int error_code, const char *error_message,
                                   struct arena *arena, struct codec_reply *out);
