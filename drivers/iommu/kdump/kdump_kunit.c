// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework of the IOMMU core
 *
 * Through the real IOMMU core and the real DMA API, on the IOMMU model of KUnit. A
 * crashed kernel is made up: its memory lies where this machine has none, so that
 * only the accessor of the framework and the hardware model can read it. The DMA
 * that it has left in flight is issued after everything that is done to the
 * hardware, and its result compared with what Documentation/iommu/kdump.rst
 * promises.
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/kernfs.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"

/* RAM of the crashed kernel: beyond what this machine has */
#define OLD_RAM		BIT_ULL(42)
#define OLD_RAM_SIZE	SZ_1G
/* The part of it that exists: its page tables */
#define OLD_TABLES	64
/* Where its DMA buffers are */
#define OLD_BUFFERS	(OLD_RAM + SZ_256M)
/* Neither RAM of the crashed kernel, nor ours */
#define NOWHERE		(OLD_RAM + SZ_4G)

#define PTE_R		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_PS		BIT_ULL(7)
#define PTE_ADDR	GENMASK_ULL(51, 12)

#define MAX_LEGACY	32
#define MAX_NEW		128
#define MAX_DEVS	16

/* A mapping that the crashed kernel has left */
struct legacy {
	u32 rid;
	u64 iova;
	u64 phys;
	u64 size;
	u64 prot;
	/* Must not be carried over */
	bool refused;
	/* The IOVA was given back and may belong to somebody else now */
	bool reused;
};

/* What is to be seen of the DMA that is in flight */
enum expect {
	/* Nothing but that it goes nowhere else */
	SAFE,
	/* It works */
	WORKS,
	/* It faults */
	FAULTS,
};

struct new_map {
	struct device *dev;
	void *buf;
	dma_addr_t iova;
};

struct crash {
	struct kunit *test;
	struct kunit_iommu *iommu;
	void *tables;
	void *snapshot;
	unsigned int nr_tables;
	int maps;
	struct legacy legacy[MAX_LEGACY];
	unsigned int nr_legacy;
	struct new_map new[MAX_NEW];
	unsigned int nr_new;
	enum expect expect;
	/* Refused mappings are out of reach from now on */
	bool validated;
	unsigned int dmas;
	unsigned int failures;
	char failure[160];
	bool kdump_kernel;
	/* Nothing is known of the old IOVAs, so they may be handed out */
	bool forgotten;
	u64 ram_size;
	struct {
		struct device *dev;
		unsigned int group;
		u32 rid;
	} devs[MAX_DEVS];
	unsigned int nr_devs;
};

/* For the callbacks that have no argument for it; one test runs at a time */
static struct crash *the_crash;

static bool fake_active(void)
{
	return the_crash->kdump_kernel;
}

static bool old_extent(phys_addr_t phys, u64 *last)
{
	if (phys < OLD_RAM) {
		*last = OLD_RAM - 1;
		return false;
	}
	if (phys < OLD_RAM + the_crash->ram_size) {
		*last = OLD_RAM + the_crash->ram_size - 1;
		return true;
	}
	*last = U64_MAX;
	return false;
}

/* All that this machine has is the crash kernel's */
static bool crash_extent(phys_addr_t phys, u64 *last)
{
	*last = phys < SZ_4G ? SZ_4G - 1 : U64_MAX;
	return phys < SZ_4G;
}

static const void *map_old(phys_addr_t phys)
{
	the_crash->maps++;
	if (phys - OLD_RAM < OLD_TABLES * PAGE_SIZE)
		return the_crash->tables + (phys - OLD_RAM);
	return page_address(ZERO_PAGE(0));
}

static void unmap_old(const void *vaddr)
{
	the_crash->maps--;
}

static const struct iommu_kdump_oldmem_ops old_ops = {
	.extent = old_extent,
	.crash_extent = crash_extent,
	.map = map_old,
	.unmap = unmap_old,
};

/* The crashed kernel */

static u64 *old_table(struct crash *crash, u64 phys)
{
	return crash->tables + (phys - OLD_RAM);
}

static u64 new_old_table(struct crash *crash)
{
	KUNIT_ASSERT_LT(crash->test, crash->nr_tables, OLD_TABLES);
	return OLD_RAM + crash->nr_tables++ * PAGE_SIZE;
}

static u64 *old_pte(struct crash *crash, u64 root, unsigned int levels,
		    u64 iova, unsigned int at_level)
{
	unsigned int level;
	u64 table = root;

	for (level = levels - 1;; level--) {
		u64 *pte = old_table(crash, table) +
			   ((iova >> (PAGE_SHIFT + 9 * level)) & 511);

		if (level == at_level)
			return pte;
		if (!*pte)
			*pte = new_old_table(crash) | PTE_R | PTE_W;
		table = *pte & PTE_ADDR;
	}
}

static void old_map(struct crash *crash, u64 root, u64 iova, u64 phys, u64 size,
		    u64 prot)
{
	u64 done = 0;

	while (done < size) {
		unsigned int level = 0;
		u64 step = SZ_4K;

		if (size - done >= SZ_2M &&
		    IS_ALIGNED((iova + done) | (phys + done), SZ_2M)) {
			level = 1;
			step = SZ_2M;
		}
		*old_pte(crash, root, 4, iova + done, level) =
			(phys + done) | prot | (level ? PTE_PS : 0);
		done += step;
	}
}

static struct legacy *add_legacy(struct crash *crash, u32 rid, u64 root,
				 u64 iova, u64 phys, u64 size, u64 prot)
{
	struct legacy *l = &crash->legacy[crash->nr_legacy++];

	KUNIT_ASSERT_LE(crash->test, crash->nr_legacy, MAX_LEGACY);
	*l = (struct legacy){
		.rid = rid,
		.iova = iova,
		.phys = phys,
		.size = size,
		.prot = prot,
	};
	if (root)
		old_map(crash, root, iova, phys, size, prot);
	return l;
}

static void set_entry(struct crash *crash, u32 rid, enum kunit_iommu_mode mode,
		      u64 root, u16 id)
{
	struct kunit_iommu_entry entry = {
		.mode = mode,
		.levels = mode == KUNIT_IOMMU_PAGING ? 4 : 0,
		.id = id,
		.root = root,
	};

	kunit_iommu_set_entry(crash->iommu, rid, &entry);
}

/* What a driver of the crashed kernel would have mapped: the top of 32 bits */
static u64 translated(struct crash *crash, u32 rid, u16 id)
{
	u64 root = new_old_table(crash), phys = OLD_BUFFERS + rid * SZ_16M;
	unsigned int i;

	set_entry(crash, rid, KUNIT_IOMMU_PAGING, root, id);
	for (i = 0; i < 4; i++)
		add_legacy(crash, rid, root, 0xfffff000 - i * SZ_4K,
			   phys + i * 3 * SZ_4K, SZ_4K, PTE_R | PTE_W);
	add_legacy(crash, rid, root, 0xfff80000, phys + SZ_64K, SZ_64K, PTE_R);
	add_legacy(crash, rid, root, 0xffee0000, phys + SZ_128K, SZ_8K, PTE_W);
	add_legacy(crash, rid, root, 0xff800000, phys + SZ_2M, SZ_2M,
		   PTE_R | PTE_W);
	return root;
}

/* Its DMA */

