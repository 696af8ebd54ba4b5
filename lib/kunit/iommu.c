// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit-managed IOMMU
 *
 * A model of an IOMMU: a table of context entries, one per requester ID, page
 * tables, and two caches (of context entries and of translations) that go stale
 * unless they are flushed. Its driver is an ordinary IOMMU driver with page tables
 * of generic_pt, registered with the real IOMMU core for a bus of its own; devices
 * and drivers on that bus go through the driver core, and the DMA API for them is
 * the real one. What a device would reach is asked of the model, not of the driver.
 *
 * The devices may also be PCI devices, on a host bridge with a configuration space
 * that is made up. Then it is the IOMMU of the whole machine, as those of the big
 * vendors are, and has nothing to do with other devices.
 *
 * How its driver opts in to the crashdump framework is in iommu-kdump.c.
 */

#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/generic_pt/iommu.h>
#include <linux/hashtable.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/io-pgtable.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "iommu-kdump.h"
#include "iommu-pages.h"
#include "iommu-plain.h"
#include "iommu-priv.h"

/* Second stage of VT-d, as hardware reads it */
#define HW_READ		BIT_ULL(0)
#define HW_WRITE	BIT_ULL(1)
#define HW_LARGE	BIT_ULL(7)
#define HW_ADDR		GENMASK_ULL(51, 12)

/* Host table of the AMD IOMMU */
#define AMDV1_PRESENT		BIT_ULL(0)
#define AMDV1_NEXT_LEVEL	GENMASK_ULL(11, 9)
#define AMDV1_READ		BIT_ULL(61)
#define AMDV1_WRITE		BIT_ULL(62)
/* The size is in the address */
#define AMDV1_LARGE		7

/* First stage of RISC-V */
#define RISCV_V			BIT_ULL(0)
#define RISCV_R			BIT_ULL(1)
#define RISCV_W			BIT_ULL(2)
#define RISCV_X			BIT_ULL(3)
#define RISCV_U			BIT_ULL(4)
#define RISCV_A			BIT_ULL(6)
#define RISCV_D			BIT_ULL(7)
#define RISCV_PPN		GENMASK_ULL(53, 10)
/* Where there is no Svpbmt either */
#define RISCV_RESERVED		GENMASK_ULL(62, 54)
/* 16 pages, whose number is in the lowest bits of that of the page: 8 */
#define RISCV_N			BIT_ULL(63)
#define RISCV_NAPOT		16

/* First stage of Arm */
#define ARMV8_VALID		BIT_ULL(0)
#define ARMV8_TABLE		BIT_ULL(1)
#define ARMV8_UNPRIV		BIT_ULL(6)
#define ARMV8_RDONLY		BIT_ULL(7)
#define ARMV8_AF		BIT_ULL(10)
#define ARMV8_ADDR		GENMASK_ULL(47, 12)
#define ARMV8_RESERVED		GENMASK_ULL(50, 48)
/* Of a table */
#define ARMV8_PRIV_BELOW	BIT_ULL(61)
#define ARMV8_RDONLY_BELOW	BIT_ULL(62)

#define HW_LEVELS	4
#define HW_VA_BITS	48

/* What no driver knows */
#define CLIENT_VENDOR	PCI_VENDOR_ID_REDHAT
#define CLIENT_DEVICE	0xfff0
/* Where their capabilities are, and where their configuration space ends */
#define CFG_EXP		0x40
#define CFG_ATS		0x100
#define CFG_SIZE	0x108
/* Far from those of real host bridges */
#define CLIENT_DOMAIN	0x10000

#define MAX_MEMORY	4
#define MAX_RESV	4

/* A bus in a domain of its own: that is up to us on x86, and to the PCI core on UML */
#if defined(CONFIG_PCI) && (defined(CONFIG_X86) || defined(CONFIG_UML))
#define KUNIT_IOMMU_PCI
#ifdef CONFIG_UML
struct pci_sysdata {
	int domain;
	int node;
};

#define to_pci_sysdata(bus)	((struct pci_sysdata *)(bus)->sysdata)
#endif
#endif

struct kunit_iommu {
	struct kunit *test;
	struct kunit_iommu_config config;
	struct kunit_iommu_stats stats;
	struct bus_type bus;
	struct device_driver driver;
	struct device *hwdev;
#ifdef KUNIT_IOMMU_PCI
	struct pci_driver pci_driver;
	struct pci_sysdata pci_sysdata;
	struct pci_bus *pci_bus;
	struct pci_host_bridge *pci_bridge;
	struct kunit_iommu_device *slots[KUNIT_IOMMU_NUM_RIDS];
#endif
	struct iommu_device iommu_dev;
	struct notifier_block nb;
	struct ida domain_ids;
	struct list_head devices;
	unsigned int next_dev;
	unsigned int fail_attach;
	unsigned int violations;
	bool sysfs_added;
	bool registered;

	/* Memory that only hardware sees */
	struct {
		phys_addr_t phys;
		void *vaddr;
		size_t size;
	} memory[MAX_MEMORY];
	unsigned int nr_memory;

	struct {
		phys_addr_t start;
		size_t length;
		enum iommu_resv_type type;
	} resv[MAX_RESV];
	unsigned int nr_resv;

	/* The hardware. The lock stands for its atomicity. */
	spinlock_t lock;
	bool translating;
	struct kunit_iommu_entry *entries;
	struct kunit_iommu_entry *context_cache;
	unsigned long *context_cached;
	DECLARE_HASHTABLE(iotlb, 8);
	struct list_head plain_domains;

	/* What the driver has found when it took over from a crashed kernel */
	struct iommu_kdump_entries old;
	struct iommu_kdump_ids old_ids;
};

struct kunit_iommu_device {
	/* Not used for a PCI device */
	struct device own;
	struct device *dev;
	struct kunit_iommu *iommu;
	struct list_head node;
	int (*probe)(struct device *dev);
	unsigned int group;
	unsigned int num_rids;
	u32 rids[KUNIT_IOMMU_DEV_RIDS];
	u64 dma_mask;
	/* Attached to something that lets DMA through */
	bool attached;
	/* No paging domain can be attached */
	bool fails;
	/* A paging domain, or NULL */
	struct kunit_iommu_domain *domain;
#ifdef KUNIT_IOMMU_PCI
	u8 cfg[CFG_SIZE] __aligned(4);
#endif
};

struct kunit_iommu_domain {
	union {
		struct iommu_domain domain;
		struct pt_iommu_vtdss vtdss;
		struct pt_iommu_amdv1 amdv1;
		struct pt_iommu_riscv_64 riscv64;
	};
	/* Instead of those, in the list of the IOMMU that hardware looks at */
	struct kunit_iommu_plain plain;
	/* Or this */
	struct io_pgtable_ops *armv8;
	phys_addr_t armv8_root;
	struct list_head node;
	struct kunit_iommu *iommu;
	/* Protects the top of the table and who is told about it */
	spinlock_t top_lock;
	u16 id;
};
PT_IOMMU_CHECK_DOMAIN(struct kunit_iommu_domain, vtdss.iommu, domain);
PT_IOMMU_CHECK_DOMAIN(struct kunit_iommu_domain, amdv1.iommu, domain);
PT_IOMMU_CHECK_DOMAIN(struct kunit_iommu_domain, riscv64.iommu, domain);

struct iotlb_entry {
	struct hlist_node node;
	u16 id;
	u64 iova_pfn;
	u64 pfn;
	u64 prot;
};

static void free_device(struct device *dev);

#ifdef KUNIT_IOMMU_PCI
static struct pci_ops pci_cfg_ops;

static struct kunit_iommu_device *pci_to_kdev(struct pci_bus *bus,
					      unsigned int devfn)
{
	struct kunit_iommu *iommu;

	if (bus->ops != &pci_cfg_ops || devfn >= KUNIT_IOMMU_NUM_RIDS)
		return NULL;
	iommu = container_of(to_pci_sysdata(bus), struct kunit_iommu,
			     pci_sysdata);
	return iommu->slots[devfn];
}
#endif

/* NULL if the device belongs to somebody else */
static struct kunit_iommu_device *to_kdev(const struct device *dev)
{
	if (dev->release == free_device)
		return container_of(dev, struct kunit_iommu_device, own);
#ifdef KUNIT_IOMMU_PCI
	if (dev_is_pci(dev))
		return pci_to_kdev(to_pci_dev(dev)->bus,
				   to_pci_dev(dev)->devfn);
#endif
	return NULL;
}

static struct kunit_iommu_domain *to_kdomain(struct iommu_domain *domain)
{
	return container_of(domain, struct kunit_iommu_domain, domain);
}

/* Hardware */

static void step(struct kunit_iommu *iommu, enum kunit_iommu_step what)
{
	if (iommu->config.step)
		iommu->config.step(iommu, what);
}

static const u64 *hw_memory(struct kunit_iommu *iommu, phys_addr_t phys)
{
	unsigned int i;

	for (i = 0; i < iommu->nr_memory; i++) {
		if (phys >= iommu->memory[i].phys &&
		    phys - iommu->memory[i].phys < iommu->memory[i].size)
			return iommu->memory[i].vaddr +
			       (phys - iommu->memory[i].phys);
	}
	return pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}

