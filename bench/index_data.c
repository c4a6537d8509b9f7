/*
 * index_data.c - the vectors on which indexes are compared: rows, queries, and who is truly near.
 *
 *   bench_index_data FOLDER DIMENSION ROWS
 *
 * Rows: 5000 topics in 40 latent dimensions, their sizes by a power law, and noise, as sentence
 * vectors lie; unit length. Two kinds of query: `hit` is a stored vector and noise (cosine 0.86 to
 * 0.98), `novel` is a fresh draw, with nothing close stored. Everything follows from one seed, and
 * the first rows are the same whatever their number.
 *
 * Files, little-endian, of the machine that measures:
 *   rows-D.f32           ROWS + EXTRA_ROWS rows of D floats; the extra ones are for inserts
 *   queries-D-ROWS.f32   HIT_QUERIES, then NOVEL_QUERIES rows
 *   truth-D-ROWS.i32     for each query its NEAREST nearest rows, best first, by fp32 product
 * What is there already is left alone, and a file appears whole or not at all.
 */
#include <cblas.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/index_files.h"

enum { LATENT = 40, TOPICS = 5000, BLOCK_ROWS = 4096, BLOCK_QUERIES = 256, PATH_SIZE = 4096 };

struct shape {
    const char *folder;
    uint32_t dimension;
    uint64_t rows_count;
};

/* What rows are drawn from. */
struct world {
    uint32_t dimension;
    float *topics; /* TOPICS x LATENT    */
    float *axes;   /* LATENT x dimension */
    float *middle; /* dimension          */
};

static void must(int good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_index_data: %s failed\n", what);
    exit(1);
}

static float *allocate_floats(size_t count)
{
    float *values = calloc(count, sizeof(*values));
    must(values != NULL, "memory");
    return values;
}

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t seed;

