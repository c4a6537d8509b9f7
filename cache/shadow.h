/*
 * shadow.h - GetShadowReport: what each threshold would have served in a namespace, whatever policy
 * decides there, and what verdicts say of it; all its scopes together, and the most used of them
 * one by one. Since the server's start; nothing of it is kept over a restart. Threads: compute.
 */
#pragma once
#include "cache/cache.h"
#include "trust/shadow.h"

enum { CACHE_SHADOW_SCOPES_MAX = 32 };

struct cache_shadow_counts {         /* its texts lie in the arena */
    struct cache_scope_stats policy; /* of the total: namespace, mode and counters alone */
    struct shadow_view view;
};

struct cache_shadow_report {
    struct cache_shadow_counts total;
    struct cache_shadow_counts *scopes; /* the most used first; CACHE_SHADOW_SCOPES_MAX at most */
    size_t scopes_count;
    uint64_t matching; /* that many scopes are in the total */
    int64_t since_ms;  /* unix; the server's start */
};
/* NOT_FOUND names scope.namespace; NO_MEMORY. */
enum status cache_shadow_report(struct cache *cache, const struct cache_policy_scope *scope,
                                struct arena *arena, struct cache_shadow_report *out_report,
                                struct failure *failure);