static void fail(struct crash *crash, const struct legacy *l, u64 iova,
		 bool write, const char *what, u64 phys)
{
	if (!crash->failures++)
		snprintf(crash->failure, sizeof(crash->failure),
			 "legacy DMA of requester %u, %s of %#llx: %s %#llx",
			 l->rid, write ? "write" : "read", iova, what, phys);
}

static void one_dma(struct crash *crash, const struct legacy *l, u64 offset,
		    bool write)
{
	u64 iova = l->iova + offset;
	bool allowed = l->prot & (write ? PTE_W : PTE_R);
	enum expect expect = crash->expect;
	phys_addr_t phys = 0;
	int ret;

	if (l->reused)
		return;
	if (l->refused)
		expect = crash->validated ? FAULTS : SAFE;

	crash->dmas++;
	ret = kunit_iommu_dma(crash->iommu, l->rid, iova, write, &phys);
	if (!ret && phys != l->phys + offset)
		fail(crash, l, iova, write, "has reached", phys);
	else if (!ret && !allowed)
		fail(crash, l, iova, write, "was never allowed, got", phys);
	else if (!ret && expect == FAULTS)
		fail(crash, l, iova, write, "should have faulted, got", phys);
	else if (ret && allowed && expect == WORKS)
		fail(crash, l, iova, write, "has faulted, expected",
		     l->phys + offset);
}

static void legacy_dma(struct crash *crash)
{
	unsigned int i;

	for (i = 0; i < crash->nr_legacy; i++) {
		const struct legacy *l = &crash->legacy[i];

		one_dma(crash, l, 0, false);
		one_dma(crash, l, 0, true);
		one_dma(crash, l, l->size - SZ_4K, false);
		one_dma(crash, l, l->size - SZ_4K, true);
		one_dma(crash, l, (l->size / 2 & PAGE_MASK) + 8, true);
	}
}

static void dma_at_step(struct kunit_iommu *iommu, enum kunit_iommu_step step)
{
	legacy_dma(kunit_iommu_priv(iommu));
}

/* Issue it now, and look at what happened to it at all steps until now */
static void check_dma(struct crash *crash, enum expect expect)
{
	crash->expect = expect;
	legacy_dma(crash);
	if (crash->failures) {
		KUNIT_FAIL(crash->test, "%s (%u such failures)", crash->failure,
			   crash->failures);
		crash->failures = 0;
	}
}

/* The crash kernel */

static struct device *add_dev(struct crash *crash, unsigned int group, u32 rid)
{
	struct device *dev = kunit_iommu_add_device(crash->iommu, group, &rid,
						    1);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(crash->test, dev);
	KUNIT_ASSERT_LT(crash->test, crash->nr_devs, ARRAY_SIZE(crash->devs));
	crash->devs[crash->nr_devs].dev = dev;
	crash->devs[crash->nr_devs].group = group;
	crash->devs[crash->nr_devs++].rid = rid;
	return dev;
}

static void boot(struct crash *crash)
{
	if (crash->tables)
		memcpy(crash->snapshot, crash->tables, OLD_TABLES * PAGE_SIZE);
	KUNIT_ASSERT_EQ(crash->test, kunit_iommu_register(crash->iommu), 0);
}

static enum iommu_kdump_state state(struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;

	if (!group)
		return KDUMP_NONE;
	guard(mutex)(&group->mutex);
	return group->kdump ? group->kdump->state : KDUMP_NONE;
}

#define EXPECT_STATE(crash, dev, s) \
	KUNIT_EXPECT_EQ((crash)->test, state(dev), s)

static void bind(struct crash *crash, struct device *dev)
{
	KUNIT_ASSERT_EQ(crash->test, kunit_iommu_bind(dev, NULL), 0);
}

static int probe_fails(struct device *dev)
{
	return -EIO;
}

static void grace_over(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (group && group->kdump)
		flush_delayed_work(&group->kdump->release_work);
	iommu_group_put(group);
}

static bool release_is_pending(struct device *dev)
{
	return delayed_work_pending(&dev->iommu_group->kdump->release_work);
}

static unsigned int group_of(struct crash *crash, struct device *dev, u32 rid)
{
	unsigned int i;

	for (i = crash->nr_devs; i--;)
		if (dev ? crash->devs[i].dev == dev : crash->devs[i].rid == rid)
			return crash->devs[i].group;
	return UINT_MAX;
}

/* Has the crashed kernel used the IOVA for a device of the same group? */
static bool overlaps_legacy(struct crash *crash, struct device *dev, u64 iova,
			    u64 size)
{
	unsigned int i;

	for (i = 0; i < crash->nr_legacy; i++) {
		const struct legacy *l = &crash->legacy[i];

		if (iova < l->iova + l->size && l->iova < iova + size &&
		    group_of(crash, NULL, l->rid) == group_of(crash, dev, 0))
			return true;
	}
	return false;
}

/* A driver maps a buffer: a new IOVA, that works, and that is no old one */
static void map_new(struct crash *crash, struct device *dev)
{
	struct new_map *new = &crash->new[crash->nr_new];

	KUNIT_ASSERT_LT(crash->test, crash->nr_new, MAX_NEW);
	new->buf = kunit_kzalloc(crash->test, SZ_8K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(crash->test, new->buf);
	new->dev = dev;
	new->iova = dma_map_single(dev, new->buf, SZ_8K, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(crash->test, dma_mapping_error(dev, new->iova));
	crash->nr_new++;
	KUNIT_EXPECT_FALSE_MSG(crash->test, !crash->forgotten &&
			       overlaps_legacy(crash, dev, new->iova, SZ_8K),
			       "old IOVA %pad handed out", &new->iova);
}

static void check_new(struct crash *crash)
{
	unsigned int i;

	for (i = 0; i < crash->nr_new; i++) {
		struct new_map *new = &crash->new[i];
		phys_addr_t phys = 0;

		KUNIT_EXPECT_EQ(crash->test,
				kunit_iommu_dev_dma(new->dev,
						    new->iova + SZ_4K, true,
						    &phys), 0);
		KUNIT_EXPECT_EQ(crash->test, phys,
				virt_to_phys(new->buf) + SZ_4K);
	}
}

static void unmap_new(struct crash *crash)
{
	while (crash->nr_new) {
		struct new_map *new = &crash->new[--crash->nr_new];
		phys_addr_t phys;

		dma_unmap_single(new->dev, new->iova, SZ_8K,
				 DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_EQ(crash->test,
				kunit_iommu_dev_dma(new->dev, new->iova, true,
						    &phys), -EFAULT);
	}
}

/* Map until far more is mapped than the old kernel had */
static void use_new(struct crash *crash, struct device *dev)
{
	unsigned int i;

	for (i = 0; i < 40; i++)
		map_new(crash, dev);
	check_new(crash);
}

/* What must hold at the end of each test */
static void check_end(struct crash *crash)
{
	/* All that was mapped of the old memory is unmapped, nothing written */
	KUNIT_EXPECT_EQ(crash->test, crash->maps, 0);
	KUNIT_EXPECT_EQ(crash->test,
			memcmp(crash->snapshot, crash->tables,
			       OLD_TABLES * PAGE_SIZE), 0);
}

static void stop_crash(void *data)
{
	struct crash *crash = data;

	iommu_kdump_set_oldmem_ops(NULL);
	vfree(crash->tables);
	vfree(crash->snapshot);
	the_crash = NULL;
}

static struct crash *new_crash(struct kunit *test, bool off,
			       unsigned int def_domain_type)
{
	struct kunit_iommu_config config = {
		.off = off,
		.def_domain_type = def_domain_type,
		.step = dma_at_step,
	};
	struct crash *crash = kunit_kzalloc(test, sizeof(*crash), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, crash);
	config.priv = crash;
	crash->test = test;
	crash->kdump_kernel = true;
	crash->ram_size = OLD_RAM_SIZE;
	the_crash = crash;
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, stop_crash, crash), 0);
	crash->tables = vzalloc(OLD_TABLES * PAGE_SIZE);
	crash->snapshot = vzalloc(OLD_TABLES * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, crash->tables);
	KUNIT_ASSERT_NOT_NULL(test, crash->snapshot);

	iommu_kdump_set_oldmem_ops(&old_ops);
	kunit_activate_static_stub(test, iommu_kdump_active, fake_active);
	crash->iommu = kunit_iommu_create(test, &config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crash->iommu);
	kunit_iommu_set_memory(crash->iommu, OLD_RAM, crash->tables,
			       OLD_TABLES * PAGE_SIZE);
	return crash;
}

/* Most tests: one device with old DMA, in a group of its own */
static struct device *one_device(struct kunit *test, struct crash **crash)
{
	*crash = new_crash(test, false, 0);
	translated(*crash, 1, 7);
	return add_dev(*crash, 0, 1);
}

/* State transitions */

/* G9: a kernel that is not a crash kernel does nothing of all this */
static void test_no_crash(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	crash->kdump_kernel = false;
	crash->validated = true;
	boot(crash);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_NONE);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->kdump, NULL);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	bind(crash, dev);
	crash->forgotten = true;
	map_new(crash, dev);
	check_new(crash);
	unmap_new(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->released, 0);
	check_end(crash);
}

