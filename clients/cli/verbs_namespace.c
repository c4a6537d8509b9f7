/*
 * verbs_namespace.c - namespace create, get, list, update, drop. Owns nothing beyond a verb.
 * Threads: the main thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/nearest.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { FIELDS_MAX = 14 };

struct typed { /* what was typed */
    const struct cli *cli;
    const struct arguments *arguments;
    struct reprise_namespace settings;
    enum reprise_tier tiers[2];
    const char *fields[FIELDS_MAX];
    size_t fields_count;
    enum verb_exit exit_code; /* the first that is not VERB_DONE */
};

/* The value of the flag, whose field is going to change; NULL: not given, or "default", which goes
 * back to the server's option. */
static const char *take(struct typed *typed, const char *flag, const char *field)
{
    const char *value = arguments_text(typed->arguments, flag);
    if (value == NULL || typed->exit_code != VERB_DONE)
        return NULL;
    bool is_noted = false;
    for (size_t i = 0; i < typed->fields_count; i++)
        is_noted |= strcmp(typed->fields[i], field) == 0;
    if (!is_noted)
        typed->fields[typed->fields_count++] = field;
    return strcmp(value, "default") != 0 ? value : NULL;
}

static int read_word(struct typed *typed, const char *flag, const char *value,
                     const char *const *words, size_t count)
{
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, words[i]) == 0)
            return (int)i + 1;
        nearest_consider(value, words[i], &best);
    }
    typed->exit_code =
        verb_usage(typed->cli,
                   "--%s does not know \"%s\"%s%s; see reprise help "
                   "namespace",
                   flag, value, best != NULL ? "; did you mean " : "", best != NULL ? best : "");
    return 0;
}

#define READ_WORD(typed, flag, value, words)                                                       \
    read_word((typed), (flag), (value), (words), sizeof(words) / sizeof((words)[0]))

static void read_words(struct typed *typed)
{
    static const char *const kinds[] = {"auto", "flat", "hnsw", "ivf"};
    static const char *const acks[] = {"memory", "logged", "synced"};
    static const char *const modes[] = {"off", "static", "adaptive", "shadow"};
    static const char *const evictions[] = {"s3fifo", "lru", "lfu_aging"};
    static const char *const embedders[] = {"lexical", "client"};
    static const char *const tiers[] = {"exact", "semantic", "all"};
    const char *value = take(typed, "index-kind", "index_kind");
    if (value != NULL)
        typed->settings.index_kind =
            (enum reprise_index_kind)READ_WORD(typed, "index-kind", value, kinds);
    value = take(typed, "ack", "ack");
    if (value != NULL)
        typed->settings.ack = (enum reprise_ack)READ_WORD(typed, "ack", value, acks);
    value = take(typed, "eviction", "eviction");
    if (value != NULL)
        typed->settings.eviction =
            (enum reprise_eviction)READ_WORD(typed, "eviction", value, evictions);
    value = take(typed, "embedder", "embedder");
    if (value != NULL)
        typed->settings.embedder =
            (enum reprise_namespace_embedder)READ_WORD(typed, "embedder", value, embedders);
    value = take(typed, "policy", "policy");
    if (value != NULL)
        typed->settings.policy.mode = (enum reprise_mode)READ_WORD(typed, "policy", value, modes);
    value = take(typed, "tier", "tiers");
    if (value != NULL) {
        const int tier = READ_WORD(typed, "tier", value, tiers);
        typed->tiers[0] = (enum reprise_tier)tier;
        typed->settings.tiers_count = tier == 1 || tier == 2 ? 1 : 0;
    }
}

static double read_number(struct typed *typed, const char *flag, const char *field, double most)
{
    const char *value = take(typed, flag, field);
    char *end = NULL;
    if (value == NULL)
        return -1;
    const double number = strtod(value, &end);
    if (end == value || *end != '\0' || !(number >= 0 && number <= most))
        typed->exit_code = verb_usage(typed->cli, "--%s wants a number from 0 to %g, not \"%s\"",
                                      flag, most, value);
    return number;
}

static uint64_t read_count(struct typed *typed, const char *flag, const char *field, uint64_t most)
{
    const char *value = take(typed, flag, field);
    uint64_t count = 0;
    if (value != NULL && !units_read_count(value, 1, most, &count))
        typed->exit_code =
            verb_usage(typed->cli, "--%s wants a number or default, not \"%s\"", flag, value);
    return count;
}

