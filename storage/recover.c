/*
 * recover.c - a data folder read back, step by step:
 *
 *   1. MANIFEST, or one made from the segments' headers, which `strict` refuses to do.
 *   2. Files that it does not name are removed; they are what a crash has left.
 *   3. Its segments in order, each record checked by a thread ahead (recover_ahead.c). What has
 * been purged is left out here; every other record goes to the visitor in the order of the log. The
 *      last segment, which was open, ends where the tail rule says.
 *   4. What is told to the journal: the segments that count, all of them finished now, and numbers
 *      above all that were ever used. A sequence lost in the crash is never drawn again: the next
 * is 2^32 above the highest seen.
 *
 * WHO DOES WHAT. The order of the log is enough for a visitor that keeps, for each digest, the
 * highest sequence it has seen, deletions too: compacted segments may hold Sets that come again in
 * the log behind them. Expiry is the visitor's: it knows the time, and a TOUCH may follow.
 *
 * DAMAGE. `salvage` skips it. `point_in_time` drops all from the first damage in a log on; of a
 * compacted segment it skips it: those records are a set without an order, and one that is missing
 * is an entry evicted. `strict` refuses. Behind a gap a TOUCH may be meant for a Set that was lost
 * in it, and then moves the expiry of the one before: as little as that is known of a gap. There is
 * no second reading before the first PUT enters: who refuses to start has filled a table that
 * nobody will see.
 *
 * THREADS. The caller's, which calls the visitor, and the one ahead.
 * NOT HERE. Bytes of segments (recover_segment.c), when to write what was found (journal.c).
 */
#include "storage/recover.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/entry_block.h"
#include "storage/recover_ahead.h"
#include "storage/recover_floors.h"
#include "storage/recover_folder.h"

static const uint64_t sequence_leap = UINT64_C(1) << 32;

struct recovery {
    struct io *io;
    enum journal_recovery how;
    bool looks_only;
    const struct recover_visitor *visitor;
    struct failure *failure;
    struct folder_files files;
    struct manifest manifest; /* as it was found */
    struct floors floors;
    struct recovered found;
    uint64_t sequence_max, bytes_total;
    uint64_t live_bytes; /* of the segment that is being replayed */
    bool is_damaged;     /* that segment */
    uint32_t kept_capacity;
    bool is_over; /* point_in_time has met damage */
};

void recovered_clear(struct recovered *recovered)
{
    manifest_clear(&recovered->manifest);
    free(recovered->live_bytes);
    free(recovered->is_damaged);
    *recovered = (struct recovered){.live_bytes = NULL};
}

__attribute__((format(printf, 2, 3))) static void remark(struct recovery *recovery,
                                                         const char *format, ...)
{
    struct recovered *found = &recovery->found;
    if (found->remark[0] != '\0')
        return; /* the first is the cause of the others */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(found->remark, sizeof(found->remark), format, arguments);
    va_end(arguments);
}

static void see(struct recovery *recovery, uint64_t sequence)
{
    if (sequence > recovery->sequence_max)
        recovery->sequence_max = sequence;
}

/* ---- step 1: which files count --------------------------------------------------------------- */

static enum status rebuild(struct recovery *recovery, const struct failure *why)
{
    bool has_records = false;
    const enum status status =
        folder_rebuild(recovery->io, &recovery->files, &recovery->manifest,
                       &recovery->found.damaged_bytes, &has_records, recovery->failure);
    assert(why->status == STATUS_NOT_FOUND || why->status == STATUS_BAD_MESSAGE);
    if (status != STATUS_OK)
        return status;
    if (!has_records && why->status == STATUS_NOT_FOUND) {
        /* Nothing was ever acknowledged here: MANIFEST is written before the first record. */
        recovery->manifest.segments_count = 0;
        recovery->found.damaged_bytes = 0;
        return STATUS_OK;
    }
    if (recovery->how == RECOVERY_STRICT)
        return failure_set(recovery->failure, STATUS_CORRUPT, "MANIFEST",
                           "%.100s; journal.recovery = strict does without none", why->message);
    remark(recovery, "MANIFEST was made anew from the headers of %" PRIu32 " segments: %.80s",
           recovery->manifest.segments_count, why->message);
    return STATUS_OK;
}

