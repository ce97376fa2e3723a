# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/demo and scripts/test: makes .venv once, with the extra that is asked for.
#   setup EXTRA

setup() {
  local extra=$1 python=${PYTHON:-python3}
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed; found: $("$python" --version 2>&1). Set PYTHON to one." >&2
    exit 2
  fi
  local tool
  for tool in g++ make perl; do
    if ! command -v "$tool" >/dev/null; then
      echo "$tool is needed to build simulators: apt install g++ make perl (or your system's)" >&2
      exit 2
    fi
  done
  local stamp=.venv/.installed-$extra wanted
  wanted=$(cksum < pyproject.toml)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  echo "setting up .venv with spikefab[$extra]: a minute or two, once" >&2
  [ -x .venv/bin/python ] || "$python" -m venv .venv || {
    echo "no virtual environment could be made: apt install python3-venv" >&2
    exit 2
  }
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extra]"
  echo "$wanted" > "$stamp"
}
