/*
 * disk.h - the backend of tests that work on real files: posix, or io_uring where REPRISE_TEST_IO
 * is io_uring (tests/CMakeLists.txt runs them once more with it) and this machine allows it.
 */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

#include "storage/io.h"

static inline enum status disk_open(const char *path, struct io **out_io)
{
    static bool is_told;
    struct failure failure = {.status = STATUS_OK};
    const char *wanted = getenv("REPRISE_TEST_IO");
    if (wanted == NULL || strcmp(wanted, "io_uring") != 0)
        return io_posix_open(path, out_io, NULL);
    const enum status status = io_uring_open(path, out_io, &failure);
    if (status != STATUS_UNSUPPORTED)
        return status;
    if (!is_told)
        print_message("posix instead: %s\n", failure.message);
    is_told = true;
    return io_posix_open(path, out_io, NULL);
}
