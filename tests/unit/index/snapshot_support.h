/*
 * snapshot_support.h - a snapshot's bytes in memory, as a sink and as a source.
 */
#pragma once
#include "tests/support/unit.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "index/directory.h"

struct bytes {
    uint8_t *all;
    size_t count, max;
    size_t refuse_after; /* a sink: fails once so many would be exceeded; 0: never */
    size_t at;           /* a source: what has been read                           */
};

static inline enum status bytes_write(void *context, const void *from, size_t size)
{
    struct bytes *bytes = context;
    if (bytes->refuse_after > 0 && bytes->count + size > bytes->refuse_after)
        return STATUS_IO_FAILED;
    if (bytes->count + size > bytes->max) {
        bytes->max = (bytes->count + size) * 2;
        bytes->all = realloc(bytes->all, bytes->max);
        assert_non_null(bytes->all);
    }
    memcpy(bytes->all + bytes->count, from, size);
    bytes->count += size;
    return STATUS_OK;
}

static inline size_t bytes_read(void *context, void *out, size_t size)
{
    struct bytes *bytes = context;
    const size_t left = bytes->count - bytes->at, got = size < left ? size : left;
    memcpy(out, bytes->all + bytes->at, got);
    bytes->at += got;
    return got;
}

static inline struct snapshot_sink bytes_sink(struct bytes *bytes)
{
    return (struct snapshot_sink){bytes_write, bytes};
}

static inline struct snapshot_source bytes_source(struct bytes *bytes)
{
    bytes->at = 0;
    return (struct snapshot_source){bytes_read, bytes};
}

static inline void bytes_free(struct bytes *bytes)
{
    free(bytes->all);
    *bytes = (struct bytes){0};
}

static inline size_t number_from(const char *name, size_t standard)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : standard;
}
