# SPDX-License-Identifier: Apache-2.0
# The thin front: each target is one command a person would otherwise have to remember.
BUILD ?= build

.PHONY: all deps demo demo-disk check bench packages fmt clean
all: $(BUILD)/build.ninja
	ninja -C $(BUILD)
	BUILD=$(BUILD) tools/web
$(BUILD)/build.ninja:
	meson setup $(BUILD) --buildtype=release -Db_ndebug=false
deps:
	tools/deps
demo: all
	BUILD=$(BUILD) tools/demo
demo-disk: all
	BUILD=$(BUILD) tools/demo-disk
check:
	BUILD=$(BUILD) tools/check/run
bench: all
	tools/deps bench
	BUILD=$(BUILD) tests/bench/run
packages: all
	tools/deps package
	BUILD=$(BUILD) packaging/build
fmt:
	git ls-files '*.c' '*.h' | xargs clang-format -i
clean:
	rm -rf build build-*
