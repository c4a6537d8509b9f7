/*
 * Goal: MANIFEST comes back as it was written, and no other text is taken for it.
 * Method: written into a temporary folder and parsed; then every byte of it is changed in every bit
 * and it is cut at every length; lines that may not be, each with a right checksum.
 */
#include "storage/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "tests/support/folder.h"
#include "tests/support/unit.h"
#include "tests/unit/storage/disk.h"

static const char head[] = "reprise-manifest 1.0\nnode 000102030405060708090a0b0c0d0e0f\n";

static void add(struct manifest *manifest, uint64_t number, enum segment_kind kind, uint64_t first,
                uint64_t last)
{
    const struct manifest_segment segment = {number, kind, first, last};
    assert_int_equal(manifest_add_segment(manifest, &segment), STATUS_OK);
}

static void fill(struct manifest *manifest)
{
    *manifest = (struct manifest){.node = {0xab, 1}};
    add(manifest, 7, SEGMENT_COMPACTED, 3, 900);
    add(manifest, RECORD_NUMBER_END - 1, SEGMENT_LOG, 901, RECORD_NUMBER_END - 2);
    add(manifest, 9, SEGMENT_LOG, RECORD_NUMBER_END - 1, 0);
    const struct manifest_floor floor = {.tenant = {0xff}, .sequence = 17};
    assert_int_equal(manifest_add_floor(manifest, &floor), STATUS_OK);
}

static enum status parse(const char *bytes, size_t size)
{
    struct manifest manifest = {.segments = NULL};
    struct failure failure = {.status = STATUS_OK};
    const enum status status = manifest_parse((struct text){bytes, size}, &manifest, &failure);
    assert_int_equal(failure.status, status);
    manifest_clear(&manifest);
    return status;
}

/* The lines behind a good head and before a good checksum. */
static enum status parse_lines(const char *version, const char *lines)
{
    char bytes[1024];
    int size = snprintf(bytes, sizeof(bytes), "%s%s%s", version, strchr(head, '\n') + 1, lines);
    const uint32_t sum = crc32c(0, bytes, (size_t)size);
    size += snprintf(bytes + size, sizeof(bytes) - (size_t)size, "crc32c %08x\n", sum);
    return parse(bytes, (size_t)size);
}

static void it_comes_back_as_it_was_written(void **state)
{
    (void)state;
    char path[64];
    folder_create(path);
    struct io *io = NULL;
    assert_int_equal(disk_open(path, &io), STATUS_OK);
    struct manifest written, read;
    fill(&written);
    assert_int_equal(manifest_load(io, &read, NULL), STATUS_NOT_FOUND);
    assert_int_equal(manifest_save(io, &written), STATUS_OK);
    assert_int_equal(manifest_save(io, &written), STATUS_OK); /* over the old one */
    assert_int_equal(manifest_load(io, &read, NULL), STATUS_OK);
    assert_memory_equal(read.node, written.node, sizeof(read.node));
    assert_int_equal(read.segments_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(read.segments[i].number, written.segments[i].number);
        assert_int_equal(read.segments[i].kind, written.segments[i].kind);
        assert_true(read.segments[i].first_sequence == written.segments[i].first_sequence);
        assert_true(read.segments[i].last_sequence == written.segments[i].last_sequence);
    }
    assert_int_equal(read.floors_count, 1);
    assert_memory_equal(&read.floors[0], &written.floors[0], sizeof(read.floors[0]));
    manifest_clear(&written);
    manifest_clear(&read);
    io->operations->close(&io);
    folder_remove(path);
}

static void a_copy_stands_alone(void **state)
{
    (void)state;
    struct manifest manifest, copy;
    fill(&manifest);
    assert_int_equal(manifest_copy(&manifest, &copy), STATUS_OK);
    add(&copy, 33, SEGMENT_COMPACTED, 1, 2);
    assert_int_equal(manifest.segments_count, 3);
    assert_int_equal(copy.segments_count, 4);
    assert_int_equal(copy.segments[2].number, 9);
    manifest_clear(&manifest);
    assert_int_equal(copy.floors[0].sequence, 17);
    manifest_clear(&copy);
    const struct manifest nothing = {.segments = NULL};
    assert_int_equal(manifest_copy(&nothing, &copy), STATUS_OK);
    assert_null(copy.segments);
}

