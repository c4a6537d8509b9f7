/*
 * index_load.c - our index under loads: searches beside inserts, writes with eviction at capacity,
 * rows in many scopes.
 *
 * A row that came with the load may be nearer to a query than the one that was nearest before; a
 * search counts as right when its best is at least as like the query as the nearest of the rows
 * that the comparison started with.
 *
 * Threads: churn inserts on a thread of its own, on another core than the searches where there is
 * one. Latencies are wall clock.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "bench/index_bench.h"
#include "index/segment.h"
#include "index/vector.h"

enum { LATENCIES_MAX = 8 * 1000 * 1000 };

/* ---- latencies ------------------------------------------------------------------------------- */

struct latencies {
    uint32_t count;
    uint32_t *ns;
};

static struct latencies latencies_start(void)
{
    struct latencies latencies = {.ns = calloc(LATENCIES_MAX, sizeof(uint32_t))};
    must(latencies.ns != NULL, "memory");
    return latencies;
}

static void latencies_add(struct latencies *latencies, uint64_t ns)
{
    if (latencies->count < LATENCIES_MAX)
        latencies->ns[latencies->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static int compare_ns(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Of sorted ones, in us. */
static double percentile(const struct latencies *latencies, double share)
{
    if (latencies->count == 0)
        return 0;
    return latencies->ns[(uint32_t)(share * (latencies->count - 1))] / 1000.0;
}

static void print_latencies(const char *name, struct latencies *latencies)
{
    qsort(latencies->ns, latencies->count, sizeof(*latencies->ns), compare_ns);
    (void)printf("\"%s\":{\"count\":%u,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f}", name,
                 latencies->count, percentile(latencies, 0.5), percentile(latencies, 0.99),
                 percentile(latencies, 0.999));
    free(latencies->ns);
}

/* ---- right or wrong -------------------------------------------------------------------------- */

static const float SIMILARITY_EPSILON = 1e-5f;

static bool is_right(const struct bench *bench, uint64_t query, const struct search *search)
{
    const float *unit = bench_query(bench, query);
    const uint64_t nearest = (uint64_t)bench->truth[query * INDEX_NEAREST];
    const float like = vector_dot(unit, bench_row(bench, nearest), bench->dimension);
    return search->hits_count > 0 && search->hits[0].similarity >= like - SIMILARITY_EPSILON;
}

static double recall_now(struct bench *bench, uint32_t queries)
{
    static struct search search;
    uint32_t right = 0;
    for (uint32_t query = 0; query < queries; query++) {
        own_search(bench->own, bench_query(bench, query), 1, &search);
        right += is_right(bench, query, &search);
    }
    return (double)right / queries;
}

/* ---- churn ----------------------------------------------------------------------------------- */

struct inserter {
    struct bench *bench;
    uint32_t per_s;
    atomic_bool stop;
    uint64_t inserted, late_ns_max;
};

static void wait_until(uint64_t ns)
{
    const struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u),
                                   .tv_nsec = (long)(ns % 1000000000u)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void insert_at_rate(void *argument)
{
    struct inserter *inserter = argument;
    if (cores_count() > 1)
        move_to_core(0);
    static uint64_t next_row; /* a second churn goes on where the first one stopped */
    const uint64_t started = wall_ns(), step = 1000000000u / inserter->per_s;
    while (!atomic_load(&inserter->stop) && next_row < INDEX_EXTRA_ROWS) {
        const uint64_t due = started + inserter->inserted * step;
        wait_until(due);
        const uint64_t late = wall_ns() - due;
        inserter->late_ns_max = late > inserter->late_ns_max ? late : inserter->late_ns_max;
        must(own_insert(inserter->bench->own, inserter->bench->rows_count + next_row++), "insert");
        inserter->inserted++;
    }
}

struct spell { /* searches for a while */
    uint64_t asked, cpu_ns, wall_ns;
    struct latencies latencies;
};

static struct spell search_for(struct bench *bench, double seconds)
{
    static struct search search;
    struct spell spell = {.latencies = latencies_start()};
    const uint64_t started = wall_ns(), cpu_started = thread_cpu_ns();
    const uint64_t until = started + (uint64_t)(seconds * 1e9);
    for (uint64_t now = started; now < until;) {
        own_search(bench->own, bench_query(bench, spell.asked++ % INDEX_HIT_QUERIES), 1, &search);
        const uint64_t then = now;
        now = wall_ns();
        latencies_add(&spell.latencies, now - then);
    }
    spell.cpu_ns = thread_cpu_ns() - cpu_started;
    spell.wall_ns = wall_ns() - started;
    return spell;
}

static void print_spell(const char *name, struct spell *spell)
{
    print_latencies(name, &spell->latencies);
    (void)printf(",\"%s_qps\":%.1f,\"%s_wall_qps\":%.1f", name,
                 (double)spell->asked * 1e9 / (double)spell->cpu_ns, name,
                 (double)spell->asked * 1e9 / (double)spell->wall_ns);
}

/* Searches alone, then beside the inserts; the builder has the other cores. */
void load_churn(struct bench *bench, uint32_t inserts_per_s, double seconds)
{
    struct inserter inserter = {.bench = bench, .per_s = inserts_per_s};
    struct thread *thread = NULL;
    must(inserts_per_s > 0, "a rate of inserts");
    const uint64_t builds_before = own_builds(bench->own);
    struct spell idle = search_for(bench, seconds / 4);
    must(thread_create(THREAD_COMPUTE, "inserter", insert_at_rate, &inserter, &thread) == STATUS_OK,
         "starting a thread");
    struct spell busy = search_for(bench, seconds);
    atomic_store(&inserter.stop, true);
    thread_join(&thread);
    (void)printf("{");
    print_spell("idle", &idle);
    (void)printf(",");
    print_spell("busy", &busy);
    (void)printf(",\"inserted\":%llu,\"late_ms\":%.2f,\"builds\":%llu,\"recall\":%.5f}\n",
                 (unsigned long long)inserter.inserted, (double)inserter.late_ns_max / 1e6,
                 (unsigned long long)(own_builds(bench->own) - builds_before),
                 recall_now(bench, 1000));
}

/* ---- writes with eviction -------------------------------------------------------------------- */

/* Rows [oldest, newest) live: the oldest is evicted for each that comes. When the file's rows are
 * spent it begins again: what was evicted first comes back under its own number. */
struct window {
    uint64_t oldest, newest, rows_all;
};

static void replace_oldest(struct bench *bench, struct window *window)
{
    own_remove(bench->own, window->oldest++ % window->rows_all);
    must(own_insert(bench->own, window->newest++ % window->rows_all), "insert");
}

static bool lives(const struct window *window, uint64_t row)
{
    const uint64_t from = window->oldest % window->rows_all;
    const uint64_t behind = (row + window->rows_all - from) % window->rows_all;
    return behind < window->newest - window->oldest;
}

/* By an exact scan of what lives. */
static double recall_of_window(struct bench *bench, const struct window *window, uint32_t queries)
{
    static struct search search;
    uint32_t right = 0;
    for (uint32_t query = 0; query < queries; query++) {
        const float *unit = bench_query(bench, query);
        float best = -INFINITY;
        for (uint64_t row = 0; row < window->rows_all; row++)
            if (lives(window, row))
                best = fmaxf(best, vector_dot(unit, bench_row(bench, row), bench->dimension));
        own_search(bench->own, unit, 1, &search);
        right += search.hits_count > 0 && search.hits[0].similarity >= best - SIMILARITY_EPSILON;
    }
    return (double)right / queries;
}

void load_writes(struct bench *bench, uint32_t write_percent, double seconds)
{
    static struct search search;
    struct window window = {.newest = bench->rows_count,
                            .rows_all = bench->rows_count + INDEX_EXTRA_ROWS};
    struct latencies searches = latencies_start(), writes = latencies_start();
    const uint64_t started = wall_ns(), cpu_started = thread_cpu_ns();
    const uint64_t until = started + (uint64_t)(seconds * 1e9);
    uint64_t done = 0, now = started;
    for (; now < until; done++) {
        const bool write = done * write_percent / 100 != (done + 1) * write_percent / 100;
        if (write)
            replace_oldest(bench, &window);
        else
            own_search(bench->own, bench_query(bench, done % INDEX_HIT_QUERIES), 1, &search);
        const uint64_t then = now;
        now = wall_ns();
        latencies_add(write ? &writes : &searches, now - then);
    }
    const uint64_t spent = thread_cpu_ns() - cpu_started;
    (void)printf("{\"operations\":%llu,\"per_s\":%.1f,", (unsigned long long)done,
                 (double)done * 1e9 / (double)spent);
    print_latencies("search", &searches);
    (void)printf(",");
    print_latencies("write", &writes);
    (void)printf(",\"recall\":%.5f,\"all_bytes\":%.1f}\n", recall_of_window(bench, &window, 100),
                 own_all_bytes(bench->own));
}

/* ---- scopes ---------------------------------------------------------------------------------- */

/* Of the hit queries, each in the scope that holds its nearest row. */
void load_scopes(struct bench *bench, uint32_t scopes, double seconds)
{
    static struct search search;
    const struct own_plan plan = {.kind = INDEX_AUTO, .scopes = scopes};
    own_destroy(&bench->own);
    const uint64_t build_started = process_cpu_ns();
    bench->own = own_create(bench, &plan);
    own_settle(bench->own);
    const uint64_t build_ns = process_cpu_ns() - build_started;
    const uint64_t started = thread_cpu_ns();
    uint64_t asked = 0, spent = 0, right = 0;
    while ((double)spent < seconds * 1e9) {
        const uint64_t query = asked++ % INDEX_HIT_QUERIES;
        const uint32_t nearest = (uint32_t)bench->truth[query * INDEX_NEAREST];
        own_search_scope(bench->own, nearest % scopes, bench_query(bench, query), 1, &search);
        right += search.hits_count > 0 && search.hits[0].sequence == (uint64_t)nearest + 1;
        spent = thread_cpu_ns() - started;
    }
    (void)printf("{\"qps\":%.1f,\"recall\":%.5f,\"all_bytes\":%.1f,\"rows_per_s\":%.0f}\n",
                 (double)asked * 1e9 / (double)spent, (double)right / (double)asked,
                 own_all_bytes(bench->own), (double)bench->rows_count * 1e9 / (double)build_ns);
}
