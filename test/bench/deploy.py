"""What `pulumi up` makes of a host, as a pyinfra deploy, for script/bench.

`<role>.json` says what: it is taken from hosts that convocate has rolled out (capture.ts), so both bring about the same.
"""

import json
from pathlib import Path

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files, server, systemd

work = Path(host.data.work)
state = json.loads((work / f"{host.data.role}.json").read_text())
user = state["user"]

apt.packages(name="packages", packages=state["packages"])
server.group(name="service group", group=user["name"], gid=user["gid"])
server.user(
    name="service user",
    user=user["name"],
    uid=user["uid"],
    group=user["name"],
    home=user["home"],
    shell=user["shell"],
    ensure_home=False,
)

for item in state["directories"]:
    files.directory(
        name=item["path"], path=item["path"], user=item["owner"], group=item["group"], mode=item["mode"]
    )

restarts = {}
for item in state["files"]:
    put = files.put(
        name=item["path"],
        src=str(work / item["source"]),
        dest=item["path"],
        user=item["owner"],
        group=item["group"],
        mode=item["mode"],
        create_remote_dir=False,
    )
    for restart in item["restarts"]:
        restarts.setdefault(restart, []).append(put)

for item in state["made_keys"]:
    path = item["path"]
    if not host.get_fact(File, path=path):
        server.shell(name=f"make {path}", commands=[f"ssh-keygen -q -t ed25519 -N '' -C '' -f {path}"])
    files.file(name=path, path=path, user=item["owner"], group=item["group"], mode=item["mode"])

firewall = host.get_fact(Command, command="cat /etc/ufw/ufw.conf /etc/ufw/user.rules")
for rule in state["rules"]:
    if rule["tuple"] not in firewall:
        server.shell(name=rule["command"], commands=[rule["command"]])
if "ENABLED=yes" not in firewall:
    server.shell(name="firewall on", commands=["ufw --force enable"])


def any_changed(puts):
    return lambda: any(put.did_change() for put in puts)


if "daemon-reload" in restarts:
    systemd.daemon_reload(name="new unit files are read", _if=any_changed(restarts.pop("daemon-reload")))
for service, puts in restarts.items():
    systemd.service(name=f"restart {service}", service=service, restarted=True, _if=any_changed(puts))
for unit in state["units"]:
    if unit["name"].endswith(".service"):
        systemd.service(name=unit["name"], service=unit["name"], running=True, enabled=unit.get("enabled"))
    # pyinfra takes a slice for stopped, whatever systemd says.
    elif host.get_fact(Command, command=f"systemctl is-active {unit['name']} || true") != "active":
        server.shell(name=f"start {unit['name']}", commands=[f"systemctl start {unit['name']}"])
