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
#include <linux/error-injection.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/iova.h>
#include <linux/kallsyms.h>
#include <linux/kernfs.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#include <trace/events/kmem.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"
#include "trace.h"

/* RAM of the crashed kernel: beyond what this machine has */
#define OLD_RAM		BIT_ULL(42)
#define OLD_RAM_SIZE	SZ_1G
/* The part of it that exists: its page tables */
#define OLD_TABLES	64
/* Where its DMA buffers are */
#define OLD_BUFFERS	(OLD_RAM + SZ_256M)
/* Neither RAM of the crashed kernel, nor ours */
#define NOWHERE		(OLD_RAM + SZ_4G)

/* Entries of VT-d's second stage, and how permissions are written down here */
#define PTE_R		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_PS		BIT_ULL(7)
#define PTE_ADDR	GENMASK_ULL(51, 12)

/* Entries of AMD's host tables; the next level is 0 for a leaf */
#define AMD_PR		BIT_ULL(0)
#define AMD_LEVEL(n)	((u64)(n) << 9)
#define AMD_IR		BIT_ULL(61)
#define AMD_IW		BIT_ULL(62)

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

/* What machine a test runs on */
struct machine {
	const char *name;
	enum kunit_iommu_format format;
	bool pci;
};

static const struct machine machines[] = {
	{ "vtdss", KUNIT_IOMMU_VTDSS, false },
	{ "amdv1", KUNIT_IOMMU_AMDV1, false },
	{ "vtdss-pci", KUNIT_IOMMU_VTDSS, true },
};

KUNIT_ARRAY_PARAM_DESC(machine, machines, name);

static const struct machine pci_machines[] = {
	{ "vtdss-pci", KUNIT_IOMMU_VTDSS, true },
	{ "amdv1-pci", KUNIT_IOMMU_AMDV1, true },
};

KUNIT_ARRAY_PARAM_DESC(pci_machine, pci_machines, name);

struct new_map {
	struct device *dev;
	void *buf;
	dma_addr_t iova;
};

struct crash {
	struct kunit *test;
	const struct machine *machine;
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
	/* There is no memory to map the old one, or for page tables */
	bool map_fails;
	bool no_tables;
	/* Pages that there are for page tables otherwise */
	u64 budget;
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
	if (the_crash->map_fails)
		return ERR_PTR(-ENOMEM);
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

static u64 fake_budget(void)
{
	return the_crash->no_tables ? 0 : the_crash->budget;
}

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

/* An entry at @level, where 0 is the lowest, that points to a lower table */
static u64 table_entry(struct crash *crash, u64 table, unsigned int level)
{
	if (crash->machine->format == KUNIT_IOMMU_AMDV1)
		return AMD_PR | AMD_IR | AMD_IW | AMD_LEVEL(level) | table;
	return table | PTE_R | PTE_W;
}

static u64 leaf_entry(struct crash *crash, u64 phys, u64 prot,
		      unsigned int level)
{
	if (crash->machine->format == KUNIT_IOMMU_AMDV1)
		return AMD_PR | (prot & PTE_R ? AMD_IR : 0) |
		       (prot & PTE_W ? AMD_IW : 0) | phys;
	return phys | prot | (level ? PTE_PS : 0);
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
			*pte = table_entry(crash, new_old_table(crash), level);
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
			leaf_entry(crash, phys + done, prot, level);
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

/*
 * Tests want to see that old IOVAs are not handed out because they are reserved, and
 * not because others are preferred.
 */
static void prefer_nothing(struct iommu_domain *domain)
{
}

static struct crash *new_crash(struct kunit *test, bool off,
			       unsigned int def_domain_type)
{
	const struct machine *machine = test->param_value ?: &machines[0];
	struct kunit_iommu_config config = {
		.format = machine->format,
		.pci = machine->pci,
		.off = off,
		.def_domain_type = def_domain_type,
		.step = dma_at_step,
	};
	struct crash *crash = kunit_kzalloc(test, sizeof(*crash), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, crash);
	config.priv = crash;
	crash->test = test;
	crash->machine = machine;
	crash->kdump_kernel = true;
	crash->ram_size = OLD_RAM_SIZE;
	crash->budget = SZ_32K;
	the_crash = crash;
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, stop_crash, crash), 0);
	crash->tables = vzalloc(OLD_TABLES * PAGE_SIZE);
	crash->snapshot = vzalloc(OLD_TABLES * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, crash->tables);
	KUNIT_ASSERT_NOT_NULL(test, crash->snapshot);

	iommu_kdump_set_oldmem_ops(&old_ops);
	kunit_activate_static_stub(test, iommu_kdump_active, fake_active);
	kunit_activate_static_stub(test, iommu_kdump_table_budget, fake_budget);
	kunit_activate_static_stub(test, iommu_kdump_prefer_low, prefer_nothing);
	crash->iommu = kunit_iommu_create(test, &config);
	if (PTR_ERR_OR_ZERO(crash->iommu) == -EOPNOTSUPP)
		kunit_skip(test, "no PCI devices of the kind that are made up");
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 0);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 0);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 1);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->domains, 0);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->domains, 0);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);

	/* Until it gets a driver */
	bind(crash, b);
	KUNIT_EXPECT_TRUE(test, release_is_pending(a));
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	grace_over(a);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 2);
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 2);
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

	*old_pte(crash, OLD_RAM, 4, SZ_1G, 1) = table_entry(crash, NOWHERE, 1);
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
		old_table(crash, loop)[i] = table_entry(crash, loop, 3);
	*old_pte(crash, OLD_RAM, 4, BIT_ULL(39), 3) =
		table_entry(crash, loop, 3);
	boot(crash);
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	map_new(crash, dev);
	check_end(crash);
}

/* No loop, but one table that stands for very many */
static void test_refused_fan_out(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	u64 tables[3];
	unsigned int i, level;

	crash->nr_legacy = 0;
	crash->ram_size = SZ_8M;
	for (i = 0; i < ARRAY_SIZE(tables); i++)
		tables[i] = new_old_table(crash);
	for (level = 1; level < 3; level++)
		for (i = 0; i < 512; i++)
			old_table(crash, tables[level])[i] =
				table_entry(crash, tables[level - 1], level);
	*old_pte(crash, OLD_RAM, 4, BIT_ULL(39), 3) =
		table_entry(crash, tables[2], 3);
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

/*
 * A table of leaves that lead anywhere, which are taken together, and among them some
 * that must not be: wherever they stand, their neighbours must not suffer.
 */

#define LEAVES		512
#define LEAVES_IOVA	SZ_1G

struct odd_leaf {
	const char *name;
	/* What it becomes: an address, or bits of the entry to turn over, or nothing */
	u64 phys;
	u64 flip;
	/* So many of them, one after the other */
	unsigned int nr;
	/* Its DMA works nevertheless */
	bool works;
	u64 prot;
};

#define RAM_END		(OLD_RAM + OLD_RAM_SIZE)

static const struct odd_leaf odd_leaves[] = {
	{ "nothing", 0, 0, 1, true },
	{ "a hole", 0, 0, 1 },
	{ "a hole that is reserved", 0, 0, 16 },
	{ "a large hole", 0, 0, 17 },
	{ "crash kernel's memory", SZ_16M, 0, 1 },
	{ "page zero", 0, U64_MAX, 1 },
	{ "below RAM", OLD_RAM - SZ_2M, 0, 1 },
	{ "start of RAM", OLD_RAM + SZ_2M, 0, 1, true },
	{ "end of RAM", RAM_END - SZ_2M, 0, 1, true },
	{ "beyond RAM", RAM_END, 0, 1 },
	{ "nowhere, twice", NOWHERE, 0, 2 },
	{ "an address bit", 0, BIT_ULL(46), 1 },
	{ "a high address bit", 0, BIT_ULL(50), 1 },
	{ "read only", 0, 0, 1, true, PTE_R },
	{ "write only", 0, 0, 3, true, PTE_W },
	{ "no permission", 0, 0, 1, false, BIT_ULL(63) },
};

struct any_leaf {
	u64 phys;
	u64 prot;
};

static void odd_leaf(struct crash *crash, const struct odd_leaf *odd,
		     u64 *entry, unsigned int level, struct any_leaf *want)
{
	u64 prot = odd->prot ?: PTE_R | PTE_W;

	if (!odd->works)
		want->phys = 0;
	want->prot = prot;
	if (odd->phys) {
		*entry = leaf_entry(crash, odd->phys, prot, level);
		if (odd->works)
			want->phys = odd->phys;
	} else if (odd->flip == U64_MAX) {
		*entry = leaf_entry(crash, 0, prot, level);
	} else if (odd->flip) {
		*entry ^= odd->flip;
	} else if (odd->prot) {
		*entry = leaf_entry(crash, *entry & PTE_ADDR &
				    ~(BIT_ULL(PAGE_SHIFT + 9 * level) - 1),
				    prot & (PTE_R | PTE_W), level);
	} else if (!odd->works) {
		*entry = 0;
	}
}

static void one_any_dma(struct crash *crash, u64 iova, const struct any_leaf *want,
			bool write, const char *name, unsigned int i)
{
	bool works = want->phys && (want->prot & (write ? PTE_W : PTE_R));
	phys_addr_t phys = 0;
	int ret = kunit_iommu_dma(crash->iommu, 1, iova, write, &phys);

	if (works == !ret && (ret || phys == want->phys))
		return;
	KUNIT_FAIL(crash->test, "%s: %s of leaf %u: %d, %pa, expected %#llx",
		   name, write ? "write" : "read", i, ret, &phys, want->phys);
}

static void any_leaves(struct crash *crash, unsigned int level,
		       const struct odd_leaf *odd, struct any_leaf *want)
{
	static const unsigned int at[] = { 0, 1, 30, 31, 64, 255, 400, 495, 511 };
	unsigned int shift = PAGE_SHIFT + 9 * level, i, j;
	u64 root, phys, *entry;
	struct device *dev;

	memset(crash->tables, 0, OLD_TABLES * PAGE_SIZE);
	crash->nr_tables = 0;
	crash->nr_devs = 0;
	root = new_old_table(crash);
	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < LEAVES; i++) {
		phys = OLD_BUFFERS + ((u64)(i * 37 % 331) << shift);
		want[i].phys = phys;
		want[i].prot = PTE_R | PTE_W;
		entry = old_pte(crash, root, 4, LEAVES_IOVA + ((u64)i << shift),
				level);
		*entry = leaf_entry(crash, phys, PTE_R | PTE_W, level);
	}
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (j = at[i]; j < min(at[i] + odd->nr, LEAVES); j++) {
			entry = old_pte(crash, root, 4,
					LEAVES_IOVA + ((u64)j << shift), level);
			odd_leaf(crash, odd, entry, level, &want[j]);
		}
	}

	dev = add_dev(crash, 0, 1);
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	for (i = 0; i < LEAVES; i++) {
		u64 iova = LEAVES_IOVA + ((u64)i << shift);

		one_any_dma(crash, iova, &want[i], false, odd->name, i);
		one_any_dma(crash, iova, &want[i], true, odd->name, i);
	}
	check_end(crash);
	kunit_iommu_unbind(dev);
	kunit_iommu_reset(crash->iommu);
}

