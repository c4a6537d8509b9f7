/*
 * explain.c - Explain: the walk of a Get that leaves no trace, then a look around for what it might
 * have found and did not.
 *
 * WHAT THE REQUEST IS COMPARED WITH. What was served. On a miss: an entry of the same prompt that
 * differs otherwise (the twin; of several one of its own scope, then the one that differs least);
 * else a stored request that is near enough in another scope or with another system prompt,
 * parameters, ...; else the nearest that might have been served. The twin is found by its text, in
 * a walk over the whole table, for many entries have no vector (stored with a temperature above 0,
 * for instance).
 *
 * The tenant is never left. Owns nothing beyond the references of an explanation. Threads: see
 * explain.h. NOT HERE. The words (explain_words.c), the fields (fields.c).
 */
#include "cache/explain.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "cache/explain_words.h"
#include "cache/lookup.h"
#include "cache/neighbours.h"
#include "cache/parts.h"
#include "index/vector.h"

enum {
    SCOPES_MAX = 256,   /* looked into, beside the request's own   */
    ROWS_MAX = 2000000, /* once so many have been seen, no more are: about 60 ms */
    AROUND = 5,
};

/* ---- twin ------------------------------------------------------------------------------------ */

struct twin_walk {
    const struct cache_explain *explain;
    struct fields_side request;
    struct text tenant;
    bool found;
    size_t differ; /* how much the best one so far does */
    struct digest id;
};

static enum status request_side(const struct cache_explain *explain, struct fields_side *out_side)
{
    const struct key *key = &explain->get.key;
    *out_side = (struct fields_side){
        .namespace_ = key->namespace_, .prompt = key->query, .has_fields = true};
    enum status status =
        text_canonical(explain->request->get.identity.model, explain->arena, &out_side->model);
    return status == STATUS_OK ? fields_pack(key, explain->arena, &out_side->fields) : status;
}

/* Runs under a stripe's lock: reads the entry. */
static bool consider_twin(void *context, const struct entry *entry)
{
    struct twin_walk *walk = context;
    if (!text_equal(entry_prompt(entry), walk->request.prompt) ||
        digest_equal(entry_digest(entry), &walk->explain->get.key.exact))
        return false;
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    if (!text_equal(view.tenant, walk->tenant))
        return false;
    struct fields_side side;
    struct field_difference fields[FIELDS_COUNT];
    size_t differ = 0;
    fields_of_entry(entry, &side);
    (void)fields_compare(&walk->request, &side, fields, &differ);
    const uint8_t *scope = walk->explain->get.key.scope.bytes;
    if (memcmp(entry_scope(entry), scope, ENTRY_ID_BYTES) != 0)
        differ += FIELDS_COUNT; /* whatever is in the request's own scope comes first */
    if (walk->found && walk->differ <= differ)
        return false;
    walk->found = true;
    walk->differ = differ;
    walk->id = *entry_digest(entry);
    return true;
}

/* Uncounted; NULL: it is not there any more. */
static struct entry *peek(struct cache *cache, const struct digest *id, int64_t now_ms)
{
    struct store_hit found;
    return store_find(cache->store, id, now_ms, STORE_PEEK, &found) == STORE_FOUND ? found.entry
                                                                                   : NULL;
}

static enum status find_twin(struct cache *cache, struct cache_explain *explain, int64_t now_ms)
{
    const struct cache_get *get = &explain->get;
    if (!get->key.canonical || get->key.query.length == 0)
        return STATUS_OK;
    struct twin_walk walk = {.explain = explain,
                             .tenant = cache_name_or_default(get->request->identity.tenant)};
    enum status status = request_side(explain, &walk.request);
    if (status != STATUS_OK)
        return status;
    (void)store_count(cache->store, now_ms > 0 ? now_ms : 1, consider_twin, &walk);
    if (walk.found)
        explain->twin = peek(cache, &walk.id, now_ms);
    return STATUS_OK;
}

/* ---- begin ----------------------------------------------------------------------------------- */

static bool is_tenants(const struct entry *entry, struct text tenant)
{
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    return text_equal(view.tenant, cache_name_or_default(tenant));
}

