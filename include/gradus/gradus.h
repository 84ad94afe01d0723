/* All chapters. Start with graph.h, ops.h and nn.h; train.h when you train; plan.h and op.h when you go deeper. */
#ifndef GRADUS_H
#define GRADUS_H

/* simple */
#include <gradus/base.h>
#include <gradus/tensor.h>
#include <gradus/graph.h>
#include <gradus/ops.h>
#include <gradus/nn.h>
/* training */
#include <gradus/data.h>
#include <gradus/inspect.h>
#include <gradus/optim.h>
#include <gradus/train.h>
#include <gradus/run.h>
/* advanced */
#include <gradus/op.h>
#include <gradus/plan.h>

#endif
