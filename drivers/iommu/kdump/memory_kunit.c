// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: memory that is short, and allocations that fail
 */

#include <linux/device.h>
#include <linux/fault-inject.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/iova.h>
#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#include <trace/events/kmem.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

/* Exact on one CPU only */
static unsigned long pages_of(enum node_stat_item item)
{
	return IS_ENABLED(CONFIG_SMP) ? 0 : global_node_page_state(item);
}

/* Old mappings of each kind that page tables are made for in another way */
static void mappings_of_all_sizes(struct crash *crash, u32 rid, u64 root)
{
	static const struct {
		u64 iova;
		u64 phys;
		u64 size;
		unsigned int nr;
		u64 distance;
	} some[] = {
		/* Single pages, in tables with others and without */
		{ SZ_1G, SZ_64M, SZ_4K, 5, SZ_64K },
		{ SZ_1G + SZ_16M, SZ_64M, SZ_4K, 3, SZ_2M },
		/* Over the end of a table, to large leaves or not */
		{ SZ_2G - SZ_4K, SZ_128M, SZ_8K, 1 },
		{ SZ_2G + SZ_1M, SZ_128M + SZ_1M, SZ_4M + SZ_8K, 1 },
		{ SZ_2G + SZ_32M - SZ_64K, SZ_128M, SZ_2M + SZ_128K, 1 },
		/* Large leaves only */
		{ SZ_2G + SZ_256M, SZ_128M, SZ_2M, 4, SZ_4M },
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(some); i++)
		for (j = 0; j < some[i].nr; j++)
			crash_add_legacy(crash, rid, root,
					 some[i].iova + j * some[i].distance,
					 OLD_BUFFERS + some[i].phys +
						 j * 3 * some[i].size,
					 some[i].size, PTE_R | PTE_W);
}

