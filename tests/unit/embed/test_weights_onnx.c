/*
 * test_weights_onnx.c - Goal: weights_onnx finds the initialisers and gives the weights of linear
 * layers the name and the direction they have in a safetensors file; broken bytes are an error,
 * never a crash. Method: the same tiny model in both formats; small models with every byte changed
 * and at every length; where the real files are, all tensors of both compared bit by bit.
 */
#include "tests/unit/embed/model_support.h"

#include "embed/weights.h"

static enum status open_bytes(const struct bytes *file, struct weights **out,
                              struct failure *failure)
{
    *out = NULL;
    return weights_open_bytes(WEIGHTS_ONNX, file->at, file->length, out, failure);
}

static void both_formats_give_the_same_values(void **state)
{
    (void)state;
    struct tiny_model model;
    struct bytes file;
    struct weights *weights;
    tiny_create(&model);
    tiny_to_onnx(&model, &file);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_OK);
    for (size_t i = 0; i < model.count; i++) {
        const struct tiny_tensor *tensor = &model.tensors[i];
        const uint32_t rows = tensor->rows == 0 ? 1 : tensor->rows;
        struct weights_matrix matrix;
        float row[TINY_INNER];
        assert_int_equal(
            weights_find_checked(weights, tensor->name, rows, tensor->columns, &matrix, NULL),
            STATUS_OK);
        for (uint32_t r = 0; r < rows; r++) {
            weights_read_row(&matrix, r, row);
            assert_memory_equal(row, tensor->values + (size_t)r * tensor->columns,
                                tensor->columns * sizeof(float));
        }
    }
    weights_close(&weights);
    free(file.at);
    tiny_destroy(&model);
}

/* A graph of all that may occur: packed dims, FLOAT16, int64, a tensor elsewhere, odd nodes. */
static void rich_file(struct bytes *out_file)
{
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    static const uint8_t packed_dims[] = {2, 3};
    struct bytes graph = {.length = 0}, tensor = {.length = 0};
    onnx_node(&graph, "Gemm", "/layer/out/MatMul", "w");
    onnx_node(&graph, "MatMul", "/layer/out/MatMul", "w");
    onnx_node(&graph, "MatMul", "/layer/scores/MatMul", "keys");
    onnx_node(&graph, "MatMul", "MatMul_7", "w");
    onnx_node(&graph, "MatMul", "/MatMul", "w");
    proto_bytes(&tensor, 1, packed_dims, 2);
    proto_number(&tensor, 2, 1);
    proto_text(&tensor, 8, "w");
    proto_bytes(&tensor, 9, values, sizeof(values));
    proto_bytes(&graph, 5, tensor.at, tensor.length);
    tensor.length = 0;
    proto_number(&tensor, 1, 2);
    proto_number(&tensor, 2, 10);
    proto_bytes(&tensor, 9, "\x00\x3c\x00\xc0", 4);
    proto_text(&tensor, 8, "half");
    proto_bytes(&graph, 5, tensor.at, tensor.length);
    tensor.length = 0;
    proto_number(&tensor, 1, 1);
    proto_number(&tensor, 2, 7);
    proto_text(&tensor, 8, "whole");
    proto_bytes(&tensor, 9, "12345678", 8);
    proto_bytes(&graph, 5, tensor.at, tensor.length);
    tensor.length = 0;
    proto_number(&tensor, 1, 1);
    proto_number(&tensor, 2, 1);
    proto_text(&tensor, 8, "far");
    proto_number(&tensor, 14, 1);
    proto_bytes(&graph, 5, tensor.at, tensor.length);
    free(tensor.at);
    onnx_wrap(&graph, out_file);
}

static void a_rich_graph_is_read(void **state)
{
    (void)state;
    struct bytes file;
    struct weights *weights;
    struct weights_matrix matrix;
    float row[3];
    rich_file(&file);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_OK);
    assert_int_equal(weights_tensors_count(weights), 5);
    assert_int_equal(weights_find_checked(weights, "w", 2, 3, &matrix, NULL), STATUS_OK);
    assert_int_equal(weights_find_checked(weights, "layer.out.weight", 3, 2, &matrix, NULL),
                     STATUS_OK);
    weights_read_row(&matrix, 1, row);
    assert_true(row[0] == 2.0f && row[1] == 5.0f);
    assert_int_equal(weights_find_checked(weights, "half", 1, 2, &matrix, NULL), STATUS_OK);
    weights_read_row(&matrix, 0, row);
    assert_true(row[0] == 1.0f && row[1] == -2.0f);
    assert_int_equal(weights_find(weights, "whole", &matrix, NULL), STATUS_MODEL_UNSUPPORTED);
    assert_int_equal(weights_find(weights, "far", &matrix, NULL), STATUS_MODEL_UNSUPPORTED);
    assert_false(weights_has(weights, "layer.scores.weight"));
    weights_close(&weights);
    free(file.at);
}

