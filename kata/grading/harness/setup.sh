#!/usr/bin/env bash
# Installs the course as a grader: Gradescope calls this as root when it builds its image, and the
# Containerfile does. For Debian and Ubuntu. It needs the network, what it installs does not.
set -euo pipefail

course=${KATA_COURSE:-/autograder/source}
venv=${KATA_VENV:-/opt/kata}

export DEBIAN_FRONTEND=noninteractive
apt-get update
# Ubuntu 22.04 has 3.10, which is too old, and 3.11 beside it. The constraints are those of 3.11.
for version in 3.11 3.12 3.13; do
  apt-get install -y --no-install-recommends "python$version" "python$version-venv" && break
done
rm -rf /var/lib/apt/lists/*

"python$version" -m venv "$venv"
install() { "$venv/bin/python" -m pip install --no-cache-dir -c "$course/.ci/constraints.txt" "$@"; }
# torch's CPU build has an index of its own; from there nothing else is taken.
install --no-deps --index-url https://download.pytorch.org/whl/cpu torch
install -e "$course"
"$venv/bin/python" -m compileall -q "$course/kata" "$course/solutions"

# Hand-ins are graded by a user that can change nothing here. Another one can read the tool, which
# learner code imports, and neither solutions nor tests.
id -u grader || useradd --system --no-create-home grader
chgrp -R grader "$course"
chmod -R g+rX,o= "$course"
chmod o+x "$course"
chmod -R o+rX "$course/kata" "$venv"
