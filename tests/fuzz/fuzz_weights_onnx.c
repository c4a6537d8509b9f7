/*
 * fuzz_weights_onnx.c - any bytes as an ONNX file. Beyond "it does not crash": a refusal names its
 * status, and whatever opens can be read, every tensor to its last row, transposed ones too.
 */
#include "tests/fuzz/fuzz_weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_and_read(WEIGHTS_ONNX, data, size);
    return 0;
}