static enum status find_against(struct cache *cache, struct cache_explain *explain, int64_t now_ms,
                                struct failure *failure)
{
    const struct cache_explain_request *request = explain->request;
    if (!request->against_given)
        return STATUS_OK;
    struct entry *entry = peek(cache, &request->against, now_ms);
    if (entry != NULL && is_tenants(entry, request->get.identity.tenant)) {
        explain->against = entry;
        return STATUS_OK;
    }
    entry_release(entry);
    return failure_set(failure, STATUS_NOT_FOUND, "against_entry_id", "there is no such entry");
}

/* As cache_get_begin, with counters that nobody reads, and no namespace that is made for them. */
static enum status begin_get(struct cache *cache, struct cache_explain *explain,
                             struct failure *failure)
{
    struct cache_get *get = &explain->get;
    const struct identity *identity = &get->request->identity;
    enum status status = lookup_check(cache, get->request, failure);
    if (status != STATUS_OK)
        return status;
    status = key_make(identity, &cache->key_limits, get->arena, &get->key, failure);
    if (status != STATUS_OK) {
        failure_prefix(failure, "identity");
        return status;
    }
    get->reply.key = get->key.exact;
    get->unseen = arena_calloc(get->arena, 1, sizeof(*get->unseen));
    if (get->unseen == NULL)
        return STATUS_NO_MEMORY;
    status = cache_read_wishes(cache, identity, get->key.namespace_, &explain->wants, failure);
    if (status == STATUS_OK)
        cache_settle_key(&get->key, &explain->wants);
    return status;
}

static enum status choose_space(const struct cache *cache, struct cache_explain *explain,
                                enum cache_step *out_step)
{
    const struct cache_get_request *request = explain->get.request;
    *out_step = CACHE_NEEDS_COMPUTE;
    explain->get.maker = cache_maker(cache, &explain->wants, request->identity.embedder);
    const bool has_input = request->vector != NULL || explain->get.key.query.length > 0;
    if (!explain->get.key.canonical || !has_input ||
        !lookup_space(&explain->get, &explain->space)) {
        explain->space.id = 0;
        return STATUS_OK;
    }
    explain->unit = arena_calloc(explain->arena, explain->space.dimension, sizeof(float));
    if (explain->unit == NULL)
        return STATUS_NO_MEMORY;
    if (request->vector == NULL && cache_embeds_later(cache, explain->get.maker))
        *out_step = CACHE_NEEDS_VECTOR;
    return STATUS_OK;
}

enum status cache_explain_begin(struct cache *cache, const struct cache_explain_request *request,
                                struct arena *arena, int64_t now_ms,
                                struct cache_explain *out_explain, enum cache_step *out_step,
                                struct failure *failure)
{
    assert(request != NULL);
    assert(arena != NULL);
    assert(out_step != NULL);
    struct cache_explain *explain = out_explain;
    *explain = (struct cache_explain){
        .request = request, .arena = arena, .get = {.request = &request->get, .arena = arena}};
    enum status status = begin_get(cache, explain, failure);
    if (status == STATUS_OK)
        status = choose_space(cache, explain, out_step);
    if (status == STATUS_OK)
        status = find_against(cache, explain, now_ms, failure);
    if (status == STATUS_OK)
        status = find_twin(cache, explain, now_ms);
    if (status != STATUS_OK)
        cache_explain_release(explain);
    return status;
}

void cache_explain_embed(struct cache *cache, struct cache_explain *explain, struct embed_job *job)
{
    assert(explain->space.id != 0);
    assert(explain->unit != NULL);
    cache_embed(cache, explain->get.key.query, explain->unit, job);
}

/* ---- looking around -------------------------------------------------------------------------- */

struct look {
    struct cache *cache;
    struct cache_explain *explain;
    struct neighbour_search search;
    struct neighbours around; /* of any scope and compatibility */
    size_t scopes_count;
};

