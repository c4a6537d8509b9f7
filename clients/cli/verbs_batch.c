/*
 * verbs_batch.c - get --batch and set --batch: questions from a file, a line each (behind a tab its
 * answer), 256 a call. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/ask.h"
#include "clients/cli/json.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum {
    BATCH_MAX = 256,     /* as `limits.batch` of a server that nobody has set up otherwise */
    BYTES_MAX = 1 << 20, /* of questions and answers in one call; a server takes 4 MiB     */
};

struct lines { /* of a file that is read whole */
    char *bytes, *at;
    size_t number; /* of the line that was read last, from 1 */
};

static enum verb_exit lines_read(const struct cli *cli, const char *path, struct lines *out)
{
    size_t size = 0;
    const bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? cli->in : fopen(path, "rb");
    if (file == NULL)
        return verb_fail(cli, "%s cannot be opened", path);
    *out = (struct lines){0};
    enum verb_exit exit_code =
        ask_read_all(cli, file, is_input ? "standard input" : path, &out->bytes, &size);
    if (!is_input)
        (void)fclose(file);
    if (exit_code == VERB_DONE && strlen(out->bytes) != size) {
        exit_code = verb_fail(cli, "%s holds a NUL byte", path);
        free(out->bytes);
    }
    out->at = out->bytes;
    return exit_code;
}

/* The lines of --batch, and how many go in one call. */
static enum verb_exit begin(const struct cli *cli, const struct arguments *arguments,
                            struct lines *out_lines, size_t *out_count_max)
{
    const char *typed = arguments_text(arguments, "batch-size");
    uint64_t count = BATCH_MAX;
    if (typed != NULL && !units_read_count(typed, 1, BATCH_MAX, &count))
        return verb_usage(cli, "--batch-size wants a number from 1 to %d, not \"%s\"", BATCH_MAX,
                          typed);
    *out_count_max = (size_t)count;
    return lines_read(cli, arguments_text(arguments, "batch"), out_lines);
}

/* The next that is not blank, without its end; NULL: there is none. */
static char *lines_next(struct lines *lines)
{
    while (*lines->at != '\0') {
        char *line = lines->at;
        const size_t length = strcspn(line, "\n");
        lines->at += length + (line[length] == '\n' ? 1 : 0);
        lines->number++;
        line[length] = '\0';
        if (length > 0 && line[length - 1] == '\r')
            line[length - 1] = '\0';
        if (line[strspn(line, " \t")] != '\0')
            return line;
    }
    return NULL;
}

static void report_failure(const struct cli *cli, size_t number, const struct reprise_error *error)
{
    (void)fprintf(cli->errors, "reprise: line %zu: %s: %s\n", number,
                  reprise_code_name(error->code), error->message);
}

/* ---- get ------------------------------------------------------------------------------------- */

struct asking {
    const struct cli *cli;
    struct reprise_client *client;
    struct reprise_get_request requests[BATCH_MAX];
    size_t numbers[BATCH_MAX], count, count_max, bytes; /* lines */
    uint64_t asked, hits, failed;
};

static void show_reply(const struct asking *asking, size_t i, const struct reprise_get_reply *reply)
{
    FILE *out = asking->cli->out;
    char words[64];
    if (asking->cli->json) {
        (void)json_print(json_get(reply), true, out);
        return;
    }
    if (!reply->hit)
        (void)fprintf(out, "miss: %s",
                      print_words(reprise_miss_reason_name(reply->miss_reason), words));
    else if (reply->tier == REPRISE_TIER_SEMANTIC)
        (void)fprintf(out, "semantic %.3f", (double)reply->similarity);
    else
        (void)fputs("exact", out);
    (void)fprintf(out, "\t%s\n", asking->requests[i].identity.prompt);
}

