/*
 * keeper.c - one thread that does what is due every 100 ms, and looks at leases twice as often: who
 * follows a lost holder is to do so within 100 ms. It never answers a call and never waits for one.
 * Owns its thread and the eventfd that ends its sleep. A tick that takes longer than its share
 * delays the next one; ticks are not made up for, because each does a bounded share of work that
 * the next continues.
 */
#include "server/keeper.h"

#include <assert.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "server/grpc/listener.h"

struct keeper {
    struct cache *cache;
    struct listener *listener;
    struct thread *thread;
    int stop_event; /* readable once keeper_stop was called */
};

static bool wait_for_half_tick(const struct keeper *keeper)
{
    struct pollfd stop = {.fd = keeper->stop_event, .events = POLLIN};
    return poll(&stop, 1, KEEPER_TICK_MS / 2) <= 0;
}

static void keep(void *argument)
{
    struct keeper *keeper = argument;
    for (unsigned halves = 1; wait_for_half_tick(keeper); halves++) {
        cache_tick_leases(keeper->cache, clock_monotonic_us());
        if (halves % 2 != 0)
            continue;
        cache_tick(keeper->cache, clock_wall_ms());
        listener_tick(keeper->listener, (int64_t)(clock_monotonic_us() / 1000));
    }
}

enum status keeper_start(struct cache *cache, struct listener *listener, struct keeper **out_keeper)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL)
        return STATUS_NO_MEMORY;
    keeper->cache = cache;
    keeper->listener = listener;
    enum status status = STATUS_NO_MEMORY;
    keeper->stop_event = eventfd(0, EFD_CLOEXEC);
    if (keeper->stop_event >= 0)
        status = thread_create(THREAD_KEEPER, "keeper", keep, keeper, &keeper->thread);
    if (status != STATUS_OK)
        keeper_stop(&keeper);
    else
        *out_keeper = keeper;
    return status;
}

/* The mirror of keeper_start. Accepts a keeper without a thread. */
void keeper_stop(struct keeper **keeper)
{
    struct keeper *doomed = *keeper;
    if (doomed == NULL)
        return;
    *keeper = NULL;
    if (doomed->thread != NULL) {
        ssize_t written = write(doomed->stop_event, &(uint64_t){1}, sizeof(uint64_t));
        assert(written == sizeof(uint64_t)); /* an eventfd of our own takes a first count */
        thread_join(&doomed->thread);
    }
    if (doomed->stop_event >= 0)
        (void)close(doomed->stop_event);
    free(doomed);
}
