/*
 * log.c - one line an event, to stderr.
 * A line is made on the caller's stack and written by one write(2). The sink is global to the
 * process: a line must be possible everywhere, even where nothing was handed in.
 *
 * In JSON every key=value of the text is a member of its own. The keys are those of the *format*,
 * found again in the finished text: so a value that itself looks like " key=value" cannot add or
 * repeat a member.
 *
 * THREADS. Any. LOCK_RANK_LOG, the innermost, is held while a line is counted and written.
 * NOT HERE. Files and rotation: what runs the process collects stderr.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/repeat.h"
#include "base/text.h"

enum {
    ROOM_MAX = 32,
    EVENT_MAX = 128,
    DETAILS_MAX = 512, /* longer details lose their end */
    KEY_MAX = 48,
    TIME_MAX = 32,
    LINE_MAX_BYTES = 8192, /* six times all of the above, were every byte escaped */
};

struct line {
    size_t length;
    char bytes[LINE_MAX_BYTES];
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static bool is_json;
static _Atomic enum log_level level_min = LOG_INFO;
static struct lock sink_lock = {.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_RANK_LOG};
static struct repeat repeats GUARDED;
static bool is_flushed_at_exit GUARDED;

void log_setup(bool json, enum log_level level)
{
    is_json = json;
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_min, level, memory_order_relaxed);
}

static void put(struct line *line, const char *bytes, size_t length)
{
    if (length > sizeof(line->bytes) - line->length)
        length = sizeof(line->bytes) - line->length;
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void put_string(struct line *line, const char *string)
{
    put(line, string, strlen(string));
}

static void put_formatted(struct line *line, const char *format, unsigned number)
{
    char piece[32];
    (void)snprintf(piece, sizeof(piece), format, number);
    put_string(line, piece);
}

/* Text lines stay lines: control characters are spelled out. */
static void put_visible(struct line *line, const char *string)
{
    for (; *string != '\0'; string++) {
        unsigned char byte = (unsigned char)*string;
        if (byte == '\n')
            put_string(line, "\\n");
        else if (byte < 0x20 || byte == 0x7f)
            put_formatted(line, "\\x%02x", byte);
        else
            put(line, string, 1);
    }
}

/* A JSON string (RFC 8259, section 7). Bytes that are not UTF-8 become U+FFFD, one by one. */
static void put_json(struct line *line, const char *bytes, size_t length)
{
    bool is_clean = text_is_clean(bytes, length);
    put_string(line, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '"' || byte == '\\') {
            put_string(line, "\\");
            put(line, bytes + i, 1);
        } else if (byte < 0x20 || byte == 0x7f) {
            put_formatted(line, "\\u%04x", byte);
        } else if (byte >= 0x80 && !is_clean) {
            put_string(line, "\\ufffd");
        } else {
            put(line, bytes + i, 1);
        }
    }
    put_string(line, "\"");
}

/* A number of JSON that any reader can hold: at most 15 digits, no exponent. */
static bool is_json_number(const char *bytes, size_t length)
{
    size_t i = length > 0 && bytes[0] == '-' ? 1 : 0;
    size_t whole = i;
    while (i < length && bytes[i] >= '0' && bytes[i] <= '9')
        i++;
    if (i == whole || (bytes[whole] == '0' && i - whole > 1))
        return false;
    if (i < length && bytes[i] == '.') {
        size_t point = i++;
        while (i < length && bytes[i] >= '0' && bytes[i] <= '9')
            i++;
        if (i == point + 1)
            return false;
    }
    return i == length && length <= 15;
}

static void put_member(struct line *line, const char *key, const char *value, size_t length)
{
    put_string(line, ",");
    put_json(line, key, strlen(key));
    put_string(line, ":");
    if (is_json_number(value, length))
        put(line, value, length);
    else
        put_json(line, value, length);
}

/* The next word of the format that is "key=": copies the key, moves on, false at the end. */
static bool next_key(const char **format, char out_key[KEY_MAX])
{
    const char *place = *format;
    while (*place != '\0') {
        place += strspn(place, " ");
        size_t length = strspn(place, "abcdefghijklmnopqrstuvwxyz0123456789_.");
        bool is_key = length > 0 && length < KEY_MAX && place[length] == '=';
        if (is_key) {
            memcpy(out_key, place, length);
            out_key[length] = '\0';
        }
        place += strcspn(place, " ");
        *format = place;
        if (is_key)
            return true;
    }
    return false;
}

