// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: entries of the crashed kernel, and their faults
 */

#include <linux/debug_locks.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <kunit/device.h>
#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

#define MAX_FAULTS	16

static const struct iommu_kdump_entry_ops entry_ops = {
	.silence = crash_silence,
};

static void destroy(void *data)
{
	iommu_kdump_entries_destroy(data);
}

static struct iommu_kdump_entries *new_entries(struct kunit *test,
					       struct iommu_kdump_ids *ids)
{
	struct iommu_kdump_entries *entries =
		kunit_kzalloc(test, sizeof(*entries), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, entries);
	crash_silenced.nr = 0;
	iommu_kdump_entries_init(entries, &entry_ops, ids, "made-up");
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, destroy, entries), 0);
	return entries;
}

static void test_refuse(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);
	static const struct {
		u32 first;
		u32 nr;
		unsigned int ranges;
	} refused[] = {
		{ 0, 1, 1 },
		{ 5, 3, 2 },
		/* Goes on where the last one has ended */
		{ 8, 1, 2 },
		{ 100, 10, 3 },
		{ 0x12345678, 0x1000, 4 },
		{ 0xfffffff0, 15, 5 },
		{ 0xffffffff, 1, 5 },
		/* In no order */
		{ 50, 1, 6 },
	};
	static const u32 yes[] = {
		0, 5, 7, 8, 100, 109, 50, 0x12345678, 0x12346677, 0xfffffff0,
		0xfffffffe, 0xffffffff,
	};
	static const u32 no[] = {
		1, 4, 9, 49, 51, 99, 110, 0x12345677, 0x12346678, 0xffffffef,
		0x7fffffff,
	};
	unsigned int i;

	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_was_refused(entries, 0));
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		iommu_kdump_refuse_entries(entries, refused[i].first,
					   refused[i].nr);
		KUNIT_EXPECT_EQ(test, entries->nr_refused, refused[i].ranges);
	}
	for (i = 0; i < ARRAY_SIZE(yes); i++)
		KUNIT_EXPECT_TRUE_MSG(test,
				      iommu_kdump_entry_was_refused(entries,
								    yes[i]),
				      "%#x", yes[i]);
	for (i = 0; i < ARRAY_SIZE(no); i++)
		KUNIT_EXPECT_FALSE_MSG(test,
				       iommu_kdump_entry_was_refused(entries,
								     no[i]),
				       "%#x", no[i]);
	/* A refused entry is not kept */
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(entries, 5));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_left(entries, 5));

	iommu_kdump_refuse_entries(entries, 0, 0);
	for (i = 0; i < ARRAY_SIZE(no); i++)
		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_entry_was_refused(entries, no[i]));
}

/* All of them, also if none has been refused before, and whatever the first one is */
static void test_refuse_all(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);

	iommu_kdump_refuse_entries(entries, 7, 0);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(entries, 0));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(entries, U32_MAX));
	iommu_kdump_refuse_entries(entries, 7, 1);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(entries, 0));
}

static u32 own_id(struct iommu_kdump_entries *entries, struct device *dev)
{
	return 70000;
}

struct walked {
	u32 ids[8];
	unsigned int nr;
	u32 last;
};

static int walk(struct iommu_kdump_entries *entries, u32 id, void *data)
{
	struct walked *walked = data;

	walked->ids[walked->nr++] = id;
	return id == walked->last ? -EINTR : 0;
}

static const struct iommu_kdump_entry_ops own_id_ops = {
	.own_id = own_id,
	.silence = crash_silence,
};

