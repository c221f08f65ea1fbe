# shellcheck shell=bash
# The images of lab hosts, made from Debian packages because no image registry can be assumed. Sourced by script/lab.
# convocate-lab-bare: what a minimal Debian server has. convocate-lab-host: that, and all that provisioning would install.

# What hosts run: Debian's release of that name.
LAB_SUITE=${CONVOCATE_LAB_SUITE:-bookworm}
LAB_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

LAB_BARE_PACKAGES=(
  ca-certificates dbus iproute2 iputils-ping libpam-systemd netbase openssh-server procps sudo systemd systemd-sysv tzdata
)
# python3 and python3-apt are for Ansible and pyinfra, which script/bench runs beside us.
LAB_HOST_PACKAGES=(
  cron curl dnsmasq docker.io git iptables jq kmod logrotate nftables python3 python3-apt rsyslog rsyslog-gnutls rsyslog-relp tmux
  ufw unattended-upgrades zstd
)
# From Debian 13 on, Docker's client is a package of its own.
if [[ $LAB_SUITE != bookworm ]]; then LAB_HOST_PACKAGES+=(docker-cli); fi

# Debian installs these with its kernel.
if [[ $LAB_KERNEL == own ]]; then LAB_BARE_PACKAGES+=(kmod udev); fi

# lab_image_tag KIND: name and tag of the image, KIND being host or bare. The tag has a hash of the recipe: this file and
# the hosts' PID 1.
lab_image_tag() {
  local hash own=''
  if [[ $LAB_KERNEL == own ]]; then own=-own; fi
  hash=$(cat "$LAB_RECIPE/image.sh" "$LAB_RECIPE/host-init" | sha256sum)
  printf 'convocate-lab-%s:%s%s-%s\n' "$1" "$LAB_SUITE" "$own" "${hash:0:12}"
}

# lab_image KIND: makes the image unless it is there, one process at a time, and prints its name.
lab_image() {
  local kind=$1 tag lock
  tag=$(lab_image_tag "$kind")
  if ! docker image inspect "$tag" >/dev/null 2>&1; then
    mkdir -p "$LAB_CACHE"
    exec {lock}>"$LAB_CACHE/image.lock"
    flock -w 1800 "$lock" || die "another script/lab has been making the image for half an hour: look at it, or end it"
    docker image inspect "$tag" >/dev/null 2>&1 || "lab_image_make_$kind" "$tag" >&2
    exec {lock}>&-
  fi
  printf '%s\n' "$tag"
}

# lab_image_make_bare TAG: debootstrap and docker import. Takes about half a minute.
lab_image_make_bare() {
  local tag=$1 work
  command -v debootstrap >/dev/null || die "debootstrap is not installed: run script/bootstrap"
  [[ -r $LAB_KEYRING ]] || die "$LAB_KEYRING is missing: apt-get install debian-archive-keyring"
  work=$(mktemp -d /var/tmp/convocate-lab-image.XXXXXX)
  # A subshell, so that its trap cleans up here and nowhere else.
  (
    trap 'as_root rm -rf "$work"' EXIT
    say "making $tag: debootstrap $LAB_SUITE (log: $LAB_CACHE/debootstrap.log)"
    as_root mkdir -p "$LAB_CACHE/debs"
    lab_debootstrap "$work/root" >"$LAB_CACHE/debootstrap.log" 2>&1 ||
      die "debootstrap failed, the end of $LAB_CACHE/debootstrap.log says: $(tail -n 1 "$LAB_CACHE/debootstrap.log")"
    as_root bash -euc "$(declare -f lab_image_dress); lab_image_dress \"\$@\"" dress "$work/root" "$LAB_RECIPE/host-init"
    as_root tar -C "$work/root" --one-file-system -c . | docker import --change 'ENTRYPOINT ["/sbin/lab-host-init"]' \
      --change 'ENV container=docker' --change 'LABEL convocate.lab.image=bare' - "$tag" >/dev/null
  )
}

# lab_debootstrap ROOT: with this machine's mirror and proxy where it is a Debian, else debootstrap's own.
lab_debootstrap() {
  local root=$1 mirror proxy packages
  mirror=$(lab_apt_sources | awk -v suite="$LAB_SUITE" '$4 == suite { print $3; exit }')
  proxy=$(lab_apt_proxy)
  packages=$(IFS=,; echo "${LAB_BARE_PACKAGES[*]}")
  as_root env ${proxy:+http_proxy="$proxy"} debootstrap --variant=minbase --keyring="$LAB_KEYRING" \
    --cache-dir="$LAB_CACHE/debs" --include="$packages" "$LAB_SUITE" "$root" ${mirror:+"$mirror"}
}

