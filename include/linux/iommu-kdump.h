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
#include <linux/xarray.h>

struct device;
struct ida;
struct iommu_domain;
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
 * struct iommu_kdump_tables - what hardware uses for the DMA of one device
 * @type: kind of translation
 * @format: page table format, a number private to the IOMMU driver
 * @levels: levels of the page table, 1 is a table of leaves only
 * @id: domain ID or ASID that tags what hardware caches of this translation
 * @root: physical address of the top table. The driver has checked that all of
 *        it is memory of the crashed kernel, see iommu_kdump_is_old_ram().
 * @not_live: the IOMMU does not translate yet, what is described here is what
 *            happens to the DMA of the device without it. The core moves the
 *            group to a domain before the IOMMU is switched on.
 *
 * Filled in by &iommu_ops.inherit_tables. Two devices of a group that are
 * described by the same @type, @format, @levels and @root share one
 * translation, which is walked once.
 */
struct iommu_kdump_tables {
	enum iommu_kdump_type type;
	u8 format;
	u8 levels;
	bool not_live;
	u32 id;
	phys_addr_t root;
};

/**
 * iommu_kdump_same_tables() - Do two descriptions mean one translation?
 * @a: as filled in by &iommu_ops.inherit_tables
 * @b: another one
 *
 * Return: true if hardware does the same with the DMA of both.
 */
static inline bool iommu_kdump_same_tables(const struct iommu_kdump_tables *a,
					   const struct iommu_kdump_tables *b)
{
	if (a->type != b->type)
		return false;
	return a->type != IOMMU_KDUMP_PAGING ||
	       (a->root == b->root && a->levels == b->levels &&
		a->format == b->format);
}

/**
 * iommu_kdump_add_tables() - Another requester ID of the same device
 * @tables: what its other requester IDs lead to, IOMMU_KDUMP_NONE before the first
 * @one: what this one leads to
 *
 * For &iommu_ops.inherit_tables of drivers whose devices have several.
 *
 * Return: 0, -EUCLEAN if one device has two translations, which no kernel sets up.
 */
static inline int iommu_kdump_add_tables(struct iommu_kdump_tables *tables,
					 const struct iommu_kdump_tables *one)
{
	if (tables->type == IOMMU_KDUMP_NONE)
		*tables = *one;
	return iommu_kdump_same_tables(tables, one) ? 0 : -EUCLEAN;
}

/**
 * struct iommu_kdump_ids - domain IDs (or ASIDs) of the crashed kernel
 * @ida: the allocator that they are kept from
 * @users: number of old entries that lead to an ID, by ID
 */
struct iommu_kdump_ids {
	struct ida *ida;
	struct xarray users;
};

/**
 * struct iommu_kdump_refused - requester IDs whose old entries were refused
 * @rids: bitmap of them, NULL if there is none
 * @all: all of them, or there was no memory to tell which
 */
struct iommu_kdump_refused {
	unsigned long *rids;
	bool all;
};

/**
 * struct iommu_kdump_leaves - leaves of an old table that may lead anywhere
 * @entries: where the first one is. In each entry the address is as it is, and what
 *           is below its alignment, or above it, are flags.
 * @entry: the first one, as it was read and checked
 * @nr: entries that the table has from there on; set to how many have been taken
 * @lg2sz: log2 of what one of them translates, in bytes
 * @iova: IOVA of the first one
 * @phys: where it leads
 * @prot: IOMMU_READ, IOMMU_WRITE, IOMMU_NOEXEC of the first one
 */
struct iommu_kdump_leaves {
	const u64 *entries;
	u64 entry;
	unsigned int nr;
	unsigned int lg2sz;
	u64 iova;
	phys_addr_t phys;
	int prot;
};

/* So many faults, and the requester ID faults silently from then on */
#define IOMMU_KDUMP_FAULTS	16

#ifdef CONFIG_IOMMU_KDUMP

bool iommu_kdump_enabled(void);
bool iommu_domain_is_inherited(const struct iommu_domain *domain);
u32 iommu_kdump_old_id(struct device *dev);

/* Memory of the crashed kernel */
int iommu_kdump_oldmem_init(void);
bool iommu_kdump_is_old_ram(phys_addr_t phys, u64 size);
const void *iommu_kdump_map_old(phys_addr_t phys);
void iommu_kdump_unmap_old(const void *vaddr);

/* Domain IDs of the crashed kernel */
void iommu_kdump_ids_init(struct iommu_kdump_ids *ids, struct ida *ida);
void iommu_kdump_ids_destroy(struct iommu_kdump_ids *ids);
int iommu_kdump_get_id(struct iommu_kdump_ids *ids, u32 id);
void iommu_kdump_put_id(struct iommu_kdump_ids *ids, u32 id);
bool iommu_kdump_free_ids(struct iommu_kdump_ids *ids);

/* Requester IDs whose entries were refused */
void iommu_kdump_refuse(struct iommu_kdump_refused *refused, u16 first,
			unsigned int nr);
bool iommu_kdump_was_refused(const struct iommu_kdump_refused *refused,
			     u16 rid);
void iommu_kdump_forget_refused(struct iommu_kdump_refused *refused);

/* For &iommu_ops.reserve_old_iova */
int iommu_kdump_report_mapping(struct iommu_kdump_report *report, u64 iova,
			       phys_addr_t phys, u64 size, int prot);
int iommu_kdump_report_leaves(struct iommu_kdump_report *report,
			      struct iommu_kdump_leaves *leaves);
int iommu_kdump_report_bad(struct iommu_kdump_report *report, u64 iova,
			   u64 size);
int iommu_kdump_report_table(struct iommu_kdump_report *report);

#else /* CONFIG_IOMMU_KDUMP */

static inline bool iommu_kdump_enabled(void)
{
	return false;
}

static inline bool iommu_domain_is_inherited(const struct iommu_domain *domain)
{
	return false;
}

static inline u32 iommu_kdump_old_id(struct device *dev)
{
	return 0;
}

static inline int iommu_kdump_oldmem_init(void)
{
	return 0;
}

static inline bool iommu_kdump_is_old_ram(phys_addr_t phys, u64 size)
{
	return false;
}

static inline const void *iommu_kdump_map_old(phys_addr_t phys)
{
	return ERR_PTR(-EUCLEAN);
}

static inline void iommu_kdump_unmap_old(const void *vaddr)
{
}

static inline void iommu_kdump_ids_init(struct iommu_kdump_ids *ids,
					struct ida *ida)
{
}

static inline void iommu_kdump_ids_destroy(struct iommu_kdump_ids *ids)
{
}

static inline void iommu_kdump_put_id(struct iommu_kdump_ids *ids, u32 id)
{
}

static inline bool iommu_kdump_free_ids(struct iommu_kdump_ids *ids)
{
	return false;
}

static inline void
iommu_kdump_forget_refused(struct iommu_kdump_refused *refused)
{
}

#endif /* CONFIG_IOMMU_KDUMP */
#endif /* __LINUX_IOMMU_KDUMP_H */
