// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: who else may change the domain of a group
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/kernfs.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

static void test_ownership_claimed_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, crash), 0);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	iommu_device_release_dma_owner(dev);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_map_new(crash, dev);
	crash_check_new(crash);
	crash_check_end(crash);
}

static void test_ownership_claimed_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, crash_probe_fails), -EIO);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, crash), 0);
	crash_check_dma(crash, FAULTS);
	iommu_device_release_dma_owner(dev);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static ssize_t show_state(struct device *dev, char *buf)
{
	struct kobject *kobj = &dev->iommu_group->kobj;
	struct kernfs_node *kn = kernfs_find_and_get(kobj->sd, "kdump_state");
	ssize_t ret;

	if (!kn)
		return -ENOENT;
	ret = kobj->ktype->sysfs_ops->show(kobj, kn->priv, buf);
	kernfs_put(kn);
	return ret;
}

static void test_sysfs_state(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	char *buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	crash_boot(crash);
	KUNIT_EXPECT_GT(test, show_state(dev, buf), 0);
	KUNIT_EXPECT_STREQ(test, buf, "inherited\n");
	crash_bind(crash, dev);
	KUNIT_EXPECT_GT(test, show_state(dev, buf), 0);
	KUNIT_EXPECT_STREQ(test, buf, "carrying\n");
	crash_grace_over(dev);
	KUNIT_EXPECT_GT(test, show_state(dev, buf), 0);
	KUNIT_EXPECT_STREQ(test, buf, "released\n");
}

/* Old IOVAs must not become physical addresses */
static void test_type_identity_refused(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "identity"), -EINVAL);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

static void test_type_changed_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int legacy;
	phys_addr_t phys;

	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, crash_probe_fails), -EIO);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);

	/* The old mappings are gone, so this is allowed. It lets all through. */
	legacy = crash->nr_legacy;
	crash->nr_legacy = 0;
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "identity"),
			strlen("identity"));
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, SZ_16M, true, &phys), 0);
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "DMA"), strlen("DMA"));
	crash->nr_legacy = legacy;
	crash->forgotten = true;
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_map_new(crash, dev);
	crash_check_new(crash);
	crash_check_end(crash);
}

/* Attaching fails: blocked, and another attempt works */
static void test_attach_fails(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	kunit_iommu_fail_attach(crash->iommu, 1);
	KUNIT_EXPECT_NE(test, kunit_iommu_bind(dev, NULL), 0);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);

	crash_bind(crash, dev);
	crash_map_new(crash, dev);
	crash_check_new(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	crash_check_end(crash);
}

/* A domain that comes later keeps off where old DMA is likely to be */
static void test_type_changed_prefers_low(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, crash_probe_fails), -EIO);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_unmap_new(crash);
	kunit_iommu_unbind(dev);

	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "DMA-FQ"), strlen("DMA-FQ"));
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_unmap_new(crash);
	crash_check_end(crash);
}

static void test_type_changed_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash->expect = WORKS;
	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_unmap_new(crash);
	crash_check_end(crash);
}

static void test_type_changed_blocked(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash->map_fails = true;
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, crash_probe_fails), -EIO);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "identity"), -EINVAL);
	KUNIT_EXPECT_EQ(test, crash_set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static struct kunit_case owners_cases[] = {
	KUNIT_CASE_PARAM(test_ownership_claimed_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_ownership_claimed_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_sysfs_state, crash_machines),
	KUNIT_CASE_PARAM(test_type_identity_refused, crash_machines),
	KUNIT_CASE_PARAM(test_type_changed_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_attach_fails, crash_machines),
	KUNIT_CASE_PARAM(test_type_changed_prefers_low, crash_machines),
	KUNIT_CASE_PARAM(test_type_changed_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_type_changed_blocked, crash_machines),
	{}
};

static struct kunit_suite owners_suite = {
	.name = "iommu_kdump_owners",
	.test_cases = owners_cases,
};

kunit_test_suite(owners_suite);
