/*
 * index_hnswlib.cpp - hnswlib among the indexes that are compared (index_peer.h has the
 * conversation). Kind: hnsw. Compiled for the processor at hand, as its README asks.
 *
 * Threads: searches side by side.
 */
#include <hnswlib/hnswlib.h>

#include <atomic>
#include <memory>

#include "bench/index_peer.h"

namespace
{
class HnswlibPeer : public IndexPeer
{
  public:
    void build(const IndexPlan &plan) override
    {
        must(plan.kind == "hnsw", "kind " + plan.kind);
        space = std::make_unique<hnswlib::InnerProductSpace>(dimension);
        index = std::make_unique<hnswlib::HierarchicalNSW<float>>(
            space.get(), rows_count, static_cast<size_t>(plan.links),
            static_cast<size_t>(plan.ef_construction));
        index->addPoint(rows, 0);
        std::atomic<size_t> done{1};
        for_rows(1, rows_count, plan.threads, [&](size_t row) {
            index->addPoint(rows + row * dimension, row);
            if (++done % 50000 == 0)
                std::cerr << "    hnsw: " << done << " of " << rows_count << " rows\n";
        });
    }

    bool load(const IndexPlan &plan) override
    {
        if (access(plan.file.c_str(), R_OK) != 0)
            return false;
        space = std::make_unique<hnswlib::InnerProductSpace>(dimension);
        index = std::make_unique<hnswlib::HierarchicalNSW<float>>(space.get(), plan.file);
        return true;
    }

    void save(const IndexPlan &plan) override
    {
        index->saveIndex(plan.file + ".part");
        must(rename((plan.file + ".part").c_str(), plan.file.c_str()) == 0, plan.file);
    }

    void set_breadth(int breadth) override
    {
        index->setEf(static_cast<size_t>(breadth));
    }

    void search(const float *query, int k, int64_t *out_rows) override
    {
        auto found = index->searchKnn(query, static_cast<size_t>(k));
        for (int i = 0; i < k; i++)
            out_rows[i] = -1;
        for (size_t at = found.size(); at > 0; found.pop())
            out_rows[--at] = static_cast<int64_t>(found.top().second);
    }

    double hot_bytes() override
    {
        size_t upper = 0; /* links above level 0, and the pointer to them */
        for (size_t row = 0; row < rows_count; row++)
            upper +=
                static_cast<size_t>(index->element_levels_[row]) * index->size_links_per_element_;
        return static_cast<double>(index->size_data_per_element_) + sizeof(char *) +
               static_cast<double>(upper) / static_cast<double>(rows_count);
    }

  private:
    std::unique_ptr<hnswlib::InnerProductSpace> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> index;
};
} // namespace

int main(int count, char **words)
{
    HnswlibPeer peer;
    return converse(peer, count, words);
}
