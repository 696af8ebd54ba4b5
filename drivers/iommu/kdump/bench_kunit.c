// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks of the crashdump framework of the IOMMU core
 *
 * Through the real IOMMU core and the real DMA API, on the IOMMU model of KUnit,
 * with tables of a crashed kernel that are made up. Each result is a line
 *
 *	bench NAME KEY=VALUE...
 *
 * in the log, times in nanoseconds. A benchmark fails if the framework has not done
 * what is timed; how fast it has to be is for whoever reads the lines. Run under
 * QEMU's -icount a nanosecond is an instruction, and two runs give the same.
 */

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/generic_pt/iommu.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/iova.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/oom.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/time64.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"

/* RAM of the crashed kernel: beyond what this machine has */
#define OLD_RAM		BIT_ULL(47)
#define OLD_RAM_SIZE	BIT_ULL(47)
/* The upper half of it holds its DMA buffers, the start its page tables */
#define OLD_BUFFERS	(OLD_RAM + OLD_RAM_SIZE / 2)

#define PTE_R		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_PS		BIT_ULL(7)

/* Entries of RISC-V have the address two bits lower; V, R, W, X, U, A and D */
#define RISCV_SHIFT	2
#define RISCV_TABLE	BIT_ULL(0)
#define RISCV_LEAF	0xdfULL

/* Valid, AP[1] and AF, what a page and a table have besides */
#define ARMV8_LEAF	0x441ULL
#define ARMV8_PAGE	BIT_ULL(1)
#define ARMV8_TABLE	0x3ULL

#define ENTRIES		512
#define LEVELS		4

/* Where large mappings are, and small ones: right below 4 GiB */
#define HIGH_IOVA	SZ_512G
#define LOW_END		SZ_4G

/* Tables that are mapped at the same time: one for each level */
#define MAX_MAPPED	8

static unsigned long oldmem;
module_param(oldmem, ulong, 0444);
MODULE_PARM_DESC(oldmem, "Physical address of memory that the kernel does not use (mem=), for the tables of the crashed kernel: they are then mapped page by page as after a crash");

static unsigned long oldmem_size;
module_param(oldmem_size, ulong, 0444);
MODULE_PARM_DESC(oldmem_size, "Bytes there");

#define bench_info(fmt, ...)	pr_info("bench " fmt "\n", ##__VA_ARGS__)

/**
 * struct layout - what the crashed kernel has mapped
 * @iova: IOVA of the first item
 * @size: bytes of IOVA from the first to the last item
 * @leaf_level: level of the leaves, 0 for 4 KiB
 * @run: bytes that are contiguous in memory
 * @period: items in a period
 * @present: so many of them, the first ones, are mapped
 * @mix: leaves of 2 MiB, and 4 KiB in long, short and no runs, by turns
 * @format: which format they are in
 */
struct layout {
	u64 iova;
	u64 size;
	unsigned int leaf_level;
	u64 run;
	unsigned int period;
	unsigned int present;
	bool mix;
	enum kunit_iommu_format format;
};

static struct bench {
	struct kunit *test;
	struct kunit_iommu *iommu;
	bool kdump_kernel;
	struct layout layout;
	/* Index of the first and last table of a level, and number of its page */
	u64 first[LEVELS];
	u64 last[LEVELS];
	u64 start[LEVELS];
	u64 nr_tables;
	/* Tables that exist, or NULL: made up when they are read */
	void *arena;
	u64 *page[MAX_MAPPED];
	unsigned int mapped;
	u64 maps;
	unsigned int ooms;
} bench;

static bool fake_active(void)
{
	return bench.kdump_kernel;
}

/* The tables of the crashed kernel */

static unsigned int level_shift(unsigned int level)
{
	return PAGE_SHIFT + 9 * level;
}

static u64 item_size(void)
{
	return BIT_ULL(level_shift(bench.layout.leaf_level));
}

static u64 nr_items(void)
{
	return bench.layout.size >> level_shift(bench.layout.leaf_level);
}

static unsigned int mix_kind(u64 item)
{
	return bench.layout.mix ? item / ENTRIES % 4 : 1;
}

static bool item_present(u64 item)
{
	if (bench.layout.mix && mix_kind(item) == 3)
		return item % 8;
	return item % bench.layout.period < bench.layout.present;
}

