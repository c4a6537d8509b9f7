/*
 * touch.c - Touch, and the time of a row. A TTL begins anew from now, for a stale entry as well;
 * the entry keeps its time as stale behind it. Owns nothing. Threads: compute, and whoever loads
 * the data folder.
 *
 * A ROW'S END. The index leaves rows out that are past it, so that they take no place among the
 * nearest. It does not change one in place: the row is taken out and put in again, and a search in
 * between misses it once. Where hits renew the TTL this would be done all the time: such a row ends
 * where the last renewal would; the store, asked for every row, knows better.
 */
#include "base/check.h"
#include "cache/answer.h"
#include "cache/cache.h"
#include "cache/freshness.h"
#include "cache/parts.h"
#include "index/vector.h"

/* ---- rows ------------------------------------------------------------------------------------ */

int64_t cache_row_end_ms(const struct entry *entry, int64_t expires_ms)
{
    struct freshness freshness;
    freshness_read(entry, &freshness);
    const int64_t end_ms = freshness_end_ms(&freshness, expires_ms);
    const int64_t last_ms = entry_created_ms(entry) + (int64_t)freshness.sliding_ms;
    return freshness.sliding_ms > 0 && end_ms != 0 && end_ms < last_ms ? last_ms : end_ms;
}

static bool stands(struct cache *cache, const struct entry *entry)
{
    struct store_hit found;
    if (store_find(cache->store, entry_digest(entry), 0, STORE_PEEK, &found) != STORE_FOUND)
        return false;
    const bool same = found.entry == entry;
    entry_release(found.entry);
    return same;
}

/* Should it die meanwhile, its death may have been reported before the row was there again. */
void cache_retime_row(struct cache *cache, const struct entry *entry, int64_t expires_ms,
                      struct arena *arena)
{
    struct answer_view view;
    float unit[VECTOR_DIMENSION_MAX];
    if (entry_space(entry) == 0)
        return;
    struct cache_row row = {
        .key = cache_partition_key(entry_scope(entry), entry_space(entry)),
        .id = *entry_digest(entry),
        .compatibility = entry_compatibility(entry),
        .sequence = entry_sequence(entry),
        .expires_ms = expires_ms,
        .unit = unit,
        .query = entry_prompt(entry),
    };
    row.dimension = directory_vector(cache->directory, &row.key, &row.id, row.sequence, unit,
                                     VECTOR_DIMENSION_MAX);
    if (row.dimension == 0)
        return;
    answer_view_read(entry_metadata(entry), &view);
    struct namespace_ *namespace_ = cache_hold_open_namespace(cache, view.tenant, view.namespace_);
    if (namespace_ == NULL)
        return; /* it is being dropped, and the row with it */
    cache_remove_row(cache, entry);
    if (cache_insert_row(cache, namespace_, &row, arena) == STATUS_OK && !stands(cache, entry))
        cache_remove_row(cache, entry);
    namespace_release(namespace_);
}

/* ---- Touch ----------------------------------------------------------------------------------- */

static enum status check_touch(const struct cache *cache, const struct cache_touch_request *request,
                               struct failure *failure)
{
    if (request->entry_ids_count < 1 || request->entry_ids_count > cache->limits.batch)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "entry_ids",
                           "1 to limits.batch = %u of them", cache->limits.batch);
    if (!key_is_namespace(cache_name_or_default(request->namespace_)))
        return failure_set(failure, STATUS_BAD_NAME, "namespace",
                           "1 to 64 of the characters A-Z a-z 0-9 . _ -");
    return STATUS_OK;
}

/* What the namespace wants; nothing, if there is none. */
static struct cache_namespace_settings wishes_of(struct cache *cache,
                                                 const struct cache_touch_request *request)
{
    struct cache_namespace_settings wishes = {0};
    epoch_enter(cache->epochs);
    const struct namespace_ *namespace_ =
        namespaces_find(cache->namespaces, cache_name_or_default(request->tenant),
                        cache_name_or_default(request->namespace_));
    if (namespace_ != NULL)
        wishes = *namespace_wants(namespace_);
    epoch_leave(cache->epochs);
    return wishes;
}

