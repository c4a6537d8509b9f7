/*
 * Goal: a model's folder is loaded only if every byte is what its manifest says, and what is wrong
 * is named. Method: a tiny model of a fixed seed in a temporary folder, broken in one place a test.
 * Rooms: model, manifest, stamp.
 */
#include "tests/unit/embed/model_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed/manifest.h"
#include "embed/model.h"
#include "embed/stamp.h"

static enum status open_model(const struct model_folder *folder, bool once, struct model **out,
                              struct failure *failure)
{
    const struct model_settings settings = {
        .folder = folder->path, .verifies_once = once, .precision = ENCODER_INT8};
    *failure = (struct failure){0};
    return model_open(&settings, out, failure);
}

static void assert_refused(const struct model_folder *folder, enum status expected,
                           const char *field, const char *words)
{
    struct model *model = NULL;
    struct failure failure;
    assert_int_equal(open_model(folder, false, &model, &failure), expected);
    assert_null(model);
    assert_int_equal(failure.status, expected);
    if (strstr(failure.field, field) == NULL || strstr(failure.message, words) == NULL)
        fail_msg("said: %s: %s", failure.field, failure.message);
}

/* ---- a whole one ----------------------------------------------------------------------------- */

static void a_right_folder_is_loaded(void **state)
{
    const struct model_folder *folder = *state;
    struct model *model = NULL;
    struct failure failure;
    assert_true(model_is_there(folder->path));
    assert_int_equal(open_model(folder, false, &model, &failure), STATUS_OK);
    const struct manifest *manifest = model_manifest(model);
    assert_string_equal(manifest->model, "tiny");
    assert_int_equal(manifest->max_tokens, 16);
    assert_true(manifest->threshold_default == 0.9f);
    assert_int_equal(encoder_dimension(model_encoder(model)), TINY_WIDTH);
    assert_int_equal(tokenizer_vocabulary_count(model_tokenizer(model)), 26);
    uint32_t prefix_count = 7;
    (void)model_prefix(model, &prefix_count);
    assert_int_equal(prefix_count, 0);
    model_close(&model);
    assert_null(model);
    model_close(&model);
}

static void a_prefix_becomes_ids_and_takes_its_room(void **state)
{
    const struct model_folder *folder = *state;
    struct manifest_says says = MANIFEST_USUAL;
    says.prefix = "\"query: \"";
    manifest_write(folder, &says);
    struct model *model = NULL;
    struct failure failure;
    assert_int_equal(open_model(folder, false, &model, &failure), STATUS_OK);
    uint32_t count = 0;
    const uint32_t *prefix = model_prefix(model, &count);
    assert_int_equal(count, 2);
    assert_int_equal(prefix[0], 19); /* query */
    assert_int_equal(prefix[1], 20); /* :     */
    uint32_t ids[16];
    struct tokenizer_result result;
    assert_int_equal(tokenizer_encode(model_tokenizer(model), TEXT("a a a a a a a a a a a a a"),
                                      ids, 16, &result),
                     STATUS_OK);
    assert_int_equal(result.written, 14);
    model_close(&model);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void an_empty_folder_holds_no_model(void **state)
{
    (void)state;
    struct model_folder empty;
    folder_create(empty.path);
    assert_false(model_is_there(empty.path));
    assert_refused(&empty, STATUS_WEIGHTS_MISSING, "manifest.json", "No such file");
    folder_remove(empty.path);
    assert_false(model_is_there(empty.path));
}

static void a_missing_file_is_named(void **state)
{
    const struct model_folder *folder = *state;
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/vocab.txt", folder->path);
    assert_int_equal(unlink(path), 0);
    assert_refused(folder, STATUS_WEIGHTS_MISSING, "vocab.txt", "No such file");
    folder_write(folder, "vocab.txt", MODEL_VOCABULARY, sizeof(MODEL_VOCABULARY) - 1);
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", folder->path);
    assert_int_equal(unlink(path), 0);
    assert_refused(folder, STATUS_WEIGHTS_MISSING, "model.safetensors", "No such file");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(folder, STATUS_WEIGHTS_CORRUPT, "model.safetensors", "bytes");
}

static void a_file_cut_short_is_told_by_its_length(void **state)
{
    const struct model_folder *folder = *state;
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length - 1);
    assert_refused(folder, STATUS_WEIGHTS_CORRUPT, "model.safetensors", "the manifest says");
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length);
    folder_write(folder, "vocab.txt", MODEL_VOCABULARY, 20);
    assert_refused(folder, STATUS_WEIGHTS_CORRUPT, "vocab.txt", "has 20 bytes");
}

static void one_changed_bit_is_told_by_its_digest(void **state)
{
    const struct model_folder *folder = *state;
    folder->weights.at[folder->weights.length - 1] ^= 1;
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length);
    folder->weights.at[folder->weights.length - 1] ^= 1;
    assert_refused(folder, STATUS_WEIGHTS_CORRUPT, "model.safetensors", "SHA-256 is ");
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length);
    char vocabulary[sizeof(MODEL_VOCABULARY)];
    memcpy(vocabulary, MODEL_VOCABULARY, sizeof(vocabulary));
    vocabulary[27] = 'x';
    folder_write(folder, "vocab.txt", vocabulary, sizeof(vocabulary) - 1);
    assert_refused(folder, STATUS_WEIGHTS_CORRUPT, "vocab.txt", "the manifest says ");
}

