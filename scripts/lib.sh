# Sourced by the scripts beside it: puts on a fresh Debian or Ubuntu machine what they need, and nothing else.
#
# Every need_… function looks first, and says and does nothing when nothing is missing. None of them reads standard
# input or wants a terminal. Uses root, or sudo where it must.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
cd "$root" || exit

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# --- system packages ---------------------------------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root (there is no sudo): $*"
  fi
}

apt_lists_are_fresh=

apt_get() {
  have apt-get || die "only Debian and Ubuntu are set up by themselves; install by hand: $*"
  if [ -z "$apt_lists_are_fresh" ]; then
    say "apt-get update"
    as_root apt-get update -q </dev/null >/dev/null || say "apt-get update failed; trying with the lists that are here"
    apt_lists_are_fresh=yes
  fi
  say "apt-get install $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >/dev/null
}

# need_commands COMMAND=PACKAGE…: installs the packages whose command is missing, in one go.
need_commands() {
  local pair missing=()
  for pair in "$@"; do
    have "${pair%%=*}" || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} = 0 ] || apt_get "${missing[@]}"
}

# What compiles mogr: a C toolchain; cmake and nasm for the JPEG codec; meson, ninja and perl for AVIF's.
need_build_tools() {
  need_commands gcc=gcc g++=g++ make=make cmake=cmake nasm=nasm pkg-config=pkg-config curl=curl git=git \
    meson=meson ninja=ninja-build perl=perl
  [ -e /etc/ssl/certs/ca-certificates.crt ] || apt_get ca-certificates
}

# What the tests of sound and film run; the server works without it.
need_ffmpeg() {
  need_commands ffmpeg=ffmpeg ffprobe=ffmpeg
}

# --- Rust --------------------------------------------------------------------------------------------------------

# rust_is_new_enough: is there a cargo, at least the rust-version of Cargo.toml?
rust_is_new_enough() {
  have cargo && have rustc || return 1
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1)" = "$wanted" ]
}

install_rustup() {
  local installer
  installer=$(mktemp)
  if curl --proto '=https' --tlsv1.2 -sSf --max-time 60 https://sh.rustup.rs -o "$installer"; then
    sh "$installer" -y -q --no-modify-path --default-toolchain stable --profile minimal </dev/null
  else
    apt_get rustup || die "rustup cannot be had here; install Rust by hand, then run this again"
  fi
  rm -f "$installer"
}

need_rust() {
  export PATH="$CARGO_HOME/bin:$PATH"
  rust_is_new_enough && return
  if ! have rustup; then
    say "installing Rust with rustup"
    install_rustup
    hash -r
  fi
  say "rustup toolchain install stable"
  rustup toolchain install stable --profile minimal --component rustfmt --component clippy </dev/null
  export RUSTUP_TOOLCHAIN=stable
  rust_is_new_enough || die "Rust $(rustc --version 2>/dev/null) is older than the rust-version of Cargo.toml"
}

