/*
 * journal_custody.c - what the custodian changes behind the journal's back: it reads the list of
 * segments, has the open one finished, and puts others in the place of the oldest.
 *
 * THREADS. The custodian's, with its own io; journal_rotate waits for the journal's thread.
 * NOT HERE. When and what is copied (custodian.c), the list itself (journal_segments.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "storage/journal_block.h"

uint64_t journal_number(struct journal *journal)
{
    lock_acquire(&journal->segments_lock);
    const uint64_t number = journal->number_next;
    journal->number_next++;
    lock_release(&journal->segments_lock);
    assert(number != 0);
    return number;
}

enum status journal_segments(struct journal *journal, struct journal_segment **out_segments,
                             uint32_t *out_count)
{
    enum status status = STATUS_NO_MEMORY;
    lock_acquire(&journal->segments_lock);
    const uint32_t count = journal->segments_count;
    struct journal_segment *copy = calloc(count > 0 ? count : 1, sizeof(*copy));
    if (copy != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            copy[i] = journal->segments[i];
            if (copy[i].segment.last_sequence == 0 && journal->open_live_bytes > 0)
                copy[i].live_bytes = (uint64_t)journal->open_live_bytes;
        }
        status = STATUS_OK;
        *out_segments = copy;
        *out_count = count;
    }
    lock_release(&journal->segments_lock);
    return status;
}

enum status journal_rotate(struct journal *journal, uint64_t *out_last)
{
    lock_acquire(&journal->rotation_lock);
    assert(!journal->is_rotation_due); /* one custodian */
    journal->is_rotation_due = true;
    journal->io->operations->wake(journal->io);
    while (journal->is_rotation_due && !journal->is_closed)
        (void)pthread_cond_wait(&journal->rotation_done, &journal->rotation_lock.mutex);
    const enum status status =
        journal->is_rotation_due ? STATUS_UNAVAILABLE : journal->rotation_status;
    journal->is_rotation_due = false;
    if (status == STATUS_OK)
        *out_last = journal->rotation_last;
    lock_release(&journal->rotation_lock);
    return status;
}

void journal_set_aside(struct journal *journal, const struct segment_damage *damage)
{
    bool is_news = false;
    lock_acquire(&journal->segments_lock);
    for (uint32_t i = 0; i < journal->segments_count; i++) {
        struct journal_segment *segment = &journal->segments[i];
        if (segment->segment.number != damage->number)
            continue;
        is_news = !segment->is_set_aside;
        segment->is_set_aside = true;
    }
    lock_release(&journal->segments_lock);
    atomic_fetch_add_explicit(&journal->counters.read_errors, 1, memory_order_relaxed);
    segment_log_damage(NULL, damage);
    if (is_news)
        log_write(LOG_WARNING, "storage", "a segment is set aside", "segment=%016" PRIx64,
                  damage->number);
}

static void drop_old_floors(struct journal *journal, uint64_t floors_end)
    REQUIRES(&journal->manifest_lock)
{
    uint64_t lowest = UINT64_MAX;
    lock_acquire(&journal->segments_lock);
    for (uint32_t i = 0; i < journal->segments_count; i++) {
        if (journal->segments[i].segment.first_sequence < lowest)
            lowest = journal->segments[i].segment.first_sequence;
    }
    lock_release(&journal->segments_lock);
    struct manifest *manifest = &journal->manifest;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < manifest->floors_count; i++) {
        if (manifest->floors[i].sequence >= lowest && manifest->floors[i].sequence >= floors_end)
            manifest->floors[kept++] = manifest->floors[i];
    }
    manifest->floors_count = kept;
}

/* The list as it is to be; the caller frees what it is given back. */
static void exchange_list(struct journal *journal, struct journal_segment **list, uint32_t *count,
                          uint32_t *capacity)
{
    assert(*count <= *capacity);
    lock_acquire(&journal->segments_lock);
    struct journal_segment *const old = journal->segments;
    const uint32_t old_count = journal->segments_count, old_capacity = journal->segments_capacity;
    journal->segments = *list;
    journal->segments_count = *count;
    journal->segments_capacity = *capacity;
    lock_release(&journal->segments_lock);
    *list = old;
    *count = old_count;
    *capacity = old_capacity;
}

