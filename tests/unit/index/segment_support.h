/*
 * segment_support.h - chunks of seeded rows that look like prompts, segments over them, and the
 * truth by a plain loop over the same int8 scores, for the tests of segment, graph and ivf.
 *
 * THE DATA: topics of very different size (the k-th has a share of about 1 / k) in 40 latent
 * dimensions, rows scattered around them, some noise in all dimensions. A query is a stored row
 * moved by noise (a cosine of 0.86 to 0.98), as a paraphrase is.
 */
#pragma once
#include "tests/unit/index/index_support.h"

#include "base/thread.h"
#include "index/faiss_c.h"
#include "index/memory.h"
#include "index/segment.h"
#include "index/segment_inside.h"

enum { LATENT = 40, CHUNKS_MAX = 64 };

struct field {
    uint32_t dimension, chunks_count;
    struct memory *memory;
    struct rows_chunk *chunks[CHUNKS_MAX];
    uint64_t used_by_rows;
    uint64_t seed;
    uint32_t topics_count;
    float *topics;     /* [topics_count][LATENT] */
    float *projection; /* [LATENT][dimension]    */
};

static inline void field_unit(struct field *field, float *out_unit)
{
    float latent[LATENT];
    const double drawn = (double)(chance(&field->seed) >> 40) / (double)(1 << 24);
    const uint32_t topic = (uint32_t)pow((double)field->topics_count, drawn) - 1;
    for (uint32_t i = 0; i < LATENT; i++)
        latent[i] = field->topics[topic * LATENT + i] + 0.5f * chance_normal(&field->seed);
    for (uint32_t j = 0; j < field->dimension; j++)
        out_unit[j] = chance_normal(&field->seed);
    for (uint32_t i = 0; i < LATENT; i++)
        for (uint32_t j = 0; j < field->dimension; j++)
            out_unit[j] += latent[i] * field->projection[i * field->dimension + j];
    assert_true(vector_normalise(out_unit, field->dimension, out_unit));
}

static inline void field_start(struct field *field, uint32_t dimension, uint32_t topics_count,
                               uint64_t memory_bytes)
{
    *field = (struct field){.dimension = dimension, .topics_count = topics_count, .seed = 20260711};
    assert_int_equal(memory_open(memory_bytes, &field->memory), STATUS_OK);
    field->topics = calloc((size_t)topics_count * LATENT, sizeof(float));
    field->projection = calloc((size_t)LATENT * dimension, sizeof(float));
    assert_non_null(field->topics);
    assert_non_null(field->projection);
    for (uint32_t i = 0; i < topics_count * LATENT; i++)
        field->topics[i] = chance_normal(&field->seed);
    for (uint32_t i = 0; i < LATENT * dimension; i++)
        field->projection[i] = chance_normal(&field->seed);
    faiss_c_single_thread();
}

static inline struct rows_chunk *field_open_chunk(struct field *field)
{
    assert_true(field->chunks_count < CHUNKS_MAX);
    struct rows_chunk **chunk = &field->chunks[field->chunks_count];
    assert_int_equal(
        rows_chunk_create(field->memory, MEMORY_ROWS, field->dimension, ROWS_CHUNK_MAX, chunk),
        STATUS_OK);
    field->chunks_count++;
    field->used_by_rows += (*chunk)->size_bytes;
    return *chunk;
}

/* tag_of and expiry_of may be NULL: tag 1, never. */
static inline void field_add(struct field *field, uint32_t chunks_count,
                             uint32_t (*tag_of)(uint32_t row), int64_t (*expiry_of)(uint32_t row))
{
    float *unit = calloc(field->dimension, sizeof(*unit));
    assert_non_null(unit);
    for (uint32_t c = 0; c < chunks_count; c++) {
        const uint32_t first = field->chunks_count * ROWS_CHUNK_MAX;
        struct rows_chunk *chunk = field_open_chunk(field);
        for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++) {
            field_unit(field, unit);
            struct index_row row = {.sequence = first + i + 1, .tag = 1, .unit = unit};
            row.tag = tag_of != NULL ? tag_of(first + i) : 1;
            row.expires_ms = expiry_of != NULL ? expiry_of(first + i) : 0;
            (void)rows_chunk_append(chunk, &row);
        }
    }
    free(unit);
}

