/*
 * ivf.c - rows by list, and the scan of a few lists.
 *
 * A row belongs to the list whose centroid has the largest product with it, by int8 like all else.
 * A larger segment keeps the centroids and the lists of the smaller one and assigns the new rows;
 * it is trained anew when the rows have doubled since, or another number of lists is asked for.
 *
 * ONE BLOCK of arrays, about 404 bytes a row with 384 dimensions: the codes lie here a second time.
 * The chunk's own stay, for a chunk is one block that flat and larger segments share; scanning them
 * where they lie would wait for memory at each row.
 *
 * THREADS. Building on a builder, searching by any number of threads inside an epoch.
 *
 * NOT HERE. k-means (ivf_train.c), few rows of a tag (segment.c).
 */
#include "index/ivf.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/segment_inside.h"

enum {
    ARRAY_ALIGN = 64,
    BLOCK_ROWS = 256, /* multiplied by one call of a kernel       */
    STEP_ROWS = 256,  /* assigned between two looks at `stop`     */
    FEW_SHARE = 4,    /* fewer than one in four matches: row by row */
    PREFETCH_ROWS = 8,
    PROBES_MAX = SEGMENT_WIDEN_MAX * IVF_PROBES_MAX,
};
#define NO_LIST UINT32_MAX

/* ---- the block ------------------------------------------------------------------------------- */

static void *take(uint8_t *block, size_t *offset, size_t count, size_t element_bytes)
{
    void *array = block != NULL ? block + *offset : NULL;
    *offset += (count * element_bytes + ARRAY_ALIGN - 1) / ARRAY_ALIGN * ARRAY_ALIGN;
    return array;
}

static size_t lay_out(struct ivf *ivf, uint8_t *block)
{
    size_t offset = 0;
    const size_t lists = ivf->lists, members = ivf->members_count;
    ivf->codes = take(block, &offset, members, ivf->row_bytes);
    ivf->centroid_codes = take(block, &offset, lists, ivf->row_bytes);
    ivf->centroids = take(block, &offset, lists * ivf->dimension, sizeof(*ivf->centroids));
    ivf->centroid_scales = take(block, &offset, lists, sizeof(*ivf->centroid_scales));
    ivf->firsts = take(block, &offset, lists + 1, sizeof(*ivf->firsts));
    ivf->scales = take(block, &offset, members, sizeof(*ivf->scales));
    ivf->tags = take(block, &offset, members, sizeof(*ivf->tags));
    ivf->members = take(block, &offset, members, sizeof(*ivf->members));
    return offset;
}

/* Sizes and memory are set. */
static enum status allocate(struct ivf *ivf)
{
    assert(ivf->lists >= 1);
    assert(ivf->members_count <= ivf->rows);
    ivf->size_bytes = lay_out(ivf, NULL);
    uint8_t *block = memory_alloc(ivf->memory, MEMORY_ROWS, ivf->size_bytes);
    if (block == NULL)
        return STATUS_NO_MEMORY;
    (void)lay_out(ivf, block);
    return STATUS_OK;
}

void ivf_destroy(struct ivf *ivf)
{
    if (ivf->codes != NULL)
        memory_free(ivf->memory, ivf->codes, ivf->size_bytes);
    memset(ivf, 0, sizeof(*ivf));
}

static void encode_centroids(struct ivf *ivf)
{
    for (uint32_t i = 0; i < ivf->lists; i++)
        ivf->centroid_scales[i] =
            vector_encode_row(ivf->centroids + (size_t)i * ivf->dimension, ivf->dimension,
                              ivf->centroid_codes + i * ivf->row_bytes);
}

/* ---- which list ------------------------------------------------------------------------------ */