/* What the import says to have taken is what it has taken */
static void test_tables_counted(struct kunit *test)
{
	unsigned long before = pages_of(NR_IOMMU_PAGES), without, with;
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	u64 root, pages;

	if (IS_ENABLED(CONFIG_SMP))
		kunit_skip(test, "pages are counted exactly on one processor only");
	if (!crash_counts_tables(crash))
		kunit_skip(test, "pages are counted exactly by generic_pt only");

	/* An empty table of the crashed kernel, for what there is in any case */
	root = crash_new_table(crash);
	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.new_tables, 0);
	without = pages_of(NR_IOMMU_PAGES) - before;
	crash_power_off(crash);
	KUNIT_EXPECT_EQ(test, pages_of(NR_IOMMU_PAGES), before);

	mappings_of_all_sizes(crash, 1, root);
	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	dev = crash_add_dev(crash, 0, 1);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	with = pages_of(NR_IOMMU_PAGES) - before;
	pages = dev->iommu_group->kdump->stats.new_tables >> PAGE_SHIFT;
	KUNIT_EXPECT_EQ(test, pages, with - without);
	crash->expect = SAFE;
	crash_power_off(crash);

	/* With one page less it does not fit, and leaves nothing behind */
	crash->budget = pages - 1;
	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	dev = crash_add_dev(crash, 0, 1);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_STREQ(test, dev->iommu_group->kdump->reason,
			   "page tables do not fit into memory");
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.new_tables, 0);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* The dump needs the memory more than old DMA does */
static void test_memory_pressure(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->no_tables = true;
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static u64 pages_free, pages_carried;

static u64 fake_free_pages(void)
{
	return pages_free;
}

static u64 fake_carried_pages(void)
{
	return pages_carried;
}

static u64 budget(u64 available, u64 carried)
{
	pages_free = available;
	pages_carried = carried;
	return iommu_kdump_table_budget();
}

/* The last eighth of the memory is the dump's, as is half of all */
static void test_budget(struct kunit *test)
{
	u64 total = totalram_pages();

	kunit_activate_static_stub(test, iommu_kdump_free_pages,
				   fake_free_pages);
	kunit_activate_static_stub(test, iommu_kdump_carried_pages,
				   fake_carried_pages);
	KUNIT_EXPECT_EQ(test, budget(total, 0), total / 8);
	KUNIT_EXPECT_EQ(test, budget(total / 8 + 5, 0), 5);
	KUNIT_EXPECT_EQ(test, budget(total / 8, 0), 0);
	KUNIT_EXPECT_EQ(test, budget(total / 8 - 1, 0), 0);
	KUNIT_EXPECT_EQ(test, budget(0, 0), 0);
	KUNIT_EXPECT_EQ(test, budget(total, total / 2 - 5), 5);
	KUNIT_EXPECT_EQ(test, budget(total, total / 2), 0);
	KUNIT_EXPECT_EQ(test, budget(total, total / 2 + 1), 0);
}

/* Before anybody is killed for memory, the old mappings of all groups go */
static void test_out_of_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct device *idle = crash_add_dev(crash, 1, 2);
	unsigned long freed = 0, before;

	crash_translated(crash, 2, 6);
	crash_boot(crash);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);

	crash->expect = SAFE;
	before = pages_of(NR_IOMMU_PAGES);
	KUNIT_EXPECT_EQ(test, iommu_kdump_out_of_memory(NULL, 0, &freed),
			NOTIFY_OK);
	/* It is believed */
	if (crash_counts_tables(crash) && !IS_ENABLED(CONFIG_SMP))
		KUNIT_EXPECT_EQ(test, freed,
				before - pages_of(NR_IOMMU_PAGES));
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(dev));
	/* What costs nothing is left alone */
	EXPECT_STATE(crash, idle, KDUMP_INHERITED);
	crash_use_new(crash, dev);

	/* The second time there is nothing more to give */
	freed = 0;
	iommu_kdump_out_of_memory(NULL, 0, &freed);
	KUNIT_EXPECT_EQ(test, freed, 0);

	/* Whoever holds the mutex may be the one who has no memory */
	crash_bind(crash, idle);
	EXPECT_STATE(crash, idle, KDUMP_CARRYING);
	mutex_lock(&idle->iommu_group->mutex);
	iommu_kdump_out_of_memory(NULL, 0, &freed);
	mutex_unlock(&idle->iommu_group->mutex);
	KUNIT_EXPECT_EQ(test, freed, 0);
	EXPECT_STATE(crash, idle, KDUMP_CARRYING);
	crash_check_end(crash);
}

/*
 * Allocations that fail, one after the other: the first of a whole run, then the
 * second, until a run gets through without. All that were made and that did not
 * fail have to be freed in the end.
 */

#if IS_ENABLED(CONFIG_FAILSLAB) && IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC)

/* Flags by which the framework's own allocations are known */
#define OWN_GFP		(__GFP_NORETRY | __GFP_NOWARN)

#define MAX_TRACKED	512

static struct {
	/* Only what this task allocates counts, and only if it is not NULL */
	struct task_struct *task;
	/* Flags that it must have */
	gfp_t need;
	unsigned int seen;
	/* Which one fails, 0 for none; and all behind it: some try elsewhere, and succeed */
	unsigned int nth;
	bool onwards;
	bool failed;
	/* What has been allocated and not been freed yet */
	raw_spinlock_t lock;
	struct {
		const void *ptr;
		void *caller;
	} tracked[MAX_TRACKED];
	unsigned int nr_tracked;
	unsigned int lost;
} inject = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(inject.lock),
};

static bool inject_counts(gfp_t gfp)
{
	return current == inject.task && (gfp & inject.need) == inject.need;
}

static bool inject_fail(gfp_t gfp)
{
	if ((gfp & __GFP_NOFAIL) || !in_task() || !inject_counts(gfp))
		return false;
	inject.seen++;
	if (inject.onwards ? inject.seen < inject.nth :
			     inject.seen != inject.nth)
		return false;
	inject.failed = true;
	return true;
}

static int inject_slab(struct kmem_cache *cache, gfp_t gfp)
{
	return inject_fail(gfp) ? -ENOMEM : 0;
}

static bool inject_page(gfp_t gfp, unsigned int order)
{
	return inject_fail(gfp);
}

