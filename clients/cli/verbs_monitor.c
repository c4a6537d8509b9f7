/*
 * verbs_monitor.c - monitor, and stats --watch: what a server tells as it goes. Lines are flushed
 * as they come, so that they can be piped. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/nearest.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { PROMPT_COLUMNS = 40, INTERVAL_MS_MAX = 3600 * 1000 };

struct shown { /* what the listeners are told with */
    const struct cli *cli;
    uint64_t count, count_max; /* 0: until somebody ends it */
    uint64_t dropped;
};

/* A reader that has gone away ends it, too. */
static bool goes_on(struct shown *shown)
{
    const bool written = fflush(shown->cli->out) == 0;
    return written && (shown->count_max == 0 || ++shown->count < shown->count_max);
}

static enum verb_exit read_count(const struct cli *cli, const struct arguments *arguments,
                                 uint64_t *out_count)
{
    const char *count = arguments_text(arguments, "count");
    if (count == NULL || units_read_count(count, 1, UINT32_MAX, out_count))
        return VERB_DONE;
    return verb_usage(cli, "--count wants a whole number from 1, not \"%s\"", count);
}

static enum verb_exit settle(const struct cli *cli, struct reprise_client **client,
                             struct reprise_result **result)
{
    const enum verb_exit exit_code =
        (*result)->code == REPRISE_OK ? VERB_DONE : verb_call_failed(cli, &(*result)->error);
    reprise_result_free(result);
    reprise_client_destroy(client);
    return exit_code;
}

/* ---- stats --watch ----------------------------------------------------------- */

static bool show_stats(void *context, const struct reprise_stats_reply *stats)
{
    struct shown *shown = context;
    if (shown->cli->json) {
        (void)json_print(json_stats(stats), true, shown->cli->out);
    } else {
        if (shown->count > 0)
            (void)fputs("\n", shown->cli->out);
        print_stats(shown->cli->out, stats);
    }
    return goes_on(shown);
}

enum verb_exit watch_stats(const struct cli *cli, const struct arguments *arguments)
{
    const char *interval = arguments_text(arguments, "interval");
    struct shown shown = {.cli = cli};
    uint64_t interval_ms = 0;
    if (interval != NULL &&
        (!units_read_ms(interval, &interval_ms) || interval_ms > INTERVAL_MS_MAX))
        return verb_usage(cli, "--interval wants a time from 100ms to 1h, not \"%s\"", interval);
    const enum verb_exit exit_code = read_count(cli, arguments, &shown.count_max);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    const struct reprise_stats_listener listener = {show_stats, &shown};
    struct reprise_result *result = reprise_watch_stats(
        client, arguments_text(arguments, "namespace"), (uint32_t)interval_ms, &listener, NULL);
    return settle(cli, &client, &result);
}

/* ---- monitor ------------------------------------------------------------------ */

static const char *const result_words[] = {"?",        "hit",    "miss",   "stale",
                                           "negative", "stored", "skipped"};
enum { RESULTS = sizeof(result_words) / sizeof(result_words[0]) };

static const char *word_of(enum reprise_watched_result result)
{
    return (size_t)result < RESULTS ? result_words[result] : result_words[0];
}

static void print_decision_json(const struct cli *cli, const struct reprise_watched *decision)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "atUnixMs", (uint64_t)decision->at_unix_ms);
    json_add_enum(tree, "result", "DECISION_RESULT_",
                  reprise_watched_result_name(decision->result));
    (void)cJSON_AddStringToObject(tree, "namespace", decision->namespace_);
    (void)cJSON_AddStringToObject(tree, "model", decision->model);
    if (decision->tier != 0)
        json_add_enum(tree, "tier", "TIER_", reprise_tier_name(decision->tier));
    if (decision->miss_reason != 0)
        json_add_enum(tree, "missReason", "MISS_REASON_",
                      reprise_miss_reason_name(decision->miss_reason));
    if (decision->skip != 0)
        json_add_enum(tree, "skip", "SET_SKIP_", reprise_skip_name(decision->skip));
    json_add_float(tree, "similarity", decision->similarity);
    json_add_float(tree, "threshold", decision->threshold);
    cJSON *guards = cJSON_AddArrayToObject(tree, "guards");
    for (size_t i = 0; i < decision->guards_count; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "GUARD_%s", reprise_guard_name(decision->guards[i]));
        (void)cJSON_AddItemToArray(guards, cJSON_CreateString(name));
    }
    json_add_count(tree, "latencyUs", decision->latency_us);
    if (decision->prompt[0] != '\0')
        (void)cJSON_AddStringToObject(tree, "prompt", decision->prompt);
    (void)json_print(tree, true, cli->out);
}

