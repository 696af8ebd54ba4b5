// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the KUnit-managed IOMMU
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/pci-ats.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

struct kind {
	const char *name;
	enum kunit_iommu_format format;
	bool pci;
	bool plain;
};

static const struct kind kinds[] = {
	{ "vtdss", KUNIT_IOMMU_VTDSS, false },
	{ "amdv1", KUNIT_IOMMU_AMDV1, false },
	{ "riscv64", KUNIT_IOMMU_RISCV64, false },
#ifdef CONFIG_IOMMU_IO_PGTABLE_LPAE
	{ "armv8", KUNIT_IOMMU_ARMV8, false },
#endif
	{ "vtdss-pci", KUNIT_IOMMU_VTDSS, true },
	{ "amdv1-pci", KUNIT_IOMMU_AMDV1, true },
	{ "plain", KUNIT_IOMMU_VTDSS, false, true },
	{ "plain-pci", KUNIT_IOMMU_AMDV1, true, true },
};

KUNIT_ARRAY_PARAM_DESC(kind, kinds, name);

static const struct kind *kind_of(struct kunit *test)
{
	return test->param_value ?: &kinds[0];
}

static struct kunit_iommu *create(struct kunit *test,
				  const struct kunit_iommu_config *config)
{
	struct kunit_iommu_config all = {};
	struct kunit_iommu *iommu;

	if (config)
		all = *config;
	all.format = kind_of(test)->format;
	all.pci = kind_of(test)->pci;
	all.plain_domains = kind_of(test)->plain;
	iommu = kunit_iommu_create(test, &all);
	if (PTR_ERR_OR_ZERO(iommu) == -EOPNOTSUPP)
		kunit_skip(test, "no PCI devices of the kind that are made up");
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
	/* RISC-V and Arm have no pages that can be written only */
	if (kind_of(test)->format == KUNIT_IOMMU_RISCV64 ||
	    kind_of(test)->format == KUNIT_IOMMU_ARMV8)
		expect_dma(test, dev, iova, false, buf);
	else
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->domains, 0);
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

/* A device that could not follow its group is where it is, not where the group is */
static void test_parked(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(dev, test), 0);
	KUNIT_EXPECT_TRUE(test, kunit_iommu_get_stats(iommu)->from &
				__IOMMU_DOMAIN_DMA_API);

	/* Back to the default domain for good, which the core warns about */
	kunit_iommu_fail_attach(iommu, 1);
	kunit_warning_suppress(test)
		iommu_device_release_dma_owner(dev);
	expect_fault(test, dev, iova, true);

	KUNIT_EXPECT_EQ(test, iommu_device_claim_dma_owner(dev, test), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->from,
			IOMMU_DOMAIN_BLOCKED);
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
			kunit_iommu_add_resv_region(iommu, SZ_1G, SZ_64K,
						    IOMMU_RESV_DIRECT),
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

/* Without any configuration it is an IOMMU as most of them are */
static void test_defaults(struct kunit *test)
{
	struct kunit_iommu *iommu = kunit_iommu_create(test, NULL);
	struct kunit_iommu_entry entry;
	struct device *dev;
	u32 rid;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	KUNIT_EXPECT_PTR_EQ(test, kunit_iommu_priv(iommu), NULL);
	for (rid = 0; rid < KUNIT_IOMMU_NUM_RIDS; rid++) {
		kunit_iommu_get_entry(iommu, rid, &entry);
		KUNIT_EXPECT_EQ(test, entry.mode, KUNIT_IOMMU_BLOCKED);
	}
	dev = add(test, iommu, 0, 3);
	KUNIT_EXPECT_FALSE(test, dev_is_pci(dev));
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->domains, 0);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->domains, 1);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->attached, 1);
	KUNIT_EXPECT_GE(test, kunit_iommu_get_stats(iommu)->entry_writes, 1);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->walked, 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->released, 0);
}

