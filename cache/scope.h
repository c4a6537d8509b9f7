/*
 * scope.h - one scope in one vector space: its policy's state, its counters, and the names that
 * Stats shows. Made when its first row is stored; kept until the end. Beyond scopes_max new scopes
 * share one state (one for the server's embedder, one for lexical vectors, one for the clients'):
 * they stay safe, each behind its own partition, and share only what verdicts move; a namespace
 * with a policy of its own decides by that. A scope goes with its namespace. Threads: any; a known
 * scope is found without a lock, inside an epoch, or while its namespace is held.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/text.h"
#include "cache/key.h"
#include "cache/registry.h"
#include "embed/embedder.h"
#include "trust/policy.h"
#include "trust/shadow.h"

struct scope {
    struct registry_item item;
    struct epoch_retired retired;
    uint64_t id; /* what a token carries; 0: a shared state */
    uint8_t digest[16];
    uint64_t space;
    struct policy_scope *policy;
    struct text tenant, namespace_, model, embedder; /* in the same block as the struct */
    struct key_attribute *attributes;
    size_t attributes_count;
    bool is_clients; /* its vectors are the client's */
    _Atomic uint64_t lookups, hits, guard_blocked;
    _Atomic uint64_t would_hits;     /* of `shadow` */
    _Atomic uint64_t near_verdicts;  /* right and wrong ones, on near misses */
    _Atomic(struct shadow *) shadow; /* NULL: no lookup has met a candidate  */
    _Atomic uint64_t configured;     /* what its policy follows: a stamp of wishes.c */
    atomic_int note;                 /* enum scope_note */
    struct scope *next_behind;       /* of folder.c's list */
};

/* Whether its note in the log says what it knows: there is none yet; yes; it is in folder.c's list
 * of those whose does not; it has been removed, and nothing more is to be written. */
enum scope_note { SCOPE_UNNOTED, SCOPE_NOTED, SCOPE_BEHIND, SCOPE_REMOVED };

/* First 8 bytes of the scope digest, mixed with the space: one scope may hold vectors of the
 * server's embedder and of its client's. */
uint64_t scope_id(const uint8_t digest[16], uint64_t space);

struct scopes;
struct scopes_setup {
    uint32_t scopes_max;
    uint8_t hash_key[16];
    struct epochs *epochs;
    const struct policy_settings *policy; /* of the start; outlives the scopes */
    uint64_t server_space;                /* 0: no embedder          */
    uint64_t lexical_space;               /* perhaps the server's    */
    float server_threshold;               /* of the shared states    */
    float lexical_threshold;
    float client_threshold;
};
enum status scopes_create(const struct scopes_setup *setup, struct scopes **out_scopes);
void scopes_destroy(struct scopes **scopes);
/* Of the states that scopes beyond scopes_max share. */
void scopes_configure_shared(struct scopes *scopes, const struct policy_settings *policy);

struct scope_names { /* what people call it, as the first request of the scope spelled it */
    struct text tenant, namespace_, model;
    const struct key_attribute *attributes;
    size_t attributes_count;
};

/* Never NULL: an unknown scope gets the shared state of its kind of space. */
struct scope *scopes_find(struct scopes *scopes, const uint8_t digest[16], uint64_t space);
/* By what a token carries, inside an epoch; NULL: it is gone, or a shared one. */
struct scope *scopes_find_id(struct scopes *scopes, uint64_t id);
/* What is counted by threshold; made when it is first asked for. NULL: of a shared one, or memory
 * is spent. */
struct shadow *scope_shadow(struct scope *scope);
/* Finds or makes; the shared state when there are scopes_max or memory is spent. A made one is
 * unnoted. */
struct scope *scopes_obtain(struct scopes *scopes, const struct scope_names *names,
                            const uint8_t digest[16], const struct embed_space *space);

/* Not found any more when this returns. One that is in folder.c's list is freed by scopes_retire,
 * later, by who takes it from there. */
void scopes_remove(struct scopes *scopes, struct scope *scope);
void scopes_retire(struct scopes *scopes, struct scope *scope);

typedef void scopes_visit(void *context, struct scope *scope);
/* Not the shared ones. */
void scopes_each(const struct scopes *scopes, scopes_visit *visit, void *context);
