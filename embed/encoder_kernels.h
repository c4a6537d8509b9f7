/*
 * encoder_kernels.h - the loops of the encoder, one set for each family of processors, chosen at
 * run time. Every set gives the same bytes: integers are exact, and floats are added, multiplied
 * and fused in one written order, sixteen lanes at a time. So a text has one vector on every
 * machine. Threads: any; all of it is pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENCODER_PANEL_COLUMNS = 48, /* outputs of a linear layer that are computed together */
    ENCODER_PANEL_DEPTH = 4,    /* inputs of one output that lie side by side           */
    ENCODER_LANES = 16,
    ENCODER_ALIGN = 64,        /* bytes: panels and every array of floats              */
    ENCODER_ATTENTION_ROWS = 8 /* rows of scores that `attend` has in hand             */
};

/* One linear layer in int8: y = x w + b with w = step x code, a step for each column. */
struct encoder_panels {
    uint32_t inputs, columns; /* multiples of 48                                        */
    int8_t *codes;            /* [columns / 48][inputs / 4][48][4], -127 to 127          */
    int32_t *code_sums;       /* of each column                                         */
    float *steps, *step_sums; /* step_sums = step x code_sum: what the offset of a row adds */
    float *biases;
};

/* One row of activations in 8 bits: x = low + step x code, code from 0 to 255. */
struct encoder_row {
    float low, step;
};

/* The rows of a block in 8 bits. */
struct encoder_activations {
    uint8_t *codes; /* [rows][width]                     */
    struct encoder_row *rows;
    uint8_t *scratch; /* twice as large as codes; of the set */
};

struct encoder_norm {
    const float *weights, *biases; /* layer normalisation, epsilon 1e-12 */
};

struct encoder_attention {
    uint32_t width, heads; /* width = heads x head size; head size a multiple of 16 */
    float *keys;           /* scratch: head size x padded tokens                    */
    float *scores;         /* scratch: ENCODER_ATTENTION_ROWS x padded tokens       */
};

struct encoder_kernels {
    const char *name;

    /* Each row for itself; width is a multiple of 16. A row of one value has the codes 0. */
    void (*quantise)(const float *rows, size_t rows_count, size_t width,
                     struct encoder_activations *out_activations);

    /* out[rows][columns], bias added; the width of the activations is panels->inputs. */
    void (*multiply)(const struct encoder_panels *panels,
                     const struct encoder_activations *activations, size_t rows_count, float *out);

    /* x (1 + erf(x / sqrt 2)) / 2, the exact form; count is a multiple of 16. */
    void (*gelu)(float *values, size_t count);

    /* rows = norm(rows + added), row by row. */
    void (*add_norm)(float *rows, const float *added, size_t rows_count, size_t width,
                     const struct encoder_norm *norm);

    /* One sequence: rows of query, key, value side by side -> rows of contexts. */
    void (*attend)(const struct encoder_attention *attention, const float *rows, size_t tokens,
                   float *out);
};

/* The best set that runs here; always the same. */
const struct encoder_kernels *encoder_kernels(void);

/* Every set of this build, best first, and whether it runs here; returns how many. For tests. */
size_t encoder_kernels_all(const struct encoder_kernels **out_list, bool *out_runs_here,
                           size_t max);

static inline size_t encoder_padded(size_t tokens)
{
    return (tokens + ENCODER_LANES - 1) / ENCODER_LANES * ENCODER_LANES;
}

extern const struct encoder_kernels encoder_kernels_scalar;
#if defined(__x86_64__)
extern const struct encoder_kernels encoder_kernels_avx2;
extern const struct encoder_kernels encoder_kernels_avx512vnni;
#endif
