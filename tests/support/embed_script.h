/*
 * embed_script.h - an embedding server for tests, over http_script.h: it answers as OpenAI, TEI or
 * Ollama do, with vectors that depend on the text alone, or as badly as it is told. Threads: any.
 */
#pragma once
#include "tests/support/http_script.h"

enum embed_script_shape { EMBED_OPENAI, EMBED_TEI, EMBED_OLLAMA };

/* All zero: well, with arrays. */
struct embed_manners {
    unsigned dimension; /* of the vectors; 0: what it was created with              */
    bool gives_base64;
    bool refuses_base64;     /* 400 if it is asked for                                   */
    bool shuffles;           /* OpenAI: the last text first                              */
    bool has_drifted;        /* other weights: other vectors                             */
    unsigned tokens;         /* of each text, said as OpenAI and Ollama do; 0: not said  */
    unsigned batch_max;      /* 413 for more texts                                       */
    const char *refused;     /* 413 if a text begins so                                  */
    const char *unspeakable; /* the vector of a text that begins so has a null           */
    int code;                /* instead of 200...                                        */
    unsigned code_times;     /* ...so many times; 0: always                              */
    const char *headers;     /* with it                                                  */
    const char *body;        /* instead of vectors, and with a code                      */
    enum http_manner manner;
};

struct embed_script;

struct embed_script *embed_script_create(enum embed_script_shape shape, unsigned dimension);
void embed_script_destroy(struct embed_script **script);
void embed_script_tell(struct embed_script *script, const struct embed_manners *manners);
struct http_script *embed_script_http(struct embed_script *script);

/* Waits until so many requests have come. */
void embed_script_await(struct embed_script *script, unsigned requests);
unsigned embed_script_requests(struct embed_script *script);
/* Of request `number`: how many texts, its body and its head. They stay until destroy. */
unsigned embed_script_texts(struct embed_script *script, unsigned number);
const char *embed_script_body(struct embed_script *script, unsigned number);
const char *embed_script_head(struct embed_script *script, unsigned number);

/* What is answered for this text, not brought to length 1. */
void embed_script_vector(const char *text, unsigned dimension, bool has_drifted, float *out_vector);
