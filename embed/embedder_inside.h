/*
 * embedder_inside.h - between embedder.c, which embeds, and embedder_open.c, which chooses the
 * provider and makes it.
 */
#pragma once
#include "base/outgoing.h"
#include "embed/batch.h"
#include "embed/embedder.h"
#include "embed/local.h"
#include "embed/remote.h"

struct embedder {
    const char *provider;
    bool lacks_weights; /* lexical, because there is no model for `auto` */
    struct embed_space space;
    struct local *local; /* one of these two, or neither: lexical */
    struct remote *remote;
    struct outgoing *outgoing; /* the remote's                    */
    struct batch *batch;       /* NULL without a pool             */
};

void embedder_lexical_space(struct embed_space *out_space);
