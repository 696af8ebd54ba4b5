// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_owner DEVICE SECONDS: own a device (/dev/vfio/devices/vfio0) as a program in
 * userspace that manages its DMA would, with a page mapped, and give it back.
 *
 * The few definitions of linux/vfio.h and linux/iommufd.h that it takes are here,
 * because the headers of the machine that compiles this may be older.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	4096
#define IOVA	0x100000

struct bind_iommufd {
	__u32 argsz, flags;
	__s32 iommufd;
	__u32 out_devid;
};

struct attach_pt {
	__u32 argsz, flags, pt_id;
};

struct ioas_alloc {
	__u32 size, flags, out_ioas_id;
};

struct ioas_map {
	__u32 size, flags, ioas_id, reserved;
	__u64 user_va, length, iova;
};

#define DEVICE_BIND_IOMMUFD	_IO(';', 118)
#define DEVICE_ATTACH_PT	_IO(';', 119)
#define IOAS_ALLOC		_IO(';', 0x81)
#define IOAS_MAP		_IO(';', 0x85)
#define MAP_FIXED_IOVA		0x1
#define MAP_WRITEABLE		0x2
#define MAP_READABLE		0x4

static int fail(const char *what)
{
	printf("rig: error: vfio_owner: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct bind_iommufd bind = { .argsz = sizeof(bind) };
	struct ioas_alloc ioas = { .size = sizeof(ioas) };
	struct attach_pt attach = { .argsz = sizeof(attach) };
	struct ioas_map map = {
		.size = sizeof(map),
		.flags = MAP_FIXED_IOVA | MAP_WRITEABLE | MAP_READABLE,
		.length = PAGE,
		.iova = IOVA,
	};
	int device, iommufd;
	void *page;

	if (argc != 3) {
		fprintf(stderr, "usage: vfio_owner DEVICE SECONDS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (page == MAP_FAILED)
		return fail("no memory");
	iommufd = open("/dev/iommu", O_RDWR);
	if (iommufd < 0)
		return fail("/dev/iommu");
	device = open(argv[1], O_RDWR);
	if (device < 0)
		return fail(argv[1]);

	bind.iommufd = iommufd;
	if (ioctl(device, DEVICE_BIND_IOMMUFD, &bind))
		return fail("BIND_IOMMUFD");
	if (ioctl(iommufd, IOAS_ALLOC, &ioas))
		return fail("IOAS_ALLOC");
	attach.pt_id = ioas.out_ioas_id;
	if (ioctl(device, DEVICE_ATTACH_PT, &attach))
		return fail("ATTACH_IOMMUFD_PT");
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (unsigned long)page;
	if (ioctl(iommufd, IOAS_MAP, &map))
		return fail("IOAS_MAP");

	printf("rig: vfio owns %s\n", argv[1]);
	sleep(atoi(argv[2]));
	close(device);
	close(iommufd);
	printf("rig: vfio has given %s back\n", argv[1]);
	return 0;
}
