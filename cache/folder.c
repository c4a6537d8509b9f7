/*
 * folder.c - what outlives the process: what cache/ itself keeps in the log (notes.h), acks,
 * snapshots. Owns nothing but the list of scopes whose note is behind.
 *
 * NOTES. A scope's note is written before its first entry, and after that within a second of a
 * change, by the keeper: marking is one compare-and-swap on the scope and one push. Tokens
 * likewise. Whether a note reaches the disk nobody waits for: a lost one costs a few verdicts.
 *
 * THREADS. Marking: any. Writing: the keeper, and the custodian when it renews. NOT HERE. How the
 * folder is read (load.c).
 */
#include <string.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/notes.h"
#include "cache/parts.h"

enum { NOTES_EVERY_MS = 1000 };

bool cache_has_folder(const struct cache *cache)
{
    return cache->journal.path[0] != '\0';
}

enum status cache_expect_folder(struct cache *cache, const struct cache_setup *setup)
{
    cache->clock_ms = setup->clock_ms;
    cache->chance = setup->chance;
    if (!cache_has_folder(cache)) {
        atomic_store(&cache->is_loaded, true);
        return directory_builder_start(cache->directory);
    }
    assert(cache->clock_us != NULL);
    assert(cache->clock_ms != NULL);
    assert(cache->chance != NULL);
    store_expect_open(cache->store);
    return STATUS_OK;
}

/* ---- acks ------------------------------------------------------------------------------------ */

enum status cache_resolve_ack(const struct cache *cache, enum journal_ack asked,
                              enum journal_ack *out_ack, struct failure *failure)
{
    assert(asked <= ACK_SYNCED);
    if (asked > ACK_MEMORY && !cache_has_folder(cache))
        return failure_set(failure, STATUS_NO_JOURNAL, "ack", "%s", status_text(STATUS_NO_JOURNAL));
    *out_ack = store_ack_default(cache->store, asked);
    assert(*out_ack != ACK_DEFAULT);
    return STATUS_OK;
}

enum journal_ack cache_ack_removal(const struct cache *cache)
{
    return store_ack_removal(cache->store);
}

/* ---- notes, written -------------------------------------------------------------------------- */

enum status cache_note_tokens(struct cache *cache, struct arena *arena)
{
    struct token_memory memory;
    struct record_note note;
    token_desk_memory(cache->tokens, &memory);
    enum status status = note_write_tokens(&memory, arena, &note);
    explicit_bzero(memory.key, sizeof(memory.key));
    return status == STATUS_OK ? store_note(cache->store, &note, NULL) : status;
}

static enum status note_scope(struct cache *cache, const struct scope *scope, struct arena *arena)
{
    assert(scope->id != 0);
    struct note_scope note = {
        .space = scope->space,
        .is_clients = scope->is_clients,
        .embedder = scope->embedder,
        .names = {.tenant = scope->tenant,
                  .namespace_ = scope->namespace_,
                  .model = scope->model,
                  .attributes = scope->attributes,
                  .attributes_count = scope->attributes_count},
    };
    memcpy(note.digest, scope->digest, sizeof(note.digest));
    policy_scope_memory(scope->policy, &note.policy);
    struct record_note record;
    enum status status = note_write_scope(&note, arena, &record);
    return status == STATUS_OK ? store_note(cache->store, &record, NULL) : status;
}

/* Inside an epoch. */
static enum status write_namespace(struct cache *cache, const struct namespace_ *namespace_,
                                   struct arena *arena, const struct journal_wish *wish)
{
    const struct note_namespace note = {
        .tenant = namespace_->tenant,
        .name = namespace_->name,
        .version = namespace_version(namespace_),
        .settings = *namespace_wants(namespace_),
    };
    struct record_note record;
    enum status status = note_write_namespace(&note, arena, &record);
    return status == STATUS_OK ? store_note(cache->store, &record, wish) : status;
}

/* For who waits, or nobody. */
static struct journal_wish wish_of(const struct cache *cache, const struct cache_waiter *waiter)
{
    if (waiter == NULL)
        return (struct journal_wish){.ack = ACK_MEMORY};
    waiter->expect(waiter->context);
    return (struct journal_wish){cache_ack_removal(cache), waiter->done, waiter->context};
}

/* Where nothing was handed in. */
static void give_up(const struct cache_waiter *waiter)
{
    if (waiter != NULL)
        waiter->done(waiter->context, STATUS_OK);
}

