/*
 * test_tokenizer_json.c - Goal: tokenizer.json gives the same tokenizer as vocab.txt, and a file
 * that asks for another one is refused with the key. Method: one small file, right, then with one
 * place changed at a time; the model's own two files where they are there.
 */
#include "tests/unit/embed/tokenizer_support.h"

#include "embed/tokenizer_json.h"

#define MODEL                                                                                      \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","                                   \
    "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,"                       \
    "\"vocab\":{\"[CLS]\":1,\"[UNK]\":0,\"\\u00e9\":4,\"[SEP]\":2,\"##b\":3}}"
#define NORMALIZER                                                                                 \
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"                             \
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true}"
#define CUTTER "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define FILE_TEXT                                                                                  \
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":128}," NORMALIZER "," CUTTER "," MODEL "}"

static const struct tokenizer_options options = {.max_tokens = 256};

static void the_pieces_are_put_in_the_order_of_their_ids(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = NULL;
    static const char LINES[] = "[UNK]\n[CLS]\n[SEP]\n##b\n\u00e9\n";
    struct digest expected = digest_sha256(LINES, sizeof(LINES) - 1);
    assert_int_equal(tokenizer_create_from_json(TEXT(FILE_TEXT), &options, &tokenizer, NULL),
                     STATUS_OK);
    assert_int_equal(tokenizer_vocabulary_count(tokenizer), 5);
    assert_true(digest_equal(tokenizer_vocabulary_digest(tokenizer), &expected));
    tokenizer_destroy(&tokenizer);
}

/* FILE_TEXT with the first `old` replaced. */
static struct text changed(const char *old, const char *new, char *out, size_t room)
{
    const char *place = strstr(FILE_TEXT, old);
    assert_non_null(place);
    int length = snprintf(out, room, "%.*s%s%s", (int)(place - FILE_TEXT), FILE_TEXT, new,
                          place + strlen(old));
    assert_in_range(length, 1, room - 1);
    return (struct text){out, (size_t)length};
}

static void assert_refused(struct text json, enum status status, const char *message)
{
    struct tokenizer *tokenizer = NULL;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(tokenizer_create_from_json(json, &options, &tokenizer, &failure), status);
    assert_null(tokenizer);
    assert_string_equal(failure.message, message);
}

static void another_tokenizer_is_refused_with_the_key(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *key;
    } rows[] = {
        {"\"WordPiece\"", "\"BPE\"", "model.type"},
        {"\"model\"", "\"other\"", "model.type"},
        {"\"model\":{", "\"model\":[],\"x\":{", "model.type"},
        {"\"[UNK]\",\"c", "\"<unk>\",\"c", "model.unk_token"},
        {"\"##\"", "\"\"", "model.continuing_subword_prefix"},
        {":100", ":200", "model.max_input_chars_per_word"},
        {":100", ":\"100\"", "model.max_input_chars_per_word"},
        {"\"BertNormalizer\"", "\"NFKC\"", "normalizer.type"},
        {"clean_text\":true", "clean_text\":false", "normalizer.clean_text"},
        {"chars\":true", "chars\":false", "normalizer.handle_chinese_chars"},
        {"accents\":null", "accents\":false", "normalizer.strip_accents"},
        {"lowercase\":true", "lowercase\":false", "normalizer.lowercase"},
        {"lowercase\":true", "lowercase\":null", "normalizer.lowercase"},
        {"\"BertPreTokenizer\"", "\"Whitespace\"", "pre_tokenizer.type"},
        {"\"vocab\":{", "\"words\":{", "model.vocab"},
        {"\"vocab\":{", "\"vocab\":[],\"x\":{", "model.vocab"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char json[1024], message[128];
        (void)snprintf(message, sizeof(message), "%s is not what this tokenizer does", rows[i].key);
        assert_refused(changed(rows[i].old, rows[i].new, json, sizeof(json)),
                       STATUS_MODEL_UNSUPPORTED, message);
    }
}

