/*
 * breaker.h - a circuit that opens after failures in a row, so that a dead server costs its callers
 * nothing. Open, it asks for one probe a second; any success closes it. Time is an argument.
 * Threads: the owner.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_FAILURES_MAX = 5, BREAKER_PROBE_US = 1000000 };

struct breaker {       /* all zero: closed */
    uint32_t failures; /* in a row */
    bool is_open;
    uint64_t probe_at_us; /* while open */
};

/* True if this success has closed it. */
bool breaker_succeed(struct breaker *breaker);
/* True if this failure has opened it. */
bool breaker_fail(struct breaker *breaker, uint64_t now_us);
/* Opens it without waiting for more failures. */
void breaker_trip(struct breaker *breaker, uint64_t now_us);
/* True if a probe is to be sent now; the next one is due a second later. */
bool breaker_take_probe(struct breaker *breaker, uint64_t now_us);
/* When the next probe is due; UINT64_MAX while closed. */
uint64_t breaker_due_us(const struct breaker *breaker);