static void right_digests_do_not_make_nonsense_a_model(void **state)
{
    struct model_folder *folder = *state;
    struct bytes whole = folder->weights;
    folder->weights = (struct bytes){.at = (uint8_t *)(uintptr_t) "not weights", .length = 11};
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length);
    manifest_write(folder, &MANIFEST_USUAL);
    assert_refused(folder, STATUS_WEIGHTS_CORRUPT, "model.safetensors", "");
    folder->weights = whole;
}

static void a_shape_that_the_weights_have_not_is_refused(void **state)
{
    const struct model_folder *folder = *state;
    struct manifest_says says = MANIFEST_USUAL;
    says.layers = "3";
    manifest_write(folder, &says);
    assert_refused(folder, STATUS_MODEL_UNSUPPORTED, "encoder.layer.2", "");
    says.layers = "2";
    says.heads = "5";
    manifest_write(folder, &says);
    assert_refused(folder, STATUS_MODEL_UNSUPPORTED, "model.safetensors", "");
    says.heads = "3";
    says.max_tokens = "41"; /* the file has 40 places */
    manifest_write(folder, &says);
    assert_refused(folder, STATUS_MODEL_UNSUPPORTED, "model.safetensors", "");
    says.max_tokens = "15"; /* 11 words, 2 marks, 3 for a text */
    says.prefix = "\"where is the door how do i reset my pin please \"";
    manifest_write(folder, &says);
    assert_refused(folder, STATUS_MODEL_UNSUPPORTED, "prefix", "no room");
}

static void every_piece_has_a_row_of_weights(void **state)
{
    const struct model_folder *folder = *state;
    char vocabulary[1024], entry[256];
    (void)snprintf(vocabulary, sizeof(vocabulary), "%s", MODEL_VOCABULARY);
    for (int i = 26; i < TINY_WORDS + 1; i++)
        (void)snprintf(vocabulary + strlen(vocabulary), 16, "more%d\n", i);
    folder_write(folder, "vocab.txt", vocabulary, strlen(vocabulary));
    file_entry("vocab.txt", vocabulary, strlen(vocabulary), entry);
    struct manifest_says says = MANIFEST_USUAL;
    says.vocabulary = entry;
    manifest_write(folder, &says);
    assert_refused(folder, STATUS_MODEL_UNSUPPORTED, "model.safetensors",
                   "has 50 words, the vocabulary 51 pieces");
}

/* ---- manifests ------------------------------------------------------------------------------- */

static void assert_manifest(const struct model_folder *folder, const struct manifest_says *says,
                            enum status expected, const char *field)
{
    char json[2048];
    struct manifest manifest = {.layers = 77};
    struct failure failure = {0};
    manifest_make(folder, says, json);
    assert_int_equal(manifest_read(text_of(json), &manifest, &failure), expected);
    if (expected == STATUS_OK)
        return;
    assert_int_equal(manifest.layers, 77); /* untouched */
    assert_string_equal(failure.field, field);
}

