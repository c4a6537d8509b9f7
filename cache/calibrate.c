/*
 * calibrate.c - labelled pairs, batch by batch, into a curve (trust/curve.h). A batch goes the way
 * of a Get: the same canonical text, the same embedder, the same guard with the namespace's rules;
 * but for the index, since of each pair both sides are known. Only counts outlive a batch. Owns
 * nothing. Threads: compute.
 */
#include "cache/calibrate.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cache/parts.h"
#include "index/vector.h"

static const char *const prompt_names[2] = {"prompt_a", "prompt_b"};

static enum status refuse(struct failure *failure, enum status status, size_t pair,
                          const char *field, const char *sentence)
{
    char path[48];
    (void)snprintf(path, sizeof(path), "pairs[%zu].%.12s", pair, field);
    return failure_set(failure, status, path, "%s", sentence);
}

enum status cache_calibrate_begin(struct cache *cache, const struct cache_policy_scope *scope,
                                  double error_max, struct cache_calibration *out_calibration,
                                  struct failure *failure)
{
    struct cache_namespace_settings wants;
    const struct identity identity = {.tenant = scope->tenant, .namespace_ = scope->namespace_};
    if (!(error_max > 0 && error_max < 1))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "error_max", "above 0 and below 1");
    enum status status = cache_check_whole_namespace(scope, failure);
    if (status != STATUS_OK)
        return status;
    if (scope->embedder.length >= sizeof(out_calibration->name))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "scope.embedder", "at most %zu bytes",
                           sizeof(out_calibration->name) - 1);
    status = cache_read_wishes(cache, &identity, cache_name_or_default(scope->namespace_), &wants,
                               failure);
    if (status != STATUS_OK)
        return status;
    struct cache_calibration calibration = {.error_max = error_max};
    cache_overlay_policy(cache, &wants.policy, &calibration.policy);
    calibration.guard_rules = cache_guard_rules(cache, &wants);
    calibration.maker = cache_maker(cache, &wants, scope->embedder);
    if (scope->embedder.length > 0)
        memcpy(calibration.name, scope->embedder.bytes, scope->embedder.length);
    *out_calibration = calibration;
    return STATUS_OK;
}

/* ---- What a batch may be ----------------------------------------------------------------------
 */

/* The space of the first pair is that of all. */
static enum status settle_space(struct cache_calibration *calibration,
                                const struct cache_pair *pair, size_t number,
                                struct failure *failure)
{
    if (calibration->vectors != CALIBRATION_EMPTY)
        return STATUS_OK;
    if (!cache_space(calibration->maker, text_of(calibration->name), pair->vectors[0],
                     pair->dimensions[0], &calibration->space))
        return refuse(failure, STATUS_BAD_VECTOR, number, "vectors",
                      "needed: scope.embedder names one of your own, or nobody here makes vectors");
    calibration->vectors = pair->vectors[0] != NULL ? CALIBRATION_BROUGHT : CALIBRATION_MADE;
    return STATUS_OK;
}

/* All pairs of a calibration bring vectors of one length, or none does. */
static enum status check_vectors(const struct cache *cache, struct cache_calibration *calibration,
                                 const struct cache_pair *pair, size_t number,
                                 struct failure *failure)
{
    const bool brings = pair->vectors[0] != NULL;
    assert(brings == (pair->vectors[1] != NULL));
    enum status status = STATUS_OK;
    for (size_t side = 0; side < 2 && status == STATUS_OK; side++)
        status = cache_check_vector(cache, pair->vectors[side], pair->dimensions[side], NULL);
    if (status != STATUS_OK)
        return refuse(failure, status, number, "vectors", status_text(status));
    status = settle_space(calibration, pair, number, failure);
    if (status != STATUS_OK)
        return status;
    if (brings != (calibration->vectors == CALIBRATION_BROUGHT))
        return refuse(failure, STATUS_AMBIGUOUS_INPUT, number, "vectors",
                      "all pairs bring theirs, or none does");
    for (size_t side = 0; brings && side < 2; side++) {
        if (pair->dimensions[side] != calibration->space.dimension)
            return refuse(failure, STATUS_DIM_MISMATCH, number, "vectors",
                          "not as long as those before them");
    }
    return STATUS_OK;
}

