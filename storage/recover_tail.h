/*
 * recover_tail.h - what reading a segment does at bytes that are no good record: the tail rule, and
 * where it goes on. Between recover_segment.c and recover_tail.c alone. Threads: as
 * recover_segment.h.
 */
#pragma once
#include "storage/recover_segment.h"

/* Bytes of the file; blocks that cannot be read come as zeros, which are no record, and are counted
 * in *out_unreadable. Fewer than wanted only at the file's end. */
enum status segment_fetch(struct segment_reader *reader, uint8_t *bytes, size_t size,
                          uint64_t offset, size_t *out_read, uint64_t *out_unreadable);

/* Damage is counted and told; is_done and stopped, if reading is to end there. */
void segment_report(struct segment_reader *reader, uint64_t offset, uint64_t size,
                    const char *what);

/* Whether this record may follow what has been read: the rule of sequences. `skipped`: bytes before
 * it were damaged, so that sequences may be missing. */
bool segment_may_follow(const struct segment_reader *reader, const struct record *record,
                        bool skipped);

/*
 * There is no good record at reader->offset_bytes. A torn tail: is_done, torn_bytes. Else damage,
 * reported, and offset_bytes is that of the next good record, or the file's end with is_done.
 */
enum status tail_resume(struct segment_reader *reader, const char *what);
