/*
 * listener.c - the door as a whole: the server object of the core, its port, its queues and their
 * threads; start and drain.
 *
 * Two I/O threads share a queue, because a connection stays on the queue that accepted it and one
 * busy client must not be left with one thread. The server's shutdown reports to a queue of its own
 * that polls nothing, on which the draining thread can wait with a time limit.
 *
 * THREADS. listener.h says who calls what. `hurry`, `leaving` and the door's counts are atomic, all
 * else is constant after create. NOT HERE. What happens to calls (call.c), the arguments of the
 * core (arguments.c).
 */
#include "server/grpc/listener.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "proto/descriptor_set.h"
#include "server/address.h"
#include "server/codec.h"
#include "server/grpc/arguments.h"
#include "server/grpc/door.h"
#include "server/grpc/health.h"
#include "server/grpc/methods.h"
#include "server/grpc/queue.h"
#include "server/grpc/reply.h"
#include "server/grpc/symbols.h"
#include "server/grpc/tally.h"
#include "server/grpc/timers.h"
#include "server/grpc/worker.h"

enum {
    THREADS_MAX = 64,
    QUEUES_MAX = THREADS_MAX / 2,
    THREADS_PER_QUEUE = 2,
    QUIET_MS = 100,     /* nobody called for so long: callers have gone elsewhere */
    QUIET_MAX_MS = 500, /* how long a drain waits for that */
    WAIT_STEP_MS = 20,  /* how soon a drain notices that it is to hurry */
    WAIT_REPORT_MS = 5000,
    IDLE_CONNECTIONS_MS = 100, /* what a client has to close its idle connection itself */
    WITHOUT_VECTOR_MS = 5000,  /* so long before a drain's end calls go on without their vectors */
};

struct listener {
    struct door door;
    struct queue *queues[QUEUES_MAX];
    uint32_t queues_count;
    struct thread *threads[THREADS_MAX];
    uint32_t threads_count;
    grpc_completion_queue *drain_queue;
    int port;
    bool started;
    atomic_bool hurry;
    atomic_bool leaving; /* a drain has begun */
};

/* ---- Create ---- */

static int64_t option_ms(const struct options *options, const char *name)
{
    return (int64_t)(options_us(options, name) / 1000);
}

static void read_live_options(struct door *door, const struct options *options)
{
    atomic_store(&door->inflight_max, (unsigned)options_uint(options, "server.inflight_max"));
    atomic_store(&door->read_timeout_ms, option_ms(options, "server.read_timeout"));
    atomic_store(&door->send_timeout_ms, option_ms(options, "server.send_timeout"));
    atomic_store(&door->stream_timeout_ms, option_ms(options, "server.stream_timeout"));
    atomic_store(&door->degrade, strcmp(options_text(options, "server.overload"), "degrade") == 0);
}

static void read_options(struct door *door, const struct options *options)
{
    read_live_options(door, options);
    door->streams_max = (uint32_t)options_uint(options, "server.streams_max");
    door->reflection = options_flag(options, "grpc.reflection");
}

static enum status create_door(struct door *door, const struct listener_setup *setup)
{
    door->cache = setup->cache;
    door->pool = setup->pool;
    door->limits = setup->limits;
    door->live = setup->live;
    read_options(door, setup->options);
    struct text set = {(const char *)descriptor_set, descriptor_set_size};
    enum status status = symbols_create(set, &door->symbols);
    if (status == STATUS_OK)
        status = health_create(door->symbols, &door->health);
    if (status == STATUS_OK)
        status = timers_create(door->streams_max, &door->timers);
    if (status == STATUS_OK)
        status = pushbacks_create(&door->pushbacks);
    if (status == STATUS_OK)
        status = counters_create(DOOR_COUNTERS, &door->counters);
    if (status == STATUS_OK)
        status = tally_create(&door->tally);
    return status;
}

static void destroy_door(struct door *door)
{
    counters_destroy(&door->tally);
    counters_destroy(&door->counters);
    pushbacks_destroy(&door->pushbacks);
    timers_destroy(&door->timers);
    health_destroy(&door->health);
    symbols_destroy(&door->symbols);
}

