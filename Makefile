# Thin: all knowledge is in CMakeLists.txt. `make` builds, `make demo` runs the main job, `make check` runs the tests.
BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE_FLAGS ?=

all: $(BUILD)/CMakeCache.txt
	@cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/CMakeCache.txt: packages.txt
	@tools/setup.sh
	@cmake -S . -B $(BUILD) $(CMAKE_FLAGS)

# Pretrains an autoencoder on Fashion-MNIST, then a classifier on 100 labels, against scratch and linear.
demo: all
	@$(BUILD)/gradus train recipes/autoencoder-transfer.yaml $(ARGS)

check: all
	@cmake --build $(BUILD) -j $(JOBS) --target tests
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

install: all
	@cmake --install $(BUILD)

clean:
	rm -rf $(BUILD)

.PHONY: all demo check install clean
