/*
 * calibrate.h - Calibrate: pairs of prompts of which somebody knows whether one's answer serves the
 * other become a curve of thresholds. Nothing is stored, and nothing changes. Threads: one owner a
 * calibration; compute, for guard and embedder take their time.
 */
#pragma once
#include "cache/cache.h"
#include "trust/curve.h"

struct cache_pair { /* vectors NULL: of the server's embedder */
    struct text prompts[2];
    const float *vectors[2];
    uint32_t dimensions[2];
    bool same;
};

struct cache_calibration { /* plain data: it outlives the arenas of its batches */
    unsigned guard_rules;
    enum { CALIBRATION_EMPTY, CALIBRATION_BROUGHT, CALIBRATION_MADE } vectors;
    struct embedder *maker;   /* of pairs that bring no vectors; NULL: nobody */
    struct embed_space space; /* once there are pairs */
    double error_max;
    uint64_t without_vector;
    struct policy_settings policy; /* of the namespace */
    char name[64];                 /* of the client's embedder */
    struct curve curve;
};

/* Of the scope the namespace and the embedder are read. LIMIT_EXCEEDED names `error_max` or
 * `scope`; NAMESPACE_UNKNOWN. */
enum status cache_calibrate_begin(struct cache *cache, const struct cache_policy_scope *scope,
                                  double error_max, struct cache_calibration *out_calibration,
                                  struct failure *failure);

struct cache_pairs { /* one batch; in the arena */
    const struct cache_pair *pairs;
    size_t count;
    struct text *texts; /* [2 * count], as a Get's query would be; pair i has 2i and 2i + 1     */
    float *units;       /* [2 * count * dimension]                                             */
    enum status *statuses; /* [2 * count]: of the embedder                                        */
};
/* Looks at all of them before any counts. CACHE_NEEDS_VECTOR: each text goes through
 * cache_calibrate_embed, and its status into `statuses`, before cache_calibrate_add. Failures name
 * "pairs[3].prompt_b" or "pairs[3].vectors": LIMIT_EXCEEDED, EMPTY_PROMPT, BAD_VECTOR,
 * DIM_MISMATCH, AMBIGUOUS_INPUT. */
enum status cache_calibrate_check(struct cache *cache, struct cache_calibration *calibration,
                                  const struct cache_pair *pairs, size_t count, struct arena *arena,
                                  struct cache_pairs *out_batch, enum cache_step *out_step,
                                  struct failure *failure);
void cache_calibrate_embed(struct cache *cache, const struct cache_calibration *calibration,
                           struct cache_pairs *batch, size_t text, struct embed_job *job);
/* All of the batch, or none: a text that could have had a vector and got none fails it. */
enum status cache_calibrate_add(struct cache *cache, struct cache_calibration *calibration,
                                struct cache_pairs *batch, struct arena *arena,
                                struct failure *failure);
/* What policy `static` decides by there. */
float cache_calibrate_threshold(const struct cache_calibration *calibration);