static uint32_t nearest_list(const struct ivf *ivf, const int8_t *query)
{
    const struct vector_kernels *kernels = vector_kernels();
    float best = -INFINITY;
    uint32_t nearest = 0;
    for (uint32_t first = 0; first < ivf->lists; first += BLOCK_ROWS) {
        int32_t dots[BLOCK_ROWS];
        const uint32_t left = ivf->lists - first, count = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        kernels->scan(ivf->centroid_codes + first * ivf->row_bytes, ivf->row_bytes, count, query,
                      dots);
        for (uint32_t i = 0; i < count; i++)
            if ((float)dots[i] * ivf->centroid_scales[first + i] > best) {
                best = (float)dots[i] * ivf->centroid_scales[first + i];
                nearest = first + i;
            }
    }
    return nearest;
}

static uint32_t assign_row(const struct ivf *ivf, const struct rows_chunk *chunk, uint32_t row)
{
    _Alignas(VECTOR_ROW_ALIGN) int8_t query[VECTOR_DIMENSION_MAX];
    if (rows_chunk_is_dead(chunk, row))
        return NO_LIST;
    const uint8_t *codes = chunk->codes + (size_t)row * chunk->row_bytes;
    for (size_t i = 0; i < chunk->row_bytes; i++)
        query[i] = (int8_t)(codes[i] ^ 0x80);
    return nearest_list(ivf, query);
}

/* The rows of the base whose list is known. */
static void keep_lists(const struct ivf *base, struct rows_chunk *const *chunks, uint32_t *lists_of)
{
    for (uint32_t list = 0; list < base->lists; list++)
        for (uint32_t i = base->firsts[list]; i < base->firsts[list + 1]; i++) {
            const uint32_t row = base->members[i];
            if (!rows_chunk_is_dead(chunks[row / ROWS_CHUNK_MAX], row % ROWS_CHUNK_MAX))
                lists_of[row] = list;
        }
}

static const struct ivf *base_to_keep(const struct ivf_build *build)
{
    const struct ivf *base = build->base;
    if (base == NULL || build->rows / 2 >= base->rows_trained)
        return NULL;
    if (build->lists != 0 && ivf_lists_for(base->rows_trained, build->lists) != base->lists)
        return NULL;
    return base;
}

void ivf_tell_progress(const struct ivf_build *build, uint64_t samples_done, uint32_t rows_done)
{
    if (build->rows_done == NULL)
        return;
    const struct ivf *kept = base_to_keep(build);
    const uint64_t rows = build->rows - (kept != NULL ? kept->rows : 0);
    const uint64_t samples =
        kept != NULL ? 0 : ivf_train_samples(build->rows, ivf_lists_for(build->rows, build->lists));
    const uint64_t done = (samples_done < samples ? samples_done : samples) + rows_done;
    const uint32_t new_rows =
        build->rows - (build->base != NULL ? build->base->rows : 0); /* what the build is told as */
    atomic_store_explicit(build->rows_done, (uint32_t)(done * new_rows / (samples + rows)),
                          memory_order_relaxed);
}

/* `kept`: the base, if its lists stay. */
static enum status assign_rows(const struct ivf *ivf, const struct ivf_build *build,
                               const struct ivf *kept, uint32_t *lists_of)
{
    const uint32_t first = kept != NULL ? kept->rows : 0;
    memset(lists_of, 0xff, ivf->rows * sizeof(*lists_of));
    if (kept != NULL)
        keep_lists(kept, build->chunks, lists_of);
    for (uint32_t row = first; row < ivf->rows; row++) {
        if (row % STEP_ROWS == 0) {
            if (atomic_load_explicit(build->stop, memory_order_relaxed))
                return STATUS_CANCELLED;
            ivf_tell_progress(build, UINT64_MAX, row - first);
        }
        lists_of[row] = assign_row(ivf, build->chunks[row / ROWS_CHUNK_MAX], row % ROWS_CHUNK_MAX);
    }
    return STATUS_OK;
}

/* ---- building -------------------------------------------------------------------------------- */

