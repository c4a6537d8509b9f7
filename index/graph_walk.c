/*
 * graph_walk.c - the search loop over HNSW links: from the entry point down the upper levels to the
 * nearest row there, then along level 0, best row first.
 *
 * ROWS THAT DO NOT COUNT (dead, expired, another tag) show the way like the others, for their
 * neighbours are the query's neighbours too, but take no place among the `ef` rows whose worst ends
 * the walk. They have places of their own, 7 x ef: so the walk goes on until ef rows that count are
 * found, and where few of them count it ends after eight times the usual effort. Each row is tested
 * when it is met: a filter behind the walk would see only what pushed the others out.
 *
 * MARKS. Which rows were met is noted in 2 bytes a row that belong to the thread, with the number
 * of the walk as the mark: nothing is cleared but once in 65,535 walks. They grow with the largest
 * segment that the thread meets, are not charged to the budget, and go when the thread ends.
 * Rejected: marks of a walk (FAISS allocates and clears them each time), a hash of rows met (slower
 * than a byte that is there).
 *
 * THREADS. Any; each has its own marks and heaps. Memory is taken when a thread walks for the first
 * time, or meets a larger segment.
 *
 * NOT HERE. Few rows of a tag are scanned without a walk (segment.c).
 */
#include "index/graph.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "index/segment_inside.h"

enum {
    OTHERS_MAX = (SEGMENT_WIDEN_MAX - 1) * GRAPH_EF_MAX,
    WAITING_MAX = 4 * SEGMENT_WIDEN_MAX * GRAPH_EF_MAX, /* more are dropped: far behind the best */
};

struct step {
    float score;
    uint32_t row;
};

/* The best scores so far, the worst on top. */
struct best {
    float worst; /* -infinity until `max` are there */
    uint32_t max, count;
    float *scores;
};

struct walk {
    uint32_t marks_count;
    uint16_t stamp;
    uint16_t *marks;
    uint32_t waiting_count;
    struct step waiting[WAITING_MAX]; /* rows whose links were not followed yet, the best on top */
    float counting_scores[GRAPH_EF_MAX];
    float other_scores[OTHERS_MAX];
    struct best counting, others;
};

/* ---- what a thread keeps --------------------------------------------------------------------- */

static _Thread_local struct walk *thread_walk;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_is_there;

static void free_walk(void *argument)
{
    struct walk *walk = argument;
    free(walk->marks);
    free(walk);
    thread_walk = NULL;
}

static void make_key(void)
{
    key_is_there = pthread_key_create(&key, free_walk) == 0;
}

static struct walk *create_walk(void)
{
    (void)pthread_once(&key_once, make_key);
    if (!key_is_there)
        return NULL;
    struct walk *walk = calloc(1, sizeof(*walk));
    if (walk != NULL && pthread_setspecific(key, walk) != 0) {
        free(walk);
        walk = NULL;
    }
    thread_walk = walk;
    return walk;
}

static bool grow_marks(struct walk *walk, uint32_t rows)
{
    uint16_t *marks = calloc(rows, sizeof(*marks));
    if (marks == NULL)
        return false;
    free(walk->marks);
    walk->marks = marks;
    walk->marks_count = rows;
    walk->stamp = 0;
    return true;
}

/* This thread's walk with a mark that no row has yet. NULL: no memory. */
static struct walk *begin(uint32_t rows)
{
    struct walk *walk = thread_walk != NULL ? thread_walk : create_walk();
    if (walk == NULL || (walk->marks_count < rows && !grow_marks(walk, rows)))
        return NULL;
    if (++walk->stamp == 0) {
        memset(walk->marks, 0, walk->marks_count * sizeof(*walk->marks));
        walk->stamp = 1;
    }
    return walk;
}

/* True the first time. */
static inline bool mark(struct walk *walk, uint32_t row)
{
    assert(row < walk->marks_count);
    if (walk->marks[row] == walk->stamp)
        return false;
    walk->marks[row] = walk->stamp;
    return true;
}

/* ---- heaps ----------------------------------------------------------------------------------- */

static void best_start(struct best *best, float *scores, uint32_t max)
{
    assert(max >= 1);
    *best = (struct best){.worst = -INFINITY, .max = max, .scores = scores};
}

