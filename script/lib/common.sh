# shellcheck shell=bash
# What every script of the checkout shares: paths, messages, versions. Source it, do not run it:
#   source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/common.sh"

# CDPATH would make `cd` print and go elsewhere.
unset CDPATH

CONVOCATE_ROOT="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd -P)"
CONVOCATE_CACHE_DIR="${CONVOCATE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/convocate}"
# What belongs to this checkout alone, and is ignored by git.
CONVOCATE_LOCAL_DIR="$CONVOCATE_ROOT/.convocate"
# shellcheck disable=SC2034 # read by the scripts that source this
readonly CONVOCATE_ROOT CONVOCATE_CACHE_DIR CONVOCATE_LOCAL_DIR

# Messages go to stderr, so that stdout stays what a script was asked for.
say() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# version_at_least HAVE WANTED: true when HAVE is WANTED or newer; an empty HAVE is not.
version_at_least() {
  [[ -n "$1" ]] && [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]
}

# Runs a command as root: directly, or with sudo.
as_root() {
  if [[ "$(id -u)" == 0 ]]; then
    "$@"
  elif have sudo; then
    sudo -- "$@"
  else
    die "this needs root and there is no sudo: run as root: $*"
  fi
}

# apt_install PACKAGE...: what they recommend is left out; another apt at work is waited for. Silent unless it fails.
apt_install() {
  local log status=0
  log="$(mktemp)"
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@" >"$log" 2>&1 || status=$?
  ((status == 0)) || tail -n 20 "$log" | sed 's/^/    /' >&2
  rm -f "$log"
  return "$status"
}

# The Node that the project runs on (24, from its own devDependencies); empty before bootstrap.
project_node() {
  local node="$CONVOCATE_ROOT/node_modules/.bin/node"
  [[ -x "$node" ]] && printf '%s\n' "$node"
  return 0
}

# The release: git describe --tags in semver form, or the package's version with the commit where no tag is near.
release() {
  local described version commit
  described="$(git -C "$CONVOCATE_ROOT" describe --tags --match 'v[0-9]*' 2>/dev/null)" || described=
  if [[ -n "$described" ]]; then
    printf '%s\n' "${described#v}"
    return 0
  fi
  version="$(grep -m 1 -o '"version": *"[^"]*"' "$CONVOCATE_ROOT/package.json" | head -n 1 | cut -d '"' -f 4)"
  commit="$(git -C "$CONVOCATE_ROOT" rev-parse --short=8 HEAD 2>/dev/null)" || commit=
  printf '%s\n' "$version${commit:+-g$commit}"
}

# True when dist/ is missing, of another release (a tag changes no file), or older than what it is made of.
build_is_stale() {
  local stamp="$CONVOCATE_ROOT/dist/release"
  [[ -e "$stamp" && "$(<"$stamp")" == "$(release)" ]] || return 0
  local newer
  newer="$(cd "$CONVOCATE_ROOT" && find cli infra runtime test/support image script/build.mjs package.json package-lock.json tsconfig.json \
    -newer "$stamp" -type f ! -name '*.test.ts' ! -name '*.yaml' ! -name '*.md' -print -quit 2>/dev/null)" || true
  [[ -n "$newer" ]]
}

# Builds dist/ when it is stale. Two scripts of one checkout may ask at once: the second waits, then finds it done.
build_if_stale() {
  build_is_stale || return 0
  mkdir -p "$CONVOCATE_LOCAL_DIR"
  local lock
  exec {lock}>"$CONVOCATE_LOCAL_DIR/build.lock"
  flock -w 300 "$lock" || die "another build of this checkout has run for 5 minutes: see who holds $CONVOCATE_LOCAL_DIR/build.lock"
  if build_is_stale; then
    # The lock's descriptor is closed for the child, or a background process of the build would hold it on.
    (cd "$CONVOCATE_ROOT" && PATH="$CONVOCATE_ROOT/node_modules/.bin:$PATH" npm run --silent build {lock}>&- >&2) ||
      die "the build failed (see above); run 'npm run build' in $CONVOCATE_ROOT"
  fi
  exec {lock}>&-
}
