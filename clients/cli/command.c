/*
 * command.c - from a command line to a verb, and the words that every verb says when something
 * fails. Owns the arguments for the length of a verb. Threads: the main thread.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/cli/json.h"
#include "clients/cli/nearest.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { TIMEOUT_MS = 5000, TIMEOUT_MS_MAX = 3600 * 1000 };

const struct verb_row *verb_find(const char *name)
{
    for (size_t i = 0; i < verb_rows_count; i++) {
        if (strcmp(verb_rows[i].name, name) == 0)
            return &verb_rows[i];
    }
    return NULL;
}

const char *verb_nearest(const char *name)
{
    const char *best = NULL;
    for (size_t i = 0; i < verb_rows_count; i++)
        nearest_consider(name, verb_rows[i].name, &best);
    return best;
}

static void say(const struct cli *cli, const char *format, va_list arguments)
{
    (void)fputs("reprise: ", cli->errors);
    (void)vfprintf(cli->errors, format, arguments);
    (void)fputc('\n', cli->errors);
}

enum verb_exit verb_usage(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(cli, format, arguments);
    va_end(arguments);
    return VERB_USAGE;
}

enum verb_exit verb_fail(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(cli, format, arguments);
    va_end(arguments);
    return VERB_ERROR;
}

const char *verb_describe(const struct reprise_error *error, char out[VERB_ERROR_TEXT])
{
    /* Our server's sentences begin with the field; others may not. */
    bool names_field = strncmp(error->message, error->field, strlen(error->field)) == 0;
    (void)snprintf(out, VERB_ERROR_TEXT, "%s%s%s%s%s%s: %s", reprise_code_name(error->code),
                   error->reason[0] != '\0' ? " " : "", error->reason, names_field ? "" : " (",
                   names_field ? "" : error->field, names_field ? "" : ")", error->message);
    return out;
}

enum verb_exit verb_call_failed(const struct cli *cli, const struct reprise_error *error)
{
    bool unavailable =
        error->code == REPRISE_UNAVAILABLE || error->code == REPRISE_DEADLINE_EXCEEDED;
    char text[VERB_ERROR_TEXT];
    (void)fprintf(cli->errors, "reprise: %s: %s\n", cli->endpoint, verb_describe(error, text));
    if (cli->json)
        (void)json_print(json_error(error), false, cli->out);
    return unavailable ? VERB_UNAVAILABLE : VERB_ERROR;
}

struct reprise_client *verb_connect(const struct cli *cli)
{
    const struct reprise_client_options options = {
        .endpoint = cli->endpoint,
        .read_deadline_ms = cli->timeout_ms,
        .write_deadline_ms = cli->timeout_ms,
        .reply_max_bytes = 64 * 1024 * 1024, /* the most that a server may be told to send */
    };
    struct reprise_client *client = reprise_client_create(&options);
    if (client == NULL)
        (void)verb_fail(cli, "out of memory");
    return client;
}

/* Where the verb stands: the first argument that is neither a common flag nor its value. argc:
 * nowhere. */
static int find_verb(int argc, const char *const *argv)
{
    const struct flag_table common[ARGUMENTS_TABLES_MAX] = {{verb_flags, verb_flags_count}};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        bool is_short = strcmp(argv[i], "-o") == 0;
        const char *name = argv[i] + (strncmp(argv[i], "--", 2) == 0 ? 2 : 1);
        bool has_value = is_short || arguments_find_row(common, name, strlen(name)) != NULL;
        i += has_value;
    }
    return argc;
}

/* --help and --version are what people type first. */
static const char *as_verb(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return "help";
    return strcmp(word, "--version") == 0 ? "version" : word;
}

static enum verb_exit read_common(const struct arguments *arguments, struct cli *cli)
{
    const char *endpoint = arguments_text(arguments, "endpoint");
    const char *output = arguments_text(arguments, "output");
    const char *timeout = arguments_text(arguments, "timeout");
    if (endpoint == NULL || endpoint[0] == '\0')
        endpoint = getenv("REPRISE_ENDPOINT");
    cli->endpoint = endpoint != NULL && endpoint[0] != '\0' ? endpoint : "127.0.0.1:7371";
    if (output != NULL && strcmp(output, "json") != 0 && strcmp(output, "table") != 0)
        return verb_usage(cli, "--output is table or json, not \"%s\"", output);
    cli->json = output != NULL && strcmp(output, "json") == 0;
    uint64_t timeout_ms = TIMEOUT_MS;
    bool clean = timeout == NULL || units_read_ms(timeout, &timeout_ms);
    if (!clean || timeout_ms < 1 || timeout_ms > TIMEOUT_MS_MAX)
        return verb_usage(cli, "--timeout wants a time from 1ms to 1h, not \"%s\"", timeout);
    cli->timeout_ms = (uint32_t)timeout_ms;
    return VERB_DONE;
}

/* All arguments but the program and the verb, to be read as one list. */
static enum verb_exit run_verb(const struct verb_row *verb, int argc, const char *const *argv,
                               struct cli *cli)
{
    struct flag_table tables[ARGUMENTS_TABLES_MAX] = {{verb_flags, verb_flags_count}};
    for (size_t i = 0; i < ARGUMENTS_TABLES_MAX - 1; i++)
        tables[i + 1] = verb->tables[i];
    struct arguments arguments;
    if (!arguments_read(tables, argc, argv, cli->errors, &arguments)) {
        (void)fprintf(cli->errors, "reprise: see reprise help %s\n", verb->name);
        return VERB_USAGE;
    }
    enum verb_exit exit_code;
    if (arguments.words_count > verb->words_max)
        exit_code = verb_usage(cli, "%s does not know what to do with \"%s\"; see reprise help %s",
                               verb->name, arguments.words[verb->words_max], verb->name);
    else
        exit_code = read_common(&arguments, cli);
    if (exit_code == VERB_DONE)
        exit_code = verb->run(cli, &arguments);
    arguments_deinit(&arguments);
    return exit_code;
}

static enum verb_exit unknown_verb(const struct cli *cli, const char *name)
{
    const char *best = verb_nearest(name);
    if (best != NULL)
        return verb_usage(cli, "there is no verb \"%s\"; did you mean %s?", name, best);
    return verb_usage(cli, "there is no verb \"%s\"; reprise help lists them", name);
}

enum verb_exit verb_main(int argc, const char *const *argv, const struct cli *streams)
{
    assert(argc >= 0);
    struct cli cli = *streams;
    if (argc == 2 && strcmp(as_verb(argv[1]), argv[1]) != 0)
        return run_verb(verb_find(as_verb(argv[1])), 0, argv, &cli);
    int at = find_verb(argc, argv);
    if (at >= argc) {
        (void)verb_usage(&cli, "which verb? reprise help lists them");
        return VERB_USAGE;
    }
    const struct verb_row *verb = verb_find(argv[at]);
    if (verb == NULL)
        return unknown_verb(&cli, argv[at]);
    const char **rest = calloc((size_t)argc, sizeof(*rest));
    if (rest == NULL)
        return verb_fail(&cli, "out of memory");
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (i != at)
            rest[count++] = argv[i];
    }
    enum verb_exit exit_code = run_verb(verb, count, rest, &cli);
    free(rest);
    return exit_code;
}
