/*
 * weights_onnx.c - the initialisers of an ONNX file: a walk over its protobuf, field by field. No
 * node is executed, no library is asked; of the graph only the names of the MatMul nodes are read.
 *
 *   ModelProto   7 graph
 *   GraphProto   1 node (repeated)   5 initializer (repeated)
 *   NodeProto    1 input (repeated)  3 name  4 op_type
 *   TensorProto  1 dims  2 data_type (1 FLOAT, 10 FLOAT16)  8 name  9 raw_data  14 data_location
 *
 * Source: onnx/onnx.proto of https://github.com/onnx/onnx; wire format:
 * https://protobuf.dev/programming-guides/encoding.
 *
 * NAMES. An exporter keeps the names of biases and tables, but the weights of linear layers become
 * `onnx::MatMul_799`, stored [in, out]. The node `/encoder/layer.0/output/dense/MatMul` names such
 * a tensor as its second input; so the tensor appears a second time here, transposed, under
 * `encoder.layer.0.output.dense.weight`, the name it has in a safetensors file.
 *
 * BOUNDS. Each step of the walk eats at least one byte; a length reaches never beyond the message
 * that holds it; tensors and nodes are counted. Groups and tensors in other files are refused.
 *
 * THREADS. None of its own.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "embed/weights_inside.h"

enum { MODEL_GRAPH = 7, GRAPH_NODE = 1, GRAPH_INITIALIZER = 5 };
enum { NODE_INPUT = 1, NODE_NAME = 3, NODE_OP_TYPE = 4 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_LOCATION = 14 };
enum { TYPE_FLOAT = 1, TYPE_FLOAT16 = 10 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct span {
    const uint8_t *at, *end;
};

struct field {
    uint32_t number, wire;
    uint64_t value;     /* of WIRE_VARINT */
    struct span inside; /* of WIRE_BYTES  */
};

struct node {
    struct span name, op_type, weight; /* weight: the second input */
};

static enum status corrupt(struct failure *failure, const char *name, const char *what)
{
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, name, "ONNX: %s", what);
}

/* ---- protobuf -------------------------------------------------------------------------------- */

static bool read_varint(struct span *span, uint64_t *out_value)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64 && span->at < span->end; shift += 7) {
        const uint8_t byte = *span->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out_value = value;
            return shift < 63 || byte <= 1;
        }
    }
    return false;
}

static bool take(struct span *span, uint64_t bytes, struct span *out_taken)
{
    if (bytes > (uint64_t)(span->end - span->at))
        return false;
    *out_taken = (struct span){span->at, span->at + bytes};
    span->at += bytes;
    return true;
}

