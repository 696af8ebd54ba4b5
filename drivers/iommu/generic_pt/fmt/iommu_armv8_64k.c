// SPDX-License-Identifier: GPL-2.0-only
#define ARMV8_GRANULE_LG2SZ 16
#define PT_FMT armv8
#define PT_FMT_VARIANT 64k
#define PT_FOREIGN_ONLY
#define PT_SUPPORTED_FEATURES                               \
	(BIT(PT_FEAT_ARMV8_S2) | BIT(PT_FEAT_ARMV8_HA) |    \
	 BIT(PT_FEAT_ARMV8_HD) | BIT(PT_FEAT_ARMV8_HPD) |   \
	 BIT(PT_FEAT_ARMV8_PRIVILEGED))

#include "iommu_template.h"
