/*
 * custodian.h - the thread that keeps the data folder in order: spare segments, compaction of a
 * prefix, snapshots of the whole, resumption after a full disk. It never stops a Set.
 * Threads: any; requests are queued and answered by `done` on the custodian's thread.
 */
#pragma once
#include "base/text.h"
#include "storage/journal.h"

/* What a snapshot is made of; called on the custodian's thread, which holds no lock. */
struct custodian_source {
    void *context;
    /* Whether the table still holds this very Set, and until when. */
    bool (*is_live)(void *context, const struct digest *digest, uint64_t sequence,
                    int64_t *out_expires_ms);
    /* Up to entries_max references of entries, `cursor` 0 at first and at the end. */
    uint32_t (*next_entries)(void *context, uint64_t *cursor, struct entry **out_entries,
                             uint32_t entries_max);
    /* The entry's vector, from the index: its dimension, or 0. */
    uint32_t (*vector_of)(void *context, const struct entry *entry, float *out_unit,
                          uint32_t floats_max);
    /* Hands every NOTE that still counts in again as a fresh ticket: afterwards all older ones may
     * go. */
    enum status (*renew_notes)(void *context);
    /* What was purged is about to leave the log: copies of it that lie beside the log go now. NULL:
     * there are none. */
    enum status (*forget)(void *context);
};

struct snapshot_info {
    char name[32]; /* of its folder: letters, digits, - and _ */
    int64_t created_ms;
    uint64_t size_bytes, entries;
};
typedef void snapshot_done(void *context, enum status status, const struct snapshot_info *info);

/* Rotates, writes all that lives into compacted segments, swaps MANIFEST, hard-links the finished
 * files and MANIFEST into snapshots/NAME (name empty: the time). In memory_only it is also the way
 * back. */
void journal_snapshot(struct journal *journal, struct text name, snapshot_done *done,
                      void *context);
/* Compaction of everything finished, now. */
void journal_compact(struct journal *journal, journal_done *done, void *context);
enum { SNAPSHOTS_MAX = 256 };
enum status journal_snapshots(struct journal *journal, struct snapshot_info *out_infos,
                              uint32_t infos_max, uint32_t *out_count);
/* NOT_FOUND */
enum status journal_snapshot_remove(struct journal *journal, struct text name);
