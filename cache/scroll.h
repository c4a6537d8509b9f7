/*
 * scroll.h - Scroll and GetEntry: what is stored, page by page or by id, looked at and not counted.
 * Threads: compute.
 */
#pragma once
#include "cache/cache.h"

enum { CACHE_PAGE = 100, CACHE_PAGE_MAX = 1000, CACHE_CURSOR_TEXT = 24 };

struct cache_page_request {
    struct cache_selector selector; /* empty parts: any; its tenant always counts */
    uint32_t limit;                 /* 0: CACHE_PAGE */
    struct text cursor;             /* empty: from the beginning */
    bool answers, vectors;          /* wanted: they count in the page's bytes */
    uint64_t bytes_max;             /* a page of more is cut, but for its first entry */
};

struct cache_shown {
    struct entry *entry; /* a reference */
    int64_t expires_ms;  /* where its TTL ends; 0: never */
    uint32_t hits_count;
    const float *unit; /* NULL: it has no vector, or none was asked for; in the arena */
    uint32_t dimension;
    struct text embedder; /* the client's, of an entry with a vector; as the two below */
    const struct key_attribute *attributes;
    size_t attributes_count;
};

struct cache_page {
    struct cache_shown *shown; /* [limit], in the arena */
    size_t count;
    uint64_t bytes;                     /* about as many will they take on the wire */
    char cursor[CACHE_CURSOR_TEXT + 1]; /* of the next page; "": there is none */
};

/*
 * The order is fixed but means nothing; who lives all the while is seen once, who comes or goes may
 * be or not. A page that looks at many and finds few is shorter, perhaps empty, with a cursor all
 * the same. A cursor is good as long as this process lives: BAD_ID names it. BAD_NAME,
 * LIMIT_EXCEEDED, NO_MEMORY.
 */
enum status cache_scroll(struct cache *cache, const struct cache_page_request *request,
                         struct arena *arena, int64_t now_ms, struct cache_page *out_page,
                         struct failure *failure);
/* A page of the one; NOT_FOUND. */
enum status cache_entry(struct cache *cache, struct text tenant, const struct digest *id,
                        bool vector, struct arena *arena, int64_t now_ms,
                        struct cache_page *out_page, struct failure *failure);
void cache_page_release(struct cache_page *page);
