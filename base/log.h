/*
 * log.h - one line an event, to stderr: `time level room event key=value ...`, or one JSON object a
 * line. No prompt text, ever. Equal lines within a second collapse into a count. Threads: any.
 */
#pragma once
#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Before threads are started; the default is text at info. */
void log_setup(bool json, enum log_level level);

/* At any time. */
void log_set_level(enum log_level level);

/* room: "server", "cache", ...; event: a few words; format: key=value pairs or NULL. */
void log_write(enum log_level level, const char *room, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
