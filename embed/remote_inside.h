/*
 * remote_inside.h - what remote.c (the life of the whole), remote_turn.c (the queue) and
 * remote_flight.c (one request) share; nobody else includes it. Threads: what is not said to be
 * otherwise belongs to the thread "remote".
 */
#pragma once
#include <semaphore.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "embed/breaker.h"
#include "embed/remote.h"
#include "embed/remote_pack.h"

enum { FLIGHT_MAGIC = 0x666c6974 };

/* Who asks for more patience than this is not waited for. */
static const uint64_t REMOTE_REST_MAX_US = 30 * 1000000ULL;

enum flight_state {
    FLIGHT_FREE,
    FLIGHT_SENT,
    FLIGHT_RESTING, /* until its next attempt */
};

/* One request and, if need be, its next attempts. */
struct flight {
    struct outgoing_request request; /* first member: what comes back from outgoing is the flight */
    uint32_t magic;
    enum flight_state state;
    struct remote *remote;
    bool is_canary; /* has no jobs: its text is constant */
    bool is_bulk;
    bool asks_floats;
    struct pack pack;
    struct remote_body body;
    uint32_t attempts;
    uint64_t due_us; /* while resting */
};

/* Written by the thread "remote", read by anybody. */
struct remote_tally {
    atomic_bool is_up, has_drifted, has_bad_vectors;
    atomic_int last_error, last_code;
    atomic_uint flying, resting, batch_now;
    _Atomic uint64_t requests, retries, texts, jobs, canaries, drifts, openings;
    _Atomic uint64_t tokens, counted, uncounted;
    _Atomic uint64_t errors[REMOTE_ERROR_COUNT];
};

/* How the first canary ended; read by remote_create after `ended`. */
struct remote_start {
    bool is_over;
    sem_t ended;
    enum remote_error error;
    int code;
    const char *why;
    uint32_t dimension; /* what came, be it right or wrong */
};

struct remote {
    struct outgoing_guest guest; /* first member */
    struct outgoing *outgoing;
    bool is_attached;

    /* as created */
    struct remote_settings settings; /* its texts are gone: see below */
    char url[REMOTE_URL_MAX];
    char *model, *authorization;
    const char *headers[2];
    size_t headers_count;
    atomic_uint dimension; /* 0 until the first canary, if it is to be learned */

    /* handed in */
    struct lock lock;
    struct job_list inbox GUARDED, overflow GUARDED;
    atomic_uint waiting; /* jobs in inbox and queues */
    atomic_bool stop;    /* asked for */

    struct job_list queues[2]; /* interactive, bulk                                          */
    uint64_t deadline_us;      /* no job of queues and flights has an earlier one            */
    uint64_t quiet_until_us;   /* the server asked for it                                    */
    struct flight *flights;    /* settings.flights_max                                       */
    struct flight canary;
    struct text *texts; /* scratch: of one request                                    */
    struct breaker breaker;
    uint64_t canary_at_us;   /* the next one, if none is under way                         */
    uint64_t canary_over_us; /* the last one                                             */
    uint32_t refusals;       /* texts refused alone since one was taken                  */
    bool is_doubted;         /* the canary that is due decides: see remote_flight.c      */
    uint64_t chance;
    uint32_t batch_now;      /* texts a request, as learned                                */
    uint32_t accepted_max;   /* the most texts that one request has brought home           */
    bool asks_floats;        /* as learned: base64 is refused                              */
    bool is_encoding_proven; /* a reply has come to what is asked for                      */
    float *canary_vector;    /* the first one                                              */
    struct remote_start start;
    struct remote_tally tally;
};

/* The pack is filled (or it is the canary): sends it. */
void flight_begin(struct flight *flight);
/* The next attempt of one that rests. */
void flight_resume(struct flight *flight);
/* Its jobs are done with this status; it is free. Not of one that is sent. */
void flight_end(struct flight *flight, enum status status);

/* The guest's functions. */
uint64_t remote_run(struct outgoing_guest *guest, uint64_t now_us);
void remote_leave(struct outgoing_guest *guest);
/* Jobs that could not be done before `until` are OVERLOADED at once; nothing new is sent before. */
void remote_keep_quiet(struct remote *remote, uint64_t until_us);
/* These jobs wait again, before all others. */
void remote_put_back(struct remote *remote, struct job_list *jobs, bool is_bulk);
