/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A crashed kernel that is made up, for the tests of what a driver makes of its
 * tables: memory that only the accessor of the framework can reach, and each kind of
 * wrong value in it
 *
 * Part of the tests of a driver, which are a part of the driver. Before they include
 * this, they define what is in the memory, with an enum that ends with OLD_PAGES,
 * which bits of an entry are those of an address, POINTER_BITS, and how many tables
 * are corrupted at random, CORRUPTIONS.
 */
#ifndef __DRIVERS_IOMMU_KDUMP_OLD_TABLES_KUNIT_H
#define __DRIVERS_IOMMU_KDUMP_OLD_TABLES_KUNIT_H

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/vmalloc.h>

#include "kdump.h"

/* Unless an address in an entry is as it is: an entry like @word that leads to @phys */
#ifndef OLD_POINTER
#define OLD_POINTER(word, phys)	(((word) & ~POINTER_BITS) | (phys))
#endif

static unsigned int corruptions = CORRUPTIONS;
module_param(corruptions, uint, 0444);
MODULE_PARM_DESC(corruptions, "Tables to corrupt at random, per mode");

static unsigned int corruption_seed;
module_param(corruption_seed, uint, 0444);
MODULE_PARM_DESC(corruption_seed, "Seed to repeat a run with, 0 for a new one");

/* All the RAM that the crashed kernel had */
#define OLD_RAM		BIT_ULL(42)
#define OLD(page)	(OLD_RAM + (page) * SZ_4K)
#define CRASH_MEM	SZ_16M
#define SOME_MMIO	0xfebf0000ULL

static struct {
	struct kunit *test;
	u64 (*mem)[512];
	int mapped_pages;
	const char *broken;
	/* Tables that were judged, entries that were refused */
	unsigned int count;
	unsigned int refused;
	/* What random corruption aims at: where hardware looks at something */
	u64 *words[128];
	unsigned int nr_words;
} crashed;

static bool old_extent(phys_addr_t phys, u64 *last)
{
	if (phys < OLD_RAM)
		*last = OLD_RAM - 1;
	else if (phys < OLD(OLD_PAGES))
		*last = OLD(OLD_PAGES) - 1;
	else
		*last = U64_MAX;
	return *last == OLD(OLD_PAGES) - 1;
}

static bool old_crash_extent(phys_addr_t phys, u64 *last)
{
	*last = U64_MAX;
	return false;
}

static const void *old_map(phys_addr_t phys, u64 size)
{
	if (phys < OLD_RAM || phys >= OLD(OLD_PAGES) ||
	    !IS_ALIGNED(phys, SZ_4K)) {
		crashed.broken = "read memory that is out of bounds";
		phys = OLD_RAM;
	}
	crashed.mapped_pages++;
	return crashed.mem[(phys - OLD_RAM) / SZ_4K];
}

static void old_unmap(const void *vaddr)
{
	crashed.mapped_pages--;
}

static const struct iommu_kdump_oldmem_ops old_ops = {
	.extent = old_extent,
	.crash_extent = old_crash_extent,
	.map = old_map,
	.unmap = old_unmap,
};

static bool old_active(void)
{
	return true;
}

static void old_stop(void *unused)
{
	iommu_kdump_set_oldmem_ops(NULL);
	vfree(crashed.mem);
}

static void __init old_start(struct kunit *test)
{
	memset(&crashed, 0, sizeof(crashed));
	crashed.test = test;
	crashed.mem = vzalloc(OLD_PAGES * SZ_4K);
	KUNIT_ASSERT_NOT_NULL(test, crashed.mem);
	iommu_kdump_set_oldmem_ops(&old_ops);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, old_stop, NULL), 0);
	kunit_activate_static_stub(test, iommu_kdump_active, old_active);
}

/* The layout of entries, as the specification draws it */

enum field_kind {
	/* Every value is valid, or the value is judged by spec_lookup() */
	VALUE,
	/* Must be 0 in a present entry */
	RESERVED,
	/* Bits 12 and up of the address of a table */
	POINTER,
};

struct field {
	const char *name;
	u8 word;
	u8 first;
	u8 last;
	enum field_kind kind;
};

struct layout {
	const struct field *fields;
	unsigned int nr_fields;
};

