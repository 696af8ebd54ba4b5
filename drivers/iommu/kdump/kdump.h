/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Crashdump framework of the IOMMU core: what its parts share, and the calls
 * from the IOMMU core and the DMA API.
 */
#ifndef __IOMMU_KDUMP_KDUMP_H
#define __IOMMU_KDUMP_KDUMP_H

#include <linux/gfp.h>
#include <linux/iommu-kdump.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct iommu_domain;
struct iommu_group;
struct iova_domain;
struct notifier_block;
struct pci_dev;
struct seq_file;

#ifdef CONFIG_IOMMU_KDUMP

/* The dump comes first: may fail, must not wake the OOM killer, nor warn */
#define KDUMP_GFP	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

/*
 * Old DMA may be at IOVAs that nobody has seen. Kernels allocate top down from 4 GiB:
 * from here on it is likely.
 */
#define KDUMP_LIKELY	SZ_1G

/**
 * enum iommu_kdump_state - life of the inheritance of a group
 * @KDUMP_NONE: as in a normal boot
 * @KDUMP_INHERITED: hardware uses the tables of the crashed kernel,
 *                   group->domain is the inherited domain
 * @KDUMP_CARRYING: group->domain is the default domain, with the old mappings
 *                  beside the new ones
 * @KDUMP_RELEASED: the old mappings are gone, their IOVAs are still reserved
 * @KDUMP_BLOCKED: the group could not be carried over, the default domain has
 *                 never had an old mapping
 */
enum iommu_kdump_state {
	KDUMP_NONE,
	KDUMP_INHERITED,
	KDUMP_CARRYING,
	KDUMP_RELEASED,
	KDUMP_BLOCKED,
};

/* A range of IOVA, both ends inclusive */
struct iommu_kdump_range {
	u64 first;
	u64 last;
};

/* In ascending order, unless it says otherwise */
struct iommu_kdump_ranges {
	struct iommu_kdump_range *r;
	unsigned int nr;
	unsigned int max;
};

/**
 * struct iommu_kdump_iova - old IOVA ranges of a DMA domain
 * @lock: protects all of it against the DMA API, which may be in any context
 * @reserved: nodes in the IOVA allocator that belong to the framework, in
 *            ascending order
 * @shared: old IOVAs that lie in nodes of somebody else (PCI windows, for
 *          instance), which the allocator never hands out anyway
 * @pieces: what is mapped, in ascending order, where the page table cannot skip holes
 *          when it is unmapped. Each of them consists of whole leaves.
 * @next_reclaim: how many nodes the next shortage gives back
 * @reclaimed: nodes given back so far
 * @mapped: the old mappings are still in the domain
 * @growing: more of them are being mapped: nothing is given back meanwhile
 * @low: new mappings are made where old DMA is unlikely to be, if there is room
 *
 * Owned by the DMA cookie of the domain, so that it is gone when the allocator
 * is.
 */
struct iommu_kdump_iova {
	spinlock_t lock;	/* see above */
	struct iommu_kdump_ranges reserved;
	struct iommu_kdump_ranges shared;
	struct iommu_kdump_ranges pieces;
	unsigned int next_reclaim;
	unsigned int reclaimed;
	bool mapped;
	bool growing;
	bool low;
};

/**
 * struct iommu_kdump_dev - what one device of a group has inherited
 * @node: in iommu_kdump_group.devs
 * @dev: the device
 * @tables: what all of its IDs lead to
 * @error: why it could not be inherited, 0 if it could
 * @holds: its old DMA uses what the group carries: it is not released under it
 * @carried: what @tables say is in the default domain, since the last release
 * @dma: the device may have DMA in flight, or waiting
 * @bound: a driver is bound to it
 * @quiet: a reset, or the driver on its way out, has ended all old DMA
 */
struct iommu_kdump_dev {
	struct list_head node;
	struct device *dev;
	struct iommu_kdump_tables tables;
	int error;
	bool holds;
	bool carried;
	bool dma;
	bool bound;
	bool quiet;
};

