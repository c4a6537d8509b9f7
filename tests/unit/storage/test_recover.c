/*
 * Goal: a data folder comes back as the log says, and what a crash has cut or a disk has damaged is
 * treated as each journal.recovery promises.
 * Method: segments made byte by byte in a temporary folder, read with a visitor that keeps what a
 * table would and counts wrong bytes.
 * Exercises recover, recover_ahead, recover_floors, recover_segment and recover_tail.
 */
#include "tests/unit/storage/log_builder.h"

#include <unistd.h>

#include "base/crc32c.h"

struct world {
    char path[64];
    struct log_builder log; /* of the moment */
    struct seen seen;
    struct recovered found;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    folder_create(world->path);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;
    recovered_clear(&world->found);
    folder_remove(world->path);
    free(world);
    return 0;
}

static enum status read_back(struct world *world, enum journal_recovery how)
{
    recovered_clear(&world->found);
    return recover_folder(world->path, how, &world->seen, &world->found);
}

/* Finished segment 1: sequences 1 to 10; open segment 2: 11 to 15 of keys 11 to 15. */
static void make_two(struct world *world, bool saves_second)
{
    struct manifest_segment lines[2];
    log_begin(&world->log, 1, SEGMENT_LOG, 1);
    for (uint64_t key = 1; key <= 10; key++)
        log_put(&world->log, key);
    log_seal(&world->log);
    log_save(&world->log, world->path);
    lines[0] = log_line(&world->log, false);
    log_begin(&world->log, 2, SEGMENT_LOG, 11);
    for (uint64_t key = 11; key <= 15; key++)
        log_put(&world->log, key);
    lines[1] = log_line(&world->log, true);
    if (saves_second)
        log_save(&world->log, world->path);
    save_manifest(world->path, lines, 2, NULL);
}

static uint64_t count_alive(const struct world *world)
{
    uint64_t alive = 0;
    for (int key = 0; key < KEYS; key++)
        alive += world->seen.keys[key].is_alive;
    return alive;
}