static void every_byte_may_be_broken(void **state)
{
    (void)state;
    static const char *const names[] = {"w", "layer.out.weight", "half"};
    struct bytes file;
    rich_file(&file);
    for (size_t i = 0; i < file.length; i++) {
        const uint8_t kept = file.at[i];
        for (int value = 0; value < 256; value++) {
            struct weights *weights;
            struct failure failure = {.status = STATUS_OK};
            file.at[i] = (uint8_t)value;
            const enum status status = open_bytes(&file, &weights, &failure);
            assert_int_equal(status, failure.status);
            for (size_t n = 0; n < 3 && weights != NULL; n++) {
                struct weights_matrix matrix;
                float row[64];
                if (weights_find(weights, names[n], &matrix, NULL) != STATUS_OK ||
                    matrix.columns > 64)
                    continue;
                for (uint32_t r = 0; r < matrix.rows; r++)
                    weights_read_row(&matrix, r, row);
            }
            weights_close(&weights);
        }
        file.at[i] = kept;
    }
    free(file.at);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct bytes file;
    rich_file(&file);
    for (size_t length = 1; length < file.length; length++) {
        struct weights *weights;
        uint8_t *cut = malloc(length);
        assert_non_null(cut);
        memcpy(cut, file.at, length);
        struct bytes shorter = {.at = cut, .length = length};
        assert_int_equal(open_bytes(&shorter, &weights, NULL), STATUS_WEIGHTS_CORRUPT);
        assert_null(weights);
        free(cut);
    }
    free(file.at);
}

static void graphs_that_lie_are_refused(void **state)
{
    (void)state;
    static const float value = 1.0f;
    struct bytes graph = {.length = 0}, file;
    struct weights *weights;
    onnx_initializer(&graph, "twice", 0, 1, &value);
    onnx_initializer(&graph, "twice", 0, 1, &value);
    onnx_wrap(&graph, &file);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_WEIGHTS_CORRUPT);
    free(file.at);

    graph = (struct bytes){.length = 0};
    onnx_initializer(&graph, "a", 0, 1, &value);
    onnx_wrap(&graph, &file);
    proto_bytes(&file, 7, "", 0); /* a second graph */
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_WEIGHTS_CORRUPT);
    free(file.at);

    static const uint8_t group[] = {0x08, 6, 0x0b, 0x0c};
    file = (struct bytes){.at = (uint8_t *)(uintptr_t)group, .length = sizeof(group)};
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_WEIGHTS_CORRUPT);
    static const uint8_t endless[] = {0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 127};
    file = (struct bytes){.at = (uint8_t *)(uintptr_t)endless, .length = sizeof(endless)};
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_WEIGHTS_CORRUPT);
}

static void too_many_nodes_are_refused(void **state)
{
    (void)state;
    static const float value = 1.0f;
    struct bytes graph = {.length = 0}, file;
    struct weights *weights;
    onnx_initializer(&graph, "a", 0, 1, &value);
    for (int i = 0; i <= WEIGHTS_NODES_MAX; i++)
        proto_bytes(&graph, 1, "", 0);
    onnx_wrap(&graph, &file);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_MODEL_UNSUPPORTED);
    free(file.at);
}

static void compare_rows(const struct weights_matrix *a, const struct weights_matrix *b)
{
    float *left = calloc(a->columns, sizeof(*left)), *right = calloc(a->columns, sizeof(*right));
    assert_non_null(left);
    assert_non_null(right);
    for (uint32_t r = 0; r < a->rows; r++) {
        weights_read_row(a, r, left);
        weights_read_row(b, r, right);
        assert_memory_equal(left, right, a->columns * sizeof(*left));
    }
    free(left);
    free(right);
}

/* The 102 initialisers of the ONNX file, of which one holds whole numbers. */
static void the_real_files_are_equal_bit_by_bit(void **state)
{
    (void)state;
    static const char *const parts[] = {"attention.self.query",       "attention.self.key",
                                        "attention.self.value",       "attention.output.dense",
                                        "intermediate.dense",         "output.dense",
                                        "attention.output.LayerNorm", "output.LayerNorm"};
    static const char *const ends[] = {"weight", "bias"};
    char path[512], other_path[512], names[101][96];
    size_t count = 0;
    if (!model_path("minilm-l6/model.safetensors", path) ||
        !model_path("minilm-l6/all-minilm-l6-v2.onnx", other_path))
        skip(); /* no weights here: $REPRISE_MODELS or build/models */
    for (int layer = 0; layer < 6; layer++)
        for (size_t i = 0; i < 16; i++)
            (void)snprintf(names[count++], sizeof(names[0]), "encoder.layer.%d.%s.%s", layer,
                           parts[i / 2], ends[i % 2]);
    (void)snprintf(names[count++], sizeof(names[0]), "embeddings.word_embeddings.weight");
    (void)snprintf(names[count++], sizeof(names[0]), "embeddings.position_embeddings.weight");
    (void)snprintf(names[count++], sizeof(names[0]), "embeddings.token_type_embeddings.weight");
    (void)snprintf(names[count++], sizeof(names[0]), "embeddings.LayerNorm.weight");
    (void)snprintf(names[count++], sizeof(names[0]), "embeddings.LayerNorm.bias");
    assert_int_equal(count, 101);
    struct weights *weights = NULL, *other = NULL;
    assert_int_equal(weights_open(path, &weights, NULL), STATUS_OK);
    assert_int_equal(weights_open(other_path, &other, NULL), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        struct weights_matrix a, b;
        assert_int_equal(weights_find(weights, names[i], &a, NULL), STATUS_OK);
        assert_int_equal(weights_find_checked(other, names[i], a.rows, a.columns, &b, NULL),
                         STATUS_OK);
        compare_rows(&a, &b);
    }
    weights_close(&weights);
    weights_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_formats_give_the_same_values),
        cmocka_unit_test(a_rich_graph_is_read),
        cmocka_unit_test(every_byte_may_be_broken),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(graphs_that_lie_are_refused),
        cmocka_unit_test(too_many_nodes_are_refused),
        cmocka_unit_test(the_real_files_are_equal_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
