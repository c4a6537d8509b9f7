/*
 * door.h - what all calls of one listener share. Filled by listener.c before the first call;
 * afterwards it is constant but for the atomics. Only for server/grpc/.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "base/text.h"

struct cache;
struct codec_limits;
struct health;
struct live;
struct pool;
struct pushbacks;
struct symbols;
struct timers;

/* How calls come in: four methods with acceptors of their own, one acceptor for all the others. */
enum slot_kind { SLOT_GET, SLOT_SET, SLOT_BATCH_GET, SLOT_BATCH_SET, SLOT_GENERIC, SLOT_KINDS };

enum door_counter {
    DOOR_CALLS, /* let in */
    DOOR_SHED_INFLIGHT,
    DOOR_SHED_QUEUE,
    DOOR_SHED_LATE,
    DOOR_SHED_STREAMS,
    DOOR_DROPPED_CANCELLED,
    DOOR_DROPPED_DEADLINE,
    DOOR_READ_TIMEOUTS,
    DOOR_SEND_TIMEOUTS,
    DOOR_REFUSED_DRAINING,
    DOOR_REFUSED_LOADING,
    DOOR_COUNTERS
};

/*
 * LOADING: the data folder is being read; only methods that say so are answered. A server that
 * shuts down kills calls which are just arriving: their callers see CANCELLED, which nobody
 * retries. So new calls are refused with UNAVAILABLE before, until nobody calls any more.
 */
enum door_stage { DOOR_LOADING, DOOR_OPEN, DOOR_REFUSING, DOOR_ENDING };

struct door {
    struct cache *cache;
    struct pool *pool;
    const struct codec_limits *limits;
    struct live *live;
    struct symbols *symbols;
    struct health *health;
    struct timers *timers;
    struct pushbacks *pushbacks;
    struct counters *counters;
    struct counters *tally; /* tally.h */
    grpc_server *server;
    void *registered[SLOT_KINDS]; /* the core's handles; NULL for SLOT_GENERIC */
    uint32_t streams_max;         /* open at a time: each holds a slot and an arena */
    bool reflection;              /* whether its methods exist */

    /* May change at any time: listener_configure. */
    atomic_uint inflight_max;
    _Atomic int64_t read_timeout_ms, send_timeout_ms, stream_timeout_ms;
    atomic_bool degrade; /* a full compute queue makes a Get a miss, not an error */

    atomic_uint inflight; /* calls between arrival and their last event */
    atomic_uint streams;
    atomic_uint waiting; /* Gets that are parked with a lease: half of inflight_max at most, so that
                            there is room for the Sets that they wait for */
    atomic_int stage;    /* enum door_stage; only rises. ENDING: streams end as well */
};

/* Whose entries a caller sees. Without authentication there is one tenant. */
extern const struct text door_tenant;

/* Counts a call in, unless too many are; door_leave undoes it. */
bool door_enter(struct door *door);
void door_leave(struct door *door);
bool door_enter_stream(struct door *door);
void door_leave_stream(struct door *door);
bool door_enter_waiting(struct door *door);
void door_leave_waiting(struct door *door);