static void test_any_leaves(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct any_leaf *want;
	unsigned int i;

	want = kunit_kcalloc(test, LEAVES, sizeof(*want), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, want);
	for (i = 0; i < ARRAY_SIZE(odd_leaves); i++) {
		any_leaves(crash, 0, &odd_leaves[i], want);
		any_leaves(crash, 1, &odd_leaves[i], want);
	}
}

/* G4: the tables do not tell any more what is still in use */

static void wiped_tables(struct crash *crash, struct device *dev,
			 enum iommu_kdump_state expected)
{
	kunit_deactivate_static_stub(crash->test, iommu_kdump_prefer_low);
	boot(crash);
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, expected);
	/* Its driver does not stop it */
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	if (expected != KDUMP_NONE)
		grace_over(dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

static void test_wiped_top(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	memset(crash->tables, 0, PAGE_SIZE);
	wiped_tables(crash, dev, KDUMP_CARRYING);
}

static void test_wiped_leaves(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	memset(old_pte(crash, OLD_RAM, 4, 0xffe00000, 0), 0, PAGE_SIZE);
	crash->nr_legacy--;		/* a leaf of 2 MiB, in another table */
	wiped_tables(crash, dev, KDUMP_CARRYING);
}

static void test_wiped_entry(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	set_entry(crash, 1, KUNIT_IOMMU_BLOCKED, 0, 0);
	wiped_tables(crash, dev, KDUMP_NONE);
}

/*
 * A corrupt table that leaves nothing below 4 GiB to the crash kernel: what is given
 * back first is not where the old DMA is.
 */
static void test_blocked_without_room(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct iommu_domain *domain;
	u64 entry;

	/* 1 GiB that is misaligned, and a table that is nowhere */
	entry = leaf_entry(crash, OLD_BUFFERS + SZ_4K, PTE_R | PTE_W, 2);
	*old_pte(crash, OLD_RAM, 4, 0, 2) = entry;
	*old_pte(crash, OLD_RAM, 4, SZ_512G, 2) = table_entry(crash, NOWHERE, 2);
	boot(crash);
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	use_new(crash, dev);
	domain = dev->iommu_group->default_domain;
	KUNIT_EXPECT_GT(test, iommu_kdump_given_back(domain), 0);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* Below 1 GiB as long as there is room, and nothing is lost when there is none */
static void test_wiped_no_room(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct iova_domain *iovad;
	unsigned int i;

	memset(crash->tables, 0, PAGE_SIZE);
	kunit_deactivate_static_stub(test, iommu_kdump_prefer_low);
	boot(crash);
	crash->expect = SAFE;
	bind(crash, dev);
	map_new(crash, dev);
	KUNIT_EXPECT_LT(test, crash->new[0].iova, SZ_1G);
	iovad = iommu_dma_iova_domain(dev->iommu_group->default_domain);
	for (i = iova_pfn(iovad, SZ_1G); i; i /= 2)
		while (alloc_iova(iovad, i, iova_pfn(iovad, SZ_1G) - 1, false))
			cond_resched();
	for (i = 0; i < crash->nr_legacy; i++)
		crash->legacy[i].reused = true;
	crash->forgotten = true;
	for (i = 0; i < 40; i++) {
		map_new(crash, dev);
		KUNIT_EXPECT_GE(test, crash->new[crash->nr_new - 1].iova, SZ_1G);
		KUNIT_EXPECT_LE(test, crash->new[crash->nr_new - 1].iova, U32_MAX);
	}
	check_new(crash);
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

/* G4: what is refused is not mapped, and its IOVA not handed out either */
static void test_refused_reserved(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	/* In the middle of the highest gap, too far away to be merged */
	add_legacy(crash, 1, OLD_RAM, 0xfffc0000, NOWHERE, SZ_4K, PTE_R | PTE_W)
		->refused = true;
	boot(crash);
	crash->expect = WORKS;
	bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	use_new(crash, dev);
	check_dma(crash, WORKS);
	check_end(crash);
}

/* The same for an entry that cannot be right: a large page that is misaligned */
static void test_bad_entry_reserved(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);
	u64 root = new_old_table(crash);

	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	add_legacy(crash, 1, root, 0xffc00000, OLD_BUFFERS, SZ_2M,
		   PTE_R | PTE_W);
	*old_pte(crash, root, 4, 0xffe00000, 1) =
		(OLD_BUFFERS + SZ_4K) | PTE_R | PTE_W | PTE_PS;
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.bad,
			SZ_2M / SZ_4K);
	/* Not carried, so that it faults from here on */
	add_legacy(crash, 1, 0, 0xffe00000, OLD_BUFFERS + SZ_4K, SZ_2M,
		   PTE_R | PTE_W)->refused = true;
	crash->validated = true;
	use_new(crash, dev);
	check_dma(crash, WORKS);
	check_end(crash);
}

/* G5: also where the IOVAs belong to somebody else, as a PCI window does */
static void test_released_shared(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct iova_domain *iovad;

	boot(crash);
	iovad = iommu_dma_iova_domain(dev->iommu_group->default_domain);
	KUNIT_ASSERT_NOT_NULL(test, iovad);
	/* The large page of translated() */
	KUNIT_ASSERT_NOT_NULL(test,
			      reserve_iova(iovad, iova_pfn(iovad, 0xff800000),
					   iova_pfn(iovad, 0xff9fffff)));
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	use_new(crash, dev);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_NOT_NULL(test,
			      find_iova(iovad, iova_pfn(iovad, 0xff800000)));
	check_end(crash);
}

/* Neighbours in both address spaces that differ in what they allow */
static void test_contiguous_permissions(struct kunit *test)
{
	static const u64 prots[] = { PTE_R | PTE_W, PTE_R, PTE_W };
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);
	u64 root = new_old_table(crash), iova = 0xff000000, phys = OLD_BUFFERS;
	unsigned int i;

	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < 9; i++) {
		/* Long runs are mapped in another way than short ones */
		u64 size = i < 6 ? SZ_4K : SZ_4M;

		if (i == 6) {
			iova = 0xe0000000;
			phys = OLD_BUFFERS + SZ_64M;
		}
		add_legacy(crash, 1, root, iova, phys, size,
			   prots[i % ARRAY_SIZE(prots)]);
		iova += size;
		phys += size;
	}
	boot(crash);
	check_dma(crash, WORKS);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	check_end(crash);
}

static int report_garbage(struct iommu_kdump_report *report)
{
	struct kunit *test = the_crash->test;
	const int rw = IOMMU_READ | IOMMU_WRITE;
	u64 iova = SZ_1M, phys = OLD_BUFFERS;

#define REPORT(iova, phys, size, prot) \
	iommu_kdump_report_mapping(report, iova, phys, size, prot)
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, 0, rw), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_4K, 0), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_4K, IOMMU_NOEXEC), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(U64_MAX - SZ_4K + 1, phys, SZ_8K, rw),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova, U64_MAX - SZ_4K + 1, SZ_8K, rw),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test, iommu_kdump_report_bad(report, iova, 0), -EUCLEAN);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_bad(report, U64_MAX - SZ_4K + 1,
					       SZ_8K), -EUCLEAN);
	/* In order, and each IOVA once */
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_8K, rw), 0);
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_8K, rw), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova + SZ_4K, phys, SZ_4K, rw), -EUCLEAN);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_bad(report, iova + SZ_4K, SZ_4K),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_bad(report, iova + SZ_8K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, REPORT(iova + SZ_8K, phys, SZ_4K, rw), -EUCLEAN);
#undef REPORT
	/* Once, at the first table; the rest of the walk is of no interest */
	return -EUCLEAN;
}

