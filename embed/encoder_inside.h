/*
 * encoder_inside.h - between encoder.c, which runs, and encoder_pack.c, which takes the weights in.
 */
#pragma once
#include "embed/encoder.h"

/* y = x w + b. Of the two forms one is there, as the precision says. */
struct encoder_linear {
    uint32_t inputs, columns;
    float *floats; /* fp32: [inputs][columns]          */
    float *biases; /* of both; panels.biases is this   */
    struct encoder_panels panels;
};

/* Owned twin of struct encoder_norm. */
struct encoder_norm_pair {
    float *weights, *biases;
};

struct encoder_layer {
    struct encoder_linear attention_in; /* query, key and value side by side */
    struct encoder_linear attention_out;
    struct encoder_linear inner, outer; /* feed-forward, gelu between them   */
    struct encoder_norm_pair attention_norm, outer_norm;
};

struct encoder {
    struct encoder_config config;
    uint32_t width, inner;
    struct weights_matrix words; /* stays in the file                               */
    float *places;               /* [max_tokens][width]: position plus token type 0 */
    struct encoder_norm_pair words_norm;
    struct encoder_layer *layers;
    size_t packed_bytes;
};

/* Zeroed, aligned to ENCODER_ALIGN, with room for one vector behind; NULL when memory is spent. */
void *encoder_allocate(size_t count, size_t size_bytes);
