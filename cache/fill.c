/*
 * fill.c - Set: one answer enters the exact tier, then its vector the semantic tier; and what
 * happens to a vector when its entry dies.
 *
 * ROW AND ENTRY. The entry is stored first, its row second, and then the digest is looked up again:
 * if the entry is gone or a newer one stands there, this thread removes its own row, because the
 * death was reported before the row existed. Every row carries its entry's sequence, so removing an
 * old entry's row never touches the newer one's. A failed embedding or a spent vectors' budget
 * costs the semantic tier for this entry, never the entry.
 *
 * REFUSED OR SKIPPED. What breaks a limit is an error; an answer that should not be kept is an
 * outcome. Owns nothing. Threads: compute; the listener runs on whatever thread removed the entry.
 */
#include <stdio.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/cache.h"
#include "cache/fields.h"
#include "cache/freshness.h"
#include "cache/parts.h"
#include "index/vector.h"

enum {
    TAG_BYTES_MAX = 128,
    NAME_BYTES_MAX = 64,
    VALUE_BYTES_MAX = 1024,
    DEPENDS_ON_MAX = 64,
    VERSION_BYTES_MAX = 256,
};

/* ---- what may be stored ---------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins_with(struct text text, const char *prefix)
{
    const size_t length = strlen(prefix);
    if (text.length < length)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (lower(text.bytes[i]) != prefix[i])
            return false;
    }
    return true;
}

/* "", text/... and application/json, parameters aside (RFC 9110, section 8.3.1: names ignore case).
 */
static bool is_text_type(struct text type)
{
    static const char json[] = "application/json";
    if (type.length == 0 || begins_with(type, "text/"))
        return true;
    if (!begins_with(type, json))
        return false;
    const char next = type.length > sizeof(json) - 1 ? type.bytes[sizeof(json) - 1] : ';';
    return next == ';' || next == ' ';
}

static enum status check_answer(const struct cache *cache, const struct cache_set_request *request,
                                struct failure *failure)
{
    const bool text_type = is_text_type(request->content_type);
    if (request->content.length > 0 && request->blob.length > 0)
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "blob", "content or blob, not both");
    if (request->blob.length > 0 && text_type)
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "blob",
                           "info.content_type says text, which belongs into content");
    if (request->content.length > 0 && !text_type)
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "content",
                           "info.content_type says opaque, which belongs into blob");
    const bool is_blob = request->blob.length > 0;
    if ((is_blob ? request->blob.length : request->content.length) > cache->limits.answer_bytes)
        return failure_set(failure, STATUS_ENTRY_TOO_LARGE, is_blob ? "blob" : "content",
                           "at most limits.answer = %llu bytes",
                           (unsigned long long)cache->limits.answer_bytes);
    return STATUS_OK;
}

static enum status refuse_time(struct failure *failure, const char *field, const char *limit,
                               uint64_t limit_ms)
{
    return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "at most %s = %llu ms", limit,
                       (unsigned long long)limit_ms);
}

static enum status check_times(const struct cache *cache, const struct cache_set_request *request,
                               struct failure *failure)
{
    const uint64_t stale_max_ms = cache->limits.stale_max_ms;
    const uint64_t revalidate_ms = request->stale_while_revalidate_ms,
                   if_error_ms = request->stale_if_error_ms;
    if (request->negative && request->ttl_given && request->ttl_ms > CACHE_NEGATIVE_TTL_MAX_MS)
        return refuse_time(failure, "ttl_ms", "a negative entry's", CACHE_NEGATIVE_TTL_MAX_MS);
    if (request->negative &&
        (request->sliding || request->pinned || revalidate_ms > 0 || if_error_ms > 0))
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "negative",
                           "an upstream's error does not slide, is not pinned and has no time as "
                           "stale");
    if (!request->sliding && request->sliding_max_ms > 0)
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "sliding_max_ms", "only with sliding");
    if (request->sliding_max_ms > CACHE_TTL_MAX_MS)
        return refuse_time(failure, "sliding_max_ms", "a year", CACHE_TTL_MAX_MS);
    if (revalidate_ms > stale_max_ms)
        return refuse_time(failure, "stale_while_revalidate_ms", "cache.stale_max", stale_max_ms);
    if (if_error_ms > stale_max_ms - revalidate_ms)
        return refuse_time(failure, "stale_if_error_ms",
                           "cache.stale_max, together with stale_while_revalidate_ms",
                           stale_max_ms);
    return STATUS_OK;
}

