/*
 * Goal: fsck says of each file what is wrong with it, and of the folder what a start would do; dump
 * shows every record, and both change nothing. Exercises fsck and dump. Method: the folder of
 * format 1.0, as it is and with one thing wrong with it at a time.
 */
#include "storage/fsck.h"

#include <unistd.h>

#include "storage/dump.h"
#include "tests/unit/storage/folder_1_0.h"

enum { LINES_MAX = 64, LINE_MAX_BYTES = 1024 };

struct report {
    struct fsck_file files[16];
    char names[16][IO_NAME_MAX];
    unsigned count;
    struct fsck_summary summary;
};

struct world {
    char path[64];
    struct folder_1_0 folder;
    struct report report;
    char lines[LINES_MAX][LINE_MAX_BYTES];
    unsigned lines_count, lines_max; /* the sink refuses behind lines_max */
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->lines_max = LINES_MAX;
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

static void note_file(void *context, const struct fsck_file *file)
{
    struct report *report = context;
    assert_true(report->count < 16);
    (void)snprintf(report->names[report->count], IO_NAME_MAX, "%s", file->name);
    report->files[report->count++] = *file;
}

static void check(struct world *world)
{
    world->report.count = 0;
    assert_int_equal(
        storage_fsck(world->path, note_file, &world->report, &world->report.summary, NULL),
        STATUS_OK);
    assert_int_equal(world->report.summary.files, world->report.count);
}

static const struct fsck_file *of(const struct world *world, const char *name)
{
    for (unsigned i = 0; i < world->report.count; i++) {
        if (strcmp(world->report.names[i], name) == 0)
            return &world->report.files[i];
    }
    fail_msg("fsck says nothing of %s", name);
    return NULL;
}

static void flip(const struct world *world, const char *name, long offset)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", world->path, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void remove_named(const struct world *world, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", world->path, name);
    assert_int_equal(unlink(path), 0);
}

static const char compacted[] = "0000000000000004.journal", finished[] = "0000000000000002.journal",
                  open_log[] = "0000000000000005.journal";

/* ---- fsck ------------------------------------------------------------------------------------ */

static void a_good_folder_is_good(void **state)
{
    struct world *world = *state;
    save_bytes(world->path, "spare-1.journal", "x", 1);
    save_bytes(world->path, "ffffffffffffffff.journal", "x", 1); /* no number of ours */
    check(world);
    assert_int_equal(of(world, "ffffffffffffffff.journal")->verdict, FSCK_OTHER);
    assert_int_equal(world->report.summary.files_damaged, 0);
    assert_string_equal(world->report.names[0], "MANIFEST");
    assert_int_equal(of(world, "MANIFEST")->verdict, FSCK_GOOD);
    assert_int_equal(of(world, compacted)->verdict, FSCK_GOOD);
    assert_int_equal(of(world, compacted)->records, 3);
    assert_int_equal(of(world, finished)->verdict, FSCK_GOOD);
    assert_int_equal(of(world, open_log)->verdict, FSCK_GOOD);
    assert_int_equal(of(world, open_log)->records, 4);
    assert_int_equal(of(world, "spare-1.journal")->verdict, FSCK_OTHER);
    for (int how = RECOVERY_SALVAGE; how <= RECOVERY_STRICT; how++) {
        assert_int_equal(world->report.summary.starts[how].status, STATUS_OK);
        assert_string_equal(world->report.summary.starts[how].message, "");
        assert_true(world->report.summary.starts[how].records > 10);
    }
}

static void a_damaged_record_is_placed(void **state)
{
    struct world *world = *state;
    flip(world, finished, SEGMENT_HEADER_BYTES + 40);
    check(world);
    const struct fsck_file *file = of(world, finished);
    assert_int_equal(file->verdict, FSCK_DAMAGED);
    assert_string_equal(fsck_verdict_name(file->verdict), "damaged");
    assert_int_equal(file->damage_offset, SEGMENT_HEADER_BYTES);
    assert_true(file->damaged_bytes > 0);
    assert_string_equal(file->what, "a damaged record");
    assert_int_equal(world->report.summary.files_damaged, 1);
    assert_int_equal(world->report.summary.starts[RECOVERY_SALVAGE].status, STATUS_OK);
    assert_true(world->report.summary.starts[RECOVERY_SALVAGE].damaged_bytes > 0);
    assert_int_equal(world->report.summary.starts[RECOVERY_STRICT].status, STATUS_CORRUPT);
    assert_true(world->report.summary.starts[RECOVERY_POINT_IN_TIME].records <
                world->report.summary.starts[RECOVERY_SALVAGE].records);
}

static void a_torn_tail_is_nobodys_fault(void **state)
{
    struct world *world = *state;
    flip(world, open_log, (long)world->folder.logs[FOLDER_OPEN].used - 8); /* the last record */
    check(world);
    assert_int_equal(of(world, open_log)->verdict, FSCK_TORN);
    assert_int_equal(world->report.summary.files_damaged, 0);
    assert_int_equal(world->report.summary.starts[RECOVERY_STRICT].status, STATUS_OK);
}

static void what_is_missing_or_left_over_is_told(void **state)
{
    struct world *world = *state;
    remove_named(world, compacted);
    save_bytes(world->path, "00000000000000aa.journal", "x", 1);
    save_bytes(world->path, "MANIFEST.tmp", "x", 1);
    check(world);
    assert_int_equal(of(world, compacted)->verdict, FSCK_MISSING);
    assert_int_equal(of(world, "00000000000000aa.journal")->verdict, FSCK_LEFTOVER);
    assert_int_equal(of(world, "MANIFEST.tmp")->verdict, FSCK_LEFTOVER);
    assert_int_equal(access(world->path, R_OK), 0);
    check(world); /* nothing was removed */
    assert_int_equal(of(world, "MANIFEST.tmp")->verdict, FSCK_LEFTOVER);
}

