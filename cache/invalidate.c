/*
 * invalidate.c - Delete and Invalidate: entries leave on request, and their rows with them, or
 * their TTL ends, before the reply leaves. A tenant is never left: whatever the selector says,
 * entries of others do not match. The walk over the table is a plain scan with a predicate; rows
 * follow through the `died` listener. Owns nothing. Threads: Delete any, Invalidate compute (it
 * walks the whole table).
 */
#include <stdio.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/cache.h"
#include "cache/freshness.h"
#include "cache/parts.h"

enum { TAG_BYTES_MAX = 128 };

/* ---- Delete ---------------------------------------------------------------------------------- */

struct owner {
    struct text tenant, namespace_;
};

static bool is_owned(void *context, const struct entry *entry)
{
    const struct owner *owner = context;
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    return text_equal(view.tenant, owner->tenant) && text_equal(view.namespace_, owner->namespace_);
}

static enum status check_delete(const struct cache *cache,
                                const struct cache_delete_request *request, struct failure *failure)
{
    if (request->entry_ids_count > cache->limits.batch)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "entry_ids", "at most limits.batch = %u",
                           cache->limits.batch);
    if (request->entry_ids_count == 0 && request->identity == NULL)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "entry_ids",
                           "give at least one id, or an identity");
    if (!key_is_namespace(cache_name_or_default(request->namespace_)))
        return failure_set(failure, STATUS_BAD_NAME, "namespace",
                           "1 to 64 of the characters A-Z a-z 0-9 . _ -");
    return STATUS_OK;
}

/* Of one record that is handed in for this waiter, or nobody. */
static struct journal_wish wish_for(const struct cache *cache, const struct cache_waiter *waiter)
{
    struct journal_wish wish = {.ack = ACK_MEMORY};
    if (waiter == NULL)
        return wish;
    wish.ack = cache_ack_removal(cache);
    wish.done = waiter->done;
    wish.context = waiter->context;
    waiter->expect(waiter->context);
    return wish;
}

/* Where nothing was handed in. */
static void give_up(const struct cache_waiter *waiter)
{
    if (waiter != NULL)
        waiter->done(waiter->context, STATUS_OK);
}

/* One entry, if it is there and theirs. */
static enum status delete_one(struct cache *cache, const struct digest *id, struct owner *owner,
                              const struct cache_waiter *waiter, uint32_t *deleted)
{
    bool was_there = false;
    const struct journal_wish wish = wish_for(cache, waiter);
    enum status status = store_delete(cache->store, id, is_owned, owner, &wish, &was_there);
    if (status != STATUS_OK)
        give_up(waiter);
    *deleted += was_there;
    return status;
}

/* By identity the namespace is the identity's own. */
static enum status delete_identity(struct cache *cache, const struct cache_delete_request *request,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   uint32_t *deleted, struct failure *failure)
{
    struct key key;
    enum status status =
        key_make_exact(request->identity, &cache->key_limits, arena, &key, failure);
    if (status != STATUS_OK) {
        failure_prefix(failure, "identity");
        return status;
    }
    struct owner owner = {cache_name_or_default(request->identity->tenant), key.namespace_};
    if (key.canonical)
        status = delete_one(cache, &key.exact, &owner, waiter, deleted);
    return status;
}

enum status cache_delete(struct cache *cache, const struct cache_delete_request *request,
                         struct arena *arena, const struct cache_waiter *waiter,
                         uint32_t *out_deleted, struct failure *failure)
{
    assert(out_deleted != NULL);
    assert(request->entry_ids_count == 0 || request->entry_ids != NULL);
    uint32_t deleted = 0;
    enum status status = check_delete(cache, request, failure);
    if (status == STATUS_OK && request->identity != NULL)
        status = delete_identity(cache, request, arena, waiter, &deleted, failure);
    if (status != STATUS_OK)
        return status;
    struct owner owner = {cache_name_or_default(request->tenant),
                          cache_name_or_default(request->namespace_)};
    for (size_t i = 0; i < request->entry_ids_count && status == STATUS_OK; i++)
        status = delete_one(cache, &request->entry_ids[i], &owner, waiter, &deleted);
    assert(deleted <= request->entry_ids_count + 1);
    *out_deleted = deleted;
    return status;
}

