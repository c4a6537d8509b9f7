/*
 * test_weights.c - Goal: weights and weights_safetensors give back exactly the values that were
 * stored, and a broken file is an error with a name, never a crash or a wrong value. Method: small
 * files made here; every byte of a header changed to every value, every length cut; headers that
 * lie.
 */
#include "tests/unit/embed/model_support.h"

#include "embed/weights.h"
#include "tests/support/folder.h"

static enum status open_bytes(const struct bytes *file, struct weights **out,
                              struct failure *failure)
{
    *out = NULL;
    return weights_open_bytes(WEIGHTS_SAFETENSORS, file->at, file->length, out, failure);
}

static void values_come_back_as_they_were_stored(void **state)
{
    (void)state;
    struct tiny_model model;
    struct bytes file;
    struct weights *weights;
    tiny_create(&model);
    tiny_to_safetensors(&model, false, &file);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_OK);
    assert_int_equal(weights_tensors_count(weights), model.count);
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
    assert_null(weights);
    weights_close(&weights);
    free(file.at);
    tiny_destroy(&model);
}

static void half_precision_is_widened(void **state)
{
    (void)state;
    static const uint16_t data[] = {0x3c00, 0xc000, 0x3555, 0x0001};
    struct bytes file;
    struct weights *weights;
    struct weights_matrix matrix;
    float row[2];
    safetensors_wrap(&file, "{\"a\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}",
                     data, sizeof(data));
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_OK);
    assert_int_equal(weights_find_checked(weights, "a", 2, 2, &matrix, NULL), STATUS_OK);
    weights_read_row(&matrix, 0, row);
    assert_true(row[0] == 1.0f && row[1] == -2.0f);
    weights_read_row(&matrix, 1, row);
    assert_true(row[0] == 0x1.554p-2f && row[1] == 0x1p-24f);
    weights_close(&weights);
    free(file.at);
}

static void a_tensor_that_is_not_as_asked_is_named(void **state)
{
    (void)state;
    static const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct bytes file;
    struct weights *weights;
    struct weights_matrix matrix;
    struct failure failure = {.status = STATUS_OK};
    safetensors_wrap(&file,
                     "{\"f\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                     "\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[16,24]},"
                     "\"cube\":{\"dtype\":\"F32\",\"shape\":[1,1,1],\"data_offsets\":[24,28]},"
                     "\"one\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[28,32]}}  \n",
                     data, sizeof(data));
    assert_int_equal(open_bytes(&file, &weights, &failure), STATUS_OK);
    assert_true(weights_has(weights, "f"));
    assert_false(weights_has(weights, "g"));
    assert_int_equal(weights_find(weights, "g", &matrix, &failure), STATUS_MODEL_UNSUPPORTED);
    assert_string_equal(failure.field, "g");
    assert_int_equal(weights_find(weights, "i", &matrix, NULL), STATUS_MODEL_UNSUPPORTED);
    assert_int_equal(weights_find(weights, "cube", &matrix, NULL), STATUS_MODEL_UNSUPPORTED);
    assert_int_equal(weights_find(weights, "one", &matrix, NULL), STATUS_MODEL_UNSUPPORTED);
    assert_int_equal(weights_find_checked(weights, "f", 4, 1, &matrix, &failure),
                     STATUS_MODEL_UNSUPPORTED);
    assert_string_equal(failure.message, "the tensor is 2 x 2, not 4 x 1");
    weights_close(&weights);
    free(file.at);
}

static void values_that_are_not_finite_or_absurd_are_refused(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1000.1f, -1e30f};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const float data[2] = {1000.0f, bad[i]};
        struct bytes file;
        struct weights *weights;
        struct weights_matrix matrix;
        struct failure failure = {.status = STATUS_OK};
        safetensors_wrap(&file, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                         data, sizeof(data));
        assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_OK);
        assert_int_equal(weights_find_checked(weights, "a", 1, 2, &matrix, &failure),
                         STATUS_WEIGHTS_CORRUPT);
        assert_string_equal(failure.field, "a");
        assert_non_null(strstr(failure.message, "value 1 "));
        weights_close(&weights);
        free(file.at);
    }
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"a\":1}",
        "{\"a\":{}}",
        "{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1e300,1e300]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} x",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
    };
    static const uint8_t data[16] = {0};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct bytes file;
        struct weights *weights;
        struct failure failure = {.status = STATUS_OK};
        safetensors_wrap(&file, headers[i], data, sizeof(data));
        if (open_bytes(&file, &weights, &failure) != STATUS_WEIGHTS_CORRUPT)
            fail_msg("not refused: %s", headers[i]);
        assert_int_equal(failure.status, STATUS_WEIGHTS_CORRUPT);
        assert_true(strlen(failure.message) > 0);
        assert_null(weights);
        free(file.at);
    }
}

static void names_that_nobody_asks_for_are_left_out(void **state)
{
    (void)state;
    char header[512], name[200] = {0};
    struct bytes file;
    struct weights *weights;
    memset(name, 'n', sizeof(name) - 1);
    (void)snprintf(header, sizeof(header),
                   "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                   "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                   name);
    safetensors_wrap(&file, header, "12345678", 8);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_OK);
    assert_int_equal(weights_tensors_count(weights), 1);
    assert_false(weights_has(weights, name));
    weights_close(&weights);
    free(file.at);
}

