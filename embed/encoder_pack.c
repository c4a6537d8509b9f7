/*
 * encoder_pack.c - from a file of weights to what the kernels want: shapes are checked, rows are
 * rounded to int8, panels laid out.
 *
 * INT8. Per output column: step = max |w| / 127, code = w / step rounded, ties to even. A panel
 * holds 48 columns; inside it four inputs of one column lie side by side, because the instructions
 * multiply fours: codes[panel][input / 4][column in panel][input % 4].
 *
 * NAMES are those of the BERT checkpoints (embeddings.*, encoder.layer.N.*); pooler.* is ignored,
 * sentence vectors do not pass through it.
 *
 * THREADS. The creator's.
 *
 * NOT HERE. Running (encoder.c); reading files (weights*.c).
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "embed/encoder_inside.h"

enum { NAME_ROOM = 96, CODE_MAX = 127 };

/* What every step needs, so that functions stay short of parameters. */
struct packing {
    const struct weights *weights;
    struct encoder *encoder;
    struct failure *failure;
    float *row; /* one row of any matrix, as it is read */
};

void *encoder_allocate(size_t count, size_t size_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size_bytes, &bytes) || bytes > SIZE_MAX - 2 * ENCODER_ALIGN)
        return NULL;
    bytes = (bytes + 2 * ENCODER_ALIGN - 1) / ENCODER_ALIGN * ENCODER_ALIGN;
    void *memory = aligned_alloc(ENCODER_ALIGN, bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

static void *allocate(struct packing *packing, size_t count, size_t size_bytes)
{
    packing->encoder->packed_bytes += count * size_bytes;
    return encoder_allocate(count, size_bytes);
}

static enum status no_memory(struct packing *packing)
{
    return failure_set(packing->failure, STATUS_NO_MEMORY, "", "no memory for the packed model");
}

/* ---- tensors --------------------------------------------------------------------------------- */

static enum status read_vector(struct packing *packing, const char *name, uint32_t count,
                               float *out_values)
{
    struct weights_matrix matrix;
    const enum status status =
        weights_find_checked(packing->weights, name, 1, count, &matrix, packing->failure);
    if (status == STATUS_OK)
        weights_read_row(&matrix, 0, out_values);
    return status;
}

/* PREFIX.weight and PREFIX.bias of a layer normalisation. */
static enum status read_norm(struct packing *packing, const char *prefix,
                             struct encoder_norm_pair *out_norm)
{
    const uint32_t width = packing->encoder->width;
    char name[NAME_ROOM];
    out_norm->weights = allocate(packing, width, sizeof(float));
    out_norm->biases = allocate(packing, width, sizeof(float));
    if (out_norm->weights == NULL || out_norm->biases == NULL)
        return no_memory(packing);
    (void)snprintf(name, sizeof(name), "%s.weight", prefix);
    const enum status status = read_vector(packing, name, width, out_norm->weights);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(name, sizeof(name), "%s.bias", prefix);
    return read_vector(packing, name, width, out_norm->biases);
}

/* ---- linear layers --------------------------------------------------------------------------- */

static enum status allocate_linear(struct packing *packing, struct encoder_linear *linear)
{
    const size_t weights_count = (size_t)linear->inputs * linear->columns;
    struct encoder_panels *panels = &linear->panels;
    linear->biases = allocate(packing, linear->columns, sizeof(float));
    if (packing->encoder->config.precision == ENCODER_FP32) {
        linear->floats = allocate(packing, weights_count, sizeof(float));
        return linear->biases == NULL || linear->floats == NULL ? no_memory(packing) : STATUS_OK;
    }
    panels->inputs = linear->inputs;
    panels->columns = linear->columns;
    panels->biases = linear->biases;
    panels->codes = allocate(packing, weights_count, sizeof(int8_t));
    panels->code_sums = allocate(packing, linear->columns, sizeof(int32_t));
    panels->steps = allocate(packing, linear->columns, sizeof(float));
    panels->step_sums = allocate(packing, linear->columns, sizeof(float));
    return linear->biases == NULL || panels->codes == NULL || panels->code_sums == NULL ||
                   panels->steps == NULL || panels->step_sums == NULL
               ? no_memory(packing)
               : STATUS_OK;
}

static void deinit_linear(struct encoder_linear *linear)
{
    free(linear->panels.step_sums);
    free(linear->panels.steps);
    free(linear->panels.code_sums);
    free(linear->panels.codes);
    free(linear->floats);
    free(linear->biases);
}

static void pack_column(struct encoder_panels *panels, uint32_t column, const float *weights)
{
    float most = 0;
    for (uint32_t k = 0; k < panels->inputs; k++)
        most = fmaxf(most, fabsf(weights[k]));
    const float step = most > 1e-30f ? most / CODE_MAX : 1.0f;
    const uint32_t inside = column % ENCODER_PANEL_COLUMNS;
    int8_t *codes = panels->codes + (size_t)(column - inside) * panels->inputs;
    int32_t sum = 0;
    for (uint32_t k = 0; k < panels->inputs; k++) {
        const int8_t code = (int8_t)lrintf(weights[k] / step);
        assert_slow(code >= -CODE_MAX);
        sum += code;
        codes[((size_t)k / ENCODER_PANEL_DEPTH * ENCODER_PANEL_COLUMNS + inside) *
                  ENCODER_PANEL_DEPTH +
              k % ENCODER_PANEL_DEPTH] = code;
    }
    panels->code_sums[column] = sum;
    panels->steps[column] = step;
    panels->step_sums[column] = step * (float)sum;
}

/* Columns side by side, as in the panels that OpenBLAS makes of them in each product: read this way
 * they cost it less than rows do (docs/decisions/0005). */
static void put_column(struct encoder_linear *linear, uint32_t column, const float *weights)
{
    for (uint32_t k = 0; k < linear->inputs; k++)
        linear->floats[(size_t)k * linear->columns + column] = weights[k];
}

/* PREFIX.weight [columns][inputs] and PREFIX.bias become columns from `first` on. */
static enum status read_columns(struct packing *packing, const char *prefix, uint32_t first,
                                uint32_t count, struct encoder_linear *linear)
{
    struct weights_matrix matrix;
    char name[NAME_ROOM];
    (void)snprintf(name, sizeof(name), "%s.weight", prefix);
    const enum status status = weights_find_checked(packing->weights, name, count, linear->inputs,
                                                    &matrix, packing->failure);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        weights_read_row(&matrix, i, packing->row);
        if (linear->floats != NULL)
            put_column(linear, first + i, packing->row);
        else
            pack_column(&linear->panels, first + i, packing->row);
    }
    (void)snprintf(name, sizeof(name), "%s.bias", prefix);
    return read_vector(packing, name, count, linear->biases + first);
}

