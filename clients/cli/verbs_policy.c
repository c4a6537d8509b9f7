/*
 * verbs_policy.c - policy get, set, describe. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/nearest.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

/* ---- what was typed ---------------------------------------------------------- */

static enum verb_exit read_mode(const struct cli *cli, const char *typed,
                                struct reprise_policy *policy)
{
    static const char *const modes[] = {"default", "off", "static", "adaptive", "shadow"};
    const char *best = NULL;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(typed, modes[i]) == 0) {
            policy->mode = (enum reprise_mode)i;
            return VERB_DONE;
        }
        nearest_consider(typed, modes[i], &best);
    }
    return verb_usage(cli, "--mode is default, off, static, adaptive or shadow, not \"%s\"", typed);
}

static enum verb_exit read_number(const struct cli *cli, const struct arguments *arguments,
                                  const char *flag, float *out_number)
{
    const char *typed = arguments_text(arguments, flag);
    double number = 0;
    if (typed == NULL)
        return VERB_DONE;
    if (!units_read_number(typed, &number) || !(number >= 0 && number <= 1))
        return verb_usage(cli, "--%s wants a number from 0 to 1, not \"%s\"", flag, typed);
    *out_number = (float)number;
    return VERB_DONE;
}

static enum verb_exit read_policy(const struct cli *cli, const struct arguments *arguments,
                                  struct reprise_policy *policy)
{
    const struct {
        const char *flag;
        float *number;
    } numbers[] = {{"min-similarity", &policy->min_similarity},
                   {"threshold", &policy->static_threshold},
                   {"initial", &policy->adaptive_initial},
                   {"min", &policy->adaptive_min},
                   {"max", &policy->adaptive_max},
                   {"step", &policy->adaptive_step}};
    const char *mode = arguments_text(arguments, "mode");
    enum verb_exit exit_code = mode != NULL ? read_mode(cli, mode, policy) : VERB_DONE;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && exit_code == VERB_DONE; i++)
        exit_code = read_number(cli, arguments, numbers[i].flag, numbers[i].number);
    policy->names_off = arguments_has(arguments, "names-off");
    return exit_code;
}

/* ---- shown ------------------------------------------------------------------- */

static void json_add_some(cJSON *object, const char *name, float number)
{
    if (number >= 0)
        json_add_float(object, name, number);
}

static void json_add_policy(cJSON *tree, const char *name, const struct reprise_policy *policy)
{
    cJSON *object = cJSON_AddObjectToObject(tree, name);
    if (policy->mode != REPRISE_MODE_DEFAULT)
        json_add_enum(object, "mode", "POLICY_MODE_", reprise_mode_name(policy->mode));
    json_add_some(object, "minSimilarity", policy->min_similarity);
    json_add_some(object, "staticThreshold", policy->static_threshold);
    if (policy->names_off)
        (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(object, "guardsOff"),
                                   cJSON_CreateString("GUARD_NAMES"));
    cJSON *adaptive = cJSON_AddObjectToObject(object, "adaptive");
    json_add_some(adaptive, "initial", policy->adaptive_initial);
    json_add_some(adaptive, "min", policy->adaptive_min);
    json_add_some(adaptive, "max", policy->adaptive_max);
    json_add_some(adaptive, "step", policy->adaptive_step);
}

static void json_add_live(cJSON *tree, const struct reprise_scope_policy *live)
{
    cJSON *object = cJSON_AddObjectToObject(tree, "live");
    (void)cJSON_AddStringToObject(object, "model", live->model);
    (void)cJSON_AddStringToObject(object, "embedder", live->embedder);
    json_add_enum(object, "mode", "POLICY_MODE_", reprise_mode_name(live->mode));
    json_add_float(object, "threshold", live->threshold);
    if (live->recent_accuracy >= 0)
        (void)cJSON_AddNumberToObject(object, "recentAccuracy", live->recent_accuracy);
    json_add_count(object, "feedbackCount", live->feedback_count);
    json_add_count(object, "lookups", live->lookups);
    json_add_count(object, "hits", live->hits);
    json_add_count(object, "guardBlocked", live->guard_blocked);
    json_add_count(object, "wouldHits", live->would_hits);
    json_add_count(object, "rows", live->rows);
}

