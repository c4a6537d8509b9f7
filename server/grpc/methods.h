/*
 * methods.h - which paths exist, and who answers them. The table is constant and sorted by path.
 * Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "server/grpc/door.h"

struct call;

struct method {
    const char *path;
    enum slot_kind acceptor; /* SLOT_GENERIC, or the method's own                              */
    bool stream;
    bool finishes;      /* a stream that a drain waits for, as for a call                 */
    bool always;        /* answered over server.inflight_max too: probes                  */
    bool reflection;    /* exists only with grpc.reflection                               */
    bool while_loading; /* answered before the data folder has been read               */
    void (*handle)(struct call *call); /* the message is there; ends with a reply or a hand-off */
    void (*woken)(struct call *call);  /* a parked call goes on; NULL: it never parks            */
    /* Of streams; NULL where it cannot happen or does not matter. */
    void (*ended)(struct call *call); /* no message any more                                  */
    void (*written)(struct call *call, bool success);
    void (*closed)(struct call *call); /* from any thread of the queue: not the owner; of calls
                                          that wait for others too                              */
};

/* NULL: there is no such method. */
const struct method *methods_find(struct text path);
/* The method with an acceptor of its own. */
const struct method *methods_registered(enum slot_kind acceptor);

const struct method *methods_all(size_t *out_count);
