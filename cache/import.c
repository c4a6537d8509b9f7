/*
 * import.c - an entry that was shown elsewhere becomes one of ours: its block is packed again, its
 * vector becomes a row if it is of a space that this server knows, and otherwise the embedder makes
 * one. Which texts that takes is found out first, so that they go to it together and no thread
 * waits; what a namespace wants is asked again when the entries are stored.
 *
 * The order is a Set's: scope, entry, row, and then a look whether the entry still stands. Owns
 * nothing. Threads: compute.
 */
#include "cache/import.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/fields.h"
#include "cache/parts.h"
#include "index/vector.h"

enum { MODEL_BYTES_MAX = 256 };

/* ---- what may be imported -------------------------------------------------------------------- */

static bool is_moment(int64_t ms)
{
    return ms >= 0 && ms <= INT64_C(1) << FRESHNESS_TIME_BITS;
}

static enum status check_times(const struct cache_import *entry, struct failure *failure)
{
    const struct freshness *freshness = &entry->freshness;
    if (!is_moment(entry->created_ms) || !is_moment(entry->expires_ms))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED,
                           is_moment(entry->created_ms) ? "expires_unix_ms" : "created_unix_ms",
                           "from 1970 to 10889");
    if (!freshness_is_whole(freshness))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "ttl_ms",
                           "not times that Scroll has written");
    if (freshness->negative && (freshness->sliding_ms > 0 || freshness_window_ms(freshness) > 0 ||
                                entry->set.pinned || entry->space != 0))
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "negative",
                           "an upstream's error does not slide, is not pinned, has no time as "
                           "stale and no vector");
    return STATUS_OK;
}

static enum status check_one(struct cache *cache, const struct cache_import *entry,
                             struct failure *failure)
{
    const struct identity *identity = &entry->set.identity;
    if (!key_is_namespace(cache_name_or_default(identity->namespace_)))
        return failure_set(failure, STATUS_BAD_NAME, "identity.namespace",
                           "1 to 64 of the characters A-Z a-z 0-9 . _ -");
    if (identity->model.length < 1 || identity->model.length > MODEL_BYTES_MAX)
        return failure_set(failure, STATUS_BAD_NAME, "identity.model", "1 to %d bytes",
                           MODEL_BYTES_MAX);
    if (identity->prompt.length > cache->key_limits.prompt_bytes)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "identity.prompt",
                           "at most limits.prompt = %u bytes", cache->key_limits.prompt_bytes);
    if (!fields_are_whole(entry->fields))
        return failure_set(failure, STATUS_BAD_MESSAGE, "field_sums",
                           "not what Scroll has written");
    enum status status = check_times(entry, failure);
    if (status == STATUS_OK)
        status = cache_check_set(cache, &entry->set, failure);
    if (status != STATUS_OK)
        return status;
    struct cache_namespace_settings wishes;
    return cache_read_wishes(cache, identity, cache_name_or_default(identity->namespace_), &wishes,
                             failure);
}

static void prefix(struct failure *failure, size_t index)
{
    char place[32];
    (void)snprintf(place, sizeof(place), "entries[%zu]", index);
    failure_prefix(failure, place);
}

static enum status check_all(struct cache *cache, const struct cache_import *entries, size_t count,
                             struct failure *failure)
{
    if (count > cache->limits.batch)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "entries", "at most limits.batch = %u",
                           cache->limits.batch);
    for (size_t i = 0; i < count; i++) {
        enum status status = check_one(cache, &entries[i], failure);
        if (status == STATUS_OK)
            continue;
        prefix(failure, i);
        return status;
    }
    return STATUS_OK;
}

/* ---- vectors --------------------------------------------------------------------------------- */

struct coming { /* one entry on its way */
    const struct cache_import *from;
    struct namespace_ *namespace_; /* held */
    struct cache_namespace_settings wishes;
    struct embedder *maker;   /* of vectors that nobody brings; NULL: nobody */
    int64_t expires_ms;       /* in the store: after its time as stale */
    struct embed_space space; /* id 0: no row */
    float *unit;
    struct text prompt, model; /* canonical */
    const struct cache_import_text
        *text; /* what the embedder has made of it; NULL: was not asked */
    struct entry *entry;
};

/* The maker's, or that of vectors which clients bring under this name; false: another server's. */
static bool known_space(const struct coming *coming, struct embed_space *out_space)
{
    const struct cache_import *from = coming->from;
    const struct text embedder = from->set.identity.embedder;
    if (cache_space(coming->maker, embedder, NULL, 0, out_space) && out_space->id == from->space)
        return out_space->dimension == from->set.dimension;
    return cache_space(coming->maker, embedder, from->set.vector, from->set.dimension, out_space) &&
           out_space->id == from->space;
}

