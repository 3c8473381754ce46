#!/bin/sh
# Score rows with an exported model, in the background; with WAIT=1 in the foreground. Run it in a model's folder.
# NEED_PREPROCESS y: DATASET_PATH is a file of raw rows; n: it is the folder of a converted split.
. "$(dirname -- "$0")/common.sh"

check_call 3 4 "run_infer_310.sh MINDIR_PATH DATASET_PATH NEED_PREPROCESS [DEVICE_ID]" "$@"
mindir_path=$1 dataset_path=$2 need_preprocess=$3
if [ "$positional" -eq 4 ]; then
    choose_device "$4" auto
else
    choose_device 0 auto
fi
shift "$positional"
[ -f "$mindir_path" ] || fail "MINDIR_PATH '$mindir_path': no such file; export.py writes one"
case $need_preprocess in
    y) [ -f "$dataset_path" ] || fail "DATASET_PATH '$dataset_path': no such file; with y give a file of raw rows" ;;
    n) [ -d "$dataset_path" ] || fail "DATASET_PATH '$dataset_path': no such folder; with n give a converted split's" ;;
    *) fail "NEED_PREPROCESS '$need_preprocess': must be y (raw rows) or n (a converted split)" ;;
esac

run_job ms_log/infer_output.log ms_log/probabilities.txt infer.py \
    --mindir_path="$mindir_path" --input="$dataset_path" --device_target="$device_target" --device_id="$device_id" "$@"
