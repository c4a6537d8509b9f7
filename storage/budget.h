/*
 * budget.h - how much memory this process may use, and which part of it is for entries. Pure but
 * for the files it is told to read. Threads: any.
 */
#pragma once
#include <stdint.h>

/*
 * The smallest limit among the machine's memory and the control groups that `memberships` (in the
 * format of /proc/self/cgroup) names below `root`, both versions, each group's parents included.
 * What cannot be read sets no limit.
 */
uint64_t budget_limit_bytes(const char *memberships, const char *root);

/* 40 % of it. */
uint64_t budget_part(uint64_t limit_bytes);
