/*
 * remote_pack.h - jobs that wait, and packs of them that share a request. Pure lists. Threads: the
 * owner's.
 */
#pragma once
#include <stddef.h>

#include "embed/job.h"

enum { PACK_BYTES_MAX = 512 * 1024 }; /* of text in one request; a longer text goes alone */

struct job_list {                   /* all zero is empty */
    struct embed_job *first, *last; /* last is undefined while first is NULL */
};

void job_list_append(struct job_list *list, struct embed_job *job);
/* Puts all of `more` in front and empties it. */
void job_list_put_in_front(struct job_list *list, struct job_list *more);
struct embed_job *job_list_take(struct job_list *list); /* NULL: empty */
/* Calls done of all with this status and empties the list; returns how many there were. */
uint32_t job_list_finish(struct job_list *list, enum status status);
/* Moves jobs whose deadline is at or before now_us; returns how many. *first_us gets the earliest
 * deadline left, if that is earlier than what it holds. */
uint32_t job_list_expire(struct job_list *list, uint64_t now_us, struct job_list *out_late,
                         uint64_t *first_us);

/* Jobs of one text. Without a job: all are done already, its place in the reply is kept. */
struct pack_text {
    uint64_t hash;
    struct job_list jobs;
};

struct pack {
    struct pack_text *texts;
    size_t count, max;
};

enum status pack_init(struct pack *pack, size_t max);
void pack_deinit(struct pack *pack);

/* Into an empty pack: from the front of the list, until the next job's text would be one too many
 * for texts_max, for a job's beside_max or for PACK_BYTES_MAX. Equal texts count once. Returns how
 * many jobs were moved; the first always. */
uint32_t pack_fill(struct pack *pack, struct job_list *list, size_t texts_max);
/* Forgets texts whose jobs are all done. */
void pack_compact(struct pack *pack);
/* As job_list_expire; the texts keep their places. */
uint32_t pack_expire(struct pack *pack, uint64_t now_us, struct job_list *out_late,
                     uint64_t *first_us);
/* Moves all jobs to the end of the list, in order, and empties the pack. */
void pack_empty(struct pack *pack, struct job_list *out_jobs);
