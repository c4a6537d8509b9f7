/*
 * work.c - which partitions want something from a builder.
 *
 * TWO LISTS, linked through the partitions themselves, so that asking never allocates: those that
 * have asked, in their order, and those that are watched because time alone may change what they
 * need (a lookup rate). Sleeping builders wait on an eventfd used as a semaphore; poll takes a
 * relative time, so no clock is read here.
 *
 * THREADS. Any; INDEX_WORK guards the lists and nothing is taken inside. It comes after PARTITION,
 * because a writer asks while it holds that.
 *
 * NOT HERE. What is done about it: builder.c.
 */
#include "index/work.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "index/partition_inside.h"

enum { ROUND_MS = 1000 };

struct list {
    struct partition *first, *last;
    uint32_t count;
};

struct work {
    struct lock lock;
    int wakes; /* eventfd, EFD_SEMAPHORE; never changes */
    struct list asked GUARDED;
    struct list watched GUARDED;
};

/* ---- create and destroy ---------------------------------------------------------------------- */

UNSHARED enum status work_create(struct work **out_work)
{
    struct work *work = calloc(1, sizeof(*work));
    if (work == NULL)
        return STATUS_NO_MEMORY;
    lock_init(&work->lock, LOCK_RANK_INDEX_WORK);
    work->wakes = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    if (work->wakes < 0) {
        work_destroy(&work);
        return STATUS_NO_MEMORY;
    }
    *out_work = work;
    return STATUS_OK;
}

UNSHARED void work_destroy(struct work **work)
{
    struct work *doomed = *work;
    if (doomed == NULL)
        return;
    *work = NULL;
    if (doomed->wakes >= 0)
        (void)close(doomed->wakes);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- the lists ------------------------------------------------------------------------------- */

static struct list *list_of(struct work *work, enum work_place place) REQUIRES(work->lock)
{
    assert(place != WORK_NOWHERE);
    return place == WORK_ASKED ? &work->asked : &work->watched;
}

static void link_last(struct work *work, struct partition *partition, enum work_place place)
    REQUIRES(work->lock)
{
    assert(partition->link.place == WORK_NOWHERE);
    struct list *list = list_of(work, place);
    partition->link = (struct work_link){.previous = list->last, .place = place};
    if (list->last != NULL)
        list->last->link.next = partition;
    else
        list->first = partition;
    list->last = partition;
    list->count++;
}

static void unlink_from(struct work *work, struct partition *partition) REQUIRES(work->lock)
{
    struct list *list = list_of(work, partition->link.place);
    struct partition *next = partition->link.next, *previous = partition->link.previous;
    assert(next != NULL || list->last == partition);
    assert(previous != NULL || list->first == partition);
    if (next != NULL)
        next->link.previous = previous;
    else
        list->last = previous;
    if (previous != NULL)
        previous->link.next = next;
    else
        list->first = next;
    assert(list->count > 0);
    list->count--;
    partition->link = (struct work_link){.place = WORK_NOWHERE};
}

void work_ask(struct work *work, struct partition *partition)
{
    lock_acquire(&work->lock);
    const bool is_new = partition->link.place != WORK_ASKED;
    if (partition->link.place == WORK_WATCHED)
        unlink_from(work, partition);
    if (is_new)
        link_last(work, partition, WORK_ASKED);
    lock_release(&work->lock);
    if (is_new)
        work_wake(work, 1);
}

void work_watch(struct work *work, struct partition *partition)
{
    lock_acquire(&work->lock);
    if (partition->link.place == WORK_NOWHERE)
        link_last(work, partition, WORK_WATCHED);
    lock_release(&work->lock);
}

void work_forget(struct work *work, struct partition *partition)
{
    lock_acquire(&work->lock);
    if (partition->link.place != WORK_NOWHERE)
        unlink_from(work, partition);
    lock_release(&work->lock);
}

struct partition *work_take(struct work *work)
{
    lock_acquire(&work->lock);
    struct partition *partition = work->asked.first;
    if (partition != NULL)
        unlink_from(work, partition);
    lock_release(&work->lock);
    return partition;
}

uint32_t work_asked(struct work *work)
{
    lock_acquire(&work->lock);
    const uint32_t count = work->asked.count;
    lock_release(&work->lock);
    return count;
}

enum work_place work_place_of(struct work *work, const struct partition *partition)
{
    lock_acquire(&work->lock);
    const enum work_place place = partition->link.place;
    lock_release(&work->lock);
    return place;
}

/* ---- sleep ----------------------------------------------------------------------------------- */

void work_round(struct work *work)
{
    lock_acquire(&work->lock);
    while (work->watched.first != NULL) {
        struct partition *partition = work->watched.first;
        unlink_from(work, partition);
        link_last(work, partition, WORK_ASKED);
    }
    lock_release(&work->lock);
}

void work_wait(struct work *work)
{
    lock_acquire(&work->lock);
    const bool is_asked = work->asked.first != NULL, is_watching = work->watched.first != NULL;
    lock_release(&work->lock);
    if (is_asked)
        return;
    struct pollfd wake = {.fd = work->wakes, .events = POLLIN};
    const int ready = poll(&wake, 1, is_watching ? ROUND_MS : -1);
    assert(ready >= 0 || errno == EINTR);
    uint64_t count = 0;
    if (ready > 0)
        (void)!read(work->wakes, &count, sizeof(count)); /* another builder may have been faster */
    else
        work_round(work);
}

void work_wake(struct work *work, uint32_t threads)
{
    const uint64_t count = threads;
    (void)!write(work->wakes, &count, sizeof(count)); /* fails only after 2^64 wakes */
}
