/*
 * fuzz_recover.c - any bytes as the records of a segment of a data folder, on a simulated disk; the
 * first byte says what MANIFEST claims of it and which journal.recovery reads it. Records are given
 * right checksums where they have the shape of records. Beyond "it does not crash and it ends": no
 * body that is shown fails to be an entry, sequences lie within what was promised, and what strict
 * accepts salvage reads the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "storage/recover.h"
#include "tests/support/io_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NUMBER = 1, EPOCH = 0x01020304, FIRST = 1, BYTES_MAX = 1 << 15 };
enum claim { IS_COMPACTED = 1, IS_FINISHED = 2, HAS_NO_MANIFEST = 4, KEEPS_CHECKSUMS = 8 };
static const uint32_t checksum_mask = 0x5A17C0DE;

struct seen {
    uint64_t puts, others;
};

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_recover: %s\n", what);
    abort();
}

static bool see_put(void *context, const struct record_put *put, uint64_t sequence,
                    int64_t expires_ms)
{
    struct entry *entry = NULL;
    must(sequence > 0, "a Set without a sequence");
    must(entry_create_from_body(&put->digest, put->body, expires_ms, &entry) == STATUS_OK,
         "a body that is accepted and is none");
    entry_release(entry);
    ((struct seen *)context)->puts++;
    return true;
}

static void see_remove(void *context, const struct digest *digest, uint64_t sequence)
{
    (void)digest, (void)sequence;
    ((struct seen *)context)->others++;
}

static void see_touch(void *context, const struct digest *digest, uint64_t sequence,
                      int64_t expires_ms)
{
    (void)digest, (void)sequence, (void)expires_ms;
    ((struct seen *)context)->others++;
}

static void see_purge(void *context, const struct record_purge *purge, uint64_t sequence)
{
    (void)purge, (void)sequence;
    ((struct seen *)context)->others++;
}

static void see_note(void *context, const struct record_note *note, uint64_t sequence)
{
    (void)note, (void)sequence;
    ((struct seen *)context)->others++;
}

/* Epoch and checksum of what looks like records, one behind the other. */
static void put_right(uint8_t *bytes, size_t size)
{
    const uint32_t epoch = EPOCH;
    size_t at = 0;
    while (at + RECORD_HEADER_BYTES <= size) {
        uint32_t payload = 0;
        memcpy(&payload, bytes + at + 4, sizeof(payload));
        const size_t whole = record_size(payload % 512);
        if (at + whole > size)
            return;
        payload %= 512;
        memcpy(bytes + at + 4, &payload, sizeof(payload));
        memcpy(bytes + at + 16, &epoch, sizeof(epoch));
        const uint32_t sum = crc32c(0, bytes + at + 4, whole - 4) ^ checksum_mask;
        memcpy(bytes + at, &sum, sizeof(sum));
        at += whole;
    }
}

static void save(struct io *io, const char *name, const uint8_t *bytes, size_t size)
{
    struct io_file *file = NULL;
    must(io->operations->create_file(io, name, size, &file) == STATUS_OK, "no file");
    must(io->operations->write_at(io, file, bytes, size, 0) == STATUS_OK, "no write");
    io->operations->close_file(io, &file);
}

static void make_folder(struct io *io, uint8_t claim, const uint8_t *data, size_t size)
{
    static uint8_t bytes[SEGMENT_HEADER_BYTES + BYTES_MAX];
    const bool is_compacted = (claim & IS_COMPACTED) != 0;
    const uint64_t last = is_compacted || (claim & IS_FINISHED) != 0 ? FIRST + 5 : 0;
    struct segment_header header = {.number = NUMBER,
                                    .first_sequence = FIRST,
                                    .epoch = EPOCH,
                                    .kind = is_compacted ? SEGMENT_COMPACTED : SEGMENT_LOG,
                                    .file_bytes = SEGMENT_HEADER_BYTES + size,
                                    .last_sequence = is_compacted ? last : 0,
                                    .records_count = is_compacted ? 3 : 0};
    const struct manifest_segment segment = {
        .number = NUMBER, .kind = header.kind, .first_sequence = FIRST, .last_sequence = last};
    struct manifest manifest = {.node = {1}};
    char name[IO_NAME_MAX];
    segment_header_write(&header, bytes);
    memcpy(bytes + SEGMENT_HEADER_BYTES, data, size);
    if ((claim & KEEPS_CHECKSUMS) == 0)
        put_right(bytes + SEGMENT_HEADER_BYTES, size);
    manifest_segment_name(NUMBER, name);
    save(io, name, bytes, SEGMENT_HEADER_BYTES + size);
    must(manifest_add_segment(&manifest, &segment) == STATUS_OK, "no memory");
    if ((claim & HAS_NO_MANIFEST) == 0)
        must(manifest_save(io, &manifest) == STATUS_OK, "no MANIFEST");
    manifest_clear(&manifest);
}

static enum status look(struct io *io, enum journal_recovery how, struct seen *seen,
                        uint64_t *out_damaged_bytes)
{
    const struct recover_visitor visitor = {.context = seen,
                                            .put = see_put,
                                            .remove = see_remove,
                                            .touch = see_touch,
                                            .purge = see_purge,
                                            .note = see_note};
    struct recovered found = {.live_bytes = NULL};
    *seen = (struct seen){.puts = 0};
    const enum status status = recover_look(io, how, &visitor, &found, NULL);
    if (status == STATUS_OK) {
        must(found.sequence_next > 0, "no next sequence");
        must(found.segment_next > NUMBER, "a number that is in use");
    }
    *out_damaged_bytes = found.damaged_bytes;
    recovered_clear(&found);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size - 1 > BYTES_MAX)
        return 0;
    struct io_sim *disk = io_sim_create(1);
    struct io *io = io_sim_open(disk, "");
    struct seen strict, point, salvage;
    uint64_t damaged = 0, ignored = 0;
    make_folder(io, data[0], data + 1, size - 1);
    const enum status accepted = look(io, RECOVERY_STRICT, &strict, &ignored);
    (void)look(io, RECOVERY_POINT_IN_TIME, &point, &ignored);
    const enum status read = look(io, RECOVERY_SALVAGE, &salvage, &damaged);
    must(read == STATUS_OK || read == STATUS_UNSUPPORTED, "salvage refuses");
    if (accepted == STATUS_OK) {
        must(salvage.puts == strict.puts, "salvage sees other Sets than strict");
        must(salvage.others == strict.others, "salvage sees other records than strict");
        must(damaged == 0, "salvage skips what strict accepts");
    }
    must(point.puts <= salvage.puts, "point_in_time sees more than salvage");
    io->operations->close(&io);
    io_sim_destroy(&disk);
    return 0;
}