/* Reads one field and moves on; the span must not be empty. False: the bytes are no message. */
static bool next_field(struct span *span, struct field *out_field)
{
    assert(span->at < span->end);
    uint64_t tag, length;
    if (!read_varint(span, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    struct field field = {.number = (uint32_t)(tag >> 3), .wire = (uint32_t)(tag & 7)};
    bool whole = false;
    switch (field.wire) {
    case WIRE_VARINT:
        whole = read_varint(span, &field.value);
        break;
    case WIRE_BYTES:
        whole = read_varint(span, &length) && take(span, length, &field.inside);
        break;
    case WIRE_FIXED64:
        whole = take(span, 8, &field.inside);
        break;
    case WIRE_FIXED32:
        whole = take(span, 4, &field.inside);
        break;
    default: /* groups */
        break;
    }
    *out_field = field;
    return whole;
}

static bool is_bytes(const struct field *field, uint32_t number)
{
    return field->number == number && field->wire == WIRE_BYTES;
}

static size_t length_of(struct span span)
{
    return (size_t)(span.end - span.at);
}

static bool equals(struct span span, const char *text)
{
    return length_of(span) == strlen(text) && memcmp(span.at, text, strlen(text)) == 0;
}

/* ---- initialisers ---------------------------------------------------------------------------- */

static bool add_dimension(struct weights_tensor *tensor, uint64_t value)
{
    if (tensor->dimensions_count == WEIGHTS_DIMENSIONS_MAX)
        return false;
    tensor->dimensions[tensor->dimensions_count++] = value;
    return true;
}

/* dims comes packed or one by one; both are legal. */
static bool read_dimensions(struct weights_tensor *tensor, struct field *field)
{
    if (field->wire == WIRE_VARINT)
        return add_dimension(tensor, field->value);
    while (field->wire == WIRE_BYTES && field->inside.at < field->inside.end) {
        uint64_t value;
        if (!read_varint(&field->inside, &value) || !add_dimension(tensor, value))
            return false;
    }
    return field->wire == WIRE_BYTES;
}

/* A name with NUL, or longer than any that we ask for, stays empty: the tensor is left out. */
static void copy_name(struct span span, char out_name[WEIGHTS_NAME_ROOM])
{
    const size_t length = length_of(span);
    out_name[0] = '\0';
    if (length >= WEIGHTS_NAME_ROOM || memchr(span.at, '\0', length) != NULL)
        return;
    memcpy(out_name, span.at, length);
    out_name[length] = '\0';
}

static enum status read_initializer(struct weights *weights, struct span span,
                                    struct failure *failure)
{
    struct weights_tensor tensor = {.type = WEIGHTS_OTHER};
    struct span raw = {span.at, span.at};
    struct field field;
    uint64_t type = 0, size_bytes;
    bool elsewhere = false;
    while (span.at < span.end) {
        if (!next_field(&span, &field))
            return corrupt(failure, tensor.name, "an initializer is no message");
        if (field.number == TENSOR_DIMS && !read_dimensions(&tensor, &field))
            return corrupt(failure, tensor.name, "dims are broken or too many");
        if (field.number == TENSOR_TYPE && field.wire == WIRE_VARINT)
            type = field.value;
        if (field.number == TENSOR_LOCATION && field.wire == WIRE_VARINT)
            elsewhere = field.value != 0;
        if (is_bytes(&field, TENSOR_NAME))
            copy_name(field.inside, tensor.name);
        if (is_bytes(&field, TENSOR_RAW))
            raw = field.inside;
    }
    if (tensor.name[0] == '\0')
        return STATUS_OK;
    tensor.bytes = raw.at;
    tensor.size_bytes = length_of(raw);
    /* Values in typed fields (small tables of some exporters) or in another file stay OTHER. */
    if ((type != TYPE_FLOAT && type != TYPE_FLOAT16) || elsewhere || tensor.size_bytes == 0)
        return weights_add(weights, &tensor, failure);
    tensor.type = type == TYPE_FLOAT ? WEIGHTS_F32 : WEIGHTS_F16;
    if (!weights_size_of(tensor.dimensions, tensor.dimensions_count, type == TYPE_FLOAT ? 4 : 2,
                         &size_bytes) ||
        size_bytes != tensor.size_bytes)
        return corrupt(failure, tensor.name, "dims and raw_data differ in size");
    return weights_add(weights, &tensor, failure);
}

/* ---- names of linear layers ------------------------------------------------------------------ */

static bool read_node(struct span span, struct node *out_node)
{
    struct node node = {.name = {span.at, span.at}};
    uint32_t inputs = 0;
    struct field field;
    node.op_type = node.weight = node.name;
    while (span.at < span.end) {
        if (!next_field(&span, &field))
            return false;
        if (is_bytes(&field, NODE_INPUT) && inputs++ == 1)
            node.weight = field.inside;
        if (is_bytes(&field, NODE_NAME))
            node.name = field.inside;
        if (is_bytes(&field, NODE_OP_TYPE))
            node.op_type = field.inside;
    }
    *out_node = node;
    return true;
}

/* "/encoder/layer.0/output/dense/MatMul" -> "encoder.layer.0.output.dense.weight". */
static bool linear_name(struct span name, char out_name[WEIGHTS_NAME_ROOM])
{
    static const char end[] = "/MatMul";
    const size_t length = length_of(name), end_length = sizeof(end) - 1;
    char inner[WEIGHTS_NAME_ROOM];
    if (length <= end_length + 1 || length >= sizeof(inner) || name.at[0] != '/' ||
        memcmp(name.end - end_length, end, end_length) != 0 ||
        memchr(name.at, '\0', length) != NULL)
        return false;
    const size_t inner_length = length - end_length - 1;
    for (size_t i = 0; i < inner_length; i++)
        inner[i] = name.at[1 + i] == '/' ? '.' : (char)name.at[1 + i];
    const int written =
        snprintf(out_name, WEIGHTS_NAME_ROOM, "%.*s.weight", (int)inner_length, inner);
    return written > 0 && written < WEIGHTS_NAME_ROOM;
}

/* Adds the initializer that this MatMul multiplies with once more, under the name of its layer. */
static enum status name_linear(struct weights *weights, size_t initializers_count,
                               const struct node *node, struct failure *failure)
{
    char name[WEIGHTS_NAME_ROOM];
    if (!equals(node->op_type, "MatMul") || !linear_name(node->name, name))
        return STATUS_OK;
    for (size_t i = 0; i < initializers_count; i++) {
        struct weights_tensor tensor = weights->tensors[i];
        if (!equals(node->weight, tensor.name) || tensor.dimensions_count != 2)
            continue;
        memcpy(tensor.name, name, sizeof(name));
        tensor.transposed = true;
        return weights_add(weights, &tensor, failure);
    }
    return STATUS_OK; /* two activations: scores or contexts of an attention */
}

/* ---- the walk -------------------------------------------------------------------------------- */

static enum status read_initializers(struct weights *weights, struct span graph,
                                     struct failure *failure)
{
    enum status status = STATUS_OK;
    struct field field;
    while (graph.at < graph.end && status == STATUS_OK) {
        if (!next_field(&graph, &field))
            return corrupt(failure, "", "the graph is no message");
        if (is_bytes(&field, GRAPH_INITIALIZER))
            status = read_initializer(weights, field.inside, failure);
    }
    return status;
}

static enum status read_nodes(struct weights *weights, struct span graph, struct failure *failure)
{
    const size_t initializers_count = weights->tensors_count;
    enum status status = STATUS_OK;
    uint32_t nodes_count = 0;
    struct field field;
    while (graph.at < graph.end && status == STATUS_OK) {
        struct node node;
        const bool read = next_field(&graph, &field);
        assert(read); /* read_initializers came through here */
        if (!is_bytes(&field, GRAPH_NODE))
            continue;
        if (nodes_count++ == WEIGHTS_NODES_MAX)
            return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "", "ONNX: more than %d nodes",
                               WEIGHTS_NODES_MAX);
        if (!read_node(field.inside, &node))
            return corrupt(failure, "", "a node is no message");
        status = name_linear(weights, initializers_count, &node, failure);
    }
    return status;
}

enum status weights_read_onnx(struct weights *weights, struct failure *failure)
{
    struct span model = {weights->bytes, weights->bytes + weights->size_bytes};
    struct span graph = {NULL, NULL};
    struct field field;
    while (model.at < model.end) {
        if (!next_field(&model, &field))
            return corrupt(failure, "", "the file is no message, or cut");
        if (!is_bytes(&field, MODEL_GRAPH))
            continue;
        if (graph.at != NULL)
            return corrupt(failure, "", "two graphs in one model");
        graph = field.inside;
    }
    if (graph.at == NULL)
        return corrupt(failure, "", "there is no graph");
    const enum status status = read_initializers(weights, graph, failure);
    return status == STATUS_OK ? read_nodes(weights, graph, failure) : status;
}
