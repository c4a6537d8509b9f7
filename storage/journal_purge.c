/*
 * journal_purge.c - when what was purged is off the disk. A purge takes effect at once; its bytes
 * lie in the segments until those are written anew, and storage.purge_deadline says how long they
 * may. At half of it the custodian compacts everything, so that many purges share one compaction;
 * any other that writes everything anew, an operator's or a snapshot, does as well.
 *
 * FLOORS of drops stand in MANIFEST until no segment holds anything that they killed: as long as
 * something older lives that cannot be told from the numbers, but after a compaction of everything
 * it is so. Hence many floors make it due at once, and too many drops at a time write DELETEs.
 *
 * AFTER A START it is not known which removals have been seen to, so if the log holds any the time
 * begins once more. What was evicted, deleted alone or has expired has no deadline: its bytes go as
 * room is needed, or with the next purge.
 *
 * THREADS. Noting and asking: any. Beginning and ending: the custodian's.
 * NOT HERE. Copies in other files: what the floor above keeps beside the log it lets go when it is
 * asked (custodian_source); snapshots' folders are the operator's.
 */
#include <inttypes.h>

#include "base/log.h"
#include "storage/journal_block.h"

enum {
    US_PER_MS = 1000,
    FLOORS_MANY = 1024, /* MANIFEST is written whole at each drop: no deadline is waited for */
    FLOORS_TOO_MANY = MANIFEST_FLOORS_MAX / 2,
};

void journal_note_purge(struct journal *journal)
{
    const uint64_t now_us = journal->clock_us();
    uint64_t none = 0;
    atomic_compare_exchange_strong(&journal->purges.since_us, &none, now_us > 0 ? now_us : 1);
}

/* Its number is counted before its floor is drawn: so who has rotated and then sees none at work
 * has seen the end of each whose floor lies before the rotation. */
bool journal_drop_begin(struct journal *journal)
{
    if (atomic_load(&journal->purges.floors) >= FLOORS_TOO_MANY)
        return false;
    atomic_fetch_add(&journal->purges.drops, 1);
    return true;
}

void journal_drop_end(struct journal *journal)
{
    journal_note_purge(journal);
    const uint32_t before = atomic_fetch_sub(&journal->purges.drops, 1);
    assert(before > 0);
}

bool journal_drops_are_over(const struct journal *journal)
{
    return atomic_load(&journal->purges.drops) == 0;
}

bool journal_is_purge_due(const struct journal *journal)
{
    const uint64_t since_us = atomic_load(&journal->purges.since_us);
    const uint64_t deadline_us = journal->options.purge_deadline_us;
    if (since_us != 0 && atomic_load(&journal->purges.floors) >= FLOORS_MANY)
        return true;
    return since_us != 0 && deadline_us != 0 && journal->clock_us() - since_us >= deadline_us / 2;
}

void journal_purge_begin(struct journal *journal)
{
    assert(atomic_load(&journal->purges.begun_us) == 0);
    const uint64_t since_us = atomic_exchange(&journal->purges.since_us, 0);
    atomic_store(&journal->purges.begun_us, since_us);
}

static void settle(struct journal *journal, uint64_t waited_us)
{
    struct journal_purges *purges = &journal->purges;
    const uint64_t waited_ms = waited_us / US_PER_MS;
    atomic_store(&purges->ms_last, waited_ms);
    atomic_fetch_add(&purges->settled, 1);
    purges->is_late = false;
    log_write(LOG_INFO, "storage", "what was purged is off the disk", "ms=%" PRIu64, waited_ms);
}

void journal_purge_end(struct journal *journal, enum status status)
{
    struct journal_purges *purges = &journal->purges;
    const uint64_t since_us = atomic_load(&purges->begun_us);
    if (since_us == 0)
        return;
    const uint64_t waited_us = journal->clock_us() - since_us;
    if (status == STATUS_OK) {
        settle(journal, waited_us);
    } else {
        atomic_store(&purges->since_us, since_us); /* older than whatever came meanwhile */
        const uint64_t deadline_us = journal->options.purge_deadline_us;
        if (deadline_us != 0 && waited_us >= deadline_us && !purges->is_late) {
            purges->is_late = true;
            log_write(LOG_WARNING, "storage", "what was purged is on the disk past its deadline",
                      "ms=%" PRIu64 " status=%s", waited_us / US_PER_MS, status_name(status));
        }
    }
    atomic_store(&purges->begun_us, 0);
}

void journal_add_purges(const struct journal *journal, struct journal_stats *stats)
{
    const struct journal_purges *purges = &journal->purges;
    uint64_t since_us = atomic_load(&purges->begun_us);
    if (since_us == 0)
        since_us = atomic_load(&purges->since_us);
    const uint64_t now_us = journal->clock_us();
    if (since_us != 0) /* at least 1: some are waiting */
        stats->purge_pending_ms =
            now_us >= since_us + US_PER_MS ? (now_us - since_us) / US_PER_MS : 1;
    stats->purge_ms_last = atomic_load(&purges->ms_last);
    stats->purges_settled = atomic_load(&purges->settled);
}