static bool brings_vector(const struct cache *cache, const struct coming *coming,
                          struct embed_space *out_space)
{
    const struct cache_set_request *set = &coming->from->set;
    if (set->vector == NULL || !known_space(coming, out_space))
        return false;
    const struct partition_key key = cache_partition_key(coming->from->scope, out_space->id);
    const uint32_t rows_dimension = directory_dimension(cache->directory, &key);
    return rows_dimension == 0 || rows_dimension == set->dimension;
}

static bool take_vector(const struct cache *cache, struct arena *arena, struct coming *coming)
{
    const struct cache_set_request *set = &coming->from->set;
    struct embed_space space;
    if (!brings_vector(cache, coming, &space))
        return false;
    coming->unit = arena_calloc(arena, set->dimension, sizeof(float));
    if (coming->unit == NULL || !vector_normalise(set->vector, set->dimension, coming->unit))
        return false;
    coming->space = space;
    return true;
}

static void make_vector(const struct cache *cache, struct arena *arena, struct coming *coming)
{
    struct embed_space space;
    const struct cache_import_text *text = coming->text;
    if (!cache_space(coming->maker, coming->from->set.identity.embedder, NULL, 0, &space))
        return;
    if (cache_embeds_later(cache, coming->maker)) {
        coming->unit = text != NULL && text->status == STATUS_OK ? text->unit : NULL;
    } else {
        coming->unit = arena_calloc(arena, space.dimension, sizeof(float));
        if (coming->unit != NULL &&
            embedder_embed(coming->maker, coming->prompt, arena, coming->unit) != STATUS_OK)
            coming->unit = NULL;
    }
    if (coming->unit != NULL)
        coming->space = space;
}

/* Only entries that had a vector get one: the others are exact only for their parameters. */
static bool wants_vector(const struct cache *cache, struct coming *coming)
{
    if (coming->from->space == 0 || coming->prompt.length == 0 ||
        cache_mode(cache, &coming->wishes) == POLICY_OFF ||
        !cache_opens(&coming->wishes, CACHE_TIER_SEMANTIC))
        return false;
    coming->maker = cache_maker(cache, &coming->wishes, coming->from->set.identity.embedder);
    return true;
}

static bool find_vector(const struct cache *cache, struct arena *arena, struct coming *coming)
{
    if (!wants_vector(cache, coming))
        return false;
    if (!take_vector(cache, arena, coming))
        make_vector(cache, arena, coming);
    return true;
}

static void make_scope(struct cache *cache, const struct coming *coming)
{
    const struct identity *identity = &coming->from->set.identity;
    const struct scope_names names = {
        .tenant = identity->tenant,
        .namespace_ = identity->namespace_,
        .model = coming->model,
        .attributes = identity->attributes,
        .attributes_count = identity->attributes_count,
    };
    struct scope *scope = scopes_obtain(cache->scopes, &names, coming->from->scope, &coming->space);
    cache_configure_scope(cache, coming->namespace_, scope);
    cache_note_new_scope(cache, scope);
}

/* ---- storing --------------------------------------------------------------------------------- */

static enum status make_entry(struct arena *arena, struct coming *coming)
{
    const struct cache_import *from = coming->from;
    const struct cache_set_request *set = &from->set;
    const bool opaque = set->blob.length > 0;
    const struct text tenant = cache_name_or_default(set->identity.tenant);
    const struct answer_parts parts = {
        .tenant = tenant,
        .namespace_ = cache_name_or_default(set->identity.namespace_),
        .model = coming->model,
        .tags = set->tags,
        .tags_count = set->tags_count,
        .metadata = set->metadata,
        .metadata_count = set->metadata_count,
        .depends_on = set->depends_on,
        .depends_on_count = set->depends_on_count,
        .info = set->info,
        .has_fields = from->has_fields,
        .fields = from->fields,
        .opaque = opaque,
        .freshness = from->freshness,
    };
    struct entry_source source = {
        .digest = from->id,
        .space = coming->space.id,
        .created_ms = from->created_ms,
        .expires_ms = coming->expires_ms,
        .marks = freshness_marks(&from->freshness, set->pinned),
        .prompt = coming->prompt,
        .answer = opaque ? set->blob : set->content,
    };
    const struct digest owner = key_owner(tenant, parts.namespace_);
    memcpy(source.scope, from->scope, ENTRY_ID_BYTES);
    memcpy(source.compatibility, from->compatibility, ENTRY_ID_BYTES);
    memcpy(source.tenant, owner.bytes, ENTRY_ID_BYTES);
    enum status status = answer_pack(&parts, arena, &source.metadata);
    return status == STATUS_OK ? entry_create(&source, &coming->entry) : status;
}

