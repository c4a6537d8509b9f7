/*
 * test_encoder_kernels.c - Goal: encoder_kernels_avx2 and encoder_kernels_avx512vnni give the bytes
 * of encoder_kernels_scalar, whatever the number of rows and however extreme the values; and scalar
 * is right: its integers exactly, its floats against libm and plain loops in double. Method: every
 * set that runs on this processor, seeded values, row counts 1 to 17.
 */
#include "tests/unit/embed/model_support.h"

#include "embed/encoder_kernels.h"

enum { ROWS_MAX = 17, INPUTS = 96, COLUMNS = 144, WIDTH = 96, SETS_MAX = 8 };

static const struct encoder_kernels *const plain = &encoder_kernels_scalar;

/* The sets that run here; scalar is the last. */
static size_t list_sets(const struct encoder_kernels **out_sets)
{
    const struct encoder_kernels *all[SETS_MAX];
    bool runs[SETS_MAX];
    const size_t count = encoder_kernels_all(all, runs, SETS_MAX);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (runs[i])
            out_sets[kept++] = all[i];
        else
            print_message("%s does not run on this processor\n", all[i]->name);
    return kept;
}

static void *aligned(size_t bytes)
{
    void *memory = aligned_alloc(ENCODER_ALIGN, (bytes + 63) / 64 * 64);
    assert_non_null(memory);
    memset(memory, 0xa5, (bytes + 63) / 64 * 64);
    return memory;
}

/* ---- integers -------------------------------------------------------------------------------- */

struct layer {
    struct encoder_panels panels;
    int8_t weights[COLUMNS][INPUTS]; /* the same codes, in plain order */
};

enum fill { FILL_RANDOM, FILL_EXTREME, FILL_LOWEST, FILL_HIGHEST, FILL_ZERO, FILLS_COUNT };

static int draw_code(uint64_t *seed, enum fill fill, int low, int high)
{
    const float normal = draw_normal(seed);
    switch (fill) {
    case FILL_RANDOM:
        return low + (int)(*seed >> 33) % (high - low + 1);
    case FILL_EXTREME:
        return normal < 0 ? low : high;
    case FILL_LOWEST:
        return low;
    case FILL_HIGHEST:
        return high;
    case FILL_ZERO:
    case FILLS_COUNT:
        break;
    }
    return 0;
}

static void layer_create(struct layer *layer, enum fill fill, uint64_t *seed)
{
    struct encoder_panels *panels = &layer->panels;
    panels->inputs = INPUTS;
    panels->columns = COLUMNS;
    panels->codes = aligned(INPUTS * COLUMNS + ENCODER_ALIGN);
    panels->code_sums = aligned(COLUMNS * sizeof(int32_t));
    panels->steps = aligned(COLUMNS * sizeof(float));
    panels->step_sums = aligned(COLUMNS * sizeof(float));
    panels->biases = aligned(COLUMNS * sizeof(float));
    for (size_t c = 0; c < COLUMNS; c++) {
        panels->code_sums[c] = 0;
        for (size_t k = 0; k < INPUTS; k++) {
            const int8_t code = (int8_t)draw_code(seed, fill, -127, 127);
            layer->weights[c][k] = code;
            panels->code_sums[c] += code;
            panels->codes[c / 48 * 48 * INPUTS + (k / 4 * 48 + c % 48) * 4 + k % 4] = code;
        }
        panels->steps[c] = 0.01f + fabsf(draw_normal(seed)) * 0.01f;
        panels->step_sums[c] = panels->steps[c] * (float)panels->code_sums[c];
        panels->biases[c] = draw_normal(seed);
    }
}

static void layer_destroy(struct layer *layer)
{
    free(layer->panels.codes);
    free(layer->panels.code_sums);
    free(layer->panels.steps);
    free(layer->panels.step_sums);
    free(layer->panels.biases);
}

/* y = step_row step_column sum + (low step_sum + bias), each fma rounded once. */
static float expected_value(const struct layer *layer, const uint8_t *codes,
                            const struct encoder_row *row, size_t column)
{
    int64_t sum = 0;
    for (size_t k = 0; k < INPUTS; k++)
        sum += (int64_t)codes[k] * layer->weights[column][k];
    const float offset =
        fmaf(row->low, layer->panels.step_sums[column], layer->panels.biases[column]);
    return fmaf((float)sum, row->step * layer->panels.steps[column], offset);
}

