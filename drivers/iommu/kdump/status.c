// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: what people see of it
 *
 * kdump_state in sysfs has one word per group, iommu/kdump in debugfs a table of
 * all groups. Both can be read at any moment. The table holds IOMMU group numbers,
 * device names and sizes: no address.
 */

#include <linux/debugfs.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/sysfs.h>
#include <linux/time64.h>

#include <kunit/visibility.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"

static const char * const state_names[] = {
	[KDUMP_NONE] = "none",
	[KDUMP_INHERITED] = "inherited",
	[KDUMP_CARRYING] = "carrying",
	[KDUMP_RELEASED] = "released",
	[KDUMP_BLOCKED] = "blocked",
};

static const char * const type_names[] = {
	[IOMMU_KDUMP_NONE] = "none",
	[IOMMU_KDUMP_BLOCKED] = "blocked",
	[IOMMU_KDUMP_IDENTITY] = "identity",
	[IOMMU_KDUMP_PAGING] = "paging",
};

/**
 * iommu_kdump_state_name() - The word for a state
 * @state: the state
 *
 * Return: the word, which is part of the ABI.
 */
const char *iommu_kdump_state_name(enum iommu_kdump_state state)
{
	return state_names[state];
}

/**
 * iommu_kdump_show_state() - Contents of kdump_state in sysfs
 * @group: the group
 * @buf: page to write to
 *
 * Return: bytes written.
 */
ssize_t iommu_kdump_show_state(struct iommu_group *group, char *buf)
{
	enum iommu_kdump_state state = KDUMP_NONE;

	mutex_lock(&group->mutex);
	if (group->kdump)
		state = group->kdump->state;
	mutex_unlock(&group->mutex);
	return sysfs_emit(buf, "%s\n", state_names[state]);
}

/* What all devices of the group have inherited, or that they differ */
static const char *type_name(const struct iommu_kdump_group *kg)
{
	const struct iommu_kdump_dev *kdev;
	const char *name = "none";
	bool first = true;

	list_for_each_entry(kdev, &kg->devs, node) {
		const char *type = kdev->error ? "refused" :
				   type_names[kdev->tables.type];

		if (!first && strcmp(name, type))
			return "mixed";
		name = type;
		first = false;
	}
	return name;
}

static void show_group(struct seq_file *s, struct iommu_group *group)
{
	const struct iommu_kdump_group *kg = group->kdump;
	const struct iommu_kdump_stats *stats = &kg->stats;
	unsigned int given_back = 0;
	struct group_device *gdev;
	const char *sep = "";

	lockdep_assert_held(&group->mutex);

	if (group->default_domain && iommu_is_dma_domain(group->default_domain))
		given_back = iommu_kdump_given_back(group->default_domain);

	seq_printf(s, "%5d  %-9s  %-8s  %8u  %10llu  %12llu  %10u  %10llu  %10llu  %6llu  %7llu  %7llu  %9llu  ",
		   group->id, state_names[kg->state], type_name(kg),
		   stats->ranges, stats->mapped / SZ_1K, stats->reserved / SZ_1K,
		   given_back, stats->new_tables / SZ_1K, stats->tables,
		   stats->bad, stats->refused, stats->clipped,
		   div_u64(stats->import_ns + stats->release_ns,
			   NSEC_PER_USEC));
	for_each_group_device(group, gdev) {
		seq_printf(s, "%s%s", sep, dev_name(gdev->dev));
		sep = ",";
	}
	seq_printf(s, "%s  %s\n", *sep ? "" : "-", kg->reason ?: "-");
}

/* The columns are described in Documentation/iommu/kdump-admin.rst */
VISIBLE_IF_KUNIT int iommu_kdump_status_show(struct seq_file *s, void *unused)
{
	struct iommu_group *group;
	int id = -1;

	seq_puts(s, "group  state      type        ranges  mapped_KiB  reserved_KiB  given_back  tables_KiB  old_tables     bad  refused  clipped    time_us  devices  reason\n");

	while ((group = iommu_kdump_next_group(&id))) {
		scoped_guard(mutex, &group->mutex)
			show_group(s, group);
		kobject_put(&group->kobj);
	}
	return 0;
}

DEFINE_SHOW_ATTRIBUTE(iommu_kdump_status);

/**
 * iommu_kdump_status_init() - Create iommu/kdump in debugfs
 *
 * In crash kernels only.
 */
void __init iommu_kdump_status_init(void)
{
#ifdef CONFIG_IOMMU_DEBUGFS
	struct dentry *dir = iommu_debugfs_dir;
#else
	struct dentry *dir = debugfs_create_dir("iommu", NULL);
#endif

	debugfs_create_file("kdump", 0400, dir, NULL, &iommu_kdump_status_fops);
}
