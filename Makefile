# SPDX-License-Identifier: GPL-2.0-only
#
# One target per line of 'make help'. Every target that writes below out/ runs
# under a lock, so that two runs side by side wait for each other.

# The kernel that the series is made for, and the Debian suite that has it.
export KERNEL := 7.3
export SUITE  := trixie-backports

# Where the output goes, where downloads are kept.
export OUT   := $(CURDIR)/out
export CACHE ?= $(OUT)/cache

export LINUX LINUX_TARBALL FORCE PATCH FILES
export N SEED CYCLE MINUTES MUTANTS FILTER

# The kernels that the rig needs for these IOMMUs (IOMMU=vtd,riscv), or for those of x86.
comma := ,
iommus = $(subst $(comma), ,$(IOMMU))
rig_kernels = $(if $(filter riscv,$(iommus)),kernel-riscv kernel-mainline-riscv) \
	      $(if $(filter smmuv3,$(iommus)),kernel-arm kernel-mainline-arm) \
	      $(if $(filter-out riscv smmuv3,$(or $(iommus),vtd)),kernel kernel-mainline)

# For the rig: how often, everything, one IOMMU, the kernels that crash.
rig_options = $(if $(RUNS),--runs $(RUNS)) $(if $(ALL),--all) $(if $(IOMMU),--iommu $(IOMMU)) \
	      $(if $(FIRST),--first $(FIRST))
minutes = $(if $(MINUTES),--minutes $(MINUTES))
export PYTHONDONTWRITEBYTECODE := 1

RIG := scripts/rig.sh
KDUMP := tools/testing/selftests/iommu/kdump

.DEFAULT_GOAL := help
.NOTPARALLEL:

LOCKED := setup tree pull status kernel kernel-mainline kernel-riscv kernel-mainline-riscv kernel-arm kernel-mainline-arm kernel-arm-64k kernel-kunit kernel-kunit-arm kernel-dump kernels-dump kernel-debian debian-config kernels-off demo \
	  compare stock deb debug-boots allocations pages check corrupt soak dumps small debian-dump check-tools kunit-arm kunit-um mutate mutate-all fuzz coverage bench \
	  series lint matrix bisect-check regress bases clean
# The KUnit tests come with a script of their own.
LOCKED += $(patsubst scripts/%.sh,%,$(wildcard scripts/kunit.sh))
.PHONY: help apply unapply kunit $(LOCKED)

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## ./ { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  LINUX=dir, LINUX_TARBALL=file    "make tree" takes its kernel source from there'
	@echo '  FILTER="glob ..."                "make kunit" runs only these tests'
	@echo '  PATCH=name [FILES="file ..."]    "make pull" puts edits into this patch'
	@echo '  FORCE=1                          go on where a target has refused to'

ifndef KDUMP_LOCKED

$(LOCKED):
	@scripts/with-lock.sh $(MAKE) --no-print-directory KDUMP_LOCKED=1 $@

else

setup: ## install the Debian packages that are missing
	@scripts/setup.sh base

tree: ## fetch Linux, lay the new files in, apply the series: out/linux
	@scripts/base.sh
	@scripts/tree.py tree

pull: ## bring the edits made in out/linux back into the repository
	@scripts/tree.py pull

status: ## list the edits made in out/linux
	@scripts/tree.py status

# Builds and runs take out/linux as it is when it has edits that are not pulled.
.PHONY: tree-keep
tree-keep: setup
	@scripts/base.sh
	@scripts/tree.py tree --keep

kernel: tree-keep ## build the framework kernel: out/build/framework
	@scripts/kernel.sh framework

kernel-mainline: tree-keep ## build the unmodified kernel: out/build/mainline
	@scripts/kernel.sh mainline

# By a cross compiler. The unmodified one is not quite that: see base-riscv.sh.
kernel-riscv: tree-keep
	@scripts/setup.sh base riscv
	@scripts/kernel.sh framework-riscv

kernel-mainline-riscv: tree-keep
	@scripts/setup.sh base riscv
	@scripts/base-riscv.sh
	@scripts/kernel.sh mainline-riscv

kernel-arm: tree-keep
	@scripts/setup.sh base arm
	@scripts/kernel.sh framework-arm

kernel-mainline-arm: tree-keep
	@scripts/setup.sh base arm
	@scripts/kernel.sh mainline-arm

# The rig's, with the tests of KUnit.
kernel-kunit: kernel
	@scripts/kernel.sh framework-kunit

