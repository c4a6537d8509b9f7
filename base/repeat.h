/*
 * repeat.h - equal log lines within a second become one line and a count. Time is an argument.
 * Threads: the caller locks.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPEAT_PLACES = 32, REPEAT_LINE_MAX = 768, REPEAT_WINDOW_US = 1000000 };

struct repeat_place {
    uint64_t since_us; /* when the line was written                     */
    uint32_t dropped;  /* equal lines since then                        */
    bool is_taken;
    char line[REPEAT_LINE_MAX];
};

struct repeat { /* all zero is empty */
    struct repeat_place places[REPEAT_PLACES];
};

/* Told about a count whose window has ended: `dropped` more lines were equal to `line`. */
typedef void repeat_report(const char *line, uint32_t dropped);

/* True if the line is to be written now; false if it is counted instead. Reports first what has
 * ended. */
bool repeat_admit(struct repeat *repeat, const char *line, uint64_t now_us, repeat_report *report);

/* Reports all counts and forgets everything. */
void repeat_flush(struct repeat *repeat, repeat_report *report);