static void accents_may_be_said_aloud(void **state)
{
    (void)state;
    char json[1024];
    struct tokenizer *tokenizer = NULL;
    struct text text = changed("accents\":null", "accents\":true", json, sizeof(json));
    assert_int_equal(tokenizer_create_from_json(text, &options, &tokenizer, NULL), STATUS_OK);
    tokenizer_destroy(&tokenizer);
}

static void ids_that_leave_a_gap_are_refused(void **state)
{
    (void)state;
    static const char MESSAGE[] = "the ids of model.vocab are not 0, 1, 2 and so on, each once";
    static const char *const ids[] = {"5", "3", "-1", "4.5", "1e300", "\"4\"", "null", "true"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char json[1024], with[32];
        (void)snprintf(with, sizeof(with), "u00e9\":%s,", ids[i]);
        assert_refused(changed("u00e9\":4,", with, json, sizeof(json)), STATUS_WEIGHTS_CORRUPT,
                       MESSAGE);
    }
    char json[1024];
    assert_refused(changed("##b", "##\\nb", json, sizeof(json)), STATUS_WEIGHTS_CORRUPT, MESSAGE);
}

static void repeated_and_empty_pieces_are_refused(void **state)
{
    (void)state;
    char json[1024];
    assert_refused(changed("\"##b\"", "\"[SEP]\"", json, sizeof(json)), STATUS_WEIGHTS_CORRUPT,
                   "line 4 repeats an earlier one");
    assert_refused(changed("\"##b\"", "\"\"", json, sizeof(json)), STATUS_WEIGHTS_CORRUPT,
                   "line 4 is empty");
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char MESSAGE[] = "it cannot be read";
    char json[1024];
    assert_refused((struct text){NULL, 0}, STATUS_WEIGHTS_CORRUPT, MESSAGE);
    assert_refused(TEXT("{\"model\":"), STATUS_WEIGHTS_CORRUPT, MESSAGE);
    assert_refused(TEXT("{}\0"), STATUS_WEIGHTS_CORRUPT, MESSAGE);
    assert_refused(changed("##b", "##b\\u0000c", json, sizeof(json)), STATUS_WEIGHTS_CORRUPT,
                   MESSAGE);
    for (size_t length = 0; length < sizeof(FILE_TEXT) - 1; length++)
        assert_refused((struct text){FILE_TEXT, length}, STATUS_WEIGHTS_CORRUPT, MESSAGE);
}

static void the_models_two_files_are_one_vocabulary(void **state)
{
    (void)state;
    size_t json_length = 0, lines_length = 0;
    char *json = read_model("tokenizer.json", &json_length);
    char *lines = read_model("vocab.txt", &lines_length);
    if (json == NULL || lines == NULL) {
        print_message("no minilm-l6/tokenizer.json in REPRISE_MODELS or build/models: skipped\n");
        free(json);
        free(lines);
        skip();
    }
    struct tokenizer *from_json = NULL, *from_lines = NULL;
    assert_int_equal(
        tokenizer_create_from_json((struct text){json, json_length}, &options, &from_json, NULL),
        STATUS_OK);
    assert_int_equal(
        tokenizer_create((struct text){lines, lines_length}, &options, &from_lines, NULL),
        STATUS_OK);
    assert_true(digest_equal(tokenizer_vocabulary_digest(from_json),
                             tokenizer_vocabulary_digest(from_lines)));
    tokenizer_destroy(&from_json);
    tokenizer_destroy(&from_lines);
    free(json);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pieces_are_put_in_the_order_of_their_ids),
        cmocka_unit_test(another_tokenizer_is_refused_with_the_key),
        cmocka_unit_test(accents_may_be_said_aloud),
        cmocka_unit_test(ids_that_leave_a_gap_are_refused),
        cmocka_unit_test(repeated_and_empty_pieces_are_refused),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(the_models_two_files_are_one_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