static void print_json(const struct cli *cli, const struct reprise_policy_reply *reply, bool is_get)
{
    cJSON *tree = cJSON_CreateObject();
    if (is_get)
        json_add_policy(tree, "set", &reply->set);
    json_add_policy(tree, "effective", &reply->effective);
    json_add_count(tree, "version", reply->version);
    if (reply->live != NULL)
        json_add_live(tree, reply->live);
    (void)json_print(tree, false, cli->out);
}

static void print_policy(FILE *out, const struct reprise_policy *policy)
{
    char words[64];
    (void)fprintf(out, "%-*s%s\n", PRINT_LABEL, "policy",
                  print_words(reprise_mode_name(policy->mode), words));
    (void)fprintf(out, "%-*s%.4g\n", PRINT_LABEL, "floor", (double)policy->min_similarity);
    (void)fprintf(out, "%-*s%.4g\n", PRINT_LABEL, "static", (double)policy->static_threshold);
    (void)fprintf(out, "%-*s%.4g, from %.4g to %.4g by %.4g\n", PRINT_LABEL, "adaptive",
                  (double)policy->adaptive_initial, (double)policy->adaptive_min,
                  (double)policy->adaptive_max, (double)policy->adaptive_step);
    if (policy->names_off)
        (void)fprintf(out, "%-*s%s\n", PRINT_LABEL, "guard", "names may differ");
}

static void print_live(FILE *out, const struct reprise_scope_policy *live, uint64_t scopes)
{
    (void)fprintf(out, "%-*s%s by %s, the most used of %" PRIu64 "\n", PRINT_LABEL, "scope",
                  live->model, live->embedder, scopes);
    (void)fprintf(out, "%-*s%.4g\n", PRINT_LABEL, "threshold", (double)live->threshold);
    if (live->recent_accuracy >= 0)
        (void)fprintf(out, "%-*s%.0f %% of the last %" PRIu32 " verdicts\n", PRINT_LABEL, "right",
                      100 * live->recent_accuracy, live->feedback_count);
    (void)fprintf(out, "%-*s%" PRIu64 " of %" PRIu64 " lookups, %" PRIu64 " blocked by the guard\n",
                  PRINT_LABEL, "hits", live->hits, live->lookups, live->guard_blocked);
    if (live->would_hits > 0)
        (void)fprintf(out, "%-*s%" PRIu64 " more, in shadow\n", PRINT_LABEL, "would hit",
                      live->would_hits);
}

static enum verb_exit show(const struct cli *cli, const struct reprise_result *result, bool is_get)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    const struct reprise_policy_reply *reply = result->policy;
    if (cli->json) {
        print_json(cli, reply, is_get);
        return VERB_DONE;
    }
    print_policy(cli->out, &reply->effective);
    (void)fprintf(cli->out, "%-*s%" PRIu64 "\n", PRINT_LABEL, "version", reply->version);
    if (reply->live != NULL)
        print_live(cli->out, reply->live, reply->scopes);
    return VERB_DONE;
}

/* ---- the verb ---------------------------------------------------------------- */

enum verb_exit verb_policy(const struct cli *cli, const struct arguments *arguments)
{
    const char *word = arguments->words_count > 0 ? arguments->words[0] : "";
    const char *name = arguments->words_count > 1 ? arguments->words[1] : NULL;
    const char *typed_version = arguments_text(arguments, "if-version");
    const bool gets = strcmp(word, "get") == 0, sets = strcmp(word, "set") == 0,
               describes = strcmp(word, "describe") == 0;
    struct reprise_policy policy = reprise_policy_none;
    uint64_t version = 0;
    if (!gets && !sets && !describes)
        return verb_usage(cli, "policy get, set or describe, and a namespace (default)");
    if (typed_version != NULL && !units_read_count(typed_version, 1, UINT64_MAX, &version))
        return verb_usage(cli, "--if-version wants a number, not \"%s\"", typed_version);
    const enum verb_exit read = read_policy(cli, arguments, &policy);
    if (read != VERB_DONE)
        return read;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result =
        gets   ? reprise_get_policy(client, name, NULL)
        : sets ? reprise_set_policy(client, name, &policy, version, NULL)
               : reprise_describe_policy(client, name, arguments_text(arguments, "model"), NULL);
    const enum verb_exit exit_code = show(cli, result, gets);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
