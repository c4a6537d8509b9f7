/*
 * listener.c - the HTTP door over libmicrohttpd: connections, limits, and the way of a request from
 * a thread of the library to one of ours and back.
 *
 * A page that walks namespaces or the index enters an epoch, which only threads of ours may. So its
 * connection is suspended, a thread of the door makes the page, and the connection goes on. That
 * thread is not one of compute's: when compute is full is when somebody looks.
 *
 * Only GET and HEAD without a body are served; anything else is refused at its head and the
 * connection closed, so that nobody uploads to this door.
 *
 * THREADS. The library has one, which accepts, reads and writes; the door has one for pages. A
 * request belongs to the first until it is suspended, then to the second until it is resumed.
 * `closing` and `made` are atomic.
 *
 * NOT HERE. Which pages there are and what they say (routes.c, health_page.c, metrics_page.c).
 */
#include "server/http/listener.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pool.h"
#include "server/address.h"
#include "server/http/pages.h"

/* clang-format off */
const struct option_row http_option_rows[] = {
    {"http.listen", OPTION_STRING, "127.0.0.1:7370", NULL, NULL, NULL, "",
     "Where metrics (/metrics) and probes (/livez, /readyz, /health) are served over HTTP, as HOST:PORT; port 0 picks a free one; empty: nowhere. Loopback only, as grpc.listen."},
    {"http.connections_max", OPTION_UINT, "64", "1", "4096", NULL, "connections",
     "Connections of the HTTP door; one more is closed at once."},
    {"http.timeout", OPTION_DURATION, "10s", "1s", "10min", NULL, "",
     "A connection of the HTTP door on which nothing moves for so long is closed; whole seconds."},
};
/* clang-format on */
const size_t http_option_rows_count = sizeof(http_option_rows) / sizeof(http_option_rows[0]);

enum {
    CONNECTION_BYTES = 16 * 1024, /* of memory, and so the most that a head may have */
    PAGES_WAITING_MAX = 64,
    CLOSING_STEP_MS = 1,
};

struct http_listener {
    struct http_sources sources;
    struct MHD_Daemon *daemon;
    struct pool *makers; /* of one thread */
    int port;
    atomic_bool closing; /* no page is begun any more */
    atomic_uint made;    /* pages that are being made */
};

struct request {
    struct pool_job job;
    struct http_listener *listener;
    struct MHD_Connection *connection;
    const struct route *route;
    bool answered; /* its page is made, in `page` */
    struct page page;
};

static enum MHD_Result send_page(struct MHD_Connection *connection, struct page *page,
                                 const char *allow)
{
    if (page->body == NULL)
        return MHD_NO; /* which closes the connection */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(page->body_bytes, page->body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(page->body);
        page->body = NULL;
        return MHD_NO;
    }
    page->body = NULL; /* it is the response's now */
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (allow != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    enum MHD_Result result = MHD_queue_response(connection, page->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *words,
                              const char *allow)
{
    struct page page;
    page_of_words(status, words, &page);
    return send_page(connection, &page, allow);
}

/* ---- a page on a thread of ours -------------------------------------------------------------- */

static void make_page(struct pool_job *job)
{
    struct request *request = (struct request *)job; /* its first member */
    struct http_listener *listener = request->listener;
    request->route->make(&listener->sources, &request->page);
    request->answered = true;
    MHD_resume_connection(request->connection); /* the request is not ours from here on */
    atomic_fetch_sub(&listener->made, 1);
}

static enum MHD_Result hand_over(struct request *request)
{
    struct http_listener *listener = request->listener;
    atomic_fetch_add(&listener->made, 1);
    MHD_suspend_connection(request->connection);
    if (!atomic_load(&listener->closing) &&
        pool_submit(listener->makers, &request->job) == STATUS_OK)
        return MHD_YES;
    page_of_words(503, "busy: too many ask at a time\n", &request->page);
    request->answered = true;
    MHD_resume_connection(request->connection);
    atomic_fetch_sub(&listener->made, 1);
    return MHD_YES;
}

/* ---- what the library calls ------------------------------------------------------------------ */

static bool has_body(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length != NULL && strcmp(length, "0") != 0)
        return true;
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                       MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

/* At the head of a request: refused, or remembered in *out_state. */
static enum MHD_Result begin(struct http_listener *listener, struct MHD_Connection *connection,
                             const char *path, const char *method, void **out_state)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, 405, "only GET and HEAD are served here\n", "GET, HEAD");
    if (has_body(connection))
        return refuse(connection, 413, "a request has no body here\n", NULL);
    const struct route *route = route_find(path);
    if (route == NULL)
        return refuse(connection, 404,
                      "no such page; there are /metrics, /health, /livez, /healthz and /readyz\n",
                      NULL);
    struct request *request = calloc(1, sizeof(*request));
    if (request == NULL)
        return MHD_NO;
    *request = (struct request){
        .job = {.run = make_page}, .listener = listener, .connection = connection, .route = route};
    *out_state = request;
    return MHD_YES;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    struct http_listener *listener = context;
    (void)version;
    (void)upload;
    if (*state == NULL)
        return begin(listener, connection, path, method, state);
    struct request *request = *state;
    *upload_bytes = 0;
    if (request->answered)
        return send_page(connection, &request->page, NULL);
    if (!request->route->at_once)
        return hand_over(request);
    request->route->make(&listener->sources, &request->page);
    return send_page(connection, &request->page, NULL);
}

