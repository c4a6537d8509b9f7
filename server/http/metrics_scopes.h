/*
 * metrics_scopes.h - the part of /metrics that has a line for each scope and each namespace.
 * Threads: those that may enter an epoch.
 */
#pragma once
#include <stdio.h>

struct arena;
struct cache;
struct cache_stats;

void metrics_of_scopes(const struct cache_stats *stats, FILE *out);
/* What memory is there for; the arena is the caller's. */
void metrics_of_namespaces(struct cache *cache, struct arena *arena, FILE *out);
