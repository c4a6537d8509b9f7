/*
 * monitor.h - decisions as they are made, for those who watch. While nobody does, a decision costs
 * one relaxed load. A watch holds as many as its rate allows for a tenth of a second, until they
 * are taken; what finds no room is counted, never waited for. Threads: any; LOCK_RANK_MONITOR,
 * which whoever decides only tries.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

enum monitor_result { /* numbers as in proto enum DecisionResult */
                      MONITOR_HIT = 1,
                      MONITOR_MISS,
                      MONITOR_STALE,
                      MONITOR_NEGATIVE,
                      MONITOR_STORED,
                      MONITOR_SKIPPED,
                      MONITOR_RESULTS
};

enum {
    MONITOR_WATCHES_MAX = 16,
    MONITOR_RATE_MAX = 10000, /* decisions a second */
    MONITOR_NAME_MAX = 64,    /* bytes; longer ones are cut, not inside a character */
    MONITOR_PROMPT_MAX = 256,
};

struct monitor_decision {
    int64_t at_unix_ms;
    enum monitor_result result;
    int tier, miss_reason, skip; /* cache.h's, 0: none */
    float similarity, threshold; /* 0: nothing was compared */
    unsigned guards;
    uint32_t latency_us; /* of a Get */
    uint8_t namespace_length, model_length;
    uint16_t prompt_length; /* 0 unless prompts are shown */
    char namespace_[MONITOR_NAME_MAX], model[MONITOR_NAME_MAX], prompt[MONITOR_PROMPT_MAX];
};

struct monitor;
enum status monitor_create(struct monitor **out_monitor);
/* Nobody watches any more. NULL is fine. */
void monitor_destroy(struct monitor **monitor);
void monitor_show_prompts(struct monitor *monitor, bool shown);

/* ---- Who decides ---- */

/* Asked first: false, and nothing more is to be done. */
bool monitor_is_watched(const struct monitor *monitor);

struct monitor_texts { /* borrowed */
    struct text tenant, namespace_, model, prompt;
};
/* The lengths and texts of `decision` are filled in here. Never waits. */
void monitor_note(struct monitor *monitor, struct monitor_decision *decision,
                  const struct monitor_texts *texts);

/* ---- Who watches ---- */

struct monitor_filter {
    struct text tenant;
    struct text namespace_; /* empty: all */
    unsigned results;       /* bits 1 << enum monitor_result; 0: all */
    uint32_t rate;          /* 1 to MONITOR_RATE_MAX */
};
struct monitor_watch;
/* LIMIT_EXCEEDED: MONITOR_WATCHES_MAX watch already. NO_MEMORY. */
enum status monitor_watch_begin(struct monitor *monitor, const struct monitor_filter *filter,
                                struct monitor_watch **out_watch);
void monitor_watch_end(struct monitor *monitor, struct monitor_watch **watch);
/*
 * What has come since the last take, in order; valid until the next one, which one thread makes at
 * a time. *out_dropped: how many were wanted and found no room. now_us: the monotonic clock, by
 * which the rate is kept.
 */
size_t monitor_watch_take(struct monitor *monitor, struct monitor_watch *watch, uint64_t now_us,
                          const struct monitor_decision **out_decisions, uint64_t *out_dropped);
