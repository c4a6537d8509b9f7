/*
 * verbs_search.c - search and explain: looking without changing anything. Owns what it reads for
 * the length of a verb. Threads: the main thread.
 */
#include <string.h>

#include "clients/cli/ask.h"
#include "clients/cli/json.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

/* ---- search ------------------------------------------------------------------ */

static enum verb_exit run_search(const struct cli *cli,
                                 const struct reprise_search_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_search(client, request, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else if (cli->json)
        (void)json_print(json_search(result->search), false, cli->out);
    else
        print_search(cli->out, result->search);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

static enum verb_exit search(const struct cli *cli, const struct arguments *arguments,
                             const struct ask *ask)
{
    static const enum reprise_include parts[] = {REPRISE_INCLUDE_MATCHED_PROMPT,
                                                 REPRISE_INCLUDE_ANSWER};
    const char *top_k = arguments_text(arguments, "top-k");
    uint64_t count = 0;
    if (top_k != NULL && !units_read_count(top_k, 1, UINT32_MAX, &count))
        return verb_usage(cli, "--top-k wants a whole number from 1, not \"%s\"", top_k);
    const struct reprise_search_request request = {
        .identity = ask->get.identity,
        .vector = ask->get.vector,
        .top_k = (uint32_t)count,
        .min_similarity = ask->get.min_similarity,
        .any_compatibility = arguments_has(arguments, "any-compatibility"),
        .exhaustive = arguments_has(arguments, "exhaustive"),
        .include = parts,
        .include_count = arguments_has(arguments, "answers") ? 2 : 1,
    };
    return run_search(cli, &request);
}

enum verb_exit verb_search(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    enum verb_exit exit_code = ask_read(cli, arguments, &ask);
    if (exit_code != VERB_DONE)
        return exit_code;
    exit_code = ask_needs(cli, "search", &ask);
    if (exit_code == VERB_DONE)
        exit_code = search(cli, arguments, &ask);
    ask_deinit(&ask);
    return exit_code;
}

/* ---- explain ----------------------------------------------------------------- */

static enum verb_exit run_explain(const struct cli *cli,
                                  const struct reprise_explain_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_explain(client, request, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else if (cli->json)
        (void)json_print(json_explain(result->explain), false, cli->out);
    else
        print_explain(cli->out, result->explain);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

/* The prompts of the nearest are what a person looks for. */
static bool includes_prompts(const struct reprise_get_request *get)
{
    for (size_t i = 0; i < get->include_count; i++) {
        if (get->include[i] == REPRISE_INCLUDE_MATCHED_PROMPT)
            return true;
    }
    return false;
}

enum verb_exit verb_explain(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    enum verb_exit exit_code = ask_read(cli, arguments, &ask);
    if (exit_code != VERB_DONE)
        return exit_code;
    if (!includes_prompts(&ask.get)) /* there is room: each part is given once */
        ask.include[ask.get.include_count++] = REPRISE_INCLUDE_MATCHED_PROMPT;
    exit_code = ask_needs(cli, "explain", &ask);
    const struct reprise_explain_request request = {
        .get = ask.get, .against_entry_id = arguments_text(arguments, "against")};
    if (exit_code == VERB_DONE)
        exit_code = run_explain(cli, &request);
    ask_deinit(&ask);
    return exit_code;
}