/* What firmware says, and what only the driver knows */
static void test_walk(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);
	struct crash *crash = crash_new(test, NULL);
	static const u32 rids[] = { 3, 11 };
	struct walked walked = {};
	struct device *dev;

	dev = kunit_iommu_add_device(crash->iommu, 0, rids, ARRAY_SIZE(rids));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, iommu_kdump_walk_ids(entries, dev, walk, &walked),
			0);
	KUNIT_EXPECT_EQ(test, walked.nr, 2);
	KUNIT_EXPECT_EQ(test, walked.ids[0], 3);
	KUNIT_EXPECT_EQ(test, walked.ids[1], 11);

	entries->ops = &own_id_ops;
	walked.nr = 0;
	KUNIT_EXPECT_EQ(test, iommu_kdump_walk_ids(entries, dev, walk, &walked),
			0);
	KUNIT_EXPECT_EQ(test, walked.nr, 3);
	KUNIT_EXPECT_EQ(test, walked.ids[2], 70000);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(entries, dev));
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 70000, 1), 0);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(entries, dev));

	/* One that only its driver has a number for */
	dev = kunit_device_register(test, "no-firmware");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	walked.nr = 0;
	KUNIT_EXPECT_EQ(test, iommu_kdump_walk_ids(entries, dev, walk, &walked),
			0);
	KUNIT_EXPECT_EQ(test, walked.nr, 1);
	KUNIT_EXPECT_EQ(test, walked.ids[0], 70000);
	crash_check_end(crash);
}

/* The first one that is not 0 ends it */
static void test_walk_ends(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);
	struct walked walked = { .last = 11 };
	struct crash *crash = crash_new(test, NULL);
	static const u32 rids[] = { 3, 11 };
	struct device *dev;

	entries->ops = &own_id_ops;
	dev = kunit_iommu_add_device(crash->iommu, 0, rids, ARRAY_SIZE(rids));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, iommu_kdump_walk_ids(entries, dev, walk, &walked),
			-EINTR);
	KUNIT_EXPECT_EQ(test, walked.nr, 2);
	crash_check_end(crash);
}

static void test_refuse_many(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);
	u32 id;

	for (id = 0; id < 2000; id += 2)
		iommu_kdump_refuse_entries(entries, id, 1);
	KUNIT_EXPECT_EQ(test, entries->nr_refused, 1000);
	for (id = 0; id < 2000; id++)
		if (iommu_kdump_entry_was_refused(entries, id) != !(id & 1))
			KUNIT_FAIL(test, "%u", id);
	KUNIT_EXPECT_FALSE(test, entries->refused_all);
}

static void test_keep(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);
	static const u32 some[] = { 0, 1, 0x10000, 0x7fffffff, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(some); i++) {
		KUNIT_EXPECT_FALSE(test,
				   iommu_kdump_entry_is_old(entries, some[i]));
		KUNIT_EXPECT_EQ(test,
				iommu_kdump_keep_entry(entries, some[i], i), 0);
	}
	for (i = 0; i < ARRAY_SIZE(some); i++) {
		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_entry_is_old(entries, some[i]));
		KUNIT_EXPECT_FALSE(test,
				   iommu_kdump_entry_was_left(entries, some[i]));
		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_entry_left(entries, some[i]));
		/* Once only, and for ever */
		KUNIT_EXPECT_FALSE(test,
				   iommu_kdump_entry_left(entries, some[i]));
		KUNIT_EXPECT_FALSE(test,
				   iommu_kdump_entry_is_old(entries, some[i]));
		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_entry_was_left(entries, some[i]));
	}
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_left(entries, 2));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_was_left(entries, 2));
}

/* An ID is kept as long as an entry leads to it, and is never anybody else's */
static void test_keep_ids(struct kunit *test)
{
	struct iommu_kdump_entries *entries;
	struct iommu_kdump_ids ids;
	struct ida ida;

	ida_init(&ida);
	iommu_kdump_ids_init(&ids, &ida, 1, 100);
	entries = new_entries(test, &ids);
	KUNIT_EXPECT_EQ(test, ida_alloc_range(&ida, 9, 9, GFP_KERNEL), 9);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 1, 7), 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 0xffffffff, 7), 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 2, 9), -ENOSPC);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(entries, 2));
	/* The allocator does not have those */
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 3, 0), 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 4, 101), 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 5, U32_MAX), 0);
	KUNIT_EXPECT_FALSE(test, ida_exists(&ida, 0));
	KUNIT_EXPECT_FALSE(test, ida_exists(&ida, 101));

	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(entries, 1));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(&ids));
	KUNIT_EXPECT_TRUE(test, ida_exists(&ida, 7));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_left(entries, 1));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(&ids));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(entries, 0xffffffff));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_free_ids(&ids));
	KUNIT_EXPECT_FALSE(test, ida_exists(&ida, 7));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(&ids));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(entries, 4));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(&ids));
	iommu_kdump_ids_destroy(&ids);
	ida_free(&ida, 9);
	KUNIT_EXPECT_TRUE(test, ida_is_empty(&ida));
	ida_destroy(&ida);
}

