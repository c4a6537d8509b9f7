/*
 * verbs_calibrate.c - calibrate: labelled pairs of a file, one a line, to the server; the curve for
 * people, and with --apply the recommended threshold into the namespace's policy. Owns what it
 * reads for the length of a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { PAIRS_A_MESSAGE = 64 };

struct pairs { /* of one message */
    const struct cli *cli;
    struct reprise_calibration *calibration;
    const char *path;
    uint64_t lines;
    struct reprise_labelled_pair items[PAIRS_A_MESSAGE];
    char *texts[PAIRS_A_MESSAGE]; /* the lines that the items point into */
    cJSON *trees[PAIRS_A_MESSAGE];
    size_t count;
};

/* ---- A line ------------------------------------------------------------------ */

/* {"prompt_a": "...", "prompt_b": "...", "same": true}; NULL: it was understood. */
static const char *read_json(const cJSON *tree, struct reprise_labelled_pair *pair)
{
    const cJSON *same = cJSON_GetObjectItemCaseSensitive(tree, "same");
    pair->prompt_a = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "prompt_a"));
    pair->prompt_b = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "prompt_b"));
    if (pair->prompt_a == NULL || pair->prompt_b == NULL)
        return "prompt_a and prompt_b are texts, and needed";
    if (!cJSON_IsBool(same))
        return "same is true or false, and needed";
    pair->same = cJSON_IsTrue(same);
    return NULL;
}

/* same TAB prompt TAB prompt; same is 0 or 1. A fourth column, and what follows, is not read. */
static const char *read_columns(char *line, struct reprise_labelled_pair *pair)
{
    char *rest = line;
    const char *same = strsep(&rest, "\t");
    pair->prompt_a = strsep(&rest, "\t");
    pair->prompt_b = strsep(&rest, "\t");
    if (pair->prompt_b == NULL)
        return "three columns are needed: same (0 or 1), one prompt, the other";
    if (strcmp(same, "0") != 0 && strcmp(same, "1") != 0)
        return "the first column says whether one's answer serves the other: 0 or 1";
    pair->same = same[0] == '1';
    return NULL;
}

static void forget(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        cJSON_Delete(pairs->trees[i]);
        free(pairs->texts[i]);
    }
    pairs->count = 0;
}

/* False: the stream is over; its end says why. */
static bool send_pairs(struct pairs *pairs)
{
    const bool sent = pairs->count == 0 ||
                      reprise_calibration_add(pairs->calibration, pairs->items, pairs->count);
    forget(pairs);
    return sent;
}

static bool is_header(const struct pairs *pairs, const char *line)
{
    return pairs->lines == 1 && strncmp(line, "same\t", 5) == 0;
}

/* Takes the line over. */
static enum verb_exit add_line(struct pairs *pairs, char *line, size_t length, bool *out_goes_on)
{
    pairs->lines++;
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || is_header(pairs, line)) {
        free(line);
        return VERB_DONE;
    }
    const size_t at = pairs->count;
    const char *wrong = NULL;
    pairs->trees[at] = NULL;
    pairs->texts[at] = line;
    pairs->items[at] = (struct reprise_labelled_pair){.same = false};
    pairs->count++;
    if (strlen(line) + 2 < length) {
        wrong = "it holds a NUL";
    } else if (line[0] == '{') {
        pairs->trees[at] = cJSON_Parse(line);
        wrong = pairs->trees[at] == NULL ? "it is no JSON"
                                         : read_json(pairs->trees[at], &pairs->items[at]);
    } else {
        wrong = read_columns(line, &pairs->items[at]);
    }
    if (wrong != NULL)
        return verb_fail(pairs->cli, "%s:%" PRIu64 ": %s", pairs->path, pairs->lines, wrong);
    if (pairs->count == PAIRS_A_MESSAGE)
        *out_goes_on = send_pairs(pairs);
    return VERB_DONE;
}

static enum verb_exit send_file(struct pairs *pairs, FILE *file)
{
    enum verb_exit exit_code = VERB_DONE;
    bool goes_on = true;
    while (exit_code == VERB_DONE && goes_on) {
        char *line = NULL;
        size_t room = 0;
        const ssize_t length = getline(&line, &room, file);
        if (length < 0) {
            free(line);
            break;
        }
        exit_code = add_line(pairs, line, (size_t)length, &goes_on);
    }
    if (exit_code == VERB_DONE && ferror(file))
        exit_code = verb_fail(pairs->cli, "%s cannot be read", pairs->path);
    if (exit_code == VERB_DONE && goes_on)
        (void)send_pairs(pairs);
    forget(pairs);
    return exit_code;
}

