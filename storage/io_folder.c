/*
 * io_folder.c - the data folder and its files by plain system calls: what io_posix.c and io_uring.c
 * have in common. Only commits are worth a ring; the rest happens rarely, or off the journal's
 * thread.
 *
 * LOCK holds one line, "<pid> <boot id>": an open-file-description lock dies with its process, so a
 * stale file never refuses anybody, and the line is there for the message alone. fcntl's older
 * locks were rejected: any close of the file in the same process drops them. A pid of another boot
 * names nobody.
 *
 * THREADS. As io.h says: one for each io, but for wake. NOT HERE: commits (io_posix.c, io_uring.c).
 */
#include "storage/io_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZEROS_BYTES = 1 << 16, LOCK_LINE_BYTES = 96, BOOT_ID_BYTES = 64 };

static struct io_folder *folder_of(struct io *io)
{
    assert(io != NULL);
    return (struct io_folder *)io;
}

/* The one place where an errno becomes a status. Not even ENOMEM is an exception: a sync that gives
 * it has failed like any other. */
static enum status failed(struct io *io, int error)
{
    assert(error > 0);
    io->error = error;
    return STATUS_IO_FAILED;
}

static enum status failed_name(struct io *io, int error)
{
    return error == ENOENT ? STATUS_NOT_FOUND : failed(io, error);
}

static bool is_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strlen(name) < IO_NAME_MAX &&
           strchr(name, '/') == NULL;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int sync_descriptor(int descriptor)
{
    unsigned in_a_row = 0;
    while (fsync(descriptor) != 0) {
        if (!io_retries(errno, &in_a_row))
            return errno;
    }
    return 0;
}

