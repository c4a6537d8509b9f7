/*
 * texts.c - texts into vectors as a program that answers questions, so that bench/texts_run.py can
 * alternate rounds: what a text costs before the encoder, and what the encoder does in a second.
 *
 *   bench_texts FOLDER PRECISION STREAM
 *       FOLDER: of a model, with its manifest; PRECISION: int8 or fp32; STREAM: lines of seq,
 *       answer group and text, tabs between, below a head
 *
 * One command a line on stdin, one JSON object a line on stdout:
 *   count                   {"texts"}
 *   alone FIRST COUNT       {"tokenise_us", "encode_us", "lexical_us", "tokenise_share",
 *                           "lexical_share"}: medians over texts, each for itself, in turns, so
 *                           that each finds the caches as the others left them; shares of a
 *                           text's tokenising and encoding together
 *   stream FIRST COUNT      {"texts_a_second"}: tokenised and in packs of 512 tokens or 32 texts
 *   rate TEXTS TOKENS RUNS THREADS  {"texts_a_second", "by_wall"}: packs of equal texts, the
 *                           encoder alone, on threads at the same time
 *   vectors FILE            {"texts"}: all of them as floats, a text without words as zeros
 *
 * alone: by the wall clock, whose reading is as short as what is timed here; a median forgets who
 * was interrupted. stream and rate: CPU time, of several threads as if each had had a core; by the
 * wall clock, too, what the threads made together while others used the machine.
 */
#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/measure.h"
#include "embed/lexical.h"
#include "embed/model.h"

enum { PACK_TOKENS = 512, PACK_TEXTS = 32, TEXTS_MAX = 1 << 16, RATE_TOKENS_MAX = 4096 };
enum { RATE_TEXTS_MAX = 256, THREADS_MAX = 64 };

struct bench {
    struct model *model;
    const struct tokenizer *tokenizer;
    const struct encoder *encoder;
    struct encoder_scratch *scratch;
    struct arena *arena;
    char *file; /* the stream; texts point into it */
    struct text texts[TEXTS_MAX];
    size_t texts_count;
    uint32_t text_max; /* ids of the longest */
};

struct pack {
    uint32_t ids[2 * PACK_TOKENS], lengths[PACK_TEXTS];
    size_t order[PACK_TEXTS]; /* which text */
    size_t texts_count, tokens_count;
    float units[PACK_TEXTS * ENCODER_WIDTH_MAX];
};

/* False: no word, or longer than the model. */
static bool tokenise(const struct bench *bench, size_t which, uint32_t *out_ids,
                     uint32_t *out_count)
{
    struct tokenizer_result result;
    must(tokenizer_encode(bench->tokenizer, bench->texts[which], out_ids, bench->text_max,
                          &result) == STATUS_OK,
         "a text is not UTF-8");
    *out_count = (uint32_t)result.written;
    return result.total > 2 && !result.is_too_long;
}

/* ---- one text after the other ---------------------------------------------------------------- */

static void time_alone(struct bench *bench, char *words)
{
    const size_t first = read_number(&words, 0, bench->texts_count - 1);
    const size_t count = read_number(&words, 1, bench->texts_count - first);
    double *columns[5];
    for (int i = 0; i < 5; i++)
        must((columns[i] = calloc(count, sizeof(double))) != NULL, "memory");
    size_t timed = 0;
    static struct pack pack;
    float lexical[LEXICAL_DIMENSION];
    for (size_t i = first; i < first + count; i++) {
        const double began = clock_of(CLOCK_MONOTONIC);
        const bool good = tokenise(bench, i, pack.ids, pack.lengths);
        const double tokenised = clock_of(CLOCK_MONOTONIC);
        if (!good)
            continue;
        must(encoder_run(bench->encoder, bench->scratch, pack.ids, pack.lengths, 1, pack.units) ==
                 STATUS_OK,
             "a run failed");
        const double encoded = clock_of(CLOCK_MONOTONIC);
        const bool has_words = lexical_embed(bench->texts[i], bench->arena, lexical) == STATUS_OK;
        const double ended = clock_of(CLOCK_MONOTONIC);
        arena_reset(bench->arena);
        if (!has_words)
            continue;
        columns[0][timed] = tokenised - began;
        columns[1][timed] = encoded - tokenised;
        columns[2][timed] = ended - encoded;
        columns[3][timed] = (tokenised - began) / (encoded - began);
        columns[4][timed] = (ended - encoded) / (encoded - began);
        timed++;
    }
    must(timed > 0, "no text with words");
    static const char *const names[] = {"tokenise_us", "encode_us", "lexical_us", "tokenise_share",
                                        "lexical_share"};
    for (int i = 0; i < 5; i++) {
        (void)printf("%s\"%s\":%.6g", i == 0 ? "{" : ",", names[i], median(columns[i], timed));
        free(columns[i]);
    }
    (void)printf("}\n");
}