kernel-kunit-arm: kernel-arm
	@scripts/kernel.sh framework-kunit-arm

demo: $(rig_kernels) ## crash with DMA in flight, with and without: a table, a picture; RUNS=, ALL=1, IOMMU=riscv,smmuv3
	@$(RIG) demo $(rig_options) $(minutes)

compare: $(rig_kernels) ## all scenarios in all modes, side by side; RUNS=, IOMMU=vtd,riscv, FIRST=; goes on where it was ended (MINUTES=)
	@$(RIG) compare $(filter-out --all,$(rig_options)) $(minutes)

stock: kernel ## crash Debian's own kernels, unmodified, into ours: a table; FIRST=stock-6.12
	@$(RIG) demo --mode all $(if $(FIRST),,--first all) $(rig_options)

corrupt: $(rig_kernels) ## corrupt the tables of a crashed kernel: one table; SEED=, IOMMU=
	@$(RIG) corrupt $(if $(SEED),--seed $(SEED)) $(if $(IOMMU),--iommu $(IOMMU))

soak: $(filter-out kernel-mainline%,$(rig_kernels)) ## N=200 crash cycles by chance; SEED= goes on, CYCLE= repeats one; IOMMU=, MINUTES=
	@$(RIG) soak --cycles $(or $(N),200) $(if $(SEED),--seed $(SEED)) $(if $(CYCLE),--cycle $(CYCLE)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(IOMMU),--iommu $(IOMMU))

kernel-arm-64k: tree-keep
	@scripts/setup.sh base arm
	@scripts/kernel.sh framework-arm-64k

# What is different with other pages: how tables are read and written, and what fits into a page.
pages: kernel-arm kernel-arm-64k ## Arm, pages of 4 and of 64 KiB: each crashes into the other, and 64 into 64
	@status=0; \
	for pair in arm-64k:arm arm:arm-64k arm-64k:arm-64k; do \
		$(KDUMP)/kdump_rig.py demo --framework $(OUT)/build/framework-$${pair#*:} --out $(OUT) \
			--first $(OUT)/build/framework-$${pair%:*} $(rig_options) \
			--iommu smmuv3 --only $(or $(ONLY),hda$(comma)functions$(comma)driverless$(comma)groups$(comma)disk$(comma)release) || status=1; \
	done; exit $$status

# Kernels that look for their own defects: KASAN, UBSAN, lockdep and others. Nothing beside,
# because no unmodified kernel is judged by what it says.
.PHONY: kernel-debug kernel-debug-riscv kernel-debug-arm
kernel-debug: tree-keep
	@scripts/kernel.sh framework-debug

kernel-debug-riscv: tree-keep
	@scripts/setup.sh base riscv
	@scripts/kernel.sh framework-debug-riscv

kernel-debug-arm: tree-keep
	@scripts/setup.sh base arm
	@scripts/kernel.sh framework-debug-arm

debug-boots: $(if $(filter riscv,$(iommus)),kernel-debug-riscv) $(if $(filter smmuv3,$(iommus)),kernel-debug-arm) \
	     $(if $(filter-out riscv smmuv3,$(or $(iommus),vtd)),kernel-debug) ## crashes of kernels with KASAN, UBSAN, lockdep, ...: no complaint; IOMMU=, ONLY=
	@$(RIG) debug-boots $(rig_options) $(if $(ONLY),--only $(ONLY))

allocations: $(filter-out kernel-mainline%,$(rig_kernels)) ## each allocation of the framework fails once, in a crash of its own; IOMMU=
	@$(RIG) allocations $(rig_options)

deb: tree-keep ## a Debian package: a small crash kernel for any production kernel
	@scripts/setup.sh base deb
	@scripts/kernel.sh package
	@scripts/deb.sh

# With debug information.
kernel-dump: tree-keep
	@scripts/kernel.sh framework-dump

kernels-dump: kernel-dump
	@scripts/kernel.sh mainline-dump

dumps: kernels-dump ## kexec, makedumpfile and crash: to disks and through the network
	@scripts/setup.sh base dumps
	@$(RIG) dumps

small: kernel kernel-mainline ## small crash kernels: how much mapped memory each carries
	@$(RIG) small

debian-dump: kernel-dump deb ## installed Debians crash, save their dumps, and boot again
	@scripts/setup.sh base dumps
	@$(RIG) debian --package $(OUT)/linux-image-*-kdump_*.deb

# Debian's own configuration with the drivers that the scenarios load.
kernel-debian: tree-keep
	@$(KDUMP)/fetch_kernel.sh $(OUT) $(KERNEL) >/dev/null
	@scripts/kernel.sh framework-debian

debian-config: kernel-debian ## Debian's own configuration as crash kernel, on both IOMMUs (a long build)
	@$(KDUMP)/kdump_rig.py demo --framework $(OUT)/build/framework-debian --out $(OUT) \
		--first stock-$(KERNEL) --only hda,e1000e,disk $(rig_options)

check-tools: setup ## test the repository's own tools (seconds)
	@scripts/test-tree.py

kunit: tree-keep ## run the KUnit tests
	@scripts/kunit.sh

kunit-arm: tree-keep ## those of the SMMUv3's driver, which is built on Arm only
	@scripts/setup.sh base arm
	@$(KDUMP)/fetch_qemu.sh $(OUT) arm >/dev/null
	@KUNIT_ARCH=arm64 scripts/kunit.sh

kunit-um: tree-keep ## those that need no driver, on User Mode Linux: half a minute with FILTER="*_kdump*"
	@KUNIT_ARCH=um scripts/kunit.sh

mutate: tree-keep ## break the code on purpose, one line at a time: MUTANTS=pattern
	@scripts/mutate.sh

mutate-all: tree-keep ## break every condition, bound and call; goes on where it was ended: MINUTES=
	@scripts/setup.sh base arm
	@$(KDUMP)/fetch_qemu.sh $(OUT) arm >/dev/null
	@scripts/mutate-all.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(N),--number $(N))