static enum status check_depends_on(const struct cache_set_request *request,
                                    struct failure *failure)
{
    if (request->depends_on_count > DEPENDS_ON_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "depends_on", "at most %d",
                           DEPENDS_ON_MAX);
    for (size_t i = 0; i < request->depends_on_count; i++) {
        const struct key_attribute *dependency = &request->depends_on[i];
        char field[FAILURE_FIELD_MAX];
        (void)snprintf(field, sizeof(field), "depends_on[%zu].id", i);
        if (dependency->name.length < 1 || dependency->name.length > VALUE_BYTES_MAX)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "1 to %d bytes",
                               VALUE_BYTES_MAX);
        (void)snprintf(field, sizeof(field), "depends_on[%zu].version", i);
        if (dependency->value.length > VERSION_BYTES_MAX)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "at most %d bytes",
                               VERSION_BYTES_MAX);
    }
    return STATUS_OK;
}

uint64_t cache_ttl_max(const struct cache *cache, const struct cache_namespace_settings *wishes)
{
    return wishes->ttl_max_ms != 0 ? wishes->ttl_max_ms : cache->limits.ttl_max_ms;
}

static enum status check_ttl(const struct cache *cache, const struct cache_set *set,
                             struct failure *failure)
{
    const struct cache_set_request *request = set->request;
    const uint64_t max_ms = cache_ttl_max(cache, &set->wishes);
    const char *limit =
        set->wishes.ttl_max_ms != 0 ? "the namespace's ttl_max_ms" : "cache.ttl_max";
    if (request->ttl_given && request->ttl_ms > max_ms)
        return refuse_time(failure, "ttl_ms", limit, max_ms);
    if (request->sliding_max_ms > max_ms)
        return refuse_time(failure, "sliding_max_ms", limit, max_ms);
    return STATUS_OK;
}

uint64_t cache_ttl_standard(const struct cache *cache,
                            const struct cache_namespace_settings *wishes, bool negative)
{
    const uint64_t standard_ms =
        wishes->ttl_ms != 0 ? wishes->ttl_ms : cache->limits.ttl_default_ms;
    uint64_t max_ms = cache_ttl_max(cache, wishes);
    if (negative && max_ms > CACHE_NEGATIVE_TTL_MAX_MS)
        max_ms = CACHE_NEGATIVE_TTL_MAX_MS;
    return standard_ms < max_ms ? standard_ms : max_ms;
}

static uint64_t ttl_of(const struct cache *cache, const struct cache_set *set)
{
    return set->request->ttl_given
               ? set->request->ttl_ms
               : cache_ttl_standard(cache, &set->wishes, set->request->negative);
}

static enum status check_tags(const struct cache *cache, const struct cache_set_request *request,
                              struct failure *failure)
{
    if (request->tags_count > cache->limits.tags)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "tags", "at most limits.tags = %u",
                           cache->limits.tags);
    for (size_t i = 0; i < request->tags_count; i++) {
        if (request->tags[i].length >= 1 && request->tags[i].length <= TAG_BYTES_MAX)
            continue;
        char field[FAILURE_FIELD_MAX];
        (void)snprintf(field, sizeof(field), "tags[%zu]", i);
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "1 to %d bytes", TAG_BYTES_MAX);
    }
    return STATUS_OK;
}

