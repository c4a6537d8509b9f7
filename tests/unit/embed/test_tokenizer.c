/*
 * test_tokenizer.c - Goal: the ids are those of the reference, token for token. Method: rules of
 * WordPiece by a vocabulary of ten lines; then some 560 texts whose ids the reference gave
 * (tools/tokenizer_golden.py), by the tiny vocabulary of tests/data and, where the model's folder
 * is there ($REPRISE_MODELS or build/models), by the model's own.
 */
#include "tests/unit/embed/tokenizer_support.h"

#include <malloc.h>

#include "embed/tokenizer.h"

enum { IDS_MAX = 2048 };

#define SMALL "[UNK]\n[CLS]\n[SEP]\na\nab\n##b\n##c\n##cd\nb\n!\n\u03b1\n##bb\n"
enum { UNK, CLS, SEP, A, AB, C_B, C_C, C_CD, B, BANG, ALPHA, C_BB };

static struct tokenizer *make(struct text vocabulary, bool special_in_text, uint32_t max_tokens)
{
    struct tokenizer_options options = {.special_in_text = special_in_text,
                                        .max_tokens = max_tokens};
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(tokenizer_create(vocabulary, &options, &tokenizer, NULL), STATUS_OK);
    return tokenizer;
}

static int create_small(void **state)
{
    *state = make(TEXT(SMALL), false, IDS_MAX);
    return 0;
}

static int destroy(void **state)
{
    tokenizer_destroy((struct tokenizer **)state);
    assert_null(*state);
    return 0;
}

/* The ids between [CLS] and [SEP] are `count` numbers. */
static void assert_ids(const struct tokenizer *tokenizer, struct text text, size_t count,
                       const uint32_t *expected)
{
    uint32_t ids[IDS_MAX];
    struct tokenizer_result result;
    assert_int_equal(tokenizer_encode(tokenizer, text, ids, IDS_MAX, &result), STATUS_OK);
    assert_int_equal(result.written, count + 2);
    assert_int_equal(result.total, count + 2);
    assert_false(result.is_too_long);
    size_t unknown = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ids[i + 1], expected[i]);
        unknown += expected[i] == UNK;
    }
    assert_int_equal(ids[0], CLS);
    assert_int_equal(ids[count + 1], SEP);
    assert_int_equal(result.unknown, unknown);
}

#define ASSERT_IDS(tokenizer, text, ...)                                                           \
    assert_ids(tokenizer, text, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),              \
               (uint32_t[]){__VA_ARGS__})

static void a_text_without_words_is_two_ids(void **state)
{
    assert_ids(*state, (struct text){NULL, 0}, 0, NULL);
    assert_ids(*state, TEXT(" \t"), 0, NULL);
}

static void a_word_becomes_its_longest_pieces(void **state)
{
    ASSERT_IDS(*state, TEXT("a"), A);
    ASSERT_IDS(*state, TEXT("ab"), AB);
    ASSERT_IDS(*state, TEXT("abc"), AB, C_C);
    ASSERT_IDS(*state, TEXT("abcd"), AB, C_CD);
    ASSERT_IDS(*state, TEXT("acdb!"), A, C_CD, C_B, BANG);
    ASSERT_IDS(*state, TEXT("acccd A"), A, C_C, C_C, C_CD, A);
    ASSERT_IDS(*state, TEXT("\u0391c"), ALPHA, C_C); /* capital alpha */
}

static void greed_is_not_undone(void **state)
{
    ASSERT_IDS(*state, TEXT("abb"), AB, C_B);
    ASSERT_IDS(*state, TEXT("abbb"), AB, C_BB); /* never a, ##bb, ##b                      */
    ASSERT_IDS(*state, TEXT("acda"), UNK);      /* a, ##cd, then nothing fits: no way back */
}

static void a_word_with_one_unknown_place_is_one_unknown_token(void **state)
{
    ASSERT_IDS(*state, TEXT("abx"), UNK);
    ASSERT_IDS(*state, TEXT("xab a"), UNK, A);
    ASSERT_IDS(*state, TEXT("x!x"), UNK, BANG, UNK);
    ASSERT_IDS(*state, TEXT("c"), UNK); /* only a continuing piece has this letter */
    ASSERT_IDS(*state, TEXT("##b"), UNK, UNK, B);
    ASSERT_IDS(*state, TEXT("\U0001f600\U0001f600 a"), UNK, A);
}

static void a_word_of_a_hundred_code_points_is_the_longest(void **state)
{
    char text[105];
    uint32_t expected[100];
    memset(text, 'b', sizeof(text));
    text[0] = 'a';
    expected[0] = AB; /* then 98 letters: 49 pairs */
    for (size_t i = 1; i < 50; i++)
        expected[i] = C_BB;
    assert_ids(*state, (struct text){text, 100}, 50, expected);
    ASSERT_IDS(*state, ((struct text){text, 101}), UNK);
    memset(text, 'c', sizeof(text));
    text[0] = 'a';
    expected[0] = A;
    for (size_t i = 1; i < 100; i++)
        expected[i] = C_C;
    assert_ids(*state, (struct text){text, 100}, 100, expected);
    text[101] = ' ';
    text[102] = 'a';
    ASSERT_IDS(*state, ((struct text){text, 103}), UNK, A);
}