/* A driver whose walker goes wrong */
static void test_report_garbage(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	kunit_activate_static_stub(test, iommu_kdump_report_table,
				   report_garbage);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* Old IOVAs lie around nodes of others: neither merged with, nor overlapped */
static void test_reserve_gaps(struct kunit *test)
{
	static const struct {
		unsigned long lo, hi;
		int ret;
		unsigned long first, last;
	} gaps[] = {
		{ 20, 29, -ENOENT },
		{ 22, 25, -ENOENT },
		{ 29, 29, -ENOENT },
		{ 10, 20, 0, 10, 19 },
		{ 10, 19, -ENOENT },
		{ 29, 30, 0, 30, 30 },
		{ 25, 60, 0, 31, 39 },
		{ 40, 40, -ENOENT },
		{ 40, 60, 0, 41, 60 },
		{ 9, 61, 0, 9, 9 },
		{ 10, 61, 0, 61, 61 },
		{ 9, 61, -ENOENT },
	};
	struct iova_domain iovad = {};
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iova_cache_get(), 0);
	init_iova_domain(&iovad, SZ_4K, 1);
	KUNIT_EXPECT_NOT_NULL(test, reserve_iova(&iovad, 20, 29));
	KUNIT_EXPECT_NOT_NULL(test, reserve_iova(&iovad, 40, 40));
	for (i = 0; i < ARRAY_SIZE(gaps); i++) {
		unsigned long lo = gaps[i].lo, hi = gaps[i].hi;

		KUNIT_EXPECT_EQ_MSG(test,
				    reserve_iova_gap(&iovad, &lo, &hi,
						     GFP_KERNEL),
				    gaps[i].ret, "number %u", i);
		if (gaps[i].ret)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, lo, gaps[i].first, "number %u", i);
		KUNIT_EXPECT_EQ_MSG(test, hi, gaps[i].last, "number %u", i);
	}
	/* Each is a node of its own, that can be given back alone */
	free_iova(&iovad, 10);
	KUNIT_EXPECT_PTR_EQ(test, find_iova(&iovad, 19), NULL);
	KUNIT_EXPECT_NOT_NULL(test, find_iova(&iovad, 20));
	KUNIT_EXPECT_NOT_NULL(test, find_iova(&iovad, 9));
	put_iova_domain(&iovad);
	iova_cache_put();
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

static bool nothing_known(void)
{
	return false;
}

/* Whose memory is whose is not known: there is no hole for the crash kernel */
static void test_identity_without_header(struct kunit *test)
{
	struct crash *crash = new_crash(test, true, 0);
	struct device *dev = add_dev(crash, 0, 1);

	identity(crash, 1);
	kunit_activate_static_stub(test, iommu_kdump_oldmem_known,
				   nothing_known);
	crash->expect = SAFE;
	boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
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
	/* From one DMA domain to another: not if it is strict already */
	if (!strcmp(type, "DMA") &&
	    dev->iommu_group->default_domain->type == IOMMU_DOMAIN_DMA)
		kobj->ktype->sysfs_ops->store(kobj, kn->priv, "DMA-FQ",
					      strlen("DMA-FQ"));
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
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);

	bind(crash, dev);
	map_new(crash, dev);
	check_new(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
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

/* PCI: resets, and devices without DMA in flight */

static void set_command(struct device *dev, u16 command)
{
	pci_write_config_word(to_pci_dev(dev), PCI_COMMAND, command);
}

static bool is_master(struct device *dev)
{
	u16 command = 0;

	pci_read_config_word(to_pci_dev(dev), PCI_COMMAND, &command);
	return command & PCI_COMMAND_MASTER;
}

static int reset_prepare(struct device *dev)
{
	return pci_dev_reset_iommu_prepare(to_pci_dev(dev));
}

/* Afterwards the driver sets its device up again */
static void reset_done(struct device *dev, bool success)
{
	set_command(dev, success ? 0 : PCI_COMMAND_MASTER);
	pci_dev_reset_iommu_done(to_pci_dev(dev));
	set_command(dev, PCI_COMMAND_MASTER);
}

/* Bus mastering was off when it was inherited: there is nothing to wait for */
static void test_no_master_does_not_hold(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;

	set_command(a, 0);
	boot(crash);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	check_dma(crash, FAULTS);
	use_new(crash, a);
	b = add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	check_end(crash);
}

static void test_bridge_does_not_hold(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;
	struct pci_dev *pdev;
	u8 hdr_type;

	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = add_dev(crash, 0, 2);
	pdev = to_pci_dev(b);
	hdr_type = pdev->hdr_type;
	pdev->hdr_type = PCI_HEADER_TYPE_BRIDGE;
	boot(crash);
	pdev->hdr_type = hdr_type;
	bind(crash, a);
	check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, release_is_pending(a));
	check_end(crash);
}

/* Its memory is out of reach, so that it need not try; other devices are not ours */
static void test_blocked_master_is_cleared(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;

	*old_pte(crash, OLD_RAM, 4, SZ_1G, 1) = table_entry(crash, NOWHERE, 1);
	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = add_dev(crash, 0, 2);
	boot(crash);
	KUNIT_EXPECT_TRUE(test, is_master(a));
	crash->expect = SAFE;
	bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	KUNIT_EXPECT_FALSE(test, is_master(a));
	KUNIT_EXPECT_TRUE(test, is_master(b));
	check_dma(crash, FAULTS);
	check_end(crash);
}

static void test_carried_master_is_left_alone(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	KUNIT_EXPECT_TRUE(test, is_master(dev));
	check_end(crash);
}

static void test_reset_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, reset_prepare(dev), 0);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	/* It has ATS, so that it is blocked meanwhile */
	check_dma(crash, FAULTS);
	crash->expect = SAFE;
	reset_done(dev, true);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	use_new(crash, dev);
	check_end(crash);
}

/* The command register says that nothing has happened */
static void test_reset_failed(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, reset_prepare(dev), 0);
	reset_done(dev, false);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_TRUE(test, release_is_pending(dev));
	check_end(crash);
}

/* At once, without the grace period, when all have been reset */
static void test_reset_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;
	phys_addr_t phys;

	set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = add_dev(crash, 0, 2);
	boot(crash);
	bind(crash, a);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, reset_prepare(a), 0);
	/* The other one does not notice */
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(a, 0xfffff000, true, &phys),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(b, 0xfffff000, true, &phys),
			0);
	reset_done(a, true);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, release_is_pending(a));
	bind(crash, b);
	KUNIT_EXPECT_TRUE(test, release_is_pending(a));
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, reset_prepare(b), 0);
	reset_done(b, true);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, release_is_pending(a));
	use_new(crash, a);
	check_end(crash);
}

/* All of what a driver does that calls pci_reset_function() */
static void test_function_level_reset(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	map_new(crash, dev);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, pci_reset_function(to_pci_dev(dev)), 0);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_dma(crash, FAULTS);
	check_new(crash);
	use_new(crash, dev);
	check_end(crash);
}

/* Memory */

/* Exact on one CPU only */
static unsigned long pages_of(enum node_stat_item item)
{
	return IS_ENABLED(CONFIG_SMP) ? 0 : global_node_page_state(item);
}

/* Old mappings of each kind that page tables are made for in another way */
static void mappings_of_all_sizes(struct crash *crash, u32 rid, u64 root)
{
	static const struct {
		u64 iova;
		u64 phys;
		u64 size;
		unsigned int nr;
		u64 distance;
	} some[] = {
		/* Single pages, in tables with others and without */
		{ SZ_1G, SZ_64M, SZ_4K, 5, SZ_64K },
		{ SZ_1G + SZ_16M, SZ_64M, SZ_4K, 3, SZ_2M },
		/* Over the end of a table, to large leaves or not */
		{ SZ_2G - SZ_4K, SZ_128M, SZ_8K, 1 },
		{ SZ_2G + SZ_1M, SZ_128M + SZ_1M, SZ_4M + SZ_8K, 1 },
		{ SZ_2G + SZ_32M - SZ_64K, SZ_128M, SZ_2M + SZ_128K, 1 },
		/* Large leaves only */
		{ SZ_2G + SZ_256M, SZ_128M, SZ_2M, 4, SZ_4M },
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(some); i++)
		for (j = 0; j < some[i].nr; j++)
			add_legacy(crash, rid, root,
				   some[i].iova + j * some[i].distance,
				   OLD_BUFFERS + some[i].phys +
				   j * 3 * some[i].size,
				   some[i].size, PTE_R | PTE_W);
}

/* What the import says to have taken is what it has taken */
static void test_tables_counted(struct kunit *test)
{
	unsigned long before = pages_of(NR_IOMMU_PAGES), without, with;
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);
	u64 root, pages;

	if (IS_ENABLED(CONFIG_SMP))
		kunit_skip(test, "pages are counted exactly on one processor only");

	/* An empty table of the crashed kernel, for what there is in any case */
	root = new_old_table(crash);
	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.new_tables, 0);
	without = pages_of(NR_IOMMU_PAGES) - before;
	kunit_iommu_reset(crash->iommu);
	crash->nr_devs = 0;
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, pages_of(NR_IOMMU_PAGES), before);

	mappings_of_all_sizes(crash, 1, root);
	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	dev = add_dev(crash, 0, 1);
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	with = pages_of(NR_IOMMU_PAGES) - before;
	pages = dev->iommu_group->kdump->stats.new_tables >> PAGE_SHIFT;
	/* The top of a table that can grow is there, and is counted */
	if (crash->machine->format == KUNIT_IOMMU_AMDV1)
		without--;
	KUNIT_EXPECT_EQ(test, pages, with - without);
	crash->expect = SAFE;
	kunit_iommu_reset(crash->iommu);
	crash->nr_devs = 0;
	rcu_barrier();

	/* With one page less it does not fit, and leaves nothing behind */
	crash->budget = pages - 1;
	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	dev = add_dev(crash, 0, 1);
	boot(crash);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_STREQ(test, dev->iommu_group->kdump->reason,
			   "page tables do not fit into memory");
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.new_tables, 0);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* The dump needs the memory more than old DMA does */
static void test_memory_pressure(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	check_dma(crash, WORKS);
	crash->no_tables = true;
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* Before anybody is killed for memory, the old mappings of all groups go */
static void test_out_of_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct device *idle = add_dev(crash, 1, 2);
	unsigned long freed = 0;

	translated(crash, 2, 6);
	boot(crash);
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);

	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, iommu_kdump_out_of_memory(NULL, 0, &freed),
			NOTIFY_OK);
	KUNIT_EXPECT_GT(test, freed, 0);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, release_is_pending(dev));
	/* What costs nothing is left alone */
	EXPECT_STATE(crash, idle, KDUMP_INHERITED);
	use_new(crash, dev);

	/* The second time there is nothing more to give */
	freed = 0;
	iommu_kdump_out_of_memory(NULL, 0, &freed);
	KUNIT_EXPECT_EQ(test, freed, 0);

	/* Whoever holds the mutex may be the one who has no memory */
	bind(crash, idle);
	EXPECT_STATE(crash, idle, KDUMP_CARRYING);
	mutex_lock(&idle->iommu_group->mutex);
	iommu_kdump_out_of_memory(NULL, 0, &freed);
	mutex_unlock(&idle->iommu_group->mutex);
	KUNIT_EXPECT_EQ(test, freed, 0);
	EXPECT_STATE(crash, idle, KDUMP_CARRYING);
	check_end(crash);
}

