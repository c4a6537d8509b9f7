/*
 * verbs_top.c - top: a line of rates for each interval, from two looks at the statistics. Lines,
 * and no screen of its own: so it can be piped, and scrolled back. Owns nothing. Threads: the main
 * thread.
 */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { INTERVAL_MS = 1000, INTERVAL_MS_MAX = 3600 * 1000, LINES_A_HEADING = 20 };

struct look { /* at the counters, which only grow while a server lives */
    uint64_t at_us, uptime_s;
    uint64_t requests, exact, semantic, sets, evictions, expirations;
    uint64_t entries, size_bytes;
    uint32_t exact_p99_us, semantic_p99_us;
};

static struct look look_of(const struct reprise_stats_reply *stats)
{
    struct look look = {
        .at_us = clock_monotonic_us(),
        .uptime_s = stats->uptime_s,
        .requests = stats->total_requests,
        .sets = stats->sets,
        .evictions = stats->evictions,
        .expirations = stats->expirations,
        .entries = stats->entries,
        .size_bytes = stats->size_bytes,
    };
    for (size_t i = 0; i < stats->tiers_count; i++) {
        const struct reprise_tier_stats *tier = &stats->tiers[i];
        if (tier->tier == REPRISE_TIER_EXACT) {
            look.exact = tier->hits;
            look.exact_p99_us = tier->p99_us;
        } else if (tier->tier == REPRISE_TIER_SEMANTIC) {
            look.semantic = tier->hits;
            look.semantic_p99_us = tier->p99_us;
        }
    }
    return look;
}

struct rates { /* a second; hit_rate: of the interval's requests */
    double requests, exact, semantic, sets, evictions, expirations, hit_rate;
};

static double rate(uint64_t before, uint64_t now, double seconds)
{
    return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

/* A server that has started anew counts from zero: what it has done since is the difference. */
static struct rates rates_between(struct look before, const struct look *now)
{
    const double seconds = (double)(now->at_us - before.at_us) / 1e6;
    if (now->uptime_s < before.uptime_s)
        before = (struct look){.at_us = before.at_us};
    struct rates rates = {
        .requests = rate(before.requests, now->requests, seconds),
        .exact = rate(before.exact, now->exact, seconds),
        .semantic = rate(before.semantic, now->semantic, seconds),
        .sets = rate(before.sets, now->sets, seconds),
        .evictions = rate(before.evictions, now->evictions, seconds),
        .expirations = rate(before.expirations, now->expirations, seconds),
    };
    if (rates.requests > 0)
        rates.hit_rate = (rates.exact + rates.semantic) / rates.requests;
    return rates;
}

static void print_rates(const struct cli *cli, uint64_t number, const struct rates *rates,
                        const struct look *look)
{
    char size[UNITS_TEXT_MAX], exact[UNITS_TEXT_MAX], semantic[UNITS_TEXT_MAX];
    if (number % LINES_A_HEADING == 0)
        (void)fprintf(cli->out, "%9s %6s %9s %9s %8s %8s %10s %10s %9s %9s\n", "gets/s", "hits",
                      "exact/s", "semantic", "sets/s", "evicted", "entries", "memory", "p99 exact",
                      "semantic");
    (void)fprintf(
        cli->out, "%9.1f %5.1f%% %9.1f %9.1f %8.1f %8.1f %10" PRIu64 " %10s %9s %9s\n",
        rates->requests, 100 * rates->hit_rate, rates->exact, rates->semantic, rates->sets,
        rates->evictions, look->entries, units_print_bytes(look->size_bytes, size),
        units_print_us(look->exact_p99_us, exact), units_print_us(look->semantic_p99_us, semantic));
}

static void print_rates_json(const struct cli *cli, const struct rates *rates,
                             const struct look *look)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_float(tree, "requestsPerSecond", rates->requests);
    json_add_float(tree, "hitRate", rates->hit_rate);
    json_add_float(tree, "exactHitsPerSecond", rates->exact);
    json_add_float(tree, "semanticHitsPerSecond", rates->semantic);
    json_add_float(tree, "setsPerSecond", rates->sets);
    json_add_float(tree, "evictionsPerSecond", rates->evictions);
    json_add_float(tree, "expirationsPerSecond", rates->expirations);
    json_add_count(tree, "entries", look->entries);
    json_add_count(tree, "sizeBytes", look->size_bytes);
    json_add_count(tree, "exactP99Us", look->exact_p99_us);
    json_add_count(tree, "semanticP99Us", look->semantic_p99_us);
    (void)json_print(tree, true, cli->out);
}

static void wait_ms(uint64_t milliseconds)
{
    const struct timespec time = {.tv_sec = (time_t)(milliseconds / 1000),
                                  .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    (void)nanosleep(&time, NULL); /* a signal ends it early, and with it the interval */
}

struct top {
    const struct cli *cli;
    struct reprise_client *client;
    const char *namespace_;
    uint64_t interval_ms, lines_max; /* lines_max 0: until somebody ends it */
};

static enum verb_exit take_look(const struct top *top, struct look *out_look)
{
    struct reprise_result *result = reprise_stats(top->client, top->namespace_, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(top->cli, &result->error);
    else
        *out_look = look_of(result->stats);
    reprise_result_free(&result);
    return exit_code;
}

/* A reader that has gone away ends it too. */
static enum verb_exit watch(const struct top *top)
{
    struct look before = {0}, now = {0};
    enum verb_exit exit_code = take_look(top, &before);
    for (uint64_t line = 0; exit_code == VERB_DONE; line++) {
        if (top->lines_max > 0 && line == top->lines_max)
            break;
        wait_ms(top->interval_ms);
        exit_code = take_look(top, &now);
        if (exit_code != VERB_DONE)
            break;
        const struct rates rates = rates_between(before, &now);
        if (top->cli->json)
            print_rates_json(top->cli, &rates, &now);
        else
            print_rates(top->cli, line, &rates, &now);
        if (fflush(top->cli->out) != 0)
            break;
        before = now;
    }
    return exit_code;
}

enum verb_exit verb_top(const struct cli *cli, const struct arguments *arguments)
{
    const char *interval = arguments_text(arguments, "interval");
    const char *count = arguments_text(arguments, "count");
    struct top top = {.cli = cli,
                      .namespace_ = arguments_text(arguments, "namespace"),
                      .interval_ms = INTERVAL_MS};
    const bool clean = interval == NULL || units_read_ms(interval, &top.interval_ms);
    if (!clean || top.interval_ms < 1 || top.interval_ms > INTERVAL_MS_MAX)
        return verb_usage(cli, "--interval wants a time from 1ms to 1h, not \"%s\"", interval);
    if (count != NULL && !units_read_count(count, 1, UINT32_MAX, &top.lines_max))
        return verb_usage(cli, "--count wants a whole number from 1, not \"%s\"", count);
    top.client = verb_connect(cli);
    if (top.client == NULL)
        return VERB_ERROR;
    const enum verb_exit exit_code = watch(&top);
    reprise_client_destroy(&top.client);
    return exit_code;
}
