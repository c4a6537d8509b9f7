/*
 * fuzz_weights_safetensors.c - any bytes as a safetensors file. Beyond "it does not crash": a
 * refusal names its status, and whatever opens can be read, every tensor to its last row.
 */
#include "tests/fuzz/fuzz_weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_and_read(WEIGHTS_SAFETENSORS, data, size);
    return 0;
}