static inline uint32_t field_rows(const struct field *field)
{
    return field->chunks_count * ROWS_CHUNK_MAX;
}

static inline struct rows_chunk *field_chunk(const struct field *field, uint32_t row)
{
    return field->chunks[row / ROWS_CHUNK_MAX];
}

static inline void field_kill(struct field *field, uint32_t row)
{
    rows_chunk_kill(field_chunk(field, row), row % ROWS_CHUNK_MAX);
}

/* Everything but the rows must have been given back. */
static inline void field_stop(struct field *field)
{
    assert_int_equal(memory_used(field->memory), field->used_by_rows);
    for (uint32_t i = 0; i < field->chunks_count; i++)
        rows_chunk_destroy(&field->chunks[i]);
    assert_int_equal(memory_used(field->memory), 0);
    memory_close(&field->memory);
    free(field->topics);
    free(field->projection);
}

/* ---- segments -------------------------------------------------------------------------------- */

static inline enum status field_build(struct field *field, const struct segment_options *options,
                                      const struct segment *base, uint32_t chunks_count,
                                      struct segment **out_segment)
{
    const atomic_bool stop = false;
    const struct segment_build build = {.memory = field->memory,
                                        .options = options,
                                        .base = base,
                                        .chunks = field->chunks,
                                        .chunks_count = chunks_count,
                                        .stop = &stop};
    return segment_build(&build, out_segment);
}

static const struct segment_options HNSW = {.kind = INDEX_HNSW, .links = 16, .ef_construction = 64};
static const struct segment_options IVF = {.kind = INDEX_IVF};

/* ---- queries and truth ----------------------------------------------------------------------- */

struct question {
    uint32_t tag;
    int64_t now_ms;
    uint32_t wanted; /* candidates: at least so many are asked for */
    uint32_t ef, nprobe;
    _Alignas(VECTOR_ROW_ALIGN) int8_t codes[VECTOR_DIMENSION_MAX];
};

/* Near a stored row; which one is returned. */
static inline uint32_t question_near(struct field *field, uint64_t *seed, struct question *question)
{
    float unit[VECTOR_DIMENSION_MAX];
    const uint32_t row = (uint32_t)chance_below(seed, field_rows(field));
    const float noise = 0.2f + 0.4f * (float)chance_below(seed, 1000) / 1000.0f;
    chance_near(seed, rows_chunk_unit(field_chunk(field, row), row % ROWS_CHUNK_MAX),
                field->dimension, noise, unit);
    (void)vector_encode_query(unit, field->dimension, question->codes);
    return row;
}

static inline uint64_t question_ask(const struct question *question, const struct field *field,
                                    const struct segment *segment, struct candidates *candidates)
{
    candidates_start(candidates, question->wanted);
    const struct segment_query query = {.codes = question->codes,
                                        .tag = question->tag,
                                        .now_ms = question->now_ms,
                                        .ef = question->ef,
                                        .nprobe = question->nprobe};
    return segment_search(segment, field->chunks, &query, candidates);
}

static inline bool row_should_count(const struct question *question, const struct rows_chunk *chunk,
                                    uint32_t row)
{
    const int64_t expires_ms = chunk->expiries_ms[row];
    return chunk->tags[row] == question->tag && !rows_chunk_is_dead(chunk, row) &&
           (expires_ms == 0 || expires_ms > question->now_ms);
}

