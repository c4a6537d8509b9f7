/*
 * freshness.c - the end of a TTL, and what comes after it. The store knows one moment, where an
 * entry's life ends; this room knows that its TTL ends before that by the entry's time as stale.
 *
 * CLOCKS. All of it is wall time, for it outlives restarts. A clock that goes back makes ages 0 and
 * lives longer by as much, and shortens none; one that goes forward ends lives early, and a hit
 * then renews at most up to sliding_ms after the Set, as that Set's clock saw it. So no jump makes
 * an entry eternal.
 *
 * Owns nothing. Threads: any.
 */
#include "cache/freshness.h"

#include "base/check.h"
#include "cache/answer.h"
#include "cache/parts.h"

enum { RECORDED_PART = 8 }; /* of a TTL */

bool freshness_is_whole(const struct freshness *freshness)
{
    const uint64_t time_max = UINT64_C(1) << FRESHNESS_TIME_BITS;
    return freshness->ttl_ms <= time_max && freshness->sliding_ms <= time_max &&
           freshness_window_ms(freshness) <= time_max &&
           (freshness->sliding_ms == 0 || freshness->ttl_ms > 0);
}

uint8_t freshness_marks(const struct freshness *freshness, bool pinned)
{
    const bool is_timed =
        freshness->sliding_ms > 0 || freshness->negative || freshness_window_ms(freshness) > 0;
    return (uint8_t)((pinned ? ENTRY_PINNED : 0) | (is_timed ? ENTRY_TIMED : 0));
}

void freshness_read(const struct entry *entry, struct freshness *out_freshness)
{
    struct answer_view view;
    *out_freshness = (struct freshness){.negative = false};
    if ((entry_marks(entry) & ENTRY_TIMED) == 0)
        return;
    answer_view_read(entry_metadata(entry), &view);
    *out_freshness = view.freshness;
}

uint64_t freshness_window_ms(const struct freshness *freshness)
{
    return freshness->revalidate_ms > freshness->if_error_ms ? freshness->revalidate_ms
                                                             : freshness->if_error_ms;
}

int64_t freshness_end_ms(const struct freshness *freshness, int64_t expires_ms)
{
    const int64_t window_ms = (int64_t)freshness_window_ms(freshness);
    assert(window_ms >= 0);
    assert(expires_ms >= 0);
    if (expires_ms == 0)
        return 0;
    return expires_ms > window_ms ? expires_ms - window_ms : 1; /* 0 would be never */
}

static uint64_t since(int64_t then_ms, int64_t now_ms)
{
    return now_ms > then_ms ? (uint64_t)(now_ms - then_ms) : 0;
}

enum cache_miss freshness_judge(const struct freshness *freshness,
                                const struct cache_control *control,
                                const struct freshness_moment *moment, bool *out_stale)
{
    assert(out_stale != NULL);
    const int64_t end_ms = freshness_end_ms(freshness, moment->expires_ms);
    if (control->max_age_given && since(moment->created_ms, moment->now_ms) >= control->max_age_ms)
        return CACHE_MISS_TOO_OLD;
    if (end_ms == 0 || end_ms > moment->now_ms) {
        *out_stale = false;
        const bool lasts = end_ms == 0 || since(moment->now_ms, end_ms) >= control->min_fresh_ms;
        return lasts ? CACHE_MISS_NONE : CACHE_MISS_TOO_OLD;
    }
    const uint64_t stale_ms = since(end_ms, moment->now_ms);
    const bool is_allowed = stale_ms < freshness->revalidate_ms ||
                            (control->max_stale_ms > 0 && stale_ms <= control->max_stale_ms &&
                             stale_ms < freshness_window_ms(freshness));
    if (!is_allowed)
        return CACHE_MISS_EXPIRED;
    *out_stale = true;
    return control->min_fresh_ms > 0 ? CACHE_MISS_TOO_OLD : CACHE_MISS_NONE;
}

/* The hit before this one, if it moved the end, was where the TTL then began. */
int64_t freshness_slide(const struct freshness *freshness, const struct freshness_moment *moment,
                        bool *out_recorded)
{
    *out_recorded = false;
    if (freshness->sliding_ms == 0 || moment->expires_ms == 0)
        return 0;
    assert(freshness->ttl_ms > 0);
    const int64_t ttl_ms = (int64_t)freshness->ttl_ms;
    const int64_t last_ms = moment->created_ms + (int64_t)freshness->sliding_ms;
    const int64_t before_ms = freshness_end_ms(freshness, moment->expires_ms);
    const int64_t wanted_ms = moment->now_ms + ttl_ms;
    const int64_t end_ms = wanted_ms < last_ms ? wanted_ms : last_ms;
    if (end_ms <= before_ms)
        return 0;
    const uint64_t eighth_ms = freshness->ttl_ms / RECORDED_PART + 1;
    *out_recorded = since(moment->created_ms, moment->now_ms) / eighth_ms !=
                    since(moment->created_ms, before_ms - ttl_ms) / eighth_ms;
    return end_ms + (int64_t)freshness_window_ms(freshness);
}

/* Where it cannot be recorded (the disk has failed, the queue is full) memory goes on alone. */
void freshness_renew(struct cache *cache, struct store_hit *found, int64_t now_ms)
{
    struct freshness freshness;
    bool is_recorded = false;
    freshness_read(found->entry, &freshness);
    const struct freshness_moment moment = {entry_created_ms(found->entry), found->expires_ms,
                                            now_ms};
    const int64_t expires_ms = freshness_slide(&freshness, &moment, &is_recorded);
    if (expires_ms == 0)
        return;
    enum status status =
        store_retime(cache->store, found->entry, expires_ms, STORE_RETIME_LATER, is_recorded);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        status = store_retime(cache->store, found->entry, expires_ms, STORE_RETIME_LATER, false);
    if (status == STATUS_OK)
        found->expires_ms = expires_ms;
}
