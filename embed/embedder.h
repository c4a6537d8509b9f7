/*
 * embedder.h - text into vectors: one interface, a table of providers. It knows nothing of scopes
 * or answers. Threads: any may submit, embed, stop and ask for the state, at the same time; open
 * and destroy are single.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/metrics.h"
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

/* One that makes lexical vectors, by embedder_embed alone. NO_MEMORY. */
enum status embedder_open_lexical(struct embedder **out_embedder);

/* What still waits is done with DRAINING. Nobody may submit any more. NULL is fine. The pool may be
 * gone already. */
void embedder_destroy(struct embedder **embedder);

/*
 * For a shutdown whose time is over: texts that wait or are with a remote server are done with
 * DRAINING, soon and not when a server that is silent has had its timeouts; so is what is submitted
 * from now on. What a compute thread is busy with ends as it would. Does not wait.
 */
void embedder_stop(struct embedder *embedder);

const struct embed_space *embedder_space(const struct embedder *embedder);

/*
 * Takes one job, whose `done` is called once, with no lock held. With OK: on a compute thread, so
 * that it may search. With a failure: on any thread that submits to this embedder, stops or
 * destroys it, on the one of outgoing requests, or on a compute thread; perhaps before this
 * returns. So a `done` that is told of a failure may neither search nor wait, nor lean on whose
 * thread it is. Never waits. OK. NOT_FOUND: no word, or more than half of it unknown, hence no
 * vector. TEXT_TOO_LONG: embed.truncate = refuse, or a remote server refuses this text. OVERLOADED:
 * too much waits. DEADLINE: it cannot be in time. EMBEDDER_DOWN, EMBEDDER_MISMATCH, BAD_VECTOR: of
 * remote ones. DRAINING. NO_MEMORY. INTERNAL: the model gives no vector.
 */
void embedder_submit(struct embedder *embedder, struct embed_job *job);

/*
 * At once, on this thread: space->dimension floats, length 1. The text is clean UTF-8. The arena is
 * scratch. Statuses as above; UNIMPLEMENTED: a remote embedder has only submit, for compute threads
 * do not wait for the network.
 */
enum status embedder_embed(const struct embedder *embedder, struct text text, struct arena *arena,
                           float *out_unit);

/* What the vector is made from: for a model its ids, [CLS] and [SEP] among them, as it gets them; a
 * lexical embedder has words and no ids. */
struct embedder_tokens {
    const uint32_t *ids;       /* [count]; NULL: there are none                               */
    const struct text *pieces; /* [count]: "door", "##s"                                  */
    size_t count;
    size_t unknown; /* how many of them are [UNK]                                       */
    bool is_head;   /* the text is longer than the model: these are its beginning       */
};

/* All in the arena, but for pieces of the vocabulary, which live as long as the embedder.
 * UNIMPLEMENTED: only a remote server knows. BAD_TEXT, NO_MEMORY. */
enum status embedder_tokens(const struct embedder *embedder, struct text text, struct arena *arena,
                            struct embedder_tokens *out_tokens);

enum { EMBEDDER_DEGRADED_MAX = 3, EMBEDDER_ERRORS_MAX = 16 };

struct embedder_error {
    const char *reason; /* "timeout": a word of REMOTE_ERROR_TABLE (remote.h) */
    uint64_t count;
};

/* Counters begin with the embedder. */
struct embedder_state {
    const char *provider; /* "local"                                                              */
    const char *precision; /* "int8", "fp32"; "": it has none */
    const char *isa;     /* "avx512vnni"; ""                                                     */
    const char *circuit; /* of a remote one: "closed"; "open": it is taken for down; else ""     */
    /* What is not as it should be: "no_weights"; "embedder_down": nobody gets a vector;
     * "embedder_changed": the vectors are no longer those of the start; "embedder_bad_vectors": a
     * reply had another dimension or held a vector that is zero, infinite or not a number, and the
     * canary has not been right since. */
    const char *degraded[EMBEDDER_DEGRADED_MAX];
    size_t degraded_count;
    uint32_t waiting;
    uint64_t texts;         /* got a vector                                                     */
    uint64_t tokens, packs; /* went through the encoder, in so many packs                        */
    uint64_t unknown;       /* tokens that stand for what the vocabulary does not have           */
    bool has_unknown;       /* false: a remote one, which does not say                           */
    bool has_tokens; /* false: a remote one, and no reply has said how many tokens it took; else
                        `tokens` are those of the replies that did                               */
    uint64_t recent_hits, twins; /* texts whose vector was still known; was made beside them      */
    uint64_t too_long, wordless; /* texts without a vector                                       */
    uint64_t overloaded, late;   /* refused: no room; it could not be in time                    */
    uint64_t failed;             /* everything else                                              */

    /* Of a remote one, else 0; see struct remote_state. */
    uint32_t circuit_open, flying, batch_now;
    uint64_t requests, retries, openings, canaries, drifts;
    uint64_t bad_vectors; /* replies with one, or of another dimension                        */
    uint64_t counted, uncounted; /* replies that say how many tokens they took; that do not      */
    struct embedder_error errors[EMBEDDER_ERRORS_MAX];
    size_t errors_count;
};

/* Of embedder_submit; embedder_embed is not counted. */
void embedder_state(const struct embedder *embedder, struct embedder_state *out_state);

/* Every figure of the state that this provider has, as Prometheus text. NULL is fine: nothing is
 * written. */
void embedder_metrics(const struct embedder *embedder, FILE *out);
