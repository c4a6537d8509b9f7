/*
 * replay_progress.c - the bar, or the tenths. Owns nothing. Threads: the one that shows.
 */
#include "clients/cli/replay_progress.h"

#include <unistd.h>

#include "base/check.h"

enum { BAR_COLUMNS = 40, REDRAW_US = 100 * 1000 };

void replay_progress_init(struct replay_progress *progress, FILE *out, size_t total)
{
    assert(total > 0);
    int descriptor = fileno(out); /* -1 for a stream in memory */
    *progress = (struct replay_progress){
        .out = out, .terminal = descriptor >= 0 && isatty(descriptor) == 1, .total = total};
}

static void draw_bar(const struct replay_progress *progress, size_t done)
{
    char bar[BAR_COLUMNS + 1];
    size_t filled = done * BAR_COLUMNS / progress->total;
    for (size_t i = 0; i < BAR_COLUMNS; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_COLUMNS] = '\0';
    (void)fprintf(progress->out, "\r[%s] %3zu %%  %zu of %zu", bar, done * 100 / progress->total,
                  done, progress->total);
    (void)fflush(progress->out);
}

void replay_progress_show(struct replay_progress *progress, size_t done, uint64_t now_us)
{
    assert(done <= progress->total);
    if (progress->terminal) {
        if (now_us - progress->drawn_us < REDRAW_US && done < progress->total)
            return;
        progress->drawn_us = now_us;
        draw_bar(progress, done);
        return;
    }
    size_t tenths = done * 10 / progress->total;
    if (tenths <= progress->tenths_shown)
        return;
    progress->tenths_shown = tenths;
    (void)fprintf(progress->out, "replay: %zu %%, %zu of %zu\n", tenths * 10, done,
                  progress->total);
}

void replay_progress_end(struct replay_progress *progress)
{
    if (!progress->terminal)
        return;
    (void)fprintf(progress->out, "\r%*s\r", BAR_COLUMNS + 40, "");
    (void)fflush(progress->out);
}