static enum status find_files(struct recovery *recovery)
{
    enum status status = folder_files_read(recovery->io, &recovery->files);
    if (status != STATUS_OK)
        return failure_set(recovery->failure, status, "", "the data folder cannot be listed");
    struct failure why = {.status = STATUS_OK};
    status = manifest_load(recovery->io, &recovery->manifest, &why);
    if (status == STATUS_NOT_FOUND || status == STATUS_BAD_MESSAGE) {
        status = rebuild(recovery, &why);
        if (status == STATUS_OK && !recovery->looks_only)
            folder_clean(recovery->io, &recovery->files, NULL);
        return status;
    }
    if (status != STATUS_OK) {
        if (recovery->failure != NULL)
            *recovery->failure = why;
        return status;
    }
    if (!recovery->looks_only)
        folder_clean(recovery->io, &recovery->files, &recovery->manifest);
    return STATUS_OK;
}

/* What MANIFEST knows of sequences and purges. */
static enum status read_manifest(struct recovery *recovery)
{
    assert(recovery->bytes_total == 0);
    const struct manifest *manifest = &recovery->manifest;
    memcpy(recovery->found.manifest.node, manifest->node, sizeof(manifest->node));
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < manifest->segments_count; i++) {
        const struct manifest_segment *segment = &manifest->segments[i];
        see(recovery, segment->first_sequence);
        see(recovery, segment->last_sequence);
        recovery->bytes_total += folder_files_segment_bytes(&recovery->files, segment->number);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < manifest->floors_count; i++) {
        see(recovery, manifest->floors[i].sequence);
        status = floors_add(&recovery->floors, &manifest->floors[i]);
    }
    return status;
}

/* ---- step 3: records ------------------------------------------------------------------------- */

static bool visit_put(struct recovery *recovery, const struct record *record)
{
    assert(record->type == RECORD_PUT);
    struct record_put put;
    if (record_put_read(record->payload, &put) != STATUS_OK)
        return false;
    const uint8_t *body = (const uint8_t *)put.body.bytes;
    if (floors_hold(&recovery->floors, body + ENTRY_BODY_TENANT, body + ENTRY_BODY_SCOPE,
                    record->sequence))
        return true;
    const struct recover_visitor *visitor = recovery->visitor;
    if (visitor->put(visitor->context, &put, record->sequence, record->expires_ms)) {
        recovery->found.entries++;
        recovery->live_bytes += record_size(record->payload.length);
    }
    return true;
}

static bool visit_digest(struct recovery *recovery, const struct record *record)
{
    assert(record->type == RECORD_DELETE || record->type == RECORD_TOUCH);
    struct digest digest;
    if (record->payload.length != RECORD_DELETE_BYTES)
        return false;
    memcpy(digest.bytes, record->payload.bytes, sizeof(digest.bytes));
    const struct recover_visitor *visitor = recovery->visitor;
    recovery->found.removals += record->type == RECORD_DELETE;
    if (record->type == RECORD_DELETE)
        visitor->remove(visitor->context, &digest, record->sequence);
    else
        visitor->touch(visitor->context, &digest, record->sequence, record->expires_ms);
    return true;
}

static bool visit_purge(struct recovery *recovery, const struct record *record,
                        enum status *out_status)
{
    assert(record->type == RECORD_PURGE);
    struct record_purge purge;
    if (record_purge_read(record->payload, &purge) != STATUS_OK || purge.floor > record->sequence)
        return false;
    struct manifest_floor floor = {.sequence = purge.floor};
    memcpy(floor.tenant, purge.tenant, sizeof(floor.tenant));
    memcpy(floor.scope, purge.scope, sizeof(floor.scope));
    see(recovery, purge.floor);
    *out_status = floors_add(&recovery->floors, &floor);
    recovery->found.removals++;
    const struct recover_visitor *visitor = recovery->visitor;
    visitor->purge(visitor->context, &purge, record->sequence);
    return true;
}

static bool visit_note(struct recovery *recovery, const struct record *record)
{
    assert(record->type == RECORD_NOTE);
    struct record_note note;
    if (record_note_read(record->payload, &note) != STATUS_OK)
        return false;
    const struct recover_visitor *visitor = recovery->visitor;
    visitor->note(visitor->context, &note, record->sequence);
    recovery->live_bytes += record_size(record->payload.length);
    return true;
}

