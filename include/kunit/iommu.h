/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit-managed IOMMU: a small model of the hardware, its driver and the devices
 * behind it, on the real IOMMU core and the real DMA API.
 */
#ifndef _KUNIT_IOMMU_H
#define _KUNIT_IOMMU_H

#include <linux/iommu.h>
#include <linux/types.h>

struct device;
struct kunit;
struct kunit_iommu;

/* Requester IDs go from 0 to this - 1, if a test does not ask for more */
#define KUNIT_IOMMU_NUM_RIDS	32

/* Requester IDs that one device may have */
#define KUNIT_IOMMU_DEV_RIDS	2

/* Domain IDs go from 1 to this, if a test does not ask for more */
#define KUNIT_IOMMU_MAX_ID	255

/**
 * enum kunit_iommu_mode - what hardware does with the DMA of a requester ID
 * @KUNIT_IOMMU_BLOCKED: it faults
 * @KUNIT_IOMMU_IDENTITY: it is not translated
 * @KUNIT_IOMMU_PAGING: it is translated by a page table
 * @KUNIT_IOMMU_NESTED: something that only a crashed kernel has set up, and that
 *                      the driver knows but cannot take over. It faults.
 */
enum kunit_iommu_mode {
	KUNIT_IOMMU_BLOCKED,
	KUNIT_IOMMU_IDENTITY,
	KUNIT_IOMMU_PAGING,
	KUNIT_IOMMU_NESTED,
};

/**
 * enum kunit_iommu_format - page tables that hardware understands
 * @KUNIT_IOMMU_VTDSS: second stage of VT-d
 * @KUNIT_IOMMU_AMDV1: host tables of the AMD IOMMU
 * @KUNIT_IOMMU_RISCV64: first stage of RISC-V, Sv39 to Sv57, with accessed and dirty
 *                       bits that hardware does not set
 * @KUNIT_IOMMU_ARMV8: first stage of Arm with pages of 4 KiB, in 3 or 4 levels, and an
 *                     access flag that hardware does not set. io-pgtable-arm.c writes
 *                     the tables of new domains.
 */
enum kunit_iommu_format {
	KUNIT_IOMMU_VTDSS,
	KUNIT_IOMMU_AMDV1,
	KUNIT_IOMMU_RISCV64,
	KUNIT_IOMMU_ARMV8,
};

/**
 * struct kunit_iommu_entry - context entry of a requester ID
 * @mode: kind of translation
 * @levels: levels of the page table, 3 to 5; 0 for that of a plain domain
 * @id: domain ID, tags what the IOTLB holds
 * @root: physical address of the top table
 * @silent: faults are not reported
 */
struct kunit_iommu_entry {
	enum kunit_iommu_mode mode;
	u8 levels;
	u16 id;
	phys_addr_t root;
	bool silent;
};

/**
 * enum kunit_iommu_step - what the driver has just done to hardware
 * @KUNIT_IOMMU_ENTRY_WRITTEN: stored a context entry
 * @KUNIT_IOMMU_CONTEXT_FLUSHED: flushed the context cache of a requester ID
 * @KUNIT_IOMMU_IOTLB_FLUSHED: flushed a range of the IOTLB of a domain ID
 */
enum kunit_iommu_step {
	KUNIT_IOMMU_ENTRY_WRITTEN,
	KUNIT_IOMMU_CONTEXT_FLUSHED,
	KUNIT_IOMMU_IOTLB_FLUSHED,
};

/**
 * struct kunit_iommu_config - how an IOMMU is to be
 * @format: of all page tables, if it does not say otherwise
 * @plain_domains: the page tables of new domains have no format: they are none of
 *                 generic_pt, and as strict as those of io-pgtable
 * @pci: its devices are PCI devices, with a configuration space. Only one such
 *       IOMMU at a time can be registered.
 * @off: it does not translate before it is registered
 * @singletons: each device is alone in its group and with its requester IDs. With
 *              thousands of devices this saves looking for others.
 * @report_faults: hardware tells the driver of faults
 * @num_rids: number of requester IDs, 0 for KUNIT_IOMMU_NUM_RIDS
 * @max_id: highest domain ID, 0 for KUNIT_IOMMU_MAX_ID
 * @def_domain_type: what the driver insists on for default domains, or 0
 * @step: called after each thing that the driver does to hardware, to do DMA at
 *        that moment, for example. In any context, must not sleep.
 * @priv: for @step
 */
struct kunit_iommu_config {
	enum kunit_iommu_format format;
	bool plain_domains;
	bool pci;
	bool off;
	bool singletons;
	bool report_faults;
	u32 num_rids;
	u16 max_id;
	unsigned int def_domain_type;
	void (*step)(struct kunit_iommu *iommu, enum kunit_iommu_step step);
	void *priv;
};

/**
 * struct kunit_iommu_stats - what the driver has done so far
 * @attached: attach operations that have succeeded
 * @released: calls of &iommu_ops.release_on_driver_probe
 * @walked: calls of &iommu_ops.reserve_old_iova
 * @inherited: calls of &iommu_ops.inherit_tables
 * @entry_writes: context entries written
 * @domains: paging domains that exist
 * @faults: faults that hardware has reported
 * @faults_logged: those that would have been in the log
 * @from: type of the domain that the last attach operation was told to come from
 */
struct kunit_iommu_stats {
	unsigned int attached;
	unsigned int released;
	unsigned int walked;
	unsigned int inherited;
	unsigned int entry_writes;
	unsigned int domains;
	unsigned int faults;
	unsigned int faults_logged;
	unsigned int from;
};

struct kunit_iommu *kunit_iommu_create(struct kunit *test,
				       const struct kunit_iommu_config *config);
void kunit_iommu_reset(struct kunit_iommu *iommu);
int kunit_iommu_register(struct kunit_iommu *iommu);
void *kunit_iommu_priv(struct kunit_iommu *iommu);
const struct kunit_iommu_stats *kunit_iommu_get_stats(struct kunit_iommu *iommu);

struct device *kunit_iommu_add_device(struct kunit_iommu *iommu,
				      unsigned int group, const u32 *rids,
				      unsigned int num_rids);
void kunit_iommu_remove_device(struct device *dev);
int kunit_iommu_bind(struct device *dev, int (*probe)(struct device *dev));
void kunit_iommu_unbind(struct device *dev);

void kunit_iommu_set_memory(struct kunit_iommu *iommu, phys_addr_t phys,
			    void *vaddr, size_t size);
int kunit_iommu_add_resv_region(struct kunit_iommu *iommu, phys_addr_t start,
				size_t length, enum iommu_resv_type type);
void kunit_iommu_set_entry(struct kunit_iommu *iommu, u32 rid,
			   const struct kunit_iommu_entry *entry);
bool kunit_iommu_get_entry(struct kunit_iommu *iommu, u32 rid,
			   struct kunit_iommu_entry *entry);
unsigned int kunit_iommu_forgive(struct kunit_iommu *iommu);
void kunit_iommu_fail_attach(struct kunit_iommu *iommu, unsigned int times);
void kunit_iommu_fail_device(struct device *dev, bool fail);
bool kunit_iommu_id_in_use(struct kunit_iommu *iommu, u16 id);

int kunit_iommu_dma(struct kunit_iommu *iommu, u32 rid, dma_addr_t iova,
		    bool write, phys_addr_t *phys);
int kunit_iommu_dev_dma(struct device *dev, dma_addr_t iova, bool write,
			phys_addr_t *phys);
bool kunit_iommu_cached(struct kunit_iommu *iommu, u16 id, dma_addr_t iova);

#endif /* _KUNIT_IOMMU_H */
