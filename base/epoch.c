/*
 * epoch.c - when have all readers left?
 * A global number, the epoch, and one slot per registered thread: 0 while the thread is outside,
 * else the epoch at which it entered. Retired objects wait in three lists by the epoch in which
 * they were retired, modulo 3. The epoch moves from e to e + 1 only when every reader inside shows
 * e. (K. Fraser, Practical lock-freedom, UCAM-CL-TR-579, 2004, section 5.2.3.)
 *
 * WHY TWO STEPS ARE ENOUGH. Let an object be retired in epoch e. A reader that still sees it read
 * the pointer before it was unlinked, so it cannot have seen a later epoch (epoch and lists change
 * under one lock, after the unlink), and shows e or less. The step to e + 1 may pass it, the step
 * to e + 2 cannot: it needs e + 1 in every slot. Hence at e + 2 the list of e is free, and it is
 * the list that e + 3 will fill.
 *
 * WHY THE FENCES. A reader writes its slot and then reads pointers; the collector has seen the
 * unlink and then reads slots. Both orders are store-load, which even x86 turns round without a
 * fence, and then each may miss the other: the reader takes a pointer that is being freed. With a
 * seq_cst fence on both sides at least one sees the other: the slot is found in use, or the reader
 * finds the object unlinked. A stale epoch in a slot is harmless, it only holds back the next step.
 *
 * THREADS. Readers write only their own slot; slots are a cache line each. Lists and steps:
 * LOCK_RANK_RETIRED. What is released is taken off under the lock and released after it. NOT HERE.
 * A thread of its own: retires and the keeper's epoch_collect do the work. Hazard pointers were
 * considered: they cost a fence for every object read, and a search reads a great many.
 */
#include "base/epoch.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"
#include "base/thread.h"

enum { GENERATIONS = 3, CACHE_LINE_BYTES = 64, FIRST_EPOCH = 1 };

struct slot {
    _Alignas(CACHE_LINE_BYTES) _Atomic(uint64_t) entered; /* 0: outside           */
    uint32_t nesting;                                     /* of the owning thread */
};

struct generation {
    struct epoch_retired *first;
};

struct epochs {
    struct slot slots[THREAD_REGISTERED_MAX];
    _Alignas(CACHE_LINE_BYTES) _Atomic(uint64_t) epoch;
    atomic_int slots_count; /* slots ever entered, so that a step need not look at all */
    struct lock lock;
    struct generation generations[GENERATIONS] GUARDED; /* by epoch modulo 3 */
};

/* Inside release(): what it retires only waits, so that releases never nest. */
static _Thread_local bool is_releasing;

UNSHARED enum status epochs_create(struct epochs **out_epochs)
{
    struct epochs *epochs = aligned_alloc(CACHE_LINE_BYTES, sizeof(*epochs));
    if (epochs == NULL)
        return STATUS_NO_MEMORY;
    memset(epochs, 0, sizeof(*epochs));
    atomic_init(&epochs->epoch, FIRST_EPOCH);
    lock_init(&epochs->lock, LOCK_RANK_RETIRED);
    *out_epochs = epochs;
    return STATUS_OK;
}

static size_t release_all(struct epoch_retired *object)
{
    assert(!is_releasing);
    is_releasing = true;
    size_t count = 0;
    while (object != NULL) {
        struct epoch_retired *next = object->next; /* read first: the object goes */
        object->release(object);
        object = next;
        count++;
    }
    is_releasing = false;
    return count;
}

static struct epoch_retired *take_generation(struct epochs *epochs, uint64_t epoch)
    REQUIRES(epochs->lock)
{
    struct generation *generation = &epochs->generations[epoch % GENERATIONS];
    struct epoch_retired *first = generation->first;
    generation->first = NULL;
    return first;
}

