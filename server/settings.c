/*
 * settings.c - lists the option tables of all rooms and reads the command line.
 * The rows themselves stand in the rooms that use them. Owns the options until settings_destroy.
 * Threads: main.
 */
#include "server/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "embed/embedder.h"
#include "index/directory.h"
#include "server/grpc/listener.h"
#include "server/http/listener.h"
#include "server/service.h"
#include "storage/journal.h"
#include "storage/store.h"
#include "trust/policy.h"

struct action_flag {
    const char *flag;
    enum settings_action action;
};

static const struct action_flag action_flags[] = {
    {"--help", SETTINGS_HELP},
    {"-h", SETTINGS_HELP},
    {"--version", SETTINGS_VERSION},
    {"--check-config", SETTINGS_CHECK_CONFIG},
    {"--print-config", SETTINGS_PRINT_CONFIG},
    {"--describe-options", SETTINGS_DESCRIBE_OPTIONS},
    {"--self-check", SETTINGS_SELF_CHECK},
};

static bool take_action_flag(const char *argument, struct settings *settings)
{
    static const char self_check[] = "--self-check=";
    if (strncmp(argument, self_check, sizeof(self_check) - 1) == 0) {
        settings->action = SETTINGS_SELF_CHECK;
        settings->self_check_folder = argument + sizeof(self_check) - 1;
        return true;
    }
    for (size_t i = 0; i < sizeof(action_flags) / sizeof(action_flags[0]); i++) {
        if (strcmp(argument, action_flags[i].flag) == 0) {
            settings->action = action_flags[i].action;
            return true;
        }
    }
    return false;
}

/* "--flag=value" or "--flag value" at *i, which then stands at the value. */
static bool take_value_flag(const char *flag, int argc, char **argv, int *i, const char **out_value)
{
    const size_t length = strlen(flag);
    if (strncmp(argv[*i], flag, length) != 0)
        return false;
    if (argv[*i][length] == '=') {
        *out_value = argv[*i] + length + 1;
        return true;
    }
    if (argv[*i][length] != '\0' || *i + 1 >= argc)
        return false;
    *out_value = argv[++*i];
    return true;
}

/* Splits off what is not an option row. Returns how many arguments stay in `kept`, kept[0]
 * included. */
static int split_arguments(int argc, char **argv, char **kept, struct settings *settings,
                           const char **out_file)
{
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (i > 0 && take_action_flag(argv[i], settings))
            continue;
        if (i > 0 && (take_value_flag("--config", argc, argv, &i, out_file) ||
                      take_value_flag("--restore", argc, argv, &i, &settings->restore)))
            continue;
        kept[count++] = argv[i];
    }
    return count;
}

/* The environment without the variables that are known and no options: the file's name, and the
 * command's own. */
static char **options_of(char **environment)
{
    static const char *const others[] = {"REPRISE_CONFIG=", "REPRISE_ENDPOINT="};
    size_t count = 0;
    while (environment[count] != NULL)
        count++;
    char **kept = calloc(count + 1, sizeof(*kept));
    for (size_t i = 0, used = 0; kept != NULL && i < count; i++) {
        bool other = false;
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++)
            other |= strncmp(environment[i], others[k], strlen(others[k])) == 0;
        if (!other)
            kept[used++] = environment[i];
    }
    return kept;
}

static enum status read_environment(struct settings *settings, char **environment, FILE *errors)
{
    char **kept = options_of(environment);
    if (kept == NULL)
        return STATUS_NO_MEMORY;
    enum status status = options_read_environment(settings->options, kept, errors);
    free(kept);
    return status;
}

static enum status read_everything(struct settings *settings, int argc, char **argv,
                                   char **environment, FILE *errors)
{
    char **kept = calloc((size_t)argc + 1, sizeof(*kept));
    if (kept == NULL)
        return STATUS_NO_MEMORY;
    const char *file = getenv("REPRISE_CONFIG");
    int kept_count = split_arguments(argc, argv, kept, settings, &file);
    enum status status = STATUS_OK;
    if (file != NULL && file[0] != '\0')
        status = options_read_file(settings->options, file, errors);
    enum status from_environment = read_environment(settings, environment, errors);
    if (status == STATUS_OK)
        status = from_environment;
    enum status from_flags = options_read_flags(settings->options, kept_count, kept, errors);
    if (status == STATUS_OK)
        status = from_flags;
    free(kept);
    return status;
}

enum status settings_create(int argc, char **argv, char **environment, FILE *errors,
                            struct settings *out_settings)
{
    assert(argc > 0);
    const struct option_table tables[] = {
        {service_option_rows, service_option_rows_count},
        {listener_option_rows, listener_option_rows_count},
        {http_option_rows, http_option_rows_count},
        {cache_option_rows, cache_option_rows_count},
        {policy_option_rows, policy_option_rows_count},
        {embed_option_rows, embed_option_rows_count},
        {store_option_rows, store_option_rows_count},
        {journal_option_rows, journal_option_rows_count},
        {index_option_rows, index_option_rows_count},
    };
    struct settings settings = {.action = SETTINGS_RUN, .self_check_folder = "."};
    enum status status =
        options_create(tables, sizeof(tables) / sizeof(tables[0]), &settings.options);
    if (status != STATUS_OK)
        return status;
    status = read_everything(&settings, argc, argv, environment, errors);
    if (status != STATUS_OK) {
        settings_destroy(&settings);
        return status;
    }
    *out_settings = settings;
    return STATUS_OK;
}

void settings_destroy(struct settings *settings)
{
    options_destroy(&settings->options);
}
