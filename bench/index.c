/*
 * index.c - our index among those that are compared; index_run.py drives it and the peers.
 *
 *   bench_index FOLDER DIMENSION ROWS   then lines on standard input, a JSON object for each:
 *     build KIND LINKS EF_CONSTRUCTION LISTS THREADS FILE   THREADS and FILE are the peers' affair
 *     set BREADTH                       ef, or the lists that a search reads
 *     recall HITS NOVELS                of so many queries of each kind, at 1 and at 8
 *     time K THREADS MILLISECONDS       lookups/s of hit queries
 *     churn INSERTS_PER_S SECONDS       searches beside inserts (index_load.c)
 *     writes PERCENT SECONDS            searches and writes with eviction at capacity
 *     scopes COUNT SECONDS              the rows in so many scopes
 *
 * One thread is measured by its CPU time, on the core that this program was started on; several by
 * the wall clock, one on each core.
 *
 * Threads: the main one and those that `time` and the loads start; all registered.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "bench/index_bench.h"
#include "index/faiss_c.h"
#include "index/segment.h"

enum { PATH_SIZE = 4096, THREADS_MAX = 64, LINE_SIZE = 8192 };

/* ---- helpers --------------------------------------------------------------------------------- */

void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "bench_index: %s failed\n", what);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    must(clock_gettime(clock, &now) == 0, "reading the clock");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t process_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int cores_count(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int home_core(void)
{
    return cores_count() - 1;
}

void move_to_core(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "moving to a core");
}

void move_to_all_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int core = 0; core < cores_count(); core++)
        CPU_SET((size_t)core, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "moving to all cores");
}

static const void *map_file(const char *path)
{
    struct stat about;
    const int file = open(path, O_RDONLY);
    must(file >= 0 && fstat(file, &about) == 0, path);
    void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, file, 0);
    must(bytes != MAP_FAILED, path);
    (void)close(file);
    return bytes;
}

static void open_files(struct bench *bench)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/rows-%u.f32", bench->folder, bench->dimension);
    bench->rows = map_file(path);
    (void)snprintf(path, sizeof(path), "%s/queries-%u-%" PRIu64 ".f32", bench->folder,
                   bench->dimension, bench->rows_count);
    bench->queries = map_file(path);
    (void)snprintf(path, sizeof(path), "%s/truth-%u-%" PRIu64 ".i32", bench->folder,
                   bench->dimension, bench->rows_count);
    bench->truth = map_file(path);
}

/* ---- build and recall ------------------------------------------------------------------------ */

static enum index_kind kind_of(const char *name)
{
    for (enum index_kind kind = INDEX_AUTO; kind < INDEX_KINDS; kind++)
        if (strcmp(name, index_kind_name(kind)) == 0)
            return kind;
    must(false, "finding that kind");
    return INDEX_AUTO;
}

static void run_build(struct bench *bench, const char *words)
{
    char kind[16];
    struct own_plan plan = {.scopes = 1};
    must(sscanf(words, "%15s %u %u %u", kind, &plan.links, &plan.ef_construction, &plan.lists) == 4,
         "reading build");
    plan.kind = kind_of(kind);
    own_destroy(&bench->own);
    const uint64_t started = process_cpu_ns();
    bench->own = own_create(bench, &plan);
    own_settle(bench->own);
    (void)printf("{\"cpu_s\":%.6f,\"hot_bytes\":%.3f,\"all_bytes\":%.1f}\n",
                 (double)(process_cpu_ns() - started) * 1e-9, own_hot_bytes(bench->own),
                 own_all_bytes(bench->own));
}

static bool is_hit(const struct search *search, int32_t row)
{
    for (uint32_t i = 0; i < search->hits_count; i++)
        if (search->hits[i].sequence == (uint64_t)row + 1)
            return true;
    return false;
}

static double recall_of(struct bench *bench, uint32_t first, uint32_t count, uint32_t k)
{
    static struct search search;
    uint64_t found = 0;
    for (uint32_t query = first; query < first + count; query++) {
        own_search(bench->own, bench_query(bench, query), k, &search);
        for (uint32_t i = 0; i < k; i++)
            found += is_hit(&search, bench->truth[(size_t)query * INDEX_NEAREST + i]);
    }
    return (double)found / ((double)count * k);
}

static void run_recall(struct bench *bench, const char *words)
{
    uint32_t hits = 0, novels = 0;
    must(sscanf(words, "%u %u", &hits, &novels) == 2, "reading recall");
    (void)printf("{\"hit\":%.5f,\"novel\":%.5f,\"hit8\":%.5f,\"novel8\":%.5f}\n",
                 recall_of(bench, 0, hits, 1), recall_of(bench, INDEX_HIT_QUERIES, novels, 1),
                 recall_of(bench, 0, hits < 1000 ? hits : 1000, 8),
                 recall_of(bench, INDEX_HIT_QUERIES, novels, 8));
}

