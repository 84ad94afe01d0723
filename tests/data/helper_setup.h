/* What a test of data begins with: a context and an empty folder of its own. A header apart from helper_data.h, whose users have
 * contexts and folders by these names where they need them.
 *
 *     cmocka_unit_test_setup_teardown(name, setup, teardown)
 *
 * All memory of the context is counted; a test that leaves some of it behind fails. */
#ifndef GRD_TESTS_DATA_HELPER_SETUP_H
#define GRD_TESTS_DATA_HELPER_SETUP_H

#include "helper_data.h"

extern grd_ctx *ctx;
extern char dir[256];
extern counter memory; /* of ctx */

int setup(void **state);
int setup_with(grd_opts opts); /* the same for a setup of one's own; the allocator is ours */
int teardown(void **state);

void put_text(const char *name, const char *text); /* a file in the folder */
/* The text with the folder for each %; valid until the next call. */
char *with_dir(const char *text);
const grd_field *field(const grd_dataset *d, int f);

#endif