/* Sizes of files that the custodian has just written. */
static uint64_t size_of(struct io *io, uint64_t number)
{
    assert(number > 0);
    char name[IO_NAME_MAX];
    struct io_file *file = NULL;
    uint64_t size_bytes = 0;
    manifest_segment_name(number, name);
    if (io->operations->open_file(io, name, IO_READ_ONLY, &file, &size_bytes) != STATUS_OK)
        return 0;
    io->operations->close_file(io, &file);
    return size_bytes;
}

static void remove_files(struct io *io, const struct journal_segment *segments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[IO_NAME_MAX];
        manifest_segment_name(segments[i].segment.number, name);
        (void)io->operations->remove_file(io, name); /* best effort: MANIFEST does not name it */
        if (segments[i].is_set_aside)
            log_write(LOG_INFO, "storage", "a segment that was set aside is replaced", "file=%s",
                      name);
    }
    (void)io->operations->sync_directory(io);
}

/* While it is made, dead bytes of the segments that stay may be counted in the old list and lost to
 * the new: figures only. */
static uint32_t make_list(struct journal *journal, uint32_t replaced,
                          const struct journal_segment *made, uint32_t made_count,
                          struct journal_segment *list)
{
    uint32_t count = made_count;
    if (made_count > 0)
        memcpy(list, made, made_count * sizeof(*made));
    lock_acquire(&journal->segments_lock);
    assert(replaced <= journal->segments_count);
    for (uint32_t i = replaced; i < journal->segments_count; i++)
        list[count++] = journal->segments[i];
    lock_release(&journal->segments_lock);
    return count;
}

static uint32_t count_segments(struct journal *journal)
{
    lock_acquire(&journal->segments_lock);
    const uint32_t count = journal->segments_count;
    lock_release(&journal->segments_lock);
    return count;
}

static enum status replace_list(struct journal *journal, uint32_t replaced,
                                const struct journal_segment *made, uint32_t made_count,
                                uint64_t floors_end) REQUIRES(&journal->manifest_lock)
{
    assert(replaced <= count_segments(journal));
    uint32_t capacity = count_segments(journal) - replaced + made_count + 1;
    struct journal_segment *list = calloc(capacity, sizeof(*list));
    struct manifest before = {.segments = NULL};
    if (list == NULL)
        return STATUS_NO_MEMORY;
    enum status status = manifest_copy(&journal->manifest, &before);
    if (status != STATUS_OK)
        goto free_list;
    uint32_t count = make_list(journal, replaced, made, made_count, list);
    exchange_list(journal, &list, &count, &capacity);
    drop_old_floors(journal, floors_end);
    status = manifest_save_list(journal, journal->custodian_io);
    if (status == STATUS_OK) {
        remove_files(journal->custodian_io, list, replaced);
    } else {
        exchange_list(journal, &list, &count, &capacity);
        struct manifest failed = journal->manifest;
        journal->manifest = before;
        before = failed;
    }
    atomic_store(&journal->purges.floors, journal->manifest.floors_count);
    manifest_clear(&before);
free_list:
    free(list);
    return status;
}

enum status journal_replace(struct journal *journal, uint32_t replaced,
                            const struct manifest_segment *by, uint32_t by_count,
                            uint64_t floors_end)
{
    struct journal_segment *made = calloc(by_count > 0 ? by_count : 1, sizeof(*made));
    if (made == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < by_count; i++) {
        assert(by[i].last_sequence != 0);
        const uint64_t size_bytes = size_of(journal->custodian_io, by[i].number);
        made[i] = (struct journal_segment){.segment = by[i],
                                           .file_bytes = size_bytes,
                                           .used_bytes = size_bytes,
                                           .live_bytes = size_bytes};
    }
    lock_acquire(&journal->manifest_lock);
    const enum status status = replace_list(journal, replaced, made, by_count, floors_end);
    lock_release(&journal->manifest_lock);
    free(made);
    return status;
}
