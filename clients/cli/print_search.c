/*
 * print_search.c - search and explain for people. Prompts are cut and cleaned, answers printed as
 * they are. Owns nothing. Threads: the main thread.
 */
#include <inttypes.h>

#include "clients/cli/print.h"

static void print_candidate(FILE *out, const struct reprise_candidate *candidate)
{
    char words[64];
    (void)fprintf(out, "%.4f  %-9s%s ", (double)candidate->similarity,
                  candidate->guard == REPRISE_GUARD_CLEAN
                      ? "clean"
                      : print_words(reprise_guard_name(candidate->guard), words),
                  candidate->other_compatibility ? "*" : " ");
    print_clipped(out, candidate->prompt, PRINT_COLUMNS - PRINT_LABEL - 19);
    (void)fputc('\n', out);
}

static void print_answer(FILE *out, const struct reprise_candidate *candidate)
{
    if (candidate->blob_size > 0)
        (void)fprintf(out, "(%zu bytes)\n\n", candidate->blob_size);
    else if (candidate->content[0] != '\0')
        (void)fprintf(out, "%s\n\n", candidate->content);
}

void print_search(FILE *out, const struct reprise_search_reply *reply)
{
    bool others = false;
    for (size_t i = 0; i < reply->candidates_count; i++) {
        (void)fprintf(out, "%.12s ", reply->candidates[i].entry_id);
        print_candidate(out, &reply->candidates[i]);
        print_answer(out, &reply->candidates[i]);
        others |= reply->candidates[i].other_compatibility;
    }
    (void)fprintf(out, "%zu found, %" PRIu32 " row%s looked at\n", reply->candidates_count,
                  reply->scanned, reply->scanned == 1 ? "" : "s");
    if (others)
        (void)fputs("* of another system prompt, history, parameters or format\n", out);
}

static void print_field(FILE *out, const struct reprise_field_diff *field)
{
    const bool both = field->request_digest[0] != '\0' && field->entry_digest[0] != '\0';
    const char *how = field->equal ? "equal" : "differs";
    if (!both)
        how = field->entry_digest[0] != '\0' ? "only the entry has it" : "only the request has it";
    (void)fprintf(out, "  %-22s %s\n", field->field, how);
}

void print_explain(FILE *out, const struct reprise_explain_reply *reply)
{
    (void)fprintf(out, "%s\n\n", reply->reason);
    for (size_t i = 0; i < reply->steps_count; i++)
        (void)fprintf(out, "%zu. %s\n", i + 1, reply->steps[i]);
    if (reply->candidates_count > 0)
        (void)fputs("\nnearest that it might be served by:\n", out);
    for (size_t i = 0; i < reply->candidates_count; i++) {
        (void)fputs("  ", out);
        print_candidate(out, &reply->candidates[i]);
    }
    if (reply->fields_count > 0)
        (void)fprintf(out, "\nfields of the request and of entry %.12s:\n",
                      reply->against_entry_id);
    for (size_t i = 0; i < reply->fields_count; i++)
        print_field(out, &reply->fields[i]);
}