static enum status note_namespace(struct cache *cache, const struct namespace_ *namespace_,
                                  struct arena *arena, const struct cache_waiter *waiter)
{
    const struct journal_wish wish = wish_of(cache, waiter);
    epoch_enter(cache->epochs);
    const enum status status = write_namespace(cache, namespace_, arena, &wish);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        give_up(waiter);
    return status;
}

/* The last note of a namespace has to say what holds last: who finds that it has changed while its
 * note was handed in writes another. */
enum status cache_note_namespace(struct cache *cache, const struct namespace_ *namespace_,
                                 const struct cache_waiter *waiter)
{
    struct arena *arena = NULL;
    uint64_t version = 0;
    enum status status = arena_create(&arena);
    while (status == STATUS_OK) {
        epoch_enter(cache->epochs);
        const uint64_t version_now = namespace_version(namespace_);
        epoch_leave(cache->epochs);
        if (version_now == version)
            break;
        version = version_now;
        status = note_namespace(cache, namespace_, arena, waiter);
        arena_reset(arena);
    }
    arena_destroy(&arena);
    return status;
}

enum status cache_note_dropped(struct cache *cache, struct text tenant, struct text name,
                               const struct cache_waiter *waiter)
{
    const struct note_namespace note = {.tenant = tenant, .name = name, .is_dropped = true};
    struct arena *arena = NULL;
    struct record_note record;
    enum status status = arena_create(&arena);
    if (status == STATUS_OK)
        status = note_write_namespace(&note, arena, &record);
    if (status == STATUS_OK) {
        const struct journal_wish wish = wish_of(cache, waiter);
        status = store_note(cache->store, &record, &wish);
        if (status != STATUS_OK)
            give_up(waiter);
    }
    arena_destroy(&arena);
    return status;
}

static void push_behind(struct cache *cache, struct scope *scope)
{
    struct scope *first = atomic_load(&cache->scopes_behind);
    do {
        scope->next_behind = first;
    } while (!atomic_compare_exchange_weak(&cache->scopes_behind, &first, scope));
}

void cache_note_scope_later(struct cache *cache, struct scope *scope)
{
    int noted = SCOPE_NOTED;
    if (scope->id != 0 && cache_has_folder(cache) &&
        atomic_compare_exchange_strong(&scope->note, &noted, SCOPE_BEHIND))
        push_behind(cache, scope);
}

void cache_note_tokens_later(struct cache *cache)
{
    atomic_store(&cache->tokens_behind, cache_has_folder(cache));
}

void cache_note_new_scope(struct cache *cache, struct scope *scope)
{
    int unnoted = SCOPE_UNNOTED;
    struct arena *arena = NULL;
    if (scope->id == 0 || atomic_load(&scope->note) != SCOPE_UNNOTED || !cache_has_folder(cache))
        return;
    if (!atomic_compare_exchange_strong(&scope->note, &unnoted, SCOPE_NOTED))
        return;
    if (arena_create(&arena) != STATUS_OK || note_scope(cache, scope, arena) != STATUS_OK)
        cache_note_scope_later(cache, scope);
    arena_destroy(&arena);
}

/* SCOPE_NOTED comes before the state is read: what changes after that marks it again. Inside an
 * epoch, or when nobody else is there any more. */
static void note_behind(struct cache *cache, struct arena *arena)
{
    struct scope *next = NULL;
    for (struct scope *scope = atomic_exchange(&cache->scopes_behind, NULL); scope != NULL;
         scope = next) {
        int behind = SCOPE_BEHIND;
        next = scope->next_behind;
        if (!atomic_compare_exchange_strong(&scope->note, &behind, SCOPE_NOTED)) {
            scopes_retire(cache->scopes, scope); /* its namespace was dropped */
            continue;
        }
        if (note_scope(cache, scope, arena) != STATUS_OK)
            cache_note_scope_later(cache, scope);
        arena_reset(arena);
    }
}

static void write_behind(struct cache *cache)
{
    struct arena *arena = NULL;
    if (arena_create(&arena) != STATUS_OK)
        return;
    if (atomic_exchange(&cache->tokens_behind, false) &&
        cache_note_tokens(cache, arena) != STATUS_OK)
        atomic_store(&cache->tokens_behind, true);
    arena_reset(arena);
    note_behind(cache, arena);
    arena_destroy(&arena);
}

