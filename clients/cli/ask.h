/*
 * ask.h - flags as requests: who is asked what, as get, set, del, key and encode take it. An `ask`
 * owns what had to be made (a prompt from standard input, numbers, pairs); the rest is borrowed
 * from argv. Threads: the main thread.
 */
#pragma once
#include "clients/cli/verbs.h"

/* --model, --prompt, ...; --tier, --include, ... */
enum { ASK_IDENTITY_ROWS = 7, ASK_GET_ROWS = 4 };
extern const struct flag_row ask_identity_rows[ASK_IDENTITY_ROWS];
extern const struct flag_row ask_get_rows[ASK_GET_ROWS];

struct ask {
    struct reprise_get_request get; /* its identity is also that of set, del, key and encode */
    char *prompt;
    struct reprise_pair *attributes;
    float *numbers;
    enum reprise_tier tiers[2];
    enum reprise_include include[5];
};

/* VERB_DONE, or a word about what is wrong and VERB_USAGE or VERB_ERROR; then nothing is held.
 * Flags that a verb does not have are simply absent. */
enum verb_exit ask_read(const struct cli *cli, const struct arguments *arguments,
                        struct ask *out_ask);
void ask_deinit(struct ask *ask);
/* VERB_USAGE: there is no model, or no question. */
enum verb_exit ask_needs(const struct cli *cli, const char *verb, const struct ask *ask);

/* "name=value" of a flag that repeats; *out_pairs is freed with ask_free_pairs. VERB_USAGE names
 * the bad one. */
enum verb_exit ask_read_pairs(const struct cli *cli, const struct arguments *arguments,
                              const char *flag, struct reprise_pair **out_pairs, size_t *out_count);
void ask_free_pairs(struct reprise_pair **pairs, size_t count);

/* --ack memory|logged|synced; without it *out_ack stays. VERB_USAGE. */
enum verb_exit ask_read_ack(const struct cli *cli, const struct arguments *arguments,
                            enum reprise_ack *out_ack);

enum { ASK_INPUT_MAX = 64 * 1024 * 1024 };
/* All of a file or of standard input, with a NUL behind it; freed with free(). */
enum verb_exit ask_read_all(const struct cli *cli, FILE *file, const char *name, char **out_bytes,
                            size_t *out_size);
