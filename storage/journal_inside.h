/*
 * journal_inside.h - what the rooms of storage/ know of the journal and other floors do not:
 * tickets (store.c hands them in), what recovery found (recover.c to journal.c), and the files that
 * the custodian changes behind the journal's back (custodian.c).
 */
#pragma once
#include "base/metrics.h"
#include "storage/journal.h"
#include "storage/manifest.h"
#include "storage/recover_segment.h"

/* ---- tickets: store.c ------------------------------------------------------------------------ */

struct ticket; /* one record to be written; made before any lock is taken */

/* Each takes a copy of what it is given and a reference of the entry, whose expiry is read here and
 * must not change meanwhile. vector NULL: none. NULL: memory, or queue_bytes, is spent:
 * STATUS_NO_MEMORY or STATUS_OVERLOADED in *out_status, or STATUS_ENTRY_TOO_LARGE for a segment. */
struct ticket *ticket_put(struct journal *journal, struct entry *entry, const float *vector,
                          uint32_t dimension, enum status *out_status);
struct ticket *ticket_delete(struct journal *journal, const struct digest *digest,
                             enum status *out_status);
/* The digest of a DELETE that was made before it was known. */
void ticket_name(struct ticket *ticket, const struct digest *digest);
struct ticket *ticket_touch(struct journal *journal, const struct digest *digest,
                            int64_t expires_ms, enum status *out_status);
/* Its floor is the sequence with which it is handed in. */
struct ticket *ticket_purge(struct journal *journal, const struct record_purge *purge,
                            enum status *out_status);
struct ticket *ticket_note(struct journal *journal, const struct record_note *note,
                           enum status *out_status);
/* Makes no record: its done tells when all that was handed in before is as durable as it asks. */
struct ticket *ticket_barrier(struct journal *journal, enum status *out_status);
void ticket_discard(struct journal *journal,
                    struct ticket **ticket); /* one that was not handed in; NULL is fine */

/* Under the lock (rank JOURNAL) in which its sequence was drawn, so that the log has no gaps: one
 * at a time. Takes the ticket over; done is called once, later, also when the disk has failed: then
 * with STATUS_STORAGE_DEGRADED, but who asked for ACK_MEMORY only waits for the write and is told
 * STATUS_OK in any case. A barrier's sequence is 0. */
void journal_submit(struct journal *journal, struct ticket *ticket, uint64_t sequence,
                    const struct journal_wish *wish);
/* After that lock: wakes the thread if somebody waits for it, or it sleeps without a time limit. */
void journal_kick(struct journal *journal);

/* Whether Set and Delete are to be refused (READ_ONLY), or what is asked cannot be had. */
enum storage_state journal_state(const struct journal *journal);
/* Whether a writer who asks for ACK_MEMORY is to wait for the write, so that writers slow down. */
bool journal_is_pressed(const struct journal *journal);
/* The record of this sequence is dead: its entry was replaced, deleted, evicted, or has expired. */
void journal_count_dead(struct journal *journal, uint64_t sequence, uint64_t put_payload_bytes);

/* ---- purges: journal_purge.c ----------------------------------------------------------------- */

/* Something was purged, and its records are handed in: its bytes are to leave the folder. */
void journal_note_purge(struct journal *journal);
/* Around a drop, from before its floor is drawn until its entries have left the table; it is noted
 * at the end. False: there are so many floors that DELETEs are the better way. */
bool journal_drop_begin(struct journal *journal);
void journal_drop_end(struct journal *journal);
/* Asked after a rotation: no drop whose floor lies in what is finished has entries left in the
 * table that are to go. */
bool journal_drops_are_over(const struct journal *journal);
/* Whether half of the deadline is over. */
bool journal_is_purge_due(const struct journal *journal);
/* Before everything is written anew: what was purged until now goes by it, if the status at the end
 * is STATUS_OK. The custodian's, not nested. */
void journal_purge_begin(struct journal *journal);
void journal_purge_end(struct journal *journal, enum status status);

/* ---- recovery: recover.c --------------------------------------------------------------------- */