/* ---- packs ----------------------------------------------------------------------------------- */

/* From the text `next` on, as many as go in; returns the one that comes after them. */
static size_t fill(const struct bench *bench, struct pack *pack, size_t next, size_t end)
{
    pack->texts_count = pack->tokens_count = 0;
    for (; next < end && pack->texts_count < PACK_TEXTS; next++) {
        uint32_t length = 0;
        if (!tokenise(bench, next, pack->ids + pack->tokens_count, &length))
            continue;
        if (pack->tokens_count + length > PACK_TOKENS)
            return next; /* tokenised anew, as in the server */
        pack->order[pack->texts_count] = next;
        pack->lengths[pack->texts_count++] = length;
        pack->tokens_count += length;
    }
    return next;
}

static void run(const struct bench *bench, struct pack *pack)
{
    must(encoder_run(bench->encoder, bench->scratch, pack->ids, pack->lengths, pack->texts_count,
                     pack->units) == STATUS_OK,
         "a run failed");
}

static void time_stream(struct bench *bench, char *words)
{
    static struct pack pack;
    const size_t first = read_number(&words, 0, bench->texts_count - 1);
    const size_t count = read_number(&words, 1, bench->texts_count - first);
    const double began = clock_of(CLOCK_THREAD_CPUTIME_ID);
    size_t texts = 0;
    for (size_t next = first; next < first + count;) {
        next = fill(bench, &pack, next, first + count);
        if (pack.texts_count > 0)
            run(bench, &pack);
        texts += pack.texts_count;
    }
    (void)printf("{\"texts_a_second\":%.1f}\n",
                 (double)texts / (clock_of(CLOCK_THREAD_CPUTIME_ID) - began) * 1e6);
}

static void write_vectors(struct bench *bench, char *words)
{
    static struct pack pack;
    static const float zeros[ENCODER_WIDTH_MAX];
    const size_t dimension = encoder_dimension(bench->encoder);
    FILE *file = fopen(words, "wb");
    must(file != NULL, "the file cannot be written");
    size_t written = 0;
    for (size_t next = 0; next < bench->texts_count;) {
        next = fill(bench, &pack, next, bench->texts_count);
        if (pack.texts_count > 0)
            run(bench, &pack);
        for (size_t i = 0; i < pack.texts_count; i++) {
            for (; written < pack.order[i]; written++)
                must(fwrite(zeros, sizeof(float), dimension, file) == dimension, "a write failed");
            must(fwrite(pack.units + i * dimension, sizeof(float), dimension, file) == dimension,
                 "a write failed");
            written++;
        }
    }
    for (; written < bench->texts_count; written++)
        must(fwrite(zeros, sizeof(float), dimension, file) == dimension, "a write failed");
    must(fclose(file) == 0, "a write failed");
    (void)printf("{\"texts\":%zu}\n", bench->texts_count);
}

/* ---- the encoder alone ----------------------------------------------------------------------- */

struct rate {
    const struct bench *bench;
    size_t texts, tokens, runs;
    pthread_barrier_t *start;
    uint32_t ids[RATE_TOKENS_MAX], lengths[RATE_TEXTS_MAX];
    float units[RATE_TEXTS_MAX * ENCODER_WIDTH_MAX];
    double cpu_us, ended_us;
};

static void *run_rate(void *argument)
{
    struct rate *rate = argument;
    struct encoder_scratch *scratch = NULL;
    must(encoder_scratch_create(rate->bench->encoder, RATE_TOKENS_MAX, &scratch) == STATUS_OK,
         "memory");
    for (size_t i = 0; i < rate->texts * rate->tokens; i++) /* [CLS] ids [SEP] */
        rate->ids[i] = i % rate->tokens == 0                  ? 101
                       : i % rate->tokens == rate->tokens - 1 ? 102
                                                              : (uint32_t)(1000 + i * 7919 % 28000);
    for (size_t i = 0; i < rate->texts; i++)
        rate->lengths[i] = (uint32_t)rate->tokens;
    double began = 0;
    for (size_t i = 0; i <= rate->runs; i++) { /* the first is not counted */
        if (i == 1) {
            (void)pthread_barrier_wait(rate->start);
            began = clock_of(CLOCK_THREAD_CPUTIME_ID);
        }
        must(encoder_run(rate->bench->encoder, scratch, rate->ids, rate->lengths, rate->texts,
                         rate->units) == STATUS_OK,
             "a run failed");
    }
    rate->cpu_us = clock_of(CLOCK_THREAD_CPUTIME_ID) - began;
    rate->ended_us = clock_of(CLOCK_MONOTONIC);
    encoder_scratch_destroy(&scratch);
    return NULL;
}

