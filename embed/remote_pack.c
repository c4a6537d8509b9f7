/*
 * remote_pack.c - jobs that wait, and packs of them that share a request.
 * Jobs are linked through themselves: handing one over allocates nothing. Equal texts are found by
 * XXH3 and then compared, so that a collision costs nothing but the comparison.
 * Owns a pack's table of texts. Threads: the owner's.
 */
#include "embed/remote_pack.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"

void job_list_append(struct job_list *list, struct embed_job *job)
{
    job->next = NULL;
    if (list->first == NULL)
        list->first = job;
    else
        list->last->next = job;
    list->last = job;
}

void job_list_put_in_front(struct job_list *list, struct job_list *more)
{
    if (more->first == NULL)
        return;
    more->last->next = list->first;
    if (list->first == NULL)
        list->last = more->last;
    list->first = more->first;
    *more = (struct job_list){NULL, NULL};
}

struct embed_job *job_list_take(struct job_list *list)
{
    struct embed_job *job = list->first;
    if (job != NULL) {
        list->first = job->next;
        job->next = NULL;
    }
    return job;
}

uint32_t job_list_finish(struct job_list *list, enum status status)
{
    uint32_t count = 0;
    struct embed_job *job = NULL;
    while ((job = job_list_take(list)) != NULL) {
        job->done(job, status);
        count++;
    }
    return count;
}

uint32_t job_list_expire(struct job_list *list, uint64_t now_us, struct job_list *out_late,
                         uint64_t *first_us)
{
    struct job_list stay = {NULL, NULL};
    struct embed_job *job = NULL;
    uint32_t count = 0;
    while ((job = job_list_take(list)) != NULL) {
        if (job->deadline_us != 0 && job->deadline_us <= now_us) {
            job_list_append(out_late, job);
            count++;
            continue;
        }
        if (job->deadline_us != 0 && job->deadline_us < *first_us)
            *first_us = job->deadline_us;
        job_list_append(&stay, job);
    }
    *list = stay;
    return count;
}

enum status pack_init(struct pack *pack, size_t max)
{
    assert(max > 0);
    *pack = (struct pack){.texts = calloc(max, sizeof(struct pack_text)), .max = max};
    return pack->texts != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void pack_deinit(struct pack *pack)
{
    assert(pack->count == 0);
    free(pack->texts);
    pack->texts = NULL;
}

static struct pack_text *find_text(struct pack *pack, struct text text, uint64_t hash)
{
    for (size_t i = 0; i < pack->count; i++) {
        struct pack_text *each = &pack->texts[i];
        if (each->hash == hash && text_equal(each->jobs.first->text, text))
            return each;
    }
    return NULL;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

uint32_t pack_fill(struct pack *pack, struct job_list *list, size_t texts_max)
{
    assert(pack->count == 0);
    assert(texts_max > 0);
    size_t max = smaller(texts_max, pack->max), bytes = 0;
    uint32_t jobs = 0;
    while (list->first != NULL) {
        struct embed_job *job = list->first;
        uint64_t hash = XXH3_64bits(job->text.bytes, job->text.length);
        struct pack_text *place = find_text(pack, job->text, hash);
        if (place == NULL) {
            max = smaller(max, job->beside_max);
            bytes += job->text.length;
            if (pack->count > 0 && (pack->count >= max || bytes > PACK_BYTES_MAX))
                break;
            place = &pack->texts[pack->count++];
            *place = (struct pack_text){.hash = hash};
        }
        job_list_append(&place->jobs, job_list_take(list));
        jobs++;
    }
    assert(pack->count <= pack->max);
    return jobs;
}

void pack_compact(struct pack *pack)
{
    size_t kept = 0;
    for (size_t i = 0; i < pack->count; i++) {
        if (pack->texts[i].jobs.first != NULL)
            pack->texts[kept++] = pack->texts[i];
    }
    pack->count = kept;
}

uint32_t pack_expire(struct pack *pack, uint64_t now_us, struct job_list *out_late,
                     uint64_t *first_us)
{
    uint32_t count = 0;
    for (size_t i = 0; i < pack->count; i++)
        count += job_list_expire(&pack->texts[i].jobs, now_us, out_late, first_us);
    return count;
}

void pack_empty(struct pack *pack, struct job_list *out_jobs)
{
    for (size_t i = 0; i < pack->count; i++) {
        struct embed_job *job = NULL;
        while ((job = job_list_take(&pack->texts[i].jobs)) != NULL)
            job_list_append(out_jobs, job);
    }
    pack->count = 0;
}
