/*
 * curve.c - counts by threshold, and the choice of one. Owns nothing. Threads: the owner's.
 *
 * THE CHOICE. Whoever looks at fifty thresholds and takes the best that seems fine has looked fifty
 * times: one of them seems fine by chance. So each is tested at 5 % / 50, by the upper bound of
 * Clopper and Pearson, and all fifty bounds hold together with 95 % (Bonferroni; the family-wise
 * control of Angelopoulos et al., "Learn then Test", arXiv 2110.01052, section 2). That costs few
 * hits: of 5,000, 1.4 % may be wrong for a bound of 2 %, where one look would allow 1.7 %.
 */
#include "trust/curve.h"

#include <math.h>

#include "base/check.h"

static const double miss = 0.05;

static float threshold_of(size_t index)
{
    return (float)(CURVE_FIRST_PERCENT + (int)index) / 100;
}

size_t curve_reached(float similarity)
{
    size_t reached = CURVE_POINTS;
    while (reached > 0 && similarity < threshold_of(reached - 1)) /* as policy_decide compares */
        reached--;
    return reached;
}

void curve_add(struct curve *curve, float similarity, bool same, bool guard_blocked)
{
    assert(similarity >= -1);
    assert(similarity <= 1);
    curve->pairs++;
    curve->same += same;
    curve->guard_blocked += guard_blocked;
    curve->guard_blocked_same += guard_blocked && same;
    const size_t reached = curve_reached(similarity);
    if (reached == 0 || guard_blocked)
        return;
    curve->hits[reached - 1]++;
    curve->wrong[reached - 1] += !same;
}

struct curve_point curve_point(const struct curve *curve, size_t index)
{
    assert(index < CURVE_POINTS);
    struct curve_point point = {.threshold = threshold_of(index)};
    for (size_t i = index; i < CURVE_POINTS; i++) {
        point.hits += curve->hits[i];
        point.wrong += curve->wrong[i];
    }
    const double pairs = curve->pairs > 0 ? (double)curve->pairs : 1;
    point.hit_rate = (double)point.hits / pairs;
    point.error_all = (double)point.wrong / pairs;
    point.error_hit = interval_of(point.wrong, point.hits, miss);
    return point;
}

bool curve_choose(const struct curve *curve, double error_max, size_t *out_index)
{
    assert(error_max > 0);
    assert(error_max < 1);
    uint64_t hits = 0, wrong = 0;
    bool is_found = false;
    for (size_t i = CURVE_POINTS; i > 0; i--) {
        hits += curve->hits[i - 1];
        wrong += curve->wrong[i - 1];
        if (curve->hits[i - 1] == 0) /* the same hits as at the threshold above */
            continue;
        if (interval_upper(wrong, hits, miss / CURVE_POINTS) > error_max)
            continue;
        *out_index = i - 1;
        is_found = true;
    }
    return is_found;
}

/* (1 - error_max)^hits <= miss: the bound of Clopper and Pearson where none is wrong. */
uint64_t curve_hits_needed(double error_max)
{
    return (uint64_t)ceil(log(miss / CURVE_POINTS) / log1p(-error_max));
}
