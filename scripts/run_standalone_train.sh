#!/bin/sh
# Train on one device, in the background; with WAIT=1 in the foreground. Run it in a model's folder.
. "$(dirname -- "$0")/common.sh"

check_call 3 3 "run_standalone_train.sh DEVICE_ID DEVICE_TARGET DATASET_PATH" "$@"
choose_device "$1" "$2"
dataset_path=$3
shift 3
check_data "$dataset_path"

run_job ms_log/output.log ms_log/output.log train.py \
    --dataset_path="$dataset_path" --device_target="$device_target" --device_id="$device_id" "$@"
