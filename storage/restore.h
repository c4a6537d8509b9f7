/*
 * restore.h - a snapshot put in the place of a data folder's files, before a server opens it.
 * Threads: the caller's.
 */
#pragma once
#include "base/text.h"
#include "storage/custodian.h"

enum { RESTORE_FOLDER_MAX = 64 };

/*
 * The files of snapshots/NAME become those of the folder; what was there is linked into a folder of
 * its own inside, named in out_aside, that is a data folder too: nothing is destroyed. Until
 * MANIFEST is exchanged, in one step, the old state counts. STATUS_NOT_FOUND: no such snapshot.
 * STATUS_UNAVAILABLE: a server has the folder.
 */
enum status storage_restore(const char *directory, struct text snapshot_name,
                            char out_aside[RESTORE_FOLDER_MAX], struct failure *failure);