/* Releasing one object may retire others, hence the loop: it ends when a round frees nothing. */
void epochs_destroy(struct epochs **epochs)
{
    struct epochs *doomed = *epochs;
    if (doomed == NULL)
        return;
    *epochs = NULL;
    for (int i = 0; i < THREAD_REGISTERED_MAX; i++)
        assert(atomic_load_explicit(&doomed->slots[i].entered, memory_order_acquire) == 0);
    size_t released;
    do {
        released = 0;
        for (uint64_t epoch = 0; epoch < GENERATIONS; epoch++) {
            lock_acquire(&doomed->lock);
            struct epoch_retired *first = take_generation(doomed, epoch);
            lock_release(&doomed->lock);
            released += release_all(first);
        }
    } while (released > 0);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* Before the slot is written, so that a collector that sees the slot in use also looks at it. */
static void raise_slots_count(struct epochs *epochs, int number)
{
    int count = atomic_load_explicit(&epochs->slots_count, memory_order_relaxed);
    while (count <= number) {
        if (atomic_compare_exchange_weak_explicit(&epochs->slots_count, &count, number + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            break;
    }
}

void epoch_enter(struct epochs *epochs)
{
    int number = thread_number();
    assert(number >= 0);
    struct slot *slot = &epochs->slots[number];
    if (slot->nesting++ > 0)
        return;
    raise_slots_count(epochs, number);
    uint64_t epoch = atomic_load_explicit(&epochs->epoch, memory_order_acquire);
    atomic_store_explicit(&slot->entered, epoch, memory_order_release); /* after the last leave */
    atomic_thread_fence(memory_order_seq_cst);                          /* pairs with step() */
}

/* Release: all that was read inside is done before the slot is seen empty. */
void epoch_leave(struct epochs *epochs)
{
    int number = thread_number();
    assert(number >= 0);
    struct slot *slot = &epochs->slots[number];
    assert(slot->nesting > 0);
    if (--slot->nesting == 0)
        atomic_store_explicit(&slot->entered, 0, memory_order_release);
}

/* Moves the epoch on if every reader inside shows it, and takes off what nobody can see any more.
 */
static bool step(struct epochs *epochs, struct epoch_retired **out_free) REQUIRES(epochs->lock)
{
    uint64_t epoch = atomic_load_explicit(&epochs->epoch, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with epoch_enter() */
    int count = atomic_load_explicit(&epochs->slots_count, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        uint64_t entered = atomic_load_explicit(&epochs->slots[i].entered, memory_order_acquire);
        if (entered != 0 && entered != epoch)
            return false;
    }
    /* Release: who reads the new epoch has also seen every unlink before it. */
    atomic_store_explicit(&epochs->epoch, epoch + 1, memory_order_release);
    *out_free = take_generation(epochs, epoch + 2); /* the generation of epoch - 1 */
    return true;
}

void epoch_retire(struct epochs *epochs, struct epoch_retired *object,
                  void (*release)(struct epoch_retired *object))
{
    assert(release != NULL);
    object->release = release;
    struct epoch_retired *free_now = NULL;
    lock_acquire(&epochs->lock);
    uint64_t epoch = atomic_load_explicit(&epochs->epoch, memory_order_relaxed);
    struct generation *generation = &epochs->generations[epoch % GENERATIONS];
    object->next = generation->first;
    generation->first = object;
    if (!is_releasing)
        (void)step(epochs, &free_now);
    lock_release(&epochs->lock);
    if (free_now != NULL)
        (void)release_all(free_now);
}

/* As many steps as there are generations: with no reader inside, everything goes. */
size_t epoch_collect(struct epochs *epochs)
{
    assert(!is_releasing);
    int number = thread_number();
    assert(number < 0 || epochs->slots[number].nesting == 0);
    size_t released = 0;
    bool stepped = true;
    for (int i = 0; i < GENERATIONS && stepped; i++) {
        struct epoch_retired *free_now = NULL;
        lock_acquire(&epochs->lock);
        stepped = step(epochs, &free_now);
        lock_release(&epochs->lock);
        released += release_all(free_now);
    }
    return released;
}
