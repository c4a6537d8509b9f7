/*
 * snapshot_header.h - what stands before the sections of a segment.
 *
 * THE FORMAT, little-endian: for each segment a header of 256 bytes, then its sections without
 * anything between them.
 *
 *    0  8      magic RPRVECT1
 *    8  2 2 4  major 1, minor 0, 0x01020304
 *   16  4 4    dimension; bytes a row of codes
 *   24  4 4    rows; kind: 2 hnsw, 3 ivf, as in kind.h
 *   32  16 8   scope, vector space
 *   56  8      bytes of all sections
 *   64  4 x 4  hnsw: links, entry point, top level, 0; ivf: lists, rows at the training, members, 0
 *   80  16 x 8 sections in their order: kind u32, CRC-32C u32, size u64
 *  252  4      CRC-32C of bytes 0 to 251, XOR 0x5A17C0DE: a block of zeros is no header
 *
 * Sections of both: 1 sequences u64, 2 tags u32, 3 scales f32, 4 codes. Of hnsw: 5 links of level 0
 * u32 x 2M, 6 links above it u32 x M (levels are drawn from row numbers, graph.c). Of ivf: 7
 * centroids f32, 8 firsts u32 x (lists + 1), 9 members u32. Sizes follow from the header; another
 * one is damage.
 *
 * Threads: any; pure.
 */
#pragma once
#include "index/snapshot.h"

enum { SNAPSHOT_HEADER_BYTES = 256, SNAPSHOT_SECTIONS_MAX = 8 };

enum section_kind {
    SECTION_SEQUENCES = 1,
    SECTION_TAGS,
    SECTION_SCALES,
    SECTION_CODES,
    SECTION_LINKS,
    SECTION_UPPER,
    SECTION_CENTROIDS,
    SECTION_FIRSTS,
    SECTION_MEMBERS,
};

struct snapshot_header {
    uint32_t dimension, row_bytes, rows;
    enum index_kind kind; /* INDEX_KINDS: none that we know */
    struct partition_key key;
    uint64_t sections_bytes;
    uint32_t shape[3]; /* hnsw: links, entry, top; ivf: lists, rows at the training, members */
    struct {
        uint32_t kind, crc;
        uint64_t size;
    } sections[SNAPSHOT_SECTIONS_MAX];
};

void snapshot_header_encode(const struct snapshot_header *header,
                            uint8_t bytes[SNAPSHOT_HEADER_BYTES]);
/* Who it belongs to and how long it is. STATUS_UNSUPPORTED: whole, but of another version. */
enum status snapshot_header_decode(const uint8_t bytes[SNAPSHOT_HEADER_BYTES],
                                   struct snapshot_header *out_header);
/* STATUS_CORRUPT: no segment can be like that. STATUS_UNSUPPORTED: made by other settings. */
enum status snapshot_header_check(const struct snapshot_header *header,
                                  const struct snapshot_limits *limits);
