/*
 * Goal: whatever byte of a data folder changes, and wherever a file is cut, recovery finds it or it
 * does no harm, and no wrong answer comes out. Of a damaged log, point_in_time keeps a state that
 * once was.
 * Method: a small folder with every type of record; each byte of each file is changed, each file is
 * cut at each length; after each change all three recoveries.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/storage/folder_1_0.h"

enum { LAST_SEQUENCE = 19 };

struct world {
    char path[64];
    struct folder_1_0 folder;
    uint64_t detected, harmless;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    folder_create(world->path);
    folder_1_0_build(&world->folder);
    folder_1_0_save(&world->folder, world->path);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;
    folder_remove(world->path);
    free(world);
    return 0;
}

/* After the log's records up to this sequence, the compacted segment being whole. */
static bool is_state_after(const struct seen *seen, uint64_t last)
{
    static const struct {
        uint64_t key, from, to;
    } lives[] = {{1, 7, 99},  {2, 3, 14},  {3, 5, 8},   {4, 8, 99},  {5, 12, 99},
                 {6, 14, 14}, {6, 17, 99}, {7, 14, 99}, {8, 16, 17}, {9, 19, 99}};
    bool is_wanted[KEYS] = {false};
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        if (lives[i].from <= last && last <= lives[i].to)
            is_wanted[lives[i].key] = true;
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        if (seen->keys[key].is_alive != is_wanted[key])
            return false;
    }
    return true;
}

/* Ever: in a set that a hole has thinned, entries are missing and none is too many. */
static bool is_possible(const struct seen *seen)
{
    for (uint64_t last = 7; last <= LAST_SEQUENCE; last++) {
        if (is_state_after(seen, last))
            return true;
    }
    return false;
}

/* One recovery of the changed folder. `logs_only`: the compacted segment and MANIFEST are whole. */
static void check(struct world *world, enum journal_recovery how, bool logs_only)
{
    struct seen seen;
    struct recovered found = {.live_bytes = NULL};
    struct io *io = NULL;
    const struct recover_visitor visitor = seen_visitor(&seen);
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(disk_open(world->path, &io), STATUS_OK);
    const enum status status = recover_look(io, how, &visitor, &found, NULL);
    io->operations->close(&io);
    assert_int_equal(seen.wrong, 0);
    if (status != STATUS_OK) {
        assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
        world->detected++;
    } else {
        const bool is_told = found.remark[0] != '\0' || found.torn_bytes > 0;
        const bool is_whole = folder_1_0_is_whole(&seen);
        assert_true(is_told || is_whole || is_possible(&seen));
        assert_true(found.sequence_next > LAST_SEQUENCE || is_told);
        if (how == RECOVERY_STRICT)
            assert_true(is_possible(&seen));
        if (how == RECOVERY_POINT_IN_TIME && logs_only)
            assert_true(is_possible(&seen));
        world->detected += is_told;
        world->harmless += !is_told && is_whole;
        /* Silent and not whole: only the last record of the open segment, as if it was torn. */
        assert_true(is_told || is_whole || is_state_after(&seen, LAST_SEQUENCE - 1));
    }
    recovered_clear(&found);
}

static void check_all(struct world *world, bool logs_only)
{
    for (int how = RECOVERY_SALVAGE; how <= RECOVERY_STRICT; how++)
        check(world, (enum journal_recovery)how, logs_only);
}

static int open_file(const struct world *world, const char *name, off_t *out_size)
{
    char whole[128];
    struct stat info;
    (void)snprintf(whole, sizeof(whole), "%s/%s", world->path, name);
    const int file = open(whole, O_RDWR);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &info), 0);
    *out_size = info.st_size;
    return file;
}

static void change_each_byte(struct world *world, const char *name, bool logs_only)
{
    off_t size = 0;
    const int file = open_file(world, name, &size);
    uint64_t random = 7;
    for (off_t at = 0; at < size; at++) {
        uint8_t byte = 0;
        assert_int_equal(pread(file, &byte, 1, at), 1);
        const uint8_t changed = byte ^ (uint8_t)(next_random(&random) % 255 + 1);
        assert_int_equal(pwrite(file, &changed, 1, at), 1);
        check_all(world, logs_only);
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        if (at >= 64 && at < SEGMENT_HEADER_BYTES - 64 && name[0] == '0')
            at += 30; /* a header's zeros are all alike */
    }
    (void)close(file);
}

static void cut_at_each_length(struct world *world, const char *name, bool logs_only)
{
    off_t size = 0;
    const int file = open_file(world, name, &size);
    uint8_t *bytes = calloc(1, (size_t)size);
    assert_int_equal(pread(file, bytes, (size_t)size, 0), size);
    for (off_t length = 0; length < size; length++) {
        assert_int_equal(ftruncate(file, length), 0);
        check_all(world, logs_only);
        assert_int_equal(pwrite(file, bytes, (size_t)size, 0), size);
        if (length >= 64 && length < SEGMENT_HEADER_BYTES - 64 && name[0] == '0')
            length += 30;
    }
    free(bytes);
    (void)close(file);
}

static void the_whole_folder_comes_back(void **state)
{
    struct world *world = *state;
    struct seen seen;
    struct recovered found;
    assert_int_equal(recover_folder(world->path, RECOVERY_STRICT, &seen, &found), STATUS_OK);
    assert_true(folder_1_0_is_whole(&seen));
    assert_string_equal(found.remark, "");
    recovered_clear(&found);
}

static void each_byte_of_a_log(void **state)
{
    struct world *world = *state;
    change_each_byte(world, "0000000000000002.journal", true);
    change_each_byte(world, "0000000000000005.journal", true);
    assert_true(world->detected > 1000);
}

static void each_byte_of_a_compacted_segment(void **state)
{
    struct world *world = *state;
    change_each_byte(world, "0000000000000004.journal", false);
    assert_true(world->detected > 1000);
}

static void each_byte_of_manifest(void **state)
{
    struct world *world = *state;
    change_each_byte(world, "MANIFEST", false);
    assert_int_equal(world->harmless, 0);
}

static void each_cut_of_each_file(void **state)
{
    struct world *world = *state;
    cut_at_each_length(world, "0000000000000002.journal", true);
    cut_at_each_length(world, "0000000000000004.journal", false);
    cut_at_each_length(world, "0000000000000005.journal", true);
    cut_at_each_length(world, "MANIFEST", false);
    assert_true(world->detected > 1000);
}

#define DAMAGE_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DAMAGE_TEST(the_whole_folder_comes_back),
        DAMAGE_TEST(each_byte_of_a_log),
        DAMAGE_TEST(each_byte_of_a_compacted_segment),
        DAMAGE_TEST(each_byte_of_manifest),
        DAMAGE_TEST(each_cut_of_each_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
