/*
 * freshness.h - how long an answer may be served: its TTL, whether hits renew it, how long it
 * serves or waits as stale, and what a request makes of all that. Threads: any; pure but for
 * freshness_renew.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/* What a Set has said beside the TTL; all zero of most. */
struct freshness {
    uint64_t ttl_ms;                     /* of one that slides: what a hit gives it        */
    uint64_t sliding_ms;                 /* from its Set to the end of all; 0: no sliding  */
    uint64_t revalidate_ms, if_error_ms; /* as stale, from the end of the TTL              */
    bool negative;                       /* an upstream's error                            */
};

/* Times that can be added to a moment, and a TTL where hits renew it. */
enum { FRESHNESS_TIME_BITS = 48 };
bool freshness_is_whole(const struct freshness *freshness);
/* The marks of an entry that it is stored with. */
uint8_t freshness_marks(const struct freshness *freshness, bool pinned);
/* Of an entry of ours. */
void freshness_read(const struct entry *entry, struct freshness *out_freshness);
/* From the end of the TTL to the end of its life in the store. */
uint64_t freshness_window_ms(const struct freshness *freshness);
/* Where its TTL ends; 0 = never. `expires_ms`: where its life in the store does. */
int64_t freshness_end_ms(const struct freshness *freshness, int64_t expires_ms);

struct freshness_moment {
    int64_t created_ms, expires_ms, now_ms;
};

/* NONE: it serves, and *out_stale says how; else EXPIRED or TOO_OLD. */
enum cache_miss freshness_judge(const struct freshness *freshness,
                                const struct cache_control *control,
                                const struct freshness_moment *moment, bool *out_stale);

/* Where its life ends after a hit now; 0: no later than before. *out_recorded: the restart is to
 * know, too: of the hits in each eighth of a TTL, counted from the Set, the first. */
int64_t freshness_slide(const struct freshness *freshness, const struct freshness_moment *moment,
                        bool *out_recorded);

/* After a hit on a fresh entry: if it slides, it lives longer. */
void freshness_renew(struct cache *cache, struct store_hit *found, int64_t now_ms);
