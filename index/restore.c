/*
 * restore.c - segments over a restart.
 *
 * WRITING, scope by scope, by references to the segments of one view and to their chunks, which
 * never change but in who lives, and that is not written. So the disk may take its time: nobody
 * waits, builders work on, and what leaves the view or the directory meanwhile is freed here, at
 * the end of that scope. Until then it counts in the budget. Keeping builders away by the
 * partition's state was tried: a slow disk kept a scope without its graph. An epoch would keep all
 * memory of all scopes.
 *
 * COMING BACK. What was read waits by scope. When the first row of that scope comes and makes the
 * partition, the chunks become flat ones of it, all their rows dead; each row that comes is looked
 * up by its sequence and lives again in its place, if vector and tag are the same to the bit. At
 * the end each run of chunks gets its graph or lists back. So a row is in the map, may be removed,
 * and is found, by the rules for all rows, and losing a segment on the way costs its structure
 * only.
 *
 * MEMORY. Rows come into the very chunks that were read: nothing is held twice. 16 bytes a row are
 * held besides until the end.
 *
 * THREADS. Writing: one registered. begin and end: one, without builders and searches. DIRECTORY
 * guards the list while rows come, PARTITION what a scope waits for.
 *
 * NOT HERE. The bytes (snapshot.c); who reads the file and who brings the rows (the caller).
 */
#include "index/restore.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/snapshot.h"

/* Of one row that was read: number of its chunk among the scope's x ROWS_CHUNK_MAX + row. */
struct place {
    uint64_t sequence;
    uint32_t at;
};

/* All that was read for one scope; attached once `partition` is set. */
struct awaited {
    struct awaited *next;
    struct partition_key key;
    uint32_t dimension;
    struct partition *partition;
    uint32_t segments_count, chunks_count;
    struct snapshot_segment segments[VIEW_SEGMENTS_MAX];
    struct rows_chunk **chunks; /* those of the segments, one after the other */
    struct place *places;       /* by sequence; NULL before attaching         */
    uint64_t rows_came;
};

struct restore {
    struct awaited *first;
    struct directory_restored sum;
};

/* ---- writing --------------------------------------------------------------------------------- */

static enum status write_view(const struct view *view, const struct partition_key *key,
                              const struct snapshot_sink *sink, uint64_t *segments)
{
    uint32_t first = 0;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < view->segments_count; i++) {
        const struct view_segment *kept = &view->segments[i];
        status = segment_save(kept->segment, view->chunks + first, key, sink);
        first += kept->chunks_count;
        *segments += status == STATUS_OK;
    }
    return status;
}

/* What the view's segments need; each is given back by drop_held. */
static void hold(const struct view *view)
{
    for (uint32_t i = 0; i < view->segments_count; i++)
        segment_acquire(view->segments[i].segment);
    for (uint32_t i = 0; i < view->chunks_covered; i++)
        rows_chunk_acquire(view->chunks[i]);
}

/* An insert that opens a chunk replaces the view, and a builder takes segments and chunks out of
 * it: so it is a copy that is written, and what it lists is held. NULL: there is nothing to write.
 */
static enum status take_view(struct directory *directory, const struct partition_key *key,
                             struct view **out_view)
{
    static const struct view_change nothing;
    struct partition *partition = NULL;
    enum status status = STATUS_OK;
    *out_view = NULL;
    if (!directory_lock(directory, key, &partition))
        return STATUS_OK;
    const struct view *view = partition_view(partition);
    if (view->segments_count > 0)
        status = view_next(view, &nothing, out_view);
    if (*out_view != NULL)
        hold(*out_view);
    directory_unlock(directory, partition);
    return status;
}

static void drop_held(struct view *view)
{
    for (uint32_t i = 0; i < view->segments_count; i++)
        segment_destroy(&view->segments[i].segment);
    for (uint32_t i = 0; i < view->chunks_covered; i++)
        rows_chunk_destroy(&view->chunks[i]);
    free(view);
}