/* Runs are anywhere in memory, no two of them next to each other */
static u64 item_phys(u64 item)
{
	static const u64 mix_runs[] = { SZ_2M, SZ_2M, SZ_64K, SZ_4K };
	u64 size = item_size(), run = bench.layout.run, nr, r;

	if (bench.layout.mix)
		run = mix_runs[mix_kind(item)];
	nr = roundup_pow_of_two(div64_u64(bench.layout.size, run) ?: 1);
	r = div64_u64(item * size, run);
	return OLD_BUFFERS + ((r * 0x9e3779b1) & (nr - 1)) * run +
	       (item * size) % run;
}

static u64 item_iova(u64 item)
{
	return bench.layout.iova + item * item_size();
}

static u64 leaf_entry(u64 phys, unsigned int level)
{
	if (bench.layout.format == KUNIT_IOMMU_RISCV64)
		return phys >> RISCV_SHIFT | RISCV_LEAF;
	if (bench.layout.format == KUNIT_IOMMU_ARMV8)
		return phys | ARMV8_LEAF | (level ? 0 : ARMV8_PAGE);
	return phys | PTE_R | PTE_W | (level ? PTE_PS : 0);
}

static u64 table_entry(u64 table)
{
	if (bench.layout.format == KUNIT_IOMMU_RISCV64)
		return table >> RISCV_SHIFT | RISCV_TABLE;
	if (bench.layout.format == KUNIT_IOMMU_ARMV8)
		return table | ARMV8_TABLE;
	return table | PTE_R | PTE_W;
}

static u64 entry(unsigned int level, u64 index)
{
	unsigned int leaf = bench.layout.leaf_level;
	u64 item;

	if (level == leaf) {
		item = index - (bench.layout.iova >> level_shift(leaf));
		if (item >= nr_items() || !item_present(item))
			return 0;
		return leaf_entry(item_phys(item), level);
	}

	if (index < bench.first[level - 1] || index > bench.last[level - 1])
		return 0;
	if (bench.layout.mix && level == 1) {
		item = (index << 9) - (bench.layout.iova >> PAGE_SHIFT);
		if (!mix_kind(item))
			return leaf_entry(item_phys(item), level);
	}
	return table_entry(OLD_RAM + (bench.start[level - 1] + index -
				      bench.first[level - 1]) * PAGE_SIZE);
}

static void fill(u64 page, u64 *entries)
{
	unsigned int level = 0, i;
	u64 table;

	while (page < bench.start[level])
		level++;
	table = bench.first[level] + page - bench.start[level];
	for (i = 0; i < ENTRIES; i++)
		entries[i] = entry(level, table * ENTRIES + i);
}

/* A leaf table that nothing but its leaves was mixed into is not there */
static bool table_exists(u64 page)
{
	u64 table;

	if (!bench.layout.mix || page < bench.start[0])
		return true;
	table = bench.first[0] + page - bench.start[0];
	return mix_kind(table * ENTRIES -
			(bench.layout.iova >> PAGE_SHIFT));
}

static u64 set_layout(const struct layout *layout)
{
	u64 end = layout->iova + layout->size - 1, nr = 0, tables = 0, i;
	int level;

	bench.layout = *layout;
	memset(bench.start, 0xff, sizeof(bench.start));
	for (level = LEVELS - 1; level >= (int)layout->leaf_level; level--) {
		bench.first[level] = layout->iova >> level_shift(level + 1);
		bench.last[level] = end >> level_shift(level + 1);
		bench.start[level] = nr;
		nr += bench.last[level] - bench.first[level] + 1;
	}
	bench.nr_tables = nr;
	for (i = 0; i < nr; i++)
		tables += table_exists(i);
	return tables;
}

static void free_tables(void)
{
	if (oldmem)
		memunmap(bench.arena);
	else
		vfree(bench.arena);
	bench.arena = NULL;
}

/* Returns how many tables there are */
static u64 make_tables(const struct layout *layout)
{
	u64 tables = set_layout(layout), bytes, i;

	bytes = bench.nr_tables * PAGE_SIZE;
	free_tables();
	if (oldmem) {
		KUNIT_ASSERT_LE(bench.test, bytes, oldmem_size);
		bench.arena = memremap(oldmem, bytes, MEMREMAP_WB);
	} else {
		bench.arena = vmalloc(bytes);
	}
	KUNIT_ASSERT_NOT_NULL(bench.test, bench.arena);
	for (i = 0; i < bench.nr_tables; i++)
		fill(i, bench.arena + i * PAGE_SIZE);
	return tables;
}