/* Slots for what is posted, what may be in flight, and what may be open as a stream. */
static uint32_t calls_max(const struct door *door)
{
    uint32_t count = door->inflight_max + door->streams_max;
    for (enum slot_kind kind = 0; kind < SLOT_KINDS; kind++)
        count += queue_posted[kind];
    return count + QUEUE_SLAB_CALLS - count % QUEUE_SLAB_CALLS;
}

static enum status create_queues(struct listener *listener)
{
    struct door *door = &listener->door;
    uint32_t wanted = (listener->threads_count + THREADS_PER_QUEUE - 1) / THREADS_PER_QUEUE;
    while (listener->queues_count < wanted) {
        struct queue **queue = &listener->queues[listener->queues_count];
        enum status status = queue_create(door, calls_max(door), queue);
        if (status != STATUS_OK)
            return status;
        grpc_server_register_completion_queue(door->server, (*queue)->events, NULL);
        listener->queues_count++;
    }
    return STATUS_OK;
}

/* What the core has to say goes into our log, where equal lines collapse: callers can provoke it.
 */
static void log_of_core(gpr_log_func_args *args)
{
    if (args->severity == GPR_LOG_SEVERITY_ERROR)
        log_write(LOG_WARNING, "grpc", "core", "message=%s", args->message);
}

static void create_drain_queue(struct listener *listener)
{
    const grpc_completion_queue_attributes attributes = {
        .version = GRPC_CQ_CURRENT_VERSION,
        .cq_completion_type = GRPC_CQ_NEXT,
        .cq_polling_type = GRPC_CQ_NON_POLLING,
    };
    listener->drain_queue = grpc_completion_queue_create(
        grpc_completion_queue_factory_lookup(&attributes), &attributes, NULL);
    grpc_server_register_completion_queue(listener->door.server, listener->drain_queue, NULL);
}