static void too_many_tensors_are_refused(void **state)
{
    (void)state;
    struct bytes header = {.length = 0}, file;
    struct weights *weights;
    bytes_add_text(&header, "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
    for (int i = 0; i < WEIGHTS_TENSORS_MAX; i++) {
        char entry[96];
        (void)snprintf(entry, sizeof(entry),
                       ",\"b%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i);
        bytes_add_text(&header, entry);
    }
    bytes_add(&header, "}", 2);
    safetensors_wrap(&file, (const char *)header.at, "", 0);
    assert_int_equal(open_bytes(&file, &weights, NULL), STATUS_MODEL_UNSUPPORTED);
    free(header.at);
    free(file.at);
}

static void small_file(struct bytes *out_file)
{
    static const float data[6] = {1, 2, 3, 4, 5, 6};
    safetensors_wrap(out_file,
                     "{\"__metadata__\":{\"format\":\"pt\"},"
                     "\"ab\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                     "\"cd\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[16,24]}} ",
                     data, sizeof(data));
}

/* Whatever opens can be read, too: the sanitizers watch the bounds. */
static void read_everything(const struct weights *weights)
{
    static const char *const names[] = {"ab", "cd"};
    for (size_t i = 0; i < 2; i++) {
        struct weights_matrix matrix;
        float row[64];
        if (weights_find(weights, names[i], &matrix, NULL) != STATUS_OK || matrix.columns > 64)
            continue;
        for (uint32_t r = 0; r < matrix.rows; r++)
            weights_read_row(&matrix, r, row);
    }
}

static void every_byte_of_a_header_may_be_broken(void **state)
{
    (void)state;
    struct bytes file;
    small_file(&file);
    const size_t header_end = file.length - 24;
    size_t refused = 0;
    for (size_t i = 0; i < header_end; i++) {
        const uint8_t kept = file.at[i];
        for (int value = 0; value < 256; value++) {
            struct weights *weights;
            struct failure failure = {.status = STATUS_OK};
            file.at[i] = (uint8_t)value;
            const enum status status = open_bytes(&file, &weights, &failure);
            assert_int_equal(status, failure.status);
            refused += status != STATUS_OK;
            if (status == STATUS_OK)
                read_everything(weights);
            weights_close(&weights);
        }
        file.at[i] = kept;
    }
    assert_true(refused > header_end * 128); /* what remains are names, metadata, other shapes */
    free(file.at);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct bytes file;
    small_file(&file);
    for (size_t length = 0; length < file.length; length++) {
        struct weights *weights;
        uint8_t *cut = malloc(length + 1); /* of its own, so that the sanitizer sees the end */
        assert_non_null(cut);
        memcpy(cut, file.at, length);
        cut = realloc(cut, length > 0 ? length : 1);
        struct bytes shorter = {.at = cut, .length = length};
        assert_int_equal(open_bytes(&shorter, &weights, NULL), STATUS_WEIGHTS_CORRUPT);
        assert_null(weights);
        free(cut);
    }
    free(file.at);
}

static void write_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_mapped_and_its_digest_checked(void **state)
{
    (void)state;
    char folder[64], path[96];
    struct bytes file;
    struct weights *weights = NULL;
    struct weights_matrix matrix;
    float row[2];
    struct failure failure = {.status = STATUS_OK};
    folder_create(folder);
    (void)snprintf(path, sizeof(path), "%s/m.safetensors", folder);
    small_file(&file);
    write_file(path, file.at, file.length);
    assert_int_equal(weights_open(path, &weights, &failure), STATUS_OK);
    struct digest digest = digest_sha256(file.at, file.length);
    assert_int_equal(weights_verify(weights, &digest, &failure), STATUS_OK);
    digest.bytes[31] ^= 1;
    assert_int_equal(weights_verify(weights, &digest, &failure), STATUS_WEIGHTS_CORRUPT);
    weights_forget_pages(weights);
    assert_int_equal(weights_find_checked(weights, "ab", 2, 2, &matrix, NULL), STATUS_OK);
    weights_read_row(&matrix, 1, row);
    assert_true(row[0] == 3.0f && row[1] == 4.0f);
    weights_close(&weights);
    free(file.at);
    folder_remove(folder);
}

static void paths_without_weights_are_told_apart(void **state)
{
    (void)state;
    char folder[64], path[96];
    struct weights *weights = NULL;
    struct failure failure = {.status = STATUS_OK};
    folder_create(folder);
    (void)snprintf(path, sizeof(path), "%s/none.safetensors", folder);
    assert_int_equal(weights_open(path, &weights, &failure), STATUS_WEIGHTS_MISSING);
    assert_non_null(strstr(failure.message, path));
    write_file(path, "", 0);
    assert_int_equal(weights_open(path, &weights, &failure), STATUS_WEIGHTS_CORRUPT);
    write_file(path, "12345678{", 9);
    assert_int_equal(weights_open(path, &weights, &failure), STATUS_WEIGHTS_CORRUPT);
    (void)snprintf(path, sizeof(path), "%s/model.bin", folder);
    write_file(path, "12345678{", 9);
    assert_int_equal(weights_open(path, &weights, &failure), STATUS_MODEL_UNSUPPORTED);
    assert_int_equal(weights_open(".onnx", &weights, &failure), STATUS_MODEL_UNSUPPORTED);
    assert_null(weights);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_were_stored),
        cmocka_unit_test(half_precision_is_widened),
        cmocka_unit_test(a_tensor_that_is_not_as_asked_is_named),
        cmocka_unit_test(values_that_are_not_finite_or_absurd_are_refused),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(names_that_nobody_asks_for_are_left_out),
        cmocka_unit_test(too_many_tensors_are_refused),
        cmocka_unit_test(every_byte_of_a_header_may_be_broken),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(a_file_is_mapped_and_its_digest_checked),
        cmocka_unit_test(paths_without_weights_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