static enum verb_exit ask_batch(struct asking *asking)
{
    if (asking->count == 0)
        return VERB_DONE;
    struct reprise_result *result =
        reprise_batch_get(asking->client, asking->requests, asking->count, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(asking->cli, &result->error);
    for (size_t i = 0; exit_code == VERB_DONE && i < result->batch_get->items_count; i++) {
        const struct reprise_get_item *item = &result->batch_get->items[i];
        asking->asked++;
        if (item->reply == NULL) {
            asking->failed++;
            report_failure(asking->cli, asking->numbers[i], item->error);
            continue;
        }
        asking->hits += item->reply->hit;
        show_reply(asking, i, item->reply);
    }
    asking->count = asking->bytes = 0;
    reprise_result_free(&result);
    return exit_code;
}

static enum verb_exit ask_all(struct asking *asking, struct lines *lines,
                              const struct reprise_get_request *like)
{
    enum verb_exit exit_code = VERB_DONE;
    const char *line;
    while (exit_code == VERB_DONE && (line = lines_next(lines)) != NULL) {
        struct reprise_get_request *request = &asking->requests[asking->count];
        *request = *like;
        request->identity.prompt = line;
        asking->numbers[asking->count++] = lines->number;
        asking->bytes += strlen(line);
        if (asking->count == asking->count_max || asking->bytes >= BYTES_MAX)
            exit_code = ask_batch(asking);
    }
    return exit_code == VERB_DONE ? ask_batch(asking) : exit_code;
}

static enum verb_exit get_lines(const struct cli *cli, struct lines *lines, size_t count_max,
                                const struct reprise_get_request *like)
{
    struct asking *asking = calloc(1, sizeof(*asking));
    if (asking == NULL)
        return verb_fail(cli, "out of memory");
    asking->cli = cli;
    asking->count_max = count_max;
    asking->client = verb_connect(cli);
    enum verb_exit exit_code = asking->client != NULL ? ask_all(asking, lines, like) : VERB_ERROR;
    if (exit_code == VERB_DONE) {
        (void)fprintf(cli->errors, "%" PRIu64 " asked, %" PRIu64 " hits, %" PRIu64 " failed\n",
                      asking->asked, asking->hits, asking->failed);
        if (asking->failed > 0)
            exit_code = VERB_ERROR;
        else if (asking->hits < asking->asked)
            exit_code = VERB_MISS;
    }
    reprise_client_destroy(&asking->client);
    free(asking);
    return exit_code;
}

enum verb_exit batch_get(const struct cli *cli, const struct arguments *arguments,
                         const struct reprise_get_request *like)
{
    struct lines lines;
    size_t count_max = 0;
    enum verb_exit exit_code = begin(cli, arguments, &lines, &count_max);
    if (exit_code != VERB_DONE)
        return exit_code;
    exit_code = get_lines(cli, &lines, count_max, like);
    free(lines.bytes);
    return exit_code;
}

/* ---- set ------------------------------------------------------------------------------------- */

struct storing {
    const struct cli *cli;
    struct reprise_client *client;
    struct reprise_set_request requests[BATCH_MAX];
    size_t numbers[BATCH_MAX], count, count_max, bytes; /* lines */
    uint64_t stored, indexed, skipped, failed;
};

static void take_reply(struct storing *storing, size_t number,
                       const struct reprise_set_reply *reply)
{
    char words[64];
    storing->stored += reply->stored;
    storing->indexed += reply->indexed;
    if (reply->stored)
        return;
    storing->skipped++;
    (void)fprintf(storing->cli->errors, "reprise: line %zu: not stored: %s\n", number,
                  print_words(reprise_skip_name(reply->skip), words));
}

static enum verb_exit store_batch(struct storing *storing)
{
    if (storing->count == 0)
        return VERB_DONE;
    struct reprise_result *result =
        reprise_batch_set(storing->client, storing->requests, storing->count, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(storing->cli, &result->error);
    for (size_t i = 0; exit_code == VERB_DONE && i < result->batch_set->items_count; i++) {
        const struct reprise_set_item *item = &result->batch_set->items[i];
        if (item->reply != NULL) {
            take_reply(storing, storing->numbers[i], item->reply);
            continue;
        }
        storing->failed++;
        report_failure(storing->cli, storing->numbers[i], item->error);
    }
    storing->count = storing->bytes = 0;
    reprise_result_free(&result);
    return exit_code;
}

static enum verb_exit store_all(struct storing *storing, struct lines *lines,
                                const struct reprise_set_request *like)
{
    enum verb_exit exit_code = VERB_DONE;
    char *line;
    while (exit_code == VERB_DONE && (line = lines_next(lines)) != NULL) {
        struct reprise_set_request *request = &storing->requests[storing->count];
        char *tab = strchr(line, '\t');
        if (tab == NULL) {
            (void)store_batch(storing); /* what stands above is stored all the same */
            return verb_fail(storing->cli, "line %zu has no tab between question and answer",
                             lines->number);
        }
        *tab = '\0';
        *request = *like;
        request->identity.prompt = line;
        request->content = tab + 1;
        storing->numbers[storing->count++] = lines->number;
        storing->bytes += strlen(line) + strlen(tab + 1);
        if (storing->count == storing->count_max || storing->bytes >= BYTES_MAX)
            exit_code = store_batch(storing);
    }
    return exit_code == VERB_DONE ? store_batch(storing) : exit_code;
}

static void show_stored(const struct storing *storing)
{
    if (!storing->cli->json) {
        (void)fprintf(storing->cli->out,
                      "%" PRIu64 " stored, %" PRIu64 " indexed, %" PRIu64 " not stored, %" PRIu64
                      " failed\n",
                      storing->stored, storing->indexed, storing->skipped, storing->failed);
        return;
    }
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "stored", storing->stored);
    json_add_count(tree, "indexed", storing->indexed);
    json_add_count(tree, "notStored", storing->skipped);
    json_add_count(tree, "failed", storing->failed);
    (void)json_print(tree, false, storing->cli->out);
}

static enum verb_exit set_lines(const struct cli *cli, struct lines *lines, size_t count_max,
                                const struct reprise_set_request *like)
{
    struct storing *storing = calloc(1, sizeof(*storing));
    if (storing == NULL)
        return verb_fail(cli, "out of memory");
    storing->cli = cli;
    storing->count_max = count_max;
    storing->client = verb_connect(cli);
    enum verb_exit exit_code = VERB_ERROR;
    if (storing->client != NULL) {
        exit_code = store_all(storing, lines, like);
        show_stored(storing);
    }
    if (exit_code == VERB_DONE && storing->failed + storing->skipped > 0)
        exit_code = VERB_ERROR;
    reprise_client_destroy(&storing->client);
    free(storing);
    return exit_code;
}

enum verb_exit batch_set(const struct cli *cli, const struct arguments *arguments,
                         const struct reprise_set_request *like)
{
    struct lines lines;
    size_t count_max = 0;
    enum verb_exit exit_code = begin(cli, arguments, &lines, &count_max);
    if (exit_code != VERB_DONE)
        return exit_code;
    exit_code = set_lines(cli, &lines, count_max, like);
    free(lines.bytes);
    return exit_code;
}