/* As text, by way of a folder. */
static char *print(size_t *out_size)
{
    char path[64], name[96];
    folder_create(path);
    struct io *io = NULL;
    assert_int_equal(disk_open(path, &io), STATUS_OK);
    struct manifest manifest;
    fill(&manifest);
    assert_int_equal(manifest_save(io, &manifest), STATUS_OK);
    manifest_clear(&manifest);
    io->operations->close(&io);
    (void)snprintf(name, sizeof(name), "%s/MANIFEST", path);
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    char *bytes = calloc(1, 4096);
    assert_non_null(bytes);
    *out_size = fread(bytes, 1, 4096, file);
    (void)fclose(file);
    folder_remove(path);
    return bytes;
}

static void every_changed_bit_and_every_cut_is_found(void **state)
{
    (void)state;
    size_t size = 0;
    char *bytes = print(&size);
    assert_int_equal(parse(bytes, size), STATUS_OK);
    for (size_t i = 0; i < size; i++) {
        for (int value = 1; value < 256; value++) {
            bytes[i] = (char)(bytes[i] ^ value);
            assert_int_not_equal(parse(bytes, size), STATUS_OK);
            bytes[i] = (char)(bytes[i] ^ value);
        }
        assert_int_not_equal(parse(bytes, i), STATUS_OK);
    }
    bytes[size] = '\n';
    assert_int_not_equal(parse(bytes, size + 1), STATUS_OK);
    free(bytes);
}

static void each_line_has_one_form(void **state)
{
    (void)state;
    static const char version[] = "reprise-manifest 1.0\n";
    static const char *const good[] = {
        "", "segment 0000000000000001 log 1 open\n",
        "segment 0000000000000001 compacted 5 5\nsegment 0000000000000002 log 1 9\n",
        "floor 00000000000000000000000000000000 00000000000000000000000000000000 0\n"};
    static const char *const bad[] = {
        "\n",
        "segment 0000000000000001 log 1 open",
        "segment 0000000000000001 log 1 open \n",
        "segment 0000000000000001  log 1 open\n",
        "segment 000000000000001 log 1 open\n",
        "segment 00000000000000A1 log 1 open\n",
        "segment 0000000000000000 log 1 open\n",
        "segment 0000000000000001 log 0 open\n",
        "segment 0000000000000001 log 01 open\n",
        "segment 0000000000000001 log +1 open\n",
        "segment 0000000000000001 log 5 4\n",
        "segment 0000000000000001 log 18446744073709551616 open\n",
        "segment 0000000000000001 log 4611686018427387904 open\n",
        "segment 4000000000000000 log 1 open\n",
        "segment 0000000000000001 compacted 1 open\n",
        "segment 0000000000000001 snapshot 1 2\n",
        "segment 0000000000000001 log 1 open\nsegment 0000000000000002 log 5 6\n",
        "segment 0000000000000001 log 1 2\nsegment 0000000000000001 log 3 4\n",
        "floor 00 00000000000000000000000000000000 5\n",
        "index 0000000000000001 5\n",
        "colour red\n"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(parse_lines(version, good[i]), STATUS_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse_lines(version, bad[i]), STATUS_BAD_MESSAGE);
}

static void newer_versions_are_told_from_damage(void **state)
{
    (void)state;
    assert_int_equal(parse_lines("reprise-manifest 1.1\n", "colour red\n"), STATUS_OK);
    assert_int_equal(parse_lines("reprise-manifest 2.0\n", "colour red\n"), STATUS_UNSUPPORTED);
    assert_int_equal(parse_lines("reprise-manifest 1\n", ""), STATUS_BAD_MESSAGE);
    assert_int_equal(parse_lines("Reprise-manifest 1.0\n", ""), STATUS_BAD_MESSAGE);
}

static void there_is_a_limit_to_everything(void **state)
{
    (void)state;
    struct manifest manifest = {.segments = NULL};
    for (uint64_t i = 1; i <= MANIFEST_SEGMENTS_MAX; i++)
        add(&manifest, i, SEGMENT_LOG, i, i);
    const struct manifest_segment more = {1u << 20, SEGMENT_LOG, 1, 1};
    assert_int_equal(manifest_add_segment(&manifest, &more), STATUS_LIMIT_EXCEEDED);
    const struct manifest_floor floor = {.sequence = 1};
    for (int i = 0; i < MANIFEST_FLOORS_MAX; i++)
        assert_int_equal(manifest_add_floor(&manifest, &floor), STATUS_OK);
    assert_int_equal(manifest_add_floor(&manifest, &floor), STATUS_LIMIT_EXCEEDED);
    manifest_clear(&manifest);
    assert_int_equal(manifest.floors_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was_written),
        cmocka_unit_test(a_copy_stands_alone),
        cmocka_unit_test(every_changed_bit_and_every_cut_is_found),
        cmocka_unit_test(each_line_has_one_form),
        cmocka_unit_test(newer_versions_are_told_from_damage),
        cmocka_unit_test(there_is_a_limit_to_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
