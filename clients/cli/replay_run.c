/*
 * replay_run.c - the walk. Owns the client, the workers and the results while it runs.
 *
 * THREADS. The caller and concurrency - 1 workers draw row numbers from one counter; each writes
 * only the result of its own row, and the join publishes it. The caller alone shows the progress.
 * With a concurrency of 1 the order is the file's, so that a run gives the same figures every time.
 *
 * NOT HERE. Counting (replay_figures.c), printing (replay_print.c).
 */
#include "clients/cli/replay_run.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "clients/cli/replay_progress.h"

enum { AGAIN_MS = 50 }; /* between two tries to find a server */

struct run {
    const struct replay_file *file;
    const struct replay_options *options;
    struct reprise_client *client;
    struct replay_results *results;
    _Atomic size_t next, done;
    _Atomic bool unavailable;
};

static void note_error(struct run *run, struct replay_result *result,
                       const struct reprise_error *error)
{
    if (error->code == REPRISE_UNAVAILABLE)
        atomic_store(&run->unavailable, true);
    char text[VERB_ERROR_TEXT];
    result->error = strdup(verb_describe(error, text));
}

/* The group that the entry was stored with. An entry of somebody else has none, and is no right
 * answer. */
static bool is_group(const struct reprise_entry *entry, const char *group)
{
    for (size_t i = 0; entry != NULL && i < entry->metadata_count; i++) {
        if (strcmp(entry->metadata[i].name, "group") == 0)
            return strcmp(entry->metadata[i].value, group) == 0;
    }
    return false;
}

static struct reprise_identity identity_of(const struct run *run, const struct replay_row *row)
{
    return (struct reprise_identity){
        .namespace_ = run->options->namespace_, .model = run->options->model, .prompt = row->text};
}

/* Waits a moment; true: the call is to be made again. */
static bool is_patient(const struct run *run, enum reprise_code code, uint64_t first_us)
{
    if (code != REPRISE_UNAVAILABLE ||
        clock_monotonic_us() - first_us >= run->options->patience_ms * 1000)
        return false;
    (void)nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000}, NULL);
    return true;
}

/* The last try alone is timed. */
static struct reprise_result *get(struct run *run, const struct reprise_get_request *request,
                                  uint32_t *out_us)
{
    const uint64_t first_us = clock_monotonic_us();
    for (;;) {
        const uint64_t started_us = clock_monotonic_us();
        struct reprise_result *reply = reprise_get(run->client, request, NULL);
        *out_us = (uint32_t)(clock_monotonic_us() - started_us);
        if (!is_patient(run, reply->code, first_us))
            return reply;
        reprise_result_free(&reply);
    }
}

static struct reprise_result *set(struct run *run, const struct reprise_set_request *request,
                                  uint32_t *out_us)
{
    const uint64_t first_us = clock_monotonic_us();
    for (;;) {
        const uint64_t started_us = clock_monotonic_us();
        struct reprise_result *reply = reprise_set(run->client, request, NULL);
        *out_us = (uint32_t)(clock_monotonic_us() - started_us);
        if (!is_patient(run, reply->code, first_us))
            return reply;
        reprise_result_free(&reply);
    }
}

static void set_answer(struct run *run, const struct replay_row *row, struct replay_result *result)
{
    const struct reprise_pair metadata = {"group", row->group};
    const struct reprise_set_request request = {.identity = identity_of(run, row),
                                                .content = row->answer,
                                                .ack = run->options->ack,
                                                .metadata = &metadata,
                                                .metadata_count = 1};
    struct reprise_result *reply = set(run, &request, &result->set_us);
    if (reply->code != REPRISE_OK) {
        note_error(run, result, &reply->error);
    } else if (!reply->set->stored) {
        char text[96];
        (void)snprintf(text, sizeof(text), "not stored: %s", reprise_skip_name(reply->set->skip));
        result->error = strdup(text);
    } else {
        result->was_set = true;
    }
    reprise_result_free(&reply);
}

static void note_hit(struct run *run, const struct replay_row *row,
                     const struct reprise_get_reply *reply, struct replay_result *result)
{
    bool semantic = reply->tier == REPRISE_TIER_SEMANTIC;
    result->outcome = semantic ? REPLAY_SEMANTIC : REPLAY_EXACT;
    result->wrong = !is_group(reply->entry, row->group);
    result->similarity = reply->similarity;
    if (semantic && run->options->examples && reply->debug != NULL)
        result->other = strdup(reply->debug->matched_prompt);
}

