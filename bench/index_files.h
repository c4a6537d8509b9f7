/*
 * index_files.h - what the files of index_data.c hold; read by all sides, in C, C++ and Python
 * (index_peers.py has the same figures). Threads: any; all of it is constant.
 */
#pragma once

enum {
    INDEX_HIT_QUERIES = 4000,
    INDEX_NOVEL_QUERIES = 1000,
    INDEX_QUERIES = INDEX_HIT_QUERIES + INDEX_NOVEL_QUERIES,
    INDEX_NEAREST = 8,         /* true neighbours known of each query */
    INDEX_EXTRA_ROWS = 131072, /* after the rows of the comparison, for inserts */
};
