/*
 * verbs_touch.c - touch: entries get a new TTL. Owns what it reads for the length of the verb.
 * Threads: the main thread.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

static void show(const struct cli *cli, const struct reprise_touch_reply *reply)
{
    if (!cli->json) {
        (void)fprintf(cli->out, "%-*s%" PRIu32 "\n", PRINT_LABEL, "touched", reply->touched);
        if (reply->missing > 0)
            (void)fprintf(cli->out, "%-*s%" PRIu32 "\n", PRINT_LABEL, "missing", reply->missing);
        return;
    }
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "touched", reply->touched);
    json_add_count(tree, "missing", reply->missing);
    (void)json_print(tree, false, cli->out);
}

static enum verb_exit run_touch(const struct cli *cli, const struct reprise_touch_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_touch(client, request, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(cli, &result->error);
    } else {
        show(cli, result->touch);
        exit_code = result->touch->missing == 0 ? VERB_DONE : VERB_MISS;
    }
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

enum verb_exit verb_touch(const struct cli *cli, const struct arguments *arguments)
{
    const char *ttl = arguments_text(arguments, "ttl");
    struct reprise_touch_request request = {
        .namespace_ = arguments_text(arguments, "namespace"),
        .entry_ids = arguments->words,
        .entry_ids_count = arguments->words_count,
        .ttl_given = ttl != NULL,
    };
    if (request.entry_ids_count == 0)
        return verb_usage(cli, "touch needs the ids of entries; get and set print them");
    if (ttl != NULL && !units_read_ms(ttl, &request.ttl_ms))
        return verb_usage(cli, "--ttl wants a time such as 10min (ms, s, min, h, d), not \"%s\"",
                          ttl);
    return run_touch(cli, &request);
}
