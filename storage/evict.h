/*
 * evict.h - who has to go: the border between the table and an eviction rule. Each stripe has a
 * rule of its own at work; the rule orders the stripe's entries and names a victim, the table
 * removes it. Rules use two bytes and the slot in an entry's header. Threads: one at a time, the
 * caller holds the stripe's lock.
 */
#pragma once
#include "base/status.h"

struct entry;
struct evict;

struct evict_rule {
    enum status (*create)(struct evict **out_evict);
    void (*destroy)(struct evict **evict); /* NULL is fine; entries are not released          */

    /* A new digest has come. STATUS_NO_MEMORY: nothing has changed. */
    enum status (*inserted)(struct evict *evict, struct entry *entry);
    /* The digest has a new entry, which inherits the place and the merit of the old one. */
    void (*replaced)(struct evict *evict, struct entry *old_entry, struct entry *new_entry);
    void (*hit)(struct evict *evict, struct entry *entry);
    void (*removed)(struct evict *evict, struct entry *entry);
    /* Names the one to go and forgets it as if removed; NULL when there is none. */
    struct entry *(*victim)(struct evict *evict);
};

struct evict { /* first in each rule's own struct */
    const struct evict_rule *rule;
};

extern const struct evict_rule evict_s3fifo;    /* the default: a scan washes nothing out      */
extern const struct evict_rule evict_lru;       /* the one that was asked for longest ago goes */
extern const struct evict_rule evict_lfu_aging; /* the one asked for least goes; hits fade     */
