// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the KUnit-managed IOMMU
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

static struct kunit_iommu *create(struct kunit *test,
				  const struct kunit_iommu_config *config)
{
	struct kunit_iommu *iommu = kunit_iommu_create(test, config);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	return iommu;
}

static struct device *add(struct kunit *test, struct kunit_iommu *iommu,
			  unsigned int group, u32 rid)
{
	struct device *dev = kunit_iommu_add_device(iommu, group, &rid, 1);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	return dev;
}

static void *page(struct kunit *test)
{
	void *buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

static void expect_dma(struct kunit *test, struct device *dev, dma_addr_t iova,
		       bool write, void *buf)
{
	phys_addr_t phys = 0;

	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, iova, write, &phys), 0);
	KUNIT_EXPECT_EQ(test, phys, virt_to_phys(buf));
}

static void expect_fault(struct kunit *test, struct device *dev,
			 dma_addr_t iova, bool write)
{
	phys_addr_t phys;

	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, iova, write, &phys),
			-EFAULT);
}

/* What is mapped is reached, what is not or not any more is not */
static void test_map_unmap(struct kunit *test)
{
	struct kunit_iommu_config config = {
		/* Not lazy: flushed when it is unmapped */
		.def_domain_type = IOMMU_DOMAIN_DMA,
	};
	struct kunit_iommu *iommu = create(test, &config);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);
	dma_addr_t iova;

	expect_fault(test, dev, virt_to_phys(buf), false);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	expect_fault(test, dev, virt_to_phys(buf), false);

	KUNIT_ASSERT_EQ(test, kunit_iommu_bind(dev, NULL), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	expect_dma(test, dev, iova, true, buf);
	expect_dma(test, dev, iova, false, buf);
	expect_fault(test, dev, iova + PAGE_SIZE, false);

	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
	expect_fault(test, dev, iova, false);
	expect_fault(test, dev, iova, true);
}

static void test_permissions(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	expect_dma(test, dev, iova, false, buf);
	expect_fault(test, dev, iova, true);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_TO_DEVICE);

	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	expect_dma(test, dev, iova, true, buf);
	expect_fault(test, dev, iova, false);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_FROM_DEVICE);
}

/* Devices of different groups do not see each other's mappings */
static void test_groups(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *a = add(test, iommu, 0, 1);
	struct device *b = add(test, iommu, 1, 2);
	struct device *b2 = add(test, iommu, 1, 3);
	void *buf = page(test);
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_PTR_NE(test, iommu_get_domain_for_dev(a),
			    iommu_get_domain_for_dev(b));
	KUNIT_EXPECT_PTR_EQ(test, iommu_get_domain_for_dev(b),
			    iommu_get_domain_for_dev(b2));

	iova = dma_map_single(b, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(b, iova));
	expect_dma(test, b, iova, true, buf);
	expect_dma(test, b2, iova, true, buf);
	expect_fault(test, a, iova, true);
	dma_unmap_single(b, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* Two devices behind a bridge: one goes, the other keeps its translation */
static void test_shared_rid(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *a = add(test, iommu, 0, 1);
	struct device *b = add(test, iommu, 0, 1);
	void *buf = page(test);
	phys_addr_t phys;
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(a, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(a, iova));
	expect_dma(test, b, iova, true, buf);
	kunit_iommu_remove_device(b);
	expect_dma(test, a, iova, true, buf);
	dma_unmap_single(a, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
	kunit_iommu_remove_device(a);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 1, iova, false, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(iommu)->domains, 0);
}

/* All requester IDs of a device are translated */
static void test_two_rids(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	const u32 rids[] = { 4, 9 };
	struct device *dev = kunit_iommu_add_device(iommu, 0, rids, 2);
	void *buf = page(test);
	phys_addr_t phys = 0;
	dma_addr_t iova;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 9, iova, true, &phys), 0);
	KUNIT_EXPECT_EQ(test, phys, virt_to_phys(buf));
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 5, iova, true, &phys),
			-EFAULT);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* The caches are what hardware believes until they are flushed */
