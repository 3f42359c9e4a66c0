# Sourced by demo and test: a virtual environment below .venv with the project and some extras; a browser.

# environment NAME EXTRAS: make or update .venv/NAME and put its programs first on the PATH.
environment() {
    local folder=.venv/$1 stamp
    stamp=$(python3 -VV; echo "$2"; cat pyproject.toml)
    if [ ! -e "$folder/stamp" ] || [ "$stamp" != "$(cat "$folder/stamp")" ]; then
        echo "setting up $folder ..." >&2
        python3 -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${2:+[$2]}"
        echo "$stamp" >"$folder/stamp"
    fi
    PATH=$PWD/$folder/bin:$PATH
}

# browser: install Debian's Chromium where it is missing, if that may be done here.
browser() {
    if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium ..." >&2
        { apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=30 update &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes \
                chromium fonts-dejavu-core; } >/dev/null ||
            echo "chromium is not installed: the tests of the page will be skipped" >&2
    fi
}
