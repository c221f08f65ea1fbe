import { agentPaths } from "../../../runtime/domain/index.js";

/**
 * The daily job (SPEC 8.3). Docker itself refuses to remove what a container uses, should one start meanwhile; an agent that
 * was about to start another image than the current one takes the current one then.
 */
export const pruneScript = `#!/bin/sh
# Written by convocate. Removes session images that nothing needs: neither the current one, nor one that a container
# names, running or stopped. Without a current image it removes nothing.
set -eu
# A rollout holds this lock while it loads an image and names it the current one.
exec 9>>${agentPaths.imageLock}
flock -w 3600 9
current=$(cat ${agentPaths.currentImage} 2>/dev/null) || exit 0
[ -n "$current" ] || exit 0
used=$(docker ps --all --no-trunc --format '{{.Image}}')
for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' convocate); do
  case $image in "$current" | *:'<none>') continue ;; esac
  if echo "$used" | grep -qxF -- "$image"; then continue; fi
  if docker image rm -- "$image" >/dev/null; then logger -t convocate-image-prune "removed $image"; fi
done
# Earlier builds of a release, whose name a later build of it has now.
docker image prune --force --filter label=convocate.recipe >/dev/null
`;