static void without_manifest_the_segments_are_read_by_their_headers(void **state)
{
    struct world *world = *state;
    remove_named(world, "MANIFEST");
    check(world);
    assert_int_equal(of(world, "MANIFEST")->verdict, FSCK_MISSING);
    assert_int_equal(of(world, compacted)->verdict, FSCK_GOOD);
    assert_int_equal(world->report.summary.starts[RECOVERY_SALVAGE].status, STATUS_OK);
    assert_int_equal(world->report.summary.starts[RECOVERY_STRICT].status, STATUS_CORRUPT);
}

static void a_bad_manifest_is_told_with_its_reason(void **state)
{
    struct world *world = *state;
    flip(world, "MANIFEST", 30);
    check(world);
    assert_int_equal(of(world, "MANIFEST")->verdict, FSCK_DAMAGED);
    assert_int_equal(world->report.summary.files_damaged, 1);
}

static void an_empty_folder_is_fine_and_none_is_not(void **state)
{
    (void)state;
    char path[64];
    struct fsck_summary summary;
    struct report report = {.count = 0};
    struct failure failure = {.status = STATUS_OK};
    folder_create(path);
    assert_int_equal(storage_fsck(path, note_file, &report, &summary, &failure), STATUS_OK);
    assert_int_equal(report.count, 0);
    folder_remove(path);
    assert_int_equal(storage_fsck(path, note_file, &report, &summary, &failure), STATUS_NOT_FOUND);
    assert_non_null(strstr(failure.message, path));
}

/* ---- dump ------------------------------------------------------------------------------------ */

static enum status take_line(void *context, struct text line)
{
    struct world *world = context;
    if (world->lines_count == world->lines_max)
        return STATUS_CANCELLED;
    assert_true(line.length < LINE_MAX_BYTES);
    memcpy(world->lines[world->lines_count], line.bytes, line.length);
    world->lines[world->lines_count++][line.length] = '\0';
    return STATUS_OK;
}

static unsigned lines_with(const struct world *world, const char *part)
{
    unsigned count = 0;
    for (unsigned i = 0; i < world->lines_count; i++)
        count += strstr(world->lines[i], part) != NULL;
    return count;
}

static void every_record_is_a_line(void **state)
{
    struct world *world = *state;
    assert_int_equal(storage_dump(world->path, take_line, world, NULL), STATUS_OK);
    assert_int_equal(lines_with(world, "\"type\":\"put\""), 3 + 4 + 3);
    assert_int_equal(lines_with(world, "\"type\":\"delete\""), 2);
    assert_int_equal(lines_with(world, "\"type\":\"touch\""), 1);
    assert_int_equal(lines_with(world, "\"type\":\"purge\""), 1);
    assert_int_equal(lines_with(world, "\"type\":\"note\""), 1);
    assert_int_equal(lines_with(world, "\"type\":\"damage\""), 0);
    assert_int_equal(lines_with(world, "\"dimension\":4"), 1);
    assert_int_equal(lines_with(world, "\"prompt\":\"prompt\""), 10);
    assert_int_equal(lines_with(world, "\"answer_base64url\":\""), 10); /* numbers and zeros */
    for (unsigned i = 0; i < world->lines_count; i++) {
        assert_int_equal(strncmp(world->lines[i], "{\"segment\":\"00000000000000", 26), 0);
        assert_int_equal(world->lines[i][strlen(world->lines[i]) - 1], '}');
    }
}

static void damage_is_a_line_and_the_dump_goes_on(void **state)
{
    struct world *world = *state;
    flip(world, finished, SEGMENT_HEADER_BYTES + 40);
    assert_int_equal(storage_dump(world->path, take_line, world, NULL), STATUS_OK);
    assert_int_equal(lines_with(world, "\"type\":\"damage\",\"offset\":4096"), 1);
    assert_int_equal(lines_with(world, "\"type\":\"put\""), 9);
}

static void the_sink_may_end_it(void **state)
{
    struct world *world = *state;
    struct failure failure = {.status = STATUS_OK};
    world->lines_max = 5;
    assert_int_equal(storage_dump(world->path, take_line, world, &failure), STATUS_CANCELLED);
    assert_int_equal(world->lines_count, 5);
}

static void without_manifest_it_reads_what_it_finds(void **state)
{
    struct world *world = *state;
    struct failure failure = {.status = STATUS_OK};
    remove_named(world, "MANIFEST");
    assert_int_equal(storage_dump(world->path, take_line, world, NULL), STATUS_OK);
    assert_int_equal(lines_with(world, "\"type\":\"put\""), 10);
    assert_int_equal(storage_dump("/nonexistent", take_line, world, &failure), STATUS_NOT_FOUND);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_good_folder_is_good),
        WORLD_TEST(a_damaged_record_is_placed),
        WORLD_TEST(a_torn_tail_is_nobodys_fault),
        WORLD_TEST(what_is_missing_or_left_over_is_told),
        WORLD_TEST(without_manifest_the_segments_are_read_by_their_headers),
        WORLD_TEST(a_bad_manifest_is_told_with_its_reason),
        cmocka_unit_test(an_empty_folder_is_fine_and_none_is_not),
        WORLD_TEST(every_record_is_a_line),
        WORLD_TEST(damage_is_a_line_and_the_dump_goes_on),
        WORLD_TEST(the_sink_may_end_it),
        WORLD_TEST(without_manifest_it_reads_what_it_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
