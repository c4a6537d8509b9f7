/*
 * Goal: a text becomes the vector of its model, alone or in a pack, on one thread or on several; a
 * text that the model cannot tell gets none; and whatever shapes a vector names another space.
 * Method: a tiny model of a fixed seed; with the real weights, where they are, meanings too.
 * Room: local.
 */
#include "tests/unit/embed/model_folder.h"

#include "base/thread.h"
#include "embed/embedder.h"
#include "embed/local.h"

static struct local *create(const struct local_settings *settings)
{
    struct local *local = NULL;
    struct failure failure = {0};
    if (local_create(settings, &local, &failure) != STATUS_OK)
        fail_msg("%s: %s", failure.field, failure.message);
    return local;
}

static struct local_settings usual(const struct model_folder *folder)
{
    return (struct local_settings){
        .folder = folder->path, .precision = ENCODER_INT8, .batch_tokens = 64, .batch_max = 8};
}

/* ---- spaces ---------------------------------------------------------------------------------- */

static uint64_t space_of(const struct local_settings *settings)
{
    struct local *local = create(settings);
    const uint64_t id = local_space(local)->id;
    local_destroy(&local);
    return id;
}

static void a_space_is_named_by_whatever_shapes_its_vectors(void **state)
{
    const struct model_folder *folder = *state;
    struct local_settings settings = usual(folder);
    uint64_t ids[8];
    size_t count = 0;
    ids[count++] = space_of(&settings);
    assert_true(space_of(&settings) == ids[0]);
    settings.batch_tokens = 128; /* shapes nothing */
    assert_true(space_of(&settings) == ids[0]);
    settings.precision = ENCODER_FP32;
    ids[count++] = space_of(&settings);
    settings = usual(folder);
    settings.takes_heads = true;
    ids[count++] = space_of(&settings);
    settings = usual(folder);
    settings.special_in_text = true;
    ids[count++] = space_of(&settings);
    settings = usual(folder);
    struct manifest_says says = MANIFEST_USUAL;
    says.pooling = "\"first\"";
    manifest_write(folder, &says);
    ids[count++] = space_of(&settings);
    says = MANIFEST_USUAL;
    says.max_tokens = "17";
    manifest_write(folder, &says);
    ids[count++] = space_of(&settings);
    says = MANIFEST_USUAL;
    says.prefix = "\"query: \"";
    manifest_write(folder, &says);
    ids[count++] = space_of(&settings);
    says = MANIFEST_USUAL;
    says.model = "\"other\"";
    manifest_write(folder, &says);
    ids[count++] = space_of(&settings);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(ids[i] != ids[k]);
}

