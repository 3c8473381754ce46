#!/bin/sh
exec sh "$(dirname -- "$0")/run_distribute_train.sh" "$@"
