/*
 * encoder_onednn.c - the anchor of the int8 products: oneDNN's matmul over the same four shapes and
 * as many layers, weights reordered once into the layout that it likes best. It multiplies alone:
 * no per-token scales, no bias. Built where Debian's libdnnl-dev is.
 *
 *   bench_encoder_onednn LAYERS    then on stdin: gemm ROWS RUNS -> {"us": median}
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <oneapi/dnnl/dnnl.h>

enum { SHAPES = 4, LAYERS_MAX = 48, RUNS_MAX = 1000 };

static const int64_t depths[SHAPES] = {384, 384, 384, 1536};
static const int64_t columns[SHAPES] = {1152, 384, 1536, 384};

struct product {
    dnnl_primitive_t primitive;
    dnnl_memory_t rows, weights, out;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_encoder_onednn: %s\n", what);
    exit(1);
}

static void must_dnnl(dnnl_status_t status, const char *what)
{
    must(status == dnnl_success, what);
}

static double cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *description, int fill)
{
    dnnl_memory_t memory;
    void *bytes = NULL;
    must_dnnl(dnnl_memory_create(&memory, description, engine, DNNL_MEMORY_ALLOCATE), "memory");
    must_dnnl(dnnl_memory_get_data_handle(memory, &bytes), "memory");
    memset(bytes, fill, dnnl_memory_desc_get_size(description));
    return memory;
}

static dnnl_memory_desc_t matrix_of(int64_t rows, int64_t width, dnnl_data_type_t type,
                                    dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t description;
    const dnnl_dims_t dimensions = {rows, width};
    must_dnnl(dnnl_memory_desc_init_by_tag(&description, 2, dimensions, type, tag), "a matrix");
    return description;
}

/* Weights in the primitive's own layout, reordered from a plain matrix. */
static dnnl_memory_t reorder_weights(const dnnl_memory_desc_t *wanted, int64_t depth, int64_t width)
{
    const dnnl_memory_desc_t plain = matrix_of(depth, width, dnnl_s8, dnnl_ab);
    dnnl_memory_t from = memory_of(&plain, 3), to = memory_of(wanted, 0);
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    must_dnnl(
        dnnl_reorder_primitive_desc_create(&description, &plain, engine, wanted, engine, NULL),
        "reordering");
    must_dnnl(dnnl_primitive_create(&primitive, description), "reordering");
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    must_dnnl(dnnl_primitive_execute(primitive, stream, 2, arguments), "reordering");
    must_dnnl(dnnl_stream_wait(stream), "reordering");
    (void)dnnl_primitive_destroy(primitive);
    (void)dnnl_primitive_desc_destroy(description);
    (void)dnnl_memory_destroy(from);
    return to;
}

static struct product product_create(int64_t rows_count, int64_t depth, int64_t width)
{
    const dnnl_memory_desc_t rows = matrix_of(rows_count, depth, dnnl_u8, dnnl_ab);
    const dnnl_memory_desc_t weights = matrix_of(depth, width, dnnl_s8, dnnl_format_tag_any);
    const dnnl_memory_desc_t out = matrix_of(rows_count, width, dnnl_s32, dnnl_ab);
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t description;
    struct product product;
    must_dnnl(dnnl_matmul_desc_init(&operation, &rows, &weights, NULL, &out), "matmul");
    must_dnnl(dnnl_primitive_desc_create(&description, &operation, NULL, engine, NULL), "matmul");
    must_dnnl(dnnl_primitive_create(&product.primitive, description), "matmul");
    product.rows = memory_of(&rows, 97);
    product.out = memory_of(&out, 0);
    product.weights = reorder_weights(
        dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0), depth, width);
    (void)dnnl_primitive_desc_destroy(description);
    return product;
}

static void product_destroy(struct product *product)
{
    (void)dnnl_primitive_destroy(product->primitive);
    (void)dnnl_memory_destroy(product->rows);
    (void)dnnl_memory_destroy(product->weights);
    (void)dnnl_memory_destroy(product->out);
}

static void run(const struct product *product)
{
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, product->rows},
                                         {DNNL_ARG_WEIGHTS, product->weights},
                                         {DNNL_ARG_DST, product->out}};
    must_dnnl(dnnl_primitive_execute(product->primitive, stream, 3, arguments), "running");
}

static int compare_numbers(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double time_products(uint32_t layers, int64_t rows_count, uint32_t runs)
{
    static struct product products[LAYERS_MAX * SHAPES];
    static double runs_us[RUNS_MAX];
    const uint32_t count = layers * SHAPES;
    for (uint32_t i = 0; i < count; i++)
        products[i] = product_create(rows_count, depths[i % SHAPES], columns[i % SHAPES]);
    for (uint32_t r = 0; r < runs; r++) {
        const double started = cpu_us();
        for (uint32_t i = 0; i < count; i++)
            run(&products[i]);
        must_dnnl(dnnl_stream_wait(stream), "running");
        runs_us[r] = cpu_us() - started;
    }
    for (uint32_t i = 0; i < count; i++)
        product_destroy(&products[i]);
    qsort(runs_us, runs, sizeof(*runs_us), compare_numbers);
    return runs_us[runs / 2];
}

int main(int count, char **words)
{
    const long layers = count == 2 ? strtol(words[1], NULL, 10) : 0;
    must(layers >= 1 && layers <= LAYERS_MAX, "usage: bench_encoder_onednn LAYERS");
    must_dnnl(dnnl_engine_create(&engine, dnnl_cpu, 0), "no engine");
    must_dnnl(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "no stream");
    char line[64], *rest = NULL;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        must(strncmp(line, "gemm ", 5) == 0, "no such command");
        const long rows_count = strtol(line + 5, &rest, 10), runs = strtol(rest, NULL, 10);
        must(rows_count >= 1 && rows_count <= 512 && runs >= 1 && runs <= RUNS_MAX, "out of range");
        (void)printf("{\"us\":%.2f}\n",
                     time_products((uint32_t)layers, rows_count, (uint32_t)runs));
        (void)fflush(stdout);
    }
    (void)dnnl_stream_destroy(stream);
    (void)dnnl_engine_destroy(engine);
    return 0;
}
