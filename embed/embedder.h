/*
 * embedder.h - text into vectors: one interface, a table of providers. It knows nothing of scopes
 * or answers. Threads: any may submit, embed and ask for the state, at the same time; open, create
 * and destroy are single.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "base/pool.h"
#include "base/status.h"
#include "base/text.h"
#include "embed/job.h"
#include "embed/space.h"

struct embedder;
extern const struct option_row embed_option_rows[];
extern const size_t embed_option_rows_count;

struct embedder_setup {
    const struct options *options; /* with embed_option_rows                                 */
    struct pool *pool;             /* the compute threads; NULL: embedder_embed alone        */
    uint64_t (*clock_us)(void);    /* monotonic; NULL without a pool                         */
    uint64_t seed;                 /* chance                                                 */
};

/*
 * embed.provider "none": *out_embedder is NULL and only clients bring vectors. "auto": the local
 * model if its folder has a manifest, else lexical, with one line in the log and state
 * "no_weights". WEIGHTS_MISSING, WEIGHTS_CORRUPT, MODEL_UNSUPPORTED: which file; BAD_OPTION: which
 * option; EMBEDDER_DOWN, EMBEDDER_MISMATCH, NO_MEMORY.
 */
enum status embedder_open(const struct embedder_setup *setup, struct embedder **out_embedder,
                          struct failure *failure);

/* The same without options: "lexical" and "auto" are lexical, "none" is NULL. No pool:
 * embedder_embed alone. */
enum status embedder_create(const char *provider, struct embedder **out_embedder);

/* What still waits is done with DRAINING. Nobody may submit any more. NULL is fine. The pool may be
 * gone already. */
void embedder_destroy(struct embedder **embedder);
const struct embed_space *embedder_space(const struct embedder *embedder);

/*
 * Takes one job, whose `done` is called once: on a compute thread, with no lock held, so that it
 * may search; or, for what is refused, perhaps on the caller's thread before this returns. Never
 * waits. OK. NOT_FOUND: no word, or more than half of it unknown, hence no vector. TEXT_TOO_LONG:
 * embed.truncate = refuse. OVERLOADED: too much waits, or it cannot be in time. DEADLINE,
 * EMBEDDER_DOWN, EMBEDDER_MISMATCH, BAD_VECTOR: of remote ones. DRAINING. NO_MEMORY. INTERNAL: the
 * model gives no vector.
 */
void embedder_submit(struct embedder *embedder, struct embed_job *job);

/*
 * At once, on this thread: space->dimension floats, length 1. The text is clean UTF-8. The arena is
 * scratch. Statuses as above; UNIMPLEMENTED: a remote embedder has only submit, for compute threads
 * do not wait for the network.
 */
enum status embedder_embed(const struct embedder *embedder, struct text text, struct arena *arena,
                           float *out_unit);

struct embedder_state {
    const char *provider; /* "local"                                                              */
    const char *precision; /* "int8", "fp32"; "": it has none */
    const char *isa;      /* "avx512vnni"; ""                                                     */
    const char *degraded; /* "no_weights", "embedder_down"; NULL: as it should be                 */
    uint32_t waiting;
    uint64_t texts, tokens, packs; /* got a vector; went through the encoder (not of remote ones) */
    uint64_t recent_hits;        /* texts whose vector was still known                           */
    uint64_t too_long, wordless; /* texts without a vector                                       */
    uint64_t overloaded, failed; /* refused; everything else                                     */
};

/* Of embedder_submit; embedder_embed is not counted. */
void embedder_state(const struct embedder *embedder, struct embedder_state *out_state);
