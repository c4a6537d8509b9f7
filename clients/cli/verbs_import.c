/*
 * verbs_import.c - import: the lines of an export, in calls of many. Importing again changes
 * nothing where the entries are there already, so that whoever was interrupted just begins again.
 * Owns what it reads for the length of a verb. Threads: the main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "clients/cli/json.h"
#include "clients/cli/print.h"
#include "clients/cli/stored_line.h"
#include "clients/cli/verbs.h"

enum { ENTRIES_MAX = 100, BYTES_MAX = 1 << 20, PROGRESS_MS = 1000, EMBED_MS = 60 * 1000 };

struct import {
    const struct cli *cli;
    struct reprise_client *client;
    const char *path;
    bool overwrite, dry_run;
    struct arena *arena;
    cJSON *trees[ENTRIES_MAX]; /* of the entries that are to be sent */
    struct reprise_stored entries[ENTRIES_MAX];
    size_t count, bytes;
    uint64_t lines, imported, kept, expired, indexed, evicted, unindexed;
    int64_t shown_ms;
};

static void forget_batch(struct import *import)
{
    for (size_t i = 0; i < import->count; i++)
        cJSON_Delete(import->trees[i]);
    import->count = import->bytes = 0;
    arena_reset(import->arena);
}

static void show_progress(struct import *import)
{
    const int64_t now_ms = clock_wall_ms();
    if (now_ms - import->shown_ms < PROGRESS_MS)
        return;
    import->shown_ms = now_ms;
    (void)fprintf(import->cli->errors, "reprise: %" PRIu64 " lines...\n", import->lines);
}

static enum verb_exit send_batch(struct import *import)
{
    if (import->count == 0)
        return VERB_DONE;
    struct reprise_result *result = reprise_import(import->client, import->entries, import->count,
                                                   import->overwrite, import->dry_run, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(import->cli, &result->error);
        (void)fprintf(import->cli->errors,
                      "reprise: %s: of the lines up to %" PRIu64 " the last %zu are not sure\n",
                      import->path, import->lines, import->count);
    } else {
        import->imported += result->imported->imported;
        import->kept += result->imported->kept;
        import->expired += result->imported->expired;
        import->indexed += result->imported->indexed;
        import->evicted += result->imported->evicted;
        import->unindexed += result->imported->unindexed;
        show_progress(import);
    }
    reprise_result_free(&result);
    forget_batch(import);
    return exit_code;
}

static enum verb_exit add_line(struct import *import, const char *line, size_t length)
{
    import->lines++;
    if (strspn(line, " \t\r\n") == length)
        return VERB_DONE;
    cJSON *tree = cJSON_ParseWithLength(line, length);
    const char *wrong =
        tree == NULL ? "it is no JSON"
                     : stored_line_read(tree, import->arena, &import->entries[import->count]);
    if (wrong != NULL) {
        cJSON_Delete(tree);
        return verb_fail(import->cli, "%s:%" PRIu64 ": %s", import->path, import->lines, wrong);
    }
    import->trees[import->count++] = tree;
    import->bytes += length;
    const bool full = import->count == ENTRIES_MAX || import->bytes >= BYTES_MAX;
    return full ? send_batch(import) : VERB_DONE;
}

static enum verb_exit import_lines(struct import *import, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    enum verb_exit exit_code = VERB_DONE;
    while (exit_code == VERB_DONE) {
        const ssize_t length = getline(&line, &room, file);
        if (length < 0)
            break;
        exit_code = add_line(import, line, (size_t)length);
    }
    if (exit_code == VERB_DONE && ferror(file))
        exit_code = verb_fail(import->cli, "%s cannot be read", import->path);
    if (exit_code == VERB_DONE)
        exit_code = send_batch(import);
    free(line);
    forget_batch(import);
    return exit_code;
}

static void print_import(const struct import *import)
{
    FILE *out = import->cli->out;
    if (import->cli->json) {
        cJSON *tree = cJSON_CreateObject();
        (void)cJSON_AddNumberToObject(tree, "imported", (double)import->imported);
        (void)cJSON_AddNumberToObject(tree, "kept", (double)import->kept);
        (void)cJSON_AddNumberToObject(tree, "expired", (double)import->expired);
        (void)cJSON_AddNumberToObject(tree, "indexed", (double)import->indexed);
        (void)cJSON_AddNumberToObject(tree, "evicted", (double)import->evicted);
        (void)cJSON_AddNumberToObject(tree, "unindexed", (double)import->unindexed);
        (void)json_print(tree, false, out);
        return;
    }
    (void)fprintf(out, "%-*s%" PRIu64 ", %" PRIu64 " of them findable by meaning\n", PRINT_LABEL,
                  import->dry_run ? "would import" : "imported", import->imported, import->indexed);
    (void)fprintf(out, "%-*s%" PRIu64 " that were there already\n", PRINT_LABEL, "kept",
                  import->kept);
    (void)fprintf(out, "%-*s%" PRIu64 "\n", PRINT_LABEL, "expired", import->expired);
    if (import->unindexed > 0)
        (void)fprintf(out,
                      "%-*s%" PRIu64 " got no vector here: imported, found by their very "
                      "words alone\n",
                      PRINT_LABEL, "unindexed", import->unindexed);
    if (import->evicted > 0)
        (void)fprintf(out, "%-*s%" PRIu64 " left to make room\n", PRINT_LABEL, "evicted",
                      import->evicted);
}

static enum verb_exit run_import(struct import *import)
{
    const bool piped = strcmp(import->path, "-") == 0;
    FILE *file = piped ? import->cli->in : fopen(import->path, "rb");
    if (file == NULL)
        return verb_fail(import->cli, "%s cannot be opened", import->path);
    enum verb_exit exit_code = VERB_ERROR;
    struct cli patient = *import->cli; /* a hundred texts may be with an embedder */
    patient.timeout_ms += EMBED_MS;
    import->client = verb_connect(&patient);
    if (import->client != NULL && arena_create(&import->arena) == STATUS_OK)
        exit_code = import_lines(import, file);
    if (exit_code == VERB_DONE)
        print_import(import);
    if (import->arena != NULL)
        arena_destroy(&import->arena);
    if (import->client != NULL)
        reprise_client_destroy(&import->client);
    if (!piped)
        (void)fclose(file);
    return exit_code;
}

enum verb_exit verb_import(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 1)
        return verb_usage(cli, "import needs a file, or - for standard input: reprise import FILE");
    struct import *import = calloc(1, sizeof(*import));
    if (import == NULL)
        return verb_fail(cli, "out of memory");
    import->cli = cli;
    import->path = arguments->words[0];
    import->overwrite = arguments_has(arguments, "overwrite");
    import->dry_run = arguments_has(arguments, "dry-run");
    import->shown_ms = clock_wall_ms();
    const enum verb_exit exit_code = run_import(import);
    free(import);
    return exit_code;
}