static void change_byte(struct world *world, const char *name, long offset)
{
    char whole[128];
    (void)snprintf(whole, sizeof(whole), "%s/%s", world->path, name);
    FILE *file = fopen(whole, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 0x40, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const struct world *world, const char *name)
{
    char whole[128];
    (void)snprintf(whole, sizeof(whole), "%s/%s", world->path, name);
    return access(whole, F_OK) == 0;
}

static bool is_not_wanted(void *context)
{
    const struct seen *seen = context;
    return seen->puts == 0; /* the first piece only */
}

static void who_is_not_wanted_any_more_stops_and_changes_nothing(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    log_save(&world->log, world->path);
    world->seen = (struct seen){.puts = 0};
    struct recover_visitor visitor = seen_visitor(&world->seen);
    visitor.is_wanted = is_not_wanted;
    struct failure failure = {.status = STATUS_OK};
    struct recovered found = {.live_bytes = NULL};
    struct io *io = NULL;
    assert_int_equal(disk_open(world->path, &io), STATUS_OK);
    assert_int_equal(recover(io, RECOVERY_SALVAGE, &visitor, &found, &failure), STATUS_CANCELLED);
    io->operations->close(&io);
    assert_int_equal(failure.status, STATUS_CANCELLED);
    assert_true(world->seen.puts > 0);
    const uint64_t puts = world->seen.puts;
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_true(world->seen.puts > puts);
}

static void an_empty_folder_is_fine(void **state)
{
    struct world *world = *state;
    for (int how = RECOVERY_SALVAGE; how <= RECOVERY_STRICT; how++) {
        assert_int_equal(read_back(world, (enum journal_recovery)how), STATUS_OK);
        assert_int_equal(world->found.sequence_next, 1);
        assert_int_equal(world->found.segment_next, 1);
        assert_int_equal(world->found.manifest.segments_count, 0);
    }
}

static void all_records_come_in_order(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    log_delete(&world->log, 3);
    log_touch(&world->log, 4, 777);
    log_note(&world->log, 9, "a note");
    log_pad(&world->log);
    log_put(&world->log, 3);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_int_equal(world->seen.puts, 16);
    assert_int_equal(world->seen.removes, 1);
    assert_int_equal(world->seen.last_note_owner, 9);
    assert_int_equal(world->seen.wrong, 0);
    assert_false(world->seen.is_out_of_order);
    assert_int_equal(world->seen.keys[3].sequence, 19);
    assert_true(world->seen.keys[3].is_alive);
    assert_int_equal(world->seen.keys[4].expires_ms, 777);
    assert_int_equal(world->found.manifest.segments_count, 2);
    assert_int_equal(world->found.manifest.segments[1].last_sequence, 19);
    assert_true(world->found.sequence_next == 19 + (UINT64_C(1) << 32));
    assert_int_equal(world->found.segment_next, 3);
    assert_int_equal(world->found.torn_bytes, 0);
    assert_int_equal(world->found.damaged_bytes, 0);
    assert_string_equal(world->found.remark, "");
    assert_true(world->found.live_bytes[0] > 0);
}

static void an_open_segment_without_records_is_forgotten(void **state)
{
    struct world *world = *state;
    log_begin(&world->log, 5, SEGMENT_LOG, 40);
    log_save(&world->log, world->path);
    const struct manifest_segment line = log_line(&world->log, true);
    save_manifest(world->path, &line, 1, NULL);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_int_equal(world->found.manifest.segments_count, 0);
    assert_true(world->found.sequence_next > 40);
    assert_int_equal(world->found.segment_next, 6);
}

static void a_torn_tail_is_cut_and_counted(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    const uint64_t whole = world->log.used;
    log_put(&world->log, 16);
    memset(world->log.bytes + whole + 60, 0, world->log.used - whole - 60);
    log_save(&world->log, world->path);
    for (int how = RECOVERY_SALVAGE; how <= RECOVERY_STRICT; how++) {
        assert_int_equal(read_back(world, (enum journal_recovery)how), STATUS_OK);
        assert_int_equal(count_alive(world), 15);
        assert_true(world->found.torn_bytes > 60);
        assert_int_equal(world->found.damaged_bytes, 0);
        assert_int_equal(world->found.manifest.segments[1].last_sequence, 15);
    }
}

static void a_recycled_file_shows_none_of_its_old_records(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    struct log_builder *old = calloc(1, sizeof(*old));
    log_begin(old, 9, SEGMENT_LOG, 500);
    for (int i = 0; i < 100; i++)
        log_put(old, 30);
    memcpy(world->log.bytes + world->log.used, old->bytes + world->log.used,
           LOG_BYTES - world->log.used);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_int_equal(count_alive(world), 15);
    assert_false(world->seen.keys[30].is_alive);
    assert_int_equal(world->found.torn_bytes, 0);
    free(old);
}

static void damage_before_the_end_of_the_open_segment_is_no_torn_tail(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    const size_t record = (world->log.used - SEGMENT_HEADER_BYTES) / 5;
    change_byte(world, "0000000000000002.journal", (long)(SEGMENT_HEADER_BYTES + record + 50));
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 14);
    assert_false(world->seen.keys[12].is_alive);
    assert_int_equal(world->found.damaged_bytes, record);
    assert_int_equal(world->found.manifest.segments[1].last_sequence, 15);
    assert_string_not_equal(world->found.remark, "");
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 11);
    assert_int_equal(world->found.manifest.segments[1].last_sequence, 11);
    assert_true(world->found.sequence_next > 15);
}

static void damage_in_a_finished_segment_is_treated_as_asked(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    change_byte(world, "0000000000000001.journal", SEGMENT_HEADER_BYTES + 50);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 14);
    assert_false(world->seen.keys[1].is_alive);
    assert_int_equal(world->found.manifest.segments_count, 2);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 0);
    assert_int_equal(world->found.manifest.segments_count, 0);
    assert_true(world->found.sequence_next > 10);
}

static void the_end_of_a_finished_segment_may_not_be_missing(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    struct log_builder *log = calloc(1, sizeof(*log));
    log_begin(log, 1, SEGMENT_LOG, 1);
    for (uint64_t key = 1; key <= 7; key++)
        log_put(log, key);
    log_save(log, world->path);
    free(log);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 12);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 7);
}

static void what_lies_behind_the_last_promised_record_does_not_count(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    struct manifest_segment lines[2] = {{1, SEGMENT_LOG, 1, 8}, {2, SEGMENT_LOG, 11, 0}};
    save_manifest(world->path, lines, 2, NULL);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_int_equal(count_alive(world), 13);
    assert_false(world->seen.keys[9].is_alive);
}

static void a_missing_file_is_damage(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 10);
}

