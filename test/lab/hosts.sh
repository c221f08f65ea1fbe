# shellcheck shell=bash
# What script/lab does to containers and the network of one lab. Sourced by script/lab, which sets LAB (the lab's name),
# LAB_STATE (its local state) and LAB_RECIPE. Containers carry labels: convocate.lab (name), convocate.lab.host,
# convocate.lab.kind (host or bare), convocate.lab.kernel (own or shared) and convocate.lab.key (a hash of the key that lets
# this checkout in).

# Not --privileged: that fails where this machine's own root lacks a capability (CAP_SYS_RESOURCE in some virtual machines).
# These are what systemd, a nested Docker and ufw need.
LAB_RUN_FLAGS=(
  --cgroupns=private --tmpfs /run --tmpfs /run/lock -v /var/lib/docker
  --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
  --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH --cap-add LINUX_IMMUTABLE
  --cap-add IPC_LOCK --cap-add SYS_NICE --cap-add SYS_TTY_CONFIG --cap-add LEASE --cap-add AUDIT_CONTROL
  --cap-add SYSLOG --cap-add SYS_BOOT
  # A host that reboots itself ends its container; it comes back as a machine would. One that is stopped stays stopped.
  --restart on-failure:5 --stop-signal SIGRTMIN+3 --stop-timeout 30
)

# lab_memory_bytes: half of this machine's memory, the most that one host may take. A host sees all of it, and a slice of
# 90% of that would let one runaway process starve the machine that the lab, and everybody else, runs on.
lab_memory_bytes() {
  local kib
  kib=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)
  printf '%d' $((kib * 1024 / 2))
}

lab_container() { printf 'convocate-lab-%s-%s' "$LAB" "$1"; }
lab_network() { printf 'convocate-lab-%s' "$LAB"; }
lab_key_label() { sha256sum <"$LAB_STATE/id_ed25519.pub" | cut -c 1-16; }

# lab_host_names AGENTS: shell agent-1 agent-2 …
lab_host_names() {
  local i
  echo shell
  for ((i = 1; i <= $1; i++)); do echo "agent-$i"; done
}

# lab_address HOST: .10 for the shell, .11 for agent-1 and so on, in the network's subnet.
lab_address() {
  local offset=10
  if [[ $1 == agent-* ]]; then offset=$((10 + ${1#agent-})); fi
  printf '%s.%d' "${LAB_SUBNET%.*}" "$offset"
}

# lab_network_up: makes the network unless it is there, and sets LAB_SUBNET. `dev` has a fixed subnet, for the inventory
# that is in git; others start at a hash of their name and move on until Docker finds one free.
lab_network_up() {
  local network third tries answer
  network=$(lab_network)
  if LAB_SUBNET=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$network" 2>/dev/null); then return; fi
  if [[ $LAB == dev ]]; then third=0 tries=1; else
    third=$(($(printf '%s' "$LAB" | cksum | cut -d ' ' -f 1) % 254 + 1)) tries=254
  fi
  for ((; tries > 0; tries--)); do
    LAB_SUBNET=10.203.$third.0/24
    if answer=$(docker network create --label "convocate.lab=$LAB" --subnet "$LAB_SUBNET" "$network" 2>&1); then return; fi
    [[ $answer == *overlap* ]] || die "docker network create $network: $answer"
    third=$((third % 254 + 1))
  done
  die "no free subnet for lab $LAB (last tried: $LAB_SUBNET): end another lab (script/lab ls), or find who uses 10.203.0.0/16"
}

# lab_keys HOSTS…: the lab's own key and a host key for each host, made once, and known_hosts with all of them pinned.
lab_keys() {
  local host
  mkdir -p "$LAB_STATE/host-keys"
  chmod 0700 "$LAB_STATE"
  [[ -s $LAB_STATE/id_ed25519.pub ]] || lab_keygen "$LAB_STATE/id_ed25519" "convocate-lab-$LAB"
  for host in "$@"; do
    [[ -s $LAB_STATE/host-keys/$host.pub ]] || lab_keygen "$LAB_STATE/host-keys/$host" "$host"
  done
}

lab_keygen() {
  rm -f "$1" "$1.pub"
  ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$1"
}

# lab_write_inventory KIND HOSTS…: known_hosts and hosts.json, each written whole. Takes hosts' kernels from LAB_KERNELS.
lab_write_inventory() {
  local kind=$1 host bare=false separator=''
  shift
  if [[ $kind == bare ]]; then bare=true; fi
  for host in "$@"; do
    printf '%s %s\n' "$(lab_address "$host")" "$(cut -d ' ' -f 1,2 "$LAB_STATE/host-keys/$host.pub")"
  done >"$LAB_STATE/known_hosts.new"
  {
    printf '{"name":"%s","subnet":"%s","bare":%s,"hosts":[' "$LAB" "$LAB_SUBNET" "$bare"
    for host in "$@"; do
      printf '%s{"name":"%s","address":"%s","port":22,"user":"admin","kernel":"%s"}' "$separator" "$host" \
        "$(lab_address "$host")" "${LAB_KERNELS[$host]}"
      separator=,
    done
    printf ']}\n'
  } >"$LAB_STATE/hosts.json.new"
  mv "$LAB_STATE/known_hosts.new" "$LAB_STATE/known_hosts"
  mv "$LAB_STATE/hosts.json.new" "$LAB_STATE/hosts.json"
}

# lab_resolvers: name servers that a host can reach: this machine's, less those on its loopback.
lab_resolvers() {
  local file
  for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
    if [[ -r $file ]]; then
      awk '$1 == "nameserver" && $2 !~ /^(127\.|::1)/ { print $1, $2 }' "$file"
      return
    fi
  done
}

# lab_overlay HOST: a tar, on stdout, of what differs from host to host: names, keys, and how apt works on this machine.
lab_overlay() {
  local host=$1 stage user uid
  stage=$(mktemp -d)
  mkdir -p "$stage/etc/lab" "$stage/etc/ssh" "$stage/root/.ssh" "$stage/home/admin/.ssh" "$stage/home/pwadmin/.ssh"
  echo "$host" >"$stage/etc/lab/hostname"
  printf '127.0.0.1 localhost\n%s %s\n' "$(lab_address "$host")" "$host" >"$stage/etc/lab/hosts"
  lab_resolvers >"$stage/etc/lab/resolv.conf"
  install -m 0600 "$LAB_STATE/host-keys/$host" "$stage/etc/ssh/ssh_host_ed25519_key"
  install -m 0644 "$LAB_STATE/host-keys/$host.pub" "$stage/etc/ssh/ssh_host_ed25519_key.pub"
  lab_apt_overlay >"$stage/overlay.tar"
  tar -C "$stage" --owner=0 --group=0 -rf "$stage/overlay.tar" etc/lab etc/ssh/ssh_host_ed25519_key{,.pub}
  for user in root home/admin home/pwadmin; do
    case $user in root) uid=0 ;; home/admin) uid=1000 ;; home/pwadmin) uid=1001 ;; esac
    install -m 0600 "$LAB_STATE/id_ed25519.pub" "$stage/$user/.ssh/authorized_keys"
    tar -C "$stage" --owner="$uid" --group="$uid" --mode='u=rwX,go=' -rf "$stage/overlay.tar" "$user/.ssh"
  done
  cat "$stage/overlay.tar"
  rm -rf "$stage"
}

