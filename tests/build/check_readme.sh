#!/bin/sh
# What the documents say is so: README's C compiles, `gradus check` accepts its config, its verbs and make targets exist, and
# every file that a document names is there.
#   tests/build/check_readme.sh GRADUS CC
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
gradus=$1
cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "$*"; failed=1; }

# The first block of README.md in language $1.
block() { awk -v lang="$1" '/^```/ { if (inside) exit; inside = $0 == "```" lang; next } inside' "$root/README.md"; }

block c >"$work/readme.c"
grep -q 'int main' "$work/readme.c" || fail "README.md: no C program"
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -I"$root/include" "$work/readme.c" || fail "README.md: its C does not compile"

block yaml >"$work/fashion.yaml"
grep -q '^model:' "$work/fashion.yaml" || fail "README.md: no config"
if [ -d /usr/share/datasets/fashion-mnist ]; then
    "$gradus" check "$work/fashion.yaml" >"$work/check.log" 2>&1 || { cat "$work/check.log"; fail "README.md: gradus check refuses its config"; }
fi

for verb in $(sed -n 's/.*`gradus \([a-z]*\).*/\1/p' "$root/README.md" | sort -u); do
    [ "$verb" = help ] || "$gradus" help "$verb" >/dev/null 2>&1 || fail "README.md: gradus has no verb $verb"
done

for document in README.md CONTRIBUTING.md docs/architecture.md; do
    for target in $(grep -o 'make [a-z][a-z-]*\( check-[a-z]*\)*' "$root/$document" | sed 's/make //' | tr ' ' '\n' | grep -E '^(demo|check|install)' | sort -u); do
        grep -q "^$target:" "$root/Makefile" || fail "$document: make has no target $target"
    done
    # paths in backquotes or links; words in capitals (NAME) stand for any
    for path in $(grep -oE '[`(](src|cli|include|tests|examples|recipes|docs|bench|tools|cmake|\.ci)/[A-Za-z0-9_./-]*' "$root/$document" | sed 's/^.//' |
                  grep -v '[A-Z]' | sort -u); do
        [ -e "$root/$path" ] || fail "$document: there is no $path"
    done
done
exit $failed
