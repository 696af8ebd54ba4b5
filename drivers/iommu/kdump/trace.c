// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: tracepoints
 */

#define CREATE_TRACE_POINTS
#include "trace.h"
