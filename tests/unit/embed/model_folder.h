/*
 * model_folder.h - a model's folder for tests: the tiny BERT of model_support.h as
 * model.safetensors, a vocabulary of 26 pieces and a manifest that fits, or does not.
 */
#pragma once
#include "tests/unit/embed/model_support.h"

#include "base/digest.h"
#include "tests/support/folder.h"

static const char MODEL_VOCABULARY[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhow\ndo\ni\nreset\nmy\n"
                                       "pin\nplease\nthe\na\nopen\nclose\ndoor\npassword\n##s\n"
                                       "query\n:\n.\n?\nwhere\nis\nit\n";

struct model_folder {
    char path[64];
    struct bytes weights;
};

/* What a manifest says; "" is left out. As JSON values, with quotes where it wants them. */
struct manifest_says {
    const char *model, *layers, *heads, *pooling, *prefix, *max_tokens;
    const char *threshold_default, *min_similarity;
    const char *weights, *vocabulary; /* NULL: those of the folder */
    const char *more;                 /* ", \"key\": 1"            */
};

static const struct manifest_says MANIFEST_USUAL = {
    .model = "\"tiny\"",
    .layers = "2",
    .heads = "3",
    .pooling = "\"mean\"",
    .prefix = "\"\"",
    .max_tokens = "16",
    .threshold_default = "0.9",
    .min_similarity = "0.5",
    .more = ", \"license\": \"ours\"",
};

static inline void folder_write(const struct model_folder *folder, const char *name,
                                const void *bytes, size_t size)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void file_entry(const char *name, const void *bytes, size_t size, char out[256])
{
    char hex[DIGEST_HEX + 1];
    const struct digest digest = digest_sha256(bytes, size);
    digest_to_hex(&digest, hex);
    (void)snprintf(out, 256, "{\"file\": \"%s\", \"bytes\": %zu, \"sha256\": \"%s\"}", name, size,
                   hex);
}

static inline void add_key(char *json, size_t size, const char *key, const char *value)
{
    const size_t used = strlen(json);
    if (value[0] != '\0')
        (void)snprintf(json + used, size - used, "%s\"%s\": %s", used > 1 ? ", " : "", key, value);
}

static inline void manifest_make(const struct model_folder *folder,
                                 const struct manifest_says *says, char out_json[2048])
{
    char weights[256], vocabulary[256];
    file_entry("model.safetensors", folder->weights.at, folder->weights.length, weights);
    file_entry("vocab.txt", MODEL_VOCABULARY, sizeof(MODEL_VOCABULARY) - 1, vocabulary);
    (void)snprintf(out_json, 2048, "{");
    add_key(out_json, 2048, "model", says->model);
    add_key(out_json, 2048, "weights", says->weights != NULL ? says->weights : weights);
    add_key(out_json, 2048, "vocabulary", says->vocabulary != NULL ? says->vocabulary : vocabulary);
    add_key(out_json, 2048, "layers", says->layers);
    add_key(out_json, 2048, "heads", says->heads);
    add_key(out_json, 2048, "pooling", says->pooling);
    add_key(out_json, 2048, "prefix", says->prefix);
    add_key(out_json, 2048, "max_tokens", says->max_tokens);
    add_key(out_json, 2048, "threshold_default", says->threshold_default);
    add_key(out_json, 2048, "min_similarity", says->min_similarity);
    const size_t used = strlen(out_json);
    (void)snprintf(out_json + used, 2048 - used, "%s}", says->more);
}

static inline void manifest_write(const struct model_folder *folder,
                                  const struct manifest_says *says)
{
    char json[2048];
    manifest_make(folder, says, json);
    folder_write(folder, "manifest.json", json, strlen(json));
}

static inline void model_folder_create(struct model_folder *folder)
{
    struct tiny_model model;
    tiny_create(&model);
    tiny_to_safetensors(&model, false, &folder->weights);
    tiny_destroy(&model);
    folder_create(folder->path);
    folder_write(folder, "model.safetensors", folder->weights.at, folder->weights.length);
    folder_write(folder, "vocab.txt", MODEL_VOCABULARY, sizeof(MODEL_VOCABULARY) - 1);
    manifest_write(folder, &MANIFEST_USUAL);
}

static inline void model_folder_remove(struct model_folder *folder)
{
    folder_remove(folder->path);
    free(folder->weights.at);
}

static inline int setup_folder(void **state)
{
    struct model_folder *folder = calloc(1, sizeof(*folder));
    assert_non_null(folder);
    model_folder_create(folder);
    *state = folder;
    return 0;
}

static inline int teardown_folder(void **state)
{
    model_folder_remove(*state);
    free(*state);
    return 0;
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup_folder, teardown_folder)
