/*
 * token.h - decision tokens: 64 bytes that say what was decided, sealed by a MAC, nothing stored
 * per pending decision; and the set of nonces that have had their verdict. Layout in token.c.
 * Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

enum { TOKEN_BYTES = 64, TOKEN_TEXT = 86 };
enum token_kind { TOKEN_HIT = 1, TOKEN_NEAR_MISS = 2 };

struct token {
    enum token_kind kind;
    bool guard_blocked;
    uint32_t issued_s;   /* unix seconds                                            */
    uint64_t scope;      /* first 8 bytes of the scope digest                       */
    uint64_t entry;      /* first 8 bytes of the entry id                           */
    uint32_t generation; /* low half of the entry's sequence: which Set of its key  */
    float similarity;    /* kept as half precision                                  */
    unsigned guards;
    uint64_t nonce; /* random                                                  */
};

struct token_desk;
enum { TOKEN_NONCES_MAX = 1 << 20 };
/* key: drawn at start. ttl_ms: tokens older than this are EXPIRED. nonces_max: at most
 * TOKEN_NONCES_MAX. */
enum status token_desk_create(const uint8_t key[32], int64_t ttl_ms, uint32_t nonces_max,
                              struct token_desk **out_desk);
void token_desk_destroy(struct token_desk **desk);

/* The nonce comes in (chance is an argument). out_text gets 86 characters and a NUL. */
void token_make(const struct token_desk *desk, const struct token *token,
                char out_text[TOKEN_TEXT + 1]);

/*
 * Over a restart, before the first token is made: the key that tokens were made with, and the
 * latest issue among those that have had their verdict. What was issued no later is too old from
 * then on, because nobody knows any more which of them have been used.
 */
enum { TOKEN_KEY_BYTES = 32 };
struct token_memory {
    uint8_t key[TOKEN_KEY_BYTES];
    uint32_t used_s; /* unix seconds; 0: none */
};
void token_desk_remember(struct token_desk *desk, const struct token_memory *memory);
void token_desk_memory(struct token_desk *desk, struct token_memory *out_memory);

enum token_state { TOKEN_FRESH, TOKEN_USED, TOKEN_TOO_OLD, TOKEN_BAD };
/* Checks form, MAC and age, in constant time over the MAC; does not use the nonce up. */
enum token_state token_read(struct token_desk *desk, struct text text, int64_t now_ms,
                            struct token *out_token);
/* Uses the nonce up: true for exactly one caller. */
bool token_use(struct token_desk *desk, const struct token *token);
