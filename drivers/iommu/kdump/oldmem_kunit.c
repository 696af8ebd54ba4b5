// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what oldmem.c, which includes this, believes of the ELF core header
 *
 * The header comes from a kernel that has crashed. What of it counts as memory of
 * the crashed kernel is worked out page by page here.
 */

#include <kunit/test.h>
#include <linux/ioport.h>
#include <linux/prandom.h>
#include <linux/random.h>

#define TEST_BASE	BIT_ULL(42)
#define TEST_PAGES	64U

struct oldmem_state {
	struct range *old_ram;
	unsigned int nr_old_ram;
	struct range *crash_mem;
	unsigned int nr_crash_mem;
	unsigned long long elfcorehdr_addr;
};

static void drop_ranges(void)
{
	kvfree(old_ram);
	kvfree(crash_mem);
	old_ram = NULL;
	nr_old_ram = 0;
	crash_mem = NULL;
	nr_crash_mem = 0;
}

static void restore_ranges(void *data)
{
	struct oldmem_state *state = data;

	drop_ranges();
	old_ram = state->old_ram;
	nr_old_ram = state->nr_old_ram;
	crash_mem = state->crash_mem;
	nr_crash_mem = state->nr_crash_mem;
	elfcorehdr_addr = state->elfcorehdr_addr;
}

static void __init replace_ranges(struct kunit *test)
{
	struct oldmem_state *state = kunit_kzalloc(test, sizeof(*state),
						   GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, state);
	state->old_ram = old_ram;
	state->nr_old_ram = nr_old_ram;
	state->crash_mem = crash_mem;
	state->nr_crash_mem = nr_crash_mem;
	state->elfcorehdr_addr = elfcorehdr_addr;
	old_ram = NULL;
	nr_old_ram = 0;
	crash_mem = NULL;
	nr_crash_mem = 0;
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, restore_ranges, state),
			0);
}

static void __init good_header(Elf64_Ehdr *ehdr)
{
	memset(ehdr, 0, sizeof(*ehdr));
	memcpy(ehdr->e_ident, ELFMAG, SELFMAG);
	ehdr->e_ident[EI_CLASS] = ELFCLASS64;
	ehdr->e_type = ET_CORE;
	ehdr->e_phoff = sizeof(*ehdr);
	ehdr->e_phentsize = 56;
	ehdr->e_phnum = 10;
}

/* A header whose size cannot be believed is none */
static void __init test_header(struct kunit *test)
{
	static const u64 bad_offsets[] = {
		0, 63, SZ_64K + 1, BIT_ULL(32) | 64, BIT_ULL(63), U64_MAX,
	};
	Elf64_Ehdr ehdr;
	unsigned int i;

	good_header(&ehdr);
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 64 + 10 * 56);
	ehdr.e_phnum = 32768;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 64 + 32768 * 56);
	ehdr.e_phoff = SZ_64K;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), SZ_64K + 32768 * 56);
	ehdr.e_phnum++;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	ehdr.e_phnum = U16_MAX;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);

	for (i = 0; i < SELFMAG; i++) {
		good_header(&ehdr);
		ehdr.e_ident[i] ^= 1;
		KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	}
	good_header(&ehdr);
	ehdr.e_ident[EI_CLASS] = ELFCLASS32;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	good_header(&ehdr);
	ehdr.e_type = ET_EXEC;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	good_header(&ehdr);
	ehdr.e_phentsize--;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	good_header(&ehdr);
	ehdr.e_phnum = 0;
	KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	for (i = 0; i < ARRAY_SIZE(bad_offsets); i++) {
		good_header(&ehdr);
		ehdr.e_phoff = bad_offsets[i];
		KUNIT_EXPECT_EQ(test, header_size(&ehdr), 0);
	}
}

/* Is all of a page in one of the segments? */
static bool __init page_is_told(const Elf64_Phdr *phdr, unsigned int nr, u64 page)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		u64 first = phdr[i].p_paddr;

		if (phdr[i].p_type == PT_LOAD && phdr[i].p_memsz &&
		    first <= page && phdr[i].p_memsz <= U64_MAX - first &&
		    first + phdr[i].p_memsz >= page + PAGE_SIZE)
			return true;
	}
	return false;
}

