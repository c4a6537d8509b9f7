/*
 * local.h - the provider `local`: a model in a folder, run in this process. Texts into vectors, one
 * at a time or as the engine of embed/batch.
 * Threads: any, also at the same time; create and destroy are single.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "embed/batch.h"
#include "embed/encoder.h"
#include "embed/space.h"

/* Raised when a text's way to its tokens changes; part of the space. */
enum { LOCAL_ARITHMETIC = 1 };

struct local;

struct local_settings {
    const char *folder;   /* of the model                                                   */
    bool verifies_once;   /* see model.h                                                    */
    bool special_in_text; /* see tokenizer.h                                                */
    bool takes_heads;     /* of a text longer than the model; else it is TEXT_TOO_LONG       */
    enum encoder_precision precision;
    uint32_t batch_tokens, batch_max; /* of one pack */
};

/* Fails as model_open does. */
enum status local_create(const struct local_settings *settings, struct local **out_local,
                         struct failure *failure);
void local_destroy(struct local **local); /* NULL is fine */

/* INT8 where our kernels are faster than OpenBLAS, which is everywhere with AVX2. */
enum encoder_precision local_precision_here(void);

const struct embed_space *local_space(const struct local *local);
const char *local_precision(const struct local *local); /* "int8"       */
const char *local_isa(const struct local *local);       /* "avx512vnni" */

/* NOT_FOUND: no word, or more than half of it unknown. TEXT_TOO_LONG. BAD_TEXT. NO_MEMORY. */
enum status local_embed(struct local *local, struct text text, float *out_unit);

struct arena;
struct embedder_tokens;
/* See embedder.h. BAD_TEXT, NO_MEMORY. */
enum status local_tokens(const struct local *local, struct text text, struct arena *arena,
                         struct embedder_tokens *out_tokens);

/* Lives as long as the local. */
void local_engine(struct local *local, struct batch_engine *out_engine);
