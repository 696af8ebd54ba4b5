/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of kunit_iommu_foreign.h need, for the format that generic_pt only
 * reads: a domain whose tables io-pgtable-arm.c writes.
 */
#ifndef __GENERIC_PT_KUNIT_IOMMU_ARMV8_H
#define __GENERIC_PT_KUNIT_IOMMU_ARMV8_H

#include <kunit/test.h>
#include <linux/io-pgtable.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include "../iommu-pages.h"
#include "pt_iter.h"

#define KUNIT_ASSERT_NO_ERRNO_FN(test, fn, ret) \
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "from %s", fn)

/* What the crashed kernel's driver asked io-pgtable-arm.c for, and what hardware has */
struct armv8_cfg {
	bool s2;
	unsigned int ias;
	unsigned int oas;
	unsigned long quirks;
	unsigned int features;
};

/* Top tables of all kinds: parts of a table, whole ones, and several */
static const struct armv8_cfg armv8_cfgs[] = {
#if ARMV8_GRANULE_LG2SZ == 12
	{ false, 32, 32 },
	{ false, 39, 40, IO_PGTABLE_QUIRK_ARM_HD, BIT(PT_FEAT_ARMV8_HD) |
						  BIT(PT_FEAT_ARMV8_HA) },
	{ false, 48, 48, 0, BIT(PT_FEAT_ARMV8_HPD) },
	{ true, 32, 36, 0, BIT(PT_FEAT_ARMV8_HA) },
	{ true, 42, 42 },
	{ true, 48, 48 },
#elif ARMV8_GRANULE_LG2SZ == 14
	{ false, 36, 40, IO_PGTABLE_QUIRK_ARM_HD, BIT(PT_FEAT_ARMV8_HD) |
						  BIT(PT_FEAT_ARMV8_HA) },
	{ false, 48, 48, 0, BIT(PT_FEAT_ARMV8_PRIVILEGED) },
	{ true, 40, 40 },
	{ true, 48, 48, 0, BIT(PT_FEAT_ARMV8_HA) },
#else
	{ false, 36, 40, IO_PGTABLE_QUIRK_ARM_HD, BIT(PT_FEAT_ARMV8_HD) |
						  BIT(PT_FEAT_ARMV8_HA) },
	{ false, 52, 48, 0, BIT(PT_FEAT_ARMV8_HPD) },
	{ true, 42, 42 },
	{ true, 48, 48, 0, BIT(PT_FEAT_ARMV8_HA) },
#endif
};

static void armv8_cfg_desc(const struct armv8_cfg *cfg, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "stage %u, %u to %u bits",
		 cfg->s2 ? 2 : 1, cfg->ias, cfg->oas);
}

KUNIT_ARRAY_PARAM(armv8_cfg, armv8_cfgs, armv8_cfg_desc);
#define KUNIT_CASE_FMT(test_name) \
	KUNIT_CASE_PARAM(test_name, armv8_cfg_gen_params)

struct kunit_iommu_priv {
	struct iommu_domain domain;
	struct io_pgtable_cfg cfg;
	struct io_pgtable_ops *ops;
	/* That exist, and times that all of the IOTLB was flushed */
	unsigned int tables;
	unsigned int flushes;
	bool s2;
	struct pt_common table;
	struct pt_common *common;
	unsigned int smallest_pgsz_lg2;
	pt_vaddr_t smallest_pgsz;
	pt_oaddr_t test_oa;
	pt_vaddr_t safe_pgsize_bitmap;
};

static struct kunit_iommu_priv *to_priv(struct iommu_domain *domain)
{
	return container_of(domain, struct kunit_iommu_priv, domain);
}

static int armv8_map_pages(struct iommu_domain *domain, unsigned long iova,
			   phys_addr_t paddr, size_t pgsize, size_t pgcount,
			   int prot, gfp_t gfp, size_t *mapped)
{
	struct io_pgtable_ops *ops = to_priv(domain)->ops;

	return ops->map_pages(ops, iova, paddr, pgsize, pgcount, prot, gfp,
			      mapped);
}

static size_t armv8_unmap_pages(struct iommu_domain *domain,
				unsigned long iova, size_t pgsize,
				size_t pgcount,
				struct iommu_iotlb_gather *gather)
{
	struct io_pgtable_ops *ops = to_priv(domain)->ops;

	return ops->unmap_pages(ops, iova, pgsize, pgcount, gather);
}

static phys_addr_t armv8_iova_to_phys(struct iommu_domain *domain,
				      dma_addr_t iova)
{
	struct io_pgtable_ops *ops = to_priv(domain)->ops;

	return ops->iova_to_phys(ops, iova);
}

static void armv8_iotlb_sync(struct iommu_domain *domain,
			     struct iommu_iotlb_gather *gather)
{
	iommu_put_pages_list(&gather->freelist);
}

static const struct iommu_domain_ops armv8_domain_ops = {
	.map_pages = armv8_map_pages,
	.unmap_pages = armv8_unmap_pages,
	.iova_to_phys = armv8_iova_to_phys,
	.iotlb_sync = armv8_iotlb_sync,
};

static void *armv8_alloc(void *cookie, size_t size, gfp_t gfp)
{
	struct kunit_iommu_priv *priv = cookie;

	priv->tables++;
	return iommu_alloc_pages_node_sz(NUMA_NO_NODE, gfp, size);
}

static void armv8_free(void *cookie, void *pages, size_t size)
{
	struct kunit_iommu_priv *priv = cookie;

	priv->tables--;
	iommu_free_pages(pages);
}

static void armv8_flush_all(void *cookie)
{
	struct kunit_iommu_priv *priv = cookie;

	priv->flushes++;
}