static void register_methods(struct door *door)
{
    for (enum slot_kind kind = 0; kind < SLOT_GENERIC; kind++) {
        door->registered[kind] =
            grpc_server_register_method(door->server, methods_registered(kind)->path, NULL,
                                        GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        assert(door->registered[kind] != NULL);
    }
}

static void create_server(struct listener *listener, const struct options *options)
{
    struct arguments arguments;
    arguments_init(&arguments, options);
    const grpc_channel_args channel_args = {arguments.count, arguments.rows};
    listener->door.server = grpc_server_create(&channel_args, NULL);
    arguments_deinit(&arguments);
    register_methods(&listener->door);
    create_drain_queue(listener);
}

static enum status bind_port(struct listener *listener, const char *address,
                             struct failure *failure)
{
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    listener->port = grpc_server_add_http2_port(listener->door.server, address, credentials);
    grpc_server_credentials_release(credentials);
    if (listener->port > 0)
        return STATUS_OK;
    return failure_set(failure, STATUS_UNAVAILABLE, "grpc.listen",
                       "cannot listen on %s; is another server using the port?", address);
}

enum status listener_check(const struct options *options, struct failure *failure)
{
    return address_read("grpc.listen", options_text(options, "grpc.listen"), NULL, failure);
}

enum status listener_create(const struct listener_setup *setup, struct listener **out_listener,
                            struct failure *failure)
{
    assert(setup->io_threads > 0);
    assert(setup->io_threads <= THREADS_MAX);
    enum status status = address_read("grpc.listen", setup->address, NULL, failure);
    if (status != STATUS_OK)
        return status;
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for the gRPC door");
    listener->threads_count = setup->io_threads;
    gpr_set_log_function(log_of_core);
    grpc_init();
    status = create_door(&listener->door, setup);
    if (status != STATUS_OK) {
        (void)failure_set(failure, status, "", "the gRPC door: %s", status_text(status));
        goto destroy_listener;
    }
    create_server(listener, setup->options);
    status = create_queues(listener);
    if (status != STATUS_OK) {
        (void)failure_set(failure, status, "", "no memory for the gRPC door's queues");
        goto destroy_listener;
    }
    status = bind_port(listener, setup->address, failure);
    if (status != STATUS_OK)
        goto destroy_listener;
    *out_listener = listener;
    return STATUS_OK;

destroy_listener:
    listener_destroy(&listener);
    return status;
}

static void close_unstarted(struct listener *listener);

/* The mirror of listener_create. Accepts a listener that is half made, or that nobody started or
 * drained. */
void listener_destroy(struct listener **listener)
{
    struct listener *doomed = *listener;
    if (doomed == NULL)
        return;
    *listener = NULL;
    listener_hurry(doomed);
    if (doomed->door.server != NULL && doomed->started)
        listener_drain(doomed, 0, 0);
    else if (doomed->door.server != NULL)
        close_unstarted(doomed);
    for (uint32_t i = 0; i < doomed->queues_count; i++)
        queue_destroy(&doomed->queues[i]);
    destroy_door(&doomed->door);
    grpc_shutdown();
    free(doomed);
}

void listener_configure(struct listener *listener, const struct options *options)
{
    read_live_options(&listener->door, options);
    for (uint32_t i = 0; i < listener->queues_count; i++)
        queue_set_calls_max(listener->queues[i], calls_max(&listener->door));
}

int listener_port(const struct listener *listener)
{
    return listener->port;
}

/* ---- Start ---- */

static enum status start_threads(struct listener *listener)
{
    enum status started = timers_start(listener->door.timers);
    if (started != STATUS_OK)
        return started;
    for (uint32_t i = 0; i < listener->threads_count; i++) {
        enum status status =
            worker_start(listener->queues[i % listener->queues_count], i, &listener->threads[i]);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status listener_start(struct listener *listener, struct failure *failure)
{
    assert(!listener->started);
    enum status status = start_threads(listener);
    if (status != STATUS_OK)
        return failure_set(failure, status, "server.io_threads", "an I/O thread cannot be started");
    grpc_server_start(listener->door.server);
    listener->started = true;
    for (uint32_t i = 0; i < listener->queues_count; i++) {
        if (!queue_post_all(listener->queues[i]))
            return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for the slots of calls");
    }
    return STATUS_OK;
}

void listener_open(struct listener *listener)
{
    assert(listener->started);
    int loading = DOOR_LOADING;
    if (atomic_compare_exchange_strong(&listener->door.stage, &loading, DOOR_OPEN))
        health_set_serving(listener->door.health, true);
}

enum listener_readiness listener_readiness(const struct listener *listener)
{
    if (atomic_load(&listener->leaving))
        return LISTENER_DRAINING;
    return atomic_load(&listener->door.stage) == DOOR_LOADING ? LISTENER_LOADING : LISTENER_SERVING;
}

void listener_tick(struct listener *listener, int64_t now_ms)
{
    for (uint32_t i = 0; i < listener->queues_count; i++)
        queue_cancel_slow(listener->queues[i], now_ms);
}

/* ---- Drain ---- */

void listener_hurry(struct listener *listener)
{
    atomic_store(&listener->hurry, true);
}

/* Waits for the server's shutdown, and be it only for a moment. True: it has shut down. */
static bool wait_ms(struct listener *listener, int64_t duration_ms)
{
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(duration_ms, GPR_TIMESPAN));
    grpc_event event = grpc_completion_queue_next(listener->drain_queue, until, NULL);
    if (event.type != GRPC_OP_COMPLETE)
        return false;
    assert(event.tag == listener);
    return true;
}

static uint32_t calls_out(struct listener *listener)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < listener->queues_count; i++)
        count += queue_calls_out(listener->queues[i]);
    return count;
}

static uint32_t slots_away(struct listener *listener)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < listener->queues_count; i++)
        count += queue_slots_away(listener->queues[i]);
    return count;
}

/* Serving goes on; health has said that it will not for long. */
static void wait_for_delay(struct listener *listener, int64_t delay_ms)
{
    for (int64_t waited_ms = 0; waited_ms < delay_ms && !atomic_load(&listener->hurry);
         waited_ms += WAIT_STEP_MS)
        (void)wait_ms(listener, WAIT_STEP_MS);
}

/*
 * Callers are told to go elsewhere until they have all heard it: what reaches the core after its
 * shutdown, and be it only because it crosses the GOAWAY, is cancelled without asking us. A single
 * quiet step says nothing on a busy machine, where the I/O threads or the callers may not have had
 * a processor meanwhile; and who is still inside may call again once answered.
 */