static void a_file_cut_short_is_no_torn_tail(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    char whole[128];
    (void)snprintf(whole, sizeof(whole), "%s/0000000000000002.journal", world->path);
    assert_int_equal(truncate(whole, (off_t)world->log.used - 8), 0);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 14);
}

static void a_damaged_header_hides_nothing_from_salvage(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    change_byte(world, "0000000000000001.journal", 300);
    change_byte(world, "0000000000000002.journal", 33);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 15);
    assert_int_equal(world->found.damaged_bytes, 2 * SEGMENT_HEADER_BYTES);
}

static void another_segments_file_is_not_read(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    char one[128], two[128];
    (void)snprintf(one, sizeof(one), "%s/0000000000000001.journal", world->path);
    (void)snprintf(two, sizeof(two), "%s/0000000000000002.journal", world->path);
    assert_int_equal(rename(two, one), 0);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 0);
}

static void a_gap_in_the_sequences_is_damage(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    log_put_at(&world->log, 20, 0, 18, 0); /* 16 and 17 are missing */
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 15);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(world->seen.wrong, 0);
}

static void a_group_counts_with_its_end_only(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    log_put_at(&world->log, 20, RECORD_GROUPED, 16, 0);
    log_put_at(&world->log, 21, RECORD_GROUPED, 17, 0);
    log_batch_end(&world->log, 16, 2);
    log_put(&world->log, 22);
    log_put_at(&world->log, 23, RECORD_GROUPED, 19, 0);
    log_put(&world->log, 24);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_true(world->seen.keys[20].is_alive);
    assert_true(world->seen.keys[21].is_alive);
    assert_true(world->seen.keys[22].is_alive);
    assert_false(world->seen.keys[23].is_alive);
    assert_true(world->seen.keys[24].is_alive);
    assert_false(world->seen.is_out_of_order);
    log_batch_end(&world->log, 18, 1); /* of another group */
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_false(world->seen.keys[23].is_alive);
}

static void a_group_cut_by_a_crash_stays_cut_in_a_finished_segment(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    log_put_at(&world->log, 20, RECORD_GROUPED, 16, 0);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_false(world->seen.keys[20].is_alive);
    struct manifest_segment lines[2];
    memcpy(lines, world->found.manifest.segments, sizeof(lines));
    save_manifest(world->path, lines, 2, NULL);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_false(world->seen.keys[20].is_alive);
    assert_int_equal(count_alive(world), 15);
}

static void unknown_records_are_skipped_if_they_may_be(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    log_add(&world->log, 99, RECORD_SKIPPABLE, 16, 0, 24);
    log_put(&world->log, 20);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_true(world->seen.keys[20].is_alive);
    log_add(&world->log, 98, 0, 18, 0, 24);
    log_put(&world->log, 21);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_true(world->seen.keys[21].is_alive);
}

static void a_newer_major_version_is_refused(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    world->log.bytes[8] = 2;
    /* The checksum is made anew, as the newer program would. */
    struct log_builder *copy = calloc(1, sizeof(*copy));
    memcpy(copy, &world->log, sizeof(*copy));
    log_write_header(copy);
    copy->bytes[8] = 2;
    const uint32_t sum = crc32c(0, copy->bytes, 4092) ^ 0x5A17C0DEu;
    memcpy(copy->bytes + 4092, &sum, sizeof(sum));
    save_bytes(world->path, "0000000000000002.journal", copy->bytes, LOG_BYTES);
    free(copy);
    for (int how = RECOVERY_SALVAGE; how <= RECOVERY_STRICT; how++)
        assert_int_equal(read_back(world, (enum journal_recovery)how), STATUS_UNSUPPORTED);
}

static void floors_keep_the_purged_away(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    /* make_entry: the scope's first byte is key % 4. */
    struct manifest_segment lines[2] = {log_line(&world->log, true), {.number = 0}};
    lines[1] = lines[0];
    lines[0] = (struct manifest_segment){1, SEGMENT_LOG, 1, 10};
    const struct manifest_floor floor = {.scope = {1}, .sequence = 12};
    save_manifest(world->path, lines, 2, &floor);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_false(world->seen.keys[1].is_alive);
    assert_false(world->seen.keys[5].is_alive);
    assert_false(world->seen.keys[9].is_alive);
    assert_true(world->seen.keys[13].is_alive); /* put after the purge */
    assert_int_equal(world->found.manifest.floors_count, 1);
}

