/*
 * journal_block.h - the inside of the journal, for the rooms named journal*.c alone: who may touch
 * which field. Everything without a remark is immutable once journal_start has returned.
 */
#pragma once
#include <assert.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "storage/custodian.h"
#include "storage/journal_inside.h"

enum {
    BATCH_BYTES = 1024 * 1024,
    BATCHES_COUNT = 2, /* one in flight, one filling */
    /* Behind the last record of a segment: a SEAL, and a PAD at its longest. */
    LOG_END_BYTES = 2 * RECORD_BLOCK_BYTES,
    EVERYSEC_US = 1000 * 1000,
    EVERYSEC_LATE_US = 2 * EVERYSEC_US,
    SYNC_SLOW_US = 1000 * 1000,
    CAUSE_MAX = 192
};

enum { TICKET_MAGIC = 0x7C4E7D15, TICKET_BARRIER = 0 /* no record has this type */ };

struct ticket {
    uint32_t magic;
    uint8_t type;
    enum journal_ack ack;
    uint64_t sequence;
    int64_t expires_ms;
    journal_done *done; /* NULL: nobody waits */
    void *context;
    struct entry *entry; /* of a PUT, a reference                                  */
    uint8_t *large;      /* a batch of its own, for a record that is too large for any */
    size_t large_bytes;
    size_t payload_bytes;
    size_t charge_bytes; /* what the queue is charged                              */
    uint32_t dimension;
    struct ticket *next;         /* towards older ones in the queue, newer ones in a chain */
    _Alignas(8) uint8_t bytes[]; /* a PUT's vector, else the payload                  */
};

struct chain { /* of tickets in order of sequence */
    struct ticket *first, *last;
};

struct batch {       /* bytes for one write */
    uint8_t *memory; /* BATCH_BYTES, aligned; its own for life                             */
    uint8_t *bytes;  /* memory, or the block of a large ticket                             */
    size_t capacity_bytes, used_bytes;
    struct chain tickets; /* told when it is done                                           */
    uint64_t last_sequence;
    uint64_t records_count;
    uint64_t began_us;      /* of the first ticket; 0: empty */
    uint32_t awaited_count; /* of tickets: somebody asked for more than memory */
    bool sync;
    bool is_sync_asked; /* by a ticket, not by the clock */
    bool has_purge;
};

struct log_segment {      /* the open one */
    struct io_file *file; /* NULL: there is none, nothing can be written */
    uint64_t number, epoch, size_bytes;
    uint64_t used_bytes; /* written or in flight */
    uint64_t first_sequence, last_sequence;
    uint64_t records_count;
};

struct gather {          /* journal_gather.c */
    uint64_t until_us;   /* 0: nobody is waited for              */
    uint32_t expected;   /* so many in one batch                 */
    uint32_t skips;      /* so many syncs without                */
    uint32_t skips_next; /* as many as after the last in vain    */
};

/* How deep the thread sleeps, so that a hand-in wakes it only when it has to. */
enum journal_rest {
    REST_AWAKE,
    REST_DOZING,    /* until the batch is old enough                    */
    REST_GATHERING, /* the same, or until gather_missing tickets are there */
    REST_ASLEEP
};

struct journal_counters { /* each written by one thread, read by all */
    _Atomic uint64_t records, batches, syncs, sync_us_last, durable_sequence, read_errors;
};

struct journal_purges {        /* monotonic times, 0: none */
    _Atomic uint64_t since_us; /* of the oldest that nobody takes care of */
    _Atomic uint64_t begun_us; /* of the oldest that the custodian does   */
    _Atomic uint64_t ms_last, settled;
    _Atomic uint32_t drops;  /* that are at work */
    _Atomic uint32_t floors; /* in MANIFEST     */
    bool is_late;            /* the custodian's: the deadline is over, and it has been said */
};

struct journal {
    struct journal_options options;
    struct io_backend backend;
    uint64_t (*clock_us)(void);
    int64_t (*clock_ms)(void);
    uint64_t (*chance)(void *);
    void *chance_context;
    uint64_t record_bytes_max;
    uint8_t node[16];
    struct recovered recovered; /* its numbers; its arrays have moved out */
    struct io *io;              /* the journal thread's                                */
    struct io *custodian_io;    /* the custodian's; files of MANIFEST under its lock   */
    struct thread *thread;

    /* Any thread. */
    _Atomic(struct ticket *) queue; /* the newest first */
    _Atomic uint64_t queue_bytes;
    _Atomic bool is_awaited;          /* somebody in the queue waits        */
    _Atomic uint32_t awaited_count;   /* of those; it may be one too many   */
    _Atomic uint32_t missing_to_wake; /* at REST_GATHERING: so many of them */
    _Atomic int rest;                 /* enum journal_rest  */
    _Atomic int state;                /* enum storage_state */
    _Atomic bool is_stopping;
    _Atomic bool is_full;               /* MEMORY_ONLY because there was no space */
    _Atomic uint64_t failures;          /* of the disk, so far                    */
    _Atomic uint64_t unsynced_since_us; /* 0: all is synced */
    struct journal_counters counters;
    struct histogram *sync_us; /* what syncs took */
    struct journal_purges purges;

