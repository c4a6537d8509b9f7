/*
 * record.h - bytes of a journal segment: the segment's header, records and their payloads, written
 * and read. Little-endian; the layout stands in record.c. Pure functions on memory; whoever reads
 * bytes from a disk reads them through here. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "storage/entry.h"

enum {
    SEGMENT_HEADER_BYTES = 4096,
    RECORD_HEADER_BYTES = 32,
    RECORD_ALIGNMENT = 8,
    RECORD_BLOCK_BYTES = 4096, /* a synced block is never written again: PAD fills it */
    RECORD_VERSION = 1,
    RECORD_BYTES_MAX = 16 * 1024 * 1024, /* and a quarter of its segment: record_bytes_max */
    RECORD_PAD_BYTES_MAX = RECORD_BLOCK_BYTES + RECORD_HEADER_BYTES,
};

/* No number of a file and no sequence is so high, or higher: a start draws 2^32 above the highest,
 * and goes on for a thousand million starts. What is read and says otherwise is damaged. */
#define RECORD_NUMBER_END (UINT64_C(1) << 62)

enum segment_kind { SEGMENT_LOG = 1, SEGMENT_COMPACTED = 2 };

struct segment_header {
    uint64_t number;         /* > 0; the file is <16 hex digits>.journal        */
    uint64_t first_sequence; /* of the first record                             */
    uint64_t epoch;          /* random at each use of the file; never 0         */
    int64_t created_ms;
    enum segment_kind kind;
    uint64_t file_bytes;
    uint8_t node[16];
    uint64_t last_sequence, records_count; /* compacted only, else 0             */
};

void segment_header_write(const struct segment_header *header, uint8_t bytes[SEGMENT_HEADER_BYTES]);
enum segment_check {
    SEGMENT_VALID,
    SEGMENT_EMPTY,       /* zeros: a spare                           */
    SEGMENT_DAMAGED,     /* checksum, magic or a field is wrong      */
    SEGMENT_UNSUPPORTED, /* a newer major version or another byte order: refuse to start */
};
enum segment_check segment_header_read(const uint8_t bytes[SEGMENT_HEADER_BYTES],
                                       struct segment_header *out_header);

enum record_type {
    RECORD_PUT = 1,
    RECORD_DELETE = 2,
    RECORD_TOUCH = 3,
    RECORD_PURGE = 4,
    RECORD_NOTE = 5,
    RECORD_BATCH_END = 6,
    RECORD_PAD = 7,
    RECORD_SEAL = 8,
};
enum record_flag { RECORD_SKIPPABLE = 1, RECORD_GROUPED = 2 };

struct record {
    uint8_t type, flags;
    uint16_t version;
    uint64_t sequence;
    int64_t expires_ms;
    struct text payload; /* borrowed */
};

/* With header and padding. */
size_t record_size(size_t payload_bytes);
/* The largest that a segment of this size takes. */
uint64_t record_bytes_max(uint64_t segment_bytes);

/*
 * Writing: the payload stands at bytes + RECORD_HEADER_BYTES already; this fills header and padding
 * and the checksum over all of it.
 */
void record_seal(uint8_t *bytes, const struct record *record, uint64_t epoch);
/* A PAD to the next multiple of RECORD_BLOCK_BYTES; `used` is how much of the segment is written.
 * Returns its size: 0 if `used` is such a multiple. */
size_t record_pad(uint8_t *bytes, uint64_t used, uint64_t sequence, uint64_t epoch);
/* The SEAL that ends a finished log segment of so many records (PAD and SEAL are none). Returns its
 * size. */
size_t record_end(uint8_t *bytes, uint64_t records_count, uint64_t sequence, uint64_t epoch);

enum record_check {
    RECORD_VALID,
    RECORD_NOTHING,     /* type 0 or fewer than 32 bytes are left      */
    RECORD_DAMAGED,     /* a wrong checksum, size, type, epoch, number */
    RECORD_UNSUPPORTED, /* a type unknown and not skippable            */
};
/* `size`: what is left of the segment. A skippable unknown type is VALID; the caller skips it.
 * *out_size, of a valid one: its bytes with header and padding. */
enum record_check record_read(const uint8_t *bytes, size_t size, uint64_t epoch,
                              struct record *out_record, size_t *out_size);

/* ---- payloads -------------------------------------------------------------------------------- */

struct record_put {
    struct digest digest;
    struct text body;      /* as entry.c lays it out: what entry_create_from_body takes */
    uint64_t space;        /* of the vector; 0 with none                                */
    const uint8_t *vector; /* dimension floats, little-endian, maybe unaligned; NULL: none */
    uint32_t dimension;
    int64_t created_ms;
};
enum { RECORD_PUT_FIXED_BYTES = 120, RECORD_DIMENSION_MAX = UINT16_MAX };
size_t record_put_size(const struct entry *entry, uint32_t dimension); /* payload bytes */
void record_put_write(uint8_t *payload, const struct entry *entry, const float *vector,
                      uint32_t dimension);
/* Every size is checked against the payload. STATUS_BAD_MESSAGE. */
enum status record_put_read(struct text payload, struct record_put *out_put);

enum {
    RECORD_DELETE_BYTES = DIGEST_BYTES, /* a TOUCH too */
    RECORD_PURGE_BYTES = 40,
    RECORD_NOTE_FIXED_BYTES = 40,
    RECORD_SEAL_BYTES = 8,
};

struct record_purge { /* zero tenant or scope: all */
    uint8_t tenant[ENTRY_ID_BYTES], scope[ENTRY_ID_BYTES];
    uint64_t floor; /* everything at or below is dead */
};
void record_purge_write(uint8_t *payload, const struct record_purge *purge);
enum status record_purge_read(struct text payload, struct record_purge *out_purge);

struct record_note { /* opaque to storage/; the newest of one (owner, kind, key) counts */
    uint16_t owner, kind;
    uint8_t key[32];
    struct text bytes; /* empty: the note is taken back */
};
void record_note_write(uint8_t *payload, const struct record_note *note);
enum status record_note_read(struct text payload, struct record_note *out_note);