static void copy_member(struct ivf *ivf, struct rows_chunk *const *chunks, uint32_t at,
                        uint32_t row)
{
    const struct rows_chunk *chunk = chunks[row / ROWS_CHUNK_MAX];
    const uint32_t there = row % ROWS_CHUNK_MAX;
    memcpy(ivf->codes + at * ivf->row_bytes, chunk->codes + there * chunk->row_bytes,
           ivf->row_bytes);
    ivf->scales[at] = chunk->scales[there];
    ivf->tags[at] = chunk->tags[there];
    ivf->members[at] = row;
}

static void count_members(struct ivf *ivf, const uint32_t *lists_of)
{
    memset(ivf->firsts, 0, (ivf->lists + 1) * sizeof(*ivf->firsts));
    for (uint32_t row = 0; row < ivf->rows; row++)
        if (lists_of[row] != NO_LIST)
            ivf->firsts[lists_of[row] + 1]++;
    for (uint32_t list = 0; list < ivf->lists; list++)
        ivf->firsts[list + 1] += ivf->firsts[list];
    assert(ivf->firsts[ivf->lists] == ivf->members_count);
}

/* Places rows; `firsts` runs ahead to the end of each list meanwhile and is moved back. */
static void place_members(struct ivf *ivf, struct rows_chunk *const *chunks,
                          const uint32_t *lists_of)
{
    count_members(ivf, lists_of);
    for (uint32_t row = 0; row < ivf->rows; row++)
        if (lists_of[row] != NO_LIST)
            copy_member(ivf, chunks, ivf->firsts[lists_of[row]]++, row);
    memmove(ivf->firsts + 1, ivf->firsts, ivf->lists * sizeof(*ivf->firsts));
    ivf->firsts[0] = 0;
    assert(ivf->firsts[ivf->lists] == ivf->members_count);
}

/* Centroids stand in a small block of their own until it is known how many rows there are. */
static enum status make_centroids(struct ivf *head, const struct ivf_build *build,
                                  const struct ivf *kept)
{
    enum status status = allocate(head);
    if (status != STATUS_OK)
        return status;
    if (kept != NULL)
        memcpy(head->centroids, kept->centroids,
               (size_t)head->lists * head->dimension * sizeof(float));
    else
        status = ivf_train(build, head->lists, head->centroids);
    if (status == STATUS_OK)
        encode_centroids(head);
    else
        ivf_destroy(head);
    return status;
}

static enum status make_lists(const struct ivf *head, const struct ivf_build *build,
                              const uint32_t *lists_of, struct ivf *out_ivf)
{
    struct ivf ivf = *head;
    for (uint32_t row = 0; row < ivf.rows; row++)
        ivf.members_count += lists_of[row] != NO_LIST;
    const enum status status = allocate(&ivf);
    if (status != STATUS_OK)
        return status;
    memcpy(ivf.centroids, head->centroids, (size_t)ivf.lists * ivf.dimension * sizeof(float));
    encode_centroids(&ivf);
    place_members(&ivf, build->chunks, lists_of);
    *out_ivf = ivf;
    return STATUS_OK;
}

enum status ivf_create(const struct ivf_build *build, struct ivf *out_ivf)
{
    assert(build->rows > 0);
    assert(build->rows % ROWS_CHUNK_MAX == 0);
    const struct ivf *kept = base_to_keep(build);
    struct ivf head = {.memory = build->memory,
                       .rows = build->rows,
                       .row_bytes = build->chunks[0]->row_bytes,
                       .dimension = build->chunks[0]->dimension,
                       .lists =
                           kept != NULL ? kept->lists : ivf_lists_for(build->rows, build->lists),
                       .rows_trained = kept != NULL ? kept->rows_trained : build->rows};
    enum status status = make_centroids(&head, build, kept);
    if (status != STATUS_OK)
        return status;
    const size_t size_bytes = build->rows * sizeof(uint32_t);
    uint32_t *lists_of = memory_alloc(build->memory, MEMORY_ROWS, size_bytes);
    status = lists_of != NULL ? assign_rows(&head, build, kept, lists_of) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = make_lists(&head, build, lists_of, out_ivf);
    if (lists_of != NULL)
        memory_free(build->memory, lists_of, size_bytes);
    ivf_destroy(&head);
    return status;
}