struct recovered {
    struct manifest manifest; /* finished segments only, in order; no open one */
    uint64_t *live_bytes;     /* of each of its segments; owned                */
    bool *is_damaged;         /* the same                                      */
    uint64_t sequence_next;   /* 2^32 above the highest seen; 1 in an empty folder */
    uint64_t segment_next;
    uint64_t entries, bytes, duration_ms, damaged_bytes, torn_bytes; /* duration: the caller's */
    uint64_t removals; /* records of what has left: the bytes that they killed may be there still */
    uint64_t read_errors; /* places that could not be read, or whose bytes were wrong */
    char
        remark[192]; /* what was not as it should be, a sentence without a full stop; "": nothing */
};
void recovered_clear(struct recovered *recovered);

/* ---- starting and ending --------------------------------------------------------------------- */

struct journal_setup {
    const struct journal_options *options;
    const struct io_backend *backend;
    struct io *io;               /* taken over: the journal thread's; holds LOCK            */
    struct io *custodian_io;     /* taken over                                              */
    struct recovered *recovered; /* its manifest and numbers are taken over                */
    uint64_t (*clock_us)(void);  /* monotonic                                               */
    int64_t (*clock_ms)(void);   /* wall                                                    */
    uint64_t (*chance)(void *);  /* epochs of segments                                      */
    void *chance_context;
    const struct custodian_source *source; /* what snapshots are made of */
};
/* Writes MANIFEST with a new open segment before it returns; on a full disk it begins in memory, as
 * if that had become full later. */
enum status journal_start(const struct journal_setup *setup, struct journal **out_journal,
                          struct failure *failure);
/* Writes and syncs all that is queued, a SEAL, MANIFEST; ends both threads. */
void journal_stop(struct journal **journal);
void journal_stats(struct journal *journal, struct journal_stats *out_stats);
const struct histogram *journal_sync_us(const struct journal *journal);

/* ---- files: custodian.c ---------------------------------------------------------------------- */

struct journal_segment {
    struct manifest_segment segment;
    uint64_t file_bytes, used_bytes, live_bytes;
    bool is_set_aside; /* a part of it cannot be used: compaction leaves it to a snapshot */
};
/* Finished segments in order, then the open one. The array is the caller's to free. */
enum status journal_segments(struct journal *journal, struct journal_segment **out_segments,
                             uint32_t *out_count);
/* Finishes the open segment, whatever it holds, and begins another; returns when that is on disk,
 * with all that was handed in before, unless the disk has failed meanwhile: journal_failures.
 * *out_last: the last sequence of what is finished now. */
enum status journal_rotate(struct journal *journal, uint64_t *out_last);
/* The first `replaced` finished segments make room for these, in MANIFEST at once; then their files
 * go. Floors below the oldest record that is left go too, and those below floors_end: what they
 * killed is in none of the segments that stay. */
enum status journal_replace(struct journal *journal, uint32_t replaced,
                            const struct manifest_segment *by, uint32_t by_count,
                            uint64_t floors_end);
/* A part of this segment cannot be used: it is counted and told, and the segment set aside, until
 * a snapshot of the table takes its place. */
void journal_set_aside(struct journal *journal, const struct segment_damage *damage);
/* A number for a new file. */
uint64_t journal_number(struct journal *journal);
/* How often the disk has failed so far. Each time what was in the queue is dropped, and so is what
 * follows, until journal_rotate begins a segment: who counts on several steps compares. */
uint64_t journal_failures(const struct journal *journal);
/* After a full snapshot the disk has proved itself: DURABLE again. STATUS_STORAGE_DEGRADED: it has
 * failed anew, since it had failed so often. What was set while the journal was degraded is in no
 * segment but by that snapshot; journal_rotate comes before it, and from then on all is written
 * again. */
enum status journal_resume(struct journal *journal, uint64_t failures);

/* MEMORY_ONLY because there was no space, and nothing else since: the way back needs no operator.
 */
bool journal_is_full(const struct journal *journal);
/* A full disk has failed otherwise under the custodian's hands: from now on it does. Nothing in any
 * other state. */
void journal_suspect(struct journal *journal, const char *what, int error);
/* The i-th spare that the journal's thread takes, by rename, 1 to options.spares: of segment_bytes,
 * zeros or a dead segment, synced. It makes its own file when there is none. */
void journal_spare_name(uint32_t number, char out_name[IO_NAME_MAX]);

struct custodian;
enum status custodian_start(struct journal *journal, struct io *io,
                            const struct custodian_source *source,
                            const struct journal_options *options,
                            struct custodian **out_custodian);
void custodian_stop(struct custodian **custodian); /* ends what runs within one buffer */
void custodian_wake(struct custodian *custodian);  /* a spare was taken, dead bytes grew, ENOSPC */
