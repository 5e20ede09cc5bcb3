# Sourced by the scripts that run a worker of their own and watch it. Before the first call, the script sets:
#   herdsman  path of the program        log  file that gets the worker's output
# shellcheck shell=bash

readonly START_SECONDS=60 # until the worker must be healthy
readonly LINES_SECONDS=60 # until lines must have passed
readonly STOP_SECONDS=30  # from SIGTERM until SIGKILL

worker='' # the worker's process id while it runs

# start_worker COMMAND...: in the background and in a process group of its own, so that Ctrl-C reaches the script alone
# and the worker gets one signal and not two.
start_worker() {
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    worker=$!
    set +m
}

# wait_until SECONDS WHAT COMMAND...: polls until the command succeeds. Ends the script with the worker's last words
# when the time is up or the worker has ended.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        kill -0 "$worker" 2>/dev/null || fail "the worker ended while this was awaited: $what"
        ((SECONDS < deadline)) || fail "waited in vain: $what"
        sleep 0.1
    done
}

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