/* How many of so many faults are in the log? */
static unsigned int logged(struct iommu_kdump_entries *entries, u32 id,
			   unsigned int nr)
{
	unsigned int n = 0;

	while (nr--)
		n += !iommu_kdump_fault(entries, id);
	flush_work(&entries->silence_work);
	return n;
}

static void test_fault(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);

	crash_begin_kdump_kernel(test);
	KUNIT_EXPECT_EQ(test, logged(entries, 5, MAX_FAULTS - 1),
			MAX_FAULTS - 1);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 0);
	KUNIT_EXPECT_EQ(test, logged(entries, 5, 1), 1);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 1);
	KUNIT_EXPECT_EQ(test, crash_silenced.id, 5);

	/* It does not listen: not in the log, but it is told again */
	KUNIT_EXPECT_EQ(test, logged(entries, 5, MAX_FAULTS - 1), 0);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 1);
	KUNIT_EXPECT_EQ(test, logged(entries, 5, 1), 0);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 2);
	KUNIT_EXPECT_EQ(test, logged(entries, 5, 4 * 65536), 0);

	/* Others are counted by themselves, also where no entry can be */
	crash_silenced.nr = 0;
	KUNIT_EXPECT_EQ(test, logged(entries, 0xffffffff, 2 * MAX_FAULTS - 1),
			MAX_FAULTS);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 1);
	KUNIT_EXPECT_EQ(test, crash_silenced.id, 0xffffffff);
	KUNIT_EXPECT_EQ(test, logged(entries, 0, 2), 2);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(entries, 5));
}

/* Where hardware reports them: nothing may sleep there, with PREEMPT_RT neither */
static void test_fault_in_interrupt(struct kunit *test)
{
	static DEFINE_RAW_SPINLOCK(lock);
	struct iommu_kdump_entries *entries = new_entries(test, NULL);
	unsigned int i, n = 0;
	unsigned long flags;

	crash_begin_kdump_kernel(test);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 5, 1), 0);
	/* Nobody makes room meanwhile, on another processor neither */
	disable_work_sync(&entries->silence_work);
	raw_spin_lock_irqsave(&lock, flags);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_count_fault(entries, 5));
	/* More at once than there is room for: these are counted when they come again */
	for (i = 0; i < 2 * IOMMU_KDUMP_NEW_FAULTS; i++)
		n += !iommu_kdump_count_fault(entries, 1000 + i);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_count_fault(entries, 1000));
	/* That has a place of its own */
	KUNIT_EXPECT_FALSE(test, iommu_kdump_count_fault(entries, 5));
	raw_spin_unlock_irqrestore(&lock, flags);
	KUNIT_EXPECT_EQ(test, n, IOMMU_KDUMP_NEW_FAULTS);
#ifdef CONFIG_LOCKDEP
	/* It is switched off by the first thing that it complains about */
	KUNIT_EXPECT_TRUE(test, debug_locks);
#endif

	enable_work(&entries->silence_work);
	queue_work(system_dfl_wq, &entries->silence_work);
	flush_work(&entries->silence_work);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 0);
	KUNIT_EXPECT_EQ(test, logged(entries, 1000, MAX_FAULTS),
			MAX_FAULTS - 2);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 1);
	KUNIT_EXPECT_EQ(test, crash_silenced.id, 1000);
	KUNIT_EXPECT_EQ(test, logged(entries, 1000 + i - 1, MAX_FAULTS + 1),
			MAX_FAULTS);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 2);

	/* Something may be known of an ID before its first fault has been counted */
	KUNIT_EXPECT_FALSE(test, iommu_kdump_fault(entries, 2000));
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 2000, 2), 0);
	KUNIT_EXPECT_EQ(test, logged(entries, 2000, MAX_FAULTS),
			MAX_FAULTS - 1);
	KUNIT_EXPECT_EQ(test, logged(entries, 2000, 1), 0);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_is_old(entries, 2000));
}