/* ---- from outside ---------------------------------------------------------------------------- */

enum status ivf_allocate(struct memory *memory, const struct ivf *sizes, struct ivf *out_ivf)
{
    struct ivf ivf = *sizes;
    ivf.memory = memory;
    const enum status status = allocate(&ivf);
    if (status == STATUS_OK)
        *out_ivf = ivf;
    return status;
}

static bool are_unit(const struct ivf *ivf)
{
    static const float LENGTH_EPSILON = 1e-3f;
    for (uint32_t i = 0; i < ivf->lists; i++) {
        const float *centroid = ivf->centroids + (size_t)i * ivf->dimension;
        float length = 0;
        for (uint32_t j = 0; j < ivf->dimension; j++)
            length += centroid[j] * centroid[j];
        if (!(fabsf(length - 1) < LENGTH_EPSILON)) /* NaN is not */
            return false;
    }
    return true;
}

/* No row is found twice. */
static bool are_members(const struct ivf *ivf)
{
    uint64_t *seen = calloc(ivf->rows / 64 + 1, sizeof(*seen));
    bool sound = seen != NULL;
    for (uint32_t i = 0; sound && i < ivf->members_count; i++) {
        const uint32_t row = ivf->members[i];
        sound = row < ivf->rows && (seen[row / 64] >> (row % 64) & 1) == 0;
        if (sound)
            seen[row / 64] |= UINT64_C(1) << (row % 64);
    }
    free(seen);
    return sound;
}

bool ivf_is_sound(const struct ivf *ivf)
{
    if (ivf->rows_trained < ROWS_CHUNK_MAX || ivf->rows_trained > ivf->rows)
        return false;
    if (ivf->firsts[0] != 0 || ivf->firsts[ivf->lists] != ivf->members_count)
        return false;
    for (uint32_t list = 0; list < ivf->lists; list++)
        if (ivf->firsts[list] > ivf->firsts[list + 1])
            return false;
    return are_unit(ivf) && are_members(ivf);
}

void ivf_lay_out(struct ivf *ivf, struct rows_chunk *const *chunks)
{
    encode_centroids(ivf);
    for (uint32_t i = 0; i < ivf->members_count; i++)
        copy_member(ivf, chunks, i, ivf->members[i]);
}

/* ---- searching ------------------------------------------------------------------------------- */

struct probe {
    float score;
    uint32_t list;
};

/* The nearest lists, the farthest on top. */
struct probes {
    uint32_t max, count;
    struct probe heap[PROBES_MAX];
};

static void sift_down(struct probe *heap, uint32_t count, uint32_t at)
{
    const struct probe moving = heap[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].score < heap[child].score)
            child++;
        if (!(heap[child].score < moving.score))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

/* Nearer than the farthest, or there is room. */
static void probes_add(struct probes *probes, struct probe probe)
{
    if (probes->count < probes->max) {
        probes->heap[probes->count++] = probe;
        if (probes->count == probes->max)
            for (uint32_t i = probes->max / 2; i-- > 0;)
                sift_down(probes->heap, probes->count, i);
    } else {
        probes->heap[0] = probe;
        sift_down(probes->heap, probes->count, 0);
    }
}

/* The nearest first: what it offers sets a bar that few rows of the farther lists pass. */
static void probes_sort(struct probes *probes)
{
    for (uint32_t count = probes->count; count > 1; count--) {
        const struct probe farthest = probes->heap[0];
        probes->heap[0] = probes->heap[count - 1];
        sift_down(probes->heap, count - 1, 0);
        probes->heap[count - 1] = farthest;
    }
}

