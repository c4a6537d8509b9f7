/*
 * manifest.h - which files of the data folder count: the text file MANIFEST, its lines and its
 * change. Written as MANIFEST.tmp, synced, renamed, the folder synced: the old one is the truth
 * until the rename is on the disk. Threads: one at a time; the journal thread and the custodian
 * take MANIFEST's lock (journal.c).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "storage/io.h"
#include "storage/record.h"

enum { MANIFEST_SEGMENTS_MAX = 4096, MANIFEST_FLOORS_MAX = 65536 };

struct manifest_segment {
    uint64_t number;
    enum segment_kind kind;
    uint64_t first_sequence, last_sequence; /* last 0: open */
};
struct manifest_floor {
    uint8_t tenant[ENTRY_ID_BYTES], scope[ENTRY_ID_BYTES];
    uint64_t sequence;
};

struct manifest { /* arrays grow; owned */
    uint8_t node[16];
    struct manifest_segment *segments; /* in the order they are read */
    uint32_t segments_count, segments_capacity;
    struct manifest_floor *floors;
    uint32_t floors_count, floors_capacity;
};

void manifest_clear(struct manifest *manifest); /* frees the arrays */
enum status manifest_copy(const struct manifest *manifest, struct manifest *out_copy);
enum status manifest_add_segment(struct manifest *manifest, const struct manifest_segment *segment);
enum status manifest_add_floor(struct manifest *manifest, const struct manifest_floor *floor);

/* Text in memory: fuzzed. STATUS_BAD_MESSAGE: a line, number or checksum is wrong; `failure` says
 * which line. STATUS_UNSUPPORTED: another major version. */
enum status manifest_parse(struct text bytes, struct manifest *out_manifest,
                           struct failure *failure);
/* STATUS_NOT_FOUND: there is none; else as manifest_parse and io. */
enum status manifest_load(struct io *io, struct manifest *out_manifest, struct failure *failure);
/* On failure the old one is still the truth. */
enum status manifest_save(struct io *io, const struct manifest *manifest);

void manifest_segment_name(uint64_t number, char out_name[IO_NAME_MAX]);
