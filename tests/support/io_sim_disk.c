/*
 * io_sim_disk.c - what a disk keeps. Sectors of 512 bytes are the unit of chance; one in sixteen
 * that is kept is itself torn. A cut of the power draws one of four manners for the names and for
 * each file: nothing of what is not synced, all of it, a prefix (an ordered journal), or any subset
 * (a cache that writes as it likes). Owns inodes, names and changes. THREADS. The caller holds the
 * mutex.
 */
#include "tests/support/io_sim_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum manner { MANNER_NOTHING, MANNER_ALL, MANNER_PREFIX, MANNER_SUBSET, MANNERS };

uint64_t sim_draw(uint64_t *chance)
{
    *chance ^= *chance >> 12;
    *chance ^= *chance << 25;
    *chance ^= *chance >> 27;
    return (*chance * UINT64_C(2685821657736338717)) >> 16;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* calloc, so that the zeros of a large file cost nothing until they are looked at. */
static void grow(struct sim_bytes *file, uint64_t size)
{
    if (size > file->capacity) {
        const uint64_t capacity = file->capacity == 0         ? size
                                  : size > 2 * file->capacity ? size
                                                              : 2 * file->capacity;
        uint8_t *bytes = calloc(1, capacity);
        assert(bytes != NULL);
        if (file->size > 0)
            memcpy(bytes, file->bytes, file->size);
        free(file->bytes);
        file->bytes = bytes;
        file->capacity = capacity;
    }
    if (size > file->size)
        file->size = size;
}

static void put(struct sim_bytes *file, uint64_t offset, uint64_t size, const uint8_t *bytes)
{
    const uint64_t before = file->size;
    grow(file, offset + size);
    if (bytes != NULL && size > 0)
        memcpy(file->bytes + offset, bytes, size);
    else if (offset < before)
        memset(file->bytes + offset, 0, (offset + size < before ? offset + size : before) - offset);
}

static void cut(struct sim_bytes *file, uint64_t size)
{
    if (size < file->size) {
        memset(file->bytes + size, 0, file->size - size);
        file->size = size;
    } else if (size > 0) {
        grow(file, size);
    }
}

static void keep(struct sim_inode *inode, const struct sim_change *change)
{
    if (change->is_cut)
        cut(&inode->kept, change->offset);
    else
        put(&inode->kept, change->offset, change->size, change->bytes);
}

/* Each sector of the write with the chance of `of_eight` in eight. */
static void keep_sectors(struct sim_inode *inode, const struct sim_change *change,
                         unsigned of_eight, uint64_t *chance)
{
    for (uint64_t at = 0; at < change->size;) {
        const uint64_t place = change->offset + at;
        uint64_t size = SIM_SECTOR - place % SIM_SECTOR;
        if (size > change->size - at)
            size = change->size - at;
        const uint64_t torn = sim_draw(chance) % 16 == 0 ? sim_draw(chance) % (size + 1) : size;
        if (sim_draw(chance) % 8 < of_eight)
            put(&inode->kept, place, torn, change->bytes == NULL ? NULL : change->bytes + at);
        at += size;
    }
}

/* ---- inodes ---------------------------------------------------------------------------------- */

struct sim_inode *sim_inode_create(struct io_sim *disk)
{
    struct sim_inode *inode = calloc(1, sizeof(*inode));
    assert(inode != NULL);
    inode->next = disk->inodes;
    disk->inodes = inode;
    return inode;
}

static void forget_changes(struct sim_inode *inode)
{
    for (size_t i = 0; i < inode->changes_count; i++)
        free(inode->changes[i].bytes);
    inode->changes_count = 0;
}

static bool is_named(const struct sim_names *names, const struct sim_inode *inode)
{
    for (size_t i = 0; i < names->count; i++) {
        if (names->names[i].inode == inode)
            return true;
    }
    return false;
}

static bool is_reachable(const struct io_sim *disk, const struct sim_inode *inode)
{
    if (inode->opens > 0 || is_named(&disk->now, inode) || is_named(&disk->kept, inode))
        return true;
    for (size_t i = 0; i < disk->renames_count; i++) {
        if (disk->renames[i].inode == inode)
            return true;
    }
    return false;
}

void sim_inodes_drop(struct io_sim *disk)
{
    for (struct sim_inode **place = &disk->inodes; *place != NULL;) {
        struct sim_inode *inode = *place;
        if (is_reachable(disk, inode)) {
            place = &inode->next;
            continue;
        }
        *place = inode->next;
        forget_changes(inode);
        free(inode->changes);
        free(inode->now.bytes);
        free(inode->kept.bytes);
        free(inode);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static size_t place_of(const struct sim_names *names, const char *path)
{
    size_t i = 0;
    while (i < names->count && strcmp(names->names[i].path, path) != 0)
        i++;
    return i;
}

struct sim_inode *sim_find(const struct sim_names *names, const char *path)
{
    const size_t place = place_of(names, path);
    return place < names->count ? names->names[place].inode : NULL;
}

static void unname(struct sim_names *names, const char *path)
{
    const size_t place = place_of(names, path);
    if (place < names->count)
        names->names[place] = names->names[--names->count];
}

static void apply_rename(struct sim_names *names, const struct sim_rename *change)
{
    unname(names, change->from);
    unname(names, change->to);
    if (change->to[0] == '\0')
        return;
    assert(names->count < SIM_NAMES_MAX);
    struct sim_name *name = &names->names[names->count++];
    (void)snprintf(name->path, sizeof(name->path), "%s", change->to);
    name->inode = change->inode;
}

void sim_rename(struct io_sim *disk, const char *from, const char *to, struct sim_inode *inode)
{
    assert(disk->renames_count < SIM_NAMES_MAX); /* a folder that is never synced? */
    struct sim_rename *change = &disk->renames[disk->renames_count++];
    (void)snprintf(change->from, sizeof(change->from), "%s", from);
    (void)snprintf(change->to, sizeof(change->to), "%s", to);
    change->inode = inode;
    apply_rename(&disk->now, change);
}

bool sim_is_in(const char *path, const char *folder)
{
    const size_t length = strlen(folder);
    if (length == 0)
        return strchr(path, '/') == NULL;
    return strncmp(path, folder, length) == 0 && path[length] == '/' &&
           strchr(path + length + 1, '/') == NULL;
}

void sim_sync_names(struct io_sim *disk, const char *folder)
{
    size_t left = 0;
    for (size_t i = 0; i < disk->renames_count; i++) {
        const struct sim_rename *change = &disk->renames[i];
        if (sim_is_in(change->to[0] != '\0' ? change->to : change->from, folder))
            apply_rename(&disk->kept, change);
        else
            disk->renames[left++] = *change;
    }
    disk->renames_count = left;
    sim_inodes_drop(disk);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void note_change(struct sim_inode *inode, const struct sim_change *change)
{
    if (inode->changes_count == inode->changes_capacity) {
        const size_t capacity = inode->changes_capacity == 0 ? 16 : 2 * inode->changes_capacity;
        inode->changes = reallocarray(inode->changes, capacity, sizeof(*inode->changes));
        assert(inode->changes != NULL);
        inode->changes_capacity = capacity;
    }
    inode->changes[inode->changes_count++] = *change;
}

/* What is in flight has no order, so nothing may be written over it. */
static bool meets_flight(const struct sim_inode *inode, const struct sim_change *change)
{
    for (size_t i = 0; i < inode->changes_count; i++) {
        const struct sim_change *other = &inode->changes[i];
        if (other->commit != 0 && other->offset < change->offset + change->size &&
            change->offset < other->offset + other->size)
            return true;
    }
    return false;
}

static uint64_t room(const struct io_sim *disk)
{
    uint64_t used = 0;
    for (const struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        if (inode->opens > 0 || is_named(&disk->now, inode))
            used += inode->now.size;
    }
    return used < disk->limit ? disk->limit - used : 0;
}

static uint64_t fitting(const struct io_sim *disk, const struct sim_inode *inode,
                        const struct sim_change *change)
{
    const uint64_t end = change->offset + change->size, size = inode->now.size;
    if (disk->limit == UINT64_MAX || end <= size)
        return change->size;
    const uint64_t more = end - size, have = room(disk);
    const uint64_t over = more > have ? more - have : 0;
    return over < change->size ? change->size - over : 0;
}

uint64_t sim_write(struct io_sim *disk, struct sim_inode *inode, struct sim_change change)
{
    assert(!meets_flight(inode, &change));
    change.size = fitting(disk, inode, &change);
    if (change.size == 0)
        return 0;
    put(&inode->now, change.offset, change.size, change.bytes);
    if (change.bytes != NULL) {
        uint8_t *copy = malloc(change.size);
        assert(copy != NULL);
        memcpy(copy, change.bytes, change.size);
        change.bytes = copy;
    }
    note_change(inode, &change);
    return change.size;
}

void sim_cut(struct sim_inode *inode, uint64_t size)
{
    const struct sim_change change = {.is_cut = true, .offset = size};
    cut(&inode->now, size);
    note_change(inode, &change);
}

static bool is_covered(const struct sim_change *change, uint64_t commit)
{
    return change->commit == 0 || change->commit == commit;
}

void sim_sync(struct sim_inode *inode, uint64_t commit)
{
    size_t left = 0;
    for (size_t i = 0; i < inode->changes_count; i++) {
        struct sim_change *change = &inode->changes[i];
        if (is_covered(change, commit)) {
            keep(inode, change);
            free(change->bytes);
        } else {
            inode->changes[left++] = *change;
        }
    }
    inode->changes_count = left;
}

void sim_sync_fails(struct io_sim *disk, struct sim_inode *inode, uint64_t commit)
{
    size_t left = 0;
    const unsigned of_eight = (unsigned)(sim_draw(&disk->chance) % 8); /* never surely all */
    for (size_t i = 0; i < inode->changes_count; i++) {
        struct sim_change *change = &inode->changes[i];
        if (change->is_cut || !is_covered(change, commit)) {
            inode->changes[left++] = *change; /* the size is the journal's of the file system */
        } else {
            keep_sectors(inode, change, of_eight, &disk->chance);
            free(change->bytes);
        }
    }
    inode->changes_count = left;
}

/* ---- the power goes -------------------------------------------------------------------------- */

static void crash_names(struct io_sim *disk, uint64_t *chance)
{
    const enum manner manner = (enum manner)(sim_draw(chance) % MANNERS);
    const size_t prefix = (size_t)(sim_draw(chance) % (disk->renames_count + 1));
    for (size_t i = 0; i < disk->renames_count; i++) {
        const bool is_kept = manner == MANNER_ALL || (manner == MANNER_PREFIX && i < prefix) ||
                             (manner == MANNER_SUBSET && sim_draw(chance) % 2 == 0);
        if (is_kept)
            apply_rename(&disk->kept, &disk->renames[i]);
    }
    disk->renames_count = 0;
    disk->now = disk->kept;
}

/* The cache is what the platter is. Blocks of zeros are not touched, for files are mostly those. */
static void show_kept(struct sim_inode *inode)
{
    enum { BLOCK = 4096 };
    static const uint8_t zeros[BLOCK];
    free(inode->now.bytes);
    inode->now = (struct sim_bytes){0};
    grow(&inode->now, inode->kept.size);
    for (uint64_t at = 0; at < inode->kept.size; at += BLOCK) {
        const uint64_t rest = inode->kept.size - at, size = rest < BLOCK ? rest : BLOCK;
        if (memcmp(inode->kept.bytes + at, zeros, size) != 0)
            memcpy(inode->now.bytes + at, inode->kept.bytes + at, size);
    }
}

static void crash_inode(struct sim_inode *inode, uint64_t *chance)
{
    const enum manner manner = (enum manner)(sim_draw(chance) % MANNERS);
    const size_t prefix = (size_t)(sim_draw(chance) % (inode->changes_count + 1));
    const unsigned of_eight = 1 + (unsigned)(sim_draw(chance) % 7);
    for (size_t i = 0; i < inode->changes_count; i++) {
        struct sim_change *change = &inode->changes[i];
        if (manner == MANNER_ALL || (manner == MANNER_PREFIX && i < prefix))
            keep(inode, change);
        else if (manner == MANNER_PREFIX && i == prefix && !change->is_cut)
            put(&inode->kept, change->offset, sim_draw(chance) % change->size, change->bytes);
        else if (manner == MANNER_SUBSET && !change->is_cut)
            keep_sectors(inode, change, of_eight, chance);
        else if (manner == MANNER_SUBSET && sim_draw(chance) % 2 == 0)
            keep(inode, change);
    }
    forget_changes(inode);
    show_kept(inode);
}

void sim_crash(struct io_sim *disk, uint64_t seed)
{
    uint64_t chance = seed * 2654435761u + 88172645463325252u;
    crash_names(disk, &chance);
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        inode->opens = 0;
        if (is_named(&disk->now, inode))
            crash_inode(inode, &chance);
        else
            forget_changes(inode);
    }
    sim_inodes_drop(disk);
    disk->generation++;
    disk->has_plan = false;
}

/* What was in flight has been handed to the disk: it is an unsynced write like any other. */
void sim_kill(struct io_sim *disk)
{
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        inode->opens = 0;
        for (size_t i = 0; i < inode->changes_count; i++)
            inode->changes[i].commit = 0;
    }
    sim_inodes_drop(disk);
    disk->generation++;
    disk->has_plan = false;
}
