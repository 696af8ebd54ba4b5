// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: sequences of events
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/iova.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

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
	/* No bus master: has no DMA in flight until a driver comes */
	bool idle;
	/* Nothing is attached, and its old entry is gone */
	bool blocked;
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

		if (!d->dev || !d->old || d->quiet || d->idle)
			continue;
		if (!d->bound)
			return;
		wait = true;
	}
	s->pending = wait;
	if (!wait)
		s->state = KDUMP_RELEASED;
}

/* @d: whose driver is about to probe, or NULL */
static void seq_rule_take_over(struct seq *s, struct seq_dev *d)
{
	bool dma = false;
	unsigned int i;

	if (d)
		d->blocked = false;
	if (s->state == KDUMP_INHERITED) {
		if (d)
			d->idle = false;
		for (i = 0; i < s->nr_devs; i++) {
			dma |= s->devs[i].dev && !s->devs[i].idle;
			s->devs[i].blocked = false;
		}
		if (!dma)
			s->state = KDUMP_RELEASED;
		else if (s->crash->no_tables || s->crash->map_fails)
			s->state = KDUMP_BLOCKED;
		else
			s->state = KDUMP_CARRYING;
	}
	seq_rule_release(s);
}

/* The whole group is attached to something else */
static void seq_rule_attached(struct seq *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_devs; i++)
		s->devs[i].blocked = false;
	if (s->state == KDUMP_INHERITED || s->state == KDUMP_CARRYING)
		s->state = KDUMP_RELEASED;
	s->pending = false;
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
		return d->dev && d->bound && !d->mapped;
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
		seq_rule_take_over(s, d);
		d->bound = true;
		seq_rule_release(s);
		break;
	case SEQ_ATTACH_FAILS:
		seq_rule_take_over(s, d);
		d->blocked = true;
		break;
	case SEQ_BIND_FAILS:
		seq_rule_take_over(s, d);
		break;
	case SEQ_RESET_PREPARE:
		seq_rule_take_over(s, NULL);
		d->resetting = true;
		break;
	case SEQ_UNBIND:
		seq_rule_unbound(s, d);
		break;
	case SEQ_REMOVE:
		if (d->bound)
			seq_rule_unbound(s, d);
		d->bound = false;
		d->old = false;
		d->blocked = false;
		seq_rule_release(s);
		if (group_gone) {
			s->state = KDUMP_NONE;
			s->pending = false;
			s->degraded = false;
		}
		break;
	case SEQ_ADD:
		/* What its siblings carry may be what it uses */
		d->old = true;
		d->quiet = false;
		d->idle = false;
		/* A sibling may have the same entry */
		d->blocked = s->state == KDUMP_INHERITED && !s->aliased;
		if (!seq_any(s))
			s->crash->forgotten = true;
		break;
	case SEQ_RESET_DONE:
		d->quiet = true;
		fallthrough;
	case SEQ_RESET_FAILS:
		d->resetting = false;
		d->blocked = false;
		seq_rule_release(s);
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
		seq_rule_attached(s);
		s->claimed = true;
		break;
	case SEQ_RETURN:
		s->claimed = false;
		break;
	case SEQ_TYPE:
		/* Old tables stay in use */
		if (s->state != KDUMP_INHERITED)
			seq_rule_attached(s);
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

