/*
 * lease.c - leases in an array of slots, found by key through chains and by token directly: a token
 * begins with its slot's number.
 *
 * THE TOKEN is 4 bytes of slot number and 12 that only the service could have made: a keyed hash of
 * a number that grows with every lease, so that an old token does not open a slot's next lease.
 *
 * WAKING. Waiters that are to be woken are unlinked under the lock into a list of the caller's, and
 * called after it has been released: what they do may take any lock.
 *
 * WHO IS NEXT. Waiters stand in line; the first becomes the holder. A tick visits slots in use only
 * (they are packed at the front of `used`), so idle keys cost nothing.
 *
 * NOT HERE. The exact tier (lookup.c), who may ask for a lease (the verbs), clocks.
 */
#include "cache/lease.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

struct slot { /* slot 0 is never used: number 0 is "none" */
    struct digest key;
    uint8_t token[LEASE_TOKEN_BYTES];
    uint64_t hold_us, ends_us;
    struct lease_waiter *first, *last;
    uint32_t waiters_count;
    uint32_t next;       /* in its chain, or in the free list */
    uint32_t used_place; /* where `used` names it             */
};

struct leases {
    struct leases_setup setup;
    struct lock lock;
    uint32_t waiters_max GUARDED;
    struct slot *slots GUARDED;  /* leases_max + 1                       */
    uint32_t *chains GUARDED;    /* first slot of each; a power of two   */
    uint32_t *used GUARDED;      /* numbers of the slots that are held   */
    uint32_t chains_count;       /* never changes                        */
    uint32_t free_first GUARDED; /* of slots that were used; then `fresh` ones   */
    uint32_t fresh GUARDED;      /* the first that never was: its page is untouched */
    uint64_t number GUARDED;     /* of leases made                       */
    uint64_t waited GUARDED;
    uint32_t waiting GUARDED;
    bool is_closed GUARDED;
    _Atomic uint32_t used_count; /* written under the lock; lease_fill asks without it */
};

struct waking { /* unlinked, to be called after the lock */
    struct lease_waiter *first, *last;
};

/* ---- creation -------------------------------------------------------------------------------- */

static uint32_t chains_for(uint32_t leases_max)
{
    uint32_t count = 16;
    while (count < leases_max)
        count *= 2;
    return count;
}

UNSHARED enum status leases_create(const struct leases_setup *setup, struct leases **out_leases)
{
    assert(setup->leases_max > 0);
    assert(setup->leases_max < UINT32_MAX / 2);
    struct leases *leases = calloc(1, sizeof(*leases));
    if (leases == NULL)
        return STATUS_NO_MEMORY;
    leases->setup = *setup;
    lock_init(&leases->lock, LOCK_RANK_LEASES);
    leases->waiters_max = setup->waiters_max;
    leases->chains_count = chains_for(setup->leases_max);
    leases->slots = calloc((size_t)setup->leases_max + 1, sizeof(*leases->slots));
    leases->chains = calloc(leases->chains_count, sizeof(*leases->chains));
    leases->used = calloc(setup->leases_max, sizeof(*leases->used));
    if (leases->slots == NULL || leases->chains == NULL || leases->used == NULL) {
        leases_destroy(&leases);
        return STATUS_NO_MEMORY;
    }
    leases->fresh = 1;
    *out_leases = leases;
    return STATUS_OK;
}