static bool old_extent(phys_addr_t phys, u64 *last)
{
	if (phys < OLD_RAM) {
		*last = OLD_RAM - 1;
		return false;
	}
	if (phys < OLD_RAM + OLD_RAM_SIZE) {
		*last = OLD_RAM + OLD_RAM_SIZE - 1;
		return true;
	}
	*last = U64_MAX;
	return false;
}

static bool crash_extent(phys_addr_t phys, u64 *last)
{
	*last = phys < SZ_4G ? SZ_4G - 1 : U64_MAX;
	return phys < SZ_4G;
}

static const void *map_old(phys_addr_t phys, u64 size)
{
	u64 page = (phys - OLD_RAM) >> PAGE_SHIFT;
	const void *vaddr;

	if (page >= bench.nr_tables)
		return ERR_PTR(-EUCLEAN);
	bench.maps++;
	if (!bench.arena) {
		fill(page, bench.page[bench.mapped]);
		return bench.page[bench.mapped++];
	}
	if (!oldmem)
		return bench.arena + page * PAGE_SIZE;
	vaddr = memremap(oldmem + page * PAGE_SIZE, PAGE_SIZE, MEMREMAP_WB);
	return vaddr ?: ERR_PTR(-ENOMEM);
}

static void unmap_old(const void *vaddr)
{
	if (!bench.arena)
		bench.mapped--;
	else if (oldmem)
		memunmap((void *)vaddr);
}

static const struct iommu_kdump_oldmem_ops old_ops = {
	.extent = old_extent,
	.crash_extent = crash_extent,
	.map = map_old,
	.unmap = unmap_old,
};

static int count_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	bench.ooms++;
	return NOTIFY_OK;
}

static struct notifier_block oom_nb = {
	.notifier_call = count_oom,
};

static void stop_bench(void *unused)
{
	unsigned int i;

	unregister_oom_notifier(&oom_nb);
	iommu_kdump_set_oldmem_ops(NULL);
	free_tables();
	for (i = 0; i < MAX_MAPPED; i++)
		free_page((unsigned long)bench.page[i]);
	memset(&bench, 0, sizeof(bench));
}

static void start_bench(struct kunit *test)
{
	unsigned int i;

	bench.test = test;
	bench.kdump_kernel = true;
	register_oom_notifier(&oom_nb);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_bench, NULL), 0);
	for (i = 0; i < MAX_MAPPED; i++) {
		bench.page[i] = (u64 *)__get_free_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, bench.page[i]);
	}
	iommu_kdump_set_oldmem_ops(&old_ops);
	kunit_activate_static_stub(test, iommu_kdump_active, fake_active);
}