/* Counted before it is stored, as a Set's is. */
static enum status store_entry(struct cache *cache, struct coming *coming, int64_t now_ms,
                               uint32_t *evicted, struct failure *failure)
{
    struct store_set_result result = {0};
    const struct store_vector vector = {coming->unit, coming->space.dimension};
    const struct journal_wish wish = {.ack = ACK_MEMORY};
    cache_count_entry(coming->namespace_, coming->entry);
    enum status status = cache_check_pins(cache, coming->namespace_, coming->entry, failure);
    if (status == STATUS_OK)
        status = store_set(cache->store, coming->entry, coming->space.id != 0 ? &vector : NULL,
                           &wish, now_ms, &result);
    if (status != STATUS_OK)
        cache_uncount_entry(coming->namespace_, coming->entry);
    *evicted += result.evicted;
    return status;
}

static bool still_stands(struct cache *cache, const struct coming *coming, int64_t now_ms)
{
    struct store_hit found;
    const enum store_found state =
        store_find(cache->store, &coming->from->id, now_ms, STORE_PEEK, &found);
    if (state != STORE_FOUND)
        return state == STORE_PAST_EXPIRY;
    const bool same = found.entry == coming->entry;
    entry_release(found.entry);
    return same;
}

static bool index_entry(struct cache *cache, const struct coming *coming, struct arena *arena,
                        int64_t now_ms)
{
    if (coming->space.id == 0)
        return false;
    const struct cache_row row = {
        .key = cache_partition_key(coming->from->scope, coming->space.id),
        .id = coming->from->id,
        .compatibility = coming->from->compatibility,
        .sequence = entry_sequence(coming->entry),
        .expires_ms = cache_row_end_ms(coming->entry, coming->expires_ms),
        .unit = coming->unit,
        .dimension = coming->space.dimension,
        .query = coming->prompt,
    };
    if (cache_insert_row(cache, coming->namespace_, &row, arena) != STATUS_OK)
        return false;
    if (still_stands(cache, coming, now_ms))
        return true;
    cache_remove_row(cache, coming->entry);
    return false;
}

static bool is_over_budget(const struct coming *coming)
{
    return coming->wishes.bytes_max != 0 &&
           entry_charge_bytes(coming->entry) > coming->wishes.bytes_max;
}

/* The namespace is held. */
static enum status store_and_index(struct cache *cache, struct coming *coming, struct arena *arena,
                                   int64_t now_ms, struct cache_import_reply *reply,
                                   struct failure *failure)
{
    const bool wants = find_vector(cache, arena, coming);
    enum status status = make_entry(arena, coming);
    if (status == STATUS_OK && is_over_budget(coming))
        status = STATUS_ENTRY_TOO_LARGE;
    if (status == STATUS_OK && coming->space.id != 0)
        make_scope(cache, coming);
    if (status == STATUS_OK)
        status = store_entry(cache, coming, now_ms, &reply->evicted, failure);
    if (status == STATUS_OK) {
        const bool is_indexed = index_entry(cache, coming, arena, now_ms);
        namespace_count(&coming->namespace_->counters.sets, 1);
        reply->imported++;
        reply->indexed += is_indexed;
        reply->unindexed += wants && !is_indexed;
        reply->evicted += cache_keep_budget(cache, coming->namespace_, coming->entry);
        (void)lease_fill(cache->leases, &coming->from->id);
    }
    entry_release(coming->entry);
    return status;
}

static enum status import_one(struct cache *cache, struct coming *coming, struct arena *arena,
                              int64_t now_ms, struct cache_import_reply *reply,
                              struct failure *failure)
{
    const struct identity *identity = &coming->from->set.identity;
    const struct text tenant = cache_name_or_default(identity->tenant);
    const struct text name = cache_name_or_default(identity->namespace_);
    enum status status = cache_enter_namespace(cache, tenant, name, &coming->namespace_, failure);
    if (status != STATUS_OK)
        return status;
    epoch_enter(cache->epochs);
    coming->wishes = *namespace_wants(coming->namespace_);
    epoch_leave(cache->epochs);
    status = store_and_index(cache, coming, arena, now_ms, reply, failure);
    namespace_release(coming->namespace_);
    if (status != STATUS_OK && failure->status == STATUS_OK)
        return failure_set(failure, status, "", "%s", status_text(status));
    return status;
}