/* What is in the table, read as debugfs does */

static char *read_table(struct kunit *test)
{
	struct seq_file s = {
		.size = SZ_64K,
	};

	s.buf = kunit_kzalloc(test, s.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s.buf);
	KUNIT_ASSERT_EQ(test, iommu_kdump_status_show(&s, NULL), 0);
	KUNIT_ASSERT_FALSE(test, seq_has_overflowed(&s));
	return s.buf;
}

struct status_row {
	char state[16];
	char type[16];
	unsigned long long ranges, mapped, reserved, given_back, new_tables;
	unsigned long long old_tables, bad, refused, clipped, us;
	char rest[160];
};

/* id, state, type, the counts, the reason */
#define ROW_FORMAT	"%d %15s %15s " \
			"%llu %llu %llu %llu " \
			"%llu %llu %llu %llu %llu %llu " \
			"%159[^\n]"

static bool find_row(const char *table, int group, struct status_row *row)
{
	const char *line = table;
	int id;

	while ((line = strchr(line, '\n')) && *++line) {
		memset(row, 0, sizeof(*row));
		KUNIT_EXPECT_EQ(the_crash->test,
				sscanf(line, ROW_FORMAT,
				       &id, row->state, row->type, &row->ranges,
				       &row->mapped, &row->reserved,
				       &row->given_back, &row->new_tables,
				       &row->old_tables, &row->bad,
				       &row->refused, &row->clipped, &row->us,
				       row->rest), 14);
		if (id == group)
			return true;
	}
	return false;
}

static void expect_row(struct kunit *test, struct device *dev,
		       const char *state, const char *type,
		       struct status_row *row)
{
	char *table = read_table(test);

	KUNIT_ASSERT_TRUE(test, find_row(table, dev->iommu_group->id, row));
	KUNIT_EXPECT_STREQ(test, row->state, state);
	KUNIT_EXPECT_STREQ(test, row->type, type);
	KUNIT_EXPECT_NOT_NULL(test, strstr(row->rest, dev_name(dev)));
	KUNIT_EXPECT_NULL(test, strstr(table, "0x"));
}

/* One group has a page that must not be carried, the other one a corrupt table */
static struct device *good_and_bad(struct kunit *test, struct crash **crash,
				   struct device **bad)
{
	struct device *good = one_device(test, crash);
	u64 root;

	*bad = add_dev(*crash, 1, 2);
	root = translated(*crash, 2, 6);
	*old_pte(*crash, root, 4, SZ_1G, 1) = table_entry(*crash, NOWHERE, 1);
	add_legacy(*crash, 1, OLD_RAM, 0xfffe0000, NOWHERE, SZ_4K,
		   PTE_R | PTE_W)->refused = true;
	return good;
}

static void test_status_table(struct kunit *test)
{
	struct device *blocked, *dev;
	struct status_row row;
	struct crash *crash;
	unsigned int i;
	u64 bytes = 0;

	dev = good_and_bad(test, &crash, &blocked);
	boot(crash);
	expect_row(test, dev, "inherited", "paging", &row);
	KUNIT_EXPECT_EQ(test, row.mapped + row.new_tables + row.us, 0);

	bind(crash, dev);
	expect_row(test, dev, "carrying", "paging", &row);
	for (i = 0; i < crash->nr_legacy; i++)
		if (crash->legacy[i].rid == 1 && !crash->legacy[i].refused)
			bytes += crash->legacy[i].size;
	KUNIT_EXPECT_EQ(test, row.mapped, bytes / SZ_1K);
	KUNIT_EXPECT_GE(test, row.reserved, row.mapped);
	KUNIT_EXPECT_NE(test, row.ranges, 0);
	KUNIT_EXPECT_GT(test, row.old_tables, 2);
	/* Two levels of tables at least, besides the top that was there */
	KUNIT_EXPECT_GE(test, row.new_tables, 8);
	KUNIT_EXPECT_LE(test, row.new_tables, 64);
	KUNIT_EXPECT_EQ(test, row.refused, 1);
	KUNIT_EXPECT_EQ(test, row.bad + row.clipped + row.given_back, 0);
	KUNIT_EXPECT_NOT_NULL(test, strstr(row.rest, "  -"));

	crash->expect = SAFE;
	bind(crash, blocked);
	expect_row(test, blocked, "blocked", "paging", &row);
	KUNIT_EXPECT_EQ(test, row.mapped, 0);
	KUNIT_EXPECT_NOT_NULL(test, strstr(row.rest, "corrupt"));

	kunit_iommu_remove_device(dev);
	read_table(test);
}

/* Tracepoints: what has been seen of each, with a field that matters */

#ifdef CONFIG_TRACEPOINTS
static struct {
	unsigned int joins, imports, attaches, blocks, releases;
	unsigned int refusals[KDUMP_REFUSED_WIDTH + 1];
	u64 mapped;
	u64 refused_iova;
	const char *reason;
} seen;

static void see_join(void *data, int group, struct device *dev,
		     const struct iommu_kdump_tables *tables, bool dma,
		     int error)
{
	seen.joins++;
}

static void see_refuse(void *data, int group, u64 iova, u64 phys, u64 size,
		       enum iommu_kdump_refusal why)
{
	seen.refusals[why]++;
	seen.refused_iova = iova;
}

static void see_import(void *data, int group,
		       const struct iommu_kdump_stats *stats, int error)
{
	seen.imports++;
	seen.mapped += stats->mapped;
}

static void see_attach(void *data, int group, const char *state, int error)
{
	seen.attaches++;
}

static void see_block(void *data, int group, const char *reason)
{
	seen.blocks++;
	seen.reason = reason;
}

static void see_release(void *data, int group, u64 ns)
{
	seen.releases++;
}

static void see_nothing_more(void *unused)
{
	unregister_trace_iommu_kdump_release(see_release, NULL);
	unregister_trace_iommu_kdump_block(see_block, NULL);
	unregister_trace_iommu_kdump_attach(see_attach, NULL);
	unregister_trace_iommu_kdump_import(see_import, NULL);
	unregister_trace_iommu_kdump_refuse(see_refuse, NULL);
	unregister_trace_iommu_kdump_join(see_join, NULL);
	tracepoint_synchronize_unregister();
}

static void test_trace(struct kunit *test)
{
	struct device *blocked, *dev;
	struct crash *crash;

	memset(&seen, 0, sizeof(seen));
	register_trace_iommu_kdump_join(see_join, NULL);
	register_trace_iommu_kdump_refuse(see_refuse, NULL);
	register_trace_iommu_kdump_import(see_import, NULL);
	register_trace_iommu_kdump_attach(see_attach, NULL);
	register_trace_iommu_kdump_block(see_block, NULL);
	register_trace_iommu_kdump_release(see_release, NULL);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, see_nothing_more, NULL),
			0);

	dev = good_and_bad(test, &crash, &blocked);
	boot(crash);
	KUNIT_EXPECT_EQ(test, seen.joins, 2);
	KUNIT_EXPECT_EQ(test, seen.attaches, 0);

	bind(crash, dev);
	KUNIT_EXPECT_EQ(test, seen.imports, 1);
	KUNIT_EXPECT_EQ(test, seen.attaches, 1);
	KUNIT_EXPECT_EQ(test, seen.mapped,
			dev->iommu_group->kdump->stats.mapped);
	KUNIT_EXPECT_EQ(test, seen.refusals[KDUMP_REFUSED_TARGET], 1);
	KUNIT_EXPECT_EQ(test, seen.refused_iova, 0xfffe0000);
	KUNIT_EXPECT_EQ(test, seen.blocks, 0);

	crash->expect = SAFE;
	bind(crash, blocked);
	KUNIT_EXPECT_EQ(test, seen.imports, 2);
	KUNIT_EXPECT_EQ(test, seen.blocks, 1);
	KUNIT_EXPECT_STREQ(test, seen.reason, "table or entry is corrupt");
	grace_over(dev);
	KUNIT_EXPECT_EQ(test, seen.releases, 1);
}
#else
static void test_trace(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_TRACEPOINTS");
}
#endif

