/*
 * budget.c - the memory limit of the container, else of the machine.
 * cgroup v2: `0::/path`, limit in <root>/path/memory.max, a number or "max". cgroup v1:
 * `7:memory:/path`, limit in <root>/memory/path/memory.limit_in_bytes, near 2^63 when there is
 * none. A group's limit holds for those below it, so the walk goes up to the root; inside a
 * container the path is often "/" and the root holds the limit. (Linux,
 * Documentation/admin-guide/cgroup-v2.rst, "memory.max"; cgroup-v1/memory.rst.)
 */
#include "storage/budget.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, PART_PERCENT = 40 };

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t machine_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    assert(page_bytes > 0);
    return pages > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_MAX;
}

/* UINT64_MAX when there is no file or no number in it. */
static uint64_t read_limit(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return UINT64_MAX;
    char line[64] = "";
    const bool is_read = fgets(line, sizeof(line), file) != NULL;
    (void)fclose(file);
    char *end = line;
    errno = 0;
    const uint64_t limit = strtoull(line, &end, 10);
    return is_read && errno == 0 && end != line && limit > 0 ? limit : UINT64_MAX;
}

/* `group` is cut shorter, parent by parent, down to "". */
static uint64_t limit_upwards(const char *folder, char *group, const char *file)
{
    uint64_t limit = UINT64_MAX;
    bool is_root = false;
    while (!is_root) {
        char path[2 * LINE_MAX_BYTES];
        const int length = snprintf(path, sizeof(path), "%s%s/%s", folder, group, file);
        if (length > 0 && (size_t)length < sizeof(path))
            limit = smaller(limit, read_limit(path));
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
static uint64_t limit_of_line(char *line, const char *root)
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
        return limit_upwards(root, group, "memory.max");
    if (!has_controller(controllers, "memory"))
        return UINT64_MAX;
    char folder[LINE_MAX_BYTES];
    const int length = snprintf(folder, sizeof(folder), "%s/memory", root);
    if (length < 0 || (size_t)length >= sizeof(folder))
        return UINT64_MAX;
    return limit_upwards(folder, group, "memory.limit_in_bytes");
}

uint64_t budget_limit_bytes(const char *memberships, const char *root)
{
    uint64_t limit = machine_bytes();
    FILE *file = fopen(memberships, "re");
    if (file == NULL)
        return limit;
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof(line), file) != NULL)
        limit = smaller(limit, limit_of_line(line, root));
    (void)fclose(file);
    assert(limit > 0);
    return limit;
}

uint64_t budget_part(uint64_t limit_bytes)
{
    const uint64_t part = limit_bytes / 100 * PART_PERCENT;
    return part > 0 ? part : 1;
}