/* When the old entry is gone, what faults is the crash kernel's own */
static void test_fault_after_old(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);

	crash_begin_kdump_kernel(test);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 5, 1), 0);
	KUNIT_EXPECT_EQ(test, logged(entries, 5, MAX_FAULTS + 1), MAX_FAULTS);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_is_old(entries, 5));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(entries, 5));
	KUNIT_EXPECT_EQ(test, logged(entries, 5, MAX_FAULTS + 1), MAX_FAULTS);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 2);
}

static void silence_replaces(struct iommu_kdump_entries *entries, u32 id)
{
	crash_silenced.nr++;
	iommu_kdump_entry_left(entries, id);
}

/* A driver may have no other way than to replace the old entry */
static void test_fault_replaced(struct kunit *test)
{
	static const struct iommu_kdump_entry_ops ops = {
		.silence = silence_replaces,
	};
	struct iommu_kdump_entries *entries = new_entries(test, NULL);

	entries->ops = &ops;
	crash_begin_kdump_kernel(test);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 5, 1), 0);
	KUNIT_EXPECT_EQ(test, logged(entries, 5, MAX_FAULTS), MAX_FAULTS);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 1);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_left(entries, 5));
	KUNIT_EXPECT_EQ(test, logged(entries, 5, 4 * MAX_FAULTS), 0);
}

/* G9: a kernel that is no crash kernel logs all, and remembers nothing */
static void test_fault_no_crash(struct kunit *test)
{
	struct iommu_kdump_entries *entries = new_entries(test, NULL);

	KUNIT_EXPECT_EQ(test, logged(entries, 5, 100), 100);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&entries->xa));
}

/* All the way from hardware, and back */
static void test_fault_silenced(struct kunit *test)
{
	static const struct kunit_iommu_config config = {
		.report_faults = true,
	};
	struct crash *crash = crash_new(test, &config);
	struct device *dev = crash_add_dev(crash, 0, 1);
	const struct kunit_iommu_stats *stats;
	struct iommu_kdump_entries *entries;
	struct kunit_iommu_entry entry;
	phys_addr_t phys;
	unsigned int i;

	crash_set_entry(crash, 1, KUNIT_IOMMU_NESTED, OLD_RAM, 7);
	crash_boot(crash);
	stats = kunit_iommu_get_stats(crash->iommu);
	entries = dev->iommu->iommu_dev->kdump;
	for (i = 0; i < 100; i++)
		kunit_iommu_dev_dma(dev, SZ_1M, true, &phys);
	KUNIT_EXPECT_EQ(test, stats->faults_logged, MAX_FAULTS);
	flush_work(&entries->silence_work);
	kunit_iommu_get_entry(crash->iommu, 1, &entry);
	KUNIT_EXPECT_TRUE(test, entry.silent);
	i = stats->faults;
	kunit_iommu_dev_dma(dev, SZ_1M, true, &phys);
	KUNIT_EXPECT_EQ(test, stats->faults, i);

	/* No device is there, nor an entry */
	for (i = 0; i < 100; i++)
		kunit_iommu_dma(crash->iommu, 0xffffffff, SZ_1M, true, &phys);
	flush_work(&entries->silence_work);
	KUNIT_EXPECT_EQ(test, stats->faults_logged, 2 * MAX_FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static struct kunit_case entries_cases[] = {
	KUNIT_CASE(test_refuse),
	KUNIT_CASE(test_refuse_all),
	KUNIT_CASE(test_refuse_many),
	KUNIT_CASE(test_walk),
	KUNIT_CASE(test_walk_ends),
	KUNIT_CASE(test_keep),
	KUNIT_CASE(test_keep_ids),
	KUNIT_CASE(test_fault),
	KUNIT_CASE(test_fault_in_interrupt),
	KUNIT_CASE(test_fault_after_old),
	KUNIT_CASE(test_fault_replaced),
	KUNIT_CASE(test_fault_no_crash),
	KUNIT_CASE_PARAM(test_fault_silenced, crash_machines),
	{}
};

static struct kunit_suite entries_suite = {
	.name = "iommu_kdump_entries",
	.test_cases = entries_cases,
};

kunit_test_suite(entries_suite);