/* As the query of a Get: what is compared here is what would be compared there. */
static enum status canonical_text(const struct cache *cache, struct text prompt,
                                  struct arena *arena, struct text *out_text)
{
    const struct identity identity = {.model = TEXT("calibrate"), .prompt = prompt};
    struct key key;
    const enum status status =
        key_make_exact(&identity, &cache->key_limits, arena, &key, &(struct failure){0});
    if (status == STATUS_OK)
        *out_text = key.query;
    return status;
}

static enum status check_prompts(const struct cache *cache, struct cache_pairs *batch,
                                 size_t number, struct arena *arena, struct failure *failure)
{
    const struct cache_pair *pair = &batch->pairs[number];
    for (size_t side = 0; side < 2; side++) {
        if (pair->prompts[side].length == 0 && pair->vectors[side] != NULL)
            continue;
        const enum status status =
            canonical_text(cache, pair->prompts[side], arena, &batch->texts[2 * number + side]);
        if (status != STATUS_OK)
            return refuse(failure, status, number, prompt_names[side], status_text(status));
    }
    return STATUS_OK;
}

static enum status make_room(const struct cache_calibration *calibration, struct arena *arena,
                             struct cache_pairs *batch)
{
    batch->units =
        arena_calloc(arena, 2 * batch->count, calibration->space.dimension * sizeof(float));
    batch->statuses = arena_calloc(arena, 2 * batch->count, sizeof(*batch->statuses));
    return batch->units != NULL && batch->statuses != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status cache_calibrate_check(struct cache *cache, struct cache_calibration *calibration,
                                  const struct cache_pair *pairs, size_t count, struct arena *arena,
                                  struct cache_pairs *out_batch, enum cache_step *out_step,
                                  struct failure *failure)
{
    struct cache_pairs batch = {.pairs = pairs, .count = count};
    if (calibration->curve.pairs + count > cache->limits.calibrate)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "pairs",
                           "at most limits.calibrate = %u in one stream", cache->limits.calibrate);
    *out_step = CACHE_NEEDS_COMPUTE;
    *out_batch = batch;
    if (count == 0)
        return STATUS_OK;
    batch.texts = arena_calloc(arena, 2 * count, sizeof(*batch.texts));
    enum status status = batch.texts != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = check_vectors(cache, calibration, &pairs[i], i, failure);
        if (status == STATUS_OK)
            status = check_prompts(cache, &batch, i, arena, failure);
    }
    if (status == STATUS_OK)
        status = make_room(calibration, arena, &batch);
    if (status != STATUS_OK)
        return status;
    *out_batch = batch;
    if (calibration->vectors == CALIBRATION_MADE && cache_embeds_later(cache, calibration->maker))
        *out_step = CACHE_NEEDS_VECTOR;
    return STATUS_OK;
}

/* ---- Vectors ----------------------------------------------------------------------------------
 */

static float *unit_of(const struct cache_calibration *calibration, const struct cache_pairs *batch,
                      size_t text)
{
    return batch->units + text * calibration->space.dimension;
}

void cache_calibrate_embed(struct cache *cache, const struct cache_calibration *calibration,
                           struct cache_pairs *batch, size_t text, struct embed_job *job)
{
    assert(text < 2 * batch->count);
    assert(calibration->vectors == CALIBRATION_MADE);
    cache_embed(cache, batch->texts[text], unit_of(calibration, batch, text), job);
}

