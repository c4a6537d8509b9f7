/*
 * Goal: a token tells what was decided, cannot be forged or used twice, and the memory of used ones
 * is bounded without ever letting one back in. Method: the layout is read byte by byte; small desks
 * are filled; threads race for a nonce.
 */
#include "tests/support/unit.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/digest.h"
#include "trust/token.h"

static const uint8_t key[32] = "a key of thirty-two bytes, yes.";
enum { ISSUED_S = 1700000000, TTL_MS = 3600 * 1000 };
static const int64_t NOW_MS = (int64_t)ISSUED_S * 1000;

static struct token_desk *desk_of(uint32_t nonces_max)
{
    struct token_desk *desk = NULL;
    assert_int_equal(token_desk_create(key, TTL_MS, nonces_max, &desk), STATUS_OK);
    return desk;
}

static struct token token_of(uint64_t nonce, uint32_t issued_s)
{
    return (struct token){
        .kind = TOKEN_HIT,
        .guard_blocked = false,
        .issued_s = issued_s,
        .scope = UINT64_C(0x0102030405060708),
        .entry = UINT64_C(0x1112131415161718),
        .generation = 0x21222324,
        .similarity = 0.9375f,
        .guards = 0,
        .nonce = nonce,
    };
}

static enum token_state read_text(struct token_desk *desk, const char *text, int64_t now_ms)
{
    struct token token;
    return token_read(desk, text_of(text), now_ms, &token);
}

static bool use(struct token_desk *desk, uint64_t nonce, uint32_t issued_s)
{
    struct token token = token_of(nonce, issued_s);
    return token_use(desk, &token);
}

static enum token_state state_of(struct token_desk *desk, uint64_t nonce, uint32_t issued_s)
{
    struct token token = token_of(nonce, issued_s);
    char text[TOKEN_TEXT + 1];
    token_make(desk, &token, text);
    return read_text(desk, text, (int64_t)issued_s * 1000);
}

static void a_token_comes_back_as_it_was_made(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    struct token token = token_of(UINT64_C(0xF1F2F3F4F5F6F7F8), ISSUED_S), back;
    token.kind = TOKEN_NEAR_MISS;
    token.guard_blocked = true;
    token.guards = 0x15;
    char text[TOKEN_TEXT + 1];
    token_make(desk, &token, text);
    assert_int_equal(strlen(text), TOKEN_TEXT);
    assert_int_equal(token_read(desk, text_of(text), NOW_MS, &back), TOKEN_FRESH);
    assert_int_equal(back.kind, TOKEN_NEAR_MISS);
    assert_true(back.guard_blocked);
    assert_int_equal(back.issued_s, ISSUED_S);
    assert_true(back.scope == token.scope);
    assert_true(back.entry == token.entry);
    assert_true(back.nonce == token.nonce);
    assert_int_equal(back.generation, token.generation);
    assert_true(back.similarity == 0.9375f);
    assert_int_equal(back.guards, 0x15);
    token_desk_destroy(&desk);
    assert_null(desk);
    token_desk_destroy(&desk);
}

static void the_layout_is_the_documented_one(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    struct token token = token_of(UINT64_C(0x3132333435363738), 0x65666768);
    token.guard_blocked = true;
    token.guards = 3;
    char text[TOKEN_TEXT + 1];
    token_make(desk, &token, text);
    uint8_t bytes[TOKEN_BYTES];
    static const uint8_t expected[48] = {
        1,    1,    0x81, 0,
        0x68, 0x67, 0x66, 0x65, /* version, key, kind and flag, bin, issued */
        0x08, 0x07, 0x06, 0x05,
        0x04, 0x03, 0x02, 0x01, /* scope      */
        0x18, 0x17, 0x16, 0x15,
        0x14, 0x13, 0x12, 0x11, /* entry      */
        0x38, 0x37, 0x36, 0x35,
        0x34, 0x33, 0x32, 0x31, /* nonce      */
        0x24, 0x23, 0x22, 0x21,
        0x80, 0x3B, 0,    0, /* generation, 0.9375, correction */
        0,    0,    0,    0,
        3,    0,    0,    0, /* no features; guards; no epoch  */
    };
    assert_true(base64url_decode(text, TOKEN_TEXT, bytes, sizeof(bytes)));
    assert_memory_equal(bytes, expected, sizeof(expected));
    struct digest mac = digest_hmac_sha256(key, expected, sizeof(expected));
    assert_memory_equal(bytes + 48, mac.bytes, 16);
    token_desk_destroy(&desk);
}

static void every_changed_byte_is_found(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    struct token token = token_of(77, ISSUED_S);
    char text[TOKEN_TEXT + 1], forged[TOKEN_TEXT + 1];
    uint8_t bytes[TOKEN_BYTES];
    token_make(desk, &token, text);
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        assert_true(base64url_decode(text, TOKEN_TEXT, bytes, sizeof(bytes)));
        bytes[i] ^= 1;
        assert_int_equal(base64url_encode(bytes, sizeof(bytes), forged), TOKEN_TEXT);
        assert_int_equal(read_text(desk, forged, NOW_MS), TOKEN_BAD);
    }
    token_desk_destroy(&desk);
}

