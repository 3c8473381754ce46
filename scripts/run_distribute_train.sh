#!/bin/sh
# Train on N ranks, in the background; with WAIT=1 in the foreground. With --dry_run, print what would be started.
# Run it in a model's folder; over several machines, on each of them.
. "$(dirname -- "$0")/common.sh"

if [ "${1:-}" = --dry_run ]; then
    shift
    set -- "$@" --dry_run
fi
check_call 2 3 "run_distribute_train.sh N DATASET_PATH [RANK_TABLE]" "$@"
ranks=$1 dataset_path=$2 rank_table=
shift 2
case ${1:---} in --*) ;; *) rank_table=$1 && shift ;; esac
case $ranks in
    '' | *[!0-9]* | 0*) fail "N '$ranks': must be a whole number of ranks, such as 8" ;;
esac
check_data "$dataset_path"
check_device_target "${DEVICE_TARGET:-auto}"
set -- --ranks="$ranks" --dataset_path="$dataset_path" --rank_table="$rank_table" \
    --device_target="${DEVICE_TARGET:-auto}" "$@"
run_ranks ms_log/output.log "$@"
