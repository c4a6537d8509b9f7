/*
 * journal.h - what has been acknowledged, on disk: one thread turns tickets into records of segment
 * files, in groups, and calls back who wants to know. A second thread, the custodian, prepares
 * spares and runs compaction and snapshots (compact.h).
 *
 * Threads: any may hand in tickets; `done` comes on the journal thread (or, when the journal cannot
 * take the ticket, on the caller's, before the verb returns) and only wakes somebody: it takes no
 * lock and calls no verb of store or journal.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "base/status.h"
#include "storage/entry.h"
#include "storage/io.h"
#include "storage/record.h"

struct journal;
struct store;

enum journal_ack {
    ACK_DEFAULT,
    ACK_MEMORY,
    ACK_LOGGED,
    ACK_SYNCED
}; /* numbers as in proto enum Ack */
enum journal_durability { DURABILITY_ALWAYS, DURABILITY_EVERYSEC, DURABILITY_NONE };
enum journal_recovery { RECOVERY_SALVAGE, RECOVERY_POINT_IN_TIME, RECOVERY_STRICT };
enum storage_state {
    STORAGE_NONE,    /* no data folder: everything lives in memory        */
    STORAGE_LOADING, /* recovery runs                                     */
    STORAGE_DURABLE,
    STORAGE_MEMORY_ONLY, /* the disk has failed; the cache goes on in memory  */
    STORAGE_READ_ONLY,   /* the disk has failed; Set and Delete are refused   */
};
const char *storage_state_name(enum storage_state state); /* "durable" */
enum storage_error_action { ON_ERROR_MEMORY_ONLY, ON_ERROR_READ_ONLY, ON_ERROR_EXIT };

/* storage.path, storage.io, storage.error_action, storage.purge_deadline, journal.*, compact.* */
extern const struct option_row journal_option_rows[];
extern const size_t journal_option_rows_count;

struct journal_options { /* from the rows */
    const char *path;
    enum io_choice io;
    enum journal_durability durability;
    enum journal_recovery recovery;
    enum storage_error_action error_action;
    enum journal_ack ack_default; /* ACK_DEFAULT: auto, see store_ack_default */
    uint64_t segment_bytes, queue_bytes, compact_bytes_per_s;
    uint64_t purge_deadline_us; /* 0: none */
    uint32_t flush_interval_ms, spares;
};

/* `path` points into the options. STATUS_BAD_OPTION: they do not go together. */
enum status journal_options_read(const struct options *options, struct journal_options *out_options,
                                 struct failure *failure);

/* status OK: as durable as was asked for. UNAVAILABLE: it is applied in memory, not on disk. */
typedef void journal_done(void *context, enum status status);

struct journal_wish { /* what a writer wants to know */
    enum journal_ack ack;
    journal_done *done; /* NULL with ACK_MEMORY */
    void *context;
};

struct journal_stats {
    enum storage_state state;
    const char *io_backend; /* "io_uring", "posix"; "" without a folder */
    char io_reason[192];
    char cause[192];                      /* of a state that is not DURABLE; "" else */
    uint64_t bytes, live_bytes, segments; /* on disk now */
    uint64_t records, batches, syncs, sync_us_last, queue_bytes;
    uint64_t durable_sequence; /* all up to it are synced */
    /* How long the bytes of something that was purged have been waiting in the folder, 0: of
     * nothing; how long the last ones did; how often all were off the disk. */
    uint64_t purge_pending_ms, purge_ms_last, purges_settled;
    uint64_t recovered_entries, recovered_bytes, recovered_ms, damaged_bytes, torn_bytes,
        read_errors;             /* in reading it back, and since: of compaction        */
    uint64_t segments_set_aside; /* of `segments`: damaged, until a snapshot replaces them */
    double loading_done;         /* 0 to 1 */
};
