/*
 * test_encoder.c - Goal: encoder and encoder_pack compute what the formulas of BERT say, and a
 * vector depends on its own text alone. Method: a tiny model of a fixed seed, so that no weights
 * are needed; the same formulas in plain loops and double; every set of kernels, both precisions,
 * both formats of files; then models and calls that are not right.
 */
#include "tests/unit/embed/model_support.h"

#include <pthread.h>

#include "embed/encoder.h"

enum { TEXTS = 32, TOKENS_MAX = 512, SETS_MAX = 8 };

struct world {
    struct tiny_model model;
    struct bytes file;
    struct weights *weights;
    uint32_t ids[TEXTS * TINY_PLACES], lengths[TEXTS];
    size_t firsts[TEXTS];
    float exact[TEXTS][TINY_WIDTH]; /* mean pooling */
};

static const struct encoder_config tiny_config = {.layers = TINY_LAYERS,
                                                  .heads = TINY_HEADS,
                                                  .max_tokens = TINY_PLACES,
                                                  .pooling = ENCODER_POOL_MEAN,
                                                  .precision = ENCODER_INT8};

/* ---- the formulas ---------------------------------------------------------------------------- */

static const float *values_of(struct world *world, int layer, const char *part)
{
    char name[80];
    if (layer < 0)
        return tiny_find(&world->model, part)->values;
    (void)snprintf(name, sizeof(name), "encoder.layer.%d.%s", layer, part);
    return tiny_find(&world->model, name)->values;
}

static void plain_norm(double *row, const float *weights, const float *biases)
{
    double sum = 0, squares = 0;
    for (int d = 0; d < TINY_WIDTH; d++)
        sum += row[d];
    for (int d = 0; d < TINY_WIDTH; d++)
        squares += (row[d] - sum / TINY_WIDTH) * (row[d] - sum / TINY_WIDTH);
    for (int d = 0; d < TINY_WIDTH; d++)
        row[d] =
            (row[d] - sum / TINY_WIDTH) / sqrt(squares / TINY_WIDTH + 1e-12) * (double)weights[d] +
            (double)biases[d];
}

static void plain_linear(const double *row, int inputs, int columns, const float *weights,
                         const float *biases, double *out)
{
    for (int c = 0; c < columns; c++) {
        out[c] = (double)biases[c];
        for (int k = 0; k < inputs; k++)
            out[c] += row[k] * (double)weights[c * inputs + k];
    }
}

static void plain_attention(double (*q)[TINY_WIDTH], double (*k)[TINY_WIDTH],
                            double (*v)[TINY_WIDTH], uint32_t tokens, double (*out)[TINY_WIDTH])
{
    const int size = TINY_WIDTH / TINY_HEADS;
    for (int head = 0; head < TINY_HEADS * size; head += size)
        for (uint32_t i = 0; i < tokens; i++) {
            double weights[TINY_PLACES], total = 0;
            for (uint32_t j = 0; j < tokens; j++) {
                double score = 0;
                for (int d = head; d < head + size; d++)
                    score += q[i][d] * k[j][d];
                total += weights[j] = exp(score / sqrt((double)size));
            }
            for (int d = head; d < head + size; d++) {
                out[i][d] = 0;
                for (uint32_t j = 0; j < tokens; j++)
                    out[i][d] += weights[j] / total * v[j][d];
            }
        }
}