/* The tables of the crashed kernel cannot be read */
static void test_map_old_fails(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	crash->map_fails = true;
	crash->expect = SAFE;
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* IOVAs are given back from the top of what the device reaches, 1, 2, 4 at a time */
static void test_iova_pressure_order(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);
	u64 root = new_old_table(crash);
	struct iommu_kdump_iova *old;
	struct iommu_domain *domain;
	unsigned int i, left = 8, step;
	struct iova_domain *iovad;

	/* Too far apart to be merged */
	set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < left; i++)
		add_legacy(crash, 1, root, SZ_1M + i * SZ_128K,
			   OLD_BUFFERS + i * SZ_128K, SZ_4K, PTE_R | PTE_W);
	boot(crash);
	bind(crash, dev);
	check_dma(crash, WORKS);
	domain = dev->iommu_group->default_domain;
	iovad = iommu_dma_iova_domain(domain);
	old = iommu_dma_kdump_iova(domain);
	KUNIT_ASSERT_EQ(test, old->reserved.nr, left);

	/* A device that reaches none of them may ask as often as it likes */
	for (i = 0; i < 40; i++)
		KUNIT_EXPECT_FALSE(test,
				   iommu_kdump_reclaim_iova(domain, iovad, old,
							    SZ_1M - 1));

	/* The highest one is out of reach */
	crash->expect = SAFE;
	for (step = 1; left > 1; step *= 2) {
		unsigned int n = min(step, left - 1);

		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_reclaim_iova(domain, iovad, old,
							   SZ_1M + 7 * SZ_128K -
							   1));
		for (i = 0; i < n; i++)
			crash->legacy[--left - 1].refused = true;
		KUNIT_EXPECT_EQ(test, old->reserved.nr, left);
		crash->validated = true;
		check_dma(crash, WORKS);
		crash->expect = SAFE;
	}
	KUNIT_EXPECT_FALSE(test,
			   iommu_kdump_reclaim_iova(domain, iovad, old,
						    SZ_1M + 7 * SZ_128K - 1));
	KUNIT_EXPECT_TRUE(test,
			  iommu_kdump_reclaim_iova(domain, iovad, old, U32_MAX));
	KUNIT_EXPECT_FALSE(test,
			   iommu_kdump_reclaim_iova(domain, iovad, old,
						    U32_MAX));
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, old->reclaimed, 8);
	check_end(crash);
}

/* G5: after the release the device goes on for a while */
static void test_stray_access(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	unsigned int i;

	boot(crash);
	bind(crash, dev);
	crash->expect = SAFE;
	grace_over(dev);
	check_dma(crash, FAULTS);
	for (i = 0; i < 40; i++) {
		map_new(crash, dev);
		check_dma(crash, FAULTS);
	}
	check_new(crash);
	unmap_new(crash);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* A domain that comes later keeps off the old IOVAs, too */
static void test_type_changed_keeps_reservation(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, probe_fails), -EIO);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	unmap_new(crash);
	kunit_iommu_unbind(dev);

	KUNIT_EXPECT_EQ(test, set_type(dev, "DMA-FQ"), strlen("DMA-FQ"));
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	unmap_new(crash);
	check_end(crash);
}

static void test_type_changed_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	crash->expect = WORKS;
	boot(crash);
	KUNIT_EXPECT_EQ(test, set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	use_new(crash, dev);
	check_dma(crash, WORKS);
	unmap_new(crash);
	check_end(crash);
}

static void test_type_changed_blocked(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	crash->map_fails = true;
	crash->expect = SAFE;
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(dev, probe_fails), -EIO);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_EQ(test, set_type(dev, "identity"), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_type(dev, "DMA"), strlen("DMA"));
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* Groups without a driver are looked at when the boot is over */

/* G6: nothing to complain about */
static void test_check_good(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	struct kunit_iommu_entry before, after;

	boot(crash);
	kunit_iommu_get_entry(crash->iommu, 1, &before);
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	kunit_iommu_get_entry(crash->iommu, 1, &after);
	KUNIT_EXPECT_EQ(test, memcmp(&before, &after, sizeof(before)), 0);
	bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	check_end(crash);
}

/* Without memory to check it, it stays as it is */
static void test_check_without_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	crash->expect = WORKS;
	crash->map_fails = true;
	iommu_kdump_check_driverless();
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	check_end(crash);
}

/* G2: what is left when the bad page is out */
static void test_check_crash_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *a = one_device(test, &crash), *b;
	u64 root;

	root = new_old_table(crash);
	set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	add_legacy(crash, 2, root, 0xffe00000, SZ_16M, SZ_4K, PTE_W)->refused =
		true;
	add_legacy(crash, 2, root, 0xffe01000, OLD_BUFFERS, SZ_4K, PTE_W);
	b = add_dev(crash, 1, 2);
	boot(crash);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	crash->validated = true;
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, release_is_pending(b));
	check_end(crash);
}

/* Also where the new domain ends, and the old table goes on */
static void test_check_beyond(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	struct device *dev = add_dev(crash, 0, 1);
	struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.levels = 5,
		.id = 7,
		.root = new_old_table(crash),
	};

	kunit_iommu_set_entry(crash->iommu, 1, &entry);
	add_legacy(crash, 1, 0, BIT_ULL(50), SZ_16M, SZ_4K, PTE_R | PTE_W)
		->refused = true;
	*old_pte(crash, entry.root, 5, BIT_ULL(50), 0) =
		leaf_entry(crash, SZ_16M, PTE_R | PTE_W, 0);
	boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = SAFE;
	iommu_kdump_check_driverless();
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.clipped, 1);
	crash->validated = true;
	check_dma(crash, FAULTS);
	check_end(crash);
}

static void test_check_corrupt(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	*old_pte(crash, OLD_RAM, 4, SZ_1G, 1) = table_entry(crash, NOWHERE, 1);
	boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = SAFE;
	iommu_kdump_check_driverless();
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	check_dma(crash, FAULTS);
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	check_end(crash);
}

/* A group that a driver has claimed is none of its business */
static void test_check_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	boot(crash);
	bind(crash, dev);
	crash->map_fails = true;
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	check_end(crash);
}

/*
 * Allocations that fail, one after the other: the first of a whole run, then the
 * second, until a run gets through without. All that were made and that did not
 * fail have to be freed in the end.
 */

#if IS_ENABLED(CONFIG_FUNCTION_ERROR_INJECTION) && \
	IS_ENABLED(CONFIG_FAILSLAB) && IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC)

/* Flags by which the framework's own allocations are known */
#define OWN_GFP		(__GFP_NORETRY | __GFP_NOWARN)

#define MAX_TRACKED	512

static struct {
	/* Only what this task allocates counts, and only if it is not NULL */
	struct task_struct *task;
	/* Flags that it must have */
	gfp_t need;
	unsigned int seen;
	/* Which one fails, 0 for none */
	unsigned int nth;
	bool failed;
	/* What has been allocated and not been freed yet */
	raw_spinlock_t lock;
	struct {
		const void *ptr;
		void *caller;
	} tracked[MAX_TRACKED];
	unsigned int nr_tracked;
	unsigned int lost;
} inject = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(inject.lock),
};

static bool inject_counts(gfp_t gfp)
{
	return current == inject.task && (gfp & inject.need) == inject.need;
}

static int inject_fail(struct pt_regs *regs, gfp_t gfp, unsigned long ret)
{
	/* The breakpoint of the probe counts as an interrupt itself */
	if (!inject_counts(gfp) || in_serving_softirq() ||
	    hardirq_count() > HARDIRQ_OFFSET || ++inject.seen != inject.nth)
		return 0;
	inject.failed = true;
	regs_set_return_value(regs, ret);
	override_function_with_return(regs);
	return 1;
}
NOKPROBE_SYMBOL(inject_fail);

static int inject_slab(struct kprobe *kp, struct pt_regs *regs)
{
	return inject_fail(regs, regs_get_kernel_argument(regs, 1), -ENOMEM);
}
NOKPROBE_SYMBOL(inject_slab);

static int inject_page(struct kprobe *kp, struct pt_regs *regs)
{
	return inject_fail(regs, regs_get_kernel_argument(regs, 0), true);
}
NOKPROBE_SYMBOL(inject_page);

/* Having one keeps the probe from being turned into a jump */
static void inject_post(struct kprobe *kp, struct pt_regs *regs,
			unsigned long flags)
{
}

static struct kprobe inject_slab_probe, inject_page_probe;

/* What describes virtual memory is kept by vmalloc for the next time */
static bool is_vmap_area(unsigned long call_site)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol_no_offset(name, call_site);
	return strstarts(name, "alloc_vmap_area");
}

static void track_alloc(const void *ptr, gfp_t gfp, unsigned long call_site)
{
	if (!ptr || !in_task() || !inject_counts(gfp) ||
	    is_vmap_area(call_site))
		return;
	guard(raw_spinlock_irqsave)(&inject.lock);
	if (inject.nr_tracked == MAX_TRACKED) {
		inject.lost++;
		return;
	}
	inject.tracked[inject.nr_tracked].ptr = ptr;
	inject.tracked[inject.nr_tracked++].caller = (void *)call_site;
}

static void track_free(const void *ptr)
{
	unsigned int i;

	guard(raw_spinlock_irqsave)(&inject.lock);
	for (i = 0; i < inject.nr_tracked; i++) {
		if (inject.tracked[i].ptr == ptr) {
			inject.tracked[i] = inject.tracked[--inject.nr_tracked];
			return;
		}
	}
}

static void track_kmalloc(void *data, unsigned long call_site, const void *ptr,
			  size_t bytes_req, size_t bytes_alloc, gfp_t gfp,
			  int node)
{
	track_alloc(ptr, gfp, call_site);
}

static void track_cache_alloc(void *data, unsigned long call_site,
			      const void *ptr, struct kmem_cache *s, gfp_t gfp,
			      int node)
{
	track_alloc(ptr, gfp, call_site);
}

static void track_kfree(void *data, unsigned long call_site, const void *ptr)
{
	track_free(ptr);
}

