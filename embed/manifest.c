/*
 * manifest.c - reads manifest.json:
 *
 *   {"model": "minilm-l6",
 *    "weights":    {"file": "model.safetensors", "bytes": 90868376, "sha256": "53aa..."},
 *    "vocabulary": {"file": "vocab.txt", "bytes": 231508, "sha256": "07ec..."},
 *    "layers": 6, "heads": 12, "pooling": "mean", "prefix": "", "max_tokens": 256,
 *    "threshold_default": 0.9, "min_similarity": 0.6,
 *    "license": "Apache-2.0", "source": "where the files come from"}
 *
 * `license` and `source` are for people and may be absent; everything else must be there. A file is
 * a plain name, so that a manifest reaches nothing outside its folder.
 *
 * Owns nothing. Threads: any.
 */
#include "embed/manifest.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/check.h"

static const char *const known_keys[] = {
    "model",  "weights",    "vocabulary",        "layers",         "heads",   "pooling",
    "prefix", "max_tokens", "threshold_default", "min_similarity", "license", "source"};
static const char *const known_file_keys[] = {"file", "bytes", "sha256"};

static enum status refuse(struct failure *failure, const char *key, const char *why)
{
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, key, "%s", why);
}

/* Every key is one of these, and stands there once. */
static enum status check_keys(const cJSON *object, const char *const *known, size_t count,
                              struct failure *failure)
{
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        size_t i = 0;
        while (i < count && strcmp(known[i], item->string) != 0)
            i++;
        if (i == count)
            return failure_set(failure, STATUS_MODEL_UNSUPPORTED, item->string,
                               "the manifest has a key that is not known");
        if (cJSON_GetObjectItemCaseSensitive(object, item->string) != item)
            return refuse(failure, item->string, "the manifest has this key twice");
    }
    return STATUS_OK;
}

static bool is_plain(const char *word)
{
    for (const char *at = word; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && strchr("-_.", *at) == NULL)
            return false;
    return word[0] != '\0' && word[0] != '.';
}

/* Letters, digits, - _ . and not a dot in front: a name that is no path. */
static enum status read_name(const cJSON *object, const char *key, char out[MANIFEST_NAME_MAX],
                             struct failure *failure)
{
    const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    if (word == NULL || strlen(word) >= MANIFEST_NAME_MAX || !is_plain(word))
        return refuse(failure, key, "not 1 to 47 letters, digits and - _ .");
    memcpy(out, word, strlen(word) + 1);
    return STATUS_OK;
}

static enum status read_number(const cJSON *object, const char *key, double low, double high,
                               double *out_number, struct failure *failure)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high))
        return failure_set(failure, STATUS_WEIGHTS_CORRUPT, key, "not a number from %g to %g", low,
                           high);
    *out_number = item->valuedouble;
    return STATUS_OK;
}

static enum status read_whole(const cJSON *object, const char *key, uint32_t low, uint32_t high,
                              uint32_t *out_number, struct failure *failure)
{
    double number = 0;
    enum status status = read_number(object, key, low, high, &number, failure);
    if (status == STATUS_OK && number != floor(number))
        status = refuse(failure, key, "not a whole number");
    if (status == STATUS_OK)
        *out_number = (uint32_t)number;
    return status;
}

static enum status read_float(const cJSON *object, const char *key, float *out_number,
                              struct failure *failure)
{
    double number = 0;
    const enum status status = read_number(object, key, 0, 1, &number, failure);
    if (status == STATUS_OK)
        *out_number = (float)number;
    return status;
}

static enum status read_file_parts(const cJSON *object, struct manifest_file *out_file,
                                   struct failure *failure)
{
    enum status status = check_keys(object, known_file_keys,
                                    sizeof(known_file_keys) / sizeof(known_file_keys[0]), failure);
    if (status == STATUS_OK)
        status = read_name(object, "file", out_file->name, failure);
    double size_bytes = 0;
    if (status == STATUS_OK)
        status = read_number(object, "bytes", 1, 1e12, &size_bytes, failure);
    if (status != STATUS_OK)
        return status;
    out_file->size_bytes = (uint64_t)size_bytes;
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "sha256"));
    if (hex == NULL || !digest_from_hex(hex, strlen(hex), &out_file->sha256))
        return refuse(failure, "sha256", "not 64 lowercase hex digits");
    return STATUS_OK;
}

