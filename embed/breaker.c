/*
 * breaker.c - a circuit that opens after failures in a row.
 * There is no half-open state that lets some callers through: what closes it is a probe of the
 * owner's, so no caller pays for finding out. Owns nothing. Threads: the owner's.
 */
#include "embed/breaker.h"

#include "base/check.h"

bool breaker_succeed(struct breaker *breaker)
{
    bool was_open = breaker->is_open;
    *breaker = (struct breaker){0};
    return was_open;
}

void breaker_trip(struct breaker *breaker, uint64_t now_us)
{
    breaker->is_open = true;
    breaker->probe_at_us = now_us + BREAKER_PROBE_US;
}

bool breaker_fail(struct breaker *breaker, uint64_t now_us)
{
    if (breaker->is_open)
        return false; /* a probe, or what was under way when it opened */
    assert(breaker->failures < BREAKER_FAILURES_MAX);
    if (++breaker->failures < BREAKER_FAILURES_MAX)
        return false;
    breaker_trip(breaker, now_us);
    return true;
}

bool breaker_take_probe(struct breaker *breaker, uint64_t now_us)
{
    if (!breaker->is_open || now_us < breaker->probe_at_us)
        return false;
    breaker->probe_at_us = now_us + BREAKER_PROBE_US;
    return true;
}

uint64_t breaker_due_us(const struct breaker *breaker)
{
    return breaker->is_open ? breaker->probe_at_us : UINT64_MAX;
}