void cache_note_changes(struct cache *cache, int64_t now_ms)
{
    if (!cache_has_folder(cache))
        return;
    if (now_ms >= cache->noted_ms && now_ms - cache->noted_ms < NOTES_EVERY_MS)
        return;
    cache->noted_ms = now_ms;
    epoch_enter(cache->epochs);
    write_behind(cache);
    epoch_leave(cache->epochs);
}

struct renewal {
    struct cache *cache;
    struct arena *arena;
    enum status status; /* the first that is not OK */
};

static void renew_scope(void *context, struct scope *scope)
{
    struct renewal *renewal = context;
    if (renewal->status == STATUS_OK)
        renewal->status = note_scope(renewal->cache, scope, renewal->arena);
    arena_reset(renewal->arena);
}

static void renew_namespace(void *context, struct namespace_ *namespace_)
{
    struct renewal *renewal = context;
    const struct journal_wish wish = {.ack = ACK_MEMORY};
    if (renewal->status == STATUS_OK && atomic_load(&namespace_->is_made) &&
        !atomic_load(&namespace_->is_closing))
        renewal->status = write_namespace(renewal->cache, namespace_, renewal->arena, &wish);
    arena_reset(renewal->arena);
}

enum status cache_renew_notes(void *context)
{
    struct renewal renewal = {.cache = context};
    enum status status = arena_create(&renewal.arena);
    if (status != STATUS_OK)
        return status;
    renewal.status = cache_note_tokens(renewal.cache, renewal.arena);
    arena_reset(renewal.arena);
    epoch_enter(renewal.cache->epochs);
    scopes_each(renewal.cache->scopes, renew_scope, &renewal);
    namespaces_each(renewal.cache->namespaces, renew_namespace, &renewal);
    epoch_leave(renewal.cache->epochs);
    arena_destroy(&renewal.arena);
    return renewal.status;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

void cache_close_folder(struct cache *cache)
{
    if (cache->store == NULL)
        return;
    if (cache_has_folder(cache) && atomic_load(&cache->is_loaded)) {
        write_behind(cache);
        cache_keep_segments(cache);
    }
    store_close_journal(cache->store);
}

/* ---- snapshots, compaction ------------------------------------------------------------------- */

enum status cache_restore(struct cache *cache, struct text snapshot,
                          char out_aside[RESTORE_FOLDER_MAX], struct failure *failure)
{
    assert(cache_has_folder(cache));
    assert(!atomic_load(&cache->is_loaded));
    const enum status status = storage_restore(cache->journal.path, snapshot, out_aside, failure);
    if (status != STATUS_OK && failure->status == STATUS_OK)
        (void)failure_set(failure, status, "restore", "%s", status_text(status));
    return status;
}

static enum status explain(enum status status, struct failure *failure)
{
    if (status == STATUS_OK)
        return STATUS_OK;
    return failure_set(failure, status, "", "%s", status_text(status));
}

void cache_snapshot(struct cache *cache, struct text name, snapshot_done *done, void *context)
{
    assert(cache_has_folder(cache));
    const enum status status = store_snapshot(cache->store, name, done, context);
    if (status != STATUS_OK)
        done(context, status, NULL);
}

void cache_compact(struct cache *cache, journal_done *done, void *context)
{
    assert(cache_has_folder(cache));
    const enum status status = store_compact(cache->store, done, context);
    if (status != STATUS_OK)
        done(context, status);
}

enum status cache_snapshots(struct cache *cache, struct snapshot_info *out_infos,
                            uint32_t infos_max, uint32_t *out_count, struct failure *failure)
{
    return explain(store_snapshots(cache->store, out_infos, infos_max, out_count), failure);
}

enum status cache_snapshot_remove(struct cache *cache, struct text name, struct failure *failure)
{
    return explain(store_snapshot_remove(cache->store, name), failure);
}

/* ---- figures --------------------------------------------------------------------------------- */

void cache_journal_stats(const struct cache *cache, struct journal_stats *out_stats)
{
    store_journal_stats(cache->store, out_stats);
}

void cache_folder_stats(const struct cache *cache, struct cache_stats *stats)
{
    stats->has_folder = cache_has_folder(cache);
    stats->recovered_rows = namespace_read(&cache->recovered_rows);
    stats->recovered_rowless = namespace_read(&cache->recovered_rowless);
    cache_journal_stats(cache, &stats->journal);
    stats->segments_kept = namespace_read(&cache->segments_kept);
    stats->segments_not_kept = namespace_read(&cache->segments_not_kept);
    if (!stats->has_folder)
        stats->journal.loading_done = 1;
}
