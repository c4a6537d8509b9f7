/*
 * verbs_scan.c - scan, entry, export: what is stored, by pages. A walk that breaks off says with
 * which cursor it goes on. Owns what it reads for the length of a verb. Threads: the main thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "clients/cli/json.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { PAGE = 500, PROGRESS_MS = 1000 };

/* One walk: what is asked for, and where its entries go. */
struct scan {
    const struct cli *cli;
    struct reprise_scroll_request request;
    const char **tags;
    uint64_t limit; /* of entries; UINT64_MAX: all */
    bool as_lines;  /* of JSON */
    FILE *out;
    bool shows_progress;
    uint64_t count;
    int64_t shown_ms;
};

/* ---- flags ------------------------------------------------------------------- */

static enum verb_exit read_age(const struct scan *scan, const char *age, int64_t *out_before_ms)
{
    uint64_t age_ms = 0;
    if (age == NULL)
        return VERB_DONE;
    const int64_t now_ms = clock_wall_ms();
    if (!units_read_ms(age, &age_ms) || age_ms > (uint64_t)now_ms)
        return verb_usage(
            scan->cli, "--older-than wants a time such as 7d (ms, s, min, h, d), not \"%s\"", age);
    *out_before_ms = now_ms - (int64_t)age_ms;
    return VERB_DONE;
}

static enum verb_exit read_scan(const struct cli *cli, const struct arguments *arguments,
                                struct scan *out_scan)
{
    const char *limit = arguments_text(arguments, "limit");
    struct scan scan = {.cli = cli, .limit = UINT64_MAX, .out = cli->out, .as_lines = cli->json};
    scan.request = (struct reprise_scroll_request){
        .namespace_ = arguments_text(arguments, "namespace"),
        .model = arguments_text(arguments, "model"),
        .tags_count = arguments_count(arguments, "tag"),
        .cursor = arguments_text(arguments, "cursor"),
        .vectors = arguments_has(arguments, "vectors"),
        .limit = PAGE,
    };
    if (limit != NULL && !units_read_count(limit, 1, UINT32_MAX, &scan.limit))
        return verb_usage(cli, "--limit wants a whole number from 1, not \"%s\"", limit);
    enum verb_exit exit_code = read_age(&scan, arguments_text(arguments, "older-than"),
                                        &scan.request.created_before_unix_ms);
    if (exit_code != VERB_DONE)
        return exit_code;
    scan.tags = calloc(scan.request.tags_count + 1, sizeof(*scan.tags));
    if (scan.tags == NULL)
        return verb_fail(cli, "out of memory");
    for (size_t i = 0; i < scan.request.tags_count; i++)
        scan.tags[i] = arguments_at(arguments, "tag", i);
    scan.request.tags = scan.tags;
    *out_scan = scan;
    return VERB_DONE;
}

/* ---- the walk ---------------------------------------------------------------- */

static void show_progress(struct scan *scan, bool is_end)
{
    const int64_t now_ms = clock_wall_ms();
    if (!scan->shows_progress || (!is_end && now_ms - scan->shown_ms < PROGRESS_MS))
        return;
    scan->shown_ms = now_ms;
    (void)fprintf(scan->cli->errors, "reprise: %" PRIu64 " entries%s\n", scan->count,
                  is_end ? ", all of them" : "...");
}

static bool write_page(struct scan *scan, const struct reprise_scroll_reply *page)
{
    for (size_t i = 0; i < page->entries_count && scan->count < scan->limit; i++) {
        if (!scan->as_lines)
            print_stored_line(scan->out, &page->entries[i], clock_wall_ms());
        else if (!json_print(json_stored(&page->entries[i]), true, scan->out))
            return false;
        scan->count++;
    }
    return fflush(scan->out) == 0;
}

static enum verb_exit broke_off(const struct scan *scan, const char *cursor)
{
    if (cursor[0] != '\0')
        (void)fprintf(scan->cli->errors,
                      "reprise: after %" PRIu64 " entries; go on with --cursor %s\n", scan->count,
                      cursor);
    return VERB_ERROR;
}

