/*
 * codec_policy.c - a Policy, both ways. Owns nothing. Threads: any; all of it works in the caller's
 * arena.
 */
#include "server/codec_internal.h"

#include <math.h>

static enum status read_guards(const Reprise__V1__Policy *message, const char *field,
                               unsigned *out_guards, struct failure *failure)
{
    for (size_t i = 0; i < message->n_guards_off; i++) {
        if (message->guards_off[i] != REPRISE__V1__GUARD__GUARD_NAMES)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, field,
                               "guards_off: GUARD_NAMES alone can be turned off");
        *out_guards |= GUARD_NAMES;
    }
    return STATUS_OK;
}

static void read_adaptive(const Reprise__V1__Adaptive *message, struct policy_wishes *wishes)
{
    if (message->initial_given_case != 0)
        wishes->adaptive_initial = message->initial;
    if (message->min_given_case != 0)
        wishes->adaptive_min = message->min;
    if (message->max_given_case != 0)
        wishes->adaptive_max = message->max;
    if (message->step_given_case != 0)
        wishes->adaptive_step = message->step;
}

static bool is_nan(float number, bool given)
{
    return given && isnan(number);
}

/* NaN stands for unset below, so nobody may send one. */
static bool has_nan(const Reprise__V1__Policy *message)
{
    const Reprise__V1__Adaptive *adaptive = message->adaptive;
    if (is_nan(message->min_similarity, message->min_similarity_given_case != 0))
        return true;
    if (is_nan(message->static_threshold, message->static_threshold_given_case != 0))
        return true;
    return adaptive != NULL && (is_nan(adaptive->initial, adaptive->initial_given_case != 0) ||
                                is_nan(adaptive->min, adaptive->min_given_case != 0) ||
                                is_nan(adaptive->max, adaptive->max_given_case != 0) ||
                                is_nan(adaptive->step, adaptive->step_given_case != 0));
}

enum status codec_policy(const Reprise__V1__Policy *message, const char *field,
                         struct policy_wishes *out, struct failure *failure)
{
    struct policy_wishes wishes = policy_wishes_none;
    if (message == NULL) {
        *out = wishes;
        return STATUS_OK;
    }
    if ((int)message->mode < 0 || (int)message->mode > REPRISE__V1__POLICY_MODE__POLICY_MODE_SHADOW)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, field,
                           "mode: POLICY_MODE_OFF, _STATIC, _ADAPTIVE, _SHADOW, or none");
    if (has_nan(message))
        return failure_set(failure, STATUS_BAD_THRESHOLD, field, "%s",
                           status_text(STATUS_BAD_THRESHOLD));
    wishes.mode = (unsigned)message->mode;
    if (message->min_similarity_given_case != 0)
        wishes.min_similarity = message->min_similarity;
    if (message->static_threshold_given_case != 0)
        wishes.static_threshold = message->static_threshold;
    if (message->adaptive != NULL)
        read_adaptive(message->adaptive, &wishes);
    const enum status status = read_guards(message, field, &wishes.guards_off, failure);
    if (status == STATUS_OK)
        *out = wishes;
    return status;
}

static enum status fill_adaptive(const struct policy_wishes *wishes, struct arena *arena,
                                 Reprise__V1__Adaptive **out)
{
    if (isnan(wishes->adaptive_initial) && isnan(wishes->adaptive_min) &&
        isnan(wishes->adaptive_max) && isnan(wishes->adaptive_step))
        return STATUS_OK;
    Reprise__V1__Adaptive *message = arena_alloc(arena, sizeof(*message));
    if (message == NULL)
        return STATUS_NO_MEMORY;
    reprise__v1__adaptive__init(message);
    if (!isnan(wishes->adaptive_initial)) {
        message->initial_given_case = REPRISE__V1__ADAPTIVE__INITIAL_GIVEN_INITIAL;
        message->initial = wishes->adaptive_initial;
    }
    if (!isnan(wishes->adaptive_min)) {
        message->min_given_case = REPRISE__V1__ADAPTIVE__MIN_GIVEN_MIN;
        message->min = wishes->adaptive_min;
    }
    if (!isnan(wishes->adaptive_max)) {
        message->max_given_case = REPRISE__V1__ADAPTIVE__MAX_GIVEN_MAX;
        message->max = wishes->adaptive_max;
    }
    if (!isnan(wishes->adaptive_step)) {
        message->step_given_case = REPRISE__V1__ADAPTIVE__STEP_GIVEN_STEP;
        message->step = wishes->adaptive_step;
    }
    *out = message;
    return STATUS_OK;
}

enum status codec_fill_policy(const struct policy_wishes *wishes, struct arena *arena,
                              Reprise__V1__Policy **out)
{
    Reprise__V1__Policy *message = arena_alloc(arena, sizeof(*message));
    if (message == NULL)
        return STATUS_NO_MEMORY;
    reprise__v1__policy__init(message);
    message->mode = (Reprise__V1__PolicyMode)wishes->mode;
    if (!isnan(wishes->min_similarity)) {
        message->min_similarity_given_case =
            REPRISE__V1__POLICY__MIN_SIMILARITY_GIVEN_MIN_SIMILARITY;
        message->min_similarity = wishes->min_similarity;
    }
    if (!isnan(wishes->static_threshold)) {
        message->static_threshold_given_case =
            REPRISE__V1__POLICY__STATIC_THRESHOLD_GIVEN_STATIC_THRESHOLD;
        message->static_threshold = wishes->static_threshold;
    }
    if (wishes->guards_off != 0) {
        message->guards_off = arena_calloc(arena, 1, sizeof(*message->guards_off));
        if (message->guards_off == NULL)
            return STATUS_NO_MEMORY;
        message->guards_off[message->n_guards_off++] = REPRISE__V1__GUARD__GUARD_NAMES;
    }
    *out = message;
    return fill_adaptive(wishes, arena, &message->adaptive);
}
