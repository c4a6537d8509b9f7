/*
 * replay_print.c - what a walk came to, on at most 100 columns or as one JSON document. Owns
 * nothing. Threads: the main thread. scripts/demo reads the first column of the table: labels are
 * words of the interface.
 */
#include "clients/cli/replay_print.h"

#include "clients/cli/json.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"

enum { ERRORS_MAX = 10 };

static void print_share(FILE *out, const char *name, size_t count, size_t requests)
{
    double share = requests > 0 ? 100.0 * (double)count / (double)requests : 0;
    (void)fprintf(out, "%-15s %9zu   %5.1f %%\n", name, count, share);
}

static void print_latency(FILE *out, const char *name, const struct replay_latency *latency)
{
    char p50[UNITS_TEXT_MAX] = "-", p99[UNITS_TEXT_MAX] = "-";
    if (latency->count > 0) {
        (void)units_print_us(latency->p50_us, p50);
        (void)units_print_us(latency->p99_us, p99);
    }
    (void)fprintf(out, "%-15s %9zu %10s %10s\n", name, latency->count, p50, p99);
}

static void print_line(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, "  %-10s ", name);
    print_clipped(out, text, PRINT_COLUMNS - PRINT_LABEL);
    (void)fputc('\n', out);
}

static void print_examples(FILE *out, const struct replay_report *report)
{
    const struct replay_examples *examples = report->examples;
    if (examples->semantic_count > 0)
        (void)fputs("\nanswered by meaning\n", out);
    for (size_t i = 0; i < examples->semantic_count; i++) {
        size_t row = examples->semantic[i];
        print_line(out, "asked", report->file->rows[row].text);
        print_line(out, "matched", report->results->rows[row].other);
        (void)fprintf(out, "  %-10s %.4f\n", "similarity",
                      (double)report->results->rows[row].similarity);
    }
    if (!examples->has_blocked)
        return;
    const struct replay_result *blocked = &report->results->rows[examples->blocked];
    char words[64];
    (void)fputs("\nas near, but an opposite: not answered\n", out);
    print_line(out, "asked", report->file->rows[examples->blocked].text);
    print_line(out, "nearest", blocked->other);
    (void)fprintf(out, "  %-10s %.4f, blocked by the guard: %s\n", "similarity",
                  (double)blocked->similarity,
                  print_words(reprise_guard_name(blocked->guard), words));
}

void replay_print_table(FILE *out, const struct replay_report *report)
{
    const struct replay_figures *figures = report->figures;
    (void)fprintf(out, "%-15s %9zu   in %.2f s\n", "requests", figures->requests,
                  (double)report->results->elapsed_us / 1e6);
    print_share(out, "exact hits", figures->exact, figures->requests);
    print_share(out, "semantic hits", figures->semantic, figures->requests);
    print_share(out, "misses", figures->misses, figures->requests);
    (void)fprintf(out, "%-15s %9zu\n", "wrong hits", figures->wrong);
    (void)fprintf(out, "%-15s %9zu\n", "errors", figures->errors);
    (void)fprintf(out, "%-15s %9.4f   hits / requests\n", "hit rate", figures->hit_rate);
    (void)fprintf(out, "%-15s %9.4f   wrong hits / hits\n", "err_hit", figures->err_hit);
    (void)fprintf(out, "\n%-15s %9s %10s %10s   as this client sees it\n", "latency", "count",
                  "p50", "p99");
    print_latency(out, "exact", &figures->exact_latency);
    print_latency(out, "semantic", &figures->semantic_latency);
    print_latency(out, "miss", &figures->miss_latency);
    print_latency(out, "set", &figures->set_latency);
    if (report->examples != NULL)
        print_examples(out, report);
}

static void add_latency(cJSON *latencies, const char *name, const struct replay_latency *latency)
{
    cJSON *object = cJSON_AddObjectToObject(latencies, name);
    (void)cJSON_AddNumberToObject(object, "count", (double)latency->count);
    (void)cJSON_AddNumberToObject(object, "p50", latency->p50_us);
    (void)cJSON_AddNumberToObject(object, "p99", latency->p99_us);
}

static cJSON *example_of(const struct replay_report *report, size_t row)
{
    cJSON *example = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(example, "asked", report->file->rows[row].text);
    (void)cJSON_AddStringToObject(example, "matched", report->results->rows[row].other);
    json_add_float(example, "similarity", (double)report->results->rows[row].similarity);
    return example;
}

static void add_examples(cJSON *tree, const struct replay_report *report)
{
    cJSON *object = cJSON_AddObjectToObject(tree, "examples");
    cJSON *list = cJSON_AddArrayToObject(object, "semantic");
    for (size_t i = 0; i < report->examples->semantic_count; i++)
        (void)cJSON_AddItemToArray(list, example_of(report, report->examples->semantic[i]));
    if (!report->examples->has_blocked)
        return;
    cJSON *blocked = example_of(report, report->examples->blocked);
    (void)cJSON_AddStringToObject(
        blocked, "guard",
        reprise_guard_name(report->results->rows[report->examples->blocked].guard));
    (void)cJSON_AddItemToObject(object, "blocked", blocked);
}

void replay_print_json(FILE *out, const struct replay_report *report)
{
    const struct replay_figures *figures = report->figures;
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(tree, "requests", (double)figures->requests);
    (void)cJSON_AddNumberToObject(tree, "exact", (double)figures->exact);
    (void)cJSON_AddNumberToObject(tree, "semantic", (double)figures->semantic);
    (void)cJSON_AddNumberToObject(tree, "misses", (double)figures->misses);
    (void)cJSON_AddNumberToObject(tree, "wrong", (double)figures->wrong);
    (void)cJSON_AddNumberToObject(tree, "errors", (double)figures->errors);
    json_add_float(tree, "hit_rate", figures->hit_rate);
    json_add_float(tree, "err_hit", figures->err_hit);
    json_add_float(tree, "seconds", (double)report->results->elapsed_us / 1e6);
    cJSON *latencies = cJSON_AddObjectToObject(tree, "latency_us");
    add_latency(latencies, "exact", &figures->exact_latency);
    add_latency(latencies, "semantic", &figures->semantic_latency);
    add_latency(latencies, "miss", &figures->miss_latency);
    add_latency(latencies, "set", &figures->set_latency);
    if (report->examples != NULL)
        add_examples(tree, report);
    (void)json_print(tree, false, out);
}

void replay_print_errors(FILE *out, const char *path, const struct replay_report *report)
{
    size_t shown = 0;
    for (size_t i = 0; i < report->results->rows_count && shown < ERRORS_MAX; i++) {
        if (report->results->rows[i].error == NULL)
            continue;
        (void)fprintf(out, "%s:%zu: %s\n", path, report->file->rows[i].line,
                      report->results->rows[i].error);
        shown += 1;
    }
    if (report->figures->errors > shown)
        (void)fprintf(out, "%s: and %zu more\n", path, report->figures->errors - shown);
}
