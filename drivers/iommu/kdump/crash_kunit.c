// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: a crashed kernel that is made up
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

static const struct machine machines[] = {
	{ "vtdss", KUNIT_IOMMU_VTDSS, false },
	{ "amdv1", KUNIT_IOMMU_AMDV1, false },
	{ "vtdss-pci", KUNIT_IOMMU_VTDSS, true },
	{ "vtdss-plain", KUNIT_IOMMU_VTDSS, false, true },
	{ "amdv1-plain", KUNIT_IOMMU_AMDV1, false, true },
	{ "riscv64", KUNIT_IOMMU_RISCV64, false },
#ifdef CONFIG_IOMMU_IO_PGTABLE_LPAE
	{ "armv8", KUNIT_IOMMU_ARMV8, false },
#endif
};

KUNIT_ARRAY_PARAM_DESC(machine, machines, name);

static const struct machine pci_machines[] = {
	{ "vtdss-pci", KUNIT_IOMMU_VTDSS, true },
	{ "amdv1-pci", KUNIT_IOMMU_AMDV1, true },
	{ "vtdss-pci-plain", KUNIT_IOMMU_VTDSS, true, true },
};

KUNIT_ARRAY_PARAM_DESC(pci_machine, pci_machines, name);

const void *crash_machines(struct kunit *test, const void *prev, char *desc)
{
	return machine_gen_params(test, prev, desc);
}

const void *crash_pci_machines(struct kunit *test, const void *prev, char *desc)
{
	return pci_machine_gen_params(test, prev, desc);
}

/* For the callbacks that have no argument for it; one test runs at a time */
struct crash *the_crash;

struct crash_silenced crash_silenced;

static bool fake_active(void)
{
	return !the_crash || the_crash->kdump_kernel;
}

/* The silence() of an IOMMU driver, for tests of what the core asks for */
void crash_silence(struct iommu_kdump_entries *entries, u32 id)
{
	crash_silenced.nr++;
	crash_silenced.id = id;
}

/* This is a crash kernel, as long as a crash that is made up does not say otherwise */
void crash_begin_kdump_kernel(struct kunit *test)
{
	kunit_activate_static_stub(test, iommu_kdump_active, fake_active);
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

static const void *map_old(phys_addr_t phys, u64 size)
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

u64 *crash_table(struct crash *crash, u64 phys)
{
	return crash->tables + (phys - OLD_RAM);
}

u64 crash_new_table(struct crash *crash)
{
	KUNIT_ASSERT_LT(crash->test, crash->nr_tables, OLD_TABLES);
	return OLD_RAM + crash->nr_tables++ * PAGE_SIZE;
}

/* An entry at @level, where 0 is the lowest, that points to a lower table */
u64 crash_table_entry(struct crash *crash, u64 table, unsigned int level)
{
	switch (crash->machine->format) {
	case KUNIT_IOMMU_AMDV1:
		return AMD_PR | AMD_IR | AMD_IW | AMD_LEVEL(level) | table;
	case KUNIT_IOMMU_RISCV64:
		return table >> 2 | RISCV_V;
	case KUNIT_IOMMU_ARMV8:
		return table | ARMV8_VALID | ARMV8_TABLE;
	default:
		return table | PTE_R | PTE_W;
	}
}

/* What an entry with @prot really allows: on RISC-V and Arm what can be written can be read */
u64 crash_prot(struct crash *crash, u64 prot)
{
	if ((crash->machine->format == KUNIT_IOMMU_RISCV64 ||
	     crash->machine->format == KUNIT_IOMMU_ARMV8) && (prot & PTE_W))
		prot |= PTE_R;
	return prot;
}

u64 crash_leaf_entry(struct crash *crash, u64 phys, u64 prot,
		     unsigned int level)
{
	prot = crash_prot(crash, prot);
	switch (crash->machine->format) {
	case KUNIT_IOMMU_AMDV1:
		return AMD_PR | (prot & PTE_R ? AMD_IR : 0) |
		       (prot & PTE_W ? AMD_IW : 0) | phys;
	case KUNIT_IOMMU_RISCV64:
		return phys >> 2 | RISCV_V | RISCV_LEAF |
		       (prot & PTE_R ? RISCV_R : 0) |
		       (prot & PTE_W ? RISCV_W : 0);
	case KUNIT_IOMMU_ARMV8:
		return phys | ARMV8_VALID | (level ? 0 : ARMV8_TABLE) |
		       ARMV8_AF | (prot & PTE_R ? ARMV8_UNPRIV : 0) |
		       (prot & PTE_W ? 0 : ARMV8_RDONLY);
	default:
		return phys | prot | (level ? PTE_PS : 0);
	}
}

/* Where an entry leads */
u64 crash_entry_addr(struct crash *crash, u64 entry)
{
	if (crash->machine->format == KUNIT_IOMMU_RISCV64)
		return (entry & RISCV_PPN) << 2;
	return entry & PTE_ADDR;
}

u64 *crash_pte(struct crash *crash, u64 root, unsigned int levels, u64 iova,
	       unsigned int at_level)
{
	unsigned int level;
	u64 table = root;

	for (level = levels - 1;; level--) {
		u64 *pte = crash_table(crash, table) +
			   ((iova >> (PAGE_SHIFT + 9 * level)) & 511);

		if (level == at_level)
			return pte;
		if (!*pte)
			*pte = crash_table_entry(crash, crash_new_table(crash),
						 level);
		table = crash_entry_addr(crash, *pte);
	}
}

void crash_map(struct crash *crash, u64 root, u64 iova, u64 phys, u64 size,
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
		*crash_pte(crash, root, 4, iova + done, level) =
			crash_leaf_entry(crash, phys + done, prot, level);
		done += step;
	}
}

