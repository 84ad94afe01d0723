/* Lifetimes and places, seen through as little of steps and values as they need: the recompute pass tries what a change would be worth
 * without making it. */
#ifndef GRD_PLAN_MEMORY_H
#define GRD_PLAN_MEMORY_H

#include "plan/ir.h"

#define MEM_MAX_TOUCHED (2 * GRD_MAX_IN + 2 * GRD_MAX_OUT + GRD_MAX_STATE + 2)

typedef struct mem_step {
    int touched[MEM_MAX_TOUCHED], n; /* values of the arena that own their memory; may repeat */
    int from, to;                    /* `to` may be written where `from` lies, if that ends here; -1 */
} mem_step;

typedef struct mem_value {
    size_t bytes, offset; /* offset: set by mem_place */
    int first, last;      /* steps; -1: never */
    int over;             /* the value in whose place it is written, -1 */
    bool keep;            /* alive to the end */
} mem_value;

typedef struct mem_peak { size_t bytes; int at, times; } mem_peak; /* at: the first step with that much; times: how many have it */

/* Fills one of each step and of each value; lives are not set. */
void mem_see(const grd_ir *ir, mem_step *steps, mem_value *values);
/* Sets first, last, over. */
void mem_find_lives(const mem_step *steps, int n_steps, mem_value *values, int n_values, bool in_place);
/* The most that is alive at once. room: n_steps + 2 of it. */
mem_peak mem_find_peak(const mem_value *values, int n_values, int n_steps, size_t *room);
/* Sets offsets; *bytes is what they take, *bound what the lifetimes ask for at least. */
grd_status mem_place(grd_host *host, mem_value *values, int n_values, int n_steps, bool reuse, size_t *bytes, size_t *bound);

#endif
