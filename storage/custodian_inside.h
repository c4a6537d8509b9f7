/*
 * custodian_inside.h - the inside of the custodian, for custodian*.c, compact.c, snapshot*.c and
 * segment_writer.c alone.
 */
#pragma once
#include <stdatomic.h>

#include "storage/journal_block.h" /* clocks, chance and folder, which never change */

enum { SNAPSHOT_NAME_MAX = 31 };

struct request { /* of an operator or of the store */
    struct request *next;
    bool is_snapshot;
    char name[SNAPSHOT_NAME_MAX + 1]; /* of a snapshot; never empty */
    snapshot_done *snapshot_done;
    journal_done *compact_done;
    void *context;
};

struct custodian {
    struct journal *journal;
    struct io *io;
    const struct custodian_source *source;
    struct journal_options options;
    struct thread *thread;

    /* Any thread. */
    int wakes;            /* an eventfd; -1: none */
    atomic_bool is_woken; /* since it last looked; so many wakes cost one call */
    atomic_bool is_stopping;
    struct lock lock; /* of rank JOURNAL */
    struct request *first GUARDED, *last GUARDED;

    /* The custodian's thread alone. */
    uint64_t paced_until_us; /* compact.rate_max: not a byte before */
    uint64_t probed_us;      /* of a full disk                      */
    uint64_t purged_us;      /* tried for the purges' deadline; 0: not yet */
    uint64_t rested_bytes;   /* the journal's size after the last compaction by itself */
    uint64_t failures;       /* of the disk when compaction began   */
    float *vector;           /* RECORD_DIMENSION_MAX                */
};

/* Before so many bytes are written: waits as compact.rate_max wants it. STATUS_CANCELLED: the
 * custodian is to stop. */
enum status custodian_pace(struct custodian *custodian, uint64_t size_bytes);

/* If a purge waits (journal_purge_begin): what keeps copies of it beside the log lets them go. */
enum status custodian_forget(struct custodian *custodian);

/* ---- custodian_spares.c ---------------------------------------------------------------------- */

/* The i-th, from 1, is the journal's; the emergency one is for compaction on a full disk alone. */
enum { SPARE_EMERGENCY = 0 };
/* Makes what is missing; the first failure ends it. */
enum status spares_keep(struct custodian *custodian);

/* ---- compact.c ------------------------------------------------------------------------------- */

enum compact_extent {
    COMPACT_IF_WORTH, /* the oldest segments that are more than half dead, if there are enough */
    COMPACT_ALL,      /* everything up to now                                                  */
    COMPACT_FULL_DISK /* as the first, into the emergency spare                                */
};
/* STATUS_NOT_FOUND: there is nothing to do. STATUS_CORRUPT: a segment is damaged, a snapshot of the
 * table does it better. */
enum status compact_run(struct custodian *custodian, enum compact_extent extent);

/* ---- snapshot.c ------------------------------------------------------------------------------ */

/* All that lives into new segments, which take the place of all finished ones; with a name also
 * into a folder. Leads out of a degraded state. */
enum status snapshot_run(struct custodian *custodian, const char *name,
                         struct snapshot_info *out_info);
/* The notes that still count are written anew and synced: older ones may go. */
enum status snapshot_renew_notes(struct custodian *custodian);
