/*
 * space.h - what a vector belongs to. Vectors of two spaces are never compared, so everything that
 * shapes a vector goes into the space's id. Threads: any; a name belongs to its caller.
 */
#pragma once
#include <stdint.h>

#include "base/digest.h"
#include "base/text.h"

struct embed_space {
    uint64_t id;      /* first 8 bytes of SHA-256 over all that shapes a vector; never 0 */
    char name[48];    /* "lexical", "minilm-l6"                                          */
    char version[16]; /* "1", "int8-53aa5117"                                            */
    uint32_t dimension;
    float threshold_default; /* of policy `static`: similarity from here on counts as the same  */
    float min_similarity;    /* noise floor: below it there is no candidate                     */
};

/* The parts of an id, one after the other; the order counts, and so does where one ends. */
struct space_name {
    struct digest_stream stream;
};

void space_begin(struct space_name *name);
void space_add_text(struct space_name *name, struct text text);
void space_add_number(struct space_name *name, uint32_t number);
void space_add_digest(struct space_name *name, const struct digest *digest);
uint64_t space_end(struct space_name *name);

enum { EMBED_SPACE_HEX = 16 };
/* The id as people see it, and a NUL. */
void embed_space_hex(const struct embed_space *space, char out_hex[EMBED_SPACE_HEX + 1]);

/* Into a field of a space. Too long: up to a whole code point. */
void space_write(char *out_field, size_t size, struct text text);

/* The space of vectors that a client brings: a name of its own, threshold 0.95, floor 0. */
void embed_client_space(struct text name, uint32_t dimension, struct embed_space *out_space);