static uint64_t read_ms(struct typed *typed, const char *flag, const char *field)
{
    const char *value = take(typed, flag, field);
    uint64_t ms = 0;
    if (value != NULL && (!units_read_ms(value, &ms) || ms == 0))
        typed->exit_code = verb_usage(
            typed->cli, "--%s wants a time such as 7d, or default, not \"%s\"", flag, value);
    return ms;
}

/* "64MiB": a whole number, and B, KiB, MiB or GiB, or nothing. */
static bool read_size(const char *text, uint64_t *out_bytes)
{
    static const char *const units[] = {"", "B", "KiB", "MiB", "GiB"};
    static const unsigned shifts[] = {0, 0, 10, 20, 30};
    char digits[20];
    uint64_t count = 0;
    const size_t length = strspn(text, "0123456789");
    if (length == 0 || length >= sizeof(digits))
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!units_read_count(digits, 1, UINT64_MAX >> 30, &count))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + length, units[i]) == 0) {
            *out_bytes = count << shifts[i];
            return true;
        }
    }
    return false;
}

static uint64_t read_bytes(struct typed *typed, const char *flag, const char *field)
{
    const char *value = take(typed, flag, field);
    uint64_t bytes = 0;
    if (value != NULL && !read_size(value, &bytes))
        typed->exit_code = verb_usage(
            typed->cli, "--%s wants a size such as 64MiB, or default, not \"%s\"", flag, value);
    return bytes;
}

static void read_typed(struct typed *typed)
{
    struct reprise_namespace *settings = &typed->settings;
    read_words(typed);
    settings->tiers = typed->tiers;
    settings->policy.static_threshold = (float)read_number(typed, "threshold", "policy", 1);
    settings->ttl_ms = read_ms(typed, "ttl", "ttl_ms");
    settings->ttl_max_ms = read_ms(typed, "ttl-max", "ttl_max_ms");
    settings->bytes_max = read_bytes(typed, "bytes-max", "bytes_max");
    settings->entries_max = read_count(typed, "entries-max", "entries_max", UINT64_MAX);
    settings->temperature_max = read_number(typed, "temperature-max", "temperature_max", 10);
    settings->user_turns_max =
        (uint32_t)read_count(typed, "user-turns-max", "user_turns_max", UINT32_MAX);
    settings->ef_search = (uint32_t)read_count(typed, "ef-search", "ef_search", UINT32_MAX);
    settings->nprobe = (uint32_t)read_count(typed, "nprobe", "nprobe", UINT32_MAX);
}

/* ---- shown ------------------------------------------------------------------- */

static void json_add_policy(cJSON *tree, const struct reprise_policy *policy)
{
    if (policy->mode == REPRISE_MODE_DEFAULT && policy->static_threshold < 0)
        return;
    cJSON *object = cJSON_AddObjectToObject(tree, "policy");
    if (policy->mode != REPRISE_MODE_DEFAULT)
        json_add_enum(object, "mode", "POLICY_MODE_", reprise_mode_name(policy->mode));
    if (policy->static_threshold >= 0)
        json_add_float(object, "staticThreshold", policy->static_threshold);
}

static void json_add_some(cJSON *object, const char *name, uint64_t count)
{
    if (count > 0)
        json_add_count(object, name, count);
}

static cJSON *json_namespace(const struct reprise_namespace *reply)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "name", reply->name);
    for (size_t i = 0; i < reply->tiers_count; i++) {
        char name[64];
        cJSON *list =
            i == 0 ? cJSON_AddArrayToObject(tree, "tiers") : cJSON_GetObjectItem(tree, "tiers");
        (void)snprintf(name, sizeof(name), "TIER_%s", reprise_tier_name(reply->tiers[i]));
        (void)cJSON_AddItemToArray(list, cJSON_CreateString(name));
    }
    json_add_policy(tree, &reply->policy);
    json_add_some(tree, "ttlMs", reply->ttl_ms);
    json_add_some(tree, "ttlMaxMs", reply->ttl_max_ms);
    json_add_some(tree, "bytesMax", reply->bytes_max);
    json_add_some(tree, "entriesMax", reply->entries_max);
    if (reply->eviction != REPRISE_EVICTION_DEFAULT)
        json_add_enum(tree, "eviction", "EVICTION_", reprise_eviction_name(reply->eviction));
    if (reply->temperature_max >= 0)
        (void)cJSON_AddNumberToObject(tree, "temperatureMax", reply->temperature_max);
    json_add_some(tree, "userTurnsMax", reply->user_turns_max);
    if (reply->ack != REPRISE_ACK_DEFAULT)
        json_add_enum(tree, "ack", "ACK_", reprise_ack_name(reply->ack));
    if (reply->embedder != REPRISE_NAMESPACE_EMBEDDER_DEFAULT)
        json_add_enum(tree, "embedder", "NAMESPACE_EMBEDDER_",
                      reprise_namespace_embedder_name(reply->embedder));
    if (reply->index_kind != REPRISE_INDEX_DEFAULT)
        json_add_enum(tree, "indexKind", "INDEX_KIND_", reprise_index_kind_name(reply->index_kind));
    json_add_some(tree, "efSearch", reply->ef_search);
    json_add_some(tree, "nprobe", reply->nprobe);
    json_add_some(tree, "version", reply->version);
    json_add_some(tree, "entries", reply->entries);
    json_add_some(tree, "sizeBytes", reply->size_bytes);
    json_add_some(tree, "rows", reply->rows);
    if (reply->degraded[0] != '\0')
        (void)cJSON_AddStringToObject(tree, "degraded", reply->degraded);
    return tree;
}

