/*
 * recover.h - a data folder read back: MANIFEST, segments, the tail rule. Also what fsck and dump
 * use: they read and change nothing. Threads: the caller's, and up to a thread a core for checking.
 */
#pragma once
#include "storage/journal_inside.h"

/* Called in the order of the log (entries, when all of them are known); borrowed. */
struct recover_visitor {
    void *context;
    /* A PUT that lives: `entry` has its sequence and expiry. False: the table did not take it. */
    bool (*put)(void *context, const struct record_put *put, uint64_t sequence, int64_t expires_ms);
    void (*remove)(void *context, const struct digest *digest, uint64_t sequence);
    void (*touch)(void *context, const struct digest *digest, uint64_t sequence,
                  int64_t expires_ms);
    void (*purge)(void *context, const struct record_purge *purge, uint64_t sequence);
    void (*note)(void *context, const struct record_note *note, uint64_t sequence);
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
    /* Asked every few MiB; false: it ends with STATUS_CANCELLED. NULL: it is. */
    bool (*is_wanted)(void *context);
};

/* STATUS_OK, also of an empty folder. STATUS_UNSUPPORTED: a newer format. STATUS_CORRUPT: damage,
 * under RECOVERY_STRICT. */
enum status recover(struct io *io, enum journal_recovery how, const struct recover_visitor *visitor,
                    struct recovered *out_recovered, struct failure *failure);

/* The same for who only wants to know: nothing in the folder is changed, leftovers stay. */
enum status recover_look(struct io *io, enum journal_recovery how,
                         const struct recover_visitor *visitor, struct recovered *out_recovered,
                         struct failure *failure);
