/*
 * http_script.c - a scripted HTTP server for tests.
 * Owns a listening socket, a thread that accepts and one thread a connection. Reads a request whole
 * (head, then Content-Length bytes), asks the test what to answer, and does that, however bad.
 * Threads: any may ask and release; create and destroy are single.
 */
#include "tests/support/http_script.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/http_tls.h"

enum { CONNECTIONS_MAX = 256, HEAD_MAX = 16384 };

struct connection {
    struct http_script *script;
    pthread_t thread;
    int socket; /* -1: closed; under the script's mutex */
    unsigned number;
    SSL *tls;
    char head[HEAD_MAX];
    char path[512];
    char *body;
    size_t body_length;
};

struct http_script {
    http_answer *answer;
    void *context;
    SSL_CTX *tls;
    int listener;
    unsigned port;
    pthread_t acceptor;
    pthread_mutex_t mutex, answering;
    pthread_cond_t changed;
    bool is_released, is_closing;
    struct connection *connections[CONNECTIONS_MAX];
    unsigned connections_count, requests_count;
};

/* ---- Bytes
 * ---------------------------------------------------------------------------------------- */

static ssize_t take(struct connection *connection, char *bytes, size_t length)
{
    if (connection->tls != NULL)
        return SSL_read(connection->tls, bytes, (int)length);
    ssize_t got = -1;
    do
        got = recv(connection->socket, bytes, length, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool give(struct connection *connection, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = connection->tls != NULL
                           ? SSL_write(connection->tls, bytes, (int)length)
                           : send(connection->socket, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* One byte at a time: slow, and never a byte of the body too many. */
static bool read_head(struct connection *connection)
{
    size_t length = 0;
    while (length + 1 < HEAD_MAX) {
        if (take(connection, connection->head + length, 1) != 1)
            return false;
        connection->head[++length] = '\0';
        if (length >= 4 && memcmp(connection->head + length - 4, "\r\n\r\n", 4) == 0)
            return sscanf(connection->head, "POST %511s ", connection->path) == 1;
    }
    return false;
}

static bool read_body(struct connection *connection)
{
    const char *line = strcasestr(connection->head, "\r\ncontent-length:");
    size_t length = line != NULL ? strtoul(line + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    free(connection->body);
    connection->body = calloc(1, length + 1);
    connection->body_length = length;
    for (size_t at = 0; at < length;) {
        ssize_t got = take(connection, connection->body + at, length - at);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

/* ---- Answers
 * -------------------------------------------------------------------------------------- */

static bool wait_for_release(struct http_script *script)
{
    pthread_mutex_lock(&script->mutex);
    while (!script->is_released && !script->is_closing)
        pthread_cond_wait(&script->changed, &script->mutex);
    bool goes_on = !script->is_closing;
    pthread_mutex_unlock(&script->mutex);
    return goes_on;
}

static bool give_head(struct connection *connection, const struct http_told *told, size_t length)
{
    char head[1024];
    int written = snprintf(head, sizeof(head), "HTTP/1.1 %d Told\r\nContent-Length: %zu\r\n%s\r\n",
                           told->code, length, told->headers != NULL ? told->headers : "");
    assert(written > 0 && (size_t)written < sizeof(head));
    return give(connection, head, (size_t)written);
}

static bool give_endless(struct connection *connection)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    static const char chunk[4096] = "[";
    if (!give(connection, head, sizeof(head) - 1))
        return false;
    while (give(connection, chunk, sizeof(chunk)))
        continue;
    return false;
}

/* False: the connection is to be closed. */
static bool give_answer(struct connection *connection, const struct http_told *told)
{
    const char *body = told->body != NULL ? told->body : "";
    size_t length = strlen(body), half = length / 2;
    switch (told->manner) {
    case HTTP_SILENT:
        if (!wait_for_release(connection->script))
            return false;
        return give_head(connection, told, length) && give(connection, body, length);
    case HTTP_STALL:
        return give_head(connection, told, length) && give(connection, body, half) &&
               wait_for_release(connection->script) && give(connection, body + half, length - half);
    case HTTP_CUT:
        return give_head(connection, told, length) && give(connection, body, half) && false;
    case HTTP_SHORT:
        return give_head(connection, told, half) && give(connection, body, length);
    case HTTP_LAST:
        return give_head(connection, told, length) && give(connection, body, length) && false;
    case HTTP_NOT_HTTP:
        return give(connection, "Good morning!\r\n\r\n", 17) && false;
    case HTTP_ENDLESS:
        return give_endless(connection);
    case HTTP_HANG_UP:
        return false;
    case HTTP_WELL:
        break;
    }
    return give_head(connection, told, length) && give(connection, body, length);
}

static bool serve_one(struct connection *connection)
{
    struct http_script *script = connection->script;
    if (!read_head(connection) || !read_body(connection))
        return false;
    pthread_mutex_lock(&script->mutex);
    unsigned number = script->requests_count++;
    pthread_mutex_unlock(&script->mutex);
    struct http_seen seen = {
        .path = connection->path,
        .head = connection->head,
        .body = connection->body,
        .body_length = connection->body_length,
        .number = number,
        .connection = connection->number,
    };
    struct http_told told = {.code = 200};
    pthread_mutex_lock(&script->answering);
    script->answer(script->context, &seen, &told);
    pthread_mutex_unlock(&script->answering);
    bool stays = give_answer(connection, &told);
    free(told.body);
    return stays;
}

static void *serve(void *argument)
{
    struct connection *connection = argument;
    struct http_script *script = connection->script;
    bool is_ready = true;
    if (script->tls != NULL) {
        connection->tls = SSL_new(script->tls);
        is_ready = SSL_set_fd(connection->tls, connection->socket) == 1 &&
                   SSL_accept(connection->tls) == 1;
    }
    while (is_ready && serve_one(connection))
        continue;
    SSL_free(connection->tls);
    pthread_mutex_lock(&script->mutex);
    close(connection->socket);
    connection->socket = -1;
    pthread_mutex_unlock(&script->mutex);
    return NULL;
}

/* ---- Life
 * ----------------------------------------------------------------------------------------- */

static void adopt(struct http_script *script, int socket)
{
    int on = 1;
    (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    pthread_mutex_lock(&script->mutex);
    assert(script->connections_count < CONNECTIONS_MAX);
    struct connection *connection = calloc(1, sizeof(*connection));
    assert(connection != NULL);
    connection->script = script;
    connection->socket = socket;
    connection->number = script->connections_count;
    int error = pthread_create(&connection->thread, NULL, serve, connection);
    assert(error == 0);
    script->connections[script->connections_count++] = connection;
    pthread_mutex_unlock(&script->mutex);
}

static void *accept_all(void *argument)
{
    struct http_script *script = argument;
    for (;;) {
        int socket = accept4(script->listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket >= 0)
            adopt(script, socket);
        else if (errno != EINTR && errno != ECONNABORTED)
            return NULL;
    }
}

static int listen_anywhere(unsigned *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(listener >= 0);
    int error = bind(listener, (struct sockaddr *)&address, size);
    assert(error == 0);
    error = getsockname(listener, (struct sockaddr *)&address, &size);
    assert(error == 0);
    *out_port = ntohs(address.sin_port);
    return listener;
}

unsigned http_closed_port(void)
{
    unsigned port = 0;
    close(listen_anywhere(&port)); /* bound for a moment, never listened on */
    return port;
}

struct http_script *http_script_create(http_answer *answer, void *context,
                                       const char *certificate_path)
{
    struct http_script *script = calloc(1, sizeof(*script));
    assert(script != NULL);
    script->answer = answer;
    script->context = context;
    if (certificate_path != NULL) {
        script->tls = http_tls_create(certificate_path);
        assert(script->tls != NULL);
    }
    pthread_mutex_init(&script->mutex, NULL);
    pthread_mutex_init(&script->answering, NULL);
    pthread_cond_init(&script->changed, NULL);
    script->listener = listen_anywhere(&script->port);
    int error = listen(script->listener, 64);
    assert(error == 0);
    /* TLS writes without MSG_NOSIGNAL: the threads inherit a mask in which SIGPIPE is blocked. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&script->acceptor, NULL, accept_all, script);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(error == 0);
    return script;
}

void http_script_destroy(struct http_script **script)
{
    struct http_script *doomed = *script;
    if (doomed == NULL)
        return;
    *script = NULL;
    shutdown(doomed->listener, SHUT_RDWR);
    pthread_join(doomed->acceptor, NULL);
    close(doomed->listener);
    pthread_mutex_lock(&doomed->mutex);
    doomed->is_closing = true;
    pthread_cond_broadcast(&doomed->changed);
    for (unsigned i = 0; i < doomed->connections_count; i++) {
        if (doomed->connections[i]->socket >= 0)
            shutdown(doomed->connections[i]->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&doomed->mutex);
    for (unsigned i = 0; i < doomed->connections_count; i++) {
        pthread_join(doomed->connections[i]->thread, NULL);
        free(doomed->connections[i]->body);
        free(doomed->connections[i]);
    }
    SSL_CTX_free(doomed->tls);
    pthread_cond_destroy(&doomed->changed);
    pthread_mutex_destroy(&doomed->answering);
    pthread_mutex_destroy(&doomed->mutex);
    free(doomed);
}

unsigned http_script_port(const struct http_script *script)
{
    return script->port;
}

unsigned http_script_requests(struct http_script *script)
{
    pthread_mutex_lock(&script->mutex);
    unsigned count = script->requests_count;
    pthread_mutex_unlock(&script->mutex);
    return count;
}

unsigned http_script_connections(struct http_script *script)
{
    pthread_mutex_lock(&script->mutex);
    unsigned count = script->connections_count;
    pthread_mutex_unlock(&script->mutex);
    return count;
}

void http_script_release(struct http_script *script)
{
    pthread_mutex_lock(&script->mutex);
    script->is_released = true;
    pthread_cond_broadcast(&script->changed);
    pthread_mutex_unlock(&script->mutex);
}
