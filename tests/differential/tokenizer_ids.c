/*
 * tokenizer_ids.c - prints the ids of texts, for comparison with another tokenizer: the program
 * behind tests/wire/test_tokenizer_reference.py.
 *
 *     tokenizer_ids VOCABULARY plain|special MAX_TOKENS
 *
 * VOCABULARY is a vocab.txt, or a tokenizer.json by its ending. Reads one text a line from stdin,
 * as hex digits, and prints its ids in decimal, or "bad" if it is not UTF-8.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "embed/tokenizer_json.h"

enum { FILE_MAX = 1 << 24 };

static void fail(const char *what)
{
    (void)fprintf(stderr, "tokenizer_ids: %s\n", what);
    exit(2);
}

static struct text read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail("the vocabulary cannot be opened");
    char *bytes = malloc(FILE_MAX);
    if (bytes == NULL)
        fail("no memory");
    size_t length = fread(bytes, 1, FILE_MAX, file);
    if (length == FILE_MAX)
        fail("the vocabulary is too large");
    (void)fclose(file);
    return (struct text){bytes, length};
}

static int digit(int character)
{
    return isdigit(character) ? character - '0' : tolower(character) - 'a' + 10;
}

/* Turns the hex digits of a line into bytes, in place. */
static struct text unhex(char *line)
{
    size_t length = 0;
    for (; isxdigit((unsigned char)line[2 * length]); length++)
        line[length] = (char)(digit(line[2 * length]) << 4 | digit(line[2 * length + 1]));
    return (struct text){line, length};
}

static void print_ids(const struct tokenizer *tokenizer, struct text text, uint32_t *ids)
{
    struct tokenizer_result result;
    if (tokenizer_encode(tokenizer, text, ids, TOKENIZER_TOKENS_MAX, &result) != STATUS_OK) {
        (void)puts("bad");
        return;
    }
    for (size_t i = 0; i < result.written; i++)
        (void)printf(i == 0 ? "%u" : " %u", ids[i]);
    (void)putchar('\n');
}

int main(int count, char **words)
{
    if (count != 4)
        fail("tokenizer_ids VOCABULARY plain|special MAX_TOKENS");
    struct tokenizer_options options = {.special_in_text = strcmp(words[2], "special") == 0,
                                        .max_tokens = (uint32_t)strtoul(words[3], NULL, 10)};
    struct text file = read_file(words[1]);
    size_t path_length = strlen(words[1]);
    bool is_json = path_length > 5 && strcmp(words[1] + path_length - 5, ".json") == 0;
    struct tokenizer *tokenizer = NULL;
    struct failure failure = {.status = STATUS_OK};
    enum status status = is_json ? tokenizer_create_from_json(file, &options, &tokenizer, &failure)
                                 : tokenizer_create(file, &options, &tokenizer, &failure);
    if (status != STATUS_OK)
        fail(failure.message);
    static uint32_t ids[TOKENIZER_TOKENS_MAX];
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0)
        print_ids(tokenizer, unhex(line), ids);
    free(line);
    tokenizer_destroy(&tokenizer);
    free((char *)file.bytes);
    return 0;
}
