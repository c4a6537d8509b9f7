/*
 * encoder.c - the encoder as a program that answers questions about its speed, so that
 * bench/encoder_run.py can alternate with ONNX Runtime round by round.
 *
 *   bench_encoder WEIGHTS LAYERS POOLING [KERNELS]
 *       POOLING: mean or first; KERNELS: scalar, avx2, ..
 *
 * One command a line on stdin, one JSON object a line on stdout:
 *   time PRECISION TEXTS TOKENS RUNS    {"us": median of RUNS}, of TEXTS x TOKENS in one pack
 *   gemm ROWS RUNS                      {"us": ..}: the int8 products of all layers alone
 *   vector PRECISION ID ...             {"vector": [..]}
 *   about                               {"isa", "blas": OpenBLAS' kernels, "create_ms", ..}
 *
 * Time is CPU time of this thread: a busy neighbour disturbs it least.
 */
#include <assert.h>
#include <cblas.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/measure.h"
#include "embed/encoder_inside.h"

enum { TOKENS_MAX = 4096, TEXTS_MAX = 256, RUNS_MAX = 1000, WIDTH_MAX = ENCODER_WIDTH_MAX };

struct bench {
    struct weights *weights;
    struct encoder *encoders[2]; /* by precision */
    struct encoder_scratch *scratches[2];
    double create_ms;
    uint32_t ids[TOKENS_MAX], lengths[TEXTS_MAX];
    float units[TEXTS_MAX * WIDTH_MAX];
    double runs_us[RUNS_MAX];
};