#define LAYOUT(_name)						\
	{							\
		.fields = _name##_fields,			\
		.nr_fields = ARRAY_SIZE(_name##_fields),	\
	}

static u64 bits(const u64 *entry, unsigned int word, unsigned int first,
		unsigned int last)
{
	return (entry[word] & GENMASK_ULL(last, first)) >> first;
}

/* The only memory that a table of the crashed kernel can be in */
static bool spec_table(u64 word)
{
	u64 phys = word >> 12 << 12;

	return phys >= OLD_RAM && phys <= OLD_RAM + (OLD_PAGES - 1) * SZ_4K;
}

static __maybe_unused u64 *spec_at(u64 word)
{
	return crashed.mem[((word >> 12 << 12) - OLD_RAM) / SZ_4K];
}

/* Is every field valid that can be judged alone? */
static bool spec_valid(const struct layout *layout, const u64 *entry)
{
	unsigned int i;

	for (i = 0; i < layout->nr_fields; i++) {
		const struct field *f = &layout->fields[i];

		if (f->kind == RESERVED &&
		    bits(entry, f->word, f->first, f->last))
			return false;
		if (f->kind == POINTER && !spec_table(entry[f->word]))
			return false;
	}
	return true;
}

/* The driver takes the tables over as they are now. Does it what it should? */
static bool take_over_and_judge(bool all, const char *what, u64 value);

static bool __init old_is_as_it_was(const char *what, u64 value)
{
	if (crashed.mapped_pages)
		crashed.broken = "left pages mapped";
	if (!crashed.broken)
		return true;
	KUNIT_FAIL(crashed.test, "%s = %#llx: %s", what, value, crashed.broken);
	return false;
}

/* The matrix */

static const u64 bad_pointers[] = {
	0, CRASH_MEM, SOME_MMIO, OLD_RAM - SZ_4K, OLD(OLD_PAGES),
	POINTER_BITS & BIT_ULL(51), POINTER_BITS & BIT_ULL(52),
	POINTER_BITS & BIT_ULL(63), POINTER_BITS,
};

static bool __init corrupt_word(const char *what, u64 *word, u64 value, bool all)
{
	u64 good = *word;
	bool ok;

	if (value == good)
		return true;
	*word = value;
	ok = take_over_and_judge(all, what, value);
	if (!ok)
		kunit_err(crashed.test, "word %td of page %td was %#llx",
			  (word - crashed.mem[0]) % 512,
			  (word - crashed.mem[0]) / 512, good);
	*word = good;
	return ok;
}

/* Each class of wrong value that a field can have */
static bool __init corrupt_field(const struct field *f, u64 *entry)
{
	u64 mask = GENMASK_ULL(f->last, f->first), *word = entry + f->word;
	unsigned int i, width = f->last - f->first + 1;

	/* All values of a small field, all bits of a large one */
	for (i = 0; i < (width <= 5 ? 1U << width : width); i++) {
		u64 value = width <= 5 ? (*word & ~mask) | (u64)i << f->first :
					 *word ^ BIT_ULL(f->first + i);

		if (!corrupt_word(f->name, word, value, false))
			return false;
	}
	return corrupt_word(f->name, word, *word | mask, false) &&
	       corrupt_word(f->name, word, *word & ~mask, false);
}

/* Flips anywhere, several at once, and pointers to anywhere */

static void __init aim_at(u64 *word, u64 *end, bool empty)
{
	for (; word < end && crashed.nr_words < ARRAY_SIZE(crashed.words); word++)
		if (empty || *word)
			crashed.words[crashed.nr_words++] = word;
}

static void __init corrupt_randomly(struct kunit *test)
{
	unsigned int seed = corruption_seed ?: get_random_u32();
	struct rnd_state rnd;
	unsigned int i, n;

	KUNIT_ASSERT_GT(test, crashed.nr_words, 8);
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < corruptions; i++) {
		unsigned int changes = 1 + prandom_u32_state(&rnd) % 3;
		u64 *changed[3], good[3];

		for (n = 0; n < changes; n++) {
			u32 kind = prandom_u32_state(&rnd) % 8;
			u32 r = prandom_u32_state(&rnd);
			u64 *word = crashed.words[r % crashed.nr_words];

			/* Where nothing was */
			if (kind == 7)
				word = &crashed.mem[0][r % (OLD_PAGES * 512)];
			changed[n] = word;
			good[n] = *word;
			r = prandom_u32_state(&rnd);
			if (kind < 4)
				*word ^= BIT_ULL(r % 64) |
					 (kind ? BIT_ULL(r / 64 % 12) : 0);
			else if (kind == 4)
				*word = OLD_POINTER(*word,
						    bad_pointers[r % ARRAY_SIZE(bad_pointers)]);
			else if (kind == 5)
				*word = OLD_POINTER(*word, OLD(r % OLD_PAGES));
			else
				*word = (u64)r << 32 | prandom_u32_state(&rnd);
		}
		if (!take_over_and_judge(!(i % 64), "random", i)) {
			kunit_err(test, "number %u of seed %u", i, seed);
			return;
		}
		while (n--)
			*changed[n] = good[n];
		cond_resched();
	}
	take_over_and_judge(true, "nothing", 0);
	KUNIT_EXPECT_GT(test, crashed.refused, 0);
	kunit_info(test, "%u corrupted tables, seed %u", crashed.count - 1, seed);
}

#endif /* __DRIVERS_IOMMU_KDUMP_OLD_TABLES_KUNIT_H */
