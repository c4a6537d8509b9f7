/*
 * lease.h - who computes an answer that many are asking for: at most one holder an exact key; the
 * others are told so, or wait. In memory only: a restart loses leases, and whoever waits asks
 * again.
 *
 * Waiters are records in their callers' memory, not threads. `woken` is called once for each,
 * unless lease_cancel took it back: by the thread that stored, released or turned the clock, which
 * holds no lock of this room; it only passes the word on.
 *
 * Threads: any. One lock, rank LEASES, held for a table access and the unlinking of waiters.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

struct leases;

enum { LEASE_TOKEN_BYTES = 16 };

enum lease_end {
    LEASE_FILLED,  /* the answer has been stored: look it up again                     */
    LEASE_YOURS,   /* the holder gave up or was lost: compute it, `token` is in waiter */
    LEASE_TIMEOUT, /* waited as long as was asked for                                  */
    LEASE_CLOSED,  /* the service is stopping                                          */
};

struct lease_waiter; /* the caller's memory, until woken or cancelled */
typedef void lease_woken(struct lease_waiter *waiter, enum lease_end end);

struct lease_waiter {
    lease_woken *woken;
    void *context;           /* the caller's */
    const atomic_bool *gone; /* set: nobody waits any more, and it is not parked; NULL: never */
    uint64_t give_up_us;     /* monotonic    */
    uint64_t hold_us;        /* how long it would hold the lease, were it given it */
    uint8_t token[LEASE_TOKEN_BYTES];
    struct lease_waiter *next, *previous; /* lease.c's */
    uint32_t slot;                        /* lease.c's; 0: it does not wait */
};

struct leases_setup {
    uint32_t leases_max;  /* of all keys; then LEASE_OTHER for new ones */
    uint32_t waiters_max; /* of one key                                 */
    uint8_t chance[16];   /* keys the table and the tokens              */
};
enum status leases_create(const struct leases_setup *setup, struct leases **out_leases);
/* Of one key, from now on; those that wait stay. Any thread. */
void leases_set_waiters_max(struct leases *leases, uint32_t waiters_max);
/* Nobody waits any more: leases_close came before. */
void leases_destroy(struct leases **leases);

enum lease_result {
    LEASE_TAKEN,  /* *out_token: the caller computes                               */
    LEASE_OTHER,  /* another holds it, or there are leases_max: compute at will    */
    LEASE_PARKED, /* the waiter will be woken; who sets `gone` cancels it afterwards */
};

/* waiter NULL: do not wait. now_us: monotonic. */
enum lease_result lease_take(struct leases *leases, const struct digest *key, uint64_t hold_us,
                             uint64_t now_us, struct lease_waiter *waiter,
                             uint8_t out_token[LEASE_TOKEN_BYTES]);

/* Whether this token holds anything now; its time begins anew then (a stream that goes on). */
bool lease_renew(struct leases *leases, const uint8_t token[LEASE_TOKEN_BYTES], uint64_t now_us);

/* Whether this token holds the key now. */
bool lease_holds(struct leases *leases, const struct digest *key,
                 const uint8_t token[LEASE_TOKEN_BYTES]);

/* The key has its answer: whoever holds it, the lease ends and all waiters are woken. Returns how
 * many. Cheap when nobody holds any lease. */
uint32_t lease_fill(struct leases *leases, const struct digest *key);

/* The holder gives it back: the next waiter holds it. False: the token holds nothing.
 * *out_waiters: how many wait still. */
bool lease_release(struct leases *leases, const uint8_t token[LEASE_TOKEN_BYTES], uint64_t now_us,
                   uint32_t *out_waiters);

/* Takes a waiter back. False: woken has been called or is about to be. */
bool lease_cancel(struct leases *leases, struct lease_waiter *waiter);

/* Every 50 ms: holders whose time is over lose the lease to the next waiter; waiters who have
 * waited long enough are woken. */
void leases_tick(struct leases *leases, uint64_t now_us);
/* Wakes everybody, and nobody is parked from now on. */
void leases_close(struct leases *leases);

struct leases_stats {
    uint64_t taken, waited; /* since the start */
    uint32_t held, waiting; /* now             */
};
void leases_stats(struct leases *leases, struct leases_stats *out_stats);
