/*
 * weights.h - a file of trained weights: safetensors, or the initialisers of an ONNX file. The file
 * is mapped, its table of tensors is checked, nothing in it is executed.
 * Threads: opening and closing are single; everything else only reads. The file must not be changed
 * or cut while it is open: a mapped page that is gone ends the process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

enum {
    WEIGHTS_HEADER_BYTES_MAX = 1 << 20, /* the JSON of a safetensors file          */
    WEIGHTS_TENSORS_MAX = 4096,         /* in one file, the names of ONNX included */
    WEIGHTS_NODES_MAX = 1 << 16         /* of an ONNX graph                        */
};

/* Larger values are refused: no encoder has them, and below it no sum in the encoder overflows. */
#define WEIGHTS_MAGNITUDE_MAX 1000.0f

enum weights_format { WEIGHTS_SAFETENSORS, WEIGHTS_ONNX };
enum weights_type { WEIGHTS_F32, WEIGHTS_F16, WEIGHTS_OTHER };

struct weights;

/* One tensor as a matrix: its bytes lie in the file, aligned to nothing. */
struct weights_matrix {
    const uint8_t *bytes;
    uint32_t rows, columns;
    enum weights_type type; /* never WEIGHTS_OTHER                             */
    bool transposed;        /* stored column by column, as ONNX does for MatMul */
};

/*
 * Maps the file; the end of its name tells the format, .safetensors or .onnx. WEIGHTS_MISSING: no
 * such file; WEIGHTS_CORRUPT: not what its name says, or cut; MODEL_UNSUPPORTED: too many tensors,
 * another ending. The failure (NULL is fine) says what and where.
 */
enum status weights_open(const char *path, struct weights **out_weights, struct failure *failure);

/* The same over bytes that the caller keeps until weights_close. */
enum status weights_open_bytes(enum weights_format format, const void *bytes, size_t size_bytes,
                               struct weights **out_weights, struct failure *failure);
void weights_close(struct weights **weights);

size_t weights_tensors_count(const struct weights *weights);
bool weights_has(const struct weights *weights, const char *name);

/* WEIGHTS_CORRUPT when the SHA-256 of the whole file is another one. */
enum status weights_verify(const struct weights *weights, const struct digest *expected,
                           struct failure *failure);

/* A tensor of one or two dimensions, of F32 or F16; one dimension is one row. MODEL_UNSUPPORTED. */
enum status weights_find(const struct weights *weights, const char *name,
                         struct weights_matrix *out_matrix, struct failure *failure);

/* The same, and it has this shape and no value beyond WEIGHTS_MAGNITUDE_MAX (WEIGHTS_CORRUPT). */
enum status weights_find_checked(const struct weights *weights, const char *name, uint32_t rows,
                                 uint32_t columns, struct weights_matrix *out_matrix,
                                 struct failure *failure);

/* One row as floats, wherever and however it is stored. */
void weights_read_row(const struct weights_matrix *matrix, uint32_t row, float *out_values);

/* Gives the pages of the mapping back; they return by themselves when they are read again. */
void weights_forget_pages(const struct weights *weights);