/* The best of the first `rows` rows by a plain loop over all. */
static inline void question_truth(const struct question *question, const struct field *field,
                                  uint32_t rows, struct candidates *candidates)
{
    candidates_start(candidates, question->wanted);
    for (uint32_t row = 0; row < rows; row++) {
        const struct rows_chunk *chunk = field_chunk(field, row);
        const uint32_t at = row % ROWS_CHUNK_MAX;
        if (!row_should_count(question, chunk, at))
            continue;
        const int32_t dot = vector_kernels()->dot(chunk->codes + at * chunk->row_bytes,
                                                  question->codes, chunk->row_bytes);
        const float score = (float)dot * chunk->scales[at];
        if (score > candidates->worst)
            candidates_add(candidates, &(struct candidate){score, at, chunk});
    }
}

static inline float candidates_best(const struct candidates *candidates)
{
    float best = -INFINITY;
    for (uint32_t i = 0; i < candidates->count; i++)
        best = candidates->items[i].score > best ? candidates->items[i].score : best;
    return best;
}

/* Of the truth's candidates, how many as good were found. */
static inline uint32_t candidates_common(const struct candidates *found,
                                         const struct candidates *truth)
{
    float worst = INFINITY;
    uint32_t common = 0;
    for (uint32_t i = 0; i < truth->count; i++)
        worst = truth->items[i].score < worst ? truth->items[i].score : worst;
    for (uint32_t i = 0; i < found->count; i++)
        common += found->items[i].score >= worst;
    return common;
}

struct recall {
    double nearest; /* how often the nearest of all was found  */
    double all;     /* how many of the wanted ones             */
    double scanned; /* rows multiplied a query                 */
};

#define assert_at_least(value, floor) check_at_least((value), (floor), #value, __FILE__, __LINE__)
static inline void check_at_least(double value, double floor, const char *text, const char *file,
                                  int line)
{
    if (value < floor)
        print_error("%s is %g, wanted %g or more\n", text, value, floor);
    _assert_true(value >= floor, text, file, line);
}

/* Rows that must not count never come; asked are rows near stored ones. */
static inline struct recall measure(struct field *field, const struct segment *segment,
                                    const struct question *plain, uint32_t queries)
{
    struct question question = *plain;
    struct candidates found, truth;
    struct recall recall = {0};
    uint64_t seed = 4711;
    uint64_t common = 0, wanted = 0;
    for (uint32_t i = 0; i < queries; i++) {
        (void)question_near(field, &seed, &question);
        recall.scanned += (double)question_ask(&question, field, segment, &found) / queries;
        question_truth(&question, field, segment_rows(segment), &truth);
        for (uint32_t c = 0; c < found.count; c++)
            assert_true(row_should_count(&question, found.items[c].chunk, found.items[c].row));
        recall.nearest += truth.count == 0 || candidates_best(&found) == candidates_best(&truth);
        common += candidates_common(&found, &truth);
        wanted += truth.count;
    }
    recall.nearest /= queries;
    recall.all = wanted > 0 ? (double)common / (double)wanted : 1;
    return recall;
}

/* How often a search of FAISS finds the row that is nearest in fp32. */
static inline double measure_faiss(struct field *field, const FaissIndex *index, uint32_t queries)
{
    uint64_t seed = 99;
    uint32_t right = 0;
    for (uint32_t q = 0; q < queries; q++) {
        float query[VECTOR_DIMENSION_MAX], similarity, nearest = -2;
        idx_t found;
        const uint32_t row = (uint32_t)chance_below(&seed, field_rows(field));
        chance_near(&seed, rows_chunk_unit(field_chunk(field, row), row % ROWS_CHUNK_MAX),
                    field->dimension, 0.5f, query);
        for (uint32_t i = 0; i < field_rows(field); i++) {
            const float *unit = rows_chunk_unit(field_chunk(field, i), i % ROWS_CHUNK_MAX);
            const float cosine = vector_dot(query, unit, field->dimension);
            nearest = cosine > nearest ? cosine : nearest;
        }
        assert_int_equal(faiss_Index_search(index, 1, query, 1, &similarity, &found), OK);
        right += similarity >= nearest - 1e-5f;
    }
    return (double)right / queries;
}