/* xorshift64 (Marsaglia 2003). */
static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static float draw_share(void)
{
    return (float)(draw() >> 40) / (float)(1 << 24);
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

static float *draw_normals(size_t count, float factor)
{
    float *values = allocate_floats(count);
    for (size_t i = 0; i < count; i++)
        values[i] = factor * draw_normal();
    return values;
}

static void make_unit(float *vector, uint32_t dimension)
{
    double sum = 0;
    for (uint32_t i = 0; i < dimension; i++)
        sum += (double)vector[i] * vector[i];
    const float factor = (float)(1.0 / sqrt(sum));
    for (uint32_t i = 0; i < dimension; i++)
        vector[i] *= factor;
}

static struct world draw_world(uint32_t dimension)
{
    seed = UINT64_C(88172645463325252) + dimension;
    struct world world = {.dimension = dimension};
    world.axes = draw_normals((size_t)LATENT * dimension, 1.0f / sqrtf(LATENT));
    world.middle = draw_normals(dimension, 0.25f);
    world.topics = draw_normals((size_t)TOPICS * LATENT, 1.0f);
    return world;
}

/* The share of a topic falls with the square root of its number: topic = TOPICS x share^2. */
static void draw_row(const struct world *world, float *out_unit)
{
    const float share = draw_share();
    const float *topic = world->topics + (size_t)((float)TOPICS * share * share) * LATENT;
    for (uint32_t i = 0; i < world->dimension; i++)
        out_unit[i] = world->middle[i] + 0.18f * draw_normal();
    for (uint32_t axis = 0; axis < LATENT; axis++) {
        const float place = topic[axis] + 0.75f * draw_normal();
        const float *along = world->axes + (size_t)axis * world->dimension;
        for (uint32_t i = 0; i < world->dimension; i++)
            out_unit[i] += place * along[i];
    }
    make_unit(out_unit, world->dimension);
}

/* Noise of 0.2 to 0.6 of the vector's length, whatever the dimension: cosine 0.98 to 0.86. */
static void draw_near(const float *row, uint32_t dimension, float *out_unit)
{
    const float factor = sqrtf(384.0f / (float)dimension);
    const float noise = (0.010f + 0.020f * draw_share()) * factor;
    for (uint32_t i = 0; i < dimension; i++)
        out_unit[i] = row[i] + noise * draw_normal();
    make_unit(out_unit, dimension);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int is_there(const char *path, uint64_t size_bytes)
{
    struct stat about;
    return stat(path, &about) == 0 && (uint64_t)about.st_size >= size_bytes;
}

static FILE *start_file(const char *path, char *out_draft)
{
    (void)snprintf(out_draft, PATH_SIZE, "%s.part", path);
    FILE *file = fopen(out_draft, "wb");
    must(file != NULL, out_draft);
    return file;
}

static void finish_file(FILE *file, const char *draft, const char *path)
{
    must(fclose(file) == 0, draft);
    must(rename(draft, path) == 0, path);
}

static float *read_floats(const char *path, size_t count)
{
    float *values = allocate_floats(count);
    FILE *file = fopen(path, "rb");
    must(file != NULL, path);
    must(fread(values, sizeof(*values), count, file) == count, path);
    (void)fclose(file);
    return values;
}

static void write_rows(const struct shape *shape, const char *path)
{
    const uint64_t count = shape->rows_count + INDEX_EXTRA_ROWS;
    if (is_there(path, count * shape->dimension * sizeof(float)))
        return;
    char draft[PATH_SIZE];
    FILE *file = start_file(path, draft);
    struct world world = draw_world(shape->dimension);
    float *row = allocate_floats(shape->dimension);
    for (uint64_t i = 0; i < count; i++) {
        draw_row(&world, row);
        must(fwrite(row, sizeof(*row), shape->dimension, file) == shape->dimension, draft);
        if ((i + 1) % 100000 == 0)
            (void)fprintf(stderr, "  rows of %u dimensions: %llu of %llu\n", shape->dimension,
                          (unsigned long long)(i + 1), (unsigned long long)count);
    }
    finish_file(file, draft, path);
    free(row);
    free(world.topics);
    free(world.axes);
    free(world.middle);
}

static void write_queries(const struct shape *shape, const float *rows, const char *path)
{
    const size_t dimension = shape->dimension;
    if (is_there(path, INDEX_QUERIES * dimension * sizeof(float)))
        return;
    char draft[PATH_SIZE];
    FILE *file = start_file(path, draft);
    struct world world = draw_world(shape->dimension);
    seed = UINT64_C(1181783497276652981) + shape->rows_count; /* elsewhere than the rows */
    float *query = allocate_floats(dimension);
    for (uint32_t i = 0; i < INDEX_QUERIES; i++) {
        if (i < INDEX_HIT_QUERIES)
            draw_near(rows + draw() % shape->rows_count * dimension, shape->dimension, query);
        else
            draw_row(&world, query);
        must(fwrite(query, sizeof(*query), dimension, file) == dimension, draft);
    }
    finish_file(file, draft, path);
    free(query);
    free(world.topics);
    free(world.axes);
    free(world.middle);
}

/* ---- truth ----------------------------------------------------------------------------------- */

struct nearest {
    float score[INDEX_NEAREST]; /* falling */
    int32_t row[INDEX_NEAREST];
};

static void offer(struct nearest *nearest, float score, int32_t row)
{
    if (score <= nearest->score[INDEX_NEAREST - 1])
        return;
    uint32_t at = INDEX_NEAREST - 1;
    for (; at > 0 && nearest->score[at - 1] < score; at--) {
        nearest->score[at] = nearest->score[at - 1];
        nearest->row[at] = nearest->row[at - 1];
    }
    nearest->score[at] = score;
    nearest->row[at] = row;
}

static void compare_block(const struct shape *shape, const float *rows, uint64_t first,
                          const float *queries, struct nearest *nearest)
{
    static float scores[BLOCK_QUERIES * BLOCK_ROWS];
    const uint64_t left = shape->rows_count - first;
    const int rows_now = (int)(left < BLOCK_ROWS ? left : BLOCK_ROWS),
              width = (int)shape->dimension;
    for (uint32_t query = 0; query < INDEX_QUERIES; query += BLOCK_QUERIES) {
        const int queries_now =
            INDEX_QUERIES - query < BLOCK_QUERIES ? (int)(INDEX_QUERIES - query) : BLOCK_QUERIES;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, queries_now, rows_now, width, 1.0f,
                    queries + (size_t)query * shape->dimension, width,
                    rows + first * shape->dimension, width, 0.0f, scores, rows_now);
        for (int q = 0; q < queries_now; q++)
            for (int r = 0; r < rows_now; r++)
                offer(&nearest[query + (uint32_t)q], scores[q * rows_now + r], (int32_t)first + r);
    }
}

static void write_truth(const struct shape *shape, const float *rows, const float *queries,
                        const char *path)
{
    if (is_there(path, (uint64_t)INDEX_QUERIES * INDEX_NEAREST * sizeof(int32_t)))
        return;
    struct nearest *nearest = calloc(INDEX_QUERIES, sizeof(*nearest));
    must(nearest != NULL, "memory");
    for (uint32_t i = 0; i < INDEX_QUERIES; i++)
        for (uint32_t j = 0; j < INDEX_NEAREST; j++)
            nearest[i].score[j] = -INFINITY;
    for (uint64_t first = 0; first < shape->rows_count; first += BLOCK_ROWS) {
        compare_block(shape, rows, first, queries, nearest);
        if (first / BLOCK_ROWS % 25 == 24)
            (void)fprintf(stderr, "  the truly nearest: %llu of %llu rows\n",
                          (unsigned long long)first, (unsigned long long)shape->rows_count);
    }
    char draft[PATH_SIZE];
    FILE *file = start_file(path, draft);
    for (uint32_t i = 0; i < INDEX_QUERIES; i++)
        must(fwrite(nearest[i].row, sizeof(int32_t), INDEX_NEAREST, file) == INDEX_NEAREST, draft);
    finish_file(file, draft, path);
    free(nearest);
}

int main(int count, char **words)
{
    must(count == 4, "usage: bench_index_data FOLDER DIMENSION ROWS;");
    const struct shape shape = {.folder = words[1],
                                .dimension = (uint32_t)strtoul(words[2], NULL, 10),
                                .rows_count = strtoull(words[3], NULL, 10)};
    must(shape.dimension > 0 && shape.rows_count >= INDEX_NEAREST, "reading dimension and rows");
    char rows_path[PATH_SIZE], queries_path[PATH_SIZE], truth_path[PATH_SIZE];
    const unsigned long long rows_number = shape.rows_count;
    (void)snprintf(rows_path, PATH_SIZE, "%s/rows-%u.f32", shape.folder, shape.dimension);
    (void)snprintf(queries_path, PATH_SIZE, "%s/queries-%u-%llu.f32", shape.folder, shape.dimension,
                   rows_number);
    (void)snprintf(truth_path, PATH_SIZE, "%s/truth-%u-%llu.i32", shape.folder, shape.dimension,
                   rows_number);
    write_rows(&shape, rows_path);
    if (is_there(truth_path, 1) && is_there(queries_path, 1))
        return 0;
    float *rows = read_floats(rows_path, shape.rows_count * shape.dimension);
    write_queries(&shape, rows, queries_path);
    float *queries = read_floats(queries_path, (size_t)INDEX_QUERIES * shape.dimension);
    write_truth(&shape, rows, queries, truth_path);
    free(queries);
    free(rows);
    return 0;
}
