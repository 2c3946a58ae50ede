#!/bin/bash
# Build the image, run it, ask it, and measure it: `bench/docker.sh`, as root, on Debian.
#
# It takes the Docker engine that answers; where none does, it installs Debian's and runs one of its own for as long as
# this script lives. Where the base image cannot be pulled, Debian's Python under the same name stands in for it: that
# tests the Dockerfile, and the sizes then are the stand-in's. Exit code 1 where a check fails.
set -euo pipefail
export LC_ALL=C DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-1}"
cd "$(dirname "$0")/.."

readonly QUESTION='Did+Iran+deny+sending+drones?' QUOTE='Iran denies sending any weaponry, including drones, to Russia.'
readonly OTHER_QUESTION='How+many+herons+nest+at+Lake+Orla?'
readonly OTHER_QUOTE='Forty-one herons nest at Lake Orla this spring.'
readonly DATA=/var/lib/quoteline OWNER=10001
readonly MOST_MEGABYTES=900 MOST_MILLISECONDS=10000 PATIENCE_SECONDS=120

work=$(mktemp -d)
name=quoteline-$$
image=$name volume=$name base=$(awk '$1 == "FROM" { print $2; exit }' Dockerfile)
processes=() failures=0 engine=machine bridge_is_ours=no base_is_ours=no figures=''

# --- what is started is ended, whatever happens -----------------------------------------------------------------------

end() {
    local status=$? process
    trap - EXIT INT TERM
    set +e
    {
        docker rm --force "$name"
        docker volume rm "$volume"
        # An engine of our own goes with all that it holds.
        if [ "$engine" = machine ]; then
            docker image rm "$image"
            [ "$base_is_ours" = no ] || docker image rm "$base"
        fi
        for process in "${processes[@]}"; do kill "$process"; done
        for process in "${processes[@]}"; do wait "$process"; done
        awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
            while read -r mounted; do umount "$mounted"; done
        [ "$bridge_is_ours" = no ] || ip link delete docker0
        rm -rf --one-file-system "$work"
    } >/dev/null 2>&1
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
    echo "bench/docker.sh: $1" >&2
    [ $# -lt 2 ] || tail -n 40 "$2" >&2
    exit 1
}

# --- an engine and a base image ---------------------------------------------------------------------------------------

# bring COMMAND PACKAGE: install what is not there.
bring() {
    ! command -v "$1" >/dev/null || return 0
    echo "installing $2"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } \
        >"$work/apt.log" 2>&1 || give_up "$2 cannot be installed" "$work/apt.log"
}

# Debian's client before any other on the PATH: it is the one that fits Debian's engine.
docker() { PATH=/usr/bin:$PATH command docker "$@"; }

start_engine() {
    ! docker info >/dev/null 2>&1 || return 0
    bring dockerd docker.io
    # Where a service manager runs, installing the package has started an engine.
    ! docker info >/dev/null 2>&1 || return 0
    bring ip iproute2
    [ -e /sys/class/net/docker0 ] || bridge_is_ours=yes
    engine=private
    export DOCKER_HOST=unix://$work/docker.sock
    # It changes no rule of the machine's firewall: a published port goes through docker's proxy, the build uses the
    # machine's own network. A session of its own keeps Ctrl-C for this script.
    setsid dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" \
        --pidfile "$work/docker.pid" --iptables=false --ip6tables=false --ip-forward=false >"$work/engine.log" 2>&1 &
    processes+=($!)
    for _ in $(seq 120); do
        ! docker info >/dev/null 2>&1 || return 0
        kill -0 "${processes[-1]}" 2>/dev/null || break
        sleep 0.5
    done
    give_up "the engine does not start" "$work/engine.log"
}

pip_setting() { python3 -m pip config get "global.$1" 2>/dev/null || true; }

# serve FOLDER: print the loopback address at which a folder is served from now on.
serve_folder() {
    setsid python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$1" >"$work/folder.log" 2>&1 &
    processes+=($!)
    for _ in $(seq 100); do
        port=$(sed -n 's/^Serving HTTP on .* port \([0-9]*\) .*/\1/p' "$work/folder.log")
        [ -z "$port" ] || return 0
        sleep 0.1
    done
    give_up "$1 cannot be served" "$work/folder.log"
}