static void best_replace_worst(struct best *best, float score)
{
    float *heap = best->scores;
    const uint32_t count = best->count;
    uint32_t at = 0;
    for (uint32_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (!(heap[child] < score))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = score;
    best->worst = heap[0];
}

static void best_add(struct best *best, float score)
{
    if (best->count == best->max) {
        if (score > best->worst)
            best_replace_worst(best, score);
        return;
    }
    float *heap = best->scores;
    uint32_t at = best->count++;
    for (; at > 0 && score < heap[(at - 1) / 2]; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = score;
    if (best->count == best->max)
        best->worst = heap[0];
}

static void waiting_push(struct walk *walk, struct step step)
{
    if (walk->waiting_count == WAITING_MAX)
        return;
    struct step *heap = walk->waiting;
    uint32_t at = walk->waiting_count++;
    for (; at > 0 && step.score > heap[(at - 1) / 2].score; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = step;
}

static struct step waiting_pop(struct walk *walk)
{
    struct step *heap = walk->waiting;
    assert(walk->waiting_count > 0);
    const struct step top = heap[0], last = heap[--walk->waiting_count];
    const uint32_t count = walk->waiting_count;
    uint32_t at = 0;
    for (uint32_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].score > heap[child].score)
            child++;
        if (!(heap[child].score > last.score))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* ---- walking --------------------------------------------------------------------------------- */

/* Enough better rows are known, of one sort or the other. Among rows that do not count a tie is let
 * in: hundreds of dead copies of a prompt must not hide the one that lives. */
static inline bool is_too_far(const struct walk *walk, float score)
{
    return score <= walk->counting.worst || score < walk->others.worst;
}

static void meet(struct walk *walk, struct segment_scan *scan, uint32_t row, float score)
{
    if (is_too_far(walk, score))
        return;
    waiting_push(walk, (struct step){score, row});
    if (segment_row_counts(scan, row)) {
        best_add(&walk->counting, score);
        segment_offer(scan, row, score);
    } else {
        best_add(&walk->others, score);
    }
}

static struct step step_down(const struct graph *graph, struct segment_scan *scan)
{
    struct step best = {segment_score(scan, graph->entry), graph->entry};
    scan->scanned++;
    for (uint32_t level = graph->top; level > 0; level--)
        for (uint32_t from = GRAPH_NONE; from != best.row;) {
            from = best.row;
            const uint32_t *links = graph_links_at(graph, from, level);
            for (uint32_t i = 0; i < graph->links && links[i] != GRAPH_NONE; i++)
                segment_prefetch(scan, links[i]);
            for (uint32_t i = 0; i < graph->links && links[i] != GRAPH_NONE; i++) {
                const float score = segment_score(scan, links[i]);
                scan->scanned++;
                if (score > best.score)
                    best = (struct step){score, links[i]};
            }
        }
    return best;
}

static void follow(const struct graph *graph, struct walk *walk, struct segment_scan *scan,
                   uint32_t row)
{
    uint32_t fresh[2 * GRAPH_LINKS_MAX], count = 0;
    const uint32_t *links = graph_links_at(graph, row, 0);
    for (uint32_t i = 0; i < 2 * graph->links && links[i] != GRAPH_NONE; i++)
        if (mark(walk, links[i]))
            fresh[count++] = links[i];
    for (uint32_t i = 0; i < count && i < SEGMENT_AHEAD_ROWS; i++)
        segment_prefetch(scan, fresh[i]);
    for (uint32_t i = 0; i < count; i++) {
        if (i + SEGMENT_AHEAD_ROWS < count)
            segment_prefetch(scan, fresh[i + SEGMENT_AHEAD_ROWS]);
        meet(walk, scan, fresh[i], segment_score(scan, fresh[i]));
    }
    scan->scanned += count;
}

bool graph_walk(const struct graph *graph, struct segment_scan *scan)
{
    const uint32_t ef = scan->query->ef;
    assert(ef >= 1);
    assert(ef <= GRAPH_EF_MAX);
    if (graph->entry == GRAPH_NONE)
        return true;
    struct walk *walk = begin(graph->rows);
    if (walk == NULL)
        return false;
    walk->waiting_count = 0;
    best_start(&walk->counting, walk->counting_scores, ef);
    best_start(&walk->others, walk->other_scores, (SEGMENT_WIDEN_MAX - 1) * ef);
    const struct step start = step_down(graph, scan);
    (void)mark(walk, start.row);
    meet(walk, scan, start.row, start.score);
    while (walk->waiting_count > 0) {
        const struct step step = waiting_pop(walk);
        if (step.score < walk->counting.worst || step.score < walk->others.worst)
            break;
        if (walk->waiting_count > 0)
            __builtin_prefetch(graph_links_at(graph, walk->waiting[0].row, 0));
        follow(graph, walk, scan, step.row);
    }
    return true;
}
