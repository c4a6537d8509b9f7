/*
 * scan.c - how fast is a search of one scope against FAISS's exact search of the same vectors?
 *
 * Ours: directory_find and partition_search (int8 scan, fp32 re-rank), and beside it the bare int8
 * scan with a maximum. The anchor: IndexFlatIP of the installed FAISS, through its C API. Both
 * look for the nearest of the same queries, one at a time, on one thread. Rounds alternate, each
 * lasts for a while of CPU time of this thread, and the median of the rounds' ratios counts: a
 * busy neighbour then disturbs both sides alike.
 *
 * Vectors: topics in 40 latent dimensions and noise, as sentence vectors lie; a query is a stored
 * vector and noise (cosine 0.86 to 0.98). Recall: how often the nearest is the one that FAISS
 * finds.
 *
 * Prints a JSON object a line; progress goes to stderr. BENCH_ROUNDS (7) makes it longer or
 * shorter.
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/epoch.h"
#include "base/thread.h"
#include "index/directory.h"
#include "index/faiss_c.h"
#include "index/vector.h"

enum {
    DIMENSION = 384,
    LATENT = 40,
    TOPICS = 2000,
    QUERIES = 200,
    RECALL_QUERIES = 100,
    ROUNDS_MAX = 99,
    ROUND_NS = 60 * 1000 * 1000,
    BLOCK_ROWS = 256,
};

struct contest {
    uint32_t rows_count;
    float *units;   /* rows_count of them */
    float *queries; /* QUERIES            */
    struct epochs *epochs;
    struct directory *directory;
    struct partition_key key;
    uint8_t *codes; /* for the bare scan */
    float *scales;
    FaissIndexFlatIP *anchor;
    uint64_t sink; /* keeps the compiler from leaving a search out */
};

/* A side: the row that it finds nearest. */
typedef uint64_t contest_side(struct contest *contest, const float *query);

static void must(int good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_scan: %s failed\n", what);
    exit(1);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0, "reading the clock");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- vectors --------------------------------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

/* xorshift64 (Marsaglia 2003). */
static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* About normal: the sum of four 16-bit values. */
static float draw_normal(void)
{
    uint64_t bits = draw();
    float sum = 0;
    for (int i = 0; i < 4; i++, bits >>= 16)
        sum += (float)(bits & 0xffff) / 65536.0f;
    return (sum - 2.0f) * 1.7320508f;
}

static float *allocate_floats(size_t count)
{
    float *values = calloc(count, sizeof(*values));
    must(values != NULL, "memory");
    return values;
}

static float *draw_normals(size_t count, float factor)
{
    float *values = allocate_floats(count);
    for (size_t i = 0; i < count; i++)
        values[i] = factor * draw_normal();
    return values;
}

static void draw_row(const float *topic, const float *axes, float *out_unit)
{
    for (uint32_t i = 0; i < DIMENSION; i++)
        out_unit[i] = 0.18f * draw_normal();
    for (uint32_t axis = 0; axis < LATENT; axis++) {
        const float place = topic[axis] + 0.75f * draw_normal();
        for (uint32_t i = 0; i < DIMENSION; i++)
            out_unit[i] += place * axes[axis * DIMENSION + i];
    }
    must(vector_normalise(out_unit, DIMENSION, out_unit), "normalising");
}

static void draw_vectors(struct contest *contest)
{
    float *topics = draw_normals(TOPICS * LATENT, 1.0f);
    float *axes = draw_normals(LATENT * DIMENSION, 1.0f / sqrtf(LATENT));
    contest->units = allocate_floats((size_t)contest->rows_count * DIMENSION);
    contest->queries = allocate_floats((size_t)QUERIES * DIMENSION);
    for (uint32_t row = 0; row < contest->rows_count; row++)
        draw_row(topics + draw() % TOPICS * LATENT, axes, contest->units + (size_t)row * DIMENSION);
    for (uint32_t i = 0; i < QUERIES; i++) {
        const float *near = contest->units + draw() % contest->rows_count * DIMENSION;
        const float noise = 0.010f + 0.020f * (float)(draw() >> 40) / (float)(1 << 24);
        float *query = contest->queries + (size_t)i * DIMENSION;
        for (uint32_t d = 0; d < DIMENSION; d++)
            query[d] = near[d] + noise * draw_normal();
        must(vector_normalise(query, DIMENSION, query), "normalising");
    }
    free(topics);
    free(axes);
}

/* ---- the sides ------------------------------------------------------------------------------- */

static void fill_sides(struct contest *contest)
{
    const size_t row_bytes = vector_row_bytes(DIMENSION);
    must(epochs_create(&contest->epochs) == STATUS_OK, "epochs");
    struct directory_setup setup = {.epochs = contest->epochs};
    index_settings_read(NULL, &setup.settings);
    setup.settings.memory_bytes = UINT64_C(2) << 30;
    must(directory_create(&setup, &contest->directory) == STATUS_OK, "directory");
    must(faiss_IndexFlatIP_new_with(&contest->anchor, DIMENSION) == 0, "FAISS");
    must(faiss_Index_add(contest->anchor, contest->rows_count, contest->units) == 0, "FAISS");
    contest->codes = aligned_alloc(VECTOR_ROW_ALIGN, row_bytes * contest->rows_count);
    contest->scales = allocate_floats(contest->rows_count);
    must(contest->codes != NULL, "memory");
    for (uint32_t i = 0; i < contest->rows_count; i++) {
        const float *unit = contest->units + (size_t)i * DIMENSION;
        struct index_row row = {.sequence = i, .tag = 1, .unit = unit};
        memcpy(row.id.bytes + 16, &i, sizeof(i)); /* where index/ takes its hash from */
        must(directory_insert(contest->directory, &contest->key, DIMENSION, &row) == STATUS_OK,
             "insert");
        contest->scales[i] = vector_encode_row(unit, DIMENSION, contest->codes + i * row_bytes);
    }
}

