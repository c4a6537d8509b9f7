/*
 * machine.h - what this process may use: the machine's cores and memory, or less where a control
 * group says so. Pure but for the files it is told to read. Threads: any.
 */
#pragma once
#include <stdint.h>

/* Bytes of memory; at least 1. */
uint64_t machine_memory_bytes(void);

/* Cores, rounded up where a quota is a fraction; at least 1. */
uint32_t machine_cores(void);

/*
 * The same below other files, for tests: the smallest limit among the machine's own and the control
 * groups that `memberships` (in the format of /proc/self/cgroup) names below `root`, both versions,
 * each group's parents included. What cannot be read sets no limit.
 */
uint64_t machine_memory_bytes_at(const char *memberships, const char *root);
uint32_t machine_cores_at(const char *memberships, const char *root);
