# Sourced by demo and test: a virtual environment below .venv with the project and some extras.

# environment NAME EXTRAS: make or update .venv/NAME and put its programs first on the PATH.
environment() {
    local folder=.venv/$1 stamp
    stamp=$(python3 -VV; echo "$2"; cat pyproject.toml)
    if [ ! -e "$folder/stamp" ] || [ "$stamp" != "$(cat "$folder/stamp")" ]; then
        echo "setting up $folder ..." >&2
        python3 -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$2]"
        echo "$stamp" >"$folder/stamp"
    fi
    PATH=$PWD/$folder/bin:$PATH
}
