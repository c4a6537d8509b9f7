/*
 * life.c - from flags to cache control, and to what a Set says of an answer's life. What the times
 * may be is the server's word. Owns nothing. Threads: the main thread.
 */
#include "clients/cli/life.h"

#include <stdlib.h>
#include <string.h>

#include "clients/cli/units.h"

static enum verb_exit read_time(const struct cli *cli, const struct arguments *arguments,
                                const char *flag, uint64_t *out_ms)
{
    const char *typed = arguments_text(arguments, flag);
    if (typed == NULL || units_read_ms(typed, out_ms))
        return VERB_DONE;
    return verb_usage(cli, "--%s wants a time such as 10min (ms, s, min, h, d), not \"%s\"", flag,
                      typed);
}

enum verb_exit life_read_control(const struct cli *cli, const struct arguments *arguments,
                                 struct reprise_cache_control *out_control)
{
    out_control->bypass = arguments_has(arguments, "bypass");
    out_control->no_cache = arguments_has(arguments, "no-cache");
    out_control->no_store = arguments_has(arguments, "no-store");
    out_control->only_if_cached = arguments_has(arguments, "only-if-cached");
    out_control->max_age_given = arguments_text(arguments, "max-age") != NULL;
    enum verb_exit exit_code = read_time(cli, arguments, "max-age", &out_control->max_age_ms);
    if (exit_code == VERB_DONE)
        exit_code = read_time(cli, arguments, "min-fresh", &out_control->min_fresh_ms);
    if (exit_code == VERB_DONE)
        exit_code = read_time(cli, arguments, "max-stale", &out_control->max_stale_ms);
    return exit_code;
}

enum verb_exit life_read_set(const struct cli *cli, const struct arguments *arguments,
                             struct reprise_set_request *out_request)
{
    struct reprise_set_request *request = out_request;
    request->cache_control.no_store = arguments_has(arguments, "no-store");
    request->pinned = arguments_has(arguments, "pinned");
    request->if_absent = arguments_has(arguments, "if-absent");
    request->negative = arguments_has(arguments, "negative");
    request->sliding =
        arguments_has(arguments, "sliding") || arguments_text(arguments, "sliding-max") != NULL;
    request->ttl_given = arguments_text(arguments, "ttl") != NULL;
    const struct {
        const char *flag;
        uint64_t *out_ms;
    } times[] = {
        {"ttl", &request->ttl_ms},
        {"sliding-max", &request->sliding_max_ms},
        {"stale-while-revalidate", &request->stale_while_revalidate_ms},
        {"stale-if-error", &request->stale_if_error_ms},
    };
    enum verb_exit exit_code = VERB_DONE;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]) && exit_code == VERB_DONE; i++)
        exit_code = read_time(cli, arguments, times[i].flag, times[i].out_ms);
    return exit_code;
}

void life_free_dependencies(struct reprise_dependency **dependencies, size_t count)
{
    for (size_t i = 0; *dependencies != NULL && i < count; i++)
        free((char *)(uintptr_t)(*dependencies)[i].id); /* the copy that holds both halves */
    free(*dependencies);
    *dependencies = NULL;
}

enum verb_exit life_read_dependencies(const struct cli *cli, const struct arguments *arguments,
                                      struct reprise_dependency **out_dependencies,
                                      size_t *out_count)
{
    const size_t count = arguments_count(arguments, "depends-on");
    struct reprise_dependency *dependencies = calloc(count + 1, sizeof(*dependencies));
    if (dependencies == NULL)
        return verb_fail(cli, "out of memory");
    for (size_t i = 0; i < count; i++) {
        char *copy = strdup(arguments_at(arguments, "depends-on", i));
        if (copy == NULL) {
            life_free_dependencies(&dependencies, i);
            return verb_fail(cli, "out of memory");
        }
        char *at = strrchr(copy, '@');
        dependencies[i] = (struct reprise_dependency){copy, at != NULL ? at + 1 : ""};
        if (at != NULL)
            *at = '\0';
    }
    *out_dependencies = dependencies;
    *out_count = count;
    return VERB_DONE;
}
