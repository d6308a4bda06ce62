# shellcheck shell=bash
# Part of ./dev, which sources it: the private sandbox of test, demo, bench, crash and sandbox, and the base images in it.
# It takes ROOT, SELF, CACHE, SANDBOXES, BASE_SUITE, BASE_PACKAGES, STORE_PACKAGES, COMPOSE_SUITE, say, die, need_root, release_name and
# apt_source from there.

# ---- base images --------------------------------------------------------------------------------------------------

# One root file system of Debian packages serves as nginx:local and node:local, a static busybox as busybox:local; another one,
# with databases, is for the tests of docs/examples.
tarball_of() { echo "$CACHE/base-$BASE_SUITE-${1//,/-}.tar"; }

# make_tarball PACKAGES: a root file system of Debian with them
make_tarball() {
  local tarball uri work
  tarball=$(tarball_of "$1")
  mkdir -p "$CACHE"
  (
    flock 9
    [[ ! -e $tarball ]] || exit 0
    say "making a base image of $1 from Debian $BASE_SUITE (once, about a minute)"
    uri=$(apt_source "$(release_name)" REPO_URI)
    [[ -n $uri ]] || die "no apt source of this machine names its own suite: base images cannot be made"
    work=$(mktemp -d "$CACHE/making.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    debootstrap --variant=minbase "--include=$1" "$BASE_SUITE" "$work/root" "$uri" >"$work/log" 2>&1 ||
      { tail -n 20 "$work/log" >&2; die "debootstrap of $BASE_SUITE from $uri failed: see the lines above"; }
    tar -C "$work/root" --numeric-owner --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
      --exclude='./dev/*' --exclude='./var/log/*.log' -cf "$work/base.tar" .
    mv "$work/base.tar" "$tarball"
  ) 9>"$CACHE/lock"
}

busybox_tar() {
  local work
  work=$(mktemp -d)
  mkdir -p "$work/bin" "$work/tmp" "$work/etc"
  cp /bin/busybox "$work/bin/busybox"
  /bin/busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$work/bin/$name"; done
  tar -C "$work" --numeric-owner -c .
  rm -rf "$work"
}

# import_image REPOSITORY TAG [CHANGE...] <TAR: each change is a line of a Dockerfile.
import_image() {
  local query="fromSrc=-&repo=$1&tag=$2" change answer
  for change in "${@:3}"; do query+="&changes=$(python3 -c 'import sys, urllib.parse as u; print(u.quote(sys.argv[1]))' "$change")"; done
  answer=$(engine_api -X POST -T - -H 'Content-Type: application/x-tar' "/images/create?$query")
  [[ $answer != *errorDetail* ]] || die "the engine did not import $1:$2: $answer"
}

# Imports the base images into the private engine.
base_images() {
  import_image base local <"$(tarball_of "$BASE_PACKAGES")"
  local folder
  folder=$(mktemp -d)
  printf 'FROM base:local\nSTOPSIGNAL SIGQUIT\nCMD ["nginx", "-g", "daemon off;"]\n' >"$folder/Dockerfile"
  build_image "$folder" nginx:local
  printf 'FROM base:local\nCMD ["node"]\n' >"$folder/Dockerfile"
  build_image "$folder" node:local
  rm -rf "$folder"
  busybox_tar | import_image busybox local 'CMD ["sh"]'
}

# build_image FOLDER TAG
build_image() {
  local answer
  answer=$(tar -C "$1" -c . | engine_api -X POST -T - -H 'Content-Type: application/x-tar' "/build?t=$2")
  [[ $answer != *errorDetail* ]] || die "the engine did not build $2: $answer"
}

engine_api() { curl --silent --show-error --unix-socket "$ENGINE_SOCKET" "${@:1:$#-1}" "http://engine${!#}"; }

# ---- Docker Compose ------------------------------------------------------------------------------------------------

# Compose v2 is a plugin of Docker's command line. Debian 12 has none: it is that of $COMPOSE_SUITE, unpacked into the cache.
compose_plugin() { echo "$CACHE/docker-compose-$COMPOSE_SUITE"; }

fetch_compose() {
  local uri keyring work
  mkdir -p "$CACHE"
  (
    flock 9
    [[ ! -e $(compose_plugin) ]] || exit 0
    say "fetching Docker Compose of Debian $COMPOSE_SUITE (once)"
    uri=$(apt_source "$(release_name)" REPO_URI)
    [[ -n $uri ]] || die "no apt source of this machine names its own suite: Docker Compose cannot be fetched"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg  # debootstrap's, too
    work=$(mktemp -d "$CACHE/fetching.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "deb [signed-by=$keyring] $uri $COMPOSE_SUITE main" >"$work/sources.list"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    apt_beside "$work" update >"$work/log" 2>&1 && apt_beside "$work" download docker-compose >>"$work/log" 2>&1 ||
      { tail -n 20 "$work/log" >&2; die "docker-compose of $COMPOSE_SUITE could not be fetched from $uri: see the lines above"; }
    dpkg -x "$work"/docker-compose_*.deb "$work/root"
    mv "$work/root/usr/libexec/docker/cli-plugins/docker-compose" "$(compose_plugin)"
  ) 9>"$CACHE/lock"
}

# apt_beside FOLDER ARGUMENT...: apt-get with that folder's sources and lists; what this machine's apt knows stays as it is.
apt_beside() {
  (
    cd "$1"
    apt-get -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$1/lists" \
      -o "Dir::Cache=$1/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root "${@:2}" </dev/null
  )
}

# Debian's own docker, whatever else PATH has, with Compose as its plugin.
compose_in_sandbox() {
  mkdir -p /run/tools "$DOCKER_CONFIG/cli-plugins"
  ln -s /usr/bin/docker /run/tools/docker
  ln -s "$(compose_plugin)" "$DOCKER_CONFIG/cli-plugins/docker-compose"
  PATH=/run/tools:$PATH
}

# What is fetched once, and kept in the cache.
fetch_once() {
  make_tarball "$BASE_PACKAGES"
  fetch_compose
}

# What only the tests take beside that.
fetch_for_tests() {
  fetch_once
  make_tarball "$STORE_PACKAGES"
}

# ---- the private sandbox ------------------------------------------------------------------------------------------

# run_sandbox COMMAND...: runs it in fresh network, mount and process namespaces, beside a dockerd that starts and ends with
# it. /run is a file system of its own, so /run/docker.sock is that engine, and no socket of the host is visible.
#
# What ends what: this shell -> setpriv (parent-death signal) -> unshare --kill-child -> init of the process namespace, and
# with the init goes every process in it, each mount and the network. What is left to do is to remove one folder and the
# cgroups; where even that was cut short, the next sandbox does it.
run_sandbox() {
  need_root "a sandbox"
  fetch_once
  mkdir -p "$SANDBOXES" /etc/docker
  local folder status=0
  exec 7>"$SANDBOXES/lock"  # nobody sweeps between the making of a folder and its locking
  flock 7
  sweep_sandboxes
  folder=$(mktemp -d "$SANDBOXES/XXXXXXXX")
  exec 8>"$folder/lock"
  flock 8
  exec 7>&-
  local child=
  # shellcheck disable=SC2064 # the folder of now
  trap "remove_sandbox '$folder'" EXIT
  trap 'interrupted=130' INT
  trap 'interrupted=143' TERM HUP
  local interrupted=
  setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc \
    "$SELF" inside-sandbox "$folder" "$@" <&0 8>&- &
  child=$!
  while true; do
    status=0
    wait "$child" || status=$?
    if [[ $interrupted ]]; then
      kill -KILL "$child" 2>/dev/null || true
      wait "$child" 2>/dev/null || true
      status=$interrupted
      break
    fi
    kill -0 "$child" 2>/dev/null || break
  done
  trap - INT TERM HUP EXIT
  remove_sandbox "$folder"
  return "$status"
}

# Removes a sandbox whose processes have ended: its cgroups and its folder.
remove_sandbox() {
  local cgroup
  cgroup=deployctl-$(basename "$1")
  find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null || true
  rm -rf --one-file-system "$1"
}

# Removes what sandboxes left that were killed together with the shell that would have cleaned up.
sweep_sandboxes() {
  local folder
  for folder in "$SANDBOXES"/*/; do
    [[ -e $folder/lock ]] || continue
    if flock --nonblock "$folder/lock" true; then remove_sandbox "${folder%/}"; fi
  done
}

# The first process of the sandbox: starts the engine, runs the command, and takes everything with it when it ends.
cmd_inside-sandbox() {
  local folder=$1
  shift
  mount -t tmpfs -o mode=755 sandbox /run
  mount -t tmpfs -o mode=755 sandbox /etc/docker
  ip link set lo up
  export ENGINE_SOCKET=/run/docker.sock DEPLOYCTL_SANDBOX=$folder
  export DOCKER_HOST=unix://$ENGINE_SOCKET DOCKER_CONFIG=/run/docker-config
  unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
  compose_in_sandbox
  start_engine "$folder"
  # The engine looks through all remembered connections each time a container ends: forget the tests' thousands of short
  # ones soon.
  sysctl --quiet --ignore --write net.netfilter.nf_conntrack_tcp_timeout_time_wait=5
  base_images
  start_registry "$folder"
  export DEPLOYCTL_TEST_ENGINE=unix://$ENGINE_SOCKET DEPLOYCTL_TEST_NGINX_IMAGE=nginx:local
  export DEPLOYCTL_TEST_STORES
  DEPLOYCTL_TEST_STORES=$(tarball_of "$STORE_PACKAGES")
  local status=0
  "$@" || status=$?
  exit "$status"
}

start_engine() {
  local folder=$1
  mkdir -p /run/docker-config
  echo '{}' >/run/docker-config/daemon.json
  dockerd --config-file /run/docker-config/daemon.json --data-root "$folder/data" --exec-root /run/docker \
    --pidfile /run/docker.pid --host "unix://$ENGINE_SOCKET" --exec-opt native.cgroupdriver=cgroupfs \
    --cgroup-parent "/deployctl-$(basename "$folder")" >"$folder/dockerd.log" 2>&1 </dev/null &
  local engine=$! attempt
  for ((attempt = 0; attempt < 300; attempt++)); do
    [[ $(engine_api /_ping 2>/dev/null) != OK ]] || return 0
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 30 "$folder/dockerd.log" >&2
  die "the private engine did not start: its last lines are above"
}

# A registry for the contract tests; end-to-end tests start their own.
start_registry() {
  mkdir -p "$1/registry"
  cat >"$1/registry/config.yml" <<TEXT
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: "$1/registry/data" } }
http: { addr: "127.0.0.1:5001" }
TEXT
  docker-registry serve "$1/registry/config.yml" >"$1/registry/log" 2>&1 </dev/null &
  export DEPLOYCTL_TEST_REGISTRY=127.0.0.1:5001
}