static void plain_layer(struct world *world, int layer, double (*x)[TINY_WIDTH], uint32_t tokens)
{
    double q[TINY_PLACES][TINY_WIDTH], k[TINY_PLACES][TINY_WIDTH], v[TINY_PLACES][TINY_WIDTH];
    double context[TINY_PLACES][TINY_WIDTH], sums[TINY_WIDTH], inner[TINY_INNER];
    const struct {
        const char *weight, *bias;
        double (*out)[TINY_WIDTH];
    } parts[] = {{"attention.self.query.weight", "attention.self.query.bias", q},
                 {"attention.self.key.weight", "attention.self.key.bias", k},
                 {"attention.self.value.weight", "attention.self.value.bias", v}};
    for (int p = 0; p < 3; p++)
        for (uint32_t t = 0; t < tokens; t++)
            plain_linear(x[t], TINY_WIDTH, TINY_WIDTH, values_of(world, layer, parts[p].weight),
                         values_of(world, layer, parts[p].bias), parts[p].out[t]);
    plain_attention(q, k, v, tokens, context);
    for (uint32_t t = 0; t < tokens; t++) {
        plain_linear(context[t], TINY_WIDTH, TINY_WIDTH,
                     values_of(world, layer, "attention.output.dense.weight"),
                     values_of(world, layer, "attention.output.dense.bias"), sums);
        for (int d = 0; d < TINY_WIDTH; d++)
            x[t][d] += sums[d];
        plain_norm(x[t], values_of(world, layer, "attention.output.LayerNorm.weight"),
                   values_of(world, layer, "attention.output.LayerNorm.bias"));
        plain_linear(x[t], TINY_WIDTH, TINY_INNER,
                     values_of(world, layer, "intermediate.dense.weight"),
                     values_of(world, layer, "intermediate.dense.bias"), inner);
        for (int i = 0; i < TINY_INNER; i++)
            inner[i] = 0.5 * inner[i] * (1 + erf(inner[i] / sqrt(2.0)));
        plain_linear(inner, TINY_INNER, TINY_WIDTH, values_of(world, layer, "output.dense.weight"),
                     values_of(world, layer, "output.dense.bias"), sums);
        for (int d = 0; d < TINY_WIDTH; d++)
            x[t][d] += sums[d];
        plain_norm(x[t], values_of(world, layer, "output.LayerNorm.weight"),
                   values_of(world, layer, "output.LayerNorm.bias"));
    }
}

static void plain_encode(struct world *world, const uint32_t *ids, uint32_t tokens, bool mean,
                         float *out)
{
    const float *words = values_of(world, -1, "embeddings.word_embeddings.weight");
    const float *places = values_of(world, -1, "embeddings.position_embeddings.weight");
    const float *types = values_of(world, -1, "embeddings.token_type_embeddings.weight");
    double x[TINY_PLACES][TINY_WIDTH], pooled[TINY_WIDTH] = {0}, squares = 0;
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t d = 0; d < TINY_WIDTH; d++)
            x[t][d] = (double)words[ids[t] * TINY_WIDTH + d] + (double)places[t * TINY_WIDTH + d] +
                      (double)types[d];
        plain_norm(x[t], values_of(world, -1, "embeddings.LayerNorm.weight"),
                   values_of(world, -1, "embeddings.LayerNorm.bias"));
    }
    for (int layer = 0; layer < TINY_LAYERS; layer++)
        plain_layer(world, layer, x, tokens);
    for (int d = 0; d < TINY_WIDTH; d++) {
        for (uint32_t t = 0; t < (mean ? tokens : 1); t++)
            pooled[d] += x[t][d];
        squares += pooled[d] * pooled[d];
    }
    for (int d = 0; d < TINY_WIDTH; d++)
        out[d] = (float)(pooled[d] / sqrt(squares));
}

/* ---- the world ------------------------------------------------------------------------------- */

/* 32 texts of 1 to 40 tokens, 40 and 1 among them. */
static int world_create(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    size_t first = 0;
    tiny_create(&world->model);
    tiny_to_safetensors(&world->model, false, &world->file);
    assert_int_equal(weights_open_bytes(WEIGHTS_SAFETENSORS, world->file.at, world->file.length,
                                        &world->weights, NULL),
                     STATUS_OK);
    for (uint32_t i = 0; i < TEXTS; i++) {
        world->lengths[i] = i == 3 ? TINY_PLACES : 1 + i * 7 % 25;
        world->firsts[i] = first;
        for (uint32_t t = 0; t < world->lengths[i]; t++)
            world->ids[first + t] = (i * 31 + t * 17 + t * t) % TINY_WORDS;
        plain_encode(world, world->ids + first, world->lengths[i], true, world->exact[i]);
        first += world->lengths[i];
    }
    assert_true(first <= TOKENS_MAX);
    *state = world;
    return 0;
}

