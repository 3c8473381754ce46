# The virtual environment of this clone. Sourced by run_quickstart.sh and run_tests.sh, not run; POSIX sh.
# shellcheck shell=sh
. "$(dirname -- "$0")/common.sh"

venv=$clone/.venv
python=$venv/bin/python

# make_environment [EXTRA]: make .venv with the dependencies that pyproject.toml pins, or reuse it.
make_environment() {
    extra=${1:-}
    # Only a finished install leaves its stamp, and it holds for this pyproject.toml in this place.
    wanted="$(cksum <"$clone/pyproject.toml") $clone"
    stamp=$venv/installed${extra:+-$extra}
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$python" -c '' 2>/dev/null; then
        echo "Reusing the environment $venv"
    else
        install_dependencies
    fi
    # Caches stay out of the source tree.
    export PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR="$venv/numba_cache"
}

install_dependencies() {
    rm -f "$venv"/installed*
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        base=$(find_base_python)
        [ -n "$base" ] || fail "no Python 3.10, 3.11 or 3.12 with its venv module found; install one and try again"
        echo "Making the environment $venv with $base"
        "$base" -m venv --clear "$venv" || exit
    fi
    echo "Installing the pinned dependencies (about 1 GB to download the first time)"
    "$python" -m pip install --quiet --disable-pip-version-check -e "$clone${extra:+[$extra]}" || exit
    echo "$wanted" >"$venv/installed"
    echo "$wanted" >"$stamp"
}

# find_base_python: the first Python 3.10 to 3.12 that can make an environment; nothing if there is none.
find_base_python() {
    for name in python3.12 python3.11 python3.10 python3; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}
