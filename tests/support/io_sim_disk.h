/*
 * io_sim_disk.h - the inside of io_sim.h: what the page cache shows (`now`), what is on the platter
 * (`kept`), and the changes between the two in the order they were made. Threads: the caller holds
 * the disk's mutex.
 */
#pragma once
#include <pthread.h>

#include "tests/support/io_sim.h"

enum { SIM_SECTOR = 512, SIM_PATH_MAX = 192, SIM_NAMES_MAX = 512 };

struct sim_bytes {
    uint8_t *bytes; /* zero from size to capacity */
    uint64_t size, capacity;
};

struct sim_change { /* a write; bytes NULL: of zeros; or a cut to `offset` */
    bool is_cut;
    uint64_t offset, size;
    uint8_t *bytes;
    uint64_t commit; /* that has not completed: only its own sync covers it; 0: none */
};

struct sim_inode {
    struct sim_bytes now, kept;
    struct sim_change *changes; /* grows by doubling */
    size_t changes_count, changes_capacity;
    unsigned opens;
    uint64_t bad_sector; /* counted from 1: reading it fails with EIO; 0: none */
    struct sim_inode *next;
};

struct sim_name {
    char path[SIM_PATH_MAX];
    struct sim_inode *inode;
};

struct sim_names {
    struct sim_name names[SIM_NAMES_MAX];
    size_t count;
};

struct sim_rename { /* a change of names; "" and NULL where there is none */
    char from[SIM_PATH_MAX], to[SIM_PATH_MAX];
    struct sim_inode *inode;
};

struct io_sim {
    pthread_mutex_t mutex;
    uint64_t chance;
    uint64_t generation; /* power cuts so far */
    uint64_t calls, commits, limit;
    bool has_plan;
    uint64_t plan_call;
    enum io_sim_fault plan_fault;
    int plan_error;
    unsigned opens;          /* io that are not closed        */
    const struct io *holder; /* of the data folder's LOCK */
    struct sim_inode *inodes;
    struct sim_names now, kept;
    struct sim_rename renames[SIM_NAMES_MAX]; /* not kept yet, in order */
    size_t renames_count;
};

uint64_t sim_draw(uint64_t *chance); /* xorshift64* */

struct sim_inode *sim_find(const struct sim_names *names, const char *path);
/* Changes what is seen now; it is kept after sim_sync_names, or by chance. from "": a new name; to
 * "": it is removed. */
void sim_rename(struct io_sim *disk, const char *from, const char *to, struct sim_inode *inode);
void sim_sync_names(struct io_sim *disk, const char *folder);
bool sim_is_in(const char *path, const char *folder); /* directly, not deeper */

struct sim_inode *sim_inode_create(struct io_sim *disk);
void sim_inodes_drop(struct io_sim *disk); /* those that nobody can reach any more */

/* Returns how many bytes there was room for. */
uint64_t sim_write(struct io_sim *disk, struct sim_inode *inode, struct sim_change change);
void sim_cut(struct sim_inode *inode, uint64_t size);
void sim_sync(struct sim_inode *inode, uint64_t commit);
/* A sync that fails: by chance some sectors are kept; all are clean. */
void sim_sync_fails(struct io_sim *disk, struct sim_inode *inode, uint64_t commit);
void sim_crash(struct io_sim *disk, uint64_t seed);
void sim_kill(struct io_sim *disk);