/*
 * What describes virtual memory is kept by vmalloc for the next time, and what holds free
 * objects by the slab allocator.
 */
static bool is_of_allocator(unsigned long call_site)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol_no_offset(name, call_site);
	return strstarts(name, "alloc_vmap_area") || strstarts(name, "__pcs_") ||
	       strstr(name, "_sheaf");
}

static void track_alloc(const void *ptr, gfp_t gfp, unsigned long call_site)
{
	if (!ptr || !in_task() || !inject_counts(gfp) ||
	    is_of_allocator(call_site))
		return;
	guard(raw_spinlock_irqsave)(&inject.lock);
	if (inject.nr_tracked == MAX_TRACKED) {
		inject.lost++;
		return;
	}
	inject.tracked[inject.nr_tracked].ptr = ptr;
	inject.tracked[inject.nr_tracked++].caller = (void *)call_site;
}

static void track_free(const void *ptr)
{
	unsigned int i;

	guard(raw_spinlock_irqsave)(&inject.lock);
	for (i = 0; i < inject.nr_tracked; i++) {
		if (inject.tracked[i].ptr == ptr) {
			inject.tracked[i] = inject.tracked[--inject.nr_tracked];
			return;
		}
	}
}

static void track_kmalloc(void *data, unsigned long call_site, const void *ptr,
			  size_t bytes_req, size_t bytes_alloc, gfp_t gfp,
			  int node)
{
	track_alloc(ptr, gfp, call_site);
}

static void track_cache_alloc(void *data, unsigned long call_site,
			      const void *ptr, struct kmem_cache *s, gfp_t gfp,
			      int node)
{
	track_alloc(ptr, gfp, call_site);
}

static void track_kfree(void *data, unsigned long call_site, const void *ptr)
{
	track_free(ptr);
}

static void track_cache_free(void *data, unsigned long call_site,
			     const void *ptr, const struct kmem_cache *s)
{
	track_free(ptr);
}

static void inject_end(void *unused)
{
	inject.task = NULL;
	iommu_set_default_translated(false);
	unregister_trace_kmem_cache_free(track_cache_free, NULL);
	unregister_trace_kfree(track_kfree, NULL);
	unregister_trace_kmem_cache_alloc(track_cache_alloc, NULL);
	unregister_trace_kmalloc(track_kmalloc, NULL);
	tracepoint_synchronize_unregister();
}

static void inject_begin(struct kunit *test)
{
	kunit_activate_static_stub(test, should_failslab, inject_slab);
	kunit_activate_static_stub(test, should_fail_alloc_page, inject_page);
	register_trace_kmalloc(track_kmalloc, NULL);
	register_trace_kmem_cache_alloc(track_cache_alloc, NULL);
	register_trace_kfree(track_kfree, NULL);
	register_trace_kmem_cache_free(track_cache_free, NULL);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, inject_end, NULL),
			0);
	inject.nth = 0;
	inject.onwards = false;
	inject.nr_tracked = 0;
	inject.lost = 0;
}

static void inject_on(gfp_t need)
{
	inject.need = need;
	barrier();
	inject.task = current;
}

static void inject_off(void)
{
	inject.task = NULL;
	barrier();
}

/* The next run, in which allocation n fails; false if each has, alone and with the rest */
static bool inject_next(struct kunit *test, unsigned int *n)
{
	if (!inject.failed) {
		if (inject.onwards)
			return false;
		inject.onwards = true;
		*n = 0;
	}
	(*n)++;
	KUNIT_ASSERT_LT(test, *n, 1000);
	KUNIT_ASSERT_EQ(test, test->status, KUNIT_SUCCESS);
	return true;
}

/* Two of these runs have seen no failure */
static void sum_up(struct kunit *test, unsigned int blocked,
		   unsigned int carried)
{
	KUNIT_EXPECT_GE(test, carried, 2);
	KUNIT_EXPECT_GE(test, blocked, 10);
	kunit_info(test, "%u times something has failed: %u times blocked, %u times carried on\n",
		   blocked + carried - 2, blocked, carried - 2);
}