static enum status check_ttl(const struct cache *cache, const struct cache_touch_request *request,
                             const struct cache_namespace_settings *wishes, struct failure *failure)
{
    const uint64_t max_ms = cache_ttl_max(cache, wishes);
    if (!request->ttl_given || request->ttl_ms <= max_ms)
        return STATUS_OK;
    return failure_set(failure, STATUS_LIMIT_EXCEEDED, "ttl_ms", "at most %s = %llu ms",
                       wishes->ttl_max_ms != 0 ? "the namespace's ttl_max" : "cache.ttl_max",
                       (unsigned long long)max_ms);
}

/* With a reference: alive, and theirs. */
static bool find_theirs(struct cache *cache, const struct cache_touch_request *request,
                        const struct digest *id, int64_t now_ms, struct store_hit *out_hit)
{
    struct answer_view view;
    if (store_find(cache->store, id, now_ms, STORE_PEEK, out_hit) != STORE_FOUND)
        return false;
    answer_view_read(entry_metadata(out_hit->entry), &view);
    if (text_equal(view.tenant, cache_name_or_default(request->tenant)) &&
        text_equal(view.namespace_, cache_name_or_default(request->namespace_)))
        return true;
    entry_release(out_hit->entry);
    return false;
}

static enum status touch_entry(struct cache *cache, const struct cache_touch_request *request,
                               const struct cache_namespace_settings *wishes,
                               const struct store_hit *found, struct arena *arena, int64_t now_ms)
{
    struct freshness freshness;
    freshness_read(found->entry, &freshness);
    const uint64_t ttl_ms = request->ttl_given
                                ? request->ttl_ms
                                : cache_ttl_standard(cache, wishes, freshness.negative);
    if (freshness.negative && ttl_ms > CACHE_NEGATIVE_TTL_MAX_MS)
        return STATUS_LIMIT_EXCEEDED;
    const int64_t expires_ms = now_ms + (int64_t)ttl_ms + (int64_t)freshness_window_ms(&freshness);
    enum status status = store_retime(cache->store, found->entry, expires_ms, STORE_RETIME, true);
    if (status == STATUS_OK)
        cache_retime_row(cache, found->entry, cache_row_end_ms(found->entry, expires_ms), arena);
    return status;
}

enum status cache_touch(struct cache *cache, const struct cache_touch_request *request,
                        struct arena *arena, int64_t now_ms, struct cache_touch_reply *out_reply,
                        struct failure *failure)
{
    assert(out_reply != NULL);
    assert(now_ms > 0);
    struct cache_touch_reply reply = {0};
    enum status status = check_touch(cache, request, failure);
    const struct cache_namespace_settings wishes = wishes_of(cache, request);
    if (status == STATUS_OK)
        status = check_ttl(cache, request, &wishes, failure);
    for (size_t i = 0; i < request->entry_ids_count && status == STATUS_OK; i++) {
        struct store_hit found;
        if (!find_theirs(cache, request, &request->entry_ids[i], now_ms, &found)) {
            reply.missing++;
            continue;
        }
        status = touch_entry(cache, request, &wishes, &found, arena, now_ms);
        entry_release(found.entry);
        if (status == STATUS_LIMIT_EXCEEDED)
            return failure_set(failure, status, "ttl_ms", "at most %d ms for a negative entry",
                               CACHE_NEGATIVE_TTL_MAX_MS);
        reply.touched += status == STATUS_OK;
        reply.missing += status == STATUS_NOT_FOUND; /* it left just now */
        status = status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
    if (status != STATUS_OK)
        return failure->status != STATUS_OK
                   ? status
                   : failure_set(failure, status, "", "%s", status_text(status));
    assert(reply.touched + reply.missing == request->entry_ids_count);
    *out_reply = reply;
    return STATUS_OK;
}
