// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: life of the inheritance of a group of one device
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/kexec.h>
#include <linux/notifier.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

/* G9: a kernel that is not a crash kernel does nothing of all this */
static void test_no_crash(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash->kdump_kernel = false;
	crash->validated = true;
	crash_boot(crash);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_NONE);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->kdump, NULL);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	crash_bind(crash, dev);
	crash->forgotten = true;
	crash_map_new(crash, dev);
	crash_check_new(crash);
	crash_unmap_new(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 0);
	crash_check_end(crash);
}

static void test_none_nothing_inherited(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_NONE);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_unmap_new(crash);
	crash_check_end(crash);
}

/* G6: no driver, nothing happens to it */
static void test_join_inherits(struct kunit *test)
{
	struct kunit_iommu_entry before, after;
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iommu_group *group;

	kunit_iommu_get_entry(crash->iommu, 1, &before);
	crash->expect = WORKS;
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	group = dev->iommu_group;
	KUNIT_EXPECT_TRUE(test, iommu_domain_is_inherited(group->domain));
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(group->default_domain));
	kunit_iommu_get_entry(crash->iommu, 1, &after);
	KUNIT_EXPECT_EQ(test, memcmp(&before, &after, sizeof(before)), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	crash_check_end(crash);
}

/* G3, G4: hitless, side by side, disjoint */
static void test_probe_carries(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_unmap_new(crash);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(dev));
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 0);
	crash_check_end(crash);
}

/* G5: gone from tables and caches, still reserved */
static void test_grace_releases(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_map_new(crash, dev);
	/* Nobody else had it, but it is not handed out before the release either */
	KUNIT_EXPECT_TRUE(test, kunit_iommu_id_in_use(crash->iommu, 7));
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 1);
	KUNIT_EXPECT_FALSE(test, kunit_iommu_id_in_use(crash->iommu, 7));
	KUNIT_EXPECT_FALSE(test, kunit_iommu_cached(crash->iommu, 7, 0xfffff000));
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_unmap_new(crash);
	crash_check_end(crash);
}

/* More than is unmapped at once: interrupts are let in between */
static void test_grace_releases_many(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	u64 root = crash_translated(crash, 1, 7);
	u64 phys = OLD_BUFFERS + SZ_64M + SZ_4K;
	unsigned int i, n = SZ_128M / SZ_2M;

	/* One table many times: small leaves, because IOVAs and memory are not in step */
	crash_add_legacy(crash, 1, root, SZ_1G, phys, SZ_2M, PTE_R | PTE_W);
	for (i = 1; i < n; i++)
		*crash_pte(crash, root, 4, SZ_1G + i * SZ_2M, 1) =
			*crash_pte(crash, root, 4, SZ_1G, 1);
	for (i = n / 2; i < n; i += n / 2 - 1)
		crash_add_legacy(crash, 1, 0, SZ_1G + i * SZ_2M, phys, SZ_2M,
				 PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(dev);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static void test_probe_failed_releases_nothing(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, crash_probe_fails), -EIO);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(dev));

	/* The next driver finds it as the first one has */
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	crash_use_new(crash, dev);
	crash_unmap_new(crash);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_unbind_releases(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	kunit_iommu_unbind(dev);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(dev));
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_unmap_new(crash);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_remove_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->domains, 0);
	crash_check_end(crash);
}

/* Its domain ID is not lost, and is given to somebody else when they run short */
static void test_remove_inherited_id(struct kunit *test)
{
	static const struct kunit_iommu_config config = { .max_id = 2 };
	struct crash *crash = crash_new(test, &config);
	struct device *dev = crash_add_dev(crash, 0, 1);

	crash_translated(crash, 1, 2);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	KUNIT_EXPECT_FALSE(test, kunit_iommu_id_in_use(crash->iommu, 1));
	KUNIT_EXPECT_TRUE(test, kunit_iommu_id_in_use(crash->iommu, 2));
	crash_add_dev(crash, 1, 3);
	dev = crash_add_dev(crash, 2, 4);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->domains, 2);
	KUNIT_EXPECT_NOT_NULL(test, dev->iommu_group);
	crash_bind(crash, dev);
	crash_map_new(crash, dev);
	crash_check_new(crash);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* It comes back while nobody has touched its sibling */
