# shellcheck shell=bash
# Lab hosts with a kernel of their own (CONVOCATE_LAB_KERNEL=own): cgroup v2, IPv6, a clock and a boot id that are the host's
# alone, whatever this machine has. The kernel is user-mode Linux, an ordinary process that needs no virtualization; it runs in
# a container with the same name, labels and address as a host without one. What is beside it is in own-kernel/. Sourced by
# script/lab.

LAB_KERNEL=${CONVOCATE_LAB_KERNEL:-shared}
# The host's disk is as large as its file may grow, not as large as the file is.
LAB_DISK_SIZE=20G
# Four sessions of the tests must fit into 90% of it.
LAB_OWN_MEMORY=4G

# lab_own_kernel: makes the kernel unless it is there, one process at a time, and prints the folder with `linux` and `modules`.
lab_own_kernel() {
  local folder lock image
  folder=$LAB_CACHE/kernel-$(cat "$LAB_RECIPE"/own-kernel/{build,config} | sha256sum | cut -c 1-12)
  if [[ ! -d $folder ]]; then
    image=$(LAB_SUITE=bookworm lab_image bare)
    exec {lock}>"$LAB_CACHE/kernel.lock"
    flock -w 3600 "$lock" || die "another script/lab has been making the kernel for an hour: look at it, or end it"
    [[ -d $folder ]] || lab_own_kernel_make "$folder" "$image" >&2
    exec {lock}>&-
  fi
  printf '%s\n' "$folder"
}

# lab_own_kernel_make FOLDER IMAGE: compiles it in a container of that image, which keeps compilers off this machine.
lab_own_kernel_make() {
  local folder=$1 container
  say "making a kernel for lab hosts, once, which takes some ten minutes (log: $LAB_CACHE/kernel.log)"
  container=$(docker create --network host --entrypoint /build/build "$2" /build/out)
  (
    trap 'docker rm -f -v "$container" >/dev/null; rm -rf "$folder.new"' EXIT
    lab_apt_overlay | docker cp - "$container:/"
    rm -rf "$folder.new"
    mkdir -p "$folder.new/out"
    cp "$LAB_RECIPE"/own-kernel/{build,config} "$folder.new"
    tar -C "$folder.new" --transform 's,^\.,build,' -c . | docker cp - "$container:/"
    docker start -a "$container" >"$LAB_CACHE/kernel.log" 2>&1 ||
      die "the kernel was not made, the end of $LAB_CACHE/kernel.log says: $(tail -n 1 "$LAB_CACHE/kernel.log")"
    docker cp "$container:/build/out" "$folder.new/made"
    mv "$folder.new/made" "$folder"
  )
}

# lab_own_disk KIND: makes the disk that hosts of that kind begin with unless it is there, and prints its file.
lab_own_disk() {
  local image file lock hash
  image=$(lab_image "$1")
  hash=$({
    declare -f lab_own_disk_make lab_own_disk_dress
    echo "$LAB_DISK_SIZE"
    cat "$LAB_RECIPE"/own-kernel/{guest-init,exec-sshd.conf}
  } | sha256sum)
  file=$LAB_CACHE/disk-$1-${image##*:}-${hash:0:12}.ext4
  if [[ ! -e $file ]]; then
    exec {lock}>"$LAB_CACHE/disk.lock"
    flock -w 1800 "$lock" || die "another script/lab has been making a disk for half an hour: look at it, or end it"
    [[ -e $file ]] || lab_own_disk_make "$file" "$image" >&2
    exec {lock}>&-
  fi
  printf '%s\n' "$file"
}

# lab_own_disk_make FILE IMAGE: the image's files as an ext4 file system.
lab_own_disk_make() {
  local file=$1 image=$2 work container
  command -v mke2fs >/dev/null || die "mke2fs is not installed: apt-get install e2fsprogs"
  say "making $file"
  work=$(mktemp -d /var/tmp/convocate-lab-disk.XXXXXX)
  container=$(docker create "$image")
  (
    trap 'docker rm -f -v "$container" >/dev/null; as_root rm -rf "$work" "$file.new"' EXIT
    mkdir "$work/root"
    docker export "$container" | as_root tar -C "$work/root" --numeric-owner --xattrs --xattrs-include='*' -xp
    as_root bash -euc "$(declare -f lab_own_disk_dress); lab_own_disk_dress \"\$@\"" dress "$work/root" "$LAB_RECIPE/own-kernel"
    rm -f "$file.new"
    truncate -s "$LAB_DISK_SIZE" "$file.new"
    as_root mke2fs -q -t ext4 -d "$work/root" "$file.new"
    mv "$file.new" "$file"
  )
}

# lab_own_disk_dress ROOT RECIPE: takes away what makes it a container, and adds what its own kernel starts. Runs as root.
lab_own_disk_dress() {
  local root=$1 recipe=$2
  rm -f "$root"/.dockerenv "$root"/sbin/lab-host-init "$root"/etc/{hostname,hosts,resolv.conf,mtab}
  find "$root/dev" "$root/run" "$root/tmp" -mindepth 1 -delete
  # Its kernel's global values are its own.
  rm -f "$root"/etc/sysctl.d/{50-pid-max,99-protect-links}.conf
  mkdir -p "$root/etc/lab"
  install -m 0755 "$recipe/guest-init" "$root/sbin/lab-guest-init"
  install -m 0644 "$recipe/exec-sshd.conf" "$root/etc/lab/exec-sshd.conf"
}

# lab_own_flags KIND: sets LAB_OWN_FLAGS and LAB_OWN_IMAGE to what `docker create` needs for a host of that kind.
lab_own_flags() {
  local kernel disk
  kernel=$(lab_own_kernel)
  disk=$(lab_own_disk "$1")
  LAB_OWN_IMAGE=$(LAB_SUITE=bookworm lab_image bare)
  LAB_OWN_FLAGS=(
    --entrypoint /sbin/lab-machine --env "LAB_MEMORY=$LAB_OWN_MEMORY"
    --tmpfs "/memory:exec,size=$LAB_OWN_MEMORY" -v /disk
    -v "$kernel:/machine/kernel:ro" -v "$disk:/machine/disk.ext4:ro"
    --cap-add NET_ADMIN
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
    # No --restart: a host that reboots itself does not end, and one whose kernel fails should not look like one that rebooted.
    --stop-timeout 60
  )
}

# lab_own_files HOST: a tar, on stdout, of what the container around a host has beside its image.
lab_own_files() {
  local stage
  stage=$(mktemp -d)
  mkdir -p "$stage/machine/host" "$stage/root" "$stage/sbin"
  install -m 0755 "$LAB_RECIPE/own-kernel/machine" "$stage/sbin/lab-machine"
  install -m 0755 "$LAB_RECIPE/own-kernel/exec" "$stage/sbin/lab-exec"
  install -m 0600 "$LAB_STATE/id_ed25519" "$stage/root/lab-key"
  printf '192.0.2.2 %s\n' "$(cut -d ' ' -f 1,2 "$LAB_STATE/host-keys/$1.pub")" >"$stage/root/lab-known-hosts"
  lab_overlay "$1" >"$stage/machine/host/overlay.tar"
  tar -C "$stage" --owner=0 --group=0 -c machine root/lab-key root/lab-known-hosts sbin/lab-machine sbin/lab-exec
  rm -rf "$stage"
}
