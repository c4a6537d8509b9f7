/*
 * stored_line.h - a line of an export, read back. Threads: any; pure.
 */
#pragma once
#include <cjson/cJSON.h>

#include "base/arena.h"
#include "clients/c/reprise.h"

/* Texts stay in the tree, lists lie in the arena. Returns what is wrong with it, or NULL. */
const char *stored_line_read(const cJSON *tree, struct arena *arena,
                             struct reprise_stored *out_entry);
