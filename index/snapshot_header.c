/*
 * snapshot_header.c - the header of a segment: to bytes, from bytes, and whether it can be true.
 * Threads: any; pure. NOT HERE. What it stands before (snapshot.c).
 */
#include "index/snapshot_header.h"

#include <assert.h>
#include <string.h>

#include "base/crc32c.h"

enum {
    HEADER_BYTES = SNAPSHOT_HEADER_BYTES,
    TABLE_AT = 80,
    TABLE_ROW_BYTES = 16,
    CRC_AT = HEADER_BYTES - 4,
    SHAPE_AT = 64,
    SHAPE_MAX = 3,
    MAJOR = 1,
    ORDER_MARK = 0x01020304,
};
#define CRC_MASK UINT32_C(0x5A17C0DE)
static const char MAGIC[8] = {'R', 'P', 'R', 'V', 'E', 'C', 'T', '1'};
_Static_assert((int)TABLE_AT + (int)SNAPSHOT_SECTIONS_MAX * (int)TABLE_ROW_BYTES <= (int)CRC_AT,
               "the table fits");

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

void snapshot_header_encode(const struct snapshot_header *header, uint8_t bytes[HEADER_BYTES])
{
    assert(header->kind == INDEX_HNSW || header->kind == INDEX_IVF);
    assert(header->rows > 0);
    assert(header->rows % ROWS_CHUNK_MAX == 0);
    memset(bytes, 0, HEADER_BYTES);
    memcpy(bytes, MAGIC, sizeof(MAGIC));
    put_u32(bytes + 8, MAJOR); /* and minor 0 in the upper half */
    put_u32(bytes + 12, ORDER_MARK);
    put_u32(bytes + 16, header->dimension);
    put_u32(bytes + 20, header->row_bytes);
    put_u32(bytes + 24, header->rows);
    put_u32(bytes + 28, header->kind);
    memcpy(bytes + 32, header->key.scope, sizeof(header->key.scope));
    put_u64(bytes + 48, header->key.space);
    put_u64(bytes + 56, header->sections_bytes);
    for (uint32_t i = 0; i < SHAPE_MAX; i++)
        put_u32(bytes + SHAPE_AT + i * sizeof(uint32_t), header->shape[i]);
    for (uint32_t i = 0; i < SNAPSHOT_SECTIONS_MAX; i++) {
        uint8_t *row = bytes + TABLE_AT + i * TABLE_ROW_BYTES;
        put_u32(row, header->sections[i].kind);
        put_u32(row + 4, header->sections[i].crc);
        put_u64(row + 8, header->sections[i].size);
    }
    put_u32(bytes + CRC_AT, crc32c(0, bytes, CRC_AT) ^ CRC_MASK);
}

enum status snapshot_header_decode(const uint8_t bytes[HEADER_BYTES],
                                   struct snapshot_header *out_header)
{
    if (memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0 ||
        get_u32(bytes + CRC_AT) != (crc32c(0, bytes, CRC_AT) ^ CRC_MASK))
        return STATUS_CORRUPT;
    struct snapshot_header header = {.dimension = get_u32(bytes + 16),
                                     .row_bytes = get_u32(bytes + 20),
                                     .rows = get_u32(bytes + 24),
                                     .sections_bytes = get_u64(bytes + 56)};
    const uint32_t kind = get_u32(bytes + 28);
    header.kind = kind < INDEX_KINDS ? (enum index_kind)kind : INDEX_KINDS;
    memcpy(header.key.scope, bytes + 32, sizeof(header.key.scope));
    header.key.space = get_u64(bytes + 48);
    for (uint32_t i = 0; i < SHAPE_MAX; i++)
        header.shape[i] = get_u32(bytes + SHAPE_AT + i * sizeof(uint32_t));
    for (uint32_t i = 0; i < SNAPSHOT_SECTIONS_MAX; i++) {
        const uint8_t *row = bytes + TABLE_AT + i * TABLE_ROW_BYTES;
        header.sections[i].kind = get_u32(row);
        header.sections[i].crc = get_u32(row + 4);
        header.sections[i].size = get_u64(row + 8);
    }
    *out_header = header;
    const bool is_ours =
        (get_u32(bytes + 8) & 0xffff) == MAJOR && get_u32(bytes + 12) == ORDER_MARK;
    return is_ours ? STATUS_OK : STATUS_UNSUPPORTED;
}

/* ---- may it be used? ------------------------------------------------------------------------ */

static bool is_shape_possible(const struct snapshot_header *header)
{
    if (header->kind == INDEX_HNSW)
        return header->shape[0] >= GRAPH_LINKS_MIN && header->shape[0] <= GRAPH_LINKS_MAX;
    return header->shape[0] >= 1 && header->shape[0] <= IVF_LISTS_MAX &&
           header->shape[0] <= header->rows && header->shape[2] <= header->rows;
}

enum status snapshot_header_check(const struct snapshot_header *header,
                                  const struct snapshot_limits *limits)
{
    if (header->kind != INDEX_HNSW && header->kind != INDEX_IVF)
        return STATUS_UNSUPPORTED;
    if (header->dimension < 1 || header->dimension > VECTOR_DIMENSION_MAX ||
        header->row_bytes != vector_row_bytes(header->dimension) || header->rows < ROWS_CHUNK_MAX ||
        header->rows % ROWS_CHUNK_MAX != 0 || !is_shape_possible(header))
        return STATUS_CORRUPT;
    if (header->rows > limits->rows_max)
        return STATUS_UNSUPPORTED;
    if (header->kind == INDEX_HNSW && header->shape[0] != limits->links)
        return STATUS_UNSUPPORTED;
    return STATUS_OK;
}
