#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (20s, or a count such as
# 50000x); go test takes only one target at a time.
set -euo pipefail

go=${GO:-go}
listed=$($go test -list '^Fuzz' ./...)

# go test prints the targets of a package and then "ok", the package, the time.
targets=$(awk '/^Fuzz/ { names[n++] = $1 }
	$1 == "ok" { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' <<<"$listed")
if [[ -z $targets ]]; then
	echo 'fuzz: no target found' >&2
	exit 1
fi

while read -r package target; do
	echo "== $package $target"
	$go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" -fuzzminimizetime 10x "$package" </dev/null
done <<<"$targets"
