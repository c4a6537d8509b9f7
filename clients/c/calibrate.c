/*
 * calibrate.c - Calibrate: pairs that the caller feeds, and the curve that they come to. Owns a
 * calibration from begin to finish. Threads: a calibration has one owner.
 */
#include <stdlib.h>

#include "base/check.h"
#include "clients/c/reply.h"
#include "clients/c/request.h"
#include "clients/c/result.h"

struct reprise_calibration {
    struct reprise_client *client;
    struct channel_stream *stream; /* NULL: it could not be begun */
    struct reprise_result *result; /* of its end */
    struct arena *arena;           /* the result's */
    struct arena *pairs;           /* of the message that is being sent */
};

/* protobuf-c's strings are not const; packing only reads them. */
static char *string_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static void fill_no_memory(struct reprise_result *result)
{
    result->code = REPRISE_RESOURCE_EXHAUSTED;
    result->error = (struct reprise_error){.code = REPRISE_RESOURCE_EXHAUSTED,
                                           .reason = "NO_MEMORY",
                                           .field = "",
                                           .message = "the client is out of memory",
                                           .retry_after_ms = -1};
}

static void open_stream(struct reprise_calibration *calibration,
                        const struct reprise_calibrate_request *request,
                        const struct reprise_call *call)
{
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    Reprise__V1__CalibrateRequest message = REPRISE__V1__CALIBRATE_REQUEST__INIT;
    struct channel_request asked = {.method = CHANNEL_CALIBRATE, .message = &message.base};
    scope.namespace_ = string_of(request->namespace_);
    scope.embedder = string_of(request->embedder);
    message.scope = &scope;
    if (request->error_max > 0) {
        message.error_max_given_case = REPRISE__V1__CALIBRATE_REQUEST__ERROR_MAX_GIVEN_ERROR_MAX;
        message.error_max = request->error_max;
    }
    if (call != NULL) {
        asked.deadline_ms = call->deadline_ms;
        asked.metadata = call->metadata;
        asked.metadata_count = call->metadata_count;
    }
    if (asked.deadline_ms == 0)
        asked.deadline_ms = UINT32_MAX; /* a stream takes as long as it takes: 49 days */
    calibration->stream =
        channel_stream_open(client_channel(calibration->client), &asked, false, calibration->arena);
}

struct reprise_calibration *
reprise_calibration_begin(struct reprise_client *client,
                          const struct reprise_calibrate_request *request,
                          const struct reprise_call *call)
{
    struct reprise_calibration *calibration = calloc(1, sizeof(*calibration));
    if (calibration == NULL)
        return NULL;
    calibration->client = client;
    calibration->result = result_create(&calibration->arena);
    if (calibration->result == NULL) {
        free(calibration);
        return NULL;
    }
    if (arena_create(&calibration->pairs) == STATUS_OK)
        open_stream(calibration, request, call);
    return calibration;
}

/* ---- Pairs ------------------------------------------------------------------ */

struct packed_pair {
    Reprise__V1__LabelledPair message;
    Reprise__V1__Vector vectors[2], *list[2];
};

static void fill_pair(const struct reprise_labelled_pair *from, struct packed_pair *pair)
{
    const float *const vectors[2] = {from->vector_a, from->vector_b};
    reprise__v1__labelled_pair__init(&pair->message);
    pair->message.prompt_a = string_of(from->prompt_a);
    pair->message.prompt_b = string_of(from->prompt_b);
    pair->message.same = from->same;
    for (size_t side = 0; side < 2 && from->dimension > 0; side++) {
        reprise__v1__vector__init(&pair->vectors[side]);
        pair->vectors[side].f32 = (float *)(uintptr_t)vectors[side]; /* only read */
        pair->vectors[side].n_f32 = from->dimension;
        pair->list[side] = &pair->vectors[side];
    }
    pair->message.vectors = pair->list;
    pair->message.n_vectors = from->dimension > 0 ? 2 : 0;
}

