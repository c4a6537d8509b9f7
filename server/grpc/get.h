/*
 * get.h - a Get, for whoever asks it and answers it in a way of its own: Get, and GetStream.
 * Threads: the call's owner.
 */
#pragma once
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/call.h"

struct get_work;

/* What is different. */
struct get_way {
    size_t work_bytes; /* of a struct that begins with a get_work */
    /* Fills work->request, and what follows the get_work. */
    enum status (*read)(struct get_work *work, struct text message,
                        const struct codec_limits *limits, struct failure *failure);
    /* The reply is complete: sends it, releases the Get, and ends the ownership. */
    void (*send)(struct call *call, struct cache_get *get);
};

struct get_work { /* in the call's arena */
    const struct get_way *way;
    struct call *call;
    struct cache_get_request request;
    struct cache_get get;
    struct embed_job job;
    struct lease_waiter waiter;
    enum lease_end end; /* what it was woken with */
};

/* The whole walk. The method's `woken` and `closed` are get_woken and get_closed, or call them. */
void get_run(struct call *call, const struct get_way *way);