static void what_is_no_token_is_bad(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    struct token token = token_of(78, ISSUED_S);
    char text[TOKEN_TEXT + 1];
    token_make(desk, &token, text);
    assert_int_equal(read_text(desk, "", NOW_MS), TOKEN_BAD);
    assert_int_equal(read_text(desk, "nonsense", NOW_MS), TOKEN_BAD);
    assert_int_equal(read_text(desk, text + 1, NOW_MS), TOKEN_BAD);
    text[40] = '*';
    assert_int_equal(read_text(desk, text, NOW_MS), TOKEN_BAD);
    char zeros[TOKEN_TEXT + 1];
    memset(zeros, 'A', TOKEN_TEXT);
    zeros[TOKEN_TEXT] = '\0';
    assert_int_equal(read_text(desk, zeros, NOW_MS), TOKEN_BAD);
    token_desk_destroy(&desk);
}

/* The MAC is right, but this release knows no such version, key or kind. */
static void a_sealed_token_of_another_form_is_bad(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    static const uint8_t heads[][3] = {{2, 1, 1}, {1, 2, 1}, {1, 1, 0}, {1, 1, 3}};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        uint8_t bytes[TOKEN_BYTES] = {heads[i][0], heads[i][1], heads[i][2]};
        char text[TOKEN_TEXT + 1];
        struct digest mac = digest_hmac_sha256(key, bytes, 48);
        memcpy(bytes + 48, mac.bytes, 16);
        (void)base64url_encode(bytes, sizeof(bytes), text);
        text[TOKEN_TEXT] = '\0';
        assert_int_equal(read_text(desk, text, 0), TOKEN_BAD);
    }
    token_desk_destroy(&desk);
}

static void another_desks_key_opens_nothing(void **state)
{
    (void)state;
    static const uint8_t other_key[32] = "another key of thirty-two bytes";
    struct token_desk *desk = desk_of(16), *other = NULL;
    assert_int_equal(token_desk_create(other_key, TTL_MS, 16, &other), STATUS_OK);
    struct token token = token_of(79, ISSUED_S);
    char text[TOKEN_TEXT + 1];
    token_make(other, &token, text);
    assert_int_equal(read_text(desk, text, NOW_MS), TOKEN_BAD);
    assert_int_equal(read_text(other, text, NOW_MS), TOKEN_FRESH);
    token_desk_destroy(&other);
    token_desk_destroy(&desk);
}

static void a_token_ages_with_the_clock(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    struct token token = token_of(80, ISSUED_S);
    char text[TOKEN_TEXT + 1];
    token_make(desk, &token, text);
    assert_int_equal(read_text(desk, text, NOW_MS + TTL_MS), TOKEN_FRESH);
    assert_int_equal(read_text(desk, text, NOW_MS + TTL_MS + 1), TOKEN_TOO_OLD);
    assert_int_equal(read_text(desk, text, NOW_MS - 5000),
                     TOKEN_FRESH); /* another replica's clock */
    token_desk_destroy(&desk);
}

static void a_token_is_used_once_and_reading_does_not_use_it(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    assert_int_equal(state_of(desk, 81, ISSUED_S), TOKEN_FRESH);
    assert_int_equal(state_of(desk, 81, ISSUED_S), TOKEN_FRESH);
    assert_true(use(desk, 81, ISSUED_S));
    assert_int_equal(state_of(desk, 81, ISSUED_S), TOKEN_USED);
    assert_false(use(desk, 81, ISSUED_S));
    assert_true(use(desk, 82, ISSUED_S));
    assert_true(use(desk, 0, ISSUED_S)); /* a nonce like any other */
    assert_false(use(desk, 0, ISSUED_S));
    token_desk_destroy(&desk);
}

/* Eight nonces in two generations of four: with the ninth the first four are forgotten. */
static void what_is_forgotten_is_too_old(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(8);
    for (uint32_t i = 0; i < 8; i++)
        assert_true(use(desk, 100 + i, ISSUED_S + i));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(state_of(desk, 100 + i, ISSUED_S + i), TOKEN_USED);
    for (uint32_t i = 8; i < 12; i++)
        assert_true(use(desk, 100 + i, ISSUED_S + i));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(state_of(desk, 100 + i, ISSUED_S + i), TOKEN_TOO_OLD);
        assert_false(use(desk, 100 + i, ISSUED_S + i));
    }
    for (uint32_t i = 4; i < 12; i++)
        assert_int_equal(state_of(desk, 100 + i, ISSUED_S + i), TOKEN_USED);
    /* Never used, but no younger than the newest forgotten one. */
    assert_int_equal(state_of(desk, 999, ISSUED_S + 3), TOKEN_TOO_OLD);
    assert_false(use(desk, 999, ISSUED_S + 3));
    assert_int_equal(state_of(desk, 999, ISSUED_S + 4), TOKEN_FRESH);
    assert_true(use(desk, 999, ISSUED_S + 4));
    token_desk_destroy(&desk);
}