/* All that allocation n and the others have led to is gone with the machine */
static void check_leaks(struct crash *crash, unsigned long tables, unsigned int n)
{
	struct kunit *test = crash->test;

	crash_power_off(crash);
	KUNIT_EXPECT_EQ_MSG(test, inject.nr_tracked, 0,
			    "allocation %u: leak from %pS", n,
			    inject.tracked[0].caller);
	inject.nr_tracked = 0;
	KUNIT_EXPECT_EQ_MSG(test, inject.lost, 0, "MAX_TRACKED is too low");
	KUNIT_EXPECT_EQ_MSG(test, pages_of(NR_IOMMU_PAGES), tables,
			    "allocation %u: page tables leak", n);
}

/* Does the DMA of the device go on, or is it blocked? Nothing between. */
static void check_failed_allocation(struct crash *crash, struct device *dev,
				    unsigned int n)
{
	enum iommu_kdump_state now = crash_state(dev);

	KUNIT_EXPECT_TRUE_MSG(crash->test,
			      iommu_is_dma_domain(dev->iommu_group->domain),
			      "allocation %u: DMA is not translated", n);
	KUNIT_EXPECT_TRUE_MSG(crash->test,
			      now == KDUMP_CARRYING || now == KDUMP_BLOCKED ||
			      now == KDUMP_NONE,
			      "allocation %u: state %d", n, now);
	crash_check_dma(crash, now == KDUMP_CARRYING ? WORKS : FAULTS);
}

static void test_allocation_failures(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	unsigned int n = 1, i, blocked = 0, carried = 0;
	bool again = false;
	u64 root;

	root = crash_translated(crash, 1, 7);
	/* More than one page table, more than one reservation, a direct mapping */
	crash_add_legacy(crash, 1, root, SZ_1G, OLD_BUFFERS + SZ_128M, SZ_4K,
			 PTE_R | PTE_W);
	for (i = 0; i < 20; i++)
		crash_add_legacy(crash, 1, root, SZ_2G + i * SZ_256K,
				 OLD_BUFFERS + SZ_128M + SZ_64K + i * SZ_64K,
				 SZ_4K, PTE_R | PTE_W);
	inject_begin(test);

	do {
		unsigned long tables = pages_of(NR_IOMMU_PAGES);
		unsigned long vmalloced = pages_of(NR_VMALLOC);
		struct device *dev;
		unsigned int j;

		crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
		KUNIT_ASSERT_EQ(test,
				kunit_iommu_add_resv_region(crash->iommu,
							    0xfd000000, SZ_64K,
							    IOMMU_RESV_DIRECT),
				0);
		dev = crash_add_dev(crash, 0, 1);
		crash->expect = SAFE;
		inject.seen = 0;
		inject.nth = n;
		inject.failed = false;

		/* Identity is what it must not fall back to */
		iommu_set_default_passthrough(false);
		inject_on(OWN_GFP);
		crash_boot(crash);
		inject_off();
		iommu_set_default_translated(false);

		/* All that is allocated in here is the framework's */
		inject_on(0);
		KUNIT_EXPECT_EQ(test, iommu_device_use_default_domain(dev), 0);
		inject_off();
		iommu_device_unuse_default_domain(dev);

		check_failed_allocation(crash, dev, n);
		if (crash_state(dev) == KDUMP_CARRYING)
			carried++;
		else
			blocked++;

		crash_bind(crash, dev);
		for (j = 0; j < 8; j++)
			crash_map_new(crash, dev);
		crash_check_new(crash);
		check_failed_allocation(crash, dev, n);
		crash_unmap_new(crash);
		crash->expect = SAFE;
		crash_grace_over(dev);
		crash_check_dma(crash, FAULTS);
		check_leaks(crash, tables, n);
		crash_check_end(crash);
		/*
		 * A thread that the kernel has started meanwhile has its stack from
		 * there as well. A leak comes back.
		 */
		again = !again && pages_of(NR_VMALLOC) != vmalloced;
		if (again)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, pages_of(NR_VMALLOC), vmalloced,
				    "allocation %u: vmalloc leaks", n);
	} while (again || inject_next(test, &n));
	sum_up(test, blocked, carried);
}