static void end_request(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    struct request *request = *state;
    if (request == NULL)
        return;
    free(request->page.body);
    free(request);
    *state = NULL;
}

/* ---- open and close -------------------------------------------------------------------------- */

enum status http_listener_check(const struct options *options, struct failure *failure)
{
    const char *text = options_text(options, "http.listen");
    return text[0] == '\0' ? STATUS_OK : address_read("http.listen", text, NULL, failure);
}

static enum status start(struct http_listener *listener, const struct options *options,
                         struct failure *failure)
{
    const char *text = options_text(options, "http.listen");
    struct sockaddr_storage address;
    enum status status = address_read("http.listen", text, &address, failure);
    if (status != STATUS_OK)
        return status;
    const unsigned six = address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    listener->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | six, 0, NULL, NULL, answer,
        listener, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED,
        end_request, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options_uint(options, "http.connections_max"), MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(options_us(options, "http.timeout") / 1000000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    if (listener->daemon == NULL)
        return failure_set(failure, STATUS_UNAVAILABLE, "http.listen",
                           "cannot listen on %s; is another server using the port? "
                           "(--http-listen= serves no HTTP)",
                           text);
    listener->port = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return STATUS_OK;
}

enum status http_listener_create(const struct options *options, const struct http_sources *sources,
                                 struct http_listener **out_listener, struct failure *failure)
{
    *out_listener = NULL;
    if (options_text(options, "http.listen")[0] == '\0')
        return STATUS_OK;
    struct http_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for the HTTP door");
    listener->sources = *sources;
    enum status status = pool_create(1, PAGES_WAITING_MAX, &listener->makers);
    if (status != STATUS_OK)
        (void)failure_set(failure, status, "", "the HTTP door's thread cannot be started");
    else
        status = start(listener, options, failure);
    if (status != STATUS_OK)
        http_listener_destroy(&listener);
    *out_listener = listener;
    return status;
}

int http_listener_port(const struct http_listener *listener)
{
    return listener != NULL ? listener->port : 0;
}

/* A connection must not be suspended when its daemon stops. */
static void finish_pages(struct http_listener *listener)
{
    atomic_store(&listener->closing, true);
    while (atomic_load(&listener->made) > 0)
        (void)poll(NULL, 0, CLOSING_STEP_MS);
}

void http_listener_destroy(struct http_listener **listener)
{
    struct http_listener *doomed = *listener;
    if (doomed == NULL)
        return;
    *listener = NULL;
    finish_pages(doomed);
    if (doomed->daemon != NULL)
        MHD_stop_daemon(doomed->daemon);
    pool_destroy(&doomed->makers);
    free(doomed);
}
