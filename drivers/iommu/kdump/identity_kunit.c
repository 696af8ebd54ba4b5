// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: DMA that was not translated
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/sizes.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

static void identity(struct crash *crash, u32 rid)
{
	u64 ram = virt_to_phys(crash) & PAGE_MASK;

	crash_add_legacy(crash, rid, 0, OLD_BUFFERS, OLD_BUFFERS, SZ_2M,
			 PTE_R | PTE_W);
	crash_add_legacy(crash, rid, 0, OLD_RAM, OLD_RAM, SZ_4K, PTE_R | PTE_W);
	crash_add_legacy(crash, rid, 0, ram, ram, SZ_4K, PTE_R | PTE_W)
		->refused = true;
}

static void test_identity(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_set_entry(crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	identity(crash, 1);
	crash_boot(crash);
	/* At once: as it is, it leaves the crash kernel's memory open */
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash->nr_legacy = 2;
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* The IOMMU was off: the group has its tables before it is switched on */
static void test_not_live(struct kunit *test)
{
	static const struct kunit_iommu_config off = { .off = true };
	struct crash *crash = crash_new(test, &off);
	struct device *dev = crash_add_dev(crash, 0, 1);

	identity(crash, 1);
	crash->expect = WORKS;
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(dev));
	crash_bind(crash, dev);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(dev));
	crash_check_end(crash);
}

static void default_translated(void *unused)
{
	iommu_set_default_translated(false);
}

/* What the user wants for a cold boot does not leave the crash kernel's memory open */
static void test_passthrough(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_set_entry(crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	identity(crash, 1);
	iommu_set_default_passthrough(false);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, default_translated,
						  NULL), 0);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(dev->iommu_group->domain));
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	crash->nr_legacy = 2;
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

static bool nothing_known(void)
{
	return false;
}

/* Whose memory is whose is not known: there is no hole for the crash kernel */
static void test_identity_without_header(struct kunit *test)
{
	static const struct kunit_iommu_config off = { .off = true };
	struct crash *crash = crash_new(test, &off);
	struct device *dev = crash_add_dev(crash, 0, 1);

	identity(crash, 1);
	kunit_activate_static_stub(test, iommu_kdump_oldmem_known,
				   nothing_known);
	crash->expect = SAFE;
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static const struct kunit_iommu_config wants_identity = {
	.def_domain_type = IOMMU_DOMAIN_IDENTITY,
};

/* The IOMMU driver insists on identity, where it has been that before */
static void test_driver_wants_identity(struct kunit *test)
{
	struct crash *crash = crash_new(test, &wants_identity);
	struct device *a = crash_add_dev(crash, 0, 1);
	struct device *b = crash_add_dev(crash, 0, 2);

	crash_set_entry(crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	identity(crash, 1);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	KUNIT_EXPECT_EQ(test, a->iommu_group->domain->type,
			IOMMU_DOMAIN_IDENTITY);
	crash_check_end(crash);
}

/* Where old IOVAs were something else, they never are physical addresses */
static void test_driver_wants_identity_paging(struct kunit *test)
{
	struct crash *crash = crash_new(test, &wants_identity);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_translated(crash, 1, 7);
	crash->expect = WORKS;
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(dev->iommu_group->domain));
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_driver_wants_identity_refused(struct kunit *test)
{
	struct crash *crash = crash_new(test, &wants_identity);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_translated(crash, 1, 7);
	crash_set_entry(crash, 1, KUNIT_IOMMU_NESTED, OLD_RAM, 7);
	crash->expect = SAFE;
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(dev->iommu_group->domain));
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* One of two was identity, the other one not */
static void wants_identity_for_two(struct kunit *test,
				   enum kunit_iommu_mode mode)
{
	struct crash *crash = crash_new(test, &wants_identity);
	struct device *a = crash_add_dev(crash, 0, 1);

	crash_translated(crash, 1, 7);
	crash_set_entry(crash, 1, mode, OLD_RAM, 7);
	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_dev(crash, 0, 2);
	crash->expect = SAFE;
	crash_boot(crash);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(a->iommu_group->domain));
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_driver_wants_identity_two(struct kunit *test)
{
	wants_identity_for_two(test, KUNIT_IOMMU_PAGING);
}

static void test_driver_wants_identity_two_refused(struct kunit *test)
{
	wants_identity_for_two(test, KUNIT_IOMMU_NESTED);
}

static struct kunit_case identity_cases[] = {
	KUNIT_CASE_PARAM(test_identity, crash_machines),
	KUNIT_CASE_PARAM(test_not_live, crash_machines),
	KUNIT_CASE_PARAM(test_passthrough, crash_machines),
	KUNIT_CASE_PARAM(test_identity_without_header, crash_machines),
	KUNIT_CASE_PARAM(test_driver_wants_identity, crash_machines),
	KUNIT_CASE_PARAM(test_driver_wants_identity_paging, crash_machines),
	KUNIT_CASE_PARAM(test_driver_wants_identity_refused, crash_machines),
	KUNIT_CASE_PARAM(test_driver_wants_identity_two, crash_machines),
	KUNIT_CASE_PARAM(test_driver_wants_identity_two_refused, crash_machines),
	{}
};

static struct kunit_suite identity_suite = {
	.name = "iommu_kdump_identity",
	.test_cases = identity_cases,
};

kunit_test_suite(identity_suite);