static void test_none_nothing_inherited(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);

	boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_NONE);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	bind(crash, dev);
	use_new(crash, dev);
	unmap_new(crash);
	check_end(crash);
}

/* G6: no driver, nothing happens to it */
static void test_join_inherits(struct kunit *test)
{
	struct kunit_iommu_entry before, after;
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct iommu_group *group;

	kunit_iommu_get_entry(crash->iommu, 1, &before);
	crash->expect = WORKS;
	boot(crash);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	group = dev->iommu_group;
	KUNIT_EXPECT_TRUE(test, iommu_domain_is_inherited(group->domain));
	KUNIT_EXPECT_TRUE(test, iommu_is_dma_domain(group->default_domain));
	kunit_iommu_get_entry(crash->iommu, 1, &after);
	KUNIT_EXPECT_EQ(test, memcmp(&before, &after, sizeof(before)), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->walked, 0);
	check_end(crash);
}

/* G3, G4: hitless, side by side, disjoint */
static void test_probe_carries(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	crash->validated = true;
	check_dma(crash, WORKS);
	bind(crash, dev);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_PTR_EQ(test, dev->iommu_group->domain,
			    dev->iommu_group->default_domain);
	use_new(crash, dev);
	check_dma(crash, WORKS);
	unmap_new(crash);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, release_is_pending(dev));
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->released, 0);
	check_end(crash);
}

/* G5: gone from tables and caches, still reserved */
static void test_grace_releases(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	check_dma(crash, WORKS);
	map_new(crash, dev);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->released, 1);
	KUNIT_EXPECT_FALSE(test, kunit_iommu_cached(crash->iommu, 7, 0xfffff000));
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	unmap_new(crash);
	check_end(crash);
}

static void test_probe_failed_releases_nothing(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, probe_fails), -EIO);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, release_is_pending(dev));

	/* The next driver finds it as the first one has */
	bind(crash, dev);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->walked, 1);
	use_new(crash, dev);
	unmap_new(crash);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

static void test_unbind_releases(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	kunit_iommu_unbind(dev);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, release_is_pending(dev));
	bind(crash, dev);
	use_new(crash, dev);
	unmap_new(crash);
	check_dma(crash, FAULTS);
	check_end(crash);
}

static void test_remove_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->domains, 0);
	check_end(crash);
}

static void test_remove_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct iommu_group *group;

	boot(crash);
	bind(crash, dev);
	KUNIT_EXPECT_TRUE(test, release_is_pending(dev));
	group = iommu_group_get(dev);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_FALSE(test,
			   delayed_work_pending(&group->kdump->release_work));
	iommu_group_put(group);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->domains, 0);
	check_end(crash);
}

/* It has left nothing behind when it comes back */
static void test_replug(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	crash->expect = SAFE;
	kunit_iommu_remove_device(dev);
	dev = add_dev(crash, 0, 1);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_NONE);
	crash->forgotten = true;
	map_new(crash, dev);
	check_new(crash);
	unmap_new(crash);
	check_end(crash);
}

/* Groups of several devices */

/* One that no driver claims keeps the old mappings alive for all */
static void test_group_driverless_holds(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;

	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = add_dev(crash, 0, 2);
	boot(crash);
	check_dma(crash, WORKS);
	bind(crash, a);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_FALSE(test, release_is_pending(a));
	grace_over(a);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->walked, 1);

	/* Until it gets a driver */
	bind(crash, b);
	KUNIT_EXPECT_TRUE(test, release_is_pending(a));
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	grace_over(a);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->released, 2);
	check_end(crash);
}

/* ... or goes away */
static void test_group_driverless_removed(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;

	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = add_dev(crash, 0, 2);
	boot(crash);
	bind(crash, a);
	check_dma(crash, WORKS);
	kunit_iommu_remove_device(b);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, release_is_pending(a));
	crash->expect = SAFE;
	grace_over(a);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* Devices that share a requester ID: one driver moves both, hitless */
static void test_group_aliased(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash);
	struct device *b = add_dev(crash, 0, 1);

	boot(crash);
	check_dma(crash, WORKS);
	bind(crash, a);
	use_new(crash, a);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	bind(crash, b);
	use_new(crash, b);
	check_dma(crash, WORKS);
	unmap_new(crash);
	crash->expect = SAFE;
	kunit_iommu_unbind(a);
	grace_over(b);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* Different old tables of one group are carried together */
static void test_group_two_tables(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;
	u64 root;

	root = new_old_table(crash);
	set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M, SZ_64K,
		   PTE_R | PTE_W);
	add_legacy(crash, 2, root, 0xfd000000, OLD_BUFFERS + SZ_128M, SZ_2M,
		   PTE_R);
	b = add_dev(crash, 0, 2);
	boot(crash);
	bind(crash, b);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->walked, 2);
	bind(crash, a);
	use_new(crash, a);
	unmap_new(crash);
	crash->expect = SAFE;
	grace_over(a);
	check_dma(crash, FAULTS);
	check_end(crash);
}

static void test_group_same_mapping_twice(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash);
	u64 root = new_old_table(crash);

	/* A copy of one mapping, small pages where the other has a large one */
	set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	add_legacy(crash, 2, root, 0xfffff000, OLD_BUFFERS + SZ_16M, SZ_4K,
		   PTE_R | PTE_W);
	add_legacy(crash, 2, root, 0xff810000, OLD_BUFFERS + SZ_16M + SZ_2M +
		   SZ_64K, SZ_32K, PTE_R | PTE_W);
	add_dev(crash, 0, 2);
	boot(crash);
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	check_end(crash);
}

