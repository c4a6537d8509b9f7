/*
 * recover_folder.h - what lies in a data folder: the files by name, MANIFEST, and another one made
 * from the segments' headers where that is missing or bad. Threads: the caller's.
 */
#pragma once
#include "storage/manifest.h"

enum folder_kind { FOLDER_SEGMENT, FOLDER_DRAFT, FOLDER_OTHER };

struct folder_file {
    char name[IO_NAME_MAX];
    enum folder_kind kind;
    uint64_t number; /* of a segment */
    uint64_t size_bytes;
};

struct folder_files { /* zeros: none */
    struct folder_file *files;
    uint32_t count, capacity;
    bool is_out_of_memory;
};
void folder_files_deinit(struct folder_files *files);
enum status folder_files_read(struct io *io, struct folder_files *files);
uint64_t folder_files_number_max(const struct folder_files *files);
/* The size of a segment's file; 0: there is none. */
uint64_t folder_files_segment_bytes(const struct folder_files *files, uint64_t number);

/*
 * The segments by their headers: compacted ones first, then logs by their first sequence. Their
 * ends are not known: every log stands there as open. *out_damaged: bytes of segments without a
 * good header; *out_records: whether any segment has a record. STATUS_UNSUPPORTED: a newer format.
 */
enum status folder_rebuild(struct io *io, const struct folder_files *files,
                           struct manifest *out_manifest, uint64_t *out_damaged_bytes,
                           bool *out_has_records, struct failure *failure);

/* Removes drafts, and segments that MANIFEST does not name; NULL: only drafts. What
 * cannot be removed stays until the next start. */
void folder_clean(struct io *io, const struct folder_files *files, const struct manifest *manifest);