static void new_iommu(const struct kunit_iommu_config *config)
{
	bench.iommu = kunit_iommu_create(bench.test, config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(bench.test, bench.iommu);
}

static void set_paging(u32 rid)
{
	struct kunit_iommu_entry paging = {
		.mode = KUNIT_IOMMU_PAGING,
		.levels = LEVELS,
		.id = 7,
		.root = OLD_RAM,
	};

	kunit_iommu_set_entry(bench.iommu, rid, &paging);
}

static struct device *add_dev(u32 rid)
{
	struct device *dev = kunit_iommu_add_device(bench.iommu, rid, &rid, 1);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(bench.test, dev);
	return dev;
}

/* Devices 0 (nothing to inherit) and 1; returns the second */
static struct device *boot_two(struct device **other)
{
	struct device *dev;

	set_paging(1);
	*other = add_dev(0);
	dev = add_dev(1);
	KUNIT_ASSERT_EQ(bench.test, kunit_iommu_register(bench.iommu), 0);
	return dev;
}

struct bind_work {
	struct work_struct work;
	struct device *dev;
	int ret;
};

static void bind(struct work_struct *work)
{
	struct bind_work *bind = container_of(work, struct bind_work, work);

	bind->ret = kunit_iommu_bind(bind->dev, NULL);
}

/*
 * The import: what happens when a driver comes. In another thread, where KUnit does
 * not look for a stub for each mapping.
 */
static const struct iommu_kdump_stats *
carry(struct device *dev, enum iommu_kdump_state expected)
{
	struct iommu_kdump_group *kg = dev->iommu_group->kdump;
	struct bind_work work = { .dev = dev };

	KUNIT_ASSERT_NOT_NULL(bench.test, kg);
	KUNIT_ASSERT_EQ(bench.test, kg->state, KDUMP_INHERITED);
	INIT_WORK_ONSTACK(&work.work, bind);
	schedule_work(&work.work);
	flush_work(&work.work);
	destroy_work_on_stack(&work.work);
	KUNIT_ASSERT_EQ(bench.test, work.ret, 0);
	KUNIT_ASSERT_EQ(bench.test, kg->state, expected);
	return &kg->stats;
}

static struct iommu_domain *domain_of(struct device *dev)
{
	return dev->iommu_group->default_domain;
}

/* Pages here and there, the first and the last one among them */
static void check_carried(struct device *dev)
{
	u64 nr = nr_items(), step = max(nr / 997, 1), item;

	for (item = 0; item < nr; item += step) {
		u64 i = item + step >= nr ? nr - 1 : item;
		u64 want = item_present(i) ? item_phys(i) : 0;
		phys_addr_t phys = iommu_iova_to_phys(domain_of(dev),
						      item_iova(i));

		if (phys == want)
			continue;
		KUNIT_FAIL(bench.test, "IOVA %#llx leads to %pa, not to %#llx",
			   item_iova(i), &phys, want);
		return;
	}
}

/* Take-over without drivers */

static u64 boot_devices(struct kunit_iommu_config *config, bool inherit,
			u64 *kdump_bytes)
{
	struct device **devs;
	u64 ns, bytes = 0;
	u32 rid;

	devs = kvzalloc_objs(*devs, config->num_rids);
	KUNIT_ASSERT_NOT_NULL(bench.test, devs);
	bench.kdump_kernel = inherit;
	bench.maps = 0;
	for (rid = 0; rid < config->num_rids; rid++) {
		if (inherit)
			set_paging(rid);
		devs[rid] = add_dev(rid);
	}

	/* What the run before has left to free is not this one's */
	rcu_barrier();
	msleep(100);
	ns = ktime_get_ns();
	KUNIT_ASSERT_EQ(bench.test, kunit_iommu_register(bench.iommu), 0);
	ns = ktime_get_ns() - ns;

	for (rid = 0; rid < config->num_rids; rid++) {
		struct iommu_kdump_group *kg = devs[rid]->iommu_group->kdump;
		struct iommu_kdump_dev *kdev;

		KUNIT_ASSERT_EQ(bench.test, !!kg, inherit);
		if (!kg)
			continue;
		KUNIT_ASSERT_EQ(bench.test, kg->state, KDUMP_INHERITED);
		bytes += ksize(kg);
		list_for_each_entry(kdev, &kg->devs, node)
			bytes += ksize(kdev);
	}
	*kdump_bytes = bytes;
	/* Nothing is walked */
	KUNIT_EXPECT_EQ(bench.test, bench.maps, 0);
	kunit_iommu_reset(bench.iommu);
	kvfree(devs);
	return ns;
}

static void bench_takeover(struct kunit *test)
{
	static const struct layout layout = {
		.iova = HIGH_IOVA,
		.size = SZ_1G,
		.run = SZ_2M,
		.period = 1,
		.present = 1,
	};
	static const unsigned int groups[] = { 1, 64, 1024, 16384 };
	unsigned int i, run;

	start_bench(test);
	set_layout(&layout);
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		unsigned int n = groups[i], runs = n > 1024 ? 1 : 3;
		struct kunit_iommu_config config = {
			.singletons = true,
			.num_rids = n,
			.max_id = n + 16,
		};
		u64 with = U64_MAX, without = U64_MAX, bytes, none;

		new_iommu(&config);
		/* Whoever is first pays for slabs: the best of some */
		for (run = 0; run < runs; run++) {
			without = min(without,
				      boot_devices(&config, false, &none));
			with = min(with, boot_devices(&config, true, &bytes));
		}
		bench_info("takeover groups=%u with=%llu without=%llu bytes=%llu",
			   n, with, without, bytes);
	}
}

/* Import */

/* The floor: read the tables once, in order, through the same accessor */
static u64 read_tables(void)
{
	u64 ns = ktime_get_ns(), sum = 0, i;
	unsigned int j;

	for (i = 0; i < bench.nr_tables; i++) {
		const u64 *page;

		if (!table_exists(i))
			continue;
		page = iommu_kdump_map_old(OLD_RAM + i * PAGE_SIZE, PAGE_SIZE);
		if (IS_ERR(page))
			return 0;
		for (j = 0; j < ENTRIES; j++)
			sum += READ_ONCE(page[j]);
		iommu_kdump_unmap_old(page);
	}
	ns = ktime_get_ns() - ns;
	return sum ? ns : 0;
}

