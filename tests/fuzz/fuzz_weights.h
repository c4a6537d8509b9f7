/*
 * fuzz_weights.h - what the targets of both formats do with their bytes.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "embed/weights_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_weights: %s\n", what);
    abort();
}

static inline void read_matrix(const struct weights *weights, const struct weights_tensor *tensor)
{
    struct weights_matrix matrix;
    struct failure failure = {.status = STATUS_OK};
    if (weights_find(weights, tensor->name, &matrix, &failure) != STATUS_OK) {
        must(failure.status == STATUS_MODEL_UNSUPPORTED, "a named tensor is not there");
        return;
    }
    const size_t element_bytes = matrix.type == WEIGHTS_F16 ? 2 : 4;
    must((uint64_t)matrix.rows * matrix.columns * element_bytes == tensor->size_bytes,
         "a matrix has another size than its tensor");
    float *row = calloc(matrix.columns, sizeof(*row));
    must(row != NULL, "no memory for a row");
    for (uint32_t i = 0; i < matrix.rows; i++)
        weights_read_row(&matrix, i, row);
    free(row);
}

static inline void open_and_read(enum weights_format format, const uint8_t *data, size_t size)
{
    static const uint8_t nothing;
    struct weights *weights = NULL;
    struct failure failure = {.status = STATUS_OK};
    const enum status status =
        weights_open_bytes(format, size > 0 ? data : &nothing, size, &weights, &failure);
    must(status == failure.status, "a refusal does not name its status");
    must((status == STATUS_OK) == (weights != NULL), "a status and its result differ");
    for (size_t i = 0; weights != NULL && i < weights->tensors_count; i++)
        read_matrix(weights, &weights->tensors[i]);
    weights_close(&weights);
}
