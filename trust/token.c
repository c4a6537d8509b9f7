/*
 * token.c - decision tokens and the nonces that have had their verdict. Owns the key and the two
 * tables of nonces, all allotted at create. Threads: any; NONCES is held for one look-up or one
 * insertion.
 *
 * THE TOKEN, 64 bytes, little-endian, as base64url without padding:
 *   0  version u8: 1                    32 entry generation u32
 *   1  key id u8: 1                     36 similarity, half precision
 *   2  kind u8: 1 hit, 2 near miss;     38 correction, half precision: 0
 *      0x80 guard blocked               40 agreeing neighbours u8: 0
 *   3  bin u8: 0                        41 labels of the entry u8: 0
 *   4  issued u32, unix seconds         42 propensity u16: 0, "no features"
 *   8  scope u64                        44 guard reasons u8
 *   16 entry u64                        45 weights epoch u24: 0
 *   24 nonce u64                        48 first 16 bytes of HMAC-SHA-256 over bytes 0-47
 * The fields that are 0 belong to a rule that learns from features; nothing is learnt from a token
 * without them.
 *
 * THE GENERATION tells an entry from the one that replaces it under the same key: the low half of
 * the store's sequence, which no two Sets share. A moment would not do: two Sets may fall into one
 * millisecond. It needs to be unique on this node only, for another node shares neither its entries
 * nor, the key being drawn at start, its tokens.
 *
 * ONE VERDICT A NONCE, in bounded memory. Used nonces lie in two generations of nonces_max / 2
 * each. When a nonce finds the young one full, the old one is dropped, and every token issued no
 * later than the newest nonce in it is too old from then on: what has been forgotten can never be
 * used again. Seconds are the grain, so the newest one's whole second goes.
 *
 * NOT HERE. What a verdict does; drawing nonces (chance is an argument); where the key is kept over
 * a restart.
 */
#include "trust/token.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/half.h"
#include "base/lock.h"
#include "trust/guard.h"

enum {
    SIGNED_BYTES = 48,
    MAC_BYTES = TOKEN_BYTES - SIGNED_BYTES,
    VERSION = 1,
    KEY_ID = 1,
    KIND_MASK = 0x0F,
    KIND_GUARD_BLOCKED = 0x80,
};

struct nonces {      /* open addressing, at most four fifths full */
    uint64_t *slots; /* 0: free                                    */
    uint32_t used;
    uint32_t newest_s; /* the latest issue among them                */
};

struct token_desk {
    uint8_t key[TOKEN_KEY_BYTES];
    int64_t ttl_ms;
    uint32_t generation_max, slots_count; /* all above: as created */
    struct lock lock;
    struct nonces young GUARDED, old GUARDED;
    bool dropped GUARDED;       /* some generation has gone...               */
    uint32_t dropped_s GUARDED; /* ...and this was the latest issue in it     */
};