/* ---- time ------------------------------------------------------------------------------------ */

struct asker {
    struct bench *bench;
    uint32_t k, first;
    int core; /* -1: stays where it is, and its own CPU time counts */
    uint64_t duration_ns;
    double rate;
};

static void ask(struct asker *asker)
{
    static _Thread_local struct search search;
    uint64_t (*const clock)(void) = asker->core < 0 ? thread_cpu_ns : wall_ns;
    const uint64_t started = clock();
    uint64_t asked = 0, spent = 0;
    while (spent < asker->duration_ns) {
        const uint64_t query = (asker->first + asked++) % INDEX_HIT_QUERIES;
        own_search(asker->bench->own, bench_query(asker->bench, query), asker->k, &search);
        spent = clock() - started;
    }
    asker->rate = (double)asked * 1e9 / (double)spent;
}

static void ask_on_core(void *argument)
{
    struct asker *asker = argument;
    move_to_core(asker->core);
    ask(asker);
}

static double ask_side_by_side(struct bench *bench, uint32_t k, uint32_t threads, uint64_t ns)
{
    struct asker askers[THREADS_MAX];
    struct thread *started[THREADS_MAX] = {0};
    double rate = 0;
    must(threads <= THREADS_MAX, "so many threads");
    for (uint32_t i = 0; i < threads; i++) {
        askers[i] = (struct asker){
            .bench = bench, .k = k, .first = i * 1000, .core = (int)i, .duration_ns = ns};
        must(thread_create(THREAD_COMPUTE, "asker", ask_on_core, &askers[i], &started[i]) ==
                 STATUS_OK,
             "starting a thread");
    }
    for (uint32_t i = 0; i < threads; i++) {
        thread_join(&started[i]);
        rate += askers[i].rate;
    }
    return rate;
}

static void run_time(struct bench *bench, const char *words)
{
    static uint32_t next; /* so that rounds do not repeat the same few queries */
    uint32_t k = 0, threads = 0;
    double milliseconds = 0;
    must(sscanf(words, "%u %u %lf", &k, &threads, &milliseconds) == 3, "reading time");
    const uint64_t ns = (uint64_t)(milliseconds * 1e6);
    if (threads > 1) {
        (void)printf("{\"qps\":%.3f}\n", ask_side_by_side(bench, k, threads, ns));
        return;
    }
    struct asker asker = {
        .bench = bench, .k = k, .first = next += 997, .core = -1, .duration_ns = ns};
    ask(&asker);
    (void)printf("{\"qps\":%.3f}\n", asker.rate);
}

/* ---- the conversation ------------------------------------------------------------------------ */

static void run_set(struct bench *bench, const char *words)
{
    own_set_breadth(bench->own, (uint32_t)strtoul(words, NULL, 10));
    (void)printf("{}\n");
}

static void run_churn(struct bench *bench, const char *words)
{
    uint32_t rate = 0;
    double seconds = 0;
    must(sscanf(words, "%u %lf", &rate, &seconds) == 2, "reading churn");
    load_churn(bench, rate, seconds);
}

static void run_writes(struct bench *bench, const char *words)
{
    uint32_t percent = 0;
    double seconds = 0;
    must(sscanf(words, "%u %lf", &percent, &seconds) == 2, "reading writes");
    load_writes(bench, percent, seconds);
}

static void run_scopes(struct bench *bench, const char *words)
{
    uint32_t scopes = 0;
    double seconds = 0;
    must(sscanf(words, "%u %lf", &scopes, &seconds) == 2, "reading scopes");
    load_scopes(bench, scopes, seconds);
}

static const struct {
    const char *name;
    void (*run)(struct bench *bench, const char *words);
} verbs[] = {
    {"build", run_build}, {"set", run_set},       {"recall", run_recall}, {"time", run_time},
    {"churn", run_churn}, {"writes", run_writes}, {"scopes", run_scopes},
};

static void answer(struct bench *bench, const char *line)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const size_t length = strlen(verbs[i].name);
        if (strncmp(line, verbs[i].name, length) == 0 && line[length] == ' ') {
            verbs[i].run(bench, line + length + 1);
            (void)fflush(stdout);
            return;
        }
    }
    must(false, line);
}

int main(int count, char **words)
{
    must(count == 4, "usage: bench_index FOLDER DIMENSION ROWS;");
    struct bench bench = {.folder = words[1],
                          .dimension = (uint32_t)strtoul(words[2], NULL, 10),
                          .rows_count = strtoull(words[3], NULL, 10)};
    static char line[LINE_SIZE];
    must(thread_register(THREAD_COMPUTE) == STATUS_OK, "registering the thread");
    faiss_c_single_thread();
    open_files(&bench);
    while (fgets(line, sizeof(line), stdin) != NULL)
        answer(&bench, line);
    own_destroy(&bench.own);
    thread_unregister();
    return 0;
}
