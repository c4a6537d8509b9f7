/*
 * replay.c - the verb: read the file, walk it, count, print. Owns all of it for the length of the
 * verb. Threads: the main thread; replay_run.c has its own.
 */
#include <stdint.h>

#include "clients/cli/ask.h"
#include "clients/cli/replay_print.h"
#include "clients/cli/units.h"

static enum verb_exit read_options(const struct cli *cli, const struct arguments *arguments,
                                   struct replay_options *out_options)
{
    const char *limit = arguments_text(arguments, "limit");
    const char *concurrency = arguments_text(arguments, "concurrency");
    const char *model = arguments_text(arguments, "model");
    const char *patience = arguments_text(arguments, "patience");
    uint64_t rows_max = SIZE_MAX, workers = 1, patience_ms = 0;
    enum reprise_ack ack = REPRISE_ACK_DEFAULT;
    if (limit != NULL && !units_read_count(limit, 1, SIZE_MAX, &rows_max))
        return verb_usage(cli, "--limit wants a number from 1 on, not \"%s\"", limit);
    if (concurrency != NULL && !units_read_count(concurrency, 1, REPLAY_CONCURRENCY_MAX, &workers))
        return verb_usage(cli, "--concurrency wants a number from 1 to %d, not \"%s\"",
                          REPLAY_CONCURRENCY_MAX, concurrency);
    if (patience != NULL && !units_read_ms(patience, &patience_ms))
        return verb_usage(cli, "--patience wants a time such as 10s, not \"%s\"", patience);
    enum verb_exit exit_code = ask_read_ack(cli, arguments, &ack);
    if (exit_code != VERB_DONE)
        return exit_code;
    *out_options = (struct replay_options){
        .model = model != NULL ? model : "demo",
        .namespace_ = arguments_text(arguments, "namespace"),
        .rows_max = (size_t)rows_max,
        .concurrency = (unsigned)workers,
        .patience_ms = patience_ms,
        .ack = ack,
        .examples = arguments_has(arguments, "examples"),
    };
    return VERB_DONE;
}

/* Whatever was asked is counted and printed; then what went wrong. */
static enum verb_exit report(const struct cli *cli, const char *path,
                             const struct replay_file *file, const struct replay_results *results,
                             bool with_examples)
{
    struct replay_figures figures;
    struct replay_examples examples;
    if (!replay_figures_count(results, &figures))
        return verb_fail(cli, "out of memory");
    replay_examples_choose(file, results, &examples);
    const struct replay_report whole = {.file = file,
                                        .results = results,
                                        .figures = &figures,
                                        .examples = with_examples ? &examples : NULL};
    if (cli->json)
        replay_print_json(cli->out, &whole);
    else
        replay_print_table(cli->out, &whole);
    (void)fflush(cli->out);
    replay_print_errors(cli->errors, path, &whole);
    if (results->unavailable) {
        (void)verb_fail(cli, "the server at %s went away after %zu of %zu rows", cli->endpoint,
                        figures.requests, results->rows_count);
        return VERB_UNAVAILABLE;
    }
    if (figures.errors > 0)
        return verb_fail(cli, "%zu of %zu rows were refused", figures.errors, figures.requests);
    return VERB_DONE;
}

enum verb_exit verb_replay(const struct cli *cli, const struct arguments *arguments)
{
    struct replay_options options;
    if (arguments->words_count != 1)
        return verb_usage(cli, "replay needs a file: reprise replay examples/support.tsv");
    const char *path = arguments->words[0];
    enum verb_exit exit_code = read_options(cli, arguments, &options);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct replay_file file;
    exit_code = replay_file_read(cli, path, &file);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct replay_results results;
    exit_code = replay_run_all(cli, &file, &options, &results);
    if (exit_code == VERB_DONE) {
        exit_code = report(cli, path, &file, &results, options.examples);
        replay_results_deinit(&results);
    }
    replay_file_deinit(&file);
    return exit_code;
}
