/*
 * fuzz_tokenizer.c - any bytes as a text, a vocabulary or a tokenizer.json; the first byte chooses.
 * Beyond "it does not crash": a text gives ids of the vocabulary between [CLS] and [SEP], and as
 * many as it says; a tokenizer with less room gives the head of the same ids; bytes are refused
 * exactly if they are not UTF-8; a vocabulary that is taken finds each of its own pieces.
 */
#include <stdio.h>
#include <stdlib.h>

#include "embed/tokenizer_json.h"
#include "embed/vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IDS_MAX = 1 << 16, HEAD_MAX = 8, CLS = 1, SEP = 2 };

static const char PIECES[] =
    "[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nab\n##a\n##b\n##ab\n##ing\nthe\n1\n##1\n"
    "!\n[\n]\n\u03b1\n##\u03b1\n\u4e2d\n\u1100\n##\u1161\n\u302e\n##\u302e\n";

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_tokenizer: %s\n", what);
    abort();
}

static struct tokenizer *make(bool special_in_text, uint32_t max_tokens)
{
    struct tokenizer_options options = {special_in_text, max_tokens};
    struct tokenizer *tokenizer = NULL;
    must(tokenizer_create((struct text){PIECES, sizeof(PIECES) - 1}, &options, &tokenizer, NULL) ==
             STATUS_OK,
         "our own vocabulary is refused");
    return tokenizer;
}

static bool is_utf8(struct text text)
{
    uint32_t point;
    for (size_t offset = 0; offset < text.length;) {
        if (!text_read(text, &offset, &point))
            return false;
    }
    return true;
}

static void encode_text(struct text text, bool special_in_text)
{
    static struct tokenizer *whole[2], *head[2];
    static uint32_t ids[IDS_MAX], head_ids[HEAD_MAX];
    if (whole[special_in_text] == NULL) {
        whole[special_in_text] = make(special_in_text, IDS_MAX);
        head[special_in_text] = make(special_in_text, HEAD_MAX);
    }
    struct tokenizer_result result, short_result;
    enum status status = tokenizer_encode(whole[special_in_text], text, ids, IDS_MAX, &result);
    must((status == STATUS_OK) == is_utf8(text), "refused, but UTF-8, or the other way round");
    if (status != STATUS_OK)
        return;
    must(!result.is_too_long, "more ids than bytes can give");
    must(result.written == result.total && result.written >= 2, "a wrong count");
    must(ids[0] == CLS && ids[result.written - 1] == SEP, "the ends are missing");
    size_t unknown = 0;
    for (size_t i = 0; i < result.written; i++) {
        must(ids[i] < tokenizer_vocabulary_count(whole[0]), "an id outside the vocabulary");
        unknown += ids[i] == 0;
    }
    must(unknown == result.unknown, "a wrong count of unknown ids");
    status = tokenizer_encode(head[special_in_text], text, head_ids, HEAD_MAX, &short_result);
    must(status == STATUS_OK && short_result.total == result.total, "another total");
    must(short_result.is_too_long == (result.total > HEAD_MAX), "too long, or not");
    must(head_ids[short_result.written - 1] == SEP, "the head has no end");
    must(memcmp(ids, head_ids, (short_result.written - 1) * sizeof(ids[0])) == 0, "another head");
}

static void make_vocabulary(struct text lines)
{
    struct vocabulary *vocabulary = NULL;
    if (vocabulary_create(lines, &vocabulary, NULL) != STATUS_OK)
        return;
    uint32_t number = 0;
    for (size_t start = 0, i = 0; i < lines.length; i++) {
        if (lines.bytes[i] != '\n')
            continue;
        size_t end = i > start && lines.bytes[i - 1] == '\r' ? i - 1 : i;
        uint32_t id = UINT32_MAX;
        must(vocabulary_find(vocabulary, (struct text){lines.bytes + start, end - start}, &id) &&
                 id == number,
             "a piece is not found under its number");
        number++;
        start = i + 1;
    }
    vocabulary_destroy(&vocabulary);
}

static void make_from_json(struct text json)
{
    const struct tokenizer_options options = {.max_tokens = 256};
    struct tokenizer *tokenizer = NULL;
    struct failure failure = {.status = STATUS_OK};
    enum status status = tokenizer_create_from_json(json, &options, &tokenizer, &failure);
    must((tokenizer != NULL) == (status == STATUS_OK), "half a tokenizer");
    must(status == failure.status, "a refusal does not name its status");
    tokenizer_destroy(&tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct text bytes = {(const char *)data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
    case 1:
        encode_text(bytes, data[0] % 4 == 1);
        break;
    case 2:
        make_vocabulary(bytes);
        break;
    default:
        make_from_json(bytes);
        break;
    }
    return 0;
}
