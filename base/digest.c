/*
 * digest.c - SHA-256, HMAC, SipHash, hex and base64url.
 * Owns nothing; every state lies on the caller's stack. Threads: any.
 *
 * SHA-256 is OpenSSL's, through its low-level SHA256_* functions. They are marked as deprecated
 * since 3.0 in favour of EVP, but EVP allocates a context and fetches an algorithm for every
 * digest, which costs more than hashing a short prompt does, can fail in the middle, and a context
 * on the heap cannot be copied by assignment to branch after a common prefix. Both ways run the
 * same code with the same CPU instructions.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <endian.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/check.h"

enum { HMAC_BLOCK_BYTES = 64 };

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct digest_stream *)0)->opaque),
               "OpenSSL's state does not fit into struct digest_stream");
_Static_assert(_Alignof(SHA256_CTX) <= 16,
               "struct digest_stream is not aligned for OpenSSL's state");
_Static_assert(SHA256_DIGEST_LENGTH == DIGEST_BYTES, "a SHA-256 digest has 32 bytes");

static SHA256_CTX *context_of(struct digest_stream *stream)
{
    return (SHA256_CTX *)(void *)stream->opaque;
}

void digest_stream_init(struct digest_stream *stream)
{
    int done = SHA256_Init(context_of(stream));
    assert(done == 1);
}

void digest_stream_add(struct digest_stream *stream, const void *bytes, size_t size_bytes)
{
    if (size_bytes == 0)
        return; /* bytes may be NULL then, which OpenSSL hands to memcpy */
    int done = SHA256_Update(context_of(stream), bytes, size_bytes);
    assert(done == 1);
}

struct digest digest_stream_end(struct digest_stream *stream)
{
    struct digest digest;
    int done = SHA256_Final(digest.bytes, context_of(stream));
    assert(done == 1);
    return digest;
}

struct digest digest_sha256(const void *bytes, size_t size_bytes)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_stream_add(&stream, bytes, size_bytes);
    return digest_stream_end(&stream);
}

/* Starts a stream with the key, padded to one block and xored with `mask` (RFC 2104, section 2). */
static void hmac_start(struct digest_stream *stream, const uint8_t key[32], uint8_t mask)
{
    uint8_t block[HMAC_BLOCK_BYTES];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)((i < 32 ? key[i] : 0) ^ mask);
    digest_stream_init(stream);
    digest_stream_add(stream, block, sizeof(block));
    OPENSSL_cleanse(block, sizeof(block));
}

struct digest digest_hmac_sha256(const uint8_t key[32], const void *bytes, size_t size_bytes)
{
    struct digest_stream stream;
    hmac_start(&stream, key, 0x36);
    digest_stream_add(&stream, bytes, size_bytes);
    struct digest inner = digest_stream_end(&stream);
    hmac_start(&stream, key, 0x5c);
    digest_stream_add(&stream, inner.bytes, sizeof(inner.bytes));
    struct digest outer = digest_stream_end(&stream);
    OPENSSL_cleanse(&stream, sizeof(stream));
    return outer;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

bool digest_equal_constant_time(const void *a, const void *b, size_t size_bytes)
{
    return CRYPTO_memcmp(a, b, size_bytes) == 0;
}

static inline uint64_t load_le64(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

static inline uint64_t rotate(uint64_t word, unsigned count)
{
    return word << count | word >> (64 - count);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void sip_add(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v); /* one round a word ... */
    v[0] ^= word;
}

uint64_t digest_siphash(const uint8_t key[16], const void *bytes, size_t size_bytes)
{
    uint64_t k0 = load_le64(key);
    uint64_t k1 = load_le64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573}; /* "somepseudorandomlygeneratedbytes" */
    const uint8_t *place = bytes;
    size_t rest = size_bytes;
    for (; rest >= 8; rest -= 8, place += 8)
        sip_add(v, load_le64(place));
    uint64_t last = (uint64_t)size_bytes << 56;
    for (size_t i = 0; i < rest; i++)
        last |= (uint64_t)place[i] << (8 * i);
    sip_add(v, last);
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++) /* ... and three at the end: hence 1-3 */
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Without a table, so that the compiler makes 16 digits at a time. */
void digest_to_hex(const struct digest *digest, char out_hex[DIGEST_HEX + 1])
{
    char hex[DIGEST_HEX];
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        uint8_t high = digest->bytes[i] >> 4, low = digest->bytes[i] & 15;
        hex[2 * i] = (char)(high + (high > 9 ? 'a' - 10 : '0'));
        hex[2 * i + 1] = (char)(low + (low > 9 ? 'a' - 10 : '0'));
    }
    memcpy(out_hex, hex, DIGEST_HEX);
    out_hex[DIGEST_HEX] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool digest_from_hex(const char *hex, size_t length, struct digest *out_digest)
{
    if (length != DIGEST_HEX)
        return false;
    struct digest digest;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out_digest = digest;
    return true;
}

static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(const void *bytes, size_t size_bytes, char *out_text)
{
    const uint8_t *from = bytes;
    char *to = out_text;
    uint32_t bits = 0;
    unsigned bits_count = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        bits = bits << 8 | from[i];
        for (bits_count += 8; bits_count >= 6; bits_count -= 6)
            *to++ = base64url_digits[bits >> (bits_count - 6) & 63];
    }
    if (bits_count > 0) /* the last digit is filled up with zero bits */
        *to++ = base64url_digits[bits << (6 - bits_count) & 63];
    *to = '\0';
    return (size_t)(to - out_text);
}

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

/* Bits left over in the last digit must be zero: every value has one spelling (RFC 4648,
 * section 3.5). */
bool base64url_decode(const char *text, size_t length, void *out_bytes, size_t size_bytes)
{
    if (length % 4 == 1 || length / 4 * 3 + length % 4 * 3 / 4 != size_bytes)
        return false;
    uint8_t *to = out_bytes;
    uint32_t bits = 0;
    unsigned bits_count = 0;
    for (size_t i = 0; i < length; i++) {
        int value = base64url_value(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bits_count += 6;
        if (bits_count < 8)
            continue;
        bits_count -= 8;
        *to++ = (uint8_t)(bits >> bits_count);
    }
    assert(to == (uint8_t *)out_bytes + size_bytes);
    return (bits & ((1u << bits_count) - 1)) == 0;
}
