/*
 * faiss_c.h - the part of FAISS's C API that this service links, and one function of ours.
 * Debian's libfaiss 1.7.3 has the headers and none of the functions; faiss_c.cc defines these:
 *
 *   faiss_Index_train, faiss_Index_add, faiss_Index_search, faiss_Index_ntotal, faiss_Index_free
 *   faiss_index_factory, faiss_IndexFlatIP_new_with, faiss_get_last_error
 *
 * What can fail returns 0, or -2 for a FaissException, -4 for a standard one (out of memory is
 * one), -1 for anything else: nothing is thrown through C. The last error is the calling thread's,
 * and never cleared: read it only after a failure.
 *
 * Threads: searches of one index side by side; anything else alone.
 */
#pragma once
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_factory_c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* FAISS opens an OpenMP region even for one query, and the number of threads is each caller's own:
 * every thread that calls FAISS says this first, or it gets a team of its own. */
void faiss_c_single_thread(void);

#ifdef __cplusplus
}
#endif