static void refuse_calls(struct listener *listener)
{
    struct door *door = &listener->door;
    atomic_store(&door->stage, DOOR_REFUSING);
    if (door->cache != NULL)
        cache_close_leases(door->cache); /* who waits for another's answer is told to compute */
    uint64_t refused = 0;
    int64_t quiet_ms = 0;
    for (int64_t waited_ms = 0; waited_ms < QUIET_MAX_MS && quiet_ms < QUIET_MS;
         waited_ms += WAIT_STEP_MS) {
        if (atomic_load(&listener->hurry))
            break;
        (void)wait_ms(listener, WAIT_STEP_MS);
        uint64_t before = refused;
        refused = counters_read(door->counters, DOOR_REFUSED_DRAINING);
        bool quiet = refused == before && atomic_load(&door->inflight) == 0;
        quiet_ms = quiet ? quiet_ms + WAIT_STEP_MS : 0;
    }
    log_write(LOG_INFO, "grpc", "no new calls", "refused=%llu inflight=%u streams=%u",
              (unsigned long long)refused, atomic_load(&door->inflight),
              atomic_load(&door->streams));
}

static void end_streams(struct listener *listener)
{
    atomic_store(&listener->door.stage, DOOR_ENDING);
    health_end_watches(listener->door.health);
    timers_hurry(listener->door.timers); /* what is left of paced replies is sent at once */
    for (uint32_t i = 0; i < listener->queues_count; i++)
        queue_cancel_streams(listener->queues[i]);
    log_write(LOG_INFO, "grpc", "streams ended", NULL);
}

/* An embedder that does not answer would take callers the answers that need none of it: Gets become
 * misses and Sets are stored without a vector while there is time to say so, half of it at most. */
static int64_t embedding_ms(int64_t timeout_ms)
{
    return timeout_ms / 2 < WITHOUT_VECTOR_MS ? timeout_ms / 2 : timeout_ms - WITHOUT_VECTOR_MS;
}

static void stop_embedding(struct listener *listener)
{
    if (listener->door.cache != NULL)
        cache_stop_embedding(listener->door.cache);
}

/*
 * True: the server has shut down, its last connection being closed. False: some are not, and either
 * calls have had their time, or no call is left. Clients that poll only while they call (Python's)
 * would keep idle connections for seconds.
 */
static bool wait_for_calls(struct listener *listener, int64_t timeout_ms)
{
    const int64_t until_ms = embedding_ms(timeout_ms);
    int64_t idle_ms = 0;
    bool embeds = true;
    for (int64_t waited_ms = 0; waited_ms <= timeout_ms && idle_ms < IDLE_CONNECTIONS_MS;
         waited_ms += WAIT_STEP_MS) {
        if (embeds && waited_ms >= until_ms) {
            log_write(LOG_INFO, "grpc", "embedding ends", "calls=%u", calls_out(listener));
            stop_embedding(listener);
            embeds = false;
        }
        if (wait_ms(listener, WAIT_STEP_MS))
            return true;
        idle_ms = slots_away(listener) == 0 ? idle_ms + WAIT_STEP_MS : 0;
        if (atomic_load(&listener->hurry))
            return false;
    }
    return false;
}

/* Calls end when they have been cancelled; a compute thread may need a moment for that. */
static void wait_for_end(struct listener *listener)
{
    for (int64_t waited_ms = 0; !wait_ms(listener, WAIT_REPORT_MS);) {
        waited_ms += WAIT_REPORT_MS;
        log_write(LOG_WARNING, "grpc", "calls do not end", "waited_ms=%lld", (long long)waited_ms);
    }
}

static void shut_server_down(struct listener *listener, int64_t timeout_ms)
{
    grpc_server *server = listener->door.server;
    grpc_server_shutdown_and_notify(server, listener->drain_queue, listener);
    end_streams(listener);
    if (!wait_for_calls(listener, timeout_ms)) {
        uint32_t left = calls_out(listener);
        log_write(left > 0 ? LOG_WARNING : LOG_INFO, "grpc", "closing connections", "cancelled=%u",
                  left);
        stop_embedding(listener); /* else its answers hold them for longer */
        grpc_server_cancel_all_calls(server);
        wait_for_end(listener);
    }
    while (slots_away(listener) > 0) /* who arrives or ends may still ask something of the server */
        (void)wait_ms(listener, 1);
    grpc_server_destroy(server);
    listener->door.server = NULL;
    log_write(LOG_INFO, "grpc", "calls finished", NULL);
}