/* ---- Shown ------------------------------------------------------------------- */

static void print_json(const struct cli *cli, const struct reprise_calibrate_reply *reply,
                       bool applied)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "pairs", reply->pairs);
    json_add_count(tree, "same", reply->same);
    json_add_count(tree, "guardBlocked", reply->guard_blocked);
    json_add_count(tree, "guardBlockedSame", reply->guard_blocked_same);
    json_add_count(tree, "withoutVector", reply->without_vector);
    (void)cJSON_AddStringToObject(tree, "embedder", reply->embedder);
    (void)cJSON_AddStringToObject(tree, "spaceId", reply->space_id);
    (void)cJSON_AddNumberToObject(tree, "errorMax", reply->error_max);
    json_add_float(tree, "thresholdInForce", (double)reply->threshold_in_force);
    if (reply->chosen_threshold >= 0)
        json_add_float(tree, "chosenThreshold", (double)reply->chosen_threshold);
    (void)cJSON_AddBoolToObject(tree, "applied", applied);
    cJSON *curve = cJSON_AddArrayToObject(tree, "curve");
    for (size_t i = 0; i < reply->curve_count; i++) {
        const struct reprise_curve_point *point = &reply->curve[i];
        cJSON *item = cJSON_CreateObject();
        json_add_float(item, "threshold", (double)point->threshold);
        json_add_count(item, "hits", point->hits);
        json_add_count(item, "wrong", point->wrong);
        (void)cJSON_AddNumberToObject(item, "hitRate", point->hit_rate);
        (void)cJSON_AddNumberToObject(item, "errAll", point->error_all);
        (void)cJSON_AddNumberToObject(item, "errHit", point->error_hit);
        (void)cJSON_AddNumberToObject(item, "errHitLow", point->error_hit_low);
        (void)cJSON_AddNumberToObject(item, "errHitHigh", point->error_hit_high);
        (void)cJSON_AddItemToArray(curve, item);
    }
    (void)json_print(tree, false, cli->out);
}

/* Thresholds that add a hit to the one above; the others would repeat its line. */
static void print_curve(FILE *out, const struct reprise_calibrate_reply *reply)
{
    uint64_t shown = 0;
    (void)fprintf(out, "\n%9s %8s %6s %8s %8s   %s\n", "threshold", "hits", "rate", "wrong", "err",
                  "95 % between");
    for (size_t i = reply->curve_count; i > 0; i--) {
        const struct reprise_curve_point *point = &reply->curve[i - 1];
        if (point->hits == shown)
            continue;
        shown = point->hits;
        const bool chosen = point->threshold == reply->chosen_threshold;
        (void)fprintf(out,
                      "%9.2f %8" PRIu64 " %5.1f%% %8" PRIu64 " %7.2f%%   %.2f%% and %.2f%%%s\n",
                      (double)point->threshold, point->hits, 100 * point->hit_rate, point->wrong,
                      100 * point->error_hit, 100 * point->error_hit_low,
                      100 * point->error_hit_high, chosen ? "   <- recommended" : "");
    }
}

static void print_people(FILE *out, const struct reprise_calibrate_reply *reply, bool applied)
{
    if (reply->chosen_threshold >= 0)
        (void)fprintf(out, "%-*s%.2f, of whose hits at most %.4g %% are wrong (95 %% sure)%s\n",
                      PRINT_LABEL, "recommended", (double)reply->chosen_threshold,
                      100 * reply->error_max, applied ? "; it decides from now on" : "");
    else
        (void)fprintf(
            out,
            "%-*snone: of no threshold these pairs prove that at most %.4g %% of the hits "
            "are wrong\n%-*sit takes %" PRIu64 " hits if none is wrong\n",
            PRINT_LABEL, "recommended", 100 * reply->error_max, PRINT_LABEL, "",
            reply->hits_needed);
    (void)fprintf(out, "%-*s%.4g, by %s (%s)\n", PRINT_LABEL, "in force",
                  (double)reply->threshold_in_force, reply->embedder, reply->space_id);
    (void)fprintf(out, "%-*s%" PRIu64 ", %" PRIu64 " of them with the same answer\n", PRINT_LABEL,
                  "pairs", reply->pairs, reply->same);
    (void)fprintf(out, "%-*s%" PRIu64 " blocked, %" PRIu64 " of them with the same answer\n",
                  PRINT_LABEL, "guard", reply->guard_blocked, reply->guard_blocked_same);
    if (reply->without_vector > 0)
        (void)fprintf(out, "%-*s%" PRIu64 " pairs have a text without a vector\n", PRINT_LABEL, "",
                      reply->without_vector);
    print_curve(out, reply);
}