static enum status check_metadata(const struct cache *cache,
                                  const struct cache_set_request *request, struct failure *failure)
{
    if (request->metadata_count > cache->limits.metadata)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "metadata",
                           "at most limits.metadata = %u", cache->limits.metadata);
    for (size_t i = 0; i < request->metadata_count; i++) {
        const struct key_attribute *attribute = &request->metadata[i];
        char field[FAILURE_FIELD_MAX];
        (void)snprintf(field, sizeof(field), "metadata[%zu].name", i);
        if (attribute->name.length < 1 || attribute->name.length > NAME_BYTES_MAX)
            return failure_set(failure, STATUS_BAD_NAME, field, "1 to %d bytes", NAME_BYTES_MAX);
        (void)snprintf(field, sizeof(field), "metadata[%zu].value", i);
        if (attribute->value.length > VALUE_BYTES_MAX)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "at most %d bytes",
                               VALUE_BYTES_MAX);
    }
    return STATUS_OK;
}

enum status cache_check_set(const struct cache *cache, const struct cache_set_request *request,
                            struct failure *failure)
{
    enum status status = check_answer(cache, request, failure);
    if (status == STATUS_OK)
        status = check_times(cache, request, failure);
    if (status == STATUS_OK)
        status = check_depends_on(request, failure);
    if (status == STATUS_OK)
        status = check_tags(cache, request, failure);
    if (status == STATUS_OK)
        status = check_metadata(cache, request, failure);
    if (status == STATUS_OK)
        status = cache_check_vector(cache, request->vector, request->dimension, failure);
    return status;
}

/* Half an answer, one choice of several, a refusal or nothing at all helps nobody a second time.
 * That an upstream fails is no answer: it may look as it likes. */
static enum cache_skip why_not_kept(const struct cache_set_request *request, const struct key *key)
{
    if (request->control.no_store || request->control.bypass)
        return CACHE_SKIP_NO_STORE;
    if (request->ttl_given && request->ttl_ms == 0)
        return CACHE_SKIP_ADMISSION;
    if (request->negative)
        return key->canonical ? CACHE_SKIP_NONE : CACHE_SKIP_NOT_ELIGIBLE;
    if (text_equal(request->finish_reason, TEXT("length")) ||
        text_equal(request->finish_reason, TEXT("content_filter")) || request->refusal.length > 0)
        return CACHE_SKIP_FINISH_REASON;
    if (!key->canonical)
        return CACHE_SKIP_NOT_ELIGIBLE;
    if (request->content.length == 0 && request->blob.length == 0 && !request->other_parts)
        return CACHE_SKIP_ADMISSION;
    if (request->identity.params.n > 1 && !request->further_choices)
        return CACHE_SKIP_ADMISSION;
    return CACHE_SKIP_NONE;
}

/* ---- one Set --------------------------------------------------------------------------------- */

/* The vector, if there is to be a row: space.id stays 0 otherwise. A vector that a client brought
 * must fit. */
static enum status take_vector(struct cache *cache, struct cache_set *set, struct failure *failure)
{
    const struct cache_set_request *request = set->request;
    if (!vector_normalise(request->vector, request->dimension, set->unit))
        return failure_set(failure, STATUS_BAD_VECTOR, "vector", "%s",
                           status_text(STATUS_BAD_VECTOR));
    const struct partition_key key = cache_partition_key(set->key.scope.bytes, set->space.id);
    const uint32_t rows_dimension = directory_dimension(cache->directory, &key);
    if (rows_dimension != 0 && rows_dimension != set->space.dimension)
        return failure_set(failure, STATUS_DIM_MISMATCH, "vector",
                           "%u numbers, and the scope's rows have %u", set->space.dimension,
                           rows_dimension);
    return STATUS_OK;
}