static void put_little(uint8_t *bytes, uint64_t value, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_little(const uint8_t *bytes, size_t size_bytes)
{
    uint64_t value = 0;
    for (size_t i = size_bytes; i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

UNSHARED enum status token_desk_create(const uint8_t key[32], int64_t ttl_ms, uint32_t nonces_max,
                                       struct token_desk **out_desk)
{
    assert(ttl_ms > 0);
    assert(nonces_max >= 2);
    assert(nonces_max <= TOKEN_NONCES_MAX);
    struct token_desk *desk = calloc(1, sizeof(*desk));
    if (desk == NULL)
        return STATUS_NO_MEMORY;
    memcpy(desk->key, key, sizeof(desk->key));
    desk->ttl_ms = ttl_ms;
    desk->generation_max = nonces_max / 2;
    desk->slots_count = desk->generation_max + desk->generation_max / 4 + 1;
    lock_init(&desk->lock, LOCK_RANK_NONCES);
    desk->young.slots = calloc(desk->slots_count, sizeof(uint64_t));
    desk->old.slots = calloc(desk->slots_count, sizeof(uint64_t));
    if (desk->young.slots == NULL || desk->old.slots == NULL)
        goto destroy_desk;
    *out_desk = desk;
    return STATUS_OK;

destroy_desk:
    token_desk_destroy(&desk);
    return STATUS_NO_MEMORY;
}

UNSHARED void token_desk_destroy(struct token_desk **desk)
{
    assert(desk != NULL);
    if (*desk == NULL)
        return;
    free((*desk)->old.slots);
    free((*desk)->young.slots);
    lock_deinit(&(*desk)->lock);
    explicit_bzero((*desk)->key, sizeof((*desk)->key));
    free(*desk);
    *desk = NULL;
}

static uint32_t latest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

UNSHARED void token_desk_remember(struct token_desk *desk, const struct token_memory *memory)
{
    assert(desk->young.used == 0); /* nobody has used a token yet */
    memcpy(desk->key, memory->key, sizeof(desk->key));
    if (memory->used_s == 0)
        return;
    desk->dropped = true;
    desk->dropped_s = latest(desk->dropped_s, memory->used_s);
}

void token_desk_memory(struct token_desk *desk, struct token_memory *out_memory)
{
    lock_acquire(&desk->lock);
    uint32_t used_s = latest(desk->young.newest_s, desk->old.newest_s);
    if (desk->dropped)
        used_s = latest(used_s, desk->dropped_s);
    memcpy(out_memory->key, desk->key, sizeof(out_memory->key));
    out_memory->used_s = used_s;
    lock_release(&desk->lock);
}

void token_make(const struct token_desk *desk, const struct token *token,
                char out_text[TOKEN_TEXT + 1])
{
    assert(token->kind == TOKEN_HIT || token->kind == TOKEN_NEAR_MISS);
    assert((token->guards & ~(unsigned)GUARD_ALL) == 0);
    uint8_t bytes[TOKEN_BYTES] = {VERSION, KEY_ID};
    bytes[2] = (uint8_t)(token->kind | (token->guard_blocked ? KIND_GUARD_BLOCKED : 0));
    put_little(bytes + 4, token->issued_s, 4);
    put_little(bytes + 8, token->scope, 8);
    put_little(bytes + 16, token->entry, 8);
    put_little(bytes + 24, token->nonce, 8);
    put_little(bytes + 32, token->generation, 4);
    put_little(bytes + 36, half_from_float(token->similarity), 2);
    bytes[44] = (uint8_t)token->guards;
    struct digest mac = digest_hmac_sha256(desk->key, bytes, SIGNED_BYTES);
    memcpy(bytes + SIGNED_BYTES, mac.bytes, MAC_BYTES);
    size_t length = base64url_encode(bytes, sizeof(bytes), out_text);
    assert(length == TOKEN_TEXT);
    out_text[TOKEN_TEXT] = '\0';
}

static bool is_genuine(const struct token_desk *desk, const uint8_t bytes[TOKEN_BYTES])
{
    struct digest mac = digest_hmac_sha256(desk->key, bytes, SIGNED_BYTES);
    if (!digest_equal_constant_time(mac.bytes, bytes + SIGNED_BYTES, MAC_BYTES))
        return false;
    unsigned kind = bytes[2] & KIND_MASK;
    return bytes[0] == VERSION && bytes[1] == KEY_ID &&
           (kind == TOKEN_HIT || kind == TOKEN_NEAR_MISS);
}

static struct token token_decode(const uint8_t bytes[TOKEN_BYTES])
{
    return (struct token){
        .kind = (enum token_kind)(bytes[2] & KIND_MASK),
        .guard_blocked = (bytes[2] & KIND_GUARD_BLOCKED) != 0,
        .issued_s = (uint32_t)get_little(bytes + 4, 4),
        .scope = get_little(bytes + 8, 8),
        .entry = get_little(bytes + 16, 8),
        .nonce = get_little(bytes + 24, 8),
        .generation = (uint32_t)get_little(bytes + 32, 4),
        .similarity = half_to_float((uint16_t)get_little(bytes + 36, 2)),
        .guards = bytes[44],
    };
}

/* 0 marks a free slot. */
static uint64_t nonce_key(uint64_t nonce)
{
    return nonce != 0 ? nonce : 1;
}

/* The nonce's slot, or the free one where it belongs. */
static uint64_t *nonces_find(const struct nonces *nonces, uint32_t slots_count, uint64_t key)
{
    assert(key != 0);
    assert(nonces->used < slots_count);
    /* Spread once more: nonces of a test are no random numbers. Then the high half times the count:
     * Lemire 2019. */
    uint64_t spread = (key * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
    size_t at = (spread * slots_count) >> 32;
    while (nonces->slots[at] != 0 && nonces->slots[at] != key)
        at = at + 1 < slots_count ? at + 1 : 0;
    return &nonces->slots[at];
}

static bool is_forgotten(const struct token_desk *desk, uint32_t issued_s) REQUIRES(desk->lock)
{
    return desk->dropped && issued_s <= desk->dropped_s;
}

static bool is_used(const struct token_desk *desk, uint64_t nonce) REQUIRES(desk->lock)
{
    uint64_t key = nonce_key(nonce);
    return *nonces_find(&desk->young, desk->slots_count, key) != 0 ||
           *nonces_find(&desk->old, desk->slots_count, key) != 0;
}

/* The young generation becomes the old one, whose memory it takes over, emptied. */
static void generation_turn(struct token_desk *desk) REQUIRES(desk->lock)
{
    struct nonces gone = desk->old;
    if (gone.used > 0 && (!desk->dropped || gone.newest_s > desk->dropped_s)) {
        desk->dropped = true;
        desk->dropped_s = gone.newest_s;
    }
    memset(gone.slots, 0, (size_t)desk->slots_count * sizeof(uint64_t));
    desk->old = desk->young;
    desk->young = (struct nonces){.slots = gone.slots};
}

enum token_state token_read(struct token_desk *desk, struct text text, int64_t now_ms,
                            struct token *out_token)
{
    assert(desk != NULL);
    assert(out_token != NULL);
    uint8_t bytes[TOKEN_BYTES];
    if (text.length != TOKEN_TEXT)
        return TOKEN_BAD;
    if (!base64url_decode(text.bytes, text.length, bytes, sizeof(bytes)))
        return TOKEN_BAD;
    if (!is_genuine(desk, bytes))
        return TOKEN_BAD;
    struct token token = token_decode(bytes);
    if (now_ms - (int64_t)token.issued_s * 1000 > desk->ttl_ms)
        return TOKEN_TOO_OLD;
    enum token_state state = TOKEN_FRESH;
    lock_acquire(&desk->lock);
    if (is_used(desk, token.nonce))
        state = TOKEN_USED;
    else if (is_forgotten(desk, token.issued_s))
        state = TOKEN_TOO_OLD;
    lock_release(&desk->lock);
    if (state == TOKEN_FRESH || state == TOKEN_USED)
        *out_token = token;
    return state;
}

bool token_use(struct token_desk *desk, const struct token *token)
{
    assert(desk != NULL);
    assert(token != NULL);
    lock_acquire(&desk->lock);
    bool first = !is_forgotten(desk, token->issued_s) && !is_used(desk, token->nonce);
    if (first) {
        if (desk->young.used == desk->generation_max)
            generation_turn(desk);
        uint64_t key = nonce_key(token->nonce);
        *nonces_find(&desk->young, desk->slots_count, key) = key;
        desk->young.used++;
        if (token->issued_s > desk->young.newest_s)
            desk->young.newest_s = token->issued_s;
    }
    lock_release(&desk->lock);
    return first;
}
