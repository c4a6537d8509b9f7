/*
 * codec_shadow.c - the reply of GetShadowReport; its request is codec_policies.c's. Owns nothing.
 * Threads: any; all of it works in the caller's arena.
 */
#include "server/codec_internal.h"

struct point { /* one threshold's messages, side by side */
    Reprise__V1__ShadowPoint message;
    Reprise__V1__Interval error;
};

static void fill_point(const struct cache_shadow_counts *from, size_t index, struct point *to)
{
    const struct shadow_point point = shadow_point(&from->view, index);
    const uint64_t lookups = from->policy.lookups;
    reprise__v1__shadow_point__init(&to->message);
    reprise__v1__interval__init(&to->error);
    to->error.low = point.verdicts.error_hit.low;
    to->error.value = point.verdicts.error_hit.value;
    to->error.high = point.verdicts.error_hit.high;
    to->message.threshold = point.verdicts.threshold;
    to->message.would_hits = point.would_hits;
    to->message.hit_rate = lookups > 0 ? (double)point.would_hits / (double)lookups : 0;
    to->message.verdicts = point.verdicts.hits;
    to->message.wrong = point.verdicts.wrong;
    to->message.err_hit = &to->error;
    to->message.agreement = point.agreement;
}

static Reprise__V1__ShadowReport *make_report(const struct cache_shadow_counts *from,
                                              struct arena *arena)
{
    Reprise__V1__ShadowReport *message = arena_alloc(arena, sizeof(*message));
    struct point *points = arena_calloc(arena, CURVE_POINTS, sizeof(*points));
    if (message == NULL || points == NULL)
        return NULL;
    reprise__v1__shadow_report__init(message);
    message->policy = codec_scope_policy(&from->policy, arena);
    message->thresholds = arena_calloc(arena, CURVE_POINTS, sizeof(message->thresholds[0]));
    if (message->policy == NULL || message->thresholds == NULL)
        return NULL;
    message->verdicts = from->view.verdicts.pairs;
    message->right = from->view.verdicts.same;
    message->guard_blocked = from->view.verdicts.guard_blocked;
    message->guard_blocked_right = from->view.verdicts.guard_blocked_same;
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        fill_point(from, i, &points[i]);
        message->thresholds[i] = &points[i].message;
    }
    message->n_thresholds = CURVE_POINTS;
    return message;
}

enum status codec_write_shadow_report(const struct cache_shadow_report *report, struct arena *arena,
                                      struct codec_reply *out)
{
    Reprise__V1__GetShadowReportResponse message = REPRISE__V1__GET_SHADOW_REPORT_RESPONSE__INIT;
    message.total = make_report(&report->total, arena);
    message.scopes = arena_calloc(arena, report->scopes_count + 1, sizeof(message.scopes[0]));
    if (message.total == NULL || message.scopes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < report->scopes_count; i++) {
        message.scopes[i] = make_report(&report->scopes[i], arena);
        if (message.scopes[i] == NULL)
            return STATUS_NO_MEMORY;
    }
    message.n_scopes = report->scopes_count;
    message.matching = report->matching;
    message.since_unix_ms = report->since_ms;
    return codec_reply_pack(&message.base, arena, out);
}