static void test_priv(struct kunit *test)
{
	struct kunit_iommu_config config = { .priv = test };

	KUNIT_EXPECT_PTR_EQ(test, kunit_iommu_priv(create(test, &config)), test);
}

/* What makes no sense is refused, and leaves nothing behind */
static void test_bad_arguments(struct kunit *test)
{
	const u32 rids[] = { 1, KUNIT_IOMMU_NUM_RIDS, 2 };
	struct kunit_iommu *iommu = create(test, NULL);
	phys_addr_t phys;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, PTR_ERR(kunit_iommu_add_device(iommu, 0, rids, 0)),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(kunit_iommu_add_device(iommu, 0, rids, 2)),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			PTR_ERR(kunit_iommu_add_device(iommu, 0, rids,
						       ARRAY_SIZE(rids))),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, KUNIT_IOMMU_NUM_RIDS, SZ_1M,
					false, &phys), -EFAULT);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test,
				kunit_iommu_add_resv_region(iommu, i * SZ_1M,
							    SZ_64K,
							    IOMMU_RESV_RESERVED),
				0);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_add_resv_region(iommu, SZ_16M, SZ_64K,
						    IOMMU_RESV_RESERVED),
			-ENOSPC);
	KUNIT_EXPECT_EQ(test, kunit_iommu_register(iommu), 0);
}

/* Everything is as it was in the beginning */
static void test_reset(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct kunit_iommu_entry entry;
	void *buf = page(test);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct device *dev = add(test, iommu, 0, 3);
		phys_addr_t phys;
		dma_addr_t iova;

		kunit_iommu_fail_attach(iommu, 0);
		KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
		KUNIT_ASSERT_EQ(test, kunit_iommu_bind(dev, NULL), 0);
		iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
		KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
		expect_dma(test, dev, iova, true, buf);
		kunit_iommu_get_entry(iommu, 3, &entry);
		KUNIT_EXPECT_TRUE(test,
				  kunit_iommu_cached(iommu, entry.id, iova));
		dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
		kunit_iommu_fail_attach(iommu, 1);

		kunit_iommu_reset(iommu);
		KUNIT_EXPECT_FALSE(test,
				   kunit_iommu_cached(iommu, entry.id, iova));
		KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->attached, 0);
		KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(iommu)->domains, 0);
		kunit_iommu_get_entry(iommu, 3, &entry);
		KUNIT_EXPECT_EQ(test, entry.mode, KUNIT_IOMMU_BLOCKED);
		KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, iova, true,
						      &phys), -EFAULT);
	}
}

/* It does not translate before its driver is there, then it does */
static void test_off(struct kunit *test)
{
	struct kunit_iommu_config config = { .off = true };
	struct kunit_iommu *iommu = create(test, &config);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);

	expect_dma(test, dev, virt_to_phys(buf), true, buf);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	expect_fault(test, dev, virt_to_phys(buf), true);
	kunit_iommu_reset(iommu);
	dev = add(test, iommu, 0, 3);
	expect_dma(test, dev, virt_to_phys(buf), true, buf);
}

/* Pages of all kinds, and IOVAs for which a table may have to grow first */
static void test_page_sizes(struct kunit *test)
{
	static const u64 iovas[] = { SZ_1G, BIT_ULL(38), BIT_ULL(40),
				     BIT_ULL(47) };
	static const u64 sizes[] = { SZ_4K, SZ_8K, SZ_16K, SZ_64K, SZ_1M, SZ_2M,
				     SZ_4M, SZ_1G };
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	struct iommu_domain *domain;
	unsigned int i, j;

	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	domain = iommu_get_domain_for_dev(dev);
	for (i = 0; i < ARRAY_SIZE(iovas); i++) {
		/* Only the lower half of what is sign extended */
		if (iovas[i] > domain->geometry.aperture_end)
			continue;
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			u64 iova = iovas[i] + sizes[j], to = SZ_4G + sizes[j];
			phys_addr_t phys = 0;

			KUNIT_ASSERT_EQ(test,
					iommu_map(domain, iova, to, sizes[j],
						  IOMMU_READ, GFP_KERNEL), 0);
			KUNIT_EXPECT_EQ(test,
					kunit_iommu_dma(iommu, 3,
							iova + sizes[j] - 8,
							false, &phys), 0);
			KUNIT_EXPECT_EQ(test, phys, to + sizes[j] - 8);
			expect_fault(test, dev, iova, true);
			expect_fault(test, dev, iova - 8, false);
			expect_fault(test, dev, iova + sizes[j], false);
			KUNIT_EXPECT_EQ(test,
					iommu_unmap(domain, iova, sizes[j]),
					sizes[j]);
			expect_fault(test, dev, iova + sizes[j] - 8, false);
		}
	}
}

