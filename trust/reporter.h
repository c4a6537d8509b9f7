/*
 * reporter.h - how many verdicts one reporter may give in a minute (60). A bounded table; when it
 * is full the longest silent reporter is forgotten. Threads: any; rank REPORTERS.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

enum { REPORTER_VERDICTS_A_MINUTE = 60 };
struct reporters;
enum status reporters_create(uint32_t reporters_max, const uint8_t hash_key[16],
                             struct reporters **out_reporters);
void reporters_destroy(struct reporters **reporters);
/* Takes one verdict of the minute; false when none is left. *out_left: how many remain. An empty
 * name is not limited. */
bool reporters_take(struct reporters *reporters, struct text reporter, int64_t now_ms,
                    uint32_t *out_left);
/* How many of the minute are left; takes none, and nobody is heard by it. */
uint32_t reporters_left(struct reporters *reporters, struct text reporter, int64_t now_ms);