/* `parts` of equal height side by side, each named LAYER.PART. */
static enum status read_linear(struct packing *packing, uint32_t layer, const char *const *parts,
                               struct encoder_linear *linear)
{
    uint32_t parts_count = 0, first = 0;
    while (parts[parts_count] != NULL)
        parts_count++;
    const uint32_t height = linear->columns / parts_count;
    enum status status = allocate_linear(packing, linear);
    for (uint32_t i = 0; i < parts_count && status == STATUS_OK; i++, first += height) {
        char prefix[NAME_ROOM - 16];
        (void)snprintf(prefix, sizeof(prefix), "encoder.layer.%u.%s", layer, parts[i]);
        status = read_columns(packing, prefix, first, height, linear);
    }
    return status;
}

static enum status read_layer(struct packing *packing, uint32_t index)
{
    static const char *const attention_in[] = {"attention.self.query", "attention.self.key",
                                               "attention.self.value", NULL};
    static const char *const attention_out[] = {"attention.output.dense", NULL};
    static const char *const inner[] = {"intermediate.dense", NULL};
    static const char *const outer[] = {"output.dense", NULL};
    const uint32_t width = packing->encoder->width, inner_width = packing->encoder->inner;
    struct encoder_layer *layer = &packing->encoder->layers[index];
    const struct {
        struct encoder_linear *linear;
        const char *const *parts;
        uint32_t inputs, columns;
    } linears[] = {{&layer->attention_in, attention_in, width, 3 * width},
                   {&layer->attention_out, attention_out, width, width},
                   {&layer->inner, inner, width, inner_width},
                   {&layer->outer, outer, inner_width, width}};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 4 && status == STATUS_OK; i++) {
        linears[i].linear->inputs = linears[i].inputs;
        linears[i].linear->columns = linears[i].columns;
        status = read_linear(packing, index, linears[i].parts, linears[i].linear);
    }
    char prefix[NAME_ROOM - 16];
    (void)snprintf(prefix, sizeof(prefix), "encoder.layer.%u.attention.output.LayerNorm", index);
    if (status == STATUS_OK)
        status = read_norm(packing, prefix, &layer->attention_norm);
    (void)snprintf(prefix, sizeof(prefix), "encoder.layer.%u.output.LayerNorm", index);
    return status == STATUS_OK ? read_norm(packing, prefix, &layer->outer_norm) : status;
}

