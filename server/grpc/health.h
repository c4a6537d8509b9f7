/*
 * health.h - grpc.health.v1: is this server, or one of its services, ready? Names: "" and each
 * service for the whole, "readiness" for the same, "liveness" for whether the process answers at
 * all. Threads: any.
 */
#pragma once
#include <stdbool.h>

#include "base/status.h"

struct call;
struct health;
struct symbols;

/* Not serving. The symbols are borrowed: their services are the names that exist. */
enum status health_create(const struct symbols *symbols, struct health **out_health);
/* No watcher is left. */
void health_destroy(struct health **health);

/* Tells every watcher whose service changes. */
void health_set_serving(struct health *health, bool serving);
/* Ends every Watch, the next ones too, with CANCELLED. */
void health_end_watches(struct health *health);

/* The two methods; see methods.h. */
void health_check(struct call *call);
void health_watch(struct call *call);
void health_written(struct call *call, bool success);
void health_closed(struct call *call);