static void keep_nearest(const struct cache *cache, struct cache_explain *explain,
                         const struct neighbours *list, const struct guard_signature *query)
{
    assert(list->count <= CACHE_EXPLAIN_NEAREST);
    const unsigned rules = cache_guard_rules(cache, &explain->wants);
    for (size_t i = 0; i < list->count; i++) {
        const struct neighbour *near = &list->items[i];
        explain->nearest[i] = (struct cache_candidate){
            .entry_id = *entry_digest(near->entry),
            .similarity = fminf(fmaxf(near->similarity, 0), 1),
            .guards = guard_check(query, &near->signature, rules),
            .entry = near->entry,
        };
    }
    explain->nearest_count = list->count; /* with the list's references */
}

static enum status look_inside(struct look *look)
{
    struct cache_explain *explain = look->explain;
    struct guard_signature query;
    struct neighbours list;
    if (guard_sign(explain->get.key.query, explain->arena, &query) != STATUS_OK ||
        neighbours_init(&list, CACHE_EXPLAIN_NEAREST, explain->arena) != STATUS_OK)
        return STATUS_NO_MEMORY;
    (void)neighbours_add(look->cache, &look->search, &list);
    keep_nearest(look->cache, explain, &list, &query);
    return STATUS_OK;
}

static void look_into_scope(void *context, struct scope *scope)
{
    struct look *look = context;
    const struct text tenant = cache_name_or_default(look->explain->request->get.identity.tenant);
    if (scope->space != look->explain->space.id || !text_equal(scope->tenant, tenant) ||
        look->scopes_count == SCOPES_MAX || look->around.scanned > ROWS_MAX)
        return;
    look->scopes_count++;
    memcpy(look->search.where.scope, scope->digest, sizeof(look->search.where.scope));
    (void)neighbours_add(look->cache, &look->search, &look->around);
}

static bool might_be_served(const struct cache_explain *explain, const struct neighbour *near)
{
    return near->compatible &&
           memcmp(entry_scope(near->entry), explain->get.key.scope.bytes, ENTRY_ID_BYTES) == 0;
}

/* The nearest of those that no Get of this request could be served by. */
static const struct neighbour *nearest_stranger(const struct look *look)
{
    for (size_t i = 0; i < look->around.count; i++) {
        if (!might_be_served(look->explain, &look->around.items[i]))
            return &look->around.items[i];
    }
    return NULL;
}

static float bar_of(const struct cache_explain *explain)
{
    const float used = explain->get.reply.threshold;
    return used > 0 ? used : explain->space.threshold_default;
}

static void take_against(struct cache_explain *explain, struct entry *entry, float similarity)
{
    assert(explain->against == NULL);
    explain->against = entry_acquire(entry);
    explain->against_near = true;
    explain->against_similarity = fminf(fmaxf(similarity, 0), 1);
}

/* A stranger is the reason only where it would have been served, or where there is nobody else. */
static void choose_among(struct cache_explain *explain, const struct neighbour *stranger)
{
    const struct cache_candidate *own = explain->nearest_count > 0 ? &explain->nearest[0] : NULL;
    const float floor = explain->space.min_similarity;
    if (stranger != NULL && stranger->similarity >= bar_of(explain) &&
        (own == NULL || stranger->similarity > own->similarity))
        take_against(explain, stranger->entry, stranger->similarity);
    else if (own != NULL)
        take_against(explain, own->entry, own->similarity);
    else if (stranger != NULL && stranger->similarity >= floor)
        take_against(explain, stranger->entry, stranger->similarity);
}

static enum status look_around(struct cache *cache, struct cache_explain *explain, int64_t now_ms)
{
    struct look look = {
        .cache = cache,
        .explain = explain,
        .search = {.where = cache_partition_key(explain->get.key.scope.bytes, explain->space.id),
                   .unit = explain->unit,
                   .dimension = explain->space.dimension,
                   .compatibility = explain->get.key.compatibility.bytes,
                   .now_ms = now_ms},
    };
    enum status status = look_inside(&look);
    if (status == STATUS_OK)
        status = neighbours_init(&look.around, AROUND, explain->arena);
    if (status != STATUS_OK || explain->against != NULL)
        return status;
    look.search.any_compatibility = true;
    epoch_enter(cache->epochs);
    scopes_each(cache->scopes, look_into_scope, &look);
    epoch_leave(cache->epochs);
    choose_among(explain, nearest_stranger(&look));
    neighbours_deinit(&look.around);
    return STATUS_OK;
}

