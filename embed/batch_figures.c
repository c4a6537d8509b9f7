/*
 * batch_figures.c - counters and histograms of a batch. A histogram is made only for a part that
 * this batch has: each is 66 kB, a set of counters a shard.
 * Threads: any; init and deinit are single.
 */
#include "embed/batch_figures.h"

#include "base/check.h"

enum status batch_figures_init(struct batch_figures *figures, bool has_engine)
{
    *figures = (struct batch_figures){.counters = NULL};
    enum status status = counters_create(BATCH_COUNTS, &figures->counters);
    for (int part = 0; part < BATCH_PARTS && status == STATUS_OK; part++)
        if ((part == BATCH_REQUEST) != has_engine)
            status = histogram_create(&figures->seconds[part]);
    if (status == STATUS_OK && has_engine)
        status = histogram_create(&figures->pack_tokens);
    return status;
}

void batch_figures_deinit(struct batch_figures *figures)
{
    histogram_destroy(&figures->pack_tokens);
    for (int part = 0; part < BATCH_PARTS; part++)
        histogram_destroy(&figures->seconds[part]);
    counters_destroy(&figures->counters);
}

void batch_figures_add(struct batch_figures *figures, enum batch_count which, uint64_t amount)
{
    counters_add(figures->counters, which, amount);
}

uint64_t batch_figures_read(const struct batch_figures *figures, enum batch_count which)
{
    return counters_read(figures->counters, which);
}

void batch_figures_outcome(struct batch_figures *figures, enum status status)
{
    enum batch_count which = BATCH_FAILED;
    if (status == STATUS_OK)
        which = BATCH_TEXTS;
    else if (status == STATUS_TEXT_TOO_LONG)
        which = BATCH_TOO_LONG;
    else if (status == STATUS_NOT_FOUND)
        which = BATCH_WORDLESS;
    else if (status == STATUS_OVERLOADED)
        which = BATCH_OVERLOADED;
    else if (status == STATUS_DEADLINE)
        which = BATCH_LATE;
    counters_add(figures->counters, which, 1);
}

void batch_figures_took(struct batch_figures *figures, enum batch_part part, uint64_t from_us,
                        uint64_t to_us)
{
    assert(figures->seconds[part] != NULL);
    histogram_add(figures->seconds[part], to_us > from_us ? to_us - from_us : 0);
}

void batch_figures_pack(struct batch_figures *figures, uint64_t tokens)
{
    assert(figures->pack_tokens != NULL);
    counters_add(figures->counters, BATCH_PACKS, 1);
    counters_add(figures->counters, BATCH_TOKENS, tokens);
    histogram_add(figures->pack_tokens, tokens);
}