/* A node of the allocator that is not in the list would never be given back */
static void check_reservation(struct crash *crash, struct device *dev, u64 iova,
			      unsigned int n)
{
	struct iommu_domain *domain = dev->iommu_group->default_domain;
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);
	struct iova_domain *iovad = iommu_dma_iova_domain(domain);
	int i = iommu_kdump_find_below(&old->reserved, iova);

	KUNIT_EXPECT_EQ_MSG(crash->test,
			    !!find_iova(iovad, iova_pfn(iovad, iova)),
			    i >= 0 && iova <= old->reserved.r[i].last,
			    "allocation %u: nobody's node at %#llx", n, iova);
}

/* The same for a device that comes late: it costs nobody else anything */
static void test_late_allocation_failures(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	unsigned int n = 1, i, blocked = 0, carried = 0;
	struct legacy *l;
	u64 root, other;

	root = crash_translated(crash, 1, 7);
	/* A page that is reserved already, and the one behind it */
	other = crash_new_table(crash);
	l = crash_add_legacy(crash, 2, other, 0xfffff000, OLD_BUFFERS + SZ_16M,
			     SZ_4K, PTE_R | PTE_W);
	crash_add_legacy(crash, 2, other, SZ_4G, OLD_BUFFERS + SZ_128M, SZ_4K,
			 PTE_R | PTE_W);
	for (i = 0; i < 20; i++)
		crash_map(crash, other, SZ_2G + i * SZ_256K,
			  OLD_BUFFERS + SZ_128M + SZ_64K + i * SZ_64K, SZ_4K,
			  PTE_R | PTE_W);
	inject_begin(test);

	do {
		unsigned long tables = pages_of(NR_IOMMU_PAGES);
		struct device *a, *b;
		bool parked;

		crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
		crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, other, 9);
		a = crash_add_dev(crash, 0, 1);
		crash->expect = SAFE;
		crash->validated = false;
		crash_boot(crash);
		crash_bind(crash, a);
		crash_map_new(crash, a);
		inject.seen = 0;
		inject.nth = n;
		inject.failed = false;
		inject_on(OWN_GFP);
		b = crash_add_dev(crash, 0, 2);
		inject_off();

		EXPECT_STATE(crash, a, KDUMP_CARRYING);
		mutex_lock(&b->iommu_group->mutex);
		parked = iommu_group_is_parked(b->iommu_group, b);
		mutex_unlock(&b->iommu_group->mutex);
		blocked += parked;
		carried += !parked;
		l[0].refused = parked;
		l[1].refused = parked;
		crash->validated = true;
		crash_check_dma(crash, WORKS);
		check_reservation(crash, a, SZ_4G, n);
		check_reservation(crash, a, SZ_2G, n);
		check_reservation(crash, a, SZ_2G + 19 * SZ_256K, n);
		crash_check_new(crash);

		l[0].refused = false;
		l[1].refused = false;
		crash->expect = SAFE;
		crash->validated = false;
		crash_bind(crash, b);
		crash_map_new(crash, b);
		crash_check_new(crash);
		crash_unmap_new(crash);
		crash_grace_over(a);
		crash_check_dma(crash, FAULTS);
		check_leaks(crash, tables, n);
		crash_check_end(crash);
	} while (inject_next(test, &n));
	sum_up(test, blocked, carried);
}

/* Nothing that the framework allocates, until inject_off() */
static void inject_all(struct kunit *test)
{
	inject_begin(test);
	inject.onwards = true;
	inject_on(OWN_GFP);
}

static void boot_without_memory(struct crash *crash)
{
	crash->expect = SAFE;
	inject_all(crash->test);
	crash_boot(crash);
	inject_off();
}

