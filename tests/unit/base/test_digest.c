/*
 * test_digest.c - Goal: the published values of every function here, and refusal of every wrong
 * spelling. Method: vectors of FIPS 180-4, RFC 4231 and RFC 4648; SipHash-1-3 as OpenSSL's SIPHASH
 * with c-rounds 1 and d-rounds 3 gives it for the key 00..0f and the message 00 01 02 ...
 */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

static void assert_hex(struct digest digest, const char *expected)
{
    char hex[DIGEST_HEX + 1];
    digest_to_hex(&digest, hex);
    assert_string_equal(hex, expected);
}

static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    assert_hex(digest_sha256(NULL, 0),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_hex(digest_sha256("abc", 3),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_hex(digest_sha256(two_blocks, strlen(two_blocks)),
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_stream_in_pieces_gives_the_digest_of_the_whole(void **state)
{
    (void)state;
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7);
    struct digest whole = digest_sha256(bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        struct digest_stream stream;
        digest_stream_init(&stream);
        digest_stream_add(&stream, bytes, cut);
        digest_stream_add(&stream, bytes + cut, sizeof(bytes) - cut);
        struct digest pieces = digest_stream_end(&stream);
        assert_true(digest_equal(&pieces, &whole));
    }
}

static void a_copied_stream_branches_after_the_common_prefix(void **state)
{
    (void)state;
    struct digest_stream trunk;
    digest_stream_init(&trunk);
    digest_stream_add(&trunk, "a", 1);
    struct digest_stream branch = trunk;
    digest_stream_add(&branch, "xx", 2);
    digest_stream_add(&trunk, "bc", 2);
    struct digest left = digest_stream_end(&trunk);
    struct digest right = digest_stream_end(&branch);
    struct digest abc = digest_sha256("abc", 3);
    struct digest axx = digest_sha256("axx", 3);
    assert_true(digest_equal(&left, &abc));
    assert_true(digest_equal(&right, &axx));
    assert_false(digest_equal(&left, &right));
}

/* RFC 4231, test case 1, and case 2 with the key that our 32 bytes allow: shorter keys are padded
 * with zeros. */
static void hmac_gives_the_published_codes(void **state)
{
    (void)state;
    uint8_t key[32] = {0};
    memset(key, 0x0b, 20);
    assert_hex(digest_hmac_sha256(key, "Hi There", 8),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    uint8_t jefe[32] = {'J', 'e', 'f', 'e'};
    assert_hex(digest_hmac_sha256(jefe, "what do ya want for nothing?", 28),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void siphash_1_3_gives_the_reference_values(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {
        {0, 0xabac0158050fc4dc}, {1, 0xc9f49bf37d57ca93},  {7, 0xd3927d989bb11140},
        {8, 0x369095118d299a8e}, {15, 0xd320d86d2a519956}, {63, 0x9d199062b7bbb3a8},
    };
    uint8_t key[16], message[64];
    for (uint8_t i = 0; i < 64; i++)
        message[i] = i;
    memcpy(key, message, sizeof(key));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(digest_siphash(key, message, rows[i].size), rows[i].hash);
    key[15] ^= 1;
    assert_int_not_equal(digest_siphash(key, message, 8), rows[3].hash);
}

static void equal_in_constant_time_means_equal(void **state)
{
    (void)state;
    uint8_t a[64] = {0}, b[64] = {0};
    assert_true(digest_equal_constant_time(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 0x80;
        assert_false(digest_equal_constant_time(a, b, sizeof(a)));
        b[i] = 0;
    }
    assert_true(digest_equal_constant_time(a, b, 0));
}

static void hex_comes_back_and_nothing_but_64_lowercase_digits_is_read(void **state)
{
    (void)state;
    struct digest digest = digest_sha256("abc", 3);
    char hex[DIGEST_HEX + 1];
    digest_to_hex(&digest, hex);
    struct digest back = {{0}};
    assert_true(digest_from_hex(hex, DIGEST_HEX, &back));
    assert_true(digest_equal(&digest, &back));
    struct digest untouched = back;
    assert_false(digest_from_hex(hex, DIGEST_HEX - 1, &back));
    assert_false(digest_from_hex(hex, DIGEST_HEX + 1, &back));
    static const char wrong[] = {'A', 'F', 'g', '/', ':', '`', ' ', '\0'};
    for (size_t i = 0; i < DIGEST_HEX; i++) {
        char kept = hex[i];
        hex[i] = wrong[i % sizeof(wrong)];
        assert_false(digest_from_hex(hex, DIGEST_HEX, &back));
        hex[i] = kept;
    }
    assert_true(digest_equal(&back, &untouched));
}

static void base64url_gives_the_published_texts_without_padding(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[16];
        size_t size = strlen(rows[i][0]);
        assert_int_equal(base64url_encode(rows[i][0], size, text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        char back[16] = "";
        assert_true(base64url_decode(text, strlen(text), back, size));
        assert_memory_equal(back, rows[i][0], size);
    }
}

static void base64url_writes_no_byte_beyond_the_promised_room(void **state)
{
    (void)state;
    uint8_t bytes[100], back[100];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        char *text = malloc((size * 4 + 2) / 3 + 1); /* the sanitizer watches its end */
        size_t length = base64url_encode(bytes, size, text);
        assert_int_equal(length, (size * 4 + 2) / 3);
        assert_true(base64url_decode(text, length, back, size));
        assert_memory_equal(back, bytes, size);
        free(text);
    }
}

static void base64url_refuses_what_is_no_spelling_of_that_many_bytes(void **state)
{
    (void)state;
    uint8_t out[8];
    assert_false(base64url_decode("Zm9v", 4, out, 2));
    assert_false(base64url_decode("Zm9v", 4, out, 4));
    assert_false(base64url_decode("Zm9vY", 5, out, 3)); /* five digits are no number of bytes */
    assert_false(base64url_decode("Zm9=", 4, out, 3));
    assert_false(base64url_decode("Zm+v", 4, out, 3));
    assert_false(base64url_decode("Zm/v", 4, out, 3));
    assert_false(base64url_decode("Zm\0v", 4, out, 3));
    assert_false(base64url_decode("Zh", 2, out, 1)); /* "f" with a bit set that means nothing */
    assert_false(base64url_decode("Zm9", 3, out, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(a_stream_in_pieces_gives_the_digest_of_the_whole),
        cmocka_unit_test(a_copied_stream_branches_after_the_common_prefix),
        cmocka_unit_test(hmac_gives_the_published_codes),
        cmocka_unit_test(siphash_1_3_gives_the_reference_values),
        cmocka_unit_test(equal_in_constant_time_means_equal),
        cmocka_unit_test(hex_comes_back_and_nothing_but_64_lowercase_digits_is_read),
        cmocka_unit_test(base64url_gives_the_published_texts_without_padding),
        cmocka_unit_test(base64url_writes_no_byte_beyond_the_promised_room),
        cmocka_unit_test(base64url_refuses_what_is_no_spelling_of_that_many_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
