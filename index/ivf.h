/*
 * ivf.h - lists of like rows (inverted file): FAISS finds the centroids, each row is put into the
 * list of its nearest one, and codes, scales and tags are laid out list by list, so that a search
 * is a scan of the centroids and of a few lists.
 *
 * Threads: building alone; searching by any number of threads, nothing here changes any more.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "index/memory.h"
#include "index/rows.h"

enum { IVF_LISTS_MAX = 65536, IVF_PROBES_MAX = 256 };

/* One block holds all arrays. */
struct ivf {
    struct memory *memory;
    size_t size_bytes, row_bytes;
    uint32_t rows, dimension;
    uint32_t lists, rows_trained; /* rows_trained: those there were at the last training  */
    uint32_t members_count;       /* rows in lists; those dead at the build are in none   */
    float *centroids;             /* [lists][dimension] of length 1                       */
    uint8_t *centroid_codes;      /* [lists][row_bytes]                                   */
    float *centroid_scales;       /* [lists]                                              */
    uint32_t *firsts;             /* [lists + 1] where a list begins in the arrays below  */
    uint8_t *codes;               /* [members_count][row_bytes]                           */
    float *scales;
    uint32_t *tags;
    uint32_t *members; /* the row in the segment */
};

struct ivf_build {
    struct memory *memory;
    struct rows_chunk *const *chunks; /* full ones */
    uint32_t rows;
    uint32_t lists;         /* wanted; 0: 2 x sqrt(rows), at least 64 */
    const struct ivf *base; /* its rows come first; NULL: from nothing */
    const atomic_bool *stop;
    _Atomic uint32_t *rows_done; /* may be NULL */
};
/* On failure *out_ivf is untouched. */
enum status ivf_create(const struct ivf_build *build, struct ivf *out_ivf);
/* One from a snapshot: of such sizes and counts. Centroids, firsts and members are the caller's to
 * set, then to be found sound, then laid out: codes, scales and tags come from the chunks. */
enum status ivf_allocate(struct memory *memory, const struct ivf *sizes, struct ivf *out_ivf);
/* Centroids have length 1, lists follow each other, each row is in one of them at most. */
bool ivf_is_sound(const struct ivf *ivf);
void ivf_lay_out(struct ivf *ivf, struct rows_chunk *const *chunks);
void ivf_destroy(struct ivf *ivf); /* one of zeros is fine */

uint32_t ivf_lists_for(uint32_t rows, uint32_t wanted);

/* ---- between ivf.c and ivf_train.c ----------------------------------------------------------- */

/* Samples that training compares with all centroids, in all rounds: each costs what it costs to
 * find the list of a row. */
uint64_t ivf_train_samples(uint32_t rows, uint32_t lists);
/* As rows of the build, so that it moves from the first round to the last row. */
void ivf_tell_progress(const struct ivf_build *build, uint64_t samples_done, uint32_t rows_done);

/* Fills the centroids: [lists][dimension] of length 1. */
enum status ivf_train(const struct ivf_build *build, uint32_t lists, float *out_centroids);

struct segment_scan;
/* Offers the rows of the lists whose centroids are nearest to the query. */
void ivf_scan(const struct ivf *ivf, struct segment_scan *scan);
