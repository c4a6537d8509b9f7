/*
 * encoder.h - a BERT sentence encoder: ids of tokens in, one vector of length 1 a text out. It
 * knows weights and arithmetic; nothing of words, files, batches or providers. Threads: an encoder
 * never changes after create, any may run it at the same time, each with a scratch of its own.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "embed/encoder_kernels.h"
#include "embed/weights.h"

/* Raised by every change of arithmetic that changes a vector; part of the space's id. */
enum { ENCODER_ARITHMETIC = 1 };

enum {
    ENCODER_LAYERS_MAX = 48,
    ENCODER_WIDTH_MAX = 1536,
    ENCODER_INNER_MAX = 6144, /* of the two feed-forward layers */
    ENCODER_TOKENS_MAX = 8192 /* of one scratch                 */
};

enum encoder_pooling { ENCODER_POOL_MEAN, ENCODER_POOL_FIRST };

/* FP32 multiplies with OpenBLAS, INT8 with kernels of our own. */
enum encoder_precision { ENCODER_FP32, ENCODER_INT8 };

struct encoder_config {
    uint32_t layers, heads;
    uint32_t max_tokens; /* of one text, [CLS] and [SEP] included; at most the model's positions */
    enum encoder_pooling pooling;
    enum encoder_precision precision;
    const struct encoder_kernels *kernels; /* NULL: the best of this processor */
};

struct encoder;
struct encoder_scratch;

/*
 * Checks and packs the weights; they must outlive the encoder, which reads the word table from
 * them. MODEL_UNSUPPORTED: a tensor is missing, or a shape is none that we run; WEIGHTS_CORRUPT: a
 * value is not finite; NO_MEMORY. The failure (NULL is fine) names the tensor.
 */
enum status encoder_create(const struct weights *weights, const struct encoder_config *config,
                           struct encoder **out_encoder, struct failure *failure);
void encoder_destroy(struct encoder **encoder);

uint32_t encoder_dimension(const struct encoder *encoder);
uint32_t encoder_vocabulary(const struct encoder *encoder); /* ids are below it */
const char *encoder_isa(const struct encoder *encoder);     /* "avx512vnni"     */
size_t encoder_packed_bytes(const struct encoder *encoder);

/* tokens_max: of all texts of one run together, at least the encoder's max_tokens. */
enum status encoder_scratch_create(const struct encoder *encoder, uint32_t tokens_max,
                                   struct encoder_scratch **out_scratch);
void encoder_scratch_destroy(struct encoder_scratch **scratch);

/*
 * The texts lie end to end in `ids`; out_units takes texts_count x dimension floats. A vector does
 * not depend on its neighbours: INT8 byte for byte, FP32 to 1e-6 a coordinate. LIMIT_EXCEEDED: a
 * text without a token or longer than max_tokens, an id outside the vocabulary, more tokens than
 * the scratch holds. INTERNAL: a vector of no length, which no sane model gives. out_units is then
 * unspecified.
 */
enum status encoder_run(const struct encoder *encoder, struct encoder_scratch *scratch,
                        const uint32_t *ids, const uint32_t *lengths, size_t texts_count,
                        float *out_units);