static void test_group_contradiction_blocks(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash);

	translated(crash, 2, 9);
	add_dev(crash, 0, 2);
	boot(crash);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	use_new(crash, a);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* What firmware wants is not an old mapping, and survives */
static void test_blocked_keeps_direct_region(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfd000000,
						    SZ_64K, true), 0);
	translated(crash, 2, 9);
	add_dev(crash, 0, 2);
	boot(crash);
	crash->expect = SAFE;
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(a, 0xfd000000, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, 0xfd000000);
	use_new(crash, a);
	check_end(crash);
}

static void test_group_identity_and_paging_blocks(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash);

	set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	add_dev(crash, 0, 2);
	boot(crash);
	crash->expect = SAFE;
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	use_new(crash, a);
	check_end(crash);
}

/* A device that comes when its group is set up has no old DMA worth keeping */
static void test_late_join(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;
	phys_addr_t phys;

	boot(crash);
	check_dma(crash, WORKS);
	set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	b = add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dev_dma(b, NOWHERE, true, &phys), -EFAULT);
	bind(crash, b);
	use_new(crash, b);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_FALSE(test, release_is_pending(a));
	check_end(crash);
}

/* Two groups: what happens to one does not concern the other */
static void test_two_groups(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;

	b = add_dev(crash, 1, 2);
	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM + SZ_1G + SZ_4K, 9);
	boot(crash);
	bind(crash, b);
	EXPECT_STATE(crash, b, KDUMP_BLOCKED);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	check_dma(crash, WORKS);
	map_new(crash, b);
	check_new(crash);
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	check_end(crash);
}

/* Refusals */

/* A context entry that cannot be right is blocked from the start */
static void test_refused_entry(struct kunit *test)
{
	static const struct kunit_iommu_entry bad[] = {
		{ KUNIT_IOMMU_PAGING, 4, 7, OLD_RAM + OLD_RAM_SIZE },
		{ KUNIT_IOMMU_PAGING, 4, 7, OLD_RAM - SZ_4K },
		{ KUNIT_IOMMU_PAGING, 4, 7, OLD_RAM + 8 },
		{ KUNIT_IOMMU_PAGING, 4, 7, SZ_1M },
		{ KUNIT_IOMMU_PAGING, 6, 7, OLD_RAM },
		{ KUNIT_IOMMU_PAGING, 0, 7, OLD_RAM },
		{ KUNIT_IOMMU_PAGING, 4, 0, OLD_RAM },
		{ KUNIT_IOMMU_NESTED, 4, 7, OLD_RAM },
	};
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev[ARRAY_SIZE(bad)];
	unsigned int i;

	translated(crash, 0, 7);
	crash->nr_legacy = 0;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		dev[i] = add_dev(crash, i, i);
		kunit_iommu_set_entry(crash->iommu, i, &bad[i]);
		add_legacy(crash, i, 0, 0xfffff000, OLD_BUFFERS, SZ_4K,
			   PTE_R | PTE_W);
	}
	crash->expect = SAFE;
	boot(crash);
	check_dma(crash, FAULTS);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_STATE(crash, dev[i], KDUMP_BLOCKED);
		bind(crash, dev[i]);
		map_new(crash, dev[i]);
		kunit_iommu_unbind(dev[i]);
		EXPECT_STATE(crash, dev[i], KDUMP_BLOCKED);
		crash->nr_new = 0;
	}
	check_end(crash);
}

/* A table pointer out of the old memory refuses all of it */
static void test_refused_table(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	*old_pte(crash, OLD_RAM, 4, SZ_1G, 1) = NOWHERE | PTE_R | PTE_W;
	boot(crash);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* A loop costs bounded work */
static void test_refused_loop(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	u64 loop = new_old_table(crash);
	unsigned int i;

	/* 512 * 512 tables to read, but no more than the old RAM has pages */
	crash->nr_legacy = 0;
	crash->ram_size = SZ_8M;
	for (i = 0; i < 512; i++)
		old_table(crash, loop)[i] = loop | PTE_R | PTE_W;
	*old_pte(crash, OLD_RAM, 4, BIT_ULL(39), 3) = loop | PTE_R | PTE_W;
	boot(crash);
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	map_new(crash, dev);
	check_end(crash);
}

/* G2: single pages are left out, their IOVAs kept */
static void test_refused_pages(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct iommu_kdump_stats *stats;

	/* The crash kernel's memory, a hole, across the end of the old RAM */
	add_legacy(crash, 1, OLD_RAM, 0xffe00000, SZ_16M, SZ_4K, PTE_R | PTE_W)
		->refused = true;
	add_legacy(crash, 1, OLD_RAM, 0xffe01000, NOWHERE, SZ_8K, PTE_W)
		->refused = true;
	add_legacy(crash, 1, OLD_RAM, 0xffe03000, OLD_BUFFERS, SZ_4K, PTE_R);
	add_legacy(crash, 1, OLD_RAM, 0xffc00000, SZ_32M, SZ_2M, PTE_R)
		->refused = true;
	add_legacy(crash, 1, OLD_RAM, 0xff600000,
		   OLD_RAM + OLD_RAM_SIZE - SZ_64K, SZ_64K, PTE_R);
	add_legacy(crash, 1, OLD_RAM, 0xff610000, OLD_RAM + OLD_RAM_SIZE,
		   SZ_64K, PTE_R)->refused = true;
	boot(crash);
	crash->expect = WORKS;
	bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	stats = &dev->iommu_group->kdump->stats;
	KUNIT_EXPECT_GT(test, stats->refused, 3);
	use_new(crash, dev);
	check_dma(crash, WORKS);
	unmap_new(crash);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	use_new(crash, dev);
	check_end(crash);
}

/* R=W=0 below the top is not present, whatever else is set */
static void test_not_present(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	*old_pte(crash, OLD_RAM, 4, 0xffe00000, 0) = NOWHERE;
	*old_pte(crash, OLD_RAM, 4, SZ_2G, 2) = NOWHERE | PTE_PS;
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.bad, 0);
	check_end(crash);
}

/* Identity */

static void identity(struct crash *crash, u32 rid)
{
	u64 ram = virt_to_phys(crash) & PAGE_MASK;

	add_legacy(crash, rid, 0, OLD_BUFFERS, OLD_BUFFERS, SZ_2M,
		   PTE_R | PTE_W);
	add_legacy(crash, rid, 0, OLD_RAM, OLD_RAM, SZ_4K, PTE_R | PTE_W);
	add_legacy(crash, rid, 0, ram, ram, SZ_4K, PTE_R | PTE_W)->refused =
		true;
}

static void test_identity(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);

	set_entry(crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	identity(crash, 1);
	boot(crash);
	/* At once: as it is, it leaves the crash kernel's memory open */
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->validated = true;
	check_dma(crash, WORKS);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	crash->nr_legacy = 2;
	use_new(crash, dev);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* The IOMMU was off: the group has its tables before it is switched on */
static void test_not_live(struct kunit *test)
{
	struct crash *crash = new_crash(test, true, 0);
	struct device *dev = add_dev(crash, 0, 1);

	identity(crash, 1);
	crash->expect = WORKS;
	boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->validated = true;
	check_dma(crash, WORKS);
	KUNIT_EXPECT_FALSE(test, release_is_pending(dev));
	bind(crash, dev);
	KUNIT_EXPECT_TRUE(test, release_is_pending(dev));
	check_end(crash);
}

/* The IOMMU driver insists on identity */
static void test_driver_wants_identity(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, IOMMU_DOMAIN_IDENTITY);
	struct device *dev = add_dev(crash, 0, 1);

	set_entry(crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	identity(crash, 1);
	boot(crash);
	bind(crash, dev);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_end(crash);
}

/* Who else may change the domain */

static void test_ownership_claimed_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, crash), 0);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	iommu_device_release_dma_owner(dev);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	map_new(crash, dev);
	check_new(crash);
	check_end(crash);
}