static bool __init check_pages(struct kunit *test, const Elf64_Phdr *phdr,
			       unsigned int nr)
{
	bool told[TEST_PAGES + 2];
	unsigned int i, n;

	/* One page before and behind, where nothing is ever told */
	for (i = 0; i < ARRAY_SIZE(told); i++)
		told[i] = page_is_told(phdr, nr,
				       TEST_BASE + (i - 1ULL) * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(told); i++) {
		u64 page = TEST_BASE + (i - 1ULL) * PAGE_SIZE, last, want;

		for (n = i; n < ARRAY_SIZE(told) && told[n] == told[i]; n++)
			;
		want = n == ARRAY_SIZE(told) ? U64_MAX :
					       page + (n - i) * PAGE_SIZE - 1;
		if (iommu_kdump_old_ram_extent(page + 8, &last) != told[i] ||
		    last != want) {
			KUNIT_FAIL(test, "page %#llx to %#llx, expected %s to %#llx",
				   page, last, told[i] ? "RAM" : "none", want);
			return false;
		}
		if (told[i] && (!iommu_kdump_is_old_ram(page, want - page + 1) ||
				iommu_kdump_is_old_ram(page, want - page + 2) ||
				iommu_kdump_is_old_ram(page, 0) ||
				iommu_kdump_is_old_ram(page, U64_MAX))) {
			KUNIT_FAIL(test, "page %#llx: wrong size", page);
			return false;
		}
	}
	return true;
}

/* Segments in any order, overlapping, within pages, beyond the end of all */
static void __init test_segments(struct kunit *test)
{
	unsigned int seed = get_random_u32(), i, n;
	struct rnd_state rnd;
	Elf64_Phdr *phdr;

	replace_ranges(test);
	phdr = kunit_kcalloc(test, 12, sizeof(*phdr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, phdr);
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < 3000; i++) {
		unsigned int nr = 1 + prandom_u32_state(&rnd) % 12;
		bool any = false;

		for (n = 0; n < nr; n++) {
			u32 r = prandom_u32_state(&rnd);
			u64 first = r % TEST_PAGES;
			u64 size = (r >> 8) % (TEST_PAGES + 1 - first);

			first = TEST_BASE + first * PAGE_SIZE;
			size *= PAGE_SIZE;
			/* Not only whole pages */
			if (!(r & BIT(20)) && size > PAGE_SIZE)
				first += 1 + (r >> 21) % 4095;
			if (!(r & BIT(21)) && size > 2 * PAGE_SIZE)
				size -= PAGE_SIZE + 1 + (r >> 22) % 4095;
			else if (!(r & BIT(20)) && size > PAGE_SIZE)
				size -= PAGE_SIZE;
			r = prandom_u32_state(&rnd) % 16;
			phdr[n].p_type = r ? PT_LOAD : PT_NOTE;
			/* Rounded up, the end of all addresses is the beginning */
			phdr[n].p_paddr = r == 1 ? U64_MAX - 5000 :
					  r == 3 ? U64_MAX - 10 : first;
			phdr[n].p_memsz = r == 2 ? U64_MAX - 5000 : size;
		}
		for (n = 0; n < TEST_PAGES; n++)
			any |= page_is_told(phdr, nr, TEST_BASE + n * PAGE_SIZE);
		drop_ranges();
		if (parse_phdrs(phdr, nr) != (any ? 0 : -EUCLEAN)) {
			KUNIT_FAIL(test, "wrong verdict, number %u of seed %u",
				   i, seed);
			return;
		}
		if (any && !check_pages(test, phdr, nr)) {
			kunit_err(test, "number %u of seed %u", i, seed);
			return;
		}
	}
}

static bool __init in_memblock(u64 page)
{
	phys_addr_t start, end;
	u64 i;

	for_each_mem_range(i, &start, &end)
		if (start < page + PAGE_SIZE && page < end)
			return true;
	return false;
}

/* A header that claims the crash kernel's memory does not get it */
static void __init test_crash_memory(struct kunit *test)
{
	const Elf64_Phdr phdr[] = {
		{ .p_type = PT_LOAD, .p_paddr = 0, .p_memsz = SZ_4G },
		{ .p_type = PT_LOAD, .p_paddr = TEST_BASE, .p_memsz = SZ_1M },
	};
	unsigned int pages = 0;
	u64 addr, last;

	replace_ranges(test);
	/* The header lies in the old memory, in parts of two pages */
	elfcorehdr_addr = TEST_BASE + 3 * PAGE_SIZE + 100;
	KUNIT_ASSERT_EQ(test, parse_phdrs(phdr, ARRAY_SIZE(phdr)), 0);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_oldmem_known());
	KUNIT_ASSERT_EQ(test, find_crash_mem(PAGE_SIZE), 0);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_oldmem_known());

	for (addr = 0; addr < SZ_4G; addr += SZ_64K) {
		bool own = in_memblock(addr);

		pages += own;
		if (iommu_kdump_is_old_ram(addr, PAGE_SIZE) == own ||
		    (own && !iommu_kdump_crash_mem_extent(addr, &last))) {
			KUNIT_FAIL(test, "page %#llx is %s", addr,
				   own ? "the crash kernel's" : "old RAM");
			return;
		}
	}
	KUNIT_EXPECT_GT(test, pages, 16);
	for (addr = 0; addr < 8; addr++) {
		u64 page = TEST_BASE + addr * PAGE_SIZE;
		bool header = addr == 3 || addr == 4;

		KUNIT_EXPECT_EQ_MSG(test,
				    iommu_kdump_is_old_ram(page, PAGE_SIZE),
				    !header, "page %llu", addr);
		KUNIT_EXPECT_EQ_MSG(test,
				    iommu_kdump_crash_mem_extent(page, &last),
				    header, "page %llu", addr);
	}
	KUNIT_EXPECT_TRUE(test, iommu_kdump_is_old_ram(TEST_BASE, 3 * PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test,
			   iommu_kdump_is_old_ram(TEST_BASE, 3 * PAGE_SIZE + 1));
}