/* Entries of the second level that allow everything, besides the address */
static const struct memory_format {
	u64 large;
	u64 table;
	unsigned int shift;
} memory_formats[] = {
	[KUNIT_IOMMU_VTDSS] = { 3 | BIT_ULL(7), 3 },
	[KUNIT_IOMMU_AMDV1] = { BIT_ULL(0) | BIT_ULL(61) | BIT_ULL(62),
				BIT_ULL(0) | BIT_ULL(61) | BIT_ULL(62) | 2 << 9 },
	[KUNIT_IOMMU_RISCV64] = { 0xd7, 1, 2 },
	[KUNIT_IOMMU_ARMV8] = { BIT_ULL(0) | BIT_ULL(6) | BIT_ULL(10), 3 },
};

/* Memory that the kernel does not know, and tables that lead out of it */
static void test_memory(struct kunit *test)
{
	const struct memory_format *f = &memory_formats[kind_of(test)->format];
	const u64 base = BIT_ULL(43);
	struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.levels = 3,
		.id = 5,
		.root = base,
	};
	struct kunit_iommu *iommu = create(test, NULL);
	u64 *table = kunit_kzalloc(test, 2 * PAGE_SIZE, GFP_KERNEL);
	phys_addr_t phys = 0;
	u32 rid;

	KUNIT_ASSERT_NOT_NULL(test, table);
	kunit_iommu_set_memory(iommu, base, table, 2 * PAGE_SIZE);
	/* 1G page; table of a 2M page; outside; nothing */
	table[0] = SZ_1G >> f->shift | f->large;
	table[1] = (base + PAGE_SIZE) >> f->shift | f->table;
	table[2] = (base + SZ_1G) >> f->shift | f->table;
	table[512 + 3] = SZ_2M >> f->shift | f->large;
	kunit_iommu_set_entry(iommu, 3, &entry);

	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, SZ_16M, true, &phys), 0);
	KUNIT_EXPECT_EQ(test, phys, SZ_1G + SZ_16M);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, 3, SZ_1G + 3 * SZ_2M + 8, true,
					&phys), 0);
	KUNIT_EXPECT_EQ(test, phys, SZ_2M + 8);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, SZ_1G, true, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, SZ_2G, true, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, 3, 3ULL << 30, true, &phys),
			-EFAULT);
	/* Wider than the table */
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, 3, BIT_ULL(39), true, &phys),
			-EFAULT);
	/* Entries that hardware does not accept */
	for (rid = 4; rid < 7; rid++) {
		struct kunit_iommu_entry bad = entry;

		bad.id = rid + 2;
		if (rid == 4)
			bad.levels = 2;
		else if (rid == 5)
			bad.levels = 6;
		else
			bad.mode = KUNIT_IOMMU_NESTED;
		kunit_iommu_set_entry(iommu, rid, &bad);
		KUNIT_EXPECT_EQ(test,
				kunit_iommu_dma(iommu, rid, SZ_16M, true,
						&phys), -EFAULT);
	}
	/* What is read once is known from then on */
	KUNIT_EXPECT_TRUE(test, kunit_iommu_cached(iommu, 5, SZ_16M));
	KUNIT_EXPECT_FALSE(test, kunit_iommu_cached(iommu, 5, SZ_16M + SZ_4K));
	KUNIT_EXPECT_FALSE(test, kunit_iommu_cached(iommu, 6, SZ_16M));
	table[0] = 0;
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, SZ_16M, true, &phys), 0);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, 3, SZ_16M + SZ_4K, true, &phys),
			-EFAULT);
}

