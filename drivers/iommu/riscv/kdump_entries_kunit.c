// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the RISC-V IOMMU driver in a crash kernel, part of kdump_kunit.c: devices
 * that replace the contexts of the crashed kernel, as hardware may see it
 */

static struct device *probe(struct kunit *test, u32 id)
{
	struct device *dev = new_dev(test, &id, 1);

	KUNIT_ASSERT_PTR_EQ(test, riscv_iommu_ops.probe_device(dev),
			    &old_kernel.iommu->iommu);
	return dev;
}

static struct iommu_domain *new_domain(struct kunit *test, struct device *dev)
{
	struct iommu_domain *domain = riscv_iommu_ops.domain_alloc_paging(dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	return domain;
}

static void attach(struct kunit *test, struct iommu_domain *domain,
		   struct device *dev)
{
	KUNIT_ASSERT_EQ(test, domain->ops->attach_dev(domain, dev, NULL), 0);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump,
							dev));
}

static void block_dev(struct kunit *test, struct device *dev)
{
	attach(test, riscv_iommu_ops.blocked_domain, dev);
}

/* As the core removes it */
static void remove_dev(struct kunit *test, struct device *dev)
{
	block_dev(test, dev);
	riscv_iommu_ops.release_device(dev);
}

/*
 * Nothing may be translated by the old page table under the new PSCID, nor by the new
 * one under a PSCID that the old page table has not. SADE has to be there as long as
 * the old page table may need it.
 */
static bool consistent(u64 tc, u64 ta, u64 fsc)
{
	bool translated = old_kernel.from_fsc >> 60 &&
			  old_kernel.from_pscid != 0xfffff;
	u64 pscid = bits(&ta, 0, 12, 31);

	if (!(tc & 1) || (tc & ~0x157ULL))
		return false;
	if (fsc == old_kernel.to_fsc)
		return pscid == old_kernel.to_pscid ||
		       (translated && pscid == old_kernel.from_pscid);
	if (fsc != old_kernel.from_fsc)
		return false;
	return !translated || pscid == old_kernel.from_pscid;
}

static bool consistent_with_sade(u64 tc, u64 ta, u64 fsc)
{
	return consistent(tc, ta, fsc) &&
	       (fsc != old_kernel.from_fsc || (tc & BIT(8)));
}

static void watch(struct kunit *test, u32 id, u64 to_fsc, u64 to_pscid)
{
	u64 *dc = hw_dc(id);

	KUNIT_ASSERT_NOT_NULL(test, dc);
	old_kernel.watched = dc;
	old_kernel.watched_id = id;
	old_kernel.from_fsc = dc[3];
	old_kernel.from_pscid = bits(dc, 2, 12, 31);
	old_kernel.to_fsc = to_fsc;
	old_kernel.to_pscid = to_pscid;
	old_kernel.inconsistent = false;
	old_kernel.consistent = dc[0] & BIT(8) ? consistent_with_sade : consistent;
	forget_old_words();
	memset(old_kernel.log, 0, sizeof(old_kernel.log));
	old_kernel.nr_log = 0;
}

static void expect_dc(struct kunit *test, u32 id, u64 tc, u64 pscid, u64 fsc)
{
	const u64 *dc = hw_dc(id);

	KUNIT_ASSERT_NOT_NULL(test, dc);
	KUNIT_EXPECT_EQ(test, dc[0], tc);
	KUNIT_EXPECT_EQ(test, bits(dc, 1, 60, 63), 0);
	KUNIT_EXPECT_EQ(test, dc[2], pscid << 12);
	KUNIT_EXPECT_EQ(test, dc[3], fsc);
	KUNIT_EXPECT_FALSE(test, old_kernel.inconsistent);
}

