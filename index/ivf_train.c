/*
 * ivf_train.c - centroids by FAISS's k-means: 10 rounds, spherical, at most 64 samples a list.
 *
 * Samples are spread evenly over the rows, dead ones too: a dead row was a prompt like the others.
 * Fewer than 39 a list give poor lists (FAISS warns), so there are never more lists than rows / 39.
 * Assignment, nearly all of the work, goes over our int8 codes: no BLAS, so no lock is held for
 * seconds (docs/decisions/0004), and it stops when it should.
 *
 * ONE HOLE. In each round FAISS 1.7.3's compute_centroids (Clustering.cpp) takes a buffer of one
 * vector, decode_buffer(d), inside `#pragma omp parallel`. What is thrown there may not leave the
 * region: g++ outlines its body as a function that must not throw, so that std::terminate runs
 * before any frame of faiss_c.cc is looked at, and no catch there or here can help; nor is there an
 * option that avoids the buffer. So a machine that refuses 16 KiB, at the most, just then loses the
 * process. Every other allocation of a training becomes NO_MEMORY (tests/unit/index/test_shortage.c
 * fails them one by one).
 *
 * THREADS. A builder that has said faiss_c_single_thread.
 *
 * NOT HERE. Which list a row belongs to (ivf.c).
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "index/faiss_c.h"
#include "index/ivf.h"
#include "index/vector.h"

enum { ROUNDS = 10, LIST_SAMPLES_MIN = 39, LIST_SAMPLES_MAX = 64, LISTS_MIN = 64, SEED = 1234 };

uint32_t ivf_lists_for(uint32_t rows, uint32_t wanted)
{
    assert(rows >= LIST_SAMPLES_MIN);
    uint32_t lists = wanted > 0 ? wanted : (uint32_t)(2 * sqrt((double)rows));
    if (wanted == 0 && lists < LISTS_MIN)
        lists = LISTS_MIN;
    if (lists > rows / LIST_SAMPLES_MIN)
        lists = rows / LIST_SAMPLES_MIN;
    return lists < IVF_LISTS_MAX ? lists : IVF_LISTS_MAX;
}

static uint32_t samples_for(uint32_t rows, uint32_t lists)
{
    const uint64_t wanted = (uint64_t)lists * LIST_SAMPLES_MAX;
    return wanted < rows ? (uint32_t)wanted : rows;
}

uint64_t ivf_train_samples(uint32_t rows, uint32_t lists)
{
    return (uint64_t)ROUNDS * samples_for(rows, lists);
}

/* What FAISS reads while it trains, in one block. */
struct work {
    struct memory *memory;
    void *block;
    size_t size_bytes;
    float *units;      /* [count][dimension] */
    uint32_t *samples; /* [count] */
    const uint8_t **codes;
    const float **scales;
    uint32_t count, chunks_count;
    struct faiss_c_rows rows;
};

static size_t work_lay_out(struct work *work, uint32_t dimension, uint8_t *block)
{
    const size_t pointers = work->chunks_count * sizeof(void *);
    const size_t units = (size_t)work->count * dimension * sizeof(float);
    const size_t offsets[] = {0, pointers, 2 * pointers, 2 * pointers + units};
    if (block != NULL) {
        work->codes = (const uint8_t **)(void *)(block + offsets[0]);
        work->scales = (const float **)(void *)(block + offsets[1]);
        work->units = (float *)(void *)(block + offsets[2]);
        work->samples = (uint32_t *)(void *)(block + offsets[3]);
    }
    return offsets[3] + work->count * sizeof(uint32_t);
}

static void take_samples(struct work *work, const struct ivf_build *build)
{
    const uint32_t dimension = build->chunks[0]->dimension;
    for (uint32_t i = 0; i < work->count; i++) {
        const uint32_t row = (uint32_t)((uint64_t)i * build->rows / work->count);
        work->samples[i] = row;
        memcpy(work->units + (size_t)i * dimension,
               rows_chunk_unit(build->chunks[row / ROWS_CHUNK_MAX], row % ROWS_CHUNK_MAX),
               dimension * sizeof(float));
    }
}

