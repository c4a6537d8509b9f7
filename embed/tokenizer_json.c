/*
 * tokenizer_json.c - reads tokenizer.json, the file of Hugging Face `tokenizers`, strictly: one
 * vocabulary, and settings that must be those we follow. Owns nothing; threads: any.
 *
 * The vocabulary is an object, piece -> id. It is turned into the lines of a vocab.txt, so that
 * both files of one model give one digest. Truncation and padding are ignored: they are what the
 * publisher ran with last (MiniLM's says 128, the model takes 512).
 */
#include "embed/tokenizer_json.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

#include "base/check.h"
#include "embed/tokenizer_words.h"
#include "embed/vocabulary.h"

/* What the file must say. Absent counts as null. */
static const struct demand {
    const char *object, *key;
    const char *text; /* NULL: a boolean, true */
    bool may_be_null;
} demands[] = {
    {"model", "type", "WordPiece", false},
    {"model", "unk_token", "[UNK]", false},
    {"model", "continuing_subword_prefix", "##", false},
    {"normalizer", "type", "BertNormalizer", false},
    {"normalizer", "clean_text", NULL, false},
    {"normalizer", "handle_chinese_chars", NULL, false},
    {"normalizer", "strip_accents", NULL, true}, /* null: as lowercase says */
    {"normalizer", "lowercase", NULL, false},
    {"pre_tokenizer", "type", "BertPreTokenizer", false},
};

static bool is_met(const struct demand *demand, const cJSON *value)
{
    if (value == NULL || cJSON_IsNull(value))
        return demand->may_be_null;
    if (demand->text == NULL)
        return cJSON_IsTrue(value);
    return cJSON_IsString(value) && strcmp(value->valuestring, demand->text) == 0;
}

static enum status refuse(struct failure *failure, const char *object, const char *key)
{
    return failure_set(failure, STATUS_MODEL_UNSUPPORTED, "tokenizer.json",
                       "%s.%s is not what this tokenizer does", object, key);
}

static enum status refuse_ids(struct failure *failure)
{
    return failure_set(failure, STATUS_WEIGHTS_CORRUPT, "tokenizer.json",
                       "the ids of model.vocab are not 0, 1, 2 and so on, each once");
}

static enum status check_settings(const cJSON *root, struct failure *failure)
{
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++) {
        const struct demand *demand = &demands[i];
        const cJSON *object = cJSON_GetObjectItemCaseSensitive(root, demand->object);
        if (!is_met(demand, cJSON_GetObjectItemCaseSensitive(object, demand->key)))
            return refuse(failure, demand->object, demand->key);
    }
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    const cJSON *max = cJSON_GetObjectItemCaseSensitive(model, "max_input_chars_per_word");
    if (!cJSON_IsNumber(max) || max->valuedouble != TOKENIZER_WORD_POINTS_MAX)
        return refuse(failure, "model", "max_input_chars_per_word");
    return STATUS_OK;
}

/* pieces[id], for ids 0 to count - 1, each once. They point into the JSON tree. */
static enum status order_pieces(const cJSON *vocabulary, const char **pieces, size_t count,
                                struct failure *failure)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, vocabulary)
    {
        bool is_id = cJSON_IsNumber(item) && item->valuedouble >= 0 &&
                     item->valuedouble < (double)count &&
                     item->valuedouble == (double)(size_t)item->valuedouble;
        if (!is_id || strchr(item->string, '\n') != NULL)
            return refuse_ids(failure);
        size_t id = (size_t)item->valuedouble;
        if (pieces[id] != NULL)
            return refuse_ids(failure);
        pieces[id] = item->string;
    }
    return STATUS_OK;
}

static enum status join_pieces(const char **pieces, size_t count, char **out_lines,
                               size_t *out_length)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        assert(pieces[i] != NULL); /* count ids below count, each once */
        length += strlen(pieces[i]) + 1;
    }
    char *lines = malloc(length);
    if (lines == NULL)
        return STATUS_NO_MEMORY;
    char *end = lines;
    for (size_t i = 0; i < count; i++) {
        size_t piece_length = strlen(pieces[i]);
        memcpy(end, pieces[i], piece_length);
        end[piece_length] = '\n';
        end += piece_length + 1;
    }
    *out_lines = lines;
    *out_length = length;
    return STATUS_OK;
}

static size_t count_items(const cJSON *object)
{
    size_t count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        count++;
    }
    return count;
}

static enum status make_lines(const cJSON *root, char **out_lines, size_t *out_length,
                              struct failure *failure)
{
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    const cJSON *vocabulary = cJSON_GetObjectItemCaseSensitive(model, "vocab");
    size_t count = count_items(vocabulary);
    if (!cJSON_IsObject(vocabulary) || count == 0 || count > VOCABULARY_PIECES_MAX)
        return refuse(failure, "model", "vocab");
    const char **pieces = calloc(count, sizeof(*pieces));
    if (pieces == NULL)
        return STATUS_NO_MEMORY;
    enum status status = order_pieces(vocabulary, pieces, count, failure);
    if (status == STATUS_OK)
        status = join_pieces(pieces, count, out_lines, out_length);
    free(pieces);
    return status;
}

/* cJSON gives strings that end at NUL: a piece that holds one would be read as a shorter piece. */
static bool holds_nul(struct text json)
{
    static const char ESCAPED[] = "\\u0000";
    return json.length > 0 &&
           (memchr(json.bytes, '\0', json.length) != NULL ||
            memmem(json.bytes, json.length, ESCAPED, sizeof(ESCAPED) - 1) != NULL);
}

enum status tokenizer_create_from_json(struct text json, const struct tokenizer_options *options,
                                       struct tokenizer **out_tokenizer, struct failure *failure)
{
    cJSON *root = holds_nul(json) ? NULL : cJSON_ParseWithLength(json.bytes, json.length);
    if (root == NULL)
        return failure_set(failure, STATUS_WEIGHTS_CORRUPT, "tokenizer.json", "it cannot be read");
    char *lines = NULL;
    size_t length = 0;
    enum status status = check_settings(root, failure);
    if (status == STATUS_OK)
        status = make_lines(root, &lines, &length, failure);
    cJSON_Delete(root);
    if (status == STATUS_OK)
        status = tokenizer_create((struct text){lines, length}, options, out_tokenizer, failure);
    free(lines);
    return status;
}