/* Where its life ends in the store; 0: never. */
static int64_t end_of(const struct cache_import *from)
{
    if (from->expires_ms == 0)
        return 0;
    return from->expires_ms + (int64_t)freshness_window_ms(&from->freshness);
}

static bool is_there(struct cache *cache, const struct digest *id, int64_t now_ms)
{
    struct store_hit found;
    if (store_find(cache->store, id, now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return false;
    entry_release(found.entry);
    return true;
}

enum fate { STORED, EXPIRED, KEPT };

static enum fate fate_of(struct cache *cache, const struct cache_import_batch *batch, size_t index,
                         int64_t now_ms)
{
    const struct coming *coming = &batch->coming[index];
    if (coming->expires_ms != 0 && coming->expires_ms <= now_ms)
        return EXPIRED;
    return !batch->options.overwrite && is_there(cache, &coming->from->id, now_ms) ? KEPT : STORED;
}

/* ---- the two halves -------------------------------------------------------------------------- */

static enum status ask_for_vector(struct cache *cache, struct cache_import_batch *batch,
                                  struct coming *coming, struct arena *arena)
{
    struct embed_space space;
    if (!wants_vector(cache, coming) || !cache_embeds_later(cache, coming->maker) ||
        brings_vector(cache, coming, &space))
        return STATUS_OK;
    struct cache_import_text *text = &batch->texts[batch->texts_count++];
    text->text = coming->prompt;
    text->unit =
        arena_calloc(arena, embedder_space(coming->maker)->dimension, sizeof(text->unit[0]));
    coming->text = text;
    return text->unit != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status prepare(struct cache *cache, struct cache_import_batch *batch, size_t index,
                           struct arena *arena, int64_t now_ms, struct failure *failure)
{
    struct coming *coming = &batch->coming[index];
    coming->from = &batch->entries[index];
    coming->expires_ms = end_of(coming->from);
    const struct identity *identity = &coming->from->set.identity;
    enum status status = text_canonical(identity->prompt, arena, &coming->prompt);
    if (status == STATUS_OK)
        status = text_canonical(identity->model, arena, &coming->model);
    if (status == STATUS_OK)
        status = cache_read_wishes(cache, identity, cache_name_or_default(identity->namespace_),
                                   &coming->wishes, failure);
    if (status == STATUS_OK && !batch->options.dry_run &&
        fate_of(cache, batch, index, now_ms) == STORED)
        status = ask_for_vector(cache, batch, coming, arena);
    if (status != STATUS_OK && failure->status == STATUS_OK)
        (void)failure_set(failure, status, "", "%s", status_text(status));
    return status;
}

enum status cache_import_begin(struct cache *cache, struct cache_import_batch *batch,
                               struct arena *arena, int64_t now_ms, struct failure *failure)
{
    assert(arena != NULL);
    assert(batch->coming == NULL);
    enum status status = check_all(cache, batch->entries, batch->count, failure);
    if (status != STATUS_OK || batch->count == 0)
        return status;
    batch->coming = arena_calloc(arena, batch->count, sizeof(*batch->coming));
    batch->texts = arena_calloc(arena, batch->count, sizeof(*batch->texts));
    if (batch->coming == NULL || batch->texts == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "%s", status_text(STATUS_NO_MEMORY));
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        status = prepare(cache, batch, i, arena, now_ms, failure);
        if (status != STATUS_OK)
            prefix(failure, i);
    }
    return status;
}

void cache_import_embed(struct cache *cache, struct cache_import_batch *batch, size_t text,
                        struct embed_job *job)
{
    assert(text < batch->texts_count);
    cache_embed(cache, batch->texts[text].text, batch->texts[text].unit, job);
}

enum status cache_import_finish(struct cache *cache, struct cache_import_batch *batch,
                                struct arena *arena, int64_t now_ms,
                                struct cache_import_reply *out_reply, struct failure *failure)
{
    assert(out_reply != NULL);
    assert(batch->texts_count <= batch->count);
    struct cache_import_reply reply = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        const enum fate fate = fate_of(cache, batch, i, now_ms);
        reply.expired += fate == EXPIRED;
        reply.kept += fate == KEPT;
        if (fate == STORED && batch->options.dry_run)
            reply.imported++;
        else if (fate == STORED)
            status = import_one(cache, &batch->coming[i], arena, now_ms, &reply, failure);
        if (status != STATUS_OK)
            prefix(failure, i);
    }
    assert(reply.indexed + reply.unindexed <= reply.imported);
    if (status == STATUS_OK)
        *out_reply = reply;
    return status;
}
