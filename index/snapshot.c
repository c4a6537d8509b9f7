/*
 * snapshot.c - segments as bytes: a header (snapshot_header.h), then its sections, as they lie in
 * memory, without anything between them.
 *
 * CHECKED BEFORE USE: every byte by a CRC, then what a search relies on: links lead to rows on
 * their level, lists follow each other and hold a row once, scales and centroids are finite. A CRC
 * finds accidents only; the second kind of check is what keeps a search inside its arrays.
 *
 * DAMAGE in a section costs that segment; its header says where the next one begins. Damage in a
 * header costs all that follow.
 *
 * A DEAD ROW'S vector is not written: what was removed leaves the disk, and codes are as good as
 * the vector. In its place stands a living neighbour's, which goes on showing the way where the
 * dead one did.
 *
 * NOT HERE. Which segments are written, where rows come back (restore.c); files (the caller's).
 */
#include "index/snapshot.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "index/snapshot_header.h"

enum { SKIP_BYTES = 4096 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are written as they lie");

/* ---- sections: where their bytes lie in memory ----------------------------------------------- */

struct layout {
    struct rows_chunk *const *chunks;
    uint32_t chunks_count;
    const struct graph *graph; /* of hnsw */
    const struct ivf *ivf;     /* of ivf  */
};

static const enum section_kind HNSW_SECTIONS[] = {SECTION_SEQUENCES, SECTION_TAGS,  SECTION_SCALES,
                                                  SECTION_CODES,     SECTION_LINKS, SECTION_UPPER};
static const enum section_kind IVF_SECTIONS[] = {
    SECTION_SEQUENCES, SECTION_TAGS,   SECTION_SCALES, SECTION_CODES,
    SECTION_CENTROIDS, SECTION_FIRSTS, SECTION_MEMBERS};

static const enum section_kind *sections_of(enum index_kind kind, uint32_t *out_count)
{
    assert(kind == INDEX_HNSW || kind == INDEX_IVF);
    *out_count = kind == INDEX_HNSW ? sizeof(HNSW_SECTIONS) / sizeof(HNSW_SECTIONS[0])
                                    : sizeof(IVF_SECTIONS) / sizeof(IVF_SECTIONS[0]);
    assert(*out_count <= SNAPSHOT_SECTIONS_MAX);
    return kind == INDEX_HNSW ? HNSW_SECTIONS : IVF_SECTIONS;
}

static bool is_in_chunks(enum section_kind kind)
{
    return kind <= SECTION_CODES;
}

struct piece {
    void *bytes;
    size_t size;
};

static struct piece piece_of_chunk(struct rows_chunk *chunk, enum section_kind kind)
{
    const size_t rows = ROWS_CHUNK_MAX;
    switch (kind) {
    case SECTION_SEQUENCES:
        return (struct piece){chunk->sequences, rows * sizeof(*chunk->sequences)};
    case SECTION_TAGS:
        return (struct piece){chunk->tags, rows * sizeof(*chunk->tags)};
    case SECTION_SCALES:
        return (struct piece){chunk->scales, rows * sizeof(*chunk->scales)};
    case SECTION_CODES:
        return (struct piece){chunk->codes, rows * chunk->row_bytes};
    case SECTION_LINKS:
    case SECTION_UPPER:
    case SECTION_CENTROIDS:
    case SECTION_FIRSTS:
    case SECTION_MEMBERS:
        break;
    }
    assert(false);
    return (struct piece){0};
}

static struct piece piece_of_structure(const struct layout *layout, enum section_kind kind)
{
    const struct graph *graph = layout->graph;
    const struct ivf *ivf = layout->ivf;
    switch (kind) {
    case SECTION_LINKS:
        return (struct piece){graph->level0,
                              (size_t)graph->rows * 2 * graph->links * sizeof(uint32_t)};
    case SECTION_UPPER:
        return (struct piece){graph->upper,
                              (size_t)graph->upper_count * graph->links * sizeof(uint32_t)};
    case SECTION_CENTROIDS:
        return (struct piece){ivf->centroids, (size_t)ivf->lists * ivf->dimension * sizeof(float)};
    case SECTION_FIRSTS:
        return (struct piece){ivf->firsts, ((size_t)ivf->lists + 1) * sizeof(uint32_t)};
    case SECTION_MEMBERS:
        return (struct piece){ivf->members, ivf->members_count * sizeof(uint32_t)};
    case SECTION_SEQUENCES:
    case SECTION_TAGS:
    case SECTION_SCALES:
    case SECTION_CODES:
        break;
    }
    assert(false);
    return (struct piece){0};
}

static uint32_t pieces_count(const struct layout *layout, enum section_kind kind)
{
    return is_in_chunks(kind) ? layout->chunks_count : 1;
}

static struct piece piece_at(const struct layout *layout, enum section_kind kind, uint32_t at)
{
    assert(at < pieces_count(layout, kind));
    return is_in_chunks(kind) ? piece_of_chunk(layout->chunks[at], kind)
                              : piece_of_structure(layout, kind);
}

static uint64_t section_bytes(const struct layout *layout, enum section_kind kind)
{
    return (uint64_t)piece_at(layout, kind, 0).size * pieces_count(layout, kind);
}

/* ---- writing: whose codes -------------------------------------------------------------------- */

struct writing {
    const struct layout *layout;
    uint32_t *steads; /* of each row: itself if it lives, else a living one; NO_ROW: none lives */
    uint8_t *block;   /* codes or scales of one chunk */
};
#define NO_ROW UINT32_MAX

static bool lives(const struct layout *layout, uint32_t row)
{
    return !rows_chunk_is_dead(layout->chunks[row / ROWS_CHUNK_MAX], row % ROWS_CHUNK_MAX);
}

/* A living row that its links lead to. */
static uint32_t neighbour_of(const struct writing *writing, uint32_t row)
{
    const struct graph *graph = writing->layout->graph;
    if (graph == NULL)
        return NO_ROW;
    const uint32_t *links = graph_links_at(graph, row, 0);
    for (uint32_t i = 0; i < graph_links_max(graph, 0) && links[i] != GRAPH_NONE; i++)
        if (writing->steads[links[i]] == links[i])
            return links[i];
    return NO_ROW;
}

/* Looked at once: rows die meanwhile, and the sums are made before the bytes are written. */
static void choose_steads(struct writing *writing, uint32_t rows)
{
    uint32_t living = NO_ROW; /* the last one, or else the first */
    for (uint32_t row = 0; row < rows; row++) {
        writing->steads[row] = lives(writing->layout, row) ? row : NO_ROW;
        if (living == NO_ROW)
            living = writing->steads[row];
    }
    for (uint32_t row = 0; row < rows; row++) {
        if (writing->steads[row] == row) {
            living = row;
            continue;
        }
        const uint32_t neighbour = neighbour_of(writing, row);
        writing->steads[row] = neighbour != NO_ROW ? neighbour : living;
    }
}

static enum status writing_init(struct writing *writing, const struct layout *layout, uint32_t rows)
{
    writing->layout = layout;
    writing->steads = calloc(rows, sizeof(*writing->steads));
    writing->block = malloc(piece_at(layout, SECTION_CODES, 0).size);
    if (writing->steads == NULL || writing->block == NULL)
        return STATUS_NO_MEMORY;
    choose_steads(writing, rows);
    return STATUS_OK;
}

static void writing_deinit(struct writing *writing)
{
    free(writing->steads);
    free(writing->block);
}

/* As it lies in memory, but where a row is dead. */
static struct piece written_piece(const struct writing *writing, enum section_kind kind,
                                  uint32_t at)
{
    const struct piece whole = piece_at(writing->layout, kind, at);
    if (kind != SECTION_CODES && kind != SECTION_SCALES)
        return whole;
    const size_t each = whole.size / ROWS_CHUNK_MAX;
    const uint32_t first = at * ROWS_CHUNK_MAX;
    assert(whole.size <= piece_at(writing->layout, SECTION_CODES, 0).size);
    memcpy(writing->block, whole.bytes, whole.size);
    for (uint32_t row = 0; row < ROWS_CHUNK_MAX; row++) {
        const uint32_t stead = writing->steads[first + row];
        if (stead == NO_ROW) {
            memset(writing->block + row * each, 0, each);
        } else if (stead != first + row) {
            const struct piece from = piece_at(writing->layout, kind, stead / ROWS_CHUNK_MAX);
            memcpy(writing->block + row * each,
                   (const uint8_t *)from.bytes + stead % ROWS_CHUNK_MAX * each, each);
        }
    }
    return (struct piece){writing->block, whole.size};
}

/* ---- writing --------------------------------------------------------------------------------- */

static struct layout layout_of(const struct segment *segment, struct rows_chunk *const *chunks)
{
    return (struct layout){.chunks = chunks,
                           .chunks_count = segment->rows / ROWS_CHUNK_MAX,
                           .graph = segment->kind == INDEX_HNSW ? &segment->graph : NULL,
                           .ivf = segment->kind == INDEX_IVF ? &segment->ivf : NULL};
}

static uint32_t section_crc(const struct writing *writing, enum section_kind kind)
{
    uint32_t crc = 0;
    for (uint32_t i = 0; i < pieces_count(writing->layout, kind); i++) {
        const struct piece piece = written_piece(writing, kind, i);
        crc = crc32c(crc, piece.bytes, piece.size);
    }
    return crc;
}

static void describe(const struct segment *segment, const struct writing *writing,
                     const struct partition_key *key, struct snapshot_header *header)
{
    const struct layout *layout = writing->layout;
    const struct graph *graph = layout->graph;
    const struct ivf *ivf = layout->ivf;
    *header = (struct snapshot_header){.dimension = layout->chunks[0]->dimension,
                                       .row_bytes = (uint32_t)layout->chunks[0]->row_bytes,
                                       .rows = segment->rows,
                                       .kind = segment->kind,
                                       .key = *key};
    header->shape[0] = graph != NULL ? graph->links : ivf->lists;
    header->shape[1] = graph != NULL ? graph->entry : ivf->rows_trained;
    header->shape[2] = graph != NULL ? graph->top : ivf->members_count;
    uint32_t count = 0;
    const enum section_kind *kinds = sections_of(segment->kind, &count);
    for (uint32_t i = 0; i < count; i++) {
        header->sections[i].kind = kinds[i];
        header->sections[i].crc = section_crc(writing, kinds[i]);
        header->sections[i].size = section_bytes(layout, kinds[i]);
        header->sections_bytes += header->sections[i].size;
    }
}

static enum status write_section(const struct writing *writing, enum section_kind kind,
                                 const struct snapshot_sink *sink)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < pieces_count(writing->layout, kind); i++) {
        const struct piece piece = written_piece(writing, kind, i);
        if (piece.size > 0)
            status = sink->write(sink->context, piece.bytes, piece.size);
    }
    return status;
}

