/*
 * vector_kernels.h - what vector.c knows of the kernels, one file each. A kernel file is compiled
 * with flags of its own, so nothing else may live in it: the compiler may use those instructions
 * anywhere in it.
 */
#pragma once
#include "index/vector.h"

extern const struct vector_kernels vector_kernels_scalar;
#if defined(__x86_64__)
extern const struct vector_kernels vector_kernels_avx2;
extern const struct vector_kernels vector_kernels_avx512vnni;
#endif