static void print_line(FILE *out, const char *label, const char *value)
{
    (void)fprintf(out, "%-*s%s\n", PRINT_LABEL + 3, label, value);
}

static void print_count(FILE *out, const char *label, uint64_t count)
{
    char text[UNITS_TEXT_MAX];
    if (count == 0)
        return;
    (void)snprintf(text, sizeof(text), "%" PRIu64, count);
    print_line(out, label, text);
}

static void print_policy(FILE *out, const struct reprise_policy *policy)
{
    char words[64];
    if (policy->mode != REPRISE_MODE_DEFAULT)
        print_line(out, "policy", print_words(reprise_mode_name(policy->mode), words));
    if (policy->static_threshold < 0)
        return;
    (void)snprintf(words, sizeof(words), "%g", (double)policy->static_threshold);
    print_line(out, "threshold", words);
}

/* What is as the options say has no line. */
static void print_settings(FILE *out, const struct reprise_namespace *reply)
{
    char text[UNITS_TEXT_MAX], words[64];
    if (reply->tiers_count == 1)
        print_line(out, "tier", print_words(reprise_tier_name(reply->tiers[0]), words));
    print_policy(out, &reply->policy);
    if (reply->ttl_ms > 0)
        print_line(out, "ttl", units_print_ms(reply->ttl_ms, text));
    if (reply->ttl_max_ms > 0)
        print_line(out, "ttl max", units_print_ms(reply->ttl_max_ms, text));
    if (reply->bytes_max > 0)
        print_line(out, "bytes max", units_print_bytes(reply->bytes_max, text));
    print_count(out, "entries max", reply->entries_max);
    if (reply->eviction != REPRISE_EVICTION_DEFAULT)
        print_line(out, "eviction", print_words(reprise_eviction_name(reply->eviction), words));
    if (reply->temperature_max >= 0) {
        (void)snprintf(words, sizeof(words), "%g", reply->temperature_max);
        print_line(out, "temperature max", words);
    }
    print_count(out, "user turns max", reply->user_turns_max);
    if (reply->ack != REPRISE_ACK_DEFAULT)
        print_line(out, "ack", print_words(reprise_ack_name(reply->ack), words));
    if (reply->embedder != REPRISE_NAMESPACE_EMBEDDER_DEFAULT)
        print_line(out, "embedder",
                   print_words(reprise_namespace_embedder_name(reply->embedder), words));
    if (reply->index_kind != REPRISE_INDEX_DEFAULT)
        print_line(out, "index kind",
                   print_words(reprise_index_kind_name(reply->index_kind), words));
    print_count(out, "ef search", reply->ef_search);
    print_count(out, "nprobe", reply->nprobe);
}

static void print_namespace(FILE *out, const struct reprise_namespace *reply)
{
    char size[UNITS_TEXT_MAX], held[3 * UNITS_TEXT_MAX];
    print_line(out, "namespace", reply->name);
    print_settings(out, reply);
    print_count(out, "version", reply->version);
    (void)snprintf(held, sizeof(held), "%" PRIu64 " entries, %s, %" PRIu64 " vectors",
                   reply->entries, units_print_bytes(reply->size_bytes, size), reply->rows);
    print_line(out, "holds", held);
    if (reply->degraded[0] != '\0')
        print_line(out, "degraded", reply->degraded);
}

static enum verb_exit show(const struct cli *cli, const struct reprise_result *result)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    if (cli->json)
        (void)json_print(json_namespace(result->namespace_), false, cli->out);
    else
        print_namespace(cli->out, result->namespace_);
    return VERB_DONE;
}

