/*
 * pressure.h - who gives way when the budget is spent. Threads: as builder_step.
 */
#pragma once
#include <stdbool.h>

#include "index/directory.h"

/* A scope that was used within a minute keeps all it has. */
enum { PRESSURE_IDLE_MS_MIN = 60 * 1000 };

/* If an insert was refused since the last time: true if some memory was freed. */
bool pressure_relieve(struct directory *directory);
/* Whether a build may begin: builds stop before inserts have to. */
bool pressure_allows_builds(struct directory *directory);
