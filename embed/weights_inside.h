/*
 * weights_inside.h - between the rooms of weights: what a reader of one format fills.
 */
#pragma once
#include "embed/weights.h"

enum { WEIGHTS_NAME_ROOM = 128, WEIGHTS_DIMENSIONS_MAX = 8 };

struct weights_tensor {
    char name[WEIGHTS_NAME_ROOM];
    const uint8_t *bytes;
    uint64_t size_bytes;
    uint64_t dimensions[WEIGHTS_DIMENSIONS_MAX];
    uint32_t dimensions_count;
    enum weights_type type;
    bool transposed;
};

struct weights {
    const uint8_t *bytes; /* the whole file        */
    size_t size_bytes;
    bool mapped;                    /* by weights_open: unmapped at the end */
    struct weights_tensor *tensors; /* by name once the file is open */
    size_t tensors_count, tensors_room;
};

/* Appends a copy. NO_MEMORY; MODEL_UNSUPPORTED at WEIGHTS_TENSORS_MAX. */
enum status weights_add(struct weights *weights, const struct weights_tensor *tensor,
                        struct failure *failure);

/* The product of the dimensions and the size of one element; false if it passes 2^63. */
bool weights_size_of(const uint64_t *dimensions, uint32_t count, uint64_t element_bytes,
                     uint64_t *out_bytes);

/* The readers: they fill `tensors` from `bytes`, in any order. */
enum status weights_read_safetensors(struct weights *weights, struct failure *failure);
enum status weights_read_onnx(struct weights *weights, struct failure *failure);
