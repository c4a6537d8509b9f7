/*
 * watch.h - a stream that tells something from time to time until its caller leaves or the door
 * closes: WatchStats and Monitor. Threads: the call's owner.
 */
#pragma once
#include "server/codec.h"
#include "server/grpc/call.h"
#include "server/grpc/timers.h"

struct watch;

struct watch_way {      /* what is different */
    size_t watch_bytes; /* of a struct that begins with a watch */
    /* Fills what follows the watch, and its interval. I/O thread. */
    enum status (*begin)(struct call *call, struct watch *watch, struct text message,
                         struct failure *failure);
    /* The next message, in this arena; an empty head: there is nothing to tell. Compute. */
    enum status (*tell)(struct call *call, struct watch *watch, struct arena *arena,
                        struct codec_reply *out_reply, struct failure *failure);
    /* After a begin that went well, once; NULL: nothing is held. */
    void (*end)(struct call *call, struct watch *watch);
};

struct watch { /* in its call's arena */
    const struct watch_way *way;
    struct timer timer;
    uint32_t interval_ms;
    uint64_t told_us; /* when the last message was due */
};

/* The message is there. The method's woken, written and closed are those below. */
void watch_run(struct call *call, const struct watch_way *way);
