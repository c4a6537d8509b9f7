/*
 * test_encoder_golden.c - Goal: with the real weights, encoder gives the vectors that ONNX Runtime
 * gives for the same ids: fp32 within 2e-6 in each coordinate, int8 with a cosine of at least 0.99,
 * 0.998 in the mean; and equal bytes in every set of kernels. Method:
 * tests/data/encoder_golden.json, made by tools/golden_vectors.py. Skipped where the weights are
 * not: see make weights.
 */
#include "tests/unit/embed/model_support.h"

#include <cjson/cJSON.h>

#include "base/digest.h"
#include "embed/encoder.h"

enum { DIMENSION = 384, TEXTS_MAX = 256, TOKENS_MAX = 8192 };
enum { BITS = 19, PACKED_BYTES = DIMENSION * BITS / 8 }; /* see tools/golden_vectors.py */

struct golden {
    size_t texts_count, tokens_count;
    uint32_t ids[TOKENS_MAX], lengths[TEXTS_MAX];
    float units[TEXTS_MAX][DIMENSION];
};

static cJSON *read_json(void)
{
    char path[512];
    source_path("tests/data/encoder_golden.json", path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static char text[512 * 1024];
    const size_t length = fread(text, 1, sizeof(text), file);
    assert_in_range(length, 1, sizeof(text) - 1);
    (void)fclose(file);
    cJSON *json = cJSON_ParseWithLength(text, length);
    assert_non_null(json);
    return json;
}

static void unpack(const char *base64, float out_unit[DIMENSION])
{
    uint8_t bytes[PACKED_BYTES];
    assert_true(base64url_decode(base64, strlen(base64), bytes, sizeof(bytes)));
    uint64_t gathered = 0;
    unsigned bits = 0;
    for (size_t i = 0, d = 0; i < sizeof(bytes); i++) {
        gathered = gathered << 8 | bytes[i];
        bits += 8;
        if (bits < BITS)
            continue;
        bits -= BITS;
        const int32_t number = (int32_t)(gathered >> bits & ((1U << BITS) - 1)) - (1 << (BITS - 1));
        out_unit[d++] = ldexpf((float)number, -BITS);
    }
}

static void read_golden(const char *model, struct golden *out_golden)
{
    cJSON *json = read_json();
    const cJSON *entry, *row, *id;
    memset(out_golden, 0, sizeof(*out_golden));
    assert_int_equal(cJSON_GetObjectItem(json, "bits")->valueint, BITS);
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(json, "models"))
    {
        if (strcmp(cJSON_GetObjectItem(entry, "model")->valuestring, model) != 0)
            continue;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(entry, "rows"))
        {
            const size_t i = out_golden->texts_count++;
            assert_true(i < TEXTS_MAX);
            unpack(cJSON_GetObjectItem(row, "vector")->valuestring, out_golden->units[i]);
            cJSON_ArrayForEach(id, cJSON_GetObjectItem(row, "ids"))
            {
                assert_true(out_golden->tokens_count < TOKENS_MAX);
                out_golden->ids[out_golden->tokens_count++] = (uint32_t)id->valueint;
                out_golden->lengths[i]++;
            }
        }
    }
    cJSON_Delete(json);
    assert_true(out_golden->texts_count > 0);
}

/* Runs in packs of at most 512 tokens. */
static void encode(const struct weights *weights, const struct encoder_config *config,
                   const struct golden *golden, float (*out_units)[DIMENSION])
{
    struct encoder *encoder = NULL;
    struct encoder_scratch *scratch = NULL;
    struct failure failure = {.message = ""};
    if (encoder_create(weights, config, &encoder, &failure) != STATUS_OK)
        fail_msg("%s: %s", failure.field, failure.message);
    assert_int_equal(encoder_scratch_create(encoder, 512, &scratch), STATUS_OK);
    const uint32_t *ids = golden->ids;
    for (size_t i = 0; i < golden->texts_count;) {
        size_t count = 0, tokens = 0;
        while (i + count < golden->texts_count && tokens + golden->lengths[i + count] <= 512)
            tokens += golden->lengths[i + count++];
        assert_int_equal(
            encoder_run(encoder, scratch, ids, golden->lengths + i, count, out_units[i]),
            STATUS_OK);
        i += count;
        ids += tokens;
    }
    encoder_scratch_destroy(&scratch);
    encoder_destroy(&encoder);
}

static void check_fp32(const struct golden *golden, float (*units)[DIMENSION])
{
    float worst = 0;
    for (size_t i = 0; i < golden->texts_count; i++)
        for (size_t d = 0; d < DIMENSION; d++)
            worst = fmaxf(worst, fabsf(units[i][d] - golden->units[i][d]));
    print_message("fp32: largest difference of a coordinate %.3g\n", (double)worst);
    assert_true(worst <= 2e-6f);
}

static void check_int8(const struct golden *golden, float (*units)[DIMENSION])
{
    double sum = 0, least = 1;
    for (size_t i = 0; i < golden->texts_count; i++) {
        double cosine = 0;
        for (size_t d = 0; d < DIMENSION; d++)
            cosine += (double)units[i][d] * (double)golden->units[i][d];
        sum += cosine;
        least = fmin(least, cosine);
    }
    print_message("int8: cosine %.5f in the mean, %.5f at least\n",
                  sum / (double)golden->texts_count, least);
    assert_true(least >= 0.99);
    assert_true(sum / (double)golden->texts_count >= 0.998);
}

static void check_model(const char *file, const char *model, struct encoder_config config)
{
    static struct golden golden;
    static float units[TEXTS_MAX][DIMENSION], others[TEXTS_MAX][DIMENSION];
    const struct encoder_kernels *sets[8];
    bool runs[8];
    char path[512];
    if (!model_path(file, path)) {
        print_message("no %s: set REPRISE_MODELS or run make weights\n", file);
        skip();
    }
    struct weights *weights = NULL;
    assert_int_equal(weights_open(path, &weights, NULL), STATUS_OK);
    read_golden(model, &golden);
    config.precision = ENCODER_FP32;
    encode(weights, &config, &golden, units);
    check_fp32(&golden, units);
    config.precision = ENCODER_INT8;
    encode(weights, &config, &golden, units);
    check_int8(&golden, units);
    const size_t sets_count = encoder_kernels_all(sets, runs, 8);
    golden.texts_count = 3; /* scalar is slow */
    for (size_t i = 0; i < sets_count; i++) {
        if (!runs[i])
            continue;
        config.kernels = sets[i];
        encode(weights, &config, &golden, others);
        assert_memory_equal(units, others, golden.texts_count * sizeof(units[0]));
    }
    weights_close(&weights);
}

static const struct encoder_config minilm = {
    .layers = 6, .heads = 12, .max_tokens = 256, .pooling = ENCODER_POOL_MEAN};
static const struct encoder_config bge_small = {
    .layers = 12, .heads = 12, .max_tokens = 512, .pooling = ENCODER_POOL_FIRST};

static void minilm_is_what_onnx_runtime_says(void **state)
{
    (void)state;
    check_model("minilm-l6/model.safetensors", "minilm-l6", minilm);
}

static void bge_small_is_what_onnx_runtime_says(void **state)
{
    (void)state;
    check_model("bge-small-en/bge-small-en-v1.5.onnx", "bge-small-en", bge_small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minilm_is_what_onnx_runtime_says),
        cmocka_unit_test(bge_small_is_what_onnx_runtime_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
