/*
 * print.h - replies for people: names on the left, nothing wider than PRINT_COLUMNS but the answer
 * itself. Threads: the main thread.
 */
#pragma once
#include <stdio.h>

#include "clients/c/reprise.h"

enum { PRINT_COLUMNS = 100, PRINT_LABEL = 13 };

/* At most `columns` characters of the text on this line: control characters become spaces, a cut
 * ends in "...". */
void print_clipped(FILE *out, const char *text, size_t columns);

/* Words of the protocol for people: "GUARD_BLOCKED" becomes "guard blocked". At most 63 bytes.
 * Returns `out`. */
const char *print_words(const char *name, char out[64]);

void print_get(FILE *out, const struct reprise_get_reply *reply);
void print_set(FILE *out, const struct reprise_set_reply *reply, int64_t now_unix_ms);
void print_invalidate(FILE *out, const struct reprise_invalidate_reply *reply,
                      const struct reprise_invalidate_request *request);
void print_search(FILE *out, const struct reprise_search_reply *reply);
/* The reason stands in the first line. */
void print_explain(FILE *out, const struct reprise_explain_reply *reply);
/* One line, and all of it with its answer. */
void print_stored_line(FILE *out, const struct reprise_stored *entry, int64_t now_unix_ms);
void print_stored(FILE *out, const struct reprise_stored *entry, int64_t now_unix_ms);
void print_stats(FILE *out, const struct reprise_stats_reply *reply);
