#!/bin/sh
# Evaluate a checkpoint on one device, in the background; with WAIT=1 in the foreground. Run it in a model's folder.
. "$(dirname -- "$0")/common.sh"

check_call 4 4 "run_eval.sh DEVICE_ID DEVICE_TARGET DATASET_PATH CHECKPOINT_PATH" "$@"
choose_device "$1" "$2"
dataset_path=$3 checkpoint_path=$4
shift 4
check_data "$dataset_path"
[ -e "$checkpoint_path" ] || fail "CHECKPOINT_PATH '$checkpoint_path': no such file or folder"

run_job ms_log/eval_output.log ms_log/eval_output.log eval.py \
    --dataset_path="$dataset_path" --checkpoint_path="$checkpoint_path" \
    --device_target="$device_target" --device_id="$device_id" "$@"
