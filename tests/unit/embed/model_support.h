/*
 * model_support.h - a tiny BERT of a fixed seed, as tensors, as a safetensors file and as an ONNX
 * file in memory; and the paths of the real weights, where they are.
 */
#pragma once
#include "tests/support/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

enum {
    TINY_LAYERS = 2,
    TINY_WIDTH = 96,
    TINY_HEADS = 3,
    TINY_INNER = 192,
    TINY_WORDS = 50,
    TINY_PLACES = 40,
    TINY_TENSORS_MAX = 64
};

struct tiny_tensor {
    char name[80];
    uint32_t rows, columns; /* rows 0: a vector of `columns` */
    float *values;
};

struct tiny_model {
    struct tiny_tensor tensors[TINY_TENSORS_MAX];
    size_t count;
    uint64_t seed;
};

struct bytes { /* grows; freed by the test */
    uint8_t *at;
    size_t length, room;
};

/* ---- bytes ----------------------------------------------------------------------------------- */

static inline void bytes_add(struct bytes *bytes, const void *more, size_t length)
{
    if (bytes->length + length > bytes->room) {
        bytes->room = 2 * (bytes->length + length);
        bytes->at = realloc(bytes->at, bytes->room);
        assert_non_null(bytes->at);
    }
    if (length > 0)
        memcpy(bytes->at + bytes->length, more, length);
    bytes->length += length;
}

static inline void bytes_add_text(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

/* ---- the model ------------------------------------------------------------------------------- */

/* xorshift64 (Marsaglia 2003); about normal: the sum of four 16-bit values. */
static inline float draw_normal(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    float sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (float)(*seed >> (16 * i) & 0xffff) / 65536.0f;
    return (sum - 2.0f) * 1.7320508f;
}

static inline void tiny_add(struct tiny_model *model, const char *name, uint32_t rows,
                            uint32_t columns, float mean, float spread)
{
    assert_true(model->count < TINY_TENSORS_MAX);
    struct tiny_tensor *tensor = &model->tensors[model->count++];
    (void)snprintf(tensor->name, sizeof(tensor->name), "%s", name);
    tensor->rows = rows;
    tensor->columns = columns;
    const size_t count = (size_t)(rows == 0 ? 1 : rows) * columns;
    tensor->values = calloc(count, sizeof(float));
    assert_non_null(tensor->values);
    for (size_t i = 0; i < count; i++)
        tensor->values[i] = mean + spread * draw_normal(&model->seed);
}

static inline void tiny_add_pair(struct tiny_model *model, const char *prefix, uint32_t rows,
                                 uint32_t columns)
{
    char name[80];
    const bool norm = rows == 0;
    (void)snprintf(name, sizeof(name), "%s.weight", prefix);
    tiny_add(model, name, rows, columns, norm ? 1.0f : 0.0f, 0.15f);
    (void)snprintf(name, sizeof(name), "%s.bias", prefix);
    tiny_add(model, name, 0, norm ? columns : rows, 0.0f, 0.15f);
}

static inline void tiny_create(struct tiny_model *model)
{
    static const struct {
        const char *name;
        uint32_t rows, columns;
    } parts[] = {{"attention.self.query", TINY_WIDTH, TINY_WIDTH},
                 {"attention.self.key", TINY_WIDTH, TINY_WIDTH},
                 {"attention.self.value", TINY_WIDTH, TINY_WIDTH},
                 {"attention.output.dense", TINY_WIDTH, TINY_WIDTH},
                 {"attention.output.LayerNorm", 0, TINY_WIDTH},
                 {"intermediate.dense", TINY_INNER, TINY_WIDTH},
                 {"output.dense", TINY_WIDTH, TINY_INNER},
                 {"output.LayerNorm", 0, TINY_WIDTH}};
    *model = (struct tiny_model){.seed = 88172645463325252u};
    tiny_add(model, "embeddings.word_embeddings.weight", TINY_WORDS, TINY_WIDTH, 0, 0.5f);
    tiny_add(model, "embeddings.position_embeddings.weight", TINY_PLACES, TINY_WIDTH, 0, 0.3f);
    tiny_add(model, "embeddings.token_type_embeddings.weight", 2, TINY_WIDTH, 0, 0.3f);
    tiny_add_pair(model, "embeddings.LayerNorm", 0, TINY_WIDTH);
    for (int layer = 0; layer < TINY_LAYERS; layer++)
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
            char prefix[64];
            (void)snprintf(prefix, sizeof(prefix), "encoder.layer.%d.%s", layer, parts[i].name);
            tiny_add_pair(model, prefix, parts[i].rows, parts[i].columns);
        }
}