/* ---- Invalidate ------------------------------------------------------------------------------ */

enum {
    ALL_THERE_MS = 0
}; /* a moment at which none has expired: a dry run sees what a real one would remove */

struct selection {
    const struct cache_selector *selector;
    struct text tenant, model;
    struct cache_invalidate_reply *reply;
};

static bool has_a_tag(const struct cache_selector *selector, struct text packed)
{
    struct text tag;
    while (answer_next_tag(&packed, &tag)) {
        for (size_t i = 0; i < selector->tags_count; i++) {
            if (text_equal(tag, selector->tags[i]))
                return true;
        }
    }
    return false;
}

/* By name id, by value version. */
static bool depends(const struct cache_selector *selector, struct text packed)
{
    struct key_attribute dependency;
    while (answer_next_attribute(&packed, &dependency)) {
        if (text_equal(dependency.name, selector->depends_on_id) &&
            (selector->depends_on_version_not.length == 0 ||
             !text_equal(dependency.value, selector->depends_on_version_not)))
            return true;
    }
    return false;
}

bool cache_selects(const struct cache_selector *selector, struct text tenant, struct text model,
                   const struct entry *entry)
{
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    if (!text_equal(view.tenant, tenant))
        return false;
    if (selector->namespace_.length > 0 && !text_equal(view.namespace_, selector->namespace_))
        return false;
    if (model.length > 0 && !text_equal(view.model, model))
        return false;
    if (selector->created_before_ms != 0 && entry_created_ms(entry) >= selector->created_before_ms)
        return false;
    if (selector->depends_on_id.length > 0 && !depends(selector, view.depends_on))
        return false;
    return selector->tags_count == 0 || has_a_tag(selector, view.tags);
}

/* A dry run may see an entry twice, where the table grows meanwhile. */
static void note_sample(struct cache_invalidate_reply *reply, const struct digest *id)
{
    for (size_t i = 0; i < reply->samples_count; i++) {
        if (digest_equal(&reply->samples[i], id))
            return;
    }
    if (reply->samples_count < CACHE_SAMPLES_MAX)
        reply->samples[reply->samples_count++] = *id;
}

/* Runs under a stripe's lock: reads the entry, notes its id. */
static bool select_entry(void *context, const struct entry *entry)
{
    struct selection *selection = context;
    assert(selection->reply->samples_count <= CACHE_SAMPLES_MAX);
    if (!cache_selects(selection->selector, selection->tenant, selection->model, entry))
        return false;
    note_sample(selection->reply, entry_digest(entry));
    return true;
}

static enum status check_tags(const struct cache *cache, const struct cache_selector *selector,
                              struct failure *failure)
{
    if (selector->tags_count > cache->limits.tags)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "selector.tags",
                           "at most limits.tags = %u", cache->limits.tags);
    for (size_t i = 0; i < selector->tags_count; i++) {
        if (selector->tags[i].length >= 1 && selector->tags[i].length <= TAG_BYTES_MAX)
            continue;
        char field[FAILURE_FIELD_MAX];
        (void)snprintf(field, sizeof(field), "selector.tags[%zu]", i);
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "1 to %d bytes", TAG_BYTES_MAX);
    }
    return STATUS_OK;
}

enum status cache_check_selector(const struct cache *cache, const struct cache_selector *selector,
                                 struct failure *failure)
{
    if (selector->namespace_.length > 0 && !key_is_namespace(selector->namespace_))
        return failure_set(failure, STATUS_BAD_NAME, "selector.namespace",
                           "1 to 64 of the characters A-Z a-z 0-9 . _ -");
    return check_tags(cache, selector, failure);
}

static enum status check_selector(const struct cache *cache, const struct cache_selector *selector,
                                  struct failure *failure)
{
    const bool only_namespace = selector->model.length == 0 && selector->tags_count == 0 &&
                                selector->created_before_ms == 0 &&
                                selector->depends_on_id.length == 0;
    if (selector->depends_on_version_not.length > 0 && selector->depends_on_id.length == 0)
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "selector.depends_on_version_not",
                           "a version of what? depends_on_id is missing");
    if (only_namespace && selector->namespace_.length == 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "selector",
                           "an empty selector removes nothing; name a part");
    const bool needed = only_namespace && !selector->dry_run;
    if ((needed || selector->confirm.length > 0) &&
        !text_equal(selector->confirm, selector->namespace_))
        return failure_set(failure, STATUS_UNCONFIRMED, "confirm", "%s",
                           needed ? status_text(STATUS_UNCONFIRMED)
                                  : "where it is given it is the selector's namespace");
    return cache_check_selector(cache, selector, failure);
}

