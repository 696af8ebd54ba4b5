// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: the command line
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/sizes.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

static void __init restore_params(void *unused)
{
	iommu_kdump_setup("inherit");
	iommu_kdump_grace_setup("60");
}

static void __init set_params(struct kunit *test, char *policy, char *grace)
{
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, restore_params, NULL),
			0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_setup(policy), 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_grace_setup(grace), 0);
}

/* iommu.kdump=block: a clean slate, for old DMA it ends before any driver */
static void __init test_param_block(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash), *late;

	set_params(test, "block", "60");
	KUNIT_EXPECT_FALSE(test, iommu_kdump_enabled());
	KUNIT_EXPECT_TRUE(test, iommu_kdump_active());
	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_legacy(crash, 2, 0, SZ_16M, SZ_16M, SZ_4K, PTE_R | PTE_W);
	iommu_set_default_passthrough(false);
	crash_boot(crash);
	iommu_set_default_translated(false);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_TRUE(test,
			  iommu_is_dma_domain(dev->iommu_group->domain));
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "identity"), -EINVAL);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	/* None of it was seen: the lowest IOVAs would be given back first */
	KUNIT_EXPECT_TRUE(test,
			  iommu_dma_kdump_iova(dev->iommu_group->domain)->low);
	late = crash_add_dev(crash, 0, 3);
	EXPECT_STATE(crash, late, KDUMP_BLOCKED);
	crash_check_end(crash);
}

/* Nor is it what a driver insists on that the old DMA meets */
static void __init test_param_block_wants_identity(struct kunit *test)
{
	static const struct kunit_iommu_config config = {
		.def_domain_type = IOMMU_DOMAIN_IDENTITY,
	};
	struct crash *crash = crash_new(test, &config);
	struct device *dev = crash_add_dev(crash, 0, 1);

	set_params(test, "block", "60");
	crash_set_entry(crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_legacy(crash, 1, 0, SZ_16M, SZ_16M, SZ_4K, PTE_R | PTE_W);
	crash_boot(crash);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(dev->iommu_group->domain));
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void __init test_param_grace_never(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	set_params(test, "inherit", "never");
	crash_boot(crash);
	crash_bind(crash, dev);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(dev));
	crash_grace_over(dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	/* The driver has stopped its device, this is not about grace */
	crash->expect = SAFE;
	kunit_iommu_unbind(dev);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_end(crash);
}

static void __init test_param_grace_zero(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	set_params(test, "inherit", "0");
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_end(crash);
}

/* What cannot be understood changes nothing */
static void __init test_param_nonsense(struct kunit *test)
{
	static char * const bad[] = { NULL, "", "off", "-1", "1h", "2147483647",
				      "99999999999" };
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int i;

	set_params(test, "inherit", "never");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		iommu_kdump_setup(bad[i]);
		iommu_kdump_grace_setup(bad[i]);
	}
	KUNIT_EXPECT_TRUE(test, iommu_kdump_enabled());
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_bind(crash, dev);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(dev));
	crash_check_end(crash);
}

static struct kunit_case __refdata params_cases[] = {
	KUNIT_CASE(test_param_block),
	KUNIT_CASE(test_param_block_wants_identity),
	KUNIT_CASE(test_param_grace_never),
	KUNIT_CASE(test_param_grace_zero),
	KUNIT_CASE(test_param_nonsense),
	{}
};

static struct kunit_suite params_suite = {
	.name = "iommu_kdump_params",
	.test_cases = params_cases,
};

kunit_test_init_section_suite(params_suite);