static void a_space_is_shown_with_precision_and_weights(void **state)
{
    const struct model_folder *folder = *state;
    const struct local_settings settings = usual(folder);
    struct local *local = create(&settings);
    const struct embed_space *space = local_space(local);
    char hex[DIGEST_HEX + 1], version[16];
    const struct digest digest = digest_sha256(folder->weights.at, folder->weights.length);
    digest_to_hex(&digest, hex);
    (void)snprintf(version, sizeof(version), "int8-%.8s", hex);
    assert_string_equal(space->name, "tiny");
    assert_string_equal(space->version, version);
    assert_int_equal(space->dimension, TINY_WIDTH);
    assert_true(space->threshold_default == 0.9f);
    assert_true(space->min_similarity == 0.5f);
    assert_string_equal(local_precision(local), "int8");
    assert_string_equal(local_isa(local), encoder_kernels()->name);
    local_destroy(&local);
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void a_vector_has_length_one(void **state)
{
    const struct local_settings settings = usual(*state);
    struct local *local = create(&settings);
    float unit[TINY_WIDTH];
    assert_int_equal(local_embed(local, TEXT("How do I reset my PIN?"), unit), STATUS_OK);
    double squares = 0;
    for (int i = 0; i < TINY_WIDTH; i++)
        squares += (double)unit[i] * unit[i];
    assert_true(fabs(squares - 1) < 1e-5);
    local_destroy(&local);
}

static void a_text_that_the_model_cannot_tell_has_no_vector(void **state)
{
    const struct local_settings settings = usual(*state);
    struct local *local = create(&settings);
    float unit[TINY_WIDTH];
    assert_int_equal(local_embed(local, TEXT(""), unit), STATUS_NOT_FOUND);
    assert_int_equal(local_embed(local, TEXT(" \t "), unit), STATUS_NOT_FOUND);
    assert_int_equal(local_embed(local, TEXT("zzz"), unit), STATUS_NOT_FOUND);
    assert_int_equal(local_embed(local, TEXT("door zzz yyy"), unit), STATUS_NOT_FOUND);
    assert_int_equal(local_embed(local, TEXT("door zzz"), unit), STATUS_OK); /* just half of it */
    assert_int_equal(local_embed(local, TEXT("door \xff"), unit), STATUS_BAD_TEXT);
    local_destroy(&local);
}

/* 14 words and [CLS], [SEP] are 16 tokens. */
static void a_text_longer_than_the_model_is_refused_or_cut(void **state)
{
    struct local_settings settings = usual(*state);
    struct local *local = create(&settings);
    static const char fits[] = "the door the door the door the door the door the door the door";
    static const char longer[] = "the door the door the door the door the door the door the door a";
    float whole[TINY_WIDTH], head[TINY_WIDTH];
    assert_int_equal(local_embed(local, TEXT(fits), whole), STATUS_OK);
    assert_int_equal(local_embed(local, TEXT(longer), head), STATUS_TEXT_TOO_LONG);
    local_destroy(&local);
    settings.takes_heads = true;
    local = create(&settings);
    assert_int_equal(local_embed(local, TEXT(longer), head), STATUS_OK);
    assert_memory_equal(head, whole, sizeof(whole));
    local_destroy(&local);
}

/* More than 64 bytes a token: what is judged is the beginning, unless that is mostly space. */
static void a_very_long_text_is_not_read_to_its_end(void **state)
{
    const struct local_settings settings = usual(*state);
    struct local *local = create(&settings);
    enum { LONG = 100000 };
    char *text = malloc(LONG);
    float unit[TINY_WIDTH], plain[TINY_WIDTH];
    assert_non_null(text);
    for (size_t i = 0; i < LONG; i++)
        text[i] = "door "[i % 5];
    text[LONG - 1] = '\xff'; /* nobody comes so far */
    assert_int_equal(local_embed(local, (struct text){text, LONG}, unit), STATUS_TEXT_TOO_LONG);
    memset(text, ' ', LONG);
    memcpy(text, "the", 3);
    memcpy(text + LONG - 4, "door", 4);
    assert_int_equal(local_embed(local, (struct text){text, LONG}, unit), STATUS_OK);
    assert_int_equal(local_embed(local, TEXT("the door"), plain), STATUS_OK);
    assert_memory_equal(unit, plain, sizeof(unit));
    for (size_t i = 0; i + 3 <= LONG; i += 3) /* the cut falls into a character */
        memcpy(text + i, "\xe2\x82\xac", 3);
    assert_int_equal(local_embed(local, (struct text){text, LONG / 3 * 3}, unit), STATUS_NOT_FOUND);
    free(text);
    local_destroy(&local);
}

static void a_prefix_stands_before_every_text(void **state)
{
    const struct model_folder *folder = *state;
    const struct local_settings settings = usual(folder);
    float spelt[TINY_WIDTH], implied[TINY_WIDTH], plain[TINY_WIDTH];
    struct local *local = create(&settings);
    assert_int_equal(local_embed(local, TEXT("query: open the door"), spelt), STATUS_OK);
    assert_int_equal(local_embed(local, TEXT("open the door"), plain), STATUS_OK);
    local_destroy(&local);
    struct manifest_says says = MANIFEST_USUAL;
    says.prefix = "\"query: \"";
    manifest_write(folder, &says);
    local = create(&settings);
    assert_int_equal(local_embed(local, TEXT("open the door"), implied), STATUS_OK);
    assert_memory_equal(implied, spelt, sizeof(spelt));
    assert_memory_not_equal(implied, plain, sizeof(plain));
    assert_int_equal(local_embed(local, TEXT(""), implied), STATUS_NOT_FOUND);
    local_destroy(&local);
}

static void a_texts_tokens_are_those_of_its_vector(void **state)
{
    const struct local_settings settings = usual(*state);
    struct local *local = create(&settings);
    struct arena *arena = NULL;
    struct embedder_tokens tokens;
    assert_int_equal(arena_create(&arena), STATUS_OK);
    assert_int_equal(local_tokens(local, TEXT("Open the door zzz"), arena, &tokens), STATUS_OK);
    static const char *const pieces[] = {"[CLS]", "open", "the", "door", "[UNK]", "[SEP]"};
    assert_int_equal(tokens.count, 6);
    for (size_t i = 0; i < tokens.count; i++)
        assert_true(text_equal(tokens.pieces[i], text_of(pieces[i])));
    assert_true(tokens.ids[1] != tokens.ids[2]);
    assert_int_equal(tokens.unknown, 1);
    assert_false(tokens.is_head);
    assert_int_equal(local_tokens(local,
                                  TEXT("the the the the the the the the the the the the the "
                                       "the the the the the the the the"),
                                  arena, &tokens),
                     STATUS_OK);
    assert_int_equal(tokens.count, 16);
    assert_true(tokens.is_head);
    assert_true(text_equal(tokens.pieces[15], TEXT("[SEP]")));
    arena_destroy(&arena);
    local_destroy(&local);
}

/* ---- packs ----------------------------------------------------------------------------------- */

static void a_pack_gives_each_text_the_vector_it_has_alone(void **state)
{
    const struct local_settings settings = usual(*state);
    struct local *local = create(&settings);
    struct batch_engine engine;
    local_engine(local, &engine);
    assert_int_equal(engine.dimension, TINY_WIDTH);
    assert_int_equal(engine.tokens_max, 16);
    static const char *const texts[] = {"how do i reset my pin", "the door", "where is it ?",
                                        "open the door please"};
    void *pack = NULL;
    float units[4 * TINY_WIDTH], alone[TINY_WIDTH];
    struct batch_added added = {.tokens = 0};
    assert_int_equal(engine.pack_create(engine.context, &pack), STATUS_OK);
    for (int round = 0; round < 2; round++) { /* a pack is used again */
        for (int i = 0; i < 4; i++)
            assert_int_equal(engine.add(pack, text_of(texts[i]), 64, &added), STATUS_OK);
        assert_int_equal(added.tokens, 6);
        assert_int_equal(added.unknown, 0);
        assert_int_equal(engine.add(pack, TEXT("zzz"), 64, &added), STATUS_NOT_FOUND);
        assert_int_equal(added.unknown, 1); /* which is why it has no vector */
        assert_int_equal(engine.add(pack, TEXT("the door"), 3, &added), STATUS_LIMIT_EXCEEDED);
        assert_int_equal(engine.run(pack, units), STATUS_OK);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(local_embed(local, text_of(texts[i]), alone), STATUS_OK);
            assert_memory_equal(units + (size_t)i * TINY_WIDTH, alone, sizeof(alone));
        }
    }
    engine.pack_destroy(pack);
    local_destroy(&local);
}

