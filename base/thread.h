/*
 * thread.h - threads with a role and a name. Roles that may enter an epoch are registered: each
 * such thread has a number below THREAD_REGISTERED_MAX for life, given back when it ends. Threads:
 * any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum thread_role {
    THREAD_OTHER,   /* may not enter an epoch           */
    THREAD_IO,      /* a completion-queue thread        */
    THREAD_COMPUTE, /* embedding, searches              */
    THREAD_BUILDER, /* background work on the index     */
    THREAD_KEEPER,  /* time limits, sweeping            */
    THREAD_STORAGE, /* the journal and its custodian    */
};

enum { THREAD_REGISTERED_MAX = 256, THREAD_NAME_MAX = 16 };

struct thread;

/* name: at most 15 characters. Signals are blocked in the new thread. */
enum status thread_create(enum thread_role role, const char *name, void (*run)(void *argument),
                          void *argument, struct thread **out_thread);
/* Waits until it has ended, frees it and sets *thread to NULL; NULL is fine. */
void thread_join(struct thread **thread);

/* For threads we did not start (main, tests): take and give back a number. */
enum status thread_register(enum thread_role role);
void thread_unregister(void);

/* This thread's number, or -1 if it is not registered. */
int thread_number(void);
/* False of a thread that neither we started nor it has registered itself. */
bool thread_is(enum thread_role role);