/**
 * enum iommu_kdump_refusal - why an old mapping is not carried
 * @KDUMP_REFUSED_BAD_ENTRY: its entry cannot be right
 * @KDUMP_REFUSED_TARGET: it points where old DMA must not go
 * @KDUMP_REFUSED_REGION: its IOVA is in a reserved region, which the new domain
 *                        maps as firmware wants it, or not at all
 * @KDUMP_REFUSED_WIDTH: the new domain cannot translate it: IOVA too high, or page
 *                       too small
 */
enum iommu_kdump_refusal {
	KDUMP_REFUSED_BAD_ENTRY,
	KDUMP_REFUSED_TARGET,
	KDUMP_REFUSED_REGION,
	KDUMP_REFUSED_WIDTH,
};

/**
 * struct iommu_kdump_stats - what an import has found
 * @ranges: separate ranges of IOVA that are kept from the allocator
 * @mapped: bytes of old mappings that are carried
 * @reserved: bytes of IOVA that are kept from the allocator
 * @tables: old table pages read
 * @new_tables: bytes of page tables that the import has added to the domain; about so
 *              many if they are none of generic_pt
 * @bad: pages whose entry could not be right
 * @refused: pages that pointed where old DMA must not go, or lay in a region that
 *           the new domain has other plans for
 * @clipped: pages beyond what the new domain can translate
 * @freed: bytes of page tables that the release has given back, as far as is known
 * @import_ns: nanoseconds that the import took
 * @release_ns: nanoseconds that the release took
 */
struct iommu_kdump_stats {
	unsigned int ranges;
	u64 mapped;
	u64 reserved;
	u64 tables;
	u64 new_tables;
	u64 bad;
	u64 refused;
	u64 clipped;
	u64 freed;
	u64 import_ns;
	u64 release_ns;
};

/**
 * struct iommu_kdump_group - inheritance of a group
 * @group: the group; everything below is protected by its mutex
 * @state: where the group is
 * @devs: list of struct iommu_kdump_dev
 * @release_work: removes the old mappings after the grace period
 * @stats: what the import has found
 * @reason: why the group is blocked, NULL if it is not
 * @charged: pages that its old mappings take, for iommu_kdump_charge()
 * @lost: there was no memory for one of the devices
 */
struct iommu_kdump_group {
	struct iommu_group *group;
	enum iommu_kdump_state state;
	struct list_head devs;
	struct delayed_work release_work;
	struct iommu_kdump_stats stats;
	const char *reason;
	u64 charged;
	bool lost;
};

/* group.c */
extern struct iommu_domain iommu_kdump_inherited_domain;
bool iommu_kdump_active(void);
bool iommu_kdump_takes_part(struct device *dev);
bool iommu_kdump_group_inherited(struct iommu_group *group);
struct iommu_kdump_group *iommu_kdump_new_group(struct iommu_group *group);
struct iommu_kdump_dev *iommu_kdump_find_dev(struct iommu_group *group,
					     struct device *dev);
struct iommu_group *iommu_kdump_next_group(int *id);
void iommu_kdump_free(struct iommu_group *group);

/* core.c: called by the IOMMU core with group->mutex held */
void iommu_kdump_join(struct iommu_group *group, struct device *dev);
bool iommu_kdump_grow(struct iommu_group *group, struct device *dev);
void iommu_kdump_leave(struct iommu_group *group, struct device *dev);
bool iommu_kdump_set_default_domain(struct iommu_group *group);
void iommu_kdump_group_ready(struct iommu_group *group);
void iommu_kdump_check_group(struct iommu_group *group);
int iommu_kdump_take_over(struct iommu_group *group, struct device *dev);
int iommu_kdump_abandon(struct iommu_group *group);
bool iommu_kdump_default_domain_is_dma(struct iommu_group *group,
				       unsigned int driver_wants);

/* release.c: with group->mutex held */
void iommu_kdump_release_init(struct iommu_kdump_group *kg);
void iommu_kdump_release(struct iommu_kdump_group *kg,
			 struct iommu_domain *domain);
void iommu_kdump_cancel_release(struct iommu_kdump_group *kg);
void iommu_kdump_update_release(struct iommu_kdump_group *kg);
void iommu_kdump_forget(struct iommu_kdump_group *kg);
void iommu_kdump_left(struct iommu_group *group, struct iommu_domain *domain);