/* The control: decode in no time at all, and one iommu_map() per leaf */
static u64 map_page_by_page(struct device *dev)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	u64 ns, i, nr = nr_items();

	KUNIT_ASSERT_NOT_ERR_OR_NULL(bench.test, domain);
	ns = ktime_get_ns();
	for (i = 0; i < nr; i++) {
		if (!item_present(i))
			continue;
		if (iommu_map(domain, item_iova(i), item_phys(i), item_size(),
			      IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE,
			      GFP_KERNEL)) {
			KUNIT_FAIL(bench.test, "iommu_map() has failed");
			break;
		}
		cond_resched();
	}
	ns = ktime_get_ns() - ns;
	iommu_domain_free(domain);
	return ns;
}

static u64 bytes_present(void)
{
	u64 nr = nr_items(), bytes = 0, i;

	for (i = 0; i < nr; i++)
		bytes += item_present(i) ? item_size() : 0;
	return bytes;
}

struct import_case {
	const char *name;
	u64 size;
	unsigned int leaf_level;
	u64 run;
	bool mix;
};

static void time_one_import(const struct import_case *c,
			    enum kunit_iommu_format format)
{
	const struct layout layout = {
		.iova = HIGH_IOVA,
		.size = c->size,
		.leaf_level = c->leaf_level,
		.run = c->run,
		.period = 1,
		.present = 1,
		.mix = c->mix,
		.format = format,
	};
	static const char *const names[] = {
		[KUNIT_IOMMU_VTDSS] = "vtdss",
		[KUNIT_IOMMU_RISCV64] = "riscv64",
		[KUNIT_IOMMU_ARMV8] = "armv8",
	};
	const struct iommu_kdump_stats *stats;
	struct device *dev, *other;
	u64 tables, control = 0;
	unsigned long pages;

	tables = make_tables(&layout);
	dev = boot_two(&other);
	pages = global_node_page_state(NR_IOMMU_PAGES);
	stats = carry(dev, KDUMP_CARRYING);
	pages = global_node_page_state(NR_IOMMU_PAGES) - pages;
	KUNIT_EXPECT_EQ(bench.test, stats->tables, tables);
	KUNIT_EXPECT_EQ(bench.test, stats->mapped, bytes_present());
	check_carried(dev);
	if (layout.size <= SZ_1G || layout.leaf_level)
		control = map_page_by_page(other);
	bench_info("import format=%s layout=%s size=%llu tables=%llu new_bytes=%llu ns=%llu floor=%llu control=%llu",
		   names[format], c->name, layout.size, tables,
		   /* The framework's own figure is a guess there, from free memory */
		   format == KUNIT_IOMMU_ARMV8 ? (u64)pages << PAGE_SHIFT :
						 stats->new_tables,
		   stats->import_ns, read_tables(), control);
	kunit_iommu_reset(bench.iommu);
}

/* A small one takes about as long as what a tick of the timer may wake up */
static void time_import(const struct import_case *c,
			enum kunit_iommu_format format)
{
	unsigned int i, nr = c->size <= SZ_1G ? 5 : 1;

	for (i = 0; i < nr; i++)
		time_one_import(c, format);
}

static void bench_import(struct kunit *test)
{
	static const struct import_case cases[] = {
		{ "runs", SZ_64M, 0, SZ_64M },
		{ "runs", SZ_1G, 0, SZ_64M },
		{ "runs", 16ULL * SZ_1G, 0, SZ_64M },
		{ "scattered", SZ_64M, 0, SZ_4K },
		{ "scattered", SZ_1G, 0, SZ_4K },
		{ "scattered", 16ULL * SZ_1G, 0, SZ_4K },
		{ "2M-pages", 16ULL * SZ_1G, 1, SZ_2M },
		{ "2M-pages", SZ_1T, 1, SZ_2M },
		{ "1G-pages", 64ULL * SZ_1G, 2, SZ_1G },
		{ "1G-pages", 32ULL * SZ_1T, 2, SZ_1G },
		{ "mix", SZ_64M, 0, SZ_4K, true },
		{ "mix", SZ_1G, 0, SZ_4K, true },
		{ "mix", 16ULL * SZ_1G, 0, SZ_4K, true },
	};
	unsigned int i;

	start_bench(test);
	new_iommu(NULL);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		time_import(&cases[i], KUNIT_IOMMU_VTDSS);
}