static enum status work_init(struct work *work, const struct ivf_build *build, uint32_t lists)
{
    *work = (struct work){.memory = build->memory,
                          .count = samples_for(build->rows, lists),
                          .chunks_count = build->rows / ROWS_CHUNK_MAX};
    assert(work->count >= lists * LIST_SAMPLES_MIN);
    const uint32_t dimension = build->chunks[0]->dimension;
    work->size_bytes = work_lay_out(work, dimension, NULL);
    work->block = memory_alloc(build->memory, MEMORY_ROWS, work->size_bytes);
    if (work->block == NULL)
        return STATUS_NO_MEMORY;
    (void)work_lay_out(work, dimension, work->block);
    for (uint32_t i = 0; i < work->chunks_count; i++) {
        work->codes[i] = build->chunks[i]->codes;
        work->scales[i] = build->chunks[i]->scales;
    }
    work->rows = (struct faiss_c_rows){.codes = work->codes,
                                       .scales = work->scales,
                                       .chunk_rows = ROWS_CHUNK_MAX,
                                       .row_bytes = build->chunks[0]->row_bytes,
                                       .dot = vector_kernels()->dot};
    take_samples(work, build);
    return STATUS_OK;
}

static bool go_on(void *context, uint32_t samples_done)
{
    const struct ivf_build *build = context;
    ivf_tell_progress(build, samples_done, 0);
    return !atomic_load_explicit(build->stop, memory_order_relaxed);
}

static int new_clustering(const struct ivf_build *build, uint32_t lists, FaissClustering **out)
{
    FaissClusteringParameters parameters;
    faiss_ClusteringParameters_init(&parameters);
    parameters.niter = ROUNDS;
    parameters.spherical = true;
    parameters.min_points_per_centroid = LIST_SAMPLES_MIN;
    parameters.max_points_per_centroid = LIST_SAMPLES_MAX;
    parameters.seed = SEED;
    return faiss_Clustering_new_with_params(out, (int)build->chunks[0]->dimension, (int)lists,
                                            &parameters);
}

/* A centroid of samples that cancel each other out has no direction: any will do. */
static void copy_centroids(FaissClustering *clustering, uint32_t lists, uint32_t dimension,
                           float *out_centroids)
{
    float *made = NULL;
    size_t size = 0;
    faiss_Clustering_centroids(clustering, &made, &size);
    assert(size == (size_t)lists * dimension);
    for (size_t i = 0; i < size; i += dimension)
        if (!vector_normalise(made + i, dimension, out_centroids + i)) {
            memset(out_centroids + i, 0, dimension * sizeof(float));
            out_centroids[i] = 1.0f;
        }
}

static int train(const struct ivf_build *build, const struct work *work, uint32_t lists,
                 float *out_centroids)
{
    const struct faiss_c_assignment assignment = {.rows = &work->rows,
                                                  .scan = vector_kernels()->scan,
                                                  .samples = work->samples,
                                                  .samples_count = work->count,
                                                  .dimension = build->chunks[0]->dimension,
                                                  .watch = {go_on, (void *)(uintptr_t)build}};
    FaissIndex *assigner = NULL;
    FaissClustering *clustering = NULL;
    int code = faiss_c_assigner_new(&assigner, &assignment);
    if (code == OK)
        code = new_clustering(build, lists, &clustering);
    if (code == OK)
        code = faiss_Clustering_train(clustering, work->count, work->units, assigner);
    if (code == OK)
        copy_centroids(clustering, lists, assignment.dimension, out_centroids);
    if (clustering != NULL)
        faiss_Clustering_free(clustering);
    if (assigner != NULL)
        faiss_Index_free(assigner);
    return code;
}

/* Inside, FAISS holds the centroids twice, and a list and a distance of each sample. */
static size_t faiss_bytes(const struct work *work, uint32_t lists, uint32_t dimension)
{
    return 2 * (size_t)lists * dimension * sizeof(float) + 3 * work->count * sizeof(uint64_t);
}

enum status ivf_train(const struct ivf_build *build, uint32_t lists, float *out_centroids)
{
    assert(lists >= 1);
    struct work work;
    enum status status = work_init(&work, build, lists);
    if (status != STATUS_OK)
        return status;
    const size_t size_bytes = faiss_bytes(&work, lists, build->chunks[0]->dimension);
    status = STATUS_NO_MEMORY;
    if (memory_charge(build->memory, MEMORY_ROWS, size_bytes)) {
        const int code = train(build, &work, lists, out_centroids);
        memory_discharge(build->memory, size_bytes);
        if (code != OK && atomic_load_explicit(build->stop, memory_order_relaxed))
            status = STATUS_CANCELLED;
        else if (code == OK)
            status = STATUS_OK;
        else if (code != STD_EXCEPT)
            status = STATUS_INTERNAL;
    }
    memory_free(build->memory, work.block, work.size_bytes);
    return status;
}
