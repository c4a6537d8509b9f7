/*
 * manage.h - what the rooms of namespaces ask of each other: enter.c, wishes.c, budget.c, manage.c,
 * drop.c. What the verbs ask of them stands in parts.h. Threads: as the rooms say.
 */
#pragma once
#include <stdbool.h>

#include "base/text.h"
#include "cache/cache.h"
#include "cache/namespace.h"
#include "cache/scope.h"
#include "storage/entry.h"

/* It is always there. */
static inline bool cache_is_default(struct text name)
{
    return text_equal(name, TEXT("default"));
}

/* NOT_FOUND, names `name`. */
enum status cache_no_such_namespace(struct failure *failure);

/* Whether the entry is one of this namespace's. May be asked under a stripe's lock. */
bool cache_belongs(const struct entry *entry, struct text tenant, struct text name);

/* A namespace_check; context: the cache. LIMIT_EXCEEDED, BAD_THRESHOLD, NO_JOURNAL name the field.
 */
enum status cache_check_settings(const void *context,
                                 const struct cache_namespace_settings *settings,
                                 struct failure *failure);

/* Settings that were asked for under other options and that today's do not allow; "": none. They
 * stay wanted, and hold as far as the options allow. */
struct cache_degraded {
    char text[2 * (FAILURE_FIELD_MAX + FAILURE_MESSAGE_MAX)];
};
void cache_degraded_settings(const struct cache *cache,
                             const struct cache_namespace_settings *settings,
                             struct cache_degraded *out_degraded);

/* What it wants now holds for what it has already. The namespace is held, or nobody else is there
 * yet. NO_MEMORY: entries that the quota does not know stay until the table evicts them. */
enum status cache_apply_budget(struct cache *cache, struct namespace_ *namespace_);

/* Policy and index (NULL: as the options say) of one scope follow its namespace. */
void cache_tell_scope(struct cache *cache, const struct namespace_ *namespace_, struct scope *scope,
                      const struct index_choice *choice);
