/*
 * model.c - from a folder to a tokenizer and an encoder. Nothing is believed: lengths and SHA-256
 * of both files are the manifest's, then each file is read by a room that trusts no byte of it.
 *
 * The weights are mapped for life, for the encoder reads its word table there (47 of 91 MB for
 * MiniLM); all else is packed into memory of our own. What the check has brought in is given back
 * at the end, so that only words that occur take up memory.
 *
 * Owns mapping, tokenizer, encoder. Threads: see model.h.
 * NOT HERE. Where models lie and which one (embedder_open.c); how they get there
 * (tools/fetch_weights.sh).
 */
#include "embed/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "embed/stamp.h"
#include "embed/tokenizer_json.h"
#include "embed/vocabulary.h"

enum { PREFIX_TOKENS_MAX = 128 };

struct model {
    struct manifest manifest;
    struct weights *weights;
    struct tokenizer *tokenizer;
    struct encoder *encoder;
    uint32_t prefix_ids[PREFIX_TOKENS_MAX];
    uint32_t prefix_count;
};

/* ---- files ----------------------------------------------------------------------------------- */

static bool make_path(const char *folder, const char *name, char out_path[STAMP_PATH_MAX])
{
    return snprintf(out_path, STAMP_PATH_MAX, "%s/%s", folder, name) < STAMP_PATH_MAX;
}

static enum status check_size(const char *path, const struct manifest_file *file,
                              struct failure *failure)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return failure_set(failure, STATUS_WEIGHTS_MISSING, path, "%s", strerror(errno));
    if (!S_ISREG(about.st_mode) || (uint64_t)about.st_size != file->size_bytes)
        return failure_set(failure, STATUS_WEIGHTS_CORRUPT, path,
                           "has %jd bytes, the manifest says %ju", (intmax_t)about.st_size,
                           (uintmax_t)file->size_bytes);
    return STATUS_OK;
}

/* All of a file that is not large. The caller frees *out_bytes. */
static enum status read_whole(const char *path, size_t size_max, char **out_bytes,
                              size_t *out_size_bytes, struct failure *failure)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return failure_set(failure, STATUS_WEIGHTS_MISSING, path, "%s", strerror(errno));
    enum status status = STATUS_OK;
    struct stat about;
    char *bytes = NULL;
    if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode) ||
        (uint64_t)about.st_size > size_max)
        status = failure_set(failure, STATUS_WEIGHTS_CORRUPT, path,
                             "not a file of at most %zu bytes", size_max);
    else if ((bytes = calloc(1, (size_t)about.st_size + 1)) == NULL)
        status = failure_set(failure, STATUS_NO_MEMORY, path, "no memory to read it");
    else if (fread(bytes, 1, (size_t)about.st_size, file) != (size_t)about.st_size)
        status = failure_set(failure, STATUS_WEIGHTS_CORRUPT, path, "cannot be read");
    (void)fclose(file);
    if (status != STATUS_OK) {
        free(bytes);
        return status;
    }
    *out_bytes = bytes;
    *out_size_bytes = (size_t)about.st_size;
    return STATUS_OK;
}

/* What the rooms below say names a tensor or nothing; people want the file as well. */
static enum status with_path(enum status status, const char *path, struct failure *failure)
{
    if (status == STATUS_OK || failure == NULL)
        return status;
    if (failure->status == STATUS_OK) /* spent memory has no words of its own */
        return failure_set(failure, status, path, "%s", status_text(status));
    if (strncmp(failure->field, path, strlen(failure->field)) == 0)
        (void)snprintf(failure->field, sizeof(failure->field), "%s", path);
    else
        failure_prefix(failure, path);
    return status;
}

static enum status load_manifest(struct model *model, const char *folder, struct failure *failure)
{
    char path[STAMP_PATH_MAX];
    if (!make_path(folder, "manifest.json", path))
        return failure_set(failure, STATUS_BAD_OPTION, "", "the model's folder is too long a path");
    char *bytes = NULL;
    size_t size_bytes = 0;
    enum status status = read_whole(path, MANIFEST_BYTES_MAX, &bytes, &size_bytes, failure);
    if (status == STATUS_OK)
        status = manifest_read((struct text){bytes, size_bytes}, &model->manifest, failure);
    free(bytes);
    return with_path(status, path, failure);
}

/* ---- tokenizer ------------------------------------------------------------------------------- */

static enum status check_digest(const char *bytes, size_t size_bytes, const struct digest *expected,
                                struct failure *failure)
{
    const struct digest found = digest_sha256(bytes, size_bytes);
    if (digest_equal(&found, expected))
        return STATUS_OK;
    char found_hex[DIGEST_HEX + 1], expected_hex[DIGEST_HEX + 1];
    digest_to_hex(&found, found_hex);
    digest_to_hex(expected, expected_hex);
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, "", "SHA-256 is %s, the manifest says %s",
                       found_hex, expected_hex);
}

static enum status make_tokenizer(struct model *model, const struct model_settings *settings,
                                  struct text bytes, struct failure *failure)
{
    const struct tokenizer_options options = {
        .special_in_text = settings->special_in_text,
        .max_tokens = model->manifest.max_tokens - model->prefix_count,
    };
    const char *name = model->manifest.vocabulary.name;
    const size_t length = strlen(name);
    tokenizer_destroy(&model->tokenizer);
    if (length > 5 && strcmp(name + length - 5, ".json") == 0)
        return tokenizer_create_from_json(bytes, &options, &model->tokenizer, failure);
    return tokenizer_create(bytes, &options, &model->tokenizer, failure);
}