static void a_purge_in_the_log_becomes_a_floor(void **state)
{
    struct world *world = *state;
    make_two(world, false);
    log_purge(&world->log, 2, 15);
    log_put(&world->log, 6);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_int_equal(world->seen.purges, 1);
    assert_false(world->seen.keys[10].is_alive);
    assert_true(world->seen.keys[6].is_alive);
    assert_int_equal(world->found.manifest.floors_count, 1);
    assert_int_equal(world->found.manifest.floors[0].sequence, 15);
}

/* Sequences without an order, and the log behind it says more of the same keys. */
static void a_compacted_segment_is_read_as_a_set(void **state)
{
    struct world *world = *state;
    struct manifest_segment lines[2];
    log_begin(&world->log, 3, SEGMENT_COMPACTED, 2);
    log_put_at(&world->log, 1, 0, 9, 0);
    log_put_at(&world->log, 2, 0, 2, 0);
    log_put_at(&world->log, 3, 0, 14, 0); /* the walk has seen what was set later */
    log_hash(&world->log, 2, 14);
    log_save(&world->log, world->path);
    lines[0] = log_line(&world->log, false);
    log_begin(&world->log, 2, SEGMENT_LOG, 11);
    log_put(&world->log, 3);
    log_delete(&world->log, 3); /* 12: before what the compacted segment has */
    log_delete(&world->log, 2);
    log_put(&world->log, 3);
    log_save(&world->log, world->path);
    lines[1] = log_line(&world->log, true);
    save_manifest(world->path, lines, 2, NULL);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_true(world->seen.keys[1].is_alive);
    assert_false(world->seen.keys[2].is_alive);
    assert_true(world->seen.keys[3].is_alive);
    assert_int_equal(world->seen.keys[3].sequence, 14);
}

static void a_record_that_is_missing_in_a_compacted_segment_is_seen(void **state)
{
    struct world *world = *state;
    log_begin(&world->log, 3, SEGMENT_COMPACTED, 2);
    log_put_at(&world->log, 1, 0, 9, 0);
    log_put_at(&world->log, 2, 0, 2, 0);
    log_hash(&world->log, 2, 9);
    /* The second record's place is taken by a copy of the first: every checksum of a record is
     * right. */
    const size_t record = (world->log.used - SEGMENT_HEADER_BYTES - SEGMENT_HASH_BYTES) / 2;
    memcpy(world->log.bytes + SEGMENT_HEADER_BYTES + record,
           world->log.bytes + SEGMENT_HEADER_BYTES, record);
    log_save(&world->log, world->path);
    const struct manifest_segment line = log_line(&world->log, false);
    save_manifest(world->path, &line, 1, NULL);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_true(world->seen.keys[1].is_alive);
    assert_int_equal(world->found.damaged_bytes, SEGMENT_HASH_BYTES);
}

static void point_in_time_skips_damage_in_a_set(void **state)
{
    struct world *world = *state;
    struct manifest_segment lines[2];
    log_begin(&world->log, 3, SEGMENT_COMPACTED, 1);
    for (uint64_t key = 1; key <= 8; key++)
        log_put_at(&world->log, key, 0, key, 0);
    log_hash(&world->log, 1, 8);
    world->log.bytes[SEGMENT_HEADER_BYTES + 100] ^= 1;
    log_save(&world->log, world->path);
    lines[0] = log_line(&world->log, false);
    log_begin(&world->log, 4, SEGMENT_LOG, 9);
    log_put(&world->log, 9);
    log_save(&world->log, world->path);
    lines[1] = log_line(&world->log, true);
    save_manifest(world->path, lines, 2, NULL);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 8);
    assert_true(world->seen.keys[9].is_alive);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
}

static void without_a_manifest_headers_tell(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    char whole[128];
    (void)snprintf(whole, sizeof(whole), "%s/MANIFEST", world->path);
    assert_int_equal(unlink(whole), 0);
    save_bytes(world->path, "00000000000000ff.journal", "rubbish", 7);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_CORRUPT);
    assert_int_equal(read_back(world, RECOVERY_SALVAGE), STATUS_OK);
    assert_int_equal(count_alive(world), 15);
    assert_string_not_equal(world->found.remark, "");
    assert_int_equal(world->found.segment_next, 256);
    assert_true(exists(world, "00000000000000ff.journal"));
    save_bytes(world->path, "MANIFEST", "reprise-manifest 1.0\n", 21);
    assert_int_equal(read_back(world, RECOVERY_POINT_IN_TIME), STATUS_OK);
    assert_int_equal(count_alive(world), 15);
}