static void test_ownership_claimed_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, probe_fails), -EIO);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_device_claim_dma_owner(dev, crash), 0);
	check_dma(crash, FAULTS);
	iommu_device_release_dma_owner(dev);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	use_new(crash, dev);
	check_end(crash);
}

/* What "echo TYPE > /sys/kernel/iommu_groups/<n>/type" does */
static ssize_t set_type(struct device *dev, const char *type)
{
	struct kobject *kobj = &dev->iommu_group->kobj;
	struct kernfs_node *kn = kernfs_find_and_get(kobj->sd, "type");
	ssize_t ret;

	if (!kn)
		return -ENOENT;
	ret = kobj->ktype->sysfs_ops->store(kobj, kn->priv, type,
					    strlen(type));
	kernfs_put(kn);
	return ret;
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
	struct device *dev = one_device(test, &crash);
	char *buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	boot(crash);
	KUNIT_EXPECT_GT(test, show_state(dev, buf), 0);
	KUNIT_EXPECT_STREQ(test, buf, "inherited\n");
	bind(crash, dev);
	KUNIT_EXPECT_GT(test, show_state(dev, buf), 0);
	KUNIT_EXPECT_STREQ(test, buf, "carrying\n");
	grace_over(dev);
	KUNIT_EXPECT_GT(test, show_state(dev, buf), 0);
	KUNIT_EXPECT_STREQ(test, buf, "released\n");
}

/* Old IOVAs must not become physical addresses */
static void test_type_identity_refused(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	KUNIT_EXPECT_EQ(test, set_type(dev, "identity"), -EINVAL);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	check_dma(crash, WORKS);
	bind(crash, dev);
	check_dma(crash, WORKS);
	check_end(crash);
}

static void test_type_changed_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	unsigned int legacy;
	phys_addr_t phys;

	boot(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, probe_fails), -EIO);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_dma(crash, FAULTS);

	/* The old mappings are gone, so this is allowed. It lets all through. */
	legacy = crash->nr_legacy;
	crash->nr_legacy = 0;
	KUNIT_EXPECT_EQ(test, set_type(dev, "identity"), strlen("identity"));
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, SZ_16M, true, &phys), 0);
	KUNIT_EXPECT_EQ(test, set_type(dev, "DMA"), strlen("DMA"));
	crash->nr_legacy = legacy;
	crash->forgotten = true;
	check_dma(crash, FAULTS);
	bind(crash, dev);
	map_new(crash, dev);
	check_new(crash);
	check_end(crash);
}

/* Attaching fails: blocked, and another attempt works */
static void test_attach_fails(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	kunit_iommu_fail_attach(crash->iommu, 1);
	KUNIT_EXPECT_NE(test, kunit_iommu_bind(dev, NULL), 0);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->walked, 1);

	bind(crash, dev);
	map_new(crash, dev);
	check_new(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_stats(crash->iommu)->walked, 1);
	check_end(crash);
}

/* Pressure */

/* G7: reserved IOVAs give way before an allocation fails */
static void iova_pressure(struct kunit *test, bool released)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);
	u64 root = new_old_table(crash), limit = SZ_4M;
	unsigned int i, n = 0, want = 700;
	dma_addr_t *iovas;
	void *buf;

	/* All even 128K below 4M are old, which leaves 512 pages */
	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < limit / SZ_256K; i++)
		add_legacy(crash, 1, root, i * SZ_256K + SZ_128K,
			   OLD_BUFFERS + i * SZ_256K, SZ_128K, PTE_R | PTE_W);
	boot(crash);
	bind(crash, dev);
	check_dma(crash, WORKS);
	if (released) {
		crash->expect = SAFE;
		grace_over(dev);
		check_dma(crash, FAULTS);
	}
	KUNIT_ASSERT_EQ(test, dma_set_mask_and_coherent(dev, limit - 1), 0);
	iovas = kunit_kcalloc(test, want, sizeof(*iovas), GFP_KERNEL);
	buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, iovas);
	KUNIT_ASSERT_NOT_NULL(test, buf);

	crash->expect = SAFE;
	/* An old IOVA that is given back is not the old kernel's any more */
	crash->nr_legacy = 0;
	for (i = 0; i < want; i++) {
		phys_addr_t phys = 0;

		iovas[i] = dma_map_single(dev, buf, SZ_4K, DMA_BIDIRECTIONAL);
		if (dma_mapping_error(dev, iovas[i]))
			break;
		n++;
		KUNIT_EXPECT_EQ(test,
				kunit_iommu_dev_dma(dev, iovas[i], true, &phys),
				0);
		KUNIT_EXPECT_EQ(test, phys, virt_to_phys(buf));
	}
	KUNIT_EXPECT_EQ(test, n, want);
	while (n--)
		dma_unmap_single(dev, iovas[n], SZ_4K, DMA_BIDIRECTIONAL);
	if (!released)
		grace_over(dev);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_end(crash);
}

static void test_iova_pressure_carrying(struct kunit *test)
{
	iova_pressure(test, false);
}

static void test_iova_pressure_released(struct kunit *test)
{
	iova_pressure(test, true);
}

/* Regions of the firmware: not imported over, not handed out */
static void test_direct_region(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfe000000,
						    SZ_64K, true), 0);
	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfee00000,
						    SZ_1M, false), 0);
	old_map(crash, OLD_RAM, 0xfe000000, 0xfe000000, SZ_64K, PTE_R | PTE_W);
	/* Neighbours of the region, which would be merged without it */
	add_legacy(crash, 1, OLD_RAM, 0xfe000000 - SZ_8K,
		   OLD_BUFFERS + SZ_128M, SZ_8K, PTE_R | PTE_W);
	add_legacy(crash, 1, OLD_RAM, 0xfe010000, OLD_BUFFERS + SZ_128M +
		   SZ_64K, SZ_8K, PTE_R | PTE_W);
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, 0xfe000000, true, &phys),
			0);
	use_new(crash, dev);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	/* The firmware's mapping outlives the release */
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, 0xfe00f000, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, 0xfe00f000);
	check_end(crash);
}

/* Resets, and devices without DMA in flight */

static bool no_dma(struct device *dev)
{
	return false;
}

/* Bus mastering was off when it was inherited */
static void test_no_dma_does_not_hold(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *a, *b;

	translated(crash, 1, 7);
	a = add_dev(crash, 0, 1);
	kunit_activate_static_stub(test, iommu_kdump_may_do_dma, no_dma);
	boot(crash);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	check_dma(crash, WORKS);
	/* There is nothing to wait for */
	crash->expect = SAFE;
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	check_dma(crash, FAULTS);
	use_new(crash, a);
	kunit_deactivate_static_stub(test, iommu_kdump_may_do_dma);
	b = add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	check_end(crash);
}

