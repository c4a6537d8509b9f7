/*
 * verbs_shadow.c - shadow: what each threshold would have served of the lookups there were. Owns
 * nothing beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/verbs.h"

enum { NAME_COLUMNS = 34 };

/* ---- JSON -------------------------------------------------------------------- */

static cJSON *json_point(const struct reprise_shadow_point *point)
{
    cJSON *item = cJSON_CreateObject();
    json_add_float(item, "threshold", (double)point->threshold);
    json_add_count(item, "wouldHits", point->would_hits);
    (void)cJSON_AddNumberToObject(item, "hitRate", point->hit_rate);
    json_add_count(item, "verdicts", point->verdicts);
    json_add_count(item, "wrong", point->wrong);
    (void)cJSON_AddNumberToObject(item, "errHit", point->error_hit);
    (void)cJSON_AddNumberToObject(item, "errHitLow", point->error_hit_low);
    (void)cJSON_AddNumberToObject(item, "errHitHigh", point->error_hit_high);
    (void)cJSON_AddNumberToObject(item, "agreement", point->agreement);
    return item;
}

static cJSON *json_counts(const struct reprise_shadow_counts *counts, bool is_total)
{
    const struct reprise_scope_policy *policy = &counts->policy;
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "namespace", policy->namespace_);
    if (!is_total) {
        (void)cJSON_AddStringToObject(tree, "model", policy->model);
        (void)cJSON_AddStringToObject(tree, "embedder", policy->embedder);
        json_add_pairs(tree, "attributes", policy->attributes, policy->attributes_count);
        json_add_float(tree, "threshold", (double)policy->threshold);
    }
    json_add_enum(tree, "mode", "POLICY_MODE_", reprise_mode_name(policy->mode));
    json_add_count(tree, "lookups", policy->lookups);
    json_add_count(tree, "hits", policy->hits);
    json_add_count(tree, "wouldHits", policy->would_hits);
    json_add_count(tree, "verdicts", counts->verdicts);
    json_add_count(tree, "right", counts->right);
    json_add_count(tree, "guardBlocked", counts->guard_blocked);
    json_add_count(tree, "guardBlockedRight", counts->guard_blocked_right);
    cJSON *points = cJSON_AddArrayToObject(tree, "thresholds");
    for (size_t i = 0; i < counts->points_count; i++)
        (void)cJSON_AddItemToArray(points, json_point(&counts->points[i]));
    return tree;
}

static void print_json(const struct cli *cli, const struct reprise_shadow_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddItemToObject(tree, "total", json_counts(&reply->total, true));
    cJSON *scopes = cJSON_AddArrayToObject(tree, "scopes");
    for (size_t i = 0; i < reply->scopes_count; i++)
        (void)cJSON_AddItemToArray(scopes, json_counts(&reply->scopes[i], false));
    json_add_count(tree, "matching", reply->matching);
    (void)cJSON_AddNumberToObject(tree, "sinceUnixMs", (double)reply->since_unix_ms);
    (void)json_print(tree, false, cli->out);
}

/* ---- For people -------------------------------------------------------------- */

/* Negative: there are several, each with its own, or none. */
static float threshold_in_force(const struct reprise_shadow_reply *reply)
{
    const float first = reply->scopes_count > 0 ? reply->scopes[0].policy.threshold : -1;
    for (size_t i = 1; i < reply->scopes_count; i++) {
        if (reply->scopes[i].policy.threshold != first)
            return -1;
    }
    return reply->scopes_count == reply->matching ? first : -1;
}

/* The lowest one of the table that serves no more than the one in force does. */
static const struct reprise_shadow_point *point_at(const struct reprise_shadow_counts *counts,
                                                   float threshold)
{
    for (size_t i = 0; threshold >= 0 && i < counts->points_count; i++) {
        if (counts->points[i].threshold >= threshold)
            return &counts->points[i];
    }
    return NULL;
}

