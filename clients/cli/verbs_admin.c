/*
 * verbs_admin.c - snapshot, compact, namespace: what an operator does to a server. Owns nothing
 * beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/nearest.h"
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

/* ---- namespace --------------------------------------------------------------- */

enum { FIELDS_MAX = 3 };

struct update { /* what was typed */
    struct reprise_namespace settings;
    const char *fields[FIELDS_MAX];
    size_t fields_count;
};

static enum verb_exit read_kind(const struct cli *cli, const char *typed, struct update *update)
{
    static const char *const kinds[] = {"default", "auto", "flat", "hnsw", "ivf"};
    const char *best = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(typed, kinds[i]) == 0) {
            update->settings.index_kind = (enum reprise_index_kind)i;
            update->fields[update->fields_count++] = "index_kind";
            return VERB_DONE;
        }
        nearest_consider(typed, kinds[i], &best);
    }
    return verb_usage(cli, "--index-kind is default, auto, flat, hnsw or ivf, not \"%s\"", typed);
}

/* "default" goes back to the server's option. */
static enum verb_exit read_count(const struct cli *cli, const struct arguments *arguments,
                                 const char *flag, const char *field, uint32_t *out_count,
                                 struct update *update)
{
    const char *typed = arguments_text(arguments, flag);
    uint64_t count = 0;
    if (typed == NULL)
        return VERB_DONE;
    if (strcmp(typed, "default") != 0 && !units_read_count(typed, 1, UINT32_MAX, &count))
        return verb_usage(cli, "--%s wants a number or default, not \"%s\"", flag, typed);
    *out_count = (uint32_t)count;
    update->fields[update->fields_count++] = field;
    return VERB_DONE;
}

static enum verb_exit read_update(const struct cli *cli, const struct arguments *arguments,
                                  struct update *update)
{
    const char *kind = arguments_text(arguments, "index-kind");
    enum verb_exit exit_code = kind != NULL ? read_kind(cli, kind, update) : VERB_DONE;
    if (exit_code == VERB_DONE)
        exit_code = read_count(cli, arguments, "ef-search", "ef_search",
                               &update->settings.ef_search, update);
    if (exit_code == VERB_DONE)
        exit_code =
            read_count(cli, arguments, "nprobe", "nprobe", &update->settings.nprobe, update);
    if (exit_code == VERB_DONE && update->fields_count == 0)
        exit_code = verb_usage(cli, "namespace update needs --index-kind, --ef-search or --nprobe");
    return exit_code;
}

static const char *or_option(uint32_t number, char out[UNITS_TEXT_MAX])
{
    if (number == 0)
        return "as the server's options say";
    (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu32, number);
    return out;
}

static void print_namespace(const struct cli *cli, const struct reprise_namespace *reply)
{
    char words[64], number[UNITS_TEXT_MAX];
    const bool is_set = reply->index_kind != REPRISE_INDEX_DEFAULT;
    if (!cli->json) {
        (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "namespace", reply->name);
        (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "index kind",
                      is_set ? print_words(reprise_index_kind_name(reply->index_kind), words)
                             : or_option(0, number));
        (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "ef search",
                      or_option(reply->ef_search, number));
        (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "nprobe",
                      or_option(reply->nprobe, number));
        return;
    }
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "name", reply->name);
    json_add_enum(tree, "indexKind", "INDEX_KIND_", reprise_index_kind_name(reply->index_kind));
    if (reply->ef_search > 0)
        json_add_count(tree, "efSearch", reply->ef_search);
    if (reply->nprobe > 0)
        json_add_count(tree, "nprobe", reply->nprobe);
    (void)json_print(tree, false, cli->out);
}

enum verb_exit verb_namespace(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 2 || strcmp(arguments->words[0], "update") != 0)
        return verb_usage(cli, "namespace update NAME --index-kind KIND; see reprise help "
                               "namespace");
    struct update update = {.settings = {.name = arguments->words[1]}};
    enum verb_exit exit_code = read_update(cli, arguments, &update);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_update_namespace(
        client, &update.settings, update.fields, update.fields_count, NULL);
    if (result->code == REPRISE_OK)
        print_namespace(cli, result->namespace_);
    else
        exit_code = verb_call_failed(cli, &result->error);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
