/*
 * encoder_kernels.c - which set of kernels runs here. A set that is not for this processor is never
 * entered: the files are compiled with instructions of their own.
 *
 * THREADS. Any. The choice is found once and never changes; threads that race find the same.
 */
#include "embed/encoder_kernels.h"

#include <assert.h>
#include <stdatomic.h>

static const struct encoder_kernels *const KERNELS[] = {
/* best first */
#if defined(__x86_64__)
    &encoder_kernels_avx512vnni,
    &encoder_kernels_avx2,
#endif
    &encoder_kernels_scalar,
};
enum { KERNELS_COUNT = sizeof(KERNELS) / sizeof(KERNELS[0]) };

static bool runs_here(const struct encoder_kernels *kernels)
{
#if defined(__x86_64__)
    if (kernels == &encoder_kernels_avx512vnni)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vnni");
    if (kernels == &encoder_kernels_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return kernels == &encoder_kernels_scalar;
}

const struct encoder_kernels *encoder_kernels(void)
{
    static _Atomic(const struct encoder_kernels *) chosen;
    const struct encoder_kernels *found = atomic_load_explicit(&chosen, memory_order_relaxed);
    for (size_t i = 0; found == NULL && i < KERNELS_COUNT; i++)
        if (runs_here(KERNELS[i]))
            found = KERNELS[i];
    assert(found != NULL);
    atomic_store_explicit(&chosen, found, memory_order_relaxed);
    return found;
}

size_t encoder_kernels_all(const struct encoder_kernels **out_list, bool *out_runs_here, size_t max)
{
    const size_t count = KERNELS_COUNT < max ? KERNELS_COUNT : max;
    for (size_t i = 0; i < count; i++) {
        out_list[i] = KERNELS[i];
        out_runs_here[i] = runs_here(KERNELS[i]);
    }
    return count;
}