/* A domain, and the words that lead to it: a device that nobody had has shown them */
static struct iommu_domain *known_domain(struct kunit *test, struct device **other,
					 u64 *fsc, u64 *pscid)
{
	struct iommu_domain *domain;

	*other = probe(test, 0x03);
	domain = new_domain(test, *other);
	attach(test, domain, *other);
	*fsc = hw_dc(0x03)[3];
	*pscid = bits(hw_dc(0x03), 2, 12, 31);
	KUNIT_EXPECT_NE(test, *fsc >> 60, 0);
	KUNIT_EXPECT_NE(test, *pscid, 0);
	return domain;
}

/* Replace the context of @id by a new domain, with these commands */
static void switch_to_domain(struct kunit *test, u32 id, const char *commands,
			     bool old)
{
	struct device *other, *dev = probe(test, id);
	u64 fsc, pscid, from;
	struct iommu_domain *domain;

	domain = known_domain(test, &other, &fsc, &pscid);
	KUNIT_EXPECT_EQ(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump, dev),
			old);
	watch(test, id, fsc, pscid);
	from = old_kernel.from_pscid;
	attach(test, domain, dev);
	expect_commands(test, commands);
	if (strchr(commands, 'v'))
		KUNIT_EXPECT_EQ(test, old_kernel.flushed_pscid, from);
	expect_dc(test, id, 1, pscid, fsc);
	remove_dev(test, dev);
	remove_dev(test, other);
	domain->ops->free(domain);
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(id)));
}

static void __init test_switch_translated(struct kunit *test)
{
	start_old_kernel(test, 3, false);
	take_over(old_ddtp());
	switch_to_domain(test, 0x08, "dfdvf", true);
	/* With ATS, which goes last */
	switch_to_domain(test, 0x10, "dfdfdvf", true);
	/* What was that of a process */
	switch_to_domain(test, 0x28, "dfdvf", true);

	set_old_kernel(2, true);
	take_over(old_ddtp());
	switch_to_domain(test, 0x08, "dfdvf", true);
	switch_to_domain(test, 0x10, "dfdfdvf", true);
	switch_to_domain(test, 64 + 0x08, "dfdvf", true);
}

static void __init test_switch_identity(struct kunit *test)
{
	start_old_kernel(test, 3, false);
	take_over(old_ddtp());
	switch_to_domain(test, 0x18, "dfdVf", true);
}

/* What was refused, and what never was: silence ends with the first domain */
static void __init test_switch_blocked(struct kunit *test)
{
	start_old_kernel(test, 3, true);
	take_over(old_ddtp());
	switch_to_domain(test, 0x38, "dfdvf", false);
	switch_to_domain(test, 0x20, "dfdvf", false);
	switch_to_domain(test, 0x20, "dfdvf", false);
}

static void __init switch_to_blocked(struct kunit *test, u32 id, const char *commands)
{
	struct device *dev = probe(test, id);

	watch(test, id, old_kernel.iommu->kdump_fsc, 0xfffff);
	block_dev(test, dev);
	expect_commands(test, commands);
	KUNIT_EXPECT_FALSE(test, old_kernel.inconsistent);
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(id)));
	/* Once more changes nothing */
	block_dev(test, dev);
	expect_commands(test, "");
	riscv_iommu_ops.release_device(dev);
}

static void __init test_switch_to_blocked(struct kunit *test)
{
	start_old_kernel(test, 2, false);
	take_over(old_ddtp());
	switch_to_blocked(test, 0x08, "dfdvf");
	switch_to_blocked(test, 0x10, "dfdfdvf");
	switch_to_blocked(test, 0x18, "dfdVf");
	switch_to_blocked(test, 0x38, "");
}

/* In the root page of the crashed kernel */
static void __init test_switch_in_place(struct kunit *test)
{
	start_old_kernel(test, 1, false);
	take_over(old_ddtp());
	switch_to_domain(test, 0x08, "dfdvf", true);
	switch_to_domain(test, 0x10, "dfdfdvf", true);
	switch_to_domain(test, 0x18, "dfdVf", true);
	switch_to_domain(test, 0x28, "dfdvf", false);
	switch_to_blocked(test, 0x01, "dfdvf");
}

