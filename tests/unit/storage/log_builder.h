/*
 * log_builder.h - segments made byte by byte, without a journal, and a visitor that keeps what a
 * table would: for the tests of recovery and what is built on it.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "storage/recover.h"
#include "storage/recover_segment.h"
#include "tests/support/folder.h"
#include "tests/unit/storage/disk.h"
#include "tests/unit/storage/make_entry.h"

enum { LOG_BYTES = 64 * 1024, KEYS = 64, ANSWER_BYTES = 40 };

struct log_builder {
    struct segment_header header;
    uint8_t bytes[LOG_BYTES];
    uint64_t used, sequence; /* the last one written */
    uint64_t records;
};

static inline void log_begin(struct log_builder *log, uint64_t number, enum segment_kind kind,
                             uint64_t first)
{
    memset(log, 0, sizeof(*log));
    log->header = (struct segment_header){.number = number,
                                          .first_sequence = first,
                                          .epoch = 0xabcdef0100000000u + number * 977,
                                          .created_ms = 5,
                                          .kind = kind,
                                          .file_bytes = LOG_BYTES,
                                          .node = {1, 2, 3}};
    log->used = SEGMENT_HEADER_BYTES;
    log->sequence = first - 1;
}

/* The payload stands behind the header already. */
static inline void log_add(struct log_builder *log, uint8_t type, uint8_t flags, uint64_t sequence,
                           int64_t expires_ms, size_t payload_bytes)
{
    uint8_t *bytes = log->bytes + log->used;
    const struct record record = {
        .type = type,
        .flags = flags,
        .version = RECORD_VERSION,
        .sequence = sequence,
        .expires_ms = expires_ms,
        .payload = {(const char *)bytes + RECORD_HEADER_BYTES, payload_bytes}};
    record_seal(bytes, &record, log->header.epoch);
    log->used += record_size(payload_bytes);
    log->sequence = sequence;
    log->records++;
    assert_true(log->used <= LOG_BYTES);
}

static inline void log_put_at(struct log_builder *log, uint64_t key, uint8_t flags,
                              uint64_t sequence, int64_t expires_ms)
{
    struct entry *entry = make_entry(key, ANSWER_BYTES, 0);
    record_put_write(log->bytes + log->used + RECORD_HEADER_BYTES, entry, NULL, 0);
    log_add(log, RECORD_PUT, flags, sequence, expires_ms, record_put_size(entry, 0));
    entry_release(entry);
}

static inline void log_put(struct log_builder *log, uint64_t key)
{
    log_put_at(log, key, 0, log->sequence + 1, 0);
}

static inline void log_delete(struct log_builder *log, uint64_t key)
{
    const struct digest digest = digest_number(key);
    memcpy(log->bytes + log->used + RECORD_HEADER_BYTES, digest.bytes, DIGEST_BYTES);
    log_add(log, RECORD_DELETE, 0, log->sequence + 1, 0, DIGEST_BYTES);
}

static inline void log_touch(struct log_builder *log, uint64_t key, int64_t expires_ms)
{
    const struct digest digest = digest_number(key);
    memcpy(log->bytes + log->used + RECORD_HEADER_BYTES, digest.bytes, DIGEST_BYTES);
    log_add(log, RECORD_TOUCH, 0, log->sequence + 1, expires_ms, DIGEST_BYTES);
}

static inline void log_purge(struct log_builder *log, uint8_t scope, uint64_t floor)
{
    const struct record_purge purge = {.scope = {scope}, .floor = floor};
    record_purge_write(log->bytes + log->used + RECORD_HEADER_BYTES, &purge);
    log_add(log, RECORD_PURGE, 0, log->sequence + 1, 0, RECORD_PURGE_BYTES);
}

static inline void log_note(struct log_builder *log, uint16_t owner, const char *bytes)
{
    const struct record_note note = {.owner = owner, .kind = 1, .bytes = text_of(bytes)};
    record_note_write(log->bytes + log->used + RECORD_HEADER_BYTES, &note);
    log_add(log, RECORD_NOTE, 0, log->sequence + 1, 0, RECORD_NOTE_FIXED_BYTES + strlen(bytes));
}

static inline void log_batch_end(struct log_builder *log, uint64_t first, uint32_t count)
{
    uint8_t *payload = log->bytes + log->used + RECORD_HEADER_BYTES;
    memset(payload, 0, 16);
    memcpy(payload, &first, sizeof(first));
    memcpy(payload + 8, &count, sizeof(count));
    log_add(log, RECORD_BATCH_END, 0, log->sequence, 0, 16);
}

static inline void log_pad(struct log_builder *log)
{
    log->used += record_pad(log->bytes + log->used, log->used, log->sequence, log->header.epoch);
}

static inline void log_seal(struct log_builder *log)
{
    log->used += record_end(log->bytes + log->used, log->records, log->sequence, log->header.epoch);
}

/* A compacted segment's end. */
static inline void log_hash(struct log_builder *log, uint64_t first, uint64_t last)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(log->bytes + SEGMENT_HEADER_BYTES,
                                                      log->used - SEGMENT_HEADER_BYTES));
    memcpy(log->bytes + log->used, &canonical, sizeof(canonical));
    log->used += sizeof(canonical);
    log->header.file_bytes = log->used;
    log->header.first_sequence = first;
    log->header.last_sequence = last;
    log->header.records_count = log->records;
}

static inline void log_write_header(struct log_builder *log)
{
    segment_header_write(&log->header, log->bytes);
}

