/*
 * life.h - flags about how long an answer serves, as get and set take them. Threads: the main
 * thread.
 */
#pragma once
#include "clients/cli/verbs.h"

/* VERB_USAGE names the flag that cannot be read; what is not given stays as it is. */
enum verb_exit life_read_control(const struct cli *cli, const struct arguments *arguments,
                                 struct reprise_cache_control *out_control);
enum verb_exit life_read_set(const struct cli *cli, const struct arguments *arguments,
                             struct reprise_set_request *out_request);

/* "ID@VERSION", cut at the last @; *out_dependencies is freed with life_free_dependencies. */
enum verb_exit life_read_dependencies(const struct cli *cli, const struct arguments *arguments,
                                      struct reprise_dependency **out_dependencies,
                                      size_t *out_count);
void life_free_dependencies(struct reprise_dependency **dependencies, size_t count);
