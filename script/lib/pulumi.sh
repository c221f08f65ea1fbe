# shellcheck shell=bash
# Where the Pulumi CLI is. Needs lib/common.sh.

# What bootstrap installs; the same as @pulumi/pulumi in package.json.
# shellcheck disable=SC2034 # read by the scripts that source this
readonly PULUMI_VERSION=3.259.0
# The oldest CLI on PATH that is taken instead.
readonly PULUMI_MIN_VERSION=3.249.0
# Complete or not there at all: it is put here by one rename.
readonly PULUMI_CACHED_DIR="$CONVOCATE_CACHE_DIR/pulumi/$PULUMI_VERSION"

# pulumi_version BIN: "3.259.0"; empty when BIN does not run.
pulumi_version() {
  local version
  version="$(PULUMI_SKIP_UPDATE_CHECK=true "$1" version 2>/dev/null)" || return 0
  printf '%s\n' "${version#v}"
}

# The Pulumi on PATH when it is recent enough and has its Node language host; else nothing.
pulumi_on_path() {
  local bin version
  bin="$(type -P pulumi)" || return 0
  [[ -x "$(dirname "$(readlink -f "$bin")")/pulumi-language-nodejs" ]] || have pulumi-language-nodejs || return 0
  version="$(pulumi_version "$bin")"
  [[ "$version" == 3.* ]] && version_at_least "$version" "$PULUMI_MIN_VERSION" && printf '%s\n' "$bin"
  return 0
}

pulumi_is_cached() {
  [[ -x "$PULUMI_CACHED_DIR/bin/pulumi" && -x "$PULUMI_CACHED_DIR/bin/pulumi-language-nodejs" ]]
}

# The pulumi to run: the one on PATH, else the cached one, else nothing.
find_pulumi() {
  local bin
  bin="$(pulumi_on_path)"
  if [[ -n "$bin" ]]; then
    printf '%s\n' "$bin"
  elif pulumi_is_cached; then
    printf '%s\n' "$PULUMI_CACHED_DIR/bin/pulumi"
  fi
}

# forget_stack STATE PROJECT STACK: takes that stack, and none whose name begins alike, out of a file backend's directory.
forget_stack() {
  local state="$1/.pulumi" project="$2" stack="$3"
  rm -rf -- "$state/stacks/$project/$stack".json* "$state/history/$project/$stack" "$state/backups/$project/$stack" \
    "$state/locks/organization/$project/$stack"
}
