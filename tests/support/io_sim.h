/*
 * io_sim.h - a disk in memory that keeps no more than its word. What was not synced is, when the
 * power goes, dropped, kept, torn or kept in part, sector by sector and in any order; names (made,
 * renamed, removed, linked) last only after sync_directory, or by chance. It fails when it is told
 * to. After a sync that failed it calls the pages clean, as ext4 does: the next sync succeeds and
 * what was lost stays lost. Commits complete late and out of order. All chance comes from seeds.
 *
 * Threads: any number of io of one disk, each on its own thread, as storage/io.h says.
 */
#pragma once
#include "storage/io.h"

struct io_sim; /* the disk */

struct io_sim *io_sim_create(uint64_t seed);
void io_sim_destroy(struct io_sim **disk); /* every io is closed before */

/* One more io of the folder `folder` ("" is the data folder, "snapshots/x" one inside). */
struct io *io_sim_open(struct io_sim *disk, const char *folder);

/* The power goes, and comes back: every io of before is dead (IO_FAILED, ENODEV) until it is
 * closed, and what is open by it too. */
void io_sim_crash(struct io_sim *disk, uint64_t seed);

/* The process ends, the machine goes on: every io of before is dead in the same way, and nothing is
 * lost of what they have written. */
void io_sim_kill(struct io_sim *disk);

enum io_sim_fault {
    IO_SIM_ERROR,     /* nothing is done                                              */
    IO_SIM_SHORT,     /* of a write a part is done first; of others nothing           */
    IO_SIM_MISDIRECT, /* a write goes to another place of its file, and is said to be fine */
    IO_SIM_CRASH,     /* the power goes in the middle of it, with `error` as the seed */
    IO_SIM_KILL,      /* the process ends in the middle of it: see io_sim_kill        */
};
/* The call that comes after `calls` others does so, once. A commit is one call, its sync another. A
 * plan replaces the one before. */
void io_sim_fail(struct io_sim *disk, uint64_t calls, enum io_sim_fault fault, int error);
uint64_t io_sim_calls(struct io_sim *disk); /* so far */

/* Writing fails with ENOSPC beyond; UINT64_MAX: no limit. */
void io_sim_limit(struct io_sim *disk, uint64_t bytes);

/* Damages a file of the data folder where it lies on the disk: bits are flipped. */
void io_sim_flip(struct io_sim *disk, const char *name, uint64_t offset_bytes, uint8_t bits);
/* The sector there cannot be read any more (EIO), however often it is tried; the file's last one
 * that was spoilt. */
void io_sim_spoil(struct io_sim *disk, const char *name, uint64_t offset_bytes);
