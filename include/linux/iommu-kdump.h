/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Crashdump framework of the IOMMU core: the contract with IOMMU drivers.
 *
 * When a kernel panics, devices keep doing DMA through the IOMMU while the
 * crash kernel boots. The framework keeps the translation of the crashed
 * kernel alive until the driver of the crash kernel has taken its device over.
 * See Documentation/iommu/kdump.rst for the concepts and
 * Documentation/iommu/kdump-driver.rst for how a driver opts in.
 */
#ifndef __LINUX_IOMMU_KDUMP_H
#define __LINUX_IOMMU_KDUMP_H

#include <linux/err.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct device;
struct ida;
struct iommu_domain;
struct iommu_kdump_entries;
struct iommu_kdump_range;
struct iommu_kdump_report;

/**
 * enum iommu_kdump_type - what hardware does with the DMA of a device that the
 *                         crash kernel has not touched yet
 * @IOMMU_KDUMP_NONE: nothing is inherited, the device starts as in any boot
 * @IOMMU_KDUMP_BLOCKED: all DMA is blocked
 * @IOMMU_KDUMP_IDENTITY: DMA addresses are physical addresses
 * @IOMMU_KDUMP_PAGING: DMA is translated by a page table of the crashed kernel
 */
enum iommu_kdump_type {
	IOMMU_KDUMP_NONE,
	IOMMU_KDUMP_BLOCKED,
	IOMMU_KDUMP_IDENTITY,
	IOMMU_KDUMP_PAGING,
};

/**
 * struct iommu_kdump_tables - what an entry of the crashed kernel leads to
 * @type: kind of translation
 * @format: page table format, a number private to the IOMMU driver
 * @levels: levels of the page table, 1 is a table of leaves only
 * @id: domain ID or ASID that tags what hardware caches of this translation
 * @root: physical address of the top table. The driver has checked that all of
 *        it is memory of the crashed kernel, see iommu_kdump_is_old_ram().
 *
 * Filled in by &iommu_ops.inherit_tables. Entries that are described by the same
 * @type, @format, @levels and @root share one translation, which is walked once.
 */
struct iommu_kdump_tables {
	enum iommu_kdump_type type;
	u32 format;
	u8 levels;
	u32 id;
	phys_addr_t root;
};

/**
 * struct iommu_kdump_ids - domain IDs (or ASIDs) of the crashed kernel
 * @ida: the allocator that they are kept from
 * @first: lowest ID that it hands out
 * @last: highest ID that it hands out
 * @users: number of old entries that lead to an ID, by ID
 */
struct iommu_kdump_ids {
	struct ida *ida;
	u32 first;
	u32 last;
	struct xarray users;
};

/**
 * struct iommu_kdump_entry_ops - what the core cannot do with an entry
 * @own_id: Optional. An ID of a device that the core does not know: it is in no
 *          fwspec and is no PCI alias of the device. May return one that it does
 *          know. Called as soon as the driver data of the device is set up, when
 *          the core may not know its IOMMU yet.
 * @silence: The device with this ID keeps faulting: let it fault without being
 *           reported, whatever kind of event it is, until its entry is replaced.
 *           May sleep. May find that no such entry exists.
 */
struct iommu_kdump_entry_ops {
	u32 (*own_id)(struct iommu_kdump_entries *entries, struct device *dev);
	void (*silence)(struct iommu_kdump_entries *entries, u32 id);
};

/* IDs that may begin to fault before a worker finds memory to count them */
#define IOMMU_KDUMP_NEW_FAULTS	16

/**
 * struct iommu_kdump_new_faults - faults of an ID that nothing is known of yet
 * @id: the ID
 * @nr: how many, 0 if there is room here
 */
struct iommu_kdump_new_faults {
	u32 id;
	u16 nr;
};

/**
 * struct iommu_kdump_entries - what is known of the crashed kernel's context entries
 *                              (device table entries, stream table entries)
 * @name: of the IOMMU, for the log
 * @ops: what the driver does for the core
 * @ids: their domain IDs, NULL if hardware has none
 * @not_live: the IOMMU does not translate yet. The core moves each group to a
 *            domain before it is switched on, after which the driver clears this.
 * @xa: what is known of an ID, by ID, of those only of which something is
 * @refused: ranges of IDs whose entries were refused
 * @nr_refused: number of them
 * @refused_all: all of them, or there was no memory to tell which
 * @fault_lock: for what is counted of faults, which come in hard interrupts
 * @new_faults: those of IDs that nothing is known of yet
 * @silence_work: finds memory for these, and calls &iommu_kdump_entry_ops.silence
 *
 * One for each IOMMU, or for several that share their table. All but the first four
 * members are the core's.
 */
struct iommu_kdump_entries {
	const char *name;
	const struct iommu_kdump_entry_ops *ops;
	struct iommu_kdump_ids *ids;
	bool not_live;
	struct xarray xa;
	struct iommu_kdump_range *refused;
	unsigned int nr_refused;
	bool refused_all;
	raw_spinlock_t fault_lock;
	struct iommu_kdump_new_faults new_faults[IOMMU_KDUMP_NEW_FAULTS];
	struct work_struct silence_work;
};

