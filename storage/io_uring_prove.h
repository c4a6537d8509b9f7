/*
 * io_uring_prove.h - may this process write and sync by io_uring in this folder? Containers often
 * refuse (seccomp, sysctl), and only a real linked write and fdatasync tells. Threads: any; nothing
 * is kept.
 */
#pragma once
#include <stddef.h>

#include "base/status.h"

/*
 * Writes 4 KiB to a temporary file in `directory` by a write linked to an fdatasync, reads it back,
 * removes it. STATUS_OK; STATUS_UNSUPPORTED when the kernel or a sandbox refuses io_uring (EPERM,
 * ENOSYS, ENOMEM, too old): fall back to pwrite; STATUS_IO_FAILED when the folder itself cannot be
 * written; STATUS_NO_MEMORY. `out_reason` gets a sentence in each case.
 */
enum status io_uring_prove(const char *directory, char *out_reason, size_t reason_size);