static void track_cache_free(void *data, unsigned long call_site,
			     const void *ptr, const struct kmem_cache *s)
{
	track_free(ptr);
}

static void inject_end(void *unused)
{
	inject.task = NULL;
	iommu_set_default_translated(false);
	unregister_trace_kmem_cache_free(track_cache_free, NULL);
	unregister_trace_kfree(track_kfree, NULL);
	unregister_trace_kmem_cache_alloc(track_cache_alloc, NULL);
	unregister_trace_kmalloc(track_kmalloc, NULL);
	tracepoint_synchronize_unregister();
	unregister_kprobe(&inject_page_probe);
	unregister_kprobe(&inject_slab_probe);
}

static void inject_begin(struct kunit *test)
{
	int slab, page;

	memset(&inject_slab_probe, 0, sizeof(inject_slab_probe));
	inject_slab_probe.symbol_name = "should_failslab";
	inject_slab_probe.pre_handler = inject_slab;
	inject_slab_probe.post_handler = inject_post;
	memset(&inject_page_probe, 0, sizeof(inject_page_probe));
	inject_page_probe.symbol_name = "should_fail_alloc_page";
	inject_page_probe.pre_handler = inject_page;
	inject_page_probe.post_handler = inject_post;
	slab = register_kprobe(&inject_slab_probe);
	page = register_kprobe(&inject_page_probe);
	register_trace_kmalloc(track_kmalloc, NULL);
	register_trace_kmem_cache_alloc(track_cache_alloc, NULL);
	register_trace_kfree(track_kfree, NULL);
	register_trace_kmem_cache_free(track_cache_free, NULL);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, inject_end, NULL),
			0);
	KUNIT_ASSERT_EQ(test, slab, 0);
	KUNIT_ASSERT_EQ(test, page, 0);
	inject.nr_tracked = 0;
	inject.lost = 0;
}

static void inject_on(gfp_t need)
{
	inject.need = need;
	barrier();
	inject.task = current;
}

static void inject_off(void)
{
	inject.task = NULL;
	barrier();
}

/* Does the DMA of the device go on, or is it blocked? Nothing between. */
static void check_failed_allocation(struct crash *crash, struct device *dev,
				    unsigned int n)
{
	enum iommu_kdump_state now = state(dev);

	KUNIT_EXPECT_TRUE_MSG(crash->test,
			      iommu_is_dma_domain(dev->iommu_group->domain),
			      "allocation %u: DMA is not translated", n);
	KUNIT_EXPECT_TRUE_MSG(crash->test,
			      now == KDUMP_CARRYING || now == KDUMP_BLOCKED ||
			      now == KDUMP_NONE,
			      "allocation %u: state %d", n, now);
	check_dma(crash, now == KDUMP_CARRYING ? WORKS : FAULTS);
}

static void test_allocation_failures(struct kunit *test)
{
	struct crash *crash = new_crash(test, false, 0);
	unsigned int n, i, blocked = 0, carried = 0;
	u64 root;

	root = translated(crash, 1, 7);
	/* More than one page table, more than one reservation, a direct mapping */
	add_legacy(crash, 1, root, SZ_1G, OLD_BUFFERS + SZ_128M, SZ_4K,
		   PTE_R | PTE_W);
	for (i = 0; i < 20; i++)
		add_legacy(crash, 1, root, SZ_2G + i * SZ_256K,
			   OLD_BUFFERS + SZ_128M + SZ_64K + i * SZ_64K, SZ_4K,
			   PTE_R | PTE_W);
	inject_begin(test);

	for (n = 1;; n++) {
		unsigned long tables = pages_of(NR_IOMMU_PAGES);
		unsigned long vmalloced = pages_of(NR_VMALLOC);
		struct device *dev;
		unsigned int j;

		set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
		KUNIT_ASSERT_EQ(test,
				kunit_iommu_add_resv_region(crash->iommu,
							    0xfd000000, SZ_64K,
							    true), 0);
		dev = add_dev(crash, 0, 1);
		crash->expect = SAFE;
		inject.seen = 0;
		inject.nth = n;
		inject.failed = false;

		/* Identity is what it must not fall back to */
		iommu_set_default_passthrough(false);
		inject_on(OWN_GFP);
		boot(crash);
		inject_off();
		iommu_set_default_translated(false);

		/* All that is allocated in here is the framework's */
		inject_on(0);
		KUNIT_EXPECT_EQ(test, iommu_device_use_default_domain(dev), 0);
		inject_off();
		iommu_device_unuse_default_domain(dev);

		check_failed_allocation(crash, dev, n);
		if (state(dev) == KDUMP_CARRYING)
			carried++;
		else
			blocked++;

		bind(crash, dev);
		for (j = 0; j < 8; j++)
			map_new(crash, dev);
		check_new(crash);
		check_failed_allocation(crash, dev, n);
		unmap_new(crash);
		crash->expect = SAFE;
		grace_over(dev);
		check_dma(crash, FAULTS);
		kunit_iommu_reset(crash->iommu);
		crash->nr_devs = 0;
		rcu_barrier();

		KUNIT_EXPECT_EQ_MSG(test, inject.nr_tracked, 0,
				    "allocation %u: leak from %pS", n,
				    inject.tracked[0].caller);
		inject.nr_tracked = 0;
		KUNIT_EXPECT_EQ_MSG(test, inject.lost, 0, "MAX_TRACKED is too low");
		KUNIT_EXPECT_EQ_MSG(test, pages_of(NR_IOMMU_PAGES), tables,
				    "allocation %u: page tables leak", n);
		KUNIT_EXPECT_EQ_MSG(test, pages_of(NR_VMALLOC), vmalloced,
				    "allocation %u: vmalloc leaks", n);
		check_end(crash);
		if (!inject.failed)
			break;
		KUNIT_ASSERT_LT(test, n, 1000);
		KUNIT_ASSERT_EQ(test, test->status, KUNIT_SUCCESS);
	}
	/* The last run has seen no failure */
	KUNIT_EXPECT_GE(test, carried, 1);
	KUNIT_EXPECT_GE(test, blocked, 5);
	kunit_info(test, "%u allocations have failed: %u times blocked, %u times carried on\n",
		   n - 1, blocked, carried - 1);
}
#else
static void test_allocation_failures(struct kunit *test)
{
	kunit_skip(test, "needs FUNCTION_ERROR_INJECTION, FAILSLAB and FAIL_PAGE_ALLOC");
}
#endif

/* The command line. It is parsed once, so all of it has to be undone. */

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
	struct device *dev = one_device(test, &crash), *late;

	set_params(test, "block", "60");
	KUNIT_EXPECT_FALSE(test, iommu_kdump_enabled());
	KUNIT_EXPECT_TRUE(test, iommu_kdump_active());
	set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	add_legacy(crash, 2, 0, SZ_16M, SZ_16M, SZ_4K, PTE_R | PTE_W);
	iommu_set_default_passthrough(false);
	boot(crash);
	iommu_set_default_translated(false);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_TRUE(test,
			  iommu_is_dma_domain(dev->iommu_group->domain));
	KUNIT_EXPECT_EQ(test, set_type(dev, "identity"), -EINVAL);
	bind(crash, dev);
	use_new(crash, dev);
	check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	/* None of it was seen: the lowest IOVAs would be given back first */
	KUNIT_EXPECT_TRUE(test,
			  iommu_dma_kdump_iova(dev->iommu_group->domain)->low);
	late = add_dev(crash, 0, 3);
	EXPECT_STATE(crash, late, KDUMP_BLOCKED);
	check_end(crash);
}

static void __init test_param_grace_never(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	set_params(test, "inherit", "never");
	boot(crash);
	bind(crash, dev);
	KUNIT_EXPECT_FALSE(test, release_is_pending(dev));
	grace_over(dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	check_dma(crash, WORKS);
	/* The driver has stopped its device, this is not about grace */
	crash->expect = SAFE;
	kunit_iommu_unbind(dev);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_end(crash);
}

static void __init test_param_grace_zero(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = one_device(test, &crash);

	set_params(test, "inherit", "0");
	boot(crash);
	check_dma(crash, WORKS);
	crash->expect = SAFE;
	bind(crash, dev);
	grace_over(dev);
	check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	check_end(crash);
}

/* What cannot be understood changes nothing */
static void __init test_param_nonsense(struct kunit *test)
{
	static char * const bad[] = { NULL, "", "off", "-1", "1h", "99999999999" };
	struct crash *crash;
	struct device *dev = one_device(test, &crash);
	unsigned int i;

	set_params(test, "inherit", "never");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		iommu_kdump_setup(bad[i]);
		iommu_kdump_grace_setup(bad[i]);
	}
	KUNIT_EXPECT_TRUE(test, iommu_kdump_enabled());
	boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	bind(crash, dev);
	KUNIT_EXPECT_FALSE(test, release_is_pending(dev));
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
	SEQ_RESET_FAILS,
	SEQ_PER_DEVICE,
	SEQ_GRACE = SEQ_PER_DEVICE,
	SEQ_CLAIM,
	SEQ_RETURN,
	SEQ_TYPE,
	SEQ_IOVA_PRESSURE,
	SEQ_NO_TABLES,
	SEQ_MAP_FAILS,
	SEQ_CHECK,
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
	[SEQ_RESET_FAILS] = "reset-fails",
	[SEQ_GRACE] = "grace-over",
	[SEQ_CLAIM] = "claim",
	[SEQ_RETURN] = "return",
	[SEQ_TYPE] = "change-type",
	[SEQ_IOVA_PRESSURE] = "iova-pressure",
	[SEQ_NO_TABLES] = "memory-pressure",
	[SEQ_MAP_FAILS] = "allocation-fails",
	[SEQ_CHECK] = "check",
};

