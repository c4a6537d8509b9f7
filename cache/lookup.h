/*
 * lookup.h - what the two halves of a Get share: its counters, its clock, and how it ends. Inside
 * cache/ only. Threads: one at a time a Get.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cache/namespace.h"
#include "embed/embedder.h"

/* Between the two a step may count and find; an epoch is entered. */
void lookup_open(struct cache *cache, struct cache_get *get);
void lookup_close(struct cache *cache, struct cache_get *get);

struct namespace_counters *lookup_counters(struct cache_get *get);
bool lookup_wants(const struct cache_get *get, enum cache_include include);

/* Microseconds since the last lap; 0 without a clock. */
uint32_t lookup_lap(const struct cache *cache, struct cache_get *get);
/* Since the Get began; without a clock, up to the last moment known. */
uint64_t lookup_elapsed_us(const struct cache *cache, const struct cache_get *get);
void lookup_settle_time(const struct cache *cache, struct cache_get *get);

/* The exact tier, without counting a miss. True: *get is an exact hit. */
bool lookup_take_exact(struct cache *cache, struct cache_get *get, int64_t now_ms);

/* Counts the exact tier's miss, now that the Get has an outcome: one that fails is no lookup. */
void lookup_settle_exact(struct cache_get *get);
/* Of a Get that asked for a lease: counts the miss that lookup_settle_miss has left open. */
void lookup_settle_leased(const struct cache *cache, struct cache_get *get, enum cache_miss reason);

/* A Get ends here, or with a hit, once. */
void lookup_settle_miss(const struct cache *cache, struct cache_get *get, enum cache_miss reason);
/* The same of one that has asked the semantic tier. */
void lookup_settle_semantic_miss(const struct cache *cache, struct cache_get *get,
                                 enum cache_miss reason);

/* The request asks for an age or for time left: every entry has to be looked at. */
bool lookup_is_controlled(const struct cache_get *get);
/* The tiers in their order, as far as no vector is needed; the keys have been made. */
enum cache_step lookup_ask(struct cache *cache, struct cache_get *get, int64_t now_ms);
enum status lookup_check(const struct cache *cache, const struct cache_get_request *request,
                         struct failure *failure);

/* By its maker, which is known. False: nobody makes vectors for this request. */
bool lookup_space(const struct cache_get *get, struct embed_space *out_space);
