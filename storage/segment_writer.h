/*
 * segment_writer.h - compacted segments, written record by record: as many files as it takes.
 * Threads: the custodian's.
 */
#pragma once
#include "storage/checksum.h"
#include "storage/custodian_inside.h"

struct segment_writer {
    struct custodian *custodian;
    bool uses_emergency; /* the one file is the emergency spare, and there is no second */
    struct io_file *file;
    struct segment_header header; /* of the open file, as it will be */
    uint8_t *buffer;
    size_t buffer_bytes, buffer_capacity;
    uint64_t written_bytes; /* of the open file */
    struct checksum *hash;  /* of its records */
    struct manifest_segment *made;
    uint32_t made_count, made_capacity;
    uint64_t records_count; /* in all of them */
};

/* Zeros but for custodian and uses_emergency. */
void segment_writer_deinit(struct segment_writer *writer);
/* Room for a record of so many bytes, header included; its payload goes behind the header. The next
 * call but segment_writer_add is an error. STATUS_CANCELLED: the custodian is to stop. */
enum status segment_writer_reserve(struct segment_writer *writer, size_t record_bytes,
                                   uint8_t **out_record);
void segment_writer_add(struct segment_writer *writer, uint8_t *bytes, const struct record *record);
/* All files are whole and on the disk, `made` names them. */
enum status segment_writer_finish(struct segment_writer *writer);
/* Removes them: nobody has heard of them yet. */
void segment_writer_undo(struct segment_writer *writer);
