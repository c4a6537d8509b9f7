/*
 * stamp.c - the note is one line in PATH.verified: "INODE SIZE MTIME_NS SHA-256". Whoever may write
 * it may as well replace the file and its manifest: it saves time, it protects from nothing.
 * Owns nothing. Threads: any.
 */
#include "embed/stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

enum { LINE_MAX_BYTES = 256 };

static bool make_line(const char *path, const struct digest *sha256, char line[LINE_MAX_BYTES])
{
    struct stat about;
    if (stat(path, &about) != 0)
        return false;
    char hex[DIGEST_HEX + 1];
    digest_to_hex(sha256, hex);
    const int length = snprintf(line, LINE_MAX_BYTES, "%ju %jd %jd%09ld %s\n",
                                (uintmax_t)about.st_ino, (intmax_t)about.st_size,
                                (intmax_t)about.st_mtim.tv_sec, about.st_mtim.tv_nsec, hex);
    assert(length > 0);
    assert(length < LINE_MAX_BYTES);
    return true;
}

static bool make_path(const char *path, const char *end, char out[STAMP_PATH_MAX])
{
    return snprintf(out, STAMP_PATH_MAX, "%s%s", path, end) < STAMP_PATH_MAX;
}

bool stamp_matches(const char *path, const struct digest *sha256)
{
    char line[LINE_MAX_BYTES], kept[LINE_MAX_BYTES] = {0}, note[STAMP_PATH_MAX];
    if (!make_line(path, sha256, line) || !make_path(path, ".verified", note))
        return false;
    FILE *file = fopen(note, "re");
    if (file == NULL)
        return false;
    (void)fread(kept, 1, sizeof(kept) - 1, file);
    (void)fclose(file);
    return strcmp(line, kept) == 0;
}

void stamp_write(const char *path, const struct digest *sha256)
{
    char line[LINE_MAX_BYTES], note[STAMP_PATH_MAX], fresh[STAMP_PATH_MAX], end[64];
    (void)snprintf(end, sizeof(end), ".verified.%jd", (intmax_t)getpid());
    if (!make_line(path, sha256, line) || !make_path(path, ".verified", note) ||
        !make_path(path, end, fresh))
        return;
    FILE *file = fopen(fresh, "we");
    if (file == NULL)
        return;
    bool written = fputs(line, file) >= 0;
    written = fclose(file) == 0 && written;
    if (!written || rename(fresh, note) != 0)
        (void)unlink(fresh);
}
