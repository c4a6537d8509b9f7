/*
 * journal_segments.c - the journal's files: which segments there are, the open one's beginning and
 * end, and MANIFEST.
 *
 * A NEW SEGMENT is a spare, if there is one: it is renamed, its header is written and synced, then
 * the folder is, then MANIFEST names it, then its first record is written. A crash between any two
 * leaves a file that MANIFEST does not name. The name comes first, so that a file whose sync has
 * failed bears a spare's name no more: the next sync on it would report success for lost pages.
 *
 * THE LIST of segments changes under `manifest_lock`, which is held while MANIFEST is written, and
 * for moments inside it under `segments_lock`, so that nobody who counts or asks waits for a disk.
 *
 * THREADS. The journal's, or the starter's before that runs.
 * NOT HERE. What MANIFEST looks like (manifest.c), what the custodian changes (journal_custody.c),
 * when spares are made (custodian.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/journal_block.h"

static void close_file(struct io *io, struct io_file **file)
{
    if (*file != NULL)
        io->operations->close_file(io, file);
    *file = NULL;
}

/* ---- the list -------------------------------------------------------------------------------- */

/* Room for one more, so that adding cannot fail. */
static enum status reserve(struct journal *journal) REQUIRES(&journal->segments_lock)
{
    if (journal->segments_count < journal->segments_capacity)
        return STATUS_OK;
    const uint32_t capacity = journal->segments_capacity == 0 ? 16 : journal->segments_capacity * 2;
    struct journal_segment *grown =
        reallocarray(journal->segments, capacity, sizeof(*journal->segments));
    if (grown == NULL)
        return STATUS_NO_MEMORY;
    journal->segments = grown;
    journal->segments_capacity = capacity;
    return STATUS_OK;
}

static enum status add_open(struct journal *journal, const struct log_segment *log)
{
    assert(log->file != NULL);
    assert(log->first_sequence > 0);
    lock_acquire(&journal->segments_lock);
    const enum status status = reserve(journal);
    if (status == STATUS_OK) {
        journal->segments[journal->segments_count] =
            (struct journal_segment){.segment = {.number = log->number,
                                                 .kind = SEGMENT_LOG,
                                                 .first_sequence = log->first_sequence},
                                     .file_bytes = log->size_bytes,
                                     .used_bytes = SEGMENT_HEADER_BYTES};
        journal->segments_count++;
        journal->open_live_bytes = 0;
    }
    lock_release(&journal->segments_lock);
    return status;
}

/* The open one becomes a finished one up to this sequence, or goes if it has none. */
static void end_open(struct journal *journal, uint64_t last_sequence, uint64_t used_bytes)
{
    lock_acquire(&journal->segments_lock);
    assert(journal->segments_count > 0);
    struct journal_segment *open = &journal->segments[journal->segments_count - 1];
    assert(open->segment.last_sequence == 0);
    if (last_sequence < open->segment.first_sequence) {
        journal->segments_count--;
    } else {
        open->segment.last_sequence = last_sequence;
        open->used_bytes = used_bytes;
        open->live_bytes = journal->open_live_bytes > 0 ? (uint64_t)journal->open_live_bytes : 0;
    }
    journal->open_live_bytes = 0;
    lock_release(&journal->segments_lock);
}

/* ---- MANIFEST -------------------------------------------------------------------------------- */

static enum status list_segments(struct journal *journal) REQUIRES(&journal->manifest_lock)
{
    enum status status = STATUS_OK;
    journal->manifest.segments_count = 0;
    lock_acquire(&journal->segments_lock);
    for (uint32_t i = 0; i < journal->segments_count && status == STATUS_OK; i++)
        status = manifest_add_segment(&journal->manifest, &journal->segments[i].segment);
    lock_release(&journal->segments_lock);
    return status;
}

enum status manifest_save_list(struct journal *journal, struct io *io)
{
    const enum status status = list_segments(journal);
    return status == STATUS_OK ? manifest_save(io, &journal->manifest) : status;
}

enum status manifest_write(struct journal *journal)
{
    lock_acquire(&journal->manifest_lock);
    const enum status status = manifest_save_list(journal, journal->io);
    lock_release(&journal->manifest_lock);
    return status;
}

