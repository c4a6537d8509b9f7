/*
 * dump.h - every record of a data folder as a line of JSON, prompts and answers included: for
 * operators who want to know what is there. Damage is skipped and has lines of its own. Changes
 * nothing. Threads: the caller's.
 */
#pragma once
#include "base/text.h"

/* One object without the end of the line. Another status than OK ends the dump and is returned. */
typedef enum status dump_sink(void *context, struct text line);

/* STATUS_NOT_FOUND: there is no such folder. */
enum status storage_dump(const char *directory, dump_sink *sink, void *context,
                         struct failure *failure);
