/*
 * work.h - which partitions want something from a builder: a list that inserts and removals put
 * them on, so that nobody walks ten thousand idle scopes. A partition is on it once.
 *
 * Threads: any. Asking is allowed under DIRECTORY and PARTITION.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct partition;
struct work;

enum work_place { WORK_NOWHERE, WORK_ASKED, WORK_WATCHED };

/* Lies in each partition; the list's only. */
struct work_link {
    struct partition *next, *previous;
    enum work_place place;
};

enum status work_create(struct work **out_work);
void work_destroy(struct work **work);

void work_ask(struct work *work, struct partition *partition);
/* Nothing to do now: it is looked at again at the next round of work_wait. */
void work_watch(struct work *work, struct partition *partition);
/* It is being retired. */
void work_forget(struct work *work, struct partition *partition);
/* Takes the one that has asked first off the list, or NULL. It may be retired unless the caller
 * holds DIRECTORY. */
struct partition *work_take(struct work *work);
/* How many have asked. */
uint32_t work_asked(struct work *work);
enum work_place work_place_of(struct work *work, const struct partition *partition);

/* Until somebody asks or wakes; while partitions are watched, a second at most, and then they have
 * asked. */
void work_wait(struct work *work);
/* All that are watched have asked. */
void work_round(struct work *work);
void work_wake(struct work *work, uint32_t threads);