static void multiply_rows(const struct encoder_kernels *kernels, const struct layer *layer,
                          enum fill fill, uint64_t *seed)
{
    uint8_t codes[ROWS_MAX * INPUTS], scratch[2 * ROWS_MAX * INPUTS];
    struct encoder_row rows[ROWS_MAX];
    const struct encoder_activations activations = {codes, rows, scratch};
    float out[ROWS_MAX * COLUMNS + 1];
    for (size_t rows_count = 1; rows_count <= ROWS_MAX; rows_count++) {
        for (size_t i = 0; i < rows_count * INPUTS; i++)
            codes[i] = (uint8_t)draw_code(seed, fill, 0, 255);
        for (size_t r = 0; r < rows_count; r++)
            rows[r] = (struct encoder_row){.low = draw_normal(seed), .step = 0.02f};
        out[rows_count * COLUMNS] = 123.0f; /* nothing is written behind the last row */
        kernels->multiply(&layer->panels, &activations, rows_count, out);
        assert_true(out[rows_count * COLUMNS] == 123.0f);
        for (size_t r = 0; r < rows_count; r++)
            for (size_t c = 0; c < COLUMNS; c++)
                if (out[r * COLUMNS + c] != expected_value(layer, codes + r * INPUTS, &rows[r], c))
                    fail_msg("%s: %zu rows, row %zu, column %zu", kernels->name, rows_count, r, c);
    }
}

static void integer_products_are_exact_in_every_set(void **state)
{
    (void)state;
    const struct encoder_kernels *sets[SETS_MAX];
    const size_t sets_count = list_sets(sets);
    uint64_t seed = 7;
    for (int weights_fill = 0; weights_fill < FILLS_COUNT; weights_fill++) {
        struct layer layer;
        layer_create(&layer, (enum fill)weights_fill, &seed);
        for (int codes_fill = 0; codes_fill < FILLS_COUNT; codes_fill++)
            for (size_t i = 0; i < sets_count; i++)
                multiply_rows(sets[i], &layer, (enum fill)codes_fill, &seed);
        layer_destroy(&layer);
    }
}

static void codes_are_the_nearest_and_the_same_in_every_set(void **state)
{
    (void)state;
    const struct encoder_kernels *sets[SETS_MAX];
    const size_t sets_count = list_sets(sets);
    uint64_t seed = 11;
    float rows[ROWS_MAX * WIDTH];
    for (size_t i = 0; i < ROWS_MAX * WIDTH; i++)
        rows[i] = draw_normal(&seed) * (i % 7 == 0 ? 30.0f : 1.0f);
    for (size_t i = 0; i < WIDTH; i++) {
        rows[i] = -3.25f;                              /* flat */
        rows[WIDTH + i] = i == 5 ? 1000.0f : -1000.0f; /* one peak */
        rows[2 * WIDTH + i] = (float)(i % 2) * 1e-38f; /* almost flat */
        rows[3 * WIDTH + i] = (float)(i % 256);        /* whole numbers */
    }
    for (size_t s = 0; s < sets_count; s++) {
        uint8_t codes[ROWS_MAX * WIDTH];
        struct encoder_row steps[ROWS_MAX];
        struct encoder_activations activations = {codes, steps, NULL};
        sets[s]->quantise(rows, ROWS_MAX, WIDTH, &activations);
        assert_true(steps[0].low == -3.25f);
        for (size_t i = 0; i < ROWS_MAX * WIDTH; i++) {
            const struct encoder_row *step = &steps[i / WIDTH];
            const float back = step->low + step->step * (float)codes[i];
            assert_true(fabsf(back - rows[i]) <= 0.5001f * step->step + 1e-5f * fabsf(rows[i]));
        }
        uint8_t expected_codes[ROWS_MAX * WIDTH];
        struct encoder_row expected_steps[ROWS_MAX];
        activations = (struct encoder_activations){expected_codes, expected_steps, NULL};
        plain->quantise(rows, ROWS_MAX, WIDTH, &activations);
        assert_memory_equal(codes, expected_codes, sizeof(codes));
        assert_memory_equal(steps, expected_steps, sizeof(steps));
    }
}