static void empty_queue(grpc_completion_queue *queue)
{
    grpc_event event;
    do {
        event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_OP_COMPLETE)
            call_handle_event(event.tag, event.success != 0);
    } while (event.type != GRPC_QUEUE_SHUTDOWN);
}

/* The threads end when they have taken the last event; a queue whose threads could not be started
 * is emptied here. */
static void end_threads(struct listener *listener)
{
    for (uint32_t i = 0; i < listener->queues_count; i++)
        queue_shutdown(listener->queues[i]);
    for (uint32_t i = 0; i < listener->threads_count; i++)
        thread_join(&listener->threads[i]);
    for (uint32_t i = 0; i < listener->queues_count; i++)
        empty_queue(listener->queues[i]->events);
    grpc_completion_queue_shutdown(listener->drain_queue);
    empty_queue(listener->drain_queue);
    grpc_completion_queue_destroy(listener->drain_queue);
}

/* Nobody was ever let in. */
static void close_unstarted(struct listener *listener)
{
    grpc_server_shutdown_and_notify(listener->door.server, listener->drain_queue, listener);
    wait_for_end(listener);
    grpc_server_destroy(listener->door.server);
    listener->door.server = NULL;
    end_threads(listener);
}

/* What the door did in its life, for whoever reads the log after it. */
static void log_counts(const struct listener *listener)
{
    struct listener_stats stats;
    listener_stats(listener, &stats);
    log_write(LOG_INFO, "grpc", "counted",
              "calls=%" PRIu64 " shed_inflight=%" PRIu64 " shed_queue=%" PRIu64
              " shed_late=%" PRIu64 " shed_streams=%" PRIu64 " dropped_cancelled=%" PRIu64
              " dropped_deadline=%" PRIu64 " read_timeouts=%" PRIu64 " send_timeouts=%" PRIu64
              " refused_draining=%" PRIu64 " refused_loading=%" PRIu64,
              stats.calls, stats.shed_inflight, stats.shed_queue, stats.shed_late,
              stats.shed_streams, stats.dropped_cancelled, stats.dropped_deadline,
              stats.read_timeouts, stats.send_timeouts, stats.refused_draining,
              stats.refused_loading);
}

void listener_drain(struct listener *listener, int64_t delay_ms, int64_t timeout_ms)
{
    assert(listener->started);
    assert(listener->door.server != NULL); /* once */
    atomic_store(&listener->leaving, true);
    health_set_serving(listener->door.health, false);
    log_write(LOG_INFO, "grpc", "not serving", "delay_ms=%lld", (long long)delay_ms);
    wait_for_delay(listener, delay_ms);
    refuse_calls(listener);
    shut_server_down(listener, timeout_ms);
    end_threads(listener);
    log_write(LOG_INFO, "grpc", "threads ended", NULL);
    log_counts(listener);
}

void listener_metrics(const struct listener *listener, FILE *out)
{
    tally_metrics(listener->door.tally, out);
}

void listener_stats(const struct listener *listener, struct listener_stats *out_stats)
{
    const struct door *door = &listener->door;
    *out_stats = (struct listener_stats){
        .inflight = atomic_load(&door->inflight),
        .streams = atomic_load(&door->streams),
        .calls = counters_read(door->counters, DOOR_CALLS),
        .shed_inflight = counters_read(door->counters, DOOR_SHED_INFLIGHT),
        .shed_queue = counters_read(door->counters, DOOR_SHED_QUEUE),
        .shed_late = counters_read(door->counters, DOOR_SHED_LATE),
        .shed_streams = counters_read(door->counters, DOOR_SHED_STREAMS),
        .dropped_cancelled = counters_read(door->counters, DOOR_DROPPED_CANCELLED),
        .dropped_deadline = counters_read(door->counters, DOOR_DROPPED_DEADLINE),
        .read_timeouts = counters_read(door->counters, DOOR_READ_TIMEOUTS),
        .send_timeouts = counters_read(door->counters, DOOR_SEND_TIMEOUTS),
        .refused_draining = counters_read(door->counters, DOOR_REFUSED_DRAINING),
        .refused_loading = counters_read(door->counters, DOOR_REFUSED_LOADING),
    };
}
