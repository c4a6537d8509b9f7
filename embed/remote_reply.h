/*
 * remote_reply.h - the vectors in a remote embedder's reply. Pure. Threads: any.
 */
#pragma once
#include <stdbool.h>

#include "embed/remote_wire.h"

enum { REMOTE_DIMENSION_MAX = 4096 };

/* The most bytes that an honest reply takes. dimension 0: not known yet. */
size_t remote_reply_max(size_t count, uint32_t dimension);

struct remote_reply {
    float *vectors; /* count x dimension floats, the caller's to free; NULL unless OK     */
    uint32_t dimension;
    uint64_t tokens; /* of all texts, as the server counts them: what it has them paid for */
    bool has_tokens; /* false: it does not say, which is not 0                             */
};

/*
 * Reads the vectors of `count` texts, in the order of the texts, each brought to length 1.
 * dimension 0: any, the same for all. BAD_JSON: not what this shape answers, or another count.
 * EMBEDDER_MISMATCH: another dimension; the reply's says which. BAD_VECTOR: all is there, but one
 * is zero, infinite or not a number. NO_MEMORY. Tokens are read with every one of them, if it is
 * JSON.
 */
enum status remote_reply_read(enum remote_shape shape, struct text reply, size_t count,
                              uint32_t dimension, struct remote_reply *out_reply);

/*
 * Whether a refusal (400, 422) is for a text's length: "maximum context length is 8192 tokens". In
 * what stands as error, message, code, type or detail, so that a text it quotes is not taken for
 * its reason; in all of a reply that is not JSON.
 */
bool remote_reply_blames_length(struct text reply);
