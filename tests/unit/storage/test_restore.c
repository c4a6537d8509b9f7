/*
 * Goal: a snapshot is a folder of its own that outlives what comes after it, is listed and removed,
 * and comes back whole; what it replaces stays, and a folder in use is left alone. Exercises
 * snapshot_folder and restore. Method: a whole store in a real folder.
 */
#include "storage/restore.h"

#include "storage/fsck.h"
#include "storage/snapshot_folder.h"
#include "tests/unit/storage/disk.h"
#include "tests/unit/storage/store_world.h"

enum { KEPT = 6 };

static void set(struct world *world, uint64_t key)
{
    struct wish_told *told = NULL;
    assert_int_equal(ask_set(world, key, 0, ACK_SYNCED, &told), STATUS_OK);
    assert_int_equal(await_wish(world, told), STATUS_OK);
}

static void take_snapshot(struct world *world, const char *name)
{
    begin_job(world);
    assert_int_equal(store_snapshot(world->store, text_of(name), on_snapshot, world), STATUS_OK);
    assert_int_equal(await_jobs(world), STATUS_OK);
}

static uint64_t version_in_store(struct world *world, uint64_t key)
{
    const struct digest digest = digest_number(key);
    struct store_hit hit;
    if (store_find(world->store, &digest, world_now_ms, STORE_PEEK, &hit) != STORE_FOUND)
        return 0;
    const uint64_t version = version_of(hit.entry, key);
    entry_release(hit.entry);
    return version;
}

/* KEPT keys and a note, then a snapshot, then everything changes. */
static struct world *world_with_snapshot(uint64_t out_versions[KEPT])
{
    struct world *world = world_create_in_folder(IO_POSIX);
    struct wish_told *told = NULL;
    assert_int_equal(world_open(world), STATUS_OK);
    for (uint64_t key = 0; key < KEPT; key++)
        set(world, key);
    assert_int_equal(ask_note(world, 2, ACK_SYNCED, &told), STATUS_OK);
    for (uint64_t key = 0; key < KEPT; key++)
        out_versions[key] = version_in_store(world, key);
    take_snapshot(world, "before");
    for (uint64_t key = 0; key < KEPT; key++)
        assert_int_equal(ask_delete(world, key, ACK_SYNCED, &told), STATUS_OK);
    set(world, KEPT);
    return world;
}