/* Nothing is known of the group then, and new mappings stay away from its old DMA */
static void test_no_memory_at_all(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iommu_domain *domain;
	struct iova_domain *iovad;
	unsigned long pfn;

	boot_without_memory(crash);
	KUNIT_EXPECT_NULL(test, dev->iommu_group->kdump);
	KUNIT_EXPECT_TRUE(test,
			  iommu_is_dma_domain(dev->iommu_group->domain));
	domain = dev->iommu_group->domain;
	KUNIT_EXPECT_TRUE(test, iommu_dma_kdump_iova(domain)->low);
	/* Where one finds no room at low IOVAs, others that share it still may */
	iovad = iommu_dma_iova_domain(domain);
	pfn = iommu_kdump_alloc_iova(domain, iovad, iova_pfn(iovad, SZ_2G),
				     DMA_BIT_MASK(40));
	KUNIT_EXPECT_NE(test, pfn, 0);
	free_iova(iovad, pfn);
	KUNIT_EXPECT_TRUE(test, iommu_dma_kdump_iova(domain)->low);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_unmap_new(crash);
	crash_power_off(crash);
	KUNIT_EXPECT_EQ(test, inject.nr_tracked, 0);
	crash_check_end(crash);
}

/* One that joins later has memory, and inherits */
static void test_memory_again(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash), *late;
	struct iommu_kdump_iova *shared;

	crash_translated(crash, 2, 6);
	boot_without_memory(crash);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	shared = iommu_dma_kdump_iova(dev->iommu_group->domain);
	late = crash_add_dev(crash, 0, 2);
	/* What is all groups' that had no memory is not this one's any more */
	KUNIT_EXPECT_PTR_NE(test,
			    iommu_dma_kdump_iova(dev->iommu_group->domain),
			    shared);
	EXPECT_STATE(crash, late, KDUMP_CARRYING);
	KUNIT_EXPECT_GT(test, late->iommu_group->kdump->stats.reserved, 0);
	crash_bind(crash, late);
	crash_use_new(crash, late);
	crash_check_end(crash);
}

/* The group is in use: what is not known of a device must not reach the others */
static void test_late_without_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash), *late;

	crash_translated(crash, 2, 6);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_use_new(crash, dev);
	crash->expect = SAFE;
	inject_all(test);
	late = crash_add_dev(crash, 0, 2);
	inject_off();
	mutex_lock(&late->iommu_group->mutex);
	KUNIT_EXPECT_TRUE(test,
			  iommu_group_is_parked(late->iommu_group, late));
	mutex_unlock(&late->iommu_group->mutex);
	crash_dma(crash);
	crash_bind(crash, late);
	crash_use_new(crash, late);
	crash_check_end(crash);
}

/* What is not remembered has cost nothing, and is not forgotten to be refused */
static void test_entries_without_memory(struct kunit *test)
{
	static const struct iommu_kdump_entry_ops ops = {
		.silence = crash_silence,
	};
	struct iommu_kdump_entries entries = {};
	struct iommu_kdump_ids ids;
	unsigned int n, failed = 0;
	struct ida ida;

	ida_init(&ida);
	inject_begin(test);
	for (n = 1;; n++) {
		bool injected;
		int ret;

		iommu_kdump_ids_init(&ids, &ida, 1, 100);
		iommu_kdump_entries_init(&entries, &ops, &ids, "made-up");
		/* The first of them needs memory for the list of IDs as well */
		KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(&entries, 1, 7), 0);
		inject.seen = 0;
		inject.nth = n;
		inject.failed = false;
		inject_on(0);
		ret = iommu_kdump_keep_entry(&entries, 70000, 8);
		inject_off();
		injected = inject.failed;
		KUNIT_EXPECT_TRUE(test, !ret || (injected && ret == -ENOMEM));
		KUNIT_EXPECT_EQ(test, iommu_kdump_entry_is_old(&entries, 70000),
				!ret);
		/* The ID of what was forgotten belongs to nobody */
		iommu_kdump_free_ids(&ids);
		KUNIT_EXPECT_EQ(test, ida_exists(&ida, 8), !ret);
		failed += !!ret;

		iommu_kdump_refuse_entries(&entries, 20, 1);
		inject.seen = 0;
		inject.nth = 1;
		inject_on(0);
		iommu_kdump_refuse_entries(&entries, 30, 1);
		inject_off();
		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_entry_was_refused(&entries, 20));
		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_entry_was_refused(&entries, 30));
		iommu_kdump_entry_left(&entries, 1);
		iommu_kdump_entry_left(&entries, 70000);
		iommu_kdump_free_ids(&ids);
		KUNIT_EXPECT_TRUE(test, ida_is_empty(&ida));
		iommu_kdump_entries_destroy(&entries);
		iommu_kdump_ids_destroy(&ids);
		if (!injected)
			break;
		KUNIT_ASSERT_LT(test, n, 20);
	}
	KUNIT_EXPECT_GE(test, failed, 1);
	ida_destroy(&ida);
}

