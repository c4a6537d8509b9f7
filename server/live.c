/*
 * live.c - the options while the process runs.
 * Rooms keep what they use in fields of their own and are told of a change, so that no call looks
 * anything up by name. Owns the options in force. Threads: see live.h.
 */
#include "server/live.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"
#include "base/log.h"

struct live {
    struct live_setup setup; /* constant, but for `options`, which is not kept */
    struct lock lock;
    struct options *options GUARDED;
    atomic_uint
        readings; /* since the start: no two lines of the log are alike, and fall together */
};

UNSHARED enum status live_create(const struct live_setup *setup, struct live **out_live)
{
    assert(setup->check != NULL);
    assert(setup->apply != NULL);
    assert(setup->rejected != NULL);
    struct live *live = calloc(1, sizeof(*live));
    if (live == NULL)
        return STATUS_NO_MEMORY;
    live->setup = *setup;
    live->setup.options = NULL;
    lock_init(&live->lock, LOCK_RANK_CONFIG);
    const enum status status = options_copy(setup->options, &live->options);
    if (status != STATUS_OK)
        live_destroy(&live);
    else
        *out_live = live;
    return status;
}

UNSHARED void live_destroy(struct live **live)
{
    struct live *doomed = *live;
    if (doomed == NULL)
        return;
    *live = NULL;
    options_destroy(&doomed->options);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- Changes ---------------------------------------------------------------- */

static void log_changes(const struct options *before, const struct options *after)
{
    for (size_t i = 0; i < options_count(after); i++) {
        const struct option_view was = options_view(before, i), is = options_view(after, i);
        if (strcmp(was.value, is.value) == 0 && was.source == is.source)
            continue;
        char old[OPTION_SHOWN_MAX], new[OPTION_SHOWN_MAX];
        log_write(LOG_INFO, "config", "option", "name=%s value=%s source=%s before=%s",
                  is.row->name, option_show(is.value, new), option_source_name(is.source),
                  option_show(was.value, old));
    }
}

/* Takes it over if it can be applied. */
static enum status put_in_force(struct live *live, struct options **made) REQUIRES(live->lock)
{
    const enum status status = live->setup.apply(live->setup.context, *made);
    if (status != STATUS_OK)
        return status;
    log_changes(live->options, *made);
    options_destroy(&live->options);
    live->options = *made;
    *made = NULL;
    return STATUS_OK;
}

static enum status try_changes(const struct live *live, struct options *trial,
                               const struct live_change *changes, size_t count,
                               struct failure *failure)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = options_change(trial, changes[i].name, changes[i].value, failure);
    return status == STATUS_OK ? live->setup.check(trial, failure) : status;
}

enum status live_change(struct live *live, const struct live_change *changes, size_t count,
                        bool dry_run, struct options **out_after, struct failure *failure)
{
    struct options *trial = NULL, *after = NULL;
    lock_acquire(&live->lock);
    enum status status = options_copy(live->options, &trial);
    if (status == STATUS_OK)
        status = try_changes(live, trial, changes, count, failure);
    if (status == STATUS_OK)
        status = options_copy(trial, &after);
    if (status == STATUS_OK && !dry_run)
        status = put_in_force(live, &trial);
    lock_release(&live->lock);
    options_destroy(&trial);
    if (status == STATUS_OK)
        *out_after = after;
    else
        options_destroy(&after);
    return status;
}

/* ---- Reading again ---------------------------------------------------------- */

static void log_differing(void *context, const char *name)
{
    (void)context;
    log_write(LOG_WARNING, "config", "needs a restart", "name=%s", name);
}

static void note_rejected(struct live *live, const char *option, const char *problem)
{
    live->setup.rejected(live->setup.context, true);
    log_write(LOG_ERROR, "config", "config_rejected", "reading=%u option=%s problem=%s",
              atomic_load(&live->readings), option, problem);
}

void live_reload(struct live *live, const struct options *fresh)
{
    struct options *trial = NULL;
    struct failure failure = {.status = STATUS_OK};
    atomic_fetch_add(&live->readings, 1);
    if (fresh == NULL) {
        note_rejected(live, "", "it cannot be read; the values of before are kept");
        return;
    }
    lock_acquire(&live->lock);
    enum status status = options_copy(live->options, &trial);
    if (status == STATUS_OK)
        status = options_take(trial, fresh, log_differing, NULL);
    if (status == STATUS_OK)
        status = live->setup.check(trial, &failure);
    if (status == STATUS_OK)
        status = put_in_force(live, &trial);
    lock_release(&live->lock);
    options_destroy(&trial);
    if (status != STATUS_OK) {
        note_rejected(live, failure.field,
                      failure.status != STATUS_OK ? failure.message : status_text(status));
        return;
    }
    live->setup.rejected(live->setup.context, false);
    log_write(LOG_INFO, "config", "read again", "reading=%u", atomic_load(&live->readings));
}

/* ---- Looking ---------------------------------------------------------------- */

enum status live_copy(struct live *live, struct options **out_options)
{
    lock_acquire(&live->lock);
    const enum status status = options_copy(live->options, out_options);
    lock_release(&live->lock);
    return status;
}

uint64_t live_us(struct live *live, const char *name)
{
    lock_acquire(&live->lock);
    const uint64_t us = options_us(live->options, name);
    lock_release(&live->lock);
    return us;
}
