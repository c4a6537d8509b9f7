/* folder_1_0.h - a small data folder of format 1.0: every type of record, a compacted segment, a
 * finished and an open log. Its bytes follow from this file alone. */
#pragma once
#include "tests/unit/storage/log_builder.h"

enum { FOLDER_COMPACTED, FOLDER_FINISHED, FOLDER_OPEN, FOLDER_SEGMENTS };

struct folder_1_0 {
    struct log_builder logs[FOLDER_SEGMENTS];
};

static inline void folder_1_0_put_vector(struct log_builder *log, uint64_t key)
{
    const float vector[4] = {0.5f, -0.5f, 0.5f, -0.5f};
    struct entry *entry = make_entry(key, ANSWER_BYTES, 0);
    record_put_write(log->bytes + log->used + RECORD_HEADER_BYTES, entry, vector, 4);
    log_add(log, RECORD_PUT, 0, log->sequence + 1, 99999, record_put_size(entry, 4));
    entry_release(entry);
}

static inline void folder_1_0_build(struct folder_1_0 *folder)
{
    struct log_builder *log = &folder->logs[FOLDER_COMPACTED];
    log_begin(log, 4, SEGMENT_COMPACTED, 1);
    log_put_at(log, 1, 0, 7, 0);
    log_put_at(log, 2, 0, 3, 4102444800000);
    log_put_at(log, 3, 0, 5, 0);
    log_hash(log, 3, 7);
    log_write_header(log);

    log = &folder->logs[FOLDER_FINISHED];
    log_begin(log, 2, SEGMENT_LOG, 8);
    log_put(log, 4);
    log_delete(log, 3);
    log_touch(log, 4, 123456789);
    log_note(log, 7, "a namespace");
    log_pad(log);
    folder_1_0_put_vector(log, 5);
    log_put_at(log, 6, RECORD_GROUPED, 13, 0);
    log_put_at(log, 7, RECORD_GROUPED, 14, 0);
    log_batch_end(log, 13, 2);
    log_purge(log, 2, 15);
    log_seal(log);
    log->header.file_bytes = log->used;
    log_write_header(log);

    log = &folder->logs[FOLDER_OPEN];
    log_begin(log, 5, SEGMENT_LOG, 16);
    log_put(log, 8);
    log_put(log, 6);
    log_delete(log, 8);
    log_put(log, 9);
    log->header.file_bytes = 8192; /* zeros behind */
    log_write_header(log);
}

static inline void folder_1_0_save(const struct folder_1_0 *folder, const char *path)
{
    struct manifest_segment lines[FOLDER_SEGMENTS];
    const struct manifest_floor floor = {.tenant = {9}, .sequence = 2};
    for (int i = 0; i < FOLDER_SEGMENTS; i++) {
        char name[IO_NAME_MAX];
        manifest_segment_name(folder->logs[i].header.number, name);
        save_bytes(path, name, folder->logs[i].bytes, folder->logs[i].header.file_bytes);
        lines[i] = log_line(&folder->logs[i], i == FOLDER_OPEN);
    }
    save_manifest(path, lines, FOLDER_SEGMENTS, &floor);
}

/* What must be there: keys 1, 4, 5, 6, 7 and 9, of which the purge of scope 2 takes 2 and 6's first
 * Set; 3 and 8 are deleted. */
static inline bool folder_1_0_is_whole(const struct seen *seen)
{
    static const uint64_t sequences[10] = {
        [1] = 7, [4] = 8, [5] = 12, [6] = 17, [7] = 14, [9] = 19};
    for (uint64_t key = 0; key < KEYS; key++) {
        const uint64_t wanted = key < 10 ? sequences[key] : 0;
        if (seen->keys[key].is_alive != (wanted != 0) ||
            (wanted != 0 && seen->keys[key].sequence != wanted))
            return false;
    }
    return seen->wrong == 0 && seen->notes == 1 && seen->keys[4].expires_ms == 123456789 &&
           seen->keys[5].expires_ms == 99999;
}
