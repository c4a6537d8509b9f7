/*
 * set.h - a Set, for whoever has the bytes of its request: Set itself, and SetStream at its finish.
 * Threads: compute.
 */
#pragma once
#include "server/codec.h"
#include "server/grpc/call.h"

typedef enum status set_writer(const struct cache_set_reply *reply, struct arena *arena,
                               struct codec_reply *out);

/*
 * Ends the caller's ownership: stores, with a vector if there is to be one, and replies by `write`.
 * lease: goes on to the next in line if nothing is stored; empty: it stays with its holder, who may
 * try again. The bytes of both live as long as the call. The method's `woken` is set_woken.
 */
void set_run(struct call *call, struct text request, struct text lease, set_writer *write);
