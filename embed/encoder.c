/*
 * encoder.c - the forward pass of BERT (Devlin et al. 2018) over texts packed end to end:
 *
 *   x = norm(word + position + type)
 *   each layer:  x = norm(x + attention(x) Wo + bo)
 *                x = norm(x + gelu(x W1 + b1) W2 + b2)
 *   vector = mean over all tokens, or the first, divided by its length
 *
 * No padding, no mask: an attention reads the rows of its own text, everything else works row by
 * row, over blocks of rows regardless of texts. INT8 takes ROWS_A_BLOCK at a time, so that the wide
 * inner rows of a block stay in the second-level cache; its integers are exact, so a block's edge
 * changes nothing. FP32 takes as many as the longest text has: OpenBLAS copies all weights into its
 * own order in each call, half of the time of a text of 16 tokens, so calls are to be few. What it
 * adds in which order depends on the number of rows, so neighbours may move the last bits of an
 * fp32 vector (less than 1e-6 a coordinate); a text alone has the same bytes always.
 *
 * THREADS. Any, each with its own scratch. Nothing is allocated while it runs. INT8 shares nothing
 * that changes. FP32 takes turns at OpenBLAS: its serial flavour hands one work buffer to two
 * callers at once and then returns wrong products, in up to one of 150 calls of 7 x 96 x 288 from
 * four threads (0.3.21 of Debian 12). Hence the one lock of this room; the pthread flavour
 * would do without it, but starts threads of its own in every process.
 *
 * NOT HERE. Taking the weights in (encoder_pack.c), the loops (encoder_kernels*), tokens
 * (tokenizer.c), which texts go together (the provider).
 */
#include "embed/encoder.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "embed/encoder_inside.h"

enum { ROWS_A_BLOCK = 64 };

struct encoder_scratch {
    const struct encoder *encoder;
    uint32_t tokens_max;
    float *rows;                            /* [tokens_max][width]: x                            */
    float *triples;                         /* [tokens_max][3 width]: query, key, value          */
    float *contexts;                        /* [tokens_max][width]: what attention gives         */
    float *inner, *sums;                    /* of one block: [..][inner width], [..][width]      */
    struct encoder_activations activations; /* of one block                     */
    struct encoder_attention attention;
};

/* ---- scratch --------------------------------------------------------------------------------- */

/* Rows that go through a product together. */
static uint32_t block_rows(const struct encoder *encoder)
{
    return encoder->config.precision == ENCODER_INT8 ? ROWS_A_BLOCK : encoder->config.max_tokens;
}

static bool allocate_scratch(struct encoder_scratch *scratch)
{
    const struct encoder *encoder = scratch->encoder;
    const size_t tokens = scratch->tokens_max, width = encoder->width;
    const size_t inner = encoder->inner > width ? encoder->inner : width;
    const size_t block = block_rows(encoder), padded = encoder_padded(encoder->config.max_tokens);
    const size_t head_size = width / encoder->config.heads;
    scratch->rows = encoder_allocate(tokens, width * sizeof(float));
    scratch->triples = encoder_allocate(tokens, 3 * width * sizeof(float));
    scratch->contexts = encoder_allocate(tokens, width * sizeof(float));
    scratch->inner = encoder_allocate(block, inner * sizeof(float));
    scratch->sums = encoder_allocate(block, width * sizeof(float));
    scratch->activations = (struct encoder_activations){
        .codes = encoder_allocate(block, inner),
        .rows = encoder_allocate(block, sizeof(struct encoder_row)),
        .scratch = encoder_allocate(block, 2 * inner),
    };
    scratch->attention = (struct encoder_attention){
        .width = encoder->width,
        .heads = encoder->config.heads,
        .keys = encoder_allocate(padded, head_size * sizeof(float)),
        .scores = encoder_allocate(padded, ENCODER_ATTENTION_ROWS * sizeof(float)),
    };
    return scratch->rows != NULL && scratch->triples != NULL && scratch->contexts != NULL &&
           scratch->inner != NULL && scratch->sums != NULL && scratch->activations.codes != NULL &&
           scratch->activations.rows != NULL && scratch->activations.scratch != NULL &&
           scratch->attention.keys != NULL && scratch->attention.scores != NULL;
}

