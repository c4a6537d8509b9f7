/*
 * custodian_spares.c - segments made ahead: zeros written to the full size and synced, so that the
 * journal writes into blocks that the file system has given out already (28 to 32 thousand records
 * a second on ext4, against 5 thousand into unwritten extents), and so that a full disk is noticed
 * here, before anything was promised.
 *
 * One is made under another name and renamed when it is on the disk: the journal takes whatever
 * bears a spare's name.
 *
 * Dead segments are removed and not used again. That costs their zeros a second time, and it is
 * worth it: they may be linked into a snapshot's folder, whose content would be overwritten, and
 * they hold prompts that somebody may have purged.
 *
 * THREADS. The custodian's.
 */
#include "storage/custodian_inside.h"

static const char draft[] = "spare.tmp";

static enum status make(struct custodian *custodian, const char *name)
{
    assert(custodian->options.segment_bytes > 0);
    struct io *io = custodian->io;
    struct io_file *file = NULL;
    (void)io->operations->remove_file(io, draft); /* of a run that was cut */
    enum status status =
        io->operations->create_file(io, draft, custodian->options.segment_bytes, &file);
    if (status != STATUS_OK)
        return status;
    status = io->operations->sync_file(io, file);
    io->operations->close_file(io, &file);
    if (status == STATUS_OK)
        status = io->operations->rename_file(io, draft, name);
    if (status == STATUS_OK)
        return io->operations->sync_directory(io);
    const int error = io->error;
    (void)io->operations->remove_file(io, draft);
    io->error = error;
    return status;
}

/* One of another size, of an earlier journal.segment_size, counts as none. */
static enum status keep_one(struct custodian *custodian, uint32_t number)
{
    assert(number <= custodian->options.spares);
    struct io *io = custodian->io;
    char name[IO_NAME_MAX];
    struct io_file *file = NULL;
    uint64_t size_bytes = 0;
    journal_spare_name(number, name);
    const enum status status =
        io->operations->open_file(io, name, IO_READ_ONLY, &file, &size_bytes);
    if (status == STATUS_OK) {
        io->operations->close_file(io, &file);
        if (size_bytes == custodian->options.segment_bytes)
            return STATUS_OK;
    } else if (status != STATUS_NOT_FOUND) {
        return status;
    }
    return make(custodian, name);
}

enum status spares_keep(struct custodian *custodian)
{
    assert(custodian->io != NULL);
    enum status status = STATUS_OK;
    for (uint32_t i = SPARE_EMERGENCY; status == STATUS_OK && i <= custodian->options.spares; i++) {
        if (atomic_load(&custodian->is_stopping))
            return STATUS_CANCELLED;
        status = keep_one(custodian, i);
    }
    return status;
}
