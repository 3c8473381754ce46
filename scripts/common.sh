# What the launchers share. Sourced, not run; POSIX sh.
# shellcheck shell=sh

# A model's `scripts` is a link: -P looks where it leads before it goes up.
clone=$(CDPATH='' cd -P -- "$(dirname -- "$0")/.." && pwd)

# fail SENTENCE: say what is wrong and end with exit code 2.
fail() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

# check_call LEAST MOST USAGE WORD...: `positional`, the number of words before the first --flag, must be LEAST to MOST, and
# the folder that the command is run in a model's.
check_call() {
    least=$1 most=$2 usage=$3
    shift 3
    positional=0
    for word; do
        case $word in --*) break ;; esac
        positional=$((positional + 1))
    done
    if [ "$positional" -lt "$least" ] || [ "$positional" -gt "$most" ]; then
        printf 'usage: %s [--flag=value ...]\n' "$usage" >&2
        exit 2
    fi
    [ -f ./train.py ] || fail "$PWD: no train.py here; run this command in a model's folder, such as dlrm"
}

check_data() {
    [ -e "$1" ] || fail "DATASET_PATH '$1': no such folder; give a converted data set"
}

check_device_target() {
    case $1 in
        Ascend | GPU | CPU | auto) ;;
        *) fail "DEVICE_TARGET '$1': must be Ascend, GPU, CPU or auto" ;;
    esac
}

# choose_device DEVICE_ID DEVICE_TARGET: check both and set `device_id` and `device_target` to what the program is given.
choose_device() {
    case $1 in
        '' | *[!0-9]*) fail "DEVICE_ID '$1': must be a whole number, such as 0" ;;
    esac
    check_device_target "$2"
    device_id=$1 device_target=$2
    if [ "$device_target" = GPU ]; then
        # The one device that CUDA is left to see has number 0.
        export CUDA_VISIBLE_DEVICES="$device_id"
        device_id=0
    fi
}

# run_job LOG OUTPUT FILE.py FLAG...: run a program of the model with its standard output in OUTPUT and its messages in
# LOG, which may be the same file. Returns at once; with WAIT=1 the launcher turns into the program instead, so that
# signals and the exit code are the program's own.
run_job() {
    log=$1 output=$2
    shift 2
    python=$(find_python)
    { mkdir -p -- "${log%/*}" && true >"$log" && true >"$output"; } || fail "$PWD/${log%/*}: cannot be written; check the folder"
    # The job outlives its terminal.
    trap '' HUP
    if [ "${WAIT:-0}" = 1 ]; then
        announce "$$"
        exec "$python" "$@" </dev/null >>"$output" 2>>"$log"
    fi
    "$python" "$@" </dev/null >>"$output" 2>>"$log" &
    announce "$!"
}

# run_ranks LOG FLAG...: run a program of the model on several ranks; with --dry_run, print what would be started.
run_ranks() {
    ranks_log=$1
    shift
    asked=$("$(find_python)" -m utils.ranks.cluster "$@") || exit
    [ "$asked" != dry_run ] || exec "$(find_python)" -m utils.launch "$@"
    run_job "$ranks_log" "$ranks_log" -m utils.launch "$@"
}

announce() {
    printf 'process %s, log %s' "$1" "$log"
    [ "$output" = "$log" ] || printf ', output %s' "$output"
    printf '\n'
}

# find_python: the active environment's, else that of the clone's .venv, else the system's.
find_python() {
    if [ -n "${VIRTUAL_ENV:-}" ] || [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        echo python
    elif [ -x "$clone/.venv/bin/python" ]; then
        printf '%s\n' "$clone/.venv/bin/python"
    else
        echo python3
    fi
}
