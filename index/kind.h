/* kind.h - how the rows of a scope are found. Threads: any. */
#pragma once

enum index_kind { INDEX_AUTO, INDEX_FLAT, INDEX_HNSW, INDEX_IVF, INDEX_KINDS }; /* as in proto */
const char *index_kind_name(enum index_kind kind);                              /* "hnsw"      */