static const struct import_case few_cases[] = {
	{ "runs", SZ_64M, 0, SZ_64M },
	{ "runs", SZ_1G, 0, SZ_64M },
	{ "scattered", SZ_64M, 0, SZ_4K },
	{ "scattered", SZ_1G, 0, SZ_4K },
	{ "mix", SZ_64M, 0, SZ_4K, true },
	{ "mix", SZ_1G, 0, SZ_4K, true },
};

static void import_few(struct kunit *test, enum kunit_iommu_format format)
{
	struct kunit_iommu_config config = { .format = format };
	unsigned int i;

	start_bench(test);
	new_iommu(&config);
	for (i = 0; i < ARRAY_SIZE(few_cases); i++)
		time_import(&few_cases[i], format);
}

/* Its entries have the address elsewhere than the core wants it */
static void bench_import_riscv64(struct kunit *test)
{
	import_few(test, KUNIT_IOMMU_RISCV64);
}

/* Not generic_pt writes the new tables */
static void bench_import_armv8(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_IOMMU_IO_PGTABLE_LPAE))
		kunit_skip(test, "io-pgtable-arm.c is not built");
	import_few(test, KUNIT_IOMMU_ARMV8);
}

/* The largest host. The tables are made up when they are read: no time is told */
static void bench_largest(struct kunit *test)
{
	static const struct layout runs = {
		.iova = HIGH_IOVA,
		.size = SZ_1T,
		.run = SZ_64M,
		.period = 1,
		.present = 1,
	};
	static const struct layout scattered = {
		.iova = HIGH_IOVA,
		.size = 64ULL * SZ_1G,
		.run = SZ_4K,
		.period = 1,
		.present = 1,
	};
	const struct iommu_kdump_stats *stats;
	struct device *dev, *other;
	dma_addr_t iova;

	start_bench(test);
	new_iommu(NULL);
	iommu_kdump_walk_ms = 3600 * MSEC_PER_SEC;

	set_layout(&runs);
	dev = boot_two(&other);
	stats = carry(dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, stats->mapped, SZ_1T);
	check_carried(dev);
	bench_info("largest layout=runs size=%llu ram=%llu mapped=%llu new_bytes=%llu ns=%llu ooms=%u",
		   bench.layout.size, (u64)totalram_pages() << PAGE_SHIFT,
		   stats->mapped, stats->new_tables, stats->import_ns, bench.ooms);
	kunit_iommu_reset(bench.iommu);

	set_layout(&scattered);
	dev = boot_two(&other);
	stats = carry(dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_STREQ(test, dev->iommu_group->kdump->reason,
			   "page tables do not fit into memory");
	KUNIT_EXPECT_EQ(test, stats->mapped, 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain_of(dev), HIGH_IOVA), 0);
	KUNIT_EXPECT_EQ(test, bench.ooms, 0);
	/* Its driver can work nevertheless, and so can others */
	iova = dma_map_single(dev, bench.page[0], SZ_4K, DMA_TO_DEVICE);
	KUNIT_EXPECT_FALSE(test, dma_mapping_error(dev, iova));
	dma_unmap_single(dev, iova, SZ_4K, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, kunit_iommu_bind(other, NULL), 0);
	KUNIT_EXPECT_NULL(test, other->iommu_group->kdump->reason);
	bench_info("largest layout=scattered size=%llu ram=%llu mapped=%llu new_bytes=%llu ns=%llu ooms=%u",
		   bench.layout.size, (u64)totalram_pages() << PAGE_SHIFT,
		   stats->mapped, stats->new_tables, stats->import_ns, bench.ooms);
}

/* Reservation */

