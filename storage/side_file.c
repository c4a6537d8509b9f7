/*
 * side_file.c - see side_file.h. One buffer a file; the journal's record format is not used, since
 * whoever writes here has checksums of its own.
 */
#include "storage/side_file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* Synced in between as well: whoever waits for a sync of the journal meanwhile would wait for all
 * of a large file. */
enum { BUFFER_BYTES = 1024 * 1024, SYNC_BYTES = 32 * BUFFER_BYTES };

struct side_file { /* either direction */
    struct io *io;
    struct io_file *file;
    uint64_t offset_bytes; /* of the buffer in the file */
    size_t filled, taken;  /* bytes of the buffer       */
    uint8_t *buffer;
};

struct side_writer {
    struct side_file side;
    enum status status; /* the first that was not OK */
    char name[IO_NAME_MAX], draft[IO_NAME_MAX];
};

struct side_reader {
    struct side_file side;
};

static enum status init(struct side_file *side, struct io *io)
{
    side->io = io;
    side->buffer = malloc(BUFFER_BYTES);
    return side->buffer != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void deinit(struct side_file *side)
{
    if (side->file != NULL)
        side->io->operations->close_file(side->io, &side->file);
    free(side->buffer);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A draft that a crash has left is in the way. */
static enum status create_draft(struct side_writer *writer)
{
    struct io *io = writer->side.io;
    const enum status status = io->operations->remove_file(io, writer->draft);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    return io->operations->create_file(io, writer->draft, 0, &writer->side.file);
}

enum status side_writer_open(struct io *io, const char *name, struct side_writer **out_writer)
{
    assert(strlen(name) > 0);
    assert(strlen(name) <= SIDE_FILE_NAME_MAX);
    struct side_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL)
        return STATUS_NO_MEMORY;
    (void)snprintf(writer->name, sizeof(writer->name), "%s", name);
    (void)snprintf(writer->draft, sizeof(writer->draft), "%.59s.tmp", name);
    enum status status = init(&writer->side, io);
    if (status == STATUS_OK)
        status = create_draft(writer);
    if (status != STATUS_OK)
        goto destroy_writer;
    *out_writer = writer;
    return STATUS_OK;

destroy_writer:
    deinit(&writer->side);
    free(writer);
    return status;
}

static void flush(struct side_writer *writer)
{
    struct side_file *side = &writer->side;
    if (writer->status == STATUS_OK && side->filled > 0)
        writer->status = side->io->operations->write_at(side->io, side->file, side->buffer,
                                                        side->filled, side->offset_bytes);
    side->offset_bytes += side->filled;
    side->filled = 0;
    if (writer->status == STATUS_OK && side->offset_bytes % SYNC_BYTES == 0 &&
        side->offset_bytes > 0)
        writer->status = side->io->operations->sync_file(side->io, side->file);
}

enum status side_writer_write(struct side_writer *writer, const void *bytes, size_t size)
{
    struct side_file *side = &writer->side;
    for (size_t done = 0; done < size && writer->status == STATUS_OK;) {
        const size_t room = BUFFER_BYTES - side->filled;
        const size_t part = size - done < room ? size - done : room;
        memcpy(side->buffer + side->filled, (const uint8_t *)bytes + done, part);
        side->filled += part;
        done += part;
        assert(side->filled <= BUFFER_BYTES);
        if (side->filled == BUFFER_BYTES)
            flush(writer);
    }
    return writer->status;
}

void side_writer_abandon(struct side_writer **writer)
{
    struct side_writer *doomed = *writer;
    if (doomed == NULL)
        return;
    *writer = NULL;
    struct io *io = doomed->side.io;
    deinit(&doomed->side);
    (void)io->operations->remove_file(io, doomed->draft);
    free(doomed);
}

enum status side_writer_finish(struct side_writer **writer)
{
    struct side_writer *done = *writer;
    struct io *io = done->side.io;
    flush(done);
    if (done->status == STATUS_OK)
        done->status = io->operations->sync_file(io, done->side.file);
    if (done->status == STATUS_OK)
        done->status = io->operations->rename_file(io, done->draft, done->name);
    if (done->status == STATUS_OK)
        done->status = io->operations->sync_directory(io);
    const enum status status = done->status;
    side_writer_abandon(writer); /* after the rename there is no draft any more */
    return status;
}

enum status side_room(const char *path, uint64_t *out_bytes)
{
    struct statvfs room;
    if (statvfs(path, &room) != 0)
        return STATUS_IO_FAILED;
    *out_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    return STATUS_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum status side_reader_open(struct io *io, const char *name, struct side_reader **out_reader)
{
    uint64_t size_bytes = 0;
    struct side_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return STATUS_NO_MEMORY;
    enum status status = init(&reader->side, io);
    if (status == STATUS_OK)
        status = io->operations->open_file(io, name, IO_READ_ONLY, &reader->side.file, &size_bytes);
    if (status != STATUS_OK) {
        side_reader_close(&reader);
        return status;
    }
    *out_reader = reader;
    return STATUS_OK;
}

/* False: there is no more. */
static bool refill(struct side_file *side)
{
    size_t count = 0;
    side->offset_bytes += side->filled;
    side->filled = 0;
    side->taken = 0;
    if (side->io->operations->read_at(side->io, side->file, side->buffer, BUFFER_BYTES,
                                      side->offset_bytes, &count) != STATUS_OK)
        return false;
    side->filled = count;
    return count > 0;
}

size_t side_reader_read(struct side_reader *reader, void *out, size_t size)
{
    struct side_file *side = &reader->side;
    size_t done = 0;
    while (done < size && (side->taken < side->filled || refill(side))) {
        const size_t left = side->filled - side->taken;
        const size_t part = size - done < left ? size - done : left;
        memcpy((uint8_t *)out + done, side->buffer + side->taken, part);
        side->taken += part;
        done += part;
        assert(side->taken <= side->filled);
    }
    return done;
}

void side_reader_close(struct side_reader **reader)
{
    struct side_reader *doomed = *reader;
    if (doomed == NULL)
        return;
    *reader = NULL;
    deinit(&doomed->side);
    free(doomed);
}
