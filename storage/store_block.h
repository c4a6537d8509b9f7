/*
 * store_block.h - the inside of the store, for store.c and store_open.c alone.
 */
#pragma once
#include <assert.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "storage/journal_inside.h"
#include "storage/store.h"
#include "storage/table.h"

enum store_phase { PHASE_MEMORY, PHASE_LOADING, PHASE_OPEN };

struct store_opening { /* what store_open keeps; written before PHASE_OPEN, then immutable */
    struct journal_options options;
    char *path; /* the options' copy */
    struct io_backend backend;
    struct store_open_visitor visitor;
    struct custodian_source source;
};

struct store {
    struct store_options options; /* as created */
    struct table *table;
    struct lock sequence_lock;
    uint64_t sequence GUARDED; /* the last one drawn */

    _Atomic int phase;                 /* enum store_phase */
    _Atomic(struct journal *) journal; /* NULL but in PHASE_OPEN */
    struct store_opening opening;
    _Atomic uint64_t loaded_bytes, loading_bytes; /* how far, of how much */
    /* The custodian has notes handed in again: on the way out of READ_ONLY they are let in. */
    atomic_bool renews_notes;
};

struct store_disk { /* a data folder that is open */
    struct io *io, *custodian_io;
    struct io_backend backend;
};
/* store_open on this disk, both of whose io are taken over in any case; options->path is not
 * opened. The seam at which tests hand in a simulated disk. */
enum status store_open_on(struct store *store, const struct journal_options *options,
                          const struct store_disk *disk, const struct store_open_visitor *visitor,
                          struct failure *failure);

/* The next number, and the ticket is queued with it. */
void store_draw(struct store *store, struct table_draw *wanted);

/* Called after each hold, with no lock of ours. Empties `departed` for the next. */
void store_report(struct store *store, struct departed *departed);

/* Does the floor of this purge cover the entry? */
bool store_is_purged(const struct record_purge *purge, const struct entry *entry);
/* Takes those out of the table, and draws nothing. */
uint64_t store_remove_purged(struct store *store, struct record_purge *purge);
bool store_is_too_large(const struct store *store, const struct entry *entry);