static enum status prepare_vector(struct cache *cache, struct cache_set *set,
                                  struct failure *failure)
{
    assert(set->space.id == 0);
    assert(set->unit == NULL);
    const struct cache_set_request *request = set->request;
    struct embed_space space;
    if (!set->key.semantic || cache_mode(cache, &set->wishes) == POLICY_OFF ||
        !cache_opens(&set->wishes, CACHE_TIER_SEMANTIC) || request->negative)
        return STATUS_OK;
    set->maker = cache_maker(cache, &set->wishes, request->identity.embedder);
    if (!cache_space(set->maker, request->identity.embedder, request->vector, request->dimension,
                     &space))
        return STATUS_OK;
    set->unit = arena_calloc(set->arena, space.dimension, sizeof(float));
    if (set->unit == NULL)
        return STATUS_OK;
    set->space = space;
    if (request->vector != NULL)
        return take_vector(cache, set, failure);
    if (cache_embeds_later(cache, set->maker))
        set->step = CACHE_NEEDS_VECTOR;
    return STATUS_OK;
}

/* One that we cannot make is no reason to refuse the answer; why, the reply says. A text without a
 * word is for the exact tier, as are those that were never meant to have a row. */
static void note_vector(struct cache_set *set, enum status embedded)
{
    if (embedded == STATUS_OK)
        return;
    set->space = (struct embed_space){.id = 0};
    if (embedded == STATUS_TEXT_TOO_LONG)
        set->reply.degraded = "text_too_long";
    else if (cache_is_overloaded(embedded) || embedded == STATUS_NO_MEMORY)
        set->reply.degraded = "overloaded";
    else if (embedded != STATUS_NOT_FOUND)
        set->reply.degraded = "embedder_down";
}

/* How long it lives, by TTL and by what comes after. */
static void settle_times(const struct cache *cache, struct cache_set *set,
                         struct freshness *out_freshness)
{
    const struct cache_set_request *request = set->request;
    struct freshness freshness = {
        .ttl_ms = ttl_of(cache, set),
        .revalidate_ms = request->stale_while_revalidate_ms,
        .if_error_ms = request->stale_if_error_ms,
        .negative = request->negative,
    };
    assert(freshness.ttl_ms > 0); /* 0 was skipped */
    assert(freshness.ttl_ms <= cache_ttl_max(cache, &set->wishes));
    uint64_t first_ms = freshness.ttl_ms, last_ms = freshness.ttl_ms;
    if (request->sliding) {
        last_ms = request->sliding_max_ms > 0 ? request->sliding_max_ms
                                              : cache_ttl_max(cache, &set->wishes);
        first_ms = first_ms < last_ms ? first_ms : last_ms;
        freshness.sliding_ms = last_ms;
    }
    set->end_ms = set->now_ms + (int64_t)first_ms;
    set->expires_ms = set->end_ms + (int64_t)freshness_window_ms(&freshness);
    set->row_expires_ms = set->now_ms + (int64_t)last_ms;
    *out_freshness = freshness;
}

static enum status make_entry(const struct cache *cache, struct cache_set *set)
{
    const struct cache_set_request *request = set->request;
    const struct identity *identity = &request->identity;
    const bool opaque = request->blob.length > 0;
    const struct text tenant = cache_name_or_default(identity->tenant);
    struct answer_parts parts = {
        .tenant = tenant,
        .namespace_ = set->key.namespace_,
        .tags = request->tags,
        .tags_count = request->tags_count,
        .metadata = request->metadata,
        .metadata_count = request->metadata_count,
        .depends_on = request->depends_on,
        .depends_on_count = request->depends_on_count,
        .info = request->info,
        .has_fields = true,
        .opaque = opaque,
    };
    assert(set->key.canonical);
    settle_times(cache, set, &parts.freshness);
    struct entry_source source = {
        .digest = set->key.exact,
        .space = set->space.id,
        .created_ms = set->now_ms,
        .expires_ms = set->expires_ms,
        .marks = freshness_marks(&parts.freshness, request->pinned),
        .prompt = set->key.query,
        .answer = opaque ? request->blob : request->content,
    };
    const struct digest owner = key_owner(tenant, set->key.namespace_);
    memcpy(source.scope, set->key.scope.bytes, ENTRY_ID_BYTES);
    memcpy(source.compatibility, set->key.compatibility.bytes, ENTRY_ID_BYTES);
    memcpy(source.tenant, owner.bytes, ENTRY_ID_BYTES);
    enum status status = text_canonical(identity->model, set->arena, &parts.model);
    if (status == STATUS_OK)
        status = fields_pack(&set->key, set->arena, &parts.fields);
    if (status == STATUS_OK)
        status = answer_pack(&parts, set->arena, &source.metadata);
    if (status == STATUS_OK)
        status = entry_create(&source, &set->entry);
    return status;
}