/* The first start was cut before its MANIFEST: nothing was promised, and nobody refuses. */
static void a_first_start_that_was_cut_is_an_empty_folder(void **state)
{
    struct world *world = *state;
    log_begin(&world->log, 1, SEGMENT_LOG, 1);
    log_save(&world->log, world->path);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_int_equal(world->found.manifest.segments_count, 0);
    assert_int_equal(world->found.segment_next, 2);
}

static void leftovers_are_removed_and_never_read(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    log_begin(&world->log, 7, SEGMENT_LOG, 100);
    log_put(&world->log, 40);
    log_save(&world->log, world->path);
    save_bytes(world->path, "MANIFEST.tmp", "x", 1);
    save_bytes(world->path, "spare-1.journal", "x", 1);
    save_bytes(world->path, "notes.txt", "x", 1);
    assert_int_equal(read_back(world, RECOVERY_STRICT), STATUS_OK);
    assert_false(world->seen.keys[40].is_alive);
    assert_false(exists(world, "0000000000000007.journal"));
    assert_false(exists(world, "MANIFEST.tmp"));
    assert_true(exists(world, "spare-1.journal"));
    assert_true(exists(world, "notes.txt"));
    assert_true(exists(world, "0000000000000001.journal"));
    assert_int_equal(world->found.segment_next, 8);
}

static void a_look_changes_nothing(void **state)
{
    struct world *world = *state;
    make_two(world, true);
    save_bytes(world->path, "MANIFEST.tmp", "x", 1);
    struct io *io = NULL;
    struct recovered found;
    const struct recover_visitor visitor = seen_visitor(&world->seen);
    assert_int_equal(disk_open(world->path, &io), STATUS_OK);
    assert_int_equal(recover_look(io, RECOVERY_SALVAGE, &visitor, &found, NULL), STATUS_OK);
    assert_int_equal(world->seen.puts, 15);
    assert_true(exists(world, "MANIFEST.tmp"));
    recovered_clear(&found);
    io->operations->close(&io);
}

#define RECOVER_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECOVER_TEST(an_empty_folder_is_fine),
        RECOVER_TEST(all_records_come_in_order),
        RECOVER_TEST(who_is_not_wanted_any_more_stops_and_changes_nothing),
        RECOVER_TEST(an_open_segment_without_records_is_forgotten),
        RECOVER_TEST(a_torn_tail_is_cut_and_counted),
        RECOVER_TEST(a_recycled_file_shows_none_of_its_old_records),
        RECOVER_TEST(damage_before_the_end_of_the_open_segment_is_no_torn_tail),
        RECOVER_TEST(damage_in_a_finished_segment_is_treated_as_asked),
        RECOVER_TEST(the_end_of_a_finished_segment_may_not_be_missing),
        RECOVER_TEST(what_lies_behind_the_last_promised_record_does_not_count),
        RECOVER_TEST(a_missing_file_is_damage),
        RECOVER_TEST(a_file_cut_short_is_no_torn_tail),
        RECOVER_TEST(a_damaged_header_hides_nothing_from_salvage),
        RECOVER_TEST(another_segments_file_is_not_read),
        RECOVER_TEST(a_gap_in_the_sequences_is_damage),
        RECOVER_TEST(a_group_counts_with_its_end_only),
        RECOVER_TEST(a_group_cut_by_a_crash_stays_cut_in_a_finished_segment),
        RECOVER_TEST(unknown_records_are_skipped_if_they_may_be),
        RECOVER_TEST(a_newer_major_version_is_refused),
        RECOVER_TEST(floors_keep_the_purged_away),
        RECOVER_TEST(a_purge_in_the_log_becomes_a_floor),
        RECOVER_TEST(a_compacted_segment_is_read_as_a_set),
        RECOVER_TEST(a_record_that_is_missing_in_a_compacted_segment_is_seen),
        RECOVER_TEST(point_in_time_skips_damage_in_a_set),
        RECOVER_TEST(without_a_manifest_headers_tell),
        RECOVER_TEST(a_first_start_that_was_cut_is_an_empty_folder),
        RECOVER_TEST(leftovers_are_removed_and_never_read),
        RECOVER_TEST(a_look_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
