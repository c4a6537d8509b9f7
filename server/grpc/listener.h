/*
 * listener.h - the gRPC door: it listens, lets calls in, and closes politely.
 * Threads: main creates, starts, drains and destroys; listener_tick is the keeper's; listener_hurry
 * and listener_stats are for any thread.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>

#include "base/options.h"
#include "base/status.h"

struct cache;
struct codec_limits;
struct live;
struct listener;
struct pool;

/* grpc.* and the rows of server.* that concern calls */
extern const struct option_row listener_option_rows[];
extern const size_t listener_option_rows_count;

struct listener_setup {
    const char *address; /* "127.0.0.1:7371"; port 0 picks a free one. Loopback only. */
    struct cache *cache;
    struct pool *pool;
    const struct codec_limits *limits;
    const struct options *options;
    struct live *live;   /* for GetConfig and SetConfig; NULL: nobody asks them */
    uint32_t io_threads; /* at least 1 */
};

/* Would listener_create accept these options? STATUS_BAD_OPTION (the address). */
enum status listener_check(const struct options *options, struct failure *failure);

/* Binds; nobody is served before listener_start. All of the setup but `address` outlives the
 * listener. STATUS_BAD_OPTION (the address), STATUS_UNAVAILABLE (somebody else has the port),
 * STATUS_NO_MEMORY. */
enum status listener_create(const struct listener_setup *setup, struct listener **out_listener,
                            struct failure *failure);

/* From now on by what these say in rows that are OPTION_LIVE. Any thread, one at a time. */
void listener_configure(struct listener *listener, const struct options *options);

/* The bound port. */
int listener_port(const struct listener *listener);

/* Starts the I/O threads. Until listener_open calls are told LOADING, but for probes, reflection
 * and Stats, and health says NOT_SERVING. */
enum status listener_start(struct listener *listener, struct failure *failure);
/* Lets calls in; health says SERVING from here on. Once, unless it drains already. */
void listener_open(struct listener *listener);

/* As health says it: LOADING until listener_open, DRAINING from the beginning of a drain. Any
 * thread. */
enum listener_readiness { LISTENER_LOADING, LISTENER_SERVING, LISTENER_DRAINING };
enum listener_readiness listener_readiness(const struct listener *listener);

/* Every 100 ms, with the monotonic clock: cancels calls whose message is not complete in time,
 * and those whose reply is not taken in time. */
void listener_tick(struct listener *listener, int64_t now_ms);

/*
 * Health says NOT_SERVING and serving goes on for delay_ms; then new calls are refused as
 * UNAVAILABLE until nobody is inside and nobody has called for a tenth of a second, at most half a
 * second; then the port closes, those in flight have timeout_ms, and the rest is cancelled. When it
 * returns every call has been answered, one line of the log says what the door counted, and the I/O
 * threads have ended; neither pool nor cache are used any more. Calls that wait for the disk are
 * in flight like others. Once, after listener_start.
 */
void listener_drain(struct listener *listener, int64_t delay_ms, int64_t timeout_ms);
/* Ends the waits of a drain, now or when it comes to them. */
void listener_hurry(struct listener *listener);

/* Drains without waiting if nobody has; NULL is fine. The keeper no longer ticks. */
void listener_destroy(struct listener **listener);

struct listener_stats {
    uint32_t inflight, streams; /* now                                                  */
    uint64_t calls;             /* let in, streams too; probes (Check) are not counted  */
    uint64_t shed_inflight;     /* refused over server.inflight_max                     */
    uint64_t shed_queue;   /* refused or degraded, compute's or the embedder's queue being full */
    uint64_t shed_late;    /* the same: its vector could not be there in time      */
    uint64_t shed_streams; /* streams refused, too many being open                 */
    uint64_t dropped_cancelled; /* the caller had gone before its turn on compute       */
    uint64_t dropped_deadline;  /* the deadline had passed before its turn              */
    uint64_t refused_draining;  /* told to go elsewhere while the door closed          */
    uint64_t refused_loading;   /* told to come back while the data folder was read    */
    uint64_t read_timeouts;     /* cancelled: no complete message in server.read_timeout */
    uint64_t send_timeouts;     /* cancelled: reply not taken in server.send_timeout */
};
void listener_stats(const struct listener *listener, struct listener_stats *out_stats);
/* Replies by method and code, as Prometheus text. */
void listener_metrics(const struct listener *listener, FILE *out);