static enum status write_scope(struct directory *directory, const struct partition_key *key,
                               const struct snapshot_sink *sink, uint64_t *segments)
{
    struct view *view = NULL;
    enum status status = take_view(directory, key, &view);
    if (view == NULL)
        return status;
    assert(lock_none_held());
    status = write_view(view, key, sink, segments);
    drop_held(view);
    return status;
}

enum status directory_write_segments(struct directory *directory, const struct snapshot_sink *sink,
                                     uint64_t *out_segments)
{
    struct directory_keys keys;
    enum status status = directory_list(directory, &keys);
    *out_segments = 0;
    for (size_t i = 0; status == STATUS_OK && i < keys.count; i++)
        status = write_scope(directory, &keys.list[i], sink, out_segments);
    free(keys.list);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool key_equal(const struct partition_key *a, const struct partition_key *b)
{
    return a->space == b->space && memcmp(a->scope, b->scope, sizeof(a->scope)) == 0;
}

/* Scopes with a graph are few: thousands of rows each. */
static struct awaited *find(const struct restore *restore, const struct partition_key *key,
                            uint32_t dimension)
{
    struct awaited *awaited = restore->first;
    while (awaited != NULL && (awaited->dimension != dimension || !key_equal(&awaited->key, key)))
        awaited = awaited->next;
    return awaited;
}

static enum status add_segment(struct restore *restore, const struct snapshot_segment *read)
{
    struct awaited *awaited = find(restore, &read->key, read->dimension);
    if (awaited == NULL) {
        awaited = calloc(1, sizeof(*awaited));
        if (awaited == NULL)
            return STATUS_NO_MEMORY;
        awaited->key = read->key;
        awaited->dimension = read->dimension;
        awaited->next = restore->first;
        restore->first = awaited;
    }
    if (awaited->segments_count == VIEW_SEGMENTS_MAX)
        return STATUS_UNSUPPORTED;
    awaited->segments[awaited->segments_count++] = *read;
    awaited->chunks_count += read->chunks_count;
    return STATUS_OK;
}

static void read_all(const struct directory *directory, const struct snapshot_source *source,
                     struct restore *restore)
{
    const struct index_settings *settings = &directory->common.settings;
    const struct snapshot_limits limits = {.memory = directory->memory,
                                           .links = settings->links,
                                           .rows_max = settings->segment_rows_max};
    for (;;) {
        struct snapshot_segment read;
        enum status status = segment_load(source, &limits, &read);
        if (status == STATUS_NOT_FOUND)
            return;
        if (status == STATUS_OK) {
            status = add_segment(restore, &read);
            if (status != STATUS_OK)
                snapshot_segment_deinit(&read);
        }
        restore->sum.segments += status == STATUS_OK;
        restore->sum.segments_refused += status != STATUS_OK;
    }
}

enum status directory_restore_begin(struct directory *directory,
                                    const struct snapshot_source *source)
{
    struct restore *restore = calloc(1, sizeof(*restore));
    if (restore == NULL)
        return STATUS_NO_MEMORY;
    read_all(directory, source, restore);
    lock_acquire(&directory->lock);
    assert(directory->restore == NULL);
    directory->restore = restore;
    lock_release(&directory->lock);
    return STATUS_OK;
}

/* ---- rows come back -------------------------------------------------------------------------- */

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* The chunks side by side and the rows by sequence. */
static enum status list_places(struct awaited *awaited)
{
    const size_t rows = (size_t)awaited->chunks_count * ROWS_CHUNK_MAX;
    awaited->chunks = calloc(awaited->chunks_count, sizeof(struct rows_chunk *));
    awaited->places = calloc(rows, sizeof(*awaited->places));
    if (awaited->chunks == NULL || awaited->places == NULL)
        return STATUS_NO_MEMORY;
    uint32_t count = 0;
    for (uint32_t s = 0; s < awaited->segments_count; s++)
        for (uint32_t c = 0; c < awaited->segments[s].chunks_count; c++)
            awaited->chunks[count++] = awaited->segments[s].chunks[c];
    assert(count == awaited->chunks_count);
    for (uint32_t at = 0; at < rows; at++)
        awaited->places[at] = (struct place){
            awaited->chunks[at / ROWS_CHUNK_MAX]->sequences[at % ROWS_CHUNK_MAX], at};
    qsort(awaited->places, rows, sizeof(*awaited->places), compare_places);
    return STATUS_OK;
}

static void forget_places(struct awaited *awaited)
{
    free(awaited->chunks);
    free(awaited->places);
    awaited->chunks = NULL;
    awaited->places = NULL;
}

static enum status publish_chunks(struct partition *partition, const struct awaited *awaited,
                                  struct garbage *garbage) REQUIRES(partition->lock)
{
    const struct view_change change = {.flat = awaited->chunks,
                                       .flat_count = awaited->chunks_count};
    struct view *next = NULL;
    const enum status status = view_next(partition_view(partition), &change, &next);
    if (status != STATUS_OK)
        return status;
    partition_publish(partition, next, &change, garbage);
    partition->state = PARTITION_RESTORES;
    return STATUS_OK;
}

void restore_attach(struct restore *restore, struct partition *partition, struct garbage *garbage)
{
    struct awaited *awaited = find(restore, &partition->key, partition->dimension);
    if (awaited == NULL || awaited->partition != NULL)
        return;
    enum status status = list_places(awaited);
    lock_acquire(&partition->lock);
    if (status == STATUS_OK)
        status = publish_chunks(partition, awaited, garbage);
    if (status == STATUS_OK) {
        awaited->partition = partition;
        partition->awaited = awaited;
    }
    lock_release(&partition->lock);
    if (status != STATUS_OK)
        forget_places(awaited);
}

/* Of the rows with that sequence the first; the number of rows if there is none. */
static size_t find_place(const struct awaited *awaited, uint64_t sequence)
{
    const size_t rows = (size_t)awaited->chunks_count * ROWS_CHUNK_MAX;
    size_t low = 0, high = rows;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (awaited->places[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rows && awaited->places[low].sequence == sequence ? low : rows;
}

bool awaited_take(struct partition *partition, const struct index_row *row, struct row_at *out_at)
{
    struct awaited *awaited = partition->awaited;
    const size_t found = find_place(awaited, row->sequence);
    if (found == (size_t)awaited->chunks_count * ROWS_CHUNK_MAX)
        return false;
    const uint32_t at = awaited->places[found].at;
    struct rows_chunk *chunk = awaited->chunks[at / ROWS_CHUNK_MAX];
    if (!rows_chunk_revive(chunk, at % ROWS_CHUNK_MAX, row))
        return false;
    assert(partition->rows_dead > 0);
    partition->rows_dead--;
    atomic_fetch_sub_explicit(&partition->common->rows_dead, 1, memory_order_relaxed);
    awaited->rows_came++;
    *out_at = (struct row_at){chunk, at % ROWS_CHUNK_MAX};
    return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

static enum status publish_segment(struct partition *partition, const struct snapshot_segment *read,
                                   struct segment *segment, struct garbage *garbage)
{
    const struct view_change change = {
        .segment = segment, .joined = read->chunks, .joined_count = read->chunks_count};
    struct view *next = NULL;
    lock_acquire(&partition->lock);
    for (uint32_t i = 0; i < read->chunks_count; i++)
        read->chunks[i]->mark = ROWS_JOIN;
    const enum status status = view_next(partition_view(partition), &change, &next);
    if (status == STATUS_OK)
        partition_publish(partition, next, &change, garbage);
    for (uint32_t i = 0; i < read->chunks_count; i++)
        read->chunks[i]->mark = ROWS_STAY;
    lock_release(&partition->lock);
    return status;
}

/* Without the memory for its tags, or for a view, its rows are scanned. */
static enum status use_segment(struct partition *partition, struct snapshot_segment *read,
                               struct garbage *garbage)
{
    struct segment *segment = NULL;
    for (uint32_t i = 0; i < read->chunks_count; i++)
        rows_chunk_give_up(read->chunks[i]);
    enum status status = segment_adopt(partition->memory, read->chunks, read->chunks_count,
                                       &read->structure, &segment);
    if (status == STATUS_OK)
        status = publish_segment(partition, read, segment, garbage);
    if (status != STATUS_OK)
        segment_destroy(&segment);
    return status;
}

/* The chunks are the partition's. */
static void drop_segment(struct snapshot_segment *read)
{
    read->chunks_count = 0;
    snapshot_segment_deinit(read);
}

static void stop_waiting(struct awaited *awaited)
{
    struct partition *partition = awaited->partition;
    lock_acquire(&partition->lock);
    assert(partition->awaited == awaited);
    assert(partition->state == PARTITION_RESTORES);
    partition->awaited = NULL;
    lock_release(&partition->lock);
}

/* Whoever had work to do here meanwhile was turned away. From here on it may be retired. */
static void rest(struct directory *directory, struct partition *partition)
{
    const struct partition_key key = partition->key;
    lock_acquire(&partition->lock);
    partition->state = PARTITION_RESTS;
    work_ask(directory->common.work, partition);
    lock_release(&partition->lock);
    directory_retire_if_empty(directory, &key);
}

static void end_scope(struct directory *directory, struct awaited *awaited,
                      struct directory_restored *sum)
{
    struct garbage garbage = {0};
    if (awaited->partition == NULL)
        return; /* none of its rows came */
    stop_waiting(awaited);
    for (uint32_t i = 0; i < awaited->segments_count; i++) {
        struct snapshot_segment *read = &awaited->segments[i];
        sum->segments_used += use_segment(awaited->partition, read, &garbage) == STATUS_OK;
        drop_segment(read);
    }
    garbage_retire(&garbage, directory->epochs);
    rest(directory, awaited->partition);
}

static struct restore *take(struct directory *directory)
{
    lock_acquire(&directory->lock);
    struct restore *restore = directory->restore;
    directory->restore = NULL;
    lock_release(&directory->lock);
    return restore;
}

/* Frees what was read, but for chunks that a partition has by now. */
static void destroy(struct restore *restore)
{
    for (struct awaited *awaited = restore->first, *next; awaited != NULL; awaited = next) {
        next = awaited->next;
        for (uint32_t i = 0; i < awaited->segments_count; i++) {
            if (awaited->partition != NULL)
                drop_segment(&awaited->segments[i]);
            else
                snapshot_segment_deinit(&awaited->segments[i]);
        }
        forget_places(awaited);
        free(awaited);
    }
    free(restore);
}

void directory_restore_end(struct directory *directory, struct directory_restored *out_restored)
{
    struct restore *restore = take(directory);
    assert(restore != NULL);
    for (struct awaited *awaited = restore->first; awaited != NULL; awaited = awaited->next) {
        const uint64_t rows = (uint64_t)awaited->chunks_count * ROWS_CHUNK_MAX;
        restore->sum.rows += awaited->rows_came;
        restore->sum.rows_missing += rows - awaited->rows_came;
        end_scope(directory, awaited, &restore->sum);
    }
    *out_restored = restore->sum;
    destroy(restore);
}

void restore_abandon(struct directory *directory)
{
    struct restore *restore = take(directory);
    for (struct awaited *awaited = restore != NULL ? restore->first : NULL; awaited != NULL;
         awaited = awaited->next)
        if (awaited->partition != NULL) {
            stop_waiting(awaited);
            lock_acquire(&awaited->partition->lock);
            awaited->partition->state = PARTITION_RESTS;
            lock_release(&awaited->partition->lock);
        }
    if (restore != NULL)
        destroy(restore);
}
