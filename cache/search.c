/*
 * search.c - Search: the vector of a question, the neighbours in its scope, and what the guard says
 * of each. A question that no Get may ask the semantic tier (warm, of several turns) may be
 * searched for all the same, as long as it has a text or brings a vector. Owns nothing beyond the
 * references of a reply. Threads: see search.h.
 */
#include "cache/search.h"

#include "base/check.h"
#include "cache/neighbours.h"
#include "cache/parts.h"
#include "index/vector.h"

static enum status check(const struct cache *cache, const struct cache_search_request *request,
                         struct failure *failure)
{
    if (request->top_k > CACHE_TOP_K_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "top_k", "at most %d", CACHE_TOP_K_MAX);
    if (!(request->min_similarity >= 0 && request->min_similarity <= 1))
        return failure_set(failure, STATUS_BAD_THRESHOLD, "min_similarity", "%s",
                           status_text(STATUS_BAD_THRESHOLD));
    return cache_check_vector(cache, request->vector, request->dimension, failure);
}

static enum status make_key(struct cache *cache, struct cache_search *search,
                            struct failure *failure)
{
    enum status status = key_make(&search->request->identity, &cache->key_limits, search->arena,
                                  &search->key, failure);
    if (status != STATUS_OK)
        failure_prefix(failure, "identity");
    if (status != STATUS_OK)
        return status;
    if (!search->key.canonical)
        return failure_set(failure, STATUS_BAD_JSON, "identity",
                           "a JSON field has no canonical form, so that it has no scope");
    struct cache_namespace_settings wants;
    status = cache_read_wishes(cache, &search->request->identity, search->key.namespace_, &wants,
                               failure);
    if (status != STATUS_OK)
        return status;
    search->guard_rules = cache_guard_rules(cache, &wants);
    search->maker = cache_maker(cache, &wants, search->request->identity.embedder);
    return STATUS_OK;
}

/* A vector of the client's, or who will make one. */
static enum status find_space(struct cache_search *search, struct failure *failure)
{
    const struct cache_search_request *request = search->request;
    if (!cache_space(search->maker, request->identity.embedder, request->vector, request->dimension,
                     &search->space))
        return failure_set(
            failure, STATUS_BAD_VECTOR, "vector",
            "needed: identity.embedder names one of your own, or nobody here makes vectors");
    if (request->vector == NULL && search->key.query.length == 0)
        return failure_set(failure, STATUS_EMPTY_PROMPT, "identity",
                           "no text of a user to make a vector of; bring one");
    search->unit = arena_calloc(search->arena, search->space.dimension, sizeof(float));
    return search->unit != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status cache_search_begin(struct cache *cache, const struct cache_search_request *request,
                               struct arena *arena, struct cache_search *out_search,
                               enum cache_step *out_step, struct failure *failure)
{
    assert(arena != NULL);
    assert(out_step != NULL);
    *out_search = (struct cache_search){.request = request, .arena = arena};
    enum status status = check(cache, request, failure);
    if (status == STATUS_OK)
        status = make_key(cache, out_search, failure);
    if (status == STATUS_OK)
        status = find_space(out_search, failure);
    if (status != STATUS_OK)
        return status;
    const bool embeds = request->vector == NULL;
    *out_step = embeds && cache_embeds_later(cache, out_search->maker) ? CACHE_NEEDS_VECTOR
                                                                       : CACHE_NEEDS_COMPUTE;
    return STATUS_OK;
}

void cache_search_embed(struct cache *cache, struct cache_search *search, struct embed_job *job)
{
    assert(search->request->vector == NULL);
    assert(search->unit != NULL);
    cache_embed(cache, search->key.query, search->unit, job);
}

static enum status make_vector(struct cache *cache, struct cache_search *search,
                               struct failure *failure)
{
    const struct cache_search_request *request = search->request;
    if (request->vector == NULL)
        return cache_embeds_later(cache, search->maker)
                   ? STATUS_OK
                   : embedder_embed(search->maker, search->key.query, search->arena, search->unit);
    if (vector_normalise(request->vector, request->dimension, search->unit))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_VECTOR, "vector", "%s", status_text(STATUS_BAD_VECTOR));
}

/* The guard is asked where there are two texts to compare. */
static enum status judge(struct cache_search *search, const struct neighbours *list)
{
    struct guard_signature query;
    search->found = arena_calloc(search->arena, list->count, sizeof(search->found[0]));
    if (search->found == NULL || guard_sign(search->key.query, search->arena, &query) != STATUS_OK)
        return STATUS_NO_MEMORY;
    const bool has_text = search->key.query.length > 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct neighbour *near = &list->items[i];
        search->found[i] = (struct cache_found){
            .entry = near->entry,
            .similarity = near->similarity,
            .guards = has_text ? guard_check(&query, &near->signature, search->guard_rules) : 0,
            .compatible = near->compatible,
        };
    }
    search->found_count = list->count; /* with the list's references */
    search->scanned = list->scanned;
    return STATUS_OK;
}

static enum status look_around(struct cache *cache, struct cache_search *search, int64_t now_ms,
                               struct failure *failure)
{
    const struct cache_search_request *request = search->request;
    const struct neighbour_search asked = {
        .where = cache_partition_key(search->key.scope.bytes, search->space.id),
        .unit = search->unit,
        .dimension = search->space.dimension,
        .compatibility = search->key.compatibility.bytes,
        .any_compatibility = request->any_compatibility,
        .exhaustive = request->exhaustive,
        .min_similarity = request->min_similarity,
        .now_ms = now_ms,
    };
    struct neighbours list;
    enum status status =
        neighbours_init(&list, request->top_k > 0 ? request->top_k : CACHE_TOP_K, search->arena);
    if (status != STATUS_OK)
        return status;
    if (!neighbours_add(cache, &asked, &list))
        status = failure_set(failure, STATUS_DIM_MISMATCH, "vector",
                             "%u numbers, and the scope's rows have another length",
                             search->space.dimension);
    if (status == STATUS_OK)
        status = judge(search, &list);
    if (status != STATUS_OK)
        neighbours_deinit(&list);
    return status;
}

enum status cache_search_finish(struct cache *cache, struct cache_search *search,
                                enum status embedded, int64_t now_ms, struct failure *failure)
{
    assert(search->unit != NULL);
    assert(search->found_count == 0);
    enum status status = embedded;
    if (status == STATUS_OK)
        status = make_vector(cache, search, failure);
    if (status == STATUS_OK)
        return look_around(cache, search, now_ms, failure);
    if (status == STATUS_NOT_FOUND) /* no word to compare, hence nothing near */
        return STATUS_OK;
    if (failure->status != STATUS_OK)
        return status;
    return failure_set(failure, status, status == STATUS_TEXT_TOO_LONG ? "identity" : "", "%s",
                       status_text(status));
}

void cache_search_release(struct cache_search *search)
{
    assert(search->found_count <= CACHE_TOP_K_MAX);
    for (size_t i = 0; i < search->found_count; i++)
        entry_release(search->found[i].entry);
    search->found_count = 0;
}
