/*
 * load.c - the data folder read at start. Owns what it needs for that while it lasts.
 *
 * Entries come in the order of the log, notes between them. An entry's vector becomes a row again,
 * with the guard's signature made anew from its prompt. Vectors of the server's embedder of today,
 * lexical ones where the namespace wants those, and vectors of clients have a space; those that
 * another embedder made have none: they are not indexed, and counted. Which spaces are clients'
 * stands in the notes of scopes, what a namespace wants in its own. Those may come behind the
 * entries, so vectors that nobody has vouched for yet are indexed at first and looked at again at
 * the end.
 *
 * THREADS. One, alone but for Stats; vector_of: the custodian's, later.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "cache/answer.h"
#include "cache/freshness.h"
#include "cache/cache.h"
#include "cache/notes.h"
#include "cache/parts.h"
#include "index/vector.h"

struct loading { /* of one cache_load */
    struct cache *cache;
    struct arena *arena; /* scratch of one entry or note */
    struct failure *failure;
    enum status status;      /* the first that is not OK; nothing is taken after that */
    uint64_t unnamed_space;  /* of clients that name no embedder */
    uint64_t *client_spaces; /* sorted */
    size_t client_spaces_count, client_spaces_capacity;
    struct entry **doubtful; /* indexed, but of a space that nobody has vouched for, or past
                                 their time unless a TOUCH follows; a reference each */
    size_t doubtful_count, doubtful_capacity;
    bool has_tokens;
};

/* The store's visitor is for life; reading is not. */
static struct loading *loading_of(void *context)
{
    struct cache *cache = context;
    assert(cache->loading != NULL);
    return cache->loading;
}

bool cache_load_has_failed(const struct cache *cache)
{
    if (atomic_load(&cache->is_loaded))
        return false;
    return cache->loading == NULL || cache->loading->status != STATUS_OK;
}

static void fail(struct loading *loading, enum status status, const char *field, const char *why)
{
    if (loading->status == STATUS_OK)
        loading->status = failure_set(loading->failure, status, field, "%s", why);
}

/* Room for one more; false, and the load has failed, when memory is spent. */
static bool make_room(struct loading *loading, void *array, size_t count, size_t *capacity,
                      size_t size)
{
    void **items = array;
    if (count < *capacity)
        return true;
    const size_t wanted = *capacity > 0 ? *capacity * 2 : 64;
    void *grown = reallocarray(*items, wanted, size);
    if (grown == NULL) {
        fail(loading, STATUS_NO_MEMORY, "", status_text(STATUS_NO_MEMORY));
        return false;
    }
    *items = grown;
    *capacity = wanted;
    return true;
}