static void a_snapshot_is_listed_with_its_figures_and_removed(void **state)
{
    (void)state;
    uint64_t versions[KEPT];
    struct snapshot_info infos[4];
    uint32_t count = 0;
    struct world *world = world_with_snapshot(versions);
    assert_int_equal(store_snapshots(world->store, infos, 4, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_string_equal(infos[0].name, "before");
    assert_int_equal(infos[0].entries, KEPT);
    assert_true(infos[0].size_bytes > SEGMENT_HEADER_BYTES);
    assert_true(infos[0].created_ms > 0);
    take_snapshot(world, "after");
    assert_int_equal(store_snapshots(world->store, infos, 4, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(store_snapshot_remove(world->store, TEXT("before")), STATUS_OK);
    assert_int_equal(store_snapshot_remove(world->store, TEXT("before")), STATUS_NOT_FOUND);
    assert_int_equal(store_snapshot_remove(world->store, TEXT("../before")), STATUS_NOT_FOUND);
    assert_int_equal(store_snapshots(world->store, infos, 4, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_string_equal(infos[0].name, "after");
    world_destroy(&world);
}

static void names_of_snapshots_are_narrow(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "A-b_9", "1234567890123456789012345678901"};
    static const char *const bad[] = {
        "", ".", "a.b", "a/b", "a b", "\xc3\xa4", "12345678901234567890123456789012"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(snapshot_name_is_valid(text_of(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(snapshot_name_is_valid(text_of(bad[i])));
    assert_false(snapshot_name_is_valid((struct text){"a\0b", 3}));
}

static void a_snapshot_comes_back_whole(void **state)
{
    (void)state;
    uint64_t versions[KEPT];
    char aside[RESTORE_FOLDER_MAX], path[160];
    struct failure failure = {.status = STATUS_OK};
    struct world *world = world_with_snapshot(versions);
    const uint64_t note = world->notes_now[2];
    world_close(world);
    assert_int_equal(storage_restore(world->folder, TEXT("before"), aside, &failure), STATUS_OK);
    assert_int_equal(world_open(world), STATUS_OK);
    for (uint64_t key = 0; key < KEPT; key++)
        assert_int_equal(version_in_store(world, key), versions[key]);
    assert_int_equal(version_in_store(world, KEPT), 0);
    assert_int_equal(world->notes_now[2], note);
    world->sequence_max = 0; /* numbers begin again where the snapshot stood */
    set(world, KEPT + 1);
    world_close(world);

    /* What was replaced is a data folder too. */
    char *const folder = strdup(world->folder);
    assert_non_null(folder);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, aside);
    assert_true(strlen(path) < sizeof(world->folder));
    memcpy(world->folder, path, strlen(path) + 1);
    assert_int_equal(world_open(world), STATUS_OK);
    assert_int_equal(version_in_store(world, 0), 0);
    assert_true(version_in_store(world, KEPT) != 0);
    world_close(world);
    memcpy(world->folder, folder, strlen(folder) + 1);
    free(folder);
    world_destroy(&world);
}

static void it_can_be_put_back_again_and_again(void **state)
{
    (void)state;
    uint64_t versions[KEPT];
    char aside[RESTORE_FOLDER_MAX];
    struct world *world = world_with_snapshot(versions);
    world_close(world);
    for (unsigned i = 1; i <= 3; i++) {
        char expected[RESTORE_FOLDER_MAX];
        (void)snprintf(expected, sizeof(expected), "replaced-%u", i);
        assert_int_equal(storage_restore(world->folder, TEXT("before"), aside, NULL), STATUS_OK);
        assert_string_equal(aside, expected);
        assert_int_equal(world_open(world), STATUS_OK);
        world->sequence_max = 0;
        assert_int_equal(version_in_store(world, 1), versions[1]);
        for (uint64_t key = 0; key < WORLD_KEYS; key++)
            set(world, key);
        world_close(world);
    }
    world_destroy(&world);
}

static void nothing_is_touched_where_it_cannot_be_done(void **state)
{
    (void)state;
    uint64_t versions[KEPT];
    char aside[RESTORE_FOLDER_MAX] = "none", path[160];
    struct failure failure = {.status = STATUS_OK};
    struct world *world = world_with_snapshot(versions);
    /* A server has it. */
    assert_int_equal(storage_restore(world->folder, TEXT("before"), aside, &failure),
                     STATUS_UNAVAILABLE);
    assert_non_null(strstr(failure.message, "stop it first"));
    world_close(world);
    assert_int_equal(storage_restore(world->folder, TEXT("never"), aside, &failure),
                     STATUS_NOT_FOUND);
    assert_int_equal(storage_restore(world->folder, TEXT("../before"), aside, &failure),
                     STATUS_NOT_FOUND);
    /* A file of it is missing. */
    struct manifest manifest = {.segments = NULL};
    struct io *io = NULL;
    char name[IO_NAME_MAX];
    (void)snprintf(path, sizeof(path), "%s/snapshots/before", world->folder);
    assert_int_equal(disk_open(path, &io), STATUS_OK);
    assert_int_equal(manifest_load(io, &manifest, NULL), STATUS_OK);
    manifest_segment_name(manifest.segments[0].number, name);
    assert_int_equal(io->operations->remove_file(io, name), STATUS_OK);
    io->operations->close(&io);
    manifest_clear(&manifest);
    assert_int_equal(storage_restore(world->folder, TEXT("before"), aside, &failure),
                     STATUS_CORRUPT);
    assert_string_equal(aside, "none");
    assert_int_equal(world_open(world), STATUS_OK);
    assert_true(version_in_store(world, KEPT) != 0);
    world_destroy(&world);
}

static void count_bad(void *context, const struct fsck_file *file)
{
    *(unsigned *)context += file->verdict == FSCK_DAMAGED || file->verdict == FSCK_MISSING;
}

/* Each byte of a snapshot's files is flipped: found, or of no consequence. */
static void a_flipped_byte_of_a_snapshot_is_found(void **state)
{
    (void)state;
    uint64_t versions[KEPT];
    char path[160], file[256];
    struct world *world = world_with_snapshot(versions);
    world_close(world);
    (void)snprintf(path, sizeof(path), "%s/snapshots/before", world->folder);
    struct manifest manifest = {.segments = NULL};
    struct io *io = NULL;
    char name[IO_NAME_MAX];
    assert_int_equal(disk_open(path, &io), STATUS_OK);
    assert_int_equal(manifest_load(io, &manifest, NULL), STATUS_OK);
    manifest_segment_name(manifest.segments[0].number, name);
    assert_int_equal(manifest.segments[0].kind, SEGMENT_COMPACTED);
    io->operations->close(&io);
    manifest_clear(&manifest);
    (void)snprintf(file, sizeof(file), "%s/%s", path, name);
    FILE *stream = fopen(file, "r+b");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    const long size = ftell(stream);
    unsigned found = 0;
    for (long at = 0; at < size; at += 61) {
        struct fsck_summary summary;
        unsigned bad = 0;
        for (int flips = 0; flips < 2; flips++) {
            assert_int_equal(fseek(stream, at, SEEK_SET), 0);
            const int byte = fgetc(stream);
            assert_int_equal(fseek(stream, at, SEEK_SET), 0);
            assert_int_not_equal(fputc(byte ^ 0x20, stream), EOF);
            assert_int_equal(fflush(stream), 0);
            bad = 0;
            assert_int_equal(storage_fsck(path, count_bad, &bad, &summary, NULL), STATUS_OK);
            assert_int_equal(summary.files_damaged, bad);
            assert_int_equal(bad, flips == 0 ? 1 : 0);
        }
        found++;
    }
    (void)fclose(stream);
    assert_true(found > 100);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_listed_with_its_figures_and_removed),
        cmocka_unit_test(names_of_snapshots_are_narrow),
        cmocka_unit_test(a_snapshot_comes_back_whole),
        cmocka_unit_test(it_can_be_put_back_again_and_again),
        cmocka_unit_test(nothing_is_touched_where_it_cannot_be_done),
        cmocka_unit_test(a_flipped_byte_of_a_snapshot_is_found),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