/* A later purge of the same tenant and scope takes the place of the earlier. */
static enum status add_floor(struct manifest *manifest, const struct ticket *ticket)
{
    assert(ticket->type == RECORD_PURGE);
    assert(ticket->sequence > 0);
    struct record_purge purge;
    const enum status status =
        record_purge_read((struct text){(const char *)ticket->bytes, RECORD_PURGE_BYTES}, &purge);
    assert(status == STATUS_OK);
    struct manifest_floor floor = {.sequence = ticket->sequence};
    memcpy(floor.tenant, purge.tenant, sizeof(floor.tenant));
    memcpy(floor.scope, purge.scope, sizeof(floor.scope));
    for (uint32_t i = 0; i < manifest->floors_count; i++) {
        struct manifest_floor *old = &manifest->floors[i];
        if (memcmp(old->tenant, floor.tenant, sizeof(floor.tenant)) != 0 ||
            memcmp(old->scope, floor.scope, sizeof(floor.scope)) != 0)
            continue;
        old->sequence = floor.sequence;
        return STATUS_OK;
    }
    return manifest_add_floor(manifest, &floor);
}

enum status manifest_write_floors(struct journal *journal, const struct chain *tickets)
{
    enum status status = STATUS_OK;
    lock_acquire(&journal->manifest_lock);
    for (const struct ticket *ticket = tickets->first; ticket != NULL && status == STATUS_OK;
         ticket = ticket->next) {
        if (ticket->type == RECORD_PURGE)
            status = add_floor(&journal->manifest, ticket);
    }
    if (status == STATUS_OK)
        status = manifest_save_list(journal, journal->io);
    atomic_store(&journal->purges.floors, journal->manifest.floors_count);
    lock_release(&journal->manifest_lock);
    return status;
}

/* ---- the open segment ------------------------------------------------------------------------ */

void journal_spare_name(uint32_t number, char out_name[IO_NAME_MAX])
{
    (void)snprintf(out_name, IO_NAME_MAX, "spare-%u.journal", number);
}

static enum io_mode mode_of(const struct journal *journal)
{
    return journal->options.durability == DURABILITY_ALWAYS ? IO_DIRECT : IO_BUFFERED;
}

static enum status write_header(struct journal *journal, const struct log_segment *log)
{
    assert(log->file != NULL);
    struct segment_header header = {.number = log->number,
                                    .first_sequence = log->first_sequence,
                                    .epoch = log->epoch,
                                    .created_ms = journal->clock_ms(),
                                    .kind = SEGMENT_LOG,
                                    .file_bytes = log->size_bytes};
    memcpy(header.node, journal->node, sizeof(header.node));
    segment_header_write(&header, journal->block);
    struct io *io = journal->io;
    enum status status =
        io->operations->write_at(io, log->file, journal->block, SEGMENT_HEADER_BYTES, 0);
    if (status == STATUS_OK)
        status = io->operations->sync_file(io, log->file);
    return status;
}

/* One of the right size, opened; STATUS_NOT_FOUND if there is none. */
static enum status open_spare(struct journal *journal, struct log_segment *log,
                              char out_name[IO_NAME_MAX])
{
    assert(log->file == NULL);
    struct io *io = journal->io;
    enum status status = STATUS_NOT_FOUND;
    for (uint32_t i = 1; i <= journal->options.spares && status == STATUS_NOT_FOUND; i++) {
        uint64_t size_bytes = 0;
        journal_spare_name(i, out_name);
        status = io->operations->open_file(io, out_name, mode_of(journal), &log->file, &size_bytes);
        if (status == STATUS_OK && size_bytes != journal->options.segment_bytes) {
            close_file(io, &log->file);
            status = STATUS_NOT_FOUND;
        }
    }
    return status;
}

/* Never to be trusted again. Best effort: MANIFEST does not name it, and nobody takes its name. */
static void discard(struct journal *journal, struct log_segment *log, const char *name)
{
    struct io *io = journal->io;
    const int error = io->error;
    close_file(io, &log->file);
    (void)io->operations->remove_file(io, name);
    io->error = error;
}

/* Made when it is needed: slower, a segment's zeros are written first. */
static enum status create_own(struct journal *journal, struct log_segment *log, const char *name)
{
    assert(log->file == NULL);
    struct io *io = journal->io;
    uint64_t size_bytes = 0;
    enum status status =
        io->operations->create_file(io, name, journal->options.segment_bytes, &log->file);
    if (status != STATUS_OK)
        return status;
    status = io->operations->sync_file(io, log->file);
    close_file(io, &log->file);
    if (status == STATUS_OK)
        status = io->operations->open_file(io, name, mode_of(journal), &log->file, &size_bytes);
    if (status != STATUS_OK)
        discard(journal, log, name);
    return status;
}