/* ---- shapes and tables ----------------------------------------------------------------------- */

static enum status unsupported(struct packing *packing, const char *name, uint32_t found,
                               const char *wanted)
{
    return failure_set(packing->failure, STATUS_MODEL_UNSUPPORTED, name, "%u is not %s", found,
                       wanted);
}

static enum status check_config(struct packing *packing)
{
    const struct encoder_config *config = &packing->encoder->config;
    const uint32_t width = packing->encoder->width, inner = packing->encoder->inner;
    if (config->layers < 1 || config->layers > ENCODER_LAYERS_MAX)
        return unsupported(packing, "layers", config->layers, "from 1 to 48");
    if (width % ENCODER_PANEL_COLUMNS != 0 || width > ENCODER_WIDTH_MAX)
        return unsupported(packing, "embeddings.word_embeddings.weight", width,
                           "a width that is a multiple of 48, at most 1536");
    if (inner % ENCODER_PANEL_COLUMNS != 0 || inner > ENCODER_INNER_MAX)
        return unsupported(packing, "encoder.layer.0.intermediate.dense.weight", inner,
                           "an inner width that is a multiple of 48, at most 6144");
    if (config->heads < 1 || width % config->heads != 0 ||
        width / config->heads % ENCODER_LANES != 0)
        return unsupported(packing, "heads", config->heads,
                           "a number of heads whose size is a multiple of 16");
    if (config->max_tokens < 1 || config->max_tokens > ENCODER_TOKENS_MAX)
        return unsupported(packing, "max_tokens", config->max_tokens, "from 1 to 8192");
    char name[NAME_ROOM];
    (void)snprintf(name, sizeof(name), "encoder.layer.%u.output.dense.weight", config->layers);
    if (weights_has(packing->weights, name))
        return unsupported(packing, name, config->layers, "the number of layers: there are more");
    return STATUS_OK;
}

/* Width and inner width are what the file says. */
static enum status find_shape(struct packing *packing)
{
    struct weights_matrix words, inner;
    enum status status = weights_find(packing->weights, "embeddings.word_embeddings.weight", &words,
                                      packing->failure);
    if (status == STATUS_OK)
        status = weights_find(packing->weights, "encoder.layer.0.intermediate.dense.weight", &inner,
                              packing->failure);
    if (status != STATUS_OK)
        return status;
    packing->encoder->width = words.columns;
    packing->encoder->inner = inner.rows;
    status = check_config(packing);
    if (status != STATUS_OK)
        return status;
    return weights_find_checked(packing->weights, "embeddings.word_embeddings.weight", words.rows,
                                words.columns, &packing->encoder->words, packing->failure);
}

