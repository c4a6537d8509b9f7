/*
 * stamp.h - a note beside a large file that its digest has been checked: inode, size, time of the
 * last change and digest. As long as they are the same, the file is believed to be. Threads: one
 * process at a time need not be alone; the note is replaced whole.
 */
#pragma once
#include <stdbool.h>

#include "base/digest.h"

enum { STAMP_PATH_MAX = 4096 };

/* Is there a note for this file as it is now, with this digest? */
bool stamp_matches(const char *path, const struct digest *sha256);
/* Best effort: where the folder cannot be written, the digest is checked every time. */
void stamp_write(const char *path, const struct digest *sha256);
