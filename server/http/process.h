/*
 * process.h - what the kernel says of this process, by the names that Prometheus' clients share.
 * Threads: any.
 */
#pragma once
#include <stdio.h>

/* https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics */
void process_metrics(FILE *out);
