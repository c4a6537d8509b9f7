/*
 * replay_file.c - TSV, read strictly: a row that is not what the header says would silently spoil
 * the figures. Owns the bytes and the list of rows. Threads: the reader.
 *
 * A line is fields with one tab between them, ended by LF or CR LF; there is no quoting, so a field
 * holds neither tab nor line break. seq is a whole number and only there for people; group, text
 * and answer are not empty.
 */
#include "clients/cli/replay_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "clients/cli/ask.h"

enum { FIELDS_MAX = 4, COMPLAINTS_MAX = 20, GROUP_MAX = 1024 /* metadata values hold no more */ };

struct reading {
    const struct cli *cli;
    const char *path;
    size_t fields_count; /* 3 or 4, as the header says */
    size_t line, faults;
};

static void complain(struct reading *reading, const char *what)
{
    reading->faults += 1;
    if (reading->faults <= COMPLAINTS_MAX)
        (void)fprintf(reading->cli->errors, "%s:%zu: %s\n", reading->path, reading->line, what);
}

/* Cuts a line at its tabs, in place; returns how many fields there are, of which it keeps
 * FIELDS_MAX. */
static size_t cut(char *line, const char *fields[FIELDS_MAX])
{
    size_t count = 0;
    for (char *at = line; at != NULL; count++) {
        char *tab = strchr(at, '\t');
        if (tab != NULL)
            *tab = '\0';
        if (count < FIELDS_MAX)
            fields[count] = at;
        at = tab != NULL ? tab + 1 : NULL;
    }
    return count;
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

static bool read_header(struct reading *reading, char *line)
{
    static const char *const names[FIELDS_MAX] = {"seq", "answer_group", "text", "answer"};
    const char *fields[FIELDS_MAX] = {NULL};
    size_t count = cut(line, fields);
    bool clean = count == 3 || count == 4;
    for (size_t i = 0; clean && i < count; i++)
        clean = strcmp(fields[i], names[i]) == 0;
    if (!clean)
        complain(reading,
                 "the first line must be the header: seq, answer_group, text and, if it has "
                 "answers, answer, with tabs between");
    reading->fields_count = count;
    return clean;
}

static void read_row(struct reading *reading, char *line, struct replay_file *file)
{
    const char *fields[FIELDS_MAX] = {NULL};
    if (!text_is_clean(line, strlen(line))) {
        complain(reading, "not valid UTF-8");
        return;
    }
    size_t count = cut(line, fields);
    if (count != reading->fields_count) {
        char what[96];
        (void)snprintf(what, sizeof(what), "%zu fields where the header has %zu", count,
                       reading->fields_count);
        complain(reading, what);
        return;
    }
    if (!is_number(fields[0]))
        complain(reading, "seq is not a whole number");
    else if (fields[1][0] == '\0')
        complain(reading, "answer_group is empty");
    else if (strlen(fields[1]) > GROUP_MAX)
        complain(reading, "answer_group is over 1,024 bytes");
    else if (fields[2][0] == '\0')
        complain(reading, "text is empty");
    else if (count == 4 && fields[3][0] == '\0')
        complain(reading, "answer is empty");
    else
        file->rows[file->rows_count++] =
            (struct replay_row){.line = reading->line,
                                .group = fields[1],
                                .text = fields[2],
                                .answer = count == 4 ? fields[3] : fields[1]};
}

static size_t count_lines(const char *bytes, size_t size)
{
    size_t count = 1;
    for (size_t i = 0; i < size; i++)
        count += bytes[i] == '\n';
    return count;
}

static void read_lines(struct reading *reading, struct replay_file *file)
{
    for (char *line = file->bytes; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        char *next = end != NULL ? end + 1 : NULL;
        if (end != NULL)
            *end = '\0';
        size_t length = strlen(line);
        if (length > 0 && line[length - 1] == '\r')
            line[length - 1] = '\0';
        reading->line += 1;
        if (reading->line > 1)
            read_row(reading, line, file);
        else if (!read_header(reading, line))
            return; /* nothing behind a wrong header can be judged */
        line = next;
    }
}

enum verb_exit replay_file_parse(const struct cli *cli, const char *path, char *bytes, size_t size,
                                 struct replay_file *out_file)
{
    struct replay_file file = {.bytes = bytes};
    struct reading reading = {.cli = cli, .path = path};
    enum verb_exit exit_code = VERB_DONE;
    file.rows = calloc(count_lines(bytes, size), sizeof(*file.rows));
    if (file.rows == NULL)
        exit_code = verb_fail(cli, "out of memory");
    else if (strlen(bytes) != size)
        exit_code = verb_fail(cli, "%s holds a NUL byte: not a text file", path);
    else
        read_lines(&reading, &file);
    if (reading.faults > COMPLAINTS_MAX)
        (void)fprintf(cli->errors, "%s: and %zu more\n", path, reading.faults - COMPLAINTS_MAX);
    if (exit_code == VERB_DONE && reading.faults > 0)
        exit_code = verb_fail(cli, "%s has %zu malformed line%s; nothing was replayed", path,
                              reading.faults, reading.faults == 1 ? "" : "s");
    else if (exit_code == VERB_DONE && file.rows_count == 0)
        exit_code = verb_fail(cli, "%s holds no rows", path);
    if (exit_code == VERB_DONE)
        *out_file = file;
    else
        replay_file_deinit(&file);
    return exit_code;
}

enum verb_exit replay_file_read(const struct cli *cli, const char *path,
                                struct replay_file *out_file)
{
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return verb_fail(cli, "%s cannot be opened", path);
    char *bytes = NULL;
    size_t size = 0;
    enum verb_exit exit_code = ask_read_all(cli, stream, path, &bytes, &size);
    (void)fclose(stream);
    if (exit_code != VERB_DONE)
        return exit_code;
    return replay_file_parse(cli, path, bytes, size, out_file);
}

void replay_file_deinit(struct replay_file *file)
{
    free(file->rows);
    free(file->bytes);
    *file = (struct replay_file){0};
}
