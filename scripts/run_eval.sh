#!/bin/sh
# Evaluate a checkpoint on one device, in the background; with WAIT=1 in the foreground. Run it in a model's folder.
# With RANK_SIZE=N on N devices from the first one on, each of which scores its part; DEVICE_ID then says nothing, and
# --dry_run prints what would be started.
. "$(dirname -- "$0")/common.sh"

check_call 4 4 "run_eval.sh DEVICE_ID DEVICE_TARGET DATASET_PATH CHECKPOINT_PATH" "$@"
ranks=${RANK_SIZE:-1}
case $ranks in
    *[!0-9]* | 0*) fail "RANK_SIZE '$ranks': must be a whole number of ranks, such as 8" ;;
    1) choose_device "$1" "$2" ;;
    *) check_device_target "$2" && device_target=$2 ;;
esac
dataset_path=$3 checkpoint_path=$4
shift 4
check_data "$dataset_path"
[ -e "$checkpoint_path" ] || fail "CHECKPOINT_PATH '$checkpoint_path': no such file or folder"

set -- --dataset_path="$dataset_path" --checkpoint_path="$checkpoint_path" --device_target="$device_target" "$@"
log=ms_log/eval_output.log
if [ "$ranks" = 1 ]; then
    run_job "$log" "$log" eval.py --device_id="$device_id" "$@"
else
    run_ranks "$log" --door=eval --ranks="$ranks" "$@"
fi