/* Two devices behind a bridge: the second one comes while the DMA of the first goes on */
static void __init test_shared_id(struct kunit *test)
{
	struct device *first, *second, *other;
	struct iommu_domain *domain, *next;
	struct riscv_iommu_device *iommu;
	u64 fsc, pscid;
	int tail;

	start_old_kernel(test, 3, false);
	take_over(old_ddtp());
	iommu = old_kernel.iommu;
	first = probe(test, 0x08);
	second = probe(test, 0x08);
	domain = known_domain(test, &other, &fsc, &pscid);
	watch(test, 0x08, fsc, pscid);
	attach(test, domain, first);
	expect_commands(test, "dfdvf");

	/* An IOFENCE that the driver sends in any case */
	tail = atomic_read(&iommu->cmdq.tail);
	attach(test, domain, second);
	expect_commands(test, "");
	KUNIT_EXPECT_LE(test, atomic_read(&iommu->cmdq.tail) - tail, 1);
	expect_dc(test, 0x08, 1, pscid, fsc);

	/* From one domain of its own to another, as in any kernel */
	next = new_domain(test, first);
	old_kernel.watched = NULL;
	attach(test, next, first);
	attach(test, next, second);
	attach(test, next, other);
	KUNIT_EXPECT_EQ(test, hw_dc(0x08)[0], 1);
	KUNIT_EXPECT_EQ(test, hw_dc(0x08)[3], hw_dc(0x03)[3]);
	KUNIT_EXPECT_NE(test, hw_dc(0x08)[3], fsc);
	remove_dev(test, first);
	remove_dev(test, second);
	remove_dev(test, other);
	domain->ops->free(domain);
	next->ops->free(next);
}

/* A device where the crashed kernel had none: one pointer of the root page changes */
static void __init test_new_table(struct kunit *test)
{
	struct riscv_iommu_device *iommu;
	struct device *dev;
	u64 shared;
	u32 id;

	start_old_kernel(test, 3, false);
	for (id = 0xabcd; id <= 0xabcdef; id = id << 8 | 0xef) {
		unsigned int levels = id > 0xffff ? 3 : 2;
		unsigned int slot = id >> (levels == 3 ? 16 : 7);

		set_old_kernel(levels, false);
		take_over(old_ddtp());
		iommu = old_kernel.iommu;
		shared = crashed.mem[OLD_ROOT][slot];
		KUNIT_EXPECT_EQ(test, shared, crashed.mem[OLD_ROOT][slot - 1]);
		KUNIT_EXPECT_PTR_EQ(test, find_dc(iommu, id), NULL);
		expect_commands(test, "DVf");
		dev = probe(test, id);
		expect_commands(test, levels == 3 ? "DfDf" : "Df");
		KUNIT_EXPECT_NE(test, shared, crashed.mem[OLD_ROOT][slot]);
		KUNIT_EXPECT_EQ(test, shared, crashed.mem[OLD_ROOT][slot - 1]);
		KUNIT_EXPECT_PTR_EQ(test, (u64 *)find_dc(iommu, id), hw_dc(id));
		KUNIT_EXPECT_TRUE(test, blocks(hw_dc(id)));
		KUNIT_EXPECT_TRUE(test, blocks(hw_dc(id ^ 1)));
		KUNIT_EXPECT_TRUE(test, blocks(hw_dc(id ^ 0x80)));
		riscv_iommu_ops.release_device(dev);
		switch_to_domain(test, id, "dfdvf", false);
	}
}

