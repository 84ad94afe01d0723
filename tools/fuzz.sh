#!/bin/sh
# Runs the libFuzzer programs of a build with -DGRADUS_SANITIZE=fuzzer, one after the other: each until it has made RUNS runs or
# TIME seconds are over, on valid files and on what earlier runs found worth keeping. What it finds lies in BUILD/fuzz/found.
#
#   tools/fuzz.sh BUILD RUNS TIME "NAME ..." [option of libFuzzer ...]     no names: all
set -eu
build=$1 runs=$2 time=$3 names=$4
shift 4
cd "$build"
mkdir -p fuzz/found fuzz/logs
tests/seeds fuzz/seeds
[ -n "$names" ] || names=$(ls tests/fuzz_* | sed 's,.*/fuzz_,,')
failed=0
for name in $names; do
    [ -x "tests/fuzz_$name" ] || { echo "fuzz: there is no target $name" >&2; exit 2; }
    mkdir -p "fuzz/corpus/$name"
    log=fuzz/logs/$name
    if "tests/fuzz_$name" -runs="$runs" -max_total_time="$time" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="fuzz/found/$name-" "$@" "fuzz/corpus/$name" "fuzz/seeds/$name" >"$log" 2>&1; then
        verdict="nothing found"
    else
        verdict="FAILED, see $build/$log"
        failed=1
    fi
    awk -v name="$name" -v verdict="$verdict" '/number_of_executed_units/ { n = $2 } /^Done/ { s = $5 } /peak_rss_mb/ { m = $2 }
        END { printf "%-10s %9d runs, %4s s, peak %d MB: %s\n", name, n, s == "" ? "?" : s, m, verdict }' "$log"
done
exit $failed