/* ---- floats ---------------------------------------------------------------------------------- */

static double gelu_exact(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2.0));
}

/* Every exponent of a float up to 2^10, many mantissas, both signs. */
static void gelu_is_the_exact_form(void **state)
{
    (void)state;
    uint64_t seed = 3;
    double worst = 0;
    for (int exponent = -126; exponent <= 10; exponent++) {
        float values[512], got[512];
        for (size_t i = 0; i < 512; i++) {
            const float mantissa = 1.0f + (float)i / 512.0f + 1e-5f * draw_normal(&seed);
            values[i] = (i % 2 == 0 ? 1.0f : -1.0f) * ldexpf(mantissa, exponent);
        }
        memcpy(got, values, sizeof(got));
        plain->gelu(got, 512);
        for (size_t i = 0; i < 512; i++) {
            const double error = fabs((double)got[i] - gelu_exact(values[i]));
            const double large = fabs((double)values[i]);
            assert_true(error <= 1.5e-7 * fmax(1.0, large));
            worst = fmax(worst, error / fmax(1.0, large));
        }
    }
    print_message("gelu: worst error %.3g\n", worst);
    float ends[16] = {0.0f, -0.0f, -1000.0f, 1000.0f, -6.0f, 6.0f, -5.999f};
    plain->gelu(ends, 16);
    assert_true(ends[0] == 0.0f && ends[1] == 0.0f && ends[3] == 1000.0f);
    assert_true(fabsf(ends[2]) < 2e-8f);
}

static void floats_are_the_same_bytes_in_every_set(void **state)
{
    (void)state;
    const struct encoder_kernels *sets[SETS_MAX];
    const size_t sets_count = list_sets(sets);
    uint64_t seed = 5;
    float values[ROWS_MAX * WIDTH], added[ROWS_MAX * WIDTH], weights[WIDTH], biases[WIDTH];
    for (size_t i = 0; i < ROWS_MAX * WIDTH; i++) {
        values[i] = ldexpf(draw_normal(&seed), (int)(i % 12) - 6);
        added[i] = draw_normal(&seed);
    }
    for (size_t i = 0; i < WIDTH; i++) {
        weights[i] = 1.0f + 0.1f * draw_normal(&seed);
        biases[i] = draw_normal(&seed);
    }
    const struct encoder_norm norm = {.weights = weights, .biases = biases};
    for (size_t s = 0; s + 1 < sets_count; s++) {
        float got[ROWS_MAX * WIDTH], expected[ROWS_MAX * WIDTH];
        memcpy(got, values, sizeof(got));
        memcpy(expected, values, sizeof(expected));
        sets[s]->gelu(got, ROWS_MAX * WIDTH);
        plain->gelu(expected, ROWS_MAX * WIDTH);
        assert_memory_equal(got, expected, sizeof(got));
        sets[s]->add_norm(got, added, ROWS_MAX, WIDTH, &norm);
        plain->add_norm(expected, added, ROWS_MAX, WIDTH, &norm);
        assert_memory_equal(got, expected, sizeof(got));
    }
}

static void a_normalised_row_has_its_mean_and_variance(void **state)
{
    (void)state;
    uint64_t seed = 9;
    float row[WIDTH], added[WIDTH], weights[WIDTH], biases[WIDTH];
    double sum = 0, squares = 0, sums[WIDTH];
    for (size_t i = 0; i < WIDTH; i++) {
        row[i] = 100.0f + draw_normal(&seed);
        added[i] = draw_normal(&seed);
        weights[i] = draw_normal(&seed);
        biases[i] = draw_normal(&seed);
        sums[i] = (double)(row[i] + added[i]);
        sum += sums[i];
    }
    for (size_t i = 0; i < WIDTH; i++)
        squares += (sums[i] - sum / WIDTH) * (sums[i] - sum / WIDTH);
    const struct encoder_norm norm = {.weights = weights, .biases = biases};
    plain->add_norm(row, added, 1, WIDTH, &norm);
    for (size_t i = 0; i < WIDTH; i++) {
        const double x = (sums[i] - sum / WIDTH) / sqrt(squares / WIDTH + 1e-12);
        assert_true(fabs(row[i] - (x * (double)weights[i] + (double)biases[i])) < 2e-5);
    }
}

