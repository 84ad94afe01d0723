#!/bin/sh
# Installs a build into a temporary prefix and builds and runs an example against it in three ways: pkg-config shared, pkg-config
# static, and find_package with both targets.
#   tests/build/check_install.sh BUILD_DIR
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
pc=$(find "$prefix" -name gradus.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
version=$(sed -n 's/^#define GRD_VERSION "\(.*\)"/\1/p' "$root/include/gradus/base.h")

cp "$root/examples/own_op.c" "$work/program.c" # away from the source tree: no header of it can be seen
cd "$work"
[ "$(pkg-config --modversion gradus)" = "$version" ]
${CC:-cc} -std=c11 program.c $(pkg-config --cflags --libs gradus) -lm -o with_shared
LD_LIBRARY_PATH=$libdir ./with_shared
readelf -d with_shared | grep -q 'libgradus\.so\.' || { echo "with_shared does not use the shared library"; exit 1; }

flags=$(pkg-config --static --cflags --libs gradus | sed 's/-lgradus/-l:libgradus.a/')
${CC:-cc} -std=c11 program.c $flags -o with_static
./with_static
if readelf -d with_static | grep -q 'libgradus'; then echo "with_static uses the shared library"; exit 1; fi

cat >CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.16)
project(user LANGUAGES C)
find_package(gradus ${version%.*} REQUIRED COMPONENTS static)
add_executable(a program.c)
target_link_libraries(a gradus::gradus m)
add_executable(b program.c)
target_link_libraries(b gradus::gradus_static)
END
cmake -S . -B user -DCMAKE_PREFIX_PATH="$prefix" >cmake.log 2>&1 && cmake --build user >>cmake.log 2>&1 || { cat cmake.log; exit 1; }
user/a
user/b

"$prefix/bin/gradus" version
[ -f "$prefix/share/gradus/recipes/autoencoder-transfer.yaml" ]
echo "installed headers, libraries, command and recipes work"
