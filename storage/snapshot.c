/*
 * snapshot.c - all that lives, into compacted segments, which take the place of all that were
 * finished when it began.
 *
 * First the log is rotated: whatever is set or deleted from then on is in the log behind the
 * snapshot, and recovery compares sequences.
 *
 * FROM THE SEGMENTS as far as they can be read: a record is copied with its vector, and for a row
 * that is in no index (another embedder made it, or the namespace has no semantic tier any more)
 * there is no other place to have it from.
 *
 * FROM THE TABLE what is in none of them: what was set while the disk had failed, and what a
 * damaged segment has lost. Those get the vector that the index has, if it has one. The walk locks
 * nothing for longer than 256 references take to gather, and there is no fork.
 *
 * OUT OF A DEGRADED STATE it is the same: the rotation begins a segment, the walk finds what was
 * set meanwhile and exists nowhere else, and only then the journal is durable again.
 *
 * A FOLDER gets hard links of the new segments and of the log up to the notes that were handed in
 * again: so it holds them too.
 *
 * THREADS. The custodian's.
 * NOT HERE. When (custodian.c), the folder's files (snapshot_folder.c).
 */
#include <stdlib.h>

#include "storage/segment_copy.h"
#include "storage/snapshot_folder.h"

enum { ENTRIES_AT_ONCE = 256 };

enum status snapshot_renew_notes(struct custodian *custodian)
{
    const struct custodian_source *source = custodian->source;
    uint64_t last = 0;
    const enum status status = source->renew_notes(source->context);
    return status == STATUS_OK ? journal_rotate(custodian->journal, &last) : status;
}

/* ---- the walk -------------------------------------------------------------------------------- */

struct walk {
    struct segment_writer *writer;
    struct sequences *copied; /* out of the segments   */
    uint64_t log_first;       /* the log has it, from here on */
};

static bool is_held(struct walk *walk, const struct entry *entry)
{
    const uint64_t sequence = entry_sequence(entry);
    assert(sequence > 0);
    return sequence >= walk->log_first || sequences_hold(walk->copied, sequence);
}

static enum status write_entry(struct segment_writer *writer, const struct entry *entry)
{
    const struct custodian_source *source = writer->custodian->source;
    float *vector = writer->custodian->vector;
    int64_t expires_ms = 0;
    if (!source->is_live(source->context, entry_digest(entry), entry_sequence(entry), &expires_ms))
        return STATUS_OK; /* it has left while the walk stood there */
    const uint32_t dimension =
        source->vector_of(source->context, entry, vector, RECORD_DIMENSION_MAX);
    assert(dimension <= RECORD_DIMENSION_MAX);
    const size_t payload_bytes = record_put_size(entry, dimension);
    uint8_t *bytes = NULL;
    const enum status status = segment_writer_reserve(writer, record_size(payload_bytes), &bytes);
    if (status != STATUS_OK)
        return status;
    uint8_t *payload = bytes + RECORD_HEADER_BYTES;
    record_put_write(payload, entry, dimension > 0 ? vector : NULL, dimension);
    const struct record record = {.type = RECORD_PUT,
                                  .version = RECORD_VERSION,
                                  .sequence = entry_sequence(entry),
                                  .expires_ms = expires_ms,
                                  .payload = {(const char *)payload, payload_bytes}};
    segment_writer_add(writer, bytes, &record);
    return STATUS_OK;
}

static enum status write_entries(struct walk *walk, struct entry *const *entries, uint32_t count)
{
    assert(count <= ENTRIES_AT_ONCE);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (status == STATUS_OK && !is_held(walk, entries[i]))
            status = write_entry(walk->writer, entries[i]);
        entry_release(entries[i]);
    }
    if (status == STATUS_OK && atomic_load(&walk->writer->custodian->is_stopping))
        status = STATUS_CANCELLED;
    return status;
}

