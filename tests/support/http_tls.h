/* http_tls.h - a server's side of TLS for tests: a key made on the spot, a certificate that nobody
 * has signed. */
#pragma once
#include <openssl/ssl.h>

/* A certificate for 127.0.0.1, also written as PEM to certificate_path. NULL when anything fails.
 */
SSL_CTX *http_tls_create(const char *certificate_path);
