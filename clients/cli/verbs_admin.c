/*
 * verbs_admin.c - snapshot, compact: what an operator does to a server. Owns nothing
 * beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { LONG_TIMEOUT_MS = 3600 * 1000 }; /* writing a whole cache takes as long as it takes */

/* A client that waits for long, unless --timeout says how long. */
static struct reprise_client *connect_for_long(const struct cli *cli,
                                               const struct arguments *arguments)
{
    struct cli patient = *cli;
    if (arguments_text(arguments, "timeout") == NULL)
        patient.timeout_ms = LONG_TIMEOUT_MS;
    return verb_connect(&patient);
}

/* ---- snapshot ---------------------------------------------------------------- */

static cJSON *json_snapshot(const struct reprise_snapshot *snapshot)
{
    cJSON *object = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(object, "name", snapshot->name);
    (void)cJSON_AddNumberToObject(object, "createdUnixMs", (double)snapshot->created_unix_ms);
    json_add_count(object, "sizeBytes", snapshot->size_bytes);
    json_add_count(object, "entries", snapshot->entries);
    return object;
}

static void print_snapshots_json(FILE *out, const struct reprise_snapshots_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(tree, "snapshots");
    for (size_t i = 0; i < reply->snapshots_count; i++)
        (void)cJSON_AddItemToArray(list, json_snapshot(&reply->snapshots[i]));
    (void)json_print(tree, false, out);
}

static void print_snapshots(FILE *out, const struct reprise_snapshots_reply *reply,
                            int64_t now_unix_ms)
{
    (void)fprintf(out, "%-32s %10s %11s  %s\n", "snapshot", "entries", "size", "taken");
    for (size_t i = 0; i < reply->snapshots_count; i++) {
        const struct reprise_snapshot *snapshot = &reply->snapshots[i];
        char size[UNITS_TEXT_MAX], age[UNITS_TEXT_MAX];
        const int64_t age_ms = now_unix_ms - snapshot->created_unix_ms;
        (void)fprintf(out, "%-32s %10" PRIu64 " %11s  %s ago\n", snapshot->name, snapshot->entries,
                      units_print_bytes(snapshot->size_bytes, size),
                      units_print_ms(age_ms > 0 ? (uint64_t)age_ms : 0, age));
    }
}

static enum verb_exit show_snapshots(const struct cli *cli, const struct reprise_result *result)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    if (cli->json)
        print_snapshots_json(cli->out, result->snapshots);
    else
        print_snapshots(cli->out, result->snapshots, clock_wall_ms());
    return VERB_DONE;
}

static enum verb_exit show_deleted(const struct cli *cli, const struct reprise_result *result,
                                   const char *name)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    if (cli->json)
        (void)json_print(cJSON_CreateObject(), false, cli->out);
    else
        (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "removed", name);
    return VERB_DONE;
}

enum verb_exit verb_snapshot(const struct cli *cli, const struct arguments *arguments)
{
    const char *what = arguments->words_count > 0 ? arguments->words[0] : "";
    const char *name = arguments->words_count > 1 ? arguments->words[1] : NULL;
    const bool creates = strcmp(what, "create") == 0, lists = strcmp(what, "list") == 0,
               deletes = strcmp(what, "delete") == 0;
    if (!creates && !lists && !deletes)
        return verb_usage(cli, "snapshot create [NAME], snapshot list or snapshot delete NAME");
    if ((deletes && name == NULL) || (lists && name != NULL))
        return verb_usage(cli, deletes ? "which one? snapshot list shows them"
                                       : "snapshot list takes no name");
    struct reprise_client *client = connect_for_long(cli, arguments);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = creates ? reprise_create_snapshot(client, name, NULL)
                                    : lists ? reprise_list_snapshots(client, NULL)
                                            : reprise_delete_snapshot(client, name, NULL);
    const enum verb_exit exit_code =
        deletes ? show_deleted(cli, result, name) : show_snapshots(cli, result);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

/* ---- compact ----------------------------------------------------------------- */

static void print_compact(const struct cli *cli, const struct reprise_compact_reply *reply)
{
    char before[UNITS_TEXT_MAX], after[UNITS_TEXT_MAX];
    if (!cli->json) {
        (void)fprintf(cli->out, "%-*s%s before, %s now\n", PRINT_LABEL, "compacted",
                      units_print_bytes(reply->size_bytes_before, before),
                      units_print_bytes(reply->size_bytes_after, after));
        return;
    }
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "sizeBytesBefore", reply->size_bytes_before);
    json_add_count(tree, "sizeBytesAfter", reply->size_bytes_after);
    (void)json_print(tree, false, cli->out);
}

enum verb_exit verb_compact(const struct cli *cli, const struct arguments *arguments)
{
    struct reprise_client *client = connect_for_long(cli, arguments);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_compact(client, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code == REPRISE_OK)
        print_compact(cli, result->compact);
    else
        exit_code = verb_call_failed(cli, &result->error);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