/* The file with its header, under its own name, on the disk. */
static enum status make_file(struct journal *journal, struct log_segment *log)
{
    struct io *io = journal->io;
    char name[IO_NAME_MAX], spare[IO_NAME_MAX];
    manifest_segment_name(log->number, name);
    enum status status = open_spare(journal, log, spare);
    const bool is_spare = status == STATUS_OK;
    if (status == STATUS_NOT_FOUND)
        status = create_own(journal, log, name);
    else if (status == STATUS_OK)
        status = io->operations->rename_file(io, spare, name);
    if (status != STATUS_OK)
        return status;
    status = write_header(journal, log);
    if (status == STATUS_OK)
        status = io->operations->sync_directory(io);
    if (status != STATUS_OK)
        discard(journal, log, name);
    if (is_spare)
        journal_wake_custodian(journal);
    return status;
}

static uint64_t draw_epoch(struct journal *journal)
{
    uint64_t epoch = 0;
    while ((uint32_t)epoch == 0) /* records carry its low half */
        epoch = journal->chance(journal->chance_context);
    return epoch;
}

static enum status announce(struct journal *journal, const struct log_segment *log)
{
    lock_acquire(&journal->manifest_lock);
    enum status status = add_open(journal, log);
    if (status == STATUS_OK) {
        status = manifest_save_list(journal, journal->io);
        if (status != STATUS_OK)
            end_open(journal, 0, 0);
    }
    lock_release(&journal->manifest_lock);
    return status;
}

enum status log_open(struct journal *journal, uint64_t first_sequence)
{
    assert(journal->log.file == NULL);
    struct log_segment log = {.number = journal_number(journal),
                              .epoch = draw_epoch(journal),
                              .size_bytes = journal->options.segment_bytes,
                              .used_bytes = SEGMENT_HEADER_BYTES,
                              .first_sequence = first_sequence,
                              .last_sequence = first_sequence - 1};
    enum status status = make_file(journal, &log);
    if (status == STATUS_OK)
        status = announce(journal, &log);
    if (status != STATUS_OK) {
        close_file(journal->io, &log.file);
        return status;
    }
    journal->log = log;
    lock_acquire(&journal->segments_lock);
    journal->is_writing = true;
    lock_release(&journal->segments_lock);
    return STATUS_OK;
}

static void leave_log(struct journal *journal, uint64_t last_sequence)
{
    struct log_segment *log = &journal->log;
    assert(log->file != NULL);
    close_file(journal->io, &log->file);
    lock_acquire(&journal->manifest_lock);
    end_open(journal, last_sequence, log->used_bytes);
    lock_release(&journal->manifest_lock);
    *log = (struct log_segment){.file = NULL};
}

void log_finish(struct journal *journal)
{
    assert(journal->log.file != NULL);
    leave_log(journal, journal->log.last_sequence);
}

void log_abandon(struct journal *journal)
{
    if (journal->log.file == NULL)
        return;
    leave_log(journal,
              atomic_load_explicit(&journal->counters.durable_sequence, memory_order_relaxed));
    (void)manifest_write(
        journal); /* tried again at the end; else a start finds it by the tail rule */
}

/* ---- taken over from recovery ---------------------------------------------------------------- */

static void learn_size(void *context, const char *name, uint64_t size_bytes)
{
    struct journal *journal = context;
    char wanted[IO_NAME_MAX];
    lock_acquire(&journal->segments_lock);
    for (uint32_t i = 0; i < journal->segments_count; i++) {
        struct journal_segment *segment = &journal->segments[i];
        manifest_segment_name(segment->segment.number, wanted);
        if (strcmp(wanted, name) != 0)
            continue;
        segment->file_bytes = size_bytes;
        segment->used_bytes = size_bytes;
    }
    lock_release(&journal->segments_lock);
}

enum status segments_init(struct journal *journal, struct recovered *recovered)
{
    enum status status = STATUS_OK;
    lock_acquire(&journal->segments_lock);
    for (uint32_t i = 0; i < recovered->manifest.segments_count && status == STATUS_OK; i++) {
        assert(recovered->manifest.segments[i].last_sequence != 0);
        status = reserve(journal);
        if (status != STATUS_OK)
            break;
        journal->segments[journal->segments_count] =
            (struct journal_segment){.segment = recovered->manifest.segments[i],
                                     .live_bytes = recovered->live_bytes[i],
                                     .is_set_aside = recovered->is_damaged[i]};
        journal->segments_count++;
    }
    journal->number_next = recovered->segment_next;
    lock_release(&journal->segments_lock);
    if (status == STATUS_OK)
        status = journal->io->operations->list_files(journal->io, learn_size, journal);
    return status;
}
