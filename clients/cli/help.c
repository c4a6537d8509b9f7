/*
 * help.c - help and version, printed from the tables. Owns nothing. Threads: the main thread.
 */
#include <string.h>

#include "clients/cli/verbs.h"

static void print_flags(FILE *out, const struct flag_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct flag_row *row = &table->rows[i];
        char left[48];
        (void)snprintf(left, sizeof(left), "--%s %s", row->name,
                       row->value != NULL ? row->value : "");
        (void)fprintf(out, "  %-24s %s\n", left, row->meaning);
    }
}

static enum verb_exit help_verb(const struct cli *cli, const char *name)
{
    const struct verb_row *verb = verb_find(name);
    if (verb == NULL) {
        const char *best = verb_nearest(name);
        if (best != NULL)
            return verb_usage(cli, "there is no verb \"%s\"; did you mean %s?", name, best);
        return verb_usage(cli, "there is no verb \"%s\"; reprise help lists them", name);
    }
    (void)fprintf(cli->out, "reprise %s%s%s [FLAGS] - %s\n\n", verb->name,
                  verb->words[0] != '\0' ? " " : "", verb->words, verb->about);
    for (size_t i = 0; i < ARGUMENTS_TABLES_MAX - 1; i++)
        print_flags(cli->out, &verb->tables[i]);
    const struct flag_table common = {verb_flags, verb_flags_count};
    print_flags(cli->out, &common);
    (void)fprintf(cli->out, "\nexample: %s\n", verb->example);
    return VERB_DONE;
}

enum verb_exit verb_help(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count > 0)
        return help_verb(cli, arguments->words[0]);
    (void)fputs("reprise [FLAGS] VERB ... - ask and tend a Reprise cache\n\n", cli->out);
    for (size_t i = 0; i < verb_rows_count; i++)
        (void)fprintf(cli->out, "  %-12s %s\n", verb_rows[i].name, verb_rows[i].about);
    (void)fputs("\nfor every verb:\n", cli->out);
    const struct flag_table common = {verb_flags, verb_flags_count};
    print_flags(cli->out, &common);
    (void)fputs("\nreprise help VERB tells more. Exit codes: 0 a hit, or done; 1 an error; 2 not "
                "understood;\n"
                "3 a miss; 4 no server, not serving, or no reply in time.\n",
                cli->out);
    return VERB_DONE;
}

enum verb_exit verb_version(const struct cli *cli, const struct arguments *arguments)
{
    (void)arguments;
    (void)fputs(cli->json ? "{\"version\": \"" REPRISE_VERSION "\"}\n"
                          : "reprise " REPRISE_VERSION "\n",
                cli->out);
    return VERB_DONE;
}