static enum status write_all(const struct segment *segment, const struct writing *writing,
                             const struct partition_key *key, const struct snapshot_sink *sink)
{
    struct snapshot_header header;
    uint8_t bytes[SNAPSHOT_HEADER_BYTES];
    describe(segment, writing, key, &header);
    snapshot_header_encode(&header, bytes);
    uint32_t count = 0;
    const enum section_kind *kinds = sections_of(segment->kind, &count);
    enum status status = sink->write(sink->context, bytes, sizeof(bytes));
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++)
        status = write_section(writing, kinds[i], sink);
    return status;
}

enum status segment_save(const struct segment *segment, struct rows_chunk *const *chunks,
                         const struct partition_key *key, const struct snapshot_sink *sink)
{
    assert(sink->write != NULL);
    assert(segment->rows > 0);
    const struct layout layout = layout_of(segment, chunks);
    for (uint32_t i = 0; i < layout.chunks_count; i++)
        assert(rows_chunk_is_full(chunks[i]));
    struct writing writing = {0};
    enum status status = writing_init(&writing, &layout, segment->rows);
    if (status == STATUS_OK)
        status = write_all(segment, &writing, key, sink);
    writing_deinit(&writing);
    return status;
}

/* ---- reading: may it be used? ---------------------------------------------------------------- */