/* Of a page table: the entry at the lowest bits of @index */
static bool hw_read_entry(struct kunit_iommu *iommu, phys_addr_t table,
			  u64 index, u64 *pte)
{
	const u64 *ptes = hw_memory(iommu, table);

	if (!ptes)
		return false;
	/* Hardware reads what it is told to, also where it is free */
	*pte = READ_ONCE_NOCHECK(ptes[index & 511]);
	return true;
}

static int hw_walk_vtdss(struct kunit_iommu *iommu,
			 const struct kunit_iommu_entry *entry, u64 iova,
			 u64 *pfn, u64 *prot)
{
	phys_addr_t table = entry->root;
	unsigned int level = entry->levels;
	u64 pte;

	*prot = HW_READ | HW_WRITE;
	if (level < 3 || level > 5 || iova >> (PAGE_SHIFT + 9 * level))
		return -EFAULT;
	while (level--) {
		unsigned int shift = PAGE_SHIFT + 9 * level;

		if (!hw_read_entry(iommu, table, iova >> shift, &pte))
			return -EFAULT;
		*prot &= pte;
		if (!*prot)
			return -EFAULT;
		if (!level || (pte & HW_LARGE)) {
			u64 mask = BIT_ULL(shift) - 1;

			*pfn = ((pte & HW_ADDR & ~mask) | (iova & mask)) >>
			       PAGE_SHIFT;
			return 0;
		}
		table = pte & HW_ADDR;
	}
	return -EFAULT;
}

static int hw_walk_amdv1(struct kunit_iommu *iommu,
			 const struct kunit_iommu_entry *entry, u64 iova,
			 u64 *pfn, u64 *prot)
{
	phys_addr_t table = entry->root;
	unsigned int level = entry->levels;
	u64 pte, mask;

	*prot = HW_READ | HW_WRITE;
	if (level < 3 || level > 5 || iova >> (PAGE_SHIFT + 9 * level))
		return -EFAULT;
	while (level--) {
		unsigned int shift = PAGE_SHIFT + 9 * level, next;

		if (!hw_read_entry(iommu, table, iova >> shift, &pte))
			return -EFAULT;
		if (!(pte & AMDV1_PRESENT))
			return -EFAULT;
		if (!(pte & AMDV1_READ))
			*prot &= ~HW_READ;
		if (!(pte & AMDV1_WRITE))
			*prot &= ~HW_WRITE;
		if (!*prot)
			return -EFAULT;

		next = FIELD_GET(AMDV1_NEXT_LEVEL, pte);
		if (!next || next == AMDV1_LARGE) {
			/* As many ones as it takes to double 4K, less one */
			if (next)
				shift = PAGE_SHIFT + 1 +
					ffz((pte & HW_ADDR) >> PAGE_SHIFT);
			mask = BIT_ULL(shift) - 1;
			*pfn = ((pte & HW_ADDR & ~mask) | (iova & mask)) >>
			       PAGE_SHIFT;
			return 0;
		}
		/* Levels that are skipped translate nothing but zeroes */
		mask = GENMASK_ULL(shift - 1, PAGE_SHIFT) &
		       ~(BIT_ULL(PAGE_SHIFT + 9 * next) - 1);
		if (next > level || (iova & mask))
			return -EFAULT;
		level = next;
		table = pte & HW_ADDR;
	}
	return -EFAULT;
}

/* What a leaf allows. U, A and D have to be set: hardware does not do it */
static u64 riscv64_prot(u64 pte)
{
	if ((pte & (RISCV_R | RISCV_W)) == RISCV_W ||
	    (pte & (RISCV_U | RISCV_A)) != (RISCV_U | RISCV_A))
		return 0;
	return (pte & RISCV_R ? HW_READ : 0) |
	       ((pte & RISCV_W) && (pte & RISCV_D) ? HW_WRITE : 0);
}

static int hw_walk_riscv64(struct kunit_iommu *iommu,
			   const struct kunit_iommu_entry *entry, u64 iova,
			   u64 *pfn, u64 *prot)
{
	phys_addr_t table = entry->root;
	unsigned int level = entry->levels;
	u64 pte, mask;

	/* The bits above are copies of the highest one */
	if (level < 3 || level > 5 ||
	    sign_extend64(iova, PAGE_SHIFT + 9 * level - 1) != iova)
		return -EFAULT;
	while (level--) {
		unsigned int shift = PAGE_SHIFT + 9 * level;

		if (!hw_read_entry(iommu, table, iova >> shift, &pte))
			return -EFAULT;
		if (!(pte & RISCV_V) || (pte & RISCV_RESERVED))
			return -EFAULT;
		*pfn = FIELD_GET(RISCV_PPN, pte);
		if (pte & (RISCV_R | RISCV_W | RISCV_X)) {
			mask = (BIT_ULL(shift) - 1) >> PAGE_SHIFT;
			if (pte & RISCV_N) {
				mask = RISCV_NAPOT - 1;
				if (level || (*pfn & mask) != RISCV_NAPOT / 2)
					return -EFAULT;
				*pfn &= ~mask;
			}
			*prot = riscv64_prot(pte);
			if (!*prot || (*pfn & mask))
				return -EFAULT;
			*pfn |= (iova >> PAGE_SHIFT) & mask;
			return 0;
		}
		/* These are for leaves */
		if (pte & (RISCV_U | RISCV_A | RISCV_D | RISCV_N))
			return -EFAULT;
		table = PFN_PHYS(*pfn);
	}
	return -EFAULT;
}

static int hw_walk_armv8(struct kunit_iommu *iommu,
			 const struct kunit_iommu_entry *entry, u64 iova,
			 u64 *pfn, u64 *prot)
{
	phys_addr_t table = entry->root;
	unsigned int level = entry->levels;
	u64 pte, mask;

	*prot = HW_READ | HW_WRITE;
	if (level < 3 || level > 4 || iova >> (PAGE_SHIFT + 9 * level))
		return -EFAULT;
	while (level--) {
		unsigned int shift = PAGE_SHIFT + 9 * level;

		if (!hw_read_entry(iommu, table, iova >> shift, &pte))
			return -EFAULT;
		if (!(pte & ARMV8_VALID) || (pte & ARMV8_RESERVED))
			return -EFAULT;
		if (level && (pte & ARMV8_TABLE)) {
			if (pte & ARMV8_PRIV_BELOW)
				return -EFAULT;
			if (pte & ARMV8_RDONLY_BELOW)
				*prot &= ~HW_WRITE;
			table = pte & ARMV8_ADDR;
			continue;
		}
		mask = BIT_ULL(shift) - 1;
		if (level > 2 || (!level && !(pte & ARMV8_TABLE)) ||
		    !(pte & ARMV8_AF) || !(pte & ARMV8_UNPRIV) ||
		    (pte & ARMV8_ADDR & mask))
			return -EFAULT;
		if (pte & ARMV8_RDONLY)
			*prot &= ~HW_WRITE;
		*pfn = ((pte & ARMV8_ADDR) | (iova & mask)) >> PAGE_SHIFT;
		return 0;
	}
	return -EFAULT;
}

/* What a crashed kernel has put into an entry may look like one, and is none */
static int hw_walk_plain(struct kunit_iommu *iommu,
			 const struct kunit_iommu_entry *entry, u64 iova,
			 u64 *pfn, u64 *prot)
{
	struct kunit_iommu_domain *pos;
	phys_addr_t phys;
	int allowed;

	list_for_each_entry(pos, &iommu->plain_domains, node) {
		if (virt_to_phys(&pos->plain) != entry->root)
			continue;
		if (!kunit_iommu_plain_walk(&pos->plain, iova, &phys, &allowed))
			return -EFAULT;
		*pfn = PHYS_PFN(phys);
		*prot = (allowed & IOMMU_READ ? HW_READ : 0) |
			(allowed & IOMMU_WRITE ? HW_WRITE : 0);
		return 0;
	}
	return -EFAULT;
}

static int hw_walk(struct kunit_iommu *iommu,
		   const struct kunit_iommu_entry *entry, u64 iova, u64 *pfn,
		   u64 *prot)
{
	if (!entry->levels)
		return hw_walk_plain(iommu, entry, iova, pfn, prot);
	switch (iommu->config.format) {
	case KUNIT_IOMMU_AMDV1:
		return hw_walk_amdv1(iommu, entry, iova, pfn, prot);
	case KUNIT_IOMMU_RISCV64:
		return hw_walk_riscv64(iommu, entry, iova, pfn, prot);
	case KUNIT_IOMMU_ARMV8:
		return hw_walk_armv8(iommu, entry, iova, pfn, prot);
	default:
		return hw_walk_vtdss(iommu, entry, iova, pfn, prot);
	}
}

static struct iotlb_entry *hw_find_iotlb(struct kunit_iommu *iommu, u16 id,
					 u64 iova_pfn)
{
	struct iotlb_entry *entry;

	hash_for_each_possible(iommu->iotlb, entry, node, iova_pfn)
		if (entry->id == id && entry->iova_pfn == iova_pfn)
			return entry;
	return NULL;
}

