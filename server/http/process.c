/*
 * process.c - process_* metrics from /proc/self. What cannot be read is left out. Owns nothing.
 * Threads: any.
 */
#include "server/http/process.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"

/* clang-format off */
enum metric { METRIC_CPU, METRIC_START, METRIC_VIRTUAL, METRIC_RESIDENT, METRIC_FILES, METRIC_FILES_MAX, METRIC_THREADS };
static const struct metric_row rows[] = {
    [METRIC_CPU] = {"process_cpu_seconds_total", METRIC_COUNTER, "seconds", "CPU time, of user and system."},
    [METRIC_START] = {"process_start_time_seconds", METRIC_GAUGE, "seconds", "When the process began, since the epoch."},
    [METRIC_VIRTUAL] = {"process_virtual_memory_bytes", METRIC_GAUGE, "bytes", "Address space."},
    [METRIC_RESIDENT] = {"process_resident_memory_bytes", METRIC_GAUGE, "bytes", "Memory in use."},
    [METRIC_FILES] = {"process_open_fds", METRIC_GAUGE, "files", "Open file descriptors."},
    [METRIC_FILES_MAX] = {"process_max_fds", METRIC_GAUGE, "files", "How many may be open."},
    [METRIC_THREADS] = {"process_threads", METRIC_GAUGE, "threads", "Threads."},
};
/* clang-format on */

static void write_row(enum metric which, double value, FILE *out)
{
    metric_write_head(&rows[which], out);
    metric_write_real(&rows[which], "", value, out);
}

/* From the line of proc(5), field 3 on: what stands before may hold spaces and brackets. */
struct self {
    unsigned long long user, system, started, virtual_bytes;
    long threads, resident_pages;
};

static bool read_self(struct self *out_self)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL)
        return false;
    const char *found = fgets(line, sizeof(line), file);
    (void)fclose(file);
    const char *rest = found != NULL ? strrchr(line, ')') : NULL;
    return rest != NULL &&
           sscanf(rest,
                  ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %ld %*d "
                  "%llu %llu %ld",
                  &out_self->user, &out_self->system, &out_self->threads, &out_self->started,
                  &out_self->virtual_bytes, &out_self->resident_pages) == 6;
}

static unsigned long long boot_time_s(void)
{
    char line[256];
    unsigned long long seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return 0;
    while (seconds == 0 && fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "btime %llu", &seconds);
    (void)fclose(file);
    return seconds;
}

static void write_files(FILE *out)
{
    struct rlimit limit;
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder != NULL) {
        while (readdir(folder) != NULL)
            count++;
        (void)closedir(folder);
        write_row(METRIC_FILES, count - 3, out); /* ".", ".." and this folder itself */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        write_row(METRIC_FILES_MAX, (double)limit.rlim_cur, out);
}

void process_metrics(FILE *out)
{
    struct self self;
    if (read_self(&self)) {
        const double ticks = (double)sysconf(_SC_CLK_TCK);
        write_row(METRIC_CPU, (double)(self.user + self.system) / ticks, out);
        write_row(METRIC_START, (double)boot_time_s() + (double)self.started / ticks, out);
        write_row(METRIC_VIRTUAL, (double)self.virtual_bytes, out);
        write_row(METRIC_RESIDENT, (double)self.resident_pages * (double)sysconf(_SC_PAGESIZE),
                  out);
        write_row(METRIC_THREADS, (double)self.threads, out);
    }
    write_files(out);
}