static void time_rate(struct bench *bench, char *words)
{
    const size_t texts = read_number(&words, 1, RATE_TEXTS_MAX);
    const size_t tokens = read_number(&words, 2, RATE_TOKENS_MAX / texts);
    const size_t runs = read_number(&words, 1, 1 << 16);
    const size_t threads = read_number(&words, 1, THREADS_MAX);
    pthread_barrier_t start;
    pthread_t ids[THREADS_MAX];
    struct rate *rates = calloc(threads, sizeof(*rates));
    must(rates != NULL && pthread_barrier_init(&start, NULL, (unsigned)threads + 1) == 0, "memory");
    for (size_t i = 0; i < threads; i++) {
        rates[i].bench = bench;
        rates[i].texts = texts;
        rates[i].tokens = tokens;
        rates[i].runs = runs;
        rates[i].start = &start;
        must(pthread_create(&ids[i], NULL, run_rate, &rates[i]) == 0, "a thread");
    }
    (void)pthread_barrier_wait(&start);
    const double began = clock_of(CLOCK_MONOTONIC);
    double ended = 0, rate_a_us = 0;
    for (size_t i = 0; i < threads; i++) {
        must(pthread_join(ids[i], NULL) == 0, "a thread");
        ended = rates[i].ended_us > ended ? rates[i].ended_us : ended;
        rate_a_us += (double)(texts * runs) / rates[i].cpu_us;
    }
    (void)printf("{\"texts_a_second\":%.1f,\"by_wall\":%.1f}\n", rate_a_us * 1e6,
                 (double)(texts * runs * threads) / (ended - began) * 1e6);
    (void)pthread_barrier_destroy(&start);
    free(rates);
}

/* ---- start and end --------------------------------------------------------------------------- */

static void answer(struct bench *bench, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    const char *command = strsep(&line, " ");
    if (strcmp(command, "count") == 0)
        (void)printf("{\"texts\":%zu}\n", bench->texts_count);
    else if (strcmp(command, "alone") == 0)
        time_alone(bench, line);
    else if (strcmp(command, "stream") == 0)
        time_stream(bench, line);
    else if (strcmp(command, "rate") == 0)
        time_rate(bench, line);
    else if (strcmp(command, "vectors") == 0 && line != NULL)
        write_vectors(bench, line);
    else
        must(false, "no such command");
    (void)fflush(stdout);
}

static void read_stream(struct bench *bench, const char *path)
{
    FILE *file = fopen(path, "rb");
    must(file != NULL && fseek(file, 0, SEEK_END) == 0, "no such stream");
    const long size = ftell(file);
    must(size > 0 && fseek(file, 0, SEEK_SET) == 0, "no such stream");
    bench->file = calloc(1, (size_t)size + 1);
    must(bench->file != NULL && fread(bench->file, 1, (size_t)size, file) == (size_t)size,
         "the stream cannot be read");
    (void)fclose(file);
    char *rest = bench->file, *line = strsep(&rest, "\n"); /* the head */
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        (void)strsep(&line, "\t");
        (void)strsep(&line, "\t");
        must(line != NULL && bench->texts_count < TEXTS_MAX, "no stream of three columns");
        bench->texts[bench->texts_count++] = text_of(line);
    }
    must(bench->texts_count > 0, "the stream is empty");
}

int main(int count, char **words)
{
    static struct bench bench;
    struct failure failure = {.message = ""};
    must(count == 4, "usage: bench_texts FOLDER PRECISION STREAM");
    must(strcmp(words[2], "int8") == 0 || strcmp(words[2], "fp32") == 0,
         "the precision is int8 or fp32");
    const struct model_settings settings = {
        .folder = words[1],
        .precision = words[2][0] == 'i' ? ENCODER_INT8 : ENCODER_FP32,
    };
    if (model_open(&settings, &bench.model, &failure) != STATUS_OK) {
        (void)fprintf(stderr, "bench_texts: %s %s\n", failure.field, failure.message);
        return 1;
    }
    uint32_t prefix_count = 0;
    (void)model_prefix(bench.model, &prefix_count);
    must(prefix_count == 0, "a model with a prefix is not measured here");
    bench.tokenizer = model_tokenizer(bench.model);
    bench.encoder = model_encoder(bench.model);
    bench.text_max = model_manifest(bench.model)->max_tokens;
    must(bench.text_max <= PACK_TOKENS, "the model's texts are longer than a pack");
    must(encoder_scratch_create(bench.encoder, PACK_TOKENS, &bench.scratch) == STATUS_OK &&
             arena_create(&bench.arena) == STATUS_OK,
         "memory");
    read_stream(&bench, words[3]);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0)
        answer(&bench, line);
    free(line);
    free(bench.file);
    arena_destroy(&bench.arena);
    encoder_scratch_destroy(&bench.scratch);
    model_close(&bench.model);
    return 0;
}
