/*
 * faiss_c.cc - the declared functions of FAISS's C API that we use, over the installed libfaiss.
 * The only C++ here. FAISS_C_PREBUILT leaves them to a distribution's libfaiss_c (1.11 and later
 * ship it).
 *
 * Built by g++ with -fopenmp in every preset and never instrumented: libfaiss holds OpenMP locks
 * whose size is libgomp's.
 *
 * Threads: as faiss_c.h says.
 *
 * NOT HERE: what a graph is good for (graph.c).
 */
#include "index/faiss_c.h"

#include <omp.h>

extern "C" void faiss_c_single_thread(void)
{
    omp_set_num_threads(1);
}

#ifndef FAISS_C_PREBUILT
#include <faiss/Index.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/index_factory.h>

#include <exception>
#include <memory>
#include <string>

namespace
{
thread_local std::string last_error;

/* Keeping the message may itself run out of memory; the code is then all there is. */
void keep_error(const char *message) noexcept
{
    try {
        last_error = message;
    } catch (...) {
        last_error.clear();
    }
}

template <class Call> int guarded(Call call) noexcept
{
    try {
        call();
        return OK;
    } catch (const faiss::FaissException &exception) {
        keep_error(exception.what());
        return FAISS_EXCEPT;
    } catch (const std::exception &exception) {
        keep_error(exception.what());
        return STD_EXCEPT;
    } catch (...) {
        keep_error("unknown exception");
        return UNKNOWN_EXCEPT;
    }
}

faiss::Index *index_of(FaissIndex *handle)
{
    return reinterpret_cast<faiss::Index *>(handle);
}

const faiss::Index *index_of(const FaissIndex *handle)
{
    return reinterpret_cast<const faiss::Index *>(handle);
}

FaissIndex *handle_of(faiss::Index *index)
{
    return reinterpret_cast<FaissIndex *>(index);
}
} // namespace

extern "C" {

const char *faiss_get_last_error()
{
    return last_error.c_str();
}

void faiss_Index_free(FaissIndex *index)
{
    delete index_of(index);
}

idx_t faiss_Index_ntotal(const FaissIndex *index)
{
    return index_of(index)->ntotal;
}

int faiss_Index_train(FaissIndex *index, idx_t n, const float *x)
{
    return guarded([&] { index_of(index)->train(n, x); });
}

int faiss_Index_add(FaissIndex *index, idx_t n, const float *x)
{
    return guarded([&] { index_of(index)->add(n, x); });
}

int faiss_Index_search(const FaissIndex *index, idx_t n, const float *x, idx_t k, float *distances,
                       idx_t *labels)
{
    return guarded([&] { index_of(index)->search(n, x, k, distances, labels); });
}

int faiss_index_factory(FaissIndex **p_index, int d, const char *description,
                        FaissMetricType metric)
{
    return guarded([&] {
        const auto faiss_metric = static_cast<faiss::MetricType>(metric);
        *p_index = handle_of(faiss::index_factory(d, description, faiss_metric));
    });
}

int faiss_IndexFlatIP_new_with(FaissIndexFlatIP **p_index, idx_t d)
{
    return guarded([&] {
        auto index = std::make_unique<faiss::IndexFlatIP>(d);
        *p_index = handle_of(index.release());
    });
}

} // extern "C"
#endif
