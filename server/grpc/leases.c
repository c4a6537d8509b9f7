/*
 * leases.c - ReleaseLease: short enough for the I/O thread. The waiting itself is Get's (get.c).
 * Owns nothing. Threads: I/O.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"

static enum status release_lease(struct call *call, struct codec_reply *out_reply,
                                 struct failure *failure)
{
    struct door *door = call_door(call);
    struct text message, token;
    enum status status = call_short_message(call, &message, failure);
    if (status == STATUS_OK)
        status = codec_read_release_lease(message, door->limits, call->arena, &token, failure);
    if (status != STATUS_OK)
        return status;
    uint32_t waiters = 0;
    const bool released = cache_release_lease(door->cache, token, clock_monotonic_us(), &waiters);
    return codec_write_release_lease(released, waiters, call->arena, out_reply);
}

void handle_release_lease(struct call *call)
{
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = release_lease(call, &reply, &failure);
    reply_outcome(call, status, &reply, &failure);
}
