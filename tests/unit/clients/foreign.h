/*
 * foreign.h - what ThreadSanitizer cannot judge: Debian's gRPC is not instrumented, so its own
 * mutexes and what it allocates are invisible to it. Suppressing reports with its frames was tried:
 * allocations cross the border without one.
 */
#pragma once
#include <stdbool.h>

#include "tests/support/unit.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

static inline bool under_tsan(void)
{
#ifdef UNDER_TSAN
    return true;
#else
    return false;
#endif
}

static inline void skip_foreign_code_under_tsan(void)
{
    if (under_tsan())
        skip();
}
