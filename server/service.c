/*
 * service.c - the process as one object. Top to bottom: settings of the parts, the compute pool,
 * the cache, the gRPC door, the HTTP door, the keeper; destroyed in the opposite order. Owns them
 * all. Threads: main.
 */
#include "server/service.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/pool.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/listener.h"
#include "server/http/listener.h"
#include "server/keeper.h"
#include "server/live.h"

/* clang-format off */
const struct option_row service_option_rows[] = {
    {"server.compute_threads", OPTION_UINT, "0", "0", "160", NULL, "threads",
     "Threads that embed and search; 0: as many as cores minus the I/O threads, at least 1."},
    {"server.compute_queue_max", OPTION_UINT | OPTION_LIVE, "512", "1", "65536", NULL, "jobs",
     "Jobs that may wait for a compute thread; beyond it calls are answered OVERLOADED."},
    {"log.format", OPTION_CHOICE, "text", NULL, NULL, "text|json", "", "How a log line is written to stderr."},
    {"log.level", OPTION_CHOICE | OPTION_LIVE, "info", NULL, NULL, "debug|info|warning|error", "", "The least level that is logged."},
};
/* clang-format on */
const size_t service_option_rows_count =
    sizeof(service_option_rows) / sizeof(service_option_rows[0]);

struct service {
    const struct options *options;
    struct codec_limits limits; /* of what clients send; constant after create */
    struct pool *pool;
    struct cache *cache;
    struct live *live;
    struct listener *listener;
    struct http_listener *http;
    struct keeper *keeper;
    char address[64];
};

static enum log_level level_of(const char *word)
{
    if (strcmp(word, "debug") == 0)
        return LOG_DEBUG;
    if (strcmp(word, "warning") == 0)
        return LOG_WARNING;
    return strcmp(word, "error") == 0 ? LOG_ERROR : LOG_INFO;
}

/* Half of the cores serve the network, 2 to 16 of them: an exact hit is answered where its question
 * arrives. */
static uint32_t io_threads_count(const struct options *options)
{
    uint64_t asked = options_uint(options, "server.io_threads");
    if (asked > 0)
        return (uint32_t)asked;
    uint32_t half = (machine_cores() + 1) / 2;
    return half < 2 ? 2 : half > 16 ? 16 : half;
}

static uint32_t compute_threads_count(const struct options *options)
{
    uint64_t asked = options_uint(options, "server.compute_threads");
    if (asked > 0)
        return (uint32_t)asked;
    uint32_t cores = machine_cores();
    uint32_t io = io_threads_count(options);
    return cores > io ? cores - io : 1;
}

static void read_limits(struct service *service)
{
    const struct options *options = service->options;
    service->limits = (struct codec_limits){
        .batch_max = (uint32_t)options_uint(options, "limits.batch"),
        .tags_max = (uint32_t)options_uint(options, "limits.tags"),
        .metadata_max = (uint32_t)options_uint(options, "limits.metadata"),
        .dimension_max = (uint32_t)options_uint(options, "limits.dimension"),
        .reply_max = options_uint(options, "server.reply_max"),
        .answer_max = options_uint(options, "limits.answer"),
        .key = *cache_key_limits(service->cache),
    };
}

static uint64_t draw(void *context)
{
    (void)context;
    uint64_t drawn = 0;
    clock_chance(&drawn, sizeof(drawn));
    return drawn;
}

static enum status create_cache(struct service *service, const char *version,
                                struct failure *failure)
{
    struct cache_setup setup = {.options = service->options,
                                .started_ms = clock_wall_ms(),
                                .version = version,
                                .clock_us = clock_monotonic_us,
                                .clock_ms = clock_wall_ms,
                                .chance = draw,
                                .pool = service->pool};
    clock_chance(setup.chance_seed, sizeof(setup.chance_seed));
    enum status status = cache_create(&setup, &service->cache, failure);
    if (status == STATUS_OK)
        read_limits(service);
    return status;
}

enum status service_check(const struct options *options, FILE *warnings, struct failure *failure)
{
    struct service service = {.options = options};
    enum status status = pool_create(1, 1, &service.pool);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "no thread to check with");
    status = create_cache(&service, "", failure);
    if (status == STATUS_OK)
        status = listener_check(options, failure);
    if (status == STATUS_OK)
        status = http_listener_check(options, failure);
    if (options_uint(options, "limits.answer") >= options_uint(options, "server.reply_max"))
        (void)fprintf(warnings,
                      "warning: limits.answer is not below server.reply_max: such an answer "
                      "could be stored and never be sent\n");
    if (options_uint(options, "limits.answer") >= options_uint(options, "server.message_max"))
        (void)fprintf(warnings,
                      "warning: limits.answer is not below server.message_max: such an answer "
                      "could never arrive\n");
    pool_destroy(&service.pool);
    cache_destroy(&service.cache);
    return status;
}

static enum status open_door(struct service *service, struct failure *failure)
{
    struct listener_setup setup = {
        .address = options_text(service->options, "grpc.listen"),
        .cache = service->cache,
        .pool = service->pool,
        .limits = &service->limits,
        .options = service->options,
        .live = service->live,
        .io_threads = io_threads_count(service->options),
    };
    enum status status = listener_create(&setup, &service->listener, failure);
    if (status != STATUS_OK)
        return status;
    const char *colon = strrchr(setup.address, ':');
    int host_length = colon != NULL ? (int)(colon - setup.address) : 0;
    (void)snprintf(service->address, sizeof(service->address), "%.*s:%d", host_length,
                   setup.address, listener_port(service->listener));
    return STATUS_OK;
}