static void special_texts_are_plain_unless_the_options_say_otherwise(void **state)
{
    ASSERT_IDS(*state, TEXT("a[SEP]b"), A, UNK, UNK, UNK, B);
    struct tokenizer *special = make(TEXT(SMALL), true, IDS_MAX);
    ASSERT_IDS(special, TEXT("[SEP]"), SEP);
    ASSERT_IDS(special, TEXT("a[SEP]b[CLS]"), A, SEP, B, CLS);
    ASSERT_IDS(special, TEXT("a[UNK]b"), A, UNK, B);     /* counted as unknown, as it is one */
    ASSERT_IDS(special, TEXT("[[SEP]]"), UNK, SEP, UNK); /* brackets are no pieces here      */
    ASSERT_IDS(special, TEXT("[SEP [sep]"), UNK, UNK, UNK, UNK, UNK);
    ASSERT_IDS(special, TEXT("[PAD]"), UNK, UNK, UNK); /* not in this vocabulary           */
    ASSERT_IDS(special, TEXT("\u08d4[SEP]\u302e"), UNK, SEP, UNK);
    assert_ids(special, (struct text){NULL, 0}, 0, NULL);
    uint32_t ids[IDS_MAX];
    struct tokenizer_result result;
    assert_int_equal(tokenizer_encode(special, TEXT("\xff[SEP]"), ids, IDS_MAX, &result),
                     STATUS_BAD_TEXT);
    assert_int_equal(tokenizer_encode(special, TEXT("[SEP]\xff"), ids, IDS_MAX, &result),
                     STATUS_BAD_TEXT);
    tokenizer_destroy(&special);
}

/* A text of 6 ids in a tokenizer of 5, then of 6. */
static void a_text_that_is_too_long_leaves_its_head_and_its_length(void **state)
{
    (void)state;
    uint32_t ids[8] = {0, 0, 0, 0, 0, 77, 77, 77};
    struct tokenizer_result result;
    struct tokenizer *five = make(TEXT(SMALL), false, 5);
    assert_int_equal(tokenizer_encode(five, TEXT("a b! x"), ids, 8, &result), STATUS_OK);
    assert_true(result.is_too_long);
    assert_int_equal(result.total, 6);
    assert_int_equal(result.written, 5);
    assert_int_equal(result.unknown, 1); /* of the whole text */
    const uint32_t head[] = {CLS, A, B, BANG, SEP, 77, 77, 77};
    assert_memory_equal(ids, head, sizeof(head));
    assert_int_equal(tokenizer_encode(five, TEXT("a b!"), ids, 5, &result), STATUS_OK);
    assert_false(result.is_too_long);
    assert_int_equal(result.written, 5);
    tokenizer_destroy(&five);
    struct tokenizer *six = make(TEXT(SMALL), false, 6);
    assert_int_equal(tokenizer_encode(six, TEXT("a b! x"), ids, 6, &result), STATUS_OK);
    assert_false(result.is_too_long);
    assert_int_equal(result.total, 6);
    tokenizer_destroy(&six);
}

static void broken_text_is_refused_and_the_result_left_alone(void **state)
{
    uint32_t ids[IDS_MAX];
    struct tokenizer_result result = {.written = 99};
    assert_int_equal(tokenizer_encode(*state, TEXT("a \xed\xa0\x80"), ids, IDS_MAX, &result),
                     STATUS_BAD_TEXT);
    assert_int_equal(result.written, 99);
}

static void assert_refused(struct text vocabulary, uint32_t max_tokens, enum status status,
                           const char *message)
{
    struct tokenizer_options options = {.max_tokens = max_tokens};
    struct tokenizer *tokenizer = NULL;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(tokenizer_create(vocabulary, &options, &tokenizer, &failure), status);
    assert_null(tokenizer);
    assert_string_equal(failure.message, message);
}

static void a_vocabulary_without_its_special_pieces_is_refused(void **state)
{
    (void)state;
    assert_refused(TEXT("[CLS]\n[SEP]\na\n"), 256, STATUS_MODEL_UNSUPPORTED, "it has no [UNK]");
    assert_refused(TEXT("[UNK]\n[SEP]\na\n"), 256, STATUS_MODEL_UNSUPPORTED, "it has no [CLS]");
    assert_refused(TEXT("[CLS]\n[UNK]\na\n"), 256, STATUS_MODEL_UNSUPPORTED, "it has no [SEP]");
    assert_refused(TEXT("a\na\n"), 256, STATUS_WEIGHTS_CORRUPT, "line 2 repeats an earlier one");
    assert_refused(TEXT(SMALL), 2, STATUS_LIMIT_EXCEEDED, "not between 3 and 65536");
    assert_refused(TEXT(SMALL), 65537, STATUS_LIMIT_EXCEEDED, "not between 3 and 65536");
}

