/*
 * io.h - the data folder: every disk call of the service goes through this vtable, so that a test
 * can make every failure happen. Backends: io_uring (io_uring.c), posix (io_posix.c) and, in tests,
 * a simulated disk and a wrapper that fails the k-th call.
 *
 * Names are file names inside the folder, without a slash. Files are made 0600, the folder 0700.
 * Every verb returns STATUS_OK, STATUS_NO_MEMORY, STATUS_NOT_FOUND (open_file, remove_file,
 * rename_file of an absent name) or STATUS_IO_FAILED; with the last, io->error is the errno.
 *
 * Threads: an `io` belongs to one thread, but for wake, which any thread may call. Two io of the
 * same folder may be in use side by side (the journal's, the custodian's); lock_directory is taken
 * by one of them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { IO_ALIGNMENT = 4096, IO_NAME_MAX = 64 };

struct io;
struct io_file; /* opaque; each backend's own */

enum io_mode {
    IO_BUFFERED,
    IO_DIRECT, /* O_DIRECT where the file system has it, else buffered: io_file_is_direct tells */
    IO_READ_ONLY,
};

struct io_commit {     /* what submit takes; the bytes stay the caller's and unchanged until it is
                          reaped */
    const void *bytes; /* aligned to IO_ALIGNMENT if the file is direct   */
    uint64_t offset_bytes; /* a multiple of it, if the file is direct         */
    size_t size_bytes;     /* the same; 0: nothing but the sync               */
    bool sync;             /* fdatasync follows the write, and only if all of it was written */
    uint64_t tag;          /* comes back in the completion                    */
};

struct io_completion { /* what reap gives */
    uint64_t tag;
    enum status status; /* of write and sync together: OK only if both are OK            */
    int error;          /* the errno behind a status that is not OK                      */
    bool sync_failed;   /* the write was whole, its sync was not: never try the sync again */
};

typedef void io_visit_name(void *context, const char *name, uint64_t size_bytes);

struct io_operations {
    const char *name; /* "io_uring", "posix" */

    /* Full size, zeros written (not a hole), not yet synced. Fails if it exists. */
    enum status (*create_file)(struct io *io, const char *name, uint64_t size_bytes,
                               struct io_file **out_file);
    enum status (*open_file)(struct io *io, const char *name, enum io_mode mode,
                             struct io_file **out_file, uint64_t *out_size_bytes);
    /* NULL is fine. All of its commits have been reaped. */
    void (*close_file)(struct io *io, struct io_file **file);
    bool (*is_direct)(const struct io_file *file);

    /* Whole or failed; *out_read is less than size_bytes only at the end of the file. */
    enum status (*read_at)(struct io *io, struct io_file *file, void *bytes, size_t size_bytes,
                           uint64_t offset_bytes, size_t *out_read);
    enum status (*write_at)(struct io *io, struct io_file *file, const void *bytes,
                            size_t size_bytes, uint64_t offset_bytes);
    enum status (*sync_file)(struct io *io, struct io_file *file); /* fdatasync */
    enum status (*truncate_file)(struct io *io, struct io_file *file, uint64_t size_bytes);

    enum status (*rename_file)(struct io *io, const char *from, const char *to); /* replaces */
    /* A hard link of a file into a folder inside this one ("snapshots/today"), which is made if it
     * is absent. Its names last once an io of that folder has synced it. */
    enum status (*link_file)(struct io *io, const char *name, const char *folder);
    enum status (*remove_file)(struct io *io, const char *name);
    enum status (*list_files)(struct io *io, io_visit_name *visit, void *context);
    enum status (*sync_directory)(struct io *io);
    /* The file LOCK, an OFD write lock until the io is closed. STATUS_UNAVAILABLE: another process
     * has it; its pid, if it can be read, goes to *out_holder (0: unknown). */
    enum status (*lock_directory)(struct io *io, int64_t *out_holder);

    /* At most IO_COMMITS_MAX that are not reaped. Commits in flight together go in any order, and
     * the sync of one says nothing of the others. A short write, EINTR and EAGAIN go on by
     * themselves; failures of writing and syncing come by reap. STATUS_OK or STATUS_NO_MEMORY. */
    enum status (*submit)(struct io *io, struct io_file *file, const struct io_commit *commit);
    /* Up to out_max that are done. Waits at most timeout_ms (0: not, -1: until one is done) for the
     * first, or until wake. Returns how many. */
    size_t (*reap)(struct io *io, int timeout_ms, struct io_completion *out, size_t out_max);
    void (*wake)(struct io *io); /* any thread: the present or next reap returns at once */

    /* Its files are closed before. */
    void (*close)(struct io **io);
};

enum { IO_COMMITS_MAX = 8 };

struct io { /* the first member of each backend's own */
    const struct io_operations *operations;
    int error; /* errno of the last call that returned IO_FAILED */
};

/* Each opens the folder, making it if it is absent. `failure` names it and the cause. */
enum status io_posix_open(const char *directory, struct io **out_io, struct failure *failure);
enum status io_uring_open(const char *directory, struct io **out_io, struct failure *failure);

enum io_choice { IO_AUTO, IO_URING, IO_POSIX }; /* storage.io */

struct io_backend { /* which was taken, and why */
    enum io_choice taken;
    char reason[192]; /* a sentence, for one log line and Stats */
};
/*
 * Chooses once, at start: AUTO proves io_uring with one real linked write and sync in the folder
 * and falls back on posix; IO_URING fails with a message that names seccomp and the sysctl.
 */
enum status io_choose(const char *directory, enum io_choice wanted, struct io_backend *out_backend,
                      struct failure *failure);
/* One more io of the chosen kind, for another thread. */
enum status io_open(const struct io_backend *backend, const char *directory, struct io **out_io,
                    struct failure *failure);
