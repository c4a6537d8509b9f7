/*
 * partition.h - the rows of one scope: graphs or lists over most of a large one, an int8 scan of
 * the rest, best rows re-ranked in fp32.
 *
 * Threads: searches run side by side on an immutable view inside an epoch and take no lock; an
 * insert waits only for other writers of the same scope. Nothing returned points into the
 * partition.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"

struct partition;

enum { INDEX_SIDE_BYTES = 64, SEARCH_HITS_MAX = 128 };

struct index_choice; /* directory.h */

struct index_row {
    struct digest id;               /* the entry's exact key                                     */
    uint64_t sequence;              /* of the Set that brought the vector                        */
    uint32_t tag;                   /* 32 bits of the compatibility digest: must be equal        */
    int64_t expires_ms;             /* 0 = never; at this very millisecond it is over            */
    const float *unit;              /* the vector, length 1; copied                              */
    uint8_t side[INDEX_SIDE_BYTES]; /* opaque here: the guard's signature of the prompt          */
    const struct index_choice *choice; /* if this row makes the partition; NULL: the options     */
};

struct search_hit {
    float similarity; /* exact cosine, fp32 */
    uint64_t sequence;
    struct digest id;
    uint8_t side[INDEX_SIDE_BYTES];
};

struct search {
    const float *unit;  /* the query, length 1, of the partition's dimension  */
    uint32_t dimension; /* another one than the partition's: no hits          */
    uint32_t tag;
    int64_t now_ms;        /* rows past their expiry do not count                */
    uint32_t hits_max;     /* 1 to SEARCH_HITS_MAX                               */
    uint32_t hits_count;   /* filled                                             */
    uint64_t rows_scanned; /* filled: rows that were multiplied            */
    struct search_hit hits[SEARCH_HITS_MAX]; /* filled, best first             */
};

/* Inside an epoch. Dead, expired and foreign-tag rows never take a place among the hits. Among hits
 * of equal similarity the newest comes first. An entry with several rows may be hit several times.
 */
void partition_search(const struct partition *partition, struct search *search);

/* The same, leaving no trace: neither counted nor sampled. */
void partition_search_unseen(const struct partition *partition, struct search *search);
/* The same by looking at every row. any_tag: rows of every tag count. */
void partition_search_every(const struct partition *partition, bool any_tag, struct search *search);

uint32_t partition_dimension(const struct partition *partition);
uint64_t partition_rows(const struct partition *partition); /* live ones */

/* About how long a search takes one thread, in microseconds; inside an epoch. */
uint32_t partition_cost_us(const struct partition *partition);