static void reserve_ranges(unsigned int nr, bool plain)
{
	struct iommu_kdump_ranges ranges = {};
	struct iova_domain *iovad;
	struct device *other;
	u64 ns, bytes = 0;
	unsigned int i;

	boot_two(&other);
	KUNIT_ASSERT_EQ(bench.test, kunit_iommu_bind(other, NULL), 0);
	iovad = iommu_dma_iova_domain(domain_of(other));
	KUNIT_ASSERT_NOT_NULL(bench.test, iovad);
	iommu_kdump_free_iova(iommu_dma_kdump_iova(domain_of(other)));
	iommu_dma_set_kdump_iova(domain_of(other), NULL);
	for (i = 0; i < nr && !plain; i++)
		KUNIT_ASSERT_EQ(bench.test,
				iommu_kdump_add_range(&ranges,
						      HIGH_IOVA + (u64)i * SZ_128K,
						      HIGH_IOVA + (u64)i * SZ_128K +
						      SZ_4K - 1), 0);

	ns = ktime_get_ns();
	if (plain) {
		for (i = 0; i < nr; i++) {
			unsigned long pfn = iova_pfn(iovad, HIGH_IOVA +
						     (u64)i * SZ_128K);

			if (!reserve_iova(iovad, pfn, pfn))
				KUNIT_FAIL(bench.test, "reserve_iova() failed");
		}
	} else {
		KUNIT_EXPECT_EQ(bench.test,
				iommu_kdump_reserve(domain_of(other), &ranges,
						    true, &bytes), 0);
		KUNIT_EXPECT_EQ(bench.test, bytes, (u64)nr * SZ_4K);
	}
	ns = ktime_get_ns() - ns;
	bench_info("reserve ranges=%u how=%s ns=%llu", nr,
		   plain ? "plain" : "framework", ns);
	iommu_kdump_free_ranges(&ranges);
	kunit_iommu_reset(bench.iommu);
}

