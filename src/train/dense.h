/* Dense linear algebra in double for the closed forms: symmetric matrices are [n,n] by rows, only the upper part is read or
 * written. Every element is summed in one fixed order, whatever the number of threads. */
#ifndef GRD_TRAIN_DENSE_H
#define GRD_TRAIN_DENSE_H

#include <stdint.h>

/* c [d,d] += sum over n rows x [d] of w * x x'; w NULL: 1. */
void grd_dense_gram(int threads, const double *x, const double *w, int64_t n, int64_t d, double *c);
/* a = u'u in place, u upper triangular. Returns the first pivot that is not positive, -1 if all are. */
int64_t grd_dense_cholesky(int threads, double *a, int64_t n);
/* b [n,k] becomes the solution of u'u s = b. */
void grd_dense_substitute(const double *u, int64_t n, double *b, int64_t k);
/* x [n,d], n <= d, becomes its LQ decomposition x = L Q by Householder's reflections: L [n,n] in the lower part with the
 * diagonal, what Q [n,d] is made of in the rest and in tau [n]. Any rank. */
void grd_dense_lq(int threads, double *x, int64_t n, int64_t d, double *tau);
/* y [d], whose first n elements are v, becomes Q'v. */
void grd_dense_from_lq(const double *x, int64_t n, int64_t d, const double *tau, double *y);

#endif
