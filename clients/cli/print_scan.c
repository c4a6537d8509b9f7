/*
 * print_scan.c - stored entries for people. Prompts, tags and metadata are cut and cleaned, an
 * answer is printed as it is. Owns nothing. Threads: the main thread.
 */
#include <inttypes.h>

#include "clients/cli/print.h"
#include "clients/cli/units.h"

static const char *age_of(const struct reprise_stored *entry, int64_t now_unix_ms,
                          char out[UNITS_TEXT_MAX])
{
    const int64_t age_ms = now_unix_ms - entry->created_unix_ms;
    return units_print_ms(age_ms > 0 ? (uint64_t)age_ms : 0, out);
}

void print_stored_line(FILE *out, const struct reprise_stored *entry, int64_t now_unix_ms)
{
    char age[UNITS_TEXT_MAX];
    (void)fprintf(out, "%.12s %9s %6" PRIu64 " ", entry->entry_id, age_of(entry, now_unix_ms, age),
                  entry->hit_count);
    print_clipped(out, entry->model, 16);
    (void)fputs("  ", out);
    print_clipped(out, entry->prompt, PRINT_COLUMNS - 50);
    (void)fputc('\n', out);
}

static void label(FILE *out, const char *name)
{
    (void)fprintf(out, "%-*s", PRINT_LABEL, name);
}

static void print_name(FILE *out, const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    label(out, name);
    print_clipped(out, text, PRINT_COLUMNS - PRINT_LABEL);
    (void)fputc('\n', out);
}

static void print_times(FILE *out, const struct reprise_stored *entry, int64_t now_unix_ms)
{
    char age[UNITS_TEXT_MAX], left[UNITS_TEXT_MAX], size[UNITS_TEXT_MAX];
    const int64_t left_ms = entry->expires_unix_ms - now_unix_ms;
    label(out, "stored");
    (void)fprintf(out, "%s ago, ", age_of(entry, now_unix_ms, age));
    if (entry->expires_unix_ms == 0)
        (void)fputs("does not expire, ", out);
    else
        (void)fprintf(out, "%s left, ", units_print_ms(left_ms > 0 ? (uint64_t)left_ms : 0, left));
    (void)fprintf(out, "%" PRIu64 " hit%s, %s\n", entry->hit_count,
                  entry->hit_count == 1 ? "" : "s", units_print_bytes(entry->size_bytes, size));
}

static void print_dependency(FILE *out, const char *name,
                             const struct reprise_dependency *dependency)
{
    label(out, name);
    print_clipped(out, dependency->id, 50);
    (void)fputc('@', out);
    print_clipped(out, dependency->version, PRINT_COLUMNS - PRINT_LABEL - 51);
    (void)fputc('\n', out);
}

void print_stored(FILE *out, const struct reprise_stored *entry, int64_t now_unix_ms)
{
    print_name(out, "entry", entry->entry_id);
    print_name(out, "namespace", entry->namespace_);
    print_name(out, "model", entry->model);
    print_name(out, "prompt", entry->prompt);
    print_times(out, entry, now_unix_ms);
    for (size_t i = 0; i < entry->tags_count; i++)
        print_name(out, i == 0 ? "tags" : "", entry->tags[i]);
    for (size_t i = 0; i < entry->depends_on_count; i++)
        print_dependency(out, i == 0 ? "depends on" : "", &entry->depends_on[i]);
    for (size_t i = 0; i < entry->metadata_count; i++) {
        label(out, i == 0 ? "metadata" : "");
        print_clipped(out, entry->metadata[i].name, 30);
        (void)fputc('=', out);
        print_clipped(out, entry->metadata[i].value, PRINT_COLUMNS - PRINT_LABEL - 31);
        (void)fputc('\n', out);
    }
    if (entry->vector.count > 0) {
        label(out, "vector");
        (void)fprintf(out, "%zu numbers; -o json prints them\n", entry->vector.count);
    }
    if (entry->blob_size > 0)
        (void)fprintf(out, "\n(%zu bytes; -o json prints them in base64)\n", entry->blob_size);
    else
        (void)fprintf(out, "\n%s\n", entry->content);
}
