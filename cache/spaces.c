/*
 * spaces.c - who makes a vector for whom, and in which space it lives. A client's own vector is in
 * a space of its own name; any other is made by the server's embedder, or by the lexical one where
 * the namespace wants that, or by nobody. Owns nothing. Threads: any; all of it is constant.
 */
#include "base/check.h"
#include "cache/parts.h"

static bool has_space(const struct embedder *embedder, uint64_t space)
{
    return embedder != NULL && embedder_space(embedder)->id == space;
}

/*
 * A client that names an embedder of its own and sends no vector gets none: another one would
 * compare its texts by another measure than the one it named.
 */
struct embedder *cache_maker(const struct cache *cache,
                             const struct cache_namespace_settings *wants, struct text client)
{
    if (client.length > 0 || wants->embedder == EMBEDDER_CLIENT)
        return NULL;
    return wants->embedder == EMBEDDER_LEXICAL
               ? cache_maker_of(cache, embedder_space(cache->lexical)->id)
               : cache->embedder;
}

struct embedder *cache_maker_of(const struct cache *cache, uint64_t space)
{
    if (has_space(cache->embedder, space)) /* which has a pool */
        return cache->embedder;
    return has_space(cache->lexical, space) ? cache->lexical : NULL;
}

bool cache_is_by_wish(const struct cache *cache, uint64_t space)
{
    return cache_maker_of(cache, space) == cache->lexical;
}

bool cache_compares(const struct cache *cache, const struct cache_namespace_settings *wants,
                    uint64_t space)
{
    return cache_maker_of(cache, space) == NULL ||
           has_space(cache_maker(cache, wants, TEXT("")), space);
}

bool cache_embeds_later(const struct cache *cache, const struct embedder *maker)
{
    return maker != NULL && maker == cache->embedder && cache->embeds_later;
}

/*
 * A client's space gets its id for one fixed dimension: so that a vector of another length meets
 * the rows of the first and is refused (DIM_MISMATCH), and does not silently live in a space of its
 * own.
 */
bool cache_space(const struct embedder *maker, struct text client, const float *vector,
                 uint32_t dimension, struct embed_space *out_space)
{
    if (vector != NULL) {
        embed_client_space(client, 1, out_space);
        assert(dimension > 0);
        out_space->dimension = dimension;
        return true;
    }
    if (maker == NULL)
        return false;
    *out_space = *embedder_space(maker);
    return true;
}

void cache_embed(struct cache *cache, struct text query, float *unit, struct embed_job *job)
{
    assert(cache->embeds_later);
    assert(job->done != NULL);
    if (unit == NULL) {
        job->done(job, STATUS_NO_MEMORY);
        return;
    }
    job->text = query;
    job->out_unit = unit;
    embedder_submit(cache->embedder, job);
}
