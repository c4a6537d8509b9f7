/*
 * adaptive.c - the rule of policy `adaptive`. Owns nothing; the caller holds the lock. Threads: the
 * owner's.
 *
 * THE RULE. After each verdict, once there are at least 10: if less than 95 % of the last 100 are
 * right the cut rises one step, if more than 99 % are right it falls one step, within min and max.
 * The cut is an integer, because a float stepped by 0.01 misses its end stops.
 *
 * KNOWN FAULTS, kept because the rule is to be exact. It sees verdicts on hits only, so each step
 * down is blind; the ring mixes verdicts taken under other cuts; 6 wrong ones in 100 raise the cut
 * at every following verdict, right or wrong; ten verdicts decide without an interval; and "more
 * than 99 %" of at most 100 means none wrong.
 *
 * NOT HERE. Whether the guard lets a candidate pass, and which limits are in force (policy.c).
 */
#include "trust/adaptive.h"

#include "base/check.h"

static int int_min(int a, int b)
{
    return a < b ? a : b;
}

static int int_max(int a, int b)
{
    return a > b ? a : b;
}

void adaptive_init(struct adaptive *adaptive, const struct adaptive_limits *limits)
{
    assert(limits->min >= 0);
    assert(limits->min <= limits->initial);
    assert(limits->initial <= limits->max);
    assert(limits->max <= ADAPTIVE_ONE);
    assert(limits->step > 0);
    *adaptive = (struct adaptive){.limits = *limits, .cut = limits->initial};
}

void adaptive_count(struct adaptive *adaptive, bool right)
{
    if (adaptive->filled == ADAPTIVE_RING)
        adaptive->right -= adaptive->ring[adaptive->next];
    else
        adaptive->filled++;
    adaptive->ring[adaptive->next] = right;
    adaptive->right += right;
    adaptive->next = (adaptive->next + 1) % ADAPTIVE_RING;
    assert(adaptive->right >= 0);
    assert(adaptive->right <= adaptive->filled);
}

void adaptive_label(struct adaptive *adaptive, bool right)
{
    adaptive_count(adaptive, right);
    if (adaptive->filled < ADAPTIVE_VERDICTS_MIN)
        return;
    const struct adaptive_limits *limits = &adaptive->limits;
    if (100 * adaptive->right < 95 * adaptive->filled)
        adaptive->cut = int_min(adaptive->cut + limits->step, limits->max);
    else if (100 * adaptive->right > 99 * adaptive->filled)
        adaptive->cut = int_max(adaptive->cut - limits->step, limits->min);
    assert(adaptive->cut >= limits->min);
    assert(adaptive->cut <= limits->max);
}
