/* folder.c - temporary folders for tests. Owns nothing. Threads: any. */
#include "tests/support/folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void folder_create(char out_path[64])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(out_path, 64, "%.40s/reprise.XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(out_path) == NULL) {
        perror("mkdtemp");
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

void folder_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