/* What pci_dev_reset_iommu_prepare() and _done() do for a PCI device */
static void reset_prepare(struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;

	guard(mutex)(&group->mutex);
	iommu_kdump_take_over(group, NULL);
}

static void reset_done(struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;

	guard(mutex)(&group->mutex);
	iommu_kdump_dma_ended(group, dev);
}

static void test_reset_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	check_dma(crash, WORKS);
	reset_prepare(dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	reset_done(dev);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	use_new(crash, dev);
	check_end(crash);
}

/* At once, without the grace period, when all have been reset */
static void test_reset_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;

	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = add_dev(crash, 0, 2);
	boot(crash);
	bind(crash, a);
	reset_prepare(a);
	reset_done(a);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, release_is_pending(a));
	bind(crash, b);
	KUNIT_EXPECT_TRUE(test, release_is_pending(a));
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	reset_done(b);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, release_is_pending(a));
	use_new(crash, a);
	check_end(crash);
}

/*
 * All sequences of events. What must be seen is computed from the events alone,
 * by the rules of Documentation/iommu/kdump.rst, and compared after each of them.
 */

#define SEQ_DEVS	3
#define SEQ_MAX		8

enum seq_kind {
	SEQ_BIND,
	SEQ_BIND_FAILS,
	SEQ_ATTACH_FAILS,
	SEQ_UNBIND,
	SEQ_REMOVE,
	SEQ_ADD,
	SEQ_MAP,
	SEQ_UNMAP,
	SEQ_RESET_PREPARE,
	SEQ_RESET_DONE,
	SEQ_PER_DEVICE,
	SEQ_GRACE = SEQ_PER_DEVICE,
	SEQ_CLAIM,
	SEQ_RETURN,
	SEQ_TYPE,
	SEQ_IOVA_PRESSURE,
	SEQ_KINDS,
};

static const char * const seq_names[] = {
	[SEQ_BIND] = "bind",
	[SEQ_BIND_FAILS] = "probe-fails",
	[SEQ_ATTACH_FAILS] = "attach-fails",
	[SEQ_UNBIND] = "unbind",
	[SEQ_REMOVE] = "remove",
	[SEQ_ADD] = "add",
	[SEQ_MAP] = "map",
	[SEQ_UNMAP] = "unmap",
	[SEQ_RESET_PREPARE] = "reset-prepare",
	[SEQ_RESET_DONE] = "reset-done",
	[SEQ_GRACE] = "grace-over",
	[SEQ_CLAIM] = "claim",
	[SEQ_RETURN] = "return",
	[SEQ_TYPE] = "change-type",
	[SEQ_IOVA_PRESSURE] = "iova-pressure",
};

struct seq_dev {
	struct device *dev;
	dma_addr_t iova;
	bool mapped;
	/* What the rules say about it */
	bool old;
	bool bound;
	bool quiet;
};

struct seq {
	struct crash *crash;
	unsigned int nr_devs;
	bool aliased;
	void *buf;
	struct seq_dev devs[SEQ_DEVS];
	/* What the rules say about the group */
	enum iommu_kdump_state state;
	bool pending;
	bool claimed;
	/* Part of it has been given up */
	bool degraded;
	bool broken;
	const char *error;
};

static unsigned int seq_events(unsigned int nr_devs)
{
	return nr_devs * SEQ_PER_DEVICE + SEQ_KINDS - SEQ_PER_DEVICE;
}

static void seq_decode(struct seq *s, unsigned int event, enum seq_kind *kind,
		       struct seq_dev **d)
{
	if (event < s->nr_devs * SEQ_PER_DEVICE) {
		*kind = event % SEQ_PER_DEVICE;
		*d = &s->devs[event / SEQ_PER_DEVICE];
	} else {
		*kind = event - s->nr_devs * SEQ_PER_DEVICE + SEQ_PER_DEVICE;
		*d = NULL;
	}
}

static u32 seq_rid(struct seq *s, const struct seq_dev *d)
{
	return s->aliased ? 1 : 1 + (d - s->devs);
}

static struct device *seq_any(struct seq *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_devs; i++)
		if (s->devs[i].dev)
			return s->devs[i].dev;
	return NULL;
}

static bool seq_any_bound(struct seq *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_devs; i++)
		if (s->devs[i].dev && s->devs[i].bound)
			return true;
	return false;
}

/* The rules */

static void seq_rule_release(struct seq *s)
{
	bool wait = false;
	unsigned int i;

	if (s->state != KDUMP_CARRYING)
		return;
	s->pending = false;
	for (i = 0; i < s->nr_devs; i++) {
		struct seq_dev *d = &s->devs[i];

		if (!d->dev || !d->old || d->quiet)
			continue;
		if (!d->bound)
			return;
		wait = true;
	}
	s->pending = wait;
	if (!wait)
		s->state = KDUMP_RELEASED;
}

static void seq_rule_take_over(struct seq *s)
{
	if (s->state == KDUMP_INHERITED)
		s->state = KDUMP_CARRYING;
	seq_rule_release(s);
}

static void seq_rule_unbound(struct seq *s, struct seq_dev *d)
{
	d->bound = false;
	d->quiet = true;
	seq_rule_release(s);
}

static bool seq_possible(struct seq *s, enum seq_kind kind, struct seq_dev *d)
{
	switch (kind) {
	case SEQ_BIND:
	case SEQ_BIND_FAILS:
		return d->dev && !d->bound && !s->claimed;
	case SEQ_ATTACH_FAILS:
		return d->dev && !d->bound && s->state == KDUMP_INHERITED;
	case SEQ_UNBIND:
		return d->dev && d->bound;
	case SEQ_REMOVE:
		return d->dev && !s->claimed;
	case SEQ_ADD:
		return !d->dev && !s->claimed;
	case SEQ_MAP:
		return d->dev && d->bound && !d->mapped && !s->broken;
	case SEQ_UNMAP:
		return d->dev && d->mapped;
	case SEQ_RESET_PREPARE:
		return d->dev && s->state == KDUMP_INHERITED;
	case SEQ_RESET_DONE:
		return d->dev && d->old && !d->quiet &&
		       s->state == KDUMP_CARRYING;
	case SEQ_GRACE:
		return s->state == KDUMP_CARRYING;
	case SEQ_CLAIM:
	case SEQ_TYPE:
		return seq_any(s) && !s->claimed && !seq_any_bound(s);
	case SEQ_RETURN:
		return s->claimed;
	case SEQ_IOVA_PRESSURE:
		return !s->claimed && (s->state == KDUMP_CARRYING ||
				       s->state == KDUMP_RELEASED);
	default:
		return false;
	}
}