enum status encoder_scratch_create(const struct encoder *encoder, uint32_t tokens_max,
                                   struct encoder_scratch **out_scratch)
{
    assert(tokens_max >= encoder->config.max_tokens);
    assert(tokens_max <= ENCODER_TOKENS_MAX);
    struct encoder_scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch == NULL)
        return STATUS_NO_MEMORY;
    scratch->encoder = encoder;
    scratch->tokens_max = tokens_max;
    if (!allocate_scratch(scratch))
        goto destroy_scratch;
    *out_scratch = scratch;
    return STATUS_OK;

destroy_scratch:
    encoder_scratch_destroy(&scratch);
    return STATUS_NO_MEMORY;
}

void encoder_scratch_destroy(struct encoder_scratch **scratch)
{
    struct encoder_scratch *doomed = *scratch;
    if (doomed == NULL)
        return;
    *scratch = NULL;
    free(doomed->attention.scores);
    free(doomed->attention.keys);
    free(doomed->activations.scratch);
    free(doomed->activations.rows);
    free(doomed->activations.codes);
    free(doomed->sums);
    free(doomed->inner);
    free(doomed->contexts);
    free(doomed->triples);
    free(doomed->rows);
    free(doomed);
}

uint32_t encoder_dimension(const struct encoder *encoder)
{
    return encoder->width;
}

uint32_t encoder_vocabulary(const struct encoder *encoder)
{
    return encoder->words.rows;
}

const char *encoder_isa(const struct encoder *encoder)
{
    return encoder->config.kernels->name;
}

size_t encoder_packed_bytes(const struct encoder *encoder)
{
    return encoder->packed_bytes;
}

/* ---- linear layers --------------------------------------------------------------------------- */

/* Guards what another library keeps for the whole process, so it lives as long. */
static struct lock blas_lock = {.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_RANK_EMBED_BLAS};

static void multiply_fp32(const struct encoder_linear *linear, const float *rows, size_t rows_count,
                          float *out)
{
    for (size_t i = 0; i < rows_count; i++)
        memcpy(out + i * linear->columns, linear->biases, linear->columns * sizeof(*out));
    lock_acquire(&blas_lock);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows_count,
                (blasint)linear->columns, (blasint)linear->inputs, 1.0f, rows,
                (blasint)linear->inputs, linear->floats, (blasint)linear->columns, 1.0f, out,
                (blasint)linear->columns);
    lock_release(&blas_lock);
}

/* rows_count is at most block_rows. */
static void multiply(const struct encoder *encoder, struct encoder_scratch *scratch,
                     const struct encoder_linear *linear, const float *rows, size_t rows_count,
                     float *out)
{
    const struct encoder_kernels *kernels = encoder->config.kernels;
    if (encoder->config.precision == ENCODER_FP32) {
        multiply_fp32(linear, rows, rows_count, out);
        return;
    }
    kernels->quantise(rows, rows_count, linear->inputs, &scratch->activations);
    kernels->multiply(&linear->panels, &scratch->activations, rows_count, out);
}

/* ---- layers ---------------------------------------------------------------------------------- */

static struct encoder_norm norm_of(const struct encoder_norm_pair *pair)
{
    return (struct encoder_norm){.weights = pair->weights, .biases = pair->biases};
}

/* From contexts to the layer's result, for rows that need not be whole texts. */
static void run_block(const struct encoder *encoder, struct encoder_scratch *scratch,
                      const struct encoder_layer *layer, size_t first, size_t count)
{
    const struct encoder_kernels *kernels = encoder->config.kernels;
    const struct encoder_norm attention_norm = norm_of(&layer->attention_norm);
    const struct encoder_norm outer_norm = norm_of(&layer->outer_norm);
    const size_t width = encoder->width;
    float *rows = scratch->rows + first * width;
    multiply(encoder, scratch, &layer->attention_out, scratch->contexts + first * width, count,
             scratch->sums);
    kernels->add_norm(rows, scratch->sums, count, width, &attention_norm);
    multiply(encoder, scratch, &layer->inner, rows, count, scratch->inner);
    kernels->gelu(scratch->inner, count * encoder->inner);
    multiply(encoder, scratch, &layer->outer, scratch->inner, count, scratch->sums);
    kernels->add_norm(rows, scratch->sums, count, width, &outer_norm);
}

static void run_triples(const struct encoder *encoder, struct encoder_scratch *scratch,
                        const struct encoder_layer *layer, size_t first, size_t count)
{
    const size_t width = encoder->width;
    multiply(encoder, scratch, &layer->attention_in, scratch->rows + first * width, count,
             scratch->triples + first * 3 * width);
}

typedef void block_step(const struct encoder *encoder, struct encoder_scratch *scratch,
                        const struct encoder_layer *layer, size_t first, size_t count);