/* Tables of AMD say of what level the next one is */
static void test_amdv1_levels(struct kunit *test)
{
	const u64 pr = BIT_ULL(0), both = BIT_ULL(61) | BIT_ULL(62);
	struct kunit_iommu_config config = { .format = KUNIT_IOMMU_AMDV1 };
	struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.levels = 3,
		.id = 5,
		.root = BIT_ULL(43),
	};
	struct kunit_iommu *iommu = kunit_iommu_create(test, &config);
	u64 *table = kunit_kzalloc(test, 2 * PAGE_SIZE, GFP_KERNEL);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	KUNIT_ASSERT_NOT_NULL(test, table);
	kunit_iommu_set_memory(iommu, entry.root, table, 2 * PAGE_SIZE);
	/* Two levels down, up again, without the present bit */
	table[0] = (entry.root + PAGE_SIZE) | pr | both | 1 << 9;
	table[1] = (entry.root + PAGE_SIZE) | pr | both | 3 << 9;
	table[2] = SZ_1G | both;
	/* 64K */
	memset64(table + 512 + 16, (SZ_1G | SZ_64K | 0x7000) | pr | both | 7 << 9,
		 16);
	kunit_iommu_set_entry(iommu, 3, &entry);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, 3, SZ_64K + SZ_32K + 8, true,
					&phys), 0);
	KUNIT_EXPECT_EQ(test, phys, SZ_1G + SZ_64K + SZ_32K + 8);
	/* The bits that are skipped are not zero */
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, 3, SZ_2M + SZ_64K, true, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, SZ_1G, true, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 3, SZ_2G, true, &phys),
			-EFAULT);
}

