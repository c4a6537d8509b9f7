/*
 * remote.h - an embedder that is asked over HTTP: OpenAI's shape, Text Embeddings Inference,
 * Ollama. Texts that wait share a request, equal ones go once; what fails for a moment is tried
 * again inside the callers' deadlines; a dead server costs its callers nothing (breaker.h); weights
 * that change under the same name are noticed by a canary, one known text that is embedded at start
 * and once an hour.
 *
 * Threads: any may submit and ask for the state. `done` of a job is called on the thread "remote"
 * (base/outgoing.h), with no lock held; it may submit again. Create and destroy are single, and not
 * on that thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/outgoing.h"
#include "base/status.h"
#include "embed/job.h"
#include "embed/remote_wire.h"

struct remote;

enum { REMOTE_BATCH_MAX = 1024, REMOTE_FLIGHTS_MAX = 64 };

struct remote_settings {
    enum remote_shape shape;
    struct text url;            /* as remote_wire_url takes it                             */
    struct text model;          /* TEI: may be empty                                       */
    struct text key;            /* "": none; sent as a bearer token alone, never logged    */
    uint32_t dimensions;        /* 0: learned at start, so the server must be there        */
    uint32_t timeout_ms;        /* of one attempt                                          */
    uint32_t start_timeout_ms;  /* of the first: some servers load their model then        */
    uint32_t retries_max;       /* attempts after the first; at most 8                     */
    uint32_t batch_max;         /* texts in one request                                    */
    uint32_t queue_max;         /* jobs that wait for one                                  */
    uint32_t flights_max;       /* requests at a time; bulk jobs get half of them          */
    uint64_t chance_seed;       /* spreads the retries of many replicas                    */
    uint64_t (*clock_us)(void); /* monotonic; the same as the outgoing's                   */
};

/* clang-format off */
/*    name         word         what has happened                                                          */
#define REMOTE_ERROR_TABLE(X)                                                                              \
    X(CONNECT,     "connect",   "attempts without a connection")                                           \
    X(TIMEOUT,     "timeout",   "attempts without a whole reply in time")                                  \
    X(BROKEN,      "broken",    "attempts whose connection broke")                                         \
    X(BUSY,        "busy",      "attempts answered 429: too many requests")                                \
    X(SERVER,      "server",    "attempts answered 5xx, 408 or 424")                                       \
    X(REFUSED,     "refused",   "attempts answered 3xx or 4xx, as for a wrong key, path or model")         \
    X(BAD_REPLY,   "bad_reply", "replies that are not the JSON, the count or the size asked for")          \
    X(MISMATCH,    "mismatch",  "replies of another dimension")                                            \
    X(BAD_VECTOR,  "bad_vector", "replies with a vector that is zero, infinite or not a number")           \
    X(TEXT,        "text",      "requests refused for a text's length: 413; 400 and 422 that say so")      \
    X(REJECTED,    "rejected",  "requests answered 400 or 422 for another reason")                         \
    X(MEMORY,      "memory",    "requests for which memory was spent")                                     \
    X(LATE,        "late",      "jobs whose deadline passed, or would before the server takes more")       \
    X(FULL,        "full",      "jobs that found the queue full")                                          \
    X(DOWN,        "down",      "jobs that failed at once, because the embedder is down")
/* clang-format on */

enum remote_error {
#define REMOTE_ERROR_ROW(name, word, meaning) REMOTE_ERROR_##name,
    REMOTE_ERROR_TABLE(REMOTE_ERROR_ROW)
#undef REMOTE_ERROR_ROW
        REMOTE_ERROR_COUNT,
    REMOTE_ERROR_NONE = REMOTE_ERROR_COUNT /* as last_error: there was none */
};

const char *remote_error_word(enum remote_error error); /* "bad_reply": a label for metrics */

struct remote_state {
    bool is_up;                   /* the circuit is closed                                       */
    bool has_drifted;             /* the canary's vector is not the first one, or a reply had
                                     another dimension and no canary since was the first one     */
    bool has_bad_vectors;         /* a reply had another dimension, or a vector that is zero,
                                     infinite or not a number, and no canary since was right      */
    enum remote_error last_error; /* of an attempt; NONE: all went well                          */
    int last_code;                /* HTTP's, of that attempt; 0: no reply                        */
    uint32_t waiting;             /* jobs in the queue                                           */
    uint32_t flying, resting;     /* requests under way; waiting for their next attempt          */
    uint32_t batch_now;           /* texts a request, as learned from refusals                   */
    uint64_t requests, retries;   /* attempts; those after the first                             */
    uint64_t texts, jobs;         /* texts embedded; jobs that got their vector                  */
    uint64_t canaries, drifts;    /* canaries answered; those that were not the first one        */
    uint64_t openings;            /* of the circuit                                              */
    uint64_t tokens;              /* sent, canaries too, as the replies count them               */
    uint64_t counted, uncounted;  /* replies that say how many; that do not                      */
    uint64_t errors[REMOTE_ERROR_COUNT];
};

/*
 * Sends the first canary and waits for what comes of it, with retries. Without `dimensions` a
 * canary that fails is a failure: EMBEDDER_DOWN. With them it is only state `down`, probed every
 * second; but another dimension in the reply is EMBEDDER_MISMATCH. BAD_OPTION: url, model or key
 * cannot be used. `failure` says what and why in one sentence; neither it nor the log holds the key
 * or a text.
 */
enum status remote_create(const struct remote_settings *settings, struct outgoing *outgoing,
                          struct remote **out_remote, struct failure *failure);
/* Jobs that are not done get DRAINING. Nobody may submit any more. NULL is fine. */
void remote_destroy(struct remote **remote);

/* Jobs that are not done get DRAINING on the thread "remote", and so does whatever is handed in
 * from now on; what is under way is given up. Any thread, any number of times; does not wait. */
void remote_stop(struct remote *remote);

/* Floats of every vector; never changes. */
uint32_t remote_dimension(const struct remote *remote);

/*
 * Takes a list of jobs, linked by `next`. Each is done exactly once:
 * OK. TEXT_TOO_LONG: the server refuses this text even alone, and says that it is its length.
 * OVERLOADED: queue_max jobs wait, or the server said so. DEADLINE: it has passed, or the server
 * asks for patience beyond it. EMBEDDER_DOWN: also of a text refused for another reason.
 * EMBEDDER_MISMATCH. BAD_VECTOR: of this text alone. NO_MEMORY. DRAINING.
 */
void remote_submit(struct remote *remote, struct embed_job *jobs);

/* Each figure is right, all of them together only while nothing happens. */
void remote_state(const struct remote *remote, struct remote_state *out_state);
