/*
 * io_gate.h - an io around another one that a test holds in its hand: commits wait behind a gate,
 * calls fail with an errno, and time passes only when the test turns the clock. What was written
 * and synced is counted. Threads: the io's own, and the test's, which calls the verbs below.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "storage/io.h"

enum gate_call { GATE_WRITE, GATE_SYNC, GATE_CREATE, GATE_RENAME, GATE_CALLS };

struct io_gate_counts {
    uint64_t commits, commits_synced, bytes, submits_refused;
    uint64_t rewritten; /* commits that began before the end of what was synced */
};

/* Takes the inner one over. */
struct io *io_gate_open(struct io *inner);
void io_gate_hold(struct io *io);    /* commits wait from now on */
void io_gate_release(struct io *io); /* and go on                */
/* Waits until the io's thread waits in reap for what only the test can bring: behind the held gate,
 * or for time or a wake. */
void io_gate_await_rest(struct io *io);
/* From now on such calls fail with this errno; 0: no more. Commits count as WRITE, and their syncs
 * as SYNC. */
void io_gate_fail(struct io *io, enum gate_call call, int error);
void io_gate_refuse_submit(struct io *io, bool refused); /* STATUS_NO_MEMORY */
struct io_gate_counts io_gate_counts(struct io *io);

/* The clock of all gates. */
uint64_t io_gate_clock_us(void);
void io_gate_turn_ms(struct io *io, uint64_t ms);