static void find_lists(const struct ivf *ivf, struct segment_scan *scan, struct probes *probes)
{
    for (uint32_t first = 0; first < ivf->lists; first += BLOCK_ROWS) {
        int32_t dots[BLOCK_ROWS];
        const uint32_t left = ivf->lists - first, count = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        scan->kernels->scan(ivf->centroid_codes + first * ivf->row_bytes, ivf->row_bytes, count,
                            scan->query->codes, dots);
        for (uint32_t i = 0; i < count; i++) {
            const float score = (float)dots[i] * ivf->centroid_scales[first + i];
            if (probes->count < probes->max || score > probes->heap[0].score)
                probes_add(probes, (struct probe){score, first + i});
        }
    }
    scan->scanned += ivf->lists;
}

static void offer_member(const struct ivf *ivf, struct segment_scan *scan, uint32_t at, int32_t dot)
{
    const float score = (float)dot * ivf->scales[at];
    if (score > scan->candidates->worst && segment_row_counts(scan, ivf->members[at]))
        segment_offer(scan, ivf->members[at], score);
}

static uint32_t pick_members(const struct ivf *ivf, const struct segment_scan *scan, uint32_t first,
                             uint32_t count, uint32_t *out_picked)
{
    uint32_t picked = 0;
    for (uint32_t i = 0; i < count; i++) {
        out_picked[picked] = first + i;
        picked += ivf->tags[first + i] == scan->query->tag;
    }
    return picked;
}

static void scan_block(const struct ivf *ivf, struct segment_scan *scan, uint32_t first,
                       uint32_t count)
{
    assert(count <= BLOCK_ROWS);
    uint32_t picked[BLOCK_ROWS];
    const uint32_t picked_count =
        scan->one_tag ? count : pick_members(ivf, scan, first, count, picked);
    if (picked_count * FEW_SHARE < count) {
        for (uint32_t i = 0; i < picked_count; i++)
            offer_member(ivf, scan, picked[i],
                         scan->kernels->dot(ivf->codes + picked[i] * ivf->row_bytes,
                                            scan->query->codes, ivf->row_bytes));
        scan->scanned += picked_count;
        return;
    }
    int32_t dots[BLOCK_ROWS];
    scan->kernels->scan(ivf->codes + first * ivf->row_bytes, ivf->row_bytes, count,
                        scan->query->codes, dots);
    for (uint32_t i = 0; i < count; i++)
        offer_member(ivf, scan, first + i, dots[i]);
    scan->scanned += count;
}

/* The kernel fetches ahead within a list; a list's first rows would be waited for. */
static void prefetch_list(const struct ivf *ivf, uint32_t list)
{
    const uint8_t *codes = ivf->codes + ivf->firsts[list] * ivf->row_bytes;
    for (size_t i = 0; i < PREFETCH_ROWS * ivf->row_bytes; i += ARRAY_ALIGN)
        __builtin_prefetch(codes + i);
}

void ivf_scan(const struct ivf *ivf, struct segment_scan *scan)
{
    const uint32_t wanted = scan->query->nprobe * scan->widen;
    assert(wanted >= 1);
    assert(wanted <= PROBES_MAX);
    struct probes probes;
    probes.max = wanted < ivf->lists ? wanted : ivf->lists;
    probes.count = 0;
    find_lists(ivf, scan, &probes);
    probes_sort(&probes);
    for (uint32_t p = 0; p < probes.count; p++) {
        if (p + 1 < probes.count)
            prefetch_list(ivf, probes.heap[p + 1].list);
        const uint32_t end = ivf->firsts[probes.heap[p].list + 1];
        for (uint32_t first = ivf->firsts[probes.heap[p].list]; first < end; first += BLOCK_ROWS)
            scan_block(ivf, scan, first, end - first < BLOCK_ROWS ? end - first : BLOCK_ROWS);
    }
}