static void a_broken_folder_is_no_provider(void **state)
{
    const struct model_folder *folder = *state;
    folder_write(folder, "vocab.txt", "x", 1);
    const struct local_settings settings = usual(folder);
    struct local *local = NULL;
    struct failure failure = {0};
    assert_int_equal(local_create(&settings, &local, &failure), STATUS_WEIGHTS_CORRUPT);
    assert_null(local);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 30 };
static const char *const shared_texts[] = {"how do i reset my pin", "open the door", "the a where",
                                           "close the door please"};

struct worker {
    struct local *local;
    float (*expected)[TINY_WIDTH];
    int wrong;
    struct thread *thread;
};

static void embed_often(void *argument)
{
    struct worker *worker = argument;
    float unit[TINY_WIDTH];
    for (int i = 0; i < ROUNDS; i++) {
        const enum status status = local_embed(worker->local, text_of(shared_texts[i % 4]), unit);
        worker->wrong +=
            status != STATUS_OK || memcmp(unit, worker->expected[i % 4], sizeof(unit)) != 0;
    }
}

static void threads_get_the_same_bytes_as_one(void **state)
{
    struct local_settings settings = usual(*state);
    for (int precision = 0; precision < 2; precision++) {
        settings.precision = precision == 0 ? ENCODER_INT8 : ENCODER_FP32;
        struct local *local = create(&settings);
        float expected[4][TINY_WIDTH];
        for (int i = 0; i < 4; i++)
            assert_int_equal(local_embed(local, text_of(shared_texts[i]), expected[i]), STATUS_OK);
        struct worker workers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){.local = local, .expected = expected};
            assert_int_equal(
                thread_create(THREAD_OTHER, "embeds", embed_often, &workers[i], &workers[i].thread),
                STATUS_OK);
        }
        for (int i = 0; i < THREADS; i++) {
            thread_join(&workers[i].thread);
            assert_int_equal(workers[i].wrong, 0);
        }
        local_destroy(&local);
    }
}

