# Sourced by the scripts that run a worker of their own and watch it. Before the first call, the script sets:
#   program  array: the command that runs herdsman      log  path of the file that gets the worker's output
# shellcheck shell=bash disable=SC2034,SC2154

readonly HEALTHY_SECONDS=60 # until the worker must be healthy
readonly LINES_SECONDS=60   # until lines must have passed
readonly STOP_SECONDS=30    # from SIGTERM until SIGKILL

worker='' # the worker's process id while it runs

# start_worker COMMAND...: in the background and in a process group of its own, so that Ctrl-C reaches the script alone
# and the worker gets one signal and not two.
start_worker() {
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    worker=$!
    set +m
}

# wait_for_health URL_FILE: sets `url` to the worker's address and `health` to what its probe prints.
wait_for_health() {
    wait_until "$HEALTHY_SECONDS" "its address in $1" test -s "$1"
    url=$(cat "$1")
    wait_until "$HEALTHY_SECONDS" "herdsman health --url $url" is_healthy
}

is_healthy() {
    health=$("${program[@]}" health --url "$url" --timeout 2 2>&1)
}

# wait_for_lines INPUT OUTPUT: until both files have the same content.
wait_for_lines() {
    wait_until "$LINES_SECONDS" "the lines of $1 in $2" cmp -s "$1" "$2"
}

# wait_until SECONDS WHAT COMMAND...: polls until the command succeeds. Ends the script with the worker's last words
# when the time is up or the worker has ended.
wait_until() {
    local deadline=$((SECONDS + $1)) seconds=$1 what=$2
    shift 2
    until "$@"; do
        kill -0 "$worker" 2>/dev/null || fail "the worker ended by itself, before this came: $what"
        ((SECONDS < deadline)) || fail "this did not come within $seconds s: $what"
        sleep 0.1
    done
}

# Ends the script with the worker's last words and a message.
fail() {
    printf -- '--- the end of %s:\n' "$log" >&2
    tail -n 20 "$log" >&2 || true
    printf -- '---\n' >&2
    die "$*"
}

# Sends SIGTERM, and SIGKILL to a worker that does not heed it. Returns the worker's exit code.
stop_worker() {
    [[ -n $worker ]] || return 0
    local process=$worker deadline=$((SECONDS + STOP_SECONDS)) code=0
    worker=''
    kill -TERM "$process" 2>/dev/null || true
    while kill -0 "$process" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            kill -KILL "$process" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$process" 2>/dev/null || code=$?
    return "$code"
}

# Like stop_worker, but any exit code other than that of an orderly end by SIGTERM ends the script with a message.
stop_worker_cleanly() {
    local code=0
    stop_worker || code=$?
    ((code == 143)) || fail "the worker ended with exit code $code when it was asked to stop"
}
