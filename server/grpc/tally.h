/*
 * tally.h - how often each method was answered with which code. Threads: any.
 */
#pragma once
#include <grpc/status.h>
#include <stdio.h>

#include "base/metrics.h"
#include "base/status.h"

struct method;

/* counters_destroy ends it. STATUS_NO_MEMORY. */
enum status tally_create(struct counters **out_tally);
/* method NULL: the path was none. One addition, to a line that no other thread writes. */
void tally_count(struct counters *tally, const struct method *method, grpc_status_code code);
/* As Prometheus text. Of each method there is OK, and what else has happened. */
void tally_metrics(const struct counters *tally, FILE *out);