static enum status walk_table(struct walk *walk)
{
    const struct custodian_source *source = walk->writer->custodian->source;
    struct entry *entries[ENTRIES_AT_ONCE];
    uint64_t cursor = 0;
    enum status status = STATUS_OK;
    do {
        const uint32_t count =
            source->next_entries(source->context, &cursor, entries, ENTRIES_AT_ONCE);
        assert(count <= ENTRIES_AT_ONCE);
        status = write_entries(walk, entries, count);
    } while (status == STATUS_OK && cursor != 0);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct finished { /* segments; and where the log begins behind them */
    struct journal_segment *segments;
    uint32_t count;
    uint64_t log_first;
    uint64_t floors_end; /* of journal_replace */
};

static enum status list_finished(struct journal *journal, struct finished *out_finished)
{
    uint32_t count = 0;
    const enum status status = journal_segments(journal, &out_finished->segments, &count);
    if (status != STATUS_OK)
        return status;
    out_finished->log_first = UINT64_MAX;
    while (count > 0 && out_finished->segments[count - 1].segment.last_sequence == 0)
        out_finished->log_first = out_finished->segments[--count].segment.first_sequence;
    out_finished->count = count;
    out_finished->floors_end = journal_drops_are_over(journal) ? out_finished->log_first : 0;
    return STATUS_OK;
}

static enum status write_living(struct segment_writer *writer, const struct finished *finished)
{
    struct sequences copied = {.items = NULL};
    struct segment_copy copy = {.writer = writer, .skips_damage = true, .copied = &copied};
    struct walk walk = {.writer = writer, .copied = &copied, .log_first = finished->log_first};
    enum status status = segment_copy_run(&copy, finished->segments, finished->count);
    if (status == STATUS_OK)
        status = walk_table(&walk);
    if (status == STATUS_OK)
        status = segment_writer_finish(writer);
    segment_copy_deinit(&copy);
    sequences_deinit(&copied);
    return status;
}

/* After a failed MANIFEST the new files stay: see compact.c. `failures` of the disk before it
 * began: after another one something is neither in the walk nor in the log. */
static enum status write_all(struct custodian *custodian, struct segment_writer *writer,
                             uint64_t failures)
{
    struct journal *journal = custodian->journal;
    uint64_t last = 0;
    struct finished finished = {.segments = NULL};
    enum status status = journal_rotate(journal, &last);
    if (status == STATUS_OK)
        status = list_finished(journal, &finished);
    if (status == STATUS_OK)
        status = write_living(writer, &finished);
    free(finished.segments);
    if (status == STATUS_OK)
        status = snapshot_renew_notes(custodian);
    if (status == STATUS_OK && journal_failures(journal) != failures)
        status = STATUS_STORAGE_DEGRADED;
    if (status != STATUS_OK) {
        segment_writer_undo(writer);
        return status;
    }
    return journal_replace(journal, finished.count, writer->made, writer->made_count,
                           finished.floors_end);
}

static enum status link_folder(struct custodian *custodian, const char *name,
                               struct snapshot_info *out_info)
{
    assert(out_info != NULL);
    struct journal_segment *segments = NULL;
    uint32_t count = 0;
    enum status status = journal_segments(custodian->journal, &segments, &count);
    if (status != STATUS_OK)
        return status;
    status = snapshot_folder_make(custodian, name, segments, count);
    free(segments);
    return status == STATUS_OK ? snapshot_folder_info(custodian->options.path, name, out_info)
                               : status;
}

/* What leads out of a suspect disk is an operator's word. */
static bool may_run_by_itself(const struct journal *journal)
{
    return journal_state(journal) == STORAGE_DURABLE || journal_is_full(journal);
}

enum status snapshot_run(struct custodian *custodian, const char *name,
                         struct snapshot_info *out_info)
{
    if (name != NULL && snapshot_folder_exists(custodian->options.path, name))
        return STATUS_BAD_NAME;
    struct segment_writer writer = {.custodian = custodian};
    const uint64_t failures =
        journal_failures(custodian->journal); /* before the look at the state */
    if (name == NULL && !may_run_by_itself(custodian->journal))
        return STATUS_STORAGE_DEGRADED;
    journal_purge_begin(custodian->journal);
    const enum status forgotten = custodian_forget(custodian);
    enum status status = write_all(custodian, &writer, failures);
    journal_purge_end(custodian->journal, status == STATUS_OK ? forgotten : status);
    segment_writer_deinit(&writer);
    if (status == STATUS_OK)
        status = journal_resume(custodian->journal, failures);
    if (status == STATUS_OK && name != NULL)
        status = link_folder(custodian, name, out_info);
    return status;
}
