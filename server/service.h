/*
 * service.h - the process as one object: created top to bottom, destroyed bottom to top.
 * Threads: main; service_hurry from any. service_load and service_reload work on main itself.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>

#include "base/options.h"
#include "base/status.h"

struct service;

/* server.compute_threads, server.compute_queue_max, log.format, log.level */
extern const struct option_row service_option_rows[];
extern const size_t service_option_rows_count;

/* What service_create would refuse, without a port: weights are read, and a remote embedder is
 * asked once; what is only unwise is a line on `warnings`. */
enum status service_check(const struct options *options, FILE *warnings, struct failure *failure);

/* Builds every part and listens. Without a data folder it begins to serve; with one it answers
 * LOADING until service_load has read it. `failure` says which part could not be made. The options
 * outlive it. */
enum status service_create(const struct options *options, const char *version,
                           struct service **out_service, struct failure *failure);

/* Before service_load, which asks this every few MiB: false ends it with STATUS_CANCELLED. */
void service_load_while(struct service *service, bool (*is_wanted)(void));

/*
 * Reads the data folder, if there is one, then serves. restore: the snapshot to begin with, NULL:
 * none. Once. On failure (the folder belongs to another process, is damaged, ...) nobody has been
 * served, and destroying is all that is left to do.
 */
enum status service_load(struct service *service, const char *restore, struct failure *failure);

/* Where it listens: "127.0.0.1:7371". */
const char *service_address(const struct service *service);

/* The HTTP door's port; 0: it has none. */
int service_http_port(const struct service *service);

/* File, environment and flags have been read again; NULL: they are wrong. Rows that are OPTION_LIVE
 * change, or all stays as it is; see live.h. After service_load, before service_drain. */
void service_reload(struct service *service, const struct options *fresh);

/* Refuses new calls, lets those in flight finish within server.drain_timeout. Once. */
void service_drain(struct service *service);
/* Ends the waits of a drain that is going on. */
void service_hurry(struct service *service);

void service_destroy(struct service **service);
