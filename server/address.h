/*
 * address.h - HOST:PORT of an option, for every door. Pure. Threads: any.
 */
#pragma once
#include <sys/socket.h>

#include "base/status.h"

/*
 * Is `text` HOST:PORT with a host that only this machine can reach (127.0.0.0/8, [::1], localhost)
 * and a port up to 65535 (0: any free one)? STATUS_BAD_OPTION else; the failure names `option`.
 * out_address: what to bind, NULL: not wanted. localhost is 127.0.0.1.
 */
enum status address_read(const char *option, const char *text, struct sockaddr_storage *out_address,
                         struct failure *failure);
