/*
 * Goal: a space is named by everything that shapes its vectors, and the table of providers keeps
 * its word. Method: the id is computed a second time here, byte by byte.
 */
#include "tests/support/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "embed/embedder.h"

static void lexical_tells_its_space(void **state)
{
    (void)state;
    struct embedder *embedder = NULL;
    assert_int_equal(embedder_create("lexical", &embedder), STATUS_OK);
    const struct embed_space *space = embedder_space(embedder);
    assert_string_equal(space->name, "lexical");
    assert_string_equal(space->version, "1");
    assert_int_equal(space->dimension, 512);
    assert_true(space->threshold_default == 0.90f);
    assert_true(space->min_similarity == 0.40f);
    embedder_destroy(&embedder);
    assert_null(embedder);
    embedder_destroy(&embedder);
}

static void the_id_of_lexical_is_the_digest_of_its_parts(void **state)
{
    (void)state;
    static const uint8_t parts[] = {
        7, 0, 0, 0, 'l', 'e', 'x', 'i', 'c', 'a', 'l', /* provider   */
        7, 0, 0, 0, 'l', 'e', 'x', 'i', 'c', 'a', 'l', /* model      */
        1, 0, 0, 0, '1',                               /* version    */
        4, 0, 0, 0, 0,   2,   0,   0,                  /* dimension  */
        4, 0, 0, 0, 1,   0,   0,   0,                  /* arithmetic */
    };
    struct digest digest = digest_sha256(parts, sizeof(parts));
    uint64_t expected = 0;
    for (int i = 7; i >= 0; i--)
        expected = expected << 8 | digest.bytes[i];
    struct embedder *embedder = NULL;
    assert_int_equal(embedder_create("lexical", &embedder), STATUS_OK);
    assert_true(embedder_space(embedder)->id == expected);
    assert_true(expected != 0);
    embedder_destroy(&embedder);
}

static void none_is_no_embedder_and_other_words_are_refused(void **state)
{
    (void)state;
    struct embedder *embedder = (struct embedder *)&embedder; /* anything but NULL */
    assert_int_equal(embedder_create("none", &embedder), STATUS_OK);
    assert_null(embedder);
    assert_int_equal(embedder_create("minilm", &embedder), STATUS_BAD_OPTION);
    assert_null(embedder);
}

static void it_embeds(void **state)
{
    (void)state;
    struct embedder *embedder = NULL;
    struct arena *arena = NULL;
    float unit[512];
    assert_int_equal(arena_create(&arena), STATUS_OK);
    assert_int_equal(embedder_create("lexical", &embedder), STATUS_OK);
    assert_int_equal(embedder_embed(embedder, TEXT("open the door"), arena, unit), STATUS_OK);
    double squares = 0;
    for (size_t i = 0; i < 512; i++)
        squares += (double)unit[i] * unit[i];
    assert_true(fabs(squares - 1) < 1e-6);
    assert_int_equal(embedder_embed(embedder, TEXT("..."), arena, unit), STATUS_NOT_FOUND);
    embedder_destroy(&embedder);
    arena_destroy(&arena);
}

static void a_clients_space_is_told_apart_by_name_and_dimension(void **state)
{
    (void)state;
    struct embed_space a, b, c, again;
    embed_client_space(TEXT("text-embedding-3-small"), 1536, &a);
    embed_client_space(TEXT("text-embedding-3-small"), 512, &b);
    embed_client_space(TEXT("text-embedding-3-large"), 1536, &c);
    embed_client_space(TEXT("text-embedding-3-small"), 1536, &again);
    assert_true(a.id == again.id);
    assert_true(a.id != b.id);
    assert_true(a.id != c.id);
    assert_true(a.id != 0);
    assert_string_equal(a.name, "text-embedding-3-small");
    assert_int_equal(a.dimension, 1536);
    assert_true(a.threshold_default == 0.95f);
    assert_true(a.min_similarity == 0.0f);
}

static void a_client_that_says_lexical_is_not_in_our_space(void **state)
{
    (void)state;
    struct embedder *embedder = NULL;
    struct embed_space client;
    assert_int_equal(embedder_create("lexical", &embedder), STATUS_OK);
    embed_client_space(TEXT("lexical"), 512, &client);
    assert_true(client.id != embedder_space(embedder)->id);
    embedder_destroy(&embedder);
}

static void a_long_name_is_cut_for_display_but_counts_whole(void **state)
{
    (void)state;
    char long_a[65], long_b[65];
    memset(long_a, 'n', sizeof(long_a));
    long_a[64] = '\0';
    memcpy(long_b, long_a, sizeof(long_b));
    long_b[63] = 'm';
    struct embed_space a, b;
    embed_client_space(text_of(long_a), 8, &a);
    embed_client_space(text_of(long_b), 8, &b);
    assert_int_equal(strlen(a.name), sizeof(a.name) - 1);
    assert_string_equal(a.name, b.name);
    assert_true(a.id != b.id);
    /* 46 letters, then two bytes of one: it does not fit whole, so it is left out. */
    char split[49];
    memset(split, 'n', 46);
    memcpy(split + 46, "\xC3\xA9", 3);
    embed_client_space(text_of(split), 8, &a);
    assert_int_equal(strlen(a.name), 46);
}

static void the_option_defaults_to_lexical(void **state)
{
    (void)state;
    struct option_table table = {embed_option_rows, embed_option_rows_count};
    struct options *options = NULL;
    assert_int_equal(options_create(&table, 1, &options), STATUS_OK);
    assert_string_equal(options_text(options, "embed.provider"), "lexical");
    options_destroy(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lexical_tells_its_space),
        cmocka_unit_test(the_id_of_lexical_is_the_digest_of_its_parts),
        cmocka_unit_test(none_is_no_embedder_and_other_words_are_refused),
        cmocka_unit_test(it_embeds),
        cmocka_unit_test(a_clients_space_is_told_apart_by_name_and_dimension),
        cmocka_unit_test(a_client_that_says_lexical_is_not_in_our_space),
        cmocka_unit_test(a_long_name_is_cut_for_display_but_counts_whole),
        cmocka_unit_test(the_option_defaults_to_lexical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