/* ---- The verb ---------------------------------------------------------------- */

/* Everything else of the namespace's policy stays. */
static enum verb_exit apply(const struct cli *cli, struct reprise_client *client,
                            const char *namespace_, float threshold)
{
    struct reprise_result *was = reprise_get_policy(client, namespace_, NULL), *is = NULL;
    enum verb_exit exit_code = VERB_DONE;
    if (was->code == REPRISE_OK) {
        struct reprise_policy policy = was->policy->set;
        policy.static_threshold = threshold;
        is = reprise_set_policy(client, namespace_, &policy, was->policy->version, NULL);
    }
    const struct reprise_result *last = is != NULL ? is : was;
    if (last->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &last->error);
    reprise_result_free(&was);
    reprise_result_free(&is);
    return exit_code;
}

static enum verb_exit show(const struct cli *cli, struct reprise_client *client,
                           const struct reprise_result *result, const struct arguments *arguments)
{
    if (result->code != REPRISE_OK)
        return verb_call_failed(cli, &result->error);
    const struct reprise_calibrate_reply *reply = result->calibrated;
    const bool found = reply->chosen_threshold >= 0;
    const bool applies = found && arguments_has(arguments, "apply");
    enum verb_exit exit_code = VERB_DONE;
    if (applies)
        exit_code =
            apply(cli, client, arguments_text(arguments, "namespace"), reply->chosen_threshold);
    if (exit_code != VERB_DONE)
        return exit_code;
    if (cli->json)
        print_json(cli, reply, applies);
    else
        print_people(cli->out, reply, applies);
    return found ? VERB_DONE : VERB_MISS;
}

static enum verb_exit calibrate(struct pairs *pairs, FILE *file, double bound,
                                const struct arguments *arguments)
{
    const struct cli *cli = pairs->cli;
    const struct reprise_calibrate_request request = {
        .namespace_ = arguments_text(arguments, "namespace"), .error_max = bound};
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    enum verb_exit exit_code = VERB_ERROR;
    pairs->calibration = reprise_calibration_begin(client, &request, NULL);
    if (pairs->calibration == NULL)
        exit_code = verb_fail(cli, "out of memory");
    else
        exit_code = send_file(pairs, file);
    if (exit_code == VERB_DONE) {
        struct reprise_result *result = reprise_calibration_finish(&pairs->calibration);
        exit_code = show(cli, client, result, arguments);
        reprise_result_free(&result);
    }
    reprise_calibration_abandon(&pairs->calibration);
    reprise_client_destroy(&client);
    return exit_code;
}

enum verb_exit verb_calibrate(const struct cli *cli, const struct arguments *arguments)
{
    const char *typed = arguments_text(arguments, "bound");
    double bound = 0; /* the server's own */
    if (arguments->words_count != 1)
        return verb_usage(cli, "calibrate needs a file, or - for standard input");
    if (typed != NULL && (!units_read_number(typed, &bound) || !(bound > 0 && bound < 1)))
        return verb_usage(cli, "--bound wants a number between 0 and 1, not \"%s\"", typed);
    struct pairs *pairs = calloc(1, sizeof(*pairs));
    if (pairs == NULL)
        return verb_fail(cli, "out of memory");
    pairs->cli = cli;
    pairs->path = arguments->words[0];
    const bool piped = strcmp(pairs->path, "-") == 0;
    FILE *file = piped ? cli->in : fopen(pairs->path, "rb");
    enum verb_exit exit_code = VERB_ERROR;
    if (file == NULL)
        exit_code = verb_fail(cli, "%s cannot be opened", pairs->path);
    else
        exit_code = calibrate(pairs, file, bound, arguments);
    if (file != NULL && !piped)
        (void)fclose(file);
    free(pairs);
    return exit_code;
}