/* ---- attention ------------------------------------------------------------------------------- */

static void attend_exact(const float *rows, size_t tokens, uint32_t width, uint32_t heads,
                         double *out)
{
    const size_t size = width / heads, stride = 3 * (size_t)width;
    for (size_t head = 0; head < heads; head++)
        for (size_t i = 0; i < tokens; i++) {
            double weights[64], total = 0, most = -1e300;
            for (size_t j = 0; j < tokens; j++) {
                weights[j] = 0;
                for (size_t d = 0; d < size; d++)
                    weights[j] += (double)rows[i * stride + head * size + d] *
                                  (double)rows[j * stride + width + head * size + d];
                weights[j] /= sqrt((double)size);
                most = fmax(most, weights[j]);
            }
            for (size_t j = 0; j < tokens; j++)
                total += weights[j] = exp(weights[j] - most);
            for (size_t d = 0; d < size; d++) {
                double sum = 0;
                for (size_t j = 0; j < tokens; j++)
                    sum += weights[j] / total *
                           (double)rows[j * stride + 2 * (size_t)width + head * size + d];
                out[i * width + head * size + d] = sum;
            }
        }
}

/* Heads of 16, 32, 48 and 96; 1 to 40 tokens; scores from even to one that takes all. */
static void attention_is_right_and_the_same_in_every_set(void **state)
{
    (void)state;
    static const uint32_t heads[] = {6, 3, 2, 1};
    const struct encoder_kernels *sets[SETS_MAX];
    const size_t sets_count = list_sets(sets);
    uint64_t seed = 13;
    float *rows = aligned(40 * 3 * WIDTH * sizeof(float)), *keys = aligned(WIDTH * 48 * 4);
    float *scores = aligned(ENCODER_ATTENTION_ROWS * 48 * 4);
    for (size_t tokens = 1; tokens <= 40; tokens++)
        for (size_t h = 0; h < 4; h++) {
            const float spread = tokens % 3 == 0 ? 12.0f : 1.0f;
            double exact[40 * WIDTH];
            float expected[40 * WIDTH], got[40 * WIDTH];
            for (size_t i = 0; i < tokens * 3 * WIDTH; i++)
                rows[i] = draw_normal(&seed) * (i % (3 * WIDTH) < WIDTH ? spread : 1.0f);
            const struct encoder_attention attention = {
                .width = WIDTH, .heads = heads[h], .keys = keys, .scores = scores};
            attend_exact(rows, tokens, WIDTH, heads[h], exact);
            plain->attend(&attention, rows, tokens, expected);
            for (size_t i = 0; i < tokens * WIDTH; i++)
                assert_true(fabs((double)expected[i] - exact[i]) < 2e-5);
            for (size_t s = 0; s < sets_count; s++) {
                sets[s]->attend(&attention, rows, tokens, got);
                assert_memory_equal(got, expected, tokens * WIDTH * sizeof(float));
            }
        }
    free(rows);
    free(keys);
    free(scores);
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void the_best_set_that_runs_here_is_chosen(void **state)
{
    (void)state;
    const struct encoder_kernels *sets[SETS_MAX];
    const size_t sets_count = list_sets(sets);
    assert_true(sets_count >= 1);
    assert_ptr_equal(encoder_kernels(), sets[0]);
    assert_ptr_equal(encoder_kernels(), sets[0]);
    assert_ptr_equal(sets[sets_count - 1], plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integer_products_are_exact_in_every_set),
        cmocka_unit_test(codes_are_the_nearest_and_the_same_in_every_set),
        cmocka_unit_test(gelu_is_the_exact_form),
        cmocka_unit_test(floats_are_the_same_bytes_in_every_set),
        cmocka_unit_test(a_normalised_row_has_its_mean_and_variance),
        cmocka_unit_test(attention_is_right_and_the_same_in_every_set),
        cmocka_unit_test(the_best_set_that_runs_here_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
