/*
 * fuzz_manifest.c - any bytes as MANIFEST, with the checksum of its last line put right, or no
 * input would come further. What is accepted is saved and loaded again: it is the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "storage/manifest.h"
#include "tests/support/io_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHECKSUM_LINE_BYTES = 16, MANIFEST_MAX = 1 << 16 };
static const char first_lines[] = "reprise-manifest 1.0\nnode 0123456789abcdef0123456789abcdef\n";

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_manifest: %s\n", what);
    abort();
}

static void check_segments(const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->segments_count; i++) {
        const struct manifest_segment *segment = &manifest->segments[i];
        const bool is_open = segment->last_sequence == 0;
        must(segment->number > 0, "a segment without a number");
        must(segment->first_sequence > 0, "a segment without a first sequence");
        must(is_open || segment->last_sequence >= segment->first_sequence,
             "an end before its start");
        must(!is_open || i + 1 == manifest->segments_count, "an open segment before the last");
        must(!is_open || segment->kind == SEGMENT_LOG, "an open segment that is no log");
    }
}

static void save_and_load(const struct manifest *manifest)
{
    struct io_sim *disk = io_sim_create(1);
    struct io *io = io_sim_open(disk, "");
    struct manifest again = {.segments = NULL};
    must(manifest_save(io, manifest) == STATUS_OK, "it cannot be saved");
    must(manifest_load(io, &again, NULL) == STATUS_OK, "what was saved cannot be loaded");
    must(again.segments_count == manifest->segments_count, "another count of segments");
    must(again.floors_count == manifest->floors_count, "another count of floors");
    must(memcmp(again.node, manifest->node, sizeof(again.node)) == 0, "another node");
    for (uint32_t i = 0; i < again.segments_count; i++)
        must(again.segments[i].number == manifest->segments[i].number &&
                 again.segments[i].kind == manifest->segments[i].kind &&
                 again.segments[i].first_sequence == manifest->segments[i].first_sequence &&
                 again.segments[i].last_sequence == manifest->segments[i].last_sequence,
             "another segment");
    for (uint32_t i = 0; i < again.floors_count; i++)
        must(memcmp(&again.floors[i], &manifest->floors[i], sizeof(again.floors[i])) == 0,
             "another floor");
    manifest_clear(&again);
    io->operations->close(&io);
    io_sim_destroy(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest = {.segments = NULL};
    if (size < 1 || size > MANIFEST_MAX)
        return 0;
    const size_t before = data[0] % 2 == 0 ? sizeof(first_lines) - 1 : 0;
    const size_t length = before + size - 1;
    char *bytes = malloc(length + CHECKSUM_LINE_BYTES + 1);
    must(bytes != NULL, "no memory");
    memcpy(bytes, first_lines, before);
    memcpy(bytes + before, data + 1, size - 1);
    (void)snprintf(bytes + length, CHECKSUM_LINE_BYTES + 1, "crc32c %08x\n",
                   crc32c(0, bytes, length));
    if (manifest_parse((struct text){bytes, length + CHECKSUM_LINE_BYTES}, &manifest, NULL) ==
        STATUS_OK) {
        check_segments(&manifest);
        save_and_load(&manifest);
        manifest_clear(&manifest);
    }
    (void)manifest_parse((struct text){bytes, length}, &manifest, NULL); /* without that line */
    manifest_clear(&manifest);
    free(bytes);
    return 0;
}
