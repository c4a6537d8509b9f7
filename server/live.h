/*
 * live.h - the options while the process runs: what is in force, and how it changes. A change is
 * tried on a copy, checked by who uses it, and then holds as a whole or not at all. Threads: any;
 * one change at a time, under LOCK_RANK_CONFIG, which is held while `apply` works.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"
#include "base/status.h"

struct live;

struct live_setup {
    const struct options *options; /* as the process was started; copied */
    /* Whether values contradict each other: STATUS_BAD_OPTION with the option's name. */
    enum status (*check)(const struct options *options, struct failure *failure);
    /* Whoever uses a row that is OPTION_LIVE takes its value. NO_MEMORY: nobody has. */
    enum status (*apply)(void *context, const struct options *options);
    /* Whether the last reading was refused: for Stats, metrics and health. */
    void (*rejected)(void *context, bool rejected);
    void *context;
};

/* STATUS_NO_MEMORY. */
enum status live_create(const struct live_setup *setup, struct live **out_live);
/* NULL is fine. */
void live_destroy(struct live **live);

struct live_change {
    const char *name;
    const char *value; /* NULL: as it was started */
};

/*
 * All of them or none; with dry_run none, and nothing but that is different. *out_after is what is
 * in force afterwards, or would be, and the caller's to destroy. BAD_OPTION, NO_MEMORY; the
 * failure's field is an option's name. By a thread that may enter an epoch.
 */
enum status live_change(struct live *live, const struct live_change *changes, size_t count,
                        bool dry_run, struct options **out_after, struct failure *failure);

/*
 * What file, environment and flags say now takes the place of what they said; values of live_change
 * stay above it. NULL: they could not be read. Then, or if they contradict each other, all stays as
 * it is, and `rejected` is told so, until the next good reading. The log says which. As
 * live_change.
 */
void live_reload(struct live *live, const struct options *fresh);

/* What is in force; the caller's to destroy. STATUS_NO_MEMORY. */
enum status live_copy(struct live *live, struct options **out_options);
/* One duration of it. */
uint64_t live_us(struct live *live, const char *name);
