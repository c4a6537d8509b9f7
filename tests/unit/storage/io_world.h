/*
 * io_world.h - what the tests of io.h share: a folder, a file, commits and their completions.
 * Included by each test once; no state of its own.
 */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "storage/io.h"
#include "tests/support/folder.h"
#include "tests/support/unit.h"

enum { BLOCK = IO_ALIGNMENT };

static inline uint8_t *blocks_of(size_t count, unsigned seed)
{
    uint8_t *bytes = aligned_alloc(BLOCK, count * BLOCK);
    assert_non_null(bytes);
    for (size_t i = 0; i < count * BLOCK; i++)
        bytes[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 7);
    return bytes;
}

static inline struct io_file *file_in(struct io *io, const char *name, uint64_t size_bytes)
{
    struct io_file *file = NULL;
    assert_int_equal(io->operations->create_file(io, name, size_bytes, &file), STATUS_OK);
    return file;
}

/* Waits until `count` have come, in whatever order; a lost one is found by ctest's time limit. */
static inline void reap_all(struct io *io, struct io_completion *out, size_t count)
{
    for (size_t have = 0; have < count;)
        have += io->operations->reap(io, -1, out + have, count - have);
}

static inline struct io_completion commit_now(struct io *io, struct io_file *file,
                                              const struct io_commit *commit)
{
    struct io_completion completion = {0};
    assert_int_equal(io->operations->submit(io, file, commit), STATUS_OK);
    reap_all(io, &completion, 1);
    assert_int_equal(completion.tag, commit->tag);
    return completion;
}

static inline void assert_holds(struct io *io, struct io_file *file, const void *bytes, size_t size,
                                uint64_t offset)
{
    uint8_t *read = aligned_alloc(BLOCK, (size / BLOCK + 1) * BLOCK);
    size_t count = 0;
    assert_non_null(read);
    assert_int_equal(io->operations->read_at(io, file, read, size, offset, &count), STATUS_OK);
    assert_int_equal(count, size);
    assert_memory_equal(read, bytes, size);
    free(read);
}
