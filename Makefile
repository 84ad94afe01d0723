# Thin: what is built and how stands in CMakeLists.txt.
#
#   make           build/gradus and build/libgradus.*
#   make demo      the main job on Fashion-MNIST
#   make check     all tests
#   make bench     times the workloads of bench/ beside PyTorch, writes docs/performance.md; ARGS="--workloads cnn --pairs 3"
#   make bench-ops GFLOP/s and GB/s of single ops by every backend, beside the machine's peaks; ARGS="--op conv2d --threads 2"
#   make install   into PREFIX (/usr/local)
#   make help      the rest
#
# Variables: BUILD=folder  CMAKE_FLAGS="-DGRADUS_ONEDNN=OFF"  ARGS="run.seed=2" (of demo)  SETUP=no (do not look at packages)

BUILD = build
CMAKE_FLAGS =
ARGS =
SETUP = yes
MAKEFLAGS += --no-print-directory
JOBS := $(shell nproc 2>/dev/null || echo 2)

# The second compiler and the sanitizers have build folders of their own. Assertions are on there.
SAN = -DGRADUS_WERROR=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo '-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g1'

all: check-packages configure
	@cmake --build $(BUILD) -j $(JOBS)

demo: packages configure
	@cmake --build $(BUILD) -j $(JOBS)
	$(BUILD)/gradus train recipes/autoencoder-transfer.yaml $(ARGS)

check: packages configure
	@cmake --build $(BUILD) -j $(JOBS) --target all tests
	@cd $(BUILD) && ctest --output-on-failure --no-tests=error -j $(JOBS)

# With clang; CI's flags.
check-clang:
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)-clang \
	    CMAKE_FLAGS="-DCMAKE_C_COMPILER=clang -DGRADUS_WERROR=ON $(CMAKE_FLAGS)"

# All tests under AddressSanitizer and UndefinedBehaviorSanitizer.
check-asan: packages
	@cmake -S . -B $(BUILD)-asan -DGRADUS_SANITIZE=address $(SAN) $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD)-asan -j $(JOBS) --target gradus tests
	@cd $(BUILD)-asan && ctest --output-on-failure --no-tests=error -j $(JOBS)

# The tests of data under ThreadSanitizer; the OpenMP runtime is not instrumented, so none that runs
# kernels in threads, and none that has no threads and takes long.
check-tsan: packages
	@cmake -S . -B $(BUILD)-tsan -DGRADUS_SANITIZE=thread $(SAN) $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD)-tsan -j $(JOBS) --target tests_data
	@cd $(BUILD)-tsan && ctest --output-on-failure --no-tests=error -j $(JOBS) -R '^data/' -E '^data/(inspect.*|transform_rows|.*_fuzz)$$'

# Without oneDNN: our own kernels run everything.
check-plain: packages
	@cmake -S . -B $(BUILD)-plain -DGRADUS_ONEDNN=OFF $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD)-plain -j $(JOBS) --target gradus tests_ops tests_plan tests_backend
	@cd $(BUILD)-plain && ctest --output-on-failure --no-tests=error -j $(JOBS) -R '^(ops|plan|backend)/'

# The kernels for AVX-512, without oneDNN, on a machine that has AVX2 only: compiled for that.
check-wide: packages
	@cmake -S . -B $(BUILD)-wide -DGRADUS_AVX512_BY_AVX2=ON -DGRADUS_ONEDNN=OFF $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD)-wide -j $(JOBS) --target tests_ops tests_backend
	@cd $(BUILD)-wide && ctest --output-on-failure --no-tests=error -j $(JOBS) -R '^(ops/backends|backend/)'

# Faults planted in all of MNIST are found (a minute; `make check` takes a part of it).
check-suspects: packages configure
	@cmake --build $(BUILD) -j $(JOBS) --target gradus cli_test_data_check
	@cd $(BUILD) && GRADUS_FULL=1 ctest --verbose --no-tests=error -R '^cli/data_check$$'

# libFuzzer (clang) on all that reads files from outside, each target RUNS runs or TIME seconds: TARGETS="csv tar" TIME=60
RUNS = 1000000
TIME = 600
fuzz: packages
	@cmake -S . -B $(BUILD)-fuzz -DCMAKE_C_COMPILER=clang -DGRADUS_SANITIZE=fuzzer $(SAN) \
	    '-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g -Wno-pass-failed' $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD)-fuzz -j $(JOBS) --target fuzzers
	@tools/fuzz.sh $(BUILD)-fuzz $(RUNS) $(TIME) "$(TARGETS)" $(ARGS)

# PyTorch comes into a virtual environment: BENCH_VENV=folder, by default ~/.cache/gradus-bench.
bench: all
	@python3 bench/compare.py --gradus $(BUILD)/gradus $(ARGS)

# Single ops, forward and backward, beside the machine's peaks: ARGS="--op conv2d --threads 2".
bench-ops: configure
	@cmake --build $(BUILD) -j $(JOBS) --target bench_ops
	@$(BUILD)/bench/ops $(ARGS)

install: all
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	rm -rf $(BUILD) $(BUILD)-clang $(BUILD)-asan $(BUILD)-tsan $(BUILD)-plain $(BUILD)-wide $(BUILD)-fuzz

help:
	@sed -n '3,11s/^# *//p' Makefile
	@echo "make check-clang | check-asan | check-tsan | check-plain | check-wide | check-suspects | fuzz | clean"

# Installs what is missing; plain `make` only says what is missing.
packages:
	@if [ '$(SETUP)' = yes ]; then tools/setup.sh; fi

check-packages:
	@if [ '$(SETUP)' = yes ]; then tools/setup.sh --check; fi

# Runs each time, which costs a second: new source files and changed CMAKE_FLAGS are seen.
configure:
	@cmake -S . -B $(BUILD) $(CMAKE_FLAGS) >/dev/null

.NOTPARALLEL:
.PHONY: all demo bench bench-ops check check-clang check-asan check-tsan check-plain check-wide check-suspects fuzz install clean help packages check-packages configure
