/*
 * batch_figures.h - what embed/batch counts and times. Threads: any; each figure is right, all of
 * them together only while nothing happens.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "base/status.h"

enum batch_count {
    BATCH_TEXTS,
    BATCH_TOKENS,
    BATCH_UNKNOWN,
    BATCH_PACKS,
    BATCH_TWINS,
    BATCH_RECENT_HITS,
    BATCH_TOO_LONG,
    BATCH_WORDLESS,
    BATCH_OVERLOADED,
    BATCH_LATE,
    BATCH_FAILED,
    BATCH_COUNTS
};

/* Where the time of a vector goes. */
enum batch_part {
    BATCH_QUEUE,    /* a text that somebody waits for, until a pack took it            */
    BATCH_TOKENISE, /* a pack: texts into tokens, the way to which some engines end at */
    BATCH_COMPUTE,  /* a pack: tokens into vectors                                     */
    BATCH_REQUEST,  /* a text that was embedded elsewhere, until its vector came back  */
    BATCH_PARTS
};

struct batch_figures {
    struct counters *counters;
    struct histogram *seconds[BATCH_PARTS]; /* NULL: there is no such part */
    struct histogram *pack_tokens;          /* NULL: there are no packs    */
};

/* has_engine: with packs; else vectors come from elsewhere. NO_MEMORY: destroy all the same. */
enum status batch_figures_init(struct batch_figures *figures, bool has_engine);
void batch_figures_deinit(struct batch_figures *figures);

void batch_figures_add(struct batch_figures *figures, enum batch_count which, uint64_t amount);
uint64_t batch_figures_read(const struct batch_figures *figures, enum batch_count which);
/* How a job ended. */
void batch_figures_outcome(struct batch_figures *figures, enum status status);
/* A clock that seems to go back counts as 0. */
void batch_figures_took(struct batch_figures *figures, enum batch_part part, uint64_t from_us,
                        uint64_t to_us);
void batch_figures_pack(struct batch_figures *figures, uint64_t tokens);
