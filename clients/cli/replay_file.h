/*
 * replay_file.h - a stream of labelled questions: TSV with the header `seq answer_group text`, and
 * optionally a fourth column `answer`. Rows point into the file's own bytes. Threads: one reads;
 * afterwards any may look.
 */
#pragma once
#include "clients/cli/verbs.h"

struct replay_row {
    size_t line;        /* in the file, from 1                                  */
    const char *group;  /* rows of one group have the same right answer         */
    const char *text;   /* the question                                         */
    const char *answer; /* what is stored on a miss; the group without a column */
};

struct replay_file {
    char *bytes;
    struct replay_row *rows;
    size_t rows_count;
};

/* VERB_ERROR after a word about every malformed line (the first 20, and how many more); then
 * nothing is held. */
enum verb_exit replay_file_read(const struct cli *cli, const char *path,
                                struct replay_file *out_file);
/* The same over bytes that are already there; they are taken over, also on failure. */
enum verb_exit replay_file_parse(const struct cli *cli, const char *path, char *bytes, size_t size,
                                 struct replay_file *out_file);
void replay_file_deinit(struct replay_file *file);
