/*
 * index_faiss.cpp - FAISS among the indexes that are compared (index_peer.h has the conversation).
 * Kinds: flat, hnsw, ivf (IVF,Flat), ivf-sq8. Linked twice: with Debian's library, which knows no
 * AVX, and by index_run.py with the same version built for AVX2.
 *
 * Threads: searches side by side; each says start_thread first, or FAISS gives it a team of
 * OpenMP threads.
 */
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <memory>

#include "bench/index_peer.h"

namespace
{
class FaissPeer : public IndexPeer
{
  public:
    void build(const IndexPlan &plan) override
    {
        omp_set_num_threads(plan.threads);
        index = make(plan);
        if (!index->is_trained)
            index->train(static_cast<faiss::Index::idx_t>(rows_count), rows);
        const size_t step = 50000;
        for (size_t first = 0; first < rows_count; first += step) {
            const size_t some = std::min(step, rows_count - first);
            index->add(static_cast<faiss::Index::idx_t>(some), rows + first * dimension);
            if (rows_count > step)
                std::cerr << "    " << plan.kind << ": " << first + some << " of " << rows_count
                          << " rows\n";
        }
        start_thread();
    }

    bool load(const IndexPlan &plan) override
    {
        if (access(plan.file.c_str(), R_OK) != 0)
            return false;
        index.reset(faiss::read_index(plan.file.c_str()));
        return true;
    }

    void save(const IndexPlan &plan) override
    {
        faiss::write_index(index.get(), (plan.file + ".part").c_str());
        must(rename((plan.file + ".part").c_str(), plan.file.c_str()) == 0, plan.file);
    }

    void set_breadth(int breadth) override
    {
        if (auto *graph = dynamic_cast<faiss::IndexHNSW *>(index.get()))
            graph->hnsw.efSearch = breadth;
        if (auto *lists = dynamic_cast<faiss::IndexIVF *>(index.get()))
            lists->nprobe = static_cast<size_t>(breadth);
    }

    void search(const float *query, int k, int64_t *out_rows) override
    {
        float similarities[INDEX_NEAREST];
        index->search(1, query, k, similarities, out_rows);
    }

    double hot_bytes() override
    {
        const double floats = static_cast<double>(dimension * sizeof(float));
        const double count = static_cast<double>(rows_count);
        if (auto *graph = dynamic_cast<faiss::IndexHNSW *>(index.get())) {
            const faiss::HNSW &hnsw = graph->hnsw;
            return floats + (static_cast<double>(hnsw.neighbors.size() * sizeof(int32_t)) +
                             static_cast<double>(hnsw.offsets.size() * sizeof(size_t)) +
                             static_cast<double>(hnsw.levels.size() * sizeof(int))) /
                                count;
        }
        if (auto *lists = dynamic_cast<faiss::IndexIVF *>(index.get()))
            return static_cast<double>(lists->code_size) + sizeof(int64_t) +
                   floats * static_cast<double>(lists->nlist) / count;
        return floats;
    }

    void start_thread() override
    {
        omp_set_num_threads(1);
    }

  private:
    /* The same training as ours: ten rounds, at most 64 samples a list. */
    std::unique_ptr<faiss::IndexIVF> make_lists(const IndexPlan &plan)
    {
        coarse = std::make_unique<faiss::IndexFlatIP>(dimension);
        const auto lists_count = static_cast<size_t>(plan.lists);
        std::unique_ptr<faiss::IndexIVF> lists;
        if (plan.kind == "ivf-sq8")
            lists = std::make_unique<faiss::IndexIVFScalarQuantizer>(
                coarse.get(), dimension, lists_count, faiss::ScalarQuantizer::QT_8bit,
                faiss::METRIC_INNER_PRODUCT, true);
        else
            lists = std::make_unique<faiss::IndexIVFFlat>(coarse.get(), dimension, lists_count,
                                                          faiss::METRIC_INNER_PRODUCT);
        lists->cp.niter = 10;
        lists->cp.spherical = true;
        lists->cp.max_points_per_centroid = 64;
        return lists;
    }

    std::unique_ptr<faiss::Index> make(const IndexPlan &plan)
    {
        if (plan.kind == "flat")
            return std::make_unique<faiss::IndexFlatIP>(dimension);
        if (plan.kind != "hnsw")
            return make_lists(plan);
        auto graph = std::make_unique<faiss::IndexHNSWFlat>(static_cast<int>(dimension), plan.links,
                                                            faiss::METRIC_INNER_PRODUCT);
        graph->hnsw.efConstruction = plan.ef_construction;
        return graph;
    }

    std::unique_ptr<faiss::IndexFlatIP> coarse;
    std::unique_ptr<faiss::Index> index; /* after what it looks at */
};
} // namespace

int main(int count, char **words)
{
    FaissPeer peer;
    return converse(peer, count, words);
}