/* Where "key=" begins in the finished text: at its very start, or after a space. */
static const char *find_key(const char *details, const char *from, const char *key)
{
    char needle[KEY_MAX + 2];
    (void)snprintf(needle, sizeof(needle), " %s=", key);
    if (from == details && strncmp(details, needle + 1, strlen(needle + 1)) == 0)
        return details;
    const char *found = strstr(from, needle);
    return found != NULL ? found + 1 : NULL;
}

static void put_members(struct line *line, const char *format, const char *details)
{
    char key[KEY_MAX] = "text"; /* for what stands before the first key */
    char next[KEY_MAX];
    const char *value = details;
    while (next_key(&format, next)) {
        const char *found = find_key(details, value, next);
        if (found == NULL)
            continue; /* cut off */
        if (found > value)
            put_member(line, key, value, (size_t)(found - value) - 1);
        memcpy(key, next, sizeof(key));
        value = found + strlen(key) + 1;
    }
    if (*value != '\0' || value != details)
        put_member(line, key, value, strlen(value));
}

static void put_time(struct line *line)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    char text[TIME_MAX];
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    put(line, text, length);
    put_formatted(line, ".%03uZ", (unsigned)(now_ms % 1000));
}

static void begin(struct line *line)
{
    line->length = 0;
    put_string(line, is_json ? "{\"ts\":\"" : "");
    put_time(line);
    put_string(line, is_json ? "\"" : " ");
}

static void end_and_write(struct line *line)
{
    const char *end = is_json ? "}\n" : "\n";
    assert(line->length + strlen(end) <= sizeof(line->bytes));
    put_string(line, end);
    /* A log that cannot be written has nobody to be told to. */
    ssize_t written = write(STDERR_FILENO, line->bytes, line->length);
    (void)written;
}

static void write_repeated(const char *plain, uint32_t dropped)
{
    struct line line;
    begin(&line);
    if (is_json) {
        put_string(&line, ",\"level\":\"info\",\"room\":\"log\",\"event\":\"repeated\"");
        put_member(&line, "line", plain, strlen(plain));
        put_formatted(&line, ",\"times\":%u", dropped);
    } else {
        put_visible(&line, plain);
        put_formatted(&line, " repeated=%u", dropped);
    }
    end_and_write(&line);
}

static void flush_at_exit(void)
{
    lock_acquire(&sink_lock);
    repeat_flush(&repeats, write_repeated);
    lock_release(&sink_lock);
}

/* False if an equal line stands within the last second already. */
static bool admit(const char *plain) REQUIRES(sink_lock)
{
    if (repeat_admit(&repeats, plain, clock_monotonic_us(), write_repeated))
        return true;
    if (!is_flushed_at_exit)
        is_flushed_at_exit = atexit(flush_at_exit) == 0;
    return false;
}

void log_write(enum log_level level, const char *room, const char *event, const char *format, ...)
{
    assert(level <= LOG_ERROR);
    if (level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    char details[DETAILS_MAX] = "";
    if (format != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(details, sizeof(details), format, arguments);
        va_end(arguments);
    }
    char plain[REPEAT_LINE_MAX];
    (void)snprintf(plain, sizeof(plain), "%s %.*s %.*s%s%s", level_names[level], ROOM_MAX, room,
                   EVENT_MAX, event, details[0] != '\0' ? " " : "", details);
    struct line line;
    begin(&line);
    if (is_json) {
        put_member(&line, "level", level_names[level], strlen(level_names[level]));
        put_member(&line, "room", room, strnlen(room, ROOM_MAX));
        put_member(&line, "event", event, strnlen(event, EVENT_MAX));
        if (details[0] != '\0')
            put_members(&line, format, details);
    } else {
        put_visible(&line, plain);
    }
    lock_acquire(&sink_lock);
    if (admit(plain))
        end_and_write(&line);
    lock_release(&sink_lock);
}
