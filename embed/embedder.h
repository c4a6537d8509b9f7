/*
 * embedder.h - text into vectors: one interface, a table of providers. It knows nothing of scopes or answers.
 * Threads: any may embed at the same time; create and destroy are single.
 */
#pragma once
#include <stdint.h>

#include "base/options.h"
#include "base/status.h"
#include "base/text.h"

/* Every vector belongs to one space; vectors of two spaces are never compared. */
struct embed_space {
    uint64_t id;              /* first 8 bytes of SHA-256 over all that shapes a vector; never 0 */
    char name[48];            /* "lexical"                                                       */
    char version[16];         /* "1"                                                             */
    uint32_t dimension;
    float threshold_default;  /* of policy `static`: similarity from here on counts as the same  */
    float min_similarity;     /* noise floor: below it there is no candidate                     */
};

struct embedder;
extern const struct option_row embed_option_rows[]; /* embed.provider */
extern const size_t embed_option_rows_count;

/* provider: "lexical" or "none". "none": *out_embedder is NULL and only clients bring vectors. */
enum status embedder_create(const char *provider, struct embedder **out_embedder);
void embedder_destroy(struct embedder **embedder);
const struct embed_space *embedder_space(const struct embedder *embedder);

/*
 * out_unit: space->dimension floats, length 1. The text is clean UTF-8. STATUS_NOT_FOUND: the text has no word,
 * hence no vector. STATUS_NO_MEMORY. The arena is scratch.
 */
enum status embedder_embed(const struct embedder *embedder, struct text text, struct arena *arena,
                           float *out_unit);

/* The space of vectors that a client brings: a name of its own, threshold 0.95, floor 0. */
void embed_client_space(struct text name, uint32_t dimension, struct embed_space *out_space);