need_rust_components() {
  local missing=()
  cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
  cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)
  [ ${#missing[@]} = 0 ] || rustup component add "${missing[@]}" </dev/null
}

# need_cargo_tool NAME VERSION: a cargo subcommand, compiled once for the user.
need_cargo_tool() {
  have "$1" && return
  say "cargo install $1 $2 (once; takes some minutes)"
  # Its objects are not ours: they go to a folder that is dropped, and ours stay as they are.
  env -u CARGO_TARGET_DIR cargo install --quiet --locked "$1" --version "$2" </dev/null
}

# --- clients for the tests ---------------------------------------------------------------------------------------

clients=$CARGO_TARGET_DIR/clients

# same_as STAMP TEXT: was this step done before, with the same text?
same_as() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# A venv with what tests/client/requirements.txt names.
need_python_clients() {
  need_commands python3=python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_get python3-venv
  local wanted stamp=$clients/venv/requirements.stamp
  wanted=$(cat tests/client/requirements.txt)
  same_as "$stamp" "$wanted" && return
  say "pip install -r tests/client/requirements.txt"
  python3 -m venv --clear "$clients/venv" </dev/null
  "$clients/venv/bin/pip" install -q --disable-pip-version-check -r tests/client/requirements.txt </dev/null
  printf '%s' "$wanted" >"$stamp"
}

# need_npm_client PACKAGE@VERSION: under target/clients/npm.
need_npm_client() {
  need_commands node=nodejs npm=npm
  local stamp=$clients/npm/${1%@*}.stamp
  same_as "$stamp" "$1" && return
  say "npm install $1"
  mkdir -p "$clients/npm"
  npm install --silent --no-audit --no-fund --no-package-lock --prefix "$clients/npm" "$1" </dev/null
  printf '%s' "$1" >"$stamp"
}

# What the validator of IIIF tells files apart by.
need_libmagic() {
  /sbin/ldconfig -p | grep -q 'libmagic\.so\.1' || apt_get libmagic1
}

# A browser that runs, by its path in $chromium. Ubuntu's chromium packages are only pointers to a snap, which does
# not run in a container: that one is found out by running it.
find_chromium() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    chromium=$(command -v "$name") || continue
    timeout 20 "$chromium" --version </dev/null >/dev/null 2>&1 && return
  done
  chromium=
  return 1
}

need_rabbitmq() {
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || apt_get rabbitmq-server
}

need_chromium() {
  find_chromium && return
  apt_get chromium || apt_get chromium-browser || true
  find_chromium
}

# --- a database for the tests ------------------------------------------------------------------------------------

# find_postgres: the folder of PostgreSQL's programs in $postgres_bin. Debian keeps them off the PATH.
find_postgres() {
  local folder
  for folder in "$(dirname "$(command -v initdb)" 2>/dev/null)" /usr/lib/postgresql/*/bin; do
    postgres_bin=$folder
    [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && [ -x "$folder/pg_ctl" ] && return
  done
  postgres_bin=
  return 1
}

# as_postgres COMMAND…: PostgreSQL's programs refuse to run as root.
as_postgres() {
  if [ "$(id -u)" != 0 ]; then
    "$@"
  elif id postgres >/dev/null 2>&1; then
    runuser -u postgres -- "$@"
  else
    runuser -u nobody -- "$@"
  fi
}

postgres_folder=

# need_postgres: a server of this run alone, by its URL in $TEST_POSTGRES_URL, on a socket in a temporary folder;
# stop_postgres ends it. A server that $TEST_POSTGRES_URL already names is taken as it is. Fails where there is none.
need_postgres() {
  [ -z "${TEST_POSTGRES_URL:-}" ] || return 0
  find_postgres || (apt_get postgresql) || true
  find_postgres || return 1
  # Not in $TMPDIR: the path of a socket has at most 107 bytes.
  postgres_folder=$(mktemp -d /tmp/mogr-postgres.XXXXXX) || return 1
  if [ "$(id -u)" = 0 ]; then
    chown "$(as_postgres id -u)" "$postgres_folder" || return 1
  fi
  local log=$postgres_folder/log
  if ! start_postgres </dev/null >"$log.start" 2>&1; then
    cat "$log.start" "$log" >&2
    return 1
  fi
  export TEST_POSTGRES_URL="postgres://mogr@localhost/postgres?host=$postgres_folder"
}

start_postgres() {
  (
    cd "$postgres_folder" &&
      as_postgres "$postgres_bin/initdb" -D data -U mogr -A trust -E UTF8 --locale=C &&
      as_postgres "$postgres_bin/pg_ctl" -D data -l log -w -t 60 -o "-c fsync=off -c listen_addresses='' -k $postgres_folder" start
  )
}

stop_postgres() {
  [ -n "$postgres_folder" ] || return 0
  (cd "$postgres_folder" && as_postgres "$postgres_bin/pg_ctl" -D data -m immediate stop) >/dev/null 2>&1 || true
  rm -rf "$postgres_folder"
  postgres_folder=
}
