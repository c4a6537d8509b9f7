/*
 * manifest.h - manifest.json: what a model's folder holds and how the model is to be run. Pure.
 * Threads: any.
 */
#pragma once
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "embed/encoder.h"

enum { MANIFEST_BYTES_MAX = 1 << 16, MANIFEST_NAME_MAX = 48, MANIFEST_PREFIX_MAX = 64 };

struct manifest_file {
    char name[MANIFEST_NAME_MAX]; /* in the same folder */
    uint64_t size_bytes;
    struct digest sha256;
};

struct manifest {
    char model[MANIFEST_NAME_MAX];
    struct manifest_file weights;    /* .safetensors or .onnx         */
    struct manifest_file vocabulary; /* .txt, a piece a line; or .json */
    uint32_t layers, heads, max_tokens;
    enum encoder_pooling pooling;
    char prefix[MANIFEST_PREFIX_MAX]; /* before every text; "" or ending in a space */
    float threshold_default, min_similarity;
};

/*
 * WEIGHTS_CORRUPT: no JSON, a key is missing, given twice or outside its limits. MODEL_UNSUPPORTED:
 * a key that is not known, for it might shape vectors. The failure's field is the key.
 */
enum status manifest_read(struct text json, struct manifest *out_manifest, struct failure *failure);