/* Where the space stands, or would stand. */
static size_t place_of(const struct loading *loading, uint64_t space)
{
    size_t low = 0, high = loading->client_spaces_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (loading->client_spaces[middle] < space)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_clients(const struct loading *loading, uint64_t space)
{
    const size_t at = place_of(loading, space);
    return space == loading->unnamed_space ||
           (at < loading->client_spaces_count && loading->client_spaces[at] == space);
}

static void vouch_for(struct loading *loading, uint64_t space)
{
    if (is_clients(loading, space) ||
        !make_room(loading, &loading->client_spaces, loading->client_spaces_count,
                   &loading->client_spaces_capacity, sizeof(loading->client_spaces[0])))
        return;
    const size_t at = place_of(loading, space);
    uint64_t *spaces = loading->client_spaces;
    memmove(&spaces[at + 1], &spaces[at], (loading->client_spaces_count - at) * sizeof(spaces[0]));
    spaces[at] = space;
    loading->client_spaces_count++;
}

static struct namespace_ *find_namespace(const struct loading *loading, struct text tenant,
                                         struct text name)
{
    epoch_enter(loading->cache->epochs); /* nobody removes one while the folder is read */
    struct namespace_ *namespace_ = namespaces_find(loading->cache->namespaces, tenant, name);
    epoch_leave(loading->cache->epochs);
    return namespace_;
}

/* The space, if this server makes such vectors for anybody. */
static const struct embed_space *own_space(const struct loading *loading, uint64_t id)
{
    const struct embedder *maker = cache_maker_of(loading->cache, id);
    return maker != NULL ? embedder_space(maker) : NULL;
}

/* ---- notes ---- */

static void load_scope(struct loading *loading, const struct record_note *record)
{
    struct cache *cache = loading->cache;
    struct note_scope note;
    struct embed_space client;
    if (!note_read_scope(record, loading->arena, &note))
        return;
    const struct embed_space *space = &client;
    if (note.is_clients) {
        embed_client_space(note.embedder, 1, &client);
        vouch_for(loading, note.space);
    } else {
        space = own_space(loading, note.space);
    }
    if (space == NULL || space->id != note.space)
        return;
    struct scope *scope = scopes_obtain(cache->scopes, &note.names, note.digest, space);
    if (scope->id == 0)
        return;
    policy_scope_remember(scope->policy, &note.policy);
    atomic_store(&scope->note, SCOPE_NOTED);
}

static struct namespace_ *obtain_namespace(struct loading *loading, struct text tenant,
                                           struct text name)
{
    struct namespace_ *namespace_ = NULL;
    epoch_enter(loading->cache->epochs);
    enum status status = namespaces_obtain(loading->cache->namespaces, tenant, name, &namespace_);
    epoch_leave(loading->cache->epochs);
    if (status == STATUS_LIMIT_EXCEEDED)
        fail(loading, STATUS_BAD_OPTION, "cache.namespaces_max",
             "the data folder holds more namespaces");
    else if (status != STATUS_OK)
        fail(loading, status, "", status_text(status));
    return namespace_;
}

static void load_namespace(struct loading *loading, const struct record_note *record)
{
    struct note_namespace note;
    if (!note_read_namespace(record, &note))
        return;
    if (!note.is_dropped && !cache_settings_are_whole(&note.settings)) {
        log_write(LOG_WARNING, "cache", "settings of a namespace make no sense and are left out",
                  "namespace=\"%.*s\"", (int)note.name.length, note.name.bytes);
        return;
    }
    if (note.is_dropped)
        cache_forget_scopes(loading->cache, note.tenant, note.name);
    struct namespace_ *namespace_ = note.is_dropped
                                        ? find_namespace(loading, note.tenant, note.name)
                                        : obtain_namespace(loading, note.tenant, note.name);
    if (namespace_ == NULL)
        return;
    if (note.is_dropped)
        note.settings = cache_namespace_settings_none;
    if (namespace_remember(loading->cache->namespaces, namespace_, &note.settings, note.version) !=
        STATUS_OK)
        fail(loading, STATUS_NO_MEMORY, "", status_text(STATUS_NO_MEMORY));
    atomic_store(&namespace_->is_made, !note.is_dropped);
    if (note.is_dropped)
        cache_let_go(loading->cache, namespace_); /* those that come and go fill no limit */
}

static void load_tokens(struct loading *loading, const struct record_note *record)
{
    struct token_memory memory;
    if (!note_read_tokens(record, &memory))
        return;
    token_desk_remember(loading->cache->tokens, &memory);
    explicit_bzero(memory.key, sizeof(memory.key));
    loading->has_tokens = true;
}

static void load_note(void *context, const struct record_note *note)
{
    struct loading *loading = loading_of(context);
    if (loading->status != STATUS_OK || note->owner != NOTE_OWNER)
        return;
    if (note->kind == NOTE_SCOPE)
        load_scope(loading, note);
    else if (note->kind == NOTE_NAMESPACE)
        load_namespace(loading, note);
    else if (note->kind == NOTE_TOKENS)
        load_tokens(loading, note);
    arena_reset(loading->arena);
}

/* ---- entries ---- */

/* Whether this very entry is stored still, whatever its time. */
static bool stands(struct cache *cache, const struct entry *entry)
{
    struct store_hit hit;
    if (store_find(cache->store, entry_digest(entry), 0, STORE_PEEK, &hit) != STORE_FOUND)
        return false;
    entry_release(hit.entry);
    return hit.entry == entry;
}

/* The dead had their rows taken out when they died. */
static void forget_dead(struct loading *loading)
{
    size_t kept = 0;
    for (size_t i = 0; i < loading->doubtful_count; i++) {
        struct entry *entry = loading->doubtful[i];
        if (stands(loading->cache, entry))
            loading->doubtful[kept++] = entry;
        else
            entry_release(entry);
    }
    loading->doubtful_count = kept;
}

/* Before the list grows the dead leave it, or it would hold the whole log in memory. */
static void doubt(struct loading *loading, struct entry *entry)
{
    size_t count = loading->doubtful_count;
    if (count == loading->doubtful_capacity) {
        forget_dead(loading);
        if (loading->doubtful_count <= count / 2)
            count = loading->doubtful_count;
    }
    if (make_room(loading, &loading->doubtful, count, &loading->doubtful_capacity,
                  sizeof(struct entry *)))
        loading->doubtful[loading->doubtful_count++] = entry_acquire(entry);
}

/* A scope whose note is lost: what its entries know of it is enough to go on with. */
static void ensure_scope(struct loading *loading, const struct entry *entry,
                         const struct answer_view *view)
{
    struct cache *cache = loading->cache;
    struct embed_space client;
    if (scopes_find(cache->scopes, entry_scope(entry), entry_space(entry))->id != 0)
        return;
    const struct embed_space *space = own_space(loading, entry_space(entry));
    if (entry_space(entry) == loading->unnamed_space) {
        embed_client_space(TEXT(""), 1, &client);
        space = &client;
    }
    if (space == NULL)
        return;
    const struct scope_names names = {
        .tenant = view->tenant, .namespace_ = view->namespace_, .model = view->model};
    (void)scopes_obtain(cache->scopes, &names, entry_scope(entry), space);
}

static int64_t expires_of(struct cache *cache, const struct entry *entry)
{
    struct store_hit hit;
    if (store_find(cache->store, entry_digest(entry), 0, STORE_PEEK, &hit) != STORE_FOUND)
        return 0;
    entry_release(hit.entry);
    return hit.expires_ms;
}

static bool insert_row(struct loading *loading, struct namespace_ *namespace_,
                       const struct entry *entry, const struct store_vector *vector)
{
    const struct cache_row row = {
        .key = cache_partition_key(entry_scope(entry), entry_space(entry)),
        .id = *entry_digest(entry),
        .compatibility = entry_compatibility(entry),
        .sequence = entry_sequence(entry),
        .expires_ms = cache_row_end_ms(entry, expires_of(loading->cache, entry)),
        .unit = vector->unit,
        .dimension = vector->dimension,
        .query = entry_prompt(entry),
    };
    return cache_insert_row(loading->cache, namespace_, &row, loading->arena) == STATUS_OK;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool is_over(struct cache *cache, const struct entry *entry)
{
    struct store_hit hit;
    const enum store_found found =
        store_find(cache->store, entry_digest(entry), cache->clock_ms(), STORE_PEEK, &hit);
    if (found == STORE_FOUND)
        entry_release(hit.entry);
    return found != STORE_FOUND;
}

static bool is_unknown(const struct loading *loading, uint64_t space)
{
    return own_space(loading, space) == NULL && !is_clients(loading, space);
}

/* Once all notes have been read. */
static bool is_compared(const struct loading *loading, const struct entry *entry)
{
    struct cache *cache = loading->cache;
    struct answer_view view;
    if (!cache_is_by_wish(cache, entry_space(entry)))
        return !is_unknown(loading, entry_space(entry));
    answer_view_read(entry_metadata(entry), &view);
    const struct namespace_ *namespace_ = find_namespace(loading, view.tenant, view.namespace_);
    return namespace_ != NULL &&
           cache_compares(cache, namespace_wants(namespace_), entry_space(entry));
}

static void load_row(struct loading *loading, struct namespace_ *namespace_, struct entry *entry,
                     const struct store_vector *vector)
{
    struct cache *cache = loading->cache;
    if (entry_prompt(entry).length == 0 || vector->dimension > VECTOR_DIMENSION_MAX ||
        !insert_row(loading, namespace_, entry, vector)) {
        count(&cache->recovered_rowless);
        return;
    }
    count(&cache->recovered_rows);
    const uint64_t space = entry_space(entry);
    if (is_unknown(loading, space) || cache_is_by_wish(cache, space) || is_over(cache, entry))
        doubt(loading, entry);
}

static void load_entry(void *context, struct entry *entry, const struct store_vector *vector)
{
    struct loading *loading = loading_of(context);
    struct answer_view view;
    if (loading->status != STATUS_OK)
        return;
    assert(entry_sequence(entry) != 0);
    if (!answer_is_whole(entry_metadata(entry))) { /* its checksum was right */
        fail(loading, STATUS_UNSUPPORTED, "storage.path",
             "the folder holds entries that another version has written");
        return;
    }
    answer_view_read(entry_metadata(entry), &view);
    struct namespace_ *namespace_ = obtain_namespace(loading, view.tenant, view.namespace_);
    if (namespace_ == NULL)
        return;
    cache_count_entry(namespace_, entry);
    if (vector != NULL && vector->dimension > 0 && entry_space(entry) != 0) {
        ensure_scope(loading, entry, &view);
        load_row(loading, namespace_, entry, vector);
    }
    arena_reset(loading->arena);
}

/* A TOUCH that was read behind its entry. */
static void load_touch(void *context, const struct entry *entry, int64_t expires_ms)
{
    struct loading *loading = loading_of(context);
    if (loading->status != STATUS_OK || !answer_is_whole(entry_metadata(entry)))
        return;
    struct freshness freshness;
    freshness_read(entry, &freshness);
    if (freshness.sliding_ms > 0) /* its row ends with its last renewal */
        return;
    cache_retime_row(loading->cache, entry, cache_row_end_ms(entry, expires_ms), loading->arena);
    arena_reset(loading->arena);
}

/* Now that all has been read: vectors whose space nobody has vouched for are another embedder's, as
 * are those that their namespace wants no more, and what no TOUCH has renewed is over. */
static void settle_doubts(struct loading *loading)
{
    struct cache *cache = loading->cache;
    forget_dead(loading);
    for (size_t i = 0; i < loading->doubtful_count; i++) {
        struct entry *entry = loading->doubtful[i];
        const bool unknown = !is_compared(loading, entry);
        if (loading->status == STATUS_OK && (unknown || is_over(cache, entry))) {
            cache_remove_row(cache, entry);
            atomic_fetch_add_explicit(&cache->recovered_rowless, unknown, memory_order_relaxed);
            atomic_fetch_sub_explicit(&cache->recovered_rows, 1, memory_order_relaxed);
        }
        entry_release(entry);
    }
}

static uint32_t vector_of(void *context, const struct entry *entry, float *out_unit,
                          uint32_t floats_max)
{
    struct cache *cache = context;
    if (entry_space(entry) == 0)
        return 0;
    const struct partition_key key = cache_partition_key(entry_scope(entry), entry_space(entry));
    return directory_vector(cache->directory, &key, entry_digest(entry), entry_sequence(entry),
                            out_unit, floats_max);
}

static bool is_still_wanted(void *context)
{
    const struct cache *cache = context;
    return cache->is_load_wanted == NULL || cache->is_load_wanted();
}

static enum status read_folder(struct cache *cache, struct loading *loading)
{
    const struct store_open_visitor visitor = {
        .context = cache,
        .entry = load_entry,
        .touched = load_touch,
        .note = load_note,
        .vector_of = vector_of,
        .renew_notes = cache_renew_notes,
        .forget = cache_forget_segments,
        .clock_us = cache->clock_us,
        .clock_ms = cache->clock_ms,
        .chance = cache->chance,
        .is_wanted = is_still_wanted,
    };
    cache->loading = loading;
    cache_offer_segments(cache);
    enum status status = store_open(cache->store, &cache->journal, &visitor, loading->failure);
    if (status == STATUS_OK)
        status = loading->status;
    if (status != STATUS_OK)
        cache->loading = NULL; /* what dies from here on was counted by nobody */
    settle_doubts(loading);
    cache_take_segments(cache);
    if (status == STATUS_OK)
        cache_settle_loaded(cache);
    return status;
}

void cache_load_while(struct cache *cache, bool (*is_wanted)(void))
{
    cache->is_load_wanted = is_wanted; /* nobody asks where there is no folder */
}

enum status cache_load(struct cache *cache, struct failure *failure)
{
    struct embed_space unnamed;
    if (!cache_has_folder(cache))
        return STATUS_OK;
    assert(!atomic_load(&cache->is_loaded));
    embed_client_space(TEXT(""), 1, &unnamed);
    struct loading loading = {.cache = cache, .failure = failure, .unnamed_space = unnamed.id};
    enum status status = arena_create(&loading.arena);
    if (status == STATUS_OK)
        status = read_folder(cache, &loading);
    if (status == STATUS_OK && !loading.has_tokens)
        status = cache_note_tokens(cache, loading.arena);
    if (status == STATUS_OK)
        status = directory_builder_start(cache->directory);
    if (status == STATUS_OK)
        status = cache_start_scribe(cache);
    atomic_store(&cache->is_loaded, status == STATUS_OK);
    cache->loading = NULL;
    free(loading.doubtful);
    free(loading.client_spaces);
    arena_destroy(&loading.arena);
    if (status != STATUS_OK && failure->status == STATUS_OK)
        (void)failure_set(failure, status, "storage.path", "%s", status_text(status));
    return status;
}