/* core.c and release.c: called without the mutex */
int iommu_kdump_reset_prepare(struct pci_dev *pdev);
void iommu_kdump_reset_done(struct pci_dev *pdev);
void iommu_kdump_driver_bound(struct device *dev);
void iommu_kdump_driver_unbound(struct device *dev);

/* entries.c */
bool iommu_kdump_entry_was_refused(const struct iommu_kdump_entries *entries,
				   u32 id);
bool iommu_kdump_entry_was_left(struct iommu_kdump_entries *entries, u32 id);
int iommu_kdump_walk_ids(struct iommu_kdump_entries *entries,
			 struct device *dev,
			 int (*fn)(struct iommu_kdump_entries *entries, u32 id,
				   void *data), void *data);

/* ids.c */
int iommu_kdump_get_id(struct iommu_kdump_ids *ids, u32 id);
void iommu_kdump_put_id(struct iommu_kdump_ids *ids, u32 id);

#if IS_ENABLED(CONFIG_KUNIT)
int iommu_kdump_setup(char *str);
int iommu_kdump_grace_setup(char *str);
void iommu_kdump_check_driverless(void);
u64 iommu_kdump_carried_pages(void);
bool iommu_kdump_count_fault(struct iommu_kdump_entries *entries, u32 id);
extern unsigned int iommu_kdump_walk_ms;
void iommu_kdump_remove_doorbell(void);
int iommu_kdump_out_of_memory(struct notifier_block *nb, unsigned long unused,
			      void *freed);
int iommu_kdump_sleep(struct notifier_block *nb, unsigned long event,
		      void *unused);
int iommu_kdump_status_show(struct seq_file *s, void *unused);
bool iommu_kdump_wants_low(const struct iommu_kdump_iova *old);
int iommu_kdump_try_iova(struct iova_domain *iovad, unsigned long size, u64 limit,
			 bool flush, unsigned long *pfn);
#endif

/* status.c */
const char *iommu_kdump_state_name(enum iommu_kdump_state state);
ssize_t iommu_kdump_show_state(struct iommu_group *group, char *buf);
void iommu_kdump_status_init(void);

/* import.c */
const char *iommu_kdump_error_reason(int error);
bool iommu_kdump_same_tables(const struct iommu_kdump_tables *a,
			     const struct iommu_kdump_tables *b);
bool iommu_kdump_validate(struct iommu_kdump_group *kg);
int iommu_kdump_import(struct iommu_kdump_group *kg, const char **reason);
int iommu_kdump_import_member(struct iommu_kdump_group *kg,
			      struct iommu_kdump_dev *kdev,
			      const char **reason);

/* ranges.c */
int iommu_kdump_add_range(struct iommu_kdump_ranges *ranges, u64 first,
			  u64 last);
void iommu_kdump_merge_ranges(struct iommu_kdump_ranges *ranges);
int iommu_kdump_find_below(const struct iommu_kdump_ranges *ranges, u64 addr);
void iommu_kdump_free_ranges(struct iommu_kdump_ranges *ranges);
bool iommu_kdump_ranges_contain(const struct iommu_kdump_ranges *ranges,
				const struct iommu_kdump_ranges *part);
void iommu_kdump_insert_ranges(struct iommu_kdump_ranges *ranges,
			       const struct iommu_kdump_ranges *more);

/* reserve.c: called by the DMA API, in any context */
unsigned long iommu_kdump_alloc_iova(struct iommu_domain *domain,
				     struct iova_domain *iovad,
				     unsigned long size, u64 limit);
bool iommu_kdump_reclaim_iova(struct iommu_domain *domain,
			      struct iova_domain *iovad,
			      struct iommu_kdump_iova *old, u64 limit);
void iommu_kdump_free_iova(struct iommu_kdump_iova *old);

/* reserve.c */
void iommu_kdump_prefer_low(struct iommu_domain *domain);
int iommu_kdump_reserve(struct iommu_domain *domain,
			const struct iommu_kdump_ranges *ranges, bool mapped,
			u64 *bytes);
