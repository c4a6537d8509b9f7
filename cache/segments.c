/*
 * segments.c - the index's graphs and lists over a restart, so that a start need not build them
 * anew: written into the data folder when the cache is closed and, since not every end is a clean
 * one, while it runs; offered to the index when the folder is read. They are a convenience: rows
 * come from the journal, the index takes a segment only where sequence and codes agree to the bit,
 * and any failure here costs a build and is a line in the log. So a file may be as old as it likes,
 * and one stays until the next takes its place; or until something is purged: it holds codes of
 * vectors, also of rows that were removed since, and goes when the log is written anew without
 * them. Each is written without those of rows that are dead by then.
 *
 * WHILE IT RUNS a thread of its own, the scribe, writes the file: when segments have come or gone
 * since the last time, ten minutes later at the earliest, and so that the disk is at it a twentieth
 * of the time at most, and no faster than compaction may (compact.rate_max). The first graph after
 * a start is written at once. A disk that would be full afterwards is left alone: the journal needs
 * it more.
 *
 * A PURGE MEANWHILE. Who forgets counts, waits until nobody writes, removes the file, and counts
 * again; who writes says so before it looks at the count, and gives up when it changes. So what is
 * there afterwards was begun when the purged rows were dead; at worst it is removed for nothing,
 * and the count makes it due again.
 *
 * THREADS. The one that opens, and the one that closes; the scribe; the keeper says when it is time
 * (cache_tick); cache_forget_segments: the custodian's. NOT HERE. How segments stay whole while
 * they are written (index/restore.c).
 */
#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "cache/parts.h"
#include "index/directory.h"
#include "storage/side_file.h"

enum {
    EVERY_MS = 10 * 60 * 1000,
    REST_FACTOR = 20,
    NAP_MS = 1,
    TRIES_MAX = 3,
    PART_BYTES = 256 * 1024, /* written between two looks at the clock */
    US_PER_S = 1000000,
};

/* Whether there is something new to write. */
struct segments_mark {
    uint64_t builds, segments, graph_rows, forgotten;
};

struct scribe {
    struct cache *cache;
    struct thread *thread;
    int wakes; /* eventfd */
    atomic_bool is_stopping;
    atomic_bool is_asked;       /* until what was asked for has been written, or not */
    atomic_bool has_failed;     /* the last time                                    */
    _Atomic uint64_t took_ms;   /* the last time                                    */
    struct segments_mark asked; /* the keeper's, as below: when it last asked       */
    int64_t asked_ms;           /* 0: never                                         */
};

static const char file_name[] = "index.segments";

/* ---- bytes ----------------------------------------------------------------------------------- */

struct writing {
    const struct cache *cache;
    struct side_writer *writer;
    const atomic_bool *stop; /* NULL: to the end, as fast as the disk will */
    uint64_t forgotten;      /* when it began                              */
    uint64_t paced_until_us; /* compact.rate_max: not a byte before        */
};

static bool goes_on(const struct writing *writing)
{
    return (writing->stop == NULL || !atomic_load(writing->stop)) &&
           atomic_load(&writing->cache->segments_forgotten) == writing->forgotten;
}

static void pace(struct writing *writing, size_t size)
{
    const struct cache *cache = writing->cache;
    const uint64_t rate = cache->journal.compact_bytes_per_s;
    if (writing->stop == NULL || rate == 0)
        return;
    while (cache->clock_us() < writing->paced_until_us && goes_on(writing))
        (void)poll(NULL, 0, NAP_MS);
    writing->paced_until_us = cache->clock_us() + size * US_PER_S / rate;
}

static enum status write_bytes(void *context, const void *bytes, size_t size)
{
    struct writing *writing = context;
    enum status status = STATUS_OK;
    for (size_t done = 0; status == STATUS_OK && done < size; done += PART_BYTES) {
        const size_t part = size - done < PART_BYTES ? size - done : PART_BYTES;
        pace(writing, part);
        status = goes_on(writing)
                     ? side_writer_write(writing->writer, (const uint8_t *)bytes + done, part)
                     : STATUS_CANCELLED;
    }
    return status;
}

static size_t read_bytes(void *context, void *out, size_t size)
{
    return side_reader_read(context, out, size);
}

static enum status write_file(struct writing *writing, struct io *io, uint64_t *out_segments)
{
    enum status status = side_writer_open(io, file_name, &writing->writer);
    if (status != STATUS_OK)
        return status;
    const struct snapshot_sink sink = {.write = write_bytes, .context = writing};
    status = directory_write_segments(writing->cache->directory, &sink, out_segments);
    if (status == STATUS_OK && !goes_on(writing))
        status = STATUS_CANCELLED;
    if (status != STATUS_OK) {
        side_writer_abandon(&writing->writer);
        return status;
    }
    return side_writer_finish(&writing->writer);
}