void cache_count_entry(struct namespace_ *namespace_, const struct entry *entry)
{
    assert(entry_charge_bytes(entry) > 0);
    namespace_count(&namespace_->counters.entries, 1);
    namespace_count(&namespace_->counters.size_bytes, entry_charge_bytes(entry));
    if ((entry_marks(entry) & ENTRY_PINNED) != 0) {
        namespace_count(&namespace_->counters.pins, 1);
        namespace_count(&namespace_->counters.pins_bytes, entry_charge_bytes(entry));
    }
}

void cache_uncount_entry(struct namespace_ *namespace_, const struct entry *entry)
{
    namespace_uncount(&namespace_->counters.entries, 1);
    namespace_uncount(&namespace_->counters.size_bytes, entry_charge_bytes(entry));
    if ((entry_marks(entry) & ENTRY_PINNED) != 0) {
        namespace_uncount(&namespace_->counters.pins, 1);
        namespace_uncount(&namespace_->counters.pins_bytes, entry_charge_bytes(entry));
    }
}

/* What is within its TTL is in the way of a Set that is to be the first. */
static bool is_within_ttl(void *context, const struct entry *entry, int64_t expires_ms)
{
    static const struct cache_control nothing_asked;
    const int64_t *now_ms = context;
    struct freshness freshness;
    bool stale = false;
    const struct freshness_moment moment = {entry_created_ms(entry), expires_ms, *now_ms};
    freshness_read(entry, &freshness);
    return freshness_judge(&freshness, &nothing_asked, &moment, &stale) == CACHE_MISS_NONE &&
           !stale;
}

/* Counted before it is stored: it may die on another thread before store_set has returned here. */
static enum status store_entry(struct cache *cache, struct cache_set *set,
                               const struct cache_waiter *waiter,
                               struct store_set_result *out_result, struct failure *failure)
{
    assert(entry_sequence(set->entry) == 0);
    assert(set->ack > ACK_DEFAULT);
    const bool waits = set->ack > ACK_MEMORY;
    assert(!waits || waiter != NULL);
    const struct store_vector vector = {set->unit, set->space.dimension};
    struct journal_wish wish = {.ack = set->ack};
    if (waits) {
        wish.done = waiter->done;
        wish.context = waiter->context;
        waiter->expect(waiter->context);
    }
    const struct store_look first = {.accepts = is_within_ttl, .context = &set->now_ms};
    const struct store_addition addition = {
        .entry = set->entry,
        .vector = set->space.id != 0 ? &vector : NULL,
        .unless = set->request->if_absent ? &first : NULL,
    };
    cache_count_entry(set->namespace_, set->entry);
    enum status status = cache_check_pins(cache, set->namespace_, set->entry, failure);
    if (status == STATUS_OK)
        status = store_add(cache->store, &addition, &wish, set->now_ms, out_result);
    if (status != STATUS_OK)
        cache_uncount_entry(set->namespace_, set->entry);
    if (waits && status != STATUS_OK) /* nothing was handed in */
        waiter->done(waiter->context, STATUS_OK);
    return status;
}

