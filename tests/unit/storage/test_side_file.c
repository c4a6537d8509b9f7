/*
 * Goal: a side file comes back byte for byte, and whatever fails while it is written leaves the one
 * before in its place. Method: a temporary folder; sizes around the buffer's; each kind of call
 * made to fail by io_gate; the process that ends in the middle is a writer that is never finished.
 */
#include "storage/side_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/folder.h"
#include "tests/support/io_gate.h"
#include "tests/support/unit.h"
#include "tests/unit/storage/disk.h"

enum { MIB = 1024 * 1024, SIZE_MAX_BYTES = 3 * MIB };

struct world {
    char folder[64];
    struct io *io; /* a gate */
    uint8_t *bytes, *read;
};

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct io *inner = NULL;
    assert_non_null(world);
    folder_create(world->folder);
    assert_int_equal(disk_open(world->folder, &inner), STATUS_OK);
    world->io = io_gate_open(inner);
    world->bytes = calloc(1, SIZE_MAX_BYTES);
    world->read = calloc(1, SIZE_MAX_BYTES);
    assert_non_null(world->bytes);
    assert_non_null(world->read);
    for (size_t i = 0; i < SIZE_MAX_BYTES; i++)
        world->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    *state = world;
    return 0;
}

static int end_world(void **state)
{
    struct world *world = *state;
    world->io->operations->close(&world->io);
    folder_remove(world->folder);
    free(world->bytes);
    free(world->read);
    free(world);
    return 0;
}

/* In parts of a size that fits to nothing. */
static enum status write_part_by_part(struct side_writer *writer, const uint8_t *bytes, size_t size)
{
    enum { PART = 77777 };
    enum status status = STATUS_OK;
    for (size_t done = 0; done < size && status == STATUS_OK; done += PART)
        status = side_writer_write(writer, bytes + done, size - done < PART ? size - done : PART);
    return status;
}

static enum status keep(struct world *world, const uint8_t *bytes, size_t size)
{
    struct side_writer *writer = NULL;
    enum status status = side_writer_open(world->io, "side", &writer);
    if (status != STATUS_OK)
        return status;
    status = write_part_by_part(writer, bytes, size);
    if (status != STATUS_OK) {
        side_writer_abandon(&writer);
        return status;
    }
    status = side_writer_finish(&writer);
    assert_null(writer);
    return status;
}

static void assert_kept(struct world *world, const uint8_t *bytes, size_t size)
{
    struct side_reader *reader = NULL;
    assert_int_equal(side_reader_open(world->io, "side", &reader), STATUS_OK);
    const size_t half = size / 2;
    uint8_t beyond = 0;
    assert_int_equal(side_reader_read(reader, world->read, half), half);
    assert_int_equal(side_reader_read(reader, world->read + half, SIZE_MAX_BYTES - half),
                     size - half);
    assert_int_equal(side_reader_read(reader, &beyond, 1), 0);
    assert_memory_equal(world->read, bytes, size);
    side_reader_close(&reader);
    assert_null(reader);
}

static void what_was_kept_is_read_back_whatever_its_size(void **state)
{
    struct world *world = *state;
    static const size_t sizes[] = {0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, SIZE_MAX_BYTES};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(keep(world, world->bytes, sizes[i]), STATUS_OK);
        assert_kept(world, world->bytes, sizes[i]);
    }
}

static void an_absent_one_is_not_found(void **state)
{
    struct world *world = *state;
    struct side_reader *reader = NULL;
    assert_int_equal(side_reader_open(world->io, "side", &reader), STATUS_NOT_FOUND);
    assert_null(reader);
    side_reader_close(&reader);
}

static void a_failure_leaves_the_one_before(void **state)
{
    struct world *world = *state;
    static const enum gate_call calls[] = {GATE_WRITE, GATE_SYNC, GATE_CREATE, GATE_RENAME};
    assert_int_equal(keep(world, world->bytes, MIB + 5), STATUS_OK);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        io_gate_fail(world->io, calls[i], ENOSPC);
        assert_int_equal(keep(world, world->bytes + 1, 2 * MIB), STATUS_IO_FAILED);
        io_gate_fail(world->io, calls[i], 0);
        assert_kept(world, world->bytes, MIB + 5);
    }
    assert_int_equal(keep(world, world->bytes + 1, 2 * MIB), STATUS_OK);
    assert_kept(world, world->bytes + 1, 2 * MIB);
}

/* The first sync that fails is seen long before the end. */
static void a_large_file_is_synced_on_the_way(void **state)
{
    enum { PARTS = 64 };
    struct world *world = *state;
    struct side_writer *writer = NULL;
    uint32_t written = 0;
    assert_int_equal(side_writer_open(world->io, "side", &writer), STATUS_OK);
    io_gate_fail(world->io, GATE_SYNC, EIO);
    while (written < PARTS && side_writer_write(writer, world->bytes, MIB) == STATUS_OK)
        written++;
    io_gate_fail(world->io, GATE_SYNC, 0);
    assert_int_equal(written, 31); /* with the 32nd it was to be synced */
    assert_int_equal(side_writer_finish(&writer), STATUS_IO_FAILED);
    struct side_reader *reader = NULL;
    assert_int_equal(side_reader_open(world->io, "side", &reader), STATUS_NOT_FOUND);
    assert_int_equal(side_writer_open(world->io, "side", &writer), STATUS_OK);
    for (written = 0; written < PARTS; written++)
        assert_int_equal(side_writer_write(writer, world->bytes, MIB), STATUS_OK);
    assert_int_equal(side_writer_finish(&writer), STATUS_OK);
}

static void a_draft_that_a_kill_has_left_is_in_nobodys_way(void **state)
{
    struct world *world = *state;
    struct io_file *file = NULL;
    assert_int_equal(world->io->operations->create_file(world->io, "side.tmp", 4096, &file),
                     STATUS_OK);
    world->io->operations->close_file(world->io, &file);
    assert_int_equal(keep(world, world->bytes, 10), STATUS_OK);
    assert_kept(world, world->bytes, 10);
}

static void what_is_abandoned_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct side_writer *writer = NULL;
    struct io_file *file = NULL;
    uint64_t size = 0;
    assert_int_equal(side_writer_open(world->io, "side", &writer), STATUS_OK);
    assert_int_equal(side_writer_write(writer, world->bytes, 2 * MIB), STATUS_OK);
    side_writer_abandon(&writer);
    assert_null(writer);
    assert_int_equal(
        world->io->operations->open_file(world->io, "side.tmp", IO_READ_ONLY, &file, &size),
        STATUS_NOT_FOUND);
    assert_int_equal(
        world->io->operations->open_file(world->io, "side", IO_READ_ONLY, &file, &size),
        STATUS_NOT_FOUND);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(what_was_kept_is_read_back_whatever_its_size),
        WORLD_TEST(an_absent_one_is_not_found),
        WORLD_TEST(a_failure_leaves_the_one_before),
        WORLD_TEST(a_large_file_is_synced_on_the_way),
        WORLD_TEST(a_draft_that_a_kill_has_left_is_in_nobodys_way),
        WORLD_TEST(what_is_abandoned_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