int iommu_kdump_reserve_more(struct iommu_domain *domain,
			     const struct iommu_kdump_ranges *ranges,
			     struct iommu_kdump_ranges *overlaps, u64 *bytes);
int iommu_kdump_add_pieces(struct iommu_domain *domain,
			   const struct iommu_kdump_ranges *pieces);
void iommu_kdump_reserved_more(struct iommu_domain *domain);
u64 iommu_kdump_release_mappings(struct iommu_domain *domain);
unsigned int iommu_kdump_given_back(struct iommu_domain *domain);

/* budget.c */
u64 iommu_kdump_free_pages(void);
u64 iommu_kdump_table_budget(void);
void iommu_kdump_charge(struct iommu_kdump_group *kg, u64 pages);
void iommu_kdump_uncharge(struct iommu_kdump_group *kg);

/* carry.c */
bool iommu_kdump_unmap_some(struct iommu_domain *domain, u64 *first, u64 last,
			    u64 *pages);
void iommu_kdump_unmap_range(struct iommu_domain *domain, u64 first, u64 last);
bool iommu_kdump_is_bulk(struct iommu_domain *domain);

/* oldmem.c */

/**
 * struct iommu_kdump_oldmem_ops - memory of a made-up crashed kernel, for tests
 * @extent: see iommu_kdump_old_ram_extent()
 * @crash_extent: see iommu_kdump_crash_mem_extent()
 * @map: see iommu_kdump_map_old()
 * @unmap: see iommu_kdump_unmap_old()
 */
struct iommu_kdump_oldmem_ops {
	bool (*extent)(phys_addr_t phys, u64 *last);
	bool (*crash_extent)(phys_addr_t phys, u64 *last);
	const void *(*map)(phys_addr_t phys, u64 size);
	void (*unmap)(const void *vaddr);
};

void iommu_kdump_set_oldmem_ops(const struct iommu_kdump_oldmem_ops *ops);
bool iommu_kdump_old_ram_extent(phys_addr_t phys, u64 *last);
bool iommu_kdump_crash_mem_extent(phys_addr_t phys, u64 *last);
bool iommu_kdump_oldmem_known(void);

#else /* CONFIG_IOMMU_KDUMP */

struct iommu_kdump_iova;

static inline bool iommu_kdump_active(void)
{
	return false;
}

static inline bool iommu_kdump_takes_part(struct device *dev)
{
	return false;
}

static inline unsigned long
iommu_kdump_alloc_iova(struct iommu_domain *domain, struct iova_domain *iovad,
		       unsigned long size, u64 limit)
{
	return 0;
}

static inline void iommu_kdump_free_iova(struct iommu_kdump_iova *old) {}

static inline void iommu_kdump_join(struct iommu_group *group,
				    struct device *dev) {}

static inline bool iommu_kdump_grow(struct iommu_group *group,
				    struct device *dev)
{
	return false;
}

static inline void iommu_kdump_leave(struct iommu_group *group,
				     struct device *dev) {}

static inline bool iommu_kdump_group_inherited(struct iommu_group *group)
{
	return false;
}

static inline bool iommu_kdump_set_default_domain(struct iommu_group *group)
{
	return false;
}

static inline void iommu_kdump_group_ready(struct iommu_group *group) {}

static inline int iommu_kdump_take_over(struct iommu_group *group,
					struct device *dev)
{
	return 0;
}

static inline int iommu_kdump_abandon(struct iommu_group *group)
{
	return 0;
}

static inline bool
iommu_kdump_default_domain_is_dma(struct iommu_group *group,
				  unsigned int driver_wants)
{
	return false;
}

static inline void iommu_kdump_left(struct iommu_group *group,
				    struct iommu_domain *domain) {}

static inline int iommu_kdump_reset_prepare(struct pci_dev *pdev)
{
	return 0;
}

static inline void iommu_kdump_reset_done(struct pci_dev *pdev) {}

static inline void iommu_kdump_free(struct iommu_group *group) {}

static inline void iommu_kdump_driver_bound(struct device *dev) {}

static inline void iommu_kdump_driver_unbound(struct device *dev) {}

#endif /* CONFIG_IOMMU_KDUMP */
#endif /* __IOMMU_KDUMP_KDUMP_H */