static int world_destroy(void **state)
{
    struct world *world = *state;
    weights_close(&world->weights);
    free(world->file.at);
    tiny_destroy(&world->model);
    free(world);
    return 0;
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (int d = 0; d < TINY_WIDTH; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

struct machine {
    struct encoder *encoder;
    struct encoder_scratch *scratch;
};

static void machine_create(const struct weights *weights, const struct encoder_config *config,
                           struct machine *out_machine)
{
    struct failure failure = {.message = ""};
    *out_machine = (struct machine){.encoder = NULL};
    if (encoder_create(weights, config, &out_machine->encoder, &failure) != STATUS_OK)
        fail_msg("%s: %s", failure.field, failure.message);
    assert_int_equal(
        encoder_scratch_create(out_machine->encoder, TOKENS_MAX, &out_machine->scratch), STATUS_OK);
}

static void machine_destroy(struct machine *machine)
{
    encoder_scratch_destroy(&machine->scratch);
    encoder_destroy(&machine->encoder);
    assert_null(machine->scratch);
    assert_null(machine->encoder);
}

static size_t list_sets(const struct encoder_kernels **out_sets)
{
    const struct encoder_kernels *all[SETS_MAX];
    bool runs[SETS_MAX];
    const size_t count = encoder_kernels_all(all, runs, SETS_MAX);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (runs[i])
            out_sets[kept++] = all[i];
    return kept;
}

/* ---- right ----------------------------------------------------------------------------------- */

static void fp32_is_what_the_formulas_say(void **state)
{
    struct world *world = *state;
    struct encoder_config config = tiny_config;
    struct machine machine;
    float units[TEXTS][TINY_WIDTH];
    config.precision = ENCODER_FP32;
    machine_create(world->weights, &config, &machine);
    assert_int_equal(encoder_dimension(machine.encoder), TINY_WIDTH);
    assert_int_equal(encoder_vocabulary(machine.encoder), TINY_WORDS);
    assert_int_equal(
        encoder_run(machine.encoder, machine.scratch, world->ids, world->lengths, TEXTS, units[0]),
        STATUS_OK);
    for (int i = 0; i < TEXTS; i++)
        for (int d = 0; d < TINY_WIDTH; d++)
            assert_true(fabsf(units[i][d] - world->exact[i][d]) < 2e-6f);
    machine_destroy(&machine);
}

static void int8_is_near_and_the_same_in_every_set(void **state)
{
    struct world *world = *state;
    const struct encoder_kernels *sets[SETS_MAX];
    const size_t sets_count = list_sets(sets);
    float first[TEXTS][TINY_WIDTH], units[TEXTS][TINY_WIDTH];
    for (size_t s = 0; s < sets_count; s++) {
        struct encoder_config config = tiny_config;
        struct machine machine;
        config.kernels = sets[s];
        machine_create(world->weights, &config, &machine);
        assert_string_equal(encoder_isa(machine.encoder), sets[s]->name);
        assert_int_equal(encoder_run(machine.encoder, machine.scratch, world->ids, world->lengths,
                                     TEXTS, units[0]),
                         STATUS_OK);
        for (int i = 0; i < TEXTS; i++) {
            assert_true(fabs(cosine(units[i], units[i]) - 1) < 1e-6);
            assert_true(cosine(units[i], world->exact[i]) > 0.999);
        }
        if (s == 0)
            memcpy(first, units, sizeof(first));
        assert_memory_equal(first, units, sizeof(first));
        machine_destroy(&machine);
    }
}

static void the_first_token_may_stand_for_the_text(void **state)
{
    struct world *world = *state;
    struct encoder_config config = tiny_config;
    struct machine machine;
    float unit[TINY_WIDTH], exact[TINY_WIDTH];
    config.precision = ENCODER_FP32;
    config.pooling = ENCODER_POOL_FIRST;
    machine_create(world->weights, &config, &machine);
    plain_encode(world, world->ids + world->firsts[3], world->lengths[3], false, exact);
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, world->ids + world->firsts[3],
                                 world->lengths + 3, 1, unit),
                     STATUS_OK);
    for (int d = 0; d < TINY_WIDTH; d++)
        assert_true(fabsf(unit[d] - exact[d]) < 2e-6f);
    machine_destroy(&machine);
}

