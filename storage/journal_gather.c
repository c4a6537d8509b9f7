/*
 * journal_gather.c - how long a batch waits for those who were just answered. Whoever sets one
 * answer after the other, and waits for each, comes back a moment after his answer; a batch that
 * leaves in the instant in which the one before is done leaves without him. So callers would fall
 * into two halves that sync in turn, and each sync would carry half of what it could.
 *
 * THE WAIT ends when as many wait as did before, when the batch is full, or after a quarter of what
 * the sync took (1 to 5 ms). A sync that only the clock has asked for makes nobody wait. Where
 * syncs take less than a millisecond nobody is waited for: what is won is less than a timer can
 * measure.
 *
 * IN VAIN it is where others come than were answered, each once, or callers take longer. Then the
 * next syncs do without: one, two, four, up to 64 of them. That nobody came at all says nothing,
 * and leaves that as it was.
 *
 * THREADS. The journal's. Those who hand in look at gather_missing (journal_kick).
 * NOT HERE. When a batch leaves otherwise (journal.c).
 */
#include "storage/journal_block.h"

enum { SYNC_US_MIN = 1000, WAIT_US_MIN = 1000, WAIT_US_MAX = 5000, WAIT_SHARE = 4, SKIPS_MAX = 64 };

static uint32_t waiting_count(const struct journal *journal)
{
    return journal->batches[journal->filling].awaited_count + atomic_load(&journal->awaited_count);
}

static uint64_t wait_us(uint64_t sync_us)
{
    const uint64_t wait = sync_us / WAIT_SHARE;
    if (wait < WAIT_US_MIN)
        return WAIT_US_MIN;
    return wait < WAIT_US_MAX ? wait : WAIT_US_MAX;
}

void gather_begin(struct journal *journal, uint32_t answered, uint64_t sync_us)
{
    struct gather *gather = &journal->gather;
    gather->until_us = 0;
    if (sync_us < SYNC_US_MIN || answered == 0)
        return;
    if (gather->skips > 0) {
        gather->skips--;
        return;
    }
    gather->expected = answered + waiting_count(journal);
    gather->until_us = journal->clock_us() + wait_us(sync_us);
}

static void end(struct gather *gather, uint32_t skips_next)
{
    gather->until_us = 0;
    gather->skips = gather->skips_next = skips_next;
}

static uint32_t more_skips(uint32_t skips)
{
    if (skips == 0)
        return 1;
    return skips < SKIPS_MAX ? skips * 2 : SKIPS_MAX;
}

bool gather_goes_on(struct journal *journal, uint64_t now_us)
{
    struct gather *gather = &journal->gather;
    const struct batch *batch = &journal->batches[journal->filling];
    if (gather->until_us == 0)
        return false;
    const bool are_all_there = batch->awaited_count >= gather->expected;
    if (!are_all_there && now_us < gather->until_us)
        return true;
    const bool has_nobody_come = batch->began_us >= gather->until_us;
    if (has_nobody_come)
        end(gather, gather->skips_next);
    else
        end(gather, are_all_there ? 0 : more_skips(gather->skips_next));
    return false;
}

uint32_t gather_missing(const struct journal *journal)
{
    const struct gather *gather = &journal->gather;
    const uint32_t there = journal->batches[journal->filling].awaited_count;
    return gather->expected > there ? gather->expected - there : 0;
}