/* The prefix is cut into tokens once; texts then have so much less room. */
static enum status make_prefix(struct model *model, const struct model_settings *settings,
                               struct text bytes, struct failure *failure)
{
    uint32_t ids[ENCODER_TOKENS_MAX];
    struct tokenizer_result result;
    enum status status = tokenizer_encode(model->tokenizer, text_of(model->manifest.prefix), ids,
                                          ENCODER_TOKENS_MAX, &result);
    if (status != STATUS_OK)
        return status;
    if (result.total > PREFIX_TOKENS_MAX ||
        result.total + TOKENIZER_TOKENS_MIN > model->manifest.max_tokens)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "prefix",
                           "leaves no room for a text in max_tokens");
    assert(result.written == result.total);
    assert(result.written >= 2);
    model->prefix_count = (uint32_t)result.written - 2;
    memcpy(model->prefix_ids, ids + 1, model->prefix_count * sizeof(*ids));
    return make_tokenizer(model, settings, bytes, failure);
}

static enum status load_vocabulary(struct model *model, const struct model_settings *settings,
                                   struct failure *failure)
{
    const struct manifest_file *file = &model->manifest.vocabulary;
    char path[STAMP_PATH_MAX];
    if (!make_path(settings->folder, file->name, path))
        return failure_set(failure, STATUS_BAD_OPTION, "", "the model's folder is too long a path");
    char *bytes = NULL;
    size_t size_bytes = 0;
    enum status status = check_size(path, file, failure);
    if (status == STATUS_OK)
        status = read_whole(path, VOCABULARY_BYTES_MAX, &bytes, &size_bytes, failure);
    if (status == STATUS_OK)
        status = check_digest(bytes, size_bytes, &file->sha256, failure);
    const struct text text = {bytes, size_bytes};
    if (status == STATUS_OK)
        status = make_tokenizer(model, settings, text, failure);
    if (status == STATUS_OK && model->manifest.prefix[0] != '\0')
        status = make_prefix(model, settings, text, failure);
    free(bytes);
    return with_path(status, path, failure);
}

/* ---- encoder --------------------------------------------------------------------------------- */

static enum status make_encoder(struct model *model, const struct model_settings *settings,
                                struct failure *failure)
{
    const struct encoder_config config = {
        .layers = model->manifest.layers,
        .heads = model->manifest.heads,
        .max_tokens = model->manifest.max_tokens,
        .pooling = model->manifest.pooling,
        .precision = settings->precision,
    };
    const enum status status = encoder_create(model->weights, &config, &model->encoder, failure);
    if (status != STATUS_OK)
        return status;
    const uint32_t words = encoder_vocabulary(model->encoder);
    const uint32_t pieces = tokenizer_vocabulary_count(model->tokenizer);
    if (words < pieces)
        return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "",
                           "has %u words, the vocabulary %u pieces", words, pieces);
    return STATUS_OK;
}

static enum status verify(const struct model *model, const struct model_settings *settings,
                          const char *path, struct failure *failure)
{
    const struct digest *expected = &model->manifest.weights.sha256;
    if (settings->verifies_once && stamp_matches(path, expected))
        return STATUS_OK;
    const enum status status = weights_verify(model->weights, expected, failure);
    if (status == STATUS_OK && settings->verifies_once)
        stamp_write(path, expected);
    return status;
}

static enum status load_weights(struct model *model, const struct model_settings *settings,
                                struct failure *failure)
{
    const struct manifest_file *file = &model->manifest.weights;
    char path[STAMP_PATH_MAX];
    if (!make_path(settings->folder, file->name, path))
        return failure_set(failure, STATUS_BAD_OPTION, "", "the model's folder is too long a path");
    enum status status = check_size(path, file, failure);
    if (status == STATUS_OK)
        status = weights_open(path, &model->weights, failure);
    if (status == STATUS_OK)
        status = verify(model, settings, path, failure);
    if (status == STATUS_OK)
        status = make_encoder(model, settings, failure);
    if (status == STATUS_OK)
        weights_forget_pages(model->weights);
    return with_path(status, path, failure);
}

/* ---- open and close -------------------------------------------------------------------------- */

bool model_is_there(const char *folder)
{
    char path[STAMP_PATH_MAX];
    return make_path(folder, "manifest.json", path) && access(path, F_OK) == 0;
}

enum status model_open(const struct model_settings *settings, struct model **out_model,
                       struct failure *failure)
{
    assert(settings->folder != NULL);
    struct model *model = calloc(1, sizeof(*model));
    if (model == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for a model");
    enum status status = load_manifest(model, settings->folder, failure);
    if (status == STATUS_OK)
        status = load_vocabulary(model, settings, failure);
    if (status == STATUS_OK)
        status = load_weights(model, settings, failure);
    if (status != STATUS_OK)
        goto close_model;
    *out_model = model;
    return STATUS_OK;

close_model:
    model_close(&model);
    return status;
}

void model_close(struct model **model)
{
    struct model *doomed = *model;
    if (doomed == NULL)
        return;
    *model = NULL;
    encoder_destroy(&doomed->encoder);
    weights_close(&doomed->weights);
    tokenizer_destroy(&doomed->tokenizer);
    free(doomed);
}

const struct manifest *model_manifest(const struct model *model)
{
    return &model->manifest;
}

const struct tokenizer *model_tokenizer(const struct model *model)
{
    return model->tokenizer;
}

const struct encoder *model_encoder(const struct model *model)
{
    return model->encoder;
}

const uint32_t *model_prefix(const struct model *model, uint32_t *out_count)
{
    *out_count = model->prefix_count;
    return model->prefix_ids;
}
