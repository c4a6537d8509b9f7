/*
 * http_script.h - an HTTP server for tests that answers as it is told, well or badly, on a free
 * port of loopback. One thread a connection; connections are kept open between requests. The
 * answering function runs on those threads, one at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct http_script;

struct http_seen {
    const char *path;
    const char *head; /* all header lines, NUL-terminated */
    const char *body; /* NUL-terminated too                */
    size_t body_length;
    unsigned number;     /* of this request, from 0           */
    unsigned connection; /* it came on, from 0                */
};

enum http_manner {
    HTTP_WELL,
    HTTP_CUT,      /* hangs up in the middle of the body                                */
    HTTP_SHORT,    /* Content-Length says less than there is                            */
    HTTP_STALL,    /* half of the body; the rest after http_script_release              */
    HTTP_SILENT,   /* nothing before http_script_release, then all is well              */
    HTTP_HANG_UP,  /* no byte, the connection is closed                                 */
    HTTP_LAST,     /* well, but the connection is closed afterwards, without a word     */
    HTTP_NOT_HTTP, /* words that are no status line                                     */
    HTTP_ENDLESS,  /* a body without length that never ends                             */
};

struct http_told {
    int code;            /* 200 unless set                                         */
    const char *headers; /* further lines, each with CR LF; constant               */
    char *body;          /* from malloc; the script frees it                       */
    enum http_manner manner;
};

typedef void http_answer(void *context, const struct http_seen *seen, struct http_told *out_told);

/* certificate_path: NULL for plain HTTP; else TLS with a new key, whose certificate is written
 * there as PEM. */
struct http_script *http_script_create(http_answer *answer, void *context,
                                       const char *certificate_path);
/* Hangs up on everybody. */
void http_script_destroy(struct http_script **script);

unsigned http_script_port(const struct http_script *script);
unsigned http_script_requests(struct http_script *script);    /* read whole, so far     */
unsigned http_script_connections(struct http_script *script); /* accepted, so far       */
/* Ends all waiting of STALL and SILENT, now and later. */
void http_script_release(struct http_script *script);

/* A free port of loopback with nobody behind it. */
unsigned http_closed_port(void);
