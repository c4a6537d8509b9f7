/*
 * settings.h - every option of the process in one list, and how the command line is read.
 * Threads: main, before any other is started.
 */
#pragma once
#include <stdio.h>

#include "base/options.h"

enum settings_action {
    SETTINGS_RUN,
    SETTINGS_HELP,
    SETTINGS_VERSION,
    SETTINGS_CHECK_CONFIG,
    SETTINGS_PRINT_CONFIG,
    SETTINGS_DESCRIBE_OPTIONS,
    SETTINGS_SELF_CHECK,
};

struct settings {
    struct options *options;
    enum settings_action action;
    const char *self_check_folder;
    const char *restore; /* --restore NAME; NULL: none */
};

/*
 * Default < file (--config FILE or REPRISE_CONFIG) < environment < flags. Every problem is one line
 * on `errors`; STATUS_BAD_OPTION if there was any.
 */
enum status settings_create(int argc, char **argv, char **environment, FILE *errors,
                            struct settings *out_settings);
void settings_destroy(struct settings *settings);
