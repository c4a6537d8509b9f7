/*
 * repeat.c - equal log lines within a second become one line and a count.
 * A small table of the lines of the last second. A line that is still in it is counted, not
 * written; the count is reported when the second is over, at the first line that comes then. One
 * place alone, for the line before, was rejected: two messages that alternate would both pass
 * unhindered. If every place holds a line of this second, the oldest one's count is reported early
 * and its place is used. Owns nothing. Threads: the caller locks.
 */
#include "base/repeat.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static void forget(struct repeat_place *place, repeat_report *report)
{
    assert(place->is_taken);
    if (place->dropped > 0)
        report(place->line, place->dropped);
    place->is_taken = false;
    place->dropped = 0;
}

static void forget_ended(struct repeat *repeat, uint64_t now_us, repeat_report *report)
{
    for (size_t i = 0; i < REPEAT_PLACES; i++) {
        struct repeat_place *place = &repeat->places[i];
        if (place->is_taken && now_us - place->since_us >= REPEAT_WINDOW_US)
            forget(place, report);
    }
}

static struct repeat_place *find(struct repeat *repeat, const char *line)
{
    for (size_t i = 0; i < REPEAT_PLACES; i++) {
        struct repeat_place *place = &repeat->places[i];
        if (place->is_taken && strcmp(place->line, line) == 0)
            return place;
    }
    return NULL;
}

static struct repeat_place *free_or_oldest(struct repeat *repeat)
{
    struct repeat_place *oldest = &repeat->places[0];
    for (size_t i = 0; i < REPEAT_PLACES; i++) {
        struct repeat_place *place = &repeat->places[i];
        if (!place->is_taken)
            return place;
        if (place->since_us < oldest->since_us)
            oldest = place;
    }
    return oldest;
}

bool repeat_admit(struct repeat *repeat, const char *line, uint64_t now_us, repeat_report *report)
{
    forget_ended(repeat, now_us, report);
    struct repeat_place *place = find(repeat, line);
    if (place != NULL) {
        place->dropped++;
        return false;
    }
    place = free_or_oldest(repeat);
    if (place->is_taken)
        forget(place, report);
    place->is_taken = true;
    place->since_us = now_us;
    (void)snprintf(place->line, sizeof(place->line), "%s", line);
    return true;
}

void repeat_flush(struct repeat *repeat, repeat_report *report)
{
    for (size_t i = 0; i < REPEAT_PLACES; i++) {
        if (repeat->places[i].is_taken)
            forget(&repeat->places[i], report);
    }
}
