/*
 * fuzz_remote_reply.c - any bytes as the reply of a remote embedder. The first byte chooses shape,
 * count and whether the dimension is known. Beyond "it does not crash": vectors come only with
 * STATUS_OK, all of length 1 and of the dimension that was asked for.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "embed/remote_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_remote_reply: %s\n", what);
    abort();
}

static void check_units(const float *vectors, size_t count, uint32_t dimension)
{
    for (size_t i = 0; i < count; i++) {
        double squares = 0;
        for (uint32_t k = 0; k < dimension; k++)
            squares += (double)vectors[i * dimension + k] * (double)vectors[i * dimension + k];
        must(fabs(squares - 1) < 1e-4, "a vector has another length than 1");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum remote_shape shape = (enum remote_shape)(data[0] % 3);
    size_t count = 1 + data[0] / 3 % 4;
    uint32_t expected = data[0] / 12 % 3 == 0 ? 0 : data[0] / 12 % 3;
    struct remote_reply read;
    struct text reply = {(const char *)data + 1, size - 1};
    (void)remote_reply_blames_length(reply);
    enum status status = remote_reply_read(shape, reply, count, expected, &read);
    must((status == STATUS_OK) == (read.vectors != NULL),
         "vectors come with success, and only then");
    must(read.has_tokens || read.tokens == 0, "tokens that nobody has counted");
    must(read.tokens <= 1 << 30, "more tokens than a request can hold");
    if (status != STATUS_OK)
        return 0;
    must(read.dimension > 0 && read.dimension <= REMOTE_DIMENSION_MAX,
         "a dimension outside its bounds");
    must(expected == 0 || read.dimension == expected, "another dimension than expected");
    check_units(read.vectors, count, read.dimension);
    free(read.vectors);
    return 0;
}
