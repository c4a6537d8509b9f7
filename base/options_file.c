/*
 * options_file.c - settings from a YAML file: the one door to libyaml.
 * Two levels, room: {name: value}, and nothing else: no lists, no aliases, no second document.
 * Whatever does not fit is reported with its line and skipped as a whole, so that one reading
 * reports everything; only a file that is no YAML ends early, for there is no telling what follows.
 *
 * Owns a parser and one event while it reads. Threads: the one that sets up.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/check.h"
#include "base/option_entry.h"
#include "base/options.h"

enum { KEY_MAX = 40, WHERE_MAX = 512 };

struct reader {
    struct options *options;
    const char *path;
    FILE *errors;
    bool *is_seen; /* by place: a setting given twice */
    enum status first;
    bool is_broken; /* no YAML: nothing more to read */
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
};

static void report_line(struct reader *reader, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void report_line(struct reader *reader, size_t line, const char *format, ...)
{
    (void)fprintf(reader->errors, "%s:%zu: ", reader->path, line + 1);
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(reader->errors, format, arguments);
    va_end(arguments);
    (void)fputs("\n", reader->errors);
    options_note(&reader->first, STATUS_BAD_OPTION);
}

/* Moves to the next event; NO_EVENT when the file is broken. */
static yaml_event_type_t next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!reader->is_broken && !yaml_parser_parse(&reader->parser, &reader->event)) {
        const char *problem = reader->parser.problem;
        size_t line = reader->parser.problem_mark.line;
        reader->is_broken = true;
        if (reader->parser.error == YAML_MEMORY_ERROR)
            options_note(&reader->first, STATUS_NO_MEMORY);
        else
            report_line(reader, line, "%s", problem != NULL ? problem : "this is not YAML");
    }
    return reader->is_broken ? YAML_NO_EVENT : reader->event.type;
}

/* Goes to the last event of the node that begins with the current one. */
static void skip_node(struct reader *reader)
{
    int depth = 0;
    for (yaml_event_type_t type = reader->event.type; !reader->is_broken; type = next(reader)) {
        if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
            depth++;
        if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
            depth--;
        if (depth == 0)
            return;
    }
}

static size_t line_of(const struct reader *reader)
{
    return reader->event.start_mark.line;
}

/* Copies a key; false, and skips key and value, if it is not a short plain word. */
static bool read_key(struct reader *reader, char out_key[KEY_MAX])
{
    const char *text = (const char *)reader->event.data.scalar.value;
    bool is_word = reader->event.type == YAML_SCALAR_EVENT;
    if (is_word && strlen(text) == reader->event.data.scalar.length && strlen(text) < KEY_MAX) {
        memcpy(out_key, text, strlen(text) + 1);
        return true;
    }
    report_line(reader, line_of(reader), "this key is not the name of a setting");
    skip_node(reader);
    if (next(reader) != YAML_NO_EVENT)
        skip_node(reader);
    return false;
}

static bool is_null(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return is_plain && (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static void offer_scalar(struct reader *reader, size_t place, const char *name)
{
    const char *text = (const char *)reader->event.data.scalar.value;
    size_t line = line_of(reader);
    if (is_null(&reader->event)) {
        report_line(reader, line, "%s has no value", name);
    } else if (strlen(text) != reader->event.data.scalar.length) {
        report_line(reader, line, "%s: the value holds NUL", name);
    } else if (reader->is_seen[place]) {
        report_line(reader, line, "%s is given twice", name);
    } else {
        char where[WHERE_MAX];
        (void)snprintf(where, sizeof(where), "%s:%zu", reader->path, line + 1);
        options_note(&reader->first, options_offer(reader->options, place, text, OPTION_BY_FILE,
                                                   where, reader->errors));
        reader->is_seen[place] = true;
    }
}

/* The current event is the value of room.name. */
static void read_value(struct reader *reader, const char *name, size_t key_line)
{
    size_t place = options_find(reader->options, OPTION_IN_FILE, name, strlen(name));
    if (place == options_count(reader->options)) {
        char spelt[OPTION_NAME_MAX];
        const char *nearest =
            options_nearest(reader->options, OPTION_IN_FILE, name, strlen(name), spelt);
        report_line(reader, key_line, "%s is not an option%s%s%s", name,
                    nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "?" : "");
        skip_node(reader);
    } else if (reader->event.type == YAML_SCALAR_EVENT) {
        offer_scalar(reader, place, name);
    } else {
        report_line(reader, line_of(reader),
                    "%s takes one value, not a list, a mapping or an alias", name);
        skip_node(reader);
    }
}

/* The current event begins the mapping below `room`. */
static void read_room(struct reader *reader, const char *room)
{
    for (;;) {
        yaml_event_type_t type = next(reader);
        if (type == YAML_MAPPING_END_EVENT || type == YAML_NO_EVENT)
            return;
        size_t line = line_of(reader);
        char key[KEY_MAX];
        if (!read_key(reader, key))
            continue;
        char name[2 * KEY_MAX];
        (void)snprintf(name, sizeof(name), "%s.%s", room, key);
        if (next(reader) != YAML_NO_EVENT)
            read_value(reader, name, line);
    }
}

/* The current event begins the file's mapping. */
static void read_rooms(struct reader *reader)
{
    for (;;) {
        yaml_event_type_t type = next(reader);
        if (type == YAML_MAPPING_END_EVENT || type == YAML_NO_EVENT)
            return;
        char room[KEY_MAX];
        if (!read_key(reader, room))
            continue;
        type = next(reader);
        if (type == YAML_MAPPING_START_EVENT) {
            read_room(reader, room);
        } else if (type == YAML_SCALAR_EVENT && is_null(&reader->event)) {
            continue; /* a room whose settings are all commented out */
        } else if (type != YAML_NO_EVENT) {
            report_line(reader, line_of(reader), "%s needs its settings below it, as name: value",
                        room);
            skip_node(reader);
        }
    }
}

static void read_stream(struct reader *reader)
{
    size_t documents = 0;
    for (;;) {
        yaml_event_type_t type = next(reader);
        if (type == YAML_NO_EVENT || type == YAML_STREAM_END_EVENT)
            return;
        if (type == YAML_DOCUMENT_START_EVENT && ++documents == 2)
            report_line(reader, line_of(reader), "a second document is not read");
        if (type == YAML_MAPPING_START_EVENT && documents == 1) {
            read_rooms(reader);
        } else if (type == YAML_SCALAR_EVENT && documents == 1 && is_null(&reader->event)) {
            continue; /* nothing but comments */
        } else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT) {
            report_line(reader, line_of(reader), "expected room: {name: value}");
            skip_node(reader);
        } else if (type == YAML_MAPPING_START_EVENT) {
            skip_node(reader);
        }
    }
}

enum status options_read_file(struct options *options, const char *path, FILE *errors)
{
    struct reader reader = {.options = options, .path = path, .errors = errors};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)fprintf(errors, "%s: %s\n", path, strerror(errno));
        return STATUS_BAD_OPTION;
    }
    reader.first = STATUS_NO_MEMORY;
    reader.is_seen = calloc(options_count(options) + 1, sizeof(*reader.is_seen));
    if (reader.is_seen == NULL || !yaml_parser_initialize(&reader.parser))
        goto close_file;
    reader.first = STATUS_OK;
    yaml_parser_set_input_file(&reader.parser, file);
    read_stream(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);

close_file:
    free(reader.is_seen);
    (void)fclose(file);
    return reader.first;
}
