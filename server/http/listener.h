/*
 * listener.h - the HTTP door: what people and machines that watch the server read. A port of its
 * own, so that probes and scrapes are answered when the gRPC door is loading, full or draining.
 * Threads: main creates and destroys.
 */
#pragma once
#include <stdint.h>

#include "base/options.h"
#include "base/status.h"

struct cache;
struct http_listener;
struct listener;
struct pool;

/* http.* */
extern const struct option_row http_option_rows[];
extern const size_t http_option_rows_count;

/* What the pages show. Borrowed; it outlives the door. */
struct http_sources {
    struct cache *cache;
    const struct listener *grpc;
    const struct pool *compute;
};

/* Would http_listener_create accept these options? STATUS_BAD_OPTION (the address). */
enum status http_listener_check(const struct options *options, struct failure *failure);

/*
 * Listens and serves at once. *out_listener is NULL if http.listen is empty.
 * STATUS_BAD_OPTION (the address), STATUS_UNAVAILABLE (somebody else has the port),
 * STATUS_NO_MEMORY.
 */
enum status http_listener_create(const struct options *options, const struct http_sources *sources,
                                 struct http_listener **out_listener, struct failure *failure);

/* The bound port; 0 of NULL. */
int http_listener_port(const struct http_listener *listener);

/* Replies that are being made are sent, then connections close. NULL is fine. */
void http_listener_destroy(struct http_listener **listener);
