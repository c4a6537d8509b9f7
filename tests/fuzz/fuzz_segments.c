/*
 * fuzz_segments.c - the index's file of graphs and lists, changed in a few places and then given
 * right checksums (or not), as it is read at a start. The first byte chooses graph or lists,
 * whether the sums are put right and whether the end is cut off; then each eight bytes change one
 * number. Beyond "it does not crash": what is refused leaves nothing behind, and over what is taken
 * a search stays inside the rows and brings none that is dead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "index/faiss_c.h"
#include "index/segment_inside.h"
#include "index/snapshot.h"
#include "index/snapshot_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum claim { IS_LISTS = 1, KEEPS_CHECKSUMS = 2, IS_CUT = 4 };
enum { DIMENSION = 8, LINKS = GRAPH_LINKS_MIN, HEADER_CRC_AT = SNAPSHOT_HEADER_BYTES - 4, CHANGE_BYTES = 8 };
static const uint32_t checksum_mask = 0x5A17C0DE;
static const struct partition_key key = {.scope = {1, 2, 3}, .space = 77};
static const struct segment_options kinds[] = {
    {.kind = INDEX_HNSW, .links = LINKS, .ef_construction = 16}, {.kind = INDEX_IVF}};

struct bytes { /* written once, and read */
    uint8_t *all;
    size_t count, at;
};

static struct memory *memory;
static struct rows_chunk *rows;   /* what both segments were built over */
static struct bytes originals[2]; /* as they were written               */

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_segments: %s\n", what);
    abort();
}

static enum status append(void *context, const void *bytes, size_t size)
{
    struct bytes *out = context;
    uint8_t *larger = realloc(out->all, out->count + size);
    must(larger != NULL, "no memory");
    memcpy(larger + out->count, bytes, size);
    out->all = larger;
    out->count += size;
    return STATUS_OK;
}

static size_t take(void *context, void *out, size_t size)
{
    struct bytes *in = context;
    const size_t left = in->count - in->at, part = size < left ? size : left;
    memcpy(out, in->all + in->at, part);
    in->at += part;
    return part;
}

/* ---- the two that are changed ---------------------------------------------------------------- */

static void make_rows(void)
{
    uint32_t random = 1;
    must(rows_chunk_create(memory, MEMORY_ROWS, DIMENSION, ROWS_CHUNK_MAX, &rows) == STATUS_OK,
         "no rows");
    for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++) {
        float unit[DIMENSION];
        for (uint32_t j = 0; j < DIMENSION; j++) {
            random = random * 1664525 + 1013904223;
            unit[j] = (float)(random >> 8) / (float)(1 << 24) - 0.5f;
        }
        must(vector_normalise(unit, DIMENSION, unit), "a vector of zeros");
        const struct index_row row = {.sequence = i + 1, .tag = 1 + i % 2, .unit = unit};
        (void)rows_chunk_append(rows, &row);
    }
}

static void make_original(const struct segment_options *options, struct bytes *out)
{
    const atomic_bool stop = false;
    const struct segment_build build = {
        .memory = memory, .options = options, .chunks = &rows, .chunks_count = 1, .stop = &stop};
    const struct snapshot_sink sink = {.write = append, .context = out};
    struct segment *segment = NULL;
    must(segment_build(&build, &segment) == STATUS_OK, "no segment");
    must(segment_save(segment, &rows, &key, &sink) == STATUS_OK, "it is not written");
    segment_destroy(&segment);
}

