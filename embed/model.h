/*
 * model.h - a model's folder, checked and loaded: manifest, vocabulary, weights; tokenizer and
 * encoder made of them.
 * Threads: opening and closing are single; everything else only reads. The files must stay as they
 * are while the model is open.
 */
#pragma once
#include <stdbool.h>

#include "base/status.h"
#include "embed/encoder.h"
#include "embed/manifest.h"
#include "embed/tokenizer.h"

struct model;

struct model_settings {
    const char *folder;   /* with manifest.json in it                                     */
    bool verifies_once;   /* the digest of the weights: only when the file looks changed  */
    bool special_in_text; /* see tokenizer.h                                              */
    enum encoder_precision precision;
};

/* Has anybody put a model there? The folder has a manifest.json, right or wrong. */
bool model_is_there(const char *folder);

/*
 * WEIGHTS_MISSING: a file is not there. WEIGHTS_CORRUPT: another length or digest than the manifest
 * says, or nonsense inside. MODEL_UNSUPPORTED: which key or tensor. NO_MEMORY. The failure's field
 * is the file.
 */
enum status model_open(const struct model_settings *settings, struct model **out_model,
                       struct failure *failure);
void model_close(struct model **model); /* NULL is fine */

const struct manifest *model_manifest(const struct model *model);
/* Its max_tokens is the manifest's without the prefix. */
const struct tokenizer *model_tokenizer(const struct model *model);
const struct encoder *model_encoder(const struct model *model);
/* Ids of the manifest's prefix, to stand behind [CLS]. */
const uint32_t *model_prefix(const struct model *model, uint32_t *out_count);