# lab_host_create HOST KIND IMAGE FILES FLAGS…: makes the container, fills it with the tar that FILES prints, and starts it.
lab_host_create() {
  local host=$1 kind=$2 image=$3 files=$4 container
  shift 4
  container=$(lab_container "$host")
  docker create --name "$container" --hostname "$host" --network "$(lab_network)" --ip "$(lab_address "$host")" \
    --label "convocate.lab=$LAB" --label "convocate.lab.host=$host" --label "convocate.lab.kind=$kind" \
    --label "convocate.lab.kernel=${LAB_KERNELS[$host]}" --label "convocate.lab.key=$(lab_key_label)" "$@" \
    --memory "$(lab_memory_bytes)" "$image" >/dev/null
  "$files" "$host" | docker cp - "$container:/"
  docker start "$container" >/dev/null
}

# lab_host_repair HOST STATE NETWORK: brings an existing container back from whatever a test or a person did to it.
lab_host_repair() {
  local host=$1 state=$2 network=$3 container
  container=$(lab_container "$host")
  if [[ $network != "$(lab_network)" ]]; then
    docker network connect --ip "$(lab_address "$host")" "$(lab_network)" "$container"
    # A host with a kernel of its own takes the address over when its machine starts.
    if [[ ${LAB_KERNELS[$host]} == own && $state != exited ]]; then
      docker kill "$container" >/dev/null
      state=exited
    fi
  fi
  case $state in
    running | restarting) ;;
    paused) docker unpause "$container" >/dev/null ;;
    *) docker start "$container" >/dev/null ;;
  esac
}

# lab_containers [NAME]: lines "lab host state kind key kernel network", separated by tabs, of one lab or of all.
lab_containers() {
  docker ps -a --no-trunc --filter "label=convocate.lab${1:+=$1}" --format "$(
    printf '%s\t' '{{.Label "convocate.lab"}}' '{{.Label "convocate.lab.host"}}' '{{.State}}' '{{.Label "convocate.lab.kind"}}' \
      '{{.Label "convocate.lab.key"}}' '{{or (.Label "convocate.lab.kernel") "shared"}}'
    printf '%s' '{{.Networks}}'
  )" | sort -V
}

# lab_ssh_options: sets SSH_OPTIONS to what reaches a host of this lab with its key and nothing but its pinned host key.
lab_ssh_options() {
  SSH_OPTIONS=(-F /dev/null -i "$LAB_STATE/id_ed25519" -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR
    -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=\"$LAB_STATE/known_hosts\"" -o GlobalKnownHostsFile=/dev/null
    -o ConnectTimeout=5 -o ServerAliveInterval=15 -o ServerAliveCountMax=3)
}

# lab_host_wait HOST SECONDS: prints one line that says how the host is; 1 when it does not answer in time.
lab_host_wait() {
  local host=$1 seconds=$2 deadline=$((SECONDS + $2)) address answer units
  address=$(lab_address "$host")
  lab_ssh_options
  while true; do
    # `is-system-running --wait` ends with 1 on a degraded host, which is an answer all the same.
    if answer=$(timeout "$seconds" ssh "${SSH_OPTIONS[@]}" "admin@$address" \
      'systemctl is-system-running --wait; systemctl list-units --failed --plain --no-legend' 2>&1 </dev/null); then
      case ${answer%%$'\n'*} in running | degraded) break ;; esac
    fi
    if ((SECONDS >= deadline)); then
      printf '%-10s %-14s no answer within %s s: %s\n' "$host" "$address" "$seconds" "${answer##*$'\n'}"
      return 1
    fi
    sleep 0.2
  done
  units=$(tail -n +2 <<<"$answer" | awk '{ printf "%s%s", sep, $1; sep = ", " }')
  printf '%-10s %-14s %s\n' "$host" "$address" "${answer%%$'\n'*}${units:+, failed: $units}"
}