static enum status make_vector(struct cache *cache, const struct cache_calibration *calibration,
                               struct cache_pairs *batch, size_t text, struct arena *arena)
{
    const struct cache_pair *pair = &batch->pairs[text / 2];
    float *unit = unit_of(calibration, batch, text);
    if (calibration->vectors == CALIBRATION_MADE)
        return cache_embeds_later(cache, calibration->maker)
                   ? batch->statuses[text]
                   : embedder_embed(calibration->maker, batch->texts[text], arena, unit);
    const bool has_length =
        vector_normalise(pair->vectors[text % 2], pair->dimensions[text % 2], unit);
    return has_length ? STATUS_OK : STATUS_BAD_VECTOR;
}

/* Lookups of a text that gets no vector are misses, whatever the threshold. */
static bool is_never_found(enum status status)
{
    return status == STATUS_NOT_FOUND || status == STATUS_TEXT_TOO_LONG;
}

static enum status make_vectors(struct cache *cache, const struct cache_calibration *calibration,
                                struct cache_pairs *batch, struct arena *arena,
                                struct failure *failure)
{
    for (size_t i = 0; i < 2 * batch->count; i++) {
        const enum status status = make_vector(cache, calibration, batch, i, arena);
        batch->statuses[i] = status;
        if (status != STATUS_OK && !is_never_found(status))
            return refuse(failure, status, i / 2,
                          calibration->vectors == CALIBRATION_MADE ? prompt_names[i % 2]
                                                                   : "vectors",
                          status_text(status));
    }
    return STATUS_OK;
}

/* ---- The count --------------------------------------------------------------------------------
 */

static enum status is_blocked(const struct cache_calibration *calibration,
                              const struct cache_pairs *batch, size_t number, struct arena *arena,
                              bool *out_is_blocked)
{
    const struct text *texts = &batch->texts[2 * number];
    struct guard_signature signatures[2];
    *out_is_blocked = false;
    if (texts[0].length == 0 || texts[1].length == 0)
        return STATUS_OK;
    for (size_t side = 0; side < 2; side++) {
        if (guard_sign(texts[side], arena, &signatures[side]) != STATUS_OK)
            return STATUS_NO_MEMORY;
    }
    *out_is_blocked = guard_check(&signatures[0], &signatures[1], calibration->guard_rules) != 0;
    return STATUS_OK;
}

static struct policy_wishes effective_of(const struct cache_calibration *calibration)
{
    struct policy_wishes effective;
    policy_settings_effective(&calibration->policy, calibration->space.threshold_default,
                              calibration->space.min_similarity, &effective);
    return effective;
}

/* What lies below the floor is no candidate, whatever the threshold. */
static float similarity_of(const struct cache_calibration *calibration,
                           const struct cache_pairs *batch, size_t number)
{
    const float similarity =
        vector_dot(unit_of(calibration, batch, 2 * number),
                   unit_of(calibration, batch, 2 * number + 1), calibration->space.dimension);
    return similarity >= effective_of(calibration).min_similarity ? similarity : -1;
}

enum status cache_calibrate_add(struct cache *cache, struct cache_calibration *calibration,
                                struct cache_pairs *batch, struct arena *arena,
                                struct failure *failure)
{
    enum status status = make_vectors(cache, calibration, batch, arena, failure);
    if (status != STATUS_OK)
        return status;
    struct cache_calibration counted = *calibration;
    for (size_t i = 0; i < batch->count; i++) {
        bool guarded = false;
        status = is_blocked(calibration, batch, i, arena, &guarded);
        if (status != STATUS_OK)
            return status;
        const bool found =
            batch->statuses[2 * i] == STATUS_OK && batch->statuses[2 * i + 1] == STATUS_OK;
        const float similarity = found ? similarity_of(calibration, batch, i) : -1;
        counted.without_vector += !found;
        curve_add(&counted.curve, similarity, batch->pairs[i].same, guarded);
    }
    calibration->curve = counted.curve;
    calibration->without_vector = counted.without_vector;
    namespace_count(&cache->calibrated_pairs, batch->count);
    return STATUS_OK;
}

float cache_calibrate_threshold(const struct cache_calibration *calibration)
{
    return effective_of(calibration).static_threshold;
}