/* What RISC-V's hardware refuses, and what it does not do by itself */
static void test_riscv64_entries(struct kunit *test)
{
	/* V, R, W, U, A, D and page 2 */
	const u64 leaf = 0xd7 | 2 << 10;
	static const struct {
		/* Bits of the leaf, or of the entry that leads to its table, that differ */
		u64 leaf;
		u64 table;
		bool read;
		bool write;
	} flips[] = {
		{ .read = true, .write = true },
		{ .leaf = BIT_ULL(0) },
		{ .leaf = BIT_ULL(1) },				/* W without R */
		{ .leaf = BIT_ULL(2), .read = true },
		{ .leaf = BIT_ULL(1) | BIT_ULL(2) | BIT_ULL(3) },	/* X only */
		{ .leaf = BIT_ULL(1) | BIT_ULL(2) },		/* leads nowhere */
		{ .leaf = BIT_ULL(3), .read = true, .write = true },
		{ .leaf = BIT_ULL(4) },				/* no U */
		{ .leaf = BIT_ULL(6) },				/* no A */
		{ .leaf = BIT_ULL(7), .read = true },		/* no D */
		{ .leaf = BIT_ULL(54) },
		{ .leaf = BIT_ULL(61) },			/* PBMT */
		{ .leaf = BIT_ULL(63) },			/* NAPOT of 8 KiB */
		{ .table = BIT_ULL(0) },
		{ .table = BIT_ULL(4) },
		{ .table = BIT_ULL(6) },
		{ .table = BIT_ULL(7) },
		{ .table = BIT_ULL(54) },
		{ .table = BIT_ULL(63) },
		{ .table = 0xd6 },				/* misaligned */
	};
	struct kunit_iommu_config config = { .format = KUNIT_IOMMU_RISCV64 };
	struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.levels = 3,
		.root = BIT_ULL(43),
	};
	struct kunit_iommu *iommu = kunit_iommu_create(test, &config);
	u64 *table = kunit_kzalloc(test, 3 * PAGE_SIZE, GFP_KERNEL);
	phys_addr_t phys = 0;
	unsigned int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	KUNIT_ASSERT_NOT_NULL(test, table);
	kunit_iommu_set_memory(iommu, entry.root, table, 3 * PAGE_SIZE);
	table[0] = (entry.root + PAGE_SIZE) >> 2 | 1;
	for (i = 0; i < ARRAY_SIZE(flips); i++) {
		u64 iova = i * SZ_4K;

		table[512] = ((entry.root + 2 * PAGE_SIZE) >> 2 | 1) ^
			     flips[i].table;
		table[2 * 512 + i] = leaf ^ flips[i].leaf;
		entry.id = i + 1;
		kunit_iommu_set_entry(iommu, i, &entry);
		KUNIT_EXPECT_EQ_MSG(test,
				    kunit_iommu_dma(iommu, i, iova, false,
						    &phys),
				    flips[i].read ? 0 : -EFAULT, "read %u", i);
		KUNIT_EXPECT_EQ_MSG(test,
				    kunit_iommu_dma(iommu, i, iova + 8, true,
						    &phys),
				    flips[i].write ? 0 : -EFAULT, "write %u", i);
		if (flips[i].write)
			KUNIT_EXPECT_EQ(test, phys, SZ_8K + 8);
	}

	/* 16 pages, of which the second half is asked for */
	entry.id = i + 1;
	kunit_iommu_set_entry(iommu, i, &entry);
	table[512] = (entry.root + 2 * PAGE_SIZE) >> 2 | 1;
	table[2 * 512 + 24] = 0xd7 | BIT_ULL(63) | (SZ_64K | SZ_32K) >> 2;
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, i, 24 * SZ_4K + 8, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, SZ_64K + 8 * SZ_4K + 8);

	/* The upper half of what is sign extended, and what is not */
	table[256] = SZ_1G >> 2 | 0xd7;
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, i, GENMASK_ULL(63, 38) + 8, true,
					&phys), 0);
	KUNIT_EXPECT_EQ(test, phys, SZ_1G + 8);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dma(iommu, i, BIT_ULL(38), true, &phys),
			-EFAULT);
}

/* The last one of those who share a requester ID turns off the light */
static void test_shared_rid_order(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	const u32 rids[] = { 1, 2 };
	struct device *a = add(test, iommu, 0, 1), *b;
	struct kunit_iommu_entry one, two;
	void *buf = page(test);
	phys_addr_t phys;
	dma_addr_t iova;

	b = kunit_iommu_add_device(iommu, 0, rids, 2);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_PTR_EQ(test, a->iommu_group, b->iommu_group);
	iova = dma_map_single(a, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(a, iova));
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 2, iova, true, &phys), 0);

	/* Only what is not shared is blocked, caches included */
	kunit_iommu_remove_device(b);
	kunit_iommu_get_entry(iommu, 1, &one);
	kunit_iommu_get_entry(iommu, 2, &two);
	KUNIT_EXPECT_EQ(test, one.mode, KUNIT_IOMMU_PAGING);
	KUNIT_EXPECT_EQ(test, two.mode, KUNIT_IOMMU_BLOCKED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(iommu, 2, iova, true, &phys),
			-EFAULT);
	expect_dma(test, a, iova, true, buf);
	dma_unmap_single(a, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
	kunit_iommu_remove_device(a);
	kunit_iommu_get_entry(iommu, 1, &one);
	KUNIT_EXPECT_EQ(test, one.mode, KUNIT_IOMMU_BLOCKED);
}