/* A PSCID is free when the last context that leads to it is gone, not before */
static void __init test_pscids(struct kunit *test)
{
	struct iommu_domain *domain;
	struct device *dev, *sibling;
	unsigned int id;

	start_old_kernel(test, 3, false);
	/* One that blocked contexts have */
	set_dc(OLD_LEAF, 0x20, 1, 0xfffff, old_atp(8, OLD_PT));
	take_over(old_ddtp());
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(&old_kernel.iommu->kdump,
							      0x20));
	for (id = 7; id <= 13; id++)
		KUNIT_EXPECT_EQ(test, ida_exists(&riscv_iommu_pscids, id),
				id < 11 || id == 13);
	KUNIT_EXPECT_TRUE(test, ida_exists(&riscv_iommu_pscids, 0xfffff));
	KUNIT_EXPECT_FALSE(test, riscv_iommu_kdump_free_pscids());

	dev = probe(test, 0x08);
	sibling = probe(test, 0x01);
	domain = new_domain(test, dev);
	attach(test, domain, dev);
	KUNIT_EXPECT_FALSE(test, riscv_iommu_kdump_free_pscids());
	attach(test, domain, sibling);
	KUNIT_EXPECT_TRUE(test, riscv_iommu_kdump_free_pscids());
	KUNIT_EXPECT_FALSE(test, ida_exists(&riscv_iommu_pscids, 7));
	KUNIT_EXPECT_TRUE(test, ida_exists(&riscv_iommu_pscids, 8));
	remove_dev(test, dev);
	remove_dev(test, sibling);
	domain->ops->free(domain);
}

/* Removed before its driver has come, and found again */
static void __init test_removed(struct kunit *test)
{
	start_old_kernel(test, 2, true);
	take_over(old_ddtp());
	remove_dev(test, probe(test, 0x08));
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0x08)));
	switch_to_domain(test, 0x08, "dfdvf", false);
}

static void report(u32 id, unsigned int ttyp, unsigned int times, bool last)
{
	struct riscv_iommu_fq_record event = {
		.hdr = (u64)id << 40 | (u64)ttyp << 34 | 13,
	};
	bool enough = false;

	while (times--)
		enough = riscv_iommu_kdump_fault(old_kernel.iommu, &event);
	KUNIT_EXPECT_EQ(crashed.test, enough, last);
	flush_work(&old_kernel.iommu->kdump.silence_work);
}

/* In a work item the driver has the queue of hardware: a context, and a fence? */
static void expect_queued(struct kunit *test, u32 id)
{
	struct riscv_iommu_queue *cmdq = &old_kernel.iommu->cmdq;
	const struct riscv_iommu_command *cmds = cmdq->base;

	KUNIT_EXPECT_EQ(test, atomic_read(&cmdq->tail), 2);
	KUNIT_EXPECT_EQ(test, cmds[0].dword0, (u64)id << 40 | BIT_ULL(33) | 3);
	KUNIT_EXPECT_EQ(test, bits(&cmds[1].dword0, 0, 0, 6), 2);
	atomic_set(&cmdq->tail, 0);
}

/* A device that keeps faulting is told to fault silently, whatever its context is */
static void __init test_silence(struct kunit *test)
{
	struct riscv_iommu_device *iommu;
	struct device *dev;
	u64 *dc, was[4];

	start_old_kernel(test, 3, false);
	take_over(old_ddtp());
	iommu = old_kernel.iommu;
	expect_commands(test, "DVf");
	dc = hw_dc(0x08);
	memcpy(was, dc, sizeof(was));
	report(0x08, 3, 15, false);
	KUNIT_EXPECT_MEMEQ(test, dc, was, sizeof(was));
	/* Not from a device, whatever the ID says */
	report(0x08, 0, 50, false);
	KUNIT_EXPECT_MEMEQ(test, dc, was, sizeof(was));
	report(0x08, 3, 1, false);
	was[0] |= BIT(4);
	KUNIT_EXPECT_MEMEQ(test, dc, was, sizeof(was));
	expect_queued(test, 0x08);
	report(0x08, 3, 1, true);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_is_old(&iommu->kdump, 0x08));

	/* IDs that do not exist, or have the table that blocks: it is silent, and stays */
	report(0xabcdef, 3, 16, false);
	report(0x7e05, 2, 16, false);
	KUNIT_EXPECT_PTR_EQ(test, find_dc(iommu, 0xabcdef), NULL);
	KUNIT_EXPECT_EQ(test, atomic_read(&iommu->cmdq.tail), 0);

	/* What faults under a domain of this kernel is heard again */
	switch_to_domain(test, 0x08, "dfdvf", true);
	/* One that is not valid cannot be silenced: it becomes one that blocks */
	dev = probe(test, 0x04);
	dc = hw_dc(0x04);
	dc[0] = 0;
	dc[2] = 0;
	dc[3] = 0;
	atomic_set(&iommu->cmdq.tail, 0);
	report(0x04, 3, 16, false);
	KUNIT_EXPECT_TRUE(test, blocks(dc));
	expect_queued(test, 0x04);
	riscv_iommu_ops.release_device(dev);
}