static void test_stale_caches(struct kunit *test)
{
	static const struct kunit_iommu_entry blocked = {
		.mode = KUNIT_IOMMU_BLOCKED,
	};
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	struct kunit_iommu_entry entry;
	void *buf = page(test);
	struct iommu_domain *domain;
	struct iommu_iotlb_gather gather;
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	expect_dma(test, dev, iova, true, buf);

	kunit_iommu_get_entry(iommu, 3, &entry);
	KUNIT_EXPECT_EQ(test, entry.mode, KUNIT_IOMMU_PAGING);
	KUNIT_EXPECT_TRUE(test, kunit_iommu_cached(iommu, entry.id, iova));
	kunit_iommu_set_entry(iommu, 3, &blocked);
	expect_dma(test, dev, iova, true, buf);
	kunit_iommu_set_entry(iommu, 3, &entry);

	/* Unmapped, not flushed yet */
	domain = iommu_get_domain_for_dev(dev);
	iommu_iotlb_gather_init(&gather);
	KUNIT_EXPECT_EQ(test,
			iommu_unmap_fast(domain, iova, PAGE_SIZE, &gather),
			PAGE_SIZE);
	expect_dma(test, dev, iova, true, buf);
	iommu_iotlb_sync(domain, &gather);
	expect_fault(test, dev, iova, true);
	KUNIT_EXPECT_FALSE(test, kunit_iommu_cached(iommu, entry.id, iova));

	KUNIT_EXPECT_EQ(test,
			iommu_map(domain, iova, virt_to_phys(buf), PAGE_SIZE,
				  IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

static void test_identity(struct kunit *test)
{
	struct kunit_iommu_config config = {
		.def_domain_type = IOMMU_DOMAIN_IDENTITY,
	};
	struct kunit_iommu *iommu = create(test, &config);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	expect_dma(test, dev, virt_to_phys(buf), true, buf);
}

static int refuse(struct device *dev)
{
	return -EIO;
}

static int claim_fails(struct device *dev)
{
	/* The driver core has claimed the DMA of the group for this driver */
	return iommu_group_dma_owner_claimed(dev->iommu_group) ? 0 : -EIO;
}

static void test_bind(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, refuse), -EIO);
	KUNIT_EXPECT_PTR_EQ(test, dev->driver, NULL);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, claim_fails), 0);
	KUNIT_EXPECT_PTR_NE(test, dev->driver, NULL);
	kunit_iommu_unbind(dev);
	KUNIT_EXPECT_PTR_EQ(test, dev->driver, NULL);
	KUNIT_EXPECT_FALSE(test,
			   iommu_group_dma_owner_claimed(dev->iommu_group));
}

static void test_ownership(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(dev, test), 0);
	expect_fault(test, dev, iova, true);
	iommu_device_release_dma_owner(dev);
	expect_dma(test, dev, iova, true, buf);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

static void test_direct_region(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(iommu, SZ_1G, SZ_64K, true),
			0);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dev_dma(dev, SZ_1G + SZ_4K, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, SZ_1G + SZ_4K);
	expect_fault(test, dev, SZ_1G + SZ_64K, true);
}

/* Hot-plug, and an attach that fails */
static void test_late_device(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev;
	void *buf = page(test);
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	dev = add(test, iommu, 0, 3);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	expect_dma(test, dev, iova, true, buf);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);

	kunit_iommu_fail_attach(iommu, 1);
	dev = add(test, iommu, 0, 4);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group, NULL);
	expect_fault(test, dev, iova, true);
}

static unsigned int steps_seen[3];

static void count_step(struct kunit_iommu *iommu, enum kunit_iommu_step step)
{
	steps_seen[step]++;
}

static void test_steps(struct kunit *test)
{
	struct kunit_iommu_config config = {
		.step = count_step,
		.def_domain_type = IOMMU_DOMAIN_DMA,
	};
	struct kunit_iommu *iommu = create(test, &config);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);
	dma_addr_t iova;

	memset(steps_seen, 0, sizeof(steps_seen));
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_GE(test, steps_seen[KUNIT_IOMMU_ENTRY_WRITTEN], 1);
	KUNIT_EXPECT_GE(test, steps_seen[KUNIT_IOMMU_CONTEXT_FLUSHED], 1);

	steps_seen[KUNIT_IOMMU_IOTLB_FLUSHED] = 0;
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, steps_seen[KUNIT_IOMMU_IOTLB_FLUSHED], 1);
}

static struct kunit_case iommu_test_cases[] = {
	KUNIT_CASE(test_map_unmap),
	KUNIT_CASE(test_permissions),
	KUNIT_CASE(test_groups),
	KUNIT_CASE(test_shared_rid),
	KUNIT_CASE(test_two_rids),
	KUNIT_CASE(test_stale_caches),
	KUNIT_CASE(test_identity),
	KUNIT_CASE(test_bind),
	KUNIT_CASE(test_ownership),
	KUNIT_CASE(test_direct_region),
	KUNIT_CASE(test_late_device),
	KUNIT_CASE(test_steps),
	{}
};

static struct kunit_suite iommu_test_suite = {
	.name = "kunit_iommu",
	.test_cases = iommu_test_cases,
};
kunit_test_suite(iommu_test_suite);
