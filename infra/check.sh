#!/usr/bin/env bash
# Format, types and references, tests of infra/. Works in a copy: nothing is left behind in the tree.
# INFRA_TOOLS may name a folder with tf-offline.sh and check_tf.py: then no network is needed, but PYTHON must have what they import.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$(dirname "$0")"/{*.tf,*.example,functions.json,tests} "$work"
rm -f "$work/root.tf" # only the commands of the Makefile need it
[ -e "${TF_CLI_CONFIG_FILE:-/}" ] || unset TF_CLI_CONFIG_FILE # a file that is not there makes terraform complain

terraform -chdir="$work" fmt -check -recursive
if [ -n "${INFRA_TOOLS:-}" ]; then
  "${PYTHON:-python3}" "$INFRA_TOOLS/check_tf.py" "$work"
  terraform() { "$INFRA_TOOLS/tf-offline.sh" "$@"; }
else
  terraform -chdir="$work" init -backend=false -input=false
fi
terraform -chdir="$work" validate
terraform -chdir="$work" test