/* Memory of both kernels in any order: the crash kernel's is cut out of the other */
static void __init test_crash_memory_anywhere(struct kunit *test)
{
	unsigned int seed = get_random_u32(), i, n;
	struct rnd_state rnd;
	struct range *own;

	replace_ranges(test);
	own = kunit_kcalloc(test, 8, sizeof(*own), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, own);
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < 3000; i++) {
		unsigned int nr_old = 1 + prandom_u32_state(&rnd) % 4;
		unsigned int nr_own = 1 + prandom_u32_state(&rnd) % 8;
		u64 was_old = 0, is_own = 0, extent, last;
		Elf64_Phdr phdr[4] = {};

		for (n = 0; n < nr_old; n++) {
			u64 first = prandom_u32_state(&rnd) % TEST_PAGES;
			u64 pages = 1 + prandom_u32_state(&rnd) % (TEST_PAGES - first);

			phdr[n].p_type = PT_LOAD;
			phdr[n].p_paddr = TEST_BASE + first * PAGE_SIZE;
			phdr[n].p_memsz = pages * PAGE_SIZE;
			was_old |= GENMASK_ULL(first + pages - 1, first);
		}
		for (n = 0; n < nr_own; n++) {
			u64 first = prandom_u32_state(&rnd) % TEST_PAGES;
			u64 pages = 1 + prandom_u32_state(&rnd) % 4;

			pages = min(pages, TEST_PAGES - first);
			own[n].start = TEST_BASE + first * PAGE_SIZE;
			own[n].end = own[n].start + pages * PAGE_SIZE - 1;
			is_own |= GENMASK_ULL(first + pages - 1, first);
		}
		/* It ends with all addresses, and pages of the crashed kernel do not */
		if (prandom_u32_state(&rnd) % 16 == 0) {
			own[0].end = U64_MAX;
			n = (own[0].start - TEST_BASE) / PAGE_SIZE;
			is_own |= GENMASK_ULL(63, n);
		}
		drop_ranges();
		KUNIT_ASSERT_EQ(test, parse_phdrs(phdr, nr_old), 0);
		if (cut_crash_mem(own, normalize(own, nr_own)) !=
		    (was_old & ~is_own ? 0 : -EUCLEAN)) {
			KUNIT_FAIL(test, "wrong verdict, number %u of seed %u", i, seed);
			return;
		}
		for (n = 0; n < TEST_PAGES; n++) {
			u64 page = TEST_BASE + n * PAGE_SIZE;
			bool old = was_old & ~is_own & BIT_ULL(n);
			bool in_hole = iommu_kdump_crash_mem_extent(page, &extent);

			if (iommu_kdump_is_old_ram(page, PAGE_SIZE) == old &&
			    (in_hole || !(is_own & BIT_ULL(n))) &&
			    (!in_hole || (!iommu_kdump_old_ram_extent(page, &last) &&
					  extent <= last)))
				continue;
			KUNIT_FAIL(test, "page %u, number %u of seed %u", n, i, seed);
			return;
		}
	}
}

/* A header in memory, and what happens to it between two looks */
static struct {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[3];
} *made_up __initdata;
static unsigned int header_maps __initdata;
static unsigned int map_that_fails __initdata;
static unsigned int map_that_differs __initdata;

static void * __init map_made_up(u64 size)
{
	if (++header_maps == map_that_fails)
		return NULL;
	if (header_maps == map_that_differs)
		made_up->ehdr.e_phnum--;
	return made_up;
}

