/*
 * arguments.h - the options of the door, and what of them the core wants to know as channel
 * arguments. Threads: main.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>

#include "base/options.h"

enum { ARGUMENTS_MAX = 20 };

struct arguments {
    grpc_arg rows[ARGUMENTS_MAX];
    size_t count;
    grpc_resource_quota *quota;
};

/* Fills the arguments; they hold a resource quota that deinit lets go. */
void arguments_init(struct arguments *arguments, const struct options *options);
void arguments_deinit(struct arguments *arguments);
