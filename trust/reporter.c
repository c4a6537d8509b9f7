/*
 * reporter.c - how many verdicts one reporter may give in a minute. Owns a table of fixed size:
 * places, chained by the keyed hash of the name, and a list of all in the order in which they were
 * last heard. Threads: any; REPORTERS is held for one look-up.
 *
 * A minute begins with a reporter's first verdict and lasts 60 s; with the next verdict after it
 * another begins. A refused one counts as heard, so nobody is forgotten, and thereby freed, by
 * insisting. Names are kept as 64 bits of SipHash under a key drawn at start: nobody can aim at
 * another's place.
 *
 * NOT HERE. Who may report at all, and what a verdict does.
 */
#include "trust/reporter.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/lock.h"

enum { MINUTE_MS = 60000 };
static const uint32_t NOWHERE = UINT32_MAX;

struct reporter {
    uint64_t hash;
    int64_t minute_ms; /* when the minute began */
    uint32_t taken;    /* verdicts in it        */
    uint32_t chain;    /* next in the bucket    */
    uint32_t newer, older;
};

struct reporters {
    uint8_t hash_key[16];
    uint32_t reporters_max; /* as created; also the number of buckets */
    struct lock lock;
    struct reporter *places GUARDED; /* reporters_max of them, the first `used` taken */
    uint32_t *buckets GUARDED;
    uint32_t used GUARDED, newest GUARDED, oldest GUARDED;
};

UNSHARED enum status reporters_create(uint32_t reporters_max, const uint8_t hash_key[16],
                                      struct reporters **out_reporters)
{
    assert(reporters_max > 0);
    assert(reporters_max < NOWHERE);
    struct reporters *reporters = calloc(1, sizeof(*reporters));
    if (reporters == NULL)
        return STATUS_NO_MEMORY;
    memcpy(reporters->hash_key, hash_key, sizeof(reporters->hash_key));
    reporters->reporters_max = reporters_max;
    reporters->newest = NOWHERE;
    reporters->oldest = NOWHERE;
    lock_init(&reporters->lock, LOCK_RANK_REPORTERS);
    reporters->places = calloc(reporters_max, sizeof(*reporters->places));
    reporters->buckets = calloc(reporters_max, sizeof(*reporters->buckets));
    if (reporters->places == NULL || reporters->buckets == NULL)
        goto destroy_reporters;
    for (uint32_t i = 0; i < reporters_max; i++)
        reporters->buckets[i] = NOWHERE;
    *out_reporters = reporters;
    return STATUS_OK;

destroy_reporters:
    reporters_destroy(&reporters);
    return STATUS_NO_MEMORY;
}

UNSHARED void reporters_destroy(struct reporters **reporters)
{
    assert(reporters != NULL);
    if (*reporters == NULL)
        return;
    free((*reporters)->buckets);
    free((*reporters)->places);
    lock_deinit(&(*reporters)->lock);
    free(*reporters);
    *reporters = NULL;
}

static uint32_t *bucket_of(struct reporters *reporters, uint64_t hash) REQUIRES(reporters->lock)
{
    return &reporters->buckets[hash % reporters->reporters_max];
}

static void list_insert(struct reporters *reporters, uint32_t place) REQUIRES(reporters->lock)
{
    reporters->places[place].newer = NOWHERE;
    reporters->places[place].older = reporters->newest;
    if (reporters->newest != NOWHERE)
        reporters->places[reporters->newest].newer = place;
    else
        reporters->oldest = place;
    reporters->newest = place;
}

static void list_remove(struct reporters *reporters, uint32_t place) REQUIRES(reporters->lock)
{
    struct reporter *reporter = &reporters->places[place];
    if (reporter->newer != NOWHERE)
        reporters->places[reporter->newer].older = reporter->older;
    else
        reporters->newest = reporter->older;
    if (reporter->older != NOWHERE)
        reporters->places[reporter->older].newer = reporter->newer;
    else
        reporters->oldest = reporter->newer;
}

static void chain_remove(struct reporters *reporters, uint32_t place) REQUIRES(reporters->lock)
{
    uint32_t *link = bucket_of(reporters, reporters->places[place].hash);
    while (*link != place) {
        assert(*link != NOWHERE);
        link = &reporters->places[*link].chain;
    }
    *link = reporters->places[place].chain;
}

/* A place that was never taken, else that of the longest silent one. */
static uint32_t place_free(struct reporters *reporters) REQUIRES(reporters->lock)
{
    if (reporters->used < reporters->reporters_max)
        return reporters->used++;
    uint32_t place = reporters->oldest;
    assert(place != NOWHERE);
    list_remove(reporters, place);
    chain_remove(reporters, place);
    return place;
}

/* The reporter's place, as the newest heard. */
static struct reporter *reporter_find(struct reporters *reporters, uint64_t hash)
    REQUIRES(reporters->lock)
{
    uint32_t place = *bucket_of(reporters, hash);
    while (place != NOWHERE && reporters->places[place].hash != hash)
        place = reporters->places[place].chain;
    if (place != NOWHERE) {
        list_remove(reporters, place);
    } else {
        place = place_free(reporters);
        assert(place < reporters->reporters_max);
        uint32_t *bucket = bucket_of(reporters, hash);
        reporters->places[place] = (struct reporter){.hash = hash, .chain = *bucket};
        *bucket = place;
    }
    list_insert(reporters, place);
    return &reporters->places[place];
}

/* Whether its minute is over. Below 0 the wall clock was set back; waiting for it could take hours.
 */
static bool is_over(const struct reporter *reporter, int64_t now_ms)
{
    const int64_t since_ms = now_ms - reporter->minute_ms;
    return reporter->taken == 0 || since_ms < 0 || since_ms >= MINUTE_MS;
}

static bool take_one(struct reporter *reporter, int64_t now_ms, uint32_t *out_left)
{
    if (is_over(reporter, now_ms)) {
        reporter->minute_ms = now_ms;
        reporter->taken = 0;
    }
    bool is_free = reporter->taken < REPORTER_VERDICTS_A_MINUTE;
    reporter->taken += is_free;
    assert(reporter->taken <= REPORTER_VERDICTS_A_MINUTE);
    *out_left = REPORTER_VERDICTS_A_MINUTE - reporter->taken;
    return is_free;
}

bool reporters_take(struct reporters *reporters, struct text reporter, int64_t now_ms,
                    uint32_t *out_left)
{
    assert(reporters != NULL);
    assert(out_left != NULL);
    if (reporter.length == 0) {
        *out_left = REPORTER_VERDICTS_A_MINUTE;
        return true;
    }
    uint64_t hash = digest_siphash(reporters->hash_key, reporter.bytes, reporter.length);
    lock_acquire(&reporters->lock);
    bool taken = take_one(reporter_find(reporters, hash), now_ms, out_left);
    lock_release(&reporters->lock);
    return taken;
}

uint32_t reporters_left(struct reporters *reporters, struct text reporter, int64_t now_ms)
{
    assert(reporters != NULL);
    if (reporter.length == 0)
        return REPORTER_VERDICTS_A_MINUTE;
    const uint64_t hash = digest_siphash(reporters->hash_key, reporter.bytes, reporter.length);
    uint32_t left = REPORTER_VERDICTS_A_MINUTE;
    lock_acquire(&reporters->lock);
    uint32_t place = *bucket_of(reporters, hash);
    while (place != NOWHERE && reporters->places[place].hash != hash)
        place = reporters->places[place].chain;
    if (place != NOWHERE && !is_over(&reporters->places[place], now_ms))
        left -= reporters->places[place].taken;
    lock_release(&reporters->lock);
    return left;
}
