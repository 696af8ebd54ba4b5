// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: resets, and devices without DMA in flight
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

static bool is_master(struct device *dev)
{
	u16 command = 0;

	pci_read_config_word(to_pci_dev(dev), PCI_COMMAND, &command);
	return command & PCI_COMMAND_MASTER;
}

/*
 * Bus mastering was off at the panic: what waits in the device goes on as soon as its
 * driver switches it on, before it has reset the device
 */
static void test_no_master_waits(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_set_command(dev, 0);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(dev));
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_end(crash);
}

/* ... and one that no driver comes for has nothing that is worth an import */
static void test_no_master_is_not_imported(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_set_command(dev, 0);
	crash_boot(crash);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_reset_prepare(dev), 0);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	crash_reset_done(dev, true);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

/* It does not hold the others up, until it has a driver */
static void test_no_master_does_not_hold(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = crash_add_dev(crash, 0, 2);
	crash_set_command(b, 0);
	crash_boot(crash);
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(a);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static struct device *two_tables(struct kunit *test, struct crash **crash,
				 struct device **b)
{
	struct device *a = crash_one_device(test, crash);
	u64 root = crash_new_table(*crash);

	crash_set_entry(*crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	crash_add_legacy(*crash, 2, root, SZ_2G, OLD_BUFFERS + SZ_128M, SZ_4K,
			 PTE_R | PTE_W);
	*b = crash_add_dev(*crash, 0, 2);
	crash_set_command(*b, 0);
	return a;
}

/* The group goes on without the second one, and its old mappings are released */
static struct device *released_before(struct kunit *test, struct crash **crash,
				      struct device **b)
{
	struct device *a = two_tables(test, crash, b);

	crash_boot(*crash);
	crash_bind(*crash, a);
	EXPECT_STATE(*crash, a, KDUMP_CARRYING);
	crash_check_dma(*crash, WORKS);
	(*crash)->expect = SAFE;
	crash_use_new(*crash, a);
	crash_grace_over(a);
	EXPECT_STATE(*crash, a, KDUMP_RELEASED);
	crash_check_dma(*crash, FAULTS);
	return a;
}

/* Nobody has waited for it. But when its driver comes, what waits in it goes on. */
static void test_no_master_waits_for_long(struct kunit *test)
{
	struct crash *crash;
	struct device *b;

	released_before(test, &crash, &b);
	crash_bind(crash, b);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(b));
	/* Its own, not what the others had */
	crash->legacy[0] = crash->legacy[crash->nr_legacy - 1];
	crash->nr_legacy = 1;
	crash_check_dma(crash, WORKS);
	crash_use_new(crash, b);
	crash->expect = SAFE;
	crash_grace_over(b);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* What it waits with cannot be carried: it is blocked, the others go on */
static void test_no_master_without_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *a, *b;

	a = released_before(test, &crash, &b);
	crash->map_fails = true;
	crash_bind(crash, b);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash->map_fails = false;
	crash_use_new(crash, a);
	crash_use_new(crash, b);
	crash_check_end(crash);
}

/* Who has claimed the group has ended all of that */
static void test_no_master_claimed(struct kunit *test)
{
	struct crash *crash;
	struct device *a, *b;

	a = two_tables(test, &crash, &b);
	crash_boot(crash);
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(a, crash), 0);
	iommu_device_release_dma_owner(a);
	crash_bind(crash, b);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* What was off is switched on next: until then it has tables, also if nothing is known of it */
static void test_no_master_off(struct kunit *test)
{
	static const struct kunit_iommu_config off = { .off = true };
	struct crash *crash = crash_new(test, &off);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_set_command(dev, 0);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(dev->iommu_group->domain));
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static void test_bridge_does_not_hold(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	struct pci_dev *pdev;
	u8 hdr_type;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = crash_add_dev(crash, 0, 2);
	pdev = to_pci_dev(b);
	hdr_type = pdev->hdr_type;
	pdev->hdr_type = PCI_HEADER_TYPE_BRIDGE;
	crash_boot(crash);
	pdev->hdr_type = hdr_type;
	crash_bind(crash, a);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash_check_end(crash);
}

/* Its memory is out of reach, so that it need not try; other devices are not ours */
static void test_blocked_master_is_cleared(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	*crash_pte(crash, OLD_RAM, 4, SZ_1G, 1) =
		crash_table_entry(crash, NOWHERE, 1);
	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	KUNIT_EXPECT_TRUE(test, is_master(a));
	crash->expect = SAFE;
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	KUNIT_EXPECT_FALSE(test, is_master(a));
	KUNIT_EXPECT_TRUE(test, is_master(b));
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_carried_master_is_left_alone(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	KUNIT_EXPECT_TRUE(test, is_master(dev));
	crash_check_end(crash);
}

static void test_reset_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_reset_prepare(dev), 0);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	/* It has ATS, so that it is blocked meanwhile */
	crash_check_dma(crash, FAULTS);
	crash->expect = SAFE;
	crash_reset_done(dev, true);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

/* The command register says that nothing has happened */
static void test_reset_failed(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_reset_prepare(dev), 0);
	crash_reset_done(dev, false);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(dev));
	crash_check_end(crash);
}

/* At once, without the grace period, when all have been reset */
static void test_reset_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	phys_addr_t phys;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_reset_prepare(a), 0);
	/* The other one does not notice */
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(a, 0xfffff000, true, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(b, 0xfffff000, true, &phys),
			0);
	crash_reset_done(a, true);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_bind(crash, b);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, crash_reset_prepare(b), 0);
	crash_reset_done(b, true);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_use_new(crash, a);
	crash_check_end(crash);
}

/* All of what a driver does that calls pci_reset_function() */
static void test_function_level_reset(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	crash_map_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, pci_reset_function(to_pci_dev(dev)), 0);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_check_new(crash);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static struct kunit_case pci_cases[] = {
	KUNIT_CASE_PARAM(test_no_master_waits, crash_pci_machines),
	KUNIT_CASE_PARAM(test_no_master_is_not_imported, crash_pci_machines),
	KUNIT_CASE_PARAM(test_no_master_does_not_hold, crash_pci_machines),
	KUNIT_CASE_PARAM(test_no_master_waits_for_long, crash_pci_machines),
	KUNIT_CASE_PARAM(test_no_master_without_memory, crash_pci_machines),
	KUNIT_CASE_PARAM(test_no_master_claimed, crash_pci_machines),
	KUNIT_CASE_PARAM(test_no_master_off, crash_pci_machines),
	KUNIT_CASE_PARAM(test_bridge_does_not_hold, crash_pci_machines),
	KUNIT_CASE_PARAM(test_blocked_master_is_cleared, crash_pci_machines),
	KUNIT_CASE_PARAM(test_carried_master_is_left_alone, crash_pci_machines),
	KUNIT_CASE_PARAM(test_reset_inherited, crash_pci_machines),
	KUNIT_CASE_PARAM(test_reset_failed, crash_pci_machines),
	KUNIT_CASE_PARAM(test_reset_carrying, crash_pci_machines),
	KUNIT_CASE_PARAM(test_function_level_reset, crash_pci_machines),
	{}
};

static struct kunit_suite pci_suite = {
	.name = "iommu_kdump_pci",
	.test_cases = pci_cases,
};

kunit_test_suite(pci_suite);
