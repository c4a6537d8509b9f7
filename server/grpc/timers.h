/*
 * timers.h - calls that are to be woken at a moment. The C core has no public timer, and the keeper
 * looks every 100 ms only: too seldom for text at reading pace. Threads: any; `fire` is called by
 * the thread "timers", or by whoever ticks or hurries, holding no lock.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct timers;

struct timer { /* the caller's memory, until fired or cancelled */
    void (*fire)(struct timer *timer);
    void *context;
    const atomic_bool *gone; /* set: it is not armed any more; who sets it cancels it afterwards */
    uint64_t due_us;         /* monotonic                                */
    uint32_t place;          /* timers.c's; 0: it is not armed           */
};

/* timers_max: armed at a time. */
enum status timers_create(uint32_t timers_max, struct timers **out_timers);
/* Its thread. */
enum status timers_start(struct timers *timers);
/* Joins the thread. None is armed any more. NULL is fine. */
void timers_destroy(struct timers **timers);

/* False: it is not armed, since nobody waits for it, or all are hurried, or there are timers_max:
 * whoever wanted to wait goes on at once. */
bool timers_arm(struct timers *timers, struct timer *timer);
/* True: it will not be fired. */
bool timers_cancel(struct timers *timers, struct timer *timer);
/* Fires all that are due; returns when the next one is, UINT64_MAX if there is none. */
uint64_t timers_tick(struct timers *timers, uint64_t now_us);
/* Fires all, and arms none from now on. */
void timers_hurry(struct timers *timers);