/* OpenBLAS adds in an order that depends on the number of rows; our kernels do not. */
static void assert_same_vector(const float *a, const float *b, enum encoder_precision precision)
{
    if (precision == ENCODER_INT8)
        assert_memory_equal(a, b, TINY_WIDTH * sizeof(*a));
    for (int d = 0; d < TINY_WIDTH; d++)
        assert_true(fabsf(a[d] - b[d]) < 1e-6f);
}

static void a_text_alone_has_the_vector_it_has_among_others(void **state)
{
    struct world *world = *state;
    for (int precision = ENCODER_FP32; precision <= ENCODER_INT8; precision++) {
        struct encoder_config config = tiny_config;
        struct machine machine;
        float units[TEXTS][TINY_WIDTH], alone[TINY_WIDTH];
        config.precision = (enum encoder_precision)precision;
        machine_create(world->weights, &config, &machine);
        assert_int_equal(encoder_run(machine.encoder, machine.scratch, world->ids, world->lengths,
                                     TEXTS, units[0]),
                         STATUS_OK);
        for (size_t i = 0; i < TEXTS; i++) {
            assert_int_equal(encoder_run(machine.encoder, machine.scratch,
                                         world->ids + world->firsts[i], world->lengths + i, 1,
                                         alone),
                             STATUS_OK);
            assert_same_vector(alone, units[i], (enum encoder_precision)precision);
        }
        machine_destroy(&machine);
    }
}

static void an_onnx_file_gives_the_same_bytes(void **state)
{
    struct world *world = *state;
    struct bytes file;
    struct weights *weights = NULL;
    struct machine machine, other;
    float units[TEXTS][TINY_WIDTH], others[TEXTS][TINY_WIDTH];
    tiny_to_onnx(&world->model, &file);
    assert_int_equal(weights_open_bytes(WEIGHTS_ONNX, file.at, file.length, &weights, NULL),
                     STATUS_OK);
    machine_create(world->weights, &tiny_config, &machine);
    machine_create(weights, &tiny_config, &other);
    assert_int_equal(encoder_packed_bytes(machine.encoder), encoder_packed_bytes(other.encoder));
    assert_int_equal(
        encoder_run(machine.encoder, machine.scratch, world->ids, world->lengths, TEXTS, units[0]),
        STATUS_OK);
    assert_int_equal(
        encoder_run(other.encoder, other.scratch, world->ids, world->lengths, TEXTS, others[0]),
        STATUS_OK);
    assert_memory_equal(units, others, sizeof(units));
    machine_destroy(&machine);
    machine_destroy(&other);
    weights_close(&weights);
    free(file.at);
}