static inline void tiny_destroy(struct tiny_model *model)
{
    for (size_t i = 0; i < model->count; i++)
        free(model->tensors[i].values);
}

static inline struct tiny_tensor *tiny_find(struct tiny_model *model, const char *name)
{
    for (size_t i = 0; i < model->count; i++)
        if (strcmp(model->tensors[i].name, name) == 0)
            return &model->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline size_t tiny_values_count(const struct tiny_tensor *tensor)
{
    return (size_t)(tensor->rows == 0 ? 1 : tensor->rows) * tensor->columns;
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static inline void safetensors_wrap(struct bytes *file, const char *header, const void *data,
                                    size_t data_length)
{
    const uint64_t length = strlen(header);
    *file = (struct bytes){.length = 0};
    bytes_add(file, &length, sizeof(length));
    bytes_add_text(file, header);
    bytes_add(file, data, data_length);
}

static inline void tiny_to_safetensors(const struct tiny_model *model, bool half,
                                       struct bytes *out_file)
{
    struct bytes header = {.length = 0}, data = {.length = 0};
    bytes_add_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < model->count; i++) {
        const struct tiny_tensor *tensor = &model->tensors[i];
        char entry[256], shape[32];
        const size_t begin = data.length;
        for (size_t v = 0; v < tiny_values_count(tensor); v++) {
            const uint16_t narrow = half_from_float(tensor->values[v]);
            bytes_add(&data, half ? (const void *)&narrow : (const void *)&tensor->values[v],
                      half ? 2 : 4);
        }
        if (tensor->rows == 0)
            (void)snprintf(shape, sizeof(shape), "[%u]", tensor->columns);
        else
            (void)snprintf(shape, sizeof(shape), "[%u,%u]", tensor->rows, tensor->columns);
        (void)snprintf(entry, sizeof(entry),
                       ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                       tensor->name, half ? "F16" : "F32", shape, begin, data.length);
        bytes_add_text(&header, entry);
    }
    bytes_add(&header, "}", 2); /* with its NUL */
    safetensors_wrap(out_file, (const char *)header.at, data.at, data.length);
    free(header.at);
    free(data.at);
}

/* ---- ONNX ------------------------------------------------------------------------------------ */

static inline void proto_varint(struct bytes *bytes, uint64_t value)
{
    while (value >= 128) {
        const uint8_t low = (uint8_t)(value | 128);
        bytes_add(bytes, &low, 1);
        value >>= 7;
    }
    const uint8_t last = (uint8_t)value;
    bytes_add(bytes, &last, 1);
}

static inline void proto_number(struct bytes *bytes, uint32_t field, uint64_t value)
{
    proto_varint(bytes, field << 3);
    proto_varint(bytes, value);
}

static inline void proto_bytes(struct bytes *bytes, uint32_t field, const void *more, size_t length)
{
    proto_varint(bytes, field << 3 | 2);
    proto_varint(bytes, length);
    bytes_add(bytes, more, length);
}

static inline void proto_text(struct bytes *bytes, uint32_t field, const char *text)
{
    proto_bytes(bytes, field, text, strlen(text));
}

static inline void onnx_initializer(struct bytes *graph, const char *name, uint64_t rows,
                                    uint64_t columns, const float *values)
{
    struct bytes tensor = {.length = 0};
    if (rows > 0)
        proto_number(&tensor, 1, rows);
    proto_number(&tensor, 1, columns);
    proto_number(&tensor, 2, 1);
    proto_text(&tensor, 8, name);
    proto_bytes(&tensor, 9, values, (rows > 0 ? rows : 1) * columns * sizeof(*values));
    proto_bytes(graph, 5, tensor.at, tensor.length);
    free(tensor.at);
}

static inline void onnx_node(struct bytes *graph, const char *type, const char *name,
                             const char *second)
{
    struct bytes node = {.length = 0};
    proto_text(&node, 1, "some_activation");
    proto_text(&node, 1, second);
    proto_text(&node, 2, "result");
    proto_text(&node, 3, name);
    proto_text(&node, 4, type);
    proto_bytes(graph, 1, node.at, node.length);
    free(node.at);
}

/* The graph becomes a model; it is freed. */
static inline void onnx_wrap(struct bytes *graph, struct bytes *out_file)
{
    *out_file = (struct bytes){.length = 0};
    proto_number(out_file, 1, 6);
    proto_text(out_file, 2, "a test");
    proto_bytes(out_file, 7, graph->at, graph->length);
    free(graph->at);
}

/* Weights of linear layers as an exporter leaves them: transposed, under a number. */
static inline void tiny_to_onnx(const struct tiny_model *model, struct bytes *out_file)
{
    struct bytes graph = {.length = 0};
    for (size_t i = 0; i < model->count; i++) {
        const struct tiny_tensor *tensor = &model->tensors[i];
        if (tensor->rows == 0 || strncmp(tensor->name, "encoder.", 8) != 0) {
            onnx_initializer(&graph, tensor->name, tensor->rows, tensor->columns, tensor->values);
            continue;
        }
        char number[32], name[96] = "/";
        (void)snprintf(number, sizeof(number), "onnx::MatMul_%zu", 700 + i);
        float *turned = calloc(tiny_values_count(tensor), sizeof(*turned));
        assert_non_null(turned);
        for (size_t r = 0; r < tensor->rows; r++)
            for (size_t c = 0; c < tensor->columns; c++)
                turned[c * tensor->rows + r] = tensor->values[r * tensor->columns + c];
        onnx_initializer(&graph, number, tensor->columns, tensor->rows, turned);
        free(turned);
        const size_t length = strlen(tensor->name) - strlen(".weight");
        for (size_t k = 0; k < length; k++) /* layer.0 keeps its dot */
            name[k + 1] = tensor->name[k] == '.' &&
                                  !(tensor->name[k + 1] >= '0' && tensor->name[k + 1] <= '9')
                              ? '/'
                              : tensor->name[k];
        (void)snprintf(name + 1 + length, sizeof(name) - 1 - length, "/MatMul");
        onnx_node(&graph, "MatMul", name, number);
    }
    onnx_wrap(&graph, out_file);
}

/* ---- the real weights ------------------------------------------------------------------------ */

/* A file of the source tree, by its path from the root. */
static inline void source_path(const char *name, char out_path[512])
{
    const char *here = strstr(__FILE__, "tests/unit/");
    assert_non_null(here);
    (void)snprintf(out_path, 512, "%.*s%s", (int)(here - __FILE__), __FILE__, name);
}

/* $REPRISE_MODELS, else build/models; false if the file is not there. */
static inline bool model_path(const char *name, char out_path[512])
{
    const char *folder = getenv("REPRISE_MODELS");
    char inside[256];
    (void)snprintf(inside, sizeof(inside), "build/models/%s", name);
    if (folder != NULL)
        (void)snprintf(out_path, 512, "%s/%s", folder, name);
    else
        source_path(inside, out_path);
    FILE *file = fopen(out_path, "rb");
    if (file == NULL)
        return false;
    (void)fclose(file);
    return true;
}