/* Verdicts come in any order; the border is the newest issue dropped so far and never goes back. */
static void the_border_of_age_never_goes_back(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(2);
    assert_true(use(desk, 1, ISSUED_S + 50));
    assert_true(use(desk, 2, ISSUED_S + 60));
    assert_true(use(desk, 3, ISSUED_S + 70)); /* and with it 1 is forgotten */
    assert_false(use(desk, 1, ISSUED_S + 50));
    assert_false(use(desk, 4, ISSUED_S + 10));
    assert_true(use(desk, 5, ISSUED_S + 71));
    assert_false(use(desk, 6, ISSUED_S + 60));
    token_desk_destroy(&desk);
}

static void no_nonce_is_used_twice_in_a_long_run(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(64);
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t nonce = (i * UINT64_C(2654435761)) % 5003;
        uint32_t issued_s = ISSUED_S + (uint32_t)nonce; /* a token has one time of issue */
        accepted += use(desk, nonce, issued_s);
        assert_false(use(desk, nonce, issued_s));
    }
    assert_true(accepted > 0);
    assert_true(accepted <= 5003);
    token_desk_destroy(&desk);
}

enum { RACERS = 8, RACES = 2000 };

struct race {
    struct token_desk *desk;
    pthread_barrier_t barrier;
    int wins[RACERS];
};

struct racer {
    struct race *race;
    int number;
};

static void *run(void *argument)
{
    struct racer *racer = argument;
    struct race *race = racer->race;
    (void)pthread_barrier_wait(&race->barrier);
    for (uint32_t i = 0; i < RACES; i++)
        race->wins[racer->number] += use(race->desk, 1 + i, ISSUED_S + i);
    return NULL;
}

static void of_eight_threads_exactly_one_uses_a_nonce(void **state)
{
    (void)state;
    struct race race = {.desk = desk_of(2 * RACES)};
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    assert_int_equal(pthread_barrier_init(&race.barrier, NULL, RACERS), 0);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){&race, i};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &racers[i]), 0);
    }
    int wins = 0;
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        wins += race.wins[i];
    }
    assert_int_equal(wins, RACES);
    assert_int_equal(pthread_barrier_destroy(&race.barrier), 0);
    token_desk_destroy(&race.desk);
}

static void a_desk_that_remembers_reads_the_tokens_of_the_last(void **state)
{
    (void)state;
    struct token_desk *before = desk_of(16), *after = NULL;
    assert_int_equal(token_desk_create((const uint8_t[32]){9}, TTL_MS, 16, &after), STATUS_OK);
    struct token token = token_of(1, ISSUED_S + 2);
    char text[TOKEN_TEXT + 1];
    token_make(before, &token, text);
    assert_int_equal(read_text(after, text, NOW_MS + 3000), TOKEN_BAD);
    assert_true(use(before, 2, ISSUED_S + 1));
    struct token_memory memory;
    token_desk_memory(before, &memory);
    assert_memory_equal(memory.key, key, sizeof(key));
    assert_int_equal(memory.used_s, ISSUED_S + 1);
    token_desk_remember(after, &memory);
    assert_int_equal(read_text(after, text, NOW_MS + 3000), TOKEN_FRESH);
    assert_int_equal(state_of(after, 3, ISSUED_S + 1), TOKEN_TOO_OLD); /* perhaps used before */
    assert_true(use(after, 1, ISSUED_S + 2));
    assert_false(use(after, 2, ISSUED_S + 1));
    token_desk_destroy(&before);
    token_desk_destroy(&after);
}

static void what_was_remembered_is_remembered_again(void **state)
{
    (void)state;
    struct token_desk *desk = desk_of(16);
    const struct token_memory memory = {.key = {7}, .used_s = ISSUED_S};
    struct token_memory again;
    token_desk_remember(desk, &memory);
    token_desk_memory(desk, &again);
    assert_int_equal(again.used_s, ISSUED_S);
    assert_int_equal(again.key[0], 7);
    token_desk_destroy(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_comes_back_as_it_was_made),
        cmocka_unit_test(the_layout_is_the_documented_one),
        cmocka_unit_test(every_changed_byte_is_found),
        cmocka_unit_test(what_is_no_token_is_bad),
        cmocka_unit_test(a_sealed_token_of_another_form_is_bad),
        cmocka_unit_test(another_desks_key_opens_nothing),
        cmocka_unit_test(a_token_ages_with_the_clock),
        cmocka_unit_test(a_token_is_used_once_and_reading_does_not_use_it),
        cmocka_unit_test(what_is_forgotten_is_too_old),
        cmocka_unit_test(the_border_of_age_never_goes_back),
        cmocka_unit_test(no_nonce_is_used_twice_in_a_long_run),
        cmocka_unit_test(of_eight_threads_exactly_one_uses_a_nonce),
        cmocka_unit_test(a_desk_that_remembers_reads_the_tokens_of_the_last),
        cmocka_unit_test(what_was_remembered_is_remembered_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