/* ---- list -------------------------------------------------------------------- */

static void print_row(const struct cli *cli, const struct reprise_namespace *namespace_)
{
    char size[UNITS_TEXT_MAX];
    if (cli->json)
        (void)json_print(json_namespace(namespace_), true, cli->out);
    else
        (void)fprintf(cli->out, "%-40s %10" PRIu64 " %11s %10" PRIu64 " %8" PRIu64 "\n",
                      namespace_->name, namespace_->entries,
                      units_print_bytes(namespace_->size_bytes, size), namespace_->rows,
                      namespace_->version);
}

/* Page by page; with -o json a line each. */
static enum verb_exit list(const struct cli *cli, struct reprise_client *client)
{
    char after[128] = "";
    if (!cli->json)
        (void)fprintf(cli->out, "%-40s %10s %11s %10s %8s\n", "namespace", "entries", "size",
                      "vectors", "version");
    for (bool more = true; more;) {
        struct reprise_result *result = reprise_list_namespaces(client, after, NULL);
        if (result->code != REPRISE_OK) {
            const enum verb_exit exit_code = verb_call_failed(cli, &result->error);
            reprise_result_free(&result);
            return exit_code;
        }
        const struct reprise_namespaces_reply *reply = result->namespaces;
        for (size_t i = 0; i < reply->namespaces_count; i++)
            print_row(cli, &reply->namespaces[i]);
        more = reply->more && reply->namespaces_count > 0;
        if (more)
            (void)snprintf(after, sizeof(after), "%s",
                           reply->namespaces[reply->namespaces_count - 1].name);
        reprise_result_free(&result);
    }
    return VERB_DONE;
}

/* ---- the verb ---------------------------------------------------------------- */

static enum verb_exit show_drop(const struct cli *cli, const struct reprise_result *result)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    if (!cli->json) {
        (void)fprintf(cli->out, "%-*s%" PRIu64 " entries\n", PRINT_LABEL, "removed",
                      result->dropped->removed);
        return VERB_DONE;
    }
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "removed", result->dropped->removed);
    (void)json_print(tree, false, cli->out);
    return VERB_DONE;
}

enum action { CREATE, GET, LIST, UPDATE, DROP, ACTIONS };
static const char *const actions[ACTIONS] = {"create", "get", "list", "update", "drop"};

static enum verb_exit act(const struct cli *cli, const struct typed *typed, enum action action,
                          struct reprise_client *client)
{
    const char *name = typed->settings.name;
    struct reprise_result *result = NULL;
    switch (action) {
    case CREATE:
        result = reprise_create_namespace(client, &typed->settings, NULL);
        break;
    case GET:
        result = reprise_get_namespace(client, name, NULL);
        break;
    case UPDATE:
        result = reprise_update_namespace(client, &typed->settings, typed->fields,
                                          typed->fields_count, NULL);
        break;
    case DROP:
        result =
            reprise_drop_namespace(client, name, arguments_text(typed->arguments, "confirm"), NULL);
        break;
    case LIST:
    case ACTIONS:
        return list(cli, client);
    }
    const enum verb_exit exit_code = action == DROP ? show_drop(cli, result) : show(cli, result);
    reprise_result_free(&result);
    return exit_code;
}

enum verb_exit verb_namespace(const struct cli *cli, const struct arguments *arguments)
{
    const char *word = arguments->words_count > 0 ? arguments->words[0] : "";
    int action = 0;
    while (action < ACTIONS && strcmp(word, actions[action]) != 0)
        action++;
    if (action == ACTIONS || arguments->words_count != (action == LIST ? 1 : 2))
        return verb_usage(cli, "namespace create NAME, get NAME, list, update NAME or drop NAME; "
                               "see reprise help namespace");
    struct typed typed = {.cli = cli, .arguments = arguments, .settings = reprise_namespace_none};
    read_typed(&typed);
    if (typed.exit_code != VERB_DONE)
        return typed.exit_code;
    if (action == UPDATE && typed.fields_count == 0)
        return verb_usage(cli, "namespace update needs a setting; see reprise help namespace");
    if ((action == GET || action == LIST || action == DROP) && typed.fields_count > 0)
        return verb_usage(cli, "namespace %s takes no settings", word);
    typed.settings.name = action != LIST ? arguments->words[1] : "";
    typed.settings.tiers = typed.tiers;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    const enum verb_exit exit_code = act(cli, &typed, (enum action)action, client);
    reprise_client_destroy(&client);
    return exit_code;
}
