/*
 * io_folder.h - what the backends of io.h share: the folder, its files by plain calls, and the
 * wake. For io_posix.c and io_uring.c alone; everybody else holds a struct io. Threads:
 * as io.h says.
 */
#pragma once
#include <stdatomic.h>

#include "storage/io_file.h"

struct io_folder {
    struct io io;      /* first: a struct io of these backends is a struct io_folder */
    int descriptor;    /* of the folder; -1: none                                    */
    int lock;          /* of LOCK while we hold it; -1: none                         */
    int wakes;         /* an eventfd; -1: none. Never blocks                         */
    atomic_bool woken; /* since reap last looked                                    */
};

/* Opens the folder, making it if it is absent. After a failure it can be given to deinit. */
enum status io_folder_init(struct io_folder *folder, const struct io_operations *operations,
                           const char *directory, struct failure *failure);
void io_folder_deinit(struct io_folder *folder);

/* The verbs of struct io_operations. */
enum status io_folder_create_file(struct io *io, const char *name, uint64_t size_bytes,
                                  struct io_file **out_file);
enum status io_folder_open_file(struct io *io, const char *name, enum io_mode mode,
                                struct io_file **out_file, uint64_t *out_size_bytes);
void io_folder_close_file(struct io *io, struct io_file **file);
bool io_folder_is_direct(const struct io_file *file);
enum status io_folder_read_at(struct io *io, struct io_file *file, void *bytes, size_t size_bytes,
                              uint64_t offset_bytes, size_t *out_read);
enum status io_folder_write_at(struct io *io, struct io_file *file, const void *bytes,
                               size_t size_bytes, uint64_t offset_bytes);
enum status io_folder_sync_file(struct io *io, struct io_file *file);
enum status io_folder_truncate_file(struct io *io, struct io_file *file, uint64_t size_bytes);
enum status io_folder_rename_file(struct io *io, const char *from, const char *to);
enum status io_folder_link_file(struct io *io, const char *name, const char *folder);
enum status io_folder_remove_file(struct io *io, const char *name);
enum status io_folder_list_files(struct io *io, io_visit_name *visit, void *context);
enum status io_folder_sync_directory(struct io *io);
enum status io_folder_lock_directory(struct io *io, int64_t *out_holder);
void io_folder_wake(struct io *io);

/* The other side of wake, for reap. First whether it came since the last reap; then, once the
 * eventfd has been seen readable, takes what is in it: in this order none is lost. */
bool io_folder_was_woken(struct io_folder *folder);
void io_folder_take_wake(struct io_folder *folder);
