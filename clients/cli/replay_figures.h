/*
 * replay_figures.h - what a walk comes to, and which of its rows tell most. Pure. Threads: any.
 */
#pragma once
#include "clients/cli/replay_run.h"

struct replay_latency {
    size_t count;
    uint32_t p50_us, p99_us; /* nearest rank; 0 without a count */
};

struct replay_figures {
    size_t requests; /* rows that were asked */
    size_t exact, semantic, misses, wrong, errors;
    double hit_rate; /* hits / requests */
    double err_hit;  /* wrong hits / hits; 0 without hits */
    struct replay_latency exact_latency, semantic_latency, miss_latency, set_latency;
};

/* False when memory is spent. */
bool replay_figures_count(const struct replay_results *results, struct replay_figures *out_figures);

enum { REPLAY_EXAMPLES_MAX = 3 };
struct replay_examples {
    size_t semantic[REPLAY_EXAMPLES_MAX]; /* right semantic hits of different groups, the farthest
                                             wordings first */
    size_t semantic_count;
    size_t blocked; /* the nearest question of another group that the guard refused */
    bool has_blocked;
};

void replay_examples_choose(const struct replay_file *file, const struct replay_results *results,
                            struct replay_examples *out_examples);
