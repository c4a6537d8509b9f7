/*
 * Goal: every kernel gives the very same integers, and the fp32 figures are the same on every
 * processor.
 * Method: all kernels that run here (vector_scalar, vector_avx2, vector_avx512vnni) against a
 * plain loop, over all dimensions to 512 and two large ones, with random and extreme bytes; fp32
 * against the order of adding that vector.c promises, bit by bit.
 */
#include "tests/unit/index/index_support.h"

enum { ROWS = 9, KERNELS = 8, BYTES = VECTOR_DIMENSION_MAX };

struct bytes {
    _Alignas(64) uint8_t rows[ROWS * BYTES];
    _Alignas(64) int8_t query[BYTES];
};

/* Pattern 0 is random; the others hold one extreme in every byte, or two that alternate. */
static void fill_bytes(struct bytes *bytes, uint32_t dimension, int pattern, uint64_t *seed)
{
    static const uint8_t row_bytes_of[] = {0, 255, 0, 255, 1, 128};
    static const int8_t query_of[] = {-128, 127, 127, -128, -127, 127};
    const size_t row_bytes = vector_row_bytes(dimension);
    memset(bytes->rows, 128, sizeof(bytes->rows));
    memset(bytes->query, 0, sizeof(bytes->query));
    for (uint32_t i = 0; i < dimension; i++) {
        const int which = pattern < 7 ? pattern - 1 : (int)(i % 2) * 3;
        bytes->query[i] = pattern == 0 ? (int8_t)chance(seed) : query_of[which];
        for (size_t r = 0; r < ROWS; r++)
            bytes->rows[r * row_bytes + i] =
                pattern == 0 ? (uint8_t)chance(seed) : row_bytes_of[which];
    }
}

static int64_t plain_dot(const uint8_t *row, const int8_t *query, uint32_t dimension)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < dimension; i++)
        sum += ((int64_t)row[i] - 128) * query[i];
    return sum;
}

static void compare_kernel(const struct vector_kernels *kernels, const struct bytes *bytes,
                           uint32_t dimension)
{
    const size_t row_bytes = vector_row_bytes(dimension);
    for (size_t rows = 0; rows <= ROWS; rows++) {
        int32_t dots[ROWS + 1];
        dots[rows] = 0x5eed;
        kernels->scan(bytes->rows, row_bytes, rows, bytes->query, dots);
        assert_int_equal(dots[rows], 0x5eed); /* nothing behind the last is written */
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *row = bytes->rows + r * row_bytes;
            assert_int_equal(dots[r], plain_dot(row, bytes->query, dimension));
            assert_int_equal(kernels->dot(row, bytes->query, row_bytes), dots[r]);
        }
    }
}

static void compare_all_kernels(const struct bytes *bytes, uint32_t dimension)
{
    const struct vector_kernels *list[KERNELS];
    bool runs_here[KERNELS];
    const size_t count = vector_kernels_all(list, runs_here, KERNELS);
    for (size_t i = 0; i < count; i++)
        if (runs_here[i])
            compare_kernel(list[i], bytes, dimension);
}

static void every_kernel_gives_the_same_integers(void **state)
{
    (void)state;
    static struct bytes bytes;
    uint64_t seed = 0x1234567;
    const uint32_t large[] = {1024, 4096};
    for (uint32_t dimension = 1; dimension <= 514; dimension++)
        for (int pattern = 0; pattern <= 7; pattern++) {
            const uint32_t used = dimension <= 512 ? dimension : large[dimension - 513];
            fill_bytes(&bytes, used, pattern, &seed);
            compare_all_kernels(&bytes, used);
        }
}

static void every_pair_of_bytes_multiplies_exactly(void **state)
{
    (void)state;
    static struct bytes bytes;
    memset(bytes.rows, 128, sizeof(bytes.rows));
    for (int row = 0; row < 256; row++)
        for (int query = -128; query < 128; query++) {
            const size_t at = (size_t)(row * 7 + query + 128) % 64;
            memset(bytes.query, 0, 64);
            bytes.rows[at] = (uint8_t)row;
            bytes.query[at] = (int8_t)query;
            const struct vector_kernels *best = vector_kernels();
            assert_int_equal(best->dot(bytes.rows, bytes.query, 64), (row - 128) * query);
            bytes.rows[at] = 128;
        }
}

static void the_chosen_kernel_is_the_best_that_runs_here(void **state)
{
    (void)state;
    const struct vector_kernels *list[KERNELS];
    bool runs_here[KERNELS];
    const size_t count = vector_kernels_all(list, runs_here, KERNELS);
    assert_true(count >= 1);
    assert_string_equal(list[count - 1]->name, "scalar");
    assert_true(runs_here[count - 1]);
    size_t best = 0;
    while (!runs_here[best])
        best++;
    assert_ptr_equal(vector_kernels(), list[best]);
    assert_int_equal(vector_kernels_all(list, NULL, 1), 1);
}

static void what_has_no_direction_is_refused(void **state)
{
    (void)state;
    float unit[3] = {7, 7, 7};
    assert_false(vector_normalise((float[]){0, 0, 0}, 3, unit));
    assert_false(vector_normalise((float[]){1, NAN, 0}, 3, unit));
    assert_false(vector_normalise((float[]){1, INFINITY, 0}, 3, unit));
    assert_false(vector_normalise((float[]){-INFINITY, INFINITY, 0}, 3, unit));
    assert_true(unit[0] == 7 && unit[1] == 7 && unit[2] == 7); /* untouched */
}

