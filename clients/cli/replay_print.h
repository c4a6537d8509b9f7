/* replay_print.h - the figures and examples of a walk, for people and as JSON. Threads: the main
 * thread. */
#pragma once
#include "clients/cli/replay_figures.h"

struct replay_report {
    const struct replay_file *file;
    const struct replay_results *results;
    const struct replay_figures *figures;
    const struct replay_examples *examples; /* NULL: not wanted */
};

void replay_print_table(FILE *out, const struct replay_report *report);
void replay_print_json(FILE *out, const struct replay_report *report);
/* The first refusals with their lines, and how many more. */
void replay_print_errors(FILE *out, const char *path, const struct replay_report *report);
