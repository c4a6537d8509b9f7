/*
 * compact.c - the oldest segments, copied without what is dead in them.
 *
 * ONLY A PREFIX. To drop a dead PUT or a DELETE from the middle would bring back an older PUT of
 * the same key from before. From the oldest segment on there is nothing before: what is copied is
 * each PUT whose very Set the table still holds, with its expiry of today; DELETEs, TOUCHes and
 * PURGEs have done their work. An entry that was evicted is dropped as well.
 *
 * NOTES are handed in again by their owner and synced before the old ones go. On a full disk, where
 * nothing can be handed in, they are copied as they are.
 *
 * WHAT KILLED a record must be on the disk before the record goes: a Set whose successor is lost in
 * a crash would be lost with it. So the log is finished and synced once more before MANIFEST is
 * changed; only on a full disk, which cannot do that, does a successor in memory count. While the
 * disk has failed otherwise nothing is compacted, and nothing that it failed in the midst of.
 *
 * THE PREFIX is the longest one of which more than half is dead, and a segment's worth at least: so
 * each byte that is copied frees one, and writing at most doubles. Notes count as dead, though
 * their owner hands them in again at once; hence the journal must have grown by a quarter since the
 * last time, or a cache with many notes would copy them for ever.
 *
 * THREADS. The custodian's. Sets go on meanwhile.
 * NOT HERE. Damage: what a damaged segment has lost may still live in the table, so that a snapshot
 * of the table is the better copy (custodian.c).
 */
#include <stdlib.h>

#include "storage/segment_copy.h"

/* ---- which ----------------------------------------------------------------------------------- */

static uint32_t count_finished(const struct journal_segment *segments, uint32_t count)
{
    while (count > 0 && segments[count - 1].segment.last_sequence == 0)
        count--;
    return count;
}

/* The longest prefix that is more than half dead; 0: none. live_max: what may be copied of it. */
static uint32_t choose(const struct custodian *custodian, const struct journal_segment *segments,
                       uint32_t finished, uint64_t live_max)
{
    assert(custodian->options.segment_bytes > 0);
    uint64_t used = 0, live = 0;
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < finished; i++) {
        used += segments[i].used_bytes;
        live += segments[i].live_bytes;
        if (live <= live_max && live < used / 2 && used - live >= custodian->options.segment_bytes)
            chosen = i + 1;
    }
    return chosen;
}

static uint64_t sum_used(const struct journal_segment *segments, uint32_t count)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        used += segments[i].used_bytes;
    return used;
}

static uint32_t extent_of(const struct custodian *custodian, enum compact_extent extent,
                          const struct journal_segment *segments, uint32_t finished)
{
    assert(finished == 0 || segments[finished - 1].segment.last_sequence != 0);
    switch (extent) {
    case COMPACT_ALL:
        return finished;
    case COMPACT_FULL_DISK:
        return choose(custodian, segments, finished, custodian->options.segment_bytes / 2);
    case COMPACT_IF_WORTH:
        break;
    }
    const uint64_t rested = custodian->rested_bytes;
    if (sum_used(segments, finished) < rested + rested / 4)
        return 0;
    return choose(custodian, segments, finished, UINT64_MAX);
}

/* ---- copying --------------------------------------------------------------------------------- */

static enum status copy_all(struct custodian *custodian, struct segment_copy *copy,
                            const struct journal_segment *segments, uint32_t count)
{
    assert(count > 0);
    enum status status = segment_copy_run(copy, segments, count);
    if (status == STATUS_OK)
        status = segment_writer_finish(copy->writer);
    if (status != STATUS_OK || copy->copies_notes)
        return status;
    uint64_t last = 0;
    status = copy->notes_count > 0 ? snapshot_renew_notes(custodian)
                                   : journal_rotate(custodian->journal, &last);
    if (status == STATUS_OK && journal_failures(custodian->journal) != custodian->failures)
        status = STATUS_STORAGE_DEGRADED; /* what killed some of them may have been dropped */
    return status;
}

/* After a failed MANIFEST it is not known which one the disk has: the new files stay, and the next
 * start removes those that it does not name. */
static enum status copy_prefix(struct custodian *custodian, enum compact_extent extent,
                               const struct journal_segment *segments, uint32_t count,
                               uint64_t floors_end)
{
    assert(count > 0);
    assert(segments[count - 1].segment.last_sequence != 0);
    const bool is_full_disk = extent == COMPACT_FULL_DISK;
    struct segment_writer writer = {.custodian = custodian, .uses_emergency = is_full_disk};
    struct segment_copy copy = {.writer = &writer, .copies_notes = is_full_disk};
    enum status status = copy_all(custodian, &copy, segments, count);
    if (status == STATUS_OK)
        status =
            journal_replace(custodian->journal, count, writer.made, writer.made_count, floors_end);
    else
        segment_writer_undo(&writer);
    segment_copy_deinit(&copy);
    segment_writer_deinit(&writer);
    return status;
}

static void remember_size(struct custodian *custodian)
{
    struct journal_segment *segments = NULL;
    uint32_t count = 0;
    if (journal_segments(custodian->journal, &segments, &count) != STATUS_OK)
        return; /* then it is done a little too early or too late */
    custodian->rested_bytes = sum_used(segments, count);
    free(segments);
}

static enum status run(struct custodian *custodian, enum compact_extent extent)
{
    struct journal_segment *segments = NULL;
    uint32_t count = 0;
    uint64_t last = 0;
    enum status status = STATUS_OK;
    custodian->failures = journal_failures(custodian->journal); /* before the look at the state */
    if (extent != COMPACT_FULL_DISK && journal_state(custodian->journal) != STORAGE_DURABLE)
        return STATUS_STORAGE_DEGRADED;
    if (extent == COMPACT_ALL)
        status = journal_rotate(custodian->journal, &last);
    if (status == STATUS_OK)
        status = journal_segments(custodian->journal, &segments, &count);
    if (status != STATUS_OK)
        return status;
    const uint32_t finished = count_finished(segments, count);
    const uint32_t prefix = extent_of(custodian, extent, segments, finished);
    const bool is_all = extent == COMPACT_ALL && prefix == finished && finished < count &&
                        journal_drops_are_over(custodian->journal);
    const uint64_t floors_end = is_all ? segments[finished].segment.first_sequence : 0;
    status = prefix > 0 ? copy_prefix(custodian, extent, segments, prefix, floors_end)
                        : STATUS_NOT_FOUND;
    free(segments);
    if (status == STATUS_OK)
        remember_size(custodian);
    return status;
}

enum status compact_run(struct custodian *custodian, enum compact_extent extent)
{
    if (extent != COMPACT_ALL)
        return run(custodian, extent);
    journal_purge_begin(custodian->journal);
    enum status status = custodian_forget(custodian); /* first: or each try writes all anew */
    if (status == STATUS_OK)
        status = run(custodian, extent);
    journal_purge_end(custodian->journal, status == STATUS_NOT_FOUND ? STATUS_OK : status);
    return status;
}