struct legacy *crash_add_legacy(struct crash *crash, u32 rid, u64 root,
				u64 iova, u64 phys, u64 size, u64 prot)
{
	struct legacy *l = &crash->legacy[crash->nr_legacy++];

	KUNIT_ASSERT_LE(crash->test, crash->nr_legacy, MAX_LEGACY);
	*l = (struct legacy){
		.rid = rid,
		.iova = iova,
		.phys = phys,
		.size = size,
		.prot = crash_prot(crash, prot),
	};
	if (root)
		crash_map(crash, root, iova, phys, size, prot);
	return l;
}

void crash_set_entry(struct crash *crash, u32 rid, enum kunit_iommu_mode mode,
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
u64 crash_translated(struct crash *crash, u32 rid, u16 id)
{
	u64 root = crash_new_table(crash), phys = OLD_BUFFERS + rid * SZ_16M;
	unsigned int i;

	crash_set_entry(crash, rid, KUNIT_IOMMU_PAGING, root, id);
	for (i = 0; i < 4; i++)
		crash_add_legacy(crash, rid, root, 0xfffff000 - i * SZ_4K,
				 phys + i * 3 * SZ_4K, SZ_4K, PTE_R | PTE_W);
	crash_add_legacy(crash, rid, root, 0xfff80000, phys + SZ_64K, SZ_64K,
			 PTE_R);
	crash_add_legacy(crash, rid, root, 0xffee0000, phys + SZ_128K, SZ_8K,
			 PTE_W);
	crash_add_legacy(crash, rid, root, 0xff800000, phys + SZ_2M, SZ_2M,
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

void crash_dma(struct crash *crash)
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
	struct crash *crash = kunit_iommu_priv(iommu);

	crash->flushes += step == KUNIT_IOMMU_IOTLB_FLUSHED;
	crash_dma(crash);
}

/* Issue it now, and look at what happened to it at all steps until now */
void crash_check_dma(struct crash *crash, enum expect expect)
{
	crash->expect = expect;
	crash_dma(crash);
	if (crash->failures) {
		KUNIT_FAIL(crash->test, "%s (%u such failures)", crash->failure,
			   crash->failures);
		crash->failures = 0;
	}
}

/* The crash kernel */

struct device *crash_add_dev(struct crash *crash, unsigned int group, u32 rid)
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

void crash_boot(struct crash *crash)
{
	if (crash->tables)
		memcpy(crash->snapshot, crash->tables, OLD_TABLES * PAGE_SIZE);
	KUNIT_ASSERT_EQ(crash->test, kunit_iommu_register(crash->iommu), 0);
}

enum iommu_kdump_state crash_state(struct device *dev)
{
	struct iommu_group *group = dev->iommu_group;

	if (!group)
		return KDUMP_NONE;
	guard(mutex)(&group->mutex);
	return group->kdump ? group->kdump->state : KDUMP_NONE;
}

void crash_bind(struct crash *crash, struct device *dev)
{
	KUNIT_ASSERT_EQ(crash->test, kunit_iommu_bind(dev, NULL), 0);
}

int crash_probe_fails(struct device *dev)
{
	return -EIO;
}

/* No device is left, no group, and nothing of theirs: what follows is another machine */
void crash_power_off(struct crash *crash)
{
	kunit_iommu_reset(crash->iommu);
	crash->nr_devs = 0;
	rcu_barrier();
}

void crash_grace_over(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (group && group->kdump)
		flush_delayed_work(&group->kdump->release_work);
	iommu_group_put(group);
}

bool crash_release_is_pending(struct device *dev)
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
bool crash_overlaps_legacy(struct crash *crash, struct device *dev, u64 iova,
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
void crash_map_new(struct crash *crash, struct device *dev)
{
	struct new_map *new = &crash->new[crash->nr_new];

	KUNIT_ASSERT_LT(crash->test, crash->nr_new, MAX_NEW);
	new->buf = kunit_kzalloc(crash->test, SZ_8K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(crash->test, new->buf);
	new->dev = dev;
	new->iova = dma_map_single(dev, new->buf, SZ_8K, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(crash->test, dma_mapping_error(dev, new->iova));
	crash->nr_new++;
	KUNIT_EXPECT_FALSE_MSG(crash->test,
			       !crash->forgotten &&
				       crash_overlaps_legacy(crash, dev,
							     new->iova, SZ_8K),
			       "old IOVA %pad handed out", &new->iova);
}

void crash_check_new(struct crash *crash)
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

void crash_unmap_new(struct crash *crash)
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
void crash_use_new(struct crash *crash, struct device *dev)
{
	unsigned int i;

	for (i = 0; i < 40; i++)
		crash_map_new(crash, dev);
	crash_check_new(crash);
}

/* What must hold at the end of each test */
void crash_check_end(struct crash *crash)
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
static bool low_unless_reserved(const struct iommu_kdump_iova *old)
{
	return old->low && !old->reserved.nr;
}

/* A machine as @wanted, or as most are; a parametrised test says on which hardware */
struct crash *crash_new(struct kunit *test,
			const struct kunit_iommu_config *wanted)
{
	const struct machine *machine = test->param_value ?: &machines[0];
	struct kunit_iommu_config config = {};
	struct crash *crash = kunit_kzalloc(test, sizeof(*crash), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, crash);
	if (wanted)
		config = *wanted;
	config.format = machine->format;
	config.plain_domains = machine->plain;
	config.pci = machine->pci;
	config.step = dma_at_step;
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
	crash_begin_kdump_kernel(test);
	kunit_activate_static_stub(test, iommu_kdump_table_budget, fake_budget);
	kunit_activate_static_stub(test, iommu_kdump_wants_low,
				   low_unless_reserved);
	crash->iommu = kunit_iommu_create(test, &config);
	if (PTR_ERR_OR_ZERO(crash->iommu) == -EOPNOTSUPP)
		kunit_skip(test, "no PCI devices of the kind that are made up");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crash->iommu);
	kunit_iommu_set_memory(crash->iommu, OLD_RAM, crash->tables,
			       OLD_TABLES * PAGE_SIZE);
	return crash;
}

/* Most tests: one device with old DMA, in a group of its own */
struct device *crash_one_device(struct kunit *test, struct crash **crash)
{
	*crash = crash_new(test, NULL);
	crash_translated(*crash, 1, 7);
	return crash_add_dev(*crash, 0, 1);
}

/* What "echo TYPE > /sys/kernel/iommu_groups/<n>/type" does */
ssize_t crash_set_type(struct device *dev, const char *type)
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

void crash_set_command(struct device *dev, u16 command)
{
	pci_write_config_word(to_pci_dev(dev), PCI_COMMAND, command);
}

int crash_reset_prepare(struct device *dev)
{
	return pci_dev_reset_iommu_prepare(to_pci_dev(dev));
}

/* Afterwards the driver sets its device up again */
void crash_reset_done(struct device *dev, bool success)
{
	crash_set_command(dev, success ? 0 : PCI_COMMAND_MASTER);
	pci_dev_reset_iommu_done(to_pci_dev(dev));
	crash_set_command(dev, PCI_COMMAND_MASTER);
}
