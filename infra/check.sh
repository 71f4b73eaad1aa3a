#!/usr/bin/env bash
# Format, types and references, tests and examples of infra/. Works in a copy: nothing is left behind in the tree.
# INFRA_TOOLS may name a folder with tf-offline.sh and check_tf.py: then no network is needed, but PYTHON must have what they import.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$(dirname "$0")"/{*.tf,*.example,functions.json,tests,examples,optional} "$work"
rm -f "$work"/{root,link_domain,budget}.tf # only the commands of the Makefile need them
[ -e "${TF_CLI_CONFIG_FILE:-/}" ] || unset TF_CLI_CONFIG_FILE # a file that is not there makes terraform complain

terraform -chdir="$work" fmt -check -recursive
prepare() { terraform -chdir="$1" init -backend=false -input=false; }
if [ -n "${INFRA_TOOLS:-}" ]; then
  "${PYTHON:-python3}" "$INFRA_TOOLS/check_tf.py" "$work"
  terraform() { "$INFRA_TOOLS/tf-offline.sh" "$@"; }
  prepare() { terraform -chdir="$1" get; }
else
  cp "$work"/optional/*.tf "$work"
  export TF_VAR_links_domains='["go.example.com"]' TF_VAR_billing_account=012345-6789AB-CDEF01
fi
prepare "$work"
terraform -chdir="$work" validate
terraform -chdir="$work" test
for example in "$work"/examples/*/; do
  prepare "$example"
  terraform -chdir="$example" validate
done
if command -v tflint >/dev/null; then
  tflint --config="$(realpath "$(dirname "$0")")/.tflint.hcl" --chdir="$work"
fi
# Needs `pip install checkov`.
if command -v checkov >/dev/null; then
  checkov --quiet --compact --skip-download --framework terraform --directory "$work"
fi
