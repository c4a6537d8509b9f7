/*
 * search.h - Search: the entries around a question, and how near they are. It decides nothing,
 * serves nothing and counts nothing. Threads: registered ones; begin any, finish with a vector
 * compute.
 */
#pragma once
#include "cache/cache.h"

enum { CACHE_TOP_K = 10, CACHE_TOP_K_MAX = 100 };

struct cache_search_request {
    struct identity identity;
    const float *vector; /* NULL: none; as the client sent it */
    uint32_t dimension;
    uint32_t top_k;         /* 0: CACHE_TOP_K */
    float min_similarity;   /* 0 to 1 */
    bool any_compatibility; /* of other system prompts, parameters, ... too */
    bool exhaustive;        /* by every row, whatever index there is */
    unsigned include;       /* enum cache_include: MATCHED_PROMPT, ANSWER */
};

struct cache_found {
    struct entry *entry; /* a reference */
    float similarity;
    unsigned guards; /* 0: clean */
    bool compatible; /* a Get of this request might be served by it */
};

struct cache_search { /* the caller's memory; only the last three are the caller's to read */
    const struct cache_search_request *request;
    struct arena *arena;
    struct key key;
    struct embedder *maker; /* of the vector, if it brings none */
    struct embed_space space;
    unsigned guard_rules; /* as the namespace wants them */
    float *unit;
    struct cache_found *found; /* best first */
    size_t found_count;
    uint64_t scanned;
};

/*
 * CACHE_NEEDS_COMPUTE: cache_search_finish with STATUS_OK. CACHE_NEEDS_VECTOR: cache_search_embed
 * (as cache_get_embed), then cache_search_finish with what done said. Request and arena live until
 * the end; nothing is held before finish has returned STATUS_OK, which cache_search_release ends.
 */
enum status cache_search_begin(struct cache *cache, const struct cache_search_request *request,
                               struct arena *arena, struct cache_search *out_search,
                               enum cache_step *out_step, struct failure *failure);
void cache_search_embed(struct cache *cache, struct cache_search *search, struct embed_job *job);
/* Without a vector it only says why there is none, and any thread may call it. */
enum status cache_search_finish(struct cache *cache, struct cache_search *search,
                                enum status embedded, int64_t now_ms, struct failure *failure);
void cache_search_release(struct cache_search *search);