/* A record whose checksum is right and whose payload is not: nobody writes such a one. */
static enum status bad_payload(struct recovery *recovery, const struct record *record)
{
    recovery->found.damaged_bytes += record_size(record->payload.length);
    recovery->found.read_errors++;
    recovery->is_damaged = true;
    remark(recovery, "record %" PRIu64 " has a payload that cannot be read", record->sequence);
    if (recovery->how != RECOVERY_STRICT)
        return STATUS_OK;
    return failure_set(recovery->failure, STATUS_CORRUPT, "",
                       "record %" PRIu64 " has a payload that cannot be read", record->sequence);
}

static enum status visit_record(struct recovery *recovery, const struct record *record)
{
    enum status status = STATUS_OK;
    bool is_good = true;
    see(recovery, record->sequence);
    switch ((enum record_type)record->type) {
    case RECORD_PUT:
        is_good = visit_put(recovery, record);
        break;
    case RECORD_DELETE:
    case RECORD_TOUCH:
        is_good = visit_digest(recovery, record);
        break;
    case RECORD_PURGE:
        is_good = visit_purge(recovery, record, &status);
        break;
    case RECORD_NOTE:
        is_good = visit_note(recovery, record);
        break;
    case RECORD_BATCH_END:
    case RECORD_PAD:
    case RECORD_SEAL:
        break; /* the segment reader's */
    }
    return is_good ? status : bad_payload(recovery, record);
}

/* ---- step 3: segments ------------------------------------------------------------------------ */

static enum status grow_kept(struct recovery *recovery)
{
    struct recovered *found = &recovery->found;
    const uint32_t wanted = recovery->kept_capacity == 0 ? 16 : recovery->kept_capacity * 2;
    void *larger = reallocarray(found->live_bytes, wanted, sizeof(*found->live_bytes));
    if (larger == NULL)
        return STATUS_NO_MEMORY;
    found->live_bytes = larger;
    larger = reallocarray(found->is_damaged, wanted, sizeof(*found->is_damaged));
    if (larger == NULL)
        return STATUS_NO_MEMORY;
    found->is_damaged = larger;
    recovery->kept_capacity = wanted;
    return STATUS_OK;
}

static enum status keep_segment(struct recovery *recovery, const struct manifest_segment *segment)
{
    assert(segment->last_sequence >= segment->first_sequence);
    struct recovered *found = &recovery->found;
    const uint32_t place = found->manifest.segments_count;
    if (place == recovery->kept_capacity && grow_kept(recovery) != STATUS_OK)
        return STATUS_NO_MEMORY;
    found->live_bytes[place] = recovery->live_bytes;
    found->is_damaged[place] = recovery->is_damaged;
    return manifest_add_segment(&found->manifest, segment);
}

static enum status tell_damage(struct recovery *recovery, const struct segment_reader *reader)
{
    assert(reader->is_damaged);
    const struct segment_damage *damage = &reader->damage;
    remark(recovery, "segment %016" PRIx64 ", byte %" PRIu64 ": %s", damage->number,
           damage->offset_bytes, damage->what);
    if (recovery->how != RECOVERY_STRICT)
        return STATUS_OK;
    return failure_set(recovery->failure, STATUS_CORRUPT, "",
                       "segment %016" PRIx64 ", byte %" PRIu64
                       ": %s; journal.recovery = strict stops here",
                       damage->number, damage->offset_bytes, damage->what);
}

/* The reader has come to the segment's end, or to what ends all. */
static enum status end_segment(struct recovery *recovery, const struct segment_reader *reader)
{
    assert(reader->is_done);
    struct recovered *found = &recovery->found;
    see(recovery, reader->last_sequence);
    found->bytes += reader->offset_bytes;
    found->damaged_bytes += reader->damaged_bytes;
    found->torn_bytes += reader->torn_bytes;
    found->read_errors += reader->damages;
    enum status status = reader->is_damaged ? tell_damage(recovery, reader) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    recovery->is_over = reader->stopped;
    recovery->is_damaged |= reader->is_damaged;
    struct manifest_segment segment = reader->segment;
    if (segment.last_sequence == 0 || reader->stopped)
        segment.last_sequence = reader->last_sequence;
    if (segment.last_sequence >= segment.first_sequence)
        status = keep_segment(recovery, &segment);
    recovery->live_bytes = 0;
    recovery->is_damaged = false;
    return status;
}

