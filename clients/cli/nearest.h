/* nearest.h - the name that somebody may have meant. Threads: any; pure. */
#pragma once
#include <stddef.h>

/* How many letters must be inserted, removed, replaced or swapped with their neighbour; words over
 * 63 bytes are far. */
size_t nearest_distance(const char *a, const char *b);

/* Keeps the better of *best (NULL at first) and `candidate` for what was typed; what is too far
 * never becomes best. */
void nearest_consider(const char *typed, const char *candidate, const char **best);
