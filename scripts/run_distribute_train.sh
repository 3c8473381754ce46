#!/bin/sh
# Train on N ranks of this machine, in the background; with WAIT=1 in the foreground. Run it in a model's folder.
. "$(dirname -- "$0")/common.sh"

check_call 2 3 "run_distribute_train.sh N DATASET_PATH [RANK_TABLE]" "$@"
ranks=$1 dataset_path=$2 rank_table=
shift 2
case ${1:---} in --*) ;; *) rank_table=$1 && shift ;; esac
case $ranks in
    '' | *[!0-9]* | 0*) fail "N '$ranks': must be a whole number of ranks, such as 8" ;;
esac
[ -e "$dataset_path" ] || fail "DATASET_PATH '$dataset_path': no such folder; give a converted data set"
[ -z "$rank_table" ] || [ -f "$rank_table" ] || fail "RANK_TABLE '$rank_table': no such file; utils/hccl_tools writes one"

run_job ms_log/output.log ms_log/output.log -m utils.launch --ranks="$ranks" --dataset_path="$dataset_path" \
    --rank_table="$rank_table" --device_target="${DEVICE_TARGET:-auto}" "$@"
