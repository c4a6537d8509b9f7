/*
 * epoch.h - when have all readers left? Readers enter, read what atomic pointers show them, and
 * leave; a writer unlinks an object and retires it, and it is freed once every reader that could
 * have seen it is out. Only registered threads enter (base/thread.h; an assert). Inside, a reader
 * does not wait, does no I/O and calls nobody back. Nesting is allowed. Retired objects are freed
 * by later retires and by epoch_collect, which the keeper calls. (Fraser 2004, section 5.2.3: three
 * generations.)
 */
#pragma once
#include <stddef.h>

#include "base/status.h"

struct epochs;

enum status epochs_create(struct epochs **out_epochs);
/* No reader may be inside; frees all that still waits. */
void epochs_destroy(struct epochs **epochs);

void epoch_enter(struct epochs *epochs);
void epoch_leave(struct epochs *epochs);

/* Hands over `object`; `release(object)` is called once, on some thread, holding no lock.
 * Allocation-free: the link lies inside the object. */
struct epoch_retired {
    struct epoch_retired *next;
    void (*release)(struct epoch_retired *object);
};
void epoch_retire(struct epochs *epochs, struct epoch_retired *object,
                  void (*release)(struct epoch_retired *object));

/* Frees what can be freed now; returns how many. Outside of any epoch. */
size_t epoch_collect(struct epochs *epochs);