static enum status write_segments(struct cache *cache, const atomic_bool *stop,
                                  uint64_t *out_segments)
{
    struct io *io = NULL;
    enum status status = io_posix_open(cache->journal.path, &io, NULL);
    if (status != STATUS_OK)
        return status;
    atomic_store(&cache->segments_in_work, true);
    struct writing writing = {
        .cache = cache, .stop = stop, .forgotten = atomic_load(&cache->segments_forgotten)};
    status = write_file(&writing, io, out_segments);
    atomic_store(&cache->segments_in_work, false);
    io->operations->close(&io);
    return status;
}

static void tell(enum status status, uint64_t segments)
{
    if (status == STATUS_OK)
        log_write(LOG_INFO, "index", "graphs kept for the next start", "segments=%" PRIu64,
                  segments);
    else
        log_write(LOG_WARNING, "index", "graphs are not kept, the next start builds them",
                  "status=%s", status_name(status));
}

/* ---- while it runs --------------------------------------------------------------------------- */

static struct segments_mark mark_now(const struct cache *cache)
{
    struct directory_stats stats;
    directory_stats(cache->directory, &stats);
    return (struct segments_mark){stats.builds, stats.segments, stats.graph_rows,
                                  atomic_load(&cache->segments_forgotten)};
}

static bool is_same(const struct segments_mark *a, const struct segments_mark *b)
{
    return a->builds == b->builds && a->segments == b->segments && a->graph_rows == b->graph_rows &&
           a->forgotten == b->forgotten;
}

/* The file is a fourth of what vectors take in memory: three fourths stay the journal's. */
static bool has_room(const struct cache *cache)
{
    struct directory_stats stats;
    uint64_t room_bytes = 0;
    directory_stats(cache->directory, &stats);
    return side_room(cache->journal.path, &room_bytes) == STATUS_OK &&
           room_bytes >= stats.size_bytes;
}

static enum status write_beside(struct scribe *scribe)
{
    uint64_t segments = 0;
    if (!has_room(scribe->cache)) {
        log_write(LOG_WARNING, "index", "graphs are not kept, the disk has too little room",
                  "path=%s", scribe->cache->journal.path);
        return STATUS_IO_FAILED;
    }
    const enum status status = write_segments(scribe->cache, &scribe->is_stopping, &segments);
    if (status != STATUS_CANCELLED)
        tell(status, segments);
    return status;
}

static void write_once(struct scribe *scribe)
{
    struct cache *cache = scribe->cache;
    const uint64_t start_us = cache->clock_us();
    const enum status status = write_beside(scribe);
    atomic_store(&scribe->took_ms, (cache->clock_us() - start_us) / 1000);
    if (status == STATUS_CANCELLED)
        return; /* by the end, which writes it, or by a purge, which makes it due again */
    atomic_store(&scribe->has_failed, status != STATUS_OK);
    atomic_fetch_add(status == STATUS_OK ? &cache->segments_kept : &cache->segments_not_kept, 1);
}

static void write_when_asked(void *argument)
{
    struct scribe *scribe = argument;
    struct pollfd wake = {.fd = scribe->wakes, .events = POLLIN};
    while (!atomic_load(&scribe->is_stopping)) {
        uint64_t count = 0;
        if (poll(&wake, 1, -1) <= 0 || read(scribe->wakes, &count, sizeof(count)) < 0)
            continue; /* a signal */
        if (!atomic_load(&scribe->is_asked))
            continue;
        write_once(scribe);
        atomic_store(&scribe->is_asked, false);
    }
}

static void wake_scribe(const struct scribe *scribe)
{
    const ssize_t written = write(scribe->wakes, &(uint64_t){1}, sizeof(uint64_t));
    assert(written == sizeof(uint64_t)); /* read long before it could be full */
    (void)written;
}

enum status cache_start_scribe(struct cache *cache)
{
    assert(cache->scribe == NULL);
    struct scribe *scribe = calloc(1, sizeof(*scribe));
    if (scribe == NULL)
        return STATUS_NO_MEMORY;
    cache->scribe = scribe;
    scribe->cache = cache;
    scribe->asked = mark_now(cache); /* what the file has given needs no writing... */
    scribe->asked.forgotten = 0;     /* ...unless it has gone since                 */
    scribe->wakes = eventfd(0, EFD_CLOEXEC);
    enum status status = STATUS_NO_MEMORY;
    if (scribe->wakes >= 0)
        status = thread_create(THREAD_STORAGE, "scribe", write_when_asked, scribe, &scribe->thread);
    if (status != STATUS_OK)
        cache_stop_scribe(cache);
    return status;
}