/* Thresholds that add something to the one above; the others would repeat its line. */
static void print_points(FILE *out, const struct reprise_shadow_counts *counts, float threshold)
{
    const struct reprise_shadow_point *in_force = point_at(counts, threshold);
    uint64_t hits = 0, verdicts = 0;
    (void)fprintf(out, "\n%9s %9s %6s %8s %6s %7s   %-18s %6s\n", "threshold", "would hit", "rate",
                  "verdicts", "wrong", "err", "95 % between", "agrees");
    for (size_t i = counts->points_count; i > 0; i--) {
        const struct reprise_shadow_point *point = &counts->points[i - 1];
        if (point->would_hits == hits && point->verdicts == verdicts && point != in_force)
            continue;
        hits = point->would_hits;
        verdicts = point->verdicts;
        (void)fprintf(out,
                      "%9.2f %9" PRIu64 " %5.1f%% %8" PRIu64 " %6" PRIu64
                      " %6.2f%%   %6.2f%% and %6.2f%% %5.1f%%%s\n",
                      (double)point->threshold, point->would_hits, 100 * point->hit_rate,
                      point->verdicts, point->wrong, 100 * point->error_hit,
                      100 * point->error_hit_low, 100 * point->error_hit_high,
                      100 * point->agreement, point == in_force ? "  <- in force" : "");
    }
}

static void print_scopes(FILE *out, const struct reprise_shadow_reply *reply)
{
    (void)fprintf(out, "\n%-*s %9s %9s %9s %8s %8s\n", NAME_COLUMNS, "model by embedder",
                  "threshold", "lookups", "would hit", "verdicts", "right");
    for (size_t i = 0; i < reply->scopes_count; i++) {
        char name[NAME_COLUMNS + 1];
        const struct reprise_shadow_counts *counts = &reply->scopes[i];
        const struct reprise_scope_policy *policy = &counts->policy;
        const struct reprise_shadow_point *point = point_at(counts, policy->threshold);
        (void)snprintf(name, sizeof(name), "%s by %s", policy->model, policy->embedder);
        (void)fprintf(out, "%-*s %9.4g %9" PRIu64 " %9" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n",
                      NAME_COLUMNS, name, (double)policy->threshold, policy->lookups,
                      point != NULL ? point->would_hits : 0, counts->verdicts, counts->right);
    }
    if (reply->scopes_count < reply->matching)
        (void)fprintf(out, "and %" PRIu64 " more\n", reply->matching - reply->scopes_count);
}

static void print_people(FILE *out, const struct reprise_shadow_reply *reply)
{
    char words[64];
    const struct reprise_shadow_counts *total = &reply->total;
    const struct reprise_scope_policy *policy = &total->policy;
    (void)fprintf(out, "%-*s%s\n", PRINT_LABEL, "policy",
                  print_words(reprise_mode_name(policy->mode), words));
    (void)fprintf(out, "%-*s%" PRIu64 ", %" PRIu64 " of them hits, %" PRIu64 " more in shadow\n",
                  PRINT_LABEL, "lookups", policy->lookups, policy->hits, policy->would_hits);
    (void)fprintf(out, "%-*s%" PRIu64 ", %" PRIu64 " of them right\n", PRINT_LABEL, "verdicts",
                  total->verdicts, total->right);
    if (total->guard_blocked > 0)
        (void)fprintf(out, "%-*sforbids %" PRIu64 " of these pairs, %" PRIu64 " of them right\n",
                      PRINT_LABEL, "guard", total->guard_blocked, total->guard_blocked_right);
    if (policy->lookups == 0 && total->verdicts == 0)
        return;
    print_points(out, total, threshold_in_force(reply));
    if (reply->scopes_count > 1)
        print_scopes(out, reply);
}

/* ---- The verb ---------------------------------------------------------------- */

static enum verb_exit show(const struct cli *cli, const struct reprise_result *result)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    if (cli->json)
        print_json(cli, result->shadow);
    else
        print_people(cli->out, result->shadow);
    return VERB_DONE;
}

enum verb_exit verb_shadow(const struct cli *cli, const struct arguments *arguments)
{
    const char *name = arguments->words_count > 0 ? arguments->words[0] : NULL;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result =
        reprise_get_shadow_report(client, name, arguments_text(arguments, "model"), NULL);
    const enum verb_exit exit_code = show(cli, result);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