static enum status read_file(const cJSON *root, const char *key, struct manifest_file *out_file,
                             struct failure *failure)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!cJSON_IsObject(object))
        return refuse(failure, key, "not an object of file, bytes and sha256");
    const enum status status = read_file_parts(object, out_file, failure);
    if (status != STATUS_OK)
        failure_prefix(failure, key);
    return status;
}

static enum status read_pooling(const cJSON *root, enum encoder_pooling *out_pooling,
                                struct failure *failure)
{
    const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "pooling"));
    if (word != NULL && strcmp(word, "mean") == 0)
        *out_pooling = ENCODER_POOL_MEAN;
    else if (word != NULL && strcmp(word, "first") == 0)
        *out_pooling = ENCODER_POOL_FIRST;
    else
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "pooling", "neither mean nor first");
    return STATUS_OK;
}

static enum status read_prefix(const cJSON *root, char out[MANIFEST_PREFIX_MAX],
                               struct failure *failure)
{
    const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "prefix"));
    const size_t length = word != NULL ? strlen(word) : 0;
    if (word == NULL || length >= MANIFEST_PREFIX_MAX || !text_is_clean(word, length))
        return refuse(failure, "prefix", "not a text of at most 63 bytes");
    if (length > 0 && word[length - 1] != ' ')
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "prefix",
                           "does not end in a space, so it could melt into the first word");
    memcpy(out, word, length + 1);
    return STATUS_OK;
}

static enum status read_model(const cJSON *root, struct manifest *manifest, struct failure *failure)
{
    enum status status =
        read_whole(root, "layers", 1, ENCODER_LAYERS_MAX, &manifest->layers, failure);
    if (status == STATUS_OK)
        status = read_whole(root, "heads", 1, ENCODER_WIDTH_MAX, &manifest->heads, failure);
    if (status == STATUS_OK)
        status =
            read_whole(root, "max_tokens", 8, ENCODER_TOKENS_MAX, &manifest->max_tokens, failure);
    if (status == STATUS_OK)
        status = read_pooling(root, &manifest->pooling, failure);
    if (status == STATUS_OK)
        status = read_prefix(root, manifest->prefix, failure);
    if (status == STATUS_OK)
        status = read_float(root, "threshold_default", &manifest->threshold_default, failure);
    if (status == STATUS_OK)
        status = read_float(root, "min_similarity", &manifest->min_similarity, failure);
    if (status == STATUS_OK && manifest->min_similarity > manifest->threshold_default)
        status = refuse(failure, "min_similarity", "larger than threshold_default");
    return status;
}

static enum status read_root(const cJSON *root, struct manifest *manifest, struct failure *failure)
{
    if (!cJSON_IsObject(root))
        return refuse(failure, "", "the manifest is not a JSON object");
    enum status status =
        check_keys(root, known_keys, sizeof(known_keys) / sizeof(known_keys[0]), failure);
    if (status == STATUS_OK)
        status = read_name(root, "model", manifest->model, failure);
    if (status == STATUS_OK)
        status = read_file(root, "weights", &manifest->weights, failure);
    if (status == STATUS_OK)
        status = read_file(root, "vocabulary", &manifest->vocabulary, failure);
    if (status == STATUS_OK)
        status = read_model(root, manifest, failure);
    return status;
}

enum status manifest_read(struct text json, struct manifest *out_manifest, struct failure *failure)
{
    assert(out_manifest != NULL);
    struct manifest manifest = {.layers = 0};
    cJSON *root = cJSON_ParseWithLength(json.bytes, json.length);
    const enum status status = read_root(root, &manifest, failure);
    cJSON_Delete(root);
    if (status == STATUS_OK)
        *out_manifest = manifest;
    return status;
}