/**
 * struct iommu_kdump_leaves - leaves of an old table that may lead anywhere
 * @entries: where the first one is. In each entry the address stands @shift bits lower
 *           than it is, and what is below its alignment, or above it, are flags.
 * @entry: the first one, as it was read and checked
 * @nr: entries that the table has from there on; set to how many have been taken
 * @lg2sz: log2 of what one of them translates, in bytes
 * @shift: from the address in an entry to the address, 0 if it is as it is
 * @iova: IOVA of the first one
 * @phys: where it leads
 * @prot: IOMMU_READ, IOMMU_WRITE, IOMMU_NOEXEC of the first one
 */
struct iommu_kdump_leaves {
	const u64 *entries;
	u64 entry;
	unsigned int nr;
	unsigned int lg2sz;
	unsigned int shift;
	u64 iova;
	phys_addr_t phys;
	int prot;
};

#ifdef CONFIG_IOMMU_KDUMP

bool iommu_kdump_enabled(void);
bool iommu_kdump_keeps_translation(void);
void iommu_kdump_firmware_damaged(const char *table);
bool iommu_domain_is_inherited(const struct iommu_domain *domain);

/* Memory of the crashed kernel */
int iommu_kdump_oldmem_init(void);
bool iommu_kdump_is_old_ram(phys_addr_t phys, u64 size);
const void *iommu_kdump_map_old(phys_addr_t phys, u64 size);
void iommu_kdump_unmap_old(const void *vaddr);
int iommu_kdump_read_old(phys_addr_t phys, u64 size, u64 *val, unsigned int nr);

/* Domain IDs of the crashed kernel */
void iommu_kdump_ids_init(struct iommu_kdump_ids *ids, struct ida *ida,
			  u32 first, u32 last);
void iommu_kdump_ids_destroy(struct iommu_kdump_ids *ids);
bool iommu_kdump_free_ids(struct iommu_kdump_ids *ids);

/* Entries of the crashed kernel */
void iommu_kdump_entries_init(struct iommu_kdump_entries *entries,
			      const struct iommu_kdump_entry_ops *ops,
			      struct iommu_kdump_ids *ids, const char *name);
void iommu_kdump_entries_destroy(struct iommu_kdump_entries *entries);
int iommu_kdump_keep_entry(struct iommu_kdump_entries *entries, u32 id,
			   u32 domain_id);
void iommu_kdump_refuse_entries(struct iommu_kdump_entries *entries, u32 first,
				u32 nr);
bool iommu_kdump_entry_is_old(struct iommu_kdump_entries *entries, u32 id);
bool iommu_kdump_entry_left(struct iommu_kdump_entries *entries, u32 id);
bool iommu_kdump_dev_is_old(struct iommu_kdump_entries *entries,
			    struct device *dev);
bool iommu_kdump_fault(struct iommu_kdump_entries *entries, u32 id);

/* For &iommu_ops.reserve_old_iova */
int iommu_kdump_report_mapping(struct iommu_kdump_report *report, u64 iova,
			       phys_addr_t phys, u64 size, int prot);
int iommu_kdump_report_leaves(struct iommu_kdump_report *report,
			      struct iommu_kdump_leaves *leaves);
int iommu_kdump_report_bad(struct iommu_kdump_report *report, u64 iova,
			   u64 size);
int iommu_kdump_report_table(struct iommu_kdump_report *report);

/* For irqchip drivers */
void iommu_kdump_add_doorbell(phys_addr_t phys, size_t size);

#else /* CONFIG_IOMMU_KDUMP */

static inline bool iommu_kdump_enabled(void)
{
	return false;
}

static inline bool iommu_kdump_keeps_translation(void)
{
	return false;
}

static inline void iommu_kdump_firmware_damaged(const char *table)
{
}

static inline bool iommu_domain_is_inherited(const struct iommu_domain *domain)
{
	return false;
}

static inline int iommu_kdump_oldmem_init(void)
{
	return 0;
}

static inline bool iommu_kdump_is_old_ram(phys_addr_t phys, u64 size)
{
	return false;
}

static inline const void *iommu_kdump_map_old(phys_addr_t phys, u64 size)
{
	return ERR_PTR(-EUCLEAN);
}

static inline void iommu_kdump_unmap_old(const void *vaddr)
{
}

static inline void iommu_kdump_ids_init(struct iommu_kdump_ids *ids,
					struct ida *ida, u32 first, u32 last)
{
}

static inline void iommu_kdump_ids_destroy(struct iommu_kdump_ids *ids)
{
}

static inline bool iommu_kdump_free_ids(struct iommu_kdump_ids *ids)
{
	return false;
}

static inline void
iommu_kdump_entries_init(struct iommu_kdump_entries *entries,
			 const struct iommu_kdump_entry_ops *ops,
			 struct iommu_kdump_ids *ids, const char *name)
{
}

static inline void
iommu_kdump_entries_destroy(struct iommu_kdump_entries *entries)
{
}

static inline bool
iommu_kdump_entry_is_old(struct iommu_kdump_entries *entries, u32 id)
{
	return false;
}

static inline bool iommu_kdump_entry_left(struct iommu_kdump_entries *entries,
					  u32 id)
{
	return false;
}

static inline bool iommu_kdump_dev_is_old(struct iommu_kdump_entries *entries,
					  struct device *dev)
{
	return false;
}

static inline bool iommu_kdump_fault(struct iommu_kdump_entries *entries,
				     u32 id)
{
	return false;
}

static inline void iommu_kdump_add_doorbell(phys_addr_t phys, size_t size)
{
}

#endif /* CONFIG_IOMMU_KDUMP */
#endif /* __LINUX_IOMMU_KDUMP_H */