static enum status read_places(struct packing *packing)
{
    static const char position_name[] = "embeddings.position_embeddings.weight";
    static const char type_name[] = "embeddings.token_type_embeddings.weight";
    struct encoder *encoder = packing->encoder;
    const uint32_t width = encoder->width, count = encoder->config.max_tokens;
    struct weights_matrix positions, types;
    enum status status =
        weights_find(packing->weights, position_name, &positions, packing->failure);
    if (status == STATUS_OK && positions.rows < count)
        return unsupported(packing, position_name, positions.rows, "as many as max_tokens");
    if (status == STATUS_OK)
        status = weights_find_checked(packing->weights, position_name, positions.rows, width,
                                      &positions, packing->failure);
    if (status == STATUS_OK)
        status = weights_find(packing->weights, type_name, &types, packing->failure);
    if (status == STATUS_OK)
        status = weights_find_checked(packing->weights, type_name, types.rows, width, &types,
                                      packing->failure);
    if (status != STATUS_OK)
        return status;
    encoder->places = allocate(packing, (size_t)count * width, sizeof(float));
    if (encoder->places == NULL)
        return no_memory(packing);
    weights_read_row(&types, 0, packing->row);
    for (uint32_t i = 0; i < count; i++) {
        float *place = encoder->places + (size_t)i * width;
        weights_read_row(&positions, i, place);
        for (uint32_t d = 0; d < width; d++)
            place[d] += packing->row[d];
    }
    return STATUS_OK;
}

static enum status pack(struct packing *packing)
{
    struct encoder *encoder = packing->encoder;
    enum status status = find_shape(packing);
    if (status != STATUS_OK)
        return status;
    const uint32_t longest = encoder->width > encoder->inner ? encoder->width : encoder->inner;
    packing->row = encoder_allocate(longest, sizeof(float));
    encoder->layers = calloc(encoder->config.layers, sizeof(*encoder->layers));
    if (packing->row == NULL || encoder->layers == NULL)
        return no_memory(packing);
    status = read_places(packing);
    if (status == STATUS_OK)
        status = read_norm(packing, "embeddings.LayerNorm", &encoder->words_norm);
    for (uint32_t i = 0; i < encoder->config.layers && status == STATUS_OK; i++)
        status = read_layer(packing, i);
    return status;
}

/* ---- the encoder ----------------------------------------------------------------------------- */

enum status encoder_create(const struct weights *weights, const struct encoder_config *config,
                           struct encoder **out_encoder, struct failure *failure)
{
    struct encoder *encoder = calloc(1, sizeof(*encoder));
    if (encoder == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for an encoder");
    encoder->config = *config;
    if (config->kernels == NULL)
        encoder->config.kernels = encoder_kernels();
    struct packing packing = {.weights = weights, .encoder = encoder, .failure = failure};
    const enum status status = pack(&packing);
    free(packing.row);
    if (status != STATUS_OK)
        goto destroy_encoder;
    weights_forget_pages(weights);
    *out_encoder = encoder;
    return STATUS_OK;

destroy_encoder:
    encoder_destroy(&encoder);
    return status;
}

static void deinit_norm(struct encoder_norm_pair *norm)
{
    free(norm->biases);
    free(norm->weights);
}

static void deinit_layer(struct encoder_layer *layer)
{
    deinit_norm(&layer->outer_norm);
    deinit_norm(&layer->attention_norm);
    deinit_linear(&layer->outer);
    deinit_linear(&layer->inner);
    deinit_linear(&layer->attention_out);
    deinit_linear(&layer->attention_in);
}

void encoder_destroy(struct encoder **encoder)
{
    struct encoder *doomed = *encoder;
    if (doomed == NULL)
        return;
    *encoder = NULL;
    for (uint32_t i = 0; doomed->layers != NULL && i < doomed->config.layers; i++)
        deinit_layer(&doomed->layers[i]);
    deinit_norm(&doomed->words_norm);
    free(doomed->places);
    free(doomed->layers);
    free(doomed);
}
