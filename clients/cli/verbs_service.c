/*
 * verbs_service.c - stats, feedback, health. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "clients/cli/json.h"
#include "clients/cli/nearest.h"
#include "clients/cli/print.h"
#include "clients/cli/verbs.h"

enum verb_exit verb_stats(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments_has(arguments, "watch"))
        return watch_stats(cli, arguments);
    if (arguments_has(arguments, "interval") || arguments_has(arguments, "count"))
        return verb_usage(cli, "--interval and --count go with stats --watch");
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result =
        reprise_stats(client, arguments_text(arguments, "namespace"), NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else if (cli->json)
        (void)json_print(json_stats(result->stats), false, cli->out);
    else
        print_stats(cli->out, result->stats);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

static const char *const verdicts[] = {"correct", "wrong", "unsure",
                                       "stale"}; /* 1 to 4 in the protocol */

enum verb_exit verb_read_verdict(const struct cli *cli, const char *typed,
                                 enum reprise_verdict *out_verdict)
{
    const char *best = NULL;
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        if (strcmp(typed, verdicts[i]) == 0) {
            *out_verdict = (enum reprise_verdict)(i + 1);
            return VERB_DONE;
        }
        nearest_consider(typed, verdicts[i], &best);
    }
    if (best != NULL)
        return verb_usage(cli, "there is no verdict \"%s\"; did you mean %s?", typed, best);
    return verb_usage(cli, "the verdict is correct, wrong, unsure or stale, not \"%s\"", typed);
}

static enum verb_exit run_report(const struct cli *cli,
                                 const struct reprise_report_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_report(client, request, NULL);
    enum verb_exit exit_code;
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(cli, &result->error);
    } else {
        enum reprise_outcome outcome = result->report->outcome;
        bool counted =
            outcome == REPRISE_OUTCOME_ACCEPTED || outcome == REPRISE_OUTCOME_COUNTED_ONLY;
        exit_code = counted ? VERB_DONE : VERB_ERROR;
        char words[64];
        if (cli->json)
            (void)json_print(json_report(result->report), false, cli->out);
        else
            (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "feedback",
                          print_words(reprise_outcome_name(outcome), words));
    }
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

enum verb_exit verb_feedback(const struct cli *cli, const struct arguments *arguments)
{
    const char *source = arguments_text(arguments, "source");
    const char *file = arguments_text(arguments, "file");
    if (arguments->words_count != (file != NULL ? 0 : 2))
        return verb_usage(cli, "feedback needs the token of a get and a verdict: reprise feedback "
                               "TOKEN correct|wrong|unsure|stale");
    if (source != NULL && strcmp(source, "user") != 0 && strcmp(source, "operator") != 0)
        return verb_usage(cli, "--source is user or operator, not \"%s\"", source);
    bool by_operator = source != NULL && strcmp(source, "operator") == 0;
    if (file != NULL)
        return verb_feedback_file(cli, file,
                                  by_operator ? REPRISE_SOURCE_OPERATOR : REPRISE_SOURCE_USER);
    struct reprise_report_request request = {
        .decision_token = arguments->words[0],
        .source = by_operator ? REPRISE_SOURCE_OPERATOR : REPRISE_SOURCE_USER,
        .reporter = arguments_text(arguments, "reporter"),
        .feedback_id = arguments_text(arguments, "id"),
    };
    enum verb_exit exit_code = verb_read_verdict(cli, arguments->words[1], &request.verdict);
    return exit_code == VERB_DONE ? run_report(cli, &request) : exit_code;
}

enum verb_exit verb_health(const struct cli *cli, const struct arguments *arguments)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result =
        reprise_health_check(client, arguments_text(arguments, "service"), NULL);
    enum verb_exit exit_code;
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(cli, &result->error);
    } else {
        enum reprise_health status = result->health->status;
        exit_code = status == REPRISE_HEALTH_SERVING ? VERB_DONE : VERB_UNAVAILABLE;
        if (cli->json)
            (void)json_print(json_health(result->health), false, cli->out);
        else
            (void)fprintf(cli->out, "%s\n", reprise_health_name(status));
    }
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
