/*
 * explain.h - Explain: what a Get of this request would be answered, why, and which field parts it
 * from the nearest entry there is. Nothing changes: no counter, no hit count, no token, no
 * namespace. Threads: registered ones; begin compute (it may walk the whole table), finish compute
 * when there is a vector.
 */
#pragma once
#include "cache/cache.h"
#include "cache/fields.h"

struct cache_explain_request {
    struct cache_get_request get;
    bool against_given;
    struct digest against; /* compare with this entry */
};

enum { CACHE_EXPLAIN_NEAREST = 5, CACHE_EXPLAIN_STEPS_MAX = 24 };

struct cache_explain { /* the caller's memory; what stands behind `get` is the caller's to read */
    const struct cache_explain_request *request;
    struct arena *arena;
    struct cache_namespace_settings wants; /* the namespace, when it began */
    struct embed_space space;              /* id 0: nobody makes a vector */
    float *unit;
    struct entry *twin;   /* a reference: it has the request's prompt and differs otherwise */
    struct cache_get get; /* what a Get would do; its key is complete */
    enum cache_miss exact_refused; /* EXPIRED or TOO_OLD: there is one that may not serve */
    struct cache_candidate nearest[CACHE_EXPLAIN_NEAREST]; /* that a Get might be served by */
    size_t nearest_count;
    struct entry *against; /* a reference; NULL: nothing to compare with */
    bool against_near;     /* its similarity is known... */
    float against_similarity;
    struct field_difference fields[FIELDS_COUNT];
    size_t fields_count, differ_count;
    struct text reason;                         /* one sentence */
    struct text steps[CACHE_EXPLAIN_STEPS_MAX]; /* in their order */
    size_t steps_count;
};

/*
 * As cache_search_begin: CACHE_NEEDS_COMPUTE: finish with STATUS_OK, CACHE_NEEDS_VECTOR: embed,
 * then finish with what done said. NOT_FOUND names against_entry_id. Once begin has returned
 * STATUS_OK references are held, until cache_explain_release.
 */
enum status cache_explain_begin(struct cache *cache, const struct cache_explain_request *request,
                                struct arena *arena, int64_t now_ms,
                                struct cache_explain *out_explain, enum cache_step *out_step,
                                struct failure *failure);
void cache_explain_embed(struct cache *cache, struct cache_explain *explain, struct embed_job *job);
enum status cache_explain_finish(struct cache *cache, struct cache_explain *explain,
                                 enum status embedded, int64_t now_ms, struct failure *failure);
void cache_explain_release(struct cache_explain *explain);
