/*
 * verbs_folder.c - fsck and dump: a data folder looked into without a server. Both read and change
 * nothing. Owns nothing. Threads: the main thread.
 */
#include <inttypes.h>

#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"
#include "storage/dump.h"
#include "storage/fsck.h"

static enum verb_exit cannot(const struct cli *cli, const char *folder, enum status status,
                             const struct failure *failure)
{
    const bool has_words = failure->status != STATUS_OK && failure->message[0] != '\0';
    return verb_fail(cli, "%s: %s", folder, has_words ? failure->message : status_text(status));
}

/* ---- fsck -------------------------------------------------------------------- */

struct check {
    const struct cli *cli;
    cJSON *files; /* NULL: for people */
};

static void check_file(void *context, const struct fsck_file *file)
{
    const struct check *check = context;
    char size[UNITS_TEXT_MAX];
    if (check->files == NULL) {
        (void)fprintf(check->cli->out, "%-28s %-9s %11s %10" PRIu64 "  %s\n", file->name,
                      fsck_verdict_name(file->verdict), units_print_bytes(file->size_bytes, size),
                      file->records, file->what);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(object, "name", file->name);
    (void)cJSON_AddStringToObject(object, "verdict", fsck_verdict_name(file->verdict));
    json_add_count(object, "sizeBytes", file->size_bytes);
    json_add_count(object, "records", file->records);
    json_add_count(object, "damagedBytes", file->damaged_bytes);
    json_add_count(object, "damageOffset", file->damage_offset);
    json_add_count(object, "tornBytes", file->torn_bytes);
    (void)cJSON_AddStringToObject(object, "what", file->what);
    (void)cJSON_AddItemToArray(check->files, object);
}

static const char *const recoveries[] = {[RECOVERY_SALVAGE] = "salvage",
                                         [RECOVERY_POINT_IN_TIME] = "point_in_time",
                                         [RECOVERY_STRICT] = "strict"};

static void print_starts(FILE *out, const struct fsck_summary *summary)
{
    (void)fprintf(out, "\n%-16s %-10s %10s %14s  %s\n", "journal.recovery", "a start", "records",
                  "lost", "");
    for (int how = 0; how <= RECOVERY_STRICT; how++) {
        const struct fsck_start *start = &summary->starts[how];
        char lost[UNITS_TEXT_MAX];
        (void)fprintf(out, "%-16s %-10s %10" PRIu64 " %14s  %s\n", recoveries[how],
                      start->status == STATUS_OK ? "succeeds" : "refuses", start->records,
                      units_print_bytes(start->damaged_bytes, lost), start->message);
    }
}

static void print_json(const struct cli *cli, cJSON *files, const struct fsck_summary *summary)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "filesDamaged", summary->files_damaged);
    (void)cJSON_AddItemToObject(tree, "files", files);
    cJSON *starts = cJSON_AddObjectToObject(tree, "starts");
    for (int how = 0; how <= RECOVERY_STRICT; how++) {
        const struct fsck_start *start = &summary->starts[how];
        cJSON *object = cJSON_AddObjectToObject(starts, recoveries[how]);
        (void)cJSON_AddBoolToObject(object, "starts", start->status == STATUS_OK);
        json_add_count(object, "records", start->records);
        json_add_count(object, "damagedBytes", start->damaged_bytes);
        (void)cJSON_AddStringToObject(object, "message", start->message);
    }
    (void)json_print(tree, false, cli->out);
}

enum verb_exit verb_fsck(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 1)
        return verb_usage(cli, "fsck needs a data folder: reprise fsck data");
    const char *folder = arguments->words[0];
    struct check check = {.cli = cli, .files = cli->json ? cJSON_CreateArray() : NULL};
    struct fsck_summary summary = {.files = 0};
    struct failure failure = {.status = STATUS_OK};
    if (!cli->json)
        (void)fprintf(cli->out, "%-28s %-9s %11s %10s\n", "file", "verdict", "size", "records");
    const enum status status = storage_fsck(folder, check_file, &check, &summary, &failure);
    if (status != STATUS_OK) {
        cJSON_Delete(check.files);
        return cannot(cli, folder, status, &failure);
    }
    if (cli->json)
        print_json(cli, check.files, &summary);
    else
        print_starts(cli->out, &summary);
    return summary.files_damaged > 0 ? VERB_ERROR : VERB_DONE;
}

/* ---- dump -------------------------------------------------------------------- */

static enum status write_line(void *context, struct text line)
{
    const struct cli *cli = context;
    if (fwrite(line.bytes, 1, line.length, cli->out) != line.length || fputc('\n', cli->out) == EOF)
        return STATUS_IO_FAILED;
    return STATUS_OK;
}

enum verb_exit verb_dump(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 1)
        return verb_usage(cli, "dump needs a data folder: reprise dump data");
    struct cli sink = *cli;
    struct failure failure = {.status = STATUS_OK};
    const enum status status = storage_dump(arguments->words[0], write_line, &sink, &failure);
    return status == STATUS_OK ? VERB_DONE : cannot(cli, arguments->words[0], status, &failure);
}