static void half_precision_weights_are_enough(void **state)
{
    struct world *world = *state;
    struct bytes file;
    struct weights *weights = NULL;
    struct machine machine;
    float units[TEXTS][TINY_WIDTH];
    tiny_to_safetensors(&world->model, true, &file);
    assert_int_equal(weights_open_bytes(WEIGHTS_SAFETENSORS, file.at, file.length, &weights, NULL),
                     STATUS_OK);
    machine_create(weights, &tiny_config, &machine);
    assert_int_equal(
        encoder_run(machine.encoder, machine.scratch, world->ids, world->lengths, TEXTS, units[0]),
        STATUS_OK);
    for (int i = 0; i < TEXTS; i++)
        assert_true(cosine(units[i], world->exact[i]) > 0.999);
    machine_destroy(&machine);
    weights_close(&weights);
    free(file.at);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct worker {
    struct world *world;
    const struct encoder *encoder;
    const float *expected;
    pthread_t thread;
    bool equal;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct encoder_scratch *scratch = NULL;
    float units[TEXTS][TINY_WIDTH];
    worker->equal = encoder_scratch_create(worker->encoder, TOKENS_MAX, &scratch) == STATUS_OK;
    for (int round = 0; round < 20 && worker->equal; round++)
        worker->equal = encoder_run(worker->encoder, scratch, worker->world->ids,
                                    worker->world->lengths, TEXTS, units[0]) == STATUS_OK &&
                        memcmp(units, worker->expected, sizeof(units)) == 0;
    encoder_scratch_destroy(&scratch);
    return NULL;
}

static void threads_share_an_encoder(void **state)
{
    struct world *world = *state;
    for (int precision = ENCODER_FP32; precision <= ENCODER_INT8; precision++) {
        struct encoder_config config = tiny_config;
        struct machine machine;
        struct worker workers[4];
        float units[TEXTS][TINY_WIDTH];
        config.precision = (enum encoder_precision)precision;
        machine_create(world->weights, &config, &machine);
        assert_int_equal(encoder_run(machine.encoder, machine.scratch, world->ids, world->lengths,
                                     TEXTS, units[0]),
                         STATUS_OK);
        for (int i = 0; i < 4; i++) {
            workers[i] = (struct worker){world, machine.encoder, units[0], 0, false};
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
            assert_true(workers[i].equal);
        }
        machine_destroy(&machine);
    }
}

/* ---- wrong ----------------------------------------------------------------------------------- */

static void calls_outside_the_limits_are_refused(void **state)
{
    struct world *world = *state;
    struct machine machine;
    float units[TEXTS][TINY_WIDTH];
    uint32_t ids[TOKENS_MAX + 1] = {0}, lengths[TEXTS];
    machine_create(world->weights, &tiny_config, &machine);
    lengths[0] = 0;
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, lengths, 1, units[0]),
                     STATUS_LIMIT_EXCEEDED);
    lengths[0] = TINY_PLACES + 1;
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, lengths, 1, units[0]),
                     STATUS_LIMIT_EXCEEDED);
    lengths[0] = 2;
    ids[1] = TINY_WORDS;
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, lengths, 1, units[0]),
                     STATUS_LIMIT_EXCEEDED);
    ids[1] = TINY_WORDS - 1;
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, lengths, 1, units[0]),
                     STATUS_OK);
    for (int i = 0; i < 13; i++)
        lengths[i] = TINY_PLACES; /* 520 tokens */
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, lengths, 13, units[0]),
                     STATUS_LIMIT_EXCEEDED);
    assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, lengths, 0, units[0]),
                     STATUS_OK);
    machine_destroy(&machine);
}

static enum status create(const struct weights *weights, const struct encoder_config *config,
                          struct failure *failure)
{
    struct encoder *encoder = NULL;
    *failure = (struct failure){.status = STATUS_OK};
    const enum status status = encoder_create(weights, config, &encoder, failure);
    assert_true((encoder != NULL) == (status == STATUS_OK));
    assert_int_equal(status, failure->status);
    encoder_destroy(&encoder);
    return status;
}

static void configurations_that_do_not_fit_are_refused(void **state)
{
    struct world *world = *state;
    struct failure failure;
    struct encoder_config config = tiny_config;
    config.layers = 1; /* the file has two */
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
    config.layers = 3;
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
    assert_string_equal(failure.field, "encoder.layer.2.attention.self.query.weight");
    config.layers = 0;
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
    config = tiny_config;
    config.heads = 4; /* of 24 */
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
    config.heads = 0;
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
    config = tiny_config;
    config.max_tokens = TINY_PLACES + 1;
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
    assert_string_equal(failure.field, "embeddings.position_embeddings.weight");
    config.max_tokens = 0;
    assert_int_equal(create(world->weights, &config, &failure), STATUS_MODEL_UNSUPPORTED);
}

/* Opens the model as it is now; the file is freed by the caller. */
static void open_model(const struct tiny_model *model, struct bytes *out_file,
                       struct weights **out_weights)
{
    *out_weights = NULL;
    tiny_to_safetensors(model, false, out_file);
    assert_int_equal(
        weights_open_bytes(WEIGHTS_SAFETENSORS, out_file->at, out_file->length, out_weights, NULL),
        STATUS_OK);
}