coverage: tree-keep ## which branches of the core and the walkers the tests take: out/coverage.txt
	@scripts/coverage.py $(if $(N),--number $(N))

fuzz: tree-keep ## corrupted tables: N=100000000; goes on where it was ended (MINUTES=), SEED=n to repeat
	@scripts/fuzz.py $(if $(N),--number $(N)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(EMULATED),--emulated $(EMULATED))

.PHONY: kernels-off
kernels-off: tree-keep
	@scripts/kernel.sh framework-off
	@scripts/kernel.sh mainline-off

# Only what is asked for: the parts kunit and riscv have kernels of their own.
bench_kernels := $(if $(if $(PARTS),$(filter-out kunit riscv,$(subst $(comma), ,$(PARTS))),all),kernel kernel-mainline kernels-off)
bench_kernels += $(if $(filter riscv,$(subst $(comma), ,$(PARTS))),kernel-riscv kernel-mainline-riscv)

bench: tree-keep $(bench_kernels) ## what it costs: a table, out/bench.json, a picture; PARTS=, PAIRS=
	@scripts/bench.sh

check: setup ## run every test there is
	@scripts/check.sh

series: tree-keep ## write out/series, the patches to mail: git am applies them
	@scripts/series.py

lint: tree-keep ## checkpatch, sparse, W=1, coccicheck, kernel-doc, htmldocs, ...
	@scripts/setup.sh base lint
	@CONFIGURE_ONLY=1 scripts/kernel.sh framework
	@CONFIGURE_ONLY=1 scripts/kernel.sh mainline
	@scripts/lint.sh

matrix: tree-keep ## build every configuration of scripts/matrix with W=1 (ROWS="glob ...")
	@scripts/setup.sh base matrix
	@scripts/matrix.sh

bisect-check: series ## git am the series, build and test each step (BISECT_FROM=N)
	@scripts/bisect.sh

regress: tree-keep ## the kernel's own IOMMU tests on both kernels: they must end alike
	@scripts/setup.sh base regress
	@scripts/regress.sh

bases: tree-keep ## try "make apply" on every kernel source that Debian offers
	@scripts/bases.sh

clean: ## remove what was built; the trees and out/cache stay
	@rm -rf $(OUT)/build $(OUT)/linux/.build* $(OUT)/base/.build* $(OUT)/linux/.lint $(OUT)/base/.lint \
		$(OUT)/base-riscv $(OUT)/state/base-riscv.id $(OUT)/bisect $(OUT)/regress $(OUT)/bases $(OUT)/mutate $(OUT)/mutate-all $(OUT)/fuzz

endif

apply: ## put the framework into your own kernel: make apply LINUX=~/linux
	@scripts/tree.py apply

unapply: ## take it out again: make unapply LINUX=~/linux
	@scripts/tree.py unapply