static enum status cannot_read(struct recovery *recovery, const struct ahead_piece *piece)
{
    assert(piece->status != STATUS_OK);
    const struct segment_reader *reader = &piece->reader;
    const char *what = piece->status == STATUS_UNSUPPORTED
                           ? "its format is newer than this program, or of another byte order"
                           : status_text(piece->status);
    return failure_set(recovery->failure, piece->status, "", "segment %016" PRIx64 ": %s",
                       reader->segment.number, what);
}

static enum status replay_piece(struct recovery *recovery, const struct ahead_piece *piece)
{
    assert(!recovery->is_over);
    if (piece->status != STATUS_OK)
        return cannot_read(recovery, piece);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < piece->piece.records_count; i++)
        status = visit_record(recovery, &piece->piece.records[i]);
    const uint64_t bytes_done = recovery->found.bytes + piece->reader.offset_bytes;
    if (recovery->visitor->progress != NULL)
        recovery->visitor->progress(recovery->visitor->context, bytes_done,
                                    recovery->bytes_total > bytes_done ? recovery->bytes_total
                                                                       : bytes_done);
    if (status == STATUS_OK && piece->is_last)
        status = end_segment(recovery, &piece->reader);
    return status;
}

static bool is_wanted(const struct recovery *recovery)
{
    const struct recover_visitor *visitor = recovery->visitor;
    return visitor->is_wanted == NULL || visitor->is_wanted(visitor->context);
}

static enum status replay(struct recovery *recovery)
{
    assert(recovery->manifest.segments_count > 0);
    const struct ahead_setup setup = {
        .io = recovery->io,
        .segments = recovery->manifest.segments,
        .segments_count = recovery->manifest.segments_count,
        .skips_in_logs = recovery->how == RECOVERY_SALVAGE,
        .skips_in_compacted = recovery->how != RECOVERY_STRICT,
        .damaged = recovery->looks_only ? NULL : segment_log_damage,
    };
    struct ahead *ahead = NULL;
    enum status status = ahead_start(&setup, &ahead);
    if (status != STATUS_OK)
        return status;
    while (status == STATUS_OK && !recovery->is_over) {
        const struct ahead_piece *piece = ahead_take(ahead);
        if (piece == NULL)
            break;
        status = is_wanted(recovery) ? replay_piece(recovery, piece)
                                     : failure_set(recovery->failure, STATUS_CANCELLED, "",
                                                   "nobody waits for the data folder any more");
        ahead_give_back(ahead);
    }
    ahead_stop(&ahead);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Step 4. */
static enum status conclude(struct recovery *recovery)
{
    struct recovered *found = &recovery->found;
    const uint64_t number_max = folder_files_number_max(&recovery->files);
    found->segment_next = number_max + 1;
    for (uint32_t i = 0; i < recovery->manifest.segments_count; i++) {
        if (recovery->manifest.segments[i].number >= found->segment_next)
            found->segment_next = recovery->manifest.segments[i].number + 1;
    }
    assert(recovery->sequence_max < UINT64_MAX - sequence_leap);
    found->sequence_next = recovery->sequence_max == 0 ? 1 : recovery->sequence_max + sequence_leap;
    return floors_list(&recovery->floors, &found->manifest);
}

static enum status run(struct recovery *recovery, struct recovered *out_recovered)
{
    enum status status = find_files(recovery);
    if (status == STATUS_OK)
        status = read_manifest(recovery);
    if (status == STATUS_OK && recovery->manifest.segments_count > 0)
        status = replay(recovery);
    if (status == STATUS_OK)
        status = conclude(recovery);
    manifest_clear(&recovery->manifest);
    folder_files_deinit(&recovery->files);
    floors_deinit(&recovery->floors);
    if (status == STATUS_OK)
        *out_recovered = recovery->found;
    else
        recovered_clear(&recovery->found);
    return status;
}

enum status recover(struct io *io, enum journal_recovery how, const struct recover_visitor *visitor,
                    struct recovered *out_recovered, struct failure *failure)
{
    assert(visitor->put != NULL);
    struct recovery recovery = {.io = io, .how = how, .visitor = visitor, .failure = failure};
    return run(&recovery, out_recovered);
}

enum status recover_look(struct io *io, enum journal_recovery how,
                         const struct recover_visitor *visitor, struct recovered *out_recovered,
                         struct failure *failure)
{
    assert(visitor->put != NULL);
    struct recovery recovery = {
        .io = io, .how = how, .looks_only = true, .visitor = visitor, .failure = failure};
    return run(&recovery, out_recovered);
}