/* ---- the real weights ------------------------------------------------------------------------ */

static bool real_folder(const char *model, char out_path[512])
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s/manifest.json", model);
    if (!model_path(name, out_path)) {
        print_message("no %s: set REPRISE_MODELS or run make weights: skipped\n", name);
        return false;
    }
    *strrchr(out_path, '/') = '\0';
    return true;
}

static double similarity(struct local *local, const char *a, const char *b)
{
    enum { WIDTH_MAX = 1024 };
    static float units[2][WIDTH_MAX];
    assert_true(local_space(local)->dimension <= WIDTH_MAX);
    assert_int_equal(local_embed(local, text_of(a), units[0]), STATUS_OK);
    assert_int_equal(local_embed(local, text_of(b), units[1]), STATUS_OK);
    double sum = 0;
    for (uint32_t i = 0; i < local_space(local)->dimension; i++)
        sum += (double)units[0][i] * units[1][i];
    return sum;
}

static void assert_meanings(const char *model, float threshold, double far)
{
    char folder[512];
    if (!real_folder(model, folder))
        skip();
    const struct local_settings settings = {.folder = folder,
                                            .precision = local_precision_here(),
                                            .batch_tokens = 512,
                                            .batch_max = 32};
    struct local *local = create(&settings);
    assert_string_equal(local_space(local)->name, model);
    assert_int_equal(local_space(local)->dimension, 384);
    assert_true(local_space(local)->threshold_default == threshold);
    assert_true(similarity(local, "How do I reset my password?",
                           "How can I reset the password I use?") > 0.85);
    assert_true(similarity(local, "Where is the nearest branch?",
                           "What is the location of the closest branch?") > 0.8);
    assert_true(similarity(local, "How do I reset my password?", "Is my flight on time?") < far);
    local_destroy(&local);
}

static void minilm_tells_paraphrases_from_strangers(void **state)
{
    (void)state;
    assert_meanings("minilm-l6", 0.90f, 0.4);
}

static void bge_tells_paraphrases_from_strangers(void **state)
{
    (void)state;
    assert_meanings("bge-small-en", 0.93f, 0.75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_space_is_named_by_whatever_shapes_its_vectors),
        WITH_FOLDER(a_space_is_shown_with_precision_and_weights),
        WITH_FOLDER(a_vector_has_length_one),
        WITH_FOLDER(a_text_that_the_model_cannot_tell_has_no_vector),
        WITH_FOLDER(a_text_longer_than_the_model_is_refused_or_cut),
        WITH_FOLDER(a_very_long_text_is_not_read_to_its_end),
        WITH_FOLDER(a_prefix_stands_before_every_text),
        WITH_FOLDER(a_texts_tokens_are_those_of_its_vector),
        WITH_FOLDER(a_pack_gives_each_text_the_vector_it_has_alone),
        WITH_FOLDER(a_broken_folder_is_no_provider),
        WITH_FOLDER(threads_get_the_same_bytes_as_one),
        cmocka_unit_test(minilm_tells_paraphrases_from_strangers),
        cmocka_unit_test(bge_tells_paraphrases_from_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
