/*
 * machine.c - the limits of the container, else of the machine. Owns nothing. Threads: any.
 *
 * cgroup v2: `0::/path`; <root>/path/memory.max holds a number or "max", <root>/path/cpu.max "quota
 * period" or "max period". cgroup v1: `7:memory:/path`; <root>/memory/path/memory.limit_in_bytes is
 * near 2^63 when there is no limit, <root>/cpu/path/cpu.cfs_quota_us is -1. A group's limit holds
 * for those below it, so the walk goes up to the root; inside a container the path is often "/" and
 * the root holds the limit. (Linux, Documentation/admin-guide/cgroup-v2.rst; cgroup-v1/memory.rst;
 * scheduler/sched-bwc.rst.)
 */
#include "base/machine.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, PATH_MAX_BYTES = 2 * LINE_MAX_BYTES };

static const char own_memberships[] = "/proc/self/cgroup";
static const char own_root[] = "/sys/fs/cgroup";

struct control {            /* one thing that a group may limit */
    const char *controller; /* its folder and name in version 1          */
    const char *file_v1, *file_v2;
    uint64_t (*read)(const char *path); /* UINT64_MAX: no limit                     */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool read_line(const char *path, char out_line[64])
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const bool is_read = fgets(out_line, 64, file) != NULL;
    (void)fclose(file);
    return is_read;
}

/* The number at *at, which moves behind it; UINT64_MAX when there is none or it is 0. */
static uint64_t take_number(const char **at)
{
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(*at, &end, 10);
    const bool is_number = errno == 0 && end != *at && number > 0;
    *at = end;
    return is_number ? (uint64_t)number : UINT64_MAX;
}

static uint64_t read_bytes(const char *path)
{
    char line[64];
    const char *at = line;
    return read_line(path, line) ? take_number(&at) : UINT64_MAX;
}

/* Cores of "quota period"; of a quota alone when the period is in a file of its own (version 1). */
static uint64_t read_cores(const char *path)
{
    char line[64], period_line[64] = "100000"; /* the kernel's default, microseconds */
    if (!read_line(path, line))
        return UINT64_MAX;
    const char *at = line;
    const uint64_t quota = take_number(&at);
    char period_path[PATH_MAX_BYTES];
    const char *end = strstr(path, "cfs_quota_us");
    if (end != NULL) {
        (void)snprintf(period_path, sizeof(period_path), "%.*scfs_period_us", (int)(end - path),
                       path);
        (void)read_line(period_path, period_line);
        at = period_line;
    }
    if (quota == UINT64_MAX)
        return UINT64_MAX;
    const uint64_t period = take_number(&at);
    return period != UINT64_MAX ? (quota + period - 1) / period : UINT64_MAX;
}

/* `group` is cut shorter, parent by parent, down to "". */
static uint64_t limit_upwards(const struct control *control, const char *folder, char *group,
                              const char *file)
{
    uint64_t limit = UINT64_MAX;
    bool is_root = false;
    while (!is_root) {
        char path[PATH_MAX_BYTES];
        const int length = snprintf(path, sizeof(path), "%s%s/%s", folder, group, file);
        if (length > 0 && (size_t)length < sizeof(path))
            limit = smaller(limit, control->read(path));
        char *slash = strrchr(group, '/');
        is_root = slash == NULL;
        if (!is_root)
            *slash = '\0';
    }
    return limit;
}

static bool has_controller(const char *controllers, const char *wanted)
{
    const size_t length = strlen(wanted);
    for (const char *at = strstr(controllers, wanted); at != NULL; at = strstr(at + 1, wanted)) {
        const bool begins = at == controllers || at[-1] == ',';
        if (begins && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* One line, `number:controllers:path`. */
static uint64_t limit_of_line(const struct control *control, char *line, const char *root)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL)
        return UINT64_MAX;
    controllers++;
    *group = '\0';
    group++;
    if (*controllers == '\0')
        return limit_upwards(control, root, group, control->file_v2);
    if (!has_controller(controllers, control->controller))
        return UINT64_MAX;
    char folder[LINE_MAX_BYTES];
    const int length = snprintf(folder, sizeof(folder), "%s/%s", root, control->controller);
    if (length < 0 || (size_t)length >= sizeof(folder))
        return UINT64_MAX;
    return limit_upwards(control, folder, group, control->file_v1);
}

static uint64_t limit_of(const struct control *control, const char *memberships, const char *root)
{
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen(memberships, "re");
    if (file == NULL)
        return limit;
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof(line), file) != NULL)
        limit = smaller(limit, limit_of_line(control, line, root));
    (void)fclose(file);
    return limit;
}

uint64_t machine_memory_bytes_at(const char *memberships, const char *root)
{
    static const struct control memory = {"memory", "memory.limit_in_bytes", "memory.max",
                                          read_bytes};
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    assert(page_bytes > 0);
    assert(pages > 0);
    const uint64_t bytes =
        smaller((uint64_t)pages * (uint64_t)page_bytes, limit_of(&memory, memberships, root));
    assert(bytes > 0);
    return bytes;
}

uint32_t machine_cores_at(const char *memberships, const char *root)
{
    static const struct control cpu = {"cpu", "cpu.cfs_quota_us", "cpu.max", read_cores};
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t cores =
        smaller(online > 0 ? (uint64_t)online : 1, limit_of(&cpu, memberships, root));
    assert(cores > 0);
    return (uint32_t)cores;
}

uint64_t machine_memory_bytes(void)
{
    return machine_memory_bytes_at(own_memberships, own_root);
}

uint32_t machine_cores(void)
{
    return machine_cores_at(own_memberships, own_root);
}
