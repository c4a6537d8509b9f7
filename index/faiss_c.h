/*
 * faiss_c.h - the part of FAISS's C API that this service links, and what we add to it.
 * Debian's libfaiss 1.7.3 has the headers and none of the functions; faiss_c.cc defines these:
 *
 *   faiss_Index_train, _add, _search, _ntotal, _remove_ids, _free
 *   faiss_index_factory, faiss_IndexFlatIP_new_with, faiss_get_last_error
 *   faiss_IDSelectorBatch_new, faiss_IDSelector_free
 *   faiss_read_index_fname, faiss_write_index_fname
 *   faiss_ParameterSpace_new, _set_index_parameter, _free
 *   faiss_ClusteringParameters_init
 *   faiss_Clustering_new_with_params, _train, _centroids, _free
 *
 * What can fail returns 0, or -2 for a FaissException, -4 for a standard one (out of memory is
 * one), -1 for anything else: nothing is thrown through C. The last error is the calling thread's,
 * and never cleared: read it only after a failure.
 *
 * Never read a file that we did not write: this version trusts what it reads.
 *
 * Threads: searches of one index side by side; anything else alone.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/impl/AuxIndexStructures_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <faiss/c_api/index_io_c.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "index/vector.h"

/* FAISS opens an OpenMP region even for one query, and the number of threads is each caller's own:
 * every thread that calls FAISS says this first, or it gets a team of its own. */
void faiss_c_single_thread(void);

/* ---- ours ------------------------------------------------------------------------------------ */

enum {
    FAISS_C_STOPPED = 1,     /* go_on said no; nothing has changed            */
    FAISS_C_STEP_ROWS = 256, /* go_on is asked once in so many rows           */
    FAISS_C_LEVEL_MAX = 5,   /* FAISS has at least so many levels above the lowest */
};

/* int8 rows as they lie in chunks; the same number of rows in each but the last. */
struct faiss_c_rows {
    const uint8_t *const *codes; /* per chunk, row_bytes a row */
    const float *const *scales;  /* per chunk                  */
    uint32_t chunk_rows;
    size_t row_bytes;
    vector_dot_i8 *dot;
};

/* Asked every FAISS_C_STEP_ROWS rows with the rows that are done; false: stop. */
struct faiss_c_watch {
    bool (*go_on)(void *context, uint32_t rows_done);
    void *context;
};

/* An HNSW graph in plain arrays; a missing link is UINT32_MAX, and only such follow it. */
struct faiss_c_links {
    uint32_t rows;
    uint32_t links;                /* M: so many on the upper levels, twice as many on level 0 */
    const uint8_t *levels;         /* [rows] up to FAISS_C_LEVEL_MAX                           */
    uint32_t *level0;              /* [rows][2 links]                                          */
    const uint32_t *upper_offsets; /* [rows] lists of the rows before: where its own begin     */
    uint32_t *upper;               /* [lists][links]; a row's lists lie from level 1 upwards   */
    uint32_t entry;                /* UINT32_MAX: the graph is empty                           */
    uint32_t top;                  /* level of the entry point                                 */
};

/*
 * Inserts the rows of `order` one after the other, in a plain loop: no OpenMP region, in which an
 * exception would end the process. Whoever wants good links puts high levels first. Reads and
 * writes `links`; unless it returns 0, nothing there has changed. Takes about faiss_c_hnsw_bytes of
 * memory meanwhile.
 */
struct faiss_c_extension {
    const struct faiss_c_rows *rows;
    const uint32_t *order;
    uint32_t order_count;
    uint32_t ef_construction;
    struct faiss_c_watch watch;
};
int faiss_c_hnsw_extend(const struct faiss_c_extension *extension, struct faiss_c_links *links);
size_t faiss_c_hnsw_bytes(uint32_t rows, uint32_t links, uint32_t upper_lists);

/*
 * An index for faiss_Clustering_train that assigns samples to centroids by int8 codes: several
 * times fewer bytes than FAISS's own flat index reads, and no BLAS, which is not safe for
 * concurrent callers (docs/decisions/0004). Sample i of the training is row samples[i]; borrows
 * all that it is given. go_on hears how many samples were assigned so far, in all rounds. Training
 * returns FAISS_C_STOPPED when go_on says no (with FAISS_C_PREBUILT -1).
 */
struct faiss_c_assignment {
    const struct faiss_c_rows *rows;
    vector_scan_i8 *scan;
    const uint32_t *samples;
    uint32_t samples_count;
    uint32_t dimension;
    struct faiss_c_watch watch;
};
int faiss_c_assigner_new(FaissIndex **p_index, const struct faiss_c_assignment *assignment);

#ifdef __cplusplus
}
#endif
