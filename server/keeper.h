/*
 * keeper.h - the clockwork: every 100 ms it sweeps expired entries, frees what readers have left,
 * and looks at the door's time limits. Threads: one of its own (role keeper); start and stop by
 * main.
 */
#pragma once
#include "base/status.h"

struct cache;
struct keeper;
struct listener;

enum { KEEPER_TICK_MS = 100 };

enum status keeper_start(struct cache *cache, struct listener *listener,
                         struct keeper **out_keeper);
/* Waits for the tick that is going on, frees it and sets *keeper to NULL; NULL is fine. */
void keeper_stop(struct keeper **keeper);
