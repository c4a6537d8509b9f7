/*
 * clock.h - the only place where time is read and chance is drawn. Below server/ both come in as
 * arguments, so that every test can turn the clock by hand. Threads: any.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void);       /* unix milliseconds; may jump                   */
uint64_t clock_monotonic_us(void); /* microseconds since some moment; never goes back */
void clock_chance(void *out_bytes, size_t size_bytes); /* from the kernel, fit for keys   */