# lab_image_dress ROOT INIT: what a lab host has beyond its packages. Runs as root.
lab_image_dress() {
  local root=$1 init=$2 unit
  install -m 0755 "$init" "$root/sbin/lab-host-init"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/etc/ssh/ssh_host_*
  # Empty, not absent: each host makes its own at its first boot.
  : >"$root/etc/machine-id"
  : >"$root/etc/hostname"
  : >"$root/etc/resolv.conf"
  # Nobody reads manuals on a lab host, and no power cut is survived by a container's disk: installs are twice as fast.
  cat >"$root/etc/dpkg/dpkg.cfg.d/lab" <<'CFG'
force-unsafe-io
path-exclude /usr/share/man/*
path-exclude /usr/share/doc/*
path-exclude /usr/share/locale/*
CFG
  # The lab's kernel is the machine's own: a host must not set its global values.
  ln -s /dev/null "$root/etc/sysctl.d/50-pid-max.conf"
  ln -s /dev/null "$root/etc/sysctl.d/99-protect-links.conf"
  # These start by the clock and hold apt's lock in the middle of a test.
  for unit in apt-daily.timer apt-daily-upgrade.timer; do ln -s /dev/null "$root/etc/systemd/system/$unit"; done
  chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 admin
  chroot "$root" useradd --create-home --shell /bin/bash --uid 1001 pwadmin
  # Reachable from this machine only, and sshd takes no passwords: this one is for sudo to ask for.
  echo 'pwadmin:pwadmin' | chroot "$root" chpasswd
  printf '%s\n' 'admin ALL=(ALL:ALL) NOPASSWD: ALL' 'pwadmin ALL=(ALL:ALL) ALL' >"$root/etc/sudoers.d/lab"
  chmod 0440 "$root/etc/sudoers.d/lab"
  printf '%s\n' 'PasswordAuthentication no' 'PermitRootLogin prohibit-password' >"$root/etc/ssh/sshd_config.d/lab.conf"
}

# lab_image_make_host TAG: the bare image and apt-get install. Takes about a minute.
lab_image_make_host() {
  local tag=$1 bare container
  bare=$(lab_image_tag bare)
  docker image inspect "$bare" >/dev/null 2>&1 || lab_image_make_bare "$bare"
  say "making $tag: ${#LAB_HOST_PACKAGES[@]} packages (log: $LAB_CACHE/packages.log)"
  # The machine's own network: building needs no bridge, and DNS is as it is here.
  # policy-rc.d keeps package scripts from starting services where no systemd runs.
  # shellcheck disable=SC2016 # expanded inside
  container=$(docker create --network host --entrypoint /bin/bash "$bare" -euc '
    printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
    apt-get clean
    rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
    mkdir -p /etc/lab
    touch /etc/lab/docker-preset' packages "${LAB_HOST_PACKAGES[@]}")
  (
    trap 'docker rm -f -v "$container" >/dev/null' EXIT
    lab_apt_overlay | docker cp - "$container:/"
    docker start -a "$container" >"$LAB_CACHE/packages.log" 2>&1 ||
      die "installing packages failed, the end of $LAB_CACHE/packages.log says: $(tail -n 1 "$LAB_CACHE/packages.log")"
    docker commit --change 'ENTRYPOINT ["/sbin/lab-host-init"]' --change 'CMD []' --change 'LABEL convocate.lab.image=host' \
      "$container" "$tag" >/dev/null
  )
}

# lab_apt_sources: this machine's Debian archives as lines for a lab host's sources.list, which may be of another release;
# none on another distribution.
lab_apt_sources() {
  # Third parties' archives are left out by their origin, which apt knows once it has fetched an archive's Release file.
  # shellcheck disable=SC2016 # apt expands it
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$LAB_SUITE" -v keyring="$LAB_KEYRING" '
      $2 ~ /^[a-z]+(-updates|-security)?$/ && $3 == "main" && $4 == "Debian" {
        sub(/^[a-z]+/, suite, $2)
        print "deb [signed-by=" keyring "] " $1 " " $2 " " $3
      }' | sort -u
}

# lab_apt_proxy: the HTTP proxy that apt uses on this machine, if any. One on loopback does not exist inside a lab host.
lab_apt_proxy() {
  local proxy
  # apt-config prints nothing, and no quotes, where there is none.
  proxy=$(apt-config shell P Acquire::http::Proxy | sed -n "s/^P='\(.*\)'$/\1/p")
  proxy=${proxy:-${http_proxy:-}}
  case $proxy in DIRECT | *//127.* | *//localhost* | *//\[::1\]*) proxy='' ;; esac
  printf '%s' "$proxy"
}

# lab_apt_overlay: a tar, on stdout, of the apt configuration that makes apt work on a lab host as it does here.
lab_apt_overlay() {
  local stage sources proxy
  stage=$(mktemp -d)
  mkdir -p "$stage/etc/apt/apt.conf.d"
  sources=$(lab_apt_sources)
  if [[ -n $sources ]]; then printf '%s\n' "$sources" >"$stage/etc/apt/sources.list"; fi
  proxy=$(lab_apt_proxy)
  {
    apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|(http|https)::(Timeout|Verify[A-Za-z-]*)) ' || true
    if [[ -n $proxy ]]; then printf 'Acquire::http::Proxy "%s";\n' "$proxy"; fi
  } >"$stage/etc/apt/apt.conf.d/90lab"
  tar -C "$stage" --owner=0 --group=0 --mode='u=rwX,go=rX' -c .
  rm -rf "$stage"
}