UNSHARED void leases_destroy(struct leases **leases)
{
    struct leases *doomed = *leases;
    if (doomed == NULL)
        return;
    *leases = NULL;
    assert(doomed->waiting == 0);
    free(doomed->used);
    free(doomed->chains);
    free(doomed->slots);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- waiters --------------------------------------------------------------------------------- */

static void waiter_link(struct leases *leases, uint32_t number, struct lease_waiter *waiter)
    REQUIRES(&leases->lock)
{
    struct slot *slot = &leases->slots[number];
    waiter->slot = number;
    waiter->next = NULL;
    waiter->previous = slot->last;
    if (slot->last != NULL)
        slot->last->next = waiter;
    else
        slot->first = waiter;
    slot->last = waiter;
    slot->waiters_count++;
    leases->waiting++;
}

static void waiter_unlink(struct leases *leases, struct lease_waiter *waiter)
    REQUIRES(&leases->lock)
{
    struct slot *slot = &leases->slots[waiter->slot];
    assert(slot->waiters_count > 0);
    *(waiter->previous != NULL ? &waiter->previous->next : &slot->first) = waiter->next;
    *(waiter->next != NULL ? &waiter->next->previous : &slot->last) = waiter->previous;
    slot->waiters_count--;
    leases->waiting--;
    waiter->slot = 0;
    waiter->next = waiter->previous = NULL;
}

/* `how` is kept in the waiter's give_up_us until it is called: it needs no time any more. */
static void wake_later(struct leases *leases, struct waking *waking, struct lease_waiter *waiter,
                       enum lease_end how) REQUIRES(&leases->lock)
{
    waiter_unlink(leases, waiter);
    waiter->give_up_us = how;
    *(waking->last != NULL ? &waking->last->next : &waking->first) = waiter;
    waking->last = waiter;
}

/* Holding no lock. A waiter's memory may be gone when its woken returns. */
static uint32_t wake(struct waking *waking)
{
    uint32_t count = 0;
    for (struct lease_waiter *waiter = waking->first, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        waiter->next = NULL;
        waiter->woken(waiter, (enum lease_end)waiter->give_up_us);
        count++;
    }
    return count;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint32_t *chain_of(struct leases *leases, const struct digest *key) REQUIRES(&leases->lock)
{
    const uint64_t hash = digest_siphash(leases->setup.chance, key->bytes, sizeof(key->bytes));
    return &leases->chains[hash & (leases->chains_count - 1)];
}

static uint32_t find(struct leases *leases, const struct digest *key) REQUIRES(&leases->lock)
{
    uint32_t number = *chain_of(leases, key);
    while (number != 0 && memcmp(leases->slots[number].key.bytes, key->bytes, sizeof(key->bytes)))
        number = leases->slots[number].next;
    return number;
}

static void make_token(struct leases *leases, uint32_t number) REQUIRES(&leases->lock)
{
    uint8_t *token = leases->slots[number].token;
    leases->number++;
    const uint64_t input[2] = {leases->number, number};
    const uint64_t high = digest_siphash(leases->setup.chance, input, sizeof(input));
    const uint64_t more[2] = {leases->number, ~(uint64_t)number};
    const uint64_t low = digest_siphash(leases->setup.chance, more, sizeof(more));
    memcpy(token, &number, sizeof(number));
    memcpy(token + 4, &high, sizeof(high));
    memcpy(token + 12, &low, 4);
}

static void hold(struct leases *leases, uint32_t number, uint64_t hold_us, uint64_t now_us)
    REQUIRES(&leases->lock)
{
    make_token(leases, number);
    leases->slots[number].hold_us = hold_us;
    leases->slots[number].ends_us = now_us + hold_us;
}

void leases_set_waiters_max(struct leases *leases, uint32_t waiters_max)
{
    lock_acquire(&leases->lock);
    leases->waiters_max = waiters_max;
    lock_release(&leases->lock);
}

/* 0: there are leases_max. */
static uint32_t slot_open(struct leases *leases, const struct digest *key) REQUIRES(&leases->lock)
{
    const uint32_t number = leases->free_first != 0 ? leases->free_first : leases->fresh;
    if (number > leases->setup.leases_max)
        return 0;
    struct slot *slot = &leases->slots[number];
    if (number == leases->fresh)
        leases->fresh++;
    else
        leases->free_first = slot->next;
    uint32_t *chain = chain_of(leases, key);
    const uint32_t place = atomic_load_explicit(&leases->used_count, memory_order_relaxed);
    *slot = (struct slot){.key = *key, .next = *chain, .used_place = place};
    *chain = number;
    leases->used[place] = number;
    atomic_store_explicit(&leases->used_count, place + 1, memory_order_relaxed);
    return number;
}

static void slot_close(struct leases *leases, uint32_t number) REQUIRES(&leases->lock)
{
    struct slot *slot = &leases->slots[number];
    assert(slot->waiters_count == 0);
    uint32_t *link = chain_of(leases, &slot->key);
    while (*link != number)
        link = &leases->slots[*link].next;
    *link = slot->next;
    const uint32_t last = atomic_load_explicit(&leases->used_count, memory_order_relaxed) - 1;
    leases->used[slot->used_place] = leases->used[last];
    leases->slots[leases->used[last]].used_place = slot->used_place;
    atomic_store_explicit(&leases->used_count, last, memory_order_relaxed);
    *slot = (struct slot){.next = leases->free_first}; /* its token opens nothing any more */
    leases->free_first = number;
}

/* The next in line becomes the holder; with nobody in line the lease ends. */
static void pass_on(struct leases *leases, uint32_t number, uint64_t now_us, struct waking *waking)
    REQUIRES(&leases->lock)
{
    struct lease_waiter *heir = leases->slots[number].first;
    if (heir == NULL) {
        slot_close(leases, number);
        return;
    }
    hold(leases, number, heir->hold_us, now_us);
    memcpy(heir->token, leases->slots[number].token, LEASE_TOKEN_BYTES);
    wake_later(leases, waking, heir, LEASE_YOURS);
}

/* Every byte is looked at, so that time does not tell how many were right. */
static bool is_token(const struct slot *slot, const uint8_t token[LEASE_TOKEN_BYTES])
{
    uint8_t differ = 0;
    for (size_t i = 0; i < LEASE_TOKEN_BYTES; i++)
        differ |= (uint8_t)(slot->token[i] ^ token[i]);
    return differ == 0;
}

/* 0: it holds nothing. */
static uint32_t find_token(struct leases *leases, const uint8_t token[LEASE_TOKEN_BYTES])
    REQUIRES(&leases->lock)
{
    uint32_t number;
    memcpy(&number, token, sizeof(number));
    if (number == 0 || number > leases->setup.leases_max)
        return 0;
    return is_token(&leases->slots[number], token) ? number : 0;
}

/* ---- the verbs ------------------------------------------------------------------------------- */

static enum lease_result join(struct leases *leases, uint32_t number, struct lease_waiter *waiter,
                              uint64_t hold_us) REQUIRES(&leases->lock)
{
    if (waiter == NULL || leases->slots[number].waiters_count >= leases->waiters_max)
        return LEASE_OTHER;
    /* Whoever sets it asks lease_cancel next, and so the lock: he comes too late to be seen here,
     * or too early to find the waiter, never both. */
    if (waiter->gone != NULL && atomic_load(waiter->gone))
        return LEASE_OTHER;
    waiter->hold_us = hold_us;
    waiter_link(leases, number, waiter);
    leases->waited++;
    return LEASE_PARKED;
}

enum lease_result lease_take(struct leases *leases, const struct digest *key, uint64_t hold_us,
                             uint64_t now_us, struct lease_waiter *waiter,
                             uint8_t out_token[LEASE_TOKEN_BYTES])
{
    assert(hold_us > 0);
    lock_acquire(&leases->lock);
    enum lease_result result = LEASE_OTHER;
    uint32_t number = leases->is_closed ? 0 : find(leases, key);
    if (number != 0) {
        result = join(leases, number, waiter, hold_us);
    } else if (!leases->is_closed && (number = slot_open(leases, key)) != 0) {
        hold(leases, number, hold_us, now_us);
        memcpy(out_token, leases->slots[number].token, LEASE_TOKEN_BYTES);
        result = LEASE_TAKEN;
    }
    lock_release(&leases->lock);
    return result;
}

bool lease_renew(struct leases *leases, const uint8_t token[LEASE_TOKEN_BYTES], uint64_t now_us)
{
    lock_acquire(&leases->lock);
    const uint32_t number = find_token(leases, token);
    if (number != 0)
        leases->slots[number].ends_us = now_us + leases->slots[number].hold_us;
    lock_release(&leases->lock);
    return number != 0;
}

bool lease_holds(struct leases *leases, const struct digest *key,
                 const uint8_t token[LEASE_TOKEN_BYTES])
{
    lock_acquire(&leases->lock);
    const uint32_t number = find_token(leases, token);
    const struct slot *slot = &leases->slots[number];
    const bool holds = number != 0 && memcmp(slot->key.bytes, key->bytes, sizeof(key->bytes)) == 0;
    lock_release(&leases->lock);
    return holds;
}

uint32_t lease_fill(struct leases *leases, const struct digest *key)
{
    /* A lease that is taken while this is read is of a caller that looked before the answer was
     * there; it loses nothing but its waiting. */
    if (atomic_load_explicit(&leases->used_count, memory_order_relaxed) == 0)
        return 0;
    struct waking waking = {NULL, NULL};
    lock_acquire(&leases->lock);
    const uint32_t number = find(leases, key);
    if (number != 0) {
        while (leases->slots[number].first != NULL)
            wake_later(leases, &waking, leases->slots[number].first, LEASE_FILLED);
        slot_close(leases, number);
    }
    lock_release(&leases->lock);
    return wake(&waking);
}

bool lease_release(struct leases *leases, const uint8_t token[LEASE_TOKEN_BYTES], uint64_t now_us,
                   uint32_t *out_waiters)
{
    struct waking waking = {NULL, NULL};
    *out_waiters = 0;
    lock_acquire(&leases->lock);
    const uint32_t number = find_token(leases, token);
    if (number != 0) {
        pass_on(leases, number, now_us, &waking);
        *out_waiters = leases->slots[number].waiters_count;
    }
    lock_release(&leases->lock);
    (void)wake(&waking);
    return number != 0;
}

bool lease_cancel(struct leases *leases, struct lease_waiter *waiter)
{
    lock_acquire(&leases->lock);
    const bool waits = waiter->slot != 0;
    if (waits)
        waiter_unlink(leases, waiter);
    lock_release(&leases->lock);
    return waits;
}

static void wake_impatient(struct leases *leases, uint32_t number, uint64_t now_us,
                           struct waking *waking) REQUIRES(&leases->lock)
{
    for (struct lease_waiter *waiter = leases->slots[number].first, *next; waiter != NULL;
         waiter = next) {
        next = waiter->next;
        if (waiter->give_up_us <= now_us)
            wake_later(leases, waking, waiter, LEASE_TIMEOUT);
    }
}

void leases_tick(struct leases *leases, uint64_t now_us)
{
    struct waking waking = {NULL, NULL};
    lock_acquire(&leases->lock);
    /* Backwards: closing a slot moves the last one into its place. */
    for (uint32_t i = atomic_load_explicit(&leases->used_count, memory_order_relaxed); i-- > 0;) {
        const uint32_t number = leases->used[i];
        wake_impatient(leases, number, now_us, &waking);
        if (leases->slots[number].ends_us <= now_us)
            pass_on(leases, number, now_us, &waking);
    }
    lock_release(&leases->lock);
    (void)wake(&waking);
}

void leases_close(struct leases *leases)
{
    struct waking waking = {NULL, NULL};
    lock_acquire(&leases->lock);
    leases->is_closed = true;
    for (uint32_t i = atomic_load_explicit(&leases->used_count, memory_order_relaxed); i-- > 0;) {
        const uint32_t number = leases->used[i];
        while (leases->slots[number].first != NULL)
            wake_later(leases, &waking, leases->slots[number].first, LEASE_CLOSED);
        slot_close(leases, number);
    }
    lock_release(&leases->lock);
    (void)wake(&waking);
}

void leases_stats(struct leases *leases, struct leases_stats *out_stats)
{
    lock_acquire(&leases->lock);
    *out_stats = (struct leases_stats){
        .taken = leases->number,
        .waited = leases->waited,
        .held = atomic_load_explicit(&leases->used_count, memory_order_relaxed),
        .waiting = leases->waiting};
    lock_release(&leases->lock);
}
