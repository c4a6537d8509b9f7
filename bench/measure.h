/*
 * measure.h - what programs share that answer commands with figures: clocks, medians, numbers of a
 * command, and an end with a word about why. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Ends the program, by its own name, unless it is good. */
void must(bool good, const char *what);
/* Microseconds. */
double clock_of(clockid_t which);
/* Sorts them. */
double median(double *values, size_t count);
/* The next word; ends the program unless it is a number from `least` to `most`. */
size_t read_number(char **words, size_t least, size_t most);