static void test_replug_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	struct legacy *l;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	l = crash_add_legacy(crash, 2, 0, 0xfffff000, OLD_BUFFERS + SZ_16M,
			     SZ_4K, PTE_R | PTE_W);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	l->refused = true;
	crash->expect = WORKS;
	kunit_iommu_remove_device(b);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	/* It has no old DMA any more, and is attached with its sibling */
	l->reused = true;
	crash_bind(crash, a);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

static void test_remove_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iommu_group *group;

	crash_boot(crash);
	crash_bind(crash, dev);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(dev));
	group = iommu_group_get(dev);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_FALSE(test,
			   delayed_work_pending(&group->kdump->release_work));
	iommu_group_put(group);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->domains, 0);
	crash_check_end(crash);
}

/* It has left nothing behind when it comes back */
static void test_replug(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	dev = crash_add_dev(crash, 0, 1);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_NONE);
	crash->forgotten = true;
	crash_map_new(crash, dev);
	crash_check_new(crash);
	crash_unmap_new(crash);
	crash_check_end(crash);
}

/* G5: after the release the device goes on for a while */
static void test_stray_access(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int i;

	crash_boot(crash);
	crash_bind(crash, dev);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	for (i = 0; i < 40; i++) {
		crash_map_new(crash, dev);
		crash_check_dma(crash, FAULTS);
	}
	crash_check_new(crash);
	crash_unmap_new(crash);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* Translation ends with the reset of the platform, or for another kernel */
static void test_keeps_translation(struct kunit *test)
{
	static const unsigned long sleep[] = {
		PM_SUSPEND_PREPARE, PM_HIBERNATION_PREPARE, PM_RESTORE_PREPARE,
	};
	struct crash *crash;
	unsigned int i;

	crash_one_device(test, &crash);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_keeps_translation());
#ifdef CONFIG_KEXEC_CORE
	kexec_in_progress = true;
	KUNIT_EXPECT_FALSE(test, iommu_kdump_keeps_translation());
	kexec_in_progress = false;
#endif
	crash->kdump_kernel = false;
	KUNIT_EXPECT_FALSE(test, iommu_kdump_keeps_translation());
	crash->kdump_kernel = true;

	for (i = 0; i < ARRAY_SIZE(sleep); i++)
		KUNIT_EXPECT_EQ(test, iommu_kdump_sleep(NULL, sleep[i], NULL),
				NOTIFY_DONE);
	crash_boot(crash);
	for (i = 0; i < ARRAY_SIZE(sleep); i++)
		KUNIT_EXPECT_EQ(test,
				notifier_to_errno(iommu_kdump_sleep(NULL, sleep[i],
								    NULL)),
				-EBUSY);
	KUNIT_EXPECT_EQ(test, iommu_kdump_sleep(NULL, PM_POST_SUSPEND, NULL),
			NOTIFY_DONE);
	crash_check_end(crash);
}

static struct kunit_case states_cases[] = {
	KUNIT_CASE_PARAM(test_no_crash, crash_machines),
	KUNIT_CASE_PARAM(test_none_nothing_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_join_inherits, crash_machines),
	KUNIT_CASE_PARAM(test_probe_carries, crash_machines),
	KUNIT_CASE_PARAM(test_grace_releases, crash_machines),
	KUNIT_CASE_PARAM(test_grace_releases_many, crash_machines),
	KUNIT_CASE_PARAM(test_probe_failed_releases_nothing, crash_machines),
	KUNIT_CASE_PARAM(test_unbind_releases, crash_machines),
	KUNIT_CASE_PARAM(test_remove_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_remove_inherited_id, crash_machines),
	KUNIT_CASE_PARAM(test_replug_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_remove_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_replug, crash_machines),
	KUNIT_CASE_PARAM(test_stray_access, crash_machines),
	KUNIT_CASE_PARAM(test_keeps_translation, crash_machines),
	{}
};

static struct kunit_suite states_suite = {
	.name = "iommu_kdump_states",
	.test_cases = states_cases,
};

kunit_test_suite(states_suite);
