/*
 * replay_progress.h - how far a long walk is: a bar that is drawn over itself on a terminal, else a
 * line for every tenth. Time is an argument. Threads: the one that shows.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct replay_progress {
    FILE *out;
    bool terminal;
    size_t total;
    size_t tenths_shown;
    uint64_t drawn_us;
};

void replay_progress_init(struct replay_progress *progress, FILE *out, size_t total);
/* `done` of the total; draws only when there is something new to see, at most ten times a second on
 * a terminal. */
void replay_progress_show(struct replay_progress *progress, size_t done, uint64_t now_us);
/* Takes the bar away. */
void replay_progress_end(struct replay_progress *progress);
