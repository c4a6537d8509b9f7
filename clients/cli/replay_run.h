/*
 * replay_run.h - one walk over a stream: Get each question, Set each miss, and note what came back.
 * Threads: replay_run_all starts its own workers and joins them; what it returns belongs to the
 * caller.
 */
#pragma once
#include "clients/cli/replay_file.h"

enum replay_outcome {
    REPLAY_NOT_ASKED, /* the run was stopped before this row */
    REPLAY_EXACT,
    REPLAY_SEMANTIC,
    REPLAY_MISS,
    REPLAY_FAILED, /* the Get was refused */
};

struct replay_result {
    enum replay_outcome outcome;
    bool wrong;              /* a hit whose group is another one          */
    bool was_set;            /* a miss that was stored: set_us counts     */
    uint32_t get_us, set_us; /* as this client's clock saw them  */
    float similarity;
    enum reprise_guard guard; /* of a blocked miss               */
    char *other; /* the matched prompt, or the blocked one; NULL unless examples are wanted */
    char *error; /* what was refused, for people; NULL: nothing */
};

struct replay_options {
    const char *model, *namespace_;
    size_t rows_max;
    unsigned concurrency;
    uint64_t patience_ms; /* a call that finds no server is made again for so long */
    enum reprise_ack ack; /* of the Sets */
    bool examples;
};

enum { REPLAY_CONCURRENCY_MAX = 64 };

struct replay_results {
    struct replay_result *rows; /* one for each row of the file that was to be asked */
    size_t rows_count;
    uint64_t elapsed_us;
    bool unavailable; /* the server went away; later rows were not asked */
};

/* VERB_DONE: *out_results holds what there is, also when the server went away. */
enum verb_exit replay_run_all(const struct cli *cli, const struct replay_file *file,
                              const struct replay_options *options,
                              struct replay_results *out_results);
void replay_results_deinit(struct replay_results *results);