static void make_originals(void)
{
    if (memory != NULL)
        return;
    faiss_c_single_thread();
    must(memory_open(UINT64_C(1) << 28, &memory) == STATUS_OK, "no memory");
    make_rows();
    for (size_t i = 0; i < 2; i++)
        make_original(&kinds[i], &originals[i]);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Where the section begins, the header being 0; a section behind the last is the header too. */
static size_t place_of(const struct snapshot_header *header, uint32_t section, size_t *out_size)
{
    size_t at = SNAPSHOT_HEADER_BYTES;
    for (uint32_t i = 0; i < SNAPSHOT_SECTIONS_MAX; i++) {
        if (i + 1 == section && header->sections[i].size > 0) {
            *out_size = header->sections[i].size;
            return at;
        }
        at += header->sections[i].size;
    }
    *out_size = SNAPSHOT_HEADER_BYTES;
    return 0;
}

/* section u8, place u24 in units of four bytes, value u32: mixed in, so that zeros change nothing
 */
static void change(struct bytes *bytes, const struct snapshot_header *header,
                   const uint8_t how[CHANGE_BYTES])
{
    size_t section_bytes = 0;
    uint32_t old = 0, value = 0;
    const size_t begin = place_of(header, how[0] % (SNAPSHOT_SECTIONS_MAX + 1), &section_bytes);
    const size_t unit = ((size_t)how[1] | (size_t)how[2] << 8 | (size_t)how[3] << 16);
    uint8_t *at = bytes->all + begin + unit % (section_bytes / sizeof(old)) * sizeof(old);
    memcpy(&value, how + 4, sizeof(value));
    memcpy(&old, at, sizeof(old));
    value ^= old;
    memcpy(at, &value, sizeof(value));
}

/* Of sections that the header, as changed, still places inside the bytes. */
static void put_right(struct bytes *bytes, const struct snapshot_header *original)
{
    enum { TABLE_AT = 80, ROW_BYTES = 16, CRC_IN_ROW = 4 };
    size_t at = SNAPSHOT_HEADER_BYTES;
    for (uint32_t i = 0; i < SNAPSHOT_SECTIONS_MAX; i++) {
        const size_t size = original->sections[i].size;
        const uint32_t crc = crc32c(0, bytes->all + at, size);
        if (size > 0)
            memcpy(bytes->all + TABLE_AT + (size_t)i * ROW_BYTES + CRC_IN_ROW, &crc, sizeof(crc));
        at += size;
    }
    const uint32_t sum = crc32c(0, bytes->all, HEADER_CRC_AT) ^ checksum_mask;
    memcpy(bytes->all + HEADER_CRC_AT, &sum, sizeof(sum));
}

static struct bytes changed(uint8_t claim, const uint8_t *data, size_t size)
{
    const struct bytes *original = &originals[(claim & IS_LISTS) != 0 ? 1 : 0];
    struct bytes bytes = {.all = malloc(original->count), .count = original->count};
    struct snapshot_header header;
    must(bytes.all != NULL, "no memory");
    memcpy(bytes.all, original->all, original->count);
    must(snapshot_header_decode(bytes.all, &header) == STATUS_OK, "no header of our own");
    for (; size >= CHANGE_BYTES; data += CHANGE_BYTES, size -= CHANGE_BYTES)
        change(&bytes, &header, data);
    if ((claim & KEEPS_CHECKSUMS) == 0)
        put_right(&bytes, &header);
    if ((claim & IS_CUT) != 0 && size >= sizeof(uint32_t)) {
        uint32_t count = 0;
        memcpy(&count, data, sizeof(count));
        bytes.count = count % bytes.count;
    }
    return bytes;
}

/* ---- what was taken -------------------------------------------------------------------------- */

static void revive(struct rows_chunk *chunk)
{
    for (uint32_t i = 0; i < ROWS_CHUNK_MAX; i++) {
        const struct index_row row = {
            .sequence = rows->sequences[i], .tag = rows->tags[i], .unit = rows_chunk_unit(rows, i)};
        (void)rows_chunk_revive(chunk, i, &row); /* not those that were changed */
    }
    rows_chunk_give_up(chunk);
}

static void ask(const struct segment *segment, struct rows_chunk *chunk, uint32_t row, uint32_t tag)
{
    _Alignas(VECTOR_ROW_ALIGN) int8_t codes[VECTOR_DIMENSION_MAX];
    struct candidates found;
    (void)vector_encode_query(rows_chunk_unit(rows, row), DIMENSION, codes);
    const struct segment_query query = {.codes = codes, .tag = tag, .ef = 16, .nprobe = 4};
    candidates_start(&found, 8);
    must(segment_search(segment, &chunk, &query, &found) <= (uint64_t)ROWS_CHUNK_MAX * 64,
         "more rows than there are");
    for (uint32_t i = 0; i < found.count; i++) {
        must(found.items[i].chunk == chunk && found.items[i].row < ROWS_CHUNK_MAX, "no such row");
        must(!rows_chunk_is_dead(chunk, found.items[i].row), "a dead row");
        must(chunk->tags[found.items[i].row] == tag, "a row of another tag");
    }
}

static void use(struct snapshot_segment *read)
{
    struct segment *segment = NULL;
    must(read->chunks_count > 0, "a segment without rows");
    if (read->chunks_count != 1 || read->dimension != DIMENSION)
        return; /* of other rows than those that come back here */
    revive(read->chunks[0]);
    must(segment_adopt(memory, read->chunks, 1, &read->structure, &segment) == STATUS_OK,
         "no memory");
    for (uint32_t row = 0; row < ROWS_CHUNK_MAX; row += 511)
        ask(segment, read->chunks[0], row, 1 + row % 2);
    segment_destroy(&segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_originals();
    if (size < 1)
        return 0;
    struct bytes bytes = changed(data[0], data + 1, size - 1);
    const struct snapshot_source source = {.read = take, .context = &bytes};
    const struct snapshot_limits limits = {
        .memory = memory, .links = LINKS, .rows_max = 4 * ROWS_CHUNK_MAX};
    const uint64_t used = memory_used(memory);
    enum status status = STATUS_OK;
    do {
        struct snapshot_segment read;
        status = segment_load(&source, &limits, &read);
        must(status == STATUS_OK || status == STATUS_NOT_FOUND || status == STATUS_CORRUPT ||
                 status == STATUS_UNSUPPORTED || status == STATUS_NO_MEMORY,
             "a status that nobody expects");
        if (status == STATUS_OK) {
            use(&read);
            snapshot_segment_deinit(&read);
        }
        must(memory_used(memory) == used, "memory that is not given back");
    } while (status != STATUS_NOT_FOUND);
    free(bytes.all);
    return 0;
}
