/*
 * weights.c - the mapping of a file of weights and its table of tensors, sorted by name. Values are
 * looked at once, when the encoder takes a tensor: whatever is not finite or absurdly large is
 * refused there, so that arithmetic behind this door never meets it.
 *
 * THREADS. Open and close belong to one thread; between them the table never changes.
 *
 * NOT HERE. What the two formats look like (weights_safetensors.c, weights_onnx.c); which tensors a
 * model needs (encoder_pack.c); which file and which digest (the provider).
 */
#include "embed/weights.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/half.h"
#include "embed/weights_inside.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "both formats are little-endian");

/* ---- the table ------------------------------------------------------------------------------- */

enum status weights_add(struct weights *weights, const struct weights_tensor *tensor,
                        struct failure *failure)
{
    assert(tensor->bytes >= weights->bytes);
    assert(tensor->size_bytes <= weights->size_bytes);
    if (weights->tensors_count == WEIGHTS_TENSORS_MAX)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "", "more than %d tensors",
                           WEIGHTS_TENSORS_MAX);
    if (weights->tensors_count == weights->tensors_room) {
        const size_t room = weights->tensors_room == 0 ? 128 : 2 * weights->tensors_room;
        struct weights_tensor *grown = reallocarray(weights->tensors, room, sizeof(*grown));
        if (grown == NULL)
            return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for %zu tensors", room);
        weights->tensors = grown;
        weights->tensors_room = room;
    }
    weights->tensors[weights->tensors_count++] = *tensor;
    return STATUS_OK;
}

bool weights_size_of(const uint64_t *dimensions, uint32_t count, uint64_t element_bytes,
                     uint64_t *out_bytes)
{
    assert(count <= WEIGHTS_DIMENSIONS_MAX);
    uint64_t bytes = element_bytes;
    for (uint32_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(bytes, dimensions[i], &bytes) || bytes > INT64_MAX)
            return false;
    *out_bytes = bytes;
    return true;
}

static int compare_names(const void *left, const void *right)
{
    const struct weights_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static enum status sort_tensors(struct weights *weights, struct failure *failure)
{
    if (weights->tensors_count == 0)
        return failure_set(failure, STATUS_WEIGHTS_CORRUPT, "", "there is no tensor in the file");
    qsort(weights->tensors, weights->tensors_count, sizeof(*weights->tensors), compare_names);
    for (size_t i = 1; i < weights->tensors_count; i++)
        if (compare_names(&weights->tensors[i - 1], &weights->tensors[i]) == 0)
            return failure_set(failure, STATUS_WEIGHTS_CORRUPT, weights->tensors[i].name,
                               "two tensors have this name");
    return STATUS_OK;
}

static const struct weights_tensor *find_tensor(const struct weights *weights, const char *name)
{
    struct weights_tensor wanted;
    if (strlen(name) >= sizeof(wanted.name))
        return NULL;
    memcpy(wanted.name, name, strlen(name) + 1);
    return bsearch(&wanted, weights->tensors, weights->tensors_count, sizeof(wanted),
                   compare_names);
}

/* ---- open and close -------------------------------------------------------------------------- */

static enum status read_format(struct weights *weights, enum weights_format format,
                               struct failure *failure)
{
    const enum status status = format == WEIGHTS_ONNX ? weights_read_onnx(weights, failure)
                                                      : weights_read_safetensors(weights, failure);
    return status == STATUS_OK ? sort_tensors(weights, failure) : status;
}

enum status weights_open_bytes(enum weights_format format, const void *bytes, size_t size_bytes,
                               struct weights **out_weights, struct failure *failure)
{
    assert(bytes != NULL);
    struct weights *weights = calloc(1, sizeof(*weights));
    if (weights == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for the table of tensors");
    weights->bytes = bytes;
    weights->size_bytes = size_bytes;
    const enum status status = read_format(weights, format, failure);
    if (status != STATUS_OK)
        goto close_weights;
    *out_weights = weights;
    return STATUS_OK;

close_weights:
    weights_close(&weights);
    return status;
}

static enum status map_file(const char *path, const uint8_t **out_bytes, size_t *out_size_bytes,
                            struct failure *failure)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return failure_set(failure, STATUS_WEIGHTS_MISSING, "", "%s: %s", path, strerror(errno));
    struct stat about;
    void *bytes = MAP_FAILED;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0)
        bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    (void)close(file); /* the mapping keeps it */
    if (bytes == MAP_FAILED)
        return failure_set(failure, STATUS_WEIGHTS_CORRUPT, "",
                           "%s: empty, not a file, or it cannot be mapped", path);
    *out_bytes = bytes;
    *out_size_bytes = (size_t)about.st_size;
    return STATUS_OK;
}

static bool ends_with(const char *path, const char *end)
{
    const size_t length = strlen(path), end_length = strlen(end);
    return length > end_length && strcmp(path + length - end_length, end) == 0;
}