/* Requester IDs without a device, or whose devices could not be attached, are blocked */
static void seq_mark_gone(struct seq *s, const struct seq_dev *leaving)
{
	struct crash *crash = s->crash;
	unsigned int i, j;

	for (i = 0; i < crash->nr_legacy; i++) {
		crash->legacy[i].refused = true;
		for (j = 0; j < s->nr_devs; j++)
			if (s->devs[j].dev && &s->devs[j] != leaving &&
			    !s->devs[j].resetting &&
			    !s->devs[j].blocked &&
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
	    crash_overlaps_legacy(s->crash, d->dev, d->iova, SZ_8K))
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
		if (kunit_iommu_bind(d->dev, crash_probe_fails) != -EIO)
			s->error = "bind did not get to the probe";
		break;
	case SEQ_ATTACH_FAILS:
		kunit_iommu_fail_device(d->dev, true);
		if (kunit_iommu_bind(d->dev, NULL) != -EBUSY)
			s->error = "bind worked without a domain";
		kunit_iommu_fail_device(d->dev, false);
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
		d->dev = crash_add_dev(s->crash, 0, seq_rid(s, d));
		break;
	case SEQ_MAP:
		seq_map(s, d);
		break;
	case SEQ_UNMAP:
		seq_unmap(d);
		break;
	case SEQ_RESET_PREPARE:
		if (crash_reset_prepare(d->dev))
			s->error = "reset refused";
		break;
	case SEQ_RESET_DONE:
	case SEQ_RESET_FAILS:
		crash_reset_done(d->dev, kind == SEQ_RESET_DONE);
		break;
	case SEQ_CHECK:
		iommu_kdump_check_driverless();
		break;
	case SEQ_GRACE:
		crash_grace_over(any);
		break;
	case SEQ_CLAIM:
		if (iommu_group_claim_dma_owner(group, s))
			s->error = "claim failed";
		break;
	case SEQ_RETURN:
		iommu_group_release_dma_owner(group);
		break;
	case SEQ_TYPE:
		if (crash_set_type(any, "DMA") < 0)
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
		if (old != inherited && !d->blocked)
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
	crash_dma(crash);
	crash->validated = false;
	if (crash->failures) {
		s->error = crash->failure;
		return;
	}
	if (any && crash_state(any) != s->state) {
		s->error = "the group is in another state";
		return;
	}
	if (any && s->state == KDUMP_CARRYING &&
	    crash_release_is_pending(any) != s->pending) {
		s->error = s->pending ? "no release is scheduled" :
					"a release is scheduled";
		return;
	}
	for (i = 0; i < s->nr_devs; i++) {
		struct seq_dev *d = &s->devs[i];

		if (!d->mapped || seq_any_resetting(s))
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

		s->devs[i].dev = crash_add_dev(crash, 0, rid);
		s->devs[i].old = true;
		if (setup->idle && i == s->nr_devs - 1) {
			crash_set_command(s->devs[i].dev, 0);
			s->devs[i].idle = true;
		}
		if (i && s->aliased)
			continue;
		crash_set_entry(crash, rid, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
		/* Without a root: the tables are there already */
		crash_add_legacy(crash, rid, 0, 0xffffe000, OLD_BUFFERS, SZ_4K,
				 PTE_R | PTE_W);
		crash_add_legacy(crash, rid, 0, 0xfff80000,
				 OLD_BUFFERS + SZ_64K, SZ_64K, PTE_R);
	}
	crash_boot(crash);
	seq_check(s);
}

static void seq_shutdown(struct seq *s)
{
	unsigned int i;

	/* After a failure it is not known what it has to undo */
	for (i = 0; i < s->nr_devs && !s->error; i++)
		if (s->devs[i].dev && s->devs[i].resetting)
			crash_reset_done(s->devs[i].dev, true);
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
	if (kind == SEQ_REMOVE || kind == SEQ_RESET_PREPARE ||
	    kind == SEQ_ATTACH_FAILS)
		seq_mark_gone(s, kind == SEQ_REMOVE ? d : NULL);
	/* If it works before and after, it works at all times between */
	s->crash->expect = before == WORKS && seq_expect(s) == WORKS ?
			   WORKS : SAFE;
	seq_do(s, kind, d);
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
	struct crash *crash = crash_new(test, NULL);
	ktime_t start = ktime_get();
	struct seq *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	setup.len += longer;
	KUNIT_ASSERT_LE(test, setup.len, SEQ_MAX);
	s->crash = crash;
	s->buf = kunit_kzalloc(test, SZ_8K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->buf);
	KUNIT_ASSERT_EQ(test, crash_new_table(crash), OLD_RAM);
	crash_map(crash, OLD_RAM, 0xffffe000, OLD_BUFFERS, SZ_4K,
		  PTE_R | PTE_W);
	crash_map(crash, OLD_RAM, 0xfff80000, OLD_BUFFERS + SZ_64K, SZ_64K,
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
	crash_check_end(crash);
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

#define SEQ_CASE(test, gen)					\
	KUNIT_CASE_PARAM_ATTR(test, gen,			\
			      ((struct kunit_attributes){	\
				      .speed = KUNIT_SPEED_SLOW }))

/* As long as everything else together: a suite that can be left out, or run beside */
static struct kunit_case sequences_cases[] = {
	SEQ_CASE(test_sequences_one_device, crash_machines),
	SEQ_CASE(test_sequences_two_devices, crash_machines),
	SEQ_CASE(test_sequences_two_aliased, crash_machines),
	SEQ_CASE(test_sequences_two_one_idle, crash_pci_machines),
	SEQ_CASE(test_sequences_three_devices, crash_machines),
	SEQ_CASE(test_sequences_three_aliased, crash_machines),
	{}
};

static struct kunit_suite sequences_suite = {
	.name = "iommu_kdump_sequences",
	.test_cases = sequences_cases,
};

kunit_test_suite(sequences_suite);
