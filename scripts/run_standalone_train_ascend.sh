#!/bin/sh
exec sh "$(dirname -- "$0")/run_standalone_train.sh" "$@"
