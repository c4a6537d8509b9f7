/*
 * scroll.c - pages of entries, in the order of the table's hashes: a walk that may stop between any
 * two entries and go on later, however the table has grown.
 *
 * A CURSOR is 8 hex digits that tell this process from others, whose tables have another order, and
 * 16 of where the walk stands.
 *
 * Owns nothing beyond the references of a page. Threads: see scroll.h.
 */
#include "cache/scroll.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/freshness.h"
#include "cache/parts.h"

enum {
    HANDFUL = 256,
    LOOKED_AT_MAX = 50000, /* for one page; 10 to 50 ms */
    ENTRY_BYTES = 512,     /* ids, times and names of one entry on the wire, at most */
};

/* ---- cursors --------------------------------------------------------------------------------- */

static uint32_t process_mark(const struct cache *cache)
{
    static const char purpose[] = "cursor";
    return (uint32_t)digest_siphash(cache->nonce_key, purpose, sizeof(purpose));
}

static void write_cursor(const struct cache *cache, uint64_t position,
                         char out[CACHE_CURSOR_TEXT + 1])
{
    (void)snprintf(out, CACHE_CURSOR_TEXT + 1, "%08" PRIx32 "%016" PRIx64, process_mark(cache),
                   position);
}

static bool read_hex(const char *digits, size_t count, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        const char c = digits[i];
        const bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter)
            return false;
        value = value << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *out = value;
    return true;
}

static enum status read_cursor(const struct cache *cache, struct text cursor, uint64_t *out,
                               struct failure *failure)
{
    uint64_t mark = 0;
    *out = 0;
    if (cursor.length == 0)
        return STATUS_OK;
    if (cursor.length == CACHE_CURSOR_TEXT && read_hex(cursor.bytes, 8, &mark) &&
        read_hex(cursor.bytes + 8, 16, out) && mark == process_mark(cache))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_ID, "cursor",
                       "not one of this server's since its last start; begin again without");
}

/* ---- one entry ------------------------------------------------------------------------------- */

static enum status take_vector(struct cache *cache, const struct entry *entry, struct arena *arena,
                               struct cache_shown *shown)
{
    if (entry_space(entry) == 0)
        return STATUS_OK;
    const struct partition_key key = cache_partition_key(entry_scope(entry), entry_space(entry));
    const uint32_t dimension = directory_dimension(cache->directory, &key);
    if (dimension == 0)
        return STATUS_OK;
    float *unit = arena_calloc(arena, dimension, sizeof(float));
    if (unit == NULL)
        return STATUS_NO_MEMORY;
    shown->dimension = directory_vector(cache->directory, &key, entry_digest(entry),
                                        entry_sequence(entry), unit, dimension);
    shown->unit = shown->dimension > 0 ? unit : NULL;
    return STATUS_OK;
}

static bool copy_text(struct text text, struct arena *arena, struct text *out)
{
    char *bytes = arena_alloc(arena, text.length);
    if (bytes == NULL)
        return false;
    if (text.length > 0)
        memcpy(bytes, text.bytes, text.length);
    *out = (struct text){bytes, text.length};
    return true;
}

/* Inside an epoch: a scope goes with its namespace. */
static bool copy_names(const struct scope *scope, struct arena *arena, struct cache_shown *shown)
{
    struct key_attribute *attributes =
        arena_calloc(arena, scope->attributes_count, sizeof(*attributes));
    if (attributes == NULL ||
        (scope->is_clients && !copy_text(scope->embedder, arena, &shown->embedder)))
        return false;
    for (size_t i = 0; i < scope->attributes_count; i++) {
        if (!copy_text(scope->attributes[i].name, arena, &attributes[i].name) ||
            !copy_text(scope->attributes[i].value, arena, &attributes[i].value))
            return false;
    }
    shown->attributes = attributes;
    shown->attributes_count = scope->attributes_count;
    return true;
}

/* What its scope is called, if it has one. */
static enum status name_scope(const struct cache *cache, struct arena *arena,
                              struct cache_shown *shown)
{
    bool copied = true;
    if (entry_space(shown->entry) == 0)
        return STATUS_OK;
    epoch_enter(cache->epochs);
    const struct scope *scope =
        scopes_find(cache->scopes, entry_scope(shown->entry), entry_space(shown->entry));
    if (scope->id != 0)
        copied = copy_names(scope, arena, shown);
    epoch_leave(cache->epochs);
    return copied ? STATUS_OK : STATUS_NO_MEMORY;
}

static struct cache_shown shown_of(const struct store_hit *found)
{
    struct freshness freshness;
    freshness_read(found->entry, &freshness);
    return (struct cache_shown){.entry = found->entry,
                                .expires_ms = freshness_end_ms(&freshness, found->expires_ms),
                                .hits_count = found->hits_count};
}

