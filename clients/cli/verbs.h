/*
 * verbs.h - what every verb of the command is given and gives back. Threads: the main thread;
 * replay starts more.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "clients/c/reprise.h"
#include "clients/cli/arguments.h"

enum verb_exit {                       /* the exit codes of the command */
                 VERB_DONE = 0,        /* a hit, or done                                    */
                 VERB_ERROR = 1,       /* the server or the input refused                   */
                 VERB_USAGE = 2,       /* what was typed is not understood                  */
                 VERB_MISS = 3,        /* get: no answer                                    */
                 VERB_UNAVAILABLE = 4, /* no server, not serving, or no reply in time       */
};

struct cli {
    const char *endpoint;
    uint32_t timeout_ms;
    bool json;
    FILE *in, *out, *errors;
};

struct verb_row {
    const char *name;
    const char *words;   /* what stands behind it in the help: "[PROMPT]"      */
    size_t words_max;    /* more words than that are refused                   */
    const char *about;   /* one line                                           */
    const char *example; /* a line to copy                                     */
    struct flag_table tables[ARGUMENTS_TABLES_MAX - 1]; /* the flags of the verb alone */
    enum verb_exit (*run)(const struct cli *cli, const struct arguments *arguments);
};

extern const struct verb_row verb_rows[];
extern const size_t verb_rows_count;
extern const struct flag_row verb_flags[]; /* of every verb: endpoint, output, timeout */
extern const size_t verb_flags_count;

const struct verb_row *verb_find(const char *name);
/* The verb that somebody may have meant; NULL: none comes near. */
const char *verb_nearest(const char *name);

/* The whole command. argv[0] is the program's name. */
enum verb_exit verb_main(int argc, const char *const *argv, const struct cli *streams);

enum verb_exit verb_get(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_set(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_lease(const struct cli *cli, const struct arguments *arguments);
/* --lease, --wait, --hold of a get. VERB_USAGE. */
enum verb_exit lease_read(const struct cli *cli, const struct arguments *arguments,
                          struct reprise_get_request *request);
/* get --stream, set --stream. */
enum verb_exit stream_get(const struct cli *cli, const struct arguments *arguments,
                          const struct reprise_get_request *request);
enum verb_exit stream_set(const struct cli *cli, const struct reprise_set_request *head);
/* get --batch, set --batch: each line of the file is asked or stored as this. */
enum verb_exit batch_get(const struct cli *cli, const struct arguments *arguments,
                         const struct reprise_get_request *like);
enum verb_exit batch_set(const struct cli *cli, const struct arguments *arguments,
                         const struct reprise_set_request *like);
enum verb_exit verb_del(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_invalidate(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_touch(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_monitor(const struct cli *cli, const struct arguments *arguments);
/* stats --watch */
enum verb_exit watch_stats(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_stats(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_feedback(const struct cli *cli, const struct arguments *arguments);
/* A verdict as it is typed; verdicts from a file, one a line (verbs_feedback.c). */
enum verb_exit verb_read_verdict(const struct cli *cli, const char *typed,
                                 enum reprise_verdict *out_verdict);
enum verb_exit verb_feedback_file(const struct cli *cli, const char *path,
                                  enum reprise_source source);
enum verb_exit verb_health(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_replay(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_key(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_encode(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_embed(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_similarity(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_snapshot(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_compact(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_config(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_policy(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_calibrate(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_shadow(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_namespace(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_fsck(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_dump(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_search(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_explain(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_scan(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_entry(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_export(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_import(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_top(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_help(const struct cli *cli, const struct arguments *arguments);
enum verb_exit verb_version(const struct cli *cli, const struct arguments *arguments);

/* "reprise: ..." to the error stream; returns VERB_USAGE, so that it can stand behind `return`. */
enum verb_exit verb_usage(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum verb_exit verb_fail(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* An error of a call, for people and, with -o json, as a document; VERB_ERROR or VERB_UNAVAILABLE.
 */
enum verb_exit verb_call_failed(const struct cli *cli, const struct reprise_error *error);
enum { VERB_ERROR_TEXT = 512 };
/* "INVALID_ARGUMENT BAD_NAME (identity.model): ...", cut to fit. Returns `out`. */
const char *verb_describe(const struct reprise_error *error, char out[VERB_ERROR_TEXT]);
/* A client for cli->endpoint, its deadlines cli->timeout_ms; NULL after a word about it. */
struct reprise_client *verb_connect(const struct cli *cli);
