/*
 * side_file.h - a file beside the journal that saves time and nothing else: what it holds is
 * derived from the entries, its owner checks it by itself, and losing it costs work. Written whole
 * under another name and renamed when it is on the disk, so that a name never stands for half a
 * file. Threads: one a file; the io is that thread's and is not taken over.
 */
#pragma once
#include "storage/io.h"

enum { SIDE_FILE_NAME_MAX = IO_NAME_MAX - 5 }; /* room for ".tmp" */

struct side_writer;

/* STATUS_NO_MEMORY, STATUS_IO_FAILED. */
enum status side_writer_open(struct io *io, const char *name, struct side_writer **out_writer);
/* After a failure every further write fails too. */
enum status side_writer_write(struct side_writer *writer, const void *bytes, size_t size);
/* Frees it. With STATUS_OK the file bears its name and is on the disk; else it is as it was. */
enum status side_writer_finish(struct side_writer **writer);
/* Frees it and leaves the file as it was; NULL is fine. */
void side_writer_abandon(struct side_writer **writer);

/* Bytes that may yet be written on that folder's disk. STATUS_IO_FAILED. */
enum status side_room(const char *path, uint64_t *out_bytes);

struct side_reader;

/* STATUS_NOT_FOUND, STATUS_NO_MEMORY, STATUS_IO_FAILED. */
enum status side_reader_open(struct io *io, const char *name, struct side_reader **out_reader);
/* Fewer bytes than asked for: the end, or an error of the disk, which ends the file. */
size_t side_reader_read(struct side_reader *reader, void *out, size_t size);
void side_reader_close(struct side_reader **reader); /* NULL is fine */