/* False: it has died, or is not this very entry any more. */
static bool look_at(struct cache *cache, const struct entry *entry, int64_t now_ms,
                    struct cache_shown *out_shown)
{
    struct store_hit found;
    if (store_find(cache->store, entry_digest(entry), now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return false;
    *out_shown = shown_of(&found);
    if (found.entry == entry)
        return true;
    entry_release(found.entry);
    return false;
}

static uint64_t wire_bytes(const struct cache_page_request *request,
                           const struct cache_shown *shown)
{
    uint64_t bytes =
        ENTRY_BYTES + entry_prompt(shown->entry).length + 2 * entry_metadata(shown->entry).length;
    if (request->answers)
        bytes += entry_answer(shown->entry).length;
    return bytes + (uint64_t)shown->dimension * sizeof(float);
}

/* ---- pages ----------------------------------------------------------------------------------- */

struct paging {
    struct cache *cache;
    const struct cache_page_request *request;
    struct arena *arena;
    int64_t now_ms;
    struct text tenant, model;
    struct cache_page *page;
    size_t limit;
    uint64_t position; /* of the entry that found no room */
    bool is_full;
};

static enum status add(struct paging *paging, const struct entry *entry)
{
    struct cache_page *page = paging->page;
    struct cache_shown shown;
    if (!cache_selects(&paging->request->selector, paging->tenant, paging->model, entry) ||
        !look_at(paging->cache, entry, paging->now_ms, &shown))
        return STATUS_OK;
    enum status status = name_scope(paging->cache, paging->arena, &shown);
    if (status == STATUS_OK && paging->request->vectors)
        status = take_vector(paging->cache, shown.entry, paging->arena, &shown);
    const uint64_t bytes = wire_bytes(paging->request, &shown);
    const bool fits = page->count == 0 || page->bytes + bytes <= paging->request->bytes_max;
    if (status != STATUS_OK || page->count == paging->limit || !fits) {
        paging->is_full = true;
        paging->position = store_cursor(paging->cache->store, entry_digest(entry));
        entry_release(shown.entry);
        return status;
    }
    page->shown[page->count++] = shown;
    page->bytes += bytes;
    return STATUS_OK;
}

/* Entries until one does not fit; all references of the handful are let go. */
static enum status add_handful(struct paging *paging, struct entry **entries, uint32_t count)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (status == STATUS_OK && !paging->is_full)
            status = add(paging, entries[i]);
        entry_release(entries[i]);
    }
    return status;
}

static enum status walk(struct paging *paging, uint64_t position)
{
    struct entry *entries[HANDFUL];
    enum status status = STATUS_OK;
    uint32_t looked_at = 0;
    do {
        const uint32_t count = store_scan(paging->cache->store, &position, entries, HANDFUL);
        looked_at += count;
        status = add_handful(paging, entries, count);
    } while (status == STATUS_OK && !paging->is_full && position != 0 && looked_at < LOOKED_AT_MAX);
    if (paging->is_full)
        position = paging->position;
    if (position != 0)
        write_cursor(paging->cache, position, paging->page->cursor);
    return status;
}

static enum status check(const struct cache *cache, const struct cache_page_request *request,
                         struct failure *failure)
{
    if (request->limit > CACHE_PAGE_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "limit", "at most %d", CACHE_PAGE_MAX);
    return cache_check_selector(cache, &request->selector, failure);
}

enum status cache_scroll(struct cache *cache, const struct cache_page_request *request,
                         struct arena *arena, int64_t now_ms, struct cache_page *out_page,
                         struct failure *failure)
{
    assert(arena != NULL);
    assert(out_page != NULL);
    uint64_t position = 0;
    struct cache_page page = {.count = 0};
    struct paging paging = {.cache = cache,
                            .request = request,
                            .arena = arena,
                            .now_ms = now_ms,
                            .tenant = cache_name_or_default(request->selector.tenant),
                            .page = &page,
                            .limit = request->limit > 0 ? request->limit : CACHE_PAGE};
    enum status status = check(cache, request, failure);
    if (status == STATUS_OK)
        status = read_cursor(cache, request->cursor, &position, failure);
    if (status != STATUS_OK)
        return status;
    page.shown = arena_calloc(arena, paging.limit, sizeof(page.shown[0]));
    status = page.shown != NULL ? text_canonical(request->selector.model, arena, &paging.model)
                                : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = walk(&paging, position);
    assert(page.count <= paging.limit);
    if (status == STATUS_OK)
        *out_page = page;
    else
        cache_page_release(&page);
    return status;
}

enum status cache_entry(struct cache *cache, struct text tenant, const struct digest *id,
                        bool vector, struct arena *arena, int64_t now_ms,
                        struct cache_page *out_page, struct failure *failure)
{
    struct store_hit found;
    struct answer_view view;
    struct cache_page page = {.shown = arena_calloc(arena, 1, sizeof(page.shown[0]))};
    if (page.shown == NULL)
        return STATUS_NO_MEMORY;
    if (store_find(cache->store, id, now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return failure_set(failure, STATUS_NOT_FOUND, "entry_id", "there is no such entry");
    page.count = 1;
    page.shown[0] = shown_of(&found);
    answer_view_read(entry_metadata(found.entry), &view);
    enum status status = name_scope(cache, arena, &page.shown[0]);
    if (!text_equal(view.tenant, cache_name_or_default(tenant)))
        status = failure_set(failure, STATUS_NOT_FOUND, "entry_id", "there is no such entry");
    else if (status == STATUS_OK && vector)
        status = take_vector(cache, found.entry, arena, &page.shown[0]);
    if (status == STATUS_OK)
        *out_page = page;
    else
        cache_page_release(&page);
    return status;
}

void cache_page_release(struct cache_page *page)
{
    assert(page->count <= CACHE_PAGE_MAX);
    for (size_t i = 0; i < page->count; i++)
        entry_release(page->shown[i].entry);
    page->count = 0;
}
