/*
 * segments.c - the index's graphs and lists over a restart, so that a start need not build them
 * anew: written into the data folder when the cache is closed, offered to the index when the folder
 * is read. They are a convenience: rows come from the journal, the index takes a segment only where
 * sequence and codes agree to the bit, and any failure here costs a build and is a line in the log.
 * The file stays until the next one takes its place, so that a start after a kill has the segments
 * of the last clean end; or until something is purged: it holds codes of vectors, also of rows that
 * were removed since, and goes when the log is written anew without them. The next clean end writes
 * it without those of the dead.
 *
 * THREADS. The one that opens, the one that closes; cache_forget_segments: the custodian's.
 */
#include <inttypes.h>

#include "base/log.h"
#include "cache/cache.h"
#include "cache/parts.h"
#include "index/directory.h"
#include "storage/side_file.h"

static const char file_name[] = "index.segments";

static enum status write_bytes(void *context, const void *bytes, size_t size)
{
    return side_writer_write(context, bytes, size);
}

static size_t read_bytes(void *context, void *out, size_t size)
{
    return side_reader_read(context, out, size);
}

static enum status write_segments(struct cache *cache, struct io *io, uint64_t *out_segments)
{
    struct side_writer *writer = NULL;
    enum status status = side_writer_open(io, file_name, &writer);
    if (status != STATUS_OK)
        return status;
    const struct snapshot_sink sink = {.write = write_bytes, .context = writer};
    status = directory_write_segments(cache->directory, &sink, out_segments);
    if (status != STATUS_OK) {
        side_writer_abandon(&writer);
        return status;
    }
    return side_writer_finish(&writer);
}

void cache_keep_segments(struct cache *cache)
{
    struct io *io = NULL;
    uint64_t segments = 0;
    directory_builder_stop(cache->directory);
    enum status status = io_posix_open(cache->journal.path, &io, NULL);
    if (status == STATUS_OK) {
        status = write_segments(cache, io, &segments);
        io->operations->close(&io);
    }
    if (status == STATUS_OK)
        log_write(LOG_INFO, "index", "graphs kept for the next start", "segments=%" PRIu64,
                  segments);
    else
        log_write(LOG_WARNING, "index", "graphs are not kept, the next start builds them",
                  "status=%s", status_name(status));
}

/* NOT_FOUND: it is gone already. */
static enum status remove_file(const struct cache *cache)
{
    struct io *io = NULL;
    enum status status = io_posix_open(cache->journal.path, &io, NULL);
    if (status != STATUS_OK)
        return status;
    status = io->operations->remove_file(io, file_name);
    if (status == STATUS_OK)
        status = io->operations->sync_directory(io);
    io->operations->close(&io);
    return status;
}

enum status cache_forget_segments(void *context)
{
    const struct cache *cache = context;
    const enum status status = remove_file(cache);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status == STATUS_OK)
        log_write(LOG_INFO, "index",
                  "graphs of the last end are removed: they knew what was purged", NULL);
    else
        log_write(LOG_WARNING, "index", "graphs that know what was purged cannot be removed",
                  "status=%s", status_name(status));
    return status;
}

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
    log_write(LOG_INFO, "index", "graphs of the last end are in use again",
              "segments=%" PRIu64 " of=%" PRIu64 " refused=%" PRIu64 " rows=%" PRIu64
              " rows_missing=%" PRIu64,
              restored.segments_used, restored.segments, restored.segments_refused, restored.rows,
              restored.rows_missing);
}
