/*
 * leased.c - what a Get does after its miss when it asked for a lease (lease.c keeps them): it
 * becomes the one that computes, or learns of another, or waits for the other's Set.
 *
 * LOOKING AGAIN. Between the miss and the lease a Set may have stored the answer and found nobody
 * to wake. So who has just got a lease looks into the exact tier once more; a Set stores first and
 * ends the lease afterwards, so that one of the two sees the other. Who finds an answer then ends
 * the lease that it has just got, as the Set would have.
 *
 * COUNTS. A Get that waits is counted once, where it ended; its first look into the exact tier
 * stays a miss of that tier.
 *
 * Owns nothing. Threads: any; who is woken goes on wherever its door wants.
 */
#include <string.h>

#include "base/check.h"
#include "cache/lookup.h"
#include "cache/parts.h"

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool read_token(struct text text, uint8_t out_token[LEASE_TOKEN_BYTES])
{
    return text.length == CACHE_LEASE_TEXT &&
           base64url_decode(text.bytes, text.length, out_token, LEASE_TOKEN_BYTES);
}

static uint32_t hold_ms(const struct cache *cache, const struct cache_get_request *request)
{
    const uint32_t asked_ms =
        request->hold_ms != 0 ? request->hold_ms : cache->limits.lease_hold_ms;
    const uint32_t max_ms = cache->limits.lease_hold_max_ms;
    assert(max_ms > 0);
    return asked_ms < max_ms ? asked_ms : max_ms;
}

static uint64_t wait_us(const struct cache *cache, const struct cache_get_request *request)
{
    const uint32_t max_ms = cache->limits.lease_wait_max_ms;
    const bool shorter = request->wait_ms != 0 && request->wait_ms < max_ms;
    return (shorter ? request->wait_ms : (uint64_t)max_ms) * 1000;
}

/* ---- Get ------------------------------------------------------------------------------------- */

/* What the semantic tier said before is no longer of interest. */
static bool is_answered(struct cache *cache, struct cache_get *get, int64_t now_ms)
{
    assert(get->lease_due);
    assert(get->reply.tier == CACHE_TIER_NONE);
    if (!cache_opens(namespace_wants(get->namespace_), CACHE_TIER_EXACT) ||
        !lookup_take_exact(cache, get, now_ms))
        return false;
    struct cache_get_reply *reply = &get->reply;
    reply->miss_reason = CACHE_MISS_NONE;
    reply->threshold = 0;
    reply->decided = reply->near_miss = false;
    reply->guards = 0;
    reply->degraded = NULL;
    reply->lease = (struct cache_lease){.given = false};
    get->lease_due = false;
    return true;
}

/* It holds the lease: the reply says so, unless the answer is there. Who wants it made anew does
 * not look. */
static void take(struct cache *cache, struct cache_get *get, enum cache_miss reason,
                 const uint8_t token[LEASE_TOKEN_BYTES], int64_t now_ms)
{
    if (!get->request->control.no_cache && is_answered(cache, get, now_ms)) {
        (void)lease_fill(cache->leases, &get->key.exact);
        return;
    }
    struct cache_lease *lease = &get->reply.lease;
    *lease = (struct cache_lease){.given = true, .hold_ms = hold_ms(cache, get->request)};
    const size_t length = base64url_encode(token, LEASE_TOKEN_BYTES, lease->token);
    assert(length == CACHE_LEASE_TEXT);
    namespace_count(&lookup_counters(get)->leases, 1);
    lookup_settle_leased(cache, get, reason);
}

static void leave_to_other(struct cache *cache, struct cache_get *get, enum cache_miss reason)
{
    get->reply.lease = (struct cache_lease){.given = true, .held_by_other = true};
    lookup_settle_leased(cache, get, reason);
}

bool cache_get_lease(struct cache *cache, struct cache_get *get, struct lease_waiter *waiter,
                     int64_t now_ms, uint64_t now_us)
{
    assert(get->lease_due);
    assert(get->key.canonical);
    assert(waiter == NULL || waiter->woken != NULL);
    uint8_t token[LEASE_TOKEN_BYTES];
    const uint64_t hold_us = (uint64_t)hold_ms(cache, get->request) * 1000;
    if (waiter != NULL) {
        const uint64_t latest_us = now_us + wait_us(cache, get->request);
        if (waiter->give_up_us == 0 || waiter->give_up_us > latest_us)
            waiter->give_up_us = latest_us;
    }
    const enum lease_result result =
        lease_take(cache->leases, &get->key.exact, hold_us, now_us, waiter, token);
    if (result == LEASE_PARKED) /* somebody else may be at work on it already */
        return true;
    lookup_open(cache, get);
    if (result == LEASE_TAKEN)
        take(cache, get, get->reply.miss_reason, token, now_ms);
    else
        leave_to_other(cache, get, get->reply.miss_reason);
    lookup_close(cache, get);
    return false;
}

/* False: the answer that it waited for is not there any more. */
static bool settle_woken(struct cache *cache, struct cache_get *get,
                         const struct lease_waiter *waiter, enum lease_end end, int64_t now_ms)
{
    switch (end) {
    case LEASE_FILLED:
        return is_answered(cache, get, now_ms);
    case LEASE_YOURS:
        take(cache, get, CACHE_MISS_LEADER_FAILED, waiter->token, now_ms);
        break;
    case LEASE_TIMEOUT:
    case LEASE_CLOSED:
        leave_to_other(cache, get, CACHE_MISS_WAIT_TIMEOUT);
        break;
    }
    return true;
}

void cache_get_woken(struct cache *cache, struct cache_get *get, struct lease_waiter *waiter,
                     enum lease_end end, int64_t now_ms, uint64_t now_us)
{
    assert(get->lease_due);
    lookup_open(cache, get);
    namespace_count(&lookup_counters(get)->lease_waits, 1);
    const bool is_settled = settle_woken(cache, get, waiter, end, now_ms);
    lookup_close(cache, get);
    if (!is_settled)
        (void)cache_get_lease(cache, get, NULL, now_ms, now_us);
    assert(!get->lease_due);
}

bool cache_get_unwait(struct cache *cache, struct lease_waiter *waiter)
{
    return lease_cancel(cache->leases, waiter);
}

/* ---- holders --------------------------------------------------------------------------------- */

bool cache_lease_holds(struct cache *cache, struct text token, const struct digest *key)
{
    uint8_t bytes[LEASE_TOKEN_BYTES];
    return read_token(token, bytes) && lease_holds(cache->leases, key, bytes);
}

bool cache_release_lease(struct cache *cache, struct text token, uint64_t now_us,
                         uint32_t *out_waiters)
{
    uint8_t bytes[LEASE_TOKEN_BYTES];
    *out_waiters = 0;
    return read_token(token, bytes) && lease_release(cache->leases, bytes, now_us, out_waiters);
}

/* Without a clock the next holder's time ends with the next tick. */
void cache_pass_lease(struct cache *cache, struct text token)
{
    uint32_t waiters = 0;
    (void)cache_release_lease(cache, token, cache->clock_us != NULL ? cache->clock_us() : 0,
                              &waiters);
}

void cache_renew_lease(struct cache *cache, struct text token, uint64_t now_us)
{
    uint8_t bytes[LEASE_TOKEN_BYTES];
    if (read_token(token, bytes))
        (void)lease_renew(cache->leases, bytes, now_us);
}

void cache_tick_leases(struct cache *cache, uint64_t now_us)
{
    leases_tick(cache->leases, now_us);
}

void cache_close_leases(struct cache *cache)
{
    leases_close(cache->leases);
}