static void a_manifest_says_everything_once_and_within_limits(void **state)
{
    const struct model_folder *folder = *state;
    assert_manifest(folder, &MANIFEST_USUAL, STATUS_OK, "");
    static const struct {
        size_t member; /* of manifest_says */
        const char *value, *field;
        enum status expected;
    } cases[] = {
#define CASE(member, value, field, expected)                                                       \
    {offsetof(struct manifest_says, member), value, field, STATUS_##expected}
        CASE(model, "", "model", WEIGHTS_CORRUPT),
        CASE(model, "\"\"", "model", WEIGHTS_CORRUPT),
        CASE(model, "\"a/b\"", "model", WEIGHTS_CORRUPT),
        CASE(model, "\"..\"", "model", WEIGHTS_CORRUPT),
        CASE(model, "\"1234567890123456789012345678901234567890123456789\"", "model",
             WEIGHTS_CORRUPT),
        CASE(model, "7", "model", WEIGHTS_CORRUPT),
        CASE(layers, "", "layers", WEIGHTS_CORRUPT),
        CASE(layers, "0", "layers", WEIGHTS_CORRUPT),
        CASE(layers, "1e9", "layers", WEIGHTS_CORRUPT),
        CASE(layers, "2.5", "layers", WEIGHTS_CORRUPT),
        CASE(layers, "\"2\"", "layers", WEIGHTS_CORRUPT),
        CASE(heads, "-1", "heads", WEIGHTS_CORRUPT),
        CASE(max_tokens, "7", "max_tokens", WEIGHTS_CORRUPT),
        CASE(pooling, "\"last\"", "pooling", MODEL_UNSUPPORTED),
        CASE(pooling, "", "pooling", MODEL_UNSUPPORTED),
        CASE(prefix, "", "prefix", WEIGHTS_CORRUPT),
        CASE(prefix, "\"query:\"", "prefix", MODEL_UNSUPPORTED),
        CASE(threshold_default, "1.1", "threshold_default", WEIGHTS_CORRUPT),
        CASE(min_similarity, "0.95", "min_similarity", WEIGHTS_CORRUPT),
        CASE(weights, "\"model.safetensors\"", "weights", WEIGHTS_CORRUPT),
        CASE(weights, "{\"file\": \"../x.safetensors\", \"bytes\": 1, \"sha256\": \"0\"}",
             "weights.file", WEIGHTS_CORRUPT),
        CASE(weights, "{\"file\": \"x.safetensors\", \"bytes\": 0, \"sha256\": \"0\"}",
             "weights.bytes", WEIGHTS_CORRUPT),
        CASE(vocabulary, "{\"file\": \"v.txt\", \"bytes\": 1, \"sha256\": \"0\"}",
             "vocabulary.sha256", WEIGHTS_CORRUPT),
        CASE(vocabulary, "{\"file\": \"v.txt\", \"url\": \"x\"}", "vocabulary.url",
             MODEL_UNSUPPORTED),
        CASE(more, ", \"activation\": \"relu\"", "activation", MODEL_UNSUPPORTED),
        CASE(more, ", \"heads\": 3", "heads", WEIGHTS_CORRUPT),
#undef CASE
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct manifest_says says = MANIFEST_USUAL;
        memcpy((char *)&says + cases[i].member, &cases[i].value, sizeof(cases[i].value));
        assert_manifest(folder, &says, cases[i].expected, cases[i].field);
    }
}

static void no_beginning_of_a_manifest_is_a_manifest(void **state)
{
    const struct model_folder *folder = *state;
    char json[2048];
    struct manifest manifest;
    manifest_make(folder, &MANIFEST_USUAL, json);
    for (size_t length = 0; length < strlen(json); length++) {
        char *cut = malloc(length + 1); /* exactly so long, for the sanitizer to see */
        assert_non_null(cut);
        memcpy(cut, json, length);
        assert_int_not_equal(manifest_read((struct text){cut, length}, &manifest, NULL), STATUS_OK);
        free(cut);
    }
    assert_int_not_equal(manifest_read(TEXT("[1]"), &manifest, NULL), STATUS_OK);
}

/* ---- verified once --------------------------------------------------------------------------- */

static void the_note_holds_until_the_file_changes(void **state)
{
    const struct model_folder *folder = *state;
    char path[160], note[192];
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", folder->path);
    (void)snprintf(note, sizeof(note), "%s.verified", path);
    const struct digest right = digest_sha256(folder->weights.at, folder->weights.length);
    const struct digest other = digest_sha256("x", 1);
    assert_false(stamp_matches(path, &right));
    stamp_write(path, &right);
    assert_true(stamp_matches(path, &right));
    assert_false(stamp_matches(path, &other)); /* the manifest says another */
    const struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5},
                                      {.tv_sec = 1000, .tv_nsec = 5}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_false(stamp_matches(path, &right));
    stamp_write(path, &right);
    assert_true(stamp_matches(path, &right));
    assert_int_equal(truncate(note, 20), 0);
    assert_false(stamp_matches(path, &right));
    assert_int_equal(unlink(path), 0);
    assert_false(stamp_matches(path, &right));
    stamp_write(path, &right); /* nothing to write about */
    stamp_write("/nowhere/at/all", &right);
}

/* A changed bit behind a note with the right inode, size and time is what `once` takes for granted.
 */
static void once_reads_the_digest_at_the_first_start_only(void **state)
{
    const struct model_folder *folder = *state;
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", folder->path);
    struct model *model = NULL;
    struct failure failure;
    const struct digest believed = digest_sha256(folder->weights.at, folder->weights.length);
    folder->weights.at[folder->weights.length - 4] ^= 1;
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length);
    assert_int_equal(open_model(folder, true, &model, &failure), STATUS_WEIGHTS_CORRUPT);
    stamp_write(path, &believed);
    assert_int_equal(open_model(folder, true, &model, &failure), STATUS_OK);
    model_close(&model);
    assert_int_equal(open_model(folder, false, &model, &failure), STATUS_WEIGHTS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_right_folder_is_loaded),
        WITH_FOLDER(a_prefix_becomes_ids_and_takes_its_room),
        cmocka_unit_test(an_empty_folder_holds_no_model),
        WITH_FOLDER(a_missing_file_is_named),
        WITH_FOLDER(a_file_cut_short_is_told_by_its_length),
        WITH_FOLDER(one_changed_bit_is_told_by_its_digest),
        WITH_FOLDER(right_digests_do_not_make_nonsense_a_model),
        WITH_FOLDER(a_shape_that_the_weights_have_not_is_refused),
        WITH_FOLDER(every_piece_has_a_row_of_weights),
        WITH_FOLDER(a_manifest_says_everything_once_and_within_limits),
        WITH_FOLDER(no_beginning_of_a_manifest_is_a_manifest),
        WITH_FOLDER(the_note_holds_until_the_file_changes),
        WITH_FOLDER(once_reads_the_digest_at_the_first_start_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