/* Of an import: mappings with gaps between them */
static void reserve_mappings(unsigned int nr, u64 distance)
{
	const struct layout layout = {
		.iova = HIGH_IOVA,
		.size = nr * distance,
		.run = SZ_4K,
		.period = distance / SZ_4K,
		.present = 1,
	};
	const struct iommu_kdump_stats *stats;
	struct device *dev, *other;

	make_tables(&layout);
	dev = boot_two(&other);
	stats = carry(dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(bench.test, stats->mapped, (u64)nr * SZ_4K);
	bench_info("gaps mappings=%u gap=%llu ranges=%u ns=%llu", nr,
		   distance - SZ_4K, stats->ranges, stats->import_ns);
	kunit_iommu_reset(bench.iommu);
}

static void bench_reserve(struct kunit *test)
{
	static const unsigned int nr[] = { 1000, 16384, 262144 };
	unsigned int i;

	start_bench(test);
	new_iommu(NULL);
	for (i = 0; i < ARRAY_SIZE(nr); i++)
		reserve_ranges(nr[i], false);
	reserve_ranges(nr[0], true);
	reserve_ranges(nr[1], true);
	for (i = 0; i < ARRAY_SIZE(nr); i++)
		reserve_mappings(nr[i], SZ_8K);
	reserve_mappings(nr[0], SZ_128K);
	reserve_mappings(nr[1], SZ_128K);
}

/* The rest of the IOVA space */

#define PIECE		SZ_1M
#define PIECES_WANTED	512

static void low_memory(unsigned int gigabytes)
{
	/* 62 MiB mapped, 2 MiB not */
	const struct layout layout = {
		.iova = LOW_END - (u64)gigabytes * SZ_1G,
		.size = (u64)gigabytes * SZ_1G,
		.leaf_level = 1,
		.run = SZ_2M,
		.period = 32,
		.present = 31,
	};
	unsigned int n, before = 0, at_wanted = 0, order = 0, highest_first = 1;
	struct iommu_kdump_iova *old;
	struct device *dev, *other;
	struct page *buf;
	dma_addr_t iova;
	u64 inherited;

	buf = alloc_pages(GFP_KERNEL, get_order(PIECE));
	KUNIT_ASSERT_NOT_NULL(bench.test, buf);
	make_tables(&layout);
	dev = boot_two(&other);
	inherited = carry(dev, KDUMP_CARRYING)->mapped;
	old = iommu_dma_kdump_iova(domain_of(dev));

	for (n = 0;; n++) {
		unsigned int back, i;
		u64 top = 0;

		if (old->reserved.nr)
			top = old->reserved.r[old->reserved.nr - 1].last;
		iova = dma_map_page(dev, buf, 0, PIECE, DMA_BIDIRECTIONAL);
		if (dma_mapping_error(dev, iova))
			break;
		if (upper_32_bits(iova + PIECE - 1))
			KUNIT_FAIL(bench.test, "out of reach");
		back = iommu_kdump_given_back(domain_of(dev));
		if (back != before) {
			/* From the top, twice as many each time */
			for (i = 0; i < old->reserved.nr; i++)
				highest_first &= old->reserved.r[i].last < top;
			if (old->reserved.nr && back - before != 1U << order)
				highest_first = 0;
			order++;
			before = back;
		}
		if (n == PIECES_WANTED - 1)
			at_wanted = back;
	}
	KUNIT_EXPECT_GE(bench.test, n, PIECES_WANTED);
	KUNIT_EXPECT_EQ(bench.test, highest_first, 1);
	KUNIT_EXPECT_EQ(bench.test, old->reserved.nr, 0);
	bench_info("space inherited=%llu mapped_until_exhausted=%llu given_back_at_512M=%u given_back=%u steps=%u",
		   inherited, (u64)n * PIECE, at_wanted, before, order);
	kunit_iommu_reset(bench.iommu);
	__free_pages(buf, get_order(PIECE));
}

static void bench_space(struct kunit *test)
{
	start_bench(test);
	new_iommu(NULL);
	low_memory(1);
	low_memory(2);
	low_memory(3);
}

/* Allocation speed */

#define PAIRS		4096
#define BURST		64

static u64 map_unmap(struct device *dev, struct page *buf, size_t size,
		     unsigned int burst)
{
	static dma_addr_t iova[BURST];
	unsigned int i, j;
	u64 ns;

	ns = ktime_get_ns();
	for (i = 0; i < PAIRS / burst; i++) {
		for (j = 0; j < burst; j++) {
			iova[j] = dma_map_page(dev, buf, 0, size,
					       DMA_BIDIRECTIONAL);
			if (dma_mapping_error(dev, iova[j]))
				return 0;
		}
		for (j = 0; j < burst; j++)
			dma_unmap_page(dev, iova[j], size, DMA_BIDIRECTIONAL);
	}
	return ktime_get_ns() - ns;
}

static void bench_speed(struct kunit *test)
{
	const struct layout layout = {
		.iova = LOW_END - 10000ULL * SZ_128K,
		.size = 10000ULL * SZ_128K,
		.run = SZ_4K,
		.period = 32,
		.present = 1,
	};
	static const struct {
		size_t size;
		unsigned int burst;
	} cases[] = {
		{ SZ_4K, 1 }, { SZ_4K, BURST }, { SZ_64K, 1 }, { SZ_64K, BURST },
		{ SZ_1M, 1 }, { SZ_1M, BURST },
	};
	struct device *dev, *other;
	struct page *buf;
	unsigned int i;

	start_bench(test);
	new_iommu(NULL);
	make_tables(&layout);
	dev = boot_two(&other);
	KUNIT_ASSERT_EQ(test, carry(dev, KDUMP_CARRYING)->ranges, 10000);
	KUNIT_ASSERT_EQ(test, kunit_iommu_bind(other, NULL), 0);
	buf = alloc_pages(GFP_KERNEL, get_order(SZ_1M));
	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 with, without;

		with = map_unmap(dev, buf, cases[i].size, cases[i].burst);
		without = map_unmap(other, buf, cases[i].size, cases[i].burst);
		KUNIT_EXPECT_NE(test, with, 0);
		KUNIT_EXPECT_NE(test, without, 0);
		bench_info("speed size=%zu burst=%u pairs=%u with=%llu without=%llu",
			   cases[i].size, cases[i].burst, PAIRS, with, without);
	}
	KUNIT_EXPECT_EQ(test, iommu_kdump_given_back(domain_of(dev)), 0);
	__free_pages(buf, get_order(SZ_1M));
}

static struct kunit_case bench_cases[] = {
	KUNIT_CASE_SLOW(bench_takeover),
	KUNIT_CASE_SLOW(bench_import),
	KUNIT_CASE_SLOW(bench_import_riscv64),
	KUNIT_CASE_SLOW(bench_import_armv8),
	KUNIT_CASE_SLOW(bench_reserve),
	KUNIT_CASE_SLOW(bench_space),
	KUNIT_CASE_SLOW(bench_speed),
	{}
};

static struct kunit_suite bench_suite = {
	.name = "iommu_kdump_bench",
	.test_cases = bench_cases,
};

/* For a machine with 256 MiB */
static struct kunit_case largest_cases[] = {
	KUNIT_CASE_SLOW(bench_largest),
	{}
};

static struct kunit_suite largest_suite = {
	.name = "iommu_kdump_largest",
	.test_cases = largest_cases,
};

kunit_test_suites(&bench_suite, &largest_suite);