static inline void save_bytes(const char *path, const char *name, const void *bytes, size_t size)
{
    char whole[128];
    (void)snprintf(whole, sizeof(whole), "%s/%s", path, name);
    FILE *file = fopen(whole, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* With its header. */
static inline void log_save(struct log_builder *log, const char *path)
{
    char name[IO_NAME_MAX];
    log_write_header(log);
    manifest_segment_name(log->header.number, name);
    save_bytes(path, name, log->bytes, log->header.file_bytes);
}

static inline struct manifest_segment log_line(const struct log_builder *log, bool is_open)
{
    return (struct manifest_segment){.number = log->header.number,
                                     .kind = log->header.kind,
                                     .first_sequence = log->header.first_sequence,
                                     .last_sequence = is_open ? 0
                                                      : log->header.kind == SEGMENT_COMPACTED
                                                          ? log->header.last_sequence
                                                          : log->sequence};
}

static inline void save_manifest(const char *path, const struct manifest_segment *segments,
                                 uint32_t count, const struct manifest_floor *floor)
{
    struct manifest manifest = {.node = {1, 2, 3}};
    struct io *io = NULL;
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(manifest_add_segment(&manifest, &segments[i]), STATUS_OK);
    if (floor != NULL)
        assert_int_equal(manifest_add_floor(&manifest, floor), STATUS_OK);
    assert_int_equal(disk_open(path, &io), STATUS_OK);
    assert_int_equal(manifest_save(io, &manifest), STATUS_OK);
    io->operations->close(&io);
    manifest_clear(&manifest);
}

/* ---- what a table would hold ----------------------------------------------------------------- */

struct seen_key {
    uint64_t sequence; /* of the PUT or DELETE that counts; 0: none */
    bool is_alive;
    int64_t expires_ms;
};

struct seen {
    struct seen_key keys[KEYS];
    uint64_t puts, removes, touches, purges, notes, wrong, last_note_owner;
    uint64_t order; /* of the last visit; compacted segments aside it only rises */
    bool is_out_of_order;
};

static inline int seen_find(struct seen *seen, const struct digest *digest)
{
    for (uint64_t key = 0; key < KEYS; key++) {
        const struct digest wanted = digest_number(key);
        if (digest_equal(&wanted, digest))
            return (int)key;
    }
    seen->wrong++;
    return 0;
}

static inline void seen_order(struct seen *seen, uint64_t sequence)
{
    seen->is_out_of_order = seen->is_out_of_order || sequence <= seen->order;
    seen->order = sequence;
}

static inline bool seen_put(void *context, const struct record_put *put, uint64_t sequence,
                            int64_t expires_ms)
{
    struct seen *seen = context;
    const int key = seen_find(seen, &put->digest);
    struct entry *entry = NULL;
    seen->puts++;
    seen_order(seen, sequence);
    /* The bytes must be those that were put: a wrong answer is worse than none. */
    if (entry_create_from_body(&put->digest, put->body, expires_ms, &entry) != STATUS_OK ||
        number_of(entry) != (uint64_t)key || entry_answer(entry).length != ANSWER_BYTES)
        seen->wrong++;
    entry_release(entry);
    if (seen->keys[key].sequence >= sequence)
        return false;
    seen->keys[key] = (struct seen_key){sequence, true, expires_ms};
    return true;
}

static inline void seen_remove(void *context, const struct digest *digest, uint64_t sequence)
{
    struct seen *seen = context;
    const int key = seen_find(seen, digest);
    seen->removes++;
    seen_order(seen, sequence);
    if (seen->keys[key].sequence < sequence)
        seen->keys[key] = (struct seen_key){sequence, false, 0};
}

static inline void seen_touch(void *context, const struct digest *digest, uint64_t sequence,
                              int64_t expires_ms)
{
    struct seen *seen = context;
    const int key = seen_find(seen, digest);
    seen->touches++;
    seen_order(seen, sequence);
    if (seen->keys[key].sequence < sequence)
        seen->keys[key].expires_ms = expires_ms;
}

static inline void seen_purge(void *context, const struct record_purge *purge, uint64_t sequence)
{
    struct seen *seen = context;
    seen->purges++;
    seen_order(seen, sequence);
    for (uint64_t key = 0; key < KEYS; key++) {
        if (purge->scope[0] == key % 4 && seen->keys[key].sequence <= purge->floor)
            seen->keys[key].is_alive = false;
    }
}

static inline void seen_note(void *context, const struct record_note *note, uint64_t sequence)
{
    struct seen *seen = context;
    seen->notes++;
    seen_order(seen, sequence);
    seen->last_note_owner = note->owner;
}

static inline struct recover_visitor seen_visitor(struct seen *seen)
{
    return (struct recover_visitor){.context = seen,
                                    .put = seen_put,
                                    .remove = seen_remove,
                                    .touch = seen_touch,
                                    .purge = seen_purge,
                                    .note = seen_note};
}

static inline enum status recover_folder(const char *path, enum journal_recovery how,
                                         struct seen *seen, struct recovered *out_recovered)
{
    struct io *io = NULL;
    struct failure failure = {.status = STATUS_OK};
    memset(seen, 0, sizeof(*seen));
    const struct recover_visitor visitor = seen_visitor(seen);
    assert_int_equal(disk_open(path, &io), STATUS_OK);
    const enum status status = recover(io, how, &visitor, out_recovered, &failure);
    assert_int_equal(failure.status, status);
    io->operations->close(&io);
    return status;
}
