/*
 * recent.h - the vectors of the last texts: a miss and the Set that follows it embed once. The
 * oldest gives way. Threads: one at a time; the caller's lock is around it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

enum { RECENT_TEXTS_MAX = 1 << 20 };

struct recent;

/* texts_max 0: remembers nothing. The seed makes places unguessable. */
enum status recent_create(uint32_t texts_max, uint32_t dimension, uint64_t seed,
                          struct recent **out_recent);
void recent_destroy(struct recent **recent); /* NULL is fine */

/* Copies the vector of the text with this digest; false: it is not there. */
bool recent_find(const struct recent *recent, const struct digest *text, float *out_unit);
/* Keeps a copy. A text that is there already stays as it is. */
void recent_insert(struct recent *recent, const struct digest *text, const float *unit);
