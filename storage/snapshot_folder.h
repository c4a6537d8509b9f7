/*
 * snapshot_folder.h - snapshots/NAME inside the data folder: hard links of finished segments and a
 * MANIFEST of their own, so that each is a data folder itself. Threads: any for list and remove;
 * make is the custodian's.
 */
#pragma once
#include "storage/custodian_inside.h"

/* 1 to SNAPSHOT_NAME_MAX letters, digits, - and _. */
bool snapshot_name_is_valid(struct text name);
bool snapshot_folder_exists(const char *path, const char *name);
/* All finished segments of the list. On failure the folder is removed. */
enum status snapshot_folder_make(struct custodian *custodian, const char *name,
                                 const struct journal_segment *segments, uint32_t count);
/* Those that are whole, in no order. path: of the data folder. */
enum status snapshot_folder_list(const char *path, struct snapshot_info *out_infos,
                                 uint32_t infos_max, uint32_t *out_count);
enum status snapshot_folder_info(const char *path, const char *name,
                                 struct snapshot_info *out_info);
/* STATUS_NOT_FOUND. What cannot be removed makes it STATUS_IO_FAILED. */
enum status snapshot_folder_remove(const char *path, const char *name);