/* Mode 1 of ddtp: DMA passes until each device has a domain, or the boot is over */
static void __init test_pass_through(struct kunit *test)
{
	struct riscv_iommu_device *iommu;
	unsigned int levels;
	struct device *idle;

	start_old_kernel(test, 3, false);
	for (levels = 3; levels; levels--) {
		set_old_kernel(levels, levels != 2);
		iommu = old_kernel.iommu;
		KUNIT_EXPECT_FALSE(test, take_over(1));
		KUNIT_EXPECT_TRUE(test, iommu->kdump.not_live);
		riscv_iommu_kdump_fill_root(iommu, levels + 1);
		iommu->ddt_mode = levels + 1;
		old_kernel.root = iommu->ddt_root;
		expect_dc(test, 0x08, 1, 0xfffff, 0);
		expect_dc(test, 0x3f, 1, 0xfffff, 0);
		idle = probe(test, 0x09);
		switch_to_domain(test, 0x08, "dfdVf", false);
		expect_dc(test, 0x09, 1, 0xfffff, 0);
		expect_dc(test, 0x3f, 1, 0xfffff, 0);

		riscv_iommu_kdump_ready(iommu);
		KUNIT_EXPECT_FALSE(test, iommu->kdump.not_live);
		expect_commands(test, "DVf");
		KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0x09)));
		KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0x3f)));
		if (levels == 3)
			KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0xfffff0)));
		switch_to_domain(test, 0x09, "dfdvf", false);
		riscv_iommu_ops.release_device(idle);
	}
}

/* Mode 0 of ddtp: nothing has passed, and nothing does */
static void __init test_off(struct kunit *test)
{
	struct riscv_iommu_device *iommu;

	start_old_kernel(test, 3, false);
	iommu = old_kernel.iommu;
	KUNIT_EXPECT_FALSE(test, take_over(0));
	KUNIT_EXPECT_FALSE(test, iommu->kdump.not_live);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_was_refused(&iommu->kdump, 0x08));
	riscv_iommu_kdump_fill_root(iommu, 4);
	iommu->ddt_mode = 4;
	old_kernel.root = iommu->ddt_root;
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0x08)));
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0xfffff0)));
	switch_to_domain(test, 0x08, "dfdvf", false);
}

/* The crash kernel's last act does not let old DMA pass */
static void __init test_shutdown(struct kunit *test)
{
	struct riscv_iommu_device *iommu;
	u64 ddtp;

	start_old_kernel(test, 3, false);
	take_over(old_ddtp());
	iommu = old_kernel.iommu;
	ddtp = riscv_iommu_readq(iommu, RISCV_IOMMU_REG_DDTP);
	KUNIT_EXPECT_EQ(test, ddtp, old_ddtp());
	riscv_iommu_disable(iommu);
	KUNIT_EXPECT_EQ(test, riscv_iommu_readq(iommu, RISCV_IOMMU_REG_DDTP), ddtp);
	/* Another kernel finds what it finds after any kernel */
	kexec_in_progress = true;
	riscv_iommu_disable(iommu);
	kexec_in_progress = false;
	KUNIT_EXPECT_EQ(test, riscv_iommu_readq(iommu, RISCV_IOMMU_REG_DDTP), 1);
}
