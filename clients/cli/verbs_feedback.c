/*
 * verbs_feedback.c - feedback --file: verdicts from a file, a token and a verdict a line, a thousand
 * a call. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/verbs.h"

enum { REPORTS_MAX = 1000, TOKEN_MAX = 128, WORD_MAX = 16, OUTCOMES_MAX = 8 };

struct sending {
    const struct cli *cli;
    struct reprise_client *client;
    enum reprise_source source;
    char (*tokens)[TOKEN_MAX];
    struct reprise_report_request *requests;
    size_t count;
    uint64_t outcomes[OUTCOMES_MAX]; /* by enum reprise_outcome */
};

static enum verb_exit flush(struct sending *sending)
{
    if (sending->count == 0)
        return VERB_DONE;
    struct reprise_result *result =
        reprise_batch_report(sending->client, sending->requests, sending->count, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(sending->cli, &result->error);
    for (size_t i = 0; exit_code == VERB_DONE && i < result->batch_report->results_count; i++) {
        const unsigned outcome = (unsigned)result->batch_report->results[i].outcome;
        sending->outcomes[outcome < OUTCOMES_MAX ? outcome : 0]++;
    }
    sending->count = 0;
    reprise_result_free(&result);
    return exit_code;
}

static enum verb_exit take_line(struct sending *sending, const char *line, size_t number)
{
    char word[WORD_MAX];
    struct reprise_report_request *request = &sending->requests[sending->count];
    char *token = sending->tokens[sending->count];
    if (sscanf(line, "%127s %15s", token, word) != 2)
        return verb_fail(sending->cli, "line %zu is no token and verdict", number);
    *request = (struct reprise_report_request){.decision_token = token, .source = sending->source};
    const enum verb_exit exit_code = verb_read_verdict(sending->cli, word, &request->verdict);
    if (exit_code != VERB_DONE)
        return exit_code;
    sending->count++;
    return sending->count == REPORTS_MAX ? flush(sending) : VERB_DONE;
}

static enum verb_exit send_all(struct sending *sending, FILE *file)
{
    char line[512];
    enum verb_exit exit_code = VERB_DONE;
    for (size_t number = 1; exit_code == VERB_DONE && fgets(line, sizeof(line), file) != NULL;
         number++) {
        if (line[strspn(line, " \t\r\n")] != '\0')
            exit_code = take_line(sending, line, number);
    }
    return exit_code == VERB_DONE ? flush(sending) : exit_code;
}

static void show(const struct sending *sending)
{
    cJSON *tree = sending->cli->json ? cJSON_CreateObject() : NULL;
    for (unsigned i = 1; i < OUTCOMES_MAX; i++) {
        char words[64];
        const char *name = reprise_outcome_name((enum reprise_outcome)i);
        if (sending->outcomes[i] == 0)
            continue;
        if (sending->cli->json)
            json_add_count(tree, name, sending->outcomes[i]);
        else
            (void)fprintf(sending->cli->out, "%-*s%" PRIu64 "\n", PRINT_LABEL + 3,
                          print_words(name, words), sending->outcomes[i]);
    }
    if (sending->cli->json)
        (void)json_print(tree, false, sending->cli->out);
}

enum verb_exit verb_feedback_file(const struct cli *cli, const char *path,
                                  enum reprise_source source)
{
    struct sending sending = {.cli = cli, .source = source};
    enum verb_exit exit_code = VERB_ERROR;
    const bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? cli->in : fopen(path, "r");
    if (file == NULL)
        return verb_fail(cli, "%s cannot be read", path);
    sending.tokens = calloc(REPORTS_MAX, sizeof(*sending.tokens));
    sending.requests = calloc(REPORTS_MAX, sizeof(*sending.requests));
    if (sending.tokens == NULL || sending.requests == NULL)
        (void)verb_fail(cli, "out of memory");
    else
        sending.client = verb_connect(cli);
    if (sending.client != NULL) {
        exit_code = send_all(&sending, file);
        show(&sending);
    }
    reprise_client_destroy(&sending.client);
    free(sending.requests);
    free(sending.tokens);
    if (!is_input)
        (void)fclose(file);
    return exit_code;
}
