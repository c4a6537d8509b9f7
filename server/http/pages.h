/*
 * pages.h - the routes of the HTTP door and what they answer.
 * Threads: `at_once` pages on a thread of the door, the others on one that may enter an epoch.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "server/http/listener.h"

struct page {
    unsigned status; /* 200, 503, ... */
    const char *type;
    char *body; /* from malloc; NULL: it could not be made, for want of memory */
    size_t body_bytes;
};

struct route {
    const char *path;
    bool at_once; /* reads a few atomics and nothing else */
    void (*make)(const struct http_sources *sources, struct page *out_page);
};

/* NULL: there is no such page. */
const struct route *route_find(const char *path);

/* A page of fixed words, for refusals and probes. */
void page_of_words(unsigned status, const char *words, struct page *out_page);

void page_of_metrics(const struct http_sources *sources, struct page *out_page);
void page_of_health(const struct http_sources *sources, struct page *out_page);
