/*
 * directory_inside.h - what the rooms of index/ know of the directory and other floors do not.
 *
 * Threads: directory_each and reading a table inside an epoch, or holding DIRECTORY.
 */
#pragma once
#include "index/partition_inside.h"
#include "index/recall.h"

struct builder;
struct restore;
struct table;

/* Until they are measured: a Zen 4 core at 100,000 rows of 384 dimensions. */
enum { FLAT_ROW_PS_USUAL = 12400, BUILD_ROW_NS_USUAL = 122000 };

struct directory {
    struct epochs *epochs;      /* never changes */
    struct memory *memory;      /* never changes */
    uint64_t (*clock_us)(void); /* never changes; may be NULL */
    struct index_common common;
    _Atomic uint64_t partitions, refused, graphs_given_up, rows_given_up;
    atomic_bool is_pressed;  /* an insert was refused since builders looked    */
    struct builder *builder; /* NULL while none runs; who starts and stops it  */
    struct lock lock;
    struct restore *restore GUARDED; /* NULL unless rows come back */
    _Atomic(struct table *) table;
};

/* In no order. */
void directory_each(struct directory *directory,
                    void (*look)(void *context, struct partition *partition), void *context);

/* With its lock held, so that it is not retired; false if there is none, and then no lock. May wait
 * for whoever holds it, and keeps nobody of another scope waiting meanwhile. */
bool directory_lock(struct directory *directory, const struct partition_key *key,
                    struct partition **out_partition) TRY_ACQUIRES((*out_partition)->lock);
/* The same for one that was found under DIRECTORY, which is given back. */
void directory_enter(struct directory *directory, struct partition *partition)
    RELEASES(directory->lock) ACQUIRES(partition->lock);
/* Gives its lock back, and retires it if it is empty and nobody works there. */
void directory_unlock(struct directory *directory, struct partition *partition)
    RELEASES(partition->lock);

/* Keys of all there are, the caller's to free. Outside of any epoch. */
struct directory_keys {
    struct partition_key *list;
    size_t count, max;
};
enum status directory_list(struct directory *directory, struct directory_keys *out_keys);

void directory_retire_if_empty(struct directory *directory, const struct partition_key *key);
