#!/bin/sh
# Lint and test, in an environment made on the first call. Words given are passed on to pytest.
. "$(dirname -- "$0")/environment.sh"

make_environment test
cd "$clone" || exit
"$python" -m ruff check || exit
"$python" -m ruff format --check || exit
# Most tests use one core; a file's tests share fixtures, so they stay together.
exec "$python" -m pytest --numprocesses=2 --dist=loadfile "$@"