static double cpu_us(void)
{
    return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- commands -------------------------------------------------------------------------------- */

static enum encoder_precision read_precision(char **words)
{
    const char *word = strsep(words, " ");
    must(word != NULL && (strcmp(word, "int8") == 0 || strcmp(word, "fp32") == 0),
         "the precision is int8 or fp32");
    return word[0] == 'i' ? ENCODER_INT8 : ENCODER_FP32;
}

static void time_pack(struct bench *bench, char *words)
{
    const enum encoder_precision precision = read_precision(&words);
    const size_t texts = read_number(&words, 1, TEXTS_MAX);
    const size_t tokens = read_number(&words, 2, 512), runs = read_number(&words, 1, RUNS_MAX);
    must(texts * tokens <= TOKENS_MAX, "too many tokens");
    for (size_t i = 0; i < texts * tokens;
         i++) /* [CLS] ids [SEP]; as the anchor's, encoder_run.py */
        bench->ids[i] = i % tokens == 0            ? 101
                        : i % tokens == tokens - 1 ? 102
                                                   : (uint32_t)(1000 + i * 7919 % 28000);
    for (size_t i = 0; i < texts; i++)
        bench->lengths[i] = (uint32_t)tokens;
    for (size_t i = 0; i < runs; i++) {
        const double started = cpu_us();
        must(encoder_run(bench->encoders[precision], bench->scratches[precision], bench->ids,
                         bench->lengths, texts, bench->units) == STATUS_OK,
             "a run failed");
        bench->runs_us[i] = cpu_us() - started;
    }
    (void)printf("{\"us\":%.2f}\n", median(bench->runs_us, runs));
}

static void time_products(struct bench *bench, char *words)
{
    const size_t rows_count = read_number(&words, 1, 512), runs = read_number(&words, 1, RUNS_MAX);
    const struct encoder *encoder = bench->encoders[ENCODER_INT8];
    const struct encoder_activations activations = {
        .codes = encoder_allocate(rows_count, encoder->inner),
        .rows = encoder_allocate(rows_count, sizeof(struct encoder_row)),
        .scratch = encoder_allocate(rows_count, 2 * (size_t)encoder->inner)};
    float *out = encoder_allocate(rows_count, 4 * (size_t)encoder->inner * sizeof(*out));
    must(activations.codes != NULL && activations.rows != NULL && activations.scratch != NULL &&
             out != NULL,
         "memory");
    for (size_t i = 0; i < rows_count * encoder->inner; i++)
        activations.codes[i] = (uint8_t)(i * 97);
    for (size_t run = 0; run < runs; run++) {
        const double started = cpu_us();
        for (uint32_t i = 0; i < encoder->config.layers; i++) {
            const struct encoder_layer *layer = &encoder->layers[i];
            const struct encoder_linear *const linears[] = {
                &layer->attention_in, &layer->attention_out, &layer->inner, &layer->outer};
            for (size_t l = 0; l < 4; l++)
                encoder->config.kernels->multiply(&linears[l]->panels, &activations, rows_count,
                                                  out);
        }
        bench->runs_us[run] = cpu_us() - started;
    }
    (void)printf("{\"us\":%.2f}\n", median(bench->runs_us, runs));
    free(activations.codes);
    free(activations.rows);
    free(activations.scratch);
    free(out);
}

static void print_vector(struct bench *bench, char *words)
{
    const enum encoder_precision precision = read_precision(&words);
    const struct encoder *encoder = bench->encoders[precision];
    uint32_t length = 0;
    while (words != NULL && *words != '\0') {
        must(length < TOKENS_MAX, "too many tokens");
        bench->ids[length++] = (uint32_t)read_number(&words, 0, encoder_vocabulary(encoder) - 1);
    }
    must(encoder_run(encoder, bench->scratches[precision], bench->ids, &length, 1, bench->units) ==
             STATUS_OK,
         "a run failed");
    for (uint32_t d = 0; d < encoder_dimension(encoder); d++)
        (void)printf("%s%.9g", d == 0 ? "{\"vector\":[" : ",", (double)bench->units[d]);
    (void)printf("]}\n");
}

static void answer(struct bench *bench, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    const char *command = strsep(&line, " ");
    if (strcmp(command, "time") == 0)
        time_pack(bench, line);
    else if (strcmp(command, "gemm") == 0)
        time_products(bench, line);
    else if (strcmp(command, "vector") == 0)
        print_vector(bench, line);
    else if (strcmp(command, "about") == 0)
        (void)printf("{\"isa\":\"%s\",\"blas\":\"%s\",\"create_ms\":%.1f,\"packed_bytes\":%zu}\n",
                     encoder_isa(bench->encoders[ENCODER_INT8]), openblas_get_corename(),
                     bench->create_ms, encoder_packed_bytes(bench->encoders[ENCODER_INT8]));
    else
        must(false, "no such command");
    (void)fflush(stdout);
}

/* ---- start and end --------------------------------------------------------------------------- */

static const struct encoder_kernels *kernels_of(const char *name)
{
    const struct encoder_kernels *all[8];
    bool runs[8];
    const size_t count = encoder_kernels_all(all, runs, 8);
    for (size_t i = 0; i < count; i++)
        if (runs[i] && strcmp(all[i]->name, name) == 0)
            return all[i];
    must(false, "no such kernels here");
    return NULL;
}

static void create_encoders(struct bench *bench, struct encoder_config *config)
{
    struct failure failure = {.message = ""};
    for (int precision = ENCODER_FP32; precision <= ENCODER_INT8; precision++) {
        const double started = cpu_us();
        config->precision = (enum encoder_precision)precision;
        if (encoder_create(bench->weights, config, &bench->encoders[precision], &failure) !=
            STATUS_OK) {
            (void)fprintf(stderr, "%s: %s\n", failure.field, failure.message);
            exit(1);
        }
        bench->create_ms = (cpu_us() - started) / 1e3; /* int8 comes last */
        must(encoder_scratch_create(bench->encoders[precision], TOKENS_MAX,
                                    &bench->scratches[precision]) == STATUS_OK,
             "memory");
    }
}

int main(int count, char **words)
{
    static struct bench bench;
    struct failure failure = {.message = ""};
    must(count == 4 || count == 5, "usage: bench_encoder WEIGHTS LAYERS POOLING [KERNELS]");
    struct encoder_config config = {.layers = (uint32_t)strtoul(words[2], NULL, 10),
                                    .heads = 12,
                                    .max_tokens = 512,
                                    .pooling = strcmp(words[3], "first") == 0 ? ENCODER_POOL_FIRST
                                                                              : ENCODER_POOL_MEAN,
                                    .kernels = count == 5 ? kernels_of(words[4]) : NULL};
    if (weights_open(words[1], &bench.weights, &failure) != STATUS_OK) {
        (void)fprintf(stderr, "bench_encoder: %s %s\n", failure.field, failure.message);
        return 1;
    }
    create_encoders(&bench, &config);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0)
        answer(&bench, line);
    free(line);
    for (int i = 0; i < 2; i++) {
        encoder_scratch_destroy(&bench.scratches[i]);
        encoder_destroy(&bench.encoders[i]);
    }
    weights_close(&bench.weights);
    return 0;
}
