/*
 * faiss_c.cc - the declared functions of FAISS's C API that we use, over the installed libfaiss,
 * and two of ours: HNSW links built over our rows, and an index that k-means assigns with. The only
 * C++ here. FAISS_C_PREBUILT leaves the declared ones to a distribution's libfaiss_c (1.11 and
 * later ship it).
 *
 * Built by g++ with -fopenmp in every preset and never instrumented: libfaiss holds OpenMP locks
 * whose size is libgomp's.
 *
 * DISTANCES. A row's code times another's is an inner product; its negative is handed to HNSW as a
 * distance. FAISS would wrap a computer of inner products into one that negates, call by call.
 *
 * Threads: as faiss_c.h says.
 *
 * NOT HERE: what a graph is good for (graph.c), lists (ivf.c). Over 500 lines, since there is one
 * file that is built like this.
 */
#include "index/faiss_c.h"

#include <faiss/AutoTune.h>
#include <faiss/Clustering.h>
#include <faiss/Index.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/HNSW.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" void faiss_c_single_thread(void)
{
    omp_set_num_threads(1);
}

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

struct stopped {
};

template <class Call> int guarded(Call call) noexcept
{
    try {
        call();
        return OK;
    } catch (const stopped &) {
        return FAISS_C_STOPPED;
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

#ifndef FAISS_C_PREBUILT
faiss::ClusteringParameters parameters_of(const FaissClusteringParameters &c)
{
    faiss::ClusteringParameters parameters;
    parameters.niter = c.niter;
    parameters.nredo = c.nredo;
    parameters.verbose = c.verbose != 0;
    parameters.spherical = c.spherical != 0;
    parameters.int_centroids = c.int_centroids != 0;
    parameters.update_index = c.update_index != 0;
    parameters.frozen_centroids = c.frozen_centroids != 0;
    parameters.min_points_per_centroid = c.min_points_per_centroid;
    parameters.max_points_per_centroid = c.max_points_per_centroid;
    parameters.seed = c.seed;
    parameters.decode_block_size = c.decode_block_size;
    return parameters;
}
#endif

/* ---- rows ------------------------------------------------------------------------------------ */

const uint8_t *codes_of(const faiss_c_rows &rows, uint32_t row)
{
    return rows.codes[row / rows.chunk_rows] + (row % rows.chunk_rows) * rows.row_bytes;
}

float scale_of(const faiss_c_rows &rows, uint32_t row)
{
    return rows.scales[row / rows.chunk_rows][row % rows.chunk_rows];
}

/* A row as a query: its codes without the offset of 128. Aligned as the kernels want it. */
class query_codes
{
  public:
    explicit query_codes(size_t row_bytes)
        : bytes(row_bytes),
          codes(static_cast<int8_t *>(std::aligned_alloc(VECTOR_ROW_ALIGN, row_bytes)), std::free)
    {
        if (codes == nullptr)
            throw std::bad_alloc();
    }

    void set(const uint8_t *row)
    {
        for (size_t i = 0; i < bytes; i++)
            codes.get()[i] = static_cast<int8_t>(row[i] ^ 0x80);
    }

    const int8_t *get() const
    {
        return codes.get();
    }

  private:
    size_t bytes;
    std::unique_ptr<int8_t, void (*)(void *)> codes;
};

/* ---- links ----------------------------------------------------------------------------------- */

class row_distances final : public faiss::DistanceComputer
{
  public:
    explicit row_distances(const faiss_c_rows &all)
        : rows(all), query(all.row_bytes), other(all.row_bytes)
    {
    }

    void set_row(uint32_t row)
    {
        query.set(codes_of(rows, row));
        query_scale = scale_of(rows, row);
    }

    /* Vectors outside of our rows never come here: set_row is how a query is set. */
    void set_query(const float *) override
    {
        throw std::logic_error("queries are rows");
    }

    float operator()(idx_t row) override
    {
        return distance(static_cast<uint32_t>(row), query.get(), query_scale);
    }

    /* While links are chosen the second row stays the same for several calls. The bias decides a
     * tie: of copies of one vector a row keeps a link to one. Else 32 copies would take all links
     * of each other, and who comes to them finds no way out. */
    float symmetric_dis(idx_t row, idx_t fixed) override
    {
        if (fixed != other_row) {
            other.set(codes_of(rows, static_cast<uint32_t>(fixed)));
            other_scale = scale_of(rows, static_cast<uint32_t>(fixed));
            other_row = fixed;
        }
        return distance(static_cast<uint32_t>(row), other.get(), other_scale) - COPY_BIAS;
    }

  private:
    static constexpr float COPY_BIAS = 1e-6f;

    float distance(uint32_t row, const int8_t *codes, float scale) const
    {
        const int32_t dot = rows.dot(codes_of(rows, row), codes, rows.row_bytes);
        return -static_cast<float>(dot) * scale_of(rows, row) * scale;
    }

    const faiss_c_rows &rows;
    query_codes query, other;
    float query_scale = 0, other_scale = 0;
    idx_t other_row = -1;
};

class lock_table
{
  public:
    explicit lock_table(size_t count) : locks(count)
    {
        for (omp_lock_t &lock : locks)
            omp_init_lock(&lock);
    }
    ~lock_table()
    {
        for (omp_lock_t &lock : locks)
            omp_destroy_lock(&lock);
    }
    std::vector<omp_lock_t> locks;
};

/* Both ways: the whole of `links` into FAISS's one array or back. UINT32_MAX is its -1. */
template <bool from_hnsw> void copy_links(faiss::HNSW &hnsw, const faiss_c_links &links)
{
    const size_t list_bytes = links.links * sizeof(uint32_t);
    const auto copy = [](void *ours, void *theirs, size_t bytes) {
        std::memcpy(from_hnsw ? ours : theirs, from_hnsw ? theirs : ours, bytes);
    };
    for (size_t row = 0; row < links.rows; row++) {
        faiss::HNSW::storage_idx_t *all = hnsw.neighbors.data() + hnsw.offsets[row];
        copy(links.level0 + row * 2 * links.links, all, 2 * list_bytes);
        if (links.levels[row] > 0)
            copy(links.upper + size_t{links.upper_offsets[row]} * links.links,
                 all + 2 * links.links, links.levels[row] * list_bytes);
    }
}

/* A list that is full grew by doubling would need half as much again for a moment: reserved. */
void set_up(faiss::HNSW &hnsw, const faiss_c_links &links, uint32_t ef_construction)
{
    static_assert(sizeof(faiss::HNSW::storage_idx_t) == sizeof(uint32_t), "links are copied");
    size_t lists = 0;
    for (size_t row = 0; row < links.rows; row++)
        lists += 2 + links.levels[row];
    hnsw.efConstruction = static_cast<int>(ef_construction);
    hnsw.levels.reserve(links.rows);
    hnsw.offsets.reserve(links.rows + size_t{1});
    hnsw.neighbors.reserve(lists * links.links);
    for (size_t row = 0; row < links.rows; row++)
        hnsw.levels.push_back(links.levels[row] + 1);
    hnsw.prepare_level_tab(links.rows, true);
    assert(hnsw.neighbors.size() == lists * links.links);
    if (links.entry != UINT32_MAX) {
        hnsw.entry_point = static_cast<faiss::HNSW::storage_idx_t>(links.entry);
        hnsw.max_level = static_cast<int>(links.top);
    }
}

void ask(const faiss_c_watch &watch, uint32_t rows_done)
{
    if (!watch.go_on(watch.context, rows_done))
        throw stopped();
}

void extend(const faiss_c_extension &extension, faiss_c_links &links)
{
    faiss::HNSW hnsw(static_cast<int>(links.links));
    set_up(hnsw, links, extension.ef_construction);
    copy_links<false>(hnsw, links);
    lock_table table(links.rows);
    faiss::VisitedTable visited(static_cast<int>(links.rows));
    row_distances distances(*extension.rows);
    for (uint32_t i = 0; i < extension.order_count; i++) {
        if (i % FAISS_C_STEP_ROWS == 0)
            ask(extension.watch, i);
        const uint32_t row = extension.order[i];
        distances.set_row(row);
        hnsw.add_with_locks(distances, links.levels[row], static_cast<int>(row), table.locks,
                            visited);
    }
    copy_links<true>(hnsw, links);
    if (hnsw.entry_point >= 0) {
        links.entry = static_cast<uint32_t>(hnsw.entry_point);
        links.top = static_cast<uint32_t>(hnsw.max_level);
    }
}

/* ---- centroids ------------------------------------------------------------------------------- */

/* What Clustering::train calls: reset, add the centroids, search all samples. */
class assigner final : public faiss::Index
{
  public:
    explicit assigner(const faiss_c_assignment &all)
        : faiss::Index(all.dimension, faiss::METRIC_INNER_PRODUCT), assignment(all),
          query(all.rows->row_bytes)
    {
    }

    void reset() override
    {
        ntotal = 0;
    }

    void add(idx_t n, const float *x) override
    {
        const size_t row_bytes = assignment.rows->row_bytes;
        codes.reset(static_cast<uint8_t *>(
            std::aligned_alloc(VECTOR_ROW_ALIGN, static_cast<size_t>(n) * row_bytes)));
        if (codes == nullptr)
            throw std::bad_alloc();
        scales.resize(static_cast<size_t>(n));
        dots.resize(static_cast<size_t>(n));
        for (size_t i = 0; i < scales.size(); i++)
            scales[i] = encode(x + i * assignment.dimension, codes.get() + i * row_bytes);
        ntotal = n;
    }

    void search(idx_t n, const float *, idx_t k, float *distances, idx_t *labels,
                const faiss::SearchParameters *) const override
    {
        if (k != 1 || n != static_cast<idx_t>(assignment.samples_count))
            throw std::logic_error("all samples, one list each");
        for (uint32_t i = 0; i < assignment.samples_count; i++) {
            if (i % FAISS_C_STEP_ROWS == 0)
                ask(assignment.watch, assigned);
            find(i, distances[i], labels[i]);
            assigned++;
        }
    }

  private:
    /* Samples that cancel each other out make a centroid of zeros, which is nobody's nearest. */
    float encode(const float *centroid, uint8_t *row) const
    {
        const float *end = centroid + assignment.dimension;
        if (std::any_of(centroid, end, [](float value) { return value != 0; }))
            return vector_encode_row(centroid, assignment.dimension, row);
        std::memset(row, 128, assignment.rows->row_bytes);
        return 0;
    }

    void find(uint32_t sample, float &distance, idx_t &label) const
    {
        const uint32_t row = assignment.samples[sample];
        query.set(codes_of(*assignment.rows, row));
        assignment.scan(codes.get(), assignment.rows->row_bytes, scales.size(), query.get(),
                        dots.data());
        size_t best = 0;
        for (size_t i = 1; i < scales.size(); i++)
            if (static_cast<float>(dots[i]) * scales[i] >
                static_cast<float>(dots[best]) * scales[best])
                best = i;
        distance = static_cast<float>(dots[best]) * scales[best] * scale_of(*assignment.rows, row);
        label = static_cast<idx_t>(best);
    }

    struct free_codes {
        void operator()(uint8_t *block) const
        {
            std::free(block);
        }
    };

    const faiss_c_assignment assignment;
    mutable query_codes query;
    std::unique_ptr<uint8_t, free_codes> codes;
    std::vector<float> scales;
    mutable std::vector<int32_t> dots;
    mutable uint32_t assigned = 0;
};
} // namespace

extern "C" int faiss_c_hnsw_extend(const struct faiss_c_extension *extension,
                                   struct faiss_c_links *links)
{
    return guarded([&] { extend(*extension, *links); });
}

/* Links, level and offset of each row, its lock, its mark. */
extern "C" size_t faiss_c_hnsw_bytes(uint32_t rows, uint32_t links, uint32_t upper_lists)
{
    const size_t a_row =
        2 * size_t{links} * sizeof(int) + sizeof(int) + sizeof(size_t) + sizeof(omp_lock_t) + 1;
    return rows * a_row + size_t{upper_lists} * links * sizeof(int);
}

extern "C" int faiss_c_assigner_new(FaissIndex **p_index,
                                    const struct faiss_c_assignment *assignment)
{
    return guarded([&] {
        auto index = std::make_unique<assigner>(*assignment);
        *p_index = handle_of(index.release());
    });
}

#ifndef FAISS_C_PREBUILT
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

int faiss_Index_remove_ids(FaissIndex *index, const FaissIDSelector *sel, size_t *n_removed)
{
    return guarded([&] {
        const auto *selector = reinterpret_cast<const faiss::IDSelector *>(sel);
        const size_t removed = index_of(index)->remove_ids(*selector);
        if (n_removed != nullptr)
            *n_removed = removed;
    });
}

int faiss_IDSelectorBatch_new(FaissIDSelectorBatch **p_sel, size_t n, const idx_t *indices)
{
    return guarded([&] {
        auto selector = std::make_unique<faiss::IDSelectorBatch>(n, indices);
        *p_sel = reinterpret_cast<FaissIDSelectorBatch *>(selector.release());
    });
}

void faiss_IDSelector_free(FaissIDSelector *sel)
{
    delete reinterpret_cast<faiss::IDSelector *>(sel);
}

int faiss_write_index_fname(const FaissIndex *idx, const char *fname)
{
    return guarded([&] { faiss::write_index(index_of(idx), fname); });
}

int faiss_read_index_fname(const char *fname, int io_flags, FaissIndex **p_out)
{
    return guarded([&] { *p_out = handle_of(faiss::read_index(fname, io_flags)); });
}

int faiss_ParameterSpace_new(FaissParameterSpace **space)
{
    return guarded([&] {
        auto made = std::make_unique<faiss::ParameterSpace>();
        *space = reinterpret_cast<FaissParameterSpace *>(made.release());
    });
}

void faiss_ParameterSpace_free(FaissParameterSpace *space)
{
    delete reinterpret_cast<faiss::ParameterSpace *>(space);
}

int faiss_ParameterSpace_set_index_parameter(const FaissParameterSpace *space, FaissIndex *index,
                                             const char *name, double value)
{
    return guarded([&] {
        const auto *parameters = reinterpret_cast<const faiss::ParameterSpace *>(space);
        parameters->set_index_parameter(index_of(index), name, value);
    });
}

void faiss_ClusteringParameters_init(FaissClusteringParameters *params)
{
    const faiss::ClusteringParameters standard;
    params->niter = standard.niter;
    params->nredo = standard.nredo;
    params->verbose = standard.verbose;
    params->spherical = standard.spherical;
    params->int_centroids = standard.int_centroids;
    params->update_index = standard.update_index;
    params->frozen_centroids = standard.frozen_centroids;
    params->min_points_per_centroid = standard.min_points_per_centroid;
    params->max_points_per_centroid = standard.max_points_per_centroid;
    params->seed = standard.seed;
    params->decode_block_size = standard.decode_block_size;
}

int faiss_Clustering_new_with_params(FaissClustering **p_clustering, int d, int k,
                                     const FaissClusteringParameters *cp)
{
    return guarded([&] {
        auto clustering = std::make_unique<faiss::Clustering>(d, k, parameters_of(*cp));
        *p_clustering = reinterpret_cast<FaissClustering *>(clustering.release());
    });
}

int faiss_Clustering_train(FaissClustering *clustering, idx_t n, const float *x, FaissIndex *index)
{
    return guarded(
        [&] { reinterpret_cast<faiss::Clustering *>(clustering)->train(n, x, *index_of(index)); });
}

void faiss_Clustering_centroids(FaissClustering *clustering, float **centroids, size_t *size)
{
    std::vector<float> &made = reinterpret_cast<faiss::Clustering *>(clustering)->centroids;
    *centroids = made.data();
    if (size != nullptr)
        *size = made.size();
}

void faiss_Clustering_free(FaissClustering *clustering)
{
    delete reinterpret_cast<faiss::Clustering *>(clustering);
}

} // extern "C"
#endif
