import type { Lab } from "../lab/lab.js";

/**
 * All of a machine that provisioning could have changed, as lines to compare: files with mode, owner and size, accounts,
 * units, firewall rules, sysctls, crontabs, and what dpkg and debconf think is configured. Logs, caches, what packages and
 * Docker keep of themselves, and counters aside.
 */
export async function listing(lab: Lab, host: string): Promise<string[]> {
  const text = await lab.sh(host, LIST, { timeoutMs: 120_000 });
  return text.split("\n");
}

const LIST = `
find /etc /usr/local /home /root /opt /srv /boot /var/lib /var/log /var/spool /run/systemd/system -xdev \\
  '(' -path /var/lib/docker -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log/journal \\
    -o -path /var/lib/systemd -o -path /var/lib/containerd -o -path /var/lib/ucf -o -path /var/lib/private ')' -prune -o \\
  -type d -printf '%p %m %u %g\\n' -o -type l -printf '%p -> %l\\n' -o \\
  -type f ! -path '/var/log/*' ! -name '*-' ! -path '/var/lib/logrotate/*' ! -name .sudo_as_admin_successful \\
    ! -path '/etc/ufw/user*.rules' -printf '%p %m %u %g %s\\n' | sort
# What files say that provisioning edits, or that sizes could hide.
sha256sum /etc/passwd /etc/group /etc/ufw/before*.rules /etc/ufw/after*.rules /etc/ufw/ufw.conf /etc/default/ufw /etc/docker/daemon.json \\
  /etc/systemd/journald.conf /etc/rsyslog.conf /etc/ssh/sshd_config /etc/nftables.conf /etc/crontab 2>/dev/null || :
# ufw writes these anew in its own form once it was told anything, with the same rules or none.
grep -H '^### tuple' /etc/ufw/user*.rules || :; stat -c '%n %a %U %G' /etc/ufw/user*.rules 2>/dev/null || :
getent passwd; getent group; readlink -f /etc/localtime
systemctl list-unit-files --no-legend --plain --type=service,slice,timer,socket,path,mount | awk '{ print "unit-file", $1, $2 }' | sort
systemctl list-units --no-legend --plain --all 'convocate*' | awk '{ print "unit", $1, $2, $3 }' | sort
nft list tables | sed 's/^/nft /' | grep -v 'docker\\|ip6\\? \\(nat\\|filter\\|raw\\|mangle\\)$' || :
# An ufw that was turned off leaves its chains until the next boot, empty; what it is told stands in its files, above.
iptables -S | grep -iv 'docker\\|ufw-'; ip6tables -S | grep -iv 'docker\\|ufw6-'; ufw show added; ufw status
sysctl net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.core.somaxconn 2>/dev/null
crontab -l 2>/dev/null || :
docker network ls --format '{{.Name}}' | sort; docker image ls --format '{{.Repository}}:{{.Tag}}' | sort
dpkg-query -W -f '\${Package} \${Status}\\n\${Conffiles}\\n'
debconf-show --listowners 2>/dev/null | sort | xargs -r -n 1 debconf-show 2>/dev/null | sort || :`;
