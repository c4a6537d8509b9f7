/*
 * reflection.h - grpc.reflection.v1 and v1alpha: the same bytes under two names. A stream of
 * questions, each answered before the next is read. Threads: I/O.
 */
#pragma once
#include <stdbool.h>

struct call;

void reflection_answer(struct call *call);
void reflection_ended(struct call *call);
void reflection_written(struct call *call, bool success);