/* @group_gone: the last device is leaving */
static void seq_rule(struct seq *s, enum seq_kind kind, struct seq_dev *d,
		     bool group_gone)
{
	switch (kind) {
	case SEQ_BIND:
		seq_rule_take_over(s);
		d->bound = true;
		seq_rule_release(s);
		break;
	case SEQ_ATTACH_FAILS:
		s->degraded = true;
		s->broken = true;
		fallthrough;
	case SEQ_BIND_FAILS:
	case SEQ_RESET_PREPARE:
		seq_rule_take_over(s);
		break;
	case SEQ_UNBIND:
		seq_rule_unbound(s, d);
		break;
	case SEQ_REMOVE:
		if (d->bound)
			seq_rule_unbound(s, d);
		d->bound = false;
		d->old = false;
		seq_rule_release(s);
		if (group_gone) {
			s->state = KDUMP_NONE;
			s->pending = false;
			s->degraded = false;
			s->broken = false;
		}
		break;
	case SEQ_ADD:
		d->quiet = false;
		if (seq_any(s))
			seq_rule_take_over(s);
		else
			s->crash->forgotten = true;
		break;
	case SEQ_RESET_DONE:
		d->quiet = true;
		seq_rule_release(s);
		break;
	case SEQ_GRACE:
		if (s->pending) {
			s->pending = false;
			s->state = KDUMP_RELEASED;
		}
		break;
	case SEQ_CLAIM:
		seq_rule_take_over(s);
		if (s->state == KDUMP_CARRYING)
			s->state = KDUMP_RELEASED;
		s->pending = false;
		s->claimed = true;
		break;
	case SEQ_RETURN:
		s->claimed = false;
		s->broken = false;
		break;
	case SEQ_TYPE:
		/* It may have that type already */
		if (seq_any(s)->iommu_group->default_domain->type ==
		    IOMMU_DOMAIN_DMA)
			break;
		if (s->state == KDUMP_CARRYING) {
			s->state = KDUMP_RELEASED;
			s->pending = false;
		}
		if (s->state != KDUMP_INHERITED) {
			s->crash->forgotten = true;
			s->broken = false;
		}
		break;
	case SEQ_IOVA_PRESSURE:
		s->degraded = true;
		s->crash->forgotten = true;
		break;
	default:
		break;
	}
}

static enum expect seq_expect(struct seq *s)
{
	switch (s->state) {
	case KDUMP_INHERITED:
		return WORKS;
	case KDUMP_CARRYING:
		return s->degraded ? SAFE : WORKS;
	default:
		return FAULTS;
	}
}

/* Requester IDs without a device are blocked */
static void seq_mark_gone(struct seq *s, const struct seq_dev *leaving)
{
	struct crash *crash = s->crash;
	unsigned int i, j;

	for (i = 0; i < crash->nr_legacy; i++) {
		crash->legacy[i].refused = true;
		for (j = 0; j < s->nr_devs; j++)
			if (s->devs[j].dev && &s->devs[j] != leaving &&
			    seq_rid(s, &s->devs[j]) == crash->legacy[i].rid)
				crash->legacy[i].refused = false;
	}
}

static void seq_unmap(struct seq_dev *d)
{
	if (d->mapped)
		dma_unmap_single(d->dev, d->iova, SZ_8K, DMA_BIDIRECTIONAL);
	d->mapped = false;
}

static void seq_map(struct seq *s, struct seq_dev *d)
{
	unsigned int i;

	for (i = 0; s->crash->forgotten && i < s->crash->nr_legacy; i++)
		s->crash->legacy[i].reused = true;
	d->iova = dma_map_single(d->dev, s->buf, SZ_8K, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(d->dev, d->iova)) {
		s->error = "mapping failed";
		return;
	}
	d->mapped = true;
	if (!s->crash->forgotten &&
	    overlaps_legacy(s->crash, d->dev, d->iova, SZ_8K))
		s->error = "an old IOVA was handed out";
}

static void seq_do(struct seq *s, enum seq_kind kind, struct seq_dev *d)
{
	struct device *any = seq_any(s);
	struct iommu_group *group = any ? any->iommu_group : NULL;
	struct iommu_domain *domain;

	switch (kind) {
	case SEQ_BIND:
		if (kunit_iommu_bind(d->dev, NULL))
			s->error = "bind failed";
		break;
	case SEQ_BIND_FAILS:
		if (kunit_iommu_bind(d->dev, probe_fails) != -EIO)
			s->error = "bind did not get to the probe";
		break;
	case SEQ_ATTACH_FAILS:
		kunit_iommu_fail_attach(s->crash->iommu, 1);
		if (!kunit_iommu_bind(d->dev, NULL))
			s->error = "bind worked without a domain";
		kunit_iommu_fail_attach(s->crash->iommu, 0);
		break;
	case SEQ_UNBIND:
		seq_unmap(d);
		kunit_iommu_unbind(d->dev);
		break;
	case SEQ_REMOVE:
		seq_unmap(d);
		kunit_iommu_remove_device(d->dev);
		d->dev = NULL;
		break;
	case SEQ_ADD:
		d->dev = add_dev(s->crash, 0, seq_rid(s, d));
		break;
	case SEQ_MAP:
		seq_map(s, d);
		break;
	case SEQ_UNMAP:
		seq_unmap(d);
		break;
	case SEQ_RESET_PREPARE:
		reset_prepare(d->dev);
		break;
	case SEQ_RESET_DONE:
		reset_done(d->dev);
		break;
	case SEQ_GRACE:
		grace_over(any);
		break;
	case SEQ_CLAIM:
		if (iommu_group_claim_dma_owner(group, s))
			s->error = "claim failed";
		break;
	case SEQ_RETURN:
		iommu_group_release_dma_owner(group);
		break;
	case SEQ_TYPE:
		if (set_type(any, "DMA") < 0)
			s->error = "type was not changed";
		break;
	case SEQ_IOVA_PRESSURE:
		domain = group->default_domain;
		iommu_kdump_reclaim_iova(domain, iommu_dma_iova_domain(domain),
					 iommu_dma_kdump_iova(domain), U32_MAX);
		break;
	default:
		break;
	}
}

static void seq_check(struct seq *s)
{
	struct crash *crash = s->crash;
	struct device *any = seq_any(s);
	phys_addr_t phys = 0;
	unsigned int i;

	crash->validated = true;
	crash->expect = seq_expect(s);
	legacy_dma(crash);
	crash->validated = false;
	if (crash->failures) {
		s->error = crash->failure;
		return;
	}
	if (any && state(any) != s->state) {
		s->error = "the group is in another state";
		return;
	}
	if (any && s->state == KDUMP_CARRYING &&
	    release_is_pending(any) != s->pending) {
		s->error = s->pending ? "no release is scheduled" :
					"a release is scheduled";
		return;
	}
	for (i = 0; i < s->nr_devs; i++) {
		struct seq_dev *d = &s->devs[i];

		if (!d->mapped || s->broken)
			continue;
		if (kunit_iommu_dev_dma(d->dev, d->iova, true, &phys) ||
		    phys != virt_to_phys(s->buf))
			s->error = "a new mapping does not work";
	}
	if (crash->maps)
		s->error = "old memory is still mapped";
}