    struct lock manifest_lock;        /* held while MANIFEST is written */
    struct manifest manifest GUARDED; /* node, floors; its segments are made when it is saved */

    struct lock segments_lock;                /* of rank JOURNAL: for moments */
    struct journal_segment *segments GUARDED; /* the finished ones in order, then the open one */
    uint32_t segments_count GUARDED, segments_capacity GUARDED;
    uint64_t number_next GUARDED;
    struct custodian *custodian;     /* changes with segments_lock, before any verb and at stop */
    int64_t open_live_bytes GUARDED; /* a record may die before it is written */
    bool is_writing GUARDED;         /* there is an open segment; may the state become DURABLE? */
    bool is_suspect GUARDED;         /* the disk has failed otherwise than by being full */
    char cause[CAUSE_MAX] GUARDED;

    struct lock rotation_lock; /* of rank JOURNAL */
    pthread_cond_t rotation_done;
    bool is_rotation_due GUARDED;
    bool is_closed GUARDED; /* the thread has ended, or has never begun */
    enum status rotation_status GUARDED;
    uint64_t rotation_last GUARDED; /* the last sequence of what is finished */

    /* The journal's thread alone. */
    struct log_segment log;
    struct batch batches[BATCHES_COUNT];
    uint32_t filling; /* which of them; the other may be in flight */
    bool is_flying;
    uint64_t flight_began_us;
    struct gather gather;
    struct chain waiting;      /* taken from the queue, in no batch yet */
    uint64_t sequence_taken;   /* of the last ticket that was taken from the queue */
    uint64_t sequence_written; /* of the last record that the disk has; 0: none yet */
    uint8_t *block;            /* RECORD_BLOCK_BYTES, aligned: headers */
};

/* ---- journal_segments.c: files; on the journal's thread, or before it runs ---------------------
 */

/* A new segment whose first record will have this sequence, in MANIFEST. */
enum status log_open(struct journal *journal, uint64_t first_sequence);
/* The open segment, whose last record is written and synced, becomes a finished one; one without
 * records goes. MANIFEST is written by the next log_open, or by manifest_write. */
void log_finish(struct journal *journal);
/* The open segment ends at the last durable sequence. As far as the disk still allows it. */
void log_abandon(struct journal *journal);
/* The finished segments and the open one, as MANIFEST. */
enum status manifest_write(struct journal *journal);
/* The same by the io of whoever calls. */
enum status manifest_save_list(struct journal *journal, struct io *io)
    REQUIRES(&journal->manifest_lock);
/* Adds the floors of these tickets that are purges, and writes MANIFEST. */
enum status manifest_write_floors(struct journal *journal, const struct chain *tickets);
/* Takes over what recovery has found. */
enum status segments_init(struct journal *journal, struct recovered *recovered);

/* ---- journal_purge.c ----------------------------------------------------------------------------
 */

void journal_add_purges(const struct journal *journal, struct journal_stats *stats);

/* ---- journal_batch.c: on the journal's thread ---------------------------------------------------
 */

bool journal_batch_create(struct batch *batch);
void journal_batch_destroy(struct batch *batch);
void batch_clear(struct batch *batch); /* forgets its tickets */
enum batch_fill { FILL_ALL /* nothing is left waiting */, FILL_BATCH_FULL, FILL_SEGMENT_FULL };
enum batch_fill batch_fill(struct journal *journal);
/* Sends what is filling, padded if it is to be synced; an empty one only syncs. It may be done when
 * this returns. */
void batch_send(struct journal *journal, bool sync);
/* Waits up to timeout_ms (-1: for ever) for the one in flight, or for a wake. */
void batch_reap(struct journal *journal, int timeout_ms);
/* Sends what is filling with a SEAL behind it and waits until it is synced; then the open segment
 * can be finished. Nothing may be in flight. */
void batch_send_end(struct journal *journal);

/* ---- journal_gather.c: on the journal's thread --------------------------------------------------
 */

/* So many waited for the sync that is done and took so long; they are not told yet. */
void gather_begin(struct journal *journal, uint32_t answered, uint64_t sync_us);
/* Whether the batch that fills is to wait for more, until gather.until_us at most. */
bool gather_goes_on(struct journal *journal, uint64_t now_us);
uint32_t gather_missing(const struct journal *journal);

/* ---- journal_state.c: on the journal's thread ---------------------------------------------------
 */

/* The disk has failed: whoever waits is told, the open segment is abandoned, and the state changes
 * as storage.error_action says. */
void journal_fail(struct journal *journal, const char *what, int error);
void journal_wake_custodian(struct journal *journal); /* any thread */

/* ---- journal_ticket.c: the queue's other end ------------------------------------------------- */

/* All that is queued, appended to the chain in order. Returns the last sequence among them, 0 if
 * none has one. */
uint64_t ticket_take_all(struct journal *journal, struct chain *chain);
void chain_append(struct chain *chain, struct ticket *ticket);
struct ticket *chain_take_first(struct chain *chain); /* NULL: empty */
/* Tells who waits and frees. */
void ticket_finish(struct journal *journal, struct ticket *ticket, enum status status);
void chain_finish(struct journal *journal, struct chain *chain, enum status status);
