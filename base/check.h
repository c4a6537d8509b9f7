/*
 * check.h - assertions. `assert` stays on in every build (no preset defines NDEBUG) and states what
 * must be true of our own code; `assert_slow` is for loops over data: on in debug and sanitizer
 * builds only.
 */
#pragma once
#include <assert.h>

#ifdef REPRISE_SLOW_CHECKS
#define assert_slow(condition) assert(condition)
#else
#define assert_slow(condition) ((void)sizeof(condition))
#endif