/* Past its expiry it still stands in the table, and its death is still to be reported. */
static bool still_stands(struct cache *cache, const struct cache_set *set, uint64_t sequence)
{
    struct store_hit found;
    const enum store_found state =
        store_find(cache->store, &set->key.exact, set->now_ms, STORE_PEEK, &found);
    if (state != STORE_FOUND)
        return state == STORE_PAST_EXPIRY;
    const bool same = entry_sequence(found.entry) == sequence;
    entry_release(found.entry);
    return same;
}

/* A change between the reading of the wishes and the making of the partition has not found it. */
static void follow_wishes(struct cache *cache, const struct namespace_ *namespace_,
                          const struct partition_key *key, const struct index_choice *used)
{
    struct index_choice wanted;
    const bool some = cache_index_choice(cache, namespace_, &wanted);
    if (wanted.is_kind_set == used->is_kind_set && wanted.kind == used->kind &&
        wanted.ef_search == used->ef_search && wanted.nprobe == used->nprobe)
        return;
    (void)directory_set_kind(cache->directory, key, some ? &wanted : NULL);
}

enum status cache_insert_row(struct cache *cache, struct namespace_ *namespace_,
                             const struct cache_row *row, struct arena *arena)
{
    assert(row->sequence != 0);
    assert(row->unit != NULL);
    assert(row->query.length > 0);
    struct guard_signature signature;
    struct index_choice choice;
    enum status status = guard_sign(row->query, arena, &signature);
    if (status != STATUS_OK)
        return status;
    struct index_row index_row = {.id = row->id,
                                  .sequence = row->sequence,
                                  .expires_ms = row->expires_ms,
                                  .unit = row->unit,
                                  .choice = cache_index_choice(cache, namespace_, &choice) ? &choice
                                                                                           : NULL};
    memcpy(&index_row.tag, row->compatibility, sizeof(index_row.tag));
    memcpy(index_row.side, &signature, sizeof(signature));
    namespace_count(&namespace_->counters.rows, 1);
    status = directory_insert(cache->directory, &row->key, row->dimension, &index_row);
    if (status == STATUS_OK)
        follow_wishes(cache, namespace_, &row->key, &choice);
    else
        namespace_uncount(&namespace_->counters.rows, 1);
    atomic_store_explicit(&cache->index_memory_spent, status == STATUS_NO_MEMORY,
                          memory_order_relaxed);
    return status;
}

static enum status insert_row(struct cache *cache, const struct cache_set *set, uint64_t sequence)
{
    const struct cache_row row = {
        .key = cache_partition_key(set->key.scope.bytes, set->space.id),
        .id = set->key.exact,
        .compatibility = set->key.compatibility.bytes,
        .sequence = sequence,
        .expires_ms = set->row_expires_ms,
        .unit = set->unit,
        .dimension = set->space.dimension,
        .query = set->key.query,
    };
    return cache_insert_row(cache, set->namespace_, &row, set->arena);
}

/* Known in the log before its first entry is, so that a restart knows whose vectors they are. */
static void make_scope(struct cache *cache, const struct cache_set *set)
{
    const struct identity *identity = &set->request->identity;
    const struct scope_names names = {
        .tenant = identity->tenant,
        .namespace_ = identity->namespace_,
        .model = identity->model,
        .attributes = identity->attributes,
        .attributes_count = identity->attributes_count,
    };
    struct scope *scope = scopes_obtain(cache->scopes, &names, set->key.scope.bytes, &set->space);
    cache_configure_scope(cache, set->namespace_, scope);
    cache_note_new_scope(cache, scope);
}

/* Only its size is the answer's fault. */
static const char *field_of(const struct cache_set_request *request, enum status status)
{
    if (status == STATUS_NO_MEMORY && request->pinned)
        return "pinned"; /* of all that can be spent, the room for pins is spent first */
    if (status != STATUS_ENTRY_TOO_LARGE)
        return "";
    return request->blob.length > 0 ? "blob" : "content";
}

