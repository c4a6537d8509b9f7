/*
 * fsck.h - a data folder checked without a server: what is wrong with each file, and what a start
 * would make of it. Changes nothing, not even LOCK; of a folder in use it sees a moment. Threads:
 * the caller's.
 */
#pragma once
#include "storage/journal.h"

enum fsck_verdict {
    FSCK_GOOD,
    FSCK_TORN,     /* the open segment's end was cut by a crash: nobody's fault */
    FSCK_DAMAGED,  /* bytes that should be records, and are not                 */
    FSCK_MISSING,  /* MANIFEST names it                                         */
    FSCK_LEFTOVER, /* a start will remove it                                    */
    FSCK_OTHER,    /* a spare, LOCK: nothing to check                           */
};
const char *fsck_verdict_name(enum fsck_verdict verdict); /* "good" */

struct fsck_file {
    const char *name; /* borrowed, like all text here */
    enum fsck_verdict verdict;
    uint64_t size_bytes, records, damaged_bytes, torn_bytes;
    uint64_t damage_offset; /* of the first damage      */
    const char *what;       /* is wrong; "" if nothing  */
};
/* Once for each file, MANIFEST first. */
typedef void fsck_report(void *context, const struct fsck_file *file);

struct fsck_start {     /* what a server would do */
    enum status status; /* OK: it would start      */
    uint64_t records, damaged_bytes;
    char message[FAILURE_MESSAGE_MAX]; /* why not, or what it would say; "" if nothing */
};
struct fsck_summary {
    uint32_t files, files_damaged;
    struct fsck_start starts[RECOVERY_STRICT + 1]; /* by enum journal_recovery */
};

/* STATUS_OK, however damaged the folder is. STATUS_NOT_FOUND: there is none. */
enum status storage_fsck(const char *directory, fsck_report *report, void *context,
                         struct fsck_summary *out_summary, struct failure *failure);