bool reprise_calibration_add(struct reprise_calibration *calibration,
                             const struct reprise_labelled_pair *pairs, size_t count)
{
    Reprise__V1__CalibrateRequest message = REPRISE__V1__CALIBRATE_REQUEST__INIT;
    if (calibration->stream == NULL)
        return false;
    struct packed_pair *packed = arena_calloc(calibration->pairs, count, sizeof(*packed));
    message.pairs = arena_calloc(calibration->pairs, count, sizeof(message.pairs[0]));
    if (packed == NULL || message.pairs == NULL) {
        fill_no_memory(calibration->result);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        fill_pair(&pairs[i], &packed[i]);
        message.pairs[i] = &packed[i].message;
    }
    message.n_pairs = count;
    const bool sent = channel_stream_send(calibration->stream, &message.base);
    arena_reset(calibration->pairs);
    return sent;
}

/* ---- The end ---------------------------------------------------------------- */

static struct reprise_curve_point *fill_curve(const Reprise__V1__CalibrateResponse *reply,
                                              struct arena *arena)
{
    struct reprise_curve_point *points = arena_calloc(arena, reply->n_curve, sizeof(*points));
    for (size_t i = 0; points != NULL && i < reply->n_curve; i++) {
        const Reprise__V1__CurvePoint *from = reply->curve[i];
        points[i] = (struct reprise_curve_point){
            .threshold = from->threshold,
            .hit_rate = from->hit_rate,
            .error_all = from->err_all,
            .error_hit = from->err_hit,
            .error_hit_low = from->precision != NULL ? 1 - from->precision->high : 0,
            .error_hit_high = from->precision != NULL ? 1 - from->precision->low : 1,
            .hits = from->hits,
            .wrong = from->wrong,
        };
    }
    return points;
}

static const struct reprise_calibrate_reply *fill_reply(const Reprise__V1__CalibrateResponse *reply,
                                                        struct arena *arena)
{
    struct reprise_calibrate_reply *made = arena_calloc(arena, 1, sizeof(*made));
    if (made == NULL)
        return NULL;
    *made = (struct reprise_calibrate_reply){
        .pairs = reply->pairs,
        .same = reply->same,
        .guard_blocked = reply->guard_blocked,
        .guard_blocked_same = reply->guard_blocked_same,
        .without_vector = reply->without_vector,
        .hits_needed = reply->hits_needed,
        .error_max = reply->error_max,
        .chosen_threshold = reply->chosen_threshold_given_case != 0 ? reply->chosen_threshold : -1,
        .threshold_in_force = reply->threshold_in_force,
        .embedder = reply->embedder != NULL ? reply->embedder->name : "",
        .space_id = reply->embedder != NULL ? reply->embedder->space_id : "",
        .curve = fill_curve(reply, arena),
        .curve_count = reply->n_curve,
    };
    return made->curve != NULL ? made : NULL;
}

static void end(struct reprise_calibration *calibration, bool cancels)
{
    struct reprise_result *result = calibration->result;
    ProtobufCMessage *answer = NULL;
    if (calibration->stream == NULL)
        fill_no_memory(result);
    if (calibration->stream == NULL)
        return;
    if (!cancels && channel_stream_finish(calibration->stream))
        (void)channel_stream_receive(calibration->stream, calibration->arena, &answer);
    struct reprise_error error;
    const enum reprise_code code =
        channel_stream_close(&calibration->stream, cancels, calibration->arena, &error);
    if (result->code != REPRISE_OK)
        return;
    result->code = code;
    if (code != REPRISE_OK)
        result->error = error;
    else if (answer != NULL)
        result->calibrated =
            fill_reply((const Reprise__V1__CalibrateResponse *)answer, calibration->arena);
    if (code == REPRISE_OK && result->calibrated == NULL)
        fill_no_memory(result);
}

struct reprise_result *reprise_calibration_finish(struct reprise_calibration **calibration)
{
    struct reprise_calibration *doomed = *calibration;
    *calibration = NULL;
    end(doomed, false);
    struct reprise_result *result = doomed->result;
    if (result->code != REPRISE_OK)
        client_count_failure(doomed->client);
    if (doomed->pairs != NULL)
        arena_destroy(&doomed->pairs);
    free(doomed);
    return result;
}

void reprise_calibration_abandon(struct reprise_calibration **calibration)
{
    struct reprise_calibration *doomed = *calibration;
    if (doomed == NULL)
        return;
    *calibration = NULL;
    end(doomed, true);
    reprise_result_free(&doomed->result);
    if (doomed->pairs != NULL)
        arena_destroy(&doomed->pairs);
    free(doomed);
}