static enum status open_http(struct service *service, struct failure *failure)
{
    const struct http_sources sources = {service->cache, service->listener, service->pool};
    return http_listener_create(service->options, &sources, &service->http, failure);
}

/* The cache first: it alone may have no memory for it. */
static enum status apply(void *context, const struct options *options)
{
    struct service *service = context;
    const enum status status = cache_configure(service->cache, options);
    if (status != STATUS_OK)
        return status;
    listener_configure(service->listener, options);
    pool_set_queue_max(service->pool, (uint32_t)options_uint(options, "server.compute_queue_max"));
    service->limits.reply_max = options_uint(options, "server.reply_max");
    log_set_level(level_of(options_text(options, "log.level")));
    return STATUS_OK;
}

static void note_rejected(void *context, bool rejected)
{
    const struct service *service = context;
    cache_note_config(service->cache, rejected);
}

static enum status create_live(struct service *service, struct failure *failure)
{
    const struct live_setup setup = {.options = service->options,
                                     .check = cache_check_options,
                                     .apply = apply,
                                     .rejected = note_rejected,
                                     .context = service};
    const enum status status = live_create(&setup, &service->live);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "no memory for the options");
    return STATUS_OK;
}

static void serve(struct service *service)
{
    listener_open(service->listener);
    log_write(LOG_INFO, "server", "serving", "address=%s io_threads=%u compute_threads=%u",
              service->address, io_threads_count(service->options),
              compute_threads_count(service->options));
}

enum status service_create(const struct options *options, const char *version,
                           struct service **out_service, struct failure *failure)
{
    log_setup(strcmp(options_text(options, "log.format"), "json") == 0,
              level_of(options_text(options, "log.level")));
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory to start");
    service->options = options;
    enum status status =
        pool_create(compute_threads_count(options),
                    (uint32_t)options_uint(options, "server.compute_queue_max"), &service->pool);
    if (status != STATUS_OK) {
        (void)failure_set(failure, status, "server.compute_threads",
                          "the compute threads cannot be started");
        goto destroy_service;
    }
    status = create_cache(service, version, failure);
    if (status != STATUS_OK)
        goto destroy_service;
    status = create_live(service, failure);
    if (status == STATUS_OK)
        status = open_door(service, failure);
    if (status != STATUS_OK)
        goto destroy_service;
    status = keeper_start(service->cache, service->listener, &service->keeper);
    if (status != STATUS_OK) {
        (void)failure_set(failure, status, "", "the keeper's thread cannot be started");
        goto destroy_service;
    }
    status = listener_start(service->listener, failure);
    if (status != STATUS_OK)
        goto destroy_service;
    status = open_http(service, failure);
    if (status != STATUS_OK)
        goto destroy_service;
    if (!cache_has_folder(service->cache))
        serve(service);
    *out_service = service;
    return STATUS_OK;

destroy_service:
    service_destroy(&service);
    return status;
}

/* The mirror of service_create, bottom to top. Accepts a service that is only half made. */
void service_destroy(struct service **service)
{
    struct service *doomed = *service;
    if (doomed == NULL)
        return;
    *service = NULL;
    http_listener_destroy(&doomed->http);
    keeper_stop(&doomed->keeper);
    listener_destroy(&doomed->listener);
    live_destroy(&doomed->live);
    pool_destroy(&doomed->pool);
    cache_destroy(&doomed->cache);
    free(doomed);
}

static enum status load(struct service *service, const char *restore, struct failure *failure)
{
    enum status status = STATUS_OK;
    char aside[RESTORE_FOLDER_MAX];
    if (restore != NULL)
        status = cache_restore(service->cache, text_of(restore), aside, failure);
    if (restore != NULL && status == STATUS_OK)
        log_write(LOG_INFO, "storage", "restored", "snapshot=%s aside=%s", restore, aside);
    if (status == STATUS_OK)
        status = cache_load(service->cache, failure);
    return status;
}

void service_load_while(struct service *service, bool (*is_wanted)(void))
{
    cache_load_while(service->cache, is_wanted);
}

/* It makes rows, so it is a thread that may enter an epoch. */
enum status service_load(struct service *service, const char *restore, struct failure *failure)
{
    if (!cache_has_folder(service->cache)) {
        if (restore == NULL)
            return STATUS_OK;
        return failure_set(failure, STATUS_BAD_OPTION, "restore", "needs storage.path");
    }
    enum status status = thread_register(THREAD_BUILDER);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "no thread to read the data folder with");
    status = load(service, restore, failure);
    thread_unregister();
    if (status != STATUS_OK)
        return status;
    serve(service);
    return STATUS_OK;
}

const char *service_address(const struct service *service)
{
    return service->address;
}

int service_http_port(const struct service *service)
{
    return http_listener_port(service->http);
}

/* Scopes are walked inside an epoch. */
void service_reload(struct service *service, const struct options *fresh)
{
    if (thread_register(THREAD_BUILDER) != STATUS_OK) {
        log_write(LOG_ERROR, "config", "config_rejected", "problem=no thread to change it with");
        return;
    }
    live_reload(service->live, fresh);
    thread_unregister();
}

void service_drain(struct service *service)
{
    listener_drain(service->listener,
                   (int64_t)(live_us(service->live, "server.drain_delay") / 1000),
                   (int64_t)(live_us(service->live, "server.drain_timeout") / 1000));
}

void service_hurry(struct service *service)
{
    listener_hurry(service->listener);
}