static bool index_entry(struct cache *cache, const struct cache_set *set, uint64_t sequence)
{
    if (set->space.id == 0)
        return false;
    if (insert_row(cache, set, sequence) != STATUS_OK)
        return false;
    if (still_stands(cache, set, sequence))
        return true;
    cache_remove_row(cache, set->entry);
    return false;
}

/* A lease is given on a miss, so what serves under its key now has come later, but for one that the
 * Get refused for its age. Who stores between this look and the store is overwritten, by an answer
 * to the same question. */
static bool has_lost_to_another(struct cache *cache, const struct cache_set *set)
{
    const struct text token = set->request->lease_token;
    if (token.length == 0 || cache_lease_holds(cache, token, &set->key.exact))
        return false;
    struct store_hit found;
    int64_t now_ms = set->now_ms;
    if (store_find(cache->store, &set->key.exact, now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return false;
    const bool serves = is_within_ttl(&now_ms, found.entry, found.expires_ms);
    entry_release(found.entry);
    return serves;
}

static bool is_over_budget(const struct cache_set *set)
{
    return set->wishes.bytes_max != 0 && entry_charge_bytes(set->entry) > set->wishes.bytes_max;
}

/* The namespace is held. */
static enum status store_and_index(struct cache *cache, struct cache_set *set,
                                   const struct cache_waiter *waiter, struct failure *failure)
{
    struct store_set_result result = {0};
    enum status status = make_entry(cache, set);
    if (status == STATUS_OK && is_over_budget(set))
        status = STATUS_ENTRY_TOO_LARGE;
    if (status == STATUS_OK && set->space.id != 0)
        make_scope(cache, set);
    if (status == STATUS_OK)
        status = store_entry(cache, set, waiter, &result, failure);
    if (status == STATUS_ENTRY_EXISTS) {
        entry_release(set->entry);
        (void)lease_fill(cache->leases, &set->key.exact); /* the answer is there */
        set->reply.skip = CACHE_SKIP_EXISTS;
        set->reply.degraded = NULL;
        set->step = CACHE_DONE;
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        entry_release(set->entry);
        if (failure->status != STATUS_OK)
            return status;
        return failure_set(failure, status, field_of(set->request, status), "%s",
                           status_text(status));
    }
    assert(result.sequence != 0);
    assert(entry_sequence(set->entry) == result.sequence);
    namespace_count(&set->namespace_->counters.sets, 1);
    set->reply.stored = true;
    set->reply.sequence = result.sequence;
    set->reply.ack = set->ack;
    set->reply.is_memory_only = store_state(cache->store) == STORAGE_MEMORY_ONLY;
    set->reply.expires_ms = set->end_ms;
    set->reply.indexed = index_entry(cache, set, result.sequence);
    (void)cache_keep_budget(cache, set->namespace_, set->entry);
    entry_release(set->entry);
    (void)lease_fill(cache->leases, &set->key.exact);
    set->step = CACHE_DONE;
    return STATUS_OK;
}

enum status cache_set_finish(struct cache *cache, struct cache_set *set, enum status embedded,
                             int64_t now_ms, const struct cache_waiter *waiter,
                             struct failure *failure)
{
    assert(set->step != CACHE_DONE);
    assert(set->step == CACHE_NEEDS_VECTOR || embedded == STATUS_OK);
    assert(set->namespace_ == NULL);
    assert(set->entry == NULL);
    set->now_ms = now_ms;
    if (has_lost_to_another(cache, set))
        return failure_set(failure, STATUS_LEASE_LOST, "lease_token", "%s",
                           status_text(STATUS_LEASE_LOST));
    if (set->step == CACHE_NEEDS_COMPUTE && set->space.id != 0 && set->request->vector == NULL)
        embedded = embedder_embed(set->maker, set->key.query, set->arena, set->unit);
    note_vector(set, embedded);
    enum status status =
        cache_enter_namespace(cache, cache_name_or_default(set->request->identity.tenant),
                              set->key.namespace_, &set->namespace_, failure);
    if (status != STATUS_OK)
        return status;
    status = store_and_index(cache, set, waiter, failure);
    namespace_release(set->namespace_);
    set->namespace_ = NULL;
    if (status == STATUS_OK)
        cache_note_set(cache, set);
    return status;
}

enum status cache_set_begin(struct cache *cache, const struct cache_set_request *request,
                            struct arena *arena, int64_t now_ms, struct cache_set *out_set,
                            struct failure *failure)
{
    assert(arena != NULL);
    assert(now_ms >= 0);
    assert(out_set != NULL);
    struct cache_set *set = out_set;
    *set = (struct cache_set){.request = request, .arena = arena, .now_ms = now_ms};
    enum status status =
        key_make(&request->identity, &cache->key_limits, arena, &set->key, failure);
    if (status != STATUS_OK) {
        failure_prefix(failure, "identity");
        return status;
    }
    status = cache_check_set(cache, request, failure);
    if (status == STATUS_OK)
        status = cache_read_wishes(cache, &request->identity, set->key.namespace_, &set->wishes,
                                   failure);
    if (status == STATUS_OK)
        status = check_ttl(cache, set, failure);
    if (status != STATUS_OK)
        return status;
    cache_settle_key(&set->key, &set->wishes);
    set->reply = (struct cache_set_reply){.entry_id = set->key.exact,
                                          .skip = why_not_kept(request, &set->key)};
    if (set->reply.skip != CACHE_SKIP_NONE) {
        cache_note_set(cache, set);
        cache_pass_lease(cache, request->lease_token);
        return STATUS_OK;
    }
    set->step = CACHE_NEEDS_COMPUTE;
    status = cache_resolve_ack(cache, request->ack != ACK_DEFAULT ? request->ack : set->wishes.ack,
                               &set->ack, failure);
    if (status == STATUS_OK)
        status = prepare_vector(cache, set, failure);
    return status;
}

void cache_set_embed(struct cache *cache, struct cache_set *set, struct embed_job *job)
{
    assert(set->step == CACHE_NEEDS_VECTOR);
    assert(set->unit != NULL);
    cache_embed(cache, set->key.query, set->unit, job);
}

enum status cache_set(struct cache *cache, const struct cache_set_request *request,
                      struct arena *arena, int64_t now_ms, struct cache_set_reply *out_reply,
                      struct failure *failure)
{
    struct cache_set set;
    enum status embedded = STATUS_OK;
    enum status status = cache_set_begin(cache, request, arena, now_ms, &set, failure);
    set.ack = ACK_MEMORY;
    if (status == STATUS_OK && set.step == CACHE_NEEDS_VECTOR)
        embedded = embedder_embed(set.maker, set.key.query, arena, set.unit);
    if (status == STATUS_OK && set.step != CACHE_DONE)
        status = cache_set_finish(cache, &set, embedded, now_ms, NULL, failure);
    if (status != STATUS_OK)
        return status;
    assert(!set.reply.stored || set.reply.skip == CACHE_SKIP_NONE);
    assert(!set.reply.indexed || set.reply.stored);
    *out_reply = set.reply;
    return STATUS_OK;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

void cache_entry_died(void *context, const struct entry *entry, enum store_death why)
{
    struct cache *cache = context;
    assert(entry_sequence(entry) != 0);
    assert(why <= STORE_PURGED);
    if (cache_load_has_failed(cache))
        return;
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    struct namespace_ *namespace_ = cache_hold_namespace(cache, view.tenant, view.namespace_);
    assert(namespace_ !=
           NULL); /* its Set made it, or the load; and no drop goes before its entries */
    cache_uncount_entry(namespace_, entry);
    if (why == STORE_EVICTED)
        namespace_count(&namespace_->counters.evictions, 1);
    if (why == STORE_EXPIRED)
        namespace_count(&namespace_->counters.expirations, 1);
    cache_remove_row(cache, entry);
    namespace_release(namespace_);
}
