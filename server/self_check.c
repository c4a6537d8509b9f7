/*
 * self_check.c - proves the foreign parts, each by real work: a FAISS graph finds a known
 * neighbour, OpenBLAS multiplies like a plain loop, io_uring writes and syncs a file. Owns nothing.
 * Threads: main.
 */
#include "server/self_check.h"

#include <grpc/grpc.h>
#include <openssl/crypto.h>
#include <protobuf-c/protobuf-c.h>

#include "base/status.h"
#include "index/prove.h"
#include "index/vector.h"
#include "storage/io_uring_prove.h"

enum { REASON_SIZE = 256 };

static _Bool report(FILE *out, const char *part, enum status status, const char *reason)
{
    (void)fprintf(out, "%-12s %s  %s\n", part, status == STATUS_OK ? "ok     " : "refused", reason);
    return status == STATUS_OK;
}

_Bool self_check(const char *folder, const char *version, FILE *out)
{
    char reason[REASON_SIZE];
    (void)fprintf(out, "%-12s %s\n", "reprise", version);
    (void)report(out, "grpc core", STATUS_OK, grpc_version_string());
    (void)report(out, "protobuf-c", STATUS_OK, protobuf_c_version());
    (void)report(out, "openssl", STATUS_OK, OpenSSL_version(OPENSSL_VERSION));
    (void)report(out, "kernels", STATUS_OK, vector_kernels()->name);
    enum status status = prove_faiss(reason, sizeof(reason));
    _Bool usable = report(out, "faiss", status, reason);
    status = prove_blas(reason, sizeof(reason));
    usable &= report(out, "openblas", status, reason);
    status = io_uring_prove(folder, reason, sizeof(reason));
    (void)report(out, "io_uring", status, reason);
    return usable;
}
