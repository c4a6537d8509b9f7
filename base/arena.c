/*
 * arena.c - scratch memory of one request, in blocks.
 * The first block is made with the arena and kept for life. What does not fit into the open block
 * opens another; a piece larger than a block gets one of its own and the open block stays open, so
 * that one long answer does not waste the rest of a block. Nothing is freed before arena_reset.
 *
 * THREADS. The owner alone.
 * NOT HERE. A budget: whoever hands out arenas bounds what a request may bring.
 */
#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size_bytes; /* of bytes[]                       */
    size_t used_bytes; /* always a multiple of ARENA_ALIGN */
    _Alignas(ARENA_ALIGN) unsigned char bytes[];
};

struct arena {
    struct arena_block *first; /* kept by arena_reset                     */
    struct arena_block *open;  /* the block being filled                  */
    struct arena_block *added; /* all but the first, freed by arena_reset */
    size_t used_bytes;
};

static struct arena_block *block_create(size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = malloc(sizeof(*block) + size_bytes);
    if (block == NULL)
        return NULL;
    block->next = NULL;
    block->size_bytes = size_bytes;
    block->used_bytes = 0;
    return block;
}

enum status arena_create(struct arena **out_arena)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL)
        return STATUS_NO_MEMORY;
    arena->first = block_create(ARENA_BLOCK_BYTES);
    if (arena->first == NULL)
        goto destroy_arena;
    arena->open = arena->first;
    *out_arena = arena;
    return STATUS_OK;

destroy_arena:
    arena_destroy(&arena);
    return STATUS_NO_MEMORY;
}

static void free_added(struct arena *arena)
{
    while (arena->added != NULL) {
        struct arena_block *next = arena->added->next;
        free(arena->added);
        arena->added = next;
    }
}

void arena_destroy(struct arena **arena)
{
    struct arena *doomed = *arena;
    if (doomed == NULL)
        return;
    *arena = NULL;
    free_added(doomed);
    free(doomed->first);
    free(doomed);
}

static void *block_take(struct arena_block *block, size_t size_bytes)
{
    assert(size_bytes <= block->size_bytes - block->used_bytes);
    void *piece = block->bytes + block->used_bytes;
    block->used_bytes += size_bytes;
    assert((uintptr_t)piece % ARENA_ALIGN == 0);
    return piece;
}

/* A block for a piece that the open one cannot hold; NULL when memory is spent. */
static struct arena_block *block_add(struct arena *arena, size_t size_bytes)
{
    bool is_large = size_bytes > ARENA_BLOCK_BYTES;
    struct arena_block *block = block_create(is_large ? size_bytes : ARENA_BLOCK_BYTES);
    if (block == NULL)
        return NULL;
    block->next = arena->added;
    arena->added = block;
    if (!is_large)
        arena->open = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size_t rounded = (size_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (rounded == 0)
        rounded = ARENA_ALIGN; /* a pointer of its own, even to nothing */
    struct arena_block *block = arena->open;
    if (rounded > block->size_bytes - block->used_bytes)
        block = block_add(arena, rounded);
    if (block == NULL)
        return NULL;
    arena->used_bytes += rounded;
    return block_take(block, rounded);
}

void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total))
        return NULL;
    void *piece = arena_alloc(arena, total);
    if (piece != NULL)
        memset(piece, 0, total);
    return piece;
}

void arena_reset(struct arena *arena)
{
    free_added(arena);
    arena->open = arena->first;
    arena->first->used_bytes = 0;
    arena->used_bytes = 0;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used_bytes;
}
