/*
 * verbs_config.c - config get, set, reset. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/verbs.h"

/* ---- shown ------------------------------------------------------------------- */

static void print_json(const struct cli *cli, const struct reprise_config_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(tree, "options");
    for (size_t i = 0; i < reply->options_count; i++) {
        const struct reprise_option *option = &reply->options[i];
        cJSON *object = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(object, "name", option->name);
        (void)cJSON_AddStringToObject(object, "value", option->value);
        json_add_enum(object, "source", "CONFIG_SOURCE_",
                      reprise_config_source_name(option->source));
        (void)cJSON_AddBoolToObject(object, "live", option->live);
        (void)cJSON_AddStringToObject(object, "startValue", option->start_value);
        (void)cJSON_AddStringToObject(object, "allowed", option->allowed);
        (void)cJSON_AddStringToObject(object, "meaning", option->meaning);
        (void)cJSON_AddItemToArray(list, object);
    }
    (void)json_print(tree, false, cli->out);
}

static const char *words_of(enum reprise_config_source source)
{
    static const char *const words[] = {"?", "default", "file", "environment", "flag", "run time"};
    const size_t index = (size_t)source;
    return words[index < sizeof(words) / sizeof(words[0]) ? index : 0];
}

static void print_table(const struct cli *cli, const struct reprise_config_reply *reply)
{
    (void)fprintf(cli->out, "%-30s %-28s %-12s %s\n", "option", "value", "from", "changes");
    for (size_t i = 0; i < reply->options_count; i++) {
        const struct reprise_option *option = &reply->options[i];
        (void)fprintf(cli->out, "%-30s %-28s %-12s %s\n", option->name,
                      option->value[0] != '\0' ? option->value : "-", words_of(option->source),
                      option->live ? "live" : "at a restart");
    }
}

/* One option alone: what it means, too. */
static void print_one(const struct cli *cli, const struct reprise_option *option)
{
    if (strcmp(option->value, option->start_value) != 0)
        (void)fprintf(cli->out, "a reset:     %s\n",
                      option->start_value[0] != '\0' ? option->start_value : "unset");
    (void)fprintf(cli->out, "allowed:     %s\nmeaning:     %s\n", option->allowed, option->meaning);
}

static enum verb_exit show(const struct cli *cli, const struct reprise_result *result)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    if (cli->json) {
        print_json(cli, result->config);
        return VERB_DONE;
    }
    print_table(cli, result->config);
    if (result->config->options_count == 1)
        print_one(cli, &result->config->options[0]);
    return VERB_DONE;
}

/* ---- what was typed ---------------------------------------------------------- */

/* "name=value", or for a reset "name". The name is copied into `names`. */
static enum verb_exit read_change(const struct cli *cli, const char *typed, bool resets,
                                  char **names, struct reprise_config_change *change)
{
    const size_t length = strcspn(typed, "=");
    const bool has_value = typed[length] == '=';
    if (resets && has_value)
        return verb_usage(cli, "config reset takes names without a value, not \"%s\"", typed);
    if (!resets && !has_value)
        return verb_usage(cli, "config set wants NAME=VALUE, not \"%s\"", typed);
    memcpy(*names, typed, length);
    (*names)[length] = '\0';
    *change = (struct reprise_config_change){*names, resets ? NULL : typed + length + 1};
    *names += length + 1;
    return VERB_DONE;
}

struct typed { /* freed by typed_deinit */
    struct reprise_config_change *changes;
    char *names;
};

static void typed_deinit(struct typed *typed)
{
    free(typed->changes);
    free(typed->names);
}

static enum verb_exit read_changes(const struct cli *cli, const struct arguments *arguments,
                                   bool resets, struct typed *typed)
{
    size_t bytes = 1;
    for (size_t i = 1; i < arguments->words_count; i++)
        bytes += strlen(arguments->words[i]) + 1;
    *typed = (struct typed){calloc(arguments->words_count, sizeof(*typed->changes)), malloc(bytes)};
    if (typed->changes == NULL || typed->names == NULL)
        return verb_fail(cli, "no memory");
    char *names = typed->names;
    enum verb_exit exit_code = VERB_DONE;
    for (size_t i = 1; i < arguments->words_count && exit_code == VERB_DONE; i++)
        exit_code = read_change(cli, arguments->words[i], resets, &names, &typed->changes[i - 1]);
    return exit_code;
}

/* ---- the verb ---------------------------------------------------------------- */

static enum verb_exit get(const struct cli *cli, const char *prefix)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_get_config(client, prefix, NULL);
    const enum verb_exit exit_code = show(cli, result);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

static enum verb_exit change(const struct cli *cli, const struct arguments *arguments, bool resets)
{
    struct typed typed = {NULL, NULL};
    enum verb_exit exit_code = read_changes(cli, arguments, resets, &typed);
    struct reprise_client *client = exit_code == VERB_DONE ? verb_connect(cli) : NULL;
    if (client != NULL) {
        struct reprise_result *result =
            reprise_set_config(client, typed.changes, arguments->words_count - 1,
                               arguments_has(arguments, "dry-run"), NULL);
        exit_code = show(cli, result);
        reprise_result_free(&result);
        reprise_client_destroy(&client);
    } else if (exit_code == VERB_DONE) {
        exit_code = VERB_ERROR;
    }
    typed_deinit(&typed);
    return exit_code;
}

enum verb_exit verb_config(const struct cli *cli, const struct arguments *arguments)
{
    const char *word = arguments->words_count > 0 ? arguments->words[0] : "";
    const bool gets = strcmp(word, "get") == 0, sets = strcmp(word, "set") == 0,
               resets = strcmp(word, "reset") == 0;
    if (gets && arguments->words_count <= 2)
        return get(cli, arguments->words_count > 1 ? arguments->words[1] : NULL);
    if ((sets || resets) && arguments->words_count >= 2)
        return change(cli, arguments, resets);
    return verb_usage(cli, "config get [PREFIX], config set NAME=VALUE... or config reset NAME...");
}
