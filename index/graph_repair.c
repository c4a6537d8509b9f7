/*
 * graph_repair.c - every row that was inserted can be reached from the entry point on level 0.
 *
 * A row whose neighbours all found closer ones loses the last link that leads to it; one row in
 * some thousands is lost so, more where there are many copies of one vector, and a row that cannot
 * be reached is an entry that is never hit. So after each build the graph is flooded from the entry
 * point, and a row that stays dry is put between a neighbour of its own and the last link of that:
 * the neighbour leads to it, and it leads on to where that link went. Nothing gets lost by it: what
 * it had to give up for this was reached by it alone, and is dry itself until its turn comes.
 *
 * THREADS. A builder; the graph is not published yet.
 */
#include "index/graph.h"

#include <assert.h>
#include <string.h>

enum { STEP_ROWS = 256 }; /* looked at between two looks at `stop` */

struct flood {
    struct graph *graph;
    const atomic_bool *stop;
    bool is_told_to_stop;
    uint32_t rows_seen;
    uint8_t *wet;    /* [rows] */
    uint32_t *stack; /* [rows] rows whose links were not followed yet */
    uint32_t stack_count;
};

static uint32_t *links_of(const struct graph *graph, uint32_t row)
{
    return graph->level0 + (size_t)row * 2 * graph->links;
}

static uint32_t count_links(const struct graph *graph, const uint32_t *links)
{
    uint32_t count = 0;
    while (count < 2 * graph->links && links[count] != GRAPH_NONE)
        count++;
    return count;
}

/* Once for each row. */
static bool goes_on(struct flood *flood)
{
    if (flood->rows_seen++ % STEP_ROWS == 0)
        flood->is_told_to_stop = atomic_load_explicit(flood->stop, memory_order_relaxed);
    return !flood->is_told_to_stop;
}

static void flood_from(struct flood *flood, uint32_t start)
{
    assert(!flood->wet[start]);
    flood->wet[start] = 1;
    flood->stack[flood->stack_count++] = start;
    while (flood->stack_count > 0 && goes_on(flood)) {
        const uint32_t *links = links_of(flood->graph, flood->stack[--flood->stack_count]);
        for (uint32_t i = 0; i < 2 * flood->graph->links && links[i] != GRAPH_NONE; i++) {
            assert(links[i] < flood->graph->rows);
            if (flood->wet[links[i]])
                continue;
            flood->wet[links[i]] = 1;
            flood->stack[flood->stack_count++] = links[i];
        }
    }
}

/* Puts a link at the end of a list, or in the place of the last one, which is returned. */
static uint32_t set_last(const struct graph *graph, uint32_t row, uint32_t to)
{
    uint32_t *links = links_of(graph, row);
    const uint32_t count = count_links(graph, links);
    if (count < 2 * graph->links) {
        links[count] = to;
        return GRAPH_NONE;
    }
    const uint32_t last = links[count - 1];
    links[count - 1] = to;
    return last;
}

static bool leads_to(const struct graph *graph, uint32_t row, uint32_t to)
{
    const uint32_t *links = links_of(graph, row);
    for (uint32_t i = 0; i < 2 * graph->links && links[i] != GRAPH_NONE; i++)
        if (links[i] == to)
            return true;
    return false;
}

/* The first wet one of the row's links, which are nearest first; else the entry point. */
static uint32_t neighbour_of(const struct flood *flood, uint32_t row)
{
    const uint32_t *links = links_of(flood->graph, row);
    for (uint32_t i = 0; i < 2 * flood->graph->links && links[i] != GRAPH_NONE; i++)
        if (flood->wet[links[i]])
            return links[i];
    return flood->graph->entry;
}

static void connect(struct flood *flood, uint32_t row)
{
    const struct graph *graph = flood->graph;
    const uint32_t neighbour = neighbour_of(flood, row);
    assert(flood->wet[neighbour]);
    assert(neighbour != row);
    const uint32_t displaced = set_last(graph, neighbour, row);
    if (displaced != GRAPH_NONE && !leads_to(graph, row, displaced))
        (void)set_last(graph, row, displaced);
}

/* A row without links was not inserted, unless it is the only one. */
static void repair(struct flood *flood, uint32_t *out_repaired)
{
    struct graph *graph = flood->graph;
    flood_from(flood, graph->entry);
    for (uint32_t row = 0; row < graph->rows && !flood->is_told_to_stop; row++) {
        if (flood->wet[row] || *links_of(graph, row) == GRAPH_NONE)
            continue;
        connect(flood, row);
        flood_from(flood, row);
        ++*out_repaired;
    }
}

enum status graph_repair(struct graph *graph, const atomic_bool *stop, uint32_t *out_repaired)
{
    *out_repaired = 0;
    if (graph->entry == GRAPH_NONE)
        return STATUS_OK;
    const size_t size_bytes = graph->rows * (sizeof(uint32_t) + 1);
    void *block = memory_alloc(graph->memory, MEMORY_ROWS, size_bytes);
    if (block == NULL)
        return STATUS_NO_MEMORY;
    struct flood flood = {.graph = graph, .stop = stop, .stack = block};
    flood.wet = (uint8_t *)(flood.stack + graph->rows);
    memset(flood.wet, 0, graph->rows);
    repair(&flood, out_repaired);
    memory_free(graph->memory, block, size_bytes);
    return flood.is_told_to_stop ? STATUS_CANCELLED : STATUS_OK;
}