static int __init learn_made_up(u64 size)
{
	good_header(&made_up->ehdr);
	made_up->ehdr.e_phnum = ARRAY_SIZE(made_up->phdr);
	made_up->phdr[1] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_paddr = TEST_BASE, .p_memsz = size,
	};
	elfcorehdr_addr = TEST_BASE;
	header_maps = 0;
	drop_ranges();
	return learn_memory();
}

/* What goes wrong leaves nothing behind that could be taken for old memory */
static void __init test_learn(struct kunit *test)
{
	u64 last;

	replace_ranges(test);
	made_up = kunit_kzalloc(test, sizeof(*made_up), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, made_up);
	map_that_fails = 0;
	map_that_differs = 0;
	kunit_activate_static_stub(test, map_header, map_made_up);

	KUNIT_EXPECT_EQ(test, learn_made_up(SZ_1M), 0);
	KUNIT_EXPECT_EQ(test, header_maps, 2);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_oldmem_known());
	KUNIT_EXPECT_TRUE(test, iommu_kdump_crash_mem_extent(TEST_BASE, &last));
	KUNIT_EXPECT_TRUE(test,
			  iommu_kdump_is_old_ram(TEST_BASE + PAGE_SIZE, PAGE_SIZE));

	/* No old memory but the pages of the header itself */
	KUNIT_EXPECT_EQ(test, learn_made_up(PAGE_SIZE), -EUCLEAN);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_oldmem_known());
	KUNIT_EXPECT_FALSE(test, iommu_kdump_crash_mem_extent(TEST_BASE, &last));

	for (map_that_fails = 1; map_that_fails <= 2; map_that_fails++) {
		KUNIT_EXPECT_EQ(test, learn_made_up(SZ_1M), -ENOMEM);
		KUNIT_EXPECT_FALSE(test, iommu_kdump_oldmem_known());
	}
	for (map_that_differs = 1; map_that_differs <= 2; map_that_differs++) {
		/* A shorter one is as good, one that becomes shorter is not */
		KUNIT_EXPECT_EQ(test, learn_made_up(SZ_1M),
				map_that_differs == 1 ? 0 : -EUCLEAN);
		KUNIT_EXPECT_EQ(test, iommu_kdump_oldmem_known(),
				map_that_differs == 1);
	}

	kunit_deactivate_static_stub(test, map_header);
	drop_ranges();
	/* It goes on behind the end of all addresses */
	elfcorehdr_addr = -8ULL;
	KUNIT_EXPECT_NULL(test, map_header(PAGE_SIZE));
	/* It was never found */
	elfcorehdr_addr = ELFCORE_ADDR_ERR;
	KUNIT_EXPECT_EQ(test, learn_memory(), -EUCLEAN);
}

static bool __init always(void)
{
	return true;
}

static int __init first_reserved(struct resource *res, void *arg)
{
	struct resource *found = arg;

	if (resource_size(res) < 2 * PAGE_SIZE ||
	    region_intersects(res->start, PAGE_SIZE, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT)
		return 0;
	*found = *res;
	return 1;
}

/* Memory of the crashed kernel is none of this one, and encrypted all the same */
static void __init test_encrypted(struct kunit *test)
{
	struct resource res = {};
	void *plain, *vaddr;

	walk_iomem_res_desc(IORES_DESC_RESERVED, IORESOURCE_MEM, 0, -1, &res,
			    first_reserved);
	if (!res.end)
		kunit_skip(test, "this machine has no memory that is not used");
	plain = map_ram(PAGE_ALIGN(res.start), PAGE_SIZE);
	KUNIT_EXPECT_NOT_NULL(test, plain);
	if (plain)
		memunmap(plain);
	/* Where nothing is, all keys are the same */
	kunit_activate_static_stub(test, memory_is_encrypted, always);
	vaddr = map_ram(PAGE_ALIGN(res.start) + 8, PAGE_SIZE - 8);
	KUNIT_EXPECT_NOT_NULL(test, vaddr);
	KUNIT_EXPECT_EQ(test, offset_in_page(vaddr), 8);
	if (vaddr)
		memunmap(vaddr);
}

static struct kunit_case __refdata oldmem_test_cases[] = {
	KUNIT_CASE(test_header),
	KUNIT_CASE(test_segments),
	KUNIT_CASE(test_crash_memory),
	KUNIT_CASE(test_crash_memory_anywhere),
	KUNIT_CASE(test_learn),
	KUNIT_CASE(test_encrypted),
	{}
};

static struct kunit_suite oldmem_test_suite = {
	.name = "oldmem_kdump",
	.test_cases = oldmem_test_cases,
};

kunit_test_init_section_suites(&oldmem_test_suite);
