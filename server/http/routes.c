/*
 * routes.c - which path is which page, and the probes. A probe says what Kubernetes asks: /livez
 * (and /healthz) whether the process answers at all, /readyz whether it should be sent traffic.
 * Owns nothing. Threads: as pages.h says.
 */
#include <stdlib.h>
#include <string.h>

#include "server/grpc/listener.h"
#include "server/http/pages.h"

void page_of_words(unsigned status, const char *words, struct page *out_page)
{
    *out_page = (struct page){.status = status, .type = "text/plain; charset=utf-8"};
    out_page->body = strdup(words);
    out_page->body_bytes = out_page->body != NULL ? strlen(words) : 0;
}

static void page_of_life(const struct http_sources *sources, struct page *out_page)
{
    (void)sources;
    page_of_words(200, "ok\n", out_page);
}

static void page_of_readiness(const struct http_sources *sources, struct page *out_page)
{
    switch (listener_readiness(sources->grpc)) {
    case LISTENER_SERVING:
        page_of_words(200, "ok\n", out_page);
        return;
    case LISTENER_LOADING:
        page_of_words(503, "loading: the data folder is being read\n", out_page);
        return;
    case LISTENER_DRAINING:
        page_of_words(503, "draining: the server shuts down\n", out_page);
        return;
    }
}

static const struct route routes[] = {
    {"/metrics", false, page_of_metrics}, {"/health", false, page_of_health},
    {"/healthz", true, page_of_life},     {"/livez", true, page_of_life},
    {"/readyz", true, page_of_readiness},
};

const struct route *route_find(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (strcmp(path, routes[i].path) == 0)
            return &routes[i];
    return NULL;
}
