/*
 * self_check.h - does every foreign part of this binary work on this machine? For the first minute
 * in a new container. Threads: main.
 */
#pragma once
#include <stdio.h>

/* One line a part on `out`. True if the server can run (io_uring refused is fine: nothing needs it
 * to serve). */
_Bool self_check(const char *folder, const char *version, FILE *out);