static const struct iommu_flush_ops armv8_flush_ops = {
	.tlb_flush_all = armv8_flush_all,
};

/* As a driver finds it in an entry of the crashed kernel */
static void armv8_read_cfg(struct kunit_iommu_priv *priv)
{
	const struct io_pgtable_cfg *cfg = &priv->cfg;
	struct pt_common *common = &priv->table;
	unsigned int bits = PT_TABLEMEM_LG2SZ - ilog2(sizeof(u64)), start;
	phys_addr_t root;

	common->max_oasz_lg2 = cfg->oas;
	if (priv->s2) {
		root = cfg->arm_lpae_s2_cfg.vttbr;
		common->max_vasz_lg2 = 64 - cfg->arm_lpae_s2_cfg.vtcr.tsz;
		start = ~cfg->arm_lpae_s2_cfg.vtcr.sl & 3;
		if (PT_GRANULE_LG2SZ == 12)
			start--;
		pt_top_set(common, phys_to_virt(root), 3 - start);
	} else {
		root = cfg->arm_lpae_s1_cfg.ttbr;
		common->max_vasz_lg2 = 64 - cfg->arm_lpae_s1_cfg.tcr.tsz;
		pt_top_set(common, phys_to_virt(root),
			   DIV_ROUND_UP(common->max_vasz_lg2 - PT_GRANULE_LG2SZ,
					bits) - 1);
	}
}

static int pt_kunit_iommu_init(struct kunit *test)
{
	const struct armv8_cfg *cfg = test->param_value;
	struct kunit_iommu_priv *priv;

	priv = kunit_kzalloc(test, sizeof(*priv), GFP_KERNEL);
	if (!priv)
		return -ENOMEM;
	priv->s2 = cfg->s2;
	priv->cfg = (struct io_pgtable_cfg){
		.quirks = cfg->quirks,
		.pgsize_bitmap = log2_to_int(PT_GRANULE_LG2SZ) | SZ_2M |
				 SZ_32M | SZ_512M | SZ_1G,
		.ias = cfg->ias,
		.oas = cfg->oas,
		.coherent_walk = true,
		.tlb = &armv8_flush_ops,
		.alloc = armv8_alloc,
		.free = armv8_free,
	};
	if (PT_GRANULE_LG2SZ != 12)
		priv->cfg.pgsize_bitmap &= ~(unsigned long)(SZ_2M | SZ_1G);
	priv->ops = alloc_io_pgtable_ops(cfg->s2 ? ARM_64_LPAE_S2 :
						   ARM_64_LPAE_S1,
					 &priv->cfg, priv);
	if (!priv->ops)
		return -ENOMEM;
	test->priv = priv;

	priv->domain.type = IOMMU_DOMAIN_UNMANAGED;
	priv->domain.ops = &armv8_domain_ops;
	priv->domain.pgsize_bitmap = priv->cfg.pgsize_bitmap;
	priv->common = &priv->table;
	priv->table.features = cfg->features;
	if (cfg->s2)
		priv->table.features |= BIT(PT_FEAT_ARMV8_S2);
	armv8_read_cfg(priv);
	priv->smallest_pgsz_lg2 = PT_GRANULE_LG2SZ;
	priv->smallest_pgsz = log2_to_int(PT_GRANULE_LG2SZ);
	priv->test_oa =
		oalog2_mod(0x74a71445deadbeef, priv->common->max_oasz_lg2);
	priv->safe_pgsize_bitmap = log2_mod(priv->cfg.pgsize_bitmap,
					    priv->common->max_vasz_lg2 - 1);
	return 0;
}

static void pt_kunit_iommu_exit(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;

	if (!priv)
		return;
	free_io_pgtable_ops(priv->ops);
	KUNIT_EXPECT_EQ(test, priv->tables, 0);
}

static void do_map(struct kunit *test, pt_vaddr_t va, pt_oaddr_t pa,
		   pt_vaddr_t len)
{
	struct kunit_iommu_priv *priv = test->priv;

	KUNIT_ASSERT_NO_ERRNO_FN(test, "iommu_map",
				 iommu_map(&priv->domain, va, pa, len,
					   IOMMU_READ | IOMMU_WRITE,
					   GFP_KERNEL));
}

static int armv8_count(struct pt_range *range, void *arg, unsigned int level,
		       struct pt_table_p *table)
{
	struct pt_state pts = pt_init(range, level, table);
	unsigned int *count = arg;

	for_each_pt_level_entry(&pts) {
		if (pts.type == PT_ENTRY_TABLE)
			pt_descend(&pts, arg, armv8_count);
		else if (pts.type == PT_ENTRY_OA)
			++*count;
	}
	return 0;
}

static unsigned int count_valids(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	unsigned int count = 0;

	pt_walk_range(&range, armv8_count, &count);
	return count;
}

static void check_iova(struct kunit *test, pt_vaddr_t va, pt_oaddr_t pa,
		       pt_vaddr_t len)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 offset;

	for (offset = 0; offset < len; offset += priv->smallest_pgsz)
		KUNIT_ASSERT_EQ(test,
				iommu_iova_to_phys(&priv->domain, va + offset),
				(phys_addr_t)(pa + offset));
}

/* Stage 1 cannot say "write only" */
static unsigned int foreign_prot(struct kunit *test, unsigned int prot)
{
	struct kunit_iommu_priv *priv = test->priv;

	return priv->s2 || prot != IOMMU_WRITE ? prot :
						 IOMMU_READ | IOMMU_WRITE;
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Kunit for generic page table");
MODULE_IMPORT_NS("GENERIC_PT_IOMMU");

#endif
