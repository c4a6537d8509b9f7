/*
 * handlers.h - what the methods of our own services do with a call (get.c, batch.c, set.c,
 * touch.c, admin.c, snapshots.c, config.c). Each owns the call and its message, and ends with a
 * reply or a hand-off. Threads: I/O threads.
 */
#pragma once
#include "server/grpc/call.h"

/* Larger requests are unpacked and hashed on compute: hashing 32 KiB takes about as long as an I/O
 * thread may work on one call (20 to 80 us). Where compute has no room they are OVERLOADED:
 * unpacked here, ten requests of 4 MB of JSON held up every other call for seconds. */
enum { HANDLER_INLINE_BYTES = 32 * 1024 };

void handle_get(struct call *call);
void handle_batch_get(struct call *call);
void handle_set(struct call *call);
void handle_batch_set(struct call *call);
void handle_delete(struct call *call);
void handle_invalidate(struct call *call);
void handle_touch(struct call *call);
void handle_search(struct call *call);
void handle_explain(struct call *call);
void handle_scroll(struct call *call);
void handle_get_entry(struct call *call);
void handle_import(struct call *call);
void handle_report(struct call *call);
void handle_batch_report(struct call *call);
void handle_stats(struct call *call);
void handle_create_namespace(struct call *call);
void handle_update_namespace(struct call *call);
void handle_drop_namespace(struct call *call);
void handle_get_namespace(struct call *call);
void handle_list_namespaces(struct call *call);
void handle_get_policy(struct call *call);
void handle_set_policy(struct call *call);
void handle_describe_policy(struct call *call);
void handle_shadow_report(struct call *call);
void handle_create_snapshot(struct call *call);
void handle_list_snapshots(struct call *call);
void handle_delete_snapshot(struct call *call);
void handle_compact(struct call *call);
void handle_watch_stats(struct call *call);
void handle_monitor(struct call *call);
void handle_get_config(struct call *call);
void handle_set_config(struct call *call);

void handle_release_lease(struct call *call);
void handle_get_stream(struct call *call);
void handle_set_stream(struct call *call); /* of each message */
void handle_calibrate(struct call *call);  /* the same */

/* What it waited for has come; its caller has gone. */
void get_woken(struct call *call);
void get_closed(struct call *call);
/* Of WatchStats and Monitor; watch.c. */
void watch_woken(struct call *call);
void watch_written(struct call *call, bool success);
void watch_closed(struct call *call);
void get_stream_woken(struct call *call);
void get_stream_written(struct call *call, bool success);
void get_stream_closed(struct call *call);
void set_stream_ended(struct call *call);
void calibrate_ended(struct call *call);
/* Parked calls go on here: what they waited for is on the disk, or cannot be. Threads: I/O. */
void set_woken(struct call *call);
void batch_set_woken(struct call *call);
void delete_woken(struct call *call);
void invalidate_woken(struct call *call);
void tend_namespace_woken(struct call *call);
void create_snapshot_woken(struct call *call);
void compact_woken(struct call *call);
