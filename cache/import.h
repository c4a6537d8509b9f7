/*
 * import.h - Import: entries that Scroll has shown, here or on another server, are stored again
 * under their ids. What stands in them is believed: the digests of their identity cannot be made
 * again, since an entry keeps only a part of it. Threads: compute.
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
    uint32_t imported, kept, expired, indexed;
};

/* All or none as far as `entries` can be wrong ("entries[3].tags"); STORAGE_DEGRADED, OVERLOADED,
 * NO_MEMORY may leave the first of them stored. */
enum status cache_import(struct cache *cache, const struct cache_import *entries, size_t count,
                         const struct cache_import_options *options, struct arena *arena,
                         int64_t now_ms, struct cache_import_reply *out_reply,
                         struct failure *failure);
