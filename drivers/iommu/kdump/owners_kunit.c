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

/* Whoever claims a group leaves the old tables, and nothing of them is read before */
static void expect_left(struct crash *crash, struct device *dev)
{
	struct iommu_kdump_group *kg = dev->iommu_group->kdump;

	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_EQ(crash->test,
			kunit_iommu_get_stats(crash->iommu)->walked, 0);
	KUNIT_EXPECT_EQ(crash->test, kg->stats.mapped, 0);
	KUNIT_EXPECT_FALSE(crash->test, kunit_iommu_id_in_use(crash->iommu, 7));
}

/* When the owner is gone, new IOVAs are not where old DMA is likely to be */
static void expect_fresh(struct crash *crash, struct device *dev)
{
	unsigned int i;

	KUNIT_EXPECT_PTR_EQ(crash->test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	for (i = 0; i < crash->nr_new; i++)
		KUNIT_EXPECT_LT(crash->test, crash->new[i].iova, SZ_1G);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(crash->test,
			kunit_iommu_get_stats(crash->iommu)->walked, 0);
	crash_check_end(crash);
}

static void test_device_claimed_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int writes;

	crash_boot(crash);
	writes = kunit_iommu_get_stats(crash->iommu)->entry_writes;
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, crash), 0);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_get_stats(crash->iommu)->entry_writes,
			writes + 1);
	expect_left(crash, dev);
	iommu_device_release_dma_owner(dev);
	expect_fresh(crash, dev);
}

static void test_group_claimed_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int writes;

	crash_boot(crash);
	writes = kunit_iommu_get_stats(crash->iommu)->entry_writes;
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test,
			iommu_group_claim_dma_owner(dev->iommu_group, crash),
			0);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_get_stats(crash->iommu)->entry_writes,
			writes + 1);
	expect_left(crash, dev);
	iommu_group_release_dma_owner(dev->iommu_group);
	expect_fresh(crash, dev);
}

static void test_attach_group_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iommu_domain *domain;
	phys_addr_t phys = 0;

	crash_boot(crash);
	crash->expect = SAFE;
	domain = iommu_paging_domain_alloc(dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	KUNIT_EXPECT_EQ(test,
			iommu_map(domain, SZ_1M, OLD_BUFFERS, SZ_4K,
				  IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_attach_group(domain, dev->iommu_group), 0);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain, domain);
	expect_left(crash, dev);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, SZ_1M, true, &phys), 0);
	KUNIT_EXPECT_EQ(test, phys, OLD_BUFFERS);
	iommu_detach_group(domain, dev->iommu_group);
	iommu_domain_free(domain);
	expect_fresh(crash, dev);
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

/* As an IOMMU driver sees it */
static struct iommu_domain *domain_of(struct device *dev)
{
	guard(mutex)(&dev->iommu_group->mutex);
	return iommu_driver_get_domain_for_dev(dev);
}

/* One of two cannot be attached: the other one does not notice, however often */
static void test_attach_fails_for_one(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	struct iommu_group *group;
	struct legacy *l;
	unsigned int i;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	l = crash_add_legacy(crash, 2, 0, 0xfffff000, OLD_BUFFERS + SZ_16M,
			     SZ_4K, PTE_R | PTE_W);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	group = a->iommu_group;
	crash_check_dma(crash, WORKS);

	kunit_iommu_fail_device(b, true);
	l->refused = true;
	crash->expect = WORKS;
	crash_bind(crash, a);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	crash_use_new(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	for (i = 0; i < 5; i++) {
		KUNIT_EXPECT_EQ(test, kunit_iommu_bind(b, NULL), -EBUSY);
		KUNIT_EXPECT_PTR_EQ(test, group->domain, group->default_domain);
		KUNIT_EXPECT_PTR_EQ(test, domain_of(a), group->default_domain);
		KUNIT_EXPECT_PTR_EQ(test, domain_of(b), group->blocking_domain);
		crash_check_dma(crash, WORKS);
		crash_check_new(crash);
	}

	kunit_iommu_fail_device(b, false);
	l->refused = false;
	crash->expect = SAFE;
	crash_bind(crash, b);
	KUNIT_EXPECT_PTR_EQ(test, domain_of(b), group->default_domain);
	crash_check_dma(crash, WORKS);
	crash_use_new(crash, b);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash->expect = SAFE;
	crash_grace_over(a);
	crash_check_dma(crash, FAULTS);
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
	KUNIT_CASE_PARAM(test_device_claimed_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_group_claimed_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_attach_group_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_ownership_claimed_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_sysfs_state, crash_machines),
	KUNIT_CASE_PARAM(test_type_identity_refused, crash_machines),
	KUNIT_CASE_PARAM(test_type_changed_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_attach_fails, crash_machines),
	KUNIT_CASE_PARAM(test_attach_fails_for_one, crash_machines),
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
