/*
 * option_name.h - one name, three spellings, and the nearest name to a misspelt one. Pure. Threads:
 * any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { OPTION_NAME_MAX = 80 }; /* with the longest prefix and the end */

enum option_spelling {
    OPTION_IN_FILE,        /* server.inflight_max          */
    OPTION_IN_ENVIRONMENT, /* REPRISE_SERVER_INFLIGHT_MAX  */
    OPTION_AS_FLAG,        /* --server-inflight-max        */
};

void option_name_spell(const char *name, enum option_spelling spelling,
                       char out_spelt[OPTION_NAME_MAX]);

/* Is `typed` (length bytes) this spelling of `name`? A flag may keep the underscores of the name.
 */
bool option_name_matches(const char *name, enum option_spelling spelling, const char *typed,
                         size_t length);

/* Insertions, deletions and replacements from one to the other (Levenshtein 1966); SIZE_MAX if
 * over-long. */
size_t option_name_distance(const char *a, size_t a_length, const char *b, size_t b_length);