static void drop_sides(struct contest *contest)
{
    faiss_Index_free(contest->anchor);
    directory_destroy(&contest->directory);
    epochs_destroy(&contest->epochs);
    free(contest->codes);
    free(contest->scales);
    free(contest->units);
    free(contest->queries);
}

static uint64_t search_ours(struct contest *contest, const float *query)
{
    static struct search search;
    search.unit = query;
    search.dimension = DIMENSION;
    search.tag = 1;
    search.hits_max = 1;
    epoch_enter(contest->epochs);
    partition_search(directory_find(contest->directory, &contest->key), &search);
    epoch_leave(contest->epochs);
    assert(search.hits_count == 1);
    return search.hits[0].sequence;
}

static uint64_t scan_bare(struct contest *contest, const float *query)
{
    const size_t row_bytes = vector_row_bytes(DIMENSION);
    const struct vector_kernels *kernels = vector_kernels();
    _Alignas(VECTOR_ROW_ALIGN) int8_t codes[DIMENSION];
    int32_t dots[BLOCK_ROWS];
    uint64_t best = 0;
    float most = -INFINITY;
    (void)vector_encode_query(query, DIMENSION, codes);
    for (uint32_t first = 0; first < contest->rows_count; first += BLOCK_ROWS) {
        const uint32_t left = contest->rows_count - first;
        const uint32_t count = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        kernels->scan(contest->codes + first * row_bytes, row_bytes, count, codes, dots);
        for (uint32_t i = 0; i < count; i++) {
            const float score = (float)dots[i] * contest->scales[first + i];
            if (score > most) {
                most = score;
                best = first + i;
            }
        }
    }
    return best;
}

static uint64_t search_anchor(struct contest *contest, const float *query)
{
    float similarity;
    idx_t row = -1;
    must(faiss_Index_search(contest->anchor, 1, query, 1, &similarity, &row) == 0, "FAISS");
    return (uint64_t)row;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static double measure_qps(struct contest *contest, contest_side *side)
{
    const uint64_t started = cpu_ns();
    uint64_t asked = 0, spent = 0;
    while (spent < ROUND_NS) {
        contest->sink += side(contest, contest->queries + asked++ % QUERIES * DIMENSION);
        spent = cpu_ns() - started;
    }
    return (double)asked * 1e9 / (double)spent;
}

static int compare_numbers(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof(*values), compare_numbers);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double measure_recall(struct contest *contest, contest_side *side)
{
    uint32_t equal = 0;
    for (uint32_t i = 0; i < RECALL_QUERIES; i++) {
        const float *query = contest->queries + (size_t)i * DIMENSION;
        equal += side(contest, query) == search_anchor(contest, query);
    }
    return (double)equal / RECALL_QUERIES;
}

static uint32_t rounds_wanted(void)
{
    const char *text = getenv("BENCH_ROUNDS");
    const long wanted = text != NULL ? strtol(text, NULL, 10) : 7;
    return wanted < 1 ? 1 : wanted > ROUNDS_MAX ? ROUNDS_MAX : (uint32_t)wanted;
}

static void compete(struct contest *contest, contest_side *side, const char *name)
{
    double ratios[ROUNDS_MAX], ours[ROUNDS_MAX], anchors[ROUNDS_MAX];
    const uint32_t rounds = rounds_wanted();
    const double recall = measure_recall(contest, side); /* warms both sides up, too */
    for (uint32_t round = 0; round < rounds; round++) {
        ours[round] = measure_qps(contest, side);
        anchors[round] = measure_qps(contest, search_anchor);
        ratios[round] = ours[round] / anchors[round];
        (void)fprintf(stderr, "%s: round %u of %u, %.0f against %.0f queries/s\n", name, round + 1,
                      rounds, ours[round], anchors[round]);
    }
    (void)printf("{\"name\":\"%s-%uk-vs-faiss\",\"ratio\":%.3f,\"ours_qps\":%.1f,"
                 "\"anchor_qps\":%.1f,\"recall\":%.4f}\n",
                 name, contest->rows_count / 1000, median(ratios, rounds), median(ours, rounds),
                 median(anchors, rounds), recall);
    (void)fflush(stdout);
}

int main(void)
{
    const uint32_t sizes[] = {1000, 10000, 100000};
    must(thread_register(THREAD_COMPUTE) == STATUS_OK, "registering the thread");
    faiss_c_single_thread();
    (void)fprintf(stderr, "kernel %s\n", vector_kernels()->name);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct contest contest = {.rows_count = sizes[i]};
        (void)fprintf(stderr, "%u rows of %d dimensions\n", sizes[i], DIMENSION);
        draw_vectors(&contest);
        fill_sides(&contest);
        compete(&contest, search_ours, "scan");
        compete(&contest, scan_bare, "bare-scan");
        drop_sides(&contest);
    }
    thread_unregister();
    return 0;
}