/* Pages up to the last, or until so many entries as were asked for. */
static enum verb_exit walk(struct scan *scan, struct reprise_client *client)
{
    char cursor[64];
    (void)snprintf(cursor, sizeof(cursor), "%s",
                   scan->request.cursor != NULL ? scan->request.cursor : "");
    enum verb_exit exit_code = VERB_DONE;
    bool is_last = false;
    while (exit_code == VERB_DONE && !is_last && scan->count < scan->limit) {
        const uint64_t left = scan->limit - scan->count;
        scan->request.limit = left < PAGE ? (uint32_t)left : PAGE;
        scan->request.cursor = cursor;
        struct reprise_result *result = reprise_scroll(client, &scan->request, NULL);
        if (result->code != REPRISE_OK) {
            exit_code = verb_call_failed(scan->cli, &result->error);
            (void)broke_off(scan, cursor);
        } else if (!write_page(scan, result->scroll)) {
            exit_code = verb_fail(scan->cli, "the entries cannot be written");
            (void)broke_off(scan, cursor);
        } else {
            is_last = result->scroll->next_cursor[0] == '\0';
            (void)snprintf(cursor, sizeof(cursor), "%s", result->scroll->next_cursor);
            show_progress(scan, is_last);
        }
        reprise_result_free(&result);
    }
    return exit_code;
}

static enum verb_exit run_scan(struct scan *scan)
{
    struct reprise_client *client = verb_connect(scan->cli);
    if (client == NULL)
        return VERB_ERROR;
    const enum verb_exit exit_code = walk(scan, client);
    reprise_client_destroy(&client);
    return exit_code;
}

enum verb_exit verb_scan(const struct cli *cli, const struct arguments *arguments)
{
    struct scan scan;
    enum verb_exit exit_code = read_scan(cli, arguments, &scan);
    if (exit_code != VERB_DONE)
        return exit_code;
    exit_code = run_scan(&scan);
    if (exit_code == VERB_DONE && !cli->json)
        (void)fprintf(cli->out, "%" PRIu64 " entr%s\n", scan.count, scan.count == 1 ? "y" : "ies");
    free(scan.tags);
    return exit_code;
}

/* ---- export ------------------------------------------------------------------ */

/* With a cursor the file goes on; else it must not be there, for nothing is overwritten unasked. */
static enum verb_exit open_file(struct scan *scan, const char *path)
{
    if (strcmp(path, "-") == 0)
        return VERB_DONE;
    scan->out = fopen(path, scan->request.cursor != NULL ? "ab" : "wbx");
    if (scan->out != NULL)
        return VERB_DONE;
    return verb_fail(scan->cli, "%s cannot be made%s", path,
                     scan->request.cursor != NULL ? "" : ", or is there already");
}

enum verb_exit verb_export(const struct cli *cli, const struct arguments *arguments)
{
    struct scan scan;
    if (arguments->words_count != 1)
        return verb_usage(cli, "export needs a file, or - for standard output: reprise export "
                               "FILE");
    enum verb_exit exit_code = read_scan(cli, arguments, &scan);
    if (exit_code != VERB_DONE)
        return exit_code;
    scan.as_lines = scan.request.answers = scan.shows_progress = true;
    exit_code = open_file(&scan, arguments->words[0]);
    if (exit_code == VERB_DONE)
        exit_code = run_scan(&scan);
    if (scan.out != NULL && scan.out != cli->out && fclose(scan.out) != 0)
        exit_code = verb_fail(cli, "%s cannot be written", arguments->words[0]);
    free(scan.tags);
    return exit_code;
}

/* ---- entry ------------------------------------------------------------------- */

enum verb_exit verb_entry(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 1)
        return verb_usage(cli, "entry needs an id: reprise entry ID");
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result =
        reprise_get_entry(client, arguments->words[0], arguments_has(arguments, "vector"), NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else if (result->scroll->entries_count == 0)
        exit_code = verb_fail(cli, "the reply holds no entry");
    else if (cli->json)
        (void)json_print(json_stored(&result->scroll->entries[0]), false, cli->out);
    else
        print_stored(cli->out, &result->scroll->entries[0], clock_wall_ms());
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
