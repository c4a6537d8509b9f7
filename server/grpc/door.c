/*
 * door.c - how many may be inside. The counts are decided before a message is unpacked: what is
 * refused costs little. Owns nothing. Threads: any.
 */
#include "server/grpc/door.h"

#include "base/check.h"

const struct text door_tenant = {"default", sizeof("default") - 1};

static bool enter(atomic_uint *count, uint32_t max)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

static void leave(atomic_uint *count)
{
    unsigned before = atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    assert(before > 0);
}

bool door_enter(struct door *door)
{
    bool entered = enter(&door->inflight, door->inflight_max);
    counters_add(door->counters, entered ? DOOR_CALLS : DOOR_SHED_INFLIGHT, 1);
    return entered;
}

void door_leave(struct door *door)
{
    leave(&door->inflight);
}

bool door_enter_stream(struct door *door)
{
    bool entered = enter(&door->streams, door->streams_max);
    counters_add(door->counters, entered ? DOOR_CALLS : DOOR_SHED_STREAMS, 1);
    return entered;
}

void door_leave_stream(struct door *door)
{
    leave(&door->streams);
}

bool door_enter_waiting(struct door *door)
{
    return enter(&door->waiting, door->inflight_max / 2);
}

void door_leave_waiting(struct door *door)
{
    leave(&door->waiting);
}
