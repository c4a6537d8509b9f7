/*
 * codec_calibrate.c - Calibrate, both ways. Owns nothing. Threads: any; all of it works in the
 * caller's arena.
 */
#include "server/codec_internal.h"

#include <stdio.h>

static const double error_max_standard = 0.02;

static enum status read_pair(const Reprise__V1__LabelledPair *message, struct arena *arena,
                             struct cache_pair *out, struct failure *failure)
{
    struct cache_pair pair = {
        .prompts = {text_of(message->prompt_a), text_of(message->prompt_b)},
        .same = message->same != 0,
    };
    if (message->n_vectors == 1)
        return failure_set(failure, STATUS_BAD_VECTOR, "vectors", "two of them, or none");
    for (size_t side = 0; side < message->n_vectors; side++) {
        const enum status status = codec_vector(message->vectors[side], arena, &pair.vectors[side],
                                                &pair.dimensions[side], failure);
        if (status != STATUS_OK)
            return status;
        if (pair.vectors[side] == NULL)
            return failure_set(failure, STATUS_BAD_VECTOR, "vectors", "one of them is empty");
    }
    *out = pair;
    return STATUS_OK;
}

enum status codec_read_calibrate(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_calibrate *out,
                                 struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_CALIBRATE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__CalibrateRequest *message = (const Reprise__V1__CalibrateRequest *)unpacked;
    const bool bounds = message->error_max_given_case != 0;
    struct codec_calibrate request = {
        .has_scope = message->scope != NULL,
        .has_error_max = bounds,
        .error_max = bounds ? message->error_max : error_max_standard,
        .count = message->n_pairs,
    };
    status = codec_policy_scope(message->scope, arena, &request.scope, failure);
    if (status != STATUS_OK)
        return status;
    request.pairs = arena_calloc(arena, request.count, sizeof(*request.pairs));
    if (request.pairs == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < request.count; i++) {
        status = read_pair(message->pairs[i], arena, &request.pairs[i], failure);
        if (status != STATUS_OK) {
            char item[32];
            (void)snprintf(item, sizeof(item), "pairs[%zu]", i);
            failure_prefix(failure, item);
            return status;
        }
    }
    *out = request;
    return STATUS_OK;
}

/* ---- The reply -------------------------------------------------------------- */

struct point { /* one message of the curve, with what is inside it */
    Reprise__V1__CurvePoint message;
    Reprise__V1__Interval precision;
};

static void fill_point(const struct curve_point *from, struct point *point)
{
    reprise__v1__curve_point__init(&point->message);
    reprise__v1__interval__init(&point->precision);
    point->precision.low = 1 - from->error_hit.high;
    point->precision.value = from->hits > 0 ? 1 - from->error_hit.value : 0;
    point->precision.high = 1 - from->error_hit.low;
    point->message.threshold = from->threshold;
    point->message.hit_rate = from->hit_rate;
    point->message.precision = &point->precision;
    point->message.err_all = from->error_all;
    point->message.err_hit = from->error_hit.value;
    point->message.hits = from->hits;
    point->message.wrong = from->wrong;
}

static enum status fill_curve(const struct curve *curve, struct arena *arena,
                              Reprise__V1__CalibrateResponse *message)
{
    struct point *points = arena_calloc(arena, CURVE_POINTS, sizeof(*points));
    message->curve = arena_calloc(arena, CURVE_POINTS, sizeof(message->curve[0]));
    if (points == NULL || message->curve == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        const struct curve_point point = curve_point(curve, i);
        fill_point(&point, &points[i]);
        message->curve[i] = &points[i].message;
    }
    message->n_curve = CURVE_POINTS;
    return STATUS_OK;
}

enum status codec_write_calibrate(const struct cache_calibration *calibration, struct arena *arena,
                                  struct codec_reply *out)
{
    const struct curve *curve = &calibration->curve;
    Reprise__V1__EmbedderInfo embedder;
    Reprise__V1__CalibrateResponse message = REPRISE__V1__CALIBRATE_RESPONSE__INIT;
    size_t chosen = 0;
    message.pairs = curve->pairs;
    message.same = curve->same;
    message.guard_blocked = curve->guard_blocked;
    message.guard_blocked_same = curve->guard_blocked_same;
    message.without_vector = calibration->without_vector;
    message.error_max = calibration->error_max;
    message.hits_needed = curve_hits_needed(calibration->error_max);
    message.threshold_in_force = cache_calibrate_threshold(calibration);
    message.embedder = &embedder;
    if (curve_choose(curve, calibration->error_max, &chosen)) {
        message.chosen_threshold_given_case =
            REPRISE__V1__CALIBRATE_RESPONSE__CHOSEN_THRESHOLD_GIVEN_CHOSEN_THRESHOLD;
        message.chosen_threshold = curve_point(curve, chosen).threshold;
    }
    enum status status = codec_embedder(&calibration->space, arena, &embedder);
    if (status == STATUS_OK)
        status = fill_curve(curve, arena, &message);
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}