static void huge_and_tiny_vectors_become_unit_length(void **state)
{
    (void)state;
    float unit[2];
    const float lengths[] = {3e38f, 1e-44f, 1.0f, 1e20f};
    for (size_t i = 0; i < 4; i++) {
        assert_true(vector_normalise((float[]){lengths[i], -lengths[i]}, 2, unit));
        assert_float_equal(unit[0], 0.70710678f, 1e-7f);
        assert_float_equal(unit[1], -0.70710678f, 1e-7f);
    }
}

static void a_vector_is_exactly_like_itself(void **state)
{
    (void)state;
    static float unit[VECTOR_DIMENSION_MAX], opposite[VECTOR_DIMENSION_MAX];
    uint64_t seed = 99;
    for (uint32_t dimension = 1; dimension <= VECTOR_DIMENSION_MAX;
         dimension += 1 + dimension / 7) {
        for (int round = 0; round < 20; round++) {
            chance_unit(&seed, dimension, unit);
            for (uint32_t i = 0; i < dimension; i++)
                opposite[i] = -unit[i];
            assert_true(vector_dot(unit, unit, dimension) == 1.0f);
            assert_true(vector_dot(unit, opposite, dimension) >= -1.0f);
            assert_float_equal(vector_dot(unit, opposite, dimension), -1.0f, 1e-6f);
        }
    }
}

static void only_what_is_all_but_equal_counts_as_one(void **state)
{
    (void)state;
    const float angle = 0.005f; /* cosine 1 - 1.25e-5 */
    const float a[2] = {1, 0}, b[2] = {cosf(angle), sinf(angle)};
    assert_true(vector_dot(a, b, 2) < 1.0f);
    assert_float_equal(vector_dot(a, b, 2), 1.0f - 1.25e-5f, 1e-6f);
}

/* The order of adding that vector.c promises, spelled out without any vector instruction. */
static float dot_in_order(const float *a, const float *b, uint32_t dimension)
{
    volatile float totals[16] = {0};
    for (uint32_t block = 0; block < dimension; block += 128) {
        volatile float lanes[16] = {0};
        for (uint32_t i = block; i < block + 128 && i < dimension / 16 * 16; i++)
            lanes[i % 16] += (volatile float){a[i] * b[i]};
        for (uint32_t lane = 0; lane < 16; lane++)
            totals[lane] += lanes[lane];
    }
    for (uint32_t i = dimension / 16 * 16; i < dimension; i++)
        totals[i % 16] += (volatile float){a[i] * b[i]};
    for (uint32_t width = 8; width > 0; width /= 2)
        for (uint32_t lane = 0; lane < width; lane++)
            totals[lane] += totals[lane + width];
    return totals[0];
}

static void the_fp32_dot_adds_in_the_promised_order(void **state)
{
    (void)state;
    static float a[VECTOR_DIMENSION_MAX], b[VECTOR_DIMENSION_MAX];
    uint64_t seed = 5;
    for (uint32_t dimension = 2; dimension <= VECTOR_DIMENSION_MAX;
         dimension += 1 + dimension / 50) {
        chance_unit(&seed, dimension, a);
        chance_unit(&seed, dimension, b);
        const float expected = dot_in_order(a, b, dimension);
        if (expected < 1.0f - VECTOR_ONE_EPSILON && expected > -1.0f)
            assert_true(vector_dot(a, b, dimension) == expected);
        double exact = 0;
        for (uint32_t i = 0; i < dimension; i++)
            exact += (double)a[i] * (double)b[i];
        assert_float_equal(vector_dot(a, b, dimension), (float)exact, 4e-6f);
    }
}

static void codes_are_the_nearest_and_padding_is_zero(void **state)
{
    (void)state;
    _Alignas(64) uint8_t row[512];
    _Alignas(64) int8_t query[512];
    float unit[450];
    uint64_t seed = 31;
    for (uint32_t dimension = 1; dimension <= 450; dimension += 17) {
        chance_unit(&seed, dimension, unit);
        const float scale = vector_encode_row(unit, dimension, row);
        assert_true(vector_encode_query(unit, dimension, query) == scale);
        int largest = 0;
        for (uint32_t i = 0; i < dimension; i++) {
            assert_int_equal((int)row[i] - 128, query[i]);
            assert_float_equal((float)query[i] * scale, unit[i], scale * 0.501f);
            largest = abs(query[i]) > largest ? abs(query[i]) : largest;
        }
        assert_int_equal(largest, 127);
        for (size_t i = dimension; i < vector_row_bytes(dimension); i++)
            assert_true(row[i] == 128 && query[i] == 0);
    }
}

static void rows_are_whole_cache_lines(void **state)
{
    (void)state;
    assert_int_equal(vector_row_bytes(1), 64);
    assert_int_equal(vector_row_bytes(64), 64);
    assert_int_equal(vector_row_bytes(65), 128);
    assert_int_equal(vector_row_bytes(384), 384);
    assert_int_equal(vector_row_bytes(VECTOR_DIMENSION_MAX), 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_gives_the_same_integers),
        cmocka_unit_test(every_pair_of_bytes_multiplies_exactly),
        cmocka_unit_test(the_chosen_kernel_is_the_best_that_runs_here),
        cmocka_unit_test(what_has_no_direction_is_refused),
        cmocka_unit_test(huge_and_tiny_vectors_become_unit_length),
        cmocka_unit_test(a_vector_is_exactly_like_itself),
        cmocka_unit_test(only_what_is_all_but_equal_counts_as_one),
        cmocka_unit_test(the_fp32_dot_adds_in_the_promised_order),
        cmocka_unit_test(codes_are_the_nearest_and_padding_is_zero),
        cmocka_unit_test(rows_are_whole_cache_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
