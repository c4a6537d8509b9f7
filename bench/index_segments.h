/*
 * index_segments.h - rows in segments, measured through segment.h itself: the structure that was
 * asked for, at once, without the builder's rules of when it pays.
 * Threads: searches side by side.
 */
#pragma once
#include "bench/index_bench.h"

struct segments;
struct segments *segments_create(const struct bench *bench, const struct own_plan *plan);
void segments_destroy(struct segments **segments);
void segments_search(const struct segments *segments, uint32_t breadth, struct search *search);
double segments_hot_bytes(const struct segments *segments);
