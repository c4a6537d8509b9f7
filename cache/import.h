/*
 * import.h - Import: entries that Scroll has shown, here or on another server, are stored again
 * under their ids. What stands in them is believed: the digests of their identity cannot be made
 * again, since an entry keeps only a part of it. Two halves, as a Set: between them the texts whose
 * vectors did not come along are the embedder's, all at once. Threads: compute.
 */
#pragma once
#include "cache/cache.h"
#include "cache/freshness.h"

struct cache_import {
    /* Of its identity namespace, model, prompt, embedder and attributes count, and whether it is
     * pinned; how long it lives stands below, and an ack it has not. */
    struct cache_set_request set;
    struct digest id;
    uint8_t scope[ENTRY_ID_BYTES], compatibility[ENTRY_ID_BYTES];
    bool has_fields;
    struct text fields;             /* as fields_pack made them */
    uint64_t space;                 /* of its vector; 0: it had none */
    int64_t created_ms, expires_ms; /* where its TTL ends; 0: never */
    struct freshness freshness;     /* what comes after */
};

struct cache_import_options {
    bool overwrite, dry_run;
};

struct cache_import_reply {
    uint32_t imported, kept, expired;
    uint32_t indexed, unindexed; /* of the imported: have a row; had one where they come from */
    uint32_t evicted;            /* to make room: others, or some of the imported            */
};

struct coming;
struct cache_import_text { /* one that the embedder is to make a vector of */
    struct text text;
    float *unit;
    enum status status; /* what the embedder said */
};

struct cache_import_batch { /* in the arena */
    const struct cache_import *entries;
    size_t count;
    struct cache_import_options options;
    struct coming *coming;           /* [count] */
    struct cache_import_text *texts; /* [texts_count]; 0: no vector is to be made first */
    size_t texts_count;
};

/* Of the batch, entries, count and options are given. Nothing is stored yet: an entry that is wrong
 * is named ("entries[3].tags"), and so is NO_MEMORY. Each text then goes through
 * cache_import_embed, and its status into the batch, before cache_import_finish. */
enum status cache_import_begin(struct cache *cache, struct cache_import_batch *batch,
                               struct arena *arena, int64_t now_ms, struct failure *failure);
void cache_import_embed(struct cache *cache, struct cache_import_batch *batch, size_t text,
                        struct embed_job *job);
/* A text without a vector costs its entry the semantic tier, and is counted. STORAGE_DEGRADED,
 * OVERLOADED, NO_MEMORY may leave the first of the entries stored. */
enum status cache_import_finish(struct cache *cache, struct cache_import_batch *batch,
                                struct arena *arena, int64_t now_ms,
                                struct cache_import_reply *out_reply, struct failure *failure);
