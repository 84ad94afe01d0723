#!/bin/sh
# Does the oneDNN backend compile against the headers in this folder? (v3's; v2's do too.)
#   tests/backend/check_onednn_v3.sh INCLUDE_DIR
# Exit code 77: no headers there, nothing checked.
root=$(cd "$(dirname "$0")/../.." && pwd)
include=${1:-}
if [ -z "$include" ] || [ ! -f "$include/dnnl.h" ]; then
    echo "no dnnl.h in \"$include\": oneDNN v3 not checked (PyPI's onednn-devel carries the headers)"
    exit 77
fi
version=$(sed -n 's/^#define DNNL_VERSION_M[AI][JN]OR *//p' "$include/oneapi/dnnl/dnnl_version.h" 2>/dev/null | paste -sd .)
for source in "$root"/src/backend/onednn/*.c; do
    ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -DGRD_HAVE_ONEDNN=1 \
        -I"$root/src" -I"$root/include" -isystem "$include" "$source" || exit 1
done
echo "the oneDNN backend compiles against oneDNN ${version:-of unknown version}"
