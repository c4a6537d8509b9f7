/*
 * prove.h - do the foreign libraries beneath the vectors compute? For `--self-check`: a wrong
 * OpenMP or BLAS links and starts, and is found out only by results.
 *
 * Threads: any.
 */
#pragma once
#include <stddef.h>

#include "base/status.h"

/* A small HNSW graph is built through FAISS's C API and must find a neighbour that is known. */
enum status prove_faiss(char *out_reason, size_t reason_bytes);

/* A product of matrices by OpenBLAS must equal a plain loop. */
enum status prove_blas(char *out_reason, size_t reason_bytes);