static enum status purge(struct cache *cache, struct selection *selection,
                         const struct cache_waiter *waiter, uint64_t *out_matched)
{
    const struct journal_wish wish = wish_for(cache, waiter);
    enum status status = store_purge(cache->store, select_entry, selection, &wish, out_matched);
    if (status != STATUS_OK)
        give_up(waiter);
    return status;
}

/* The TTL ends; it never begins anew by this. */
static enum status end_ttl(struct cache *cache, struct entry *entry, int64_t now_ms)
{
    struct freshness freshness;
    struct store_hit found;
    if (store_find(cache->store, entry_digest(entry), now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return STATUS_OK;
    freshness_read(entry, &freshness);
    const int64_t end_ms = freshness_end_ms(&freshness, found.expires_ms);
    enum status status = STATUS_OK;
    if (found.entry == entry && (end_ms == 0 || end_ms > now_ms))
        status =
            store_retime(cache->store, entry, now_ms + (int64_t)freshness_window_ms(&freshness),
                         STORE_RETIME, true);
    entry_release(found.entry);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status; /* it has left just now */
}

enum { HANDFUL = 64 };

static enum status end_ttls(struct cache *cache, struct selection *selection, uint64_t *matched)
{
    struct entry *entries[HANDFUL];
    uint64_t cursor = 0;
    enum status status = STATUS_OK;
    do {
        const uint32_t count = store_next_entries(cache->store, &cursor, entries, HANDFUL);
        for (uint32_t i = 0; i < count; i++) {
            const bool is_meant = status == STATUS_OK && select_entry(selection, entries[i]);
            if (is_meant)
                status = end_ttl(cache, entries[i], selection->selector->now_ms);
            *matched += is_meant && status == STATUS_OK;
            entry_release(entries[i]);
        }
    } while (cursor != 0 && status == STATUS_OK);
    return status;
}

/* Its records bear no wish; a barrier behind them does. */
static enum status make_stale(struct cache *cache, struct selection *selection,
                              const struct cache_waiter *waiter, uint64_t *matched)
{
    assert(selection->selector->now_ms > 0);
    enum status status = end_ttls(cache, selection, matched);
    if (status != STATUS_OK || waiter == NULL)
        return status;
    const struct journal_wish wish = wish_for(cache, waiter);
    status = store_barrier(cache->store, &wish);
    if (status != STATUS_OK)
        give_up(waiter);
    return status;
}

enum status cache_invalidate(struct cache *cache, const struct cache_selector *selector,
                             const struct cache_waiter *waiter,
                             struct cache_invalidate_reply *out_reply, struct failure *failure)
{
    enum status status = check_selector(cache, selector, failure);
    if (status != STATUS_OK)
        return status;
    assert(out_reply != NULL);
    struct arena *arena = NULL;
    struct cache_invalidate_reply reply = {0};
    struct selection selection = {
        .selector = selector, .tenant = cache_name_or_default(selector->tenant), .reply = &reply};
    status = arena_create(&arena);
    if (status == STATUS_OK)
        status = text_canonical(selector->model, arena, &selection.model);
    if (status != STATUS_OK) {
        (void)failure_set(failure, status, "", "%s", status_text(status));
        goto destroy_arena;
    }
    if (selector->dry_run)
        reply.matched = store_count(cache->store, ALL_THERE_MS, select_entry, &selection);
    else if (selector->make_stale)
        status = make_stale(cache, &selection, waiter, &reply.matched);
    else
        status = purge(cache, &selection, waiter, &reply.matched);
    if (status != STATUS_OK)
        goto destroy_arena;
    assert(reply.samples_count <= reply.matched);
    *out_reply = reply;

destroy_arena:
    arena_destroy(&arena);
    return status;
}
