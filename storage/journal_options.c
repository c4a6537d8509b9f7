/*
 * journal_options.c - what an operator sets of the data folder and the journal.
 */
#include <assert.h>
#include <string.h>

#include "storage/journal.h"

enum { US_PER_MS = 1000 };

/* clang-format off */
const struct option_row journal_option_rows[] = {
    {.name = "storage.path", .type = OPTION_STRING, .standard = "data", .unit = "path",
     .meaning = "The data folder, made if it is absent; \"\": nothing outlives the process."},
    {.name = "storage.io", .type = OPTION_CHOICE, .standard = "auto", .choices = "auto|io_uring|posix", .unit = "backend",
     .meaning = "How the data folder is written; auto: io_uring where a real write by it works, else posix."},
    {.name = "storage.error_action", .type = OPTION_CHOICE, .standard = "memory_only",
     .choices = "memory_only|read_only|exit", .unit = "action",
     .meaning = "When the disk fails: go on in memory, refuse to write, or end (advised with journal.durability = always)."},
    {.name = "storage.purge_deadline", .type = OPTION_DURATION, .standard = "24h", .low = "1s", .high = "30d", .unit = "time",
     .meaning = "How long the bytes of what Invalidate or DropNamespace has removed may stay in the data folder; at half of "
                "it the log is written anew without them."},
    {.name = "journal.durability", .type = OPTION_CHOICE, .standard = "everysec", .choices = "always|everysec|none", .unit = "mode",
     .meaning = "When the journal syncs by itself: after every batch, a second after a write, or at a segment's end."},
    {.name = "journal.recovery", .type = OPTION_CHOICE, .standard = "salvage", .choices = "salvage|point_in_time|strict", .unit = "mode",
     .meaning = "What a start does with damage: skip it, drop all behind it, or refuse."},
    {.name = "journal.segment_size", .type = OPTION_SIZE, .standard = "64MiB", .low = "16MiB", .high = "1GiB", .unit = "bytes",
     .meaning = "Size of a file of the journal; an entry may be a quarter of it."},
    {.name = "journal.spares", .type = OPTION_UINT, .standard = "2", .low = "0", .high = "16", .unit = "files",
     .meaning = "Files of the journal that are made ahead, beside one for a full disk."},
    {.name = "journal.flush_interval", .type = OPTION_DURATION, .standard = "10ms", .low = "1ms", .high = "1s", .unit = "time",
     .meaning = "How long a record waits for others before it is written, if nobody waits for it."},
    {.name = "journal.queue_max", .type = OPTION_SIZE, .standard = "64MiB", .low = "1MiB", .high = "4GiB", .unit = "bytes",
     .meaning = "Records that wait for the disk; above half of it writers wait, when it is full they are refused."},
    {.name = "journal.ack_default", .type = OPTION_CHOICE, .standard = "auto", .choices = "auto|memory|logged|synced", .unit = "level",
     .meaning = "What a Set waits for when it does not say; auto: synced with journal.durability = always, else memory."},
    {.name = "compact.rate_max", .type = OPTION_SIZE, .standard = "64MiB", .low = "1MiB", .high = "16GiB", .unit = "bytes/s",
     .meaning = "How fast compaction may copy, and graphs are written while the server runs."},
};
/* clang-format on */
const size_t journal_option_rows_count =
    sizeof(journal_option_rows) / sizeof(journal_option_rows[0]);

/* The place of a word in the row's choices; options.c has checked that it is one of them. */
static int choice_of(const struct options *options, const char *name, const char *const *words,
                     size_t words_count)
{
    const char *text = options_text(options, name);
    assert(text != NULL);
    size_t place = 0;
    while (place < words_count && strcmp(words[place], text) != 0)
        place++;
    assert(place < words_count);
    return (int)place;
}
#define CHOICE_OF(options, name, words)                                                            \
    choice_of(options, name, words, sizeof(words) / sizeof((words)[0]))

enum status journal_options_read(const struct options *options, struct journal_options *out_options,
                                 struct failure *failure)
{
    static const char *const ios[] = {"auto", "io_uring", "posix"};
    static const char *const durabilities[] = {"always", "everysec", "none"};
    static const char *const recoveries[] = {"salvage", "point_in_time", "strict"};
    static const char *const actions[] = {"memory_only", "read_only", "exit"};
    static const char *const acks[] = {"auto", "memory", "logged", "synced"};
    struct journal_options read = {
        .path = options_text(options, "storage.path"),
        .io = (enum io_choice)CHOICE_OF(options, "storage.io", ios),
        .durability =
            (enum journal_durability)CHOICE_OF(options, "journal.durability", durabilities),
        .recovery = (enum journal_recovery)CHOICE_OF(options, "journal.recovery", recoveries),
        .error_action =
            (enum storage_error_action)CHOICE_OF(options, "storage.error_action", actions),
        .ack_default = (enum journal_ack)CHOICE_OF(options, "journal.ack_default", acks),
        .segment_bytes = options_uint(options, "journal.segment_size"),
        .queue_bytes = options_uint(options, "journal.queue_max"),
        .compact_bytes_per_s = options_uint(options, "compact.rate_max"),
        .flush_interval_ms = (uint32_t)(options_us(options, "journal.flush_interval") / US_PER_MS),
        .purge_deadline_us = options_us(options, "storage.purge_deadline"),
        .spares = (uint32_t)options_uint(options, "journal.spares"),
    };
    if (read.path[0] == '\0' && read.ack_default > ACK_MEMORY)
        return failure_set(failure, STATUS_BAD_OPTION, "journal.ack_default",
                           "%s needs storage.path", acks[read.ack_default]);
    if (read.segment_bytes % IO_ALIGNMENT != 0)
        return failure_set(failure, STATUS_BAD_OPTION, "journal.segment_size",
                           "must be a multiple of %d bytes", (int)IO_ALIGNMENT);
    *out_options = read;
    return STATUS_OK;
}