static void a_missing_tensor_is_named(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < world->model.count; i++) {
        char *name = world->model.tensors[i].name, kept[80];
        struct failure failure;
        struct weights *weights;
        struct bytes file;
        memcpy(kept, name, sizeof(kept));
        name[0] = 'X';
        open_model(&world->model, &file, &weights);
        name[0] = kept[0];
        assert_int_equal(create(weights, &tiny_config, &failure), STATUS_MODEL_UNSUPPORTED);
        assert_string_equal(failure.field, kept);
        weights_close(&weights);
        free(file.at);
    }
}

static void a_value_that_is_not_finite_is_refused_wherever_it_is(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < world->model.count; i++) {
        struct tiny_tensor *tensor = &world->model.tensors[i];
        float *value = &tensor->values[tiny_values_count(tensor) - 1], kept = *value;
        struct failure failure;
        struct weights *weights;
        struct bytes file;
        *value = NAN;
        open_model(&world->model, &file, &weights);
        *value = kept;
        assert_int_equal(create(weights, &tiny_config, &failure), STATUS_WEIGHTS_CORRUPT);
        assert_string_equal(failure.field, tensor->name);
        weights_close(&weights);
        free(file.at);
    }
}

static void a_wrong_shape_is_named(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < world->model.count; i++) {
        struct tiny_tensor *tensor = &world->model.tensors[i];
        struct failure failure;
        struct weights *weights;
        struct bytes file;
        tensor->columns -= 16; /* no width of ours, whichever tensor it is */
        open_model(&world->model, &file, &weights);
        tensor->columns += 16;
        assert_int_equal(create(weights, &tiny_config, &failure), STATUS_MODEL_UNSUPPORTED);
        assert_string_equal(failure.field, tensor->name);
        weights_close(&weights);
        free(file.at);
    }
}

/* The largest weights that are let in do not overflow; weights of 0 give a vector without length.
 */
static void extreme_weights_stay_finite(void **state)
{
    (void)state;
    struct tiny_model model;
    tiny_create(&model);
    for (int zero = 0; zero < 2; zero++) {
        for (size_t i = 0; i < model.count; i++)
            for (size_t v = 0; v < tiny_values_count(&model.tensors[i]); v++)
                model.tensors[i].values[v] = zero ? 0.0f : v * v % 7 < 3 ? -1000.0f : 1000.0f;
        for (int precision = ENCODER_FP32; precision <= ENCODER_INT8; precision++) {
            static const uint32_t ids[] = {1, 2, 3, 4, 5}, length = 5;
            struct encoder_config config = tiny_config;
            struct machine machine;
            struct weights *weights;
            struct bytes file;
            float unit[TINY_WIDTH];
            config.precision = (enum encoder_precision)precision;
            open_model(&model, &file, &weights);
            machine_create(weights, &config, &machine);
            assert_int_equal(encoder_run(machine.encoder, machine.scratch, ids, &length, 1, unit),
                             zero ? STATUS_INTERNAL : STATUS_OK);
            if (!zero)
                assert_true(fabs(cosine(unit, unit) - 1) < 1e-6);
            machine_destroy(&machine);
            weights_close(&weights);
            free(file.at);
        }
    }
    tiny_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_is_what_the_formulas_say),
        cmocka_unit_test(int8_is_near_and_the_same_in_every_set),
        cmocka_unit_test(the_first_token_may_stand_for_the_text),
        cmocka_unit_test(a_text_alone_has_the_vector_it_has_among_others),
        cmocka_unit_test(an_onnx_file_gives_the_same_bytes),
        cmocka_unit_test(half_precision_weights_are_enough),
        cmocka_unit_test(threads_share_an_encoder),
        cmocka_unit_test(calls_outside_the_limits_are_refused),
        cmocka_unit_test(configurations_that_do_not_fit_are_refused),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_value_that_is_not_finite_is_refused_wherever_it_is),
        cmocka_unit_test(a_wrong_shape_is_named),
        cmocka_unit_test(extreme_weights_stay_finite),
    };
    return cmocka_run_group_tests(tests, world_create, world_destroy);
}