/* Is a fault to be logged, if there is no memory to count it? */
static bool fault_uncounted(struct iommu_kdump_entries *entries, u32 id)
{
	bool enough;

	/* What looks for memory is a worker, whose allocations do not fail: do its work */
	disable_work_sync(&entries->silence_work);
	inject.onwards = true;
	inject_on(0);
	enough = iommu_kdump_fault(entries, id);
	entries->silence_work.func(&entries->silence_work);
	inject_off();
	inject.onwards = false;
	enable_work(&entries->silence_work);
	return !enough;
}

/* A storm must not go on because nobody could count it */
static void test_faults_without_memory(struct kunit *test)
{
	static const struct iommu_kdump_entry_ops ops = {
		.silence = crash_silence,
	};
	struct iommu_kdump_entries *entries =
		kunit_kzalloc(test, sizeof(*entries), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, entries);
	crash_begin_kdump_kernel(test);
	crash_silenced.nr = 0;
	iommu_kdump_entries_init(entries, &ops, NULL, "made-up");
	inject_begin(test);
	KUNIT_EXPECT_TRUE(test, fault_uncounted(entries, 5));
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 1);
	KUNIT_EXPECT_EQ(test, crash_silenced.id, 5);
	KUNIT_EXPECT_TRUE(test, fault_uncounted(entries, 0));
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 2);
	KUNIT_EXPECT_EQ(test, crash_silenced.id, 0);

	/* With memory nobody is silenced by a single one */
	KUNIT_EXPECT_FALSE(test, iommu_kdump_fault(entries, 6));
	flush_work(&entries->silence_work);
	KUNIT_EXPECT_EQ(test, crash_silenced.nr, 2);

	/* Nor is an entry kept that nobody could remember */
	inject.seen = 0;
	inject.nth = 1;
	inject_on(0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 7, 1), -ENOMEM);
	inject_off();
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(entries, 7));
	iommu_kdump_entries_destroy(entries);
}
#else
static void test_allocation_failures(struct kunit *test)
{
	kunit_skip(test, "and six others need FAILSLAB and FAIL_PAGE_ALLOC");
}
#endif

static struct kunit_case memory_cases[] = {
	KUNIT_CASE_PARAM(test_tables_counted, crash_machines),
	KUNIT_CASE_PARAM(test_memory_pressure, crash_machines),
	KUNIT_CASE(test_budget),
	KUNIT_CASE_PARAM(test_out_of_memory, crash_machines),
	KUNIT_CASE_PARAM(test_allocation_failures, crash_machines),
#if IS_ENABLED(CONFIG_FAILSLAB) && IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC)
	KUNIT_CASE_PARAM(test_late_allocation_failures, crash_machines),
	KUNIT_CASE_PARAM(test_no_memory_at_all, crash_machines),
	KUNIT_CASE_PARAM(test_memory_again, crash_machines),
	KUNIT_CASE_PARAM(test_late_without_memory, crash_machines),
	KUNIT_CASE(test_entries_without_memory),
	KUNIT_CASE(test_faults_without_memory),
#endif
	{}
};

static struct kunit_suite memory_suite = {
	.name = "iommu_kdump_memory",
	.test_cases = memory_cases,
};

kunit_test_suite(memory_suite);
