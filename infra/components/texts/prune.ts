import { agentPaths } from "../../../runtime/domain/index.js";

/** The daily job (SPEC 8.3). Docker itself refuses to remove what a container uses, should one start meanwhile. */
export const pruneScript = `#!/bin/sh
# Written by convocate. Removes session images that nothing needs: neither the current one, nor one that a container
# names, running or stopped. Without a current image it removes nothing.
set -eu
current=$(cat ${agentPaths.currentImage} 2>/dev/null) || exit 0
[ -n "$current" ] || exit 0
containers=$(docker ps --all --quiet)
used=''
if [ -n "$containers" ]; then
  # One word each, so unquoted.
  used=$(docker inspect --type container --format '{{.Config.Image}}' $containers)
fi
docker image ls --format '{{.Repository}}:{{.Tag}}' convocate | while read -r image; do
  case $image in *:'<none>') continue ;; esac
  if [ "$image" = "$current" ] || echo "$used" | grep -qxF -- "$image"; then continue; fi
  docker image rm -- "$image" >/dev/null && logger -t convocate-image-prune "removed $image" || :
done
`;