/* ---- finish ---------------------------------------------------------------------------------- */

static enum status make_vector(struct cache *cache, struct cache_explain *explain,
                               struct failure *failure)
{
    const struct cache_get_request *request = explain->get.request;
    if (request->vector == NULL)
        return cache_embeds_later(cache, explain->get.maker)
                   ? STATUS_OK
                   : embedder_embed(explain->get.maker, explain->get.key.query, explain->arena,
                                    explain->unit);
    if (vector_normalise(request->vector, request->dimension, explain->unit))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_VECTOR, "vector", "%s", status_text(STATUS_BAD_VECTOR));
}

static enum status ask_tiers(struct cache *cache, struct cache_explain *explain, int64_t now_ms,
                             enum cache_step *out_step, struct failure *failure)
{
    struct cache_get *get = &explain->get;
    const struct text tenant = cache_name_or_default(get->request->identity.tenant);
    epoch_enter(cache->epochs);
    enum status status =
        cache_peek_namespace(cache, tenant, get->key.namespace_, &get->namespace_, failure);
    if (status == STATUS_OK)
        *out_step = lookup_ask(cache, get, now_ms);
    lookup_close(cache, get);
    explain->exact_refused = get->refused;
    return status;
}

static enum status would_be(struct cache *cache, struct cache_explain *explain,
                            enum status embedded, int64_t now_ms, struct failure *failure)
{
    struct cache_get *get = &explain->get;
    enum cache_step step = CACHE_DONE;
    enum status status = ask_tiers(cache, explain, now_ms, &step, failure);
    if (status != STATUS_OK || step == CACHE_DONE)
        return status;
    assert(explain->space.id != 0);
    get->unit = explain->unit;
    return cache_get_finish_embedded(cache, get, embedded, now_ms, 0, failure);
}

/* What was served, or has the same prompt; others want a search. */
static void choose_at_once(struct cache_explain *explain)
{
    const struct cache_get_reply *reply = &explain->get.reply;
    if (explain->against != NULL)
        return;
    if (reply->tier != CACHE_TIER_NONE)
        take_against(explain, reply->found.entry, reply->similarity);
    else if (explain->twin != NULL && explain->exact_refused == CACHE_MISS_NONE)
        take_against(explain, explain->twin, 1);
}

static enum status compare(struct cache_explain *explain)
{
    struct fields_side request, entry;
    if (explain->against == NULL || !explain->get.key.canonical)
        return STATUS_OK;
    enum status status = request_side(explain, &request);
    if (status != STATUS_OK)
        return status;
    fields_of_entry(explain->against, &entry);
    explain->fields_count =
        fields_compare(&request, &entry, explain->fields, &explain->differ_count);
    return STATUS_OK;
}

enum status cache_explain_finish(struct cache *cache, struct cache_explain *explain,
                                 enum status embedded, int64_t now_ms, struct failure *failure)
{
    assert(explain->get.unseen != NULL);
    assert(explain->steps_count == 0);
    if (embedded == STATUS_OK && explain->space.id != 0)
        embedded = make_vector(cache, explain, failure);
    if (embedded == STATUS_BAD_VECTOR && explain->get.request->vector != NULL)
        return embedded;
    enum status status = would_be(cache, explain, embedded, now_ms, failure);
    if (status != STATUS_OK)
        return status;
    choose_at_once(explain);
    if (embedded == STATUS_OK && explain->space.id != 0)
        status = look_around(cache, explain, now_ms);
    if (status == STATUS_OK)
        status = compare(explain);
    if (status == STATUS_OK)
        status = explain_in_words(cache, explain, now_ms);
    return status;
}

void cache_explain_release(struct cache_explain *explain)
{
    cache_get_release(&explain->get);
    for (size_t i = 0; i < explain->nearest_count; i++)
        entry_release(explain->nearest[i].entry);
    explain->nearest_count = 0;
    entry_release(explain->against);
    entry_release(explain->twin);
    explain->against = explain->twin = NULL;
}