struct seq_dev {
	struct device *dev;
	dma_addr_t iova;
	bool mapped;
	/* What the rules say about it */
	bool old;
	bool bound;
	bool quiet;
	bool resetting;
};

/* What a test is about */
struct seq_setup {
	unsigned int nr_devs;
	/* All share a requester ID */
	bool aliased;
	/* The last one had no DMA in flight */
	bool idle;
	unsigned int len;
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

static bool seq_any_resetting(struct seq *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_devs; i++)
		if (s->devs[i].dev && s->devs[i].resetting)
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
		s->state = s->crash->no_tables || s->crash->map_fails ?
			   KDUMP_BLOCKED : KDUMP_CARRYING;
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
	/* A reset holds the lock of its device */
	if (d && d->resetting && kind != SEQ_MAP && kind != SEQ_UNMAP &&
	    kind != SEQ_RESET_DONE && kind != SEQ_RESET_FAILS)
		return false;
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
		return d->dev && s->crash->machine->pci;
	case SEQ_RESET_DONE:
	case SEQ_RESET_FAILS:
		return d->dev && d->resetting;
	case SEQ_GRACE:
		return s->state == KDUMP_CARRYING;
	case SEQ_CLAIM:
	case SEQ_TYPE:
		return seq_any(s) && !s->claimed && !seq_any_bound(s) &&
		       !seq_any_resetting(s);
	case SEQ_RETURN:
		return s->claimed && !seq_any_resetting(s);
	case SEQ_IOVA_PRESSURE:
		return !s->claimed && (s->state == KDUMP_CARRYING ||
				       s->state == KDUMP_RELEASED ||
				       s->state == KDUMP_BLOCKED);
	case SEQ_NO_TABLES:
		return s->state == KDUMP_INHERITED && !s->crash->no_tables;
	case SEQ_MAP_FAILS:
		return s->state == KDUMP_INHERITED && !s->crash->map_fails;
	case SEQ_CHECK:
		return true;
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
		seq_rule_take_over(s);
		break;
	case SEQ_RESET_PREPARE:
		seq_rule_take_over(s);
		d->resetting = true;
		/* Which tries once more to attach the group, if that has failed */
		if (!s->claimed)
			s->broken = false;
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
		d->resetting = false;
		seq_rule_release(s);
		break;
	case SEQ_RESET_FAILS:
		d->resetting = false;
		break;
	case SEQ_NO_TABLES:
		s->crash->no_tables = true;
		break;
	case SEQ_MAP_FAILS:
		s->crash->map_fails = true;
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
		if (s->state == KDUMP_CARRYING) {
			s->state = KDUMP_RELEASED;
			s->pending = false;
		}
		if (s->state != KDUMP_INHERITED)
			s->broken = false;
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

/* Requester IDs without a device, or whose devices are being reset, are blocked */
static void seq_mark_gone(struct seq *s, const struct seq_dev *leaving)
{
	struct crash *crash = s->crash;
	unsigned int i, j;

	for (i = 0; i < crash->nr_legacy; i++) {
		crash->legacy[i].refused = true;
		for (j = 0; j < s->nr_devs; j++)
			if (s->devs[j].dev && &s->devs[j] != leaving &&
			    !s->devs[j].resetting &&
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
		if (reset_prepare(d->dev))
			s->error = "reset refused";
		break;
	case SEQ_RESET_DONE:
	case SEQ_RESET_FAILS:
		reset_done(d->dev, kind == SEQ_RESET_DONE);
		break;
	case SEQ_CHECK:
		iommu_kdump_check_driverless();
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

/* What hardware is told, apart from what comes of it */
static void seq_check_entries(struct seq *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_devs; i++) {
		struct kunit_iommu_entry entry;
		bool inherited = s->state == KDUMP_INHERITED;
		struct seq_dev *d = &s->devs[i];
		bool old;

		if (!d->dev)
			continue;
		kunit_iommu_get_entry(s->crash->iommu, seq_rid(s, d), &entry);
		old = entry.mode == KUNIT_IOMMU_PAGING && entry.root == OLD_RAM;
		/* G1 */
		if (entry.mode == KUNIT_IOMMU_IDENTITY)
			s->error = "DMA is not translated";
		/* G6 */
		if (old != inherited)
			s->error = old ? "the old tables are still used" :
					 "the old tables are not used any more";
		/* G4: what is cached under the old ID is not the new domain's */
		if (entry.mode == KUNIT_IOMMU_PAGING && !old && entry.id == 7 &&
		    kunit_iommu_cached(s->crash->iommu, 7, 0xffffe000))
			s->error = "the old ID is used while it is cached";
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

		if (!d->mapped || s->broken || seq_any_resetting(s))
			continue;
		if (kunit_iommu_dev_dma(d->dev, d->iova, true, &phys) ||
		    phys != virt_to_phys(s->buf))
			s->error = "a new mapping does not work";
	}
	seq_check_entries(s);
	/* G8 */
	if (memcmp(crash->snapshot, crash->tables,
		   crash->nr_tables * PAGE_SIZE))
		s->error = "old memory was written";
	if (crash->maps)
		s->error = "old memory is still mapped";
}

static void seq_boot(struct seq *s, const struct seq_setup *setup)
{
	struct crash *crash = s->crash;
	unsigned int i;

	memset(s->devs, 0, sizeof(s->devs));
	s->nr_devs = setup->nr_devs;
	s->aliased = setup->aliased;
	s->state = KDUMP_INHERITED;
	s->pending = false;
	s->claimed = false;
	s->degraded = false;
	s->broken = false;
	s->error = NULL;
	crash->forgotten = false;
	crash->no_tables = false;
	crash->map_fails = false;
	crash->failures = 0;
	crash->nr_legacy = 0;
	crash->nr_devs = 0;
	crash->expect = SAFE;

	for (i = 0; i < s->nr_devs; i++) {
		u32 rid = seq_rid(s, &s->devs[i]);

		s->devs[i].dev = add_dev(crash, 0, rid);
		s->devs[i].old = true;
		if (setup->idle && i == s->nr_devs - 1) {
			set_command(s->devs[i].dev, 0);
			s->devs[i].quiet = true;
		}
		if (i && s->aliased)
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

static void seq_shutdown(struct seq *s)
{
	unsigned int i;

	/* After a failure it is not known what it has to undo */
	for (i = 0; i < s->nr_devs && !s->error; i++)
		if (s->devs[i].dev && s->devs[i].resetting)
			reset_done(s->devs[i].dev, true);
	if (s->claimed && seq_any(s))
		iommu_group_release_dma_owner(seq_any(s)->iommu_group);
	kunit_iommu_reset(s->crash->iommu);
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

/* The first event from @event on that is possible now, U32_MAX if there is none */
static unsigned int seq_next(struct seq *s, unsigned int event)
{
	unsigned int total = seq_events(s->nr_devs);
	enum seq_kind kind;
	struct seq_dev *d;

	for (; event < total; event++) {
		seq_decode(s, event, &kind, &d);
		if (seq_possible(s, kind, d))
			return event;
	}
	return U32_MAX;
}

static void seq_step(struct seq *s, unsigned int event)
{
	enum expect before = seq_expect(s);
	enum seq_kind kind;
	struct seq_dev *d;
	struct device *dev;
	bool gone = false;

	seq_decode(s, event, &kind, &d);
	if (kind == SEQ_REMOVE) {
		dev = d->dev;
		d->dev = NULL;
		gone = !seq_any(s);
		d->dev = dev;
	}
	seq_rule(s, kind, d, gone);
	if (kind == SEQ_REMOVE || kind == SEQ_RESET_PREPARE)
		seq_mark_gone(s, kind == SEQ_REMOVE ? d : NULL);
	/* If it works before and after, it works at all times between */
	s->crash->expect = before == WORKS && seq_expect(s) == WORKS ?
			   WORKS : SAFE;
	seq_do(s, kind, d);
	if (kind == SEQ_ADD || kind == SEQ_RESET_DONE ||
	    kind == SEQ_RESET_FAILS)
		seq_mark_gone(s, NULL);
	if (!s->error)
		seq_check(s);
}

/*
 * Run one sequence. An event that is not possible where it stands in @events
 * gives way to the next one that is. @next is set to the one after that, for each
 * place. Returns how many events there were.
 */
static unsigned int seq_run(struct seq *s, unsigned int *events,
			    unsigned int *next, const struct seq_setup *setup)
{
	unsigned int i;

	seq_boot(s, setup);
	for (i = 0; i < setup->len && !s->error; i++) {
		events[i] = seq_next(s, events[i]);
		if (events[i] == U32_MAX)
			break;
		next[i] = seq_next(s, events[i] + 1);
		seq_step(s, events[i]);
	}
	if (s->error)
		seq_report(s, events, i);
	seq_shutdown(s);
	return i;
}

static unsigned int longer;
module_param(longer, uint, 0444);
MODULE_PARM_DESC(longer, "Events to add to each sequence");

static void sequences(struct kunit *test, struct seq_setup setup)
{
	unsigned int events[SEQ_MAX] = {}, next[SEQ_MAX];
	unsigned int run = 0, steps = 0, failed = 0, i;
	struct crash *crash = new_crash(test, false, 0);
	ktime_t start = ktime_get();
	struct seq *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	setup.len += longer;
	KUNIT_ASSERT_LE(test, setup.len, SEQ_MAX);
	s->crash = crash;
	s->buf = kunit_kzalloc(test, SZ_8K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->buf);
	KUNIT_ASSERT_EQ(test, new_old_table(crash), OLD_RAM);
	old_map(crash, OLD_RAM, 0xffffe000, OLD_BUFFERS, SZ_4K, PTE_R | PTE_W);
	old_map(crash, OLD_RAM, 0xfff80000, OLD_BUFFERS + SZ_64K, SZ_64K,
		PTE_R);

	do {
		i = seq_run(s, events, next, &setup);
		run++;
		steps += i;
		if (s->error && ++failed == 5)
			break;
		memset(events + i, 0, (setup.len - i) * sizeof(*events));
		while (i && next[i - 1] == U32_MAX)
			events[--i] = 0;
		if (i)
			events[i - 1] = next[i - 1];
		cond_resched();
	} while (i);
	check_end(crash);
	kunit_info(test, "ran %u times %u events, %u in all, in %llu ms: %u device(s)%s%s\n",
		   run, setup.len, steps, ktime_ms_delta(ktime_get(), start),
		   setup.nr_devs,
		   setup.aliased ? ", aliased" : "",
		   setup.idle ? ", the last one idle" : "");
}

static void test_sequences_one_device(struct kunit *test)
{
	static const struct seq_setup setup = {
		.nr_devs = 1,
		.len = 3,
	};

	sequences(test, setup);
}

static void test_sequences_two_devices(struct kunit *test)
{
	static const struct seq_setup setup = {
		.nr_devs = 2,
		.len = 2,
	};

	sequences(test, setup);
}

static void test_sequences_two_aliased(struct kunit *test)
{
	static const struct seq_setup setup = {
		.nr_devs = 2,
		.len = 2,
		.aliased = true,
	};

	sequences(test, setup);
}

static void test_sequences_two_one_idle(struct kunit *test)
{
	static const struct seq_setup setup = {
		.nr_devs = 2,
		.len = 2,
		.idle = true,
	};

	sequences(test, setup);
}

static void test_sequences_three_devices(struct kunit *test)
{
	static const struct seq_setup setup = {
		.nr_devs = 3,
		.len = 2,
	};

	sequences(test, setup);
}

static void test_sequences_three_aliased(struct kunit *test)
{
	static const struct seq_setup setup = {
		.nr_devs = 3,
		.len = 2,
		.aliased = true,
	};

	sequences(test, setup);
}

static struct kunit_case kdump_transition_cases[] = {
	KUNIT_CASE_PARAM(test_no_crash, machine_gen_params),
	KUNIT_CASE_PARAM(test_none_nothing_inherited, machine_gen_params),
	KUNIT_CASE_PARAM(test_join_inherits, machine_gen_params),
	KUNIT_CASE_PARAM(test_probe_carries, machine_gen_params),
	KUNIT_CASE_PARAM(test_grace_releases, machine_gen_params),
	KUNIT_CASE_PARAM(test_probe_failed_releases_nothing, machine_gen_params),
	KUNIT_CASE_PARAM(test_unbind_releases, machine_gen_params),
	KUNIT_CASE_PARAM(test_remove_inherited, machine_gen_params),
	KUNIT_CASE_PARAM(test_remove_carrying, machine_gen_params),
	KUNIT_CASE_PARAM(test_replug, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_driverless_holds, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_driverless_removed, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_aliased, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_two_tables, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_same_mapping_twice, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_contradiction_blocks, machine_gen_params),
	KUNIT_CASE_PARAM(test_blocked_keeps_direct_region, machine_gen_params),
	KUNIT_CASE_PARAM(test_group_identity_and_paging_blocks, machine_gen_params),
	KUNIT_CASE_PARAM(test_late_join, machine_gen_params),
	KUNIT_CASE_PARAM(test_two_groups, machine_gen_params),
	KUNIT_CASE_PARAM(test_refused_entry, machine_gen_params),
	KUNIT_CASE_PARAM(test_refused_table, machine_gen_params),
	KUNIT_CASE_PARAM(test_refused_loop, machine_gen_params),
	KUNIT_CASE_PARAM(test_refused_fan_out, machine_gen_params),
	KUNIT_CASE_PARAM(test_refused_pages, machine_gen_params),
	KUNIT_CASE_PARAM(test_any_leaves, machine_gen_params),
	KUNIT_CASE_PARAM(test_wiped_top, machine_gen_params),
	KUNIT_CASE_PARAM(test_wiped_leaves, machine_gen_params),
	KUNIT_CASE_PARAM(test_wiped_entry, machine_gen_params),
	KUNIT_CASE(test_wiped_no_room),
	KUNIT_CASE(test_blocked_without_room),
	KUNIT_CASE_PARAM(test_not_present, machine_gen_params),
	KUNIT_CASE_PARAM(test_refused_reserved, machine_gen_params),
	/* Sizes of AMD's large pages are in the address: none is misaligned */
	KUNIT_CASE(test_bad_entry_reserved),
	KUNIT_CASE_PARAM(test_released_shared, machine_gen_params),
	KUNIT_CASE_PARAM(test_contiguous_permissions, machine_gen_params),
	KUNIT_CASE_PARAM(test_report_garbage, machine_gen_params),
	KUNIT_CASE(test_reserve_gaps),
	KUNIT_CASE_PARAM(test_identity, machine_gen_params),
	KUNIT_CASE_PARAM(test_not_live, machine_gen_params),
	KUNIT_CASE_PARAM(test_identity_without_header, machine_gen_params),
	KUNIT_CASE_PARAM(test_driver_wants_identity, machine_gen_params),
	KUNIT_CASE_PARAM(test_ownership_claimed_inherited, machine_gen_params),
	KUNIT_CASE_PARAM(test_ownership_claimed_carrying, machine_gen_params),
	KUNIT_CASE_PARAM(test_sysfs_state, machine_gen_params),
	KUNIT_CASE_PARAM(test_type_identity_refused, machine_gen_params),
	KUNIT_CASE_PARAM(test_type_changed_carrying, machine_gen_params),
	KUNIT_CASE_PARAM(test_attach_fails, machine_gen_params),
	KUNIT_CASE_PARAM(test_iova_pressure_carrying, machine_gen_params),
	KUNIT_CASE_PARAM(test_iova_pressure_released, machine_gen_params),
	KUNIT_CASE_PARAM(test_direct_region, machine_gen_params),
	KUNIT_CASE_PARAM(test_tables_counted, machine_gen_params),
	KUNIT_CASE_PARAM(test_memory_pressure, machine_gen_params),
	KUNIT_CASE_PARAM(test_out_of_memory, machine_gen_params),
	KUNIT_CASE_PARAM(test_status_table, machine_gen_params),
	KUNIT_CASE_PARAM(test_trace, machine_gen_params),
	KUNIT_CASE_PARAM(test_map_old_fails, machine_gen_params),
	KUNIT_CASE_PARAM(test_iova_pressure_order, machine_gen_params),
	KUNIT_CASE_PARAM(test_stray_access, machine_gen_params),
	KUNIT_CASE_PARAM(test_type_changed_keeps_reservation, machine_gen_params),
	KUNIT_CASE_PARAM(test_type_changed_inherited, machine_gen_params),
	KUNIT_CASE_PARAM(test_type_changed_blocked, machine_gen_params),
	KUNIT_CASE_PARAM(test_check_good, machine_gen_params),
	KUNIT_CASE_PARAM(test_check_without_memory, machine_gen_params),
	KUNIT_CASE_PARAM(test_check_crash_memory, machine_gen_params),
	KUNIT_CASE_PARAM(test_check_beyond, machine_gen_params),
	KUNIT_CASE_PARAM(test_check_corrupt, machine_gen_params),
	KUNIT_CASE_PARAM(test_check_carrying, machine_gen_params),
	KUNIT_CASE_PARAM(test_allocation_failures, machine_gen_params),
	KUNIT_CASE_PARAM(test_no_master_does_not_hold, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_bridge_does_not_hold, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_blocked_master_is_cleared, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_carried_master_is_left_alone, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_reset_inherited, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_reset_failed, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_reset_carrying, pci_machine_gen_params),
	KUNIT_CASE_PARAM(test_function_level_reset, pci_machine_gen_params),
	{}
};

static struct kunit_suite kdump_transition_suite = {
	.name = "iommu_kdump",
	.test_cases = kdump_transition_cases,
};

#define SEQ_CASE(test, gen)					\
	KUNIT_CASE_PARAM_ATTR(test, gen,			\
			      ((struct kunit_attributes){	\
				      .speed = KUNIT_SPEED_SLOW }))

/* As long as everything else together: a suite that can be left out, or run beside */
static struct kunit_case kdump_sequence_cases[] = {
	SEQ_CASE(test_sequences_one_device, machine_gen_params),
	SEQ_CASE(test_sequences_two_devices, machine_gen_params),
	SEQ_CASE(test_sequences_two_aliased, machine_gen_params),
	SEQ_CASE(test_sequences_two_one_idle, pci_machine_gen_params),
	SEQ_CASE(test_sequences_three_devices, machine_gen_params),
	SEQ_CASE(test_sequences_three_aliased, machine_gen_params),
	{}
};

static struct kunit_suite kdump_sequence_suite = {
	.name = "iommu_kdump_sequences",
	.test_cases = kdump_sequence_cases,
};

static struct kunit_case __refdata kdump_param_cases[] = {
	KUNIT_CASE(test_param_block),
	KUNIT_CASE(test_param_grace_never),
	KUNIT_CASE(test_param_grace_zero),
	KUNIT_CASE(test_param_nonsense),
	{}
};

static struct kunit_suite kdump_param_suite = {
	.name = "iommu_kdump_params",
	.test_cases = kdump_param_cases,
};

kunit_test_suites(&kdump_transition_suite, &kdump_sequence_suite);
kunit_test_init_section_suite(kdump_param_suite);
