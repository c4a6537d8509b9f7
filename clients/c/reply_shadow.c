/*
 * reply_shadow.c - the reply of GetShadowReport as plain structs. Owns nothing. Threads: any; pure.
 */
#include "clients/c/reply.h"

static void read_point(const Reprise__V1__ShadowPoint *from, struct reprise_shadow_point *point)
{
    *point = (struct reprise_shadow_point){
        .threshold = from->threshold,
        .would_hits = from->would_hits,
        .verdicts = from->verdicts,
        .wrong = from->wrong,
        .hit_rate = from->hit_rate,
        .error_hit_high = 1,
        .agreement = from->agreement,
    };
    if (from->err_hit == NULL)
        return;
    point->error_hit = from->err_hit->value;
    point->error_hit_low = from->err_hit->low;
    point->error_hit_high = from->err_hit->high;
}

static bool read_counts(const Reprise__V1__ShadowReport *from, struct arena *arena,
                        struct reprise_shadow_counts *counts)
{
    static const Reprise__V1__ScopePolicy none = REPRISE__V1__SCOPE_POLICY__INIT;
    struct reprise_shadow_point *points =
        arena_calloc(arena, from->n_thresholds + 1, sizeof(*points));
    if (points == NULL)
        return false;
    for (size_t i = 0; i < from->n_thresholds; i++)
        read_point(from->thresholds[i], &points[i]);
    *counts = (struct reprise_shadow_counts){
        .verdicts = from->verdicts,
        .right = from->right,
        .guard_blocked = from->guard_blocked,
        .guard_blocked_right = from->guard_blocked_right,
        .points = points,
        .points_count = from->n_thresholds,
    };
    return reply_scope_policy(from->policy != NULL ? from->policy : &none, arena, &counts->policy);
}

const struct reprise_shadow_reply *reply_shadow(const Reprise__V1__GetShadowReportResponse *message,
                                                struct arena *arena)
{
    static const Reprise__V1__ShadowReport none = REPRISE__V1__SHADOW_REPORT__INIT;
    struct reprise_shadow_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_shadow_counts *scopes =
        arena_calloc(arena, message->n_scopes + 1, sizeof(*scopes));
    if (reply == NULL || scopes == NULL)
        return NULL;
    for (size_t i = 0; i < message->n_scopes; i++) {
        if (!read_counts(message->scopes[i], arena, &scopes[i]))
            return NULL;
    }
    reply->scopes = scopes;
    reply->scopes_count = message->n_scopes;
    reply->matching = message->matching;
    reply->since_unix_ms = message->since_unix_ms;
    const Reprise__V1__ShadowReport *total = message->total != NULL ? message->total : &none;
    return read_counts(total, arena, &reply->total) ? reply : NULL;
}