# Debian's Python where the official image has Python, with this machine's settings for pip as if they were the base's,
# so that the Dockerfile is what anyone would write.
make_base() {
    local root=$work/root suite=${base##*-} authorities source links=() port
    bring debootstrap debootstrap
    echo "making a stand-in for $base"
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv "$suite" "$root" \
        >"$work/debootstrap.log" 2>&1 || give_up "debootstrap failed" "$work/debootstrap.log"
    ln -s /usr/bin/python3 "$root/usr/local/bin/python"
    ln -s /usr/bin/pip3 "$root/usr/local/bin/pip"
    rm -rf "$root"/usr/lib/python3*/EXTERNALLY-MANAGED "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    # The official image comes without a compiled standard library, too.
    find "$root" -xdev -name '*.pyc' -delete

    authorities=$(pip_setting cert)
    authorities=${authorities:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
    [ ! -f "$authorities" ] || cp --dereference "$authorities" "$root/etc/ssl/certs/ca-certificates.crt"
    for source in $(pip_setting find-links); do
        if [ -d "$source" ]; then
            serve_folder "$source"
            source=http://127.0.0.1:$port/
        fi
        links+=("$source")
    done
    {
        echo '[global]'
        echo 'cert = /etc/ssl/certs/ca-certificates.crt'
        echo 'trusted-host = 127.0.0.1'
        [ ${#links[@]} -eq 0 ] || echo "find-links = ${links[*]}"
    } >"$root/etc/pip.conf"

    tar -C "$root" -c . | docker import --change 'ENV LANG=C.UTF-8' \
        --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - "$base" >/dev/null
    base_is_ours=yes
    rm -rf --one-file-system "$root"
}

# --- measuring and checking -------------------------------------------------------------------------------------------

now() { date +%s%3N; }
since() { echo $(($(now) - $1)); }
figure() { figures+=$(printf '%-46s %s' "$1" "$2")$'\n'; }
seconds() { printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10)); }
megabytes() { printf '%d MB' $((($1 + 500000) / 1000000)); }

# check WHAT COMMAND...: say whether the command succeeds, and count where it does not.
check() {
    local what=$1
    shift
    if "$@"; then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        failures=$((failures + 1))
    fi
}

# start OPTION...: run the container, as the README does apart from the port, which is any free one.
start() {
    docker run --detach --name "$name" --publish 127.0.0.1::8000 "$@" "$image" >"$work/run.log" 2>&1 ||
        give_up "the container does not start" "$work/run.log"
    address=http://$(docker port "$name" 8000/tcp | head -n 1)
}

ask() { curl --silent --fail --max-time 10 "$address/ask?q=$1"; }

is_running() { [ "$(docker inspect --format '{{.State.Running}}' "$name")" = true ]; }

# answers QUESTION QUOTE: wait for an answer; whether it holds the quote. `elapsed` is the time since `started`.
answers() {
    local answer='' until=$((SECONDS + PATIENCE_SECONDS))
    while ! answer=$(ask "$1") && [ $SECONDS -lt $until ] && is_running; do
        sleep 0.02
    done
    elapsed=$(since "$started")
    grep --quiet --fixed-strings "$2" <<<"$answer" && return
    echo "answered: ${answer:-nothing}" >&2
    docker logs --tail 20 "$name" >&2
    docker inspect --format '{{json .State}}' "$name" >&2
    return 1
}

# What was added shows within a moment, without a restart.
comes_to_answer() {
    for _ in $(seq 50); do
        ! ask "$1" | grep --quiet --fixed-strings "$2" || return 0
        sleep 0.1
    done
    return 1
}

becomes_healthy() {
    local until=$((SECONDS + 60))
    while [ $SECONDS -lt $until ]; do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$name")" != healthy ] || return 0
        sleep 0.2
    done
    docker inspect --format '{{json .State.Health}}' "$name" >&2
    return 1
}

in_container() { docker exec "$name" "$@"; }
cannot_import() { in_container python -c "import importlib.util as i, sys; sys.exit(i.find_spec('$1') is not None)"; }
cannot_write() { ! in_container touch "$1" 2>/dev/null; }

process_id() { docker inspect --format '{{.State.Pid}}' "$name"; }
memory() { awk '$1 == "VmRSS:" { print $2 * 1024 }' "/proc/$(process_id)/status"; }

stops_by_itself() {
    docker stop --time 10 "$name" >/dev/null
    [ "$(docker inspect --format '{{.State.ExitCode}}' "$name")" != 137 ]
}

# --- what is done with them -------------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || give_up "run it as root"
bring curl curl
bring python3 python3
start_engine
docker image inspect "$base" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$base" >/dev/null 2>&1 || make_base

echo "building"
started=$(now)
# The first stage asks pip's usual variables for other indexes than PyPI; the README says when.
docker build --network=host --build-arg PIP_INDEX_URL --build-arg PIP_EXTRA_INDEX_URL --tag "$image" . \
    >"$work/build.log" 2>&1 || give_up "the build fails" "$work/build.log"
build_time=$(since "$started")
size=$(docker image inspect --format '{{.Size}}' "$image")
base_size=$(docker image inspect --format '{{.Size}}' "$base")
check "the image is smaller than $MOST_MEGABYTES MB" [ "$size" -lt $((MOST_MEGABYTES * 1000000)) ]

mkdir "$work/articles"
# A web page, because reading one takes more packages than reading text.
cat >"$work/articles/herons.html" <<END
<html><head><title>A count at the lake</title></head><body><article><h1>A count at the lake</h1>
<p>$OTHER_QUOTE The wardens counted them from a boat, and found more than in any year before.</p>
<p>The birds come in March and leave the lake again when the summer ends, as the wardens tell.</p>
</article></body></html>
END
chmod -R a+rX "$work/articles"

started=$(now)
start --volume "$volume:$DATA" --volume "$work/articles:/articles:ro"
check "a new container answers from the seeds, word for word" answers "$QUESTION" "$QUOTE"
first=$elapsed
check "within $((MOST_MILLISECONDS / 1000)) s of docker run" [ "$first" -lt $MOST_MILLISECONDS ]
resident=$(memory)
check "its process is user $OWNER, not root" [ "$(in_container id -u)" = $OWNER ]
check "it cannot write to its own code" cannot_write /opt/quoteline/anything
for package in torch transformers sentence_transformers; do
    check "$package is not in it" cannot_import $package
done
check "its health check passes" becomes_healthy
healthy=$(since "$started")
check "a web page is added while it serves" in_container quoteline add /articles
check "and found at once" comes_to_answer "$OTHER_QUESTION" "$OTHER_QUOTE"
started=$(now)
check "it ends when it is told to" stops_by_itself
stop=$(since "$started")

docker rm "$name" >/dev/null
started=$(now)
start --volume "$volume:$DATA" --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges:true
check "a new container on the volume, with a read-only root, has the page" answers "$OTHER_QUESTION" "$OTHER_QUOTE"
again=$elapsed
check "and the seeds" answers "$QUESTION" "$QUOTE"
check "its root is read-only" cannot_write /var/tmp/anything
check "its corpus is consistent" in_container quoteline check

docker rm --force "$name" >/dev/null
install -d -o $OWNER -g $OWNER "$work/folder"
started=$(now)
start --volume "$work/folder:$DATA" --read-only --tmpfs /tmp
check "an empty folder of the host that user $OWNER owns does as well as a volume" answers "$QUESTION" "$QUOTE"

figure 'image' "$(docker images --format '{{.Size}}' "$image")"
figure "  of which $base" "$(megabytes "$base_size")$([ $base_is_ours = no ] || echo ' (a stand-in)')"
figure 'build, nothing cached but the base' "$(seconds "$build_time")"
figure 'docker run to first answer, empty volume' "$(seconds "$first")"
figure 'docker run to first answer, indexed volume' "$(seconds "$again")"
figure 'docker run to healthy' "$(seconds "$healthy")"
figure 'resident memory after the first answer' "$(megabytes "$resident")"
figure 'docker stop' "$(seconds "$stop")"
printf '\n%s' "$figures"
[ $failures -eq 0 ] || give_up "$failures checks failed"
