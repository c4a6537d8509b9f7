/*
 * verbs_lease.c - leases: the flags of get that ask for one, and the verb that gives one back. Owns
 * nothing. Threads: the main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

/* Without the flag *out_ms stays. */
static enum verb_exit read_time(const struct cli *cli, const struct arguments *arguments,
                                const char *flag, uint32_t *out_ms)
{
    const char *typed = arguments_text(arguments, flag);
    uint64_t milliseconds = 0;
    if (typed == NULL)
        return VERB_DONE;
    if (!units_read_ms(typed, &milliseconds) || milliseconds == 0 || milliseconds > INT32_MAX)
        return verb_usage(cli, "--%s wants a time such as 10s (ms, s, min, h, d), not \"%s\"", flag,
                          typed);
    *out_ms = (uint32_t)milliseconds;
    return VERB_DONE;
}

enum verb_exit lease_read(const struct cli *cli, const struct arguments *arguments,
                          struct reprise_get_request *request)
{
    const char *mode = arguments_text(arguments, "lease");
    const bool waits = mode != NULL && strcmp(mode, "wait") == 0;
    if (mode != NULL && !waits && strcmp(mode, "first") != 0)
        return verb_usage(cli, "--lease is first or wait, not \"%s\"", mode);
    if (!waits && arguments_text(arguments, "wait") != NULL)
        return verb_usage(cli, "--wait goes with --lease wait");
    if (mode == NULL && arguments_text(arguments, "hold") != NULL)
        return verb_usage(cli, "--hold goes with --lease");
    if (mode != NULL)
        request->lease = waits ? REPRISE_LEASE_WAIT : REPRISE_LEASE_FIRST;
    enum verb_exit exit_code = read_time(cli, arguments, "wait", &request->lease_wait_ms);
    if (exit_code == VERB_DONE)
        exit_code = read_time(cli, arguments, "hold", &request->lease_hold_ms);
    return exit_code;
}

static void print_release(const struct cli *cli, const struct reprise_release_reply *reply)
{
    if (cli->json) {
        cJSON *tree = cJSON_CreateObject();
        (void)cJSON_AddBoolToObject(tree, "released", reply->released);
        json_add_count(tree, "waiters", reply->waiters);
        (void)json_print(tree, false, cli->out);
    } else if (reply->released) {
        (void)fprintf(cli->out, "%-*s%" PRIu32 " still wait\n", PRINT_LABEL, "released",
                      reply->waiters);
    } else {
        (void)fprintf(cli->out, "the token holds nothing\n");
    }
}

enum verb_exit verb_lease(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 2 || strcmp(arguments->words[0], "release") != 0)
        return verb_usage(cli, "lease is: reprise lease release TOKEN");
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_release_lease(client, arguments->words[1], NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(cli, &result->error);
    } else {
        print_release(cli, result->release);
        exit_code = result->release->released ? VERB_DONE : VERB_ERROR;
    }
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