struct pack {
    const uint32_t *lengths;
    size_t texts_count, tokens_count;
};

static void walk_blocks(const struct encoder *encoder, struct encoder_scratch *scratch,
                        const struct encoder_layer *layer, const struct pack *pack,
                        block_step *step)
{
    const size_t block = block_rows(encoder);
    for (size_t first = 0; first < pack->tokens_count; first += block) {
        const size_t left = pack->tokens_count - first;
        step(encoder, scratch, layer, first, left < block ? left : block);
    }
}

static void run_layer(const struct encoder *encoder, struct encoder_scratch *scratch,
                      const struct encoder_layer *layer, const struct pack *pack)
{
    const size_t width = encoder->width;
    walk_blocks(encoder, scratch, layer, pack, run_triples);
    size_t first = 0;
    for (size_t i = 0; i < pack->texts_count; first += pack->lengths[i++])
        encoder->config.kernels->attend(&scratch->attention, scratch->triples + first * 3 * width,
                                        pack->lengths[i], scratch->contexts + first * width);
    walk_blocks(encoder, scratch, layer, pack, run_block);
}

/* ---- first and last step --------------------------------------------------------------------- */

static void embed_tokens(const struct encoder *encoder, struct encoder_scratch *scratch,
                         const uint32_t *ids, const struct pack *pack)
{
    const size_t width = encoder->width;
    const struct encoder_norm norm = norm_of(&encoder->words_norm);
    float *row = scratch->rows;
    for (size_t i = 0; i < pack->texts_count; i++) {
        for (uint32_t t = 0; t < pack->lengths[i]; t++, row += width)
            weights_read_row(&encoder->words, *ids++, row);
        encoder->config.kernels->add_norm(row - pack->lengths[i] * width, encoder->places,
                                          pack->lengths[i], width, &norm);
    }
}

static enum status pool(const struct encoder *encoder, const float *rows, uint32_t tokens,
                        float *out_unit)
{
    const uint32_t width = encoder->width;
    const uint32_t counted = encoder->config.pooling == ENCODER_POOL_MEAN ? tokens : 1;
    double squares = 0;
    memcpy(out_unit, rows, width * sizeof(*out_unit));
    for (uint32_t t = 1; t < counted; t++)
        for (uint32_t d = 0; d < width; d++)
            out_unit[d] += rows[(size_t)t * width + d];
    for (uint32_t d = 0; d < width; d++) {
        out_unit[d] /= (float)counted;
        squares += (double)out_unit[d] * (double)out_unit[d];
    }
    if (!(squares >= 1e-12) || !isfinite(squares))
        return STATUS_INTERNAL;
    const double length = sqrt(squares);
    for (uint32_t d = 0; d < width; d++)
        out_unit[d] = (float)((double)out_unit[d] / length);
    return STATUS_OK;
}

static enum status check_pack(const struct encoder *encoder, const struct encoder_scratch *scratch,
                              const uint32_t *ids, struct pack *pack)
{
    pack->tokens_count = 0;
    for (size_t i = 0; i < pack->texts_count; i++) {
        if (pack->lengths[i] == 0 || pack->lengths[i] > encoder->config.max_tokens)
            return STATUS_LIMIT_EXCEEDED;
        pack->tokens_count += pack->lengths[i];
        if (pack->tokens_count > scratch->tokens_max)
            return STATUS_LIMIT_EXCEEDED;
    }
    for (size_t i = 0; i < pack->tokens_count; i++)
        if (ids[i] >= encoder->words.rows)
            return STATUS_LIMIT_EXCEEDED;
    return STATUS_OK;
}

enum status encoder_run(const struct encoder *encoder, struct encoder_scratch *scratch,
                        const uint32_t *ids, const uint32_t *lengths, size_t texts_count,
                        float *out_units)
{
    assert(scratch->encoder == encoder);
    struct pack pack = {.lengths = lengths, .texts_count = texts_count};
    enum status status = check_pack(encoder, scratch, ids, &pack);
    if (status != STATUS_OK)
        return status;
    embed_tokens(encoder, scratch, ids, &pack);
    for (uint32_t i = 0; i < encoder->config.layers; i++)
        run_layer(encoder, scratch, &encoder->layers[i], &pack);
    size_t first = 0;
    for (size_t i = 0; i < texts_count && status == STATUS_OK; first += lengths[i++])
        status = pool(encoder, scratch->rows + first * encoder->width, lengths[i],
                      out_units + i * encoder->width);
    return status;
}