/* Kinds and sizes are those that the header's figures ask for. */
static bool is_table_right(const struct snapshot_header *header, const struct layout *layout)
{
    uint32_t count = 0;
    uint64_t sum = 0;
    const enum section_kind *kinds = sections_of(header->kind, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (header->sections[i].kind != kinds[i] ||
            header->sections[i].size != section_bytes(layout, kinds[i]))
            return false;
        sum += header->sections[i].size;
    }
    return sum == header->sections_bytes;
}

static bool are_scales_finite(const struct rows_chunk *chunk)
{
    for (uint32_t row = 0; row < ROWS_CHUNK_MAX; row++)
        if (!isfinite(chunk->scales[row]))
            return false;
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A source that counts what it has given. */
struct reading {
    const struct snapshot_source *source;
    uint64_t taken;
    bool ended;
};

static bool read_bytes(struct reading *reading, void *out, size_t size)
{
    assert(!reading->ended);
    const size_t got = reading->source->read(reading->source->context, out, size);
    assert(got <= size);
    reading->taken += got;
    reading->ended = got < size;
    return !reading->ended;
}

/* To the end of the segment's sections, wherever reading them has stopped. */
static void skip(struct reading *reading, uint64_t end)
{
    uint8_t ignored[SKIP_BYTES];
    while (!reading->ended && reading->taken < end) {
        const uint64_t left = end - reading->taken;
        (void)read_bytes(reading, ignored, left < SKIP_BYTES ? (size_t)left : SKIP_BYTES);
    }
}

static enum status allocate_chunks(const struct snapshot_limits *limits,
                                   struct snapshot_segment *read, uint32_t count)
{
    read->chunks = calloc(count, sizeof(struct rows_chunk *));
    if (read->chunks == NULL)
        return STATUS_NO_MEMORY;
    for (; read->chunks_count < count; read->chunks_count++) {
        const enum status status =
            rows_chunk_create(limits->memory, MEMORY_ROWS, read->dimension, ROWS_CHUNK_MAX,
                              &read->chunks[read->chunks_count]);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status allocate(const struct snapshot_header *header,
                            const struct snapshot_limits *limits, struct snapshot_segment *read)
{
    read->key = header->key;
    read->dimension = header->dimension;
    read->structure.kind = header->kind;
    const enum status status = allocate_chunks(limits, read, header->rows / ROWS_CHUNK_MAX);
    if (status != STATUS_OK)
        return status;
    if (header->kind == INDEX_HNSW)
        return graph_allocate(limits->memory, header->rows, header->shape[0],
                              &read->structure.graph);
    const struct ivf sizes = {.row_bytes = header->row_bytes,
                              .rows = header->rows,
                              .dimension = header->dimension,
                              .lists = header->shape[0],
                              .rows_trained = header->shape[1],
                              .members_count = header->shape[2]};
    return ivf_allocate(limits->memory, &sizes, &read->structure.ivf);
}

static enum status read_section(struct reading *reading, const struct layout *layout,
                                enum section_kind kind, uint32_t crc_wanted)
{
    uint32_t crc = 0;
    for (uint32_t i = 0; i < pieces_count(layout, kind); i++) {
        const struct piece piece = piece_at(layout, kind, i);
        if (piece.size > 0 && !read_bytes(reading, piece.bytes, piece.size))
            return STATUS_CORRUPT;
        crc = crc32c(crc, piece.bytes, piece.size);
    }
    return crc == crc_wanted ? STATUS_OK : STATUS_CORRUPT;
}

static enum status finish(const struct snapshot_header *header, struct snapshot_segment *read)
{
    for (uint32_t i = 0; i < read->chunks_count; i++) {
        if (!are_scales_finite(read->chunks[i]))
            return STATUS_CORRUPT;
        rows_chunk_await(read->chunks[i]);
    }
    struct segment_structure *structure = &read->structure;
    if (header->kind == INDEX_HNSW) {
        structure->graph.entry = header->shape[1];
        structure->graph.top = header->shape[2];
        return graph_is_sound(&structure->graph) ? STATUS_OK : STATUS_CORRUPT;
    }
    if (!ivf_is_sound(&structure->ivf))
        return STATUS_CORRUPT;
    ivf_lay_out(&structure->ivf, read->chunks);
    return STATUS_OK;
}

static enum status read_sections(struct reading *reading, const struct snapshot_header *header,
                                 struct snapshot_segment *read)
{
    const bool is_graph = header->kind == INDEX_HNSW;
    const struct layout layout = {.chunks = read->chunks,
                                  .chunks_count = read->chunks_count,
                                  .graph = is_graph ? &read->structure.graph : NULL,
                                  .ivf = is_graph ? NULL : &read->structure.ivf};
    if (!is_table_right(header, &layout))
        return STATUS_CORRUPT;
    uint32_t count = 0;
    const enum section_kind *kinds = sections_of(header->kind, &count);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++)
        status = read_section(reading, &layout, kinds[i], header->sections[i].crc);
    return status == STATUS_OK ? finish(header, read) : status;
}

enum status segment_load(const struct snapshot_source *source, const struct snapshot_limits *limits,
                         struct snapshot_segment *out_read)
{
    assert(source->read != NULL);
    assert(limits->rows_max >= ROWS_CHUNK_MAX);
    struct reading reading = {.source = source};
    struct snapshot_segment read = {0};
    struct snapshot_header header;
    uint8_t bytes[SNAPSHOT_HEADER_BYTES];
    if (!read_bytes(&reading, bytes, sizeof(bytes)))
        return reading.taken == 0 ? STATUS_NOT_FOUND : STATUS_CORRUPT;
    enum status status = snapshot_header_decode(bytes, &header);
    if (status == STATUS_CORRUPT) {
        skip(&reading, UINT64_MAX); /* nobody knows where the next one begins */
        return status;
    }
    if (status == STATUS_OK)
        status = snapshot_header_check(&header, limits);
    if (status == STATUS_OK)
        status = allocate(&header, limits, &read);
    if (status == STATUS_OK)
        status = read_sections(&reading, &header, &read);
    if (status == STATUS_OK) {
        *out_read = read;
        return STATUS_OK;
    }
    const uint64_t left = UINT64_MAX - reading.taken;
    skip(&reading,
         header.sections_bytes < left ? SNAPSHOT_HEADER_BYTES + header.sections_bytes : UINT64_MAX);
    snapshot_segment_deinit(&read);
    return status;
}

void snapshot_segment_deinit(struct snapshot_segment *read)
{
    segment_structure_destroy(&read->structure);
    for (uint32_t i = 0; read->chunks != NULL && i < read->chunks_count; i++)
        rows_chunk_destroy(&read->chunks[i]);
    free(read->chunks);
    *read = (struct snapshot_segment){0};
}