static int hw_dma(struct kunit_iommu *iommu, u32 rid, dma_addr_t iova,
		  bool write, phys_addr_t *phys)
{
	u64 iova_pfn = iova >> PAGE_SHIFT;
	u64 want = write ? HW_WRITE : HW_READ;
	struct kunit_iommu_entry *context;
	struct iotlb_entry *cached;
	u64 pfn, prot;

	if (!iommu->translating) {
		*phys = iova;
		return 0;
	}
	if (rid >= iommu->config.num_rids)
		return -EFAULT;

	context = &iommu->context_cache[rid];
	if (!test_and_set_bit(rid, iommu->context_cached))
		*context = iommu->entries[rid];

	switch (context->mode) {
	case KUNIT_IOMMU_IDENTITY:
		*phys = iova;
		return 0;
	case KUNIT_IOMMU_PAGING:
		break;
	default:
		return -EFAULT;
	}

	cached = hw_find_iotlb(iommu, context->id, iova_pfn);
	if (cached) {
		pfn = cached->pfn;
		prot = cached->prot;
	} else {
		if (hw_walk(iommu, context, iova, &pfn, &prot))
			return -EFAULT;
		cached = kzalloc_obj(*cached, GFP_ATOMIC);
		if (cached) {
			cached->id = context->id;
			cached->iova_pfn = iova_pfn;
			cached->pfn = pfn;
			cached->prot = prot;
			hash_add(iommu->iotlb, &cached->node, iova_pfn);
		}
	}
	if (!(prot & want))
		return -EFAULT;
	*phys = (pfn << PAGE_SHIFT) | offset_in_page(iova);
	return 0;
}

static void handle_fault(struct kunit_iommu *iommu, u32 rid);

/**
 * kunit_iommu_dma() - A device accesses memory
 * @iommu: IOMMU that the device is behind
 * @rid: requester ID of the access
 * @iova: address of the access
 * @write: the device writes
 * @phys: set to the physical address that is accessed
 *
 * Fills the caches of the IOMMU as hardware would, and reports faults to the driver
 * if it was configured to.
 *
 * Context: Any.
 *
 * Return: 0, -EFAULT if the access is blocked.
 */
int kunit_iommu_dma(struct kunit_iommu *iommu, u32 rid, dma_addr_t iova,
		    bool write, phys_addr_t *phys)
{
	bool report;
	int ret;

	scoped_guard(spinlock_irqsave, &iommu->lock) {
		ret = hw_dma(iommu, rid, iova, write, phys);
		report = ret && iommu->config.report_faults &&
			 (rid >= iommu->config.num_rids ||
			  !iommu->context_cache[rid].silent);
	}
	if (report)
		handle_fault(iommu, rid);
	return ret;
}
EXPORT_SYMBOL_GPL(kunit_iommu_dma);

/**
 * kunit_iommu_dev_dma() - A device accesses memory
 * @dev: the device, which uses its first requester ID
 * @iova: address of the access
 * @write: the device writes
 * @phys: set to the physical address that is accessed
 *
 * Context: Any.
 *
 * Return: 0, -EFAULT if the access is blocked.
 */
int kunit_iommu_dev_dma(struct device *dev, dma_addr_t iova, bool write,
			phys_addr_t *phys)
{
	struct kunit_iommu_device *kdev = to_kdev(dev);

	return kunit_iommu_dma(kdev->iommu, kdev->rids[0], iova, write, phys);
}
EXPORT_SYMBOL_GPL(kunit_iommu_dev_dma);

/**
 * kunit_iommu_cached() - Is a translation in the IOTLB?
 * @iommu: the IOMMU
 * @id: domain ID
 * @iova: address that is translated
 *
 * Return: true if it is, whatever the page table says.
 */
bool kunit_iommu_cached(struct kunit_iommu *iommu, u16 id, dma_addr_t iova)
{
	guard(spinlock_irqsave)(&iommu->lock);
	return hw_find_iotlb(iommu, id, iova >> PAGE_SHIFT);
}
EXPORT_SYMBOL_GPL(kunit_iommu_cached);

static void hw_flush_context(struct kunit_iommu *iommu, u32 rid)
{
	scoped_guard(spinlock_irqsave, &iommu->lock)
		__clear_bit(rid, iommu->context_cached);
	step(iommu, KUNIT_IOMMU_CONTEXT_FLUSHED);
}

/* ID 0 stands for all of them */
static void hw_flush_iotlb(struct kunit_iommu *iommu, u16 id, u64 first,
			   u64 last)
{
	struct iotlb_entry *entry;
	struct hlist_node *next;
	int bucket;

	scoped_guard(spinlock_irqsave, &iommu->lock) {
		hash_for_each_safe(iommu->iotlb, bucket, next, entry, node) {
			if ((id && entry->id != id) ||
			    entry->iova_pfn < first >> PAGE_SHIFT ||
			    entry->iova_pfn > last >> PAGE_SHIFT)
				continue;
			hash_del(&entry->node);
			kfree(entry);
		}
	}
	step(iommu, KUNIT_IOMMU_IOTLB_FLUSHED);
}

/* The IOMMU driver */

static bool same_entry(const struct kunit_iommu_entry *a,
		       const struct kunit_iommu_entry *b)
{
	return a->mode == b->mode && a->levels == b->levels && a->id == b->id &&
	       a->root == b->root && a->silent == b->silent;
}

/*
 * Everything that the new entry needs exists. One store, then the cached entry
 * goes, then what was translated through the old one.
 */
static void write_entry(struct kunit_iommu *iommu, u32 rid,
			const struct kunit_iommu_entry *new)
{
	struct kunit_iommu_entry old;

	scoped_guard(spinlock_irqsave, &iommu->lock) {
		old = iommu->entries[rid];
		iommu->entries[rid] = *new;
	}
	if (!same_entry(&old, new)) {
		iommu->stats.entry_writes++;
		step(iommu, KUNIT_IOMMU_ENTRY_WRITTEN);
		hw_flush_context(iommu, rid);
		if (old.mode == KUNIT_IOMMU_PAGING)
			hw_flush_iotlb(iommu, old.id, 0, U64_MAX);
	}
	iommu_kdump_entry_left(&iommu->old, rid);
}

static void handle_fault(struct kunit_iommu *iommu, u32 rid)
{
	iommu->stats.faults++;
	if (!iommu_kdump_fault(&iommu->old, rid))
		iommu->stats.faults_logged++;
}

/* Does another device that shares the requester ID still need its entry? */
static bool rid_is_shared(struct kunit_iommu_device *kdev, u32 rid)
{
	struct kunit_iommu_device *pos;
	unsigned int i;

	if (kdev->iommu->config.singletons)
		return false;
	list_for_each_entry(pos, &kdev->iommu->devices, node) {
		if (pos == kdev || !pos->attached)
			continue;
		for (i = 0; i < pos->num_rids; i++)
			if (pos->rids[i] == rid)
				return true;
	}
	return false;
}

static void write_entries(struct kunit_iommu_device *kdev,
			  const struct kunit_iommu_entry *entry)
{
	unsigned int i;

	kdev->attached = entry->mode != KUNIT_IOMMU_BLOCKED;
	for (i = 0; i < kdev->num_rids; i++) {
		if (kdev->attached || !rid_is_shared(kdev, kdev->rids[i]))
			write_entry(kdev->iommu, kdev->rids[i], entry);
	}
	kdev->iommu->stats.attached++;
}

static void note_old(struct device *dev, struct iommu_domain *old)
{
	to_kdev(dev)->iommu->stats.from = old ? old->type : UINT_MAX;
}

static int attach_blocked(struct iommu_domain *domain, struct device *dev,
			  struct iommu_domain *old)
{
	static const struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_BLOCKED,
	};

	note_old(dev, old);
	to_kdev(dev)->domain = NULL;
	write_entries(to_kdev(dev), &entry);
	return 0;
}

static int attach_identity(struct iommu_domain *domain, struct device *dev,
			   struct iommu_domain *old)
{
	static const struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_IDENTITY,
	};

	note_old(dev, old);
	to_kdev(dev)->domain = NULL;
	write_entries(to_kdev(dev), &entry);
	return 0;
}

/* Where the page table is, as hardware is told */
static void get_table(struct kunit_iommu_domain *kdomain,
		      struct kunit_iommu_entry *entry)
{
	if (kdomain->iommu->config.plain_domains) {
		entry->root = virt_to_phys(&kdomain->plain);
		entry->levels = 0;
		return;
	}
	switch (kdomain->iommu->config.format) {
	case KUNIT_IOMMU_AMDV1: {
		struct pt_iommu_amdv1_hw_info info;

		pt_iommu_amdv1_hw_info(&kdomain->amdv1, &info);
		entry->root = info.host_pt_root;
		entry->levels = info.mode;
		break;
	}
	case KUNIT_IOMMU_RISCV64: {
		struct pt_iommu_riscv_64_hw_info info;

		pt_iommu_riscv_64_hw_info(&kdomain->riscv64, &info);
		entry->root = PFN_PHYS(info.ppn);
		/* Of Sv39 it is 8 */
		entry->levels = info.fsc_iosatp_mode - 5;
		break;
	}
	case KUNIT_IOMMU_ARMV8:
		entry->root = kdomain->armv8_root;
		entry->levels = HW_LEVELS;
		break;
	default: {
		struct pt_iommu_vtdss_hw_info info;

		pt_iommu_vtdss_hw_info(&kdomain->vtdss, &info);
		entry->root = info.ssptptr;
		entry->levels = info.aw + 2;
	}
	}
}

