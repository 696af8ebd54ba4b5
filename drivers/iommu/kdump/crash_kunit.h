/* SPDX-License-Identifier: GPL-2.0-only */
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
#ifndef __IOMMU_KDUMP_CRASH_KUNIT_H
#define __IOMMU_KDUMP_CRASH_KUNIT_H

#include <linux/bits.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

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

/* Entries of RISC-V's first stage, with what the Linux driver sets in all leaves */
#define RISCV_V		BIT_ULL(0)
#define RISCV_R		BIT_ULL(1)
#define RISCV_W		BIT_ULL(2)
/* X, U, A and D */
#define RISCV_LEAF	(BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(6) | BIT_ULL(7))
#define RISCV_PPN	GENMASK_ULL(53, 10)

#define ARMV8_VALID	BIT_ULL(0)
#define ARMV8_TABLE	BIT_ULL(1)
#define ARMV8_UNPRIV	BIT_ULL(6)
#define ARMV8_RDONLY	BIT_ULL(7)
#define ARMV8_AF	BIT_ULL(10)

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
	/* New domains are none of generic_pt */
	bool plain;
};

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
	unsigned int flushes;
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

/* Only generic_pt knows what its tables take; all others are judged by free memory */
static inline bool crash_counts_tables(const struct crash *crash)
{
	return !crash->machine->plain &&
	       crash->machine->format != KUNIT_IOMMU_ARMV8;
}

extern struct crash *the_crash;

/* What crash_silence() was told last, and how often it was told something */
extern struct crash_silenced {
	unsigned int nr;
	u32 id;
} crash_silenced;

void crash_silence(struct iommu_kdump_entries *entries, u32 id);
void crash_begin_kdump_kernel(struct kunit *test);

u64 *crash_table(struct crash *crash, u64 phys);
u64 crash_new_table(struct crash *crash);
u64 crash_table_entry(struct crash *crash, u64 table, unsigned int level);
u64 crash_leaf_entry(struct crash *crash, u64 phys, u64 prot,
		     unsigned int level);
u64 crash_entry_addr(struct crash *crash, u64 entry);
u64 crash_prot(struct crash *crash, u64 prot);
u64 *crash_pte(struct crash *crash, u64 root, unsigned int levels, u64 iova,
	       unsigned int at_level);
void crash_map(struct crash *crash, u64 root, u64 iova, u64 phys, u64 size,
	       u64 prot);
struct legacy *crash_add_legacy(struct crash *crash, u32 rid, u64 root,
				u64 iova, u64 phys, u64 size, u64 prot);
void crash_set_entry(struct crash *crash, u32 rid, enum kunit_iommu_mode mode,
		     u64 root, u16 id);
u64 crash_translated(struct crash *crash, u32 rid, u16 id);
void crash_dma(struct crash *crash);
void crash_check_dma(struct crash *crash, enum expect expect);
struct device *crash_add_dev(struct crash *crash, unsigned int group, u32 rid);
void crash_boot(struct crash *crash);
enum iommu_kdump_state crash_state(struct device *dev);
void crash_power_off(struct crash *crash);
void crash_bind(struct crash *crash, struct device *dev);
int crash_probe_fails(struct device *dev);
void crash_grace_over(struct device *dev);
bool crash_release_is_pending(struct device *dev);
bool crash_overlaps_legacy(struct crash *crash, struct device *dev, u64 iova,
			   u64 size);
void crash_map_new(struct crash *crash, struct device *dev);
void crash_check_new(struct crash *crash);
void crash_unmap_new(struct crash *crash);
void crash_use_new(struct crash *crash, struct device *dev);
void crash_check_end(struct crash *crash);
struct crash *crash_new(struct kunit *test,
			const struct kunit_iommu_config *wanted);
struct device *crash_one_device(struct kunit *test, struct crash **crash);
ssize_t crash_set_type(struct device *dev, const char *type);
void crash_set_command(struct device *dev, u16 command);
int crash_reset_prepare(struct device *dev);
void crash_reset_done(struct device *dev, bool success);

/* Machines to run a test on */
const void *crash_machines(struct kunit *test, const void *prev, char *desc);
const void *crash_pci_machines(struct kunit *test, const void *prev,
			       char *desc);

#define EXPECT_STATE(crash, dev, s) \
	KUNIT_EXPECT_EQ((crash)->test, crash_state(dev), s)

#endif /* __IOMMU_KDUMP_CRASH_KUNIT_H */
