/*
 * remote_wire.h - where a remote embedder is asked, and the body that asks it. Pure. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

/* What a server speaks. */
enum remote_shape {
    REMOTE_OPENAI, /* POST /v1/embeddings */
    REMOTE_TEI,    /* POST /embed         */
    REMOTE_OLLAMA, /* POST /api/embed     */
};

enum { REMOTE_URL_MAX = 1024 };

struct remote_form {
    enum remote_shape shape;
    const char *model;   /* "" for TEI, which has only one                     */
    uint32_t dimensions; /* asked for if not 0; OpenAI's shape only            */
    bool asks_floats;    /* arrays instead of base64; OpenAI's shape only      */
};

struct remote_body { /* all zero is empty */
    char *bytes;
    size_t length, room;
};

/*
 * The address of the verb. `base` is http://HOST or https://HOST, with or without port and path;
 * what it has already of the verb's path is not repeated: "/", "/v1" and "/v1/embeddings" all do.
 * On failure `failure` says what is wrong: no http, a user or a query in it (it is logged), too
 * long.
 */
enum status remote_wire_url(enum remote_shape shape, struct text base, char out_url[REMOTE_URL_MAX],
                            struct failure *failure);

/* Replaces what the body held. The texts are clean UTF-8. */
enum status remote_wire_write(const struct remote_form *form, const struct text *texts,
                              size_t count, struct remote_body *body);
void remote_body_clear(struct remote_body *body);