static void the_vocabulary_is_copied_counted_and_digested(void **state)
{
    (void)state;
    char lines[] = SMALL;
    struct tokenizer *tokenizer = make(text_of(lines), false, IDS_MAX);
    struct digest expected = digest_sha256(SMALL, sizeof(SMALL) - 1);
    memset(lines, 'x', sizeof(lines));
    assert_int_equal(tokenizer_vocabulary_count(tokenizer), C_BB + 1);
    assert_true(digest_equal(tokenizer_vocabulary_digest(tokenizer), &expected));
    ASSERT_IDS(tokenizer, TEXT("ab"), AB);
    tokenizer_destroy(&tokenizer);
}

static void encoding_takes_no_memory(void **state)
{
    uint32_t ids[IDS_MAX];
    struct tokenizer_result result;
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 100; i++)
        (void)tokenizer_encode(*state, TEXT("ab caf\u00e9 \ud55c\u4e2d [SEP] x!"), ids, IDS_MAX,
                               &result);
    assert_int_equal(mallinfo2().uordblks, before);
}

static void assert_row(const struct tokenizer *tokenizer, struct text text, const char *expected)
{
    uint32_t ids[IDS_MAX];
    struct tokenizer_result result;
    assert_int_equal(tokenizer_encode(tokenizer, text, ids, IDS_MAX, &result), STATUS_OK);
    char line[8 * IDS_MAX];
    size_t length = 0;
    for (size_t i = 0; i < result.written; i++)
        length +=
            (size_t)snprintf(line + length, sizeof(line) - length, i == 0 ? "%u" : " %u", ids[i]);
    assert_string_equal(line, expected);
}

/* All rows of the golden file by this vocabulary, whose ids stand in that column. */
static void check_golden(struct text vocabulary, const char *name, size_t column)
{
    char hex[DIGEST_HEX + 1], expected[DIGEST_HEX + 1];
    struct tokenizer *plain = make(vocabulary, false, IDS_MAX);
    struct tokenizer *special = make(vocabulary, true, IDS_MAX);
    golden_head("vocabulary", name, expected);
    digest_to_hex(tokenizer_vocabulary_digest(plain), hex);
    assert_string_equal(hex, expected);
    struct golden golden;
    size_t rows = 0;
    golden_open(&golden);
    while (golden_next(&golden)) {
        if (golden.columns_count != 4)
            continue;
        bool is_special = strcmp(golden.columns[0], "special") == 0;
        assert_row(is_special ? special : plain, golden.text, golden.columns[column]);
        rows++;
    }
    assert_true(rows >= 560);
    golden_close(&golden);
    tokenizer_destroy(&plain);
    tokenizer_destroy(&special);
}

static void the_tiny_vocabulary_gives_the_ids_of_the_reference(void **state)
{
    (void)state;
    size_t length = 0;
    char *lines = read_source("tests/data/tokenizer_tiny_vocab.txt", &length);
    assert_non_null(lines);
    check_golden((struct text){lines, length}, "tiny", 2);
    free(lines);
}

static void the_models_vocabulary_gives_the_ids_of_the_reference(void **state)
{
    (void)state;
    size_t length = 0;
    char *lines = read_model("vocab.txt", &length);
    if (lines == NULL) {
        print_message("no minilm-l6/vocab.txt in REPRISE_MODELS or build/models: skipped\n");
        skip();
    }
    check_golden((struct text){lines, length}, "minilm-l6", 3);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_without_words_is_two_ids, create_small, destroy),
        cmocka_unit_test_setup_teardown(a_word_becomes_its_longest_pieces, create_small, destroy),
        cmocka_unit_test_setup_teardown(greed_is_not_undone, create_small, destroy),
        cmocka_unit_test_setup_teardown(a_word_with_one_unknown_place_is_one_unknown_token,
                                        create_small, destroy),
        cmocka_unit_test_setup_teardown(a_word_of_a_hundred_code_points_is_the_longest,
                                        create_small, destroy),
        cmocka_unit_test_setup_teardown(special_texts_are_plain_unless_the_options_say_otherwise,
                                        create_small, destroy),
        cmocka_unit_test(a_text_that_is_too_long_leaves_its_head_and_its_length),
        cmocka_unit_test_setup_teardown(broken_text_is_refused_and_the_result_left_alone,
                                        create_small, destroy),
        cmocka_unit_test(a_vocabulary_without_its_special_pieces_is_refused),
        cmocka_unit_test(the_vocabulary_is_copied_counted_and_digested),
        cmocka_unit_test_setup_teardown(encoding_takes_no_memory, create_small, destroy),
        cmocka_unit_test(the_tiny_vocabulary_gives_the_ids_of_the_reference),
        cmocka_unit_test(the_models_vocabulary_gives_the_ids_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