static int attach_paging(struct iommu_domain *domain, struct device *dev,
			 struct iommu_domain *old)
{
	struct kunit_iommu_device *kdev = to_kdev(dev);
	struct kunit_iommu_domain *kdomain = to_kdomain(domain);
	struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.id = kdomain->id,
	};

	if (kdomain->iommu != kdev->iommu)
		return -EINVAL;
	note_old(dev, old);
	if (kdev->fails)
		return -EBUSY;
	if (kdev->iommu->fail_attach) {
		kdev->iommu->fail_attach--;
		return -EBUSY;
	}
	guard(spinlock_irqsave)(&kdomain->top_lock);
	get_table(kdomain, &entry);
	kdev->domain = kdomain;
	write_entries(kdev, &entry);
	return 0;
}

/* The table has grown: AMD's starts with 3 levels */
static void change_top(struct pt_iommu *iommu_table, phys_addr_t top_paddr,
		       unsigned int top_level)
{
	struct kunit_iommu_domain *kdomain =
		container_of(iommu_table, struct kunit_iommu_domain,
			     amdv1.iommu);
	const struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.id = kdomain->id,
		.root = top_paddr,
		.levels = top_level + 1,
	};
	struct kunit_iommu_device *pos;
	unsigned int i;

	lockdep_assert_held(&kdomain->top_lock);
	list_for_each_entry(pos, &kdomain->iommu->devices, node) {
		for (i = 0; i < pos->num_rids && pos->domain == kdomain; i++)
			write_entry(kdomain->iommu, pos->rids[i], &entry);
	}
}

static spinlock_t *get_top_lock(struct pt_iommu *iommu_table)
{
	return &container_of(iommu_table, struct kunit_iommu_domain,
			     amdv1.iommu)->top_lock;
}

static const struct pt_iommu_driver_ops amdv1_driver_ops = {
	.change_top = change_top,
	.get_top_lock = get_top_lock,
};

static void flush_all(struct iommu_domain *domain)
{
	struct kunit_iommu_domain *kdomain = to_kdomain(domain);

	hw_flush_iotlb(kdomain->iommu, kdomain->id, 0, U64_MAX);
}

static void sync_gather(struct iommu_domain *domain,
			struct iommu_iotlb_gather *gather)
{
	struct kunit_iommu_domain *kdomain = to_kdomain(domain);

	hw_flush_iotlb(kdomain->iommu, kdomain->id, gather->start, gather->end);
	iommu_put_pages_list(&gather->freelist);
}

static void free_domain(struct iommu_domain *domain)
{
	struct kunit_iommu_domain *kdomain = to_kdomain(domain);
	struct kunit_iommu *iommu = kdomain->iommu;

	hw_flush_iotlb(iommu, kdomain->id, 0, U64_MAX);
	if (iommu->config.plain_domains) {
		scoped_guard(spinlock_irqsave, &iommu->lock)
			list_del(&kdomain->node);
		iommu->violations += atomic_read(&kdomain->plain.violations);
		kunit_iommu_plain_destroy(&kdomain->plain);
	} else if (kdomain->armv8) {
		free_io_pgtable_ops(kdomain->armv8);
	} else {
		pt_iommu_deinit(iommupt_from_domain(domain));
	}
	ida_free(&iommu->domain_ids, kdomain->id);
	iommu->stats.domains--;
	kfree(kdomain);
}

static int map_plain(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t phys, size_t pgsize, size_t pgcount, int prot,
		     gfp_t gfp, size_t *mapped)
{
	struct kunit_iommu_plain *plain = &to_kdomain(domain)->plain;
	int ret = 0;

	while (pgcount-- && !ret) {
		ret = kunit_iommu_plain_map(plain, iova + *mapped,
					    phys + *mapped, pgsize, prot, gfp);
		if (!ret)
			*mapped += pgsize;
	}
	return ret;
}

static size_t unmap_plain(struct iommu_domain *domain, unsigned long iova,
			  size_t pgsize, size_t pgcount,
			  struct iommu_iotlb_gather *gather)
{
	struct kunit_iommu_plain *plain = &to_kdomain(domain)->plain;
	size_t unmapped = 0;

	while (pgcount-- &&
	       kunit_iommu_plain_unmap(plain, iova + unmapped, pgsize)) {
		iommu_iotlb_gather_add_page(domain, gather, iova + unmapped,
					    pgsize);
		unmapped += pgsize;
	}
	return unmapped;
}

static phys_addr_t plain_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	phys_addr_t phys;
	int prot;

	if (!kunit_iommu_plain_walk(&to_kdomain(domain)->plain, iova, &phys,
				    &prot))
		return 0;
	return phys;
}

static const struct iommu_domain_ops plain_ops = {
	.map_pages = map_plain,
	.unmap_pages = unmap_plain,
	.iova_to_phys = plain_to_phys,
	.attach_dev = attach_paging,
	.flush_iotlb_all = flush_all,
	.iotlb_sync = sync_gather,
	.free = free_domain,
};

#ifdef CONFIG_IOMMU_IO_PGTABLE_LPAE
static int map_armv8(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t phys, size_t pgsize, size_t pgcount, int prot,
		     gfp_t gfp, size_t *mapped)
{
	struct io_pgtable_ops *ops = to_kdomain(domain)->armv8;

	return ops->map_pages(ops, iova, phys, pgsize, pgcount, prot, gfp,
			      mapped);
}

static size_t unmap_armv8(struct iommu_domain *domain, unsigned long iova,
			  size_t pgsize, size_t pgcount,
			  struct iommu_iotlb_gather *gather)
{
	struct io_pgtable_ops *ops = to_kdomain(domain)->armv8;

	return ops->unmap_pages(ops, iova, pgsize, pgcount, gather);
}

static phys_addr_t armv8_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	struct io_pgtable_ops *ops = to_kdomain(domain)->armv8;

	return ops->iova_to_phys(ops, iova);
}

#ifdef CONFIG_IOMMU_KDUMP
static int map_leaves_armv8(struct iommu_domain *domain, unsigned long iova,
			    unsigned int leaf_lg2sz, const u64 *leaves,
			    unsigned int num_leaves, gfp_t gfp)
{
	struct io_pgtable_ops *ops = to_kdomain(domain)->armv8;

	return ops->map_leaves(ops, iova, leaf_lg2sz, leaves, num_leaves, gfp);
}

static int unmap_sparse_armv8(struct iommu_domain *domain, unsigned long iova,
			      u64 len, unsigned int work)
{
	struct io_pgtable_ops *ops = to_kdomain(domain)->armv8;

	return ops->unmap_sparse(ops, iova, len, work);
}
#endif

static const struct iommu_domain_ops armv8_ops = {
	.map_pages = map_armv8,
	.unmap_pages = unmap_armv8,
	.iova_to_phys = armv8_to_phys,
#ifdef CONFIG_IOMMU_KDUMP
	.map_leaves = map_leaves_armv8,
	.unmap_sparse = unmap_sparse_armv8,
#endif
	.attach_dev = attach_paging,
	.flush_iotlb_all = flush_all,
	.iotlb_sync = sync_gather,
	.free = free_domain,
};

static void armv8_flush_all(void *cookie)
{
	struct kunit_iommu_domain *kdomain = cookie;

	flush_all(&kdomain->domain);
}

static void armv8_flush_walk(unsigned long iova, size_t size, size_t granule,
			     void *cookie)
{
	struct kunit_iommu_domain *kdomain = cookie;

	hw_flush_iotlb(kdomain->iommu, kdomain->id, iova, iova + size - 1);
}

static void armv8_add_page(struct iommu_iotlb_gather *gather,
			   unsigned long iova, size_t granule, void *cookie)
{
	struct kunit_iommu_domain *kdomain = cookie;

	iommu_iotlb_gather_add_page(&kdomain->domain, gather, iova, granule);
}

static const struct iommu_flush_ops armv8_flush_ops = {
	.tlb_flush_all = armv8_flush_all,
	.tlb_flush_walk = armv8_flush_walk,
	.tlb_add_page = armv8_add_page,
};

static int init_armv8(struct kunit_iommu *iommu,
		      struct kunit_iommu_domain *kdomain)
{
	struct io_pgtable_cfg cfg = {
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G,
		.ias = HW_VA_BITS,
		.oas = 48,
		.coherent_walk = true,
		.tlb = &armv8_flush_ops,
		.iommu_dev = iommu->hwdev,
	};

	kdomain->armv8 = alloc_io_pgtable_ops(ARM_64_LPAE_S1, &cfg, kdomain);
	if (!kdomain->armv8)
		return -ENOMEM;
	kdomain->armv8_root = cfg.arm_lpae_s1_cfg.ttbr;
	kdomain->domain.ops = &armv8_ops;
	kdomain->domain.pgsize_bitmap = cfg.pgsize_bitmap;
	kdomain->domain.geometry.aperture_end = BIT_ULL(HW_VA_BITS) - 1;
	kdomain->domain.geometry.force_aperture = true;
	return 0;
}
#else
static int init_armv8(struct kunit_iommu *iommu,
		      struct kunit_iommu_domain *kdomain)
{
	return -EOPNOTSUPP;
}
#endif /* CONFIG_IOMMU_IO_PGTABLE_LPAE */

