/*
 * digest.h - SHA-256 and HMAC (OpenSSL), the keyed hash of tables (SipHash-1-3), hex and base64url.
 * Threads: any; a stream belongs to its caller.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_BYTES = 32, DIGEST_HEX = 64 };

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

struct digest_stream { /* on the caller's stack; may be copied to branch after a common prefix */
    _Alignas(16) uint8_t opaque[128];
};

struct digest digest_sha256(const void *bytes, size_t size_bytes);
void digest_stream_init(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *bytes, size_t size_bytes);
struct digest digest_stream_end(struct digest_stream *stream);
struct digest digest_hmac_sha256(const uint8_t key[32], const void *bytes, size_t size_bytes);
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_equal_constant_time(const void *a, const void *b, size_t size_bytes);

/* SipHash-1-3 (Aumasson, Bernstein 2012): keyed, so that nobody can grind keys for one bucket. */
uint64_t digest_siphash(const uint8_t key[16], const void *bytes, size_t size_bytes);

void digest_to_hex(const struct digest *digest, char out_hex[DIGEST_HEX + 1]);
/* Exactly 64 lowercase hex digits, else false and *out_digest untouched. */
bool digest_from_hex(const char *hex, size_t length, struct digest *out_digest);

/* base64url without padding (RFC 4648, section 5). out needs (size * 4 + 2) / 3 + 1 bytes. */
size_t base64url_encode(const void *bytes, size_t size_bytes, char *out_text);
/* False on a foreign character or an impossible length; writes exactly size_bytes on success. */
bool base64url_decode(const char *text, size_t length, void *out_bytes, size_t size_bytes);