static void seq_boot(struct seq *s, bool aliased, unsigned int nr_devs)
{
	struct crash *crash = s->crash;
	unsigned int i;

	memset(s->devs, 0, sizeof(s->devs));
	s->nr_devs = nr_devs;
	s->aliased = aliased;
	s->state = KDUMP_INHERITED;
	s->pending = false;
	s->claimed = false;
	s->degraded = false;
	s->broken = false;
	s->error = NULL;
	crash->forgotten = false;
	crash->failures = 0;
	crash->nr_legacy = 0;
	crash->nr_devs = 0;
	crash->expect = SAFE;

	for (i = 0; i < nr_devs; i++) {
		u32 rid = seq_rid(s, &s->devs[i]);

		s->devs[i].dev = add_dev(crash, 0, rid);
		s->devs[i].old = true;
		if (i && aliased)
			continue;
		set_entry(crash, rid, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
		/* Without a root: the tables are there already */
		add_legacy(crash, rid, 0, 0xffffe000, OLD_BUFFERS, SZ_4K,
			   PTE_R | PTE_W);
		add_legacy(crash, rid, 0, 0xfff80000, OLD_BUFFERS + SZ_64K,
			   SZ_64K, PTE_R);
	}
	boot(crash);
	seq_check(s);
}

static void seq_report(struct seq *s, const unsigned int *events,
		       unsigned int len)
{
	struct seq_dev *d;
	enum seq_kind kind;
	char text[160];
	int n = 0;
	unsigned int i;

	for (i = 0; i < len; i++) {
		seq_decode(s, events[i], &kind, &d);
		n += scnprintf(text + n, sizeof(text) - n,
			       d ? " %s(%c)" : " %s", seq_names[kind],
			       d ? 'a' + (int)(d - s->devs) : 0);
	}
	KUNIT_FAIL(s->crash->test, "%u devices%s:%s: %s", s->nr_devs,
		   s->aliased ? ", aliased" : "", text, s->error);
}

/* Run one. Returns how many events were possible. */
static unsigned int seq_run(struct seq *s, const unsigned int *events,
			    unsigned int len, bool aliased,
			    unsigned int nr_devs)
{
	unsigned int i;

	seq_boot(s, aliased, nr_devs);
	for (i = 0; i < len && !s->error; i++) {
		enum expect before = seq_expect(s);
		enum seq_kind kind;
		struct seq_dev *d;
		struct device *dev;
		bool gone = false;

		seq_decode(s, events[i], &kind, &d);
		if (!seq_possible(s, kind, d))
			break;
		if (kind == SEQ_REMOVE) {
			dev = d->dev;
			d->dev = NULL;
			gone = !seq_any(s);
			d->dev = dev;
			seq_mark_gone(s, d);
		}
		seq_rule(s, kind, d, gone);
		/* If it works before and after, it works at all times between */
		s->crash->expect = before == WORKS && seq_expect(s) == WORKS ?
				   WORKS : SAFE;
		seq_do(s, kind, d);
		if (kind == SEQ_ADD)
			seq_mark_gone(s, NULL);
		if (!s->error)
			seq_check(s);
	}
	if (s->error)
		seq_report(s, events, i);
	if (s->claimed && seq_any(s))
		iommu_group_release_dma_owner(seq_any(s)->iommu_group);
	kunit_iommu_reset(s->crash->iommu);
	return i;
}

static void sequences(struct kunit *test, unsigned int nr_devs, bool aliased,
		      unsigned int len)
{
	unsigned int events[SEQ_MAX] = {}, total = seq_events(nr_devs);
	unsigned int run = 0, failed = 0, i;
	struct crash *crash = new_crash(test, false, 0);
	struct seq *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_LE(test, len, SEQ_MAX);
	s->crash = crash;
	s->buf = kunit_kzalloc(test, SZ_8K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->buf);
	KUNIT_ASSERT_EQ(test, new_old_table(crash), OLD_RAM);
	old_map(crash, OLD_RAM, 0xffffe000, OLD_BUFFERS, SZ_4K, PTE_R | PTE_W);
	old_map(crash, OLD_RAM, 0xfff80000, OLD_BUFFERS + SZ_64K, SZ_64K,
		PTE_R);

	for (;;) {
		unsigned int done = seq_run(s, events, len, aliased, nr_devs);

		run += done == len;
		if (s->error && ++failed == 5)
			break;
		/* What starts with the same impossible event is left out */
		i = min(done, len - 1);
		memset(events + i + 1, 0, (len - i - 1) * sizeof(*events));
		while (++events[i] == total) {
			if (!i)
				goto out;
			events[i--] = 0;
		}
		cond_resched();
	}
out:
	check_end(crash);
	kunit_info(test, "ran %u sequences of %u events, %u device(s)%s", run, len,
		   nr_devs, aliased ? ", aliased" : "");
}

static unsigned int longer;
module_param(longer, uint, 0444);
MODULE_PARM_DESC(longer, "Events to add to each sequence");

static void test_sequences_one_device(struct kunit *test)
{
	sequences(test, 1, false, 3 + longer);
}

static void test_sequences_two_devices(struct kunit *test)
{
	sequences(test, 2, false, 2 + longer);
}

static void test_sequences_two_aliased(struct kunit *test)
{
	sequences(test, 2, true, 2 + longer);
}

static void test_sequences_three_devices(struct kunit *test)
{
	sequences(test, 3, false, 2 + longer);
}

static void test_sequences_three_aliased(struct kunit *test)
{
	sequences(test, 3, true, 2 + longer);
}

static struct kunit_case kdump_transition_cases[] = {
	KUNIT_CASE(test_no_crash),
	KUNIT_CASE(test_none_nothing_inherited),
	KUNIT_CASE(test_join_inherits),
	KUNIT_CASE(test_probe_carries),
	KUNIT_CASE(test_grace_releases),
	KUNIT_CASE(test_probe_failed_releases_nothing),
	KUNIT_CASE(test_unbind_releases),
	KUNIT_CASE(test_remove_inherited),
	KUNIT_CASE(test_remove_carrying),
	KUNIT_CASE(test_replug),
	KUNIT_CASE(test_group_driverless_holds),
	KUNIT_CASE(test_group_driverless_removed),
	KUNIT_CASE(test_group_aliased),
	KUNIT_CASE(test_group_two_tables),
	KUNIT_CASE(test_group_same_mapping_twice),
	KUNIT_CASE(test_group_contradiction_blocks),
	KUNIT_CASE(test_blocked_keeps_direct_region),
	KUNIT_CASE(test_group_identity_and_paging_blocks),
	KUNIT_CASE(test_late_join),
	KUNIT_CASE(test_two_groups),
	KUNIT_CASE(test_refused_entry),
	KUNIT_CASE(test_refused_table),
	KUNIT_CASE(test_refused_loop),
	KUNIT_CASE(test_refused_pages),
	KUNIT_CASE(test_not_present),
	KUNIT_CASE(test_identity),
	KUNIT_CASE(test_not_live),
	KUNIT_CASE(test_driver_wants_identity),
	KUNIT_CASE(test_ownership_claimed_inherited),
	KUNIT_CASE(test_ownership_claimed_carrying),
	KUNIT_CASE(test_sysfs_state),
	KUNIT_CASE(test_type_identity_refused),
	KUNIT_CASE(test_type_changed_carrying),
	KUNIT_CASE(test_attach_fails),
	KUNIT_CASE(test_iova_pressure_carrying),
	KUNIT_CASE(test_iova_pressure_released),
	KUNIT_CASE(test_direct_region),
	KUNIT_CASE(test_no_dma_does_not_hold),
	KUNIT_CASE(test_reset_inherited),
	KUNIT_CASE(test_reset_carrying),
	KUNIT_CASE_SLOW(test_sequences_one_device),
	KUNIT_CASE_SLOW(test_sequences_two_devices),
	KUNIT_CASE_SLOW(test_sequences_two_aliased),
	KUNIT_CASE_SLOW(test_sequences_three_devices),
	KUNIT_CASE_SLOW(test_sequences_three_aliased),
	{}
};

static struct kunit_suite kdump_transition_suite = {
	.name = "iommu_kdump",
	.test_cases = kdump_transition_cases,
};

kunit_test_suite(kdump_transition_suite);
