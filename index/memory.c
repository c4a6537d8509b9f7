/*
 * memory.c - the budget of the vectors, and the blocks that are charged to it.
 *
 * Blocks of 2 MiB and more are mapped, aligned to huge pages and advised so: a scan of ordinary
 * pages waits for the page tables, and the heap would keep the holes that dropped chunks leave.
 * Smaller ones come from the heap.
 *
 * The budget counts what is really there: a block that waits for readers to leave is still
 * charged.
 *
 * THREADS. Any; INDEX_MEMORY guards the count. Whoever gives the last byte back after memory_close
 * frees the budget.
 *
 * NOT HERE. What is given up when the budget is spent: pressure.c.
 */
#include "index/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/machine.h"

enum {
    HUGE_PAGE_BYTES = 2 << 20,
    BLOCK_ALIGN = 64,
    REWRITE_SHARE = 16, /* one part of so many is kept for rewriting */
    STANDARD_SHARE = 4, /* the default: one part of so many of the container's memory */
};

struct memory {
    struct lock lock;
    uint64_t bytes_max; /* as opened; never changes */
    uint64_t size_bytes GUARDED;
    bool closed GUARDED;
};

/* ---- open and close -------------------------------------------------------------------------- */

UNSHARED enum status memory_open(uint64_t bytes_max, struct memory **out_memory)
{
    struct memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL)
        return STATUS_NO_MEMORY;
    memory->bytes_max = bytes_max > 0 ? bytes_max : machine_memory_bytes() / STANDARD_SHARE;
    assert(memory->bytes_max > 0);
    lock_init(&memory->lock, LOCK_RANK_INDEX_MEMORY);
    *out_memory = memory;
    return STATUS_OK;
}

static void destroy(struct memory *memory)
{
    lock_deinit(&memory->lock);
    free(memory);
}

void memory_close(struct memory **memory)
{
    struct memory *doomed = *memory;
    if (doomed == NULL)
        return;
    *memory = NULL;
    lock_acquire(&doomed->lock);
    assert(!doomed->closed);
    doomed->closed = true;
    const bool was_last = doomed->size_bytes == 0;
    lock_release(&doomed->lock);
    if (was_last)
        destroy(doomed);
}

/* ---- the count ------------------------------------------------------------------------------- */

bool memory_charge(struct memory *memory, enum memory_use use, uint64_t size_bytes)
{
    uint64_t limit = memory->bytes_max;
    if (use == MEMORY_ROWS)
        limit -= limit / REWRITE_SHARE;
    lock_acquire(&memory->lock);
    assert(!memory->closed);
    assert(memory->size_bytes <= memory->bytes_max);
    const bool fits = memory->size_bytes <= limit && size_bytes <= limit - memory->size_bytes;
    if (fits)
        memory->size_bytes += size_bytes;
    lock_release(&memory->lock);
    return fits;
}

void memory_discharge(struct memory *memory, uint64_t size_bytes)
{
    lock_acquire(&memory->lock);
    assert(memory->size_bytes >= size_bytes);
    memory->size_bytes -= size_bytes;
    const bool was_last = memory->closed && memory->size_bytes == 0;
    lock_release(&memory->lock);
    if (was_last)
        destroy(memory);
}

uint64_t memory_used(struct memory *memory)
{
    lock_acquire(&memory->lock);
    const uint64_t used = memory->size_bytes;
    lock_release(&memory->lock);
    return used;
}

uint64_t memory_max(const struct memory *memory)
{
    return memory->bytes_max;
}

bool memory_is_tight(struct memory *memory)
{
    return memory_used(memory) > memory->bytes_max / 4 * 3;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static size_t pages_of(size_t size_bytes)
{
    return (size_bytes + 4095) / 4096 * 4096;
}

/* Maps a huge page more than needed and gives back what lies before and behind the aligned part. */
static void *map_aligned(size_t size_bytes)
{
    const size_t wanted = pages_of(size_bytes), mapped = wanted + HUGE_PAGE_BYTES;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    const size_t before = (size_t)(-(uintptr_t)start % HUGE_PAGE_BYTES);
    const size_t behind = mapped - wanted - before;
    if (before > 0)
        (void)munmap(start, before);
    if (behind > 0)
        (void)munmap(start + before + wanted, behind);
    (void)madvise(start + before, wanted, MADV_HUGEPAGE); /* only advice: some kernels have none */
    return start + before;
}

static void *allocate(size_t size_bytes)
{
    if (size_bytes >= HUGE_PAGE_BYTES)
        return map_aligned(size_bytes);
    return aligned_alloc(BLOCK_ALIGN, (size_bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN);
}

void *memory_alloc(struct memory *memory, enum memory_use use, size_t size_bytes)
{
    assert(size_bytes > 0);
    if (!memory_charge(memory, use, size_bytes))
        return NULL;
    void *block = allocate(size_bytes);
    if (block == NULL)
        memory_discharge(memory, size_bytes);
    assert((uintptr_t)block % BLOCK_ALIGN == 0);
    return block;
}

void memory_free(struct memory *memory, void *block, size_t size_bytes)
{
    assert(block != NULL);
    assert(size_bytes > 0);
    if (size_bytes >= HUGE_PAGE_BYTES)
        (void)munmap(block, pages_of(size_bytes));
    else
        free(block);
    memory_discharge(memory, size_bytes);
}
