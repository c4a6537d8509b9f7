/*
 * manifest_text.h - the form of MANIFEST, for manifest.c, which reads it, and manifest_save.c,
 * which writes it. Threads: all of it is constant.
 */
#pragma once
#include "storage/manifest.h"

#define MANIFEST_NAME         "MANIFEST"
#define MANIFEST_DRAFT        "MANIFEST.tmp"
#define MANIFEST_VERSION_WORD "reprise-manifest "

enum {
    MANIFEST_LINE_BYTES = 160,     /* none is longer                */
    MANIFEST_LINES_OF_ITS_OWN = 4, /* version, node, checksum, room */
    MANIFEST_CHECKSUM_LINE_BYTES = 16,
    MANIFEST_ID_HEX = 2 * ENTRY_ID_BYTES,
};
