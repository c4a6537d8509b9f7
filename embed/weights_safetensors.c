/*
 * weights_safetensors.c - the reader of safetensors files.
 *
 *   offset  bytes
 *   0       8      length of the header, little-endian
 *   8       length the header: one JSON object, padded with spaces
 *   then           the data; offsets in the header count from here
 *
 * The header maps each name to {"dtype": "F32", "shape": [384, 1536], "data_offsets": [begin,
 * end]}; the name __metadata__ holds strings that we ignore. Source: the format section of
 * https://github.com/huggingface/safetensors. Accepted is what keeps all of this: the header at
 * most WEIGHTS_HEADER_BYTES_MAX, every pair of offsets inside the file, no two overlapping, and
 * shape times dtype exactly the bytes between them.
 *
 * THREADS. None of its own; everything it makes is gone or in the table when it returns.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "embed/weights_inside.h"

enum { LENGTH_BYTES = 8 };

static enum status corrupt(struct failure *failure, const char *name, const char *what)
{
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, name, "safetensors: %s", what);
}

/* ---- one tensor ------------------------------------------------------------------------------ */

static bool element_of(const char *dtype, uint64_t *out_bytes, enum weights_type *out_type)
{
    static const struct {
        const char *dtype;
        uint64_t bytes;
        enum weights_type type;
    } rows[] = {
        {"F32", 4, WEIGHTS_F32},    {"F16", 2, WEIGHTS_F16},   {"BF16", 2, WEIGHTS_OTHER},
        {"F64", 8, WEIGHTS_OTHER},  {"I64", 8, WEIGHTS_OTHER}, {"U64", 8, WEIGHTS_OTHER},
        {"I32", 4, WEIGHTS_OTHER},  {"U32", 4, WEIGHTS_OTHER}, {"I16", 2, WEIGHTS_OTHER},
        {"U16", 2, WEIGHTS_OTHER},  {"I8", 1, WEIGHTS_OTHER},  {"U8", 1, WEIGHTS_OTHER},
        {"BOOL", 1, WEIGHTS_OTHER},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].dtype, dtype) != 0)
            continue;
        *out_bytes = rows[i].bytes;
        *out_type = rows[i].type;
        return true;
    }
    return false;
}

/* A whole number from 0 to 2^53, which a double holds exactly. */
static bool read_whole(const cJSON *item, uint64_t *out_value)
{
    const double most = 9007199254740992.0;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > most)
        return false;
    *out_value = (uint64_t)item->valuedouble;
    return (double)*out_value == item->valuedouble;
}

static bool read_wholes(const cJSON *array, uint32_t max, uint64_t *out_values, uint32_t *out_count)
{
    uint32_t count = 0;
    const cJSON *item = NULL;
    if (!cJSON_IsArray(array))
        return false;
    cJSON_ArrayForEach(item, array)
    {
        if (count == max || !read_whole(item, &out_values[count]))
            return false;
        count++;
    }
    *out_count = count;
    return true;
}

static enum status read_tensor(struct weights *weights, const cJSON *item, uint64_t data_start,
                               struct failure *failure)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    struct weights_tensor tensor = {.size_bytes = 0};
    uint64_t element_bytes, offsets[2], size_bytes;
    uint32_t offsets_count;
    if (!cJSON_IsString(dtype) || !element_of(dtype->valuestring, &element_bytes, &tensor.type))
        return corrupt(failure, item->string, "dtype is missing or unknown");
    if (!read_wholes(cJSON_GetObjectItemCaseSensitive(item, "shape"), WEIGHTS_DIMENSIONS_MAX,
                     tensor.dimensions, &tensor.dimensions_count))
        return corrupt(failure, item->string, "shape is not a short list of whole numbers");
    if (!read_wholes(cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), 2, offsets,
                     &offsets_count) ||
        offsets_count != 2)
        return corrupt(failure, item->string, "data_offsets are not two whole numbers");
    if (offsets[0] > offsets[1] || offsets[1] > weights->size_bytes - data_start)
        return corrupt(failure, item->string, "data_offsets lie outside the file");
    if (!weights_size_of(tensor.dimensions, tensor.dimensions_count, element_bytes, &size_bytes) ||
        size_bytes != offsets[1] - offsets[0])
        return corrupt(failure, item->string, "shape and data_offsets differ in size");
    if (strlen(item->string) >= sizeof(tensor.name))
        return STATUS_OK; /* checked, but nobody asks for such a name */
    memcpy(tensor.name, item->string, strlen(item->string) + 1);
    tensor.bytes = weights->bytes + data_start + offsets[0];
    tensor.size_bytes = size_bytes;
    return weights_add(weights, &tensor, failure);
}

/* ---- the header ------------------------------------------------------------------------------ */

static enum status read_tensors(struct weights *weights, const cJSON *header, uint64_t data_start,
                                struct failure *failure)
{
    enum status status = STATUS_OK;
    for (const cJSON *item = header->child; item != NULL && status == STATUS_OK; item = item->next)
        if (!cJSON_IsObject(item))
            status = corrupt(failure, item->string, "the entry is no object");
        else if (strcmp(item->string, "__metadata__") != 0)
            status = read_tensor(weights, item, data_start, failure);
    return status;
}

static int compare_places(const void *left, const void *right)
{
    const struct weights_tensor *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return a->size_bytes < b->size_bytes ? -1 : a->size_bytes > b->size_bytes;
}

static enum status check_overlap(struct weights *weights, struct failure *failure)
{
    if (weights->tensors_count == 0)
        return STATUS_OK;
    struct weights_tensor *tensors = weights->tensors;
    qsort(tensors, weights->tensors_count, sizeof(*tensors), compare_places);
    for (size_t i = 1; i < weights->tensors_count; i++)
        if (tensors[i - 1].bytes + tensors[i - 1].size_bytes > tensors[i].bytes)
            return corrupt(failure, tensors[i].name, "the tensor overlaps another");
    return STATUS_OK;
}

static bool only_spaces(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at == end;
}

enum status weights_read_safetensors(struct weights *weights, struct failure *failure)
{
    uint64_t length;
    if (weights->size_bytes < LENGTH_BYTES)
        return corrupt(failure, "", "the file is shorter than its first field");
    memcpy(&length, weights->bytes, sizeof(length));
    if (length > WEIGHTS_HEADER_BYTES_MAX || length > weights->size_bytes - LENGTH_BYTES)
        return corrupt(failure, "", "the header is longer than the file or than 1 MiB");
    const char *start = (const char *)weights->bytes + LENGTH_BYTES, *end = NULL;
    cJSON *header = cJSON_ParseWithLengthOpts(start, length, &end, false);
    enum status status = STATUS_OK;
    if (!cJSON_IsObject(header) || !only_spaces(end, start + length))
        status = corrupt(failure, "", "the header is not one JSON object");
    if (status == STATUS_OK)
        status = read_tensors(weights, header, LENGTH_BYTES + length, failure);
    if (status == STATUS_OK)
        status = check_overlap(weights, failure);
    cJSON_Delete(header);
    return status;
}