/* The mirror of cache_start_scribe. Accepts a scribe without a thread. */
void cache_stop_scribe(struct cache *cache)
{
    struct scribe *doomed = cache->scribe;
    if (doomed == NULL)
        return;
    cache->scribe = NULL;
    atomic_store(&doomed->is_stopping, true);
    if (doomed->thread != NULL) {
        wake_scribe(doomed);
        thread_join(&doomed->thread);
    }
    if (doomed->wakes >= 0)
        (void)close(doomed->wakes);
    free(doomed);
}

/* A wall clock that was put back makes no difference: then it is time. */
static bool is_time(const struct scribe *scribe, int64_t now_ms)
{
    const int64_t rest_ms = (int64_t)atomic_load(&scribe->took_ms) * REST_FACTOR;
    const int64_t passed_ms = now_ms - scribe->asked_ms;
    return scribe->asked_ms == 0 || passed_ms < 0 ||
           passed_ms >= (rest_ms > EVERY_MS ? rest_ms : EVERY_MS);
}

void cache_tick_segments(struct cache *cache, int64_t now_ms)
{
    struct scribe *scribe = cache->scribe;
    if (scribe == NULL || atomic_load(&scribe->is_asked) || !is_time(scribe, now_ms))
        return;
    const struct segments_mark now = mark_now(cache);
    if (!atomic_load(&scribe->has_failed) && is_same(&now, &scribe->asked))
        return;
    scribe->asked = now;
    scribe->asked_ms = now_ms;
    atomic_store(&scribe->is_asked, true);
    wake_scribe(scribe);
}

bool cache_scribe_rests(const struct cache *cache)
{
    return cache->scribe == NULL || !atomic_load(&cache->scribe->is_asked);
}

/* ---- at the end ------------------------------------------------------------------------------ */

void cache_keep_segments(struct cache *cache)
{
    uint64_t segments = 0;
    cache_stop_scribe(cache);
    directory_builder_stop(cache->directory);
    enum status status = STATUS_CANCELLED; /* by a purge, which is served before the next try */
    for (unsigned tries = 0; status == STATUS_CANCELLED && tries < TRIES_MAX; tries++)
        status = write_segments(cache, NULL, &segments);
    tell(status, segments);
}

/* ---- what was purged ------------------------------------------------------------------------- */

/* NOT_FOUND: it is gone already; perhaps removed by a try that could not sync. */
static enum status remove_file(const struct cache *cache)
{
    struct io *io = NULL;
    enum status status = io_posix_open(cache->journal.path, &io, NULL);
    if (status != STATUS_OK)
        return status;
    status = io->operations->remove_file(io, file_name);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        const enum status synced = io->operations->sync_directory(io);
        status = synced != STATUS_OK ? synced : status;
    }
    io->operations->close(&io);
    return status;
}

/* Whoever writes gives up at the next piece; so naps are few. */
static void await_writer(const struct cache *cache)
{
    while (atomic_load(&cache->segments_in_work))
        (void)poll(NULL, 0, NAP_MS);
}

enum status cache_forget_segments(void *context)
{
    struct cache *cache = context;
    atomic_fetch_add(&cache->segments_forgotten, 1);
    await_writer(cache);
    const enum status status = remove_file(cache);
    atomic_fetch_add(&cache->segments_forgotten, 1);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status == STATUS_OK)
        log_write(LOG_INFO, "index", "kept graphs are removed: they knew what was purged", NULL);
    else
        log_write(LOG_WARNING, "index", "graphs that know what was purged cannot be removed",
                  "status=%s", status_name(status));
    return status;
}

/* ---- at the start ---------------------------------------------------------------------------- */

void cache_offer_segments(struct cache *cache)
{
    struct io *io = NULL;
    struct side_reader *reader = NULL;
    enum status status = io_posix_open(cache->journal.path, &io, NULL);
    if (status == STATUS_OK) {
        status = side_reader_open(io, file_name, &reader);
        const struct snapshot_source source = {.read = read_bytes, .context = reader};
        if (status == STATUS_OK)
            status = directory_restore_begin(cache->directory, &source);
        cache->restores_segments = status == STATUS_OK;
        side_reader_close(&reader);
        io->operations->close(&io);
    }
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        log_write(LOG_WARNING, "index", "kept graphs cannot be read, they are built anew",
                  "status=%s", status_name(status));
}

void cache_take_segments(struct cache *cache)
{
    struct directory_restored restored;
    if (!cache->restores_segments)
        return;
    cache->restores_segments = false;
    directory_restore_end(cache->directory, &restored);
    log_write(LOG_INFO, "index", "kept graphs are in use again",
              "segments=%" PRIu64 " of=%" PRIu64 " refused=%" PRIu64 " rows=%" PRIu64
              " rows_missing=%" PRIu64,
              restored.segments_used, restored.segments, restored.segments_refused, restored.rows,
              restored.rows_missing);
}
