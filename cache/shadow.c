/*
 * shadow.c - the counts of a namespace's scopes by threshold, summed and shown. Owns nothing.
 * Threads: compute; it looks at every scope. NOT HERE. Counting (semantic.c, feedback.c), what the
 * counts mean (trust/shadow.c).
 */
#include "cache/shadow.h"

#include "base/check.h"
#include "cache/parts.h"

struct gathering { /* inside one epoch */
    const struct cache *cache;
    const struct cache_namespace_settings *wants;
    const struct cache_policy_scope *wanted;
    struct cache_shadow_report *report;
    const struct scope *shown[CACHE_SHADOW_SCOPES_MAX]; /* the most used first */
    size_t shown_count;
};

static void add_view(const struct scope *scope, struct shadow_view *view)
{
    const struct shadow *shadow = atomic_load_explicit(&scope->shadow, memory_order_acquire);
    if (shadow != NULL)
        shadow_add_to(shadow, view);
}

static void add_to_total(struct gathering *gathering, const struct scope *scope)
{
    struct cache_shadow_counts *total = &gathering->report->total;
    total->policy.lookups += namespace_read(&scope->lookups);
    total->policy.hits += namespace_read(&scope->hits);
    total->policy.would_hits += namespace_read(&scope->would_hits);
    total->policy.guard_blocked += namespace_read(&scope->guard_blocked);
    total->policy.near_verdicts += namespace_read(&scope->near_verdicts);
    add_view(scope, &total->view);
    gathering->report->matching++;
}

static void rank(struct gathering *gathering, const struct scope *scope)
{
    const uint64_t lookups = namespace_read(&scope->lookups);
    size_t at = gathering->shown_count;
    while (at > 0 && namespace_read(&gathering->shown[at - 1]->lookups) < lookups)
        at--;
    if (at == CACHE_SHADOW_SCOPES_MAX)
        return;
    if (gathering->shown_count < CACHE_SHADOW_SCOPES_MAX)
        gathering->shown_count++;
    for (size_t i = gathering->shown_count - 1; i > at; i--)
        gathering->shown[i] = gathering->shown[i - 1];
    gathering->shown[at] = scope;
}

static void gather(void *context, struct scope *scope)
{
    struct gathering *gathering = context;
    if (!cache_policy_scope_has(gathering->cache, gathering->wants, gathering->wanted, scope))
        return;
    add_to_total(gathering, scope);
    rank(gathering, scope);
}

/* Inside an epoch. */
static enum status show(const struct gathering *gathering, struct arena *arena)
{
    struct cache_shadow_report *report = gathering->report;
    report->scopes = arena_calloc(arena, gathering->shown_count + 1, sizeof(*report->scopes));
    if (report->scopes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < gathering->shown_count; i++) {
        if (!cache_show_scope(gathering->shown[i], arena, &report->scopes[i].policy))
            return STATUS_NO_MEMORY;
        add_view(gathering->shown[i], &report->scopes[i].view);
    }
    report->scopes_count = gathering->shown_count;
    return STATUS_OK;
}

/* Inside an epoch. */
static enum status report_on(struct cache *cache, struct gathering *gathering, struct arena *arena)
{
    const struct namespace_ *namespace_ =
        namespaces_find(cache->namespaces, cache_name_or_default(gathering->wanted->tenant),
                        cache_name_or_default(gathering->wanted->namespace_));
    if (namespace_ == NULL || atomic_load(&namespace_->is_closing))
        return STATUS_NOT_FOUND;
    gathering->wants = namespace_wants(namespace_);
    gathering->report->total.policy.mode = cache_mode(cache, gathering->wants);
    scopes_each(cache->scopes, gather, gathering);
    return show(gathering, arena);
}

enum status cache_shadow_report(struct cache *cache, const struct cache_policy_scope *scope,
                                struct arena *arena, struct cache_shadow_report *out_report,
                                struct failure *failure)
{
    assert(arena != NULL);
    struct cache_shadow_report report = {.since_ms = cache->started_ms};
    report.total.policy.namespace_ = cache_name_or_default(scope->namespace_);
    struct gathering gathering = {.cache = cache, .wanted = scope, .report = &report};
    epoch_enter(cache->epochs);
    const enum status status = report_on(cache, &gathering, arena);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        return failure_set(failure, status, "scope.namespace", "%s",
                           status == STATUS_NOT_FOUND ? "there is no such namespace"
                                                      : status_text(status));
    *out_report = report;
    return STATUS_OK;
}
