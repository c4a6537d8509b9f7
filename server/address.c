/*
 * address.c - reads HOST:PORT. Names are not looked up: an option says where the process listens,
 * and a resolver would make that depend on the network. Owns nothing. Threads: any.
 */
#include "server/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool read_port(const char *text, in_port_t *out_port)
{
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    const long port = strtol(text, NULL, 10);
    *out_port = htons((in_port_t)port);
    return port <= 65535;
}

static bool read_loopback(const char *host, in_port_t port, struct sockaddr_storage *out_address)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out_address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out_address;
    memset(out_address, 0, sizeof(*out_address));
    if (strcmp(host, "[::1]") == 0) {
        *six = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        return true;
    }
    *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    return inet_pton(AF_INET, host, &four->sin_addr) == 1 &&
           (ntohl(four->sin_addr.s_addr) >> 24) == 127;
}

enum status address_read(const char *option, const char *text, struct sockaddr_storage *out_address,
                         struct failure *failure)
{
    assert(text != NULL);
    char host[64];
    struct sockaddr_storage address;
    in_port_t port;
    const char *colon = strrchr(text, ':');
    const size_t host_length = colon != NULL ? (size_t)(colon - text) : sizeof(host);
    if (host_length >= sizeof(host) || !read_port(colon + 1, &port))
        return failure_set(failure, STATUS_BAD_OPTION, option,
                           "wants HOST:PORT, for example 127.0.0.1:7371");
    memcpy(host, text, host_length);
    host[host_length] = '\0';
    if (!read_loopback(host, port, &address))
        return failure_set(failure, STATUS_BAD_OPTION, option,
                           "\"%s\" is not a loopback address: there is neither TLS nor tokens yet, "
                           "so the door opens to this machine only (127.0.0.1, [::1], localhost)",
                           host);
    if (out_address != NULL)
        *out_address = address;
    return STATUS_OK;
}