static const struct iommu_domain_ops vtdss_ops = {
	IOMMU_PT_DOMAIN_OPS(vtdss),
	.attach_dev = attach_paging,
	.flush_iotlb_all = flush_all,
	.iotlb_sync = sync_gather,
	.free = free_domain,
};

static const struct iommu_domain_ops amdv1_ops = {
	IOMMU_PT_DOMAIN_OPS(amdv1),
	.attach_dev = attach_paging,
	.flush_iotlb_all = flush_all,
	.iotlb_sync = sync_gather,
	.free = free_domain,
};

static const struct iommu_domain_ops riscv64_ops = {
	IOMMU_PT_DOMAIN_OPS(riscv_64),
	.attach_dev = attach_paging,
	.flush_iotlb_all = flush_all,
	.iotlb_sync = sync_gather,
	.free = free_domain,
};

static struct iommu_domain blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &(const struct iommu_domain_ops) {
		.attach_dev = attach_blocked,
	},
};

static struct iommu_domain identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &(const struct iommu_domain_ops) {
		.attach_dev = attach_identity,
	},
};

static void init_plain(struct kunit_iommu *iommu,
		       struct kunit_iommu_domain *kdomain)
{
	kdomain->domain.ops = &plain_ops;
	kdomain->domain.pgsize_bitmap = KUNIT_IOMMU_PLAIN_SIZES;
	kdomain->domain.geometry.aperture_end = BIT_ULL(HW_VA_BITS) - 1;
	kdomain->domain.geometry.force_aperture = true;
	kunit_iommu_plain_init(&kdomain->plain);
	guard(spinlock_irqsave)(&iommu->lock);
	list_add_tail(&kdomain->node, &iommu->plain_domains);
}

static int init_table(struct kunit_iommu *iommu,
		      struct kunit_iommu_domain *kdomain)
{
	struct pt_iommu_cfg common = {
		.hw_max_vasz_lg2 = HW_VA_BITS,
		.hw_max_oasz_lg2 = 52,
		.features = BIT(PT_FEAT_FLUSH_RANGE),
	};
	struct pt_iommu_vtdss_cfg vtdss = {
		.common = common,
		.top_level = HW_LEVELS - 1,
	};
	struct pt_iommu_amdv1_cfg amdv1 = {
		.common = common,
		.starting_level = HW_LEVELS - 2,
	};
	struct pt_iommu_riscv_64_cfg riscv64 = {
		.common = common,
	};

	spin_lock_init(&kdomain->top_lock);
	if (iommu->config.plain_domains) {
		init_plain(iommu, kdomain);
		return 0;
	}
	switch (iommu->config.format) {
	case KUNIT_IOMMU_AMDV1:
		amdv1.common.features |= BIT(PT_FEAT_DYNAMIC_TOP);
		kdomain->domain.ops = &amdv1_ops;
		kdomain->amdv1.iommu.driver_ops = &amdv1_driver_ops;
		kdomain->amdv1.iommu.iommu_device = iommu->hwdev;
		kdomain->amdv1.iommu.nid = NUMA_NO_NODE;
		return pt_iommu_amdv1_init(&kdomain->amdv1, &amdv1, GFP_KERNEL);
	case KUNIT_IOMMU_RISCV64:
		riscv64.common.features |= BIT(PT_FEAT_SIGN_EXTEND) |
					   BIT(PT_FEAT_RISCV_SVNAPOT_64K) |
					   BIT(PT_FEAT_DETAILED_GATHER);
		kdomain->domain.ops = &riscv64_ops;
		kdomain->riscv64.iommu.iommu_device = iommu->hwdev;
		kdomain->riscv64.iommu.nid = NUMA_NO_NODE;
		return pt_iommu_riscv_64_init(&kdomain->riscv64, &riscv64,
					      GFP_KERNEL);
	case KUNIT_IOMMU_ARMV8:
		return init_armv8(iommu, kdomain);
	default:
		kdomain->domain.ops = &vtdss_ops;
		kdomain->vtdss.iommu.iommu_device = iommu->hwdev;
		kdomain->vtdss.iommu.nid = NUMA_NO_NODE;
		return pt_iommu_vtdss_init(&kdomain->vtdss, &vtdss, GFP_KERNEL);
	}
}

static struct iommu_domain *domain_alloc_paging(struct device *dev)
{
	struct kunit_iommu *iommu = to_kdev(dev)->iommu;
	struct kunit_iommu_domain *kdomain;
	int ret;

	kdomain = kzalloc_obj(*kdomain);
	if (!kdomain)
		return ERR_PTR(-ENOMEM);
	do {
		ret = ida_alloc_range(&iommu->domain_ids, 1,
				      iommu->config.max_id, GFP_KERNEL);
	} while (ret == -ENOSPC && iommu_kdump_free_ids(&iommu->old_ids));
	if (ret < 0)
		goto err_free;
	kdomain->id = ret;
	kdomain->iommu = iommu;
	ret = init_table(iommu, kdomain);
	if (ret)
		goto err_id;
	iommu->stats.domains++;
	return &kdomain->domain;

err_id:
	ida_free(&iommu->domain_ids, kdomain->id);
err_free:
	kfree(kdomain);
	return ERR_PTR(ret);
}

/* What the crashdump framework asks of a driver is in iommu-kdump.c */

struct kunit_iommu *kunit_iommu_of(struct device *dev)
{
	return to_kdev(dev)->iommu;
}

struct kunit_iommu *kunit_iommu_of_old(struct iommu_kdump_entries *old)
{
	return container_of(old, struct kunit_iommu, old);
}

struct iommu_kdump_entries *kunit_iommu_old(struct kunit_iommu *iommu)
{
	return &iommu->old;
}

enum kunit_iommu_format kunit_iommu_old_format(struct kunit_iommu *iommu)
{
	return iommu->config.format;
}

/* The place of a PCI device on its bus need not tell */
u32 kunit_iommu_own_id(struct iommu_kdump_entries *entries, struct device *dev)
{
	return to_kdev(dev)->rids[0];
}

void kunit_iommu_write_entry(struct kunit_iommu *iommu, u32 rid,
			     const struct kunit_iommu_entry *entry)
{
	write_entry(iommu, rid, entry);
}

/* Another entry may be written at the same time, and is not silent */
void kunit_iommu_silence(struct kunit_iommu *iommu, u32 rid)
{
	if (rid >= iommu->config.num_rids)
		return;
	scoped_guard(spinlock_irqsave, &iommu->lock)
		iommu->entries[rid].silent = true;
	hw_flush_context(iommu, rid);
}

#ifdef CONFIG_IOMMU_KDUMP
static void init_old(struct kunit_iommu *iommu)
{
	iommu_kdump_ids_init(&iommu->old_ids, &iommu->domain_ids, 1,
			     iommu->config.max_id);
	iommu_kdump_entries_init(&iommu->old, &kunit_iommu_entry_ops,
				 &iommu->old_ids, iommu->bus.name);
}

static void take_over(struct kunit_iommu *iommu)
{
	iommu->iommu_dev.kdump = &iommu->old;
	iommu->old.not_live = !iommu->translating;
	if (iommu->translating)
		kunit_iommu_take_over(iommu);
}

static int inherit_tables(struct device *dev, u32 id,
			  struct iommu_kdump_tables *tables)
{
	to_kdev(dev)->iommu->stats.inherited++;
	return kunit_iommu_inherit_tables(dev, id, tables);
}

static int reserve_old_iova(struct device *dev,
			    const struct iommu_kdump_tables *tables,
			    struct iommu_kdump_report *report)
{
	to_kdev(dev)->iommu->stats.walked++;
	return kunit_iommu_reserve_old_iova(dev, tables, report);
}

static void release_on_driver_probe(struct device *dev)
{
	to_kdev(dev)->iommu->stats.released++;
}
#else
static void init_old(struct kunit_iommu *iommu)
{
}

static void take_over(struct kunit_iommu *iommu)
{
	static const struct kunit_iommu_entry blocked = {
		.mode = KUNIT_IOMMU_BLOCKED,
	};
	u32 rid;

	for (rid = 0; iommu->translating && rid < iommu->config.num_rids; rid++)
		write_entry(iommu, rid, &blocked);
}
#endif /* CONFIG_IOMMU_KDUMP */

static struct iommu_device *probe_device(struct device *dev)
{
	struct kunit_iommu_device *kdev = to_kdev(dev);
	struct kunit_iommu_entry entry;

	if (!kdev)
		return ERR_PTR(-ENODEV);
	/* The PCI core does not return before it has been added */
	kdev->dev = dev;
	/* In a crash kernel hardware may be busy with it already */
	kunit_iommu_get_entry(kdev->iommu, kdev->rids[0], &entry);
	kdev->attached = entry.mode != KUNIT_IOMMU_BLOCKED;
	return &kdev->iommu->iommu_dev;
}

