/*
 * io_file.h - bytes into a file of a data folder by plain calls, whole or not at all; shared by the
 * backends of io.h. Threads: any, one at a time for a file.
 */
#pragma once
#include "storage/io.h"

/* A call that makes no progress, EAGAIN or EINTR, this often in a row has failed. */
enum { IO_RETRIES_MAX = 1000 };

struct io_file {
    int descriptor;
    bool is_direct;
};

/* 0 or an errno. Short counts, EINTR and EAGAIN go on; a sync that failed is not made again. */
int io_file_write(const struct io_file *file, const void *bytes, size_t size_bytes,
                  uint64_t offset_bytes);
int io_file_sync(const struct io_file *file);

/* Whether a commit is as io.h wants it for this file. */
bool io_file_takes(const struct io_file *file, const struct io_commit *commit);
/* How much of `done` written bytes counts, when there are more: a direct file goes on at a block.
 */
size_t io_file_progress(const struct io_file *file, size_t done);
bool io_is_aligned(const void *bytes, size_t size_bytes, uint64_t offset_bytes);

/* Whether a call that failed so is to be made again; counts in *in_a_row. */
bool io_retries(int error, unsigned *in_a_row);
const char *io_error_text(int error); /* "Permission denied", or "unknown error" */
