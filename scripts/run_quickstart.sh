#!/bin/sh
# From nothing to a served model: bash scripts/run_quickstart.sh [MODEL]
#
# Makes an environment, writes synthetic click logs, converts them, trains MODEL (default dlrm) on the CPU, evaluates and
# exports it, scores a few raw rows and prints what came out. Writes .venv/ and .quickstart/ in this clone, nothing else;
# what an earlier run left in .quickstart/MODEL is replaced.
. "$(dirname -- "$0")/environment.sh"

ROWS=300000
SCORED_ROWS=5

# find_model: set `doors`, the folder of the commands of `model`; `choice`, the flag that names it in research/; and `kind`,
# that of its synthetic rows and of the schema they have.
find_model() {
    folders=$(cd "$clone" && for door in */train.py; do printf ' %s' "${door%/train.py}"; done | sed 's/ research//')
    files=$(cd "$clone/research" && for file in $(grep -l '^MODEL' */*.py); do printf ' %s' "$(basename "$file" .py)"; done)
    case "$folders " in
        *" $model "*) doors=$clone/$model choice= kind=criteo && return ;;
    esac
    case "$files " in
        *" $model "*) doors=$clone/research choice=--model=$model ;;
        *) fail "unknown model '$model'; there is:$folders$files" ;;
    esac
    kind=$(sed -n 's/^ *synthetic_kind="\(.*\)",$/\1/p' "$clone"/research/*/"$model.py")
    kind=${kind:-criteo}
}

# stage NAME WHAT COMMAND...: say WHAT, run the command with its output in logs/NAME.log; if it fails, show the end of that
# and leave with its exit code.
stage() {
    log=logs/$1.log
    printf '%s\n' "$2"
    shift 2
    "$@" >"$log" 2>&1 && return
    code=$?
    # Progress bars end their lines with a carriage return.
    tr '\r' '\n' <"$log" | tail -n 20 >&2
    printf 'failed with exit code %s; the whole log is %s\n' "$code" "$PWD/$log" >&2
    exit "$code"
}

score_rows() {
    tail -n "$SCORED_ROWS" data/train.txt >rows.txt
    "$python" "$doors/infer.py" --mindir_path="$model.mindir" --input=rows.txt --device_target=CPU >probabilities.txt
}

[ $# -le 1 ] || fail "usage: run_quickstart.sh [MODEL]"
model=${1:-dlrm}
find_model
make_environment

rm -rf "$clone/.quickstart/$model"
mkdir -p "$clone/.quickstart/$model/logs" || exit
# Relative paths of the commands below, such as ./loss.log, lie here.
cd "$clone/.quickstart/$model" || exit
started=$(date +%s)

stage write_data "Writing $ROWS synthetic rows ($kind)" \
    "$python" -m utils.data.synthetic --kind="$kind" --path=data/train.txt --rows="$ROWS"
stage preprocess "Converting them to MindRecord" "$python" "$doors/src/preprocess_data.py" --data_path=data --schema="$kind"
stage train "Training $model on the CPU" \
    "$python" "$doors/train.py" ${choice:+"$choice"} --config_path=quickstart.yaml --dataset_path=data/mindrecord --device_target=CPU
stage eval "Evaluating on the test split" "$python" "$doors/eval.py" --checkpoint_path=checkpoint --device_target=CPU
stage export "Exporting MINDIR" \
    "$python" "$doors/export.py" --checkpoint_path=checkpoint --file_name="$model" --device_target=CPU
stage infer "Scoring $SCORED_ROWS raw rows" score_rows

exec "$python" -m utils.quickstart_report "$model" "$(($(date +%s) - started))"
