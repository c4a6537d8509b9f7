/*
 * memory.h - what the vectors may hold: every chunk of rows is charged before it is allocated. A
 * part of the budget is kept for rewriting, so that a full index can still throw its dead rows
 * out.
 *
 * Threads: any. The budget lives until its owner has closed it and the last byte is back: what
 * waits for readers to leave may outlast the directory.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct memory;

enum memory_use {
    MEMORY_ROWS,    /* new rows: up to the budget less the part that is kept for rewriting */
    MEMORY_REWRITE, /* rows that are copied: up to the whole budget                        */
};

/* bytes_max 0: a quarter of the memory of this container, or of the machine. */
enum status memory_open(uint64_t bytes_max, struct memory **out_memory);
void memory_close(struct memory **memory);

/* 64-byte aligned, from 2 MiB on in huge pages; not cleared. NULL if it does not fit. */
void *memory_alloc(struct memory *memory, enum memory_use use, size_t size_bytes);
void memory_free(struct memory *memory, void *block, size_t size_bytes);

/* The count alone, for memory that another library allocates. False if it does not fit. */
_Bool memory_charge(struct memory *memory, enum memory_use use, uint64_t size_bytes);
void memory_discharge(struct memory *memory, uint64_t size_bytes);

uint64_t memory_used(struct memory *memory);
uint64_t memory_max(const struct memory *memory);

/* True when more than three quarters are in use: then rewriting pays earlier. */
_Bool memory_is_tight(struct memory *memory);
