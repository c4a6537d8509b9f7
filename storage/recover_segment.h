/*
 * recover_segment.h - one segment's file, read from its header to its end in pieces, every record
 * checked. What recovery, compaction, fsck and dump read with; it changes nothing. Threads: the
 * caller's; the io must be its own.
 */
#pragma once
#include "storage/checksum.h"
#include "storage/manifest.h"

enum {
    PIECE_BYTES = 4 * 1024 * 1024,     /* a piece's usual size                                 */
    TAIL_LOOKAHEAD = 8 * 1024 * 1024,  /* how far behind a bad record a good one is looked for */
    GROUP_BYTES_MAX = 2 * PIECE_BYTES, /* records that count together; or one record, if larger */
};

struct piece { /* consecutive records, checked; the bytes are the piece's own */
    uint8_t *bytes;
    size_t capacity, size;
    struct record *records; /* those that count, in order; PAD, SEAL and BATCH_END are left out */
    uint32_t records_count, records_capacity;
};
void piece_deinit(struct piece *piece);

struct segment_damage { /* bytes that are no records and should be */
    uint64_t number;    /* of the segment                          */
    uint64_t offset_bytes, size_bytes;
    const char *what; /* "a wrong checksum": constant text, borrowed */
    int error;        /* errno, if it could not be read; 0: it was, and is wrong */
};
typedef void segment_damaged(void *context, const struct segment_damage *damage);
/* The line in the log: file, place, errno. A segment_damaged; the context is not looked at. */
void segment_log_damage(void *context, const struct segment_damage *damage);

struct segment_reader {
    /* the caller's, before segment_open */
    struct io *io;
    struct manifest_segment segment; /* last_sequence 0: read under the tail rule               */
    bool skips_damage;               /* else reading ends at the first                          */
    segment_damaged *damaged;        /* NULL: nobody wants to know                              */
    void *damaged_context;

    /* what is known so far */
    struct segment_header header;
    uint64_t file_bytes, offset_bytes; /* the next record's, or where reading has ended         */
    uint64_t last_sequence;            /* of the last good record; first - 1: none              */
    uint64_t records_count;            /* but PAD and SEAL                                      */
    uint64_t damaged_bytes, torn_bytes;
    uint64_t damages; /* how many were reported */
    bool is_done, is_damaged;
    bool has_skipped;             /* sequences may be missing before the next record */
    bool stopped;                 /* at damage, since skips_damage is false */
    struct segment_damage damage; /* the last, if is_damaged                */
    /* the reader's own */
    int error; /* errno of what could not be read since the last report; 0: nothing */
    struct io_file *file;
    struct checksum *hash; /* of a compacted segment's records, NULL of a log */
};

/* STATUS_OK, also of a segment whose header or whole file is damaged (is_done, is_damaged).
 * STATUS_UNSUPPORTED, STATUS_NO_MEMORY, STATUS_IO_FAILED. */
enum status segment_open(struct segment_reader *reader);
void segment_close(struct segment_reader *reader); /* also one that did not open */
/* The next records into the piece, whose old content is dropped; is_done after the last. */
enum status segment_read(struct segment_reader *reader, struct piece *piece);

/* A compacted segment ends in this many bytes: the XXH3-128 of its records, in canonical form. */
enum { SEGMENT_HASH_BYTES = CHECKSUM_BYTES };
