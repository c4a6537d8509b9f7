/*
 * shadow.c - lookups and verdicts, counted by the highest threshold that they reach. Right and
 * wrong verdicts are two counters and their sum is made by who looks, so that no view has more
 * wrong ones than verdicts. Owns the counters. Threads: any; relaxed, a counter orders nothing.
 *
 * WHAT THE CURVE SAYS. Of lookups all are counted; of verdicts those that somebody gave. Who is
 * asked only about hits says nothing of what lies below the threshold in force, and who complains
 * only of wrong answers makes each threshold look worse than it is. A threshold that is to keep a
 * bound is chosen from pairs drawn as questions come (curve.c), not from here.
 */
#include "trust/shadow.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

enum { PLACES = CURVE_POINTS + 1 }; /* place 0: below all thresholds */

struct shadow {
    _Atomic uint64_t would[PLACES];
    _Atomic uint64_t right[PLACES], wrong[PLACES];
    _Atomic uint64_t blocked_right, blocked_wrong;
};

struct shadow *shadow_create(void)
{
    return calloc(1, sizeof(struct shadow));
}

void shadow_destroy(struct shadow **shadow)
{
    free(*shadow);
    *shadow = NULL;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint64_t read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void shadow_see(struct shadow *shadow, float similarity)
{
    count(&shadow->would[curve_reached(similarity)]);
}

void shadow_label(struct shadow *shadow, float similarity, bool right, bool guard_blocked)
{
    if (guard_blocked)
        count(right ? &shadow->blocked_right : &shadow->blocked_wrong);
    else
        count(right ? &shadow->right[curve_reached(similarity)]
                    : &shadow->wrong[curve_reached(similarity)]);
}

void shadow_add_to(const struct shadow *shadow, struct shadow_view *view)
{
    struct curve *curve = &view->verdicts;
    const uint64_t blocked_right = read(&shadow->blocked_right);
    const uint64_t blocked = blocked_right + read(&shadow->blocked_wrong);
    curve->guard_blocked += blocked;
    curve->guard_blocked_same += blocked_right;
    curve->pairs += blocked;
    curve->same += blocked_right;
    for (size_t place = 0; place < PLACES; place++) {
        const uint64_t right = read(&shadow->right[place]), wrong = read(&shadow->wrong[place]);
        curve->pairs += right + wrong;
        curve->same += right;
        if (place == 0)
            continue;
        curve->hits[place - 1] += right + wrong;
        curve->wrong[place - 1] += wrong;
        view->would[place - 1] += read(&shadow->would[place]);
    }
}

struct shadow_point shadow_point(const struct shadow_view *view, size_t index)
{
    struct shadow_point point = {.verdicts = curve_point(&view->verdicts, index)};
    for (size_t i = index; i < CURVE_POINTS; i++)
        point.would_hits += view->would[i];
    const uint64_t all = view->verdicts.pairs;
    const uint64_t served_right = point.verdicts.hits - point.verdicts.wrong;
    const uint64_t withheld_wrong = all - view->verdicts.same - point.verdicts.wrong;
    if (all > 0)
        point.agreement = (double)(served_right + withheld_wrong) / (double)all;
    return point;
}