static struct iommu_group *device_group(struct device *dev)
{
	struct kunit_iommu_device *kdev = to_kdev(dev), *pos;

	if (kdev->iommu->config.singletons)
		return iommu_group_alloc();
	list_for_each_entry(pos, &kdev->iommu->devices, node) {
		struct iommu_group *group;

		if (pos == kdev || pos->group != kdev->group)
			continue;
		if (!pos->dev)
			continue;
		group = iommu_group_get(pos->dev);
		if (group)
			return group;
	}
	return iommu_group_alloc();
}

static int def_domain_type(struct device *dev)
{
	return to_kdev(dev)->iommu->config.def_domain_type;
}

static bool capable_of(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

static void get_resv_regions(struct device *dev, struct list_head *head)
{
	struct kunit_iommu *iommu = to_kdev(dev)->iommu;
	const int rw = IOMMU_READ | IOMMU_WRITE;
	unsigned int i;

	for (i = 0; i < iommu->nr_resv; i++) {
		enum iommu_resv_type type = iommu->resv[i].type;
		struct iommu_resv_region *region;

		region = iommu_alloc_resv_region(iommu->resv[i].start,
						 iommu->resv[i].length,
						 type == IOMMU_RESV_DIRECT ? rw :
									     0,
						 type, GFP_KERNEL);
		if (region)
			list_add_tail(&region->list, head);
	}
}

static const struct iommu_ops iommu_ops = {
	.owner = THIS_MODULE,
	.capable = capable_of,
	.blocked_domain = &blocked_domain,
	.identity_domain = &identity_domain,
	.release_domain = &blocked_domain,
	.domain_alloc_paging = domain_alloc_paging,
	.probe_device = probe_device,
	.device_group = device_group,
	.def_domain_type = def_domain_type,
	.get_resv_regions = get_resv_regions,
#ifdef CONFIG_IOMMU_KDUMP
	.inherit_tables = inherit_tables,
	.reserve_old_iova = reserve_old_iova,
	.release_on_driver_probe = release_on_driver_probe,
#endif
};

/* The bus */

/* Binding is up to the test */
static int bus_match(struct device *dev, const struct device_driver *driver)
{
	return 0;
}

static int bus_probe(struct device *dev)
{
	struct kunit_iommu_device *kdev = to_kdev(dev);

	return kdev->probe ? kdev->probe(dev) : 0;
}

static int bus_dma_configure(struct device *dev)
{
	struct kunit_iommu_device *kdev = to_kdev(dev);
	struct kunit_iommu *iommu = kdev->iommu;
	int ret = 0;

	mutex_lock(&iommu_probe_device_lock);
	if (iommu->iommu_dev.fwnode) {
		ret = iommu_fwspec_init(dev, iommu->iommu_dev.fwnode);
		if (!ret && !dev_iommu_fwspec_get(dev)->num_ids)
			ret = iommu_fwspec_add_ids(dev, kdev->rids,
						   kdev->num_rids);
	}
	mutex_unlock(&iommu_probe_device_lock);

	if (ret || !dev->driver)
		return ret;
	return iommu_device_use_default_domain(dev);
}

static void bus_dma_cleanup(struct device *dev)
{
	iommu_device_unuse_default_domain(dev);
}

static void free_device(struct device *dev)
{
	kfree(to_kdev(dev));
}

static int add_own(struct kunit_iommu_device *kdev)
{
	struct kunit_iommu *iommu = kdev->iommu;
	int ret;

	kdev->dev = &kdev->own;
	device_initialize(kdev->dev);
	kdev->own.bus = &iommu->bus;
	kdev->own.parent = iommu->hwdev;
	kdev->own.release = free_device;
	kdev->dma_mask = DMA_BIT_MASK(32);
	kdev->own.dma_mask = &kdev->dma_mask;
	kdev->own.coherent_dma_mask = DMA_BIT_MASK(32);
	set_dev_node(kdev->dev, NUMA_NO_NODE);

	list_add_tail(&kdev->node, &iommu->devices);
	ret = dev_set_name(kdev->dev, "%s-dev%u", iommu->bus.name,
			   iommu->next_dev++);
	if (!ret)
		ret = device_add(kdev->dev);
	if (ret) {
		list_del(&kdev->node);
		put_device(kdev->dev);
	}
	return ret;
}

/* PCI */

#ifdef KUNIT_IOMMU_PCI
static int pci_cfg_read(struct pci_bus *bus, unsigned int devfn, int where,
			int size, u32 *val)
{
	struct kunit_iommu_device *kdev = pci_to_kdev(bus, devfn);

	if (!kdev)
		return PCIBIOS_DEVICE_NOT_FOUND;
	*val = 0;
	if (where + size <= CFG_SIZE)
		memcpy(val, kdev->cfg + where, size);
	return PCIBIOS_SUCCESSFUL;
}

/* What is not writable here has no effect on the DMA of a device */
static int pci_cfg_write(struct pci_bus *bus, unsigned int devfn, int where,
			 int size, u32 val)
{
	struct kunit_iommu_device *kdev = pci_to_kdev(bus, devfn);
	u16 *command;

	if (!kdev)
		return PCIBIOS_DEVICE_NOT_FOUND;
	command = (u16 *)(kdev->cfg + PCI_COMMAND);
	switch (where) {
	case PCI_COMMAND:
		*command = val & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
				  PCI_COMMAND_MASTER |
				  PCI_COMMAND_INTX_DISABLE);
		break;
	case CFG_EXP + PCI_EXP_DEVCTL:
		if (val & PCI_EXP_DEVCTL_BCR_FLR)
			*command = 0;
		break;
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops pci_cfg_ops = {
	.read = pci_cfg_read,
	.write = pci_cfg_write,
};

static void pci_cfg_init(u8 *cfg)
{
	static const struct {
		u16 where;
		u32 val;
	} init[] = {
		{ PCI_VENDOR_ID, CLIENT_DEVICE << 16 | CLIENT_VENDOR },
		/* A driver of the crashed kernel has left it busy */
		{ PCI_COMMAND, PCI_STATUS_CAP_LIST << 16 | PCI_COMMAND_MEMORY |
			       PCI_COMMAND_MASTER },
		{ PCI_CLASS_REVISION, PCI_CLASS_OTHERS << 24 },
		{ PCI_CAPABILITY_LIST, CFG_EXP },
		{ CFG_EXP, (PCI_EXP_TYPE_RC_END << 4 | 2) << 16 |
			   PCI_CAP_ID_EXP },
		{ CFG_EXP + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR |
					    PCI_EXP_DEVCAP_RBER },
		{ CFG_ATS, 1 << 16 | PCI_EXT_CAP_ID_ATS },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(init); i++)
		memcpy(cfg + init[i].where, &init[i].val, sizeof(u32));
}

static int pci_client_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct kunit_iommu_device *kdev = to_kdev(&pdev->dev);

	return kdev->probe ? kdev->probe(&pdev->dev) : 0;
}

static const struct pci_device_id pci_client_ids[] = {
	{ PCI_DEVICE(CLIENT_VENDOR, CLIENT_DEVICE) },
	{}
};

static int create_pci(struct kunit_iommu *iommu, unsigned int instance)
{
	LIST_HEAD(resources);
	int ret;

	iommu->pci_sysdata.domain = CLIENT_DOMAIN + instance;
	iommu->pci_sysdata.node = NUMA_NO_NODE;
	pci_lock_rescan_remove();
	iommu->pci_bus = pci_create_root_bus(iommu->hwdev, 0, &pci_cfg_ops,
					     &iommu->pci_sysdata, &resources);
	pci_unlock_rescan_remove();
	if (!iommu->pci_bus)
		return -ENOMEM;
	iommu->pci_bridge = to_pci_host_bridge(iommu->pci_bus->bridge);

	/* The devices are never offered to a driver: binding is up to the test */
	iommu->pci_driver.name = iommu->bus.name;
	iommu->pci_driver.id_table = pci_client_ids;
	iommu->pci_driver.probe = pci_client_probe;
	iommu->pci_driver.driver.suppress_bind_attrs = true;
	ret = pci_register_driver(&iommu->pci_driver);
	if (ret)
		iommu->pci_driver.name = NULL;
	return ret;
}

static void destroy_pci(struct kunit_iommu *iommu)
{
	if (!iommu->pci_bus)
		return;
	if (iommu->pci_driver.name)
		pci_unregister_driver(&iommu->pci_driver);
	pci_lock_rescan_remove();
	pci_stop_root_bus(iommu->pci_bus);
	pci_remove_root_bus(iommu->pci_bus);
	pci_unlock_rescan_remove();
	pci_free_host_bridge(iommu->pci_bridge);
}

static int add_pci(struct kunit_iommu_device *kdev)
{
	struct kunit_iommu *iommu = kdev->iommu;
	unsigned int devfn = kdev->rids[kdev->num_rids - 1];
	struct pci_dev *pdev;

	/* What it shares with another one does not follow from where it is */
	if (devfn >= KUNIT_IOMMU_NUM_RIDS || iommu->slots[devfn])
		for (devfn = KUNIT_IOMMU_NUM_RIDS - 1; iommu->slots[devfn];)
			if (!devfn--)
				break;
	if (devfn >= KUNIT_IOMMU_NUM_RIDS) {
		kfree(kdev);
		return -ENOSPC;
	}
	pci_cfg_init(kdev->cfg);
	iommu->slots[devfn] = kdev;
	list_add_tail(&kdev->node, &iommu->devices);

	pci_lock_rescan_remove();
	pdev = pci_scan_single_device(iommu->pci_bus, devfn);
	pci_unlock_rescan_remove();
	if (!pdev) {
		iommu->slots[devfn] = NULL;
		list_del(&kdev->node);
		kfree(kdev);
		return -ENOMEM;
	}
	kdev->dev = &pdev->dev;
	return 0;
}

static void remove_pci(struct kunit_iommu_device *kdev)
{
	struct pci_dev *pdev = to_pci_dev(kdev->dev);
	unsigned int devfn = pdev->devfn;

	pci_stop_and_remove_bus_device_locked(pdev);
	kdev->iommu->slots[devfn] = NULL;
	list_del(&kdev->node);
	kfree(kdev);
}

static struct device_driver *driver_of(struct kunit_iommu *iommu)
{
	return iommu->config.pci ? &iommu->pci_driver.driver : &iommu->driver;
}
#else
static int create_pci(struct kunit_iommu *iommu, unsigned int instance)
{
	return -EOPNOTSUPP;
}

static void destroy_pci(struct kunit_iommu *iommu)
{
}

static int add_pci(struct kunit_iommu_device *kdev)
{
	kfree(kdev);
	return -EOPNOTSUPP;
}

static void remove_pci(struct kunit_iommu_device *kdev)
{
}

static struct device_driver *driver_of(struct kunit_iommu *iommu)
{
	return &iommu->driver;
}
#endif /* KUNIT_IOMMU_PCI */

static int register_iommu(struct kunit_iommu *iommu)
{
	if (iommu->config.pci)
		return iommu_device_register(&iommu->iommu_dev, &iommu_ops,
					     iommu->hwdev);
	return iommu_device_register_bus(&iommu->iommu_dev, &iommu_ops,
					 &iommu->bus, &iommu->nb);
}

static void unregister_iommu(struct kunit_iommu *iommu)
{
	if (iommu->config.pci)
		iommu_device_unregister(&iommu->iommu_dev);
	else
		iommu_device_unregister_bus(&iommu->iommu_dev, &iommu->bus,
					    &iommu->nb);
}

static void forget_old(struct kunit_iommu *iommu)
{
	iommu_kdump_entries_destroy(&iommu->old);
	iommu_kdump_ids_destroy(&iommu->old_ids);
}

/* What tests use */

/**
 * kunit_iommu_reset() - Back to what kunit_iommu_create() has returned
 * @iommu: the IOMMU; its devices are removed, it is unregistered, its entries and
 *         caches are empty. Memory and configuration stay.
 *
 * For tests that need many of them: faster than a new one.
 */
void kunit_iommu_reset(struct kunit_iommu *iommu)
{
	struct kunit_iommu_device *kdev, *next;
	struct kunit_iommu_config config = iommu->config;

	iommu->config.step = NULL;
	list_for_each_entry_safe_reverse(kdev, next, &iommu->devices, node)
		kunit_iommu_remove_device(kdev->dev);
	if (iommu->registered)
		unregister_iommu(iommu);
	if (iommu->sysfs_added)
		iommu_device_sysfs_remove(&iommu->iommu_dev);
	hw_flush_iotlb(iommu, 0, 0, U64_MAX);
	if (iommu->violations)
		KUNIT_FAIL(iommu->test,
			   "%u times mapped over something, or unmapped a part of a leaf, or nothing",
			   iommu->violations);
	iommu->violations = 0;
	forget_old(iommu);
	ida_destroy(&iommu->domain_ids);

	iommu->registered = false;
	iommu->sysfs_added = false;
	iommu->fail_attach = 0;
	iommu->nr_resv = 0;
	iommu->translating = !config.off;
	memset(&iommu->stats, 0, sizeof(iommu->stats));
	memset(&iommu->iommu_dev, 0, sizeof(iommu->iommu_dev));
	memset(iommu->entries, 0, config.num_rids * sizeof(*iommu->entries));
	bitmap_zero(iommu->context_cached, config.num_rids);
	init_old(iommu);
	iommu->config = config;
}
EXPORT_SYMBOL_GPL(kunit_iommu_reset);

static void free_hardware(struct kunit_iommu *iommu)
{
	kvfree(iommu->entries);
	kvfree(iommu->context_cache);
	bitmap_free(iommu->context_cached);
}

static int alloc_hardware(struct kunit_iommu *iommu)
{
	struct kunit_iommu_config *config = &iommu->config;

	if (!config->num_rids)
		config->num_rids = KUNIT_IOMMU_NUM_RIDS;
	if (!config->max_id)
		config->max_id = KUNIT_IOMMU_MAX_ID;
	iommu->entries = kvzalloc_objs(*iommu->entries, config->num_rids);
	iommu->context_cache = kvzalloc_objs(*iommu->context_cache,
					     config->num_rids);
	iommu->context_cached = bitmap_zalloc(config->num_rids, GFP_KERNEL);
	if (!iommu->entries || !iommu->context_cache || !iommu->context_cached)
		return -ENOMEM;
	return 0;
}

static void destroy(void *data)
{
	struct kunit_iommu *iommu = data;

	kunit_iommu_reset(iommu);
	forget_old(iommu);
	destroy_pci(iommu);
	driver_unregister(&iommu->driver);
	bus_unregister(&iommu->bus);
	root_device_unregister(iommu->hwdev);
	kfree(iommu->bus.name);
	free_hardware(iommu);
	kfree(iommu);
}

/**
 * kunit_iommu_create() - Build IOMMU hardware
 * @test: test that it belongs to
 * @config: how it is to be, NULL for the default
 *
 * Without a driver yet: what is set up with kunit_iommu_set_entry() and
 * kunit_iommu_add_device() until kunit_iommu_register() is called is what the
 * kernel finds when it boots. All entries are blocked at first.
 *
 * Everything is cleaned up at the end of the test: drivers are unbound, devices
 * removed, the IOMMU is unregistered.
 *
 * Return: the IOMMU, an error pointer on failure.
 */
struct kunit_iommu *kunit_iommu_create(struct kunit *test,
				       const struct kunit_iommu_config *config)
{
	static atomic_t instances;
	unsigned int instance = atomic_inc_return(&instances);
	struct kunit_iommu *iommu;
	int ret = -ENOMEM;

	iommu = kzalloc_obj(*iommu);
	if (!iommu)
		return ERR_PTR(-ENOMEM);
	iommu->test = test;
	if (config)
		iommu->config = *config;
	iommu->translating = !iommu->config.off;
	if (alloc_hardware(iommu))
		goto err_free;
	spin_lock_init(&iommu->lock);
	hash_init(iommu->iotlb);
	INIT_LIST_HEAD(&iommu->plain_domains);
	ida_init(&iommu->domain_ids);
	INIT_LIST_HEAD(&iommu->devices);

	iommu->bus.name = kasprintf(GFP_KERNEL, "kunit-iommu%u", instance);
	if (!iommu->bus.name)
		goto err_free;
	init_old(iommu);
	iommu->bus.match = bus_match;
	iommu->bus.probe = bus_probe;
	iommu->bus.dma_configure = bus_dma_configure;
	iommu->bus.dma_cleanup = bus_dma_cleanup;

	iommu->hwdev = root_device_register(iommu->bus.name);
	if (IS_ERR(iommu->hwdev)) {
		ret = PTR_ERR(iommu->hwdev);
		goto err_free;
	}
	set_dev_node(iommu->hwdev, NUMA_NO_NODE);

	ret = bus_register(&iommu->bus);
	if (ret)
		goto err_hwdev;

	iommu->driver.name = "kunit-iommu-client";
	iommu->driver.bus = &iommu->bus;
	iommu->driver.owner = THIS_MODULE;
	iommu->driver.suppress_bind_attrs = true;
	ret = driver_register(&iommu->driver);
	if (ret)
		goto err_bus;

	if (iommu->config.pci) {
		ret = create_pci(iommu, instance);
		if (ret)
			goto err_driver;
	}

	ret = kunit_add_action_or_reset(test, destroy, iommu);
	return ret ? ERR_PTR(ret) : iommu;

err_driver:
	destroy_pci(iommu);
	driver_unregister(&iommu->driver);
err_bus:
	bus_unregister(&iommu->bus);
err_hwdev:
	root_device_unregister(iommu->hwdev);
err_free:
	kfree(iommu->bus.name);
	free_hardware(iommu);
	kfree(iommu);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(kunit_iommu_create);

/**
 * kunit_iommu_register() - The driver of the IOMMU probes
 * @iommu: the IOMMU
 *
 * Return: 0 or an error.
 */
int kunit_iommu_register(struct kunit_iommu *iommu)
{
	int ret;

	take_over(iommu);
	ret = iommu_device_sysfs_add(&iommu->iommu_dev, iommu->hwdev, NULL,
				     "%s", iommu->bus.name);
	if (ret)
		return ret;
	iommu->sysfs_added = true;

	ret = register_iommu(iommu);
	if (ret)
		return ret;
	iommu->registered = true;

	scoped_guard(spinlock_irqsave, &iommu->lock)
		iommu->translating = true;
	iommu->old.not_live = false;
	step(iommu, KUNIT_IOMMU_ENTRY_WRITTEN);
	return 0;
}
EXPORT_SYMBOL_GPL(kunit_iommu_register);

/**
 * kunit_iommu_priv() - The pointer that the test has put into its configuration
 * @iommu: the IOMMU
 *
 * Return: &kunit_iommu_config.priv.
 */
void *kunit_iommu_priv(struct kunit_iommu *iommu)
{
	return iommu->config.priv;
}
EXPORT_SYMBOL_GPL(kunit_iommu_priv);

/**
 * kunit_iommu_get_stats() - What the driver has done so far
 * @iommu: the IOMMU
 *
 * Return: the counters themselves, which go on.
 */
const struct kunit_iommu_stats *kunit_iommu_get_stats(struct kunit_iommu *iommu)
{
	return &iommu->stats;
}
EXPORT_SYMBOL_GPL(kunit_iommu_get_stats);

/**
 * kunit_iommu_add_device() - Plug a device in
 * @iommu: IOMMU that it is behind
 * @group: number of its group; devices with the same number share one
 * @rids: requester IDs of its DMA. Devices that share one must share their group.
 * @num_rids: number of elements of @rids
 *
 * No driver is bound to it. The device is gone after kunit_iommu_remove_device(),
 * or when the test ends. A PCI device is busy, as far as its command register says,
 * and has function level reset and ATS. Its last requester ID is what its place on
 * the bus suggests, unless another device is there; only the IOMMU's driver knows the
 * first one.
 *
 * Return: the device, an error pointer on failure.
 */
struct device *kunit_iommu_add_device(struct kunit_iommu *iommu,
				      unsigned int group, const u32 *rids,
				      unsigned int num_rids)
{
	struct kunit_iommu_device *kdev;
	unsigned int i;
	int ret;

	if (!num_rids || num_rids > KUNIT_IOMMU_DEV_RIDS)
		return ERR_PTR(-EINVAL);
	for (i = 0; i < num_rids; i++)
		if (rids[i] >= iommu->config.num_rids)
			return ERR_PTR(-EINVAL);

	kdev = kzalloc_obj(*kdev);
	if (!kdev)
		return ERR_PTR(-ENOMEM);
	kdev->iommu = iommu;
	kdev->group = group;
	kdev->num_rids = num_rids;
	memcpy(kdev->rids, rids, num_rids * sizeof(*rids));

	ret = iommu->config.pci ? add_pci(kdev) : add_own(kdev);
	return ret ? ERR_PTR(ret) : kdev->dev;
}
EXPORT_SYMBOL_GPL(kunit_iommu_add_device);

/**
 * kunit_iommu_remove_device() - Pull a device
 * @dev: the device. Its driver is unbound. Must not be used any more.
 */
void kunit_iommu_remove_device(struct device *dev)
{
	struct kunit_iommu_device *kdev = to_kdev(dev);

	if (kdev->iommu->config.pci) {
		remove_pci(kdev);
		return;
	}
	get_device(dev);
	device_unregister(dev);
	list_del(&kdev->node);
	put_device(dev);
}
EXPORT_SYMBOL_GPL(kunit_iommu_remove_device);

/**
 * kunit_iommu_bind() - Bind a driver that uses the DMA API
 * @dev: device to bind it to
 * @probe: what its probe does, NULL to just succeed
 *
 * Return: 0, or why the driver core or @probe has refused.
 */
int kunit_iommu_bind(struct device *dev, int (*probe)(struct device *dev))
{
	struct kunit_iommu_device *kdev = to_kdev(dev);
	int ret;

	kdev->probe = probe;
	ret = device_driver_attach(driver_of(kdev->iommu), dev);
	kdev->probe = NULL;
	return ret;
}
EXPORT_SYMBOL_GPL(kunit_iommu_bind);

/**
 * kunit_iommu_unbind() - Unbind the driver of a device
 * @dev: the device
 */
void kunit_iommu_unbind(struct device *dev)
{
	device_release_driver(dev);
}
EXPORT_SYMBOL_GPL(kunit_iommu_unbind);

/**
 * kunit_iommu_set_memory() - Give hardware memory that the kernel does not know
 * @iommu: the IOMMU
 * @phys: physical address of the memory, which is no RAM of this machine
 * @vaddr: what stands for it
 * @size: its size in bytes
 */
void kunit_iommu_set_memory(struct kunit_iommu *iommu, phys_addr_t phys,
			    void *vaddr, size_t size)
{
	if (WARN_ON(iommu->nr_memory == MAX_MEMORY))
		return;
	iommu->memory[iommu->nr_memory].phys = phys;
	iommu->memory[iommu->nr_memory].vaddr = vaddr;
	iommu->memory[iommu->nr_memory++].size = size;
}
EXPORT_SYMBOL_GPL(kunit_iommu_set_memory);

/**
 * kunit_iommu_add_resv_region() - Firmware has plans for some addresses
 * @iommu: the IOMMU; all of its devices get the region
 * @start: start of the region
 * @length: its size in bytes
 * @type: what they are, IOMMU_RESV_DIRECT are mapped 1:1
 *
 * Return: 0, -ENOSPC if there are too many.
 */
int kunit_iommu_add_resv_region(struct kunit_iommu *iommu, phys_addr_t start,
				size_t length, enum iommu_resv_type type)
{
	if (iommu->nr_resv == MAX_RESV)
		return -ENOSPC;
	iommu->resv[iommu->nr_resv].start = start;
	iommu->resv[iommu->nr_resv].length = length;
	iommu->resv[iommu->nr_resv++].type = type;
	return 0;
}
EXPORT_SYMBOL_GPL(kunit_iommu_add_resv_region);

/**
 * kunit_iommu_set_entry() - Store a context entry behind the driver's back
 * @iommu: the IOMMU
 * @rid: requester ID
 * @entry: what to store. Nothing is flushed.
 */
void kunit_iommu_set_entry(struct kunit_iommu *iommu, u32 rid,
			   const struct kunit_iommu_entry *entry)
{
	guard(spinlock_irqsave)(&iommu->lock);
	iommu->entries[rid] = *entry;
}
EXPORT_SYMBOL_GPL(kunit_iommu_set_entry);

/**
 * kunit_iommu_get_entry() - Read a context entry
 * @iommu: the IOMMU
 * @rid: requester ID
 * @entry: set to what is stored, whatever the context cache holds
 *
 * Return: false if there is no such requester ID.
 */
bool kunit_iommu_get_entry(struct kunit_iommu *iommu, u32 rid,
			   struct kunit_iommu_entry *entry)
{
	if (rid >= iommu->config.num_rids)
		return false;
	guard(spinlock_irqsave)(&iommu->lock);
	*entry = iommu->entries[rid];
	return true;
}
EXPORT_SYMBOL_GPL(kunit_iommu_get_entry);

/**
 * kunit_iommu_forgive() - Violations are what a test is about
 * @iommu: IOMMU with &kunit_iommu_config.plain_domains
 *
 * A request to the page table of a domain that is wrong: mapping over something,
 * unmapping a part of a leaf, or where nothing is mapped. Those that have not been
 * asked for when the domains are gone let the test fail.
 *
 * Return: how many there have been since the last time.
 */
unsigned int kunit_iommu_forgive(struct kunit_iommu *iommu)
{
	unsigned int n = iommu->violations;
	struct kunit_iommu_domain *pos;

	iommu->violations = 0;
	guard(spinlock_irqsave)(&iommu->lock);
	list_for_each_entry(pos, &iommu->plain_domains, node)
		n += atomic_xchg(&pos->plain.violations, 0);
	return n;
}
EXPORT_SYMBOL_GPL(kunit_iommu_forgive);

/**
 * kunit_iommu_fail_attach() - Let attaching to paging domains fail
 * @iommu: the IOMMU
 * @times: how many times from now on
 */
void kunit_iommu_fail_attach(struct kunit_iommu *iommu, unsigned int times)
{
	iommu->fail_attach = times;
}
EXPORT_SYMBOL_GPL(kunit_iommu_fail_attach);

/**
 * kunit_iommu_fail_device() - Let attaching a device to paging domains fail
 * @dev: the device
 * @fail: if it fails from now on
 */
void kunit_iommu_fail_device(struct device *dev, bool fail)
{
	to_kdev(dev)->fails = fail;
}
EXPORT_SYMBOL_GPL(kunit_iommu_fail_device);

/**
 * kunit_iommu_id_in_use() - Is a domain ID taken?
 * @iommu: the IOMMU
 * @id: domain ID
 *
 * Return: true if it is not free for a new domain.
 */
bool kunit_iommu_id_in_use(struct kunit_iommu *iommu, u16 id)
{
	return ida_exists(&iommu->domain_ids, id);
}
EXPORT_SYMBOL_GPL(kunit_iommu_id_in_use);

MODULE_IMPORT_NS("GENERIC_PT_IOMMU");
