/*
 * feedback.c - Report: a verdict comes back by its decision token. The token says which scope
 * decided and which entry was meant; nothing was stored when it was given out. A verdict counts
 * once, and on a hit if the very entry still stands; one on a near miss moves nothing and is
 * counted by threshold (trust/shadow.h), which needs no entry. Owns nothing. Threads: any.
 */
#include "base/check.h"
#include "cache/cache.h"
#include "cache/parts.h"

static enum cache_outcome outcome_of(enum token_state state)
{
    switch (state) {
    case TOKEN_USED:
        return CACHE_DUPLICATE;
    case TOKEN_TOO_OLD:
        return CACHE_TOKEN_EXPIRED;
    case TOKEN_FRESH:
        return CACHE_ACCEPTED;
    case TOKEN_BAD:
        break;
    }
    return CACHE_BAD_TOKEN;
}

/* With a reference; NULL if it is gone, expired or was replaced. */
static struct entry *find_entry(struct cache *cache, const struct token *token, int64_t now_ms)
{
    struct store_hit found;
    uint8_t prefix[STORE_PREFIX_BYTES];
    static_assert(sizeof(prefix) == sizeof(token->entry), "semantic.c copied them the other way");
    memcpy(prefix, &token->entry, sizeof(prefix));
    if (store_find_prefix(cache->store, prefix, now_ms, &found) != STORE_FOUND)
        return NULL;
    assert(entry_sequence(found.entry) != 0);
    const bool is_meant = (uint32_t)entry_sequence(found.entry) == token->generation;
    if (is_meant && entry_space(found.entry) != 0) /* only rows are ever decided upon */
        return found.entry;
    entry_release(found.entry);
    return NULL;
}

static bool is_same(void *context, const struct entry *entry)
{
    return entry == context;
}

/* For the report over thresholds. */
static void count_by_threshold(struct cache *cache, const struct token *token,
                               enum cache_verdict verdict)
{
    if (verdict != CACHE_CORRECT && verdict != CACHE_WRONG)
        return;
    epoch_enter(cache->epochs);
    struct scope *scope = scopes_find_id(cache->scopes, token->scope);
    struct shadow *shadow = scope != NULL ? scope_shadow(scope) : NULL;
    if (shadow != NULL)
        shadow_label(shadow, token->similarity, verdict == CACHE_CORRECT, token->guard_blocked);
    if (scope != NULL && token->kind == TOKEN_NEAR_MISS)
        namespace_count(&scope->near_verdicts, 1);
    epoch_leave(cache->epochs);
}

static void apply(struct cache *cache, const struct cache_report *report, struct entry *entry)
{
    if (report->verdict == CACHE_STALE) {
        bool was_there = false;
        (void)store_delete(cache->store, entry_digest(entry), is_same, entry, NULL, &was_there);
        return;
    }
    assert(report->verdict == CACHE_CORRECT || report->verdict == CACHE_WRONG);
    const bool right = report->verdict == CACHE_CORRECT;
    epoch_enter(cache->epochs);
    struct scope *scope = scopes_find(cache->scopes, entry_scope(entry), entry_space(entry));
    assert(scope->policy != NULL);
    policy_label(scope->policy, right);
    cache_note_scope_later(cache, scope);
    epoch_leave(cache->epochs);
    if (!right && report->source == CACHE_SOURCE_OPERATOR)
        cache_remove_row(cache, entry);
}

static bool use(struct cache *cache, const struct token *token)
{
    const bool first = token_use(cache->tokens, token);
    if (first)
        cache_note_tokens_later(cache);
    return first;
}

enum cache_outcome cache_report_verdict(struct cache *cache, const struct cache_report *report,
                                        int64_t now_ms, uint32_t *out_labels_left)
{
    assert(out_labels_left != NULL);
    struct token token;
    const enum token_state state = token_read(cache->tokens, report->token, now_ms, &token);
    if (state == TOKEN_BAD) { /* no verdict: it costs none of the reporter's */
        *out_labels_left = reporters_left(cache->reporters, report->reporter, now_ms);
        return CACHE_BAD_TOKEN;
    }
    if (!reporters_take(cache->reporters, report->reporter, now_ms, out_labels_left))
        return CACHE_RATE_LIMITED;
    if (state != TOKEN_FRESH)
        return outcome_of(state);
    if (report->verdict == CACHE_UNSURE || token.kind == TOKEN_NEAR_MISS) {
        if (!use(cache, &token))
            return CACHE_DUPLICATE;
        count_by_threshold(cache, &token, report->verdict);
        return CACHE_COUNTED_ONLY;
    }
    struct entry *entry = find_entry(cache, &token, now_ms);
    if (entry == NULL)
        return CACHE_UNKNOWN_ENTRY;
    const bool first = use(cache, &token);
    if (first) {
        apply(cache, report, entry);
        count_by_threshold(cache, &token, report->verdict);
    }
    entry_release(entry);
    return first ? CACHE_ACCEPTED : CACHE_DUPLICATE;
}