/* Of a blocked miss the nearest candidate that the guard refused. */
static void note_miss(struct run *run, const struct reprise_get_reply *reply,
                      struct replay_result *result)
{
    result->outcome = REPLAY_MISS;
    if (reply->miss_reason != REPRISE_MISS_GUARD_BLOCKED || !run->options->examples ||
        reply->debug == NULL)
        return;
    for (size_t i = 0; i < reply->debug->candidates_count; i++) {
        const struct reprise_candidate *candidate = &reply->debug->candidates[i];
        if (candidate->guard == REPRISE_GUARD_CLEAN)
            continue;
        result->guard = candidate->guard;
        result->similarity = candidate->similarity;
        result->other = strdup(candidate->prompt);
        return;
    }
}

static void ask_row(struct run *run, size_t index)
{
    static const enum reprise_include include[] = {REPRISE_INCLUDE_MATCHED_PROMPT,
                                                   REPRISE_INCLUDE_CANDIDATES};
    const struct replay_row *row = &run->file->rows[index];
    struct replay_result *result = &run->results->rows[index];
    const struct reprise_get_request request = {.identity = identity_of(run, row),
                                                .include = include,
                                                .include_count = run->options->examples ? 2 : 0};
    struct reprise_result *reply = get(run, &request, &result->get_us);
    if (reply->code != REPRISE_OK) {
        result->outcome = REPLAY_FAILED;
        note_error(run, result, &reply->error);
    } else if (reply->get->hit) {
        note_hit(run, row, reply->get, result);
    } else {
        note_miss(run, reply->get, result);
        set_answer(run, row, result);
    }
    reprise_result_free(&reply);
}

/* Draws rows until there are none. `progress` NULL: a worker. */
static void walk(struct run *run, struct replay_progress *progress)
{
    for (;;) {
        size_t index = atomic_fetch_add(&run->next, 1);
        if (index >= run->results->rows_count || atomic_load(&run->unavailable))
            return;
        ask_row(run, index);
        size_t done = atomic_fetch_add(&run->done, 1) + 1;
        if (progress != NULL)
            replay_progress_show(progress, done, clock_monotonic_us());
    }
}

static void work(void *argument)
{
    walk(argument, NULL);
}

static void walk_together(const struct cli *cli, struct run *run)
{
    struct thread *threads[REPLAY_CONCURRENCY_MAX] = {NULL};
    struct replay_progress progress;
    replay_progress_init(&progress, cli->errors, run->results->rows_count);
    for (unsigned i = 1; i < run->options->concurrency; i++) {
        /* Fewer workers than asked for are slower, not wrong. */
        if (thread_create(THREAD_OTHER, "replay", work, run, &threads[i]) != STATUS_OK)
            (void)fprintf(cli->errors, "reprise: worker %u could not be started\n", i + 1);
    }
    walk(run, &progress);
    for (unsigned i = 1; i < run->options->concurrency; i++)
        thread_join(&threads[i]);
    replay_progress_show(&progress, atomic_load(&run->done), clock_monotonic_us());
    replay_progress_end(&progress);
}

enum verb_exit replay_run_all(const struct cli *cli, const struct replay_file *file,
                              const struct replay_options *options,
                              struct replay_results *out_results)
{
    assert(options->concurrency >= 1);
    assert(options->concurrency <= REPLAY_CONCURRENCY_MAX);
    assert(file->rows_count > 0);
    struct replay_results results = {
        .rows_count = file->rows_count < options->rows_max ? file->rows_count : options->rows_max};
    results.rows = calloc(results.rows_count, sizeof(*results.rows));
    if (results.rows == NULL)
        return verb_fail(cli, "out of memory");
    struct run run = {.file = file, .options = options, .results = &results};
    run.client = verb_connect(cli);
    if (run.client == NULL) {
        replay_results_deinit(&results);
        return VERB_ERROR;
    }
    uint64_t started_us = clock_monotonic_us();
    walk_together(cli, &run);
    results.elapsed_us = clock_monotonic_us() - started_us;
    results.unavailable = atomic_load(&run.unavailable);
    reprise_client_destroy(&run.client);
    *out_results = results;
    return VERB_DONE;
}

void replay_results_deinit(struct replay_results *results)
{
    for (size_t i = 0; results->rows != NULL && i < results->rows_count; i++) {
        free(results->rows[i].other);
        free(results->rows[i].error);
    }
    free(results->rows);
    *results = (struct replay_results){0};
}