/* "semantic", or why not. */
static const char *reason_of(const struct reprise_watched *decision, char words[64])
{
    if (decision->tier != 0)
        return print_words(reprise_tier_name(decision->tier), words);
    if (decision->miss_reason != 0)
        return print_words(reprise_miss_reason_name(decision->miss_reason), words);
    if (decision->skip != 0)
        return print_words(reprise_skip_name(decision->skip), words);
    return "";
}

static void print_comparison(FILE *out, const struct reprise_watched *decision)
{
    if (decision->threshold > 0)
        (void)fprintf(out, " %.3f/%.3f", (double)decision->similarity, (double)decision->threshold);
    else
        (void)fprintf(out, " %11s", "");
}

static void print_decision(const struct cli *cli, const struct reprise_watched *decision)
{
    char words[64], time[UNITS_TEXT_MAX];
    const time_t seconds = (time_t)(decision->at_unix_ms / 1000);
    struct tm parts;
    char clock[16] = "";
    if (localtime_r(&seconds, &parts) != NULL)
        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
    (void)fprintf(cli->out, "%s.%03d %-8s %-15s", clock, (int)(decision->at_unix_ms % 1000),
                  word_of(decision->result), reason_of(decision, words));
    print_comparison(cli->out, decision);
    (void)fprintf(cli->out, " %10s  %s/%s", units_print_us(decision->latency_us, time),
                  decision->namespace_, decision->model);
    for (size_t i = 0; i < decision->guards_count; i++)
        (void)fprintf(cli->out, "%s%s", i == 0 ? "  guard: " : ", ",
                      print_words(reprise_guard_name(decision->guards[i]), words));
    if (decision->prompt[0] != '\0') {
        (void)fputs("  ", cli->out);
        print_clipped(cli->out, decision->prompt, PROMPT_COLUMNS);
    }
    (void)fputs("\n", cli->out);
}

static bool show_decision(void *context, const struct reprise_watched *decision)
{
    struct shown *shown = context;
    if (shown->cli->json)
        print_decision_json(shown->cli, decision);
    else
        print_decision(shown->cli, decision);
    return goes_on(shown);
}

/* Data goes to standard output, and this is none. */
static bool show_dropped(void *context, uint64_t dropped)
{
    struct shown *shown = context;
    shown->dropped += dropped;
    (void)fprintf(shown->cli->errors, "reprise: %" PRIu64 " decisions were left out\n", dropped);
    return true;
}

static enum verb_exit read_results(const struct cli *cli, const struct arguments *arguments,
                                   enum reprise_watched_result results[RESULTS], size_t *out_count)
{
    *out_count = arguments_count(arguments, "result");
    if (*out_count > RESULTS)
        return verb_usage(cli, "--result may be given %d times", (int)RESULTS);
    for (size_t i = 0; i < *out_count; i++) {
        const char *typed = arguments_at(arguments, "result", i);
        const char *best = NULL;
        size_t found = 0;
        for (size_t word = 1; word < RESULTS; word++) {
            nearest_consider(typed, result_words[word], &best);
            if (strcmp(typed, result_words[word]) == 0)
                found = word;
        }
        if (found == 0)
            return verb_usage(cli,
                              "--result is hit, miss, stale, negative, stored or skipped, not "
                              "\"%s\"%s%s%s",
                              typed, best != NULL ? "; did you mean " : "",
                              best != NULL ? best : "", best != NULL ? "?" : "");
        results[i] = (enum reprise_watched_result)found;
    }
    return VERB_DONE;
}

enum verb_exit verb_monitor(const struct cli *cli, const struct arguments *arguments)
{
    enum reprise_watched_result results[RESULTS];
    struct reprise_monitor_request request = {.namespace_ = arguments_text(arguments, "namespace"),
                                              .results = results};
    struct shown shown = {.cli = cli};
    const char *rate = arguments_text(arguments, "rate");
    uint64_t typed_rate = 0;
    if (rate != NULL && !units_read_count(rate, 1, UINT32_MAX, &typed_rate))
        return verb_usage(cli, "--rate wants a whole number from 1, not \"%s\"", rate);
    request.rate_max = (uint32_t)typed_rate;
    enum verb_exit exit_code = read_count(cli, arguments, &shown.count_max);
    if (exit_code == VERB_DONE)
        exit_code = read_results(cli, arguments, results, &request.results_count);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    const struct reprise_decisions_listener listener = {show_decision, show_dropped, &shown};
    struct reprise_result *result = reprise_monitor(client, &request, &listener, NULL);
    return settle(cli, &client, &result);
}
