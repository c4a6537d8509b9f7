/*
 * details.h - what went wrong, from the trailer grpc-status-details-bin: a google.rpc.Status with
 * ErrorInfo (reason), BadRequest (field) and RetryInfo inside. Pure; what it makes lies in the
 * arena. Threads: any.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "clients/c/reprise.h"

/* An allocator for protobuf-c over an arena: allocates there, frees nothing. */
ProtobufCAllocator details_allocator(struct arena *arena);

/* A NUL-terminated copy in the arena; NULL when memory is spent. */
const char *details_copy(struct arena *arena, const void *bytes, size_t size_bytes);

/* Fills reason, field, message and retry_after_ms as far as the bytes hold them. What cannot be
 * read is left out: the status code beside it is the truth, the details only say more. */
void details_read(const void *bytes, size_t size_bytes, struct arena *arena,
                  struct reprise_error *error);