/* IOVAs that firmware keeps for itself are not handed out */
static void test_reserved_region(struct kunit *test)
{
	struct kunit_iommu *iommu = create(test, NULL);
	struct device *dev = add(test, iommu, 0, 3);
	void *buf = page(test);
	dma_addr_t iova;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(iommu, SZ_2G, SZ_2G,
						    IOMMU_RESV_RESERVED),
			0);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	iova = dma_map_single(dev, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, iova));
	KUNIT_EXPECT_LT(test, iova, SZ_2G);
	expect_dma(test, dev, iova, true, buf);
	expect_fault(test, dev, SZ_2G, false);
	dma_unmap_single(dev, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* Instances do not know of each other */
static void test_two_iommus(struct kunit *test)
{
	struct kunit_iommu *one = create(test, NULL);
	struct kunit_iommu *two = kunit_iommu_create(test, NULL);
	struct device *a = add(test, one, 0, 3), *b;
	void *buf = page(test);
	phys_addr_t phys;
	dma_addr_t iova;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, two);
	b = add(test, two, 0, 3);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(one), 0);
	KUNIT_EXPECT_PTR_EQ(test, b->iommu_group, NULL);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(two), 0);
	KUNIT_EXPECT_PTR_NE(test, a->iommu_group, b->iommu_group);
	iova = dma_map_single(a, buf, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(a, iova));
	expect_dma(test, a, iova, true, buf);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dma(two, 3, iova, true, &phys),
			-EFAULT);
	dma_unmap_single(a, iova, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* A PCI device is one, as far as the PCI core can tell */
static void test_pci(struct kunit *test)
{
	struct kunit_iommu_config config = { .pci = true };
	struct kunit_iommu *iommu = kunit_iommu_create(test, &config);
	struct device *a, *b;
	struct pci_dev *pdev;
	u16 command = 0;

	if (PTR_ERR_OR_ZERO(iommu) == -EOPNOTSUPP)
		kunit_skip(test, "no PCI devices of the kind that are made up");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	a = add(test, iommu, 0, 1);
	b = add(test, iommu, 1, 2);
	KUNIT_ASSERT_TRUE(test, dev_is_pci(a) && dev_is_pci(b));
	pdev = to_pci_dev(a);
	KUNIT_EXPECT_NE(test, pdev->devfn, to_pci_dev(b)->devfn);
	KUNIT_EXPECT_FALSE(test, pci_is_bridge(pdev));
	KUNIT_EXPECT_TRUE(test, pci_ats_supported(pdev));
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	KUNIT_EXPECT_PTR_NE(test, a->iommu_group, NULL);

	/* It was busy before, a reset ends that */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	KUNIT_EXPECT_TRUE(test, command & PCI_COMMAND_MASTER);
	KUNIT_EXPECT_EQ(test, pcie_reset_flr(pdev, PCI_RESET_DO_RESET), 0);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	KUNIT_EXPECT_EQ(test, command, 0);
	pci_set_master(pdev);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	KUNIT_EXPECT_EQ(test, command, PCI_COMMAND_MASTER);
	pci_read_config_word(to_pci_dev(b), PCI_COMMAND, &command);
	KUNIT_EXPECT_TRUE(test, command & PCI_COMMAND_MEMORY);

	/* Its place can be taken by another one */
	KUNIT_EXPECT_TRUE(test, pci_device_is_present(pdev));
	kunit_iommu_remove_device(a);
	a = add(test, iommu, 0, 1);
	KUNIT_EXPECT_PTR_NE(test, a->iommu_group, NULL);
}

/* What no user of a domain may do to it */
static void test_violations(struct kunit *test)
{
	struct kunit_iommu_config config = { .plain_domains = true };
	struct kunit_iommu *iommu = kunit_iommu_create(test, &config);
	const int rw = IOMMU_READ | IOMMU_WRITE;
	struct iommu_domain *domain;
	struct device *dev;
	phys_addr_t phys;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	dev = add(test, iommu, 0, 3);
	KUNIT_ASSERT_EQ(test, kunit_iommu_register(iommu), 0);
	domain = iommu_get_domain_for_dev(dev);
#define MAP(iova, size)	iommu_map(domain, iova, SZ_1G, size, rw, GFP_KERNEL)
	KUNIT_EXPECT_EQ(test, MAP(SZ_2M, SZ_2M), 0);
	KUNIT_EXPECT_EQ(test, MAP(SZ_4M, SZ_8K), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_forgive(iommu), 0);

	/* Over the same, a part of it, all of it, something below */
	KUNIT_EXPECT_EQ(test, MAP(SZ_2M, SZ_2M), -EEXIST);
	KUNIT_EXPECT_EQ(test, MAP(SZ_2M + SZ_4K, SZ_4K), -EEXIST);
	KUNIT_EXPECT_EQ(test, MAP(0, SZ_1G), -EEXIST);
	KUNIT_EXPECT_EQ(test, MAP(SZ_4M, SZ_2M), -EEXIST);
	KUNIT_EXPECT_EQ(test, kunit_iommu_forgive(iommu), 4);
#undef MAP

	/* A part of a leaf, wherever it is, and nothing */
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_2M, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_2M + SZ_8K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_8M, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_8M, SZ_2M), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_forgive(iommu), 4);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dev_dma(dev, SZ_4M - 8, true, &phys), 0);
	KUNIT_EXPECT_EQ(test, phys, SZ_1G + SZ_2M - 8);

	/* More than a leaf: all of it, and what else is there */
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_4M, SZ_2M), SZ_2M);
	expect_fault(test, dev, SZ_4M, false);
	expect_fault(test, dev, SZ_4M + SZ_4K, false);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, 0, SZ_1G), SZ_1G);
	expect_fault(test, dev, SZ_2M, false);
	KUNIT_EXPECT_EQ(test, kunit_iommu_forgive(iommu), 0);
}