static int open_folder(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A file system that cannot sync folders says EINVAL; it has nothing better to offer. */
static int sync_folder(int descriptor)
{
    const int error = sync_descriptor(descriptor);
    return error == EINVAL ? 0 : error;
}

/* A new folder is worth nothing as long as the one above it has not been synced. */
static int sync_above(int folder)
{
    const int above = open_folder(folder, "..");
    if (above < 0)
        return errno;
    const int error = sync_folder(above);
    (void)close(above);
    return error;
}

/* Opens a folder below `at`, making it if it is absent. Returns 0 or an errno. */
static int open_or_make(int at, const char *path, int *out_descriptor)
{
    int folder = open_folder(at, path);
    const bool is_new = folder < 0 && errno == ENOENT;
    if (is_new) {
        if (mkdirat(at, path, 0700) != 0 && errno != EEXIST)
            return errno;
        folder = open_folder(at, path);
    }
    if (folder < 0)
        return errno;
    const int error = is_new ? sync_above(folder) : 0;
    if (error == 0)
        *out_descriptor = folder;
    else
        (void)close(folder);
    return error;
}

enum status io_folder_init(struct io_folder *folder, const struct io_operations *operations,
                           const char *directory, struct failure *failure)
{
    assert(operations != NULL);
    assert(directory != NULL);
    *folder = (struct io_folder){.io = {operations, 0}, .descriptor = -1, .lock = -1, .wakes = -1};
    const int error = open_or_make(AT_FDCWD, directory, &folder->descriptor);
    if (error != 0)
        return failure_set(failure, STATUS_IO_FAILED, "storage.path",
                           "the folder %.100s cannot be used: %s", directory, io_error_text(error));
    folder->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (folder->wakes < 0)
        return failure_set(failure, STATUS_IO_FAILED, "storage.path",
                           "the folder %.100s cannot be used, eventfd failed: %s", directory,
                           io_error_text(errno));
    return STATUS_OK;
}

void io_folder_deinit(struct io_folder *folder)
{
    if (folder->wakes >= 0)
        (void)close(folder->wakes);
    if (folder->lock >= 0)
        (void)close(folder->lock);
    if (folder->descriptor >= 0)
        (void)close(folder->descriptor);
    folder->wakes = folder->lock = folder->descriptor = -1;
}

enum status io_folder_sync_directory(struct io *io)
{
    const int error = sync_folder(folder_of(io)->descriptor);
    return error == 0 ? STATUS_OK : failed(io, error);
}

/* What vanished since it was read, and what is not a file, is skipped. */
static void visit_file(const struct io_folder *folder, const char *name, io_visit_name *visit,
                       void *context)
{
    struct stat info;
    if (!is_name(name))
        return;
    if (fstatat(folder->descriptor, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISREG(info.st_mode))
        visit(context, name, (uint64_t)info.st_size);
}

enum status io_folder_list_files(struct io *io, io_visit_name *visit, void *context)
{
    const struct io_folder *folder = folder_of(io);
    const int descriptor = open_folder(folder->descriptor, ".");
    if (descriptor < 0)
        return failed(io, errno);
    DIR *files = fdopendir(descriptor);
    if (files == NULL) {
        const int error = errno;
        (void)close(descriptor);
        return failed(io, error);
    }
    errno = 0;
    for (const struct dirent *file = readdir(files); file != NULL; file = readdir(files)) {
        visit_file(folder, file->d_name, visit, context);
        errno = 0; /* only readdir's own counts */
    }
    const int error = errno;
    (void)closedir(files);
    return error == 0 ? STATUS_OK : failed(io, error);
}

/* ---- the lock -------------------------------------------------------------------------------- */

/* An empty string where there is none to be read. */
static void read_boot_id(char out_id[BOOT_ID_BYTES])
{
    out_id[0] = '\0';
    const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    const ssize_t size = read(file, out_id, BOOT_ID_BYTES - 1);
    (void)close(file);
    out_id[size > 0 ? size : 0] = '\0';
    out_id[strcspn(out_id, " \n")] = '\0';
}

static int64_t read_holder(int file)
{
    char line[LOCK_LINE_BYTES] = {0}, boot[BOOT_ID_BYTES];
    if (pread(file, line, sizeof(line) - 1, 0) <= 0)
        return 0;
    char *end = NULL;
    const long pid = strtol(line, &end, 10);
    read_boot_id(boot);
    if (pid <= 0 || *end != ' ' || boot[0] == '\0')
        return 0;
    end[1 + strcspn(end + 1, "\n")] = '\0';
    return strcmp(end + 1, boot) == 0 ? pid : 0;
}

static int write_holder(const struct io_file *file)
{
    char line[LOCK_LINE_BYTES], boot[BOOT_ID_BYTES];
    read_boot_id(boot);
    const int length = snprintf(line, sizeof(line), "%ld %s\n", (long)getpid(), boot);
    assert(length > 0);
    assert((size_t)length < sizeof(line));
    if (ftruncate(file->descriptor, 0) != 0)
        return errno;
    return io_file_write(file, line, (size_t)length, 0);
}

enum status io_folder_lock_directory(struct io *io, int64_t *out_holder)
{
    struct io_folder *folder = folder_of(io);
    assert(folder->lock < 0);
    const int file = openat(folder->descriptor, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return failed(io, errno);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int error = fcntl(file, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
    enum status status = STATUS_OK;
    if (error == EAGAIN || error == EACCES) {
        *out_holder = read_holder(file);
        status = STATUS_UNAVAILABLE;
        goto close_file;
    }
    /* A full disk must not keep a service from reading what it has: the line is a courtesy. */
    if (error == 0)
        error = write_holder(&(struct io_file){.descriptor = file});
    if (error == 0 || error == ENOSPC || error == EDQUOT) {
        folder->lock = file;
        return STATUS_OK;
    }
    status = failed(io, error);

close_file:
    (void)close(file);
    return status;
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct io_file *file_make(int descriptor, bool is_direct)
{
    assert(descriptor >= 0);
    struct io_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    *file = (struct io_file){.descriptor = descriptor, .is_direct = is_direct};
    return file;
}

void io_folder_close_file(struct io *io, struct io_file **file)
{
    assert(io != NULL);
    struct io_file *doomed = *file;
    if (doomed == NULL)
        return;
    *file = NULL;
    assert(doomed->descriptor >= 0);
    (void)close(doomed->descriptor); /* what it could report, a sync has reported before */
    free(doomed);
}

static int write_zeros(const struct io_file *file, uint64_t size_bytes)
{
    static const uint8_t zeros[ZEROS_BYTES];
    int error = 0;
    for (uint64_t at = 0; at < size_bytes && error == 0; at += ZEROS_BYTES) {
        const uint64_t rest = size_bytes - at;
        error = io_file_write(file, zeros, rest < ZEROS_BYTES ? (size_t)rest : ZEROS_BYTES, at);
    }
    return error;
}

enum status io_folder_create_file(struct io *io, const char *name, uint64_t size_bytes,
                                  struct io_file **out_file)
{
    struct io_folder *folder = folder_of(io);
    assert(is_name(name));
    assert(size_bytes <= INT64_MAX);
    const int descriptor =
        openat(folder->descriptor, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return failed(io, errno);
    struct io_file *file = file_make(descriptor, false);
    const int error = file == NULL ? ENOMEM : write_zeros(file, size_bytes);
    if (error == 0) {
        *out_file = file;
        return STATUS_OK;
    }
    (void)unlinkat(folder->descriptor, name, 0); /* half a file is nobody's */
    (void)close(descriptor);
    const enum status status = file == NULL ? STATUS_NO_MEMORY : failed(io, error);
    free(file);
    return status;
}

/* A direct file where the file system has them. */
static int open_descriptor(const struct io_folder *folder, const char *name, enum io_mode mode,
                           bool *out_is_direct)
{
    const int flags = (mode == IO_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW;
    *out_is_direct = false;
    if (mode == IO_DIRECT) {
        const int descriptor = openat(folder->descriptor, name, flags | O_DIRECT);
        *out_is_direct = descriptor >= 0;
        if (descriptor >= 0 || errno != EINVAL)
            return descriptor;
    }
    return openat(folder->descriptor, name, flags);
}

enum status io_folder_open_file(struct io *io, const char *name, enum io_mode mode,
                                struct io_file **out_file, uint64_t *out_size_bytes)
{
    assert(is_name(name));
    bool is_direct = false;
    const int descriptor = open_descriptor(folder_of(io), name, mode, &is_direct);
    if (descriptor < 0)
        return failed_name(io, errno);
    struct stat info;
    int error = fstat(descriptor, &info) == 0 ? 0 : errno;
    if (error == 0 && !S_ISREG(info.st_mode))
        error = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
    struct io_file *file = error == 0 ? file_make(descriptor, is_direct) : NULL;
    if (file == NULL) {
        (void)close(descriptor);
        return error == 0 ? STATUS_NO_MEMORY : failed(io, error);
    }
    *out_file = file;
    *out_size_bytes = (uint64_t)info.st_size;
    return STATUS_OK;
}

bool io_folder_is_direct(const struct io_file *file)
{
    return file->is_direct;
}

enum status io_folder_read_at(struct io *io, struct io_file *file, void *bytes, size_t size_bytes,
                              uint64_t offset_bytes, size_t *out_read)
{
    assert(!file->is_direct || io_is_aligned(bytes, size_bytes, offset_bytes));
    unsigned in_a_row = 0;
    size_t done = 0;
    while (done < size_bytes) {
        const ssize_t size = pread(file->descriptor, (char *)bytes + done, size_bytes - done,
                                   (off_t)(offset_bytes + done));
        if (size < 0 && !io_retries(errno, &in_a_row))
            return failed(io, errno);
        if (size < 0)
            continue;
        done += (size_t)size;
        in_a_row = 0;
        if (size == 0 || io_file_progress(file, done) != done) /* a part of a block: the end */
            break;
    }
    *out_read = done;
    return STATUS_OK;
}

enum status io_folder_write_at(struct io *io, struct io_file *file, const void *bytes,
                               size_t size_bytes, uint64_t offset_bytes)
{
    assert(!file->is_direct || io_is_aligned(bytes, size_bytes, offset_bytes));
    const int error = io_file_write(file, bytes, size_bytes, offset_bytes);
    return error == 0 ? STATUS_OK : failed(io, error);
}

enum status io_folder_sync_file(struct io *io, struct io_file *file)
{
    const int error = io_file_sync(file);
    return error == 0 ? STATUS_OK : failed(io, error);
}

enum status io_folder_truncate_file(struct io *io, struct io_file *file, uint64_t size_bytes)
{
    assert(size_bytes <= INT64_MAX);
    unsigned in_a_row = 0;
    while (ftruncate(file->descriptor, (off_t)size_bytes) != 0) {
        if (!io_retries(errno, &in_a_row))
            return failed(io, errno);
    }
    return STATUS_OK;
}

/* ---- names ----------------------------------------------------------------------------------- */

enum status io_folder_rename_file(struct io *io, const char *from, const char *to)
{
    const int folder = folder_of(io)->descriptor;
    assert(is_name(from));
    assert(is_name(to));
    return renameat(folder, from, folder, to) == 0 ? STATUS_OK : failed_name(io, errno);
}

enum status io_folder_remove_file(struct io *io, const char *name)
{
    assert(is_name(name));
    return unlinkat(folder_of(io)->descriptor, name, 0) == 0 ? STATUS_OK : failed_name(io, errno);
}

/* Opens or makes the folder "a/b" inside this one, a step at a time. */
static int open_inner(const struct io_folder *folder, const char *path, int *out_descriptor)
{
    char step[IO_NAME_MAX];
    int at = dup(folder->descriptor);
    if (at < 0)
        return errno;
    while (*path != '\0') {
        const size_t length = strcspn(path, "/");
        assert(length < sizeof(step));
        (void)snprintf(step, sizeof(step), "%.*s", (int)length, path);
        assert(is_name(step));
        int inner = -1;
        const int error = open_or_make(at, step, &inner);
        (void)close(at);
        if (error != 0)
            return error;
        at = inner;
        path += length + (path[length] == '/');
    }
    *out_descriptor = at;
    return 0;
}

enum status io_folder_link_file(struct io *io, const char *name, const char *folder)
{
    struct io_folder *outer = folder_of(io);
    assert(is_name(name));
    int inner = -1;
    const int error = open_inner(outer, folder, &inner);
    if (error != 0)
        return failed(io, error);
    const int linked = linkat(outer->descriptor, name, inner, name, 0) == 0 ? 0 : errno;
    (void)close(inner);
    return linked == 0 ? STATUS_OK : failed_name(io, linked);
}

/* ---- wake ------------------------------------------------------------------------------------ */

/* One write for any number of wakes until reap has looked. */
void io_folder_wake(struct io *io)
{
    struct io_folder *folder = folder_of(io);
    if (atomic_exchange(&folder->woken, true))
        return;
    const uint64_t one = 1;
    (void)!write(folder->wakes, &one, sizeof(one)); /* full: it is awake anyway */
}

bool io_folder_was_woken(struct io_folder *folder)
{
    return atomic_exchange(&folder->woken, false);
}

void io_folder_take_wake(struct io_folder *folder)
{
    uint64_t count = 0;
    (void)!read(folder->wakes, &count, sizeof(count));
    (void)atomic_exchange(&folder->woken, false);
}