enum status weights_open(const char *path, struct weights **out_weights, struct failure *failure)
{
    const bool onnx = ends_with(path, ".onnx");
    if (!onnx && !ends_with(path, ".safetensors"))
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "",
                           "%s: neither .safetensors nor .onnx", path);
    const uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    enum status status = map_file(path, &bytes, &size_bytes, failure);
    if (status != STATUS_OK)
        return status;
    struct weights *weights = NULL;
    status = weights_open_bytes(onnx ? WEIGHTS_ONNX : WEIGHTS_SAFETENSORS, bytes, size_bytes,
                                &weights, failure);
    if (status != STATUS_OK)
        goto unmap;
    weights->mapped = true;
    *out_weights = weights;
    return STATUS_OK;

unmap:
    (void)munmap((void *)(uintptr_t)bytes, size_bytes);
    return status;
}

void weights_close(struct weights **weights)
{
    struct weights *doomed = *weights;
    if (doomed == NULL)
        return;
    *weights = NULL;
    if (doomed->mapped)
        (void)munmap((void *)(uintptr_t)doomed->bytes, doomed->size_bytes);
    free(doomed->tensors);
    free(doomed);
}

/* ---- what callers ask ------------------------------------------------------------------------ */

size_t weights_tensors_count(const struct weights *weights)
{
    return weights->tensors_count;
}

bool weights_has(const struct weights *weights, const char *name)
{
    return find_tensor(weights, name) != NULL;
}

enum status weights_verify(const struct weights *weights, const struct digest *expected,
                           struct failure *failure)
{
    const struct digest found = digest_sha256(weights->bytes, weights->size_bytes);
    if (digest_equal(&found, expected))
        return STATUS_OK;
    char found_hex[DIGEST_HEX + 1], expected_hex[DIGEST_HEX + 1];
    digest_to_hex(&found, found_hex);
    digest_to_hex(expected, expected_hex);
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, "", "SHA-256 is %s, expected %.24s...",
                       found_hex, expected_hex);
}

enum status weights_find(const struct weights *weights, const char *name,
                         struct weights_matrix *out_matrix, struct failure *failure)
{
    const struct weights_tensor *tensor = find_tensor(weights, name);
    if (tensor == NULL)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, name, "the file has no such tensor");
    if (tensor->type == WEIGHTS_OTHER)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, name,
                           "the tensor is not stored as F32 or F16");
    const bool flat = tensor->dimensions_count == 1;
    const uint64_t first = flat ? 1 : tensor->dimensions[0];
    const uint64_t second = tensor->dimensions[flat ? 0 : 1];
    if (tensor->dimensions_count < 1 || tensor->dimensions_count > 2 || first == 0 || second == 0 ||
        first > UINT32_MAX || second > UINT32_MAX)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, name,
                           "the tensor is neither a vector nor a matrix");
    *out_matrix = (struct weights_matrix){
        .bytes = tensor->bytes,
        .rows = (uint32_t)(tensor->transposed ? second : first),
        .columns = (uint32_t)(tensor->transposed ? first : second),
        .type = tensor->type,
        .transposed = tensor->transposed,
    };
    return STATUS_OK;
}

static float value_at(const struct weights_matrix *matrix, size_t index)
{
    if (matrix->type == WEIGHTS_F16) {
        uint16_t half;
        memcpy(&half, matrix->bytes + 2 * index, sizeof(half));
        return half_to_float(half);
    }
    float value;
    memcpy(&value, matrix->bytes + 4 * index, sizeof(value));
    return value;
}

enum status weights_find_checked(const struct weights *weights, const char *name, uint32_t rows,
                                 uint32_t columns, struct weights_matrix *out_matrix,
                                 struct failure *failure)
{
    struct weights_matrix matrix;
    const enum status status = weights_find(weights, name, &matrix, failure);
    if (status != STATUS_OK)
        return status;
    if (matrix.rows != rows || matrix.columns != columns)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, name,
                           "the tensor is %u x %u, not %u x %u", matrix.rows, matrix.columns, rows,
                           columns);
    const size_t count = (size_t)rows * columns;
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(value_at(&matrix, i)) <= WEIGHTS_MAGNITUDE_MAX)) /* so NaN fails, too */
            return failure_set(failure, STATUS_WEIGHTS_CORRUPT, name,
                               "value %zu is not finite or beyond %g", i, WEIGHTS_MAGNITUDE_MAX);
    *out_matrix = matrix;
    return STATUS_OK;
}

void weights_read_row(const struct weights_matrix *matrix, uint32_t row, float *out_values)
{
    assert(row < matrix->rows);
    const size_t first = (size_t)row * matrix->columns;
    if (matrix->transposed)
        for (uint32_t i = 0; i < matrix->columns; i++)
            out_values[i] = value_at(matrix, (size_t)i * matrix->rows + row);
    else if (matrix->type == WEIGHTS_F32)
        memcpy(out_values, matrix->bytes + 4 * first, matrix->columns * sizeof(*out_values));
    else
        for (uint32_t i = 0; i < matrix->columns; i++)
            out_values[i] = value_at(matrix, first + i);
}

void weights_forget_pages(const struct weights *weights)
{
    if (weights->mapped)
        (void)madvise((void *)(uintptr_t)weights->bytes, weights->size_bytes, MADV_DONTNEED);
}