static struct kunit_case iommu_test_cases[] = {
	KUNIT_CASE_PARAM(test_map_unmap, kind_gen_params),
	KUNIT_CASE_PARAM(test_permissions, kind_gen_params),
	KUNIT_CASE_PARAM(test_groups, kind_gen_params),
	KUNIT_CASE_PARAM(test_shared_rid, kind_gen_params),
	KUNIT_CASE_PARAM(test_two_rids, kind_gen_params),
	KUNIT_CASE_PARAM(test_stale_caches, kind_gen_params),
	KUNIT_CASE_PARAM(test_identity, kind_gen_params),
	KUNIT_CASE_PARAM(test_bind, kind_gen_params),
	KUNIT_CASE_PARAM(test_ownership, kind_gen_params),
	KUNIT_CASE_PARAM(test_parked, kind_gen_params),
	KUNIT_CASE_PARAM(test_direct_region, kind_gen_params),
	KUNIT_CASE_PARAM(test_late_device, kind_gen_params),
	KUNIT_CASE_PARAM(test_steps, kind_gen_params),
	KUNIT_CASE_PARAM(test_priv, kind_gen_params),
	KUNIT_CASE_PARAM(test_bad_arguments, kind_gen_params),
	KUNIT_CASE_PARAM(test_reset, kind_gen_params),
	KUNIT_CASE_PARAM(test_off, kind_gen_params),
	KUNIT_CASE_PARAM(test_page_sizes, kind_gen_params),
	KUNIT_CASE_PARAM(test_memory, kind_gen_params),
	KUNIT_CASE_PARAM(test_shared_rid_order, kind_gen_params),
	KUNIT_CASE_PARAM(test_reserved_region, kind_gen_params),
	KUNIT_CASE_PARAM(test_two_iommus, kind_gen_params),
	KUNIT_CASE(test_defaults),
	KUNIT_CASE(test_amdv1_levels),
	KUNIT_CASE(test_riscv64_entries),
	KUNIT_CASE(test_violations),
	KUNIT_CASE(test_pci),
	{}
};

static struct kunit_suite iommu_test_suite = {
	.name = "kunit_iommu",
	.test_cases = iommu_test_cases,
};
kunit_test_suite(iommu_test_suite);
