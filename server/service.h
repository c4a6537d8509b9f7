/*
 * service.h - the process as one object: created top to bottom, destroyed bottom to top.
 * Threads: main; service_hurry from any.
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

/* Builds every part and begins to serve. `failure` says which part could not be made. The options
 * outlive it. */
enum status service_create(const struct options *options, const char *version,
                           struct service **out_service, struct failure *failure);

/* Where it listens: "127.0.0.1:7371". */
const char *service_address(const struct service *service);

/* Refuses new calls, lets those in flight finish within server.drain_timeout. Once. */
void service_drain(struct service *service);
/* Ends the waits of a drain that is going on. */
void service_hurry(struct service *service);

void service_destroy(struct service **service);
